"""Long columns of text by the hashes of their values: whether two are equal is asked only where their hashes are.

Tables of text that Arrow makes to look values up cost most of the time of a load; numbers are sorted and compared far
faster. Hashes only say which values to compare: two values with one hash never count as equal for that alone.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.schema import TEXT

FEW = 50_000
"""Values up to which a table of text is as fast."""
PIECE = 2**17
"""Rows that are compared together."""


def hashes(rows: pa.Table) -> np.ndarray:
    """One number a row: different numbers are different rows."""
    with duckdb.connect() as database:
        database.register("rows", rows)
        names = ", ".join(f'"{c}"' for c in rows.column_names)
        return database.sql(f"select hash({names}) as h from rows").fetchnumpy()["h"]


def arrow(column: object) -> pa.Array:
    """A column of text as one Arrow array."""
    values = column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(pd.array(column, dtype=TEXT))
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def places(asked: pa.Array, known: pa.Array) -> np.ndarray:
    """The first place of each text among the known ones; -1 for those that are not there and for NA.

    Examples
    --------
    >>> places(pa.array(["b", "x", None]), pa.array(["a", "b", "b"])).tolist()
    [1, -1, -1]
    """
    if min(len(asked), len(known)) > FEW and (found := _by_hashes(asked, known)) is not None:
        return found
    if len(asked) >= len(known):
        return _by_table(asked, known)
    told = asked.dictionary_encode()  # the table is made of the shorter list
    found = _by_table(known, told.dictionary)
    rows = np.flatnonzero(found >= 0)[::-1]
    first = np.full(len(told.dictionary) + 1, -1, np.int64)
    first[found[rows]] = rows  # the last one written is the first met
    return first[told.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def _by_table(asked: pa.Array, known: pa.Array) -> np.ndarray:
    return pc.index_in(asked, value_set=known, skip_nulls=True).fill_null(-1).to_numpy(zero_copy_only=False)


def _by_hashes(asked: pa.Array, known: pa.Array) -> np.ndarray | None:
    """The places, or None when two different texts have one hash."""
    theirs, mine = hashes(pa.table({"text": known})), hashes(pa.table({"text": asked}))
    order = np.argsort(theirs)
    ranked = theirs[order]
    if (ranked[1:] == ranked[:-1]).any():
        order = np.argsort(theirs, kind="stable")  # several times slower: of equal ones the first comes first
    turn = np.argsort(mine)  # those near each other are looked for near each other
    place = np.empty(len(mine), np.int64)
    place[turn] = np.searchsorted(ranked, mine[turn])
    rows = np.flatnonzero(ranked[np.minimum(place, len(ranked) - 1)] == mine)
    if asked.null_count:
        rows = rows[np.asarray(asked.is_valid())[rows]]
    first = order[place[rows]]
    if not _are_equal(asked, rows, known, first):
        return None
    found = np.full(len(asked), -1, np.int64)
    found[rows] = first
    return found


def groups(texts: pa.Array) -> tuple[np.ndarray, int]:
    """One integer for each text, equal for equal ones, the last for NA; and how many integers there are.

    Examples
    --------
    >>> numbers, size = groups(pa.array(["b", "a", None, "b"]))
    >>> numbers.tolist(), size
    ([0, 1, 2, 0], 3)
    """
    told = dictionary(texts) if len(texts) > FEW else texts.dictionary_encode()
    size = len(told.dictionary)
    return told.indices.fill_null(size).to_numpy(zero_copy_only=False), size + 1


def dictionary(texts: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """Text as one Arrow dictionary, its words in the order in which they are first met.

    Where there are hundreds of thousands of words this takes half the time of Arrow's own way.

    Examples
    --------
    >>> told = dictionary(pa.array(["b", "a", None, "b"]))
    >>> told.dictionary.to_pylist(), told.indices.to_pylist()
    (['b', 'a'], [0, 1, None, 0])
    """
    column = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts])
    found, known = hashes(pa.table({"text": column})), np.flatnonzero(column.is_valid()) if column.null_count else None
    group, unique = pd.factorize(found if known is None else found[known])
    first = np.empty(len(unique), np.int64)
    first[group[::-1]] = np.arange(len(group) - 1, -1, -1)  # the last one written is the first met
    places = np.full(len(column), -1, np.int32)
    places[slice(None) if known is None else known] = group
    words = taken(column, first if known is None else known[first])
    if not _are_told(column, words, places):
        return column.combine_chunks().dictionary_encode()
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=None if known is None else places < 0), words)


def taken(column: pa.ChunkedArray, rows: np.ndarray) -> pa.Array:
    """Some rows of a column, in their order: Arrow would copy the whole column first."""
    chunks = column.chunks or [pa.array([], column.type)]
    sizes = np.array([len(chunk) for chunk in chunks])
    ends = np.cumsum(sizes)
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    return pa.concat_arrays(c.take(pa.array(p - e)) for c, p, e in zip(chunks, parts, ends - sizes, strict=True))


def _are_told(texts: pa.ChunkedArray, words: pa.Array, places: np.ndarray) -> bool:
    """Whether the words at the places are the texts; looked at in pieces, which take little memory."""

    def same(row: int) -> bool:
        here = places[row : row + PIECE]
        told = words.take(pa.array(here, mask=here < 0))
        return bool(pc.all(pc.equal(texts.slice(row, PIECE), told), min_count=0).as_py())

    with ThreadPoolExecutor(2) as pool:
        return all(pool.map(same, range(0, len(texts), PIECE)))


def _are_equal(some: pa.Array, places: np.ndarray, others: pa.Array, where: np.ndarray) -> bool:
    """Whether texts at some places are those at other ones, pair by pair."""
    same = pc.equal(some.take(pa.array(places)), others.take(pa.array(where)))
    return bool(pc.all(same, skip_nulls=False, min_count=0).as_py())
