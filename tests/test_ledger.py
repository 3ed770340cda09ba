"""The ledger over months, and exceptions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rooms
from click.testing import CliRunner

from flowanalysis.cli import main
from flowanalysis.errors import PolicyError, UnknownName
from flowanalysis.exceptions import apply_exceptions, read_exceptions
from flowanalysis.findings import examine, find
from flowanalysis.ledger import ledger, months, recall, record, write_ledger

MONTHS = ["2026-07", "2026-08", "2026-09", "2026-10", "2026-11"]


def history(**seen: str) -> dict[str, pd.DataFrame]:
    """Months in which each finding is there, as a string of x and dots."""
    rows = {m: [i for i, marks in seen.items() if marks[n] == "x"] for n, m in enumerate(MONTHS)}
    return {m: pd.DataFrame({"finding_id": ids, "rule": [i[0] for i in ids]}, dtype="str") for m, ids in rows.items()}


@pytest.mark.parametrize(
    ("marks", "state", "first", "last", "fixed", "age"),
    [
        ("....x", "new", "2026-11", "2026-11", None, 1),
        ("..xxx", "open", "2026-09", "2026-11", None, 3),
        ("xxxx.", "fixed", "2026-07", "2026-10", "2026-11", 0),
        ("xx...", "closed", "2026-07", "2026-08", "2026-09", 0),
        ("x.x.x", "returned", "2026-07", "2026-11", None, 1),
        ("x..xx", "open", "2026-07", "2026-11", None, 2),
    ],
)
def test_a_finding_has_a_state_and_an_age(marks, state, first, last, fixed, age):
    row = ledger(history(a=marks)).iloc[0]
    assert (row["state"], row["first_month"], row["last_month"], row["age"]) == (state, first, last, age)
    assert (None if pd.isna(row["fixed_month"]) else row["fixed_month"]) == fixed
    assert row["months_seen"] == marks.count("x")


def test_months_count_every_state():
    table = months(history(a="xx.x.", b=".xxxx", c="x...."))
    total = table.groupby("month")[["new", "open", "returned", "unknown", "fixed"]].sum()
    assert total.loc["2026-08"].tolist() == [1, 1, 0, 0, 1]
    assert total.loc["2026-10"].tolist() == [0, 1, 1, 0, 0]
    assert total.loc["2026-11"].tolist() == [0, 1, 0, 0, 1]


def test_months_agree_with_a_plain_walk_over_random_histories():
    rng = np.random.default_rng(5)
    seen = {f"{'AB'[i % 2]}{i}": "".join(rng.choice(["x", "."], 5)) for i in range(60)}
    table = ledger(history(**seen)).set_index("finding_id")
    for name, marks in seen.items():
        if "x" in marks:
            assert table.loc[name, "state"] == plainly(marks), (name, marks)


def plainly(marks: str) -> str:
    """The state after the last month, by reading the marks."""
    if marks[-1] == "x":
        before = marks[:-1]
        return "new" if "x" not in before else "open" if before[-1] == "x" else "returned"
    return "fixed" if marks[-2] == "x" else "closed"


def test_a_month_that_could_not_answer_fixes_nothing():
    orphan = examine(rooms.owned_by("del"))
    blind = examine(rooms.build(without=("flow_owners",)))
    seen = {"2026-08": orphan, "2026-09": blind, "2026-10": orphan}
    table = ledger(seen)
    row = table[table["rule"] == "OWN-1"].iloc[0]
    assert (row["state"], row["age"]) == ("open", 3)
    state = months(seen).set_index(["month", "rule"])
    assert state.loc[("2026-09", "OWN-1"), ["fixed", "unknown"]].tolist() == [0, 1]


def test_renaming_a_flow_keeps_its_row_under_the_new_name():
    seen = {"2026-09": find(rooms.owned_by("del")), "2026-10": find(rooms.owned_by("del", display_name="New name"))}
    row = ledger(seen).set_index("rule").loc["OWN-1"]
    assert (row["state"], row["subject_name"]) == ("open", "New name")


def test_running_again_gives_the_same_bytes(tmp_path):
    examination = examine(rooms.owned_by("purged", "del"))
    for folder in ("one", "two"):
        for month in ("2026-09", "2026-10", "2026-10"):
            record(tmp_path / folder, month, examination)
        write_ledger(ledger(recall(tmp_path / folder)), tmp_path / f"{folder}.csv")
    one, two = ((tmp_path / f"{f}.csv").read_bytes() for f in ("one", "two"))
    assert one == two
    kept = [p.name for p in sorted((tmp_path / "one").iterdir())]
    assert [(tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in kept] == [True] * 4


def test_kept_months_give_the_ledger_of_the_months_themselves(tmp_path):
    seen = {"2026-09": examine(rooms.owned_by("del")), "2026-10": examine(rooms.owned_by("ada", "bo"))}
    for month, examination in seen.items():
        record(tmp_path, month, examination)
    pd.testing.assert_frame_equal(ledger(recall(tmp_path)), ledger(seen))


def test_no_month_gives_an_empty_ledger():
    assert ledger({}).empty
    assert months({}).empty


def test_a_month_is_written_as_a_month(tmp_path):
    with pytest.raises(PolicyError, match="2026-10"):
        record(tmp_path, "../evil", examine(rooms.build()))


@pytest.fixture
def accept(tmp_path):
    """Read exceptions from text."""

    def read(text: str) -> pd.DataFrame:
        file = tmp_path / "exceptions.csv"
        file.write_text(text, encoding="utf-8")
        return read_exceptions(file)

    return read


def test_an_exception_holds_through_its_last_day_and_then_reopens(accept):
    found = rooms.only(rooms.owned_by("del"), "OWN-1")
    allowed = accept("rule,subject_id,approver,reason,until\nOWN-1,f,Ada Berg,moves in spring,2026-10-31\n")
    on_time = apply_exceptions(found, allowed, as_of=pd.Timestamp("2026-10-31 23:00", tz="UTC")).iloc[0]
    late = apply_exceptions(found, allowed, as_of=pd.Timestamp("2026-11-01", tz="UTC")).iloc[0]
    assert (on_time["exception"], on_time["note"]) == (
        "accepted",
        "accepted by Ada Berg until 2026-10-31: moves in spring",
    )
    assert (late["exception"], late["note"]) == ("expired", "open again: the exception of Ada Berg ended on 2026-10-31")


def test_findings_without_an_exception_say_none(accept):
    found = find(rooms.owned_by("del"))
    allowed = accept("finding_id,approver,reason,until\nOWN-1-0000,Ada,because,2026-10-31\n")
    applied = apply_exceptions(found, allowed, as_of=rooms.AS_OF)
    assert set(applied["exception"]) == {"none"}
    assert applied["note"].isna().all()


def test_the_longest_of_several_exceptions_counts(accept):
    found = rooms.only(rooms.owned_by("del"), "OWN-1")
    lines = [f"{found['finding_id'].item()},,,Ada,old,2026-01-01", ",OWN-1,f,Bo,new,2027-01-01"]
    allowed = accept("finding_id,rule,subject_id,approver,reason,until\n" + "\n".join(lines) + "\n")
    applied = apply_exceptions(found, allowed, as_of=rooms.AS_OF)
    assert applied[["exception", "approver"]].to_numpy().tolist() == [["accepted", "Bo"]]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("rule,subject_id,approver,reason,until\nOWN-1,f,,why,2026-01-01", PolicyError, "line 2: approver is missing"),
        ("rule,subject_id,approver,reason,until\nOWN-1,f,Ada,,2026-01-01", PolicyError, "reason is missing"),
        ("rule,subject_id,approver,reason,until\nOWN-1,f,Ada,why,", PolicyError, "until is missing"),
        ("rule,subject_id,approver,reason,until\nOWN-1,f,Ada,why,soon", PolicyError, "'soon' is not a date"),
        ("rule,subject_id,approver,reason,until\nOWN-1,,Ada,why,2026-01-01", PolicyError, "no finding is named"),
        ("rule,subject,approver,reason,until\n", UnknownName, "subject_id"),
    ],
)
def test_incomplete_exceptions_are_refused(accept, text, error, said):
    with pytest.raises(error, match=said):
        accept(text)


def test_the_command_keeps_months_and_heeds_exceptions(root, tmp_path):
    demo, kept = root / "data" / "demo", tmp_path / "months"

    def check(month: str, *more: str):
        words = ["check", str(demo / month), "--ledger", str(kept), *more]
        return CliRunner().invoke(main, words)

    first = check("2026-09")
    assert first.exit_code == 0, first.output
    assert " new, 0 open" in first.output
    accepted = ["--exceptions", str(demo / "exceptions.csv"), "--csv", str(tmp_path / "found.csv")]
    second = check("2026-10", "--previous", str(demo / "2026-09"), *accepted)
    assert second.exit_code == 0, second.output
    before = (kept / "ledger.csv").read_bytes()
    states = pd.read_csv(kept / "ledger.csv", dtype=str, keep_default_na=False)["state"]
    assert {"new", "open", "fixed"} <= set(states)
    told = pd.read_csv(tmp_path / "found.csv", dtype=str, keep_default_na=False).set_index("rule")["exception"]
    assert (told["SEC-3"], told["CON-4"]) == ("accepted", "expired")
    check("2026-10", "--previous", str(demo / "2026-09"))
    assert (kept / "ledger.csv").read_bytes() == before
