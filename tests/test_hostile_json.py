"""Broken JSON and bombs at every door where files come in; each check first shows what a careless reader would do."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import sqlite3
import time
import tracemalloc
import zipfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowanalysis import schema, sources
from flowanalysis.collect.body import parse
from flowanalysis.collect.limits import Malformed
from flowanalysis.definitions import read_definition
from flowanalysis.errors import DefinitionError, FlowAnalysisError, InputError, PolicyError
from flowanalysis.exceptions import read_exceptions
from flowanalysis.policy import load_policy
from flowanalysis.register import read as read_register
from flowanalysis.register import write as write_register
from flowanalysis.sources import files

MEMORY = 100 * 2**20


@pytest.fixture(scope="module")
def torture(corpus):
    """Names and bytes: y_ must be read, n_ must be refused, i_ may be either."""
    places = sorted((corpus / "hostile" / "jsontestsuite" / "test_parsing").glob("*.json"))
    found = {p.name: p.read_bytes() for p in places}
    assert Counter(n[0] for n in found) >= Counter(y=95, n=188, i=35)
    return found


def careless(data: bytes) -> bool:
    """Whether Python's own reader takes it; a crash counts as taking it."""
    try:
        json.loads(data)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def test_a_careless_reader_takes_broken_json_or_crashes(torture):
    assert sum(careless(d) for n, d in torture.items() if n[0] == "n") >= 3


def answer(data: bytes, tmp_path) -> str:
    """read, told (something was set aside and said) or refused."""
    place = tmp_path / "export.json"
    place.write_bytes(data)
    documents = list(files.documents(place, name=place.name, workspace=tmp_path))
    if any(isinstance(d, InputError) for d in documents):
        return "refused"
    return "told" if any(d.rejects or d.notes for d in documents) else "read"


# Bare words and numbers are no JSON export: they are read as a table in text, and no reader knows such a table.
SAID = {"n_structure_double_array.json"}  # [][]: two values one after the other, as some tools write pages


def test_files_of_broken_json_are_refused_or_told_and_good_ones_read(torture, tmp_path):
    answers = {n: answer(d, tmp_path) for n, d in torture.items() if d.lstrip()[:1] in (b"{", b"[")}
    bad = {n for n, a in answers.items() if n[0] == "n" and a == "read"}
    assert bad <= SAID
    good = {n for n, a in answers.items() if n[0] == "y" and a != "read"}
    assert all("duplicated" in n for n in good)  # a key that stands twice: nobody knows which one holds
    assert len(answers) > 250


def test_no_broken_file_gives_a_row_and_none_stops_the_others(torture, tmp_path, root):
    for name, data in torture.items():
        (tmp_path / name).write_bytes(data)
    users = [{"id": "u1", "userPrincipalName": "ann@fabrikam.example", "displayName": "Ann", "accountEnabled": True}]
    (tmp_path / "users.json").write_text(json.dumps({"value": users}), encoding="utf-8")
    harvest = sources.read(tmp_path)
    assert [n for n, shape in harvest.shapes.items() if shape] == ["users.json"]
    assert harvest.frames["identities"]["identity_id"].tolist() == ["u1"]
    assert {r["file"].partition("!")[0] for r in harvest.rejected} >= {n for n in torture if n[0] == "n"}


def test_definitions_of_broken_json_are_a_named_error(torture):
    for data in torture.values():
        with pytest.raises(DefinitionError):  # none of them is a flow
            read_definition(data)


def test_good_values_are_taken_inside_a_definition(torture):
    for name, data in torture.items():
        if name[0] == "y" and not data.startswith(b"\xef\xbb\xbf"):
            whole = b'{"triggers": {}, "actions": {"A": {"type": "Compose", "inputs": ' + data + b"}}}"
            assert read_definition(whole).action_count == 1, name


def test_answers_of_a_server_that_are_broken_json_are_refused(torture):
    for name, data in torture.items():
        if name[0] == "n":
            with pytest.raises(Malformed):
                parse(data)


# Archives


def zipped(entries, *, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def database(tmp_path) -> bytes:
    """A directory whose rows compute a value of a gigabyte each."""
    place = tmp_path / "made.db"
    with sqlite3.connect(place) as made:
        for table in ("ServicePrincipals", "RoleDefinitions"):
            made.execute(f"CREATE TABLE {table} (objectId TEXT)")
        made.execute("CREATE TABLE Users (objectId TEXT, displayName AS (hex(zeroblob(400000000))))")
        made.execute("INSERT INTO Users (objectId) VALUES ('u1')")
    made.close()
    return place.read_bytes()


def parquet(tmp_path) -> bytes:
    """A hundred million equal rows in a few kilobytes."""
    place = tmp_path / "made.parquet"
    names = ["puser", "ptenant", "userPrincipalName"]
    part = pa.table({n: pa.DictionaryArray.from_arrays(pa.array([0] * 2**20, pa.int8()), ["x" * 100]) for n in names})
    with pq.ParquetWriter(place, part.schema) as writer:
        for _ in range(24):
            writer.write_table(part)
    return place.read_bytes()


def entities() -> bytes:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{levels}]><x>&e9;</x>'.encode()


WORKFLOW = b'{"properties": {"definition": {"triggers": {}, "actions": {}}}, "schemaVersion": "1"}'
FLOW = ("Workflows/A-0a6f2f0e-4a3c-4d0e-9c11-000000000001.json", WORKFLOW)
SHEET = [("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")]
OUTSIDE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
BOMBS = {
    "ratio": lambda _: zipped([("a.json", b"[" + b" " * 30_000_000 + b"]")]),
    "sum": lambda _: zipped([(f"{n}.json", b"0" * 200_000) for n in range(1_400)]),
    "entries": lambda _: zipped([(f"{n}", b"") for n in range(5_100)], method=zipfile.ZIP_STORED),
    "depth": lambda _: nested(),
    "gzip": lambda _: gzip.compress(b"\0" * 2**27),
    "gzip in zip": lambda _: zipped([("a.json.gz", gzip.compress(b"[" + b" " * 2**26 + b"]"))]),
    "workbook": lambda _: zipped([*SHEET, ("xl/sharedStrings.xml", b"<sst>" + b"<si/>" * 6_000_000 + b"</sst>")]),
    "entities in a workbook": lambda _: zipped([*SHEET, ("xl/sharedStrings.xml", entities())]),
    "outside entity": lambda _: zipped([*SHEET, ("xl/sharedStrings.xml", OUTSIDE)]),
    "entities in a solution": lambda _: zipped([FLOW, ("customizations.xml", entities())]),
    "database": database,
    "rows": parquet,
    "nesting": lambda _: b"[" * 3_000_000,
    "numbers": lambda _: b'{"value": [' + b"9" * 2_000_000 + b"]}",
    "broken Parquet": lambda _: b"PAR1" + b"\0" * 100 + b"PAR1",
    "broken database": lambda _: b"SQLite format 3\0" + b"\xff" * 5_000,
    "broken zip": lambda _: b"PK\x03\x04" + b"\0" * 200,
}


def nested() -> bytes:
    data = b"{}"
    for depth in range(40):
        data = zipped([(f"{depth}.zip" if depth else "a.json", data)])
    return data


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_and_the_rest_is_read(bomb, tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "bomb").write_bytes(BOMBS[bomb](tmp_path))
    users = {"value": [{"id": "u9", "userPrincipalName": "ann@fabrikam.example", "accountEnabled": True}]}
    (folder / "users.json").write_text(json.dumps(users), encoding="utf-8")
    tracemalloc.start()
    started = time.monotonic()
    harvest = sources.read(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - started < 20
    assert peak < MEMORY
    assert any(r["file"].startswith("bomb") for r in harvest.rejected)
    assert harvest.frames["identities"]["identity_id"].tolist() == ["u9"]


def test_the_bombs_would_go_off_in_careless_hands(tmp_path):
    with zipfile.ZipFile(io.BytesIO(BOMBS["ratio"](tmp_path))) as archive:
        assert archive.infolist()[0].file_size > 200 * archive.infolist()[0].compress_size
    with contextlib.closing(sqlite3.connect(":memory:")) as free:  # any row may claim hundreds of megabytes
        assert free.execute("SELECT length(zeroblob(400000000))").fetchone() == (400_000_000,)
    assert len(parquet(tmp_path)) < 2**20


def test_a_solution_with_entities_still_gives_its_flows(tmp_path):
    (tmp_path / "s.zip").write_bytes(BOMBS["entities in a solution"](tmp_path))
    assert len(sources.read(tmp_path).frames["flows"]) == 1


# Files that a company edits


@pytest.mark.parametrize(
    "text",
    [
        "a=" + "[" * 50_000,
        "a=" + "{b=" * 3_000 + "1",
        ".".join("a" * 5_000) + "=1",
        "x" * 1_100_000,
        "a = 1\na = 2",
        "\x00",
        "[limits]\nx = nan",
    ],
)
def test_an_absurd_policy_is_refused_by_name(text, tmp_path):
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    with pytest.raises(FlowAnalysisError):
        load_policy(tmp_path / "p.toml")


@pytest.mark.parametrize("read", [read_register, read_exceptions])
@pytest.mark.parametrize("content", [b"account\na\rb\n", b"account\n" + b"a,b\n" * 3_000_000, b"\xff\xfe\x00"])
def test_an_absurd_register_is_refused_by_name(read, content, tmp_path):
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises((PolicyError, FlowAnalysisError)):
        read(tmp_path / "r.csv")


def test_what_a_guard_changed_in_a_register_comes_back(tmp_path):
    notes = ["=1+1", "a;=1+1", "x; -y", "'tis", "plain"]
    rows = [{"account": f"svc{n}@fabrikam.example", "purpose": note} for n, note in enumerate(notes)]
    write_register(schema.frame("register", rows), tmp_path / "r.csv")
    assert read_register(tmp_path / "r.csv")["purpose"].tolist() == notes
