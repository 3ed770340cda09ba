"""All that a plan or the advisor looks at, gathered once: flows, rights, accounts, rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flowanalysis.planning.constraints import Constraints, conflicts, constraints, pinned_units, problem, serves, unfit
from flowanalysis.planning.subjects import subjects
from flowanalysis.planning.targets import targets
from flowanalysis.planning.units import Rules, Unit
from flowanalysis.planning.wants import KEY, Wants, wants
from flowanalysis.policy import Policy
from flowanalysis.tenant import Tenant

__all__ = ["Study", "flow_key", "flow_of", "study"]

Flow = tuple[str, str]
SEPARATOR = "\x1f"  # between the parts of a key: no id holds a unit separator


@dataclass(frozen=True, eq=False)
class Study:
    """What is known before anything is planned.

    Attributes
    ----------
    flows : DataFrame
        From ``subjects``.
    wants : Wants
        Rights and who needs them.
    accounts : DataFrame
        From ``targets``.
    wishes : Constraints
        Pins and bans.
    rules : Rules
        What every group keeps.
    units : list of Unit
        The planned flows.
    principal : mapping
        Flow to whether a service principal can sign in to all its connectors: yes | no | unknown.
    problems : list of dict
        Rows of the plan's findings so far.
    """

    flows: pd.DataFrame
    wants: Wants
    accounts: pd.DataFrame
    wishes: Constraints
    rules: Rules
    units: list[Unit]
    principal: Mapping[Flow, str]
    problems: list[dict[str, Any]]

    def purpose(self, unit: Unit) -> str:
        """Purpose of a unit's part."""
        return unit.part.split(SEPARATOR)[1]

    def boundary(self, unit: Unit) -> str:
        """Boundary of a unit's part."""
        return unit.part.split(SEPARATOR)[0]


def study(tenant: Tenant, policy: Policy, *, excess_limit: float) -> Study:
    """Gather what a plan needs to know."""
    flows, wanted, accounts = subjects(tenant, policy), wants(tenant, policy), targets(tenant, policy)
    wishes = constraints(tenant, policy, flows, accounts.loc[accounts["closed"].isna(), "account_id"])
    rules = Rules(
        weights=wanted.rights["weight"].tolist(),
        excess_limit=float(excess_limit),
        conflicts=conflicts(policy, wanted),
        most_flows=policy.caps["flows_per_owner"],
        most_requests=policy.caps["requests_paid"],
    )
    principal = _principals(wanted.uses)
    units = _units(flows[flows["planned"]], wanted, wishes, principal, policy)
    units, contradicting = pinned_units(units, rules)
    problems = [
        *wishes.problems,
        *contradicting,
        *unfit(units, rules, wanted),
        *_asked(units, principal, wanted, policy),
    ]
    return Study(flows, wanted, accounts, wishes, rules, units, principal, problems)


def flow_key(environment: str, flow: str) -> str:
    """The key of a flow's unit."""
    return f"{environment}{SEPARATOR}{flow}"


def flow_of(key: str) -> Flow:
    """Environment and id of the flow that a unit's key names."""
    environment, _, flow = key.partition(SEPARATOR)
    return environment, flow


def _units(
    flows: pd.DataFrame, wanted: Wants, wishes: Constraints, principal: Mapping[Flow, str], policy: Policy
) -> list[Unit]:
    needs, reach = wanted.needs(), wanted.reach()
    apart = policy.planning["service_principals"] == "require"
    banned: dict[Flow, list[str]] = {}
    for flow, account in wishes.forbidden:
        banned.setdefault(flow, []).append(account)
    units = []
    for row in flows.itertuples(index=False):
        flow = (row.environment_id, row.flow_id)
        need = needs.get(flow, 0)
        kind = principal.get(flow, "unknown") == "yes" if apart else ""
        units.append(
            Unit(
                key=flow_key(*flow),
                part=SEPARATOR.join((row.boundary, row.purpose, str(kind))),
                needs=need,
                reach=reach.get(flow, 0) | need,
                editors=int(row.editors),
                flows=int(bool(row.counted)),
                requests=0.0 if pd.isna(row.requests) else float(row.requests),
                pin=wishes.pins.get(flow, ""),
                banned=frozenset(banned.get(flow, ())),
                kin=row.department,
            )
        )
    return units


def _principals(uses: pd.DataFrame) -> dict[Flow, str]:
    """Flow to whether a service principal can sign in to everything it uses; one *no* decides, then one unknown."""
    answer = serves(uses["connector_id"]).fillna("unknown")
    rank = answer.map({"yes": 0, "unknown": 1, "no": 2}).astype("int64")
    worst = rank.groupby([uses[c] for c in KEY]).max()
    return {key: ("yes", "unknown", "no")[value] for key, value in worst.items()}


def _asked(units: list[Unit], principal: Mapping[Flow, str], wanted: Wants, policy: Policy) -> list[dict[str, Any]]:
    """Flows that cannot have a service principal though the policy asks for one."""
    if policy.planning["service_principals"] != "require":
        return []
    uses = wanted.uses.assign(answer=serves(wanted.uses["connector_id"]).fillna("unknown"))
    against = (
        uses[uses["answer"] != "yes"].groupby(KEY)["connector_id"].agg(lambda c: ", ".join(sorted(set(c.dropna()))))
    )
    rows = []
    for unit in units:
        flow = flow_of(unit.key)
        if principal.get(flow, "unknown") != "yes":
            sure = principal.get(flow) == "no"
            what = (
                "No service principal can sign in to"
                if sure
                else "Whether a service principal can sign in is not known for"
            )
            remedy = "Use a licensed service account for it, or replace the connector."
            connectors = against.get(flow, "its connectors")
            kind = "no_service_principal" if sure else "service_principal_not_known"
            rows.append(problem(kind, f"{what} {connectors}.", remedy, flow=flow))
    return rows
