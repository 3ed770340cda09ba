"""What flows need: their own steps, and the flows that they call.

A child flow runs on its own connections. Its needs pass up to every flow that calls it, since the caller does not
work without them; but they stay needs of the child's connections, and count for no account of the caller.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant, once_per_tenant

__all__ = ["catalogue_coverage", "child_flows", "needs", "steps"]

FLOW = ["environment_id", "flow_id"]
Key = tuple[str, str]


@once_per_tenant
def child_flows(tenant: Tenant) -> pd.DataFrame:
    """Calls of child flows.

    Returns
    -------
    DataFrame
        One row per step that calls a flow: environment_id, flow_id, step, child_flow_id (as the step names it: the
        id of the workflow) and called_id (flow_id of the flow that is meant, in the same environment; NA when it
        was not collected or lives elsewhere).
    """
    calls = tenant.steps.loc[tenant.steps["child_flow_id"].notna(), [*FLOW, "step", "child_flow_id"]]
    flows = tenant.flows[["environment_id", "flow_id", "workflow_id"]]
    known = pd.concat(
        [flows[["environment_id", "flow_id", c]].set_axis([*FLOW, "name"], axis=1) for c in ("workflow_id", "flow_id")]
    ).dropna()
    known["name"] = known["name"].str.lower()
    known = known.drop_duplicates(["environment_id", "name"]).rename(columns={"flow_id": "called_id"})
    named = calls.assign(name=calls["child_flow_id"].str.lower())
    found = named.merge(known, on=["environment_id", "name"], how="left", validate="m:1")
    return found.drop(columns="name").reset_index(drop=True)


def _called_by(calls: pd.DataFrame) -> dict[Key, dict[Key, str]]:
    """Flow to the flows that it calls directly, and the first step that does."""
    direct: dict[Key, dict[Key, str]] = {}
    told = calls.dropna(subset="called_id")
    for environment, flow, step, called in zip(
        told["environment_id"], told["flow_id"], told["step"], told["called_id"], strict=True
    ):
        direct.setdefault((environment, flow), {}).setdefault((environment, called), step)
    return direct


def _reached(direct: dict[Key, dict[Key, str]]) -> Iterator[tuple[Key, Key, str]]:
    """(flow, flow called at any depth, step of the first one that leads there); flows may call in circles."""
    for flow in direct:
        waiting = [(called, step) for called, step in direct[flow].items()]
        seen = {flow}
        while waiting:
            called, step = waiting.pop()
            if called in seen:
                continue
            seen.add(called)
            yield flow, called, step
            waiting += [(further, step) for further in direct.get(called, {})]


@once_per_tenant
def needs(tenant: Tenant) -> pd.DataFrame:
    """Every right that every flow needs, those of the flows that it calls included.

    Returns
    -------
    DataFrame
        The columns of the table ``needs``, and via_flow (flow_id of the called flow whose step has the need; NA for
        the flow's own), called_from (own step that leads there) and carrier (flow whose connection must carry the
        right: join accounts on environment_id, carrier and alias). Step and alias are those of the carrier.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> tenant = Tenant({
    ...     "flows": schema.frame("flows", [{"environment_id": "e", "flow_id": "child"}]),
    ...     "steps": schema.frame("steps", [
    ...         {"environment_id": "e", "flow_id": "caller", "step": "Run", "child_flow_id": "child"}]),
    ...     "needs": schema.frame("needs", [
    ...         {"environment_id": "e", "flow_id": "child", "step": "Get", "resource": "ledger"}]),
    ... })
    >>> needs(tenant)[["flow_id", "via_flow", "called_from", "carrier"]].fillna("").to_numpy().tolist()
    [['child', '', '', 'child'], ['caller', 'child', 'Run', 'child']]
    """
    own = tenant.needs
    nothing = pd.array([pd.NA] * len(own), dtype=TEXT)
    own = own.assign(via_flow=nothing, called_from=nothing, carrier=own["flow_id"])
    reached = pd.DataFrame.from_records(
        [(*flow, called[1], step) for flow, called, step in _reached(_called_by(child_flows(tenant)))],
        columns=["environment_id", "caller", "flow_id", "from_step"],
    ).astype(TEXT)
    passed = own.merge(reached, on=FLOW, how="inner")
    passed = passed.assign(via_flow=passed["flow_id"], called_from=passed["from_step"], flow_id=passed["caller"])
    return pd.concat([own, passed[own.columns]], ignore_index=True)


@once_per_tenant
def steps(tenant: Tenant) -> pd.DataFrame:
    """Every step with the right it needs.

    Returns
    -------
    DataFrame
        The columns of the table ``steps``, and right, level, resource_kind, resource and state of the step's main
        need (NA for steps that need none, such as conditions).
    """
    columns = ["right", "level", "resource_kind", "resource", "state"]
    main = tenant.needs[tenant.needs["via"].fillna("own") == "own"].drop_duplicates([*FLOW, "step"])
    return tenant.steps.merge(main[[*FLOW, "step", *columns]], on=[*FLOW, "step"], how="left", validate="m:1")


@once_per_tenant
def catalogue_coverage(tenant: Tenant) -> pd.DataFrame:
    """How much of what flows do is understood: operations and steps with a known right, resources by state.

    Returns
    -------
    DataFrame
        measure (operations | steps | resources), answer (known, or a state of a resource), count, met (of how many)
        and share (0 to 1; NA when nothing was met). Resources count needs.
    """
    own = tenant.needs[tenant.needs["via"].fillna("own") == "own"].drop_duplicates([*FLOW, "step"])
    understood = own["level"].fillna("unknown") != "unknown"
    each = own.assign(understood=understood).groupby(["connector_id", "operation_id"], dropna=False)["understood"].any()
    rows = [
        ("operations", "known", int(each.sum()), len(each)),
        ("steps", "known", int(understood.sum()), len(own)),
    ]
    states = tenant.needs["state"].fillna("unknown").value_counts()
    for state in ("known", "environment_variable", "in_connection", "expression", "unknown"):
        if state != "unknown" or state in states:
            rows.append(("resources", state, int(states.get(state, 0)), len(tenant.needs)))
    frame = pd.DataFrame(rows, columns=["measure", "answer", "count", "met"])
    share = frame["count"].astype("Float64") / frame["met"].where(frame["met"] > 0).astype("Float64")
    return frame.assign(share=share)
