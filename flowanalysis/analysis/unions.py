"""Uniting sets of rows by a compiled loop: what many sets have in common is laid out once.

Rows are written as words of bits. The members of each set are put in order of how much of all the work they are, and
sets in order of their members, so that sets which begin alike follow each other: of the next one only the members are
laid that differ, and what the last one had beyond is taken back.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.matrices import Matrix

COLUMNS = 31  # in a word: twice as many bits of a whole number that stays positive
LEVEL = np.arange(5)
MEMBERS = 4  # by which sets are put in order


def united(
    matrix: Matrix, members: np.ndarray, bounds: np.ndarray, least: int, weight: np.ndarray, near: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each set: columns, columns of the level; weight. What `counting.united` asks for."""
    used = np.bincount(members, minlength=matrix.shape[0])
    rows = np.flatnonzero(used)
    rows = rows[np.argsort(-(used * np.diff(matrix.indptr))[rows], kind="stable")]
    place = np.empty(len(used), np.int32)
    place[rows] = np.arange(len(rows))
    members, bounds, order = _in_order(place[members], bounds)
    begin, *parts = words(matrix, rows, weight, least, near)
    counts, weights = np.zeros((2, len(order)), np.int64), np.zeros(len(order))
    loop, walked = kernels.compiled(union), matrices.starts(np.diff(begin)[members])

    def some(sets: slice) -> None:
        loop(bounds[sets.start : sets.stop + 1], members, begin, *parts, counts[:, sets], weights[sets])

    kernels.spread(np.diff(walked[bounds]) + 1, some)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return counts[:, back], weights[back]


def _in_order(members: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Members of each set ascending, sets that begin alike one after the other; and the number of each set."""
    size = np.diff(bounds)
    keys = np.repeat(np.arange(len(size)), size) << 32 | members
    keys.sort()
    members = (keys & 0xFFFFFFFF).astype(np.int32)
    known = np.append(members, -1)
    first = [np.where(size > n, known[np.minimum(bounds[:-1] + n, len(members))], -1) for n in range(MEMBERS)]
    order = np.lexsort(first[::-1])
    places, size = matrices.spans(matrices.trusted(members, members, bounds, (len(size), 0)), order)
    return members[places], matrices.starts(size), order


def words(matrix: Matrix, rows: np.ndarray, weight: np.ndarray, least: int, near: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows as words of bits: where each row begins, number of each word, its bits; what a column of a word weighs.

    The lower bits of a word are columns, the upper ones the same columns where the level is at least this. Columns said
    to lie near each other take the first places, as they are met, so that what is held together shares words; those of
    a word weigh the same.
    """
    kind, known = pd.factorize(weight)
    place, free = np.full(matrix.shape[1], -1, np.int32), np.full(len(known), COLUMNS, np.int32)
    count = kernels.compiled(placed)(near, kind, free, place, 0)
    count = kernels.compiled(placed)(np.arange(len(place), dtype=near.dtype), kind, free, place, count)
    heavy = np.zeros(count)
    heavy[place >> 5] = weight
    loop, sign = kernels.compiled(packed), np.where(least <= LEVEL, 1 | 1 << COLUMNS, 1)
    size = np.diff(matrix.indptr)[rows].astype(np.int64)

    def some(part: slice) -> tuple[np.ndarray, np.ndarray]:
        room, line = int(size[part].sum()) + 1, np.zeros(count, np.int64)
        word, bits = np.empty(room, np.int32), np.empty(room, np.int64)
        parts = (rows[part], matrix.indptr, matrix.indices, matrix.data, place, sign, line, word, bits, size[part])
        end = loop(*parts)
        return word[:end], bits[:end]  # memory that is never written to is never taken

    found = kernels.spread(size, some, most=kernels.ROOM)
    word, bits = (np.concatenate(part) for part in zip(*found, strict=True))
    return matrices.starts(size), word, bits, heavy


def placed(column: np.ndarray, kind: np.ndarray, free: np.ndarray, place: np.ndarray, count: int) -> int:
    """Give each column the next bit of a word of its kind as it is met: 32 times the word's number, and the bit.

    Answers how many words there are now; ``free`` is the next place of each kind, at first none.
    """
    for at in column:
        if place[at] < 0:
            if free[kind[at]] & 31 == 31:
                free[kind[at]] = count << 5
                count += 1
            place[at] = free[kind[at]]
            free[kind[at]] += 1
    return count


def packed(
    rows: np.ndarray,
    begin: np.ndarray,
    column: np.ndarray,
    level: np.ndarray,
    place: np.ndarray,
    sign: np.ndarray,
    line: np.ndarray,
    word: np.ndarray,
    bits: np.ndarray,
    size: np.ndarray,
) -> int:
    """Rows one after the other: number and bits of each word in which the row has columns.

    Every word is written down, but only a new one moves the end on: no branch, for none could be foretold.
    """
    end = 0
    for row in range(len(rows)):
        before = end
        for at in range(begin[rows[row]], begin[rows[row] + 1]):
            spot = place[column[at]]
            word[end] = spot >> 5
            end += line[spot >> 5] == 0
            line[spot >> 5] |= sign[level[at]] << (spot & 31)
        for at in range(before, end):
            bits[at] = line[word[at]]
            line[word[at]] = 0
        size[row] = end - before
    return end


def union(
    bounds: np.ndarray,
    members: np.ndarray,
    begin: np.ndarray,
    word: np.ndarray,
    bits: np.ndarray,
    heavy: np.ndarray,
    counts: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Sets of rows: the columns that some row has, those that some row has at the level, and the weight of all.

    Sums are kept for each member of the set laid last, with what its words were before, so that a member is taken
    back by writing that again. Every word is written down, but only a changed one moves the end on.
    """
    most = 0
    for set_ in range(len(weights)):
        most = max(most, bounds[set_ + 1] - bounds[set_])
    line, met, was = np.zeros(len(heavy), np.int64), np.empty(1024, np.int32), np.empty(1024, np.int64)
    ends, sums, weigh = np.zeros(most + 1, np.int64), np.zeros((2, most + 1), np.int64), np.zeros(most + 1)
    last = bounds[0]
    held = 0
    for set_ in range(len(weights)):
        size, same = bounds[set_ + 1] - bounds[set_], 0
        while same < min(size, held) and members[bounds[set_] + same] == members[last + same]:
            same += 1
        for at in range(ends[held] - 1, ends[same] - 1, -1):
            line[met[at]] = was[at]
        for depth in range(same, size):
            member, end, columns, levels, weighs = members[bounds[set_] + depth], ends[depth], 0, 0, 0.0
            room = end + begin[member + 1] - begin[member]
            if room >= len(met):
                met, was = np.append(met, np.empty(room, np.int32)), np.append(was, np.empty(room, np.int64))
            for place in range(begin[member], begin[member + 1]):
                at = word[place]
                met[end], was[end] = at, line[at]
                line[at] |= bits[place]
                new = line[at] ^ was[end]
                end += new != 0
                left, high, one = new & 0x7FFFFFFF, new >> 31, 0
                while left:
                    left &= left - 1
                    one += 1
                while high:
                    high &= high - 1
                    levels += 1
                columns += one
                weighs += one * heavy[at]
            ends[depth + 1], weigh[depth + 1] = end, weigh[depth] + weighs
            sums[0, depth + 1], sums[1, depth + 1] = sums[0, depth] + columns, sums[1, depth] + levels
        counts[0, set_], counts[1, set_], weights[set_] = sums[0, size], sums[1, size], weigh[size]
        last, held = bounds[set_], size
