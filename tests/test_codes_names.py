"""Ids as integers: whichever of the two tables is hashed, and however the column keeps its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flowanalysis.codes import Names
from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import compact, encoded

IDS = [f"id-{number:03}" for number in range(200)]
ROWS = [*IDS[::-1], None, "stranger", "", *IDS[50:60]]


@pytest.mark.parametrize("some", [slice(0), slice(3), slice(195, 206), slice(None)])
@pytest.mark.parametrize("kept_once", [False, True])
def test_every_id_has_its_place_in_alphabetical_order_and_every_other_none(*, some: slice, kept_once: bool) -> None:
    names = Names.of([pd.Series(IDS[::-1], dtype=TEXT)])
    column = pd.Series(ROWS, dtype=TEXT)
    if kept_once:
        column = pd.Series(compact(encoded(column)))
    found = names.codes(column[some])
    assert found.dtype == np.int32
    assert found.tolist() == [IDS.index(row) if row in IDS else -1 for row in ROWS[some]]
