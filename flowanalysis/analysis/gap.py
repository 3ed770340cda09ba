"""The least privilege gap: rights granted and not needed, rights needed and not granted.

A right is needed when a step of a flow needs it and the step runs on a stored connection of the account. Steps on
connections of whoever starts the flow count for nobody. What cannot be known is said, never guessed:

* a need whose resource is an expression or part of the connection may be for any resource of its family, so that
  no grant of that family is called *not needed*;
* a flow whose definition was not read may need anything its accounts hold;
* a right is called *missing* only where grants of the same family were collected at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.analysis.alignment import aligned, levels_at
from flowanalysis.analysis.demand import WHY, Demand, demand, demand_of, family_of
from flowanalysis.analysis.privileges import main_tiers
from flowanalysis.analysis.reach import Reach, at_hand, covered, kept, kinds_at, level_names, main_reach, reach, who
from flowanalysis.codes import SEPARATOR, pair, split
from flowanalysis.errors import UnknownName
from flowanalysis.matrices import Matrix
from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText, compact, encoded
from flowanalysis.tenant import Tenant

Columns = dict[str, Any]
SIDES = ("missing", "excess")
STATES = ("found", "unknown")
EXCESS_REASONS = (
    "never_needed",
    "needed_by_other_flows",
    "level_too_high",
    "definition_not_read",
    "unknown_resource",
    "unknown_level",
)
MISSING_REASONS = ("not_granted", "level_too_low", "unknown_level", "role_may_carry", "grants_not_collected")
BROKEN = (
    "missing_reference",
    "unbound_reference",
    "missing_connection",
    "external_account",
    "unknown_account",
    "not_collected",
)
REASONS = tuple(dict.fromkeys((*EXCESS_REASONS, *MISSING_REASONS, *BROKEN)))
TABLES = {
    "needs": "what flows need is not known, so nothing can be called excess or missing",
    "grants": "what accounts may do is not known, so nothing can be called excess or missing",
    "connections": "the accounts behind flows are not known",
    "flow_connections": "the connections of flows are not known",
    "memberships": "rights through groups are not seen",
}
HIGH_TIER = 1


def least_privilege_gap(
    tenant: Tenant,
    accounts: str | Iterable[str] | None = None,
    *,
    flow: str | None = None,
    side: str | None = None,
) -> pd.DataFrame:
    """Missing and excess rights of the accounts that flows run as, measured by all their flows or by one.

    Parameters
    ----------
    tenant : Tenant
        The data.
    accounts : str or iterable of str, optional
        Object ids or user principal names. Default: all accounts that a flow runs as.
    flow : str, optional
        Id of a flow, or ``environment/flow``: only its accounts, only its needs; then *other flows* in a reason are
        all flows but this one.
    side : str, optional
        ``missing`` or ``excess``; both by default.

    Returns
    -------
    DataFrame
        Missing rights have one row for each step that needs one, excess rights one row for each account and resource
        granted: account_id (NA when not known), side, state (found | unknown), resource_id, resource_kind, granted
        and needed (none < read < write < owner < full; needed NA when the level is not known), reason, via (direct |
        group; NA for missing), environment_id, flow_id, step (the proof of a missing right; NA for excess).
        Ids are categorical. ``attrs["coverage"]`` names what was not collected.

        Reasons of excess: never_needed (by any flow of the tenant), needed_by_other_flows (only by flows that run as
        somebody else), level_too_high (a lower level would do); unknown: definition_not_read, unknown_resource,
        unknown_level. Reasons of missing: not_granted, level_too_low; unknown: grants_not_collected (none of that
        family), role_may_carry (the account holds a role of tier 0 or 1), unknown_level, or why the account of the
        step is not known.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> tenant = Tenant({
    ...     "flow_connections": schema.frame("flow_connections", [
    ...         {"environment_id": "e", "flow_id": "f", "alias": "a", "connection_id": "c"}]),
    ...     "connections": schema.frame("connections", [
    ...         {"environment_id": "e", "connection_id": "c", "created_by_id": "ann"}]),
    ...     "needs": schema.frame("needs", [
    ...         {"environment_id": "e", "flow_id": "f", "step": "s", "alias": "a", "level": "read",
    ...          "resource": "ledger", "state": "known"}]),
    ...     "grants": schema.frame("grants", [{"principal_id": "ann", "resource_id": "payroll", "level": "read"}]),
    ... })
    >>> least_privilege_gap(tenant)[["side", "resource_id", "reason"]].to_numpy().tolist()
    [['missing', 'ledger', 'not_granted'], ['excess', 'payroll', 'never_needed']]
    """
    one = None if flow is None else flow_code(tenant, flow)
    needed = demand(tenant) if one is None else demand_of(tenant, one)
    found, rows = _subjects(tenant, accounts, one)
    parts = []
    if side in (None, "missing"):
        parts.append(_missing(tenant, found, rows, needed, everybody=accounts is None))
    if side in (None, "excess"):
        parts.append(_excess(tenant, found, rows, needed))
    frame = _frame(tenant, needed, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return covered(frame, tenant, TABLES, essential=("needs", "grants", "connections", "flow_connections"))


def _subjects(tenant: Tenant, accounts: str | Iterable[str] | None, flow: int | None) -> tuple[Reach, np.ndarray]:
    """A reach that has the accounts in question, and their rows in it."""
    runs_as = tenant.codes.runs_as
    if accounts is None:
        wanted = np.unique((runs_as if flow is None else runs_as[[flow]]).indices)
    else:
        wanted = np.unique(who(tenant, accounts))
    found = main_reach(tenant) if accounts is None and flow is None else reach_of(tenant, wanted)
    return found, found.place[wanted]


def flow_code(tenant: Tenant, flow: str) -> int:
    """Code of a flow named by its id, or by environment and id with a slash between.

    Raises
    ------
    UnknownName
        When there is no such flow, or the id occurs in several environments.
    """
    environment, _, flow_id = flow.lower().rpartition("/")
    names = tenant.codes.flows
    if environment:
        code = names.code(environment + SEPARATOR + flow_id)
        places = np.array([code] if code >= 0 else [], np.int64)
    else:
        places = np.flatnonzero(pc.ends_with(names.values, SEPARATOR + flow_id).to_numpy(zero_copy_only=False))
    if len(places) == 1:
        return int(places[0])
    problem = "is in several environments" if len(places) else "is not known"
    raise UnknownName("flow", flow, tenant.flows["flow_id"].head(2_000), remedy=f"It {problem}; give environment/flow.")


def reach_of(tenant: Tenant, principals: np.ndarray) -> Reach:
    """Reach of principals; rows of that of everybody who matters where it is at hand and has them all."""
    whole, wanted = at_hand(main_reach, tenant), np.unique(principals[principals >= 0])
    if whole is None or (whole.place[wanted] < 0).any():
        return reach(tenant.codes, wanted)
    return rows_of(whole, whole.place[wanted])


def rows_of(found: Reach, rows: np.ndarray) -> Reach:
    """Some rows of a reach, ascending."""
    place = np.full(len(found.place), -1, np.int32)
    place[found.principals[rows]] = np.arange(len(rows), dtype=np.int32)
    return Reach(found.principals[rows], found.ways[rows], place, found.levels[rows])


def granted_levels(tenant: Tenant, found: Reach, rows: np.ndarray | None = None) -> Matrix:
    """Levels as granted, at the very resources that grants name, without what lies inside them; of some rows or all."""
    codes = tenant.codes
    if codes.granted is codes.held:
        return found.levels if rows is None else found.levels[rows]
    ways = found.ways if rows is None else found.ways[rows]
    work = np.diff(codes.held.indptr)[ways.indices].sum()
    return (kernels.strongest if kernels.worth(work) else matrices.strongest)(ways, codes.held)


def needed_inside(tenant: Tenant, needed: Demand) -> Matrix:
    """Account x resource: highest level that the account's flows need on the resource or inside it."""
    codes, needs = tenant.codes, needed.by_account
    if codes.granted is codes.held:
        return needs
    places, counts = matrices.spans(codes.cover_up, needs.indices)
    account, level = np.repeat(matrices.row_of(needs), counts), np.repeat(needs.data, counts)
    return matrices.relation(account, codes.cover_up.indices[places], level, needs.shape)


def _excess(tenant: Tenant, found: Reach, rows: np.ndarray, needed: Demand) -> Columns:
    """Rights that the account does not need at their level, one row for each, as codes."""
    entries, principals = granted_levels(tenant, found, rows), found.principals[rows]
    level = aligned(entries, needed_inside(tenant, needed), principals)
    vague = aligned(entries, needed.vague, principals)
    direct = aligned(entries, tenant.codes.held, principals) == entries.data
    beyond = np.flatnonzero(entries.data > level)
    account, resource = principals[matrices.row_of(entries)[beyond]], entries.indices[beyond]
    reason = _excess_reason(tenant, needed, account, resource, level[beyond], vague[beyond])
    return {
        "account": account,
        "side": np.full(len(beyond), SIDES.index("excess"), np.int8),
        "state": (reason >= EXCESS_REASONS.index("definition_not_read")).view(np.int8),
        "resource": resource,
        "granted": entries.data[beyond],
        "needed": level[beyond],
        "reason": reason,
        "via": direct[beyond].view(np.int8),
        "flow": np.full(len(beyond), -1, np.int32),
        "step": np.full(len(beyond), -1, np.int32),
    }


def _excess_reason(
    tenant: Tenant, needed: Demand, account: np.ndarray, resource: np.ndarray, level: np.ndarray, vague: np.ndarray
) -> np.ndarray:
    """Why a right is called too much, as places in `EXCESS_REASONS`; what is not known wins, and comes last."""
    reason = needed.anywhere[resource].view(np.int8)
    reason[level > 0] = EXCESS_REASONS.index("level_too_high")
    reason[vague > 0] = EXCESS_REASONS.index("unknown_level")
    open_ = np.flatnonzero((needed.families > 0)[account])
    family = np.uint64(1) << family_of(tenant)[resource[open_]].astype(np.uint64)
    reason[open_[(needed.families[account[open_]] & family) > 0]] = EXCESS_REASONS.index("unknown_resource")
    reason[needed.unread[account]] = EXCESS_REASONS.index("definition_not_read")
    return reason


def _missing(tenant: Tenant, found: Reach, rows: np.ndarray, needed: Demand, *, everybody: bool) -> Columns:
    """Needs that the account does not hold, one row for each step, as codes."""
    needs, mine = needed.rows, np.zeros(len(found.principals) + 1, bool)
    account, resource, wanted = (needs[name].to_numpy() for name in ("account", "resource", "level"))
    mine[rows] = True  # the last place answers for accounts that are not known
    place = np.append(found.place, -1)[account]  # accounts that are not known are -1, and nobody may be known at all
    held = levels_at(found.levels, place, resource)
    held[needs["own"].to_numpy()] = 4
    at = np.flatnonzero(mine[place] & (held < np.maximum(wanted, 1)) | (everybody & (account < 0)))
    held, wanted = held[at], wanted[at]
    reason = _missing_reason(tenant, account[at], resource[at], wanted, needs["why"].to_numpy()[at], held)
    known = np.isin(np.arange(len(REASONS)), [REASONS.index("not_granted"), REASONS.index("level_too_low")])
    return {
        "account": account[at],
        "side": np.full(len(at), SIDES.index("missing"), np.int8),
        "state": (~known)[reason].view(np.int8),
        "resource": resource[at],
        "granted": held,
        "needed": np.where(wanted > 0, wanted, -1).astype(np.int8),
        "reason": reason,
        "via": np.full(len(at), -1, np.int8),
        "flow": needs["flow"].to_numpy()[at],
        "step": at.astype(np.int32),
    }


def _missing_reason(
    tenant: Tenant, account: np.ndarray, resource: np.ndarray, wanted: np.ndarray, why: np.ndarray, held: np.ndarray
) -> np.ndarray:
    """Why a need is not met, as places in `REASONS`; what makes it unknown wins, and comes last."""
    tiers, families = main_tiers(tenant), family_of(tenant)
    high = np.zeros(len(tenant.codes.principals) + 1, bool)  # the last for accounts that are not known
    high[tenant.codes.principals.codes(tiers.loc[(tiers["tier"] <= HIGH_TIER).fillna(False), "account_id"])] = True
    granted, seen = np.zeros(len(families), bool), np.zeros(families.max(initial=0) + 1, bool)
    granted[tenant.codes.held.indices] = True
    seen[families[granted]] = True
    reason = np.full(len(account), REASONS.index("not_granted"), np.int8)
    reason[held > 0] = REASONS.index("level_too_low")
    reason[wanted == 0] = REASONS.index("unknown_level")
    reason[high[account]] = REASONS.index("role_may_carry")
    reason[~seen[families[resource]]] = REASONS.index("grants_not_collected")
    words = [REASONS.index(word if word in REASONS else "unknown_account") for word in WHY]
    reason[account < 0] = np.array(words, np.int8)[why[account < 0]]
    return reason


def _frame(
    tenant: Tenant,
    demanded: Demand,
    *,
    account: np.ndarray,
    side: np.ndarray,
    state: np.ndarray,
    resource: np.ndarray,
    granted: np.ndarray,
    needed: np.ndarray,
    reason: np.ndarray,
    via: np.ndarray,
    flow: np.ndarray,
    step: np.ndarray,
) -> pd.DataFrame:
    environment, flow_id = flow_texts(tenant, flow)
    return pd.DataFrame(
        {
            "account_id": tenant.codes.principals.category(account),
            "side": pd.Categorical.from_codes(side, categories=pd.Index(SIDES, dtype=TEXT)),
            "state": pd.Categorical.from_codes(state, categories=pd.Index(STATES, dtype=TEXT)),
            "resource_id": tenant.codes.resources.category(resource),
            "resource_kind": kinds_at(tenant, resource),
            "granted": level_names(granted),
            "needed": level_names(needed),
            "reason": pd.Categorical.from_codes(reason, categories=pd.Index(REASONS, dtype=TEXT)),
            "via": pd.Categorical.from_codes(via, categories=pd.Index(["group", "direct"], dtype=TEXT)),
            "environment_id": environment,
            "flow_id": flow_id,
            "step": _texts(demanded.rows["step"].array, step),
        },
        copy=False,
    )


@kept
def flow_names(tenant: Tenant) -> tuple[CompactText, ...]:
    """Environment and id of each flow by code."""
    names = tenant.codes.flows
    return tuple(compact(encoded(column), distinct=True) for column in split(names, np.arange(len(names))))


def flow_texts(tenant: Tenant, flow: np.ndarray) -> tuple[CompactText, ...]:
    """Environment and flow id of flow codes; NA for -1."""
    return tuple(_texts(names, flow) for names in flow_names(tenant))


def _texts(column: CompactText, rows: np.ndarray) -> CompactText:
    """The text of a column in some rows; NA at -1."""
    return CompactText.of(column.words, np.append(column.places, np.int32(-1))[rows])


def flow_gap(tenant: Tenant) -> pd.DataFrame:
    """How well the rights of its accounts fit each flow.

    Returns
    -------
    DataFrame
        One row for each flow that runs as some account: environment_id, flow_id, accounts, granted (rights of these
        accounts, one for each account and resource), needed (settled needs, one for each account and resource),
        missing (needs not met, known as such), unknown (needs about which nothing can be said, and needs without a
        resource), excess (rights that this flow does not need at that level), never_needed (the part of the excess
        that no flow of the tenant needs), needed_by_other_flows (the part that another flow needs on that resource).
        Excess is counted whether or not the flow has needs with unknown resources: see `unknown`.
    """
    codes, needed = tenant.codes, demand(tenant)
    pairs = codes.runs_as
    flow, account = matrices.row_of(pairs), pairs.indices
    whole = main_reach(tenant)
    entries = granted_levels(tenant, whole)
    rights = np.diff(entries.indptr)[whole.place[account]]
    idle = np.bincount(matrices.row_of(entries), weights=~needed.anywhere[entries.indices], minlength=entries.shape[0])
    result = pd.DataFrame({"flow": flow, "accounts": 1, "granted": rights, "never_needed": idle[whole.place[account]]})
    result = result.groupby("flow", sort=True).sum().astype(np.int64)
    used, matched = _matched(tenant, whole, entries)
    gaps = least_privilege_gap(tenant, side="missing")
    at = codes.flows.codes(pair(gaps, "flow_id"))
    found = (gaps["state"] == "found").to_numpy()
    size = len(codes.flows)
    result["needed"] = used[result.index]
    result["missing"] = _distinct(gaps[found], at[found], size)[result.index]
    result["unknown"] = (_distinct(gaps[~found], at[~found], size) + needed.open_needs)[result.index]
    result["excess"] = result["granted"] - matched[result.index]
    result["needed_by_other_flows"] = result["excess"] - result["never_needed"]
    names = dict(zip(("environment_id", "flow_id"), flow_texts(tenant, result.index.to_numpy()), strict=True))
    order = ["accounts", "granted", "needed", "missing", "unknown", "excess", "never_needed", "needed_by_other_flows"]
    return covered(pd.DataFrame({**names, **{c: result[c].to_numpy() for c in order}}), tenant, TABLES)


def _distinct(gaps: pd.DataFrame, flow: np.ndarray, size: int) -> np.ndarray:
    """Number of distinct (account, resource) for each flow."""
    keys = pd.DataFrame(
        {"flow": flow, "account": gaps["account_id"].cat.codes.array, "r": gaps["resource_id"].cat.codes.array}
    )
    return np.bincount(keys.drop_duplicates()["flow"], minlength=size)


def _matched(tenant: Tenant, whole: Reach, entries: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """For each flow: distinct needs, and rights that the flow needs at their level."""
    codes, rows = tenant.codes, demand(tenant).rows
    rows = rows[rows["account"] >= 0]
    needs = rows.groupby(["flow", "account", "resource"], as_index=False, sort=False)["level"].max()
    used = np.bincount(needs["flow"], minlength=len(codes.flows))
    if codes.granted is not codes.held:
        places, counts = matrices.spans(codes.cover_up, needs["resource"].to_numpy())
        needs = needs.loc[needs.index.repeat(counts)].assign(resource=codes.cover_up.indices[places])
        needs = needs.groupby(["flow", "account", "resource"], as_index=False, sort=False)["level"].max()
    held = levels_at(entries, whole.place[needs["account"]], needs["resource"].to_numpy())
    fits = (held > 0) & (needs["level"].to_numpy() >= held)
    return used, np.bincount(needs["flow"][fits], minlength=len(codes.flows))
