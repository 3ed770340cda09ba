"""Codes from the frames of a tenant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from flowanalysis.codes.accounts import connection_accounts, connection_uses
from flowanalysis.codes.names import Names, pair
from flowanalysis.codes.relations import SHAPES, Codes
from flowanalysis.matrices import closure, relation, row_of
from flowanalysis.remember import Tables

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
Links = tuple[np.ndarray, np.ndarray, np.ndarray | int]  # row codes, column codes, values


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
    links = {
        "member": _member(tenant, principals),
        "held": _held(tenant, principals, resources),
        "cover": _cover(tenant, resources),
        "owns": _owns(tenant, flows, principals),
        "shares": _shares(tenant, connections, principals),
        "signs_in": (connections.codes(pair(accounts, "connection_id")), principals.codes(accounts["account_id"]), 1),
        **_uses(uses, flows, connections, principals),
    }
    relations = {name: relation(*links[name], (len(kinds[r]), len(kinds[c]))) for name, (r, c) in SHAPES.items()}
    return Codes(**kinds, groups=_groups(tenant, principals, relations["member"]), relations=relations)


def ranks(column: pd.Series, order: Mapping[str, int]) -> np.ndarray:
    """Values of a column as numbers; what the order does not name is 1, the lowest."""
    return column.map(order).fillna(1).to_numpy(np.int64)


def level_codes(column: pd.Series) -> np.ndarray:
    """Levels as numbers: read 1 to full 4; a level not told is at least read."""
    return ranks(column, {level: rank for rank, level in enumerate(LEVELS) if rank})


def _columns(tenant: Tables, columns: Mapping[str, list[str]]) -> list[pd.Series]:
    return [tenant[table][column] for table, names in columns.items() for column in names]


def _member(tenant: Tables, principals: Names) -> Links:
    rows, people, grants = tenant["memberships"], tenant["identities"], tenant["grants"]
    rows = rows[_true(rows["relation"] != "owner", unknown=True)]
    users = principals.codes(
        people.loc[_true(people["kind"] == "user") & _true(people["user_type"] != "Guest", unknown=True), "identity_id"]
    )
    everyone = principals.codes(grants.loc[_true(grants["principal_kind"] == "everyone"), "principal_id"].unique())
    members = np.concatenate([principals.codes(rows["member_id"]), np.tile(users, len(everyone))])
    groups = np.concatenate([principals.codes(rows["group_id"]), np.repeat(everyone, len(users))])
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


def _owns(tenant: Tables, flows: Names, principals: Names) -> Links:
    owners, rows = tenant["flow_owners"], tenant["flows"]
    of = np.concatenate([flows.codes(pair(owners, "flow_id")), flows.codes(pair(rows, "flow_id"))])
    who = np.concatenate([principals.codes(owners["principal_id"]), principals.codes(rows["owner_id"])])
    return of, who, np.concatenate([ranks(owners["role"], OWNER_ROLES), np.full(len(rows), OWNER_ROLES["Owner"])])


def _shares(tenant: Tables, connections: Names, principals: Names) -> Links:
    rows = tenant["connection_shares"]
    codes = connections.codes(pair(rows, "connection_id")), principals.codes(rows["principal_id"])
    return *codes, ranks(rows["role"], SHARE_ROLES)


def _uses(uses: pd.DataFrame, flows: Names, connections: Names, principals: Names) -> dict[str, Links]:
    embedded = uses[(uses["reason"] != "invoker").to_numpy(bool)]
    flow = flows.codes(pair(embedded, "flow_id"))
    account = principals.codes(embedded["account_id"])
    return {
        "uses": (flow, connections.codes(pair(embedded, "connection_id")), 1),
        "runs_as": (flow, account, 1),
    }


def _groups(tenant: Tables, principals: Names, member: sparse.csr_matrix) -> np.ndarray:
    flags = np.zeros(len(principals), bool)
    flags[member.indices] = True
    named = [tenant["groups"]["group_id"], tenant["memberships"]["group_id"]]
    for column in (*named, tenant["identities"].loc[_true(tenant["identities"]["kind"] == "group"), "identity_id"]):
        codes = principals.codes(column)
        flags[codes[codes >= 0]] = True
    return flags
