"""Values of one matrix where another has entries, and at single places.

Rows are gone through side by side, columns ascending, by compiled loops where numba is installed and the work is worth
it; otherwise all places are looked up at once.
"""

from __future__ import annotations

import numpy as np

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.matrices import Matrix


def aligned(entries: Matrix, values: Matrix, rows: np.ndarray) -> np.ndarray:
    """For each entry of a matrix the value that another has in that column; 0 where it has none.

    Parameters
    ----------
    entries : matrix
        Only where it has entries matters.
    values : matrix
        As many columns.
    rows : ndarray of int, one for each row of `entries`
        The row of `values` that belongs to it.

    Examples
    --------
    >>> one, other = (matrices.relation(np.array([0, 0]), np.array(c), 3, (1, 3)) for c in ([0, 2], [1, 2]))
    >>> aligned(one, other, np.array([0])).tolist()
    [0, 3]
    """
    result = np.zeros(entries.nnz, values.data.dtype)
    work = np.diff(entries.indptr) + np.diff(values.indptr)[rows]
    if not values.nnz or not kernels.worth(work.sum()):
        mine, counts = matrices.spans(values, rows)
        row = np.repeat(np.arange(len(rows)), counts)
        spots = matrices.places_of(entries, row, values.indices[mine])
        result[spots[spots >= 0]] = values.data[mine[spots >= 0]]
        return result
    loop = kernels.compiled(beside)

    def some(part: slice) -> None:
        bounds = entries.indptr[part.start : part.stop + 1]
        loop(bounds, entries.indices, rows[part], values.indptr, values.indices, values.data, result)

    kernels.spread(work + 1, some)
    return result


def beside(
    bounds: np.ndarray,
    column: np.ndarray,
    rows: np.ndarray,
    begin: np.ndarray,
    other: np.ndarray,
    value: np.ndarray,
    result: np.ndarray,
) -> None:
    """Both rows from left to right: whichever is behind takes the next step."""
    for row in range(len(rows)):
        at, stop = bounds[row], bounds[row + 1]
        place, end = begin[rows[row]], begin[rows[row] + 1]
        while at < stop and place < end:
            ahead, mine = other[place], column[at]
            if mine == ahead:
                result[at] = value[place]
            at += mine <= ahead
            place += ahead <= mine


def levels_at(levels: Matrix, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Values of single places of a matrix; 0 where there is none, or where row is -1.

    Examples
    --------
    >>> levels = matrices.relation(np.array([0]), np.array([1]), 4, (1, 2))
    >>> levels_at(levels, np.array([0, 0, -1]), np.array([0, 1, 1])).tolist()
    [0, 4, 0]
    """
    result = np.zeros(len(row), np.int8)
    if not kernels.worth(32 * len(row)):
        spots = matrices.places_of(levels, row, column)
        result[spots >= 0] = levels.data[spots[spots >= 0]]
        return result
    loop = kernels.compiled(halved)

    def some(part: slice) -> None:
        loop(row[part], column[part], levels.indptr, levels.indices, levels.data, result[part])

    kernels.spread(np.ones(len(row)), some)
    return result


def halved(
    row: np.ndarray,
    column: np.ndarray,
    begin: np.ndarray,
    other: np.ndarray,
    value: np.ndarray,
    result: np.ndarray,
) -> None:
    """Each place by halving its row."""
    for pair in range(len(row)):
        if row[pair] < 0:
            continue
        low, end = begin[row[pair]], begin[row[pair] + 1]
        high = end
        while low < high:
            middle = (low + high) >> 1
            if other[middle] < column[pair]:
                low = middle + 1
            else:
                high = middle
        if low < end and other[low] == column[pair]:
            result[pair] = value[low]
