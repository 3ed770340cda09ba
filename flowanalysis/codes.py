"""Integer codes for ids, and one sparse matrix per relation: what the analyses compute on.

Ids are interned once, in alphabetical order, so that results sorted by code are sorted by id. Every
relation is a compressed sparse row matrix of small integers:

=========== ====================== ===========================================================
relation    rows x columns         value
=========== ====================== ===========================================================
member      principal x principal  1: the row is a direct member of the column
held        principal x resource   highest level granted: read 1, write 2, owner 3, full 4
cover       resource x resource    1: the column is the row or lies inside it, at any depth
owns        flow x principal       RunOnly 1, CanView 2, CanEdit 3, Owner 4
uses        flow x connection      1: declared by the flow and embedded; invoker connections do not count
shares      connection x principal CanView 1, CanViewWithShare 2, CanEdit 3, Owner 4
signs_in    connection x principal 1: the account behind the connection
runs_as     flow x principal       1: an embedded connection of the flow signs in as the account
=========== ====================== ===========================================================

Groups are principals. A grant to everyone is held by a principal of its own, of which every member user is
a direct member; guests are not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from flowanalysis.matrices import closure, relation, row_of, strongest, trusted
from flowanalysis.schema import TEXT

if TYPE_CHECKING:
    from flowanalysis.tenant import Tenant

LEVELS = ("none", "read", "write", "owner", "full")
OWNER_ROLES = {"RunOnly": 1, "CanView": 2, "CanEdit": 3, "Owner": 4}
SHARE_ROLES = {"CanView": 1, "CanViewWithShare": 2, "CanEdit": 3, "Owner": 4}
SEPARATOR = "\x1f"  # between environment and id: no id holds a unit separator
SHAPES = {
    "member": ("principals", "principals"),
    "held": ("principals", "resources"),
    "cover": ("resources", "resources"),
    "owns": ("flows", "principals"),
    "uses": ("flows", "connections"),
    "shares": ("connections", "principals"),
    "signs_in": ("connections", "principals"),
    "runs_as": ("flows", "principals"),
}


class Names:
    """Interned ids in alphabetical order; the code of an id is its place.

    Examples
    --------
    >>> names = Names.of([pd.Series(["b", "a", None, "b"])])
    >>> names.codes(pd.Series(["b", "x", None])).tolist(), names.text([0, 1]).tolist()
    ([1, -1, -1], ['a', 'b'])
    """

    def __init__(self, values: pa.Array) -> None:
        self.values = values

    @classmethod
    def of(cls, columns: Iterable[object]) -> Names:
        """Every id that occurs in one of the columns; NA and empty text are none."""
        merged = pa.chunked_array([_arrow(c).unique() for c in columns], pa.large_string())
        merged = merged.unique().drop_null()  # an Array: chunks are gone
        merged = merged.filter(pc.not_equal(merged, ""))
        return cls(merged.take(pc.sort_indices(merged)))

    def __len__(self) -> int:
        return len(self.values)

    def codes(self, column: object) -> np.ndarray:
        """Codes of a column of ids as int32; -1 for NA and for ids not interned."""
        encoded = _arrow(column).dictionary_encode()
        found = pc.index_in(encoded.dictionary, value_set=self.values).fill_null(-1)
        places = np.append(found.to_numpy(zero_copy_only=False), -1).astype(np.int32)  # the last answers for NA
        return places[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]

    def code(self, name: str) -> int:
        """Code of one id, -1 when it is not interned."""
        place = bisect_left(self.values, name.encode(), key=lambda value: value.as_py().encode())
        return place if place < len(self) and self.values[place].as_py() == name else -1

    def text(self, codes: object) -> pd.api.extensions.ExtensionArray:
        """Ids of codes as Arrow-backed text; NA for -1."""
        places = np.asarray(codes, dtype=np.int64)
        return TEXT.__from_arrow__(self.values.take(pa.array(places, mask=places < 0)))

    def category(self, codes: object) -> pd.Categorical:
        """Ids of codes as a categorical that shares this table: for results of millions of rows."""
        return pd.Categorical.from_codes(np.asarray(codes, dtype=np.int32), categories=self._index)

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(TEXT.__from_arrow__(self.values))


@dataclass(frozen=True, eq=False)
class Codes:
    """Interned ids and relations of one tenant; the module says what each relation means.

    Attributes
    ----------
    principals, resources : Names
        Ids of identities and groups, and resource keys.
    flows, connections : Names
        Environment and id, joined by a unit separator; see `pair`.
    relations : mapping of str to scipy.sparse.csr_matrix
        Also as attributes: ``codes.member`` and so on.
    groups : ndarray of bool, one for each principal
        The principal is a group (or has members).
    """

    principals: Names
    resources: Names
    flows: Names
    connections: Names
    groups: np.ndarray
    relations: Mapping[str, sparse.csr_matrix]

    def __getattr__(self, relation: str) -> sparse.csr_matrix:
        if relation.startswith("_") or relation not in SHAPES:
            raise AttributeError(relation)
        return self.relations[relation]

    @cached_property
    def members(self) -> sparse.csr_matrix:
        """Direct members of each group: ``member`` turned around."""
        return self.member.T.tocsr()

    @cached_property
    def holders(self) -> sparse.csr_matrix:
        """Direct holders of each resource: ``held`` turned around."""
        return self.held.T.tocsr()

    @cached_property
    def owned(self) -> sparse.csr_matrix:
        """Flows of each principal: ``owns`` turned around."""
        return self.owns.T.tocsr()

    @cached_property
    def cover_up(self) -> sparse.csr_matrix:
        """Containers of each resource, itself included: ``cover`` turned around."""
        return self.cover.T.tocsr()

    @cached_property
    def granted(self) -> sparse.csr_matrix:
        """``held``, where a right on a resource holds for everything inside it as well."""
        if self.cover.nnz == len(self.resources):
            return self.held
        return strongest(self.cover_up, self.held.T.tocsr()).T.tocsr()

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as plain arrays, for `from_arrays`."""
        arrays = {"groups": self.groups}
        for kind in ("principals", "resources", "flows", "connections"):
            arrays |= {f"{kind}.{part}": array for part, array in _pack(getattr(self, kind).values).items()}
        for name, matrix in self.relations.items():
            arrays |= {f"{name}.{part}": getattr(matrix, part) for part in ("indptr", "indices", "data")}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Codes:
        """The codes that `arrays` took apart."""
        kinds = {k: Names(_unpack(arrays[f"{k}.offsets"], arrays[f"{k}.bytes"])) for k in set(sum(SHAPES.values(), ()))}
        relations = {}
        for name, (rows, columns) in SHAPES.items():
            data, indices, indptr = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
            relations[name] = trusted(data, indices, indptr, (len(kinds[rows]), len(kinds[columns])))
        return cls(**kinds, groups=arrays["groups"], relations=relations)


def build(tenant: Tenant) -> Codes:
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
    from flowanalysis.analysis.execution import connection_accounts, connection_uses  # late: it reads frames

    accounts, uses = connection_accounts(tenant), connection_uses(tenant)
    principals = Names.of([*_columns(tenant, PRINCIPAL_COLUMNS), accounts["account_id"]])
    resources = Names.of(_columns(tenant, RESOURCE_COLUMNS))
    flows = Names.of(
        [pair(tenant[t], "flow_id") for t in ("flows", "flow_owners", "flow_connections", "steps", "needs")]
    )
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


def pair(frame: pd.DataFrame, column: str) -> pa.Array:
    """Environment and id as one name; NA when the id is.

    Examples
    --------
    >>> pair(pd.DataFrame({"environment_id": ["e"], "flow_id": ["f"]}), "flow_id").to_pylist()
    ['e\\x1ff']
    """
    between = pa.scalar(SEPARATOR, pa.large_string())
    return pc.binary_join_element_wise(_arrow(frame["environment_id"]), _arrow(frame[column]), between)


def split(names: Names, codes: np.ndarray) -> tuple[pd.api.extensions.ExtensionArray, ...]:
    """Environment and id of codes of flows or connections."""
    parts = pc.split_pattern(_arrow(names.text(codes)), SEPARATOR, max_splits=1)
    return tuple(TEXT.__from_arrow__(pc.list_element(parts, place)) for place in (0, 1))


def _arrow(column: object) -> pa.Array:
    """A column of text as one Arrow array, without a copy where it is one already."""
    values = column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(pd.Series(column, dtype=TEXT).array)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(pa.large_string())


def _columns(tenant: Tenant, columns: Mapping[str, list[str]]) -> list[pd.Series]:
    return [tenant[table][column] for table, names in columns.items() for column in names]


def _pack(values: pa.Array) -> dict[str, np.ndarray]:
    if values.offset or not len(values):
        values = pa.array(values.to_pylist(), pa.large_string())
    _, offsets, data = values.buffers()
    count = len(values)
    places = np.frombuffer(offsets, np.int64)[: count + 1] if count else np.zeros(1, np.int64)
    return {"offsets": places, "bytes": np.frombuffer(data, np.uint8)[: places[-1]] if count else np.empty(0, np.uint8)}


def _unpack(offsets: np.ndarray, data: np.ndarray) -> pa.Array:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def ranks(column: pd.Series, order: Mapping[str, int]) -> np.ndarray:
    """Values of a column as numbers; what the order does not name is 1, the lowest."""
    return column.map(order).fillna(1).to_numpy(np.int64)


def level_codes(column: pd.Series) -> np.ndarray:
    """Levels as numbers: read 1 to full 4; a level not told is at least read."""
    return ranks(column, {level: rank for rank, level in enumerate(LEVELS) if rank})


def _member(tenant: Tenant, principals: Names) -> Links:
    rows, people, grants = tenant.memberships, tenant.identities, tenant.grants
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


def _held(tenant: Tenant, principals: Names, resources: Names) -> Links:
    rows = tenant.grants
    return principals.codes(rows["principal_id"]), resources.codes(rows["resource_id"]), level_codes(rows["level"])


def _cover(tenant: Tenant, resources: Names) -> Links:
    """Container to content, itself included: told by ``parent_id``, or by a key that begins with it and ``|``."""
    told = tenant.resources[["resource_id", "parent_id"]].dropna()
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


def _owns(tenant: Tenant, flows: Names, principals: Names) -> Links:
    owners, rows = tenant.flow_owners, tenant.flows
    of = np.concatenate([flows.codes(pair(owners, "flow_id")), flows.codes(pair(rows, "flow_id"))])
    who = np.concatenate([principals.codes(owners["principal_id"]), principals.codes(rows["owner_id"])])
    return of, who, np.concatenate([ranks(owners["role"], OWNER_ROLES), np.full(len(rows), OWNER_ROLES["Owner"])])


def _shares(tenant: Tenant, connections: Names, principals: Names) -> Links:
    rows = tenant.connection_shares
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


def _groups(tenant: Tenant, principals: Names, member: sparse.csr_matrix) -> np.ndarray:
    flags = np.zeros(len(principals), bool)
    flags[member.indices] = True
    named = [tenant.groups["group_id"], tenant.memberships["group_id"]]
    for column in (*named, tenant.identities.loc[_true(tenant.identities["kind"] == "group"), "identity_id"]):
        codes = principals.codes(column)
        flags[codes[codes >= 0]] = True
    return flags
