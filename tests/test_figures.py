"""The table of figures counts what it says: every pattern names tests that exist, and reports are read as they are."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import figures
import pytest

FOLDER = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def names() -> list[str]:
    """All tests as pytest names them, without their cases."""
    return [
        f"tests/{place.name}::{node.name}"
        for place in FOLDER.glob("test_*.py")
        for node in ast.parse(place.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("claim", figures.CLAIMS, ids=lambda c: c["title"][:40])
def test_every_pattern_of_a_claim_names_tests_and_the_control_is_not_all_of_it(claim, names):
    met = {kind: {n for p in claim[kind] for n in names if p in n} for kind in ("tests", "control")}
    for pattern in (*claim["tests"], *claim["control"]):
        assert any(pattern in n for n in names), pattern
    assert met["tests"] - met["control"]


def test_a_pattern_that_names_nothing_is_seen(names, monkeypatch):
    claim = {"title": "x", "tests": ["test_verify.py::"], "control": ["test_verify.py::test_that_is_gone"]}
    with pytest.raises(AssertionError, match="gone"):
        test_every_pattern_of_a_claim_names_tests_and_the_control_is_not_all_of_it(claim, names)
    monkeypatch.setattr(figures, "CLAIMS", [claim])
    assert figures.Figures({"tests/test_verify.py::test_a": "passed"}).rows() == []


REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_one[x]" time="0.1"/>
<testcase classname="tests.test_a" name="test_two"><skipped message="no browser"/></testcase>
<testcase classname="tests.test_a" name="test_three"><failure>wrong</failure></testcase>
<testcase classname="tests.test_b" name="test_control"><system-out>told</system-out></testcase>
</testsuite></testsuites>"""


def test_a_report_of_a_run_gives_the_same_figures_as_the_run(tmp_path, monkeypatch):
    claim = {"title": "Claimed", "tests": ["test_a.py::"], "control": ["test_b.py::test_control"]}
    monkeypatch.setattr(figures, "CLAIMS", [claim])
    monkeypatch.setattr(figures, "PAGE", tmp_path / "FIGURES.md")
    (tmp_path / "report.xml").write_text(REPORT, encoding="utf-8")
    assert figures.main(["--from", str(tmp_path / "report.xml")]) == 0
    assert "| Claimed | 1 of 2 (1 skipped) | 1 of 1 |" in (tmp_path / "FIGURES.md").read_text(encoding="utf-8")


def test_a_report_of_some_tests_writes_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "PAGE", tmp_path / "FIGURES.md")
    (tmp_path / "report.xml").write_text(REPORT, encoding="utf-8")
    assert figures.main(["--from", str(tmp_path / "report.xml")]) == 1
    assert not (tmp_path / "FIGURES.md").exists()


def test_what_a_run_covered_is_kept_for_the_modules_that_must_not_be_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "COVERED", tmp_path / "kept.json")
    monkeypatch.setattr(figures, "MUTANTS", tmp_path / "results.json")
    (tmp_path / "results.json").write_text('{"analysis.gap": {}}', encoding="utf-8")
    told = {"flowanalysis/analysis/gap.py": 96.25, "flowanalysis/text.py": 50.0}
    report = {
        "files": {name: {"summary": {"percent_covered": share}} for name, share in told.items()},
        "totals": {"percent_covered": 91.04},
    }
    (tmp_path / "coverage.json").write_text(json.dumps(report), encoding="utf-8")
    assert figures.covered() == []
    assert figures.main(["--covered", str(tmp_path / "coverage.json")]) == 0
    whole, gap = figures.covered()
    assert whole.startswith("Lines and branches reached in flowanalysis: 91.0 %, 20")
    assert gap.startswith("Lines and branches reached in analysis.gap: 96.2 %")
