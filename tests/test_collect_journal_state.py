"""What a journal leaves on the disk and takes up again, move by move."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from flowanalysis.collect.disk import Disk
from flowanalysis.collect.journal import STATE, Journal

LINE = b'{"n":1}\n'


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / STATE).mkdir()
    return tmp_path


def journal(folder: Path) -> Journal:
    return Journal(folder, "graph/users", Disk())


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / STATE).iterdir())


def begun(folder: Path, **state: object) -> Journal:
    made = journal(folder)
    made.append(LINE)
    made.commit(**state)
    return made


def test_a_finished_collection_leaves_its_file_and_its_entry_alone(folder):
    entry = begun(folder, pages=1).finish({"state": "complete"})
    assert (folder / "graph/users.jsonl").read_bytes() == LINE
    assert left(folder) == ["graph.users.done.json"]
    assert entry == {"state": "complete", "bytes": len(LINE), "sha256": hashlib.sha256(LINE).hexdigest()}
    assert journal(folder).done() == entry


def test_a_collection_of_nothing_is_done_without_a_file(folder):
    entry = journal(folder).finish({"state": "absent"})
    assert entry == {"state": "absent", "bytes": 0, "sha256": ""}
    begun(folder).close()  # what a run after it left behind
    assert journal(folder).done() == entry
    assert "graph.users.checkpoint.json" not in left(folder)
    assert not (folder / "graph/users.jsonl").exists()


@pytest.mark.parametrize("named", [False, True], ids=["before the name", "after the name"])
def test_an_end_that_was_interrupted_is_brought_to_its_end(folder, named):
    made = begun(folder)
    entry = {"state": "complete", "bytes": len(LINE), "sha256": hashlib.sha256(LINE).hexdigest()}
    made.close()
    made.disk.write(made.entry, entry)
    if named:
        made._name()
    (folder / STATE / "graph.users.checkpoint.json.tmp").write_text("{")
    (folder / STATE / "graph.users.done.json.tmp").write_text("{")
    assert journal(folder).done() == entry
    assert (folder / "graph/users.jsonl").read_bytes() == LINE
    assert left(folder) == ["graph.users.done.json"]


@pytest.mark.parametrize("content", [b"", LINE[:-1], LINE + LINE, LINE.replace(b"1", b"2")])
def test_an_entry_that_its_file_does_not_bear_out_is_forgotten_with_all_that_belongs_to_it(folder, content):
    begun(folder).finish({"state": "complete"})
    (folder / "graph/users.jsonl").write_bytes(content)
    assert journal(folder).done() is None
    assert left(folder) == []
    assert not (folder / "graph/users.jsonl").exists()


def test_what_was_written_after_the_last_checkpoint_does_not_count(folder):
    made = begun(folder, next="page 2", pages=1)
    made.append(b'{"n":2}\n')
    made.close()
    again = journal(folder)
    assert again.resume() == {
        "next": "page 2",
        "pages": 1,
        "bytes": len(LINE),
        "sha256": hashlib.sha256(LINE).hexdigest(),
    }
    assert list(again.lines()) == [{"n": 1}]
    again.append(b'{"n":3}\n')
    entry = again.finish({})
    whole = LINE + b'{"n":3}\n'
    assert (folder / "graph/users.jsonl").read_bytes() == whole
    assert entry["sha256"] == hashlib.sha256(whole).hexdigest()


@pytest.mark.parametrize("harm", ["shorter", "other", "no bytes", "no part", "a list", "torn"])
def test_a_checkpoint_that_its_part_does_not_bear_out_starts_over(folder, harm):
    begun(folder, pages=1).close()
    part, point = folder / STATE / "graph.users.part", folder / STATE / "graph.users.checkpoint.json"
    if harm == "shorter":
        part.write_bytes(LINE[:-1])
    elif harm == "other":
        part.write_bytes(LINE.replace(b"1", b"2"))
    elif harm == "no part":
        part.unlink()
    else:
        point.write_text({"no bytes": '{"pages": 1}', "a list": "[1]", "torn": '{"bytes": 8'}[harm])
    again = journal(folder)
    assert again.resume() is None
    assert left(folder) == []
    again.append(LINE)
    assert again.finish({})["bytes"] == len(LINE)


def test_lines_are_read_from_the_part_and_later_from_the_file(folder):
    made = begun(folder)
    made.append(b'{"n":2}\n')
    assert list(made.lines()) == [{"n": 1}, {"n": 2}]
    made.finish({})
    assert list(made.lines()) == [{"n": 1}, {"n": 2}]
    assert list(Journal(folder, "graph/groups", Disk()).lines()) == []


def test_forgetting_closes_the_file_and_begins_anew(folder):
    made = begun(folder)
    made.discard()
    assert left(folder) == []
    made.append(b'{"n":9}\n')
    assert made.finish({})["sha256"] == hashlib.sha256(b'{"n":9}\n').hexdigest()
    assert json.loads((folder / "graph/users.jsonl").read_bytes()) == {"n": 9}
