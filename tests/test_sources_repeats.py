"""Columns whose words turn out to repeat are kept as words and places; nothing else changes."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flowanalysis import schema
from flowanalysis.schema.compact import CompactText
from flowanalysis.sources import repeats
from flowanalysis.sources.merge import Part, merge


def ids(words: int, rows: int) -> pa.Array:
    drawn = np.random.default_rng(5).integers(0, words, rows)
    return pa.array([f"id-{n:07d}" for n in range(words)], pa.large_string()).take(pa.array(drawn))


@pytest.mark.parametrize(("words", "often"), [(10, True), (3_000, True), (50_000, False), (500_000, False)])
def test_a_sample_tells_whether_words_come_often(words: int, often: bool):
    assert repeats.repeats(ids(words, 100_000)) is often


def test_a_few_words_in_half_of_the_rows_do_not_speak_for_the_rest():
    text = pa.concat_arrays([ids(5, 50_000), ids(40_000, 50_000)])
    assert not repeats.repeats(text)


@pytest.mark.parametrize("text", [[], [None] * 50_000, ["a"], [str(n) for n in range(50_000)]])
def test_nothing_and_what_is_told_once_do_not_repeat(text: list[str | None]):
    assert not repeats.repeats(pa.array(text or ["x"], pa.large_string()))


def test_only_columns_that_repeat_in_large_tables_change(monkeypatch: pytest.MonkeyPatch):
    rows = pd.DataFrame({"member_id": ids(500, 40_000), "group_id": [f"g{n}" for n in range(40_000)]}).astype(
        schema.TEXT
    )
    frame = schema.frame("memberships", rows)
    assert repeats.kept_once(frame) is frame
    monkeypatch.setattr(repeats, "ROWS", 40_000)
    kept = repeats.kept_once(frame)
    compact = {c for c in kept.columns if isinstance(kept[c].array, CompactText)}
    assert "member_id" in compact
    assert "group_id" not in compact
    pd.testing.assert_frame_equal(kept, frame)
    part = Part("memberships", frame, "graph group members")
    pd.testing.assert_frame_equal(merge("memberships", [part]).frame, frame)
