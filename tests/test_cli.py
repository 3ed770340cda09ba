"""The commands, called as a shell would."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from flowanalysis.cli import main
from flowanalysis.places import demo


@pytest.fixture
def run():
    def call(*words: object):
        return CliRunner().invoke(main, [str(w) for w in words])

    return call


def test_inspect_says_what_each_file_gave_and_what_would_close_the_gaps(run):
    done = run("inspect", demo() / "2026-10" / "register.csv")
    assert done.exit_code == 0, done.output
    assert "register" in done.output
    assert "Questions answered in full: 0 of" in done.output
    # a command is there to be typed: once, and whole
    command = "GET https://graph.microsoft.com/v1.0/users?$select=id,userPrincipalName,signInActivity&$top=500"
    assert done.output.count(command + "\n") == 1
    assert done.output.count("m365 flow get --environmentName <environment> --name <flow>") == 1


def test_check_prints_findings_and_sets_the_status(run, tmp_path):
    sarif, sheet = tmp_path / "f.sarif", tmp_path / "f.csv"
    done = run("check", demo() / "2026-10", "--fail-on", "critical", "--sarif", sarif, "--csv", sheet)
    assert done.exit_code == 1, done.output
    assert "OWN-1" in done.output
    assert "\u202e" not in done.output
    assert json.loads(sarif.read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert "OWN-1" in sheet.read_text(encoding="utf-8")


def test_load_writes_a_snapshot_once(run, tmp_path):
    exports = demo() / "2026-10" / "graph"
    assert run("load", exports, "--to", tmp_path / "s", "--quiet").exit_code == 0
    again = run("load", exports, "--to", tmp_path / "s", "--quiet")
    assert again.exit_code == 2
    assert "never overwritten" in again.output


def test_explain_tells_one_flow_and_names_the_nearest_for_a_wrong_name(run):
    done = run("explain", demo() / "2026-10", "--flow", "Customer survey")
    assert done.exit_code == 0, done.output
    assert "Customer survey" in done.output
    wrong = run("explain", demo() / "2026-10", "--flow", "Custmer survey")
    assert wrong.exit_code == 2
    assert "Did you mean" in wrong.output


def test_register_is_drafted_and_compared(run, tmp_path):
    draft = tmp_path / "register.csv"
    done = run("register", demo() / "2026-10", "--init", draft)
    assert done.exit_code == 0, done.output
    assert draft.read_text(encoding="utf-8-sig").startswith("account,")
    done = run("register", demo() / "2026-10", "--check")
    assert done.exit_code == 0, done.output


def test_an_empty_folder_is_a_clear_error_with_the_shapes(run, tmp_path):
    done = run("inspect", tmp_path)
    assert done.exit_code == 2
    assert "\n  - Microsoft Graph" in done.output
