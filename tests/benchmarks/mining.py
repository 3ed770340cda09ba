"""Role mining against a plain greedy on the same files, in the same process, alternating; median of three.

    python tests/benchmarks/mining.py FOLDER

FOLDER holds files with one ``row column`` pair a line. The yardstick is the greedy of Ene et al. (SACMAT 2008): take
the row or column with the fewest uncovered assignments, make the role that its uncovered assignments span, repeat.
"""

from __future__ import annotations

import heapq
import statistics
import sys
import time
from pathlib import Path

import pandas as pd

from flowanalysis.planning.check import check_roles
from flowanalysis.planning.mining import mine_roles


def plain_greedy(pairs: pd.DataFrame) -> int:
    """Number of roles that the greedy needs."""
    near: dict[tuple[int, str], set] = {}
    for row, column in pairs.itertuples(index=False):
        near.setdefault((0, row), set()).add((1, column))
        near.setdefault((1, column), set()).add((0, row))
    open_ends = {key: set(ends) for key, ends in near.items()}
    heap = [(len(ends), key) for key, ends in open_ends.items()]
    heapq.heapify(heap)
    roles = 0
    while heap:
        size, key = heapq.heappop(heap)
        if size != len(open_ends[key]):
            if open_ends[key]:
                heapq.heappush(heap, (len(open_ends[key]), key))
            continue
        if not size:
            continue
        others = set.intersection(*(near[end] for end in open_ends[key]))
        ends = set.intersection(*(near[other] for other in others))
        roles += 1
        for other in others:
            open_ends[other] -= ends
        for end in ends:
            open_ends[end] -= others
    return roles


def timed(work, *args) -> tuple[float, object]:
    """Wall seconds and result."""
    start = time.perf_counter()
    result = work(*args)
    return time.perf_counter() - start, result


def compare(path: Path) -> tuple[float, float]:
    """Print one line of the table; median seconds of ours and of the greedy."""
    pairs = pd.read_csv(path, sep=r"\s+", header=None, dtype=str)
    ours, theirs = [], []
    for _ in range(3):
        seconds, mined = timed(mine_roles, pairs)
        ours.append(seconds)
        seconds, greedy = timed(plain_greedy, pairs)
        theirs.append(seconds)
    check_roles(pairs, mined.roles, mined.memberships, mined.certificate)
    mine, plain = statistics.median(ours), statistics.median(theirs)
    facts = (mined.count, mined.bound, "yes" if mined.proved else "no", len(mined.certificate), mined.weight, greedy)
    print(
        f"{path.stem:<18}"
        + "".join(f"{fact!s:>9}" for fact in facts)
        + f"{mine:>9.3f}{plain:>9.3f}{mine / plain:>8.1f}"
    )
    return mine, plain


def main(folder: str) -> None:
    """Print the table and the ratio of the sums."""
    heads = ("roles", "bound", "proved", "certif.", "weight", "greedy", "ours s", "greedy s")
    print(f"{'set':<18}" + "".join(f"{head:>9}" for head in heads) + f"{'ratio':>8}")
    totals = [compare(path) for path in sorted(Path(folder).glob("*.txt"))]
    mine, plain = (sum(side) for side in zip(*totals, strict=True))
    print(f"all: {mine:.2f} s against {plain:.2f} s, {mine / plain:.2f} times the greedy")


if __name__ == "__main__":
    main(sys.argv[1])
