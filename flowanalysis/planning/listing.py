"""Groups listed one by one, and the fewest of them by branch and bound: exact where a part is small enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import csc_array

from flowanalysis.planning.search import settle
from flowanalysis.planning.units import NEAR, Group, Part

__all__ = ["every_group", "exact", "largest", "thinnest"]

LISTED = 120_000  # largest groups listed before the exact search is given up; shared out by the size of the parts
TRIES = 600_000  # tests of a unit against a group in that listing, likewise; ten times as many where pairs decide
EVERY = 4_000  # up to so many feasible groups the least exposure is searched exactly too
NODES = 500  # of the branch and bound over the largest groups


def exact(part: Part, groups: list[Group], least: int, *, share: float = 1.0) -> tuple[list[Group], int]:
    """The fewest groups by a cover with largest ones, and the bound that this proves.

    A cover is enough, since every part of a feasible group is feasible. Where there are too many groups to list, what
    is known already is given back.
    """
    columns = largest(part, share=share)
    if columns is None:
        return groups, least
    found = _cover(part, columns, np.ones(len(columns)))
    if found.mip_dual_bound is not None:
        least = max(least, int(np.ceil(found.mip_dual_bound - 1e-6)))
    if found.x is not None and round(found.fun) < len(groups):
        groups = _once_each(part, [columns[n] for n in np.flatnonzero(found.x > 0.5)])
    return groups, least


def thinnest(part: Part, groups: list[Group]) -> list[Group]:
    """As many groups with less exposure: the least where all feasible groups can be listed, else what moving finds."""
    if any(group.exposure for group in groups):
        every = every_group(part)
        if every is not None:
            cost = np.array([Group(part, members).exposure for members in every])
            found = _cover(part, every, cost, count=len(groups))
            if found.status == 0:
                return [Group(part, every[n]) for n in np.flatnonzero(found.x > 0.5)]
    return settle(groups)


def largest(part: Part, *, share: float = 1.0) -> list[list[int]] | None:
    """Feasible groups among which are all that cannot grow; None when there are too many."""
    found: list[list[int]] = []
    stack = _beginnings(part)
    most, tries = share * LISTED, share * TRIES * (10 if part.pairwise else 1)
    while stack:
        group, later, earlier = stack.pop()
        tries -= len(later) + len(earlier)
        # What does not fit a group fits no larger one.
        later = [n for n in later if group.fits(n)]
        earlier = [n for n in earlier if group.fits(n)]
        if len(found) > most or tries < 0:
            return None
        if part.loose and _dominated(part, group, later, earlier):
            continue
        whole = _all_of(group, later)
        if whole is not None:
            found.append(whole.members)
            continue
        for place in reversed(range(len(later))):
            larger = group.copy()
            larger.add(later[place])
            stack.append((larger, later[place + 1 :], earlier + later[:place]))
    return found


def _beginnings(part: Part) -> list[tuple[Group, list[int], list[int]]]:
    """Groups to grow from, each with the units that may still join and those that were tried before."""
    free = part.free
    alone = [(Group(part, [n]), free[place + 1 :], free[:place]) for place, n in enumerate(free)]
    return [*reversed(alone), *((Group(part, seed), free, []) for seed in reversed(part.seeds))]


def _dominated(part: Part, group: Group, later: Sequence[int], earlier: Sequence[int]) -> bool:
    """True when some unit tried before fits whatever grows here, so that nothing here cannot grow."""
    whole = group.bits | sum(1 << n for n in later)
    return any(not part.clash[n] & whole for n in earlier)


def _all_of(group: Group, later: Sequence[int]) -> Group | None:
    """The group with all that may still join, when they fit together."""
    if not later:
        return group
    part, rights = group.part, group.rights
    for number in later:
        rights |= part.units[number].needs
    limit = part.rules.excess_limit + NEAR
    units = (part.units[n] for n in later)
    if any(part.rules.weigh(rights & u.reach & ~u.needs) > limit for u in units):
        return None
    whole = group.copy()
    for number in later:
        if not whole.fits(number):
            return None
        whole.add(number)
    return whole


def every_group(part: Part) -> list[list[int]] | None:
    """Every feasible group; None when there are too many."""
    found: list[list[int]] = []
    stack = [(group, later) for group, later, _ in _beginnings(part)]
    while stack:
        group, later = stack.pop()
        found.append(group.members)
        if len(found) > EVERY:
            return None
        later = [n for n in later if group.fits(n)]
        for place in reversed(range(len(later))):
            larger = group.copy()
            larger.add(later[place])
            stack.append((larger, later[place + 1 :]))
    return found


def _cover(part: Part, columns: Sequence[list[int]], cost: np.ndarray, *, count: int | None = None) -> OptimizeResult:
    """Columns that hold every unit at the least cost; every unit once when the number of columns is given."""
    rows = np.concatenate([np.asarray(c) for c in columns])
    starts = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    matrix = csc_array((np.ones(len(rows)), rows, starts), shape=(len(part.units), len(columns)))
    constraints = [LinearConstraint(matrix, 1, np.inf if count is None else 1)]
    if count is not None:
        constraints.append(LinearConstraint(np.ones((1, len(columns))), count, count))
    whole = np.ones(len(columns))
    # The search is bounded by nodes, not by time, so that the answer is the same everywhere.
    return milp(cost, constraints=constraints, integrality=whole, bounds=Bounds(0, 1), options={"node_limit": NODES})


def _once_each(part: Part, cover: Sequence[list[int]]) -> list[Group]:
    """A cover as a partition: who is in several groups stays in the first."""
    seen = 0
    groups = []
    for members in sorted(cover):
        group = Group(part, [n for n in members if not seen >> n & 1])
        seen |= group.bits
        groups.append(group)
    return [g for g in groups if g.members]
