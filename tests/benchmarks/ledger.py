"""Ledger of 24 months of 200,000 flows, against the obvious outer merges; prints seconds, memory and the ratio.

Run: ``python tests/benchmarks/ledger.py [flows] [months]``
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from flowanalysis.findings import COLUMNS, Examination
from flowanalysis.ledger import WORDS, ledger, recall, record
from flowanalysis.rules import RULES
from flowanalysis.schema import COUNT, TEXT

PER_FLOW = 1.5  # findings for each flow
MOVING = 0.05  # part of the findings that changes from month to month


def month(rng: np.random.Generator, alive: np.ndarray, rules: np.ndarray, flows: int) -> pd.DataFrame:
    """Findings of one month: those alive, with the words that real ones have."""
    at = np.flatnonzero(alive)
    number = pd.Series(at, dtype=COUNT).astype(TEXT)
    flow = pd.Series(at % flows, dtype=COUNT).astype(TEXT)
    rule = pd.Series(rules[at], dtype=TEXT)
    frame = {
        "finding_id": rule + "-" + number.str.zfill(16),
        "rule": rule,
        "title": rule.map({r.id: r.title for r in RULES.values()}),
        "severity": pd.Series(rng.choice(["high", "medium", "low"], len(at)), dtype=TEXT),
        "subject_kind": "flow",
        "subject_id": "00000000-0000-0000-0000-" + flow.str.zfill(12),
        "subject_name": "Flow number " + flow,
        "environment_id": "env-" + (flow.str[-2:]),
        "flow_id": "00000000-0000-0000-0000-" + flow.str.zfill(12),
        "account_id": pd.NA,
        "impact": rule.map({r.id: r.impact for r in RULES.values()}),
        "advice": rule.map({r.id: r.advice for r in RULES.values()}),
        "confidence": "full",
        "evidence": 1,
    }
    made = pd.DataFrame(frame)[COLUMNS]
    return made.astype({c: COUNT if c == "evidence" else TEXT for c in COLUMNS})


def keep(folder: Path, flows: int, months: int) -> None:
    """Write the months, as each monthly run leaves them behind."""
    rng = np.random.default_rng(7)
    size = int(flows * PER_FLOW * 1.4)
    rules = np.array(list(RULES), dtype=object)[rng.integers(0, len(RULES), size)]
    answered = pd.DataFrame({"rule": list(RULES), "title": "", "answerable": "full", "missing": ""}, dtype=TEXT)
    alive = rng.random(size) < 1 / 1.4
    for m in range(months):
        name = f"{2025 + m // 12}-{m % 12 + 1:02}"
        record(folder, name, Examination(month(rng, alive, rules, flows), pd.DataFrame(), answered))
        alive ^= rng.random(size) < MOVING


def merged(folder: Path) -> pd.DataFrame:
    """The obvious way: an outer merge of each month with the ledger so far, words of the last month kept."""
    table, words = None, None
    for name, kept in recall(folder).items():
        full = kept.columns(["finding_id", *WORDS])
        words = full if words is None else pd.concat([words[~words["finding_id"].isin(full["finding_id"])], full])
        now = full[["finding_id"]].assign(here=True)
        if table is None:
            table = now.assign(state="new", first=name, last=name).drop(columns="here")
            continue
        table = table.merge(now, on="finding_id", how="outer")
        here, known = table["here"].fillna(False).astype(bool), table["state"].notna()
        lived = table["state"].isin(["new", "open", "returned"])
        table["state"] = np.select(
            [here & ~known, here & lived, here, lived], ["new", "open", "returned", "fixed"], "closed"
        )
        table["first"] = table["first"].fillna(name)
        table.loc[here, "last"] = name
        table = table.drop(columns="here")
    return table.merge(words, on="finding_id").sort_values("finding_id", ignore_index=True)


def timed(work: object, *arguments: object) -> tuple[float, pd.DataFrame]:
    begin = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - begin, result


def peak() -> float:
    """Largest memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(flows: int = 200_000, months: int = 24) -> None:
    with tempfile.TemporaryDirectory() as place:
        keep(Path(place), flows, months)
        print(f"{months} months of {flows:,} flows kept; memory {peak():.2f} GiB")
        rounds = []
        for _ in range(3):
            ours, table = timed(lambda: ledger(recall(place)))
            memory = peak()
            theirs, plain = timed(merged, Path(place))
            same = (plain["finding_id"].to_numpy() == table["finding_id"].to_numpy()).all()
            same &= (plain["state"].to_numpy() == table["state"].to_numpy(object)).all()
            same &= (plain["severity"].to_numpy(object) == table["severity"].to_numpy(object)).all()
            same &= (plain["first"].to_numpy() == table["first_month"].to_numpy(object)).all()
            rounds.append((ours, theirs, bool(same), memory))
        ours, theirs = (sorted(r[i] for r in rounds)[1] for i in (0, 1))
        print(f"findings ever seen: {len(table):,}; equal to the merges: {all(r[2] for r in rounds)}")
        print(f"ledger {ours:.1f} s, merges {theirs:.1f} s, ratio {theirs / ours:.1f}")
        print(f"peak memory after the first ledger {rounds[0][3]:.2f} GiB, in all {peak():.2f} GiB")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
