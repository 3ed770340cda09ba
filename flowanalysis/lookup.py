"""Rows of a frame by the values of one column, in time that does not grow with the frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from flowanalysis.schema import TEXT


def text_by(ids: pd.Series, texts: pd.Series) -> pd.Series:
    """The text that each id has in a Series indexed by id; NA where it has none.

    Unlike ``map`` alone the answer is text even where nothing is known at all.

    Examples
    --------
    >>> text_by(pd.Series(["a", "b"]), pd.Series({"a": "Ann"})).tolist()
    ['Ann', <NA>]
    """
    return ids.map(texts).astype(TEXT)


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
        self._values = pd.Index(values)  # kept, with the table of hashes that its first question makes
        codes = codes.astype(np.int32)
        self._order = np.argsort(codes, kind="stable").astype(np.int32)
        self._bounds = np.searchsorted(codes[self._order], np.arange(len(self._values) + 1))

    def positions(self, values: Iterable[object], *, fan: int | None = None) -> np.ndarray:
        """Row numbers that hold one of the values, in value order; at most `fan` for each value."""
        wanted = list(dict.fromkeys(values))
        found = self._places(wanted)
        spans = [(self._bounds[i], self._bounds[i + 1]) for i in found if i >= 0]
        cut = [self._order[a : b if fan is None else min(b, a + fan)] for a, b in spans]
        return np.concatenate(cut) if cut else np.empty(0, np.int32)

    def counts(self, values: Iterable[object]) -> np.ndarray:
        """How many rows hold each of the values.

        Examples
        --------
        >>> Lookup(pd.Series(["a", "b", "a"])).counts(["a", "x"]).tolist()
        [2, 0]
        """
        found = self._places(list(values))
        return np.where(found >= 0, np.append(np.diff(self._bounds), 0)[found], 0)

    def count(self, value: object) -> int:
        """How many rows hold the value."""
        return int(self.counts([value])[0])

    def _places(self, values: list[object]) -> np.ndarray:
        return self._values.get_indexer(values) if len(self._values) and values else np.full(len(values), -1)
