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
        codes, self._values = pd.factorize(column)
        codes = codes.astype(np.int32)
        self._order = np.argsort(codes, kind="stable").astype(np.int32)
        self._bounds = np.searchsorted(codes[self._order], np.arange(len(self._values) + 1))

    def positions(self, values: Iterable[object], *, fan: int | None = None) -> np.ndarray:
        """Row numbers that hold one of the values, in value order; at most `fan` for each value."""
        wanted = list(dict.fromkeys(values))
        found = pd.Index(self._values).get_indexer(wanted) if len(self._values) and wanted else np.empty(0, int)
        spans = [(self._bounds[i], self._bounds[i + 1]) for i in found if i >= 0]
        cut = [self._order[a : b if fan is None else min(b, a + fan)] for a, b in spans]
        return np.concatenate(cut) if cut else np.empty(0, np.int32)

    def count(self, value: object) -> int:
        """How many rows hold the value."""
        found = pd.Index(self._values).get_indexer([value])[0] if len(self._values) else -1
        return 0 if found < 0 else int(self._bounds[found + 1] - self._bounds[found])
