"""Long columns of text by the hashes of their values: whether two are equal is asked only where their hashes are.

Tables of text that Arrow makes to look values up cost most of the time of a load; numbers are sorted and compared far
faster. Hashes only say which values to compare: two values with one hash never count as equal for that alone.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.schema import TEXT

FEW = 50_000
"""Values up to which a table of text is as fast."""


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
    if len(texts) > FEW:
        group, found = pd.factorize(hashes(pa.table({"text": texts})))
        first = np.empty(len(found), np.int64)
        first[group[::-1]] = np.arange(len(texts) - 1, -1, -1)  # the last one written is the first met
        known = np.asarray(texts.is_valid())
        again = np.flatnonzero((first[group] != np.arange(len(texts))) & known)
        if _are_equal(texts, again, texts, first[group[again]]):
            return np.where(known, group, len(found)), len(found) + 1
    told = texts.dictionary_encode()
    size = len(told.dictionary)
    return told.indices.fill_null(size).to_numpy(zero_copy_only=False), size + 1


def _are_equal(some: pa.Array, places: np.ndarray, others: pa.Array, where: np.ndarray) -> bool:
    """Whether texts at some places are those at other ones, pair by pair."""
    same = pc.equal(some.take(pa.array(places)), others.take(pa.array(where)))
    return bool(pc.all(same, skip_nulls=False, min_count=0).as_py())
