"""Covers made of large tiles: again and again the role with the most uncovered assignments that can be found.

A role that people planned stands out: many rows have many columns in common, far more than chance would give. So a tile
is grown from a single assignment, row by row, always the row that leaves the most uncovered assignments inside; the
best moment on the way is kept. A few dozen tiles are grown at once as matrix products. The numbers in these are whole,
so they are exact and the tiles are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from flowanalysis.planning.clock import Clock
from flowanalysis.planning.component import Component

SEEDS = 64  # tiles grown at once
PATIENCE = 3  # rows that may join a tile in vain
WORTH = 0.8  # share of the largest tile of a round that another one must reach
SPARSE = 0.05  # share of assigned places up to which large matrices are kept as lists
LARGE = 4_000_000  # places from which a matrix is large
RATE = 1e4  # multiplications that pass in a microsecond

Members = np.ndarray  # numbers of assignments


class Tiler:
    """Covers a component with large tiles, anew or what is left of it.

    Parameters
    ----------
    component : Component
    rng : Generator
        Draws the assignments from which tiles are grown.
    clock : Clock
        Books the work; asked by the caller only.
    """

    def __init__(self, component: Component, rng: np.random.Generator, clock: Clock) -> None:
        self.component, self.rng, self.clock = component, rng, clock
        self.assigned = self._as_numbers(*np.nonzero(component.assigned))

    def _as_numbers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | csr_array:
        """A matrix with 1 at these places, as lists where it is large and nearly empty."""
        shape = self.component.assigned.shape
        if self.component.assigned.size > LARGE and self.component.assigned.mean() < SPARSE:
            return csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
        found = np.zeros(shape, dtype=np.float32)
        found[rows, columns] = 1
        return found

    def rounds(self, open_: np.ndarray) -> Iterator[tuple[list[Members], list[Members]]]:
        """Cover assignments round by round.

        Parameters
        ----------
        open_ : ndarray of bool
            Assignments still to cover; changed in place.

        Yields
        ------
        list, list
            Tiles taken into the cover in this round, and all that were grown.
        """
        waiting: list[tuple[int, Members]] = []  # grown before, and nothing taken from them since
        while open_.any():
            grown = self._fresh(open_, waiting)
            waiting += [(int(np.count_nonzero(open_[members])), members) for members in grown]
            waiting.sort(key=lambda tile: -tile[0])
            least = WORTH * waiting[0][0]
            taken, kept = [], []
            for worth, members in waiting:
                if np.count_nonzero(open_[members]) != worth:  # a better one has taken something from it
                    continue
                if worth < least:
                    kept.append((worth, members))
                    continue
                open_[members] = False
                taken.append(members)
            waiting = kept
            yield taken, grown

    def _fresh(self, open_: np.ndarray, waiting: list[tuple[int, Members]]) -> list[Members]:
        """Tiles grown from uncovered assignments, those first that lie in no waiting tile."""
        left = np.flatnonzero(open_)
        outside = open_.copy()
        for _, members in waiting:
            outside[members] = False
        free = np.flatnonzero(outside) if outside.any() else left
        seeds = free if len(free) <= SEEDS else self.rng.choice(free, SEEDS, replace=False)
        weights = self._as_numbers(self.component.rows[left], self.component.columns[left])
        return [self.component.within(*tile) for tile in self._grow(weights, seeds)]

    def _grow(self, weights: np.ndarray | csr_array, seeds: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Heavy tiles around each of these assignments, as flags of rows and of columns."""
        rows, columns = self.component.rows[seeds], self.component.columns[seeds]
        shared, gain = self._rows(rows), _dense(weights[rows])  # per tile: columns of all its rows, weight per column
        free = self.component.assigned[:, columns].T.astype(np.float32)
        free[np.arange(len(rows)), rows] = 0
        best, value = shared.copy(), (shared * gain).sum(1)
        vain = np.zeros(len(rows), dtype=np.int64)
        growing = np.arange(len(rows))
        while len(growing):
            self._book(len(growing))
            with_row = free * ((shared * gain) @ self.assigned.T + shared @ weights.T)
            row = with_row.argmax(1)
            here = np.arange(len(growing))
            now = with_row[here, row]
            shared, gain = shared * self._rows(row), gain + _dense(weights[row])
            free[here, row] = 0
            better = now > value[growing]
            value[growing[better]], best[growing[better]] = now[better], shared[better]
            vain = np.where(better, 0, vain + 1)
            on = (now > 0) & (vain < PATIENCE)
            growing, shared, gain, free, vain = growing[on], shared[on], gain[on], free[on], vain[on]
        return self._closed(best)

    def _rows(self, rows: np.ndarray) -> np.ndarray:
        return _dense(self.assigned[rows])

    def _closed(self, shared: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """All rows that have the shared columns, and all columns that these rows have."""
        tall = shared @ self.assigned.T > shared.sum(1, keepdims=True) - 0.5
        wide = tall.astype(np.float32) @ self.assigned > tall.sum(1, keepdims=True) - 0.5
        return list(zip(tall, wide, strict=True))

    def _book(self, tiles: int) -> None:
        assigned: Any = self.assigned
        places = assigned.nnz if issparse(assigned) else assigned.size
        self.clock.spend(2 * tiles * places / RATE)


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if issparse(matrix) else matrix
