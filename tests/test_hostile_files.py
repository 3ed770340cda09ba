"""A folder full of traps, each beside its harmless like: what is sound is read, what is not is named, nothing acts."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sqlite3
import struct
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest

from flowanalysis import sources

ENTRY = {"userPrincipalName": "ann@fabrikam.example", "displayName": "Ann", "accountEnabled": True}


def users(name: str) -> bytes:
    """A page with one user whose id is the name of the case."""
    return json.dumps({"value": [{"id": name, **ENTRY}]}).encode()


def zipped(*entries: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def spoiled(data: bytes, mark: bytes, at: int, value: bytes) -> bytes:
    """Bytes with some replaced, counted from where a mark stands."""
    place = data.find(mark) + at
    return data[:place] + value + data[place + len(value) :]


def deep(inner: bytes, times: int) -> bytes:
    return b"[" * times + inner + b"]" * times


def inside(name: str, value: bytes) -> bytes:
    """The page with one more member of the user."""
    return users(name).replace(b'"displayName"', b'"more": ' + value + b', "displayName"')


def lying(name: str) -> bytes:
    """An archive whose list claims that an entry is small."""
    data = zipped(("a.json", users(name) + b" " * 5_000))
    return spoiled(data, b"PK\x01\x02", 24, struct.pack("<I", 10))


def book(sheet: bytes, target: str = "worksheets/sheet1.xml") -> bytes:
    main = "http://schemas.openxmlformats.org"
    return zipped(
        ("[Content_Types].xml", b"<Types/>"),
        (
            "xl/workbook.xml",
            f"<workbook xmlns='{main}/spreadsheetml/2006/main' xmlns:r='{main}/officeDocument/2006/relationships'>"
            "<sheets><sheet name='a' sheetId='1' r:id='r1'/></sheets></workbook>".encode(),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            f"<Relationships xmlns='{main}/package/2006/relationships'>"
            f"<Relationship Id='r1' Type='t' Target='{target}'/></Relationships>".encode(),
        ),
        ("xl/worksheets/sheet1.xml", sheet),
    )


def rows(*cells: str) -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f"<worksheet xmlns='{main}'><sheetData>{''.join(cells)}</sheetData></worksheet>".encode()


class Acts:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return (Path.touch, (self.place,))


SOUND = {
    "plain.json": users,
    "mark.json": lambda n: b"\xef\xbb\xbf" + users(n),
    "utf16.json": lambda n: users(n).decode().encode("utf-16"),
    "brackets in a text.json": lambda n: inside(n, b'"' + b"[{" * 500_000 + b'"'),
    "a name of five million letters.json": lambda n: inside(n, b'{"' + b"k" * 5_000_000 + b'": 1}'),
    "a hundred thousand names.json": lambda n: inside(n, json.dumps({str(i): 1 for i in range(100_000)}).encode()),
    "names of the machinery.json": lambda n: inside(n, b'{"__proto__": {"x": 1}, "__class__": "y"}'),
    "device names.zip": lambda n: zipped(("CON", users(n)), ("aux.json", users(n)), ("nul ", users(n))),
    "long name.zip": lambda n: zipped(("a" * 60_000 + ".json", users(n))),
    "archive in archives.zip": lambda n: zipped(("b.zip", zipped(("c.zip", zipped(("d.json", users(n))))))),
    "twice packed.json.gz": lambda n: gzip.compress(users(n)[:40]) + gzip.compress(users(n)[40:]),
}
REFUSED = {
    "deep objects.json": lambda n: inside(n, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "deep lists.json": lambda n: inside(n, deep(b"", 100_000)),
    "brackets without end.json": lambda n: b"[" * 3_000_000,
    "a number of a hundred thousand digits.json": lambda n: inside(n, b"9" * 100_000),
    "an exponent without end.json": lambda n: inside(n, b"1e999999"),
    "NaN.json": lambda n: inside(n, b"NaN"),
    "minus infinity.json": lambda n: inside(n, b"-Infinity"),
    "one key twice.json": lambda n: users(n).replace(b'"id"', b'"id": "other", "id"'),
    "half a character.json": lambda n: inside(n, b'"\\ud800"'),
    "a control character.json": lambda n: inside(n, b'"a\nb"'),
    "cut.json": lambda n: users(n)[:60],
    "cut by one.json": lambda n: users(n)[:-1],
    "empty.json": lambda n: b"",
    "single quotes.json": lambda n: users(n).replace(b'"', b"'"),
    "a page of a portal.json": lambda n: b"<!DOCTYPE html><title>Sign in</title>" + users(n),
    "slip.zip": lambda n: zipped(("../../evil.json", users(n))),
    "absolute.zip": lambda n: zipped(("/etc/evil.json", users(n))),
    "backslash.zip": lambda n: zipped(("..\\evil.json", users(n))),
    "drive.zip": lambda n: zipped(("C:\\evil.json", users(n))),
    "two of one name.zip": lambda n: zipped(("a.json", users(n)), ("a.json", users("other"))),
    "two names on Windows.zip": lambda n: zipped(("a.json", users(n)), ("A.JSON", users("other"))),
    "encrypted.zip": lambda n: spoiled(
        spoiled(zipped(("a.json", users(n))), b"PK\x01\x02", 8, b"\x01"), b"PK", 6, b"\x01"
    ),
    "wrong sum.zip": lambda n: spoiled(zipped(("a.json", users(n))), b"PK\x01\x02", 16, b"\0\0\0\0"),
    "lying about its size.zip": lying,
    "cut.zip": lambda n: zipped(("a.json", users(n)))[:-10],
    "program before it.zip": lambda n: b"MZ\x90" + zipped(("a.json", users(n))),
    "nothing in it.zip": lambda n: zipped(),
    "a folder in it.zip": lambda n: zipped(("a.json/", b"")),
    "no stream.gz": lambda n: b"\x1f\x8b" + b"\0" * 50,
    "sheet elsewhere.xlsx": lambda n: book(rows(), "../../../../etc/passwd"),
    "cells beyond the sheet.xlsx": lambda n: book(rows("<row r='1'><c r='ZZZZZZZ1'><v>1</v></c></row>")),
    "text that is not there.xlsx": lambda n: book(rows("<row r='1'><c r='A1' t='s'><v>99999</v></c></row>")),
    "no sheet.xlsx": lambda n: book(b"\xff\xfe<"),
    "no parquet.parquet": lambda n: b"PAR1" + b"\xff" * 1_000 + struct.pack("<I", 990) + b"PAR1",
    "far footer.parquet": lambda n: b"PAR1" + struct.pack("<I", 0x7FFFFFFF) + b"PAR1",
    "no database.sqlite": lambda n: b"SQLite format 3\0" + b"\0" * 84,
    "anchors.yaml": lambda n: b"a: &a [x, x]\nb: &b [*a, *a]\n",
    "entities.xml": lambda n: b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
    "program": lambda n: b"\x7fELF" + b"\0" * 100,
}
# What is there is read, and what is missing is named.
CUT = {"cut.json.gz": lambda n: gzip.compress(users(n))[:-4]}


def endless() -> bytes:
    """A database whose table of users is a question without an end."""
    with sqlite3.connect(":memory:") as made:
        for table in ("ServicePrincipals", "RoleDefinitions"):
            made.execute(f"CREATE TABLE {table} (objectId TEXT)")
        count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n AS objectId FROM c"
        made.execute(f"CREATE VIEW Users AS {count}")
        return made.serialize()


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """The folder, what was read of it, how long it took and how much memory Python held."""
    folder = tmp_path_factory.mktemp("traps")
    for name, make in (SOUND | REFUSED | CUT).items():
        (folder / name).write_bytes(make(name))
    (folder / "acts.pickle").write_bytes(pickle.dumps(Acts(folder.parent / "acted")))
    (folder / "endless.db").write_bytes(endless())
    tracemalloc.start()
    began = time.monotonic()
    harvest = sources.read(folder)
    taken = time.monotonic() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return folder, harvest, taken, peak


def test_what_is_sound_is_read_and_nothing_else(read):
    assert set(read[1].frames["identities"]["identity_id"]) == {*SOUND, *CUT}


def test_every_trap_is_named_with_a_reason(read):
    named = {r["file"].partition("!")[0]: r["reason"] for r in read[1].rejected}
    assert set(named) >= {*REFUSED, *CUT, "acts.pickle", "endless.db"}
    assert all(len(reason) > 10 and "Traceback" not in reason for reason in named.values())
    assert not set(named) & set(SOUND), [named[n] for n in SOUND if n in named]


def test_traps_take_little_time_and_memory_and_write_nothing(read):
    folder, _, taken, peak = read
    assert taken < 60
    assert peak < 300 * 2**20
    assert not (folder.parent / "acted").exists()
    assert {p.name for p in folder.iterdir()} == {*SOUND, *REFUSED, *CUT, "acts.pickle", "endless.db"}


def test_the_traps_would_work_in_careless_hands(tmp_path):
    assert json.loads(REFUSED["NaN.json"]("x"))["value"][0]["more"] != 0
    assert json.loads(REFUSED["one key twice.json"]("x"))["value"][0]["id"] == "x"
    with pytest.raises(RecursionError):
        json.loads(REFUSED["deep lists.json"]("x"))
    with zipfile.ZipFile(io.BytesIO(REFUSED["slip.zip"]("x"))) as archive:
        assert not (tmp_path / archive.namelist()[0]).resolve().is_relative_to(tmp_path)
    pickle.loads(pickle.dumps(Acts(tmp_path / "acted")))
    assert (tmp_path / "acted").exists()
    with sqlite3.connect(":memory:") as opened:
        opened.deserialize(endless())
        assert opened.execute("SELECT objectId FROM Users LIMIT 1 OFFSET 100000").fetchone() == (100_001,)
    opened.close()
