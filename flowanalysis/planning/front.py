"""What fewer accounts cost: groups merged step by step, always the two whose merging exposes least.

The exposure of one account is the weight of rights that people who can edit its flows reach and the flows do not need.
With R the rights of a group, M the people who could reach a right through its flows and w the weights, merging groups g
and h adds sum of w (M_g (1 - R_g) R_h + M_h (1 - R_h) R_g): one product of matrices tells it for all pairs.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import pandas as pd

from flowanalysis.planning.groups import Partition
from flowanalysis.planning.units import NEAR, Group, Rules, bits

__all__ = ["front", "knee"]

POINTS = 200  # points of the curve that are told


def front(start: Partition) -> pd.DataFrame:
    """Accounts against exposure, from no excess at all to as few accounts as boundaries, conflicts and caps allow.

    Parameters
    ----------
    start : Partition
        Groups without excess, where the curve begins.

    Returns
    -------
    DataFrame
        accounts (falling), exposure (rising; weight times people), knee (True on one row: the point from which on
        fewer accounts cost most).
    """
    by_part: dict[str, list[Group]] = {}
    for group in start.groups:
        by_part.setdefault(group.part.units[0].part, []).append(group)
    counts, exposures = _together([_merges(by_part[name]) for name in sorted(by_part)])
    frame = pd.DataFrame({"accounts": counts, "exposure": exposures}).drop_duplicates("accounts")
    if len(frame) > POINTS:
        frame = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, POINTS).round().astype(int))]
    frame = frame.reset_index(drop=True)
    return frame.assign(knee=frame.index == knee(frame))


def knee(frame: pd.DataFrame) -> int:
    """Row of the point farthest below the line from the first to the last point; exposure on a logarithmic scale."""
    if len(frame) < 3:
        return 0
    across, up = frame["accounts"].to_numpy(float), np.log1p(frame["exposure"].to_numpy(float))
    if across[0] == across[-1] or up[0] == up[-1]:
        return len(frame) - 1
    saved = (across[0] - across) / (across[0] - across[-1])
    cost = (up - up[0]) / (up[-1] - up[0])
    return int(np.argmax(saved - cost))


def _together(found: list[tuple[int, list[float]]]) -> tuple[list[int], list[float]]:
    """The merges of all parts as one sequence, the cheapest next step first."""
    count, exposure = sum(size for size, _ in found), 0.0
    counts, exposures = [count], [exposure]
    heap = [(costs[0], part, 0) for part, (_, costs) in enumerate(found) if costs]
    heapq.heapify(heap)
    while heap:
        cost, part, step = heapq.heappop(heap)
        count, exposure = count - 1, exposure + cost
        counts.append(count)
        exposures.append(round(exposure, 6))
        costs = found[part][1]
        if step + 1 < len(costs):
            heapq.heappush(heap, (costs[step + 1], part, step + 1))
    return counts, exposures


def _merges(groups: Sequence[Group]) -> tuple[int, list[float]]:
    """How many groups a part has without excess, and what each further merge costs."""
    tree = _Merging(groups)
    costs = []
    while (step := tree.step()) is not None:
        costs.append(step)
    return len(groups), costs


class _Merging:
    """Groups of one part as matrices, and the cost of merging each pair.

    Attributes
    ----------
    rights : rights x groups
        1: the account holds it; the rights are those that some group holds, for no merging brings others.
    open : rights x groups
        Weight times people who could reach a right that the account does not hold yet.
    cost : groups x groups
        Exposure that merging adds; infinite where it is not allowed.
    near : one for each group
        The cheapest other group.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        rules = groups[0].part.rules
        held = 0
        for group in groups:
            held |= group.rights
        here = np.array(bits(held), int)
        # Single precision is exact for what is compared here: small weights times numbers of people.
        self.weights = np.asarray(rules.weights, np.float32)[here, None]
        self.rights = np.array([_ones(g.rights, held, here) for g in groups]).T.copy()
        self.people = np.array([_people(g, held, here) for g in groups]).T.copy()
        self.open = self.people * (1 - self.rights) * self.weights
        self.load = np.array([(g.flows, g.requests) for g in groups], float)
        self.most = np.array([rules.most_flows, rules.most_requests]) + NEAR
        self.barred = _barred(rules, groups)
        one_way = self.open.T @ self.rights
        over = (self.load[:, None] + self.load[None, :] > self.most).any(axis=2)
        self.cost = np.where(self.barred | over, np.inf, one_way + one_way.T)
        self.near = self.cost.argmin(axis=1)
        self.dead, self.gone = np.zeros(len(groups), bool), 0

    def step(self) -> float | None:
        """Merge the cheapest pair and tell its cost; None when no pair may be merged."""
        least = self.cost[np.arange(len(self.near)), self.near]
        first = int(least.argmin())
        if least[first] == np.inf:
            return None
        self._merge(*sorted((first, int(self.near[first]))))
        self.gone += 1
        if self.gone > len(self.near) // 3:
            self._shrink()
        return float(least[first])

    def _shrink(self) -> None:
        """Forget groups that were merged into others."""
        alive = np.flatnonzero(~self.dead)
        for name in ("rights", "people", "open"):
            setattr(self, name, getattr(self, name)[:, alive])
        self.load, self.dead = self.load[alive], self.dead[alive]
        for name in ("barred", "cost"):
            setattr(self, name, getattr(self, name)[np.ix_(alive, alive)])
        self.near = self.cost.argmin(axis=1)
        self.gone = 0

    def _merge(self, keep: int, gone: int) -> None:
        """One group takes in another, which is barred from everything from then on."""
        self.rights[:, keep] = np.maximum(self.rights[:, keep], self.rights[:, gone])
        self.people[:, keep] += self.people[:, gone]
        self.load[keep] += self.load[gone]
        self.open[:, keep] = self.people[:, keep] * (1 - self.rights[:, keep]) * self.weights[:, 0]
        self.barred[keep] |= self.barred[gone]
        self.barred[gone] = self.barred[:, gone] = True
        self.dead[gone] = True
        self.barred[:, keep] = self.barred[keep]
        held = np.flatnonzero(self.rights[:, keep])
        row = self.open[:, keep].copy() @ self.rights + self.open[held].sum(axis=0)
        row[self.barred[keep] | (self.load + self.load[keep] > self.most).any(axis=1)] = np.inf
        row[[keep, gone]] = np.inf
        self.cost[gone] = self.cost[:, gone] = np.inf
        self.cost[keep] = self.cost[:, keep] = row
        stale = (self.near == keep) | (self.near == gone)
        self.near[row < self.cost[np.arange(len(row)), self.near]] = keep
        stale[[keep, gone]] = True
        self.near[stale] = self.cost[stale].argmin(axis=1)


def _ones(mask: int, held: int, here: np.ndarray) -> np.ndarray:
    """The rights of `mask` that are held somewhere, as ones at their places among those."""
    row = np.zeros(len(here), np.float32)
    row[np.searchsorted(here, bits(mask & held))] = 1
    return row


def _people(group: Group, held: int, here: np.ndarray) -> np.ndarray:
    """For each right the people who reach it through the flows of the group, if the account holds it."""
    by_reach: dict[int, int] = {}
    for number in group.members:
        unit = group.part.units[number]
        by_reach[unit.reach] = by_reach.get(unit.reach, 0) + unit.editors
    found = np.zeros(len(here), np.float32)
    for reach, editors in by_reach.items():
        found += _ones(reach, held, here) * editors
    return found


def _barred(rules: Rules, groups: Sequence[Group]) -> np.ndarray:
    """Pairs that conflicts or pins keep apart, and each group from itself."""
    barred = np.eye(len(groups), dtype=bool)
    for left, right in rules.conflicts:
        one, other = (np.array([bool(g.rights & side) for g in groups], bool) for side in (left, right))
        barred |= np.outer(one, other) | np.outer(other, one)
    pins = np.array([g.pin for g in groups], object)
    return barred | ((pins[:, None] != pins) & (pins != "")[:, None] & (pins != ""))
