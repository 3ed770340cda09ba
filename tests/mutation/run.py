"""Make small faults in a module, one at a time, and see whether its tests notice.

Run: ``python tests/mutation/run.py [module ...] [--sample 120] [--seed 1] [--again] [--lock FILE]``; figures go to
``results.json`` beside this file. On a machine where others measure times under ``flock FILE``, no fault is tried
while they do.

Each fault lives in the memory of a child process: no file of the package is ever changed. A first run notes which
test passes over which line; a fault is then tried against the tests that pass over its line, the quickest first,
until one fails. A fault in a function is other code of that function; one that acts at import needs a new import.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]

from mutants import Mutant, mutants  # noqa: E402
from swap import ROOT, path_of  # noqa: E402
from trial import Trial, anew, child, noticed, tests_run, tried_on  # noqa: E402

RESULTS = HERE / "results.json"
#: What every child needs, loaded once; nothing of the package, which some import anew.
HEAVY = "duckdb hypothesis networkx orjson pandas pyarrow.parquet pytest requests scipy.sparse.csgraph xlsxwriter"
OWN = {
    "findings": ("test_findings_table", "test_findings_sarif", "test_findings_ownership", "test_properties_pinned"),
    "analysis.execution": (
        "test_properties_pinned",
        "test_execution_chains",
        "test_analysis_execution",
        "test_analysis_needs",
    ),
    "codes.accounts": (
        "test_properties_pinned",
        "test_execution_chains",
        "test_analysis_execution",
        "test_findings_connections",
    ),
    "analysis.access": (
        "test_properties_pinned",
        "test_analysis_access",
        "test_analysis_oracles",
        "test_analysis_kernels",
    ),
    "analysis.gap": ("test_analysis_gap", "test_analysis_oracles", "test_analysis_kernels"),
    "analysis.drift": ("test_properties_pinned", "test_analysis_drift", "test_analysis_oracles"),
    "collect.journal": ("test_collect_journal_state", "test_collect_journal"),
    "definitions.secrets": ("test_definitions_secrets", "test_definitions_secret_places", "test_definitions_marks"),
}


def judge(module: str, *, sample: int, seed: int, lock: Path | None, again: dict | None = None) -> dict:
    """Figures of a module; with those of an earlier run, only its survivors are tried `again`."""
    every = mutants(path_of(module).read_text(encoding="utf-8"))
    chosen = every if len(every) <= sample else sorted(random.Random(seed).sample(every, sample), key=lambda m: m.line)
    tried, known = len(chosen), 0
    if again is not None:
        left = set(again["survivors"])
        chosen = [m for m in every if str(m) in left]
        tried, known = again["tried"], again["tried"] - len(chosen)
    began = time.monotonic()
    answers = answers_of(module, chosen, lock)
    survivors = [str(m) for m, answer in zip(chosen, answers, strict=True) if answer == "survived"]
    return {
        "possible": len(every),
        "tried": tried,
        "noticed": known + len(chosen) - len(survivors),
        "without_end": answers.count("timeout"),
        "share": round((known + len(chosen) - len(survivors)) / max(tried, 1), 3),
        "seed": seed,
        "on": dt.date.today().isoformat(),
        "seconds": round(time.monotonic() - began),
        "survivors": survivors,
    }


def answers_of(module: str, faults: list[Mutant], lock: Path | None) -> list[str]:
    """What became of each fault: killed, survived or timeout."""
    tests = [f"tests/{t}.py" for t in OWN[module] if (HERE.parent / f"{t}.py").is_file()]
    with tempfile.TemporaryDirectory(prefix="flowanalysis-mutation-") as folder:
        out = Path(folder)
        child(lambda: tests_run(tests, Trial(module, faults, lock, out)), limit=1e6)
        if not (out / "answers").is_file():
            told = (out / "failed").read_text() if (out / "failed").is_file() else "they could not be collected"
            raise SystemExit(f"{module}: its tests fail before any fault is made: {told}")
        notes, answers = json.loads((out / "notes").read_text()), json.loads((out / "answers").read_text())
    for at, fault in enumerate(faults):
        if not answers[at]:
            some = tried_on(fault, notes)
            answers[at] = noticed(lambda f=fault, t=some: anew(module, f, t), module, fault, some, notes, lock)
    return answers


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("modules", nargs="*")
    asked.add_argument("--sample", type=int, default=120)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--again", action="store_true", help="only the survivors of the last run")
    asked.add_argument("--lock", type=Path, help="shared while a fault is tried")
    options = asked.parse_args()
    os.chdir(ROOT)
    for name in HEAVY.split():
        importlib.import_module(name)
    for module in options.modules or OWN:
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        last = known.get(module) if options.again else None
        figures = judge(module, sample=options.sample, seed=options.seed, lock=options.lock, again=last)
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        RESULTS.write_text(json.dumps(known | {module: figures}, indent=1) + "\n")
        print(f"{module}: {figures['noticed']} of {figures['tried']} noticed", flush=True)


if __name__ == "__main__":
    main()
