"""The fewest cliques that cover one component of the kernel, with a bound that holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from flowanalysis.planning.cliques import compatible, maximal_cliques, neighbours
from flowanalysis.planning.clock import Clock
from flowanalysis.planning.component import Component
from flowanalysis.planning.generation import Search
from flowanalysis.planning.kernel import Edge, Relation, bits

SMALL = 150  # assignments up to which all maximal cliques are listed
CLIQUES = 20_000  # and the most of them


@dataclass(frozen=True)
class Cover:
    """Roles for the assignments of one component.

    Attributes
    ----------
    roles : list of list of Edge
        Every assignment is in exactly one.
    bound : int
        No cover has fewer roles.
    apart : list of Edge
        Assignments of which no two can share a role.
    """

    roles: list[list[Edge]]
    bound: int
    apart: list[Edge]


def best_cover(relation: Relation, edges: Sequence[Edge], clock: Clock) -> Cover:
    """The best cover of a component that the time allows, the fewest where it is small."""
    if len(edges) == 1:
        return Cover([list(edges)], 1, list(edges))
    return exact_cover(relation, edges, clock) or generated_cover(relation, edges, clock)


def plain_cover(edges: Sequence[Edge]) -> Cover:
    """One role for every row, or for every column if these are fewer: correct, and found in no time."""
    by_row: dict[int, list[Edge]] = {}
    by_column: dict[int, list[Edge]] = {}
    for edge in edges:
        by_row.setdefault(edge[0], []).append(edge)
        by_column.setdefault(edge[1], []).append(edge)
    groups = min(by_row, by_column, key=len)
    return Cover(list(groups.values()), 1, [edges[0]])


def generated_cover(relation: Relation, edges: Sequence[Edge], clock: Clock) -> Cover:
    """A cover by column generation; the best so far when it is interrupted."""
    search = Search(Component(relation, edges), clock)
    try:
        search.run()
    except KeyboardInterrupt:
        clock.stop()
    taken = np.zeros(len(edges), dtype=bool)
    roles = []
    for members in search.best:
        roles.append([edges[edge] for edge in members[~taken[members]].tolist()])
        taken[members] = True
    return Cover(roles, search.bound, [edges[edge] for edge in search.apart])


def exact_cover(relation: Relation, edges: Sequence[Edge], clock: Clock) -> Cover | None:
    """The fewest roles for a component small enough to list all its maximal cliques, else None."""
    if len(edges) > SMALL or not clock.in_time():
        return None
    cliques = maximal_cliques(neighbours(compatible(relation, edges)), limit=CLIQUES)
    if cliques is None:
        return None
    matrix = incidence(cliques, len(edges))
    chosen, bound = fewest(matrix, seconds=clock.left())
    if not chosen:
        return None
    apart, _ = fewest(matrix.T, most=True, seconds=clock.left())
    apart = apart or [0]
    roles = [[edges[i] for i in bits(group)] for group in partition([cliques[c] for c in chosen])]
    return Cover(roles, max(bound, len(apart)), [edges[i] for i in apart])


def incidence(cliques: Sequence[int], size: int) -> csr_array:
    """Sparse 0/1 matrix: assignments x cliques."""
    members = [bits(clique) for clique in cliques]
    columns = np.repeat(np.arange(len(cliques)), [len(m) for m in members])
    rows = np.array([i for m in members for i in m], dtype=np.int64)
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(size, len(cliques)))


def fewest(matrix: csr_array, *, most: bool = False, seconds: float) -> tuple[list[int], int]:
    """Solve the covering (or, with `most`, the packing) integer programme with unit costs.

    Returns
    -------
    list of int, int
        Chosen columns, and the proved bound on their number. An empty choice means that the solver ran out of time.
    """
    width = matrix.shape[1]
    limits = LinearConstraint(matrix, -np.inf, 1) if most else LinearConstraint(matrix, 1, np.inf)
    result = milp(
        np.full(width, -1.0 if most else 1.0),
        integrality=np.ones(width),
        bounds=Bounds(0, 1),
        constraints=limits,
        options={"time_limit": min(seconds, 1e6)},
    )
    if result.x is None:
        return [], 0
    dual = result.mip_dual_bound
    bound = math.floor(-dual + 1e-6) if most else math.ceil(dual - 1e-6)
    return np.flatnonzero(result.x > 0.5).tolist(), bound


def partition(cliques: Sequence[int]) -> list[int]:
    """Cliques made disjoint: every assignment stays in the first that has it; cliques left empty go."""
    taken, groups = 0, []
    for clique in cliques:
        if clique & ~taken:
            groups.append(clique & ~taken)
            taken |= clique
    return groups
