"""Ids as integers: the code of an id is its place in alphabetical order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText, compact, encoded

SEPARATOR = "\x1f"  # between environment and id: no id holds a unit separator
FEW = 4  # names for each row up to which it is soonest to look every row up among them


class Names:
    """Interned ids in alphabetical order; the code of an id is its place.

    Examples
    --------
    >>> names = Names.of([pd.Series(["b", "a", None, "b"])])
    >>> names.codes(pd.Series(["b", "x", None])).tolist(), names.text([0, 1]).tolist()
    ([1, -1, -1], ['a', 'b'])
    """

    def __init__(self, values: pa.Array) -> None:
        self.values = values

    @classmethod
    def of(cls, columns: Iterable[object]) -> Names:
        """Every id that occurs in one of the columns; NA and empty text are none."""
        return cls.interned(columns)[0]

    @classmethod
    def interned(cls, columns: Iterable[object]) -> tuple[Names, list[np.ndarray]]:
        """The names of columns, and the codes of each: every word is looked at once for both.

        Examples
        --------
        >>> names, codes = Names.interned([pd.Series(["b", "a", None]), pd.Series(["c", "b"])])
        >>> names.values.to_pylist(), [of.tolist() for of in codes]
        (['a', 'b', 'c'], [[1, 0, -1], [2, 1]])
        """
        told = [_worded(column) for column in columns]
        whole = pa.chunked_array([of for of, _ in told], pa.large_string()).dictionary_encode()
        chunks = whole.chunks  # all of them share one dictionary
        words = chunks[0].dictionary if chunks else pa.array([], pa.large_string())
        order = pc.sort_indices(words)
        if len(order) and words[order[0].as_py()].as_py() == "":
            order = order.slice(1)
        ranks = np.full(len(words) + 1, -1, np.int32)  # the last one answers for NA
        ranks[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
        found = np.concatenate([np.empty(0, np.int32), *(ranks[c.indices.fill_null(-1).to_numpy()] for c in chunks)])
        parts = np.split(found, np.cumsum([len(of) for of, _ in told])[:-1])
        codes = [
            own if places is None else np.append(own, np.int32(-1))[places]
            for own, (_, places) in zip(parts, told, strict=False)
        ]
        return cls(words.take(order)), codes

    def __len__(self) -> int:
        return len(self.values)

    def codes(self, column: object) -> np.ndarray:
        """Codes of a column of ids as int32; -1 for NA and for ids not interned."""
        array: Any = column.array if isinstance(column, pd.Series) else column
        if isinstance(array, CompactText):
            array = array.used() if len(array) < len(array.words) else array
        elif not isinstance(array, pa.DictionaryArray) and len(self) < FEW * len(array):
            return self._sought(_arrow(array))
        told = encoded(array)
        places = np.append(self._places(told.dictionary), -1).astype(np.int32)  # the last answers for NA
        return places[told.indices.fill_null(-1).to_numpy(zero_copy_only=False)]

    def _sought(self, words: pa.Array) -> np.ndarray:
        found = pc.index_in(words, value_set=self.values)
        return found.fill_null(-1).to_numpy(zero_copy_only=False)

    def _places(self, words: pa.Array) -> np.ndarray:
        """Codes of distinct words; only the shorter list is made a table of hashes."""
        if len(words) >= len(self):
            return self._sought(words)
        places = np.full(len(words), -1, np.int32)
        if len(words):
            found = Names(words)._sought(self.values)
            known = np.flatnonzero(found >= 0)
            places[found[known]] = known
        return places

    def code(self, name: str) -> int:
        """Code of one id, -1 when it is not interned."""
        place = bisect_left(self.values, name.encode(), key=lambda value: value.as_py().encode())
        return place if place < len(self) and self.values[place].as_py() == name else -1

    def text(self, codes: object) -> pd.api.extensions.ExtensionArray:
        """Ids of codes as Arrow-backed text; NA for -1. Many share this table instead of a string each."""
        places = np.asarray(codes, dtype=np.int32)
        if len(places) > len(self):
            return CompactText.of(self.values, places)
        return TEXT.__from_arrow__(self.values.take(pa.array(places, mask=places < 0)))

    def category(self, codes: object) -> pd.Categorical:
        """Ids of codes as a categorical that shares this table: for results of millions of rows."""
        return pd.Categorical.from_codes(np.asarray(codes, dtype=np.int32), categories=self._index, validate=False)

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(TEXT.__from_arrow__(self.values))


def pair(frame: pd.DataFrame, column: str) -> pa.Array:
    """Environment and id as one name; NA when the id is. A dictionary where both columns are compact.

    Examples
    --------
    >>> pair(pd.DataFrame({"environment_id": ["e"], "flow_id": ["f"]}), "flow_id").to_pylist()
    ['e\\x1ff']
    """
    columns = frame["environment_id"].array, frame[column].array
    if not all(isinstance(c, CompactText) for c in columns):
        return _joined(*map(_arrow, columns))
    place, other = columns
    known = (place.places >= 0) & (other.places >= 0)
    size = max(1, len(other.words))
    which, found = pd.factorize(place.places[known].astype(np.int64) * size + other.places[known])
    words = _joined(place.words.take(pa.array(found // size)), other.words.take(pa.array(found % size)))
    places = np.full(len(frame), -1, np.int32)
    places[known] = which
    return encoded(CompactText.of(words, places))


def _worded(column: object) -> tuple[pa.Array, np.ndarray | None]:
    """Words of a column, and the place of each row's word; plain text has a word for each row."""
    array = column.array if isinstance(column, pd.Series) else column
    if isinstance(array, CompactText):
        used = array.used()
        return used.words, used.places
    if isinstance(array, pa.DictionaryArray):
        return array.dictionary, array.indices.fill_null(-1).to_numpy()
    return _arrow(array), None


def _joined(place: pa.Array, other: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(place, other, pa.scalar(SEPARATOR, pa.large_string()))


def split(names: Names, codes: np.ndarray) -> tuple[pd.api.extensions.ExtensionArray, ...]:
    """Environment and id of codes of flows or connections."""
    text = names.text(codes)
    if not isinstance(text, CompactText):
        return _halves(text)
    every = pa.chunked_array([text.words, pa.nulls(1, pa.large_string())])  # NA last, at the place -1
    return tuple(compact(encoded(half))[text.places] for half in _halves(every))


def _halves(text: object) -> tuple[pd.api.extensions.ExtensionArray, ...]:
    parts = pc.split_pattern(_arrow(text), SEPARATOR, max_splits=1)
    return tuple(TEXT.__from_arrow__(pc.list_element(parts, place)) for place in (0, 1))


def _arrow(column: object) -> pa.Array:
    """A column of text as one Arrow array, without a copy where it is one already; compact text stays compact."""
    if isinstance(column, CompactText):
        return encoded(column).cast(pa.large_string())
    values = column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(pd.Series(column, dtype=TEXT).array)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(pa.large_string())


def pack(values: pa.Array) -> dict[str, np.ndarray]:
    """Text as plain arrays, for `unpack`."""
    if values.offset or not len(values):
        values = pa.array(values.to_pylist(), pa.large_string())
    _, offsets, data = values.buffers()
    count = len(values)
    places = np.frombuffer(offsets, np.int64)[: count + 1] if count else np.zeros(1, np.int64)
    return {"offsets": places, "bytes": np.frombuffer(data, np.uint8)[: places[-1]] if count else np.empty(0, np.uint8)}


def unpack(offsets: np.ndarray, data: np.ndarray) -> pa.Array:
    """The text that `pack` took apart."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
