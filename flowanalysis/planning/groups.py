"""Few feasible groups that hold every flow once: exact where a part is small, a bounded search where it is not.

A part is first cut where nothing can be shared, then reduced to the flows that decide; what is left is searched, and
proved where all groups that matter can be listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowanalysis.planning.listing import exact, thinnest
from flowanalysis.planning.search import Homes, Search, insert, lower_bound, settle_in
from flowanalysis.planning.units import Group, Part, bits

__all__ = ["Partition", "partition"]

WIDE = 400  # more units than this are never tried exactly
STEPS = 60_000_000  # tests of a unit against a group in the local search of all parts together

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
            for number in bits(edge):
                near |= everybody & ~part.clash[number]
            edge = near & ~piece
            piece |= near
        found.append(piece)
        waiting &= ~piece
    if len(found) == 1:
        return [part]
    return [Part([part.units[n] for n in bits(piece)], part.rules) for piece in found]


def fewest(part: Part, *, share: float = 1.0, steps: int = STEPS) -> tuple[list[Group], int]:
    """Few groups of one part, and their lower bound: by local search, exactly where that is not proved and can be.

    `share` is the part of all effort that this part may take.
    """
    core, rest = kernel(part)
    least = lower_bound(core)
    groups = Search(core, insert(core), steps=int(steps * share)).fewer(least)
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
    return Part([part.units[n] for n in bits(alive)], part.rules), left[::-1]


def _follows(part: Part, number: int, alive: int) -> bool:
    """True when some unit that may share with this one clashes with all that this one clashes with."""
    against = part.clash[number] & alive
    leaders = alive & ~part.clash[number] & ~(1 << number)
    for other in bits(against):
        leaders &= part.clash[other]
        if not leaders:
            return False
    return bool(leaders)


def _with_rest(part: Part, core: Part, groups: Sequence[Group], rest: Sequence[int]) -> list[Group]:
    """Groups of the core as groups of the part, each other unit where it fits, with its own kin if it can."""
    place = {unit.key: number for number, unit in enumerate(part.units)}
    homes = Homes(part, [Group(part, [place[core.units[m].key] for m in group.members]) for group in groups])
    for number in rest:
        settle_in(number, homes)
    return homes.groups
