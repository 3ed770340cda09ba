"""Commands with arguments and files of policy that nobody means well: one line, status 2, nothing that steers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowanalysis.cli import main

ROOT = Path(__file__).resolve().parents[1]

STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
USER = {"id": "u1", "userPrincipalName": "ann@fabrikam.example", "displayName": "Ann", "accountEnabled": True}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A command in a folder that holds one export."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "users.json").write_text(json.dumps({"value": [USER]}), encoding="utf-8")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, list(words))


def refused(done) -> str:
    """What was said, when a command ended as it should."""
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 2
    assert not STEERS.search(done.output)
    assert "Traceback" not in done.output
    return done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("explain", "in", "--flow", "\x1b[31m\u202e"), "There is no flow"),
        (("explain", "in", "--flow", "a\udcff"), "is no text in UTF-8"),
        (("advise", "a\udcff", "--data", "in"), "is no text in UTF-8"),
        (("inspect", "gone\x1b[2J"), "does not exist"),
        (("report", "in", "--only", "../x"), "There is no notebook"),
        (("check", "in", "--fail-on", "\x1b"), "is not one of"),
        (("load", "in", "--to", "in"), "never overwritten"),
        (("load", "in", "--to", "x" * 300), "nothing half-made"),
        (("load", "in", "--to", "file/x"), "nothing half-made"),
        (("verify", "in"), "no SHA256SUMS"),
        (("register", "in", "--init", "file/x"), "nothing half-made"),
        (("register", "in", "--init", "gone/x"), "nothing half-made"),
        (("check", "in", "--sarif", "gone/x"), "nothing half-made"),
        (("check", "in", "--csv", "gone/x"), "nothing half-made"),
    ],
)
def test_words_that_mean_no_good_end_in_one_line(run, words, said):
    assert said in refused(run(*words))


POLICIES = {
    "no UTF-8": (b"[rules]\n\xff\xfe", "not valid TOML"),
    "a zero": (b"a = 1\0", "not valid TOML"),
    "five thousand digits": (b"[rules.CON-2]\nidle_days = " + b"9" * 5_000, "not valid TOML"),
    "infinity": (b"[rules.CON-2]\nidle_days = inf", "a whole number is needed"),
    "a day": (b"[rules.CON-2]\nidle_days = 2026-01-01", "a whole number is needed"),
    "below all": (b"[rules.CON-2]\nidle_days = -99999999999999999999999", "is outside"),
    "a name that steers": (b'"\\u202e\\u001b[2J" = 1', "There is no policy entry"),
    "a pattern that is none": (b'[business_flows]\nnames = ["("]', "is not a pattern"),
    "nested": (b"a = " + b"[" * 50_000, "nested"),
}


@pytest.mark.parametrize("case", POLICIES)
def test_a_policy_that_cannot_be_meant_is_refused_by_name(run, tmp_path, case):
    content, said = POLICIES[case]
    (tmp_path / "p.toml").write_bytes(content)
    told = refused(run("check", "in", "--policy", "p.toml"))
    assert said in told
    assert "p.toml" in told


def test_a_pattern_made_to_be_slow_is_not(run, tmp_path):
    (tmp_path / "p.toml").write_text('[business_flows]\nnames = ["(a+)+$"]', encoding="utf-8")
    assert run("check", "in", "--policy", "p.toml").exit_code == 0


def test_the_same_commands_without_malice_answer(run):
    assert run("check", "in").exit_code == 0
    assert run("load", "in", "--to", "out").exit_code == 0
    assert STEERS.search("\x1b[2J")


def test_a_place_that_is_not_there_is_told_without_its_control_characters(run):
    done = run("check", str(ROOT / "data/demo/2026-10"), "--csv", "no\x1b[31m/x.csv")
    assert done.exit_code == 2, done.output
    assert "\\x1b[31m" in done.output
    assert "\x1b" not in done.output
