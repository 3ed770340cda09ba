"""The claims of figures.toml, counted from a run of the tests.

Any run of all tests prints the table at its end. ``python tests/figures.py --from report.xml`` writes it as
``tests/FIGURES.md`` from what ``pytest --junitxml report.xml`` left behind; ``python tests/figures.py [pytest
arguments]`` runs the tests first. Coverage makes a run twice as long, so its shares are kept from the last run with
``--cov=flowanalysis --cov-branch --cov-report=json``, after ``python tests/figures.py --covered coverage.json``.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import defusedxml.ElementTree as xml
import pytest

HERE = Path(__file__).resolve().parent
CLAIMS = tomllib.loads((HERE / "figures.toml").read_text(encoding="utf-8"))["figure"]
MUTANTS = HERE / "mutation" / "results.json"
COVERED = HERE / "mutation" / "coverage.json"
PAGE = HERE / "FIGURES.md"
HEAD = """# Figures

Written by `python tests/figures.py` from a run of all tests; the list of claims is
[`figures.toml`](figures.toml). *N of N* counts tests that passed of those that ran; a control is a test which shows
that the others could fail.
"""


@dataclass(eq=False)
class Figures:
    """Outcome of every test of a run, as a pytest plugin."""

    outcomes: dict[str, str] = field(default_factory=dict)
    write: bool = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Worst outcome of setup, call and teardown."""
        known = self.outcomes.get(report.nodeid)
        if known is None or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The table, when every claim was tried."""
        rows = self.rows()
        if not rows:
            return
        terminalreporter.section("figures")
        width = max(len(title) for title, *_ in rows)
        for title, shown, control in rows:
            terminalreporter.write_line(f"{title.ljust(width)}  {shown}; control {control}")
        for line in (*covered(), *mutants()):
            terminalreporter.write_line(line)
        if self.write:
            PAGE.write_text(page(rows, len(self.outcomes)), encoding="utf-8")

    def rows(self) -> list[tuple[str, str, str]]:
        """Title, figure and figure of the control of each claim; none when a pattern met no test."""
        tried = all(any(p in n for n in self.outcomes) for c in CLAIMS for p in (*c["tests"], *c["control"]))
        return [(c["title"], self.count(c["tests"]), self.count(c["control"])) for c in CLAIMS] if tried else []

    def count(self, patterns: list[str]) -> str:
        """``N of N``, and how many were skipped."""
        found = [o for n, o in self.outcomes.items() if any(p in n for p in patterns)]
        skipped = found.count("skipped")
        text = f"{found.count('passed')} of {len(found) - skipped}"
        return f"{text} ({skipped} skipped)" if skipped else text


def mutants() -> list[str]:
    """Share of small faults that the tests of a module notice, from the last run of `mutation/run.py`."""
    known = json.loads(MUTANTS.read_text(encoding="utf-8")) if MUTANTS.is_file() else {}
    return [
        f"Small faults noticed in {module}: {f['noticed']} of {f['tried']} ({f['share']:.0%}), {f['on']}"
        for module, f in known.items()
    ]


def covered() -> list[str]:
    """Share of lines and branches that the tests reach, from the last run with coverage."""
    known = json.loads(COVERED.read_text(encoding="utf-8")) if COVERED.is_file() else {"shares": {}}
    return [f"Lines and branches reached in {m}: {share:.1f} %, {known['on']}" for m, share in known["shares"].items()]


def keep_coverage(report: Path) -> None:
    """Keep the shares of the whole and of the modules that mutants are made of."""
    told = json.loads(report.read_text(encoding="utf-8"))
    files = {name.replace("\\", "/"): of["summary"]["percent_covered"] for name, of in told["files"].items()}
    shares = {"flowanalysis": told["totals"]["percent_covered"]}
    for module in json.loads(MUTANTS.read_text(encoding="utf-8")):
        shares[module] = files[f"flowanalysis/{module.replace('.', '/')}.py"]
    text = json.dumps({"on": dt.date.today().isoformat(), "shares": shares}, indent=1)
    COVERED.write_text(text + "\n", encoding="utf-8")


def of_report(place: Path) -> Figures:
    """Outcomes from a report that ``--junitxml`` wrote."""
    known = Figures()
    for case in xml.parse(place).iter("testcase"):
        parts = [child.tag for child in case]
        outcome = "skipped" if "skipped" in parts else "failed" if {"failure", "error"} & set(parts) else "passed"
        known.outcomes[f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"] = outcome
    return known


def page(rows: list[tuple[str, str, str]], tests: int) -> str:
    """The table as a document."""
    where = f"Python {platform.python_version()}, {platform.system()}"
    lines = [HEAD, f"{dt.date.today().isoformat()}, {tests:,} tests, {where}.", "", "| claim | figure | control |"]
    lines += ["|---|---|---|", *(f"| {title} | {shown} | {control} |" for title, shown, control in rows)]
    lines += ["", "What survived, and why, is in [mutation/README.md](mutation/README.md).", ""]
    return "\n".join([*lines, *(f"- {line}" for line in (*covered(), *mutants())), ""])


def main(arguments: list[str]) -> int:
    """Write the page, from a report or from a run; or keep what a run covered."""
    if arguments[:1] == ["--covered"]:
        keep_coverage(Path(arguments[1]))
        return 0
    if arguments[:1] != ["--from"]:
        return int(pytest.main(arguments, plugins=[Figures(write=True)]))
    known = of_report(Path(arguments[1]))
    rows = known.rows()
    if rows:
        PAGE.write_text(page(rows, len(known.outcomes)), encoding="utf-8")
    return int(not rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
