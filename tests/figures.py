"""The claims of figures.toml, counted from a run of the tests.

``python tests/figures.py [pytest arguments]`` runs the tests and writes ``tests/FIGURES.md``; any run of all tests
prints the same table at its end.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CLAIMS = tomllib.loads((HERE / "figures.toml").read_text(encoding="utf-8"))["figure"]
MUTANTS = HERE / "mutation" / "results.json"
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
        rows = [self.row(claim) for claim in CLAIMS]
        if not all(tried for _, _, _, tried in rows):
            return
        terminalreporter.section("figures")
        width = max(len(title) for title, *_ in rows)
        for title, shown, control, _ in rows:
            terminalreporter.write_line(f"{title.ljust(width)}  {shown}; control {control}")
        for line in mutants():
            terminalreporter.write_line(line)
        if self.write:
            PAGE.write_text(page(rows, len(self.outcomes)), encoding="utf-8")

    def row(self, claim: dict) -> tuple[str, str, str, bool]:
        """Title, figure, figure of the control, and whether anything of the claim ran."""
        shown, control = self.count(claim["tests"]), self.count(claim["control"])
        return claim["title"], shown, control, "0 of 0" not in (shown, control)

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
        f"Small faults noticed in {module}: {f['killed'] + f['timeout']} of {f['tried']} ({f['share']:.0%}), {f['on']}"
        for module, f in known.items()
    ]


def page(rows: list[tuple[str, str, str, bool]], tests: int) -> str:
    """The table as a document."""
    where = f"Python {platform.python_version()}, {platform.system()}"
    lines = [HEAD, f"{dt.date.today().isoformat()}, {tests:,} tests, {where}.", "", "| claim | figure | control |"]
    lines += ["|---|---|---|", *(f"| {title} | {shown} | {control} |" for title, shown, control, _ in rows)]
    lines += ["", "What survived, and why, is in [mutation/README.md](mutation/README.md).", ""]
    return "\n".join([*lines, *(f"- {line}" for line in mutants()), ""])


if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:], plugins=[Figures(write=True)]))
