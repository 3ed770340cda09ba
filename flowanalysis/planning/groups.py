"""Few feasible groups that hold every flow once: exact where a part is small, a bounded search where it is not.

Every step is counted, never timed: the same flows give the same groups on every machine, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import csc_array

from flowanalysis.planning.units import NEAR, Group, Part

__all__ = ["Partition", "partition"]

LISTED = 120_000  # largest groups listed before the exact search is given up; shared out by the size of the parts
TRIES = 600_000  # tests of a unit against a group in that listing, likewise; ten times as many where pairs decide
EVERY = 4_000  # up to so many feasible groups the least exposure is searched exactly too
WIDE = 400  # more units than this are never tried exactly
NODES = 500  # of the branch and bound over the largest groups
STEPS = 60_000_000  # tests of a unit against a group in the local search of all parts together
STARTS = 8  # cliques tried for the bound

Tick = Callable[[int], object]


@dataclass(frozen=True)
class Partition:
    """Groups, and how few there could be.

    Attributes
    ----------
    groups : tuple of Group
        Every unit in one of them, ordered by their smallest key.
    bound : int
        No partition has fewer groups.
    """

    groups: tuple[Group, ...]
    bound: int

    @property
    def proved(self) -> bool:
        """Fewer cannot do."""
        return len(self.groups) == self.bound


def partition(parts: Sequence[Part], *, steps: int = STEPS, tick: Tick = lambda _: None) -> Partition:
    """Few feasible groups that hold every unit once.

    Parameters
    ----------
    parts : sequence of Part
        What may mix.
    steps : int
        Effort of the local search: tests of a unit against a group, shared out by the size of the parts.
    tick : function
        Called with the number of units done.
    """
    groups: list[Group] = []
    bound = 0
    cut = [piece for part in parts for piece in pieces(part)]
    whole = sum(len(part.units) ** 2 for part in cut)
    for part in cut:
        found, least = fewest(part, share=len(part.units) ** 2 / whole, steps=steps)
        groups += found
        bound += least
        tick(sum(len(unit.keys) for unit in part.units))
    return Partition(tuple(sorted(groups, key=lambda g: g.key)), bound)


def pieces(part: Part) -> list[Part]:
    """The part cut where no unit of one piece can share with one of another: every group lies in one piece."""
    everybody = (1 << len(part.units)) - 1
    waiting, found = everybody, []
    while waiting:
        piece = edge = waiting & -waiting
        while edge:
            near = 0
            for number in _ones(edge):
                near |= everybody & ~part.clash[number]
            edge = near & ~piece
            piece |= near
        found.append(piece)
        waiting &= ~piece
    if len(found) == 1:
        return [part]
    return [Part([part.units[n] for n in _ones(piece)], part.rules) for piece in found]


def fewest(part: Part, *, share: float = 1.0, steps: int = STEPS) -> tuple[list[Group], int]:
    """Few groups of one part, and their lower bound: by local search, exactly where that is not proved and can be.

    `share` is the part of all effort that this part may take.
    """
    core, rest = kernel(part)
    least = lower_bound(core)
    groups = Search(insert(core), steps=int(steps * share)).fewer(least)
    if len(groups) > least and len(core.units) <= WIDE:
        groups, least = exact(core, groups, least, share=share)
    if rest:
        groups = _with_rest(part, core, groups, rest)
    if part.rules.excess_limit > 0:
        groups = thinnest(part, groups)
    return groups, least


def kernel(part: Part) -> tuple[Part, list[int]]:
    """The units that decide how many groups there are, and the others in the order in which they can be added.

    Where pairs decide, a unit that clashes with nothing but what another one clashes with can follow that one.
    """
    if not part.pairwise:
        return part, []
    alive, left = (1 << len(part.units)) - 1, []
    changed = True
    while changed:
        changed = False
        for number in part.free:
            if alive >> number & 1 and _follows(part, number, alive):
                alive &= ~(1 << number)
                left.append(number)
                changed = True
    if not left:
        return part, []
    return Part([part.units[n] for n in _ones(alive)], part.rules), left[::-1]


def _follows(part: Part, number: int, alive: int) -> bool:
    """True when some unit that may share with this one clashes with all that this one clashes with."""
    against = part.clash[number] & alive
    leaders = alive & ~part.clash[number] & ~(1 << number)
    for other in _ones(against):
        leaders &= part.clash[other]
        if not leaders:
            return False
    return bool(leaders)


def _with_rest(part: Part, core: Part, groups: Sequence[Group], rest: Sequence[int]) -> list[Group]:
    """Groups of the core as groups of the part, each other unit where it fits, with its own kin if it can."""
    place = {unit.key: number for number, unit in enumerate(part.units)}
    whole = [Group(part, [place[core.units[m].key] for m in group.members]) for group in groups]
    for number in rest:
        home = best(number, whole)
        if home is None:
            whole.append(Group(part, [number]))
        else:
            home.add(number)
    return whole


def insert(part: Part) -> list[Group]:
    """Each unit, the heaviest first, into the group where it adds the least exposure, else into a new one."""
    groups = [Group(part, seed) for seed in part.seeds]
    weight = {n: part.rules.weigh(part.units[n].needs) for n in part.free}
    for number in sorted(part.free, key=lambda n: (-weight[n], part.units[n].key)):
        place = best(number, groups)
        if place is None:
            groups.append(Group(part, [number]))
        else:
            place.add(number)
    return groups


def best(number: int, groups: Sequence[Group], *, but: Group | None = None) -> Group | None:
    """The group that takes the unit with the least added exposure; of equals its own kin, then the first key."""
    fitting = [g for g in groups if g is not but and g.fits(number)]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    added = [g.added(number) for g in fitting]
    least = min(added)
    kin = fitting[0].part.units[number].kin
    equal = [g for g, a in zip(fitting, added, strict=True) if a <= least]
    return min(equal, key=lambda g: (g.kin != kin, g.key))


class Search:
    """Local search for fewer groups: dissolve one after the other; a unit may push one other out of its way.

    Parameters
    ----------
    groups : list of Group
        A partition; changed.
    steps : int
        Tests of a unit against a group before it ends.
    """

    def __init__(self, groups: list[Group], *, steps: int) -> None:
        self.groups, self.steps = groups, steps

    def fewer(self, least: int) -> list[Group]:
        """The groups, as few as the steps allow; never fewer than the bound, so it stops there."""
        while len(self.groups) > least and self.steps > 0 and self._round(least):
            pass
        return self.groups

    def _round(self, least: int) -> bool:
        """Try each group once, the smallest first; True when one could be dissolved."""
        before = len(self.groups)
        for group in sorted(self.groups, key=lambda g: (len(g.members), g.key)):
            if len(self.groups) <= least or self.steps <= 0:
                break
            others = [g for g in self.groups if g is not group]
            if others and not group.pin and self._dissolve(group, others):
                self.groups = others
        return len(self.groups) < before

    def _dissolve(self, group: Group, others: list[Group]) -> bool:
        """Put every member elsewhere; all or nothing."""
        undo: list[tuple[str, Group, int]] = []
        for number in group.members:
            if not self._place(number, others, undo):
                for what, place, moved in reversed(undo):
                    (place.remove if what == "added" else place.add)(moved)
                return False
        return True

    def _place(self, number: int, others: list[Group], undo: list[tuple[str, Group, int]]) -> bool:
        self.steps -= len(others)
        place = best(number, others)
        if place is not None:
            place.add(number)
            undo.append(("added", place, number))
            return True
        return any(self._push(number, group, others, undo) for group in others if self.steps > 0)

    def _push(self, number: int, group: Group, others: list[Group], undo: list[tuple[str, Group, int]]) -> bool:
        """Take the place of the one member that is in the way, if that one finds another place."""
        blocker = _only_blocker(number, group)
        if blocker is None:
            return False
        self.steps -= len(others)
        target = best(blocker, others, but=group)
        if target is None:
            return False
        group.remove(blocker)
        if not group.fits(number):
            group.add(blocker)
            return False
        target.add(blocker)
        group.add(number)
        undo += [("removed", group, blocker), ("added", target, blocker), ("added", group, number)]
        return True


def _only_blocker(number: int, group: Group) -> int | None:
    """The one member that cannot share with the unit; None when there are none or several, or it is pinned."""
    in_the_way = group.part.clash[number] & group.bits
    if in_the_way.bit_count() != 1 or len(group.members) < 2:
        return None
    blocker = in_the_way.bit_length() - 1
    return None if group.part.units[blocker].pin else blocker


def settle(groups: list[Group], *, rounds: int = 10, most: int = 400) -> list[Group]:
    """The same number of groups with less exposure: units move while that helps."""
    if len(groups) > most or not any(g.exposure for g in groups):
        return groups
    for _ in range(rounds):
        moved = [_move(number, group, groups) for group in groups for number in list(group.members)]
        if not any(moved):
            break
    return groups


def _move(number: int, group: Group, groups: list[Group]) -> bool:
    """Move a unit where it adds less than it adds here."""
    if group.part.units[number].pin or len(group.members) == 1:
        return False
    before = group.exposure
    group.remove(number)
    gain = before - group.exposure
    target = best(number, groups, but=group)
    if target is not None and target.added(number) < gain - 1e-9:
        target.add(number)
        return True
    group.add(number)
    return False


def lower_bound(part: Part) -> int:
    """No partition has fewer groups: units of which no two can share, or what the caps alone ask for."""
    rules, units = part.rules, part.units
    loads = ((sum(u.flows for u in units), rules.most_flows), (sum(u.requests for u in units), rules.most_requests))
    by_caps = [int(-(-load // most)) for load, most in loads if 0 < most < float("inf")]
    # One flow may break a cap alone; then the sum proves nothing.
    sound = all(u.flows <= rules.most_flows and u.requests <= rules.most_requests for u in units)
    return max([1 if units else 0, clique(part.clash), *(by_caps if sound else [])])


def clique(clash: Sequence[int]) -> int:
    """Size of a large set of units of which no two can share, grown greedily from the busiest units."""
    degree = [mask.bit_count() for mask in clash]
    order = sorted(range(len(clash)), key=lambda n: (-degree[n], n))
    largest = 0
    for start in order[:STARTS]:
        size, hopeful = 1, clash[start]
        while hopeful:
            if size + hopeful.bit_count() <= largest:
                break
            nearest = max(_ones(hopeful), key=lambda n: ((clash[n] & hopeful).bit_count(), -n))  # noqa: B023
            hopeful &= clash[nearest]
            size += 1
        largest = max(largest, size)
    return largest


def _ones(mask: int) -> list[int]:
    packed = np.frombuffer(mask.to_bytes((mask.bit_length() + 7) // 8, "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(packed, bitorder="little")).tolist()


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
