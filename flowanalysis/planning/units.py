"""What the search for the fewest accounts works on: flows as bit sets of rights, and groups of flows that share one.

Flows of one group share an account, which then holds the union of their rights. Through its connections a flow reaches
every right of the account that those connectors can carry, so its *excess* is the weight of the rights that it reaches
and does not need. A group is feasible when

* the excess of every member stays within the limit,
* no two rights in it are in conflict (a flow that needs both by itself stays alone),
* its members have one part (environment boundary and purpose) and at most one pin,
* the caps on flows and on requests hold (a flow that breaks one by itself stays alone).

Each part of a feasible group is feasible. That makes covering and partitioning the same, and it is what every search
here stands on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

__all__ = ["Group", "Part", "Rules", "Unit", "bits", "collapse", "parts"]

KNOWN = 500_000  # weights that are remembered; the same few sets are weighed again and again
NEAR = 1e-9  # weights are decimal fractions: sums of them differ by so little


@dataclass(frozen=True)
class Unit:
    """One flow as the search sees it, or several of equal needs.

    Attributes
    ----------
    key : str
        Flow; ties are broken by it.
    part : str
        Boundary and purpose; parts never mix.
    needs, reach : int
        Rights needed, and rights that its connectors can carry if the account holds them; a bit for each right.
    editors : int
        People who can edit the flow, and so gain what its account holds in excess.
    flows : int
        How many count towards the cap of flows for one owner.
    requests : float
        Requests per 24 hours.
    pin : str
        Account that it must stay on; empty for free.
    banned : frozenset of str
        Accounts that it must not run as.
    kin : str
        Department: decides between equal groups, so that people's structure is kept.
    same : tuple of str
        The flows that this unit stands for; empty for itself alone.
    """

    key: str
    part: str
    needs: int
    reach: int
    editors: int = 1
    flows: int = 1
    requests: float = 0.0
    pin: str = ""
    banned: frozenset[str] = frozenset()
    kin: str = ""
    same: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The flows that it stands for."""
        return self.same or (self.key,)


@dataclass(frozen=True)
class Rules:
    """What every group must keep.

    Attributes
    ----------
    weights : sequence of float
        Weight of each right, by bit number.
    excess_limit : float
        Weight of rights that a flow may reach beyond its need.
    conflicts : sequence of (int, int)
        Two sets of rights: no account may hold one of each.
    most_flows, most_requests : float
        Caps for one account.
    """

    weights: Sequence[float]
    excess_limit: float = 0.0
    conflicts: Sequence[tuple[int, int]] = ()
    most_flows: float = float("inf")
    most_requests: float = float("inf")

    @cached_property
    def _classes(self) -> tuple[tuple[float, int], ...]:
        found: dict[float, int] = {}
        for bit, weight in enumerate(self.weights):
            found[weight] = found.get(weight, 0) | 1 << bit
        return tuple(sorted(found.items()))

    @cached_property
    def _known(self) -> dict[int, float]:
        return {0: 0.0}

    def weigh(self, rights: int) -> float:
        """Sum of the weights of the rights.

        >>> Rules([1.0, 3.0]).weigh(0b11)
        4.0
        """
        found = self._known.get(rights)
        if found is None:
            if len(self._known) > KNOWN:
                self._known.clear()
            found = self._known[rights] = sum(weight * (rights & held).bit_count() for weight, held in self._classes)
        return found

    def conflicting(self, rights: int) -> bool:
        """True when the rights hold both sides of a conflict."""
        return any(rights & left and rights & right for left, right in self.conflicts)


def bits(mask: int) -> list[int]:
    """Places of the ones, in order.

    >>> bits(0b1010)
    [1, 3]
    """
    packed = np.frombuffer(mask.to_bytes((mask.bit_length() + 7) // 8, "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(packed, bitorder="little")).tolist()


def collapse(units: Iterable[Unit], rules: Rules) -> list[Unit]:
    """Units of equal needs as one, as far as the caps allow: together they reach no more than alone."""
    alike: dict[tuple[Any, ...], list[list[Unit]]] = {}
    for unit in sorted(units, key=lambda u: (u.kin, u.key)):
        stacks = alike.setdefault((unit.part, unit.pin, unit.banned, unit.needs, unit.reach), [])
        fitting = (s for s in stacks if not rules.conflicting(unit.needs) and _within_caps([*s, unit], rules))
        stack = next(fitting, None)
        stacks.append([unit]) if stack is None else stack.append(unit)
    return sorted((_merged(stack) for stacks in alike.values() for stack in stacks), key=lambda u: u.key)


def _within_caps(units: Sequence[Unit], rules: Rules) -> bool:
    flows, requests = sum(u.flows for u in units), sum(u.requests for u in units)
    return flows <= rules.most_flows and requests <= rules.most_requests + NEAR


def _merged(stack: Sequence[Unit]) -> Unit:
    first = min(stack, key=lambda u: u.key)
    if len(stack) == 1:
        return first
    return replace(
        first,
        editors=sum(u.editors for u in stack),
        flows=sum(u.flows for u in stack),
        requests=sum(u.requests for u in stack),
        same=tuple(sorted(key for u in stack for key in u.keys)),
    )


def parts(units: Iterable[Unit], rules: Rules) -> list[Part]:
    """Units that may mix, flows of equal needs as one, in the order of their names."""
    by_part: dict[str, list[Unit]] = {}
    for unit in collapse(units, rules):
        by_part.setdefault(unit.part, []).append(unit)
    return [Part(by_part[name], rules) for name in sorted(by_part)]


class Part:
    """Units among which accounts may be shared.

    Parameters
    ----------
    units : sequence of Unit
        All of one part.
    rules : Rules
        What every group must keep.

    Attributes
    ----------
    apart : units x units
        True where two units cannot share an account even alone.
    clash : list of int
        The same, for each unit as bits.
    seeds : list of list of int
        Units that must share one account, since they are pinned to it.
    free : list of int
        All others.
    """

    def __init__(self, units: Sequence[Unit], rules: Rules) -> None:
        self.units, self.rules = list(units), rules
        self.apart = _apart(self.units, rules)
        packed = np.packbits(self.apart, axis=1, bitorder="little")
        self.clash = [int.from_bytes(row.tobytes(), "little") for row in packed]
        pinned: dict[str, list[int]] = {}
        for number, unit in enumerate(self.units):
            if unit.pin:
                pinned.setdefault(unit.pin, []).append(number)
        self.seeds = [pinned[pin] for pin in sorted(pinned)]
        self.free = [number for number, unit in enumerate(self.units) if not unit.pin]

    @property
    def pairwise(self) -> bool:
        """With no excess allowed a group is feasible when all its pairs are, caps apart."""
        return self.rules.excess_limit == 0

    @cached_property
    def loose(self) -> bool:
        """A group is feasible exactly when all its pairs are: no excess is allowed, and no cap can be met."""
        flows, requests = sum(u.flows for u in self.units), sum(u.requests for u in self.units)
        return self.pairwise and flows <= self.rules.most_flows and requests <= self.rules.most_requests


def pair_excess(units: Sequence[Unit], rules: Rules) -> np.ndarray:
    """Excess of each unit (row) when it shares an account with another one (column) alone."""
    needs = _matrix([u.needs for u in units], len(rules.weights))
    distinct = sorted({u.reach for u in units})
    kind = [distinct.index(u.reach) for u in units]
    weighed = needs.multiply(np.asarray(rules.weights, float)[None, :]).tocsr()
    reached = (_matrix(distinct, len(rules.weights)) @ weighed.T).toarray()[kind]
    return reached - (needs @ weighed.T).toarray()


def _matrix(masks: Sequence[int], width: int) -> csr_array:
    """Bit sets as rows of a 0/1 matrix."""
    places = [np.array(bits(m), np.int64) for m in masks]
    starts = np.concatenate([[0], np.cumsum([len(p) for p in places])])
    columns = np.concatenate(places) if places else np.empty(0, np.int64)
    return csr_array((np.ones(len(columns)), columns, starts), shape=(len(masks), max(width, 1)))


def _apart(units: Sequence[Unit], rules: Rules) -> np.ndarray:
    over = pair_excess(units, rules) > rules.excess_limit + NEAR
    over |= over.T
    for left, right in rules.conflicts:
        one, other = (np.array([bool(u.needs & side) for u in units]) for side in (left, right))
        over |= np.outer(one, other) | np.outer(other, one)
    pins = np.array([u.pin for u in units], object)
    over |= (pins[:, None] != pins[None, :]) & (pins != "")[:, None] & (pins != "")[None, :]
    for number, unit in enumerate(units):
        if unit.banned:
            hit = np.isin(pins, list(unit.banned))
            over[number] |= hit
            over[:, number] |= hit
    for values, most in (("flows", rules.most_flows), ("requests", rules.most_requests)):
        size = np.array([getattr(u, values) for u in units], float)
        over |= size[:, None] + size[None, :] > most + NEAR
    np.fill_diagonal(over, False)
    return over


class Group:
    """Units of one part that share an account. Changed only by `add` and `remove`.

    Attributes
    ----------
    members : list of int
        Numbers of the units.
    bits : int
        The same as bits.
    rights : int
        Rights of the account.
    flows, requests : float
        Load.
    key : str
        Smallest key of a member.
    """

    __slots__ = ("_kin", "_peak", "_people", "bits", "flows", "key", "members", "part", "requests", "rights")

    def __init__(self, part: Part, members: Iterable[int] = ()) -> None:
        self.part = part
        self.members: list[int] = []
        self.bits = self.rights = 0
        # Members of one reach gain the same by each new right, so one number for each reach is enough.
        self._peak: dict[int, float] = {}  # reach -> highest excess of a member
        self._people: dict[int, int] = {}  # reach -> editors
        self._kin: dict[str, int] = {}  # department -> flows
        self.flows, self.requests, self.key = 0, 0.0, ""
        for number in members:
            self.add(number)

    def copy(self) -> Group:
        """A group of its own with the same members."""
        twin = Group.__new__(Group)
        twin.part, twin.bits, twin.rights = self.part, self.bits, self.rights
        twin.flows, twin.requests, twin.key = self.flows, self.requests, self.key
        for name in ("members", "_peak", "_people", "_kin"):
            setattr(twin, name, getattr(self, name).copy())
        return twin

    def add(self, number: int) -> None:
        """Take a unit in."""
        unit, weigh = self.part.units[number], self.part.rules.weigh
        new = unit.needs & ~self.rights
        if new:
            self._peak = {reach: peak + weigh(new & reach) for reach, peak in self._peak.items()}
        self.rights |= unit.needs
        own = weigh(self.rights & unit.reach & ~unit.needs)
        self._peak[unit.reach] = max(self._peak.get(unit.reach, 0.0), own)
        self._people[unit.reach] = self._people.get(unit.reach, 0) + unit.editors
        self._kin[unit.kin] = self._kin.get(unit.kin, 0) + len(unit.keys)
        self.key = min(self.key or unit.key, unit.key)
        self.members.append(number)
        self.bits |= 1 << number
        self.flows += unit.flows
        self.requests += unit.requests

    def remove(self, number: int) -> None:
        """Let a unit go; the rights that only it needed go too."""
        rest = [m for m in self.members if m != number]
        self.__init__(self.part, rest)  # type: ignore[misc]

    def fits(self, number: int) -> bool:
        """True when the group stays feasible with the unit in it."""
        return not self.part.clash[number] & self.bits and self.holds(number)

    def holds(self, number: int) -> bool:
        """The same for a unit that clashes with no member."""
        unit, rules = self.part.units[number], self.part.rules
        if self.members and (
            self.flows + unit.flows > rules.most_flows or self.requests + unit.requests > rules.most_requests + NEAR
        ):
            return False
        return self.part.pairwise or self._within(unit)

    def _within(self, unit: Unit) -> bool:
        """Excess of the unit and of every member stays within the limit."""
        weigh, limit = self.part.rules.weigh, self.part.rules.excess_limit + NEAR
        if weigh(self.rights & unit.reach & ~unit.needs) > limit:
            return False
        new = unit.needs & ~self.rights
        return not new or all(peak + weigh(new & reach) <= limit for reach, peak in self._peak.items())

    def added(self, number: int) -> float:
        """Exposure that the unit brings: what its editors gain, and what those of the members gain by it."""
        unit, weigh = self.part.units[number], self.part.rules.weigh
        new = unit.needs & ~self.rights
        gained = sum(people * weigh(new & reach) for reach, people in self._people.items()) if new else 0.0
        return gained + unit.editors * weigh(self.rights & unit.reach & ~unit.needs)

    @property
    def over(self) -> list[float]:
        """Excess of each member."""
        units, weigh = self.part.units, self.part.rules.weigh
        return [weigh(self.rights & units[m].reach & ~units[m].needs) for m in self.members]

    @property
    def exposure(self) -> float:
        """Weight reached in excess, summed over the people who can edit the flows."""
        return sum(o * self.part.units[m].editors for o, m in zip(self.over, self.members, strict=True))

    @property
    def pin(self) -> str:
        """The account that a member must stay on."""
        return next((self.part.units[m].pin for m in self.members if self.part.units[m].pin), "")

    @property
    def kin(self) -> str:
        """The department of most of its flows, of equals the first by name."""
        return min(self._kin, key=lambda k: (-self._kin[k], k)) if self._kin else ""

    @property
    def keys(self) -> list[str]:
        """All flows, sorted."""
        return sorted(key for m in self.members for key in self.part.units[m].keys)
