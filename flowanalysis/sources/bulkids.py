"""Columns of text out of the database as the house keeps them: repeated words once, ids folded.

What repeats becomes an Arrow dictionary at once, one for the whole column: its few words are folded, and the strings
of the rows are let go. Other ids are nearly always lower case already, which their bytes tell far faster than the
database makes them so.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.sources import hashes, repeats
from flowanalysis.sources.bulkvalues import fold

# Columns in which statements leave ids as the export writes them.
IDS = {"identity_id", "manager_id", "group_id", "member_id", "environment_id", "flow_id", "creator_id", "connection_id"}
IDS |= {"connector_id", "created_by_id", "created_by_tenant_id", "principal_id", "via"}
IDS |= {"owner_id", "workflow_id", "workflow_unique_id"}
# Ids that repeat, though seldom within a thousand rows.
REPEATED = {"principal_id", "resource_id", "creator_id"}
GLANCES, GLANCE = 4, 250
"""Stretches of a column, and rows of each, that tell whether its words repeat."""
LONG = 1_000_000
"""Rows of a column from which a sample of all of them is taken."""
OFTEN = 7
"""Times that a word comes, in the mean, where keeping it once pays."""
STRETCH = 2**20
"""Bytes that are looked at together: they stay near the processor."""


def kept(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray | pa.Array:
    """The column as a dictionary where its words repeat; else in one piece.

    The database hands out its rows in batches, and one column would hold back the memory of all.
    """
    if pa.types.is_dictionary(column.type):
        return column.combine_chunks()
    if not pa.types.is_large_string(column.type):
        return column
    often = name in REPEATED or _repeats(column) or (len(column) >= LONG and repeats.often(column, times=OFTEN))
    return encoded(column) if often else pa.concat_arrays(_pieces(column))


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of large text as one dictionary."""
    if len(column) >= LONG and not _repeats(column):
        return hashes.dictionary(column)
    told = column.dictionary_encode()
    if not told.num_chunks:
        return pa.array([], told.type)
    places = pa.chunked_array([chunk.indices for chunk in told.chunks]).combine_chunks()
    return pa.DictionaryArray.from_arrays(places, told.chunk(told.num_chunks - 1).dictionary)  # the last knows all


def _pieces(column: pa.ChunkedArray) -> list[pa.Array]:
    """The chunks of a column, at least two: fewer would not be copied."""
    nothing = pa.array([], column.type)
    return [*column.chunks, nothing, nothing]


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether words repeat, as far as some stretches of the column tell."""
    starts = np.linspace(0, max(0, len(column) - GLANCE), GLANCES).astype(int)
    seen = pa.chunked_array([c for s in starts.tolist() for c in column.slice(s, GLANCE).chunks], column.type)
    return 2 * pc.count_distinct(seen, mode="only_valid").as_py() <= len(seen) - seen.null_count


def folded(database: duckdb.DuckDBPyConnection, ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Ids trimmed and in lower case. Text must have large offsets."""
    if _is_folded(ids):
        return ids
    words = ids.dictionary if isinstance(ids, pa.DictionaryArray) else ids
    database.register("ids", pa.table({"id": words}))
    made = database.sql(f"select {fold('id')} as id from ids").to_arrow_table()["id"]
    if words is ids:
        return made
    told = encoded(made)
    return pa.DictionaryArray.from_arrays(told.indices.take(ids.indices), told.dictionary)


def _is_folded(ids: pa.ChunkedArray | pa.Array) -> bool:
    """True when no letter of any id is a capital, a blank, a bracket or of another alphabet, and no id is empty."""
    texts = ids.dictionary if isinstance(ids, pa.DictionaryArray) else ids
    return all(map(_is_plain, texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]))


def _is_plain(ids: pa.Array) -> bool:
    if not pa.types.is_large_string(ids.type):
        return len(ids) == ids.null_count
    return not _has_empty(ids) and all(map(_are_small, _letters(ids)))


def _has_empty(texts: pa.Array) -> bool:
    ends = _ends(texts)
    return np.count_nonzero(ends[1:] == ends[:-1]) > texts.null_count


def _ends(texts: pa.Array) -> np.ndarray:
    if not len(texts):
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]


def _letters(texts: pa.Array) -> Iterator[np.ndarray]:
    """The bytes of all texts, a stretch at a time."""
    ends, data = _ends(texts), texts.buffers()[2]
    letters = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    return (letters[n : n + STRETCH] for n in range(0, len(letters), STRETCH))


def starts(texts: pa.Array) -> np.ndarray:
    """The first byte of each text: 0 for the empty text, a letter for NA."""
    ends, data = _ends(texts), texts.buffers()[2]
    letters = np.frombuffer(data or b"", np.uint8)
    full = ends[1:] > ends[:-1]
    found = np.zeros(len(texts), np.uint8)
    found[full] = letters[ends[:-1][full]]
    if texts.null_count:
        found[texts.is_null().to_numpy(zero_copy_only=False)] = ord("x")
    return found


def lacks(texts: pa.Array, letters: bytes) -> bool:
    """True when no text is empty or has one of some letters of ASCII."""
    return not _has_empty(texts) and not any((s == a).any() for s in _letters(texts) for a in letters)


def _are_small(letters: np.ndarray) -> bool:
    capital = letters - np.uint8(ord("A")) < 26
    return bool(letters.min() > ord(" ") and letters.max() < ord("{") and not capital.any())
