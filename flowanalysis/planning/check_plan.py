"""An independent look at a plan: every rule it must keep, worked out anew from the tenant's tables.

Nothing here is shared with the planner. Rights are plain pairs of resource and level, expanded and compared as sets.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from flowanalysis import reference
from flowanalysis.analysis.execution import connection_uses
from flowanalysis.analysis.sensitivity import sensitivity
from flowanalysis.errors import PlanError
from flowanalysis.planning.plan import Plan
from flowanalysis.policy import Policy
from flowanalysis.tenant import Tenant

__all__ = ["check_plan"]

Flow = tuple[str, str]
Right = tuple[str, str]  # resource, level
NESTED = ("read", "write", "owner", "full")
SLACK = 1e-6


def check_plan(tenant: Tenant, plan: Plan, policy: Policy) -> None:
    """Raise unless the plan keeps every rule.

    Every flow has one account or a reason; boundaries, purposes, conflicts, caps and bans hold (a flow that breaks one
    alone has an account alone); no flow reaches more than the limit; the excess told is the excess there is; grants
    cover what is needed.

    Raises
    ------
    PlanError
        With the first rule that is broken, and where.
    """
    carried = _carried(plan.assignment)
    needs, connectors, kinds = _needs(tenant)
    seen = _Rights(tenant, policy, needs, kinds)
    by_connector: dict[str, set[Right]] = defaultdict(set)
    for rights in needs.values():
        for connector, right in rights:
            by_connector[connector] |= seen.included(right)
    told = plan.assignment.set_index(["environment_id", "flow_id"])["excess"].to_dict()
    listed = plan.excess.groupby(["environment_id", "flow_id"])["weight"].sum().to_dict()
    given = _given(plan, seen)
    for account, flows in carried.items():
        wanted = {f: set().union(*(seen.included(r) for _, r in needs.get(f, ()))) for f in flows}
        held = set().union(*wanted.values())
        if len(flows) > 1:
            _refuse_conflicts(policy, seen, account, held)
        for flow in flows:
            reach = set().union(*(by_connector[c] for c in connectors.get(flow, ())))
            over = math.fsum(seen.weight[r] for r in (held & reach) - wanted[flow])
            _refuse_excess(plan, flow, account, over, told, listed)
        _refuse_short(account, held, given[account])
    _refuse_mixed(tenant, plan, policy)
    _refuse_caps(plan, policy)
    _refuse_bans(tenant, plan, policy)


def _carried(assignment: pd.DataFrame) -> dict[str, list[Flow]]:
    """Account to its flows; every flow stands once and has an account or a reason."""
    found: dict[str, list[Flow]] = defaultdict(list)
    once: set[Flow] = set()
    columns = ["environment_id", "flow_id", "state", "account", "reason"]
    for environment, flow, state, account, reason in assignment[columns].itertuples(index=False):
        if (environment, flow) in once:
            raise PlanError(f"The flow {flow} of {environment} stands twice in the plan.")
        once.add((environment, flow))
        if state == "left":
            if pd.isna(reason) or pd.notna(account):
                raise PlanError(f"The flow {flow} of {environment} was left out without a reason.")
        elif pd.isna(account):
            raise PlanError(f"The flow {flow} of {environment} has no account.")
        else:
            found[account].append((environment, flow))
    return found


def _needs(
    tenant: Tenant,
) -> tuple[dict[Flow, set[tuple[str, Right]]], dict[Flow, set[str]], dict[str, set[str]]]:
    """Flow to (connector, right) needed on stored connections; flow to connectors; resource to its kinds."""
    replaced = {r.connector: r.replaced_by for r in reference.table("connectors").itertuples() if r.replaced_by}
    places = {
        (r.environment_id, r.connection_id): (r.server, r.database)
        for r in tenant.connections[["environment_id", "connection_id", "server", "database"]].itertuples(index=False)
    }
    uses, connectors = {}, defaultdict(set)
    for row in connection_uses(tenant).itertuples(index=False):
        uses[row.environment_id, row.flow_id, row.alias] = row
        if row.reason != "invoker" and isinstance(row.connector_id, str):
            connectors[row.environment_id, row.flow_id].add(replaced.get(row.connector_id, row.connector_id))
    needs, kinds = defaultdict(set), defaultdict(set)
    for row in tenant.needs.itertuples(index=False):
        use = uses.get((row.environment_id, row.flow_id, row.alias))
        if not isinstance(row.alias, str) or (use is not None and use.reason == "invoker"):
            continue
        connector = row.connector_id if isinstance(row.connector_id, str) else ""
        connector = replaced.get(connector, connector)
        level = row.level if row.level in NESTED else "unknown"
        resource = _resource(row, use, places)
        flow = (row.environment_id, row.flow_id)
        needs[flow].add((connector, (resource, level)))
        connectors[flow].add(connector)
        kinds[resource].add(row.resource_kind if isinstance(row.resource_kind, str) else "other")
    return needs, connectors, kinds


def _resource(row: Any, use: Any, places: Mapping[Any, Any]) -> str:
    """A name for what is needed that is equal exactly where the thing is."""
    if row.state in ("known", "environment_variable") and isinstance(row.resource, str) and row.resource:
        return row.resource
    kind = row.resource_kind if isinstance(row.resource_kind, str) else "other"
    if row.state != "in_connection":
        return f"({kind}) chosen by {row.environment_id}/{row.flow_id} while it runs"
    if row.right in ("send", "compute"):
        return f"({kind}) (of the account itself)"
    if use is None:
        return f"({kind}) of a connection of {row.flow_id}"
    server, database = places.get((row.environment_id, use.connection_id), (None, None))
    if isinstance(server, str):
        return f"({kind}) {server.lower()}" + (f"|{database.lower()}" if isinstance(database, str) else "")
    if isinstance(use.account_name, str):
        return f"({kind}) of {use.account_name.lower()}"
    if isinstance(use.connection_id, str):
        return f"({kind}) of connection {use.connection_id}"
    return f"({kind}) of a connection of {row.flow_id}"


class _Rights:
    """Which rights include which, and how much each weighs."""

    def __init__(self, tenant: Tenant, policy: Policy, needs: Mapping[Any, Any], kinds: Mapping[str, set[str]]) -> None:
        self.kinds = kinds
        self.levels: dict[str, set[str]] = defaultdict(set)
        for rights in needs.values():
            for _, (resource, level) in rights:
                self.levels[resource].add(level)
        parents = tenant.resources[["resource_id", "parent_id"]].dropna()
        self.parent = defaultdict(set)
        for resource, parent in parents.itertuples(index=False):
            self.parent[resource].add(parent)
        self.inside: dict[str, set[str]] = defaultdict(set)
        for resource in self.levels:
            for container in self._around(resource):
                self.inside[container].add(resource)
        self.weight = self._weights(tenant, policy)
        self._known: dict[Right, frozenset[Right]] = {}

    def _around(self, resource: str) -> set[str]:
        """The resource and everything that contains it."""
        found, waiting = set(), [resource]
        while waiting:
            here = waiting.pop()
            if here in found:
                continue
            found.add(here)
            waiting += self.parent[here]
            if "|" in here and not here.startswith("("):
                waiting.append(here.rpartition("|")[0])
        return found

    def included(self, right: Right) -> frozenset[Right]:
        """The right, lower levels, and the same on what lies inside; of those that some flow needs."""
        if right not in self._known:
            resource, level = right
            found = {right}
            if level in NESTED:
                lower = NESTED[: NESTED.index(level) + 1]
                found |= {(r, lv) for r in self.inside[resource] for lv in lower if lv in self.levels[r]}
            self._known[right] = frozenset(found)
        return self._known[right]

    def _weights(self, tenant: Tenant, policy: Policy) -> dict[Right, float]:
        """What each level adds to the next lower one that some flow needs, times the sensitivity."""
        heavy, levels = sensitivity(tenant, policy).to_dict(), policy.planning["levels"]
        found = {}
        for resource, named in self.levels.items():
            factor, below = heavy.get(resource, policy.sensitivity["default"]), 0.0
            for level in NESTED:
                if level in named:
                    found[resource, level] = max(levels[level] - below, 0.0) * factor
                    below = levels[level]
            if "unknown" in named:
                found[resource, "unknown"] = levels["unknown"] * factor
        return found

    def texts(self, right: Right) -> set[str]:
        """The right as patterns of the policy see it."""
        return {f"{kind}={right[0]}:{right[1]}".lower() for kind in self.kinds[right[0]]}


def _refuse_conflicts(policy: Policy, seen: _Rights, account: str, held: Iterable[Right]) -> None:
    for entry in policy.planning["conflicts"]:
        left = {r for r in held if any(re.search(entry["left"], t) for t in seen.texts(r))}
        right = {r for r in held if any(re.search(entry["right"], t) for t in seen.texts(r))} - left
        if left and right:
            raise PlanError(f"The account {account} would hold {min(left)} and {min(right)}, which must not meet.")


def _refuse_excess(
    plan: Plan, flow: Flow, account: str, over: float, told: Mapping[Any, Any], listed: Mapping[Any, Any]
) -> None:
    if over > plan.excess_limit + SLACK:
        raise PlanError(
            f"The flow {flow[1]} would reach {over:g} too much on {account}; {plan.excess_limit:g} is allowed."
        )
    for words, value in (("the plan tells", told[flow]), ("its rows add up to", listed.get(flow, 0.0))):
        if abs(float(value) - over) > SLACK:
            raise PlanError(f"The excess of the flow {flow[1]} on {account} is {over:g}, but {words} {value:g}.")


def _given(plan: Plan, seen: _Rights) -> dict[str, set[Right]]:
    """Account to what it is to hold, with what that includes."""
    given: dict[str, set[Right]] = defaultdict(set)
    rows = plan.grants[~plan.grants["action"].isin(["remove", "review"])]
    for account, resource, level in rows[["account", "resource", "level"]].itertuples(index=False):
        given[account] |= seen.included((resource, level))
    return given


def _refuse_short(account: str, held: set[Right], given: set[Right]) -> None:
    """What the account is to hold is all that its flows need."""
    if held - given:
        raise PlanError(f"The account {account} would lack {min(held - given)}.")
    if given - held:
        raise PlanError(f"The account {account} would be given {min(given - held)}, which no flow of it needs.")


def _refuse_mixed(tenant: Tenant, plan: Plan, policy: Policy) -> None:
    """One boundary and one purpose for each account, and the boundary is that of the environment."""
    names = tenant.environments.drop_duplicates("environment_id").set_index("environment_id")["display_name"]
    planned = plan.assignment[plan.assignment["state"] != "left"]
    for environment, boundary in planned[["environment_id", "boundary"]].drop_duplicates().itertuples(index=False):
        name = names.get(environment)
        text = (environment if name is None or pd.isna(name) else name).lower()
        entries = policy.planning["boundaries"]["patterns"]
        fitting = [e["boundary"] for e in entries if environment in names.index and re.search(e["match"], text)]
        if boundary != (fitting[0] if fitting else environment):
            raise PlanError(f"The environment {environment} is not within the boundary {boundary}.")
    for column in ("boundary", "purpose"):
        counts = planned.groupby("account")[column].nunique(dropna=False)
        if (counts > 1).any():
            raise PlanError(f"The account {counts.idxmax()} would work for more than one {column}.")


def _refuse_caps(plan: Plan, policy: Policy) -> None:
    """A flow that breaks a cap alone has an account alone; else caps hold."""
    planned = plan.assignment[plan.assignment["state"] != "left"]
    outside = planned[~planned["is_solution"].fillna(False).astype(bool)].groupby("account").size()
    size = planned.groupby("account").size()
    many = outside[(outside > policy.caps["flows_per_owner"]) & (size.reindex(outside.index) > 1)]
    if len(many):
        raise PlanError(f"The account {many.index[0]} would own {many.iloc[0]:,} flows outside solutions.")
    used = plan.accounts[plan.accounts["action"].isin(["use", "create"])].set_index("account")
    spent = used["requests"].astype("Float64").fillna(0.0)
    busy = spent[(spent > policy.caps["requests_paid"] + SLACK) & (size.reindex(spent.index) > 1)]
    if len(busy):
        raise PlanError(f"The account {busy.index[0]} would make {busy.iloc[0]:,.0f} requests a day.")


def _refuse_bans(tenant: Tenant, plan: Plan, policy: Policy) -> None:
    """No flow goes to an account that the policy forbids for it."""
    planned = plan.assignment[plan.assignment["state"] != "left"]
    people = tenant.identities[["identity_id", "upn", "mail", "app_id"]]
    for entry in policy.planning["forbidden"]:
        name = entry["account"].strip().lower()
        ids = set(people.loc[(people.apply(lambda c: c.str.lower()) == name).any(axis=1), "identity_id"])
        rows = planned[planned["account"].isin(ids)]
        if "flow" in entry:
            wanted = entry["flow"].strip().lower()
            rows = rows[
                (rows["flow_id"].str.lower() == wanted) | (rows["display_name"].str.lower() == wanted).fillna(False)
            ]
        if len(rows):
            raise PlanError(f"The flow {rows['flow_id'].iloc[0]} must not run as {entry['account']}.")
