"""Values that no export should have: the way through the database says of each what the careful way says."""

from __future__ import annotations

import json

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from flowanalysis import sources
from flowanalysis.sources import bulkcells, bulksheets, bulkvalues, files, lines, values

TIMES = ["2018-13-45T00:00:00Z", "1-34-2020", "2018-1-3", "infinity", "epoch", "2021-03-02T08:11:09.123456789Z"]
TIMES += ["2021-03-02T08:11:09z", "2021-03-02T08:11:09 Z", "2021-03-02", "2021-03-02T08", "2021-03-02T08:11"]
TIMES += ["2021-03-02T08:11:09+25:00", "2021-03-02T24:00:00Z", "2021-02-30T00:00:00Z", "0000-01-01"]
TIMES += ["0001-01-01T00:00:00Z", "0001-99-99", "1066-13-45", "1900-12-31T23:30:00-02:00", "1900-1-1"]
TIMES += ["1901-01-01T00:30:00+02:00", "8999-12-31T23:30:00-02:00", "9000-01-01", "9999-12-31T23:59:59.9999999Z"]
TIMES += ["9998-13-01", "/Date(1700000000000)/", "2021-03-02T08:11:09 Europe/Berlin", "2021-03-02 (BC)"]
TIMES += ["2021-03-02T8:11:09Z", "2021-03-02T\t8:11:09Z", "2021-03-02T08:11:9.Z", "19011-1-03T08:11:09Z"]
TIMES += ["2021/03/02", "2021-03-02T08:11:09\u00a0", "\u3000", "\t", "", "12", "[]", "2021-03-02T08:11:09NZ"]
TIMES += ["2021-03-02T08:11:09.1234567+02:00", "1960-03-02T08:11:09.1234567Z", "2262-05-01T00:00:00Z"]
TIMES += ["1800-01-01T00:00:00Z"]
TEXTS = ["\t", "\u00a0", "\u2003\u1680", "\u3000x", " x", "{}", "[1]", "[EXT] x", "{x}", "Über", "12" * 12, "1.0", "NA"]
IDS = ["{8B4A}", "{ x }", "\u00a0A\t", " {b} ", "A\u0130", "\u03a3", "Ü", "x}", "", "\t", "a b "]
PATHS = ["/x/Y/", "/x/ y", " /x/y ", "/", "{/a}", "\t", "/x/y\t", "/a/b c", "y/ /", "Ünï/É"]


def said(sql: str, word: str) -> object:
    """What the database makes of a text; "careful" where it leaves the text to the careful way."""
    with duckdb.connect() as database:
        database.execute("set TimeZone = 'UTC'")
        try:
            found = database.execute(f"select ({sql})::varchar from (select ?::varchar as p)", [word]).fetchall()
        except duckdb.Error:
            return "careful"
        return found[0][0]


@pytest.mark.parametrize("word", TIMES)
def test_a_time_is_read_as_the_careful_way_reads_it_or_left_to_it(word):
    found = said(bulkvalues.time("p"), word)
    if found == "careful":
        return
    told = values.moment(word)
    assert found == (told and told.isoformat(" ").replace("+00:00", "+00"))
    usual = said(bulkvalues.is_time("p"), word) == "true"
    assert not usual or found is not None


@pytest.mark.parametrize("word", [*TIMES, None])
def test_a_column_of_times_is_read_as_the_careful_way_reads_it_or_left_as_it_is(word):
    column = pa.chunked_array([["2021-03-02T08:11:09.5Z"], [word]], pa.large_string())
    told = bulkcells.times(column)
    assert told is column or told.to_pylist() == [values.moment(w) for w in column.to_pylist()]
    assert told is not column or word not in {None, "2021-03-02T08:11:09.1234567+02:00"}


@pytest.mark.parametrize("repeated", [False, True])
def test_texts_of_blanks_of_any_alphabet_are_nothing(repeated):
    words = [
        "\t",
        "\u00a0",
        "\u2003\u1680",
        "\x1f",
        "\u3000",
        "",
        " ",
        "\u3000x",
        "\u00e4",
        "[EXT] x",
        "{x}",
        None,
        "x",
    ]
    column = pa.array(words, pa.large_string())
    told = bulkcells.texts(column.dictionary_encode() if repeated else column)
    assert told.to_pylist() == [values.text(word) for word in words]


@pytest.mark.parametrize("word", ["[1]", "{}", '{"a": 1}'])
def test_what_may_be_an_object_or_a_list_is_left_to_the_careful_way(word):
    with pytest.raises(duckdb.Error):
        bulkcells.texts(pa.array(["x", word], pa.large_string()))


@pytest.mark.parametrize("word", TEXTS + IDS + PATHS)
def test_a_text_or_an_id_is_read_as_the_careful_way_reads_it_or_left_to_it(word):
    for sql, careful in (
        (bulkvalues.text, values.text),
        (bulkvalues.fold, values.fold),
        (bulkvalues.last, values.last),
    ):
        assert said(sql("p"), word) in {careful(word), "careful"}


def rows_with(kind: str, value: object) -> list[dict]:
    """A row of a family with the value where there is a text, a time and an id."""
    row: dict = {"id": "x1", "userPrincipalName": "x@tailwind.example", "displayName": value}
    if kind == "users":
        return [row | {"createdDateTime": value, "manager": {"id": value}, "department": value}]
    if kind == "groups":
        return [{"id": "g1", "groupTypes": [], "displayName": value, "mail": value}]
    place = "/providers/Microsoft.ProcessSimple/environments/E1/flows/F1"
    end = {"flows": "", "permissions": "/permissions/P1", "runs": "/runs/R1"}.get(kind, "")
    shown = {"displayName": value, "createdTime": value, "startTime": value, "roleName": value, "accountName": value}
    shown |= {"creator": {"objectId": value}, "principal": {"id": value, "type": "User"}, "createdBy": {"id": value}}
    shown |= {"environment": {"name": value}, "apiId": value, "status": value}
    typed = {
        "flows": "Microsoft.ProcessSimple/environments/flows",
        "permissions": "Microsoft.ProcessSimple/environments/flows/permissions",
        "runs": "Microsoft.ProcessSimple/environments/flows/runs",
        "connections": "Microsoft.PowerApps/apis/connections",
    }[kind]
    return [{"name": "N1", "id": place + end, "type": typed, "properties": shown}]


def told_of(path, monkeypatch, *, large: int) -> dict[str, pd.DataFrame]:
    monkeypatch.setattr(files, "LARGE", large)
    harvest = sources.read(path)
    tables = {name: frame for name, frame in harvest.frames.items() if len(frame) and name != "collection_log"}
    return {n: f.sort_values(list(f.columns), ignore_index=True) for n, f in tables.items()}


@pytest.mark.parametrize("value", [TIMES[0], "1-34-2020", "\u00a0", "[1]", "{}", "\t", 12, {"a": 1}, [], "{X}", True])
@pytest.mark.parametrize("kind", ["users", "groups", "flows", "permissions", "runs", "connections"])
def test_tables_and_what_is_set_aside_are_the_same_either_way(tmp_path, monkeypatch, kind, value):
    path = tmp_path / "x.json"
    usual = rows_with(kind, "2021-03-02T08:11:09Z")
    usual = [r | ({"id": r["id"] + "0"} if "name" not in r else {"name": "N0"}) for r in usual]
    path.write_text("\n".join(map(json.dumps, usual * 2 + rows_with(kind, value))), encoding="utf-8")
    monkeypatch.setattr(lines, "FEW", 10)
    quick, careful = (told_of(path, monkeypatch, large=large) for large in (10, 10**9))
    places = {"record", "rejected_at", "source_id"}
    assert quick.keys() == careful.keys()
    for name in quick:
        columns = [c for c in quick[name] if c not in places]
        pd.testing.assert_frame_equal(quick[name][columns], careful[name][columns], obj=name)


def test_a_file_of_rights_leaves_strange_times_to_its_reader():
    assert bulksheets.USUAL["since"].format(kinds="") == f"since is null or {bulkvalues.is_time('since')}"
