"""Groups by insertion and local search, and how few there could be.

Every step is counted, never timed: the same flows give the same groups on every machine, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowanalysis.planning.units import Group, Part

__all__ = ["Homes", "Search", "insert", "lower_bound", "settle", "settle_in"]

STARTS = 8  # cliques tried for the bound
NOWHERE = -1


class Homes:
    """Groups, and which of them each unit is in: so a unit asks only the groups where nobody clashes with it.

    Parameters
    ----------
    part : Part
        Of the groups.
    groups : sequence of Group
        In the order in which they are tried.

    Attributes
    ----------
    groups : list of Group
        Those that were closed among them.
    """

    def __init__(self, part: Part, groups: Sequence[Group] = ()) -> None:
        self.part = part
        self.groups: list[Group] = []
        self._of = np.full(len(part.units), NOWHERE)
        self._closed = np.zeros(0, bool)
        for group in groups:
            self.open(group)

    def __len__(self) -> int:
        return len(self.groups) - int(self._closed.sum())

    @property
    def places(self) -> list[int]:
        """Where the groups stand that were not closed."""
        return np.flatnonzero(~self._closed).tolist()

    def open(self, group: Group) -> None:
        """Take in one more group."""
        self._of[group.members] = len(self.groups)
        self.groups.append(group)
        self._closed = np.append(self._closed, False)

    def close(self, place: int, *, closed: bool = True) -> None:
        """No unit may join the group; or units may again, and its members are at home there."""
        self._closed[place] = closed
        self._of[self.groups[place].members] = place

    def put(self, number: int, place: int) -> None:
        """A unit joins a group."""
        self.groups[place].add(number)
        self._of[number] = place

    def take(self, number: int, place: int) -> None:
        """A unit leaves a group."""
        self.groups[place].remove(number)
        self._of[number] = NOWHERE

    def in_the_way(self, number: int) -> np.ndarray:
        """For each group how many of its members the unit cannot share with; many for a closed one."""
        against = self._of[self.part.apart[number]]
        found = np.bincount(against[against != NOWHERE], minlength=len(self.groups))
        found[self._closed] = len(self._of) + 1
        return found

    def best(self, number: int, *, but: int = NOWHERE) -> int | None:
        """The group that takes the unit with the least added exposure; of equals its own kin, then the first key."""
        free = np.flatnonzero(self.in_the_way(number) == 0).tolist()
        fitting = [place for place in free if place != but and self.groups[place].holds(number)]
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        if not self.part.pairwise:  # else nobody comes to anything, wherever the unit goes
            added = [self.groups[place].added(number) for place in fitting]
            least = min(added)
            fitting = [place for place, more in zip(fitting, added, strict=True) if more <= least]
        kin = self.part.units[number].kin
        return min(fitting, key=lambda place: (self.groups[place].kin != kin, self.groups[place].key))


def insert(part: Part) -> list[Group]:
    """Each unit, the heaviest first, into the group where it adds the least exposure, else into a new one."""
    homes = Homes(part, [Group(part, seed) for seed in part.seeds])
    weight = {n: part.rules.weigh(part.units[n].needs) for n in part.free}
    for number in sorted(part.free, key=lambda n: (-weight[n], part.units[n].key)):
        settle_in(number, homes)
    return homes.groups


def settle_in(number: int, homes: Homes) -> None:
    """A unit into the best group, else into one of its own."""
    place = homes.best(number)
    if place is None:
        homes.open(Group(homes.part, [number]))
    else:
        homes.put(number, place)


class Search:
    """Local search for fewer groups: dissolve one after the other; a unit may push one other out of its way.

    Parameters
    ----------
    part : Part
        Of the groups.
    groups : sequence of Group
        A partition; changed.
    steps : int
        Tests of a unit against a group before it ends.
    """

    def __init__(self, part: Part, groups: Sequence[Group], *, steps: int) -> None:
        self.homes, self.steps = Homes(part, groups), steps

    def fewer(self, least: int) -> list[Group]:
        """The groups, as few as the steps allow; never fewer than the bound, so it stops there."""
        while len(self.homes) > least and self.steps > 0 and self._round(least):
            pass
        return [self.homes.groups[place] for place in self.homes.places]

    def _round(self, least: int) -> bool:
        """Try each group once, the smallest first; True when one could be dissolved."""
        before = len(self.homes)
        groups = self.homes.groups
        for place in sorted(self.homes.places, key=lambda p: (len(groups[p].members), groups[p].key)):
            if len(self.homes) <= max(least, 1) or self.steps <= 0:
                break
            if not groups[place].pin:
                self._dissolve(place)
        return len(self.homes) < before

    def _dissolve(self, place: int) -> None:
        """Put every member elsewhere; all or nothing."""
        undo: list[tuple[str, int, int]] = []
        self.homes.close(place)
        for number in self.homes.groups[place].members:
            if not self._place(number, undo):
                for what, group, moved in reversed(undo):
                    (self.homes.take if what == "added" else self.homes.put)(moved, group)
                self.homes.close(place, closed=False)
                return

    def _place(self, number: int, undo: list[tuple[str, int, int]]) -> bool:
        self.steps -= len(self.homes)
        place = self.homes.best(number)
        if place is not None:
            self.homes.put(number, place)
            undo.append(("added", place, number))
            return True
        single = np.flatnonzero(self.homes.in_the_way(number) == 1).tolist()
        return any(self._push(number, group, undo) for group in single if self.steps > 0)

    def _push(self, number: int, place: int, undo: list[tuple[str, int, int]]) -> bool:
        """Take the place of the one member that is in the way, if that one finds another place."""
        homes, group = self.homes, self.homes.groups[place]
        blocker = (group.part.clash[number] & group.bits).bit_length() - 1
        if len(group.members) < 2 or group.part.units[blocker].pin:
            return False
        self.steps -= len(homes)
        target = homes.best(blocker, but=place)
        if target is None:
            return False
        homes.take(blocker, place)
        if not group.fits(number):
            homes.put(blocker, place)
            return False
        homes.put(blocker, target)
        homes.put(number, place)
        undo += [("removed", place, blocker), ("added", target, blocker), ("added", place, number)]
        return True


def settle(groups: list[Group], *, rounds: int = 10, most: int = 400) -> list[Group]:
    """The same number of groups with less exposure: units move while that helps."""
    if len(groups) > most or not any(g.exposure for g in groups):
        return groups
    homes = Homes(groups[0].part, groups)
    for _ in range(rounds):
        moved = [_move(number, place, homes) for place, group in enumerate(groups) for number in list(group.members)]
        if not any(moved):
            break
    return groups


def _move(number: int, place: int, homes: Homes) -> bool:
    """Move a unit where it adds less than it adds here."""
    group = homes.groups[place]
    if group.part.units[number].pin or len(group.members) == 1:
        return False
    before = group.exposure
    homes.take(number, place)
    gain = before - group.exposure
    target = homes.best(number, but=place)
    if target is not None and homes.groups[target].added(number) < gain - 1e-9:
        homes.put(number, target)
        return True
    homes.put(number, place)
    return False


def lower_bound(part: Part) -> int:
    """No partition has fewer groups: units of which no two can share, or what the caps alone ask for."""
    rules, units = part.rules, part.units
    loads = ((sum(u.flows for u in units), rules.most_flows), (sum(u.requests for u in units), rules.most_requests))
    by_caps = [int(-(-load // most)) for load, most in loads if 0 < most < float("inf")]
    # One flow may break a cap alone; then the sum proves nothing.
    sound = all(u.flows <= rules.most_flows and u.requests <= rules.most_requests for u in units)
    return max([1 if units else 0, clique(part.apart), *(by_caps if sound else [])])


def clique(apart: np.ndarray) -> int:
    """Size of a large set of units of which no two can share, grown greedily from the busiest units.

    >>> clique(np.array([[False, True, True], [True, False, False], [True, False, False]]))
    2
    """
    largest = 0
    for start in np.argsort(-apart.sum(axis=1), kind="stable")[:STARTS]:
        size, hopeful = 1, apart[start].copy()
        near = apart[hopeful].sum(axis=0)
        while (left := int(hopeful.sum())) and size + left > largest:
            nearest = int(np.where(hopeful, near, -1).argmax())
            gone = hopeful & ~apart[nearest]
            near -= apart[gone].sum(axis=0)
            hopeful ^= gone
            size += 1
        largest = max(largest, size)
    return largest
