"""Objects inside rows as rows of their own, and columns worked out word by word.

A list of flows names the same hundred connectors in millions of references: what is asked of a text is asked once for
each distinct one, or each distinct combination where several columns answer together, and spread over the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis.sources.bulkids import encoded, kept, lacks
from flowanalysis.sources.bulksql import Asked

KEY = "key"


def entries(rows: pa.Table, column: str, *parents: str) -> pa.Table:
    """Every entry of the maps in a column: its key, the leaves of its object by path, and columns of its row.

    Text that repeats is a dictionary. Entries without an object are left out.
    """
    maps = rows[column].chunks or [pa.array([], rows[column].type)]
    told = pa.concat_tables(map(_entries, maps))
    row = np.repeat(np.arange(len(rows)), np.concatenate([np.diff(chunk.offsets) for chunk in maps]))
    if not (there := told.column(0).to_numpy()).all():
        told, row = told.filter(pa.array(there)), row[there]
    told = told.drop_columns(told.column_names[0])
    with ThreadPoolExecutor(2) as pool:  # the loops inside let other threads run
        columns = dict(zip(told.column_names, pool.map(kept, told.columns, told.column_names), strict=True))
    return pa.table({**{name: spread(rows[name], pa.array(row)) for name in parents}, **columns})


def _entries(maps: pa.MapArray) -> pa.Table:
    """The entries of one piece; the first column tells which have an object."""
    start, end = maps.offsets[0].as_py(), maps.offsets[-1].as_py()
    keys, objects = (part.slice(start, end - start) for part in (maps.keys, maps.items))
    return pa.table({"": objects.is_valid(), KEY: keys, **dict(_leaves("", objects))})


def _leaves(name: str, values: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """A column, or those inside its objects with a dot between the names."""
    if not pa.types.is_struct(values.type):
        yield name, values
        return
    for field, inside in zip(values.type, values.flatten(), strict=True):
        yield from _leaves(f"{name}.{field.name}" if name else field.name, inside)


def spread(column: pa.ChunkedArray, row: pa.Array) -> pa.DictionaryArray:
    """The values of some rows."""
    whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if isinstance(whole, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(whole.indices.take(row), whole.dictionary)
    return pa.DictionaryArray.from_arrays(row.cast(pa.int32(), safe=False), whole)


def worked(database: duckdb.DuckDBPyConnection, rows: pa.Table, asked: Mapping[str, Asked]) -> pa.Table:
    """The columns that are asked for, each out of some columns of the rows."""
    return pa.table({name: _answer(database, rows.select(a.paths), a) for name, a in asked.items()})


def _answer(database: duckdb.DuckDBPyConnection, rows: pa.Table, asked: Asked) -> pa.ChunkedArray | pa.Array:
    if asked.without and _are_answers(rows.columns, asked.without):
        return rows.column(0)
    if not all(pa.types.is_dictionary(column.type) for column in rows.columns):
        return _told(database, rows, asked)
    distinct, places = _words(rows)
    answers = _told(database, distinct, asked)
    if not pa.types.is_large_string(answers.type):
        return answers.take(pa.array(places))
    told = encoded(answers)
    return pa.DictionaryArray.from_arrays(told.indices.take(pa.array(places)), told.dictionary)


def _are_answers(columns: Sequence[pa.ChunkedArray], without: bytes) -> bool:
    """Whether the texts of the first column are the answers themselves."""
    first, *others = columns
    alone = not first.null_count or all(other.null_count == len(other) for other in others)
    return alone and not pa.types.is_dictionary(first.type) and all(lacks(c, without) for c in first.chunks)


def _told(database: duckdb.DuckDBPyConnection, rows: pa.Table, asked: Asked) -> pa.ChunkedArray:
    database.register("words", rows)
    return database.sql(f"select {asked.sql} as answer from words").to_arrow_table()["answer"]


def _words(rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Like `combined`, quickly for one column of words; some rows may not occur then."""
    if rows.num_columns > 1:
        return combined(rows)
    column = _encoded(rows.column(0))
    words = pa.chunked_array([column.dictionary, pa.nulls(1, column.type.value_type)])
    return pa.table([words], rows.column_names), _places(column)


def combined(rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """The distinct rows of columns of text, and which of them each row is."""
    columns = [_encoded(column) for column in rows.columns]
    number, size = np.zeros(len(rows), np.int64), 1
    for column in columns:
        if words := len(column.dictionary):
            words += 1
            if size * words > 2**62:
                number, unique = pd.factorize(number)
                size = len(unique)
            number = number * words + _places(column)
            size *= words
    places, unique = pd.factorize(number)
    first = np.empty(len(unique), np.int64)
    first[places] = np.arange(len(rows))
    return pa.table([c.take(pa.array(first)).cast(c.type.value_type) for c in columns], rows.column_names), places


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(column.type):
        return encoded(column)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _places(column: pa.DictionaryArray) -> np.ndarray:
    """The place of each row's word, the one after the last for NA."""
    return column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
