"""One component of the kernel as dense matrices: fast answers about thousands of assignments at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowanalysis.planning.kernel import Edge, Relation

Flags = np.ndarray | np.bool  # what `all` over one axis is said to give
PRODUCT = 4e9  # multiplications up to which neighbourhoods are counted exactly


class Component:
    """Assignments of one component, numbered as in `edges`.

    Attributes
    ----------
    edges : list of Edge
        Distinct row and column of every assignment.
    rows, columns : ndarray of int
        The same as positions in `assigned`.
    assigned : ndarray of bool
        Rows x columns of the component: is it assigned in the whole relation?
    number : ndarray of int
        The number of the assignment at a place, -1 where it was taken away or is none.
    """

    def __init__(self, relation: Relation, edges: Sequence[Edge]) -> None:
        self.edges = list(edges)
        ends = np.array(self.edges, dtype=np.int64)
        row_keys, self.rows = np.unique(ends[:, 0], return_inverse=True)
        column_keys, self.columns = np.unique(ends[:, 1], return_inverse=True)
        width = len(relation.rows_of)
        self.assigned = np.array([_flags(relation.columns_of[row], width)[column_keys] for row in row_keys.tolist()])
        self.number = np.full(self.assigned.shape, -1, dtype=np.int32)
        self.number[self.rows, self.columns] = np.arange(len(self.edges))

    def __len__(self) -> int:
        return len(self.edges)

    def compatible(self, edges: np.ndarray) -> np.ndarray:
        """Which two of `edges` can share a role; the diagonal is false."""
        crossing = self.assigned[np.ix_(self.rows[edges], self.columns[edges])]
        both = crossing & crossing.T
        np.fill_diagonal(both, False)
        return both

    def crowd(self) -> np.ndarray:
        """How many assignments each one can share a role with; an upper bound where counting would take long."""
        height, width = self.assigned.shape
        if height * height * width > PRODUCT:
            return (self.assigned.sum(0)[self.columns] * self.assigned.sum(1)[self.rows]).astype(float)
        assigned = self.assigned.astype(np.float32)
        inside = (self.number >= 0).astype(np.float32) @ assigned.T
        return (inside.T @ assigned)[self.rows, self.columns].astype(float)

    def apart(self, order: np.ndarray) -> list[int]:
        """Assignments of which no two can share a role, taken greedily in this order."""
        order = np.asarray(order)
        chosen = []
        while len(order):
            edge = int(order[0])
            chosen.append(edge)
            row, column = self.rows[edge], self.columns[edge]
            order = order[~(self.assigned[row, self.columns[order]] & self.assigned[self.rows[order], column])]
        return chosen

    def grown(self, edges: np.ndarray) -> list[np.ndarray]:
        """The two widest roles around a clique: with all rows that fit, and with all columns that fit."""
        tall = self.assigned[:, np.unique(self.columns[edges])].all(axis=1)
        wide = self.assigned[np.unique(self.rows[edges])].all(axis=0)
        by_rows = self.within(tall, self.assigned[tall].all(axis=0))
        return [by_rows, self.within(self.assigned[:, wide].all(axis=1), wide)]

    def within(self, rows: Flags, columns: Flags) -> np.ndarray:
        """Assignments in flagged rows and columns, ascending."""
        found = self.number[np.ix_(rows, columns)].ravel()
        return found[found >= 0].astype(np.int64)

    def stars(self) -> list[np.ndarray]:
        """The widest role of every single row and of every single column; none where these would take long."""
        height, width = self.assigned.shape
        if height * width * (height + width) > PRODUCT:
            return []
        found = [self.within(self.assigned[:, own].all(axis=1), own) for own in self.assigned]
        found += [self.within(own, self.assigned[own].all(axis=0)) for own in self.assigned.T]
        return [members for members in found if len(members)]

    def greedy(self, open_: np.ndarray | None = None) -> list[np.ndarray]:
        """Cover: again and again the role spanned by the row or column with the fewest uncovered assignments.

        Parameters
        ----------
        open_ : ndarray of bool, optional
            Assignments to cover, all unless given.
        """
        left = self.number >= 0
        if open_ is not None:
            left[self.rows, self.columns] = open_
        across, down = left.sum(1), left.sum(0)
        roles = []
        while across.any():
            row = int(np.where(across, across, left.size).argmin())
            column = int(np.where(down, down, left.size).argmin())
            if across[row] <= down[column]:
                tall = self.assigned[:, left[row]].all(axis=1)
                wide = self.assigned[tall].all(axis=0)
            else:
                wide = self.assigned[left[:, column]].all(axis=0)
                tall = self.assigned[:, wide].all(axis=1)
            block = left[np.ix_(tall, wide)]
            across[tall] -= block.sum(1)
            down[wide] -= block.sum(0)
            left[np.ix_(tall, wide)] = False
            roles.append(self.within(tall, wide))
        return roles


def _flags(mask: int, width: int) -> np.ndarray:
    octets = np.frombuffer(mask.to_bytes((width + 7) // 8, "little"), dtype=np.uint8)
    return np.unpackbits(octets, bitorder="little", count=width).astype(bool)
