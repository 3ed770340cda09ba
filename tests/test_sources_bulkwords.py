"""What is asked of each distinct text is what would be asked of each row."""

from __future__ import annotations

import random

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from flowanalysis.sources import bulkpower, bulkwords
from flowanalysis.sources.bulksql import Asked

WORDS = ["shared_sql", "/x/apis/Shared_SQL", "a b ", "/x/y/", "", " ", None, "Ünï", "{X}"]


@pytest.fixture
def database():
    with duckdb.connect() as found:
        found.execute("set arrow_large_buffer_size = true")
        yield found


def texts(words: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(words[n : n + 7], pa.large_string()) for n in range(0, len(words), 7)])


def test_entries_of_maps_are_rows_with_the_columns_of_their_row(database):
    maps = "(values ('f1', 'E', map {'A': {'id': 'x', 'api': {'name': 'n'}}, 'B': null}), ('f2', 'E', null), "
    maps += "('f3', 'E', map {'C': {'id': 'y', 'api': null}}), ('f4', 'E', map {}))"
    rows = database.sql(f"select * from {maps} as t(flow_id, environment_id, entries)").to_arrow_table()
    found = bulkwords.entries(rows, "entries", "environment_id", "flow_id")
    assert found.to_pylist() == [
        {"environment_id": "E", "flow_id": "f1", "key": "A", "id": "x", "api.name": "n"},
        {"environment_id": "E", "flow_id": "f3", "key": "C", "id": "y", "api.name": None},
    ]
    assert found.slice(0, 0).equals(bulkwords.entries(rows.slice(3), "entries", "environment_id", "flow_id"))


@pytest.mark.parametrize("repeats", [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("column", bulkpower.REFERENCES)
def test_a_column_is_the_same_whether_its_words_repeat_or_not(database, column, repeats):
    asked, draw = bulkpower.REFERENCES[column], random.Random(column)
    plain = pa.table({path: texts(draw.choices(WORDS, k=200)) for path in asked.paths})
    sides = dict(zip(asked.paths, repeats, strict=False))
    told = pa.table(
        {
            p: plain[p].dictionary_encode().unify_dictionaries().combine_chunks() if r else plain[p]
            for p, r in sides.items()
        }
    )
    found = bulkwords.worked(database, told, {column: asked})[column]
    database.register("plain", plain)
    assert found.to_pylist() == [r for (r,) in database.sql(f"select {asked.sql} from plain").fetchall()]


@pytest.mark.parametrize("words", [["a", "b"], ["a", "b/c"], ["a", "b "], ["a", ""], ["a", None]])
def test_texts_are_their_own_answers_only_where_none_has_a_letter_that_counts(database, words):
    asked = Asked("split_part(coalesce(nullif(trim(first), ''), second), '/', -1)", ("first", "second"), without=b" /")
    rows = pa.table({"first": texts(words), "second": texts(["X"] * len(words))})
    kept = bulkwords.worked(database, rows, {"answer": asked})["answer"].to_pylist()
    assert kept == [(word or "X").strip().split("/")[-1] for word in words]


def test_distinct_rows_are_those_that_occur():
    draw = random.Random(3)
    rows = pa.table({c: texts(draw.choices(WORDS[: 4 + n], k=300)) for n, c in enumerate("abc")})
    found, places = bulkwords.combined(rows)
    spread = found.take(pa.array(places))
    assert spread.to_pylist() == rows.to_pylist()
    assert len(found) == len({tuple(r.items()) for r in rows.to_pylist()})


def test_many_columns_of_many_words_do_not_overflow():
    draw = np.random.default_rng(5)
    rows = pa.table({str(n): texts(draw.integers(0, 900, 1000).astype(str).tolist()) for n in range(9)})
    found, places = bulkwords.combined(rows)
    assert found.take(pa.array(places)).equals(rows.combine_chunks().cast(found.schema))
