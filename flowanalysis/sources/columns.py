"""Whole columns of text: looked up, chosen row by row, compared, on their words where rows share them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis import schema
from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText
from flowanalysis.sources import hashes


def look(ids: pd.Series, names: pd.Series) -> pd.Series:
    """What each id is called; `names` has each id once."""
    asked = ids.array
    known = hashes.arrow(names.index)
    if isinstance(asked, CompactText):
        place = np.append(hashes.places(asked.words, known), -1)[asked.places]
    else:
        place = hashes.places(hashes.arrow(asked), known)
    return pd.Series(pd.array(names, dtype=TEXT).take(place, allow_fill=True), index=ids.index)


def filled(told: pd.Series, others: pd.Series) -> pd.Series:
    """The text of each row or, where it is NA, that of the other column, which is taken as it is where all are."""
    return others if told.isna().all() else told.fillna(others)


def same(now: pd.Series, before: pd.Series) -> bool:
    """Whether a column stayed as it was; shared words are compared only by where they are kept."""
    mine, old = now.array, before.array
    if isinstance(mine, CompactText) and isinstance(old, CompactText):
        return mine.places is old.places and mine.words is old.words
    return now.equals(before)


def shared(texts: pd.Series) -> CompactText:
    """Text of which each word is kept once, for rows that are taken many times."""
    if isinstance(array := texts.array, CompactText):
        return array
    told = schema.encoded(array)
    return CompactText.of(told.dictionary, told.indices.fill_null(-1).to_numpy(zero_copy_only=False))


def renamed(column: CompactText, names: pd.Series) -> CompactText:
    """The column with other words: for each of its words a name, NA where it stays.

    Examples
    --------
    >>> column = shared(pd.Series(["a", "b", "a", pd.NA], dtype=TEXT))
    >>> renamed(column, pd.Series(["b", pd.NA], dtype=TEXT)).tolist()
    ['b', 'b', 'b', <NA>]
    """
    rows = np.flatnonzero(names.notna())
    new = shared(names.iloc[rows])
    where = hashes.places(new.words, column.words)
    more = where < 0
    where = np.where(more, len(column.words) + np.cumsum(more) - 1, where)
    places = np.append(np.arange(len(column.words), dtype=np.int32), np.int32(-1))  # the last one is NA's
    places[rows] = where[new.places]
    return CompactText.of(pa.concat_arrays([column.words, new.words.filter(pa.array(more))]), places[column.places])
