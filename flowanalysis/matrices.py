"""Sparse matrices of small integers: the few operations that the analyses are made of.

A relation is a ``scipy.sparse.csr_matrix`` of int8 with sorted rows and no pair twice.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from scipy import sparse

Matrix: TypeAlias = sparse.csr_matrix
PATH_BITS = 15  # room to count the paths of one level, see `strongest`


def relation(rows: np.ndarray, columns: np.ndarray, values: np.ndarray | int, shape: tuple[int, int]) -> Matrix:
    """A matrix that keeps the highest value of each pair; pairs with a code of -1 are left out.

    Examples
    --------
    >>> one = np.array([0, 0])
    >>> relation(one, one, np.array([1, 3]), (1, 1)).toarray().tolist()
    [[3]]
    """
    known = (rows >= 0) & (columns >= 0)
    values = np.broadcast_to(np.asarray(values, dtype=np.int64), rows.shape)
    keys = (rows[known].astype(np.int64) * shape[1] + columns[known]) << 8 | values[known]
    keys.sort()
    pairs = keys >> 8
    last = np.append(pairs[1:] != pairs[:-1], True) if len(pairs) else np.empty(0, bool)
    pairs, kept = pairs[last], (keys[last] & 255).astype(np.int8)
    row = pairs // max(shape[1], 1)
    return trusted(kept, pairs - row * shape[1], starts(np.bincount(row, minlength=shape[0])), shape)


def starts(counts: np.ndarray) -> np.ndarray:
    """Where each run begins, and where the last ends: the ``indptr`` of runs of these lengths."""
    return np.concatenate([[0], np.cumsum(counts)])


def ascending(keys: np.ndarray) -> np.ndarray:
    """Distinct keys in order, by sorting: numpy's own way hashes, and keys that lie close together collide.

    Examples
    --------
    >>> ascending(np.array([2, 1, 2])).tolist()
    [1, 2]
    """
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def order(values: np.ndarray) -> np.ndarray:
    """Places in ascending order of values, equals as they came: two quick sorts take half as long as a stable one.

    Examples
    --------
    >>> order(np.array([3, 1, 3, 0])).tolist()
    [3, 1, 0, 2]
    """
    places = np.argsort(values)
    ascends = values[places[1:]] != values[places[:-1]]
    keys = np.append(0, np.cumsum(ascends))[: len(places)] << 32 | places
    keys.sort()
    return keys & 0xFFFFFFFF


def trusted(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> Matrix:
    """A matrix of parts known to be right: no copies, no checks, 32-bit places where they fit."""
    kind = np.int32 if len(indices) < 2**31 else np.int64
    matrix = Matrix(shape, dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices.astype(kind, copy=False), indptr.astype(kind, copy=False)
    return matrix


def ones(matrix: Matrix, dtype: type = np.int64) -> Matrix:
    """The same pairs, each with the value one."""
    return trusted(np.ones(matrix.nnz, dtype), matrix.indices, matrix.indptr, matrix.shape)


def row_of(matrix: Matrix) -> np.ndarray:
    """Row number of each entry."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))


def row_sums(matrix: Matrix, value: np.ndarray) -> np.ndarray:
    """Sum of a number for each entry, by row.

    Examples
    --------
    >>> row_sums(relation(np.array([0, 2, 2]), np.array([0, 0, 1]), 1, (3, 2)), np.array([True, True, True])).tolist()
    [1, 0, 2]
    """
    kind = np.float64 if value.dtype.kind == "f" else np.int64
    some = np.diff(matrix.indptr) > 0
    totals = np.zeros(matrix.shape[0], kind)
    if some.any():  # rows without entries lie between no two sums
        totals[some] = np.add.reduceat(value, matrix.indptr[:-1][some], dtype=kind)
    return totals


def places_of(matrix: Matrix, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Where single pairs lie among the entries; -1 for pairs that the matrix lacks, and for rows of -1.

    All pairs halve their rows at once, so that the matrix itself is never gone through.

    Examples
    --------
    >>> matrix = relation(np.array([0, 0, 1]), np.array([0, 2, 1]), 1, (2, 3))
    >>> places_of(matrix, np.array([0, 1]), np.array([2, 0])).tolist()
    [1, -1]
    """
    row = np.asarray(row)
    before, end = matrix.indptr[row] - 1, matrix.indptr[row + 1]  # the last place known to come before
    end[row < 0] = before[row < 0] = -1
    step = (1 << int((end - before).max(initial=1) - 1).bit_length()) >> 1
    while step:
        probe = before + before.dtype.type(step)
        less = (probe < end) & (matrix.indices[np.minimum(probe, matrix.nnz - 1)] < column)
        before += less * before.dtype.type(step)
        step >>= 1
    found = before + 1 < end
    found[found] = matrix.indices[before[found] + 1] == column[found]
    return np.where(found, before + 1, -1)


def at_least(matrix: Matrix, level: int) -> Matrix:
    """The entries of at least this value."""
    kept = matrix.data >= level
    counts = starts(kept)[matrix.indptr]
    return trusted(matrix.data[kept], matrix.indices[kept], counts, matrix.shape)


def spans(matrix: Matrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the entries of some rows, one row after the other, and how many each row has.

    Examples
    --------
    >>> matrix = relation(np.array([0, 0, 1]), np.array([0, 1, 1]), 1, (2, 2))
    >>> [part.tolist() for part in spans(matrix, np.array([1, 0]))]
    [[2, 0, 1], [1, 2]]
    """
    first, counts = matrix.indptr[rows], matrix.indptr[rows + 1] - matrix.indptr[rows]
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(first - (ends - counts), counts), counts


def closure(step: Matrix) -> Matrix:
    """Everything that any number of steps reaches; each node must have a step to itself.

    Cycles need no care: squaring stops when nothing new is reached.
    """
    while True:
        further = ones(step) @ ones(step)
        if further.nnz == step.nnz:
            return step
        further.sort_indices()
        step = ones(further, np.int8)


def reached(begin: Matrix, step: Matrix) -> Matrix:
    """What the rows of `begin` reach by any number of steps, the beginning included.

    Rounds go only over nodes that lead further, which are few; the last step comes once, at the end. Only what the
    last round found new takes the next step, so that cycles end and nothing is done twice.
    """
    leads = np.diff(step.indptr) > 0
    keep = leads[step.indices]
    onward = trusted(np.ones(int(keep.sum()), np.int64), step.indices[keep], starts(keep)[step.indptr], step.shape)
    whole = frontier = ones(begin)
    while frontier.nnz:
        found = whole + ones(frontier @ onward)
        new = found.nnz > whole.nnz
        frontier = _new(found, whole) if new else Matrix(whole.shape, dtype=np.int64)
        whole = ones(found) if new else whole
    whole = ones(whole + ones(whole @ step.astype(np.int64)))
    whole.sort_indices()
    return whole


def _new(found: Matrix, known: Matrix) -> Matrix:
    """The pairs of `found` that `known` lacks."""
    left = ones(found) - known
    left.eliminate_zeros()
    return left


def strongest(ways: Matrix, levels: Matrix) -> Matrix:
    """Highest level that each row reaches over its ways: a maximum in place of a product's sum.

    Level n weighs 2^(15 (n - 1)), so that one integer product counts the ways of each level side by side.
    Where a row has so many ways that the counts could run into each other, the levels are worked one by one.

    Parameters
    ----------
    ways : matrix
        Pairs; the values do not matter.
    levels : matrix
        Values 1 to 4.

    Examples
    --------
    >>> ways = Matrix(np.array([[1, 1]], dtype=np.int8))
    >>> strongest(ways, Matrix(np.array([[1, 0], [3, 2]], dtype=np.int8))).toarray().tolist()
    [[3, 2]]
    """
    if np.diff(ways.indptr).max(initial=0) >= 1 << PATH_BITS:
        return _level_by_level(ways, levels)
    weights = np.int64(1) << PATH_BITS * (levels.data.astype(np.int64) - 1)
    product = ones(ways) @ trusted(weights, levels.indices, levels.indptr, levels.shape)
    data = np.ones(product.nnz, np.int8)
    for level in (1, 2, 3):
        data += product.data >= 1 << PATH_BITS * level
    result = trusted(data, product.indices, product.indptr, product.shape)
    result.sort_indices()
    return result


def _level_by_level(ways: Matrix, levels: Matrix) -> Matrix:
    """The same by one product for each level, right for any number of ways."""
    result = Matrix((ways.shape[0], levels.shape[1]), dtype=np.int8)
    for level in range(1, int(levels.data.max(initial=0)) + 1):
        result = result + ones(ones(ways) @ ones(at_least(levels, level)), np.int8)
    result.sort_indices()
    return result
