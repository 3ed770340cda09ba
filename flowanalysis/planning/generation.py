"""The fewest roles for a component too large to list its cliques: column generation over a few telling assignments.

The covering programme has a row for every assignment and a column for every possible role. Both are made on demand.
Roles come from pricing: a clique that weighs more than 1 under the dual weights. Assignments come from the solution:
only those that the present one leaves uncovered. Planted and real relations need a few per cent of them this way.

The first cover is one of large tiles (`tiles`); where roles were planned it hardly ever has more than were planned, and
every tile grown on the way is a candidate. When generating gets stuck, parts of the best cover are tiled anew.

The dual weights, divided by the weight of the heaviest clique, are a bound at any time: no role can hold more than 1 of
them. Pricing is greedy while that finds something, and exact (branch and bound) when it does not.
"""

from __future__ import annotations

import math

import numpy as np

from flowanalysis.planning.cliques import OutOfNodes, heaviest_clique, heavy_cliques
from flowanalysis.planning.clock import Clock
from flowanalysis.planning.component import Component
from flowanalysis.planning.master import Master, Solution
from flowanalysis.planning.tiles import Tiler

EPS = 1e-6
SEEDS = 200  # starts of the greedy pricing
KEPT = 60  # and the most cliques taken from it at a time
IMPROVING = 0.3  # share of the work left for covers made of tiles
GRACE = 2e6  # work that a cover made of tiles may take even if the time is over: it beats the greedy by far
STARTS = 2  # such covers from nothing
REPAIRS = 30  # times that a part of the best cover is made anew
APIECE = 15  # roles in such a part
GENERATING = 0.5  # share of the work left that one go at generating roles takes
ORDERS = 8  # trials for the first set of assignments that lie apart


class Search:
    """State of the search; `best`, `bound` and `apart` are true at every moment.

    Attributes
    ----------
    best : list of ndarray of int
        Roles, as numbers of assignments, that cover the component.
    bound : int
        No cover has fewer roles.
    apart : list of int
        Assignments of which no two can share a role.
    """

    def __init__(self, component: Component, clock: Clock) -> None:
        self.component, self.clock = component, clock
        self.rng = np.random.default_rng(0)  # fixed: the same relation gives the same roles
        self.crowd = component.crowd()
        self.best = component.greedy()
        self.apart: list[int] = []
        self.bound = 1
        for trial in range(ORDERS):
            self._look_apart(self.crowd * (1 + trial * self.rng.random(len(component)) / ORDERS))
        self.master = Master(len(component), self.apart)
        for members in self.best + component.stars():
            self.master.add(members)

    def run(self) -> None:
        """Work until the bound meets the best cover, the work is done, or nothing more can be found."""
        tiler = Tiler(self.component, self.rng, self.clock)
        if self.bound < len(self.best):
            self._cover_with(tiler, [])
        self._generate(self.clock.part(GENERATING))
        self._improve(tiler, self.clock.part(IMPROVING))
        self._generate(self.clock.part(GENERATING))
        if self.bound < len(self.best):
            roles = self.master.whole(self.clock, fewer_than=len(self.best))
            if roles is not None:
                self.keep(roles)

    def _improve(self, tiler: Tiler, clock: Clock) -> None:
        """Cover with large tiles anew, then replace parts of the best cover by fewer roles."""
        for trial in range(STARTS + REPAIRS):
            if self.bound < len(self.best) and clock.keep_going():
                self._cover_with(tiler, [] if trial < STARTS else self._all_but_some())

    def _cover_with(self, tiler: Tiler, roles: list[np.ndarray]) -> None:
        """Complete these roles with tiles to a cover; whatever is grown on the way is a candidate."""
        open_ = np.ones(len(self.component), dtype=bool)
        for members in roles:
            open_[members] = False
        roles, before = list(roles), self.clock.ledger.spent
        try:
            for taken, grown in tiler.rounds(open_):
                roles += taken
                for members in grown:
                    self.master.add(members, idle=True)
                if not self.clock.in_time() and self.clock.ledger.spent > before + GRACE:
                    break
        finally:  # also on an interrupt
            self.keep(roles + self.component.greedy(open_), equal=True)

    def _all_but_some(self) -> list[np.ndarray]:
        """The best cover without a role and those that share the most assignments' rows and columns with it."""
        near = np.zeros(len(self.component), dtype=bool)
        first = self.best[int(self.rng.integers(len(self.best)))]
        near[np.isin(self.component.rows, self.component.rows[first])] = True
        inside = np.array([np.count_nonzero(near[members]) / len(members) for members in self.best])
        drawn = np.argsort(-inside * self.rng.random(len(inside)), kind="stable")[:APIECE]
        gone = set(drawn.tolist())
        return [members for place, members in enumerate(self.best) if place not in gone]

    def _generate(self, clock: Clock) -> None:
        """Add roles and required assignments until the programme without the demand for whole roles is solved."""
        while self.bound < len(self.best) and clock.keep_going():
            solution = self.master.solve(clock)
            if solution is None:
                return
            priced = self._price(solution, clock)
            open_ = solution.cover < 1 - EPS
            if not priced or self._settled(solution):
                self._round(solution)
                if open_.any():
                    self.master.require(self._telling(open_, solution.cover))
                elif not priced:
                    return

    def _settled(self, solution: Solution) -> bool:
        """Whether pricing on these assignments can no longer raise the bound by a whole role."""
        return math.ceil(solution.value - EPS) <= self.bound

    def _look_apart(self, key: np.ndarray) -> None:
        """Try the assignments in this order for a larger set of which no two can share a role."""
        found = self.component.apart(np.argsort(key, kind="stable"))
        if len(found) > len(self.apart):
            self.apart = found
            self.bound = max(self.bound, len(found))

    def _price(self, solution: Solution, clock: Clock) -> int:
        """Add roles that weigh more than 1; the number of new ones."""
        heavy = np.flatnonzero(solution.dual > EPS)
        edges, weights = self.master.rows[heavy], solution.dual[heavy]
        together = self.component.compatible(edges)
        seeds = np.arange(len(heavy))
        if len(seeds) > SEEDS:
            seeds = self.rng.choice(len(heavy), SEEDS, replace=False)
        added = 0
        for ahead in (0.3, 1.0):
            inside = heavy_cliques(together, weights, seeds, ahead=ahead)
            value = inside @ weights
            for seed in np.argsort(-value, kind="stable")[:KEPT].tolist():
                if value[seed] > 1 + EPS:
                    added += self._add(edges[inside[seed]])
        return added or self._price_exactly(edges, weights, together, clock)

    def _price_exactly(self, edges: np.ndarray, weights: np.ndarray, together: np.ndarray, clock: Clock) -> int:
        """Add the heaviest role if it weighs more than 1, and raise the bound by what its weight proves."""
        try:
            value, members = heaviest_clique(together, weights, floor=1 + EPS, clock=clock)
        except OutOfNodes:
            return 0
        self.bound = max(self.bound, math.ceil(weights.sum() / value - EPS))
        key = np.ones(len(self.component))
        key[edges] = -weights
        self._look_apart(key + self.crowd / (1 + self.crowd.max()) * 1e-3)
        return self._add(edges[members]) if members else 0

    def _add(self, clique: np.ndarray) -> int:
        return sum(self.master.add(members) for members in self.component.grown(clique))

    def _telling(self, open_: np.ndarray, cover: np.ndarray) -> list[int]:
        """Some uncovered assignments, those with few neighbours first, layer by layer of ones that lie apart."""
        wanted = max(100, len(self.master.rows) // 3)
        key = np.where(open_, self.crowd * (0.2 + cover), np.inf)
        order = np.argsort(key, kind="stable")[: int(open_.sum())]
        taken: list[int] = []
        while len(order) and len(taken) < min(wanted, 30):
            layer = self.component.apart(order)
            taken += layer[: wanted - len(taken)]
            order = order[~np.isin(order, layer)]
        return taken

    def _round(self, solution: Solution) -> None:
        """A cover from the roles that the solution uses, largest share first, completed greedily."""
        roles = self.master.greedy_cover(solution)
        open_ = np.ones(len(self.component), dtype=bool)
        for members in roles:
            open_[members] = False
        self.keep(roles + self.component.greedy(open_))

    def keep(self, roles: list[np.ndarray], *, equal: bool = False) -> None:
        """Make `roles`, without the needless ones, the best cover if it has fewer; with `equal` also if not more."""
        roles = without_needless(roles, len(self.component))
        if len(roles) < len(self.best) + equal:
            self.best = roles
            for members in roles:
                self.master.add(members)


def without_needless(roles: list[np.ndarray], size: int) -> list[np.ndarray]:
    """The roles without those whose every assignment lies in another one too, small ones first."""
    often = np.zeros(size, dtype=np.int64)
    for members in roles:
        often[members] += 1
    needed = []
    for members in sorted(roles, key=len):
        if (often[members] > 1).all():
            often[members] -= 1
        else:
            needed.append(members)
    return needed
