"""A compact column of text answers everything as the plain column does."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText, compact, encoded

WORDS = st.lists(st.sampled_from(["a", "B", "", "ä b", "ab", "NA", None]), max_size=30)


def both(words: list[str | None]) -> tuple[pd.Series, pd.Series]:
    """The same column plain and compact; the compact one has words that no row uses."""
    kept = compact(pa.array([*words, "unused", "a", "B", "ab"]).dictionary_encode().slice(0, len(words)))
    assert isinstance(kept, CompactText)
    return pd.Series(words, dtype=TEXT), pd.Series(kept)


OPERATIONS = {
    "equals": lambda s: s == "a",
    "differs": lambda s: s != "a",
    "below": lambda s: s < "b",
    "same column": lambda s: s == s.shift(),
    "isna": lambda s: s.isna(),
    "isin": lambda s: s.isin(["a", "zz"]),
    "isin NA": lambda s: s.isin(["a", None]),
    "map dict": lambda s: s.map({"a": 1, "ab": 2}),
    "map series": lambda s: s.map(pd.Series({"a": "x", "B": "y"}, dtype=TEXT)),
    "map function": lambda s: s.map(lambda v: v * 2, na_action="ignore"),
    "lower": lambda s: s.str.lower(),
    "upper": lambda s: s.str.upper(),
    "contains": lambda s: s.str.contains("a", regex=False),
    "startswith": lambda s: s.str.startswith("a"),
    "startswith no NA": lambda s: s.str.startswith(("a", "B"), na=False),
    "join": lambda s: s + "-" + s,
    "every second": lambda s: s[::2],
    "backwards": lambda s: s[::-1],
    "chosen": lambda s: s[(s == "a").fillna(False).astype(bool)],
    "reindex": lambda s: s.reindex(range(-2, len(s) + 2)),
    "dropna": lambda s: s.dropna(),
    "fillna": lambda s: s.fillna("none"),
    "fillna column": lambda s: s.fillna(s.shift()),
    "sorted": lambda s: s.sort_values(kind="stable"),
    "duplicated": lambda s: s.duplicated(),
    "drop duplicates": lambda s: s.drop_duplicates(),
    "counts": lambda s: s.value_counts(dropna=False).sort_index(),
    "unique": lambda s: pd.Series(s.unique()),
    "groups": lambda s: pd.Series(range(len(s))).groupby(s, dropna=False).sum(),
    "merge": lambda s: s.to_frame("k").merge(pd.DataFrame({"k": pd.array(["a", "ab"], TEXT), "v": [1, 2]}), how="left"),
    "concat": lambda s: pd.concat([s, s.iloc[:3], pd.Series(["c"], dtype=TEXT)], ignore_index=True),
    "concat compact": lambda s: pd.concat([s, s.iloc[1:4]], ignore_index=True),
    "where": lambda s: s.where(s.notna(), "x"),
    "categories": lambda s: s.astype("category"),
    "objects": lambda s: pd.Series(s.to_numpy(object), dtype=object),
    "text of numpy": lambda s: pd.Series(s.fillna("").to_numpy("U4")),
    "iterated": lambda s: pd.Series(list(s), dtype=TEXT),
    "pickled": lambda s: pickle.loads(pickle.dumps(s)),  # noqa: S301  our own bytes
    "frame": lambda s: s.to_frame("a").assign(b=s)[["b", "a"]].iloc[1:].reset_index(drop=True),
    "arrow": lambda s: pd.Series(pa.array(s.array).to_pylist(), dtype=TEXT),
    "factorize": lambda s: pd.Series(pd.factorize(s)[0]),
    "factorize NA": lambda s: pd.Series(pd.factorize(s, use_na_sentinel=False)[0]),
    "words of factorize": lambda s: pd.Series(pd.factorize(s)[1], dtype=TEXT),
    "largest": lambda s: pd.Series([s.max(), s.min()], dtype=TEXT),
    "rank": lambda s: s.rank(),
    "json": lambda s: pd.Series([s.to_json()]),
}


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=25, deadline=None)
@given(words=WORDS)
def test_every_operation_is_that_of_plain_text(name, words):
    plain, kept = both(words)
    expected, found = OPERATIONS[name](plain), OPERATIONS[name](kept)
    (pd.testing.assert_frame_equal if isinstance(expected, pd.DataFrame) else pd.testing.assert_series_equal)(
        found, expected
    )
    pd.testing.assert_series_equal(kept, plain)  # and the column itself is as before


SETTERS = {
    "one": ([0], "new"),
    "known word": ([1], "a"),
    "mask": (np.array([True, False, True, False]), "b"),
    "missing": ([2], pd.NA),
    "several": ([0, 3], ["x", None]),
    "slice": (slice(1, 3), "y"),
}


@pytest.mark.parametrize("name", SETTERS)
def test_setting_values_is_that_of_plain_text_and_leaves_copies_alone(name):
    plain, kept = both(["a", None, "B", "a"])
    before = kept.copy()
    key, value = SETTERS[name]
    plain.iloc[key], kept.iloc[key] = value, value
    pd.testing.assert_series_equal(kept, plain)
    assert before.tolist() == ["a", pd.NA, "B", "a"]


@pytest.mark.parametrize(
    ("indices", "options", "error"),
    [([9], {}, IndexError), ([-2], {"allow_fill": True}, ValueError), ([0], {"on": []}, IndexError)],
)
def test_rows_that_are_not_there_are_refused(indices, options, error):
    words = options.pop("on", ["a", "b"])
    with pytest.raises(error):
        both(words)[1].array.take(indices, **options)


def test_what_is_no_text_is_refused():
    _, kept = both(["a"])
    with pytest.raises(TypeError):
        kept.iloc[0] = 5


def test_strings_are_not_made_for_what_words_can_answer():
    kept = compact(pa.array(["a", "b", None] * 5).dictionary_encode())
    column = pd.Series(kept)
    _ = column == "a", column.isin(["b"]), column.map({"a": 1}), column[column.notna()], pd.factorize(column)
    _ = column.drop_duplicates(), column.str.lower(), column.to_numpy(), encoded(column)
    assert kept._text is None
    assert kept.nbytes < 15 * 4 + 40


def test_dictionaries_that_repeat_a_word_or_hold_na_become_plain():
    odd = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["a", "a", None]))
    made = compact(odd)
    assert not isinstance(made, CompactText)
    assert made.tolist() == ["a", "a", pd.NA]


def test_pieces_with_different_words_become_one():
    pieces = pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", None]).dictionary_encode()])
    made = compact(pieces)
    assert isinstance(made, CompactText)
    assert made.tolist() == ["a", "b", "b", pd.NA]
    assert encoded(made).to_pylist() == ["a", "b", "b", None]


def test_a_part_of_a_read_only_column_is_read_only():
    _, kept = both(["a", "b"])
    shown = kept.array
    shown._readonly = True
    with pytest.raises(ValueError, match="read-only"):
        shown[:1][0] = "c"
