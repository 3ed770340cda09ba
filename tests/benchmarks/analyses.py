"""How quickly the analyses answer, beside the loops, sets and merges that people write first.

    python tests/benchmarks/analyses.py --size S|M|L [--folder SNAPSHOT_OR_EXPORTS] [--only gap,drift,…] [--share 0.1]
    python tests/benchmarks/analyses.py --growth FOLDER_S FOLDER_M FOLDER_L [--rounds 5]

Both sides start from the same: ids as codes, the account behind each connection, names, tiers and needs by code, and
(except where it is the very question) the effective levels of everybody who matters; the obvious ways read them as
sets, dicts and lists that are made beforehand. Effective permissions and drift by merges read ids, as people do; there
ours starts from codes for the first and from ids for the second. Sides take turns within one process, the median
counts. Wall clock and processor time are told apart, since other work on the machine falsifies the first. Where the
obvious way would take very long, it does a share of the work, and its time is divided by that share (what it takes for
nothing at all is left whole); the output says so. What each side answers is compared as well: counts, on the share of
the work that both did.

How times and memory grow is told from processes of their own, the median of several where they are short: the exponent
in the number of edges by least squares over all sizes, and from the last size but one to the last, where fixed costs no
longer flatter. A step reads the tables that it is the first to ask for. What it answers may grow faster than the edges
(pairs of accounts do), and so may the ids that it reads (from M to L identities grow twenty times and edges ten): the
exponent in edges, identities and rows of the answer together stands beside it. In tenants of ``generate.py --size M
--times 0.1`` and ``--times 10`` everything grows alike, and only the work itself is seen.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import fmean, median
from typing import Any

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

PATIENCE = 20  # seconds of runs of one size after which no further round begins


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


def own() -> float:
    """Processor time without the kernel's, which hands out memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def pipeline(folder: Path, month_later: Path, *, apart: bool) -> None:
    """From a folder to all frames, in one process; prints JSON. A table is read when an analysis first asks for it.

    Several analyses at once, as a report makes them; or each on its own, which tells what it takes.
    """
    before = time.perf_counter(), time.process_time(), own()
    from flowanalysis.loading import load
    from flowanalysis.together import together

    steps: dict[str, tuple[float, float, float, int]] = {}

    def done(name: str, rows: int = 0) -> None:
        nonlocal before
        now = time.perf_counter(), time.process_time(), own()
        steps[name] = (*(b - a for a, b in zip(before, now, strict=True)), rows)
        before = now

    done("import")
    tenant = load(folder)
    done("load")
    len(tenant.codes.principals)
    done("codes")
    stages = obvious.stages(month_later)
    made = (work(tenant) for work in stages.values()) if apart else together(tenant, *stages.values())
    for name in stages:
        answer = next(made)
        done(name, sum(map(len, answer.values())) if isinstance(answer, dict) else len(answer))
        del answer
    total, processor = (sum(s[k] for s in steps.values()) for k in (0, 1))
    edges = sum(m.nnz for n, m in tenant.codes.relations.items() if n != "cover")
    found = {"edges": edges, "identities": len(tenant.codes.principals)}
    print(json.dumps({"steps": steps, "wall": total, "cpu": processor, "peak": peak()} | found))


def month_after(folder: Path, place: Path) -> None:
    """Write the snapshot of the next month."""
    from flowanalysis.loading import load

    obvious.second(load(folder), place)


def piped(folder: Path, rounds: int) -> dict[str, Any]:
    """The pipeline in processes of its own, after another one has made the month that drift compares with.

    Medians of times and memory of analyses at once, and of what each takes on its own in other processes.
    """
    with tempfile.TemporaryDirectory() as place:
        _itself("--later", folder, place)
        whole, apart = [], []
        while not whole or (len(whole) < rounds and sum(run["wall"] for run in whole + apart) < PATIENCE):
            for way, runs in (("--pipeline", whole), ("--apart", apart)):
                runs.append(json.loads(_itself(way, folder, place).splitlines()[-1]))
    steps = {n: [median(run["steps"][n][k] for run in apart) for k in range(4)] for n in apart[0]["steps"]}
    found = {k: median(run[k] for run in whole) for k in ("wall", "cpu", "peak")}
    one = {"apart": median(run["wall"] for run in apart), "apart_cpu": median(run["cpu"] for run in apart)}
    return whole[0] | found | one | {"steps": steps, "rounds": len(whole)}


def _itself(*words: object) -> str:
    call = [sys.executable, __file__, *map(str, words)]
    return subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout


def growth(folders: list[Path], rounds: int) -> None:
    """Times and memory from size to size, and the exponents; 1 is linear."""
    runs = [piped(folder, rounds) for folder in folders]
    for folder, run in zip(folders, runs, strict=True):
        print(f"{folder}: {run['edges']:,} edges, {run['identities']:,} identities; median of {run['rounds']}:")
        print(
            f"  at once {run['wall']:.2f} s ({run['cpu']:.2f} cpu), {run['peak']:.2f} GiB; one after the other", end=" "
        )
        print(f"{run['apart']:.2f} s ({run['apart_cpu']:.2f} cpu): ", end="")
        print(", ".join(f"{step} {wall:.2f}" for step, (wall, *_) in run["steps"].items()))
    edges = [run["edges"] for run in runs]
    for what in ("wall", "cpu", "apart", "apart_cpu", "peak"):
        values = [run[what] for run in runs]
        print(f"{what:17} {' '.join(f'{v:9.3f}' for v in values)}  in edges {slope(edges, values):.2f}", end=", ")
        print(f"from the last but one {slope(edges[-2:], values[-2:]):.2f}")
    print(
        "each step: seconds of processor time; exponents of it and of the wall clock in edges, from the last but one,"
    )
    print("there in edges, identities and rows of the answer; rows of the answers")
    for step in runs[0]["steps"]:
        wall, cpu, user, rows = zip(*(run["steps"][step] for run in runs), strict=True)
        more = [run["edges"] + run["identities"] + count for run, count in zip(runs, rows, strict=True)]
        print(f"{step:17} {' '.join(f'{t:9.3f}' for t in cpu)}", end="  ")
        for times in (cpu, user, wall):
            told = slope(edges, times), slope(edges[-2:], times[-2:]), slope(more[-2:], times[-2:])
            print(" ".join(f"{power:5.2f}" for power in told), end=" | ")
        print(" ".join(f"{int(count):,}" for count in rows))


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent by least squares on logarithms; less than a millisecond counts as one."""
    x, y = [log(size) for size in sizes], [log(max(value, 1e-3)) for value in values]
    middle = fmean(x)
    return sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


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
        return growth(chosen.growth, chosen.rounds)
    share = chosen.share or (0.05 if chosen.size == "L" else 1.0)
    with tempfile.TemporaryDirectory() as place:
        folder = chosen.folder or write(Path(place) / "exports", chosen.size)
        table(folder, chosen.only.split(","), share, chosen.rounds)
    return None


if __name__ == "__main__":
    main()
