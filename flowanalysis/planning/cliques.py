"""Sets of assignments that can share one role: cliques of the compatibility graph, as bit sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowanalysis.planning.clock import Clock
from flowanalysis.planning.kernel import Edge, Relation, bits

NODES = 100_000  # of a branch and bound; more than the hardest component met needs
NODE = 150  # microseconds for one of them


def compatible(relation: Relation, edges: Sequence[Edge]) -> np.ndarray:
    """Boolean matrix that tells which two of `edges` can share a role; the diagonal is false."""
    crossing = np.array(
        [[relation.columns_of[row] >> column & 1 for _, column in edges] for row, _ in edges], dtype=bool
    )
    both = crossing & crossing.T
    np.fill_diagonal(both, False)
    return both


def neighbours(matrix: np.ndarray) -> list[int]:
    """Rows of a boolean matrix as bit sets."""
    packed = np.packbits(matrix, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def maximal_cliques(near: Sequence[int], *, limit: int) -> list[int] | None:
    """All maximal cliques of a graph, or None when there are more than `limit`.

    Bron and Kerbosch (1973) with the pivot of Tomita, Tanaka and Takahashi (2006).

    >>> [bits(clique) for clique in maximal_cliques([0b010, 0b101, 0b010], limit=9)]
    [[0, 1], [1, 2]]
    """
    found: list[int] = []
    stack = [(0, (1 << len(near)) - 1, 0)]
    while stack:
        clique, free, done = stack.pop()
        if not free:
            if not done:
                found.append(clique)
                if len(found) > limit:
                    return None
            continue
        pivot = max(bits(free | done), key=lambda vertex: (free & near[vertex]).bit_count())
        for vertex in bits(free & ~near[pivot]):
            stack.append((clique | 1 << vertex, free & near[vertex], done & near[vertex]))
            free &= ~(1 << vertex)
            done |= 1 << vertex
    return sorted(found)


def heavy_cliques(together: np.ndarray, weights: np.ndarray, seeds: np.ndarray, *, ahead: float) -> np.ndarray:
    """One heavy clique grown greedily from every seed.

    Parameters
    ----------
    together : ndarray of bool, n x n
        Adjacency, diagonal false.
    weights : ndarray of float, n
    seeds : ndarray of int
    ahead : float
        How much the weight that a vertex leaves possible counts beside its own.

    Returns
    -------
    ndarray of bool, seeds x n
        Flags of the members.
    """
    product = together.astype(np.float32)
    free = together[seeds].copy()
    inside = np.zeros_like(free)
    inside[np.arange(len(seeds)), seeds] = True
    growing = np.arange(len(seeds))
    while len(growing):
        here = free[growing]
        worth = np.where(here, weights + ahead * ((here * weights.astype(np.float32)) @ product), -1.0)
        choice = worth.argmax(axis=1)
        grows = here[np.arange(len(growing)), choice]
        growing, choice = growing[grows], choice[grows]
        inside[growing, choice] = True
        free[growing] &= together[choice]
    return inside


class OutOfNodes(Exception):
    """The search for the heaviest clique was cut short."""


def heaviest_clique(
    together: np.ndarray, weights: np.ndarray, *, floor: float, clock: Clock
) -> tuple[float, list[int]]:
    """The weight of the heaviest clique, or `floor` when none is heavier; branch and bound with a colour bound.

    Returns
    -------
    float, list of int
        Weight and members; no members when no clique is heavier than `floor`.

    Raises
    ------
    OutOfNodes
        Nothing can be said about the heaviest clique within the limits.
    """
    order = np.argsort(-weights, kind="stable")
    search = _Heaviest(neighbours(together[np.ix_(order, order)]), weights[order].tolist(), floor, clock)
    search.branch((1 << len(order)) - 1, [], 0.0)
    return search.best, sorted(int(order[vertex]) for vertex in search.members)


class _Heaviest:
    """Depth-first search; vertices are sorted by falling weight."""

    def __init__(self, near: list[int], weights: list[float], floor: float, clock: Clock) -> None:
        self.near, self.weights, self.best, self.clock = near, weights, floor, clock
        self.members: list[int] = []
        self.nodes = 0

    def branch(self, free: int, clique: list[int], weight: float) -> None:
        self.nodes += 1
        if self.nodes % 256 == 0:
            self.clock.spend(256 * NODE)
            if self.nodes > NODES or not self.clock.keep_going():
                raise OutOfNodes
        if weight > self.best + 1e-9:
            self.best, self.members = weight, list(clique)
        for vertex, bound in reversed(self._coloured(free)):
            if weight + bound <= self.best + 1e-9:
                return
            self.branch(free & self.near[vertex], [*clique, vertex], weight + self.weights[vertex])
            free &= ~(1 << vertex)

    def _coloured(self, free: int) -> list[tuple[int, float]]:
        """Vertices by colour class, each with the weight that no clique up to it exceeds.

        A clique has one vertex of a class at most, so the heaviest of every class add up to a bound.
        """
        found, bound = [], 0.0
        while free:
            left = free
            bound += self.weights[(left & -left).bit_length() - 1]
            while left:
                low = left & -left
                vertex = low.bit_length() - 1
                found.append((vertex, bound))
                free ^= low
                left &= ~(self.near[vertex] | low)
        return found
