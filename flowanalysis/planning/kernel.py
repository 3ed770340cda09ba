"""What is left of a relation once everything that follows from the rest is taken away.

A relation assigns columns (permissions) to rows (accounts, flows). Two assignments can share a role when both cross
pairs are assigned as well; a role is a set of assignments that all can share with each other. The fewest roles do not
change when

* identical rows, and identical columns, become one;
* an assignment goes that can join every role in which another assignment, its *keeper*, may ever be.

Both are undone exactly: the first by name, the second by putting assignments back in reverse order into the role of
their keeper. The method follows the vertex domination of Ene, Horne, Milosavljevic, Rao, Schreiber and Tarjan
(SACMAT 2008), done on bit sets so that the graph of compatible assignments is never built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Edge = tuple[int, int]


@dataclass(frozen=True)
class Relation:
    """Distinct rows and columns of a relation as bit sets.

    Attributes
    ----------
    row_class, column_class : ndarray of int
        For every original row (column) code, its distinct row (column).
    columns_of, rows_of : list of int
        Bit set of columns for every distinct row, and of rows for every distinct column.
    """

    row_class: np.ndarray
    column_class: np.ndarray
    columns_of: list[int]
    rows_of: list[int]


def bits(mask: int) -> list[int]:
    """Positions of the set bits, ascending.

    >>> bits(0b1011)
    [0, 1, 3]
    """
    if mask.bit_length() > 256 and mask.bit_count() > 24:  # from here on numpy is faster
        octets = np.frombuffer(mask.to_bytes((mask.bit_length() + 7) // 8, "little"), dtype=np.uint8)
        return np.flatnonzero(np.unpackbits(octets, bitorder="little")).tolist()
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def collapse(rows: np.ndarray, columns: np.ndarray) -> Relation:
    """Merge identical rows and identical columns.

    Parameters
    ----------
    rows, columns : ndarray of int
        Codes 0, 1, … of the two ends of every assignment, without duplicates; every code occurs.

    Returns
    -------
    Relation
        Distinct rows (columns) are numbered in the order of their smallest code.
    """
    row_class, first = _classes(rows, columns)
    chosen = first[rows]
    column_class, first = _classes(columns[chosen], row_class[rows[chosen]])
    chosen &= first[columns]
    rows, columns = row_class[rows[chosen]], column_class[columns[chosen]]
    return Relation(row_class, column_class, _bitsets(rows, columns), _bitsets(columns, rows))


def _grouped(keys: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """Ascending values of every key."""
    order = np.lexsort((values, keys))
    ends = np.cumsum(np.bincount(keys))
    return np.split(values[order], ends[:-1]) if len(keys) else []


def _classes(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number keys by their set of values; also tell which keys are the first of their class."""
    seen: dict[bytes, int] = {}
    groups = _grouped(keys, values)
    classes = np.array([seen.setdefault(group.tobytes(), len(seen)) for group in groups], dtype=np.int64)
    first = np.zeros(len(classes), dtype=bool)
    first[np.unique(classes, return_index=True)[1]] = True
    return classes, first


def _bitsets(keys: np.ndarray, values: np.ndarray) -> list[int]:
    width = int(values.max(initial=-1)) + 1
    masks = []
    for group in _grouped(keys, values):
        flags = np.zeros(width, dtype=bool)
        flags[group] = True
        masks.append(int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little"))
    return masks


class Kernel:
    """Assignments that are left, and how to put the others back.

    Attributes
    ----------
    left : list of int
        For every distinct row, the bit set of columns whose assignment is left.
    removed : list of (Edge, Edge)
        Assignment and its keeper, in the order of removal.
    """

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.left = list(relation.columns_of)
        self.left_rows = list(relation.rows_of)
        self.removed: list[tuple[Edge, Edge]] = []
        self._near_rows = [bits(mask) for mask in relation.rows_of]
        self._near_columns = [bits(mask) for mask in relation.columns_of]

    def edges(self) -> list[Edge]:
        """Assignments that are left, by row and column."""
        return [(row, column) for row, mask in enumerate(self.left) for column in bits(mask)]

    def reduce(self, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Remove dominated assignments until none is left that another one keeps.

        Assignments with a small neighbourhood come first: they keep others most often.
        """
        rows_of, columns_of = self.relation.rows_of, self.relation.columns_of
        size = lambda edge: (len(self._near_rows[edge[1]]) * len(self._near_columns[edge[0]]), edge)  # noqa: E731
        order = queue = sorted(self.edges(), key=size)
        while queue:
            touched_rows = touched_columns = 0
            for row, column in queue:
                if not self.left[row] >> column & 1:
                    continue
                if not keep_going():
                    return
                for gone_row, gone_column in self._absorb(row, column):
                    touched_rows |= rows_of[gone_column]
                    touched_columns |= columns_of[gone_row]
            order = [edge for edge in order if self.left[edge[0]] >> edge[1] & 1]
            queue = [edge for edge in order if touched_rows >> edge[0] & 1 and touched_columns >> edge[1] & 1]

    def _absorb(self, row: int, column: int) -> list[Edge]:
        """Remove every assignment that can go wherever (row, column) goes."""
        columns, rows = self._common(row, column)
        gone = []
        for other in bits(rows):
            hit = self.left[other] & columns
            if other == row:
                hit &= ~(1 << column)
            for taken in bits(hit):
                gone.append((other, taken))
                self.left_rows[taken] &= ~(1 << other)
            self.left[other] &= ~hit
        self.removed.extend((edge, (row, column)) for edge in gone)
        return gone

    def _common(self, row: int, column: int) -> tuple[int, int]:
        """Columns and rows shared by all that (row, column) may share a role with."""
        rows_of, columns_of, left, left_rows = (
            self.relation.rows_of,
            self.relation.columns_of,
            self.left,
            self.left_rows,
        )
        columns = own_columns = columns_of[row]
        rows = own_rows = rows_of[column]
        for other in self._near_rows[column]:
            if left[other] & own_columns:
                columns &= columns_of[other]
        for other in self._near_columns[row]:
            if left_rows[other] & own_rows:
                rows &= rows_of[other]
        return columns, rows

    def components(self) -> list[list[Edge]]:
        """Groups of left assignments between which no role can reach, largest last.

        Returns
        -------
        list of list of Edge
            Each sorted by row and column; groups of one size by their first assignment.
        """
        left, groups = list(self.left), []
        for row in range(len(left)):
            while left[row]:
                column = (left[row] & -left[row]).bit_length() - 1
                left[row] ^= 1 << column
                groups.append(sorted(self._reach(left, (row, column))))
        return sorted(groups, key=lambda group: (len(group), group[0]))

    def _reach(self, left: list[int], start: Edge) -> list[Edge]:
        """Assignments that chains of shared roles connect with `start`; they are taken out of `left`."""
        group = [start]
        for row, column in group:  # grows while it is read
            for other in self._near_rows[column]:
                hit = left[other] & self.relation.columns_of[row]
                if hit:
                    left[other] ^= hit
                    group.extend((other, taken) for taken in bits(hit))
        return group

    def restore(self, role_of: dict[Edge, int], count: int) -> list[tuple[int, int]]:
        """Roles over all assignments from roles over those that are left.

        Parameters
        ----------
        role_of : dict of Edge to int
            One role for every assignment that is left; changed in place into one for every assignment.
        count : int
            Number of roles.

        Returns
        -------
        list of (int, int)
            Bit set of rows and of columns for every role.
        """
        for edge, keeper in reversed(self.removed):
            role_of[edge] = role_of[keeper]
        rows, columns = [0] * count, [0] * count
        for (row, column), role in role_of.items():
            rows[role] |= 1 << row
            columns[role] |= 1 << column
        return list(zip(rows, columns, strict=True))
