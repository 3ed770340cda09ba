"""What accounts hold beside what one flow needs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from flowanalysis import reference
from flowanalysis.analysis.demand import demand
from flowanalysis.analysis.identities import matches
from flowanalysis.analysis.reach import resource_kinds
from flowanalysis.analysis.sensitivity import sensitivity
from flowanalysis.codes import LEVELS
from flowanalysis.planning.targets import holding
from flowanalysis.planning.wants import successor
from flowanalysis.policy import Policy
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

Right = tuple[str, str, int]  # kind, resource, rank


class Held:
    """What accounts hold, granted or because their flows need it, beside what the flow needs."""

    def __init__(
        self, tenant: Tenant, policy: Policy, accounts: pd.DataFrame, rights: pd.DataFrame, connectors: pd.Series
    ) -> None:
        self.tenant, self.codes, self.policy = tenant, tenant.codes, policy
        held = holding(tenant, accounts["account_id"].tolist())
        rows = [held.row[a] for a in accounts["account_id"]]
        needs = demand(tenant).by_account[self.codes.principals.codes(accounts["account_id"])]
        self.levels = csr_array(csr_array(held.found.levels)[rows].maximum(csr_array(needs)))
        self.row = np.repeat(np.arange(self.levels.shape[0]), np.diff(self.levels.indptr))
        self.kind = pd.Series(resource_kinds(tenant)).astype(TEXT)
        self.rights, self.connectors = rights, connectors
        self.conflicts = self._conflicts(accounts)

    def missing(self, needed: list[Right]) -> np.ndarray:
        """Account x right: True when the account does not hold the right."""
        place = [self._nearest(resource) for _, resource, _ in needed]
        found = np.ones((self.levels.shape[0], len(needed)), bool)
        columns = self.levels.tocsc()
        for n, (code, (_, _, rank)) in enumerate(zip(place, needed, strict=True)):
            if code >= 0:
                span = slice(columns.indptr[code], columns.indptr[code + 1])
                found[columns.indices[span][columns.data[span] >= rank], n] = False
        return found

    def _nearest(self, resource: str) -> int:
        """Code of a resource, else of the nearest container that the tenant knows, else -1."""
        code = self.codes.resources.code(resource)
        while code < 0 and "|" in resource:
            resource = resource.rpartition("|")[0]
            code = self.codes.resources.code(resource)
        return code

    def excess(self, needed: list[Right]) -> np.ndarray:
        """Weight of what each account holds, the connectors of the flow can carry, and the flow does not need."""
        value = np.array([0.0, *(self.policy.planning["levels"][level] for level in LEVELS[1:])])
        least = self._least(needed)
        column, level = self.levels.indices, self.levels.data.astype(np.int64)
        beyond = value[level] - value[np.minimum(level, least[column])]
        beyond *= self._reachable()[column] * self._weights()[column]
        return np.bincount(self.row, weights=beyond, minlength=self.levels.shape[0])

    def _least(self, needed: list[Right]) -> np.ndarray:
        """Level needed on each resource, what lies inside a needed one included."""
        least = np.zeros(len(self.codes.resources), np.int64)
        cover = self.codes.cover
        for _, resource, rank in needed:
            code = self.codes.resources.code(resource)
            if code >= 0:
                inside = cover.indices[cover.indptr[code] : cover.indptr[code + 1]]
                least[inside] = np.maximum(least[inside], rank)
        return least

    def _weights(self) -> np.ndarray:
        known = sensitivity(self.tenant, self.policy)
        weights = np.full(len(self.codes.resources), float(self.policy.sensitivity["default"]))
        place = self.codes.resources.codes(pd.Series(known.index, dtype=TEXT))
        weights[place[place >= 0]] = known.to_numpy()[place >= 0]
        return weights

    def _reachable(self) -> np.ndarray:
        """Resources of the families for which any flow uses the connectors of this one."""
        listed = reference.table("resource_families").set_index("kind")["family"].to_dict()
        needs = self.tenant.needs[["connector_id", "resource_kind"]].drop_duplicates().dropna()
        kinds = set(needs.loc[successor(needs["connector_id"]).isin(self.connectors), "resource_kind"])
        kinds |= set(self.rights["resource_kind"])
        families = {listed.get(kind, kind) for kind in kinds}
        # A resource of no known kind may be of any family.
        known = [pd.isna(kind) or listed.get(kind, kind) in families for kind in self.kind]
        return np.array(known, bool)

    def _conflicts(self, accounts: pd.DataFrame) -> list[list[str]]:
        """For each account the separations of duties that the flow would break on it."""
        found: list[list[str]] = [[] for _ in range(len(accounts))]
        own = self.rights["text"].str.lower()
        for entry in self.policy.planning["conflicts"]:
            sides = [self._hits(entry[side]) for side in ("left", "right")]
            flow = [bool(matches(own, [entry[side]]).any()) for side in ("left", "right")]
            broken = (flow[0] & sides[1]) | (flow[1] & sides[0]) | (flow[0] and flow[1])
            for place in np.flatnonzero(broken):
                found[place].append(f"one account must not hold both {entry['left']} and {entry['right']}")
        return found

    def _hits(self, pattern: str) -> np.ndarray:
        """Accounts that hold a right that fits the pattern, at its level or below."""
        names = pd.Series(self.codes.resources.text(np.arange(len(self.codes.resources))), dtype=TEXT)
        hit = np.zeros((len(LEVELS), len(names)), bool)
        for rank, level in enumerate(LEVELS[1:], start=1):
            text = (self.kind.fillna("other") + "=" + names + ":" + level).str.lower()
            hit[rank] = hit[rank - 1] | matches(text, [pattern])
        entries = hit[self.levels.data.astype(np.int64), self.levels.indices]
        return np.bincount(self.row, weights=entries, minlength=self.levels.shape[0]) > 0
