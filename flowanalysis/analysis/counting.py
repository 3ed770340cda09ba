"""Counting what sets of rows share and unite, without ever writing the sets out.

Rows are principals, columns resources, values levels. A whole tenant has billions of (flow, resource) pairs; what is
wanted is a number for each flow. So the larger row of each pair or set is laid out as a dense line, and only the
entries of the smaller ones are looked up in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis import kernels, unions
from flowanalysis.matrices import Matrix, row_sums

WORK = 1 << 18  # entries handled at a time: enough to forget the loop, few enough to stay in the cache
LINES = 64  # dense lines held at a time
LEVEL = np.arange(5)
NOWHERE = np.empty(0, np.int32)
# What two levels on one resource count: tables [level of the first row, level of the second].
COMMON = np.minimum.outer(LEVEL, LEVEL).astype(float)  # levels that both have
BOTH = (COMMON > 0).astype(float)  # both have some
COVERED = BOTH * (LEVEL[:, None] >= LEVEL)  # the first holds what the second does
COVERED_WRITE = COVERED * (LEVEL >= 2)  # and the second may write


def meet(
    matrix: Matrix, first: np.ndarray, second: np.ndarray, *tables: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """For each pair of rows, sums of numbers over the columns that both have.

    Parameters
    ----------
    matrix : matrix
        Levels.
    first, second : ndarray of int
        Rows of the pairs.
    *tables : ndarray, 5 x 5
        What a level of the first row and a level of the second count.
    weight : ndarray of float, one for each column, optional
        Each number times the weight of its column.

    Returns
    -------
    ndarray of float, tables x pairs

    Examples
    --------
    >>> levels = matrices.relation(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 2, 3]), (2, 2))
    >>> meet(levels, np.array([0]), np.array([1]), COMMON, COVERED).tolist()
    [[2.0], [0.0]]
    """
    sizes = np.diff(matrix.indptr)
    swap = sizes[first] < sizes[second]
    large, small = np.where(swap, second, first), np.where(swap, first, second)
    sums, both = np.zeros((len(tables), len(first))), np.array(tables)
    order = np.argsort(large, kind="stable")
    walk = _walked if kernels.worth(sizes[small].sum()) else _looked_up
    for turned, table in ((False, both), (True, both.transpose(0, 2, 1).copy())):
        mine = order[swap[order] == turned]
        sums[:, mine] = walk(matrix, large[mine], small[mine], table, weight)
    return sums


def _walked(
    matrix: Matrix, large: np.ndarray, small: np.ndarray, tables: np.ndarray, weight: np.ndarray | None
) -> np.ndarray:
    """Pairs sorted by the large row, by the compiled loop."""
    heavy = np.ones(matrix.shape[1]) if weight is None else weight
    loop, parts = kernels.compiled(kernels.along), (matrix.indptr, matrix.indices, matrix.data, matrix.shape[1])

    def some(pairs: slice) -> np.ndarray:
        sums = np.zeros((len(tables), pairs.stop - pairs.start))
        loop(large[pairs], small[pairs], *parts, tables, heavy, sums)
        return sums

    found = kernels.spread(np.diff(matrix.indptr)[small] + 1, some)
    return np.concatenate(found, axis=1) if found else np.zeros((len(tables), 0))


def _looked_up(
    matrix: Matrix, large: np.ndarray, small: np.ndarray, tables: np.ndarray, weight: np.ndarray | None
) -> np.ndarray:
    """Pairs sorted by the large row, some at a time."""
    result = np.zeros((len(tables), len(large)))
    lines = np.zeros((LINES, matrix.shape[1]), matrix.data.dtype)
    for block in _blocks(matrix, large, small):
        rows, line = np.unique(large[block], return_inverse=True)
        filled, counts = matrices.spans(matrix, rows)
        at = np.repeat(np.arange(len(rows)), counts), matrix.indices[filled]
        lines[at] = matrix.data[filled]
        places, lengths = matrices.spans(matrix, small[block])
        column = matrix.indices[places]
        level = lines[np.repeat(line, lengths), column]
        lines[at] = 0
        both = np.flatnonzero(level)
        owner, size = np.repeat(np.arange(len(lengths)), lengths)[both], len(lengths)
        heavy = 1.0 if weight is None else weight[column[both]]
        for sums, table in zip(result, tables, strict=True):
            numbers = table[level[both], matrix.data[places[both]]] * heavy
            sums[block] = np.bincount(owner, weights=numbers, minlength=size)
    return result


def _blocks(matrix: Matrix, large: np.ndarray, small: np.ndarray) -> Iterator[slice]:
    """Runs of pairs, sorted by the large row, of limited work; at most `LINES` large rows in each."""
    sizes = np.diff(matrix.indptr)
    fresh = np.append(True, large[1:] != large[:-1]) if len(large) else np.empty(0, bool)
    work = np.cumsum(sizes[small] + np.where(fresh, sizes[large], 0))
    line = np.cumsum(fresh)
    start = 0
    while start < len(large):
        done = work[start - 1] if start else 0
        by_work = np.searchsorted(work, done + WORK, side="right")
        by_lines = np.searchsorted(line, line[start] + LINES, side="left")
        stop = max(start + 1, min(by_work, by_lines))
        yield slice(start, stop)
        start = int(stop)


def united(
    matrix: Matrix, sets: Matrix, weight: np.ndarray, *, least: int, near: np.ndarray = NOWHERE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each set of rows, how many columns some row of it has, how many at a level of note, and their weight.

    Parameters
    ----------
    matrix : matrix, rows x columns
        Levels.
    sets : matrix, sets x rows
        Which rows are in a set.
    weight : ndarray of float, one for each column
    least : int
        Columns on which some row has this level or more are counted by themselves.
    near : ndarray of int, optional
        Columns, those that rows often have together one after the other; counting is quicker for it.

    Returns
    -------
    tuple of three ndarrays, one number for each set
        Columns, columns of the level, weight of all columns.
    """
    which, first = distinct(sets)
    places, size = matrices.spans(sets, first)
    members, bounds = sets.indices[places], matrices.starts(size)
    if kernels.worth(np.diff(matrix.indptr)[members].sum()):
        counts, weights = unions.united(matrix, members, bounds, least, weight, near)
    else:
        counts, weights = _looked_up_sets(matrix, members, bounds, least, weight)
    return counts[0][which], counts[1][which], weights[which]


def distinct(sets: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Rows with the same columns taken once: number of the set of each row, and the first row of each set.

    Examples
    --------
    >>> sets = matrices.relation(np.array([0, 1, 2]), np.array([1, 0, 1]), 1, (3, 2))
    >>> [part.tolist() for part in distinct(sets)]
    [[0, 1, 0], [0, 1]]
    """
    seed = 0
    while True:  # rows are taken for equal by a random number for each column, and then compared
        lot = np.random.default_rng(seed).integers(0, 1 << 62, sets.shape[1])
        sums = row_sums(sets, lot[sets.indices])
        which, known = pd.factorize(sums)
        first = np.full(len(known), len(sums))
        np.minimum.at(first, which, np.arange(len(sums)))
        if _alike(sets, np.arange(len(sums)), first[which]):
            return which, first
        seed += 1


def _alike(sets: Matrix, rows: np.ndarray, others: np.ndarray) -> bool:
    """Each row has the same columns as another one."""
    rows, others = rows[rows != others], others[rows != others]
    if (np.diff(sets.indptr)[rows] != np.diff(sets.indptr)[others]).any():
        return False
    mine, theirs = matrices.spans(sets, rows)[0], matrices.spans(sets, others)[0]
    return np.array_equal(sets.indices[mine], sets.indices[theirs])


def _looked_up_sets(
    matrix: Matrix, members: np.ndarray, bounds: np.ndarray, least: int, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same as `unions.united`, some sets at a time: what the largest row has, and what others have beyond it."""
    sizes, size = np.diff(matrix.indptr), np.diff(bounds)
    group = np.repeat(np.arange(len(size)), size)
    members = members[np.lexsort((members, -sizes[members], group))]
    head = members[bounds[:-1][size > 0]]
    counts, weights = np.zeros((2, len(size)), np.int64), np.zeros(len(size))
    counts[:, size > 0] = sizes[head], row_sums(matrix, matrix.data >= least)[head]
    weights[size > 0] = row_sums(matrix, weight[matrix.indices])[head]
    rest = np.ones(len(members), bool)
    rest[bounds[:-1][size > 0]] = False
    large, small, group = members[bounds[group[rest]]], members[rest], group[rest]
    for part, more, heavier in _beyond(matrix, large, small, group, weight):
        counts[0, part] += more
        weights[part] += heavier
    for part, more, _ in _beyond(matrices.at_least(matrix, least), large, small, group, weight):
        counts[1, part] += more
    return counts, weights


def _beyond(
    matrix: Matrix, large: np.ndarray, small: np.ndarray, group: np.ndarray, weight: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Columns of the smaller rows of each set that its largest row lacks, each counted once."""
    order = np.lexsort((small, group, large))
    large, small, group = large[order], small[order], group[order]
    lines = np.zeros((LINES, matrix.shape[1]), bool)
    for block in _whole_sets(_blocks(matrix, large, small), group):
        rows, line = np.unique(large[block], return_inverse=True)
        filled, counts = matrices.spans(matrix, rows)
        at = np.repeat(np.arange(len(rows)), counts), matrix.indices[filled]
        lines[at] = True
        places, lengths = matrices.spans(matrix, small[block])
        column = matrix.indices[places]
        new = np.flatnonzero(~lines[np.repeat(line, lengths), column])
        lines[at] = False
        known, part = np.unique(group[block], return_inverse=True)
        owner = np.repeat(part, lengths)[new]
        if np.bincount(part).max() > 1:  # some set has several smaller rows: a column may come twice
            keys = matrices.ascending(owner.astype(np.int64) * matrix.shape[1] + column[new])
            owner, column = keys // matrix.shape[1], keys % matrix.shape[1]
        else:
            column = column[new]
        size = len(known)
        yield known, np.bincount(owner, minlength=size), np.bincount(owner, weights=weight[column], minlength=size)


def _whole_sets(blocks: Iterator[slice], group: np.ndarray) -> Iterator[slice]:
    """Blocks whose ends are moved so that no set is cut in two."""
    start = 0
    for block in blocks:
        stop = block.stop
        while stop < len(group) and group[stop] == group[stop - 1]:
            stop += 1
        if stop > start:
            yield slice(start, stop)
            start = stop
