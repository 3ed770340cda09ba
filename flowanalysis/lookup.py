"""Rows of a frame by the values of one column, in time that does not grow with the frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText


def text_by(ids: pd.Series, texts: pd.Series) -> pd.Series:
    """The text that each id has in a Series indexed by id; NA where it has none.

    Unlike ``map`` alone the answer is text even where nothing is known at all.

    Examples
    --------
    >>> text_by(pd.Series(["a", "b"]), pd.Series({"a": "Ann"})).tolist()
    ['Ann', <NA>]
    """
    return ids.map(texts).astype(TEXT)


def texts(column: pd.Series, places: np.ndarray) -> list[str | None]:
    """Text at few places: taken from all chunks at once they would first be joined, however long the column.

    Examples
    --------
    >>> texts(pd.Series(["a", None, "c"], dtype="string[pyarrow]"), np.array([2, 1]))
    ['c', None]
    """
    array = column.array
    if isinstance(array, CompactText):
        places, chunks = array.places[places], [array.words]
    else:
        whole = pa.array(array)
        chunks = whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
    if len(chunks) == 1:
        return chunks[0].take(pa.array(places, mask=places < 0)).to_pylist()
    starts = np.cumsum([0, *map(len, chunks)])
    chunk = np.searchsorted(starts, places, side="right") - 1
    values = np.full(len(places), None)
    for number in np.unique(chunk):
        here = np.flatnonzero(chunk == number)
        values[here] = chunks[number].take(pa.array(places[here] - starts[number])).to_pylist()
    return values.tolist()


class Lookup:
    """An index over one column, made once: which rows hold a value.

    Parameters
    ----------
    column : Series
        Values; NA is never found.

    Examples
    --------
    >>> Lookup(pd.Series(["a", "b", "a"])).positions(["a", "x"]).tolist()
    [0, 2]
    """

    def __init__(self, column: pd.Series) -> None:
        codes, values = pd.factorize(column)
        # Kept, with the table of hashes that its first question makes; as objects, since questions come as such.
        self._values = pd.Index(np.asarray(values, dtype=object), dtype=object)
        self._codes = codes.astype(np.int32)
        self._order = np.argsort(self._codes, kind="stable").astype(np.int32)
        self._bounds = np.searchsorted(self._codes[self._order], np.arange(len(self._values) + 1))

    def positions(self, values: Iterable[object], *, fan: int | None = None) -> np.ndarray:
        """Row numbers that hold one of the values, in value order; at most `fan` for each value."""
        return self.rows(self.numbers(dict.fromkeys(values)), fan=fan)

    def numbers(self, values: Iterable[object]) -> np.ndarray:
        """The number of each value, for `rows` and `among`; -1 for what no row holds."""
        wanted = list(values)
        if not len(self._values) or not wanted:
            return np.full(len(wanted), -1)
        return self._values.get_indexer(pd.Index(wanted, dtype=object))

    def rows(self, numbers: np.ndarray, *, fan: int | None = None) -> np.ndarray:
        """The rows that hold values, by the numbers of the values; at most `fan` for each."""
        found = numbers[numbers >= 0]
        first = self._bounds[found]
        size = np.minimum(self._bounds[found + 1] - first, len(self._order) if fan is None else fan)
        ends = np.cumsum(size)
        return self._order[np.repeat(first - (ends - size), size) + np.arange(size.sum())]

    def among(self, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Which of some rows hold one of the values of these numbers.

        Examples
        --------
        >>> found = Lookup(pd.Series(["a", "b", "a"]))
        >>> found.among(np.array([1, 2]), found.numbers(["a", "x"])).tolist()
        [False, True]
        """
        flags = np.zeros(len(self._values) + 1, bool)
        flags[numbers] = True
        flags[-1] = False  # rows without a value, and values that no row has
        return flags[self._codes[rows]]

    def counts(self, values: Iterable[object]) -> np.ndarray:
        """How many rows hold each of the values.

        Examples
        --------
        >>> Lookup(pd.Series(["a", "b", "a"])).counts(["a", "x"]).tolist()
        [2, 0]
        """
        found = self.numbers(values)
        return np.where(found >= 0, np.append(np.diff(self._bounds), 0)[found], 0)

    def count(self, value: object) -> int:
        """How many rows hold the value."""
        return int(self.counts([value])[0])
