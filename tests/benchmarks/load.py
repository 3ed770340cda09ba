"""How quickly exports become an open Tenant, beside what people write first and beside the floor.

    python tests/benchmarks/load.py [--size S|M|L] [--folder F] [--rounds 3] [--only users,flows,…]

Cases: ``users`` and ``memberships`` against ``pandas.read_json``, ``flows`` with their references against a loop of
``json.loads``, ``whole`` folder of JSON Lines against DuckDB merely counting the same files, ``snapshot`` alone.
Ours is always ``load(path)`` to typed, merged, settled frames. Every run is a process of its own, the sides take
turns, and the median counts. Peak memory is that of the process, libraries included. Processor time is told beside
the wall: on a machine that is shared, only its ratio says something.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from generate import SIZES, write


@dataclass(frozen=True)
class Case:
    """What is loaded, against which other way, and what is hoped for at size L."""

    place: str
    other: str
    bar: str


CASES = {
    "users": Case("graph/users.jsonl", "read_json", "at least 20 times as fast"),
    "memberships": Case("graph/group-members.jsonl", "read_json", "at least 15 times as fast"),
    "flows": Case("flows/flows.jsonl", "loops", "at least 4 times as fast"),
    "whole": Case("", "floor", "at most 6 times the floor, at most 5 GiB"),
    "snapshot": Case("", "", "at most 5 s"),
}


def ours(place: Path) -> int:
    """Rows of the tenant that the exports or the snapshot describe, every table read."""
    from flowanalysis import schema
    from flowanalysis.loading import load

    tenant = load(place)
    return sum(len(tenant[t]) for t in schema.TABLES)


def read_json(place: Path) -> int:
    """The first thing that people try."""
    import pandas as pd

    return len(pd.read_json(place, lines=True))


def loops(place: Path) -> int:
    """The obvious loop: flows and references, one dict at a time, as frames."""
    import pandas as pd

    flows, references = [], []
    with place.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            shown = row["properties"]
            flows.append(
                {
                    "environment_id": shown["environment"]["name"],
                    "flow_id": row["name"],
                    "display_name": shown["displayName"],
                    "state": shown["state"],
                    "created_at": shown["createdTime"],
                    "modified_at": shown["lastModifiedTime"],
                    "creator_id": shown["creator"]["objectId"],
                    "creator_kind": shown["creator"]["userType"],
                    "workflow_id": shown.get("workflowEntityId"),
                    "trigger_type": shown["definitionSummary"]["triggers"][0]["type"],
                }
            )
            for alias, found in shown["connectionReferences"].items():
                references.append(
                    {
                        "flow_id": row["name"],
                        "alias": alias,
                        "connector_id": found["id"].rsplit("/", 1)[-1],
                        "connection_id": found["connectionName"],
                        "reference_name": found.get("connectionReferenceLogicalName"),
                        "runtime_source": found["source"].lower(),
                        "tier": found["tier"],
                    }
                )
    times = ["created_at", "modified_at"]
    frame = pd.DataFrame(flows)
    frame[times] = frame[times].apply(pd.to_datetime, utc=True)
    return len(frame) + len(pd.DataFrame(references))


def floor(place: Path) -> int:
    """DuckDB counts the rows of every file and keeps nothing."""
    import duckdb

    rows = 0
    for path in sorted(p for p in place.rglob("*") if p.is_file()):
        reader = "read_csv" if path.suffix == ".csv" else "read_json"
        found = duckdb.sql(f"select count(*) from {reader}($path)", params={"path": str(path)}).fetchall()
        rows += found[0][0]
    return rows


WAYS: dict[str, Callable[[Path], int]] = {"ours": ours, "read_json": read_json, "loops": loops, "floor": floor}


def measure(way: str, place: Path) -> tuple[float, float, float, int]:
    """Seconds by the wall and of the processors, GiB and rows of one run in a process of its own."""
    call = [sys.executable, __file__, "--way", way, "--folder", str(place)]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    wall, busy, memory, rows = json.loads(done.stdout.splitlines()[-1])
    return wall, busy, memory, rows


def one(way: str, place: Path) -> None:
    """Measure here; imports that every program pays do not count."""
    import duckdb  # noqa: F401
    import pandas as pd  # noqa: F401

    import flowanalysis.loading  # noqa: F401

    start, begun = time.perf_counter(), time.process_time()
    rows = WAYS[way](place)
    seconds, busy = time.perf_counter() - start, time.process_time() - begun
    print(json.dumps([seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, rows]))


def compare(name: str, folder: Path, rounds: int) -> None:
    """Run both sides in turns and print one line."""
    case = CASES[name]
    found: dict[str, list[tuple[float, float, float, int]]] = {way: [] for way in ("ours", case.other) if way}
    for _ in range(rounds):
        for way, runs in found.items():
            runs.append(measure(way, folder / case.place))
    wall, busy = ({way: median(r[n] for r in runs) for way, runs in found.items()} for n in (0, 1))
    memory = {way: max(r[2] for r in runs) for way, runs in found.items()}
    rows = found["ours"][0][3]
    line = f"{name:12} {wall['ours']:8.2f} s (cpu {busy['ours']:.2f}) {rows / wall['ours']:12,.0f} rows/s"
    line += f" {memory['ours']:6.2f} GiB"
    if case.other:
        line += f" | {case.other} {wall[case.other]:.2f} s (cpu {busy[case.other]:.2f}) {memory[case.other]:.2f} GiB: "
        line += f"{said(wall, case.other)} by the wall, {said(busy, case.other)} by the processor"
    print(f"{line}  (at L: {case.bar})", flush=True)


def said(seconds: dict[str, float], other: str) -> str:
    """How our time relates to the other's."""
    ratio = seconds["ours"] / seconds[other]
    return f"{ratio:.1f} times its time" if ratio > 1 else f"{1 / ratio:.1f} times as fast"


def snapshot(exports: Path, place: Path) -> Path:
    """A snapshot of the exports, with its codes."""
    from flowanalysis.loading import load
    from flowanalysis.snapshot import write_snapshot

    return write_snapshot(load(exports), place / "snapshot")


def main() -> None:
    """Generate where needed, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--folder", type=Path, help="exports that generate.py wrote; made anew where it is left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        one(chosen.way, chosen.folder)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = chosen.folder or write(Path(place) / "exports", chosen.size)
        for name in chosen.only.split(","):
            kept = snapshot(folder, Path(place)) if name == "snapshot" else folder
            compare(name, kept, chosen.rounds)


if __name__ == "__main__":
    main()
