"""Codes from the frames of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from scipy import sparse

from flowanalysis.codes.accounts import bound_uses, connection_accounts, connection_uses
from flowanalysis.codes.names import Names, pair
from flowanalysis.codes.relations import ROWS, SHAPES, Codes
from flowanalysis.matrices import closure, relation, row_of
from flowanalysis.remember import Tables

LEVELS = ("none", "read", "write", "owner", "full")
OWNER_ROLES = {"RunOnly": 1, "CanView": 2, "CanEdit": 3, "Owner": 4}
SHARE_ROLES = {"CanView": 1, "CanViewWithShare": 2, "CanEdit": 3, "Owner": 4}
KINDS = {"flow_id": "flows", "connection_id": "connections", "resource_id": "resources", "resource": "resources"}
COLUMNS = {  # kind to the columns whose ids are names of it; `_Frames` has those that no table holds
    "principals": (
        *("identities.identity_id", "groups.group_id", "memberships.group_id", "memberships.member_id"),
        *("grants.principal_id", "flow_owners.principal_id", "flows.owner_id", "flows.creator_id"),
        *("connections.created_by_id", "connection_shares.principal_id", "environment_roles.principal_id"),
        *("role_assignments.principal_id", "app_permissions.client_id", "app_permissions.principal_id"),
        *("accounts.account_id", "uses.account_id"),
    ),
    "resources": ("grants.resource_id", "needs.resource", "resources.resource_id", "resources.parent_id"),
    "flows": ("flows.flow_id", "flow_owners.flow_id", "flow_connections.flow_id", "steps.flow_id", "needs.flow_id"),
    "connections": (
        *("connections.connection_id", "connection_shares.connection_id"),
        *("flow_connections.connection_id", "bound.connection_id"),
    ),
}
Rows: TypeAlias = Mapping[str, np.ndarray]  # the code of each row, by table and column
Links: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray | int]  # row codes, column codes, values


def build(tenant: Tables) -> Codes:
    """Codes and relations of a tenant; tables that were not collected give empty relations.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> from flowanalysis.tenant import Tenant
    >>> grant = {"principal_id": "ann", "resource_id": "site", "level": "write"}
    >>> codes = build(Tenant({"grants": schema.frame("grants", [grant])}))
    >>> codes.principals.text([0])[0], codes.held.toarray().tolist()
    ('ann', [[2]])
    """
    frames = _Frames(tenant)
    with ThreadPoolExecutor(2) as pool:  # Arrow lets go of the interpreter while it hashes and sorts
        named = list(pool.map(partial(_named, frames), COLUMNS))
        kinds = dict(zip(COLUMNS, (names for names, _ in named), strict=True))
        rows = {column: codes for _, of in named for column, codes in of.items()}
        links = {
            "member": _member(tenant, rows),
            "held": (rows["grants.principal_id"], rows["grants.resource_id"], level_codes(tenant["grants"]["level"])),
            "cover": _cover(rows, kinds["resources"]),
            "owns": _owns(tenant, rows),
            "shares": _shares(tenant, rows),
            "signs_in": (rows["connections.connection_id"], rows["accounts.account_id"], 1),
            **_uses(frames["uses"], rows),
        }
        sizes = {name: (len(kinds[r]), len(kinds[c])) for name, (r, c) in SHAPES.items()}
        made = pool.map(lambda name: relation(*links[name], sizes[name]), SHAPES)
        relations = dict(zip(SHAPES, made, strict=True))
    groups = _groups(tenant, rows, relations["member"])
    return Codes(**kinds, groups=groups, relations=relations, rows={name: rows[name] for name in ROWS})


@dataclass(frozen=True)
class _Frames:
    """Tables by name, those included that say who signs in to connections; each is made when first asked for."""

    tenant: Tables

    def __getitem__(self, table: str) -> pd.DataFrame:
        made = {"accounts": connection_accounts, "uses": connection_uses, "bound": bound_uses}.get(table)
        return made(self.tenant) if made else self.tenant[table]


def _named(frames: _Frames, kind: str) -> tuple[Names, dict[str, np.ndarray]]:
    """The names of a kind, and the codes of every column that holds some."""
    same = _same(frames) if kind == "connections" else {}
    told = [column for column in COLUMNS[kind] if column not in same]
    names, codes = Names.interned(_ids(frames, *column.split(".")) for column in told)
    rows = dict(zip(told, codes, strict=True))
    return names, rows | {column: rows[other] for column, other in same.items()}


def _same(frames: _Frames) -> dict[str, str]:
    """The connections that flows use are those that they declare, unless a reference tells some of them."""
    bound = (frames["bound"]["declared"] >= 0).any()
    return {} if bound else {"bound.connection_id": "flow_connections.connection_id"}


def _ids(frames: _Frames | Tables, table: str, column: str) -> object:
    """A column of ids; flows and connections are named with their environment."""
    rows = frames[table]
    return pair(rows, column) if KINDS.get(column) in ("flows", "connections") else rows[column]


def coded(tenant: Tables, kinds: Mapping[str, Names], table: str, column: str) -> np.ndarray:
    """The code of each row of a table by a column of ids."""
    return kinds[KINDS.get(column, "principals")].codes(_ids(tenant, table, column))


def ranks(column: pd.Series, order: Mapping[str, int]) -> np.ndarray:
    """Values of a column as numbers; what the order does not name is 1, the lowest."""
    return column.map(order).fillna(1).to_numpy(np.int64)


def level_codes(column: pd.Series) -> np.ndarray:
    """Levels as numbers: read 1 to full 4; a level not told is at least read."""
    return ranks(column, {level: rank for rank, level in enumerate(LEVELS) if rank})


def _member(tenant: Tables, rows: Rows) -> Links:
    people, grants = tenant["identities"], tenant["grants"]
    inside = _true(tenant["memberships"]["relation"] != "owner", unknown=True)
    is_user = _true(people["kind"] == "user") & _true(people["user_type"] != "Guest", unknown=True)
    users = rows["identities.identity_id"][is_user]
    everyone = np.unique(rows["grants.principal_id"][_true(grants["principal_kind"] == "everyone")])
    members = np.concatenate([rows["memberships.member_id"][inside], np.tile(users, len(everyone))])
    groups = np.concatenate([rows["memberships.group_id"][inside], np.repeat(everyone, len(users))])
    return members, groups, 1


def _true(flags: pd.Series, *, unknown: bool = False) -> np.ndarray:
    return flags.fillna(unknown).to_numpy(bool)


def _cover(rows: Rows, resources: Names) -> Links:
    """Container to content, itself included: told by ``parent_id``, or by a key that begins with it and ``|``."""
    above, below = [rows["resources.parent_id"]], [rows["resources.resource_id"]]
    inner, prefix = np.arange(len(resources), dtype=np.int32), resources.values
    while len(prefix):
        some = pc.match_substring(prefix, "|")
        inner, prefix = inner[some.to_numpy(zero_copy_only=False)], prefix.filter(some)
        prefix = pc.list_element(pc.split_pattern(prefix, "|", max_splits=1, reverse=True), 0)
        above.append(resources.codes(prefix))
        below.append(inner)
    every = np.arange(len(resources), dtype=np.int32)
    direct = relation(np.concatenate([*above, every]), np.concatenate([*below, every]), 1, (len(every), len(every)))
    whole = closure(direct)
    return row_of(whole), whole.indices, 1


def _owns(tenant: Tables, rows: Rows) -> Links:
    of = np.concatenate([rows["flow_owners.flow_id"], rows["flows.flow_id"]])
    who = np.concatenate([rows["flow_owners.principal_id"], rows["flows.owner_id"]])
    owner = np.full(len(rows["flows.flow_id"]), OWNER_ROLES["Owner"])
    return of, who, np.concatenate([ranks(tenant["flow_owners"]["role"], OWNER_ROLES), owner])


def _shares(tenant: Tables, rows: Rows) -> Links:
    role = ranks(tenant["connection_shares"]["role"], SHARE_ROLES)
    return rows["connection_shares.connection_id"], rows["connection_shares.principal_id"], role


def _uses(uses: pd.DataFrame, rows: Rows) -> dict[str, Links]:
    some = (uses["reason"] != "invoker").to_numpy(bool)
    flow = rows["flow_connections.flow_id"][some]
    return {
        "uses": (flow, rows["bound.connection_id"][some], 1),
        "runs_as": (flow, rows["uses.account_id"][some], 1),
    }


def _groups(tenant: Tables, rows: Rows, member: sparse.csr_matrix) -> np.ndarray:
    flags = np.zeros(member.shape[0], bool)
    flags[member.indices] = True
    named = rows["identities.identity_id"][_true(tenant["identities"]["kind"] == "group")]
    for codes in (named, rows["groups.group_id"], rows["memberships.group_id"]):
        flags[codes[codes >= 0]] = True
    return flags
