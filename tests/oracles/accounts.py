"""The account behind every connection and use, column by column on plain strings: the obvious way, as oracle."""

from __future__ import annotations

import pandas as pd

from flowanalysis.codes.accounts import ACCOUNT, CONNECTION, FLOW, HOW
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant


def connection_accounts(tenant: Tenant) -> pd.DataFrame:
    """The account behind every connection."""
    rows = tenant["connections"]
    found = pd.DataFrame(index=rows.index, data={c: pd.array([pd.NA] * len(rows), dtype=TEXT) for c in ACCOUNT})
    by_name, by_app, kinds = _lookups(tenant["identities"])
    for method, column, lookup in (
        ("account_name", "account_name", by_name),
        ("client_id", "client_id", by_app),
        ("username", "username", by_name),
    ):
        open_ = found["method"].isna() & rows[column].notna() & (rows[column] != "")
        names = rows.loc[open_, column]
        found.loc[open_, "method"] = method
        found.loc[open_, "account_name"] = names
        found.loc[open_, "account_id"] = names.str.lower().map(lookup).astype(TEXT)
    _fall_back_on_maker(rows, found)
    found["account_kind"] = found["account_id"].map(kinds).astype(TEXT)
    found.loc[found["account_kind"].isna() & (found["method"] == "client_id"), "account_kind"] = "service_principal"
    found["reason"] = _account_reason(found, collected=tenant.has("identities"))
    return pd.concat([rows[[*CONNECTION, "connector_id"]], found], axis=1)


def _lookups(identities: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Name to id, application id to id, id to kind. A living account wins over a deleted one of the same name."""
    order = identities["status"].map({"active": 0, "disabled": 1, "unknown": 2, "deleted": 3}).fillna(4)
    ranked = identities.iloc[order.argsort(kind="stable")]
    pairs = pd.concat(
        [ranked[[c, "identity_id"]].set_axis(["name", "identity_id"], axis=1) for c in ("upn", "mail")],
        ignore_index=True,
    ).dropna()
    pairs["name"] = pairs["name"].str.lower()
    by_name = pairs.drop_duplicates("name").set_index("name")["identity_id"]
    apps = ranked.loc[ranked["app_id"].notna(), ["app_id", "identity_id"]].drop_duplicates("app_id")
    kinds = ranked.drop_duplicates("identity_id").set_index("identity_id")["kind"]
    return by_name, apps.set_index("app_id")["identity_id"], kinds


def _fall_back_on_maker(rows: pd.DataFrame, found: pd.DataFrame) -> None:
    """Fill in the maker: where nothing else is named, and where the account's name is the maker's own."""
    own = found["account_id"].isna() & (found["account_name"].str.lower() == rows["created_by_upn"].str.lower())
    own = own.fillna(False).astype(bool) & rows["created_by_id"].notna()
    found.loc[own, "account_id"] = rows.loc[own, "created_by_id"]
    silent = found["method"].isna()
    made = silent & rows["created_by_id"].notna()
    found.loc[made, "account_id"] = rows.loc[made, "created_by_id"]
    found.loc[made, "account_name"] = rows.loc[made, "created_by_upn"]
    found.loc[silent, "method"] = "none"
    found.loc[made, "method"] = "created_by"


def _account_reason(found: pd.DataFrame, *, collected: bool) -> pd.Series:
    reason = pd.Series("ok", index=found.index, dtype=TEXT)
    if collected:
        unknown = found["account_id"].isna() | found["account_kind"].isna() | (found["account_kind"] == "unknown")
        reason[unknown.fillna(True).astype(bool)] = "unknown_account"
    else:
        reason[found["account_id"].isna()] = "not_collected"
    named = found["account_name"].str.contains("@", regex=False).fillna(False).astype(bool)
    outside = found["account_id"].isna() & found["method"].isin(["account_name", "username"]) & ~named
    reason[outside] = "external_account"
    reason[(found["method"] == "none").astype(bool)] = "unknown_account"
    return reason


def connection_uses(tenant: Tenant) -> pd.DataFrame:
    """The account behind every connection that a flow declares."""
    uses = tenant["flow_connections"][
        [*FLOW, "alias", "connector_id", "connection_id", "reference_name", "runtime_source"]
    ]
    references = tenant["connection_references"][["environment_id", "reference_name", "connection_id", "is_bound"]]
    references = references.rename(columns={"connection_id": "bound_id"}).assign(declared=True)
    uses = uses.merge(references, on=["environment_id", "reference_name"], how="left", validate="m:1")
    uses["connection_id"] = uses["connection_id"].fillna(uses["bound_id"])
    accounts = connection_accounts(tenant).drop(columns="connector_id").assign(listed=True)
    uses = uses.merge(accounts, on=CONNECTION, how="left", validate="m:1")
    uses["reason"] = _use_reason(uses, tenant)
    uses.loc[uses["reason"] == "invoker", ["account_id", "account_name", "account_kind", "method"]] = pd.NA
    uses["method"] = uses["method"].fillna("none")
    uses["how"] = how(uses)
    return uses.drop(columns=["bound_id", "is_bound", "declared", "listed"])


def _use_reason(uses: pd.DataFrame, tenant: Tenant) -> pd.Series:
    """Why each use has the account it has; later lines overrule earlier ones."""
    reason = uses["reason"].astype(TEXT)
    bare = uses["connection_id"].isna()
    unlisted = ~bare & uses["listed"].isna()
    reason[unlisted] = "missing_connection" if tenant.has("connections") else "not_collected"
    by_reference = bare & uses["reference_name"].notna()
    undeclared = by_reference & uses["declared"].isna()
    reason[undeclared] = "missing_reference" if tenant.has("connection_references") else "not_collected"
    told_unbound = (by_reference & (uses["is_bound"] == False)).fillna(False).astype(bool)  # noqa: E712  NA is not False
    reason[by_reference & ~undeclared] = "not_collected"
    reason[told_unbound] = "unbound_reference"
    reason[bare & uses["reference_name"].isna()] = "unbound_reference"
    reason[(uses["runtime_source"] == "invoker").fillna(False).astype(bool)] = "invoker"
    return reason


def how(rows: pd.DataFrame) -> pd.Series:
    """In words: by the method when an account was sought and named, by the reason otherwise."""
    by_method = rows["method"].map(HOW)
    return rows["reason"].map(HOW).fillna(by_method).astype(TEXT)
