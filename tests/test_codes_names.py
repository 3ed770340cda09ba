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


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3), (0,), ()])
def test_names_and_the_codes_of_all_columns_come_from_one_look_at_each_word(order: tuple[int, ...]) -> None:
    column = pd.Series(ROWS, dtype=TEXT)
    spans = [slice(0), slice(3, 90), slice(80, None), slice(60, 140)]
    kinds = [column, pd.Series(compact(encoded(column))), column, pd.Series(compact(encoded(column[::-1])))[::-1]]
    columns = [kinds[number][spans[number]] for number in order]
    names, codes = Names.interned(columns)
    told = {row for number in order for row in ROWS[spans[number]]}
    assert names.values.to_pylist() == sorted(row for row in told if row)
    assert [of.dtype for of in codes] == [np.int32] * len(columns)
    assert [of.tolist() for of in codes] == [names.codes(of).tolist() for of in columns]
