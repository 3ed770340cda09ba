"""Codes from the frames of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from flowanalysis.codes.accounts import connection_accounts, connection_uses
from flowanalysis.codes.names import Names, pair
from flowanalysis.codes.relations import ROWS, SHAPES, Codes
from flowanalysis.matrices import closure, relation, row_of
from flowanalysis.remember import Tables
from flowanalysis.schema.compact import distinct

LEVELS = ("none", "read", "write", "owner", "full")
OWNER_ROLES = {"RunOnly": 1, "CanView": 2, "CanEdit": 3, "Owner": 4}
SHARE_ROLES = {"CanView": 1, "CanViewWithShare": 2, "CanEdit": 3, "Owner": 4}
PRINCIPAL_COLUMNS = {
    "identities": ["identity_id"],
    "groups": ["group_id"],
    "memberships": ["group_id", "member_id"],
    "grants": ["principal_id"],
    "flow_owners": ["principal_id"],
    "flows": ["owner_id", "creator_id"],
    "connections": ["created_by_id"],
    "connection_shares": ["principal_id"],
    "environment_roles": ["principal_id"],
    "role_assignments": ["principal_id"],
    "app_permissions": ["client_id", "principal_id"],
}
FLOW_TABLES = ("flows", "flow_owners", "flow_connections", "steps", "needs")
RESOURCE_COLUMNS = {"grants": ["resource_id"], "needs": ["resource"], "resources": ["resource_id", "parent_id"]}
KINDS = {"flow_id": "flows", "connection_id": "connections", "resource_id": "resources", "resource": "resources"}
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
    accounts, uses = connection_accounts(tenant), connection_uses(tenant)
    principals = Names.of([*_columns(tenant, PRINCIPAL_COLUMNS), accounts["account_id"]])
    resources = Names.of(_columns(tenant, RESOURCE_COLUMNS))
    flows = Names.of([pair(tenant[t], "flow_id") for t in FLOW_TABLES])
    tables = ("connections", "connection_shares")
    connections = Names.of([*(pair(tenant[t], "connection_id") for t in tables), pair(uses, "connection_id")])
    kinds = {"principals": principals, "resources": resources, "flows": flows, "connections": connections}
    rows = {name: coded(tenant, kinds, *name.split(".")) for name in ROWS}
    links = {
        "member": _member(tenant, rows, principals),
        "held": _held(tenant, principals, resources),
        "cover": _cover(tenant, resources),
        "owns": _owns(tenant, rows, principals),
        "shares": _shares(tenant, connections, principals),
        "signs_in": (rows["connections.connection_id"], principals.codes(accounts["account_id"]), 1),
        **_uses(uses, rows, connections, principals),
    }
    relations = {name: relation(*links[name], (len(kinds[r]), len(kinds[c]))) for name, (r, c) in SHAPES.items()}
    return Codes(**kinds, groups=_groups(tenant, rows, principals, relations["member"]), relations=relations, rows=rows)


def coded(tenant: Tables, kinds: Mapping[str, Names], table: str, column: str) -> np.ndarray:
    """The code of each row of a table by a column of ids; flows and connections are named with their environment."""
    rows, kind = tenant[table], KINDS.get(column, "principals")
    return kinds[kind].codes(pair(rows, column) if kind in ("flows", "connections") else rows[column])


def ranks(column: pd.Series, order: Mapping[str, int]) -> np.ndarray:
    """Values of a column as numbers; what the order does not name is 1, the lowest."""
    return column.map(order).fillna(1).to_numpy(np.int64)


def level_codes(column: pd.Series) -> np.ndarray:
    """Levels as numbers: read 1 to full 4; a level not told is at least read."""
    return ranks(column, {level: rank for rank, level in enumerate(LEVELS) if rank})


def _columns(tenant: Tables, columns: Mapping[str, list[str]]) -> list[pd.Series]:
    return [tenant[table][column] for table, names in columns.items() for column in names]


def _member(tenant: Tables, rows: Rows, principals: Names) -> Links:
    links, people, grants = tenant["memberships"], tenant["identities"], tenant["grants"]
    links = links[_true(links["relation"] != "owner", unknown=True)]
    is_user = _true(people["kind"] == "user") & _true(people["user_type"] != "Guest", unknown=True)
    users = rows["identities.identity_id"][is_user]
    everyone = principals.codes(grants.loc[_true(grants["principal_kind"] == "everyone"), "principal_id"].unique())
    members = np.concatenate([principals.codes(links["member_id"]), np.tile(users, len(everyone))])
    groups = np.concatenate([principals.codes(links["group_id"]), np.repeat(everyone, len(users))])
    return members, groups, 1


def _true(flags: pd.Series, *, unknown: bool = False) -> np.ndarray:
    return flags.fillna(unknown).to_numpy(bool)


def _held(tenant: Tables, principals: Names, resources: Names) -> Links:
    rows = tenant["grants"]
    return principals.codes(rows["principal_id"]), resources.codes(rows["resource_id"]), level_codes(rows["level"])


def _cover(tenant: Tables, resources: Names) -> Links:
    """Container to content, itself included: told by ``parent_id``, or by a key that begins with it and ``|``."""
    told = tenant["resources"][["resource_id", "parent_id"]].dropna()
    above, below = [resources.codes(told["parent_id"])], [resources.codes(told["resource_id"])]
    keys = pd.Series(resources.text(np.arange(len(resources))))
    inner = prefix = keys[keys.str.contains("|", regex=False)]
    while len(prefix):
        prefix = prefix.str.rpartition("|")[0]
        above.append(resources.codes(prefix))
        below.append(resources.codes(inner.loc[prefix.index]))
        prefix = prefix[prefix.str.contains("|", regex=False)]
    every = np.arange(len(resources), dtype=np.int32)
    direct = relation(np.concatenate([*above, every]), np.concatenate([*below, every]), 1, (len(every), len(every)))
    whole = closure(direct)
    return row_of(whole), whole.indices, 1


def _owns(tenant: Tables, rows: Rows, principals: Names) -> Links:
    owners, flows = tenant["flow_owners"], tenant["flows"]
    of = np.concatenate([rows["flow_owners.flow_id"], rows["flows.flow_id"]])
    who = np.concatenate([principals.codes(owners["principal_id"]), principals.codes(flows["owner_id"])])
    return of, who, np.concatenate([ranks(owners["role"], OWNER_ROLES), np.full(len(flows), OWNER_ROLES["Owner"])])


def _shares(tenant: Tables, connections: Names, principals: Names) -> Links:
    rows = tenant["connection_shares"]
    codes = connections.codes(pair(rows, "connection_id")), principals.codes(rows["principal_id"])
    return *codes, ranks(rows["role"], SHARE_ROLES)


def _uses(uses: pd.DataFrame, rows: Rows, connections: Names, principals: Names) -> dict[str, Links]:
    connection = rows["flow_connections.connection_id"].copy()
    bare = connection < 0  # the reference names one, or nothing does
    connection[bare] = connections.codes(pair(uses[bare], "connection_id"))
    some = (uses["reason"] != "invoker").to_numpy(bool)
    flow, account = rows["flow_connections.flow_id"][some], principals.codes(uses["account_id"])[some]
    return {"uses": (flow, connection[some], 1), "runs_as": (flow, account, 1)}


def _groups(tenant: Tables, rows: Rows, principals: Names, member: sparse.csr_matrix) -> np.ndarray:
    flags = np.zeros(len(principals), bool)
    flags[member.indices] = True
    named = rows["identities.identity_id"][_true(tenant["identities"]["kind"] == "group")]
    for codes in (named, rows["groups.group_id"], principals.codes(distinct(tenant["memberships"]["group_id"]))):
        flags[codes[codes >= 0]] = True
    return flags
