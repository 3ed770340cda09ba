"""What the codes of one tenant hold: names, and one matrix for each relation between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from flowanalysis.codes.names import Names, pack, unpack
from flowanalysis.matrices import strongest, trusted

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

ROWS = (
    "identities.identity_id",
    "groups.group_id",
    "flows.flow_id",
    "flow_owners.flow_id",
    "flow_connections.flow_id",
    "flow_connections.connection_id",
    "connections.connection_id",
)
"""Columns of ids whose codes are kept row by row: there each row has an id of its own, or nearly so."""


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
    rows : mapping of str to ndarray of int
        The code of each row of a table, by table and column (`ROWS`); see `Tenant.coded`.
    """

    principals: Names
    resources: Names
    flows: Names
    connections: Names
    groups: np.ndarray
    relations: Mapping[str, sparse.csr_matrix]
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)

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
            arrays |= {f"{kind}.{part}": array for part, array in pack(getattr(self, kind).values).items()}
        for name, matrix in self.relations.items():
            arrays |= {f"{name}.{part}": getattr(matrix, part) for part in ("indptr", "indices", "data")}
        return arrays | {f"rows.{name}": codes for name, codes in self.rows.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Codes:
        """The codes that `arrays` took apart."""
        kinds = {k: Names(unpack(arrays[f"{k}.offsets"], arrays[f"{k}.bytes"])) for k in set(sum(SHAPES.values(), ()))}
        relations = {}
        for name, (rows, columns) in SHAPES.items():
            data, indices, indptr = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
            relations[name] = trusted(data, indices, indptr, (len(kinds[rows]), len(kinds[columns])))
        told = {name: arrays[f"rows.{name}"] for name in ROWS if f"rows.{name}" in arrays}
        return cls(**kinds, groups=arrays["groups"], relations=relations, rows=told)
