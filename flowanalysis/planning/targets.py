"""Existing service accounts that a plan may use, what they hold, and which group of flows goes to which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from flowanalysis.analysis.execution import connection_uses
from flowanalysis.analysis.identities import classify
from flowanalysis.analysis.licences import licence_classes
from flowanalysis.analysis.privileges import account_tiers
from flowanalysis.analysis.reach import Reach, reach
from flowanalysis.lookup import text_by
from flowanalysis.planning.constraints import Constraints
from flowanalysis.planning.subjects import boundaries
from flowanalysis.planning.wants import RANKS, Wants
from flowanalysis.policy import Policy
from flowanalysis.register import members, purposes
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

__all__ = ["Demand", "Holding", "holding", "match", "targets"]

GONE = {
    "disabled": "is disabled",
    "deleted": "was deleted",
    "purged_or_foreign": "is not in this directory",
    "absent": "is not among the users",
}


def targets(tenant: Tenant, policy: Policy) -> pd.DataFrame:
    """Every service account, and why some may take no flow.

    Returns
    -------
    DataFrame
        Sorted by account_id: account_id, name, kind (service_account | service_principal), closed (why it may take no
        flow; NA when it may), purpose, boundaries (tuple; empty is any), requests (allowed per 24 h), sure (that number
        is known and not only assumed).
    """
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    ids = _candidates(tenant)
    verdicts = classify(tenant, policy, only=ids)
    found = verdicts.loc[verdicts["band"] == "service", ["identity_id", "kind"]].set_axis(
        ["account_id", "kind"], axis=1
    )
    found = found.sort_values("account_id", ignore_index=True)
    account = found["account_id"]
    found["name"] = text_by(account, known["upn"]).fillna(text_by(account, known["display_name"])).fillna(account)
    found["closed"] = text_by(account, known["status"]).map(GONE).astype(TEXT).fillna(_privileged(tenant, account))
    found["purpose"] = purposes(tenant, policy, account).to_numpy()
    found["boundaries"] = _places(tenant, policy, account)
    found["requests"], found["sure"] = _allowance(tenant, policy, found)
    return found


def _candidates(tenant: Tenant) -> list[str]:
    uses = connection_uses(tenant)
    columns = [
        uses.loc[uses["reason"] != "invoker", "account_id"],
        tenant.flows["owner_id"],
        tenant.flow_owners["principal_id"],
        members(tenant, tenant.register["account"]),
    ]
    return sorted(pd.concat(columns).dropna().unique())


def _privileged(tenant: Tenant, account: pd.Series) -> pd.Series:
    """In words: a role that makes the account an administrator's; NA for none."""
    codes = tenant.codes.principals.codes(account)
    tiers = account_tiers(tenant, of=reach(tenant.codes, codes)).dropna(subset="tier")
    high = tiers[tiers["tier"] <= 1].set_index("account_id")["name"]
    return ("holds the role " + text_by(account, high)).astype(TEXT)


def _places(tenant: Tenant, policy: Policy, account: pd.Series) -> list[tuple[str, ...]]:
    """Boundaries to which the register holds each account; a name that nobody knows opens all."""
    environments, register = tenant.environments, tenant.register
    by_id = boundaries(tenant, policy)
    names = environments["display_name"].str.lower()
    by_name = by_id.reindex(environments["environment_id"]).set_axis(names)
    lookup = {**by_name[by_name.index.notna()].to_dict(), **by_id.rename(str.lower).to_dict()}
    told = pd.Series(register["environments"].array, index=members(tenant, register["account"])).dropna()
    found: dict[str, tuple[str, ...]] = {}
    for account_id, text in told.items():
        places = [lookup.get(p.strip().lower()) for p in str(text).split(";") if p.strip()]
        known = {p for p in places if p is not None}
        found[account_id] = tuple(sorted(known)) if None not in places else ()
    return [found.get(a, ()) for a in account]


def _allowance(tenant: Tenant, policy: Policy, found: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Requests that each account may make in 24 hours, and whether its licence is known."""
    caps = policy.caps
    kind = text_by(found["account_id"], licence_classes(tenant)["requests"])
    kind = kind.fillna("none" if tenant.has("licences") else "unknown")
    kind = kind.mask(found["kind"] == "service_principal", "unlicensed")
    amount = {"paid": caps["requests_paid"], "seeded": caps["requests_seeded"], "none": caps["requests_seeded"]}
    amount |= {"unlicensed": caps["requests_unlicensed"], "unknown": caps["requests_paid"]}
    return kind.map(amount).to_numpy(np.int64), (kind != "unknown").to_numpy(bool)


@dataclass(frozen=True, eq=False)
class Holding:
    """What accounts hold.

    Attributes
    ----------
    found : Reach
        Levels with those on what lies inside a container.
    row : mapping
        Account id to row.
    """

    found: Reach
    row: Mapping[str, int]

    def direct(self, tenant: Tenant, account: str) -> dict[str, tuple[int, bool]]:
        """Resource to the highest level granted on it itself, and whether by a grant of the account's own."""
        codes, own = tenant.codes, tenant.codes.principals.code(account)
        if account not in self.row:
            return {}
        ways = self.found.ways
        at = self.row[account]
        holders = ways.indices[ways.indptr[at] : ways.indptr[at + 1]]
        best: dict[int, tuple[int, bool]] = {}
        for holder in holders.tolist():
            span = slice(codes.held.indptr[holder], codes.held.indptr[holder + 1])
            for resource, level in zip(codes.held.indices[span].tolist(), codes.held.data[span].tolist(), strict=True):
                best[resource] = max(best.get(resource, (0, False)), (int(level), holder == own))
        names = codes.resources.text(list(best))
        return {name: best[code] for name, code in zip(names, best, strict=True)}


def holding(tenant: Tenant, accounts: Sequence[str]) -> Holding:
    """Effective levels of accounts."""
    codes = tenant.codes.principals.codes(pd.Series(list(accounts), dtype=TEXT))
    found = reach(tenant.codes, codes)
    return Holding(found, {a: int(found.place[c]) for a, c in zip(accounts, codes, strict=True) if c >= 0})


@dataclass(frozen=True)
class Demand:
    """One group of flows as a target must serve it.

    Attributes
    ----------
    rights : list of int
        Places in the rights table: what has to be granted.
    flows : tuple
        Its flows.
    boundary, purpose, pin : str
    requests : float
        Per 24 hours.
    principal : bool
        A service principal can sign in to all its connectors, as far as is known.
    kept : mapping
        Account id to the connections that stay when the group goes there.
    """

    rights: list[int]
    flows: tuple[tuple[str, str], ...]
    boundary: str
    purpose: str
    pin: str
    requests: float
    principal: bool
    kept: Mapping[str, int]


def covered(tenant: Tenant, demands: Sequence[Demand], wants: Wants, held: Holding) -> tuple[np.ndarray, np.ndarray]:
    """Demand x account: how many of its rights the account holds; and how many known rights each demand has."""
    size = (len(demands), len(tenant.codes.resources))
    rights = wants.rights
    place = tenant.codes.resources.codes(rights["resource"])
    rank = np.where(rights["state"] == "known", rights["level"].map(RANKS).to_numpy(np.int64), 0)
    pairs = np.array([(d, b) for d, demand in enumerate(demands) for b in demand.rights if rank[b]], np.int64)
    pairs = pairs.reshape(-1, 2)
    found = np.zeros((len(demands), held.found.levels.shape[0]))
    for level in range(1, 5):
        at = pairs[rank[pairs[:, 1]] == level]
        if not len(at):
            continue
        need = csr_array((np.ones(len(at)), (at[:, 0], place[at[:, 1]])), shape=size)
        enough = csr_array(held.found.levels >= level).astype(float)
        found += (need @ enough.T).toarray()
    return found, np.bincount(pairs[:, 0], minlength=len(demands))


def match(
    tenant: Tenant, demands: Sequence[Demand], wants: Wants, accounts: pd.DataFrame, rules: Constraints
) -> list[str | None]:
    """The existing account of each demand, None where a new one is needed.

    As many existing accounts as possible are used; among such matchings the one with the fewest changes (connections to
    make anew, rights to grant). An account that neither runs one of the flows nor holds one of the rights is no match.
    """
    accounts = accounts[accounts["closed"].isna() & ~accounts["account_id"].isin(rules.closed)].reset_index(drop=True)
    if accounts.empty or not demands:
        return [None] * len(demands)
    ids = accounts["account_id"].tolist()
    held = holding(tenant, ids)
    have, _ = covered(tenant, demands, wants, held)
    have = have[:, [held.row[a] for a in ids]]
    kept = np.array([[demand.kept.get(a, 0) for a in ids] for demand in demands], float)
    facts = {c: accounts[c].to_numpy(object) for c in ("account_id", "purpose", "kind", "boundaries")}
    facts["requests"] = accounts["requests"].to_numpy(float)
    allowed = np.array([_allowed(demand, facts, rules) for demand in demands])
    allowed &= (kept + have > 0) | np.array([[demand.pin == a for a in ids] for demand in demands])
    most = float((kept + have).sum()) + 1.0
    value = np.where(allowed, most + kept + have, 0.0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    found: list[str | None] = [None] * len(demands)
    for row, column in zip(rows, columns, strict=True):
        if allowed[row, column]:
            found[row] = ids[column]
    return found


def _allowed(demand: Demand, accounts: Mapping[str, np.ndarray], rules: Constraints) -> np.ndarray:
    """Accounts that rules let serve the demand. A pinned account serves the flows pinned to it, and no other group."""
    ids = accounts["account_id"]
    if demand.pin:
        return ids == demand.pin
    banned = {account for flow, account in rules.forbidden if flow in demand.flows} | set(rules.pins.values())
    fit = (accounts["purpose"] == demand.purpose) & (accounts["requests"] >= demand.requests)
    if not demand.principal:
        fit &= accounts["kind"] != "service_principal"
    places = accounts["boundaries"]
    for n in np.flatnonzero(fit).tolist():
        fit[n] = ids[n] not in banned and (not places[n] or demand.boundary in places[n])
    return fit
