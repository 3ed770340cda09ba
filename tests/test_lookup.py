"""Finding rows by value: the same as asking every row."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from flowanalysis.lookup import Lookup

values = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), max_size=40)


@given(values, st.sets(st.sampled_from("abcxyz")))
def test_positions_equal_a_search_through_all_rows(column, wanted):
    series = pd.Series(column, dtype=pd.StringDtype("pyarrow", na_value=pd.NA))
    found = Lookup(series).positions(sorted(wanted))
    assert sorted(found.tolist()) == [i for i, v in enumerate(column) if v in wanted]


@given(values)
def test_count_equals_a_search_through_all_rows(column):
    series = pd.Series(column, dtype=pd.StringDtype("pyarrow", na_value=pd.NA))
    assert Lookup(series).count("a") == column.count("a")


def test_fan_limits_the_rows_of_each_value():
    lookup = Lookup(pd.Series(list("aaabbb")))
    assert lookup.positions(["a", "b"], fan=2).tolist() == [0, 1, 3, 4]
