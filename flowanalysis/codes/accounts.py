"""The account behind every connection, and behind every connection that a flow declares.

Millions of rows name few accounts, in few ways: columns stay compact, and rows meet by their places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.codes.names import pair
from flowanalysis.remember import Tables, once_per_tenant
from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText, chosen, compact, distinct, encoded, worded

CONNECTION = ["environment_id", "connection_id"]
FLOW = ["environment_id", "flow_id"]
ACCOUNT = ["account_id", "account_name", "account_kind", "method", "reason"]

HOW = {
    "account_name": "the account signed in to the connection",
    "client_id": "the application in the connection's parameters",
    "username": "the user name in the connection's parameters",
    "created_by": "the maker of the connection, since it names no account",
    "none": "nothing in the connection names an account",
    "invoker": "whoever starts the flow, on a connection of their own",
    "no_connection": "the platform itself; the step needs no connection",
    "missing_reference": "not known: nothing declares the alias or reference that the step names",
    "unbound_reference": "nobody: the connection reference has no connection",
    "missing_connection": "not known: the connection is not in the environment's list",
    "not_collected": "not known: connections or connection references were not collected",
}
# Evidence in order of trust, by the columns of `connections` that give it; what has none of it comes last.
NAME, CLIENT, USER, MAKER, NOTHING = range(5)
METHODS = ("account_name", "client_id", "username", "created_by", "none")
REASONS = (
    *("ok", "unknown_account", "not_collected", "external_account"),
    *("missing_connection", "missing_reference", "unbound_reference", "invoker"),
)
OK, UNKNOWN, NOT_COLLECTED, EXTERNAL, MISSING_CONNECTION, MISSING_REFERENCE, UNBOUND, INVOKER = range(8)


@once_per_tenant
def connection_accounts(tenant: Tables) -> pd.DataFrame:
    """The account behind every connection.

    Evidence in order of trust: the account signed in, the application of a service principal connection,
    the user name parameter, and last the maker of the connection.

    Returns
    -------
    DataFrame
        One row per row of ``connections``: environment_id, connection_id, connector_id, account_id (id in
        ``identities``, NA when none is known), account_name (as the connection names it), account_kind
        (kind of the identity), method (account_name | client_id | username | created_by | none) and reason
        (ok | external_account | unknown_account | not_collected).
    """
    rows = tenant["connections"]
    known = _ranked(tenant["identities"])
    method = _method(rows)
    name = chosen([rows[c] for c in ("account_name", "client_id", "username", "created_by_upn")], _until(method, MAKER))
    sought = [_lower(rows[c]) for c in METHODS[:MAKER]]
    by_name = _lookup([known["upn"].str.lower(), known["mail"].str.lower()], known["identity_id"], sought)
    by_app = _lookup([known["app_id"]], known["identity_id"], sought)
    told = [_found(names, by_app if n == CLIENT else by_name) for n, names in enumerate(sought)]
    by = np.where(_is_maker(rows, method, chosen(told, _until(method, USER)), name), MAKER, method)
    account = chosen([*told, rows["created_by_id"]], _until(by, MAKER))
    kind = _found(account, _lookup([known["identity_id"]], known["kind"], [account]))
    application = kind.isna() & (method == CLIENT)
    found = {
        "account_id": account,
        "account_name": name,
        "account_kind": chosen([kind, worded(["service_principal"], np.zeros(len(rows)))], application.astype(int)),
        "method": worded(METHODS, method),
    }
    found["reason"] = worded(REASONS, _reason(found, method, collected=tenant.has("identities")))
    return rows[[*CONNECTION, "connector_id"]].assign(**found)


def _method(rows: pd.DataFrame) -> np.ndarray:
    """Which evidence each connection gives first."""
    method = np.where(rows["created_by_id"].notna(), MAKER, NOTHING)
    for number in (USER, CLIENT, NAME):
        method[_given(rows[METHODS[number]])] = number
    return method


def _given(column: pd.Series) -> np.ndarray:
    """True where there is a text that is not empty."""
    return (column != "").fillna(False).to_numpy(bool)


def _until(numbers: np.ndarray, last: int) -> np.ndarray:
    return np.where(numbers <= last, numbers, -1)


def _lower(names: pd.Series) -> pd.Series:
    return pd.Series(_once(names)).str.lower()


def _found(names: object, lookup: pd.Series) -> CompactText:
    """What the lookup tells of each name, each asked for once."""
    return _once(pd.Series(_once(names)).map(lookup).astype(TEXT))


def _once(column: object) -> CompactText:
    """A column with each of its words kept once."""
    return compact(encoded(column), distinct=True)


def _ranked(identities: pd.DataFrame) -> pd.DataFrame:
    """What names an identity. A living account wins over a deleted one of the same name, so it comes before it."""
    order = identities["status"].map({"active": 0, "disabled": 1, "unknown": 2, "deleted": 3}).fillna(4)
    columns = ["identity_id", "upn", "mail", "app_id", "kind"]
    return identities[columns].iloc[order.argsort(kind="stable")]


def _lookup(keys: Sequence[pd.Series], answers: pd.Series, names: Sequence[object]) -> pd.Series:
    """The first answer of each name that is asked for, by its keys: those of the first column before the next."""
    asked = pa.chunked_array([distinct(of) for of in names], pa.large_string())
    parts = []
    for key in keys:
        hit = pc.is_in(pa.array(key.array), value_set=asked.combine_chunks()).to_numpy(zero_copy_only=False)
        parts.append(answers[hit].set_axis(key[hit].array))
    told = pd.concat(parts)
    return told[told.index.notna() & ~told.index.duplicated()]


def _is_maker(rows: pd.DataFrame, method: np.ndarray, account: CompactText, name: CompactText) -> np.ndarray:
    """True where nobody is found by the account's name, and that is the maker's own."""
    open_ = account.isna() & (method < MAKER) & rows["created_by_id"].notna().to_numpy(bool)
    own = pd.Series(name[open_]).str.lower() == rows.loc[open_, "created_by_upn"].str.lower().array
    open_[open_] = own.fillna(False).to_numpy(bool)
    return open_


def _reason(found: dict[str, CompactText], method: np.ndarray, *, collected: bool) -> np.ndarray:
    nobody = found["account_id"].isna()
    if collected:
        kind = pd.Series(found["account_kind"])
        reason = np.where(nobody | (kind.isna() | kind.eq("unknown").fillna(True)).to_numpy(bool), UNKNOWN, OK)
    else:
        reason = np.where(nobody, NOT_COLLECTED, OK)
    with_at = pd.Series(found["account_name"]).str.contains("@", regex=False).fillna(False).to_numpy(bool)
    reason[nobody & np.isin(method, (NAME, USER)) & ~with_at] = EXTERNAL
    reason[method == NOTHING] = UNKNOWN
    return reason


@once_per_tenant
def bound_uses(tenant: Tables) -> pd.DataFrame:
    """Every connection that a flow declares, through its reference where needed; `declared` is the reference's row."""
    columns = [*FLOW, "alias", "connector_id", "connection_id", "reference_name", "runtime_source"]
    uses = tenant["flow_connections"][columns].reset_index(drop=True)
    references = tenant["connection_references"]
    declared = _row(uses, references, "reference_name")
    if (declared >= 0).any():
        bound = references["connection_id"].array.take(declared, allow_fill=True)
        uses["connection_id"] = chosen([uses["connection_id"], bound], uses["connection_id"].isna().to_numpy(int))
    return uses.assign(declared=declared)


@once_per_tenant
def connection_uses(tenant: Tables) -> pd.DataFrame:
    """The account behind every connection that a flow declares.

    Returns
    -------
    DataFrame
        One row per row of ``flow_connections``: environment_id, flow_id, alias, connector_id, reference_name,
        runtime_source, connection_id (resolved through the reference where needed), the columns of
        `connection_accounts` that name the account, and how (the same in words).
    """
    uses, accounts = bound_uses(tenant), connection_accounts(tenant)
    declared = uses.pop("declared").to_numpy()
    listed = _row(uses, accounts, "connection_id")
    reason = _use_reason(uses, tenant, declared, listed)
    shown = np.where(reason == INVOKER, -1, listed)
    for column in ACCOUNT[:-1]:
        uses[column] = accounts[column].array.take(shown, allow_fill=True)
    uses["method"] = chosen([uses["method"], worded(["none"], np.zeros(len(uses)))], (shown < 0).astype(int))
    uses["reason"] = worded(REASONS, reason)
    uses["how"] = how(uses)
    return uses


def _row(rows: pd.DataFrame, others: pd.DataFrame, column: str) -> np.ndarray:
    """The row of the other frame that has the same environment and id, -1 where none has."""
    if not len(others):
        return np.full(len(rows), -1)
    told = encoded(pair(rows, column))
    place = pc.index_in(told.dictionary, value_set=pair(others, column).cast(pa.large_string())).fill_null(-1)
    return np.append(place.to_numpy(), -1)[told.indices.fill_null(-1).to_numpy()]


def _use_reason(uses: pd.DataFrame, tenant: Tables, declared: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """Why each use has the account it has; later lines overrule earlier ones."""
    numbers = {word: number for number, word in enumerate(REASONS)}
    reason = np.append(connection_accounts(tenant)["reason"].map(numbers).to_numpy(int), -1)[listed]
    bare = uses["connection_id"].isna().to_numpy(bool)
    reason[~bare & (listed < 0)] = MISSING_CONNECTION if tenant.has("connections") else NOT_COLLECTED
    named = uses["reference_name"].notna().to_numpy(bool)
    reason[bare & named] = NOT_COLLECTED
    if tenant.has("connection_references"):
        reason[bare & named & (declared < 0)] = MISSING_REFERENCE
    bound = tenant["connection_references"]["is_bound"]
    unbound = np.append((bound == False).fillna(False).to_numpy(bool), False)[declared]  # noqa: E712  NA is not False
    reason[bare & (unbound | ~named)] = UNBOUND
    reason[(uses["runtime_source"] == "invoker").fillna(False).to_numpy(bool)] = INVOKER
    return reason


def how(rows: pd.DataFrame) -> pd.Series:
    """In words: by the method when an account was sought and named, by the reason otherwise."""
    words = pd.Series(HOW, dtype=TEXT)
    by_method, by_reason = _found(rows["method"], words), _found(rows["reason"], words)
    return pd.Series(chosen([by_method, by_reason], (~by_reason.isna()).astype(int)), index=rows.index)
