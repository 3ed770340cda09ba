"""Whole columns of text: looked up, chosen row by row, compared, on their words where rows share them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import schema
from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText, compact


def look(ids: pd.Series, names: pd.Series) -> pd.Series:
    """What each id is called; `names` has each id once."""
    known = pa.array(pd.array(names.index, dtype=TEXT))
    asked = ids.array if isinstance(ids.array, CompactText) else None
    words = asked.words if asked is not None else pa.array(pd.array(ids, dtype=TEXT))
    place = pc.index_in(words, value_set=known, skip_nulls=True).fill_null(-1).to_numpy(zero_copy_only=False)
    if asked is not None:
        place = np.append(place, -1)[asked.places]
    return pd.Series(pd.array(names, dtype=TEXT).take(place, allow_fill=True), index=ids.index)


def same(now: pd.Series, before: pd.Series) -> bool:
    """Whether a column stayed as it was; shared words are compared only by where they are kept."""
    mine, old = now.array, before.array
    if isinstance(mine, CompactText) and isinstance(old, CompactText):
        return mine.places is old.places and mine.words is old.words
    return now.equals(before)


def chosen(first: np.ndarray, one: pd.Series, other: pd.Series) -> pd.api.extensions.ExtensionArray:
    """Of each row the text of `one` or of `other`."""
    both = pd.concat([one, other], ignore_index=True).array
    return both.take(np.arange(len(first)) + np.where(first, 0, len(first)))


def shared(words: pd.Series) -> pd.api.extensions.ExtensionArray:
    """Text whose rows are to be taken many times: each word is kept once."""
    return compact(schema.encoded(words))
