"""The tool that makes small faults makes them, puts them where they act, and chooses the tests that could notice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent / "mutation"
sys.path.insert(0, str(FOLDER))
pytest.importorskip("fcntl", reason="faults are tried in forked processes, which Windows does not know")

import trial  # noqa: E402
from mutants import mutants  # noqa: E402
from swap import in_function, own_names, path_of, swap  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the copies run no thread
SOURCE = '''"""Words."""
LIMIT = 5


def small(n: int) -> bool:
    """Whether a number is small."""
    if n < LIMIT and n:
        return not n == 3
    return False
'''


def test_every_fault_is_one_change_that_still_compiles():
    made = [str(m) for m in mutants(SOURCE)]
    assert made == [
        "2: 5 -> 6",
        "7: n < LIMIT and n -> False",
        "7: n < LIMIT and n -> True",
        "7: < ->  <= ",
        "7: < ->  > ",
        "7: and ->  or ",
        "8: not -> ",
        "8: not n == 3 -> None",
        "8: == ->  != ",
        "8: 3 -> 4",
        "9: False -> None",
        "9: False -> True",
    ]
    for fault in mutants(SOURCE):
        changed = [a for a, b in zip(SOURCE.splitlines(), fault.source.splitlines(), strict=True) if a != b]
        assert len(changed) == 1


@pytest.mark.parametrize(("line", "inside"), [(2, False), (5, False), (6, True), (8, True), (9, True)])
def test_what_runs_at_import_is_told_from_what_a_call_runs(line, inside):
    assert in_function(SOURCE, line) == inside


def test_a_fault_acts_on_those_who_imported_the_function_before():
    from flowanalysis.text import elide

    source = path_of("text").read_text(encoding="utf-8")
    changed = source.replace('+ "…" +', '+ "!" +')
    assert changed != source

    def work() -> int:
        swap("text", changed)
        return int(elide("x" * 30, 9) == "xxxx!xxxx")

    assert trial.child(work) == 1
    assert elide("x" * 30, 9) == "xxxx…xxxx"  # only the copy of the process was changed


def test_a_constant_is_changed_in_place_only_where_no_other_holds_it():
    from flowanalysis import text
    from flowanalysis.report import export

    assert export.CONTROL is text.CONTROL
    source = path_of("text").read_text(encoding="utf-8")
    line = next(n for n, words in enumerate(source.splitlines(), 1) if words.startswith("CELL_LIMIT ="))
    assert "CELL_LIMIT" in own_names("text", source, line)

    def work() -> int:
        swap("text", source.replace("CELL_LIMIT = 32_767", "CELL_LIMIT = 5"), ["CELL_LIMIT"])
        return int(text.cell("x" * 9) == "xxxx…")

    assert trial.child(work) == 1
    shared = next(n for n, words in enumerate(source.splitlines(), 1) if words.startswith("CONTROL ="))
    assert own_names("text", source, shared) == []


def test_answers_of_a_child_are_told_apart_and_an_endless_one_is_stopped():
    def endless() -> int:
        while True:
            pass

    def broken() -> int:
        raise ValueError

    assert [trial.child(lambda: 0), trial.child(broken), trial.child(endless, limit=0.2)] == [0, 3, -1]


def test_the_quickest_tests_over_a_line_are_tried_first(monkeypatch):
    fault = mutants(SOURCE)[3]
    lines = {"7": ["slow", "", "quick"], "9": ["other"]}
    notes = {"lines": lines, "seconds": {"slow": 9.0, "quick": 0.1, "other": 0.2, "elsewhere": 0.3}}
    assert trial.tried_on(fault, notes) == ["quick", "slow"]
    assert trial.tried_on(mutants(SOURCE)[0], notes) == ["quick", "other", "slow"]  # at import: any may notice
    monkeypatch.setattr(trial, "MOST", 1.0)
    assert trial.tried_on(fault, notes) == ["quick"]
