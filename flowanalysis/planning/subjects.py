"""Which flows a plan is about, and what it must know of each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.analysis.execution import connection_uses
from flowanalysis.analysis.identities import matches
from flowanalysis.analysis.owners import crowd_sizes, owners
from flowanalysis.codes import pair
from flowanalysis.lookup import text_by
from flowanalysis.policy import Policy
from flowanalysis.register import members, named_purpose, purposes
from flowanalysis.schema import COUNT, FLAG, TEXT
from flowanalysis.tenant import Tenant

__all__ = ["LEFT", "boundaries", "subjects"]

KEY = ["environment_id", "flow_id"]
#: Why a flow is left where it is.
LEFT = {
    "other_kind": "no cloud flow",
    "not_running": "does not run",
    "personal_environment": "lives in a personal environment",
    "no_connection": "stores no connection, so it needs no account",
    "definition_not_read": "its definition was not read, so what it needs is not known",
}


def subjects(tenant: Tenant, policy: Policy) -> pd.DataFrame:
    """Every flow, and whether it is planned.

    Returns
    -------
    DataFrame
        One row for each flow, sorted: environment_id, flow_id, display_name, planned, left (why not; see `LEFT`),
        boundary, purpose, department, editors (people who can edit it, at least 1), counted (counts towards the cap of
        flows for one owner: not in a solution, or not known to be), is_solution, requests (of its busiest day: runs
        times steps, loops once; NA when runs were not collected), account_id (behind most of its connections),
        accounts (how many), owner_id.
    """
    flows = tenant.flows.drop_duplicates(KEY).sort_values(KEY, ignore_index=True)
    uses = connection_uses(tenant)
    uses = uses[uses["reason"] != "invoker"]
    behind = uses.dropna(subset="account_id").groupby([*KEY, "account_id"]).size().rename("uses").reset_index()
    behind = behind.sort_values([*KEY, "uses", "account_id"], ascending=[True, True, False, True])
    main = _by_flow(flows, behind.drop_duplicates(KEY).set_index(KEY)["account_id"]).astype(TEXT)
    department = _departments(tenant, flows, main)
    frame = flows[[*KEY, "display_name", "owner_id", "is_solution"]].assign(
        left=_left(tenant, policy, flows, uses),
        boundary=_named(flows["environment_id"], boundaries(tenant, policy)),
        purpose=_purposes(tenant, policy, flows, main, department),
        department=department,
        editors=_editors(tenant, flows),
        counted=(~flows["is_solution"].fillna(False)).astype(FLAG),
        requests=_requests(tenant, flows),
        account_id=main,
        accounts=_by_flow(flows, behind.groupby(KEY).size()).fillna(0).astype(COUNT),
    )
    return frame.assign(planned=frame["left"].isna())


def _by_flow(flows: pd.DataFrame, values: pd.Series) -> pd.Series:
    """Values of an index of environment and flow, in the order of the flows."""
    keys = pd.MultiIndex.from_frame(flows[KEY].astype(object))
    found = values.set_axis(pd.MultiIndex.from_frame(values.index.to_frame().astype(object)))
    return pd.Series(found.reindex(keys).array, index=flows.index)


def _named(ids: pd.Series, names: pd.Series) -> pd.Series:
    return text_by(ids, names).fillna(ids)


def boundaries(tenant: Tenant, policy: Policy) -> pd.Series:
    """Environment id to the boundary that the policy's first fitting pattern names; others are one of their own."""
    known = tenant.environments.drop_duplicates("environment_id")
    names = known["display_name"].fillna(known["environment_id"]).str.lower()
    found = known["environment_id"].astype(object).to_numpy(copy=True)
    for pattern in reversed(policy.planning["boundaries"]["patterns"]):
        found[matches(names, [pattern["match"]])] = next(v for k, v in pattern.items() if k != "match")
    return pd.Series(found, index=known["environment_id"], dtype=TEXT)


def _left(tenant: Tenant, policy: Policy, flows: pd.DataFrame, uses: pd.DataFrame) -> pd.Series:
    """Why flows are left out; NA for those that are planned."""
    rules = policy.business_flows
    running = flows["state"].isin(rules["states"]) | flows["state"].isna() | (flows["state"] == "Unknown")
    places = tenant.environments.drop_duplicates("environment_id").set_index("environment_id")
    sku = text_by(flows["environment_id"], places["sku"])
    read = flows["has_definition"].fillna(False).astype(bool)
    for rows in (tenant.needs, tenant.steps):
        read |= _by_flow(flows, rows.drop_duplicates(KEY).set_index(KEY)[rows.columns[2]]).notna()
    storing = _by_flow(flows, uses.groupby(KEY).size()).notna()
    reasons = (
        ("no_connection", ~storing),
        ("definition_not_read", ~read),
        ("personal_environment", sku.isin(rules["personal_skus"])),
        ("not_running", ~running),
        ("other_kind", flows["kind"].notna() & (flows["kind"] != "cloud")),
    )
    left = pd.Series(pd.NA, index=flows.index, dtype=TEXT)
    for reason, hit in reasons:
        left = left.mask(hit.fillna(False).astype(bool), reason)
    return left


def _editors(tenant: Tenant, flows: pd.DataFrame) -> pd.Series:
    """People who can edit each flow; a large group counts with all its members."""
    found = owners(tenant)
    codes = tenant.codes.flows.codes(pair(flows, "flow_id"))
    crowds = found.crowds @ np.maximum(crowd_sizes(tenant), 1)
    return pd.Series(np.maximum(np.diff(found.people.indptr) + crowds, 1)[codes], index=flows.index).astype(COUNT)


def _requests(tenant: Tenant, flows: pd.DataFrame) -> pd.Series:
    """Requests of the busiest day: runs times steps, each loop counted once, so never too high."""
    if not tenant.has("runs"):
        return pd.Series(pd.NA, index=flows.index, dtype=COUNT)
    runs = tenant.runs.dropna(subset="start_at")
    daily = runs.assign(day=runs["start_at"].dt.floor("D")).groupby([*KEY, "day"]).size().groupby(KEY).max()
    steps = flows["action_count"].fillna(0) + 1
    return (_by_flow(flows, daily).fillna(0).astype(COUNT) * steps).astype(COUNT)


def _departments(tenant: Tenant, flows: pd.DataFrame, main: pd.Series) -> pd.Series:
    """Department of the flow's owner, else of its first co-owner that has one, else of who answers for its account."""
    people = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")["department"].dropna()
    listed = tenant.flow_owners
    listed = listed[listed["role"].isin(["Owner", "CanEdit"])].sort_values([*KEY, "principal_id"])
    listed = listed.assign(department=text_by(listed["principal_id"], people)).dropna(subset="department")
    beside = _by_flow(flows, listed.drop_duplicates(KEY).set_index(KEY)["department"])
    register = tenant.register
    answer = text_by(members(tenant, register["owner"]), people).set_axis(members(tenant, register["account"]))
    answer = answer[answer.index.notna() & ~answer.index.duplicated()]
    own = text_by(flows["owner_id"], people)
    return own.fillna(beside.astype(TEXT)).fillna(text_by(main, answer)).fillna("")


def _purposes(tenant: Tenant, policy: Policy, flows: pd.DataFrame, main: pd.Series, department: pd.Series) -> pd.Series:
    """Purpose of the account behind the flow; where that has none, by the flow's own name and department."""
    unknown = str(policy.purposes["unknown"])
    accounts = pd.Series(main.dropna().unique(), dtype=TEXT)
    by_account = text_by(main, purposes(tenant, policy, accounts).set_axis(accounts)).fillna(unknown)
    words = flows["display_name"].fillna(flows["flow_id"]) + " " + department
    by_name = pd.Series(named_purpose(policy, words.astype(TEXT)), index=flows.index, dtype=TEXT)
    return by_account.where(by_account != unknown, by_name)
