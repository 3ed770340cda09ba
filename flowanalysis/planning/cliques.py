"""Sets of assignments that can share one role: cliques of the compatibility graph, as bit sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowanalysis.planning.kernel import Edge, Relation, bits


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
