"""Large documents are read ahead of their turn; what is told, and in which order, does not depend on it."""

from __future__ import annotations

import json
import threading

import pytest

from flowanalysis.sources import ahead, files, jsontext, lines, read


def exported(tmp_path, monkeypatch, count: int = 4) -> list:
    """Large files of groups, one bad line in each, and a small one in their midst."""
    monkeypatch.setattr(files, "LARGE", 64)
    monkeypatch.setattr(jsontext, "SAMPLE", 2)
    names = [f"{n}.jsonl" for n in "abcd"[:count]]
    for name in names:
        rows = [json.dumps({"id": f"{name}-{i}", "displayName": name, "groupTypes": []}) for i in range(3)]
        (tmp_path / name).write_text("\n".join([*rows, "{broken", ""]))
    (tmp_path / "b.txt").write_text("nothing that anybody knows")
    return names


def told(tmp_path) -> tuple:
    found = read(tmp_path)
    log = [(e["file"], e["rows"], e["message"]) for e in found.log]
    return log, [(r["file"], r["record"]) for r in found.rejected], found.frames["groups"].values.tolist()


def test_files_are_told_in_their_order_whichever_is_read_first(tmp_path, monkeypatch):
    names = exported(tmp_path, monkeypatch)
    real, later, order = lines.read, threading.Event(), []

    def turned(document, reader):
        if document.name == names[0]:
            assert later.wait(10)  # the second is read first
        result = list(real(document, reader))
        order.append(document.name)
        later.set()
        return result

    monkeypatch.setattr(lines, "read", turned)
    found = told(tmp_path)
    assert order[0] == names[1]
    assert [file for file, *_ in found[0]] == ["a.jsonl", "b.jsonl", "b.txt", "c.jsonl", "d.jsonl"]
    monkeypatch.setattr(lines, "read", real)
    monkeypatch.setattr(ahead, "AT_ONCE", 1)
    assert told(tmp_path) == found


def test_what_goes_wrong_unexpectedly_while_reading_ahead_is_not_swallowed(tmp_path, monkeypatch):
    exported(tmp_path, monkeypatch, 2)

    def broken(document, reader):
        raise ZeroDivisionError

    monkeypatch.setattr(lines, "read", broken)
    with pytest.raises(ZeroDivisionError):
        read(tmp_path)
