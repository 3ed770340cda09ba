"""Groups by insertion and local search, and how few there could be.

Every step is counted, never timed: the same flows give the same groups on every machine, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowanalysis.planning.units import Group, Part, bits

__all__ = ["Search", "best", "insert", "lower_bound", "settle"]

STARTS = 8  # cliques tried for the bound


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
            nearest = max(bits(hopeful), key=lambda n: ((clash[n] & hopeful).bit_count(), -n))  # noqa: B023
            hopeful &= clash[nearest]
            size += 1
        largest = max(largest, size)
    return largest
