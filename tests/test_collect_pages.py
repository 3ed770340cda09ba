"""Pages on their way to the disk: repeats, the server's own bytes, one line each."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from flowanalysis.collect import pages
from flowanalysis.collect.body import parse
from flowanalysis.collect.pages import Seen

ROWS = st.lists(
    st.fixed_dictionaries({"n": st.integers(0, 1)}, optional={"id": st.sampled_from(["a", "A", "b", "c", "d", None])}),
    max_size=4,
)


def plainly(lists: list[list[dict]]) -> tuple[list[list[dict]], int, int]:
    """What should be kept, and how many doubles and contradictions there are, told the slow way."""
    last: dict[str, dict] = {}
    kept, doubles, conflicts = [], 0, 0
    for rows in lists:
        kept.append([])
        for row in rows:
            name = row.get("id")
            before = last.get(name.lower()) if name else None
            if name:
                last[name.lower()] = row
            if name and before == row:
                doubles += 1
                continue
            conflicts += before is not None
            kept[-1].append(row)
    return kept, doubles, conflicts


@given(st.lists(ROWS, max_size=6))
def test_repeats_are_dropped_and_contradictions_kept_and_both_counted(lists):
    seen, kept = Seen("id"), []
    for rows in lists:
        kept.append(seen.keep(rows, lambda: list(kept)))
    assert (kept, seen.duplicates, seen.conflicts) == plainly(lists)


@given(st.lists(ROWS, max_size=6), st.integers(0, 6))
def test_going_on_after_a_stop_keeps_the_same_rows(lists, stop):
    kept, doubles, conflicts = plainly(lists)
    begun, first_doubles, first_conflicts = plainly(lists[:stop])
    seen, done = Seen("id"), [*begun]
    seen.recall(lambda: done)
    seen.duplicates, seen.conflicts = first_doubles, first_conflicts
    for rows in lists[stop:]:
        done.append(seen.keep(rows, lambda: list(done)))
    assert (done, seen.duplicates, seen.conflicts) == (kept, doubles, conflicts)


def test_a_page_without_repeats_is_the_very_list():
    rows = [{"id": "a"}, {"id": "b"}]
    seen = Seen("id")
    assert seen.keep(rows) is rows
    assert seen.keep(rows, lambda: [rows]) == []


def test_a_page_lies_on_the_disk_in_the_bytes_of_the_server():
    text = b'{"value": [{"id":"a", "n": 1.0}],\n  "@odata.nextLink": "https://graph.example/x?y=1"}\r\n'
    value, told = parse(text)
    line = b"".join(pages.line("/x", value, observed="now", text=told))
    assert line.count(b"\n") == 1
    assert b'{"id":"a", "n": 1.0}' in line
    assert json.loads(line) == {"request": "/x", "observed_at": "now", "followed": True, "body": value}


def test_a_mended_page_is_written_from_its_value():
    value, told = parse(b'{"value": [{"id": "a", "displayName": "\\ud83d"}]}')
    assert told is None
    assert json.loads(b"".join(pages.line("/x", value, observed="now")))["body"]["value"][0]["displayName"] == "\ufffd"
