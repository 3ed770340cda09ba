"""The plan of the fewest service accounts: which flow goes to which, what to grant, what to move, what it exposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from tqdm import tqdm

from flowanalysis.analysis.execution import connection_accounts
from flowanalysis.analysis.reach import covered
from flowanalysis.planning import tell
from flowanalysis.planning.check_plan import check_plan
from flowanalysis.planning.front import front
from flowanalysis.planning.groups import Partition, partition
from flowanalysis.planning.moves import grants, moves
from flowanalysis.planning.plan import Plan
from flowanalysis.planning.study import Study, study
from flowanalysis.planning.targets import holding
from flowanalysis.planning.tell import Served
from flowanalysis.planning.units import parts
from flowanalysis.planning.wants import successor
from flowanalysis.policy import Policy, load_policy
from flowanalysis.tenant import Tenant

__all__ = ["Plan", "plan_accounts"]

FRONT_STEPS = 2_000_000  # of the search for the first point of the curve, where that is not the plan itself

TABLES = {
    "needs": "what flows need is not known, so nothing can be planned",
    "flow_connections": "the connections of flows are not known, so nothing can be planned",
    "connections": "the accounts of today are not known",
    "grants": "what accounts hold today is not known, so every grant has to be checked",
    "runs": "requests are not counted, so their cap is not kept",
    "flow_owners": "who can edit a flow is not known, so exposure counts one person for each",
    "identities": "service accounts are not recognised, so every account is new",
    "licences": "how many requests an account may make is assumed",
}


def plan_accounts(
    tenant: Tenant, policy: Policy | None = None, *, excess_limit: float | None = None, progress: bool = False
) -> Plan:
    """The fewest service accounts that carry the flows, existing ones first.

    Flows of one account share its rights. A flow reaches through its connections whatever of them those connectors can
    carry; the weight of what it reaches and does not need is its excess, and stays within the limit. Boundaries between
    environments, purposes, separation of duties, pins, bans and caps always hold; a flow that breaks a rule by itself
    gets an account of its own and a row in the findings.

    Parameters
    ----------
    tenant : Tenant
        At least needs and flow_connections.
    policy : Policy, optional
        Its sections planning, purposes, sensitivity and caps.
    excess_limit : float, optional
        Excess that one flow may have, in weights of rights; by default the policy's.
    progress : bool
        Show a bar.

    Returns
    -------
    Plan
        Checked by code that shares nothing with the planner. The same for every order of rows, on every machine.

    Raises
    ------
    PlanError
        When the check finds a broken rule, which would be an error of the planner.

    Examples
    --------
    >>> import flowanalysis as fa
    >>> plan = plan_accounts(fa.load(fa.place("data/demo/2026-10")), excess_limit=6)
    >>> plan.count, plan.today
    (35, 32)
    """
    policy = policy or load_policy()
    limit = float(policy.planning["excess_limit"] if excess_limit is None else excess_limit)
    seen = study(tenant, policy, excess_limit=limit)
    found = _search(seen, policy, progress=progress)
    plan = _plan(tenant, seen, found, tell.serve(tenant, seen, found.groups), front(_strict(seen, found)))
    check_plan(tenant, plan, policy)
    return plan


def _search(seen: Study, policy: Policy, *, progress: bool) -> Partition:
    with tqdm(total=len(seen.units), desc="Planning", unit=" flows", disable=not progress) as bar:
        return partition(parts(seen.units, seen.rules), steps=policy.planning["search_steps"], tick=bar.update)


def _strict(seen: Study, found: Partition) -> Partition:
    """Groups without any excess: those of the plan, if it allows none."""
    rules = replace(seen.rules, excess_limit=0.0)
    return found if seen.rules == rules else partition(parts(seen.units, rules), steps=FRONT_STEPS)


def _plan(tenant: Tenant, seen: Study, found: Partition, served: Sequence[Served], curve: pd.DataFrame) -> Plan:
    """The plan as frames."""
    connections = tell.connections(seen, served)
    assignment = tell.assignment(tenant, seen, served, connections)
    held = holding(tenant, [s.account for s in served if not s.is_new])
    given = grants(tenant, seen.wants, tell.needed(seen, served), held, tell.vague(seen, served))
    existing = connection_accounts(tenant)
    existing = existing.assign(connector_id=successor(existing["connector_id"]))
    today = tell.today(seen)
    return Plan(
        assignment=assignment,
        connections=connections,
        accounts=tell.accounts(seen, served, assignment, given),
        grants=given,
        excess=tell.excess(seen, served),
        moves=moves(assignment, connections, tell.to_grant(seen, served, given), existing),
        front=curve,
        findings=tell.findings(seen),
        excess_limit=seen.rules.excess_limit,
        bound=found.bound,
        today=today[0],
        today_exposure=today[1],
        coverage=covered(pd.DataFrame(), tenant, TABLES, essential=("needs", "flow_connections")).attrs["coverage"],
    )
