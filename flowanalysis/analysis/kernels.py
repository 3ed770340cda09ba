"""The inner loops of the analyses, compiled where numba is installed (the extra ``fast``).

Every loop has a way without numba that gives the same numbers (`matrices.strongest`, `counting`); which of the two
works is chosen by `worth`. A loop holds one row as a dense line, walks the entries of others along it, and leaves the
line as it found it. Loops are plain Python, so that tests can run them without compiling.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from flowanalysis.matrices import Matrix, row_sums, starts, trusted

ENOUGH = 3_000_000  # entries to walk from which starting a compiled loop (half a second) pays
ROOM = 16_000_000  # entries of a result written at a time
# Place of the only bit of a number below 2^32: a product that no two of them begin alike (de Bruijn).
BRUIJN = 0x077CB531
BIT = np.zeros(32, np.int64)
BIT[[((1 << bit) * BRUIJN & 0xFFFFFFFF) >> 27 for bit in range(32)]] = np.arange(32)
Loop = Callable[..., Any]


@cache
def numba() -> Any:
    """The compiler; None where it is not installed, or switched off by ``NUMBA_DISABLE_JIT``."""
    if find_spec("numba") is None:
        return None
    found: Any = import_module("numba")
    return None if found.config.DISABLE_JIT else found


def worth(work: float) -> bool:
    """So many entries are worth a compiled loop, and there is a compiler."""
    return work >= ENOUGH and numba() is not None


@cache
def compiled(loop: Loop) -> Loop:
    """The loop in machine code; kept on disk between processes where some folder can be written."""
    try:
        return numba().njit(loop, cache=True, nogil=True)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return numba().njit(loop, nogil=True)


def spread(work: np.ndarray, task: Callable[[slice], Any], *, most: float = np.inf) -> list[Any]:
    """Do a task on runs of items of about equal work, one for each processor or more, on threads."""
    done = np.cumsum(work, dtype=np.float64)
    total = float(done[-1]) if len(done) else 0.0
    workers = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    cut = max(1.0, min(total / workers, most))
    bounds = np.unique(np.append(np.searchsorted(done, np.arange(cut, total, cut), side="right"), [0, len(work)]))
    parts = [slice(a, b) for a, b in zip(bounds.tolist(), bounds[1:].tolist(), strict=False)]
    if len(parts) < 2:
        return [task(part) for part in parts]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(task, parts))


def strongest(ways: Matrix, levels: Matrix) -> Matrix:
    """What `matrices.strongest` gives."""
    work = row_sums(ways, np.diff(levels.indptr)[ways.indices])
    loop, width = compiled(highest), levels.shape[1]

    def some(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count = rows.stop - rows.start
        room = int(min(work[rows].sum(), count * width))
        column, value, size = np.empty(room, np.int32), np.empty(room, np.int8), np.empty(count, np.int64)
        bounds = ways.indptr[rows.start : rows.stop + 1]
        end = loop(bounds, ways.indices, levels.indptr, levels.indices, levels.data, width, BIT, column, value, size)
        return column[:end], value[:end], size  # memory that is never written to is never taken

    found = spread(work, some, most=ROOM)
    column, value, size = (np.concatenate(part) for part in zip(*found, strict=True))
    return trusted(value, column, starts(size), (ways.shape[0], width))


def highest(
    bounds: np.ndarray,
    via: np.ndarray,
    begin: np.ndarray,
    column: np.ndarray,
    level: np.ndarray,
    width: int,
    bit: np.ndarray,
    out: np.ndarray,
    value: np.ndarray,
    size: np.ndarray,
) -> int:
    """Rows one after the other: the highest level of each column over all ways, columns ascending.

    Columns that were met are bits of words, words that were met are bits of blocks, so that they come out in order
    without being sorted.
    """
    line = np.zeros(width, np.int8)
    words = np.zeros(width // 32 + 1, np.int64)
    blocks = np.zeros(width // 1024 + 1, np.int64)
    end = 0
    for row in range(len(size)):
        before = end
        for way in range(bounds[row], bounds[row + 1]):
            holder = via[way]
            for place in range(begin[holder], begin[holder + 1]):
                at = np.int64(column[place])
                if level[place] > line[at]:
                    if line[at] == 0:
                        words[at >> 5] |= 1 << (at & 31)
                        blocks[at >> 10] |= 1 << ((at >> 5) & 31)
                    line[at] = level[place]
        for block in range(len(blocks)):
            marked = blocks[block]
            blocks[block] = 0
            while marked:
                low = marked & -marked
                marked ^= low
                word = block * 32 + bit[(low * 0x077CB531 & 0xFFFFFFFF) >> 27]
                left = words[word]
                words[word] = 0
                while left:
                    low = left & -left
                    left ^= low
                    at = word * 32 + bit[(low * 0x077CB531 & 0xFFFFFFFF) >> 27]
                    out[end], value[end] = at, line[at]
                    line[at] = 0
                    end += 1
        size[row] = end - before
    return end


def reached(begin: Matrix, step: Matrix) -> Matrix:
    """What `matrices.reached` gives."""
    loop = compiled(further)

    def some(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        size = np.empty(rows.stop - rows.start, np.int64)
        bounds = begin.indptr[rows.start : rows.stop + 1]
        return loop(bounds, begin.indices, step.indptr, step.indices, np.full(step.shape[1], -1), size), size

    found = spread(row_sums(begin, np.diff(step.indptr)[begin.indices] + 1), some)
    column, size = (np.concatenate(part) for part in zip(*found, strict=True))
    return trusted(np.ones(len(column), np.int64), column, starts(size), begin.shape)


def further(
    bounds: np.ndarray, first: np.ndarray, begin: np.ndarray, after: np.ndarray, seen: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Rows one after the other: where they begin, and what any number of steps reaches from there, ascending."""
    found, end = np.empty(1024, np.int32), 0
    for row in range(len(size)):
        before = at = end
        for place in range(bounds[row], bounds[row + 1]):
            if end == len(found):
                found = np.append(found, np.empty_like(found))
            found[end] = first[place]
            seen[first[place]] = row
            end += 1
        while at < end:
            for place in range(begin[found[at]], begin[found[at] + 1]):
                if seen[after[place]] != row:
                    seen[after[place]] = row
                    if end == len(found):
                        found = np.append(found, np.empty_like(found))
                    found[end] = after[place]
                    end += 1
            at += 1
        found[before:end].sort()
        size[row] = end - before
    return found[:end]


def alike(
    bounds: np.ndarray,
    column: np.ndarray,
    level: np.ndarray,
    rows: np.ndarray,
    begin: np.ndarray,
    other: np.ndarray,
    theirs: np.ndarray,
    flags: np.ndarray,
) -> None:
    """Mark the entries that a row of another matrix has with the same level; it has no column that ours lacks."""
    for row in range(len(rows)):
        at = bounds[row]
        for place in range(begin[rows[row]], begin[rows[row] + 1]):
            while column[at] != other[place]:
                at += 1
            flags[at] = level[at] == theirs[place]


def along(
    large: np.ndarray,
    small: np.ndarray,
    begin: np.ndarray,
    column: np.ndarray,
    level: np.ndarray,
    width: int,
    tables: np.ndarray,
    weight: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Pairs sorted by their large row: for each table the sum of its numbers over the columns that both rows have."""
    line, laid = np.zeros(width, np.int8), -1
    for pair in range(len(large)):
        if large[pair] != laid:
            if laid >= 0:
                for place in range(begin[laid], begin[laid + 1]):
                    line[column[place]] = 0
            laid = large[pair]
            for place in range(begin[laid], begin[laid + 1]):
                line[column[place]] = level[place]
        for place in range(begin[small[pair]], begin[small[pair] + 1]):
            mine = line[column[place]]
            if mine:
                for table in range(len(tables)):
                    sums[table, pair] += tables[table, mine, level[place]] * weight[column[place]]


def near(
    start: int,
    stop: int,
    begin: np.ndarray,
    token: np.ndarray,
    prefix: np.ndarray,
    low: np.ndarray,
    index: np.ndarray,
    holder: np.ndarray,
    spot: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Pairs of sets that may be similar, of which the larger is one of some rows, and what their prefixes share.

    Rows ascend by size, their tokens from rare to common. The index tells for each token which rows have it in their
    prefix, and at which place; ``low`` the first row large enough for each. A pair is dropped as soon as what is left
    of either set is too little (the positional filter of PPJoin; Xiao and others, 2008).
    """
    count, met = np.zeros(len(prefix), np.int64), np.empty(len(prefix), np.int64)
    pairs, found = np.empty((3, 1024), np.int64), 0
    for a in range(start, stop):
        size, some = begin[a + 1] - begin[a], 0
        for place in range(prefix[a]):
            key = token[begin[a] + place]
            first = index[key] + np.searchsorted(holder[index[key] : index[key + 1]], low[a])
            for at in range(first, index[key + 1]):
                b = holder[at]
                if b >= a:
                    break
                if count[b] < 0:
                    continue
                if count[b] == 0:
                    met[some] = b
                    some += 1
                other = begin[b + 1] - begin[b]
                left = min(size - place, other - spot[at])
                enough = threshold / (1 + threshold) * (size + other) - 1e-9
                count[b] = count[b] + 1 if count[b] + left >= enough else -1
        if found + some > pairs.shape[1]:
            wider = np.empty((3, 2 * (found + some)), np.int64)
            wider[:, :found] = pairs[:, :found]
            pairs = wider
        for b in met[:some]:
            if count[b] > 0:
                pairs[0, found], pairs[1, found], pairs[2, found] = a, b, count[b]
                found += 1
            count[b] = 0
    return pairs[:, :found].copy()


def confirmed(
    pairs: np.ndarray, begin: np.ndarray, token: np.ndarray, prefix: np.ndarray, threshold: float
) -> np.ndarray:
    """Which of the pairs that `near` found are similar."""
    answer = np.zeros(pairs.shape[1], np.bool_)
    for pair in range(pairs.shape[1]):
        a, b, shared = pairs[0, pair], pairs[1, pair], pairs[2, pair]
        size, other = begin[a + 1] - begin[a], begin[b + 1] - begin[b]
        enough = threshold / (1 + threshold) * (size + other) - 1e-9
        # What both hold up to where the first of the prefixes ends is counted already.
        end = min(token[begin[a] + prefix[a] - 1], token[begin[b] + prefix[b] - 1])
        i, j = begin[a] + prefix[a], begin[b] + prefix[b]
        while i > begin[a] and token[i - 1] > end:
            i -= 1
        while j > begin[b] and token[j - 1] > end:
            j -= 1
        while i < begin[a + 1] and j < begin[b + 1]:
            if shared + min(begin[a + 1] - i, begin[b + 1] - j) < enough:
                break
            left, right = token[i], token[j]
            shared += left == right
            i += left <= right
            j += right <= left
        answer[pair] = shared >= threshold * (size + other - shared) - 1e-9
    return answer
