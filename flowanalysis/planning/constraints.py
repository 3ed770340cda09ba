"""The company's wishes, resolved: pins, forbidden accounts, separation of duties. What cannot be kept is a row."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.analysis.identities import matches
from flowanalysis.planning.units import Group, Part, Rules, Unit, collapse
from flowanalysis.planning.wants import Wants
from flowanalysis.policy import Policy
from flowanalysis.register import members
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

__all__ = ["COLUMNS", "Constraints", "conflicts", "constraints", "pinned_units", "problem", "serves", "unfit"]

Flow = tuple[str, str]
COLUMNS = ["problem", "environment_id", "flow_id", "account_id", "sentence", "remedy"]


@dataclass(frozen=True)
class Constraints:
    """Pins and bans by flow and account id, and wishes that name nothing.

    Attributes
    ----------
    pins : mapping
        Flow to account id.
    forbidden : frozenset of (flow, account id)
    closed : frozenset of str
        Accounts that take no flow.
    problems : list of dict
        Rows of the plan's findings.
    """

    pins: Mapping[Flow, str]
    forbidden: frozenset[tuple[Flow, str]]
    closed: frozenset[str]
    problems: list[dict[str, str | None]]


def problem(
    kind: str, sentence: str, remedy: str, *, flow: Flow | None = None, account: str | None = None
) -> dict[str, Any]:
    """One row of the plan's findings."""
    environment, flow_id = flow or (None, None)
    return dict(zip(COLUMNS, (kind, environment, flow_id, account, sentence, remedy), strict=True))


def constraints(tenant: Tenant, policy: Policy, flows: pd.DataFrame, targets: Iterable[str]) -> Constraints:
    """Pins and bans of the policy as ids.

    Parameters
    ----------
    tenant, policy
        The data and what counts.
    flows : DataFrame
        From ``subjects``: only planned flows can be pinned.
    targets : iterable of str
        Accounts that may take flows: service accounts alone.
    """
    rows: list[dict[str, Any]] = []
    known = set(targets)
    forbidden: set[tuple[Flow, str]] = set()
    closed: set[str] = set()
    for entry in policy.planning["forbidden"]:
        for account in _accounts(tenant, entry["account"], rows):
            if "flow" not in entry:
                closed.add(account)
            else:
                forbidden |= {(flow, account) for flow in _flows(flows, entry["flow"], rows)}
    pins: dict[Flow, str] = {}
    for entry in policy.planning["pinned"]:
        for account in _accounts(tenant, entry["account"], rows):
            for flow in _flows(flows, entry["flow"], rows):
                fault = _fault(flow, account, pins, forbidden, closed, known)
                if fault is None:
                    pins[flow] = account
                else:
                    rows.append(problem(*fault, flow=flow, account=account))
    return Constraints(pins, frozenset(forbidden), frozenset(closed), rows)


def _fault(
    flow: Flow,
    account: str,
    pins: Mapping[Flow, str],
    forbidden: set[tuple[Flow, str]],
    closed: set[str],
    targets: set[str],
) -> tuple[str, str, str] | None:
    """Why a flow cannot be pinned to an account; None when it can."""
    if pins.get(flow, account) != account:
        return "pinned_twice", "The flow is pinned to two accounts; the first counts.", "Keep one of the two pins."
    if account in closed or (flow, account) in forbidden:
        what = "The flow is pinned to an account that is forbidden for it."
        return "pin_forbidden", what, "Take back the pin or the ban; the flow was planned as if it had no pin."
    if account not in targets:
        what = "The flow is pinned to an account that is no service account in working order."
        return "pin_no_service_account", what, "Register the account as a service account, or pin to another one."
    return None


def _flows(flows: pd.DataFrame, name: str, rows: list[dict[str, Any]]) -> list[Flow]:
    """Planned flows of this id or exact name."""
    wanted = name.strip().lower()
    ids, names = flows["flow_id"].str.lower(), flows["display_name"].str.lower()
    found = flows[(ids == wanted) | (names == wanted).fillna(False)]
    if found.empty:
        near = difflib.get_close_matches(name, flows["display_name"].dropna().tolist(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        rows.append(
            problem("unknown_flow", f"The policy names a flow {name!r} that is not there.{hint}", "Correct the policy.")
        )
    left = found[~found["planned"]]
    for row in left.itertuples():
        what = "The policy names a flow that is not planned."
        rows.append(
            problem("flow_not_planned", what, "See why it was left out.", flow=(row.environment_id, row.flow_id))
        )
    planned = found[found["planned"]]
    return list(zip(planned["environment_id"], planned["flow_id"], strict=True))


def _accounts(tenant: Tenant, name: str, rows: list[dict[str, Any]]) -> list[str]:
    """The identity of this id, UPN, mail address or application id."""
    found = members(tenant, pd.Series([name], dtype=TEXT)).iloc[0]
    if pd.isna(found):
        near = difflib.get_close_matches(name.lower(), tenant.identities["upn"].dropna().str.lower().tolist(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        what = f"The policy names an account {name!r} that is not there.{hint}"
        rows.append(problem("unknown_account", what, "Correct the policy."))
        return []
    return [str(found)]


def conflicts(policy: Policy, wants: Wants) -> list[tuple[int, int]]:
    """Pairs of sets of rights that no account may hold together; a right that fits both sides counts for the left."""
    text = wants.rights["text"].str.lower()
    found = []
    for entry in policy.planning["conflicts"]:
        left, right = (sum(1 << int(b) for b in np.flatnonzero(matches(text, [entry[s]]))) for s in ("left", "right"))
        found.append((left, right & ~left))
    return found


def serves(connectors: pd.Series) -> pd.Series:
    """Whether a service principal can sign in to a connector: yes | no; NA where that is not known."""
    listed = reference.table("connectors").set_index("connector")["service_principal"]
    return connectors.map(listed[listed != ""]).astype(TEXT)


def unfit(units: Iterable[Unit], rules: Rules, wants: Wants) -> list[dict[str, Any]]:
    """Flows that break a rule by themselves, whatever account they get: they stay alone, and the plan says so."""
    rows = []
    for unit in units:
        flow = key_flow(unit.key)
        for left, right in rules.conflicts:
            if unit.needs & left and unit.needs & right:
                one, other = (wants.rights["text"].iloc[(unit.needs & s).bit_length() - 1] for s in (left, right))
                what = f"The flow alone needs two rights that must not meet: {one} and {other}."
                rows.append(
                    problem("conflict_alone", what, "Split the flow in two, or approve the exception.", flow=flow)
                )
        if unit.requests > rules.most_requests:
            what = f"The flow alone makes {unit.requests:,.0f} requests a day; {rules.most_requests:,.0f} are allowed."
            rows.append(problem("requests_alone", what, "Give the flow a Process licence.", flow=flow))
        if unit.flows > rules.most_flows:
            what = f"The policy allows {rules.most_flows:,.0f} flows outside solutions for one owner."
            rows.append(problem("flows_alone", what, "Put the flow into a solution.", flow=flow))
    return rows


def key_flow(key: str) -> Flow:
    """Environment and flow of a unit's key."""
    environment, _, flow = key.partition("\x1f")
    return environment, flow


def pinned_units(units: list[Unit], rules: Rules) -> tuple[list[Unit], list[dict[str, Any]]]:
    """The same units, without the pins that contradict each other.

    Flows pinned to one account must fit together there: one boundary and purpose, all rules kept. They are taken in
    the order of their keys; one that does not fit those before it loses its pin.
    """
    kept: dict[str, list[Unit]] = {}
    result, rows = [], []
    for unit in sorted(units, key=lambda u: u.key):
        if unit.pin and not _together([*kept.get(unit.pin, []), unit], rules):
            what = "The flow does not fit the other flows that are pinned to the same account."
            remedy = "Pin it elsewhere, or allow more excess; it was planned as if it had no pin."
            rows.append(problem("pins_contradict", what, remedy, flow=key_flow(unit.key), account=unit.pin))
            unit = replace(unit, pin="")
        if unit.pin:
            kept.setdefault(unit.pin, []).append(unit)
        result.append(unit)
    return result, rows


def _together(units: list[Unit], rules: Rules) -> bool:
    """True when the units may share one account; a single one always may."""
    if len({u.part for u in units}) > 1:
        return False
    part = Part(collapse(units, rules), rules)
    group = Group(part)
    for number in range(len(part.units)):
        if group.members and not group.fits(number):
            return False
        group.add(number)
    return True
