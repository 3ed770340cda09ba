"""Texts found by their hashes: what a plain loop finds, also where different texts have one hash."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowanalysis.schema import TEXT
from flowanalysis.sources import columns, hashes

TEXTS = st.lists(st.none() | st.text("abä", max_size=3), max_size=12)


def hashed(monkeypatch: pytest.MonkeyPatch, *, collide: bool) -> None:
    """Nothing is too short for hashes; with `collide` there are only two of them."""
    real = hashes.hashes
    monkeypatch.setattr(hashes, "FEW", 0)
    if collide:
        monkeypatch.setattr(hashes, "hashes", lambda rows: real(rows) % np.uint64(2))


def text(values: list) -> pa.Array:
    return pa.array(values, pa.large_string())


@pytest.mark.parametrize("way", ["table", "hashes", "collisions"])
def test_texts_are_found_where_a_loop_finds_them(way):
    @settings(max_examples=20, deadline=None)
    @given(TEXTS, TEXTS)
    def holds(asked, known):
        first = {word: place for place, word in reversed(list(enumerate(known)))}
        expected = [-1 if word is None else first.get(word, -1) for word in asked]
        assert hashes.places(text(asked), text(known)).tolist() == expected

    with pytest.MonkeyPatch.context() as patch:
        if way != "table":
            hashed(patch, collide=way == "collisions")
        holds()


@pytest.mark.parametrize("way", ["table", "hashes", "collisions"])
def test_equal_texts_have_one_number_and_na_the_last(way):
    @settings(max_examples=20, deadline=None)
    @given(TEXTS)
    def holds(texts):
        group, size = hashes.groups(text(texts))
        assert [a == b for a in group for b in group] == [a == b for a in texts for b in texts]
        assert all((number == size - 1) == (word is None) for number, word in zip(group, texts, strict=True))
        assert not len(group) or (min(group) >= 0 and max(group) < size)

    with pytest.MonkeyPatch.context() as patch:
        if way != "table":
            hashed(patch, collide=way == "collisions")
        holds()


@given(TEXTS, st.data())
@settings(max_examples=30, deadline=None)
def test_a_renamed_column_is_what_a_loop_over_its_rows_gives(texts, data):
    column = columns.shared(pd.Series(texts, dtype=TEXT))
    names = data.draw(st.lists(st.none() | st.sampled_from(["a", "b", "new"]), min_size=len(column.words),
                               max_size=len(column.words)))  # fmt: skip
    told = {word: name or word for word, name in zip(column.words.to_pylist(), names, strict=True)}
    found = columns.renamed(column, pd.Series(names, dtype=TEXT))
    assert found.to_numpy(object, na_value=None).tolist() == [told.get(word) for word in texts]
    assert len(found.words.unique()) == len(found.words)


@pytest.mark.parametrize("way", ["hashes", "collisions"])
@pytest.mark.parametrize("piece", [1, 2, 100])
def test_a_dictionary_by_hashes_is_the_one_that_arrow_makes(way, piece):
    @settings(max_examples=20, deadline=None)
    @given(st.lists(TEXTS, max_size=4))
    def holds(chunks):
        column = pa.chunked_array([text(c) for c in chunks], pa.large_string())
        made = hashes.dictionary(column)
        assert made.type == pa.dictionary(pa.int32(), pa.large_string())
        assert made.equals(column.combine_chunks().dictionary_encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "PIECE", piece)
        if way == "collisions":
            hashed(patch, collide=True)
        holds()


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, max_size=4), st.data())
def test_rows_are_taken_from_the_pieces_in_which_they_lie(chunks, data):
    column = pa.chunked_array([text(c) for c in chunks], pa.large_string())
    rows = sorted(data.draw(st.sets(st.integers(0, len(column) - 1)))) if len(column) else []
    whole = column.to_pylist()
    assert hashes.taken(column, np.array(rows, np.int64)).to_pylist() == [whole[n] for n in rows]
