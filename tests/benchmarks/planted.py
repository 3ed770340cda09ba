"""Role mining on relations made of planted roles: no more roles may be found than were planted.

    python tests/benchmarks/planted.py [quick|normal|thorough] [FAMILY ...]

Every family is a shape of relation; one line of the table per family and seed. On noisy relations the number of planted
roles is no bar (a wrong assignment costs a role of its own), so the greedy of `mining.py` is printed beside it.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mining import plain_greedy

from flowanalysis.planning.check import check_roles
from flowanalysis.planning.mining import EFFORTS, mine_roles


@dataclass(frozen=True)
class Family:
    """A shape of planted relation.

    Attributes
    ----------
    rows, columns, roles : int
    widest : int
        Most columns of a role; the number is uniform from 1 on.
    most : int
        Most roles of a row; the number is uniform from 1 on.
    parts : int
        Departments: a row draws its roles, and a role its columns, within one of so many.
    astray : float
        Share of role draws from another department.
    noise : float
        Assignments taken away, and as many added, as a share of all.
    """

    rows: int
    columns: int
    roles: int
    widest: int
    most: int
    parts: int = 1
    astray: float = 0.0
    noise: float = 0.0


FAMILIES = {
    "tiny": Family(50, 100, 25, 12, 10),
    "small": Family(100, 100, 50, 12, 15),
    "small, dense": Family(200, 200, 100, 30, 8),
    "thin roles": Family(400, 400, 200, 6, 12),
    "wide roles": Family(300, 300, 100, 60, 8),
    "many columns": Family(300, 1500, 150, 80, 6),
    "many rows": Family(2000, 300, 100, 30, 8),
    "medium, many a row": Family(500, 500, 150, 15, 20),
    "medium": Family(500, 500, 200, 20, 15),
    "dense, 5 a row": Family(500, 500, 250, 40, 5),
    "dense, 10 a row": Family(500, 500, 250, 40, 10),
    "dense, 15 a row": Family(500, 500, 250, 40, 15),
    "large": Family(1000, 1000, 500, 15, 15),
    "large, dense": Family(1000, 1000, 500, 30, 10),
    "departments": Family(1000, 2000, 400, 25, 10, parts=5),
    "departments, astray": Family(1000, 2000, 400, 25, 10, parts=5, astray=0.1),
    "large departments": Family(5000, 5000, 1500, 25, 8, parts=10),
    "many departments": Family(20_000, 10_000, 3000, 15, 4, parts=100),
    "many permissions": Family(730, 120_000, 460, 1500, 3, parts=20),
    "noisy": Family(300, 300, 100, 15, 8, noise=0.01),
    "noisy, large": Family(1000, 1000, 300, 15, 8, noise=0.005),
}
TRIED = [name for name in FAMILIES if FAMILIES[name].rows <= 2000]


def planted(family: Family, *, seed: int) -> pd.DataFrame:
    """Pairs of a relation of this family.

    Parameters
    ----------
    family : Family
    seed : int
        Of the random numbers; the same seed gives the same pairs.
    """
    rng = np.random.default_rng(seed)
    part = rng.integers(family.parts, size=family.columns)
    columns = [np.flatnonzero(part == p) for p in range(family.parts)]
    home = rng.integers(family.parts, size=family.roles)
    grants = [_some(rng, columns[p], family.widest) for p in home.tolist()]
    roles = [np.flatnonzero(home == p) for p in range(family.parts)]
    lines = set()
    for row in range(family.rows):
        for role in _some(rng, roles[rng.integers(family.parts)], family.most).tolist():
            drawn = int(rng.integers(family.roles)) if rng.random() < family.astray else role
            lines.update((row, column) for column in grants[drawn].tolist())
    return pd.DataFrame(_disturbed(rng, sorted(lines), family), columns=["row", "column"])


def _some(rng: np.random.Generator, pool: np.ndarray, most: int) -> np.ndarray:
    """Between 1 and `most` of the pool, all of it if there are fewer."""
    return rng.choice(pool, min(len(pool), int(rng.integers(1, most + 1))), replace=False)


def _disturbed(rng: np.random.Generator, lines: Sequence[tuple[int, int]], family: Family) -> list[tuple[int, int]]:
    """Some lines gone, as many new ones at random places."""
    number = int(family.noise * len(lines))
    gone = set(rng.choice(len(lines), number, replace=False).tolist())
    fresh = zip(rng.integers(family.rows, size=number), rng.integers(family.columns, size=number), strict=True)
    return sorted({line for at, line in enumerate(lines) if at not in gone} | {(int(r), int(c)) for r, c in fresh})


def tell(name: str, seed: int, effort: str) -> None:
    """Print one line of the table."""
    family = FAMILIES[name]
    pairs = planted(family, seed=seed)
    start = time.perf_counter()
    mined = mine_roles(pairs, effort=effort)
    seconds = time.perf_counter() - start
    check_roles(pairs, mined.roles, mined.memberships, mined.certificate)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = (len(pairs), family.roles, mined.count, mined.bound, "yes" if mined.proved else "no", mined.weight)
    greedy = plain_greedy(pairs) if family.noise else ""
    line = "".join(f"{fact!s:>9}" for fact in facts) + f"{seconds:>9.1f}{memory:>8.2f}{greedy!s:>8}"
    print(f"{name:<22}{seed:>5}{line}{'  late' if mined.late else ''}", flush=True)


def main(effort: str = "normal", *names: str) -> None:
    """Print the table."""
    heads = ("pairs", "planted", "found", "bound", "proved", "weight", "seconds")
    print(f"{'family':<22}{'seed':>5}" + "".join(f"{head:>9}" for head in heads) + f"{'GiB':>8}{'greedy':>8}")
    for name in names or TRIED:
        for seed in (1, 2):
            tell(name, seed, effort)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] not in EFFORTS:
        sys.exit(f"The effort is one of {', '.join(EFFORTS)}.")
    main(*sys.argv[1:])
