"""Two snapshots compared row by row, exactly: what to take away and what to add to come from one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import schema
from flowanalysis.schema.compact import CompactText, encoded
from flowanalysis.tenant import Tenant

Changes = Mapping[str, pd.DataFrame]
ROOM = 2**61  # a combined key stays below, so that a bit more fits
MARKS = 22  # bits of a mark: the table of marks fits in the cache
SMALL = 50_000  # rows below which a second thread costs more than it saves


def changes(before: Tenant, after: Tenant, tables: Iterable[str] | None = None) -> dict[str, pd.DataFrame]:
    """Rows that differ between two tenants.

    Parameters
    ----------
    before, after : Tenant
        Two states of one tenant.
    tables : iterable of str, optional
        Default: every table that has rows in either.

    Returns
    -------
    dict of str to DataFrame
        For each table with a difference: its columns and ``change`` (removed | added). A row that changed in some
        column is removed with the old values and added with the new ones. Rows are compared as sets: a row that occurs
        twice counts once.

    Examples
    --------
    >>> old = Tenant({"groups": schema.frame("groups", [{"group_id": "a"}, {"group_id": "b"}])})
    >>> new = Tenant({"groups": schema.frame("groups", [{"group_id": "b"}, {"group_id": "c"}])})
    >>> changes(old, new)["groups"][["group_id", "change"]].to_numpy().tolist()
    [['a', 'removed'], ['c', 'added']]
    """
    found = {}
    for table in schema.TABLES if tables is None else tables:
        old, new = before[table], after[table]
        gone, come = difference(old, new)
        if len(gone) or len(come):
            rows = pd.concat([old.iloc[gone], new.iloc[come]], ignore_index=True)
            rows["change"] = pd.array(["removed"] * len(gone) + ["added"] * len(come), dtype=schema.TEXT)
            found[table] = rows
    return found


def apply(before: Tenant, found: Changes) -> Tenant:
    """The second tenant, from the first and the changes between them.

    Returns
    -------
    Tenant
        Equal to the second one in every table, up to the order of rows and repeated rows.
    """
    frames = {}
    for table, rows in found.items():
        old = before[table]
        plain = rows[schema.table(table).names]
        removed = plain[rows["change"] == "removed"]
        left = old.iloc[difference(old, removed)[0]] if len(removed) else old
        frames[table] = pd.concat([left, plain[rows["change"] == "added"]], ignore_index=True)
    return before.replace(**frames)


def difference(old: pd.DataFrame, new: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Places of the rows of each frame that the other lacks, each distinct row once."""
    keys, other = keys_of(old, new)
    mine, theirs = _lonely(keys, other)
    return _places(keys, mine), _places(other, theirs)


def _lonely(keys: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys of each side that the other lacks, ascending: once all are sorted, they stand alone."""
    both = np.concatenate([keys, other])
    both <<= 1
    both[len(keys) :] |= 1  # the side, so that the equals of both lie together
    both.sort()
    new = both[1:] != both[:-1]
    if not new.all():
        both = both[np.append(True, new)]
    same = both >> 1
    step = np.append(True, same[1:] != same[:-1]) if len(both) else np.empty(0, bool)
    alone = both[step & np.append(step[1:], True)]
    side = alone & 1 == 1
    return alone[~side] >> 1, alone[side] >> 1


def _places(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """First place of each wanted key, in the order of the rows."""
    marks = np.zeros(1 << MARKS, bool)
    marks[_mark(wanted)] = True
    near = np.flatnonzero(marks[_mark(keys)])  # few others share a mark with one that is wanted
    hits = near[pd.Index(wanted).get_indexer(keys[near]) >= 0]
    return hits[np.sort(np.unique(keys[hits], return_index=True)[1])]


def _mark(keys: np.ndarray) -> np.ndarray:
    """A small number for each key, the same for equal ones; what overflows is meant to."""
    marks = keys * np.int64(0x1E3779B97F4A7C15)
    marks >>= 40
    marks &= (1 << MARKS) - 1
    return marks


def keys_of(old: pd.DataFrame, new: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """One integer for each row, equal exactly where rows are equal in every column."""
    pairs = [(old[column], new[column]) for column in old.columns]
    if len(old) + len(new) < SMALL:
        columns = [_shared(*pair) for pair in pairs]
    else:
        with ThreadPoolExecutor(2) as pool:  # Arrow works without the interpreter's lock
            columns = list(pool.map(lambda pair: _shared(*pair), pairs))
    mine, theirs, room = np.zeros(len(old), np.int64), np.zeros(len(new), np.int64), 1
    for a, b, size in columns:
        if size == 1:
            continue
        if room * size > ROOM:
            both, known = pd.factorize(np.concatenate([mine, theirs]))
            mine, theirs, room = both[: len(old)], both[len(old) :], len(known)
        for keys, places in ((mine, a), (theirs, b)):
            keys *= size
            keys += places
        room *= size
    return mine, theirs


def _shared(old: pd.Series, new: pd.Series) -> tuple[np.ndarray, np.ndarray, int]:
    """Values of a column on both sides as places in one list, NA as -1, and how many different ones there are."""
    (words, a), (others, b) = _words(old), _words(new)
    found = pc.index_in(others, value_set=words)
    fresh = pc.is_null(found).to_numpy(zero_copy_only=False)
    size = len(words) + np.count_nonzero(fresh)
    lookup = np.append(found.fill_null(0).to_numpy(zero_copy_only=False), -1).astype(np.int32)
    lookup[:-1][fresh] = np.arange(len(words), size)
    some_na = (a < 0).any() or (b < 0).any()
    return a, lookup[b], int(size + some_na)


def _words(column: pd.Series) -> tuple[pa.Array, np.ndarray]:
    """The values of a column, each once, and the place of each row's; -1 for NA."""
    values = column.array
    if isinstance(values, CompactText):
        return values.words, values.places
    told = encoded(column) if column.dtype == schema.TEXT else _encoded(values)
    return told.dictionary, told.indices.fill_null(-1).to_numpy(zero_copy_only=False)


def _encoded(column: object) -> pa.DictionaryArray:
    values = pa.array(column)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return (values.cast(pa.large_string()) if pa.types.is_null(values.type) else values).dictionary_encode()
