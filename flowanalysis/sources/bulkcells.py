"""What statements hand out as text, as the house keeps it: times in UTC, ids folded, nothing for blanks.

The database trims and matches text far slower than the bytes of a whole column tell that nothing of the kind is
there. So statements leave simple columns as the export writes them, and the few words that are not plain are read by
the readers of single values.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.sources import bulkvalues, values
from flowanalysis.sources.bulkids import IDS, folded, kept, starts

Column: TypeAlias = pa.ChunkedArray | pa.Array
TIME = pa.timestamp("us", "UTC")
FINE = pa.timestamp("ns", "UTC")
"""Reads more digits of a second, and fewer years."""
USUAL = (datetime(1902, 1, 1, tzinfo=UTC), datetime(8999, 1, 1, tzinfo=UTC))
"""Between them no year of any zone means never."""
ODD = np.arange(256) <= ord(" ")
ODD[[ord("["), ord("{"), 0xC2, 0xE1, 0xE2, 0xE3]] = True
"""First bytes of a text that may be nothing but blanks, of any alphabet, or an object or a list."""

MADE = {"disabled_plans"}
"""Columns that statements make, in which the empty text is an answer."""


def read(database: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Table:
    """The rows with their times, ids and texts read, and repeated words once.

    Text must have large offsets.

    Raises
    ------
    duckdb.Error
        For a value that only the careful way can judge.
    """
    names = rows.column_names
    with ThreadPoolExecutor(2) as pool:  # the loops inside let other threads run
        columns = dict(zip(names, pool.map(_read, rows.columns, names), strict=True))
    for name, column in columns.items():
        if name in IDS:
            columns[name] = folded(database, column)
        elif name.endswith("_at") and pa.types.is_large_string(column.type):
            database.register("times", pa.table({"told": column}))
            found = database.sql(f"select {bulkvalues.time('told')} as told from times").to_arrow_table()
            columns[name] = found["told"]
    return pa.table(columns)


def _read(column: pa.ChunkedArray, name: str) -> Column:
    """A column, where no database is needed."""
    if not name.endswith("_at"):
        told = kept(column, name)
        return told if name in IDS | MADE else texts(told)
    return times(column) if pa.types.is_large_string(column.type) else column


def times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times of the usual forms; a column with others is left as it is.

    Arrow reads a part of what `values.moment` reads, and nothing else, several times as fast as the database.
    """
    for kind in (TIME, FINE):
        try:
            told = column.cast(kind)
        except pa.ArrowInvalid:
            continue
        first, last = pc.min_max(told).values()
        if first.is_valid and not (first.as_py() >= USUAL[0] and last.as_py() < USUAL[1]):
            return column
        return told if kind is TIME else pa.chunked_array([_coarse(chunk) for chunk in told.chunks], TIME)
    return column


def _coarse(fine: pa.Array) -> pa.Array:
    """Whole microseconds, the earlier ones."""
    told = np.floor_divide(fine.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), 1000)
    return pa.array(told, mask=fine.is_null().to_numpy(zero_copy_only=False)).cast(TIME)


def texts(column: Column) -> Column:
    """The texts without those of nothing but blanks.

    Raises
    ------
    duckdb.Error
        For what may be an object or a list, which the database hands out as text.
    """
    if isinstance(column, pa.DictionaryArray):
        words = texts(column.dictionary)
        same = words is column.dictionary
        return column if same else pa.DictionaryArray.from_arrays(column.indices, words).cast(words.type)
    if not isinstance(column, pa.Array) or not pa.types.is_large_string(column.type):
        return column
    places = np.flatnonzero(ODD[starts(column)])
    blank = places[[_is_blank(word) for word in column.take(pa.array(places)).to_pylist()]] if len(places) else places
    if not len(blank):
        return column
    bare = np.zeros(len(column), bool)
    bare[blank] = True
    return pc.if_else(pa.array(bare), pa.scalar(None, column.type), column)


def _is_blank(word: str) -> bool:
    if word[:1] in {"[", "{"}:
        try:
            json.loads(word)
        except ValueError:
            return False
        raise duckdb.Error("a text, an object or a list")
    return values.text(word) is None
