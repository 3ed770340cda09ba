"""How quickly the analyses answer, beside the loops, sets and merges that people write first.

    python tests/benchmarks/analyses.py --size S|M|L [--folder SNAPSHOT_OR_EXPORTS] [--only gap,drift,…] [--share 0.1]
    python tests/benchmarks/analyses.py --growth FOLDER_S FOLDER_M FOLDER_L

Both sides start from the same: ids as codes, the account behind each connection, names, tiers and needs by code, and
(except where it is the very question) the effective levels of everybody who matters; the obvious ways read them as
sets, dicts and lists that are made beforehand. Effective permissions and drift by merges read ids, as people do; there
ours starts from codes for the first and from ids for the second. Sides take turns within one process, the median
counts. Wall clock and processor time are told apart, since other work on the machine falsifies the first. Where the
obvious way would take very long, it does a share of the work, and its time is divided by that share (what it takes for
nothing at all is left whole); the output says so. What each side answers is compared as well: counts, on the share of
the work that both did.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

import obvious
from generate import SIZES, write

BARS = {  # at L: how many times as fast, or seconds
    "effective": 10,
    "blast": 15,
    "escalations": 10,
    "accounts_overlap": 40,
    "similar": 20,
    "gap": 10,
    "drift": 5,
    "impact": "1 s",
    "ego": "0.1 s",
}
SCALED = (
    "effective",
    "blast",
    "escalations",
    "accounts_overlap",
    "similar",
    "gap",
)  # the obvious way may do a share of these


@dataclass
class Clock:
    """Wall clock and processor time of some runs."""

    wall: list[float]
    cpu: list[float]

    def time(self, work: Callable[[], object]) -> object:
        """Do the work once."""
        wall, cpu = time.perf_counter(), time.process_time()
        answer = work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return answer


def opened(folder: Path) -> obvious.Bench:
    """The tenant in a folder, with needs drawn where the exports hold few, and everything both sides start from."""
    from flowanalysis.loading import load

    return obvious.Bench(load(folder))


def compare(bench: obvious.Bench, name: str, share: float, rounds: int) -> dict[str, object]:
    """One analysis beside the obvious way, in turns."""
    ours, other = Clock([], []), Clock([], [])
    share = share if name in SCALED else 1.0
    slow, fast, check = obvious.CASES[name](bench, share)
    idle, empty = Clock([0.0], [0.0]), None
    if name == "effective" and share < 1:
        idle, empty = Clock([], []), obvious.effective(bench, 0)[0]
    for _ in range(rounds):
        tenant = bench.again(*obvious.KEPT[name])
        answer = check(ours.time(lambda: fast(tenant)))  # noqa: B023  called at once
        theirs = other.time(slow) if slow is not None else answer
        if empty is not None:
            idle.time(empty)
        if answer != theirs:
            raise SystemExit(f"{name}: {answer} against {theirs}")
    found = {"name": name, "ours": median(ours.wall), "ours_cpu": median(ours.cpu), "answer": answer}
    if slow is not None:
        found |= {"other": whole(other.wall, idle.wall, share), "other_cpu": whole(other.cpu, idle.cpu, share)}
        found["share"] = share
    return found


def whole(times: list[float], idle: list[float], share: float) -> float:
    """Time of all the work, from that of a share of it and of none."""
    return median(idle) + max(median(times) - median(idle), 0.0) / share


def told(found: dict[str, object]) -> str:
    """One line of the table."""
    line = f"{found['name']:17} {found['ours']:9.3f} s ({found['ours_cpu']:8.3f} cpu)"
    if "other" in found:
        line += f" | obvious {found['other']:10.2f} s ({found['other_cpu']:9.2f} cpu)"
        line += f" = {found['other'] / found['ours']:7.1f} x ({found['other_cpu'] / found['ours_cpu']:7.1f} x cpu)"
        line += f", share {found['share']:g}" if found["share"] < 1 else ""
    return f"{line}  bar at L: {BARS[found['name']]}  answer: {found['answer']}"


def table(folder: Path, only: list[str], share: float, rounds: int) -> None:
    """All analyses of one tenant."""
    bench = opened(folder)
    print(f"{bench.described()}; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    for name in only:
        print(told(compare(bench, name, share, rounds)), flush=True)
    print(f"peak memory {peak():.2f} GiB, the obvious ways included")


def peak() -> float:
    """Most memory that this process ever held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def pipeline(folder: Path, month_later: Path, *, apart: bool) -> None:
    """From a folder to all frames, in one process; prints JSON. A table is read when an analysis first asks for it.

    Several analyses at once, as a report makes them; or each on its own, which tells what it takes.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    from flowanalysis.loading import load
    from flowanalysis.together import together

    steps: dict[str, tuple[float, float]] = {}

    def done(name: str) -> None:
        nonlocal wall, cpu
        steps[name] = time.perf_counter() - wall, time.process_time() - cpu
        wall, cpu = time.perf_counter(), time.process_time()

    done("import")
    tenant = load(folder)
    done("load")
    len(tenant.codes.principals)
    done("codes")
    stages = obvious.stages(month_later)
    made = (work(tenant) for work in stages.values()) if apart else together(tenant, *stages.values())
    for name in stages:
        len(next(made))
        done(name)
    total, processor = (sum(s[k] for s in steps.values()) for k in (0, 1))
    edges = sum(m.nnz for n, m in tenant.codes.relations.items() if n != "cover")
    print(json.dumps({"steps": steps, "wall": total, "cpu": processor, "peak": peak(), "edges": edges}))


def month_after(folder: Path, place: Path) -> None:
    """Write the snapshot of the next month."""
    from flowanalysis.loading import load

    obvious.second(load(folder), place)


def piped(folder: Path) -> dict[str, object]:
    """The pipeline in a process of its own, after another one has made the month that drift compares with.

    Times and memory of analyses at once, and what each takes on its own from another run.
    """
    with tempfile.TemporaryDirectory() as place:
        _itself("--later", folder, place)
        whole, apart = (json.loads(_itself(way, folder, place).splitlines()[-1]) for way in ("--pipeline", "--apart"))
        return whole | {"steps": apart["steps"], "apart": apart["wall"]}


def _itself(*words: object) -> str:
    call = [sys.executable, __file__, *map(str, words)]
    return subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout


def growth(folders: list[Path]) -> None:
    """Times and memory from size to size, and the exponent in the number of edges; 1 is linear."""
    runs = [piped(folder) for folder in folders]
    for folder, run in zip(folders, runs, strict=True):
        print(f"{folder}: {run['edges']:,} edges, {run['wall']:.1f} s ({run['cpu']:.1f} cpu), {run['peak']:.2f} GiB")
        print(f"  one after the other {run['apart']:.1f} s:")
        print("  " + ", ".join(f"{step} {wall:.2f}" for step, (wall, _) in run["steps"].items()))
    for step in runs[0]["steps"]:
        times = [run["steps"][step][1] for run in runs]
        powers = [
            log(max(b, 1e-3) / max(a, 1e-3)) / log(y["edges"] / x["edges"])
            for a, b, x, y in zip(times, times[1:], runs, runs[1:], strict=False)
        ]
        print(
            f"{step:17} {' '.join(f'{t:9.3f}' for t in times)} s cpu, exponents {' '.join(f'{p:.2f}' for p in powers)}"
        )


def main() -> None:
    """Generate where needed, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--folder", type=Path, help="exports or a snapshot; made anew where it is left out")
    parser.add_argument("--only", default=",".join(BARS))
    parser.add_argument("--share", type=float, help="of the work, for the obvious ways; 0.05 at L, else 1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--later", type=Path, nargs=2, help="only make the month after this folder's, in a place")
    parser.add_argument("--pipeline", type=Path, nargs=2, help="only from this folder, and that place, to all frames")
    parser.add_argument("--apart", type=Path, nargs=2, help="the same, one analysis after the other")
    parser.add_argument("--growth", type=Path, nargs="+", help="the pipeline over folders of growing size")
    chosen = parser.parse_args()
    if chosen.later:
        return month_after(*chosen.later)
    if chosen.pipeline or chosen.apart:
        folder, place = chosen.pipeline or chosen.apart
        return pipeline(folder, place / "later", apart=bool(chosen.apart))
    if chosen.growth:
        return growth(chosen.growth)
    share = chosen.share or (0.05 if chosen.size == "L" else 1.0)
    with tempfile.TemporaryDirectory() as place:
        folder = chosen.folder or write(Path(place) / "exports", chosen.size)
        table(folder, chosen.only.split(","), share, chosen.rounds)
    return None


if __name__ == "__main__":
    main()
