"""How many words a long column has is guessed from a sample; what is kept once for it reads as before."""

import numpy as np
import pyarrow as pa
import pytest

from flowanalysis.sources import bulkids, repeats


def ids(words: int, rows: int) -> pa.Array:
    drawn = np.random.default_rng(5).integers(0, words, rows)
    return pa.array([f"id-{n:07d}" for n in range(words)], pa.large_string()).take(pa.array(drawn))


@pytest.mark.parametrize(("words", "often"), [(10, True), (3_000, True), (50_000, False), (500_000, False)])
def test_a_sample_tells_whether_words_come_often(words: int, often: bool):
    assert repeats.often(ids(words, 100_000), times=7) is often


@pytest.mark.parametrize("words", [20, 3_000, 30_000])
def test_the_guess_is_near_the_number_of_words(words: int):
    assert repeats.words(ids(words, 400_000)) == pytest.approx(words, rel=0.3)


def test_a_few_words_in_half_of_the_rows_do_not_speak_for_the_rest():
    text = pa.concat_arrays([ids(5, 50_000), ids(40_000, 50_000)])
    assert not repeats.often(text, times=7)


@pytest.mark.parametrize("text", [[], [None] * 50_000, ["a"], [str(n) for n in range(50_000)]])
def test_nothing_and_what_is_told_once_do_not_come_often(text: list[str | None]):
    assert not repeats.often(pa.array(text, pa.large_string()), times=7)


def test_only_long_columns_are_looked_at_as_a_whole(monkeypatch: pytest.MonkeyPatch):
    spread = pa.chunked_array([ids(4_000, 25_000), ids(4_000, 25_000)])
    alone = pa.chunked_array([[f"g{n}" for n in range(50_000)]], pa.large_string())
    assert bulkids.kept(spread, "member_id").equals(pa.concat_arrays(spread.chunks))
    monkeypatch.setattr(bulkids, "LONG", 50_000)
    told = bulkids.kept(spread, "member_id")
    assert isinstance(told, pa.DictionaryArray)
    assert told.cast(pa.large_string()).equals(pa.concat_arrays(spread.chunks))
    assert len(told.dictionary) == len(set(told.to_pylist()))
    assert pa.types.is_large_string(bulkids.kept(alone, "member_id").type)
