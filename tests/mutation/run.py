"""Make small faults in a module, one at a time, and see whether its tests notice.

Run: ``python tests/mutation/run.py [module ...] [--sample 60] [--seed 1] [--again]``; figures go to ``results.json``
beside this file.

Each fault lives in the memory of a child process: no file of the package is ever changed. A first run notes which
test passes over which line; a fault is then tried against the tests that pass over its line, the quickest first.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE.parent), str(HERE)]

from mutants import Mutant, mutants  # noqa: E402

RESULTS = HERE / "results.json"
LIMIT = 120  # seconds for one fault; a loop without end counts as noticed
MOST = 150  # tests tried against one fault
OWN = {
    "findings": (
        *("test_findings_ownership", "test_findings_connections", "test_findings_service_accounts"),
        *("test_findings_rights", "test_ledger", "test_properties_findings", "test_properties_pinned"),
    ),
    "analysis.execution": ("test_properties_pinned", "test_analysis_execution", "test_analysis_needs"),
    "codes.accounts": ("test_properties_pinned", "test_analysis_execution", "test_findings_connections"),
    "analysis.access": ("test_properties_pinned", "test_analysis_oracles", "test_properties_closure"),
    "analysis.gap": ("test_properties_closure", "test_analysis_oracles", "test_findings_rights"),
    "analysis.drift": ("test_properties_pinned", "test_analysis_oracles", "test_properties_changes"),
    "collect.journal": ("test_collect_journal_state", "test_collect_journal"),
    "definitions.secrets": ("test_definitions_secrets", "test_definitions_marks"),
}


def path_of(module: str) -> Path:
    return ROOT / "flowanalysis" / (module.replace(".", "/") + ".py")


class Changed(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Loads one module of the package from a changed text."""

    def __init__(self, module: str, source: str) -> None:
        super().__init__(f"flowanalysis.{module}", str(path_of(module)))
        self.changed = source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname):
        return compile(self.changed, self.path, "exec")


def child(work, *, limit: int = LIMIT) -> int:
    """Exit status of some work in a forked child; -1 when it took too long."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            status = int(work())
        except BaseException:
            status = 3
        os._exit(status)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1


def pytest_run(tests: list[str], plugins: list[object] | None = None, extra: tuple[str, ...] = ()) -> int:
    import pytest

    options = [
        "-q",
        "-x",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:nbval",
        "--override-ini",
        "addopts=",
        *extra,
    ]
    os.environ["HYPOTHESIS_DATABASE_FILE"] = ""
    with contextlib.redirect_stdout(io.StringIO()):
        return int(pytest.main([*options, *tests], plugins=plugins))


class Watch:
    """Which test passes over which lines of a module, and how long each takes."""

    def __init__(self, path: Path, out: Path) -> None:
        import coverage

        self.path, self.out = str(path), out
        self.cover = coverage.Coverage(data_file=None, include=[self.path], config_file=False)
        self.seconds: dict[str, float] = {}

    def pytest_sessionstart(self) -> None:
        self.cover.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.cover.switch_context(nodeid)

    def pytest_runtest_logreport(self, report) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        self.cover.stop()
        lines = self.cover.get_data().contexts_by_lineno(self.path)
        self.out.write_text(json.dumps({"lines": {str(k): v for k, v in lines.items()}, "seconds": self.seconds}))


def watched(module: str, tests: list[str]) -> dict:
    """The notes of the first run."""
    out = Path(f"/tmp/flowanalysis-mutation-{os.getpid()}.json")
    out.unlink(missing_ok=True)
    status = child(lambda: pytest_run(tests, [Watch(path_of(module), out)], ("-m", "not slow")), limit=3600)
    if status != 0:
        raise SystemExit(f"{module}: its tests fail before any fault is made (status {status})")
    return json.loads(out.read_text())


def tried_on(mutant: Mutant, notes: dict) -> list[str]:
    """Tests that pass over the line, quickest first; over lines that run at import, all are tried."""
    over = [t for t in notes["lines"].get(str(mutant.line), []) if t]
    chosen = over or list(notes["seconds"])
    return sorted(chosen, key=lambda t: notes["seconds"].get(t, 0.0))[:MOST]


def noticed(module: str, mutant: Mutant, tests: list[str]) -> str:
    """killed, survived or timeout."""

    def work() -> int:
        sys.meta_path.insert(0, Changed(module, mutant.source))
        return pytest_run(tests)

    status = child(work)
    return "timeout" if status == -1 else "survived" if status == 0 else "killed"


def preload() -> None:
    """What every child needs, loaded once."""
    import duckdb  # noqa: F401
    import hypothesis  # noqa: F401
    import networkx  # noqa: F401
    import orjson  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pytest  # noqa: F401
    import requests  # noqa: F401
    import scipy.sparse.csgraph  # noqa: F401
    import xlsxwriter  # noqa: F401


def judge(module: str, *, sample: int, seed: int, again: dict | None = None) -> dict:
    """Figures of a module; with those of an earlier run, only its survivors are tried `again`."""
    every = mutants(path_of(module).read_text(encoding="utf-8"))
    chosen = every if len(every) <= sample else sorted(random.Random(seed).sample(every, sample), key=lambda m: m.line)
    known = len(chosen)
    if again is not None:
        left = set(again["survivors"])
        chosen = [m for m in every if str(m) in left]
    tests = [f"tests/{t}.py" for t in OWN[module] if (HERE.parent / f"{t}.py").is_file()]
    began = time.monotonic()
    notes = watched(module, tests)
    survivors, counts = [], {"killed": 0, "timeout": 0, "survived": 0}
    if again is not None:
        counts.update(killed=again["tried"] - len(chosen) - again["timeout"], timeout=again["timeout"])
        known = again["tried"]
    for number, mutant in enumerate(chosen, 1):
        result = noticed(module, mutant, tried_on(mutant, notes))
        counts[result] += 1
        if result == "survived":
            survivors.append(str(mutant))
        print(f"{module} {number}/{len(chosen)} {result:8} {mutant}", flush=True)
    share = (counts["killed"] + counts["timeout"]) / max(known, 1)
    return {
        "possible": len(every),
        "tried": known,
        **counts,
        "share": round(share, 3),
        "seed": seed,
        "on": dt.date.today().isoformat(),
        "seconds": round(time.monotonic() - began),
        "survivors": survivors,
    }


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("modules", nargs="*")
    asked.add_argument("--sample", type=int, default=60)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--again", action="store_true", help="only the survivors of the last run")
    options = asked.parse_args()
    os.chdir(ROOT)
    preload()
    for module in options.modules or OWN:
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        last = known.get(module) if options.again else None
        figures = judge(module, sample=options.sample, seed=options.seed, again=last)
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        RESULTS.write_text(json.dumps(known | {module: figures}, indent=1) + "\n")
        print(f"{module}: {figures['killed'] + figures['timeout']} of {figures['tried']} noticed", flush=True)


if __name__ == "__main__":
    main()
