"""The covering programme over the roles and assignments that are in play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csc_array

from flowanalysis.planning.clock import Clock

EPS = 1e-7
SLACK = 0.2  # roles that weigh less than 1 - SLACK are idle
IDLE = 3  # solutions after which an idle role leaves the programme, until the weights call it back
RATE = 50.0  # places of the programme that an iteration of the solver passes in a microsecond
BRANCHES = 300  # nodes of a search for whole roles
NEAR = 0.03  # share by which the solution may lie below the best cover if whole roles are to be sought


@dataclass(frozen=True)
class Solution:
    """An optimum of the programme without the demand for whole roles.

    Attributes
    ----------
    value : float
        Number of roles.
    dual : ndarray of float
        Weight of every required assignment.
    share : ndarray of float
        How much of every known role is used.
    cover : ndarray of float
        How much of every assignment of the component is covered.
    """

    value: float
    dual: np.ndarray
    share: np.ndarray
    cover: np.ndarray


class Master:
    """Roles (columns) and required assignments (rows).

    Parameters
    ----------
    size : int
        Number of assignments of the component.
    required : sequence of int
        The first assignments that must be covered.
    """

    def __init__(self, size: int, required: Sequence[int]) -> None:
        self.size = size
        self.rows = np.array(required, dtype=np.int64)
        self.roles: list[np.ndarray] = []
        self.idle: list[int] = []
        self._known: set[bytes] = set()
        self._dual = (self.rows, np.zeros(len(self.rows)))  # of the last solution

    def add(self, members: np.ndarray, *, idle: bool = False) -> bool:
        """Take a role in, outside the programme at first if it is `idle`; False when it is known already."""
        key = members.tobytes()
        if key in self._known:
            return False
        self._known.add(key)
        self.roles.append(members)
        self.idle.append(IDLE if idle else 0)
        return True

    def require(self, edges: Sequence[int]) -> None:
        """Demand that these assignments are covered, too; roles that have one are in play again."""
        fresh = np.array(edges, dtype=np.int64)
        self.rows = np.concatenate([self.rows, fresh])
        touched = np.diff(self.matrix(fresh).indptr) > 0
        self.idle = np.where(touched, 0, self.idle).tolist()

    def matrix(self, rows: np.ndarray) -> csc_array:
        """0/1 matrix: these assignments x all roles."""
        place = np.full(self.size, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        flat = place[np.concatenate(self.roles)]
        owner = np.repeat(np.arange(len(self.roles)), [len(members) for members in self.roles])
        inside = flat >= 0
        counts = np.bincount(owner[inside], minlength=len(self.roles))
        starts = np.concatenate([[0], np.cumsum(counts)])
        return csc_array((np.ones(starts[-1]), flat[inside], starts), shape=(len(rows), len(self.roles)))

    def solve(self, clock: Clock) -> Solution | None:
        """Optimum over all known roles, or None when the time is over.

        Roles that weigh little are left out and come back when the weights say so.
        """
        matrix = self.matrix(self.rows)
        active = np.array(self.idle) < IDLE
        while True:
            chosen = np.flatnonzero(active)
            result = linprog(
                -np.ones(len(self.rows)),
                A_ub=matrix[:, chosen].T.tocsr(),
                b_ub=np.ones(len(chosen)),
                bounds=(0, None),
                method="highs-ds",
                options={"time_limit": min(clock.left(), 1e6)},
            )
            clock.spend(result.nit * (len(self.rows) + len(chosen)) / RATE)
            if result.status != 0:
                clock.in_time()
                return None
            weight = matrix.T @ result.x
            back = (weight > 1 + EPS) & ~active
            if not back.any():
                break
            active |= back
        self._dual = (self.rows, result.x)
        share = np.zeros(len(self.roles))
        share[chosen] = -result.ineqlin.marginals
        self.idle = np.where((weight > 1 - SLACK) | (share > EPS), 0, np.array(self.idle) + 1).tolist()
        return Solution(-result.fun, result.x, share, self._cover(share))

    def _cover(self, share: np.ndarray) -> np.ndarray:
        cover = np.zeros(self.size)
        for role in np.flatnonzero(share > EPS).tolist():
            cover[self.roles[role]] += share[role]
        return cover

    def greedy_cover(self, solution: Solution) -> list[np.ndarray]:
        """Roles that the solution uses, by the share-weighted number of assignments that they add."""
        open_ = np.ones(self.size, dtype=bool)
        used = np.flatnonzero(solution.share > EPS).tolist()
        heap = [(-solution.share[role] * len(self.roles[role]), role) for role in used]
        heapify(heap)
        taken = []
        while heap:
            worth, role = heappop(heap)
            now = -solution.share[role] * int(open_[self.roles[role]].sum())
            if now > worth:
                if now < 0:
                    heappush(heap, (now, role))
                continue
            open_[self.roles[role]] = False
            taken.append(self.roles[role])
        return taken

    def whole(self, clock: Clock, *, fewer_than: int) -> list[np.ndarray] | None:
        """Fewer whole roles out of the known ones; assignments are required as they turn up uncovered."""
        known = self._promising(fewer_than)
        while len(known) and clock.keep_going():
            matrix = self.matrix(self.rows)[:, known]
            if not (np.diff(matrix.tocsr().indptr) > 0).all():
                return None
            result = milp(
                np.ones(len(known)),
                integrality=np.ones(len(known)),
                bounds=Bounds(0, 1),
                constraints=LinearConstraint(matrix, 1, np.inf),
                options={"time_limit": min(clock.left(), 1e6), "node_limit": BRANCHES},
            )
            clock.spend(BRANCHES * sum(matrix.shape))
            clock.in_time()
            if result.x is None or result.fun > fewer_than - 0.5:
                return None
            taken = [self.roles[role] for role in known[result.x > 0.5].tolist()]
            open_ = np.ones(self.size, dtype=bool)
            for members in taken:
                open_[members] = False
            if not open_.any():
                return taken
            self.require(np.flatnonzero(open_)[:200].tolist())
        return None

    def _promising(self, fewer_than: int) -> np.ndarray:
        """Roles that can be part of a cover with fewer roles.

        A cover that uses a role has at least as many roles as the weights add up to, plus what this role lacks to 1.
        """
        rows, dual = self._dual
        if dual.sum() < (1 - NEAR) * (fewer_than - 1):  # too far apart for any role to drop out
            return np.array([], dtype=np.int64)
        return np.flatnonzero(1 - self.matrix(rows).T @ dual <= fewer_than - 1 - dual.sum() + EPS)
