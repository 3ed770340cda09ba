"""A short run of the fuzzer over every reader, and what longer runs found, again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from fuzz import readers  # noqa: E402

FOUND = sorted(p for p in readers.KEEP.glob("*-*") if p.is_file())


@pytest.mark.parametrize("reader", sorted(readers.READERS))
def test_no_reader_crashes_on_damaged_or_invented_input(reader):
    readers.fuzz(reader, examples=25)


@pytest.mark.parametrize("place", FOUND, ids=lambda p: p.name)
def test_what_once_crashed_a_reader_does_so_no_more(place):
    readers.once(place.name.rpartition("-")[0], place.read_bytes())


def test_a_crash_is_seen_made_small_and_kept(monkeypatch, tmp_path):
    def careless(data):
        if b"{" in data:
            raise KeyError("crash")

    monkeypatch.setitem(readers.READERS, "json", (readers.READERS["json"][0], careless))
    with pytest.raises(readers.Crash, match="KeyError") as caught:
        readers.fuzz("json", examples=300)
    kept = readers.keep(caught.value, tmp_path)
    assert b"{" in kept.read_bytes()
    assert len(kept.read_bytes()) <= 8
    assert kept.name.startswith("json-")
