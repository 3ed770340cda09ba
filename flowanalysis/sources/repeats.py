"""How many distinct words a long column has, guessed from a sample of all of its rows.

A glance at a file shows words that come again at once. What is named a few times in millions of rows shows only in a
sample of all of them: the fewer words there are, the more of them are met again.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.sources import hashes

SAMPLE = 20_000
"""Rows that are taken from all parts of a column."""


def words(text: pa.Array | pa.ChunkedArray) -> float:
    """About how many distinct words there are.

    Those that the sample misses are guessed from those it has once and those it has twice, so that a few words which
    half of the rows have do not speak for the rest.
    """
    rows = np.unique(np.linspace(0, len(text) - 1, min(SAMPLE, len(text))).astype(np.int64))
    column = text if isinstance(text, pa.ChunkedArray) else pa.chunked_array([text])
    count = pc.value_counts(hashes.taken(column, rows).drop_null()).field("counts").to_numpy()
    once, twice = int((count == 1).sum()), int((count == 2).sum())
    return len(count) + once * (once - 1) / 2 / (twice + 1)


def often(text: pa.Array | pa.ChunkedArray, *, times: int) -> bool:
    """Whether each word comes this often in the mean, as far as the sample tells."""
    known = len(text) - text.null_count
    return known > 0 and known > times * words(text)
