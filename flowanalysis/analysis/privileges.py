"""Privileged accounts behind flows: directory roles and application permissions, ranked by two lists.

Microsoft marks some roles as privileged. The roles that flow accounts are really given (Exchange, SharePoint, Teams
and Power Platform administrator) are not among them, and some that are marked only read. So a second list of our
own ranks every role by what an account behind flows reaches with it, and where the two disagree the row says so.

===== ================================================================================================
tier  meaning
===== ================================================================================================
0     takes over the tenant, or every flow in it
1     reaches everybody's content in a service, or takes over ordinary accounts
2     reads widely, or manages the settings of a service
3     no reach of note
===== ================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.analysis.access import held_by
from flowanalysis.analysis.paths import chain, in_words, labels
from flowanalysis.analysis.reach import Ways, accounts, covered, kept, main_reach, ways, who
from flowanalysis.schema import COUNT, FLAG, TEXT
from flowanalysis.tenant import Tenant

COLUMNS = [
    "account_id", "kind", "name", "name_id", "scope", "state", "tier", "is_privileged", "level", "agree", "reason",
    "holder_id", "flows", "path", "source", "as_of",
]  # fmt: skip
TABLES = {
    "role_assignments": "directory roles are not seen",
    "app_permissions": "permissions of applications are not seen",
    "memberships": "roles held through groups are not seen",
    "connections": "the accounts behind flows are not known",
}
HIGH = 1  # tiers up to here count as privileged when the lists are compared


def privileges(
    tenant: Tenant, identities: str | Iterable[str] | None = None, *, everyone: bool = False
) -> pd.DataFrame:
    """Roles and permissions of the accounts behind flows, each with its tier and how the lists judge it.

    Parameters
    ----------
    tenant : Tenant
        The data.
    identities : str or iterable of str, optional
        Object ids or user principal names. Default: the accounts behind connections.
    everyone : bool
        All identities instead.

    Returns
    -------
    DataFrame
        One row for each account and role or permission, sorted by tier and account: account_id, kind (directory_role |
        application | delegated), name, name_id (role template or permission id), scope (``/`` is the whole tenant; the
        API for permissions), state (active | eligible), tier (0 to 3; NA when neither list knows it), is_privileged
        (Microsoft's mark, from the export or else the list; NA for permissions), level (1 to 4, Microsoft Graph
        privilege level), agree (the two lists see it alike), reason, holder_id (the account or the group that holds
        it), flows (number of flows that run as the account), path (sentence), source, as_of.

    Notes
    -----
    The tier of a permission: 0 when it leads to Global Administrator, 1 for level 4 or a permission that acts as
    others, 2 for level 3, else 3; delegated permissions are one tier lower, since the signed-in account bounds them.
    """
    found = _subjects(tenant, identities, everyone=everyone)
    rows = pd.concat([_role_rows(tenant, found), _permission_rows(tenant, found)], ignore_index=True)
    runs_as = tenant.codes.runs_as
    counts = pd.Series(np.bincount(runs_as.indices, minlength=runs_as.shape[1]))
    rows["flows"] = counts.reindex(rows["account"]).astype(COUNT).array
    rows["path"] = pd.array([_sentence(tenant, row) for row in rows.itertuples(index=False)], dtype=TEXT)
    rows["account_id"] = tenant.codes.principals.text(rows["account"])
    rows["holder_id"] = tenant.codes.principals.text(rows["holder"])
    order = ["tier", "account_id", "kind", "name", "scope", "state"]
    rows = rows.sort_values(order, kind="stable").drop_duplicates(order[1:], ignore_index=True)
    return covered(rows[COLUMNS], tenant, TABLES)


def _subjects(tenant: Tenant, identities: str | Iterable[str] | None, *, everyone: bool) -> Ways:
    codes = tenant.codes
    if everyone:
        return ways(codes, np.arange(len(codes.principals)))
    return ways(codes, accounts(codes) if identities is None else who(tenant, identities))


def account_tiers(tenant: Tenant, *, of: Ways | None = None) -> pd.DataFrame:
    """The highest tier of each identity that matters.

    Returns
    -------
    DataFrame
        account_id, tier (of active roles and permissions; NA when it holds none), tier_eligible (with eligible
        roles), name (what gives the tier), for every identity of ``main_reach`` that holds something.
    """
    found = main_reach(tenant) if of is None else of
    rows = pd.concat([_role_rows(tenant, found), _permission_rows(tenant, found)], ignore_index=True)
    rows = rows[rows["tier"].notna()].sort_values(["account", "tier", "name"], kind="stable")
    active = rows[rows["state"] == "active"].drop_duplicates("account").set_index("account")
    either = rows.drop_duplicates("account").set_index("account")
    result = pd.DataFrame({"tier": active["tier"], "tier_eligible": either["tier"], "name": either["name"]})
    result.insert(0, "account_id", pd.Series(tenant.codes.principals.text(result.index), index=result.index))
    return covered(result.reset_index(drop=True), tenant, TABLES)


@kept
def main_tiers(tenant: Tenant) -> pd.DataFrame:
    """`account_tiers` of the identities that matter, made once."""
    return account_tiers(tenant)


def _role_rows(tenant: Tenant, found: Ways) -> pd.DataFrame:
    rows = rated_roles(tenant)
    return _of_accounts(tenant, found, rows, "principal_id")


def rated_roles(tenant: Tenant) -> pd.DataFrame:
    """Role assignments with both judgements."""
    rows, listed = tenant.role_assignments, reference.table("entra_roles")
    by_id = listed.set_index(listed["template_id"].str.lower())
    key = rows["role_template_id"].fillna(rows["role_id"])
    by_name = listed.set_index(listed["role_name"].str.lower())["template_id"].str.lower()
    key = key.where(key.isin(by_id.index), rows["role_name"].str.lower().map(by_name).fillna(key))
    known = by_id.reindex(key)
    told = rows["is_privileged"].fillna(_definition_flags(tenant, rows))
    marked = told.array.copy()
    listed_mark = pd.array((known["is_privileged"] == "true").where(known["is_privileged"].notna()), dtype=FLAG)
    marked = pd.Series(marked, dtype=FLAG).fillna(pd.Series(listed_mark))
    tier = pd.Series(pd.to_numeric(known["tier"]).array, dtype=COUNT)
    return pd.DataFrame(
        {
            "principal_id": rows["principal_id"].array,
            "kind": pd.array(["directory_role"] * len(rows), dtype=TEXT),
            "name": rows["role_name"].fillna(pd.Series(known["role_name"].array, index=rows.index)).fillna(key).array,
            "name_id": key.array,
            "scope": rows["scope"].fillna("/").array,
            "state": rows["state"].fillna("active").array,
            "tier": tier,
            "is_privileged": marked,
            "level": pd.array([pd.NA] * len(rows), dtype=COUNT),
            "agree": (tier <= HIGH) == marked,
            "reason": pd.array(known["reason"], dtype=TEXT),
            "source": pd.array(known["source"], dtype=TEXT),
            "as_of": pd.array(known["as_of"], dtype=TEXT),
        }
    )


def _definition_flags(tenant: Tenant, rows: pd.DataFrame) -> pd.Series:
    """What the tenant's own role definitions say, by definition or template id."""
    roles = tenant.directory_roles
    flags = pd.concat([roles.set_index("role_id")["is_privileged"], roles.set_index("template_id")["is_privileged"]])
    flags = flags[flags.index.notna()].dropna()
    flags = flags[~flags.index.duplicated()]
    return rows["role_id"].map(flags).astype(FLAG)


def _permission_rows(tenant: Tenant, found: Ways) -> pd.DataFrame:
    return _of_accounts(tenant, found, rated_permissions(tenant), "principal_id")


def rated_permissions(tenant: Tenant) -> pd.DataFrame:
    """Application permissions with level and tier; the holder is the application."""
    rows, listed = tenant.app_permissions, reference.table("graph_permissions")
    kind = rows["kind"].fillna("application")
    name = rows["permission"].fillna(rows["permission_id"])
    listed["permission"] = listed["permission"].str.lower()
    by_name = listed.drop_duplicates(["permission", "kind"]).set_index(["permission", "kind"])
    known = by_name.reindex(pd.MultiIndex.from_arrays([name.str.lower(), kind])).reset_index(drop=True)
    level = pd.Series(pd.to_numeric(known["level"], errors="coerce").array, dtype=COUNT)
    tier = _permission_tier(known, level, (kind == "delegated").to_numpy(bool))
    return pd.DataFrame(
        {
            "principal_id": rows["client_id"].array,
            "kind": kind.array,
            "name": name.array,
            "name_id": rows["permission_id"].array,
            "scope": rows["resource_name"].fillna(rows["resource_id"]).array,
            "state": pd.array(["active"] * len(rows), dtype=TEXT),
            "tier": tier,
            "is_privileged": pd.array([pd.NA] * len(rows), dtype=FLAG),
            "level": level,
            "agree": pd.array([pd.NA] * len(rows), dtype=FLAG),
            "reason": _permission_reason(known),
            "source": pd.array(known["source"], dtype=TEXT),
            "as_of": pd.array(known["as_of"], dtype=TEXT),
        }
    )


def _permission_tier(known: pd.DataFrame, level: pd.Series, delegated: np.ndarray) -> pd.Series:
    escalates, risky = known["escalates"].fillna("") != "", known["risk"].fillna("") != ""
    tier = pd.Series(3, index=known.index, dtype=COUNT)
    tier[(level == 3).fillna(False)] = 2
    tier[(level == 4).fillna(False) | risky] = 1
    tier[escalates] = 0
    tier = (tier + delegated).clip(upper=3)
    return tier.where(known["permission_id"].notna())


def _permission_reason(known: pd.DataFrame) -> pd.api.extensions.ExtensionArray:
    way = known["escalates"].map(
        {"direct": "leads to Global Administrator", "indirect": "leads to Global Administrator by a detour"}
    )
    return pd.array(way.fillna(known["risk"].replace("", pd.NA)), dtype=TEXT)


def _of_accounts(tenant: Tenant, found: Ways, rows: pd.DataFrame, holder: str) -> pd.DataFrame:
    """Rows for every account that holds them, directly or through groups."""
    row, at, holders = held_by(tenant, found, rows[holder])
    result = rows.iloc[at].reset_index(drop=True).drop(columns=holder)
    result["account"] = found.principals[row]
    result["holder"] = holders
    # Where an account holds one thing in several ways, its own assignment is told.
    own = result["account"] != result["holder"]
    return result.iloc[np.argsort(own.to_numpy(), kind="stable")].reset_index(drop=True)


def _sentence(tenant: Tenant, row: Any) -> str:
    who_ = in_words(labels(tenant), chain(tenant.codes, row.account, row.holder))
    what = (
        f"holds the directory role {row.name}"
        if row.kind == "directory_role"
        else f"has the {row.kind} permission {row.name}"
    )
    state = "" if row.state == "active" else f" ({row.state}, not active)"
    where = "" if pd.isna(row.scope) or row.scope == "/" else f" on {row.scope}"
    return f"{who_} {what}{where}{state}."
