"""Columns whose words repeat only here and there among millions of rows: each word is kept once.

A glance at a file shows words that come again at once. What is named a few times in millions of rows shows only in a
sample of all of them: the fewer words there are, the more of them are met again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import schema
from flowanalysis.schema.compact import CompactText, compact
from flowanalysis.sources import hashes

ROWS = 1_000_000
"""Rows of a table from which its columns are looked at."""
SAMPLE = 20_000
"""Rows that are taken from all parts of a column."""
OFTEN = 7
"""Times that a word comes, in the mean, where keeping it once pays."""


def kept_once(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows; of large columns of text in which words repeat, each word is kept once."""
    if len(frame) < ROWS:
        return frame
    texts = {c: frame[c].array for c in frame.columns if frame[c].dtype == schema.TEXT}
    plain = {c: hashes.arrow(t) for c, t in texts.items() if not isinstance(t, CompactText)}
    often = {c: compact(schema.encoded(text), distinct=True) for c, text in plain.items() if repeats(text)}
    return frame.assign(**often) if often else frame


def repeats(text: pa.Array) -> bool:
    """Whether words of a long column come often, as far as a sample tells.

    The words that the sample misses are guessed from those it has once and those it has twice, so that a few words
    which half of the rows have do not speak for the rest.
    """
    rows = np.linspace(0, len(text) - 1, SAMPLE).astype(np.int64)
    count = pc.value_counts(text.take(pa.array(rows)).drop_null()).field("counts").to_numpy()
    once, twice = int((count == 1).sum()), int((count == 2).sum())
    words = len(count) + once * (once - 1) / 2 / (twice + 1)
    return len(count) > 0 and len(text) - text.null_count > OFTEN * words
