"""Counting what sets of rows share and unite, without ever writing the sets out.

Rows are principals, columns resources, values levels. A whole tenant has billions of (flow, resource) pairs; what is
wanted is a number for each flow. So the larger row of each pair or set is laid out as a dense line, and only the
entries of the smaller ones are looked up in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.matrices import Matrix

WORK = 1 << 18  # entries handled at a time: enough to forget the loop, few enough to stay in the cache
LINES = 64  # dense lines held at a time
Value = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (large level, small level, column) -> number


def row_sums(matrix: Matrix, value: np.ndarray) -> np.ndarray:
    """Sum of a number for each entry, by row."""
    totals = np.concatenate([[0], np.cumsum(value)])
    return totals[matrix.indptr[1:]] - totals[matrix.indptr[:-1]]


def meet(matrix: Matrix, first: np.ndarray, second: np.ndarray, value: Value) -> np.ndarray:
    """For each pair of rows, the sum of `value` over the columns that both have.

    Parameters
    ----------
    matrix : matrix
        Levels.
    first, second : ndarray of int
        Rows of the pairs.
    value : function
        Takes levels of the first row, levels of the second row and columns, gives numbers.

    Returns
    -------
    ndarray of float, one for each pair

    Examples
    --------
    >>> levels = matrices.relation(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 2, 3]), (2, 2))
    >>> meet(levels, np.array([0]), np.array([1]), lambda a, b, column: np.minimum(a, b)).tolist()
    [2.0]
    """
    sizes = np.diff(matrix.indptr)
    swap = sizes[first] < sizes[second]
    result = np.zeros(len(first))
    result[~swap] = _meet(matrix, first[~swap], second[~swap], value)
    result[swap] = _meet(matrix, second[swap], first[swap], lambda large, small, column: value(small, large, column))
    return result


def _meet(matrix: Matrix, large: np.ndarray, small: np.ndarray, value: Value) -> np.ndarray:
    result = np.zeros(len(large))
    order = np.argsort(large, kind="stable")
    lines = np.zeros((LINES, matrix.shape[1]), matrix.data.dtype)
    for block in _blocks(matrix, large[order], small[order]):
        at = order[block]
        rows, line = np.unique(large[at], return_inverse=True)
        filled, counts = matrices.spans(matrix, rows)
        lines[np.repeat(np.arange(len(rows)), counts), matrix.indices[filled]] = matrix.data[filled]
        places, lengths = matrices.spans(matrix, small[at])
        column = matrix.indices[places]
        level = lines[np.repeat(line, lengths), column]
        both = np.flatnonzero(level)
        numbers = value(level[both], matrix.data[places[both]], column[both])
        owner = np.repeat(np.arange(len(at)), lengths)[both]
        result[at] = np.bincount(owner, weights=numbers, minlength=len(at))
        lines[np.repeat(np.arange(len(rows)), counts), matrix.indices[filled]] = 0
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


def united(matrix: Matrix, sets: Matrix, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each set of rows, how many columns some row of it has, and their weight.

    Parameters
    ----------
    matrix : matrix, rows x columns
        What each row has.
    sets : matrix, sets x rows
        Which rows are in a set.
    weight : ndarray of float, one for each column

    Returns
    -------
    tuple of two ndarrays, one number for each set
        Columns, weight.
    """
    which, first = distinct(sets)
    places, sizes = matrices.spans(sets, first)
    members, bounds = sets.indices[places], matrices.starts(sizes)
    counts, weights = _united(matrix, members, bounds, weight)
    return counts[which], weights[which]


def distinct(sets: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Rows with the same columns taken once: number of the set of each row, and the first row of each set.

    Examples
    --------
    >>> sets = matrices.relation(np.array([0, 1, 2]), np.array([1, 0, 1]), 1, (3, 2))
    >>> [part.tolist() for part in distinct(sets)]
    [[0, 1, 0], [0, 1]]
    """
    sizes = np.diff(sets.indptr).astype(np.int64)
    which = sizes.copy()  # a number for each prefix of members; sets of different sizes never meet
    free, width = int(sizes.max(initial=0)) + 1, sets.shape[1]
    more = np.arange(len(sizes))
    for step in range(free - 1):
        more = more[sizes[more] > step]
        number, known = pd.factorize(which[more] * width + sets.indices[sets.indptr[more] + step])
        which[more] = number + free
        free += len(known)
    first, which = np.unique(which, return_index=True, return_inverse=True)[1:]
    return which, first


def _united(
    matrix: Matrix, members: np.ndarray, bounds: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    sizes, own_weight = np.diff(matrix.indptr), row_sums(matrix, weight[matrix.indices])
    counts, weights = np.zeros(len(bounds) - 1, np.int64), np.zeros(len(bounds) - 1)
    if not len(members):
        return counts, weights
    group = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    order = np.lexsort((members, -sizes[members], group))
    head = bounds[:-1][np.diff(bounds) > 0]
    largest = np.full(len(bounds) - 1, -1)
    largest[group[order[head]]] = members[order[head]]
    full = largest >= 0
    counts[full], weights[full] = sizes[largest[full]], own_weight[largest[full]]
    rest = np.ones(len(members), bool)
    rest[order[head]] = False
    for part, more, heavier in _beyond(matrix, largest[group[rest]], members[rest], group[rest], weight):
        np.add.at(counts, part, more)
        np.add.at(weights, part, heavier)
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
