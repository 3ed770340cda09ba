"""Two snapshots compared row by row, exactly: what to take away and what to add to come from one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import schema
from flowanalysis.tenant import Tenant

Changes = Mapping[str, pd.DataFrame]
ROOM = 2**62  # a combined key stays below
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
    if not len(old) or not len(new):
        return _first_places(old), _first_places(new)
    keys, other = keys_of(old, new)
    mine, theirs = np.sort(keys), np.sort(other)
    return _places(keys, _lacking(mine, theirs)), _places(other, _lacking(theirs, mine))


def _first_places(frame: pd.DataFrame) -> np.ndarray:
    if not len(frame):
        return np.empty(0, np.int64)
    keys, _ = keys_of(frame, frame.iloc[:0])
    return np.sort(np.unique(keys, return_index=True)[1])


def _lacking(keys: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distinct keys that the other side lacks; both are sorted: looking up in order stays in the cache."""
    keys = keys[np.append(True, keys[1:] != keys[:-1])]
    spots = np.searchsorted(other, keys)
    spots[spots == len(other)] = 0
    return keys[other[spots] != keys]


def _places(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """First place of each wanted key, in the order of the rows."""
    if not len(wanted):
        return np.empty(0, np.int64)
    hits = np.flatnonzero(pd.Index(wanted).get_indexer(keys) >= 0)
    return hits[np.sort(np.unique(keys[hits], return_index=True)[1])]


def keys_of(old: pd.DataFrame, new: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """One integer for each row, equal exactly where rows are equal in every column."""
    total_old, total_new, room = np.zeros(len(old), np.int64), np.zeros(len(new), np.int64), 1
    for column in old.columns:
        a, b, size = _column_codes(old[column], new[column])
        if size == 1:
            continue
        if room * size > ROOM:
            both, known = pd.factorize(np.concatenate([total_old, total_new]))
            total_old, total_new, room = both[: len(old)], both[len(old) :], len(known)
        total_old, total_new, room = total_old * size + a, total_new * size + b, room * size
    return total_old, total_new


def _column_codes(old: pd.Series, new: pd.Series) -> tuple[np.ndarray, np.ndarray, int]:
    """Values of a column on both sides as numbers of one list, and the length of the list."""
    if len(old) + len(new) < SMALL:
        a, b = _encode(old), _encode(new)
    else:
        with ThreadPoolExecutor(2) as pool:  # Arrow works without the interpreter's lock
            a, b = pool.map(_encode, (old, new))
    places = pc.index_in(b.dictionary, value_set=a.dictionary)
    fresh = b.dictionary.filter(pc.is_null(places))
    known = len(a.dictionary)
    lookup = places.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    lookup[pc.is_null(places).to_numpy(zero_copy_only=False)] = known + np.arange(len(fresh))
    missing = known + len(fresh)  # NA is a value like any other
    some_na = a.indices.null_count + b.indices.null_count > 0
    codes_a = a.indices.fill_null(missing).to_numpy(zero_copy_only=False).astype(np.int64)
    codes_b = np.append(lookup, missing)[b.indices.fill_null(len(lookup)).to_numpy(zero_copy_only=False)]
    return codes_a, codes_b, max(missing + some_na, 1)


def _encode(column: pd.Series) -> pa.DictionaryArray:
    if column.dtype == schema.TEXT:
        return schema.encoded(column)  # text that is kept as words and places is encoded already
    values = pa.array(column.array)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_null(values.type):
        values = values.cast(pa.large_string())
    return values.dictionary_encode()
