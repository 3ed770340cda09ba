"""Frames made ready for people: names beside ids, and states in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.departures import departure_impact
from flowanalysis.analysis.execution import flow_accounts
from flowanalysis.analysis.identities import classify
from flowanalysis.analysis.overlap import permission_overlap
from flowanalysis.ledger import History
from flowanalysis.ledger import ledger as keep_ledger
from flowanalysis.policy import SEVERITIES, Policy
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.tenant import Tenant

if TYPE_CHECKING:
    from flowanalysis.planning.mining import Mined

# Column of ids -> column of names put in front of it.
PEOPLE = {
    "owner_id": "owner",
    "account_id": "account",
    "identity_id": "name",
    "principal_id": "principal",
    "creator_id": "creator",
    "editor_id": "editor",
    "manager_id": "manager",
}
FLOW = ["environment_id", "flow_id"]


def named(frame: pd.DataFrame, tenant: Tenant) -> pd.DataFrame:
    """The frame with a column of names before its ids: flow, environment, owner, account, connector.

    A name column that the frame already has is kept. An id without a name shows itself.

    Parameters
    ----------
    frame : DataFrame
        Any frame with ids of the schema.
    tenant : Tenant
        Where the names are.
    """
    made: dict[str, pd.Series] = {}
    if set(FLOW) <= set(frame.columns) and "flow" not in frame:
        made["flow"] = _flow_names(frame, tenant)
    if "environment_id" in frame and "environment" not in frame:
        made["environment"] = _names(frame["environment_id"], environment_names(tenant))
        if "subject_kind" in frame:  # a finding about an account lives in no environment
            made["environment"] = made["environment"].fillna("–")
    if "connector_id" in frame and "connector" not in frame:
        made["connector"] = _names(frame["connector_id"], connector_names(tenant, frame["connector_id"]))
    if "resource_id" in frame and "resource" not in frame:
        made["resource"] = _names(frame["resource_id"], resource_names(tenant))
    for ids, name in PEOPLE.items():
        if ids in frame and name not in frame:
            made[name] = _names(frame[ids], people_names(tenant))
    result = pd.concat([pd.DataFrame(made, index=frame.index), frame], axis=1)
    result.attrs = dict(frame.attrs)
    return result


def _names(ids: pd.Series, names: pd.Series) -> pd.Series:
    ids = ids.astype(TEXT)
    return ids.map(names).astype(TEXT).fillna(ids)


def people_names(tenant: Tenant) -> pd.Series:
    """Identity or group id to a name that is unique where possible: user name, else display name."""
    users = tenant.identities
    people = users["upn"].fillna(users["display_name"]).fillna(users["identity_id"]).set_axis(users["identity_id"])
    groups = tenant.groups
    teams = groups["display_name"].fillna(groups["group_id"]).set_axis(groups["group_id"])
    both = pd.concat([people, teams])
    return both[~both.index.duplicated()]


def tenant_name(tenant: Tenant) -> str:
    """The tenant's own name, else that of its default environment, which bears it; "" when neither is known."""
    if tenant.name:
        return tenant.name
    default = tenant.environments[tenant.environments["is_default"].fillna(False).astype(bool)]["display_name"].dropna()
    return re.sub(r"\s*\(default\)$", "", str(default.iloc[0])) if len(default) else ""


def environment_names(tenant: Tenant) -> pd.Series:
    """Environment id to its display name."""
    rows = tenant.environments.drop_duplicates("environment_id")
    return rows["display_name"].fillna(rows["environment_id"]).set_axis(rows["environment_id"])


def resource_names(tenant: Tenant) -> pd.Series:
    """Resource id to its display name."""
    rows = tenant.resources.dropna(subset=["display_name"]).drop_duplicates("resource_id")
    return rows["display_name"].set_axis(rows["resource_id"])


def connector_names(tenant: Tenant, ids: pd.Series) -> pd.Series:
    """Connector id to its display name, else the id without what all ids have in common."""
    rows = tenant.connectors.dropna(subset=["display_name"]).drop_duplicates("connector_id")
    known = rows["display_name"].set_axis(rows["connector_id"])
    rest = pd.Series(ids.dropna().unique(), dtype=TEXT)
    rest = rest[~rest.isin(known.index)]
    return pd.concat([known, rest.str.removeprefix("shared_").set_axis(rest.to_numpy())])


def _flow_names(frame: pd.DataFrame, tenant: Tenant) -> pd.Series:
    flows = tenant.flows.drop_duplicates(FLOW)
    names = (
        flows["display_name"].fillna(flows["flow_id"]).set_axis(pd.MultiIndex.from_frame(flows[FLOW].astype(object)))
    )
    keys = pd.MultiIndex.from_frame(frame[FLOW].astype(object))
    met = pd.Series(names.reindex(keys).to_numpy(), index=frame.index, dtype=TEXT)
    return met.fillna(frame["flow_id"].astype(TEXT))


OWNER_STATES = ("no living owner", "owner disabled, clock running", "one living owner", "well owned")


def owned(tenant: Tenant, findings: pd.DataFrame) -> pd.DataFrame:
    """Every flow with its owner's department and how well it is owned.

    Returns
    -------
    DataFrame
        The flows with names, department (of the owner) and owned: no living owner | owner disabled, clock
        running | one living owner | well owned; NA where owners were not collected.
    """
    flows = named(tenant.flows, tenant)
    departments = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")["department"]
    state = pd.Series(OWNER_STATES[3], index=flows.index, dtype=TEXT)
    keys = flows["environment_id"] + "/" + flows["flow_id"]
    for rule, word in (("OWN-2", OWNER_STATES[2]), ("OWN-3", OWNER_STATES[1]), ("OWN-1", OWNER_STATES[0])):
        met = findings[findings["rule"] == rule]
        state = state.mask(keys.isin(met["environment_id"] + "/" + met["flow_id"]), word)
    if not tenant.has("flow_owners", "identities"):
        state = pd.Series(pd.NA, index=flows.index, dtype=TEXT)
    return flows.assign(department=flows["owner_id"].map(departments).astype(TEXT), owned=state)


def accounts(tenant: Tenant, policy: Policy | None = None) -> pd.DataFrame:
    """Every identity with what it is, what runs on it, and who answers for it.

    Returns
    -------
    DataFrame
        The columns of ``classify``, name, department, flows (that run as it; NA where connections were not
        collected), registered_owner and purpose (NA when the register does not list it).
    """
    kinds = named(classify(tenant, policy), tenant)
    people = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    kinds["department"] = kinds["identity_id"].map(people["department"]).astype(TEXT)
    if tenant.has("connections", "flow_connections"):
        counts = departure_impact(tenant).set_index("identity_id")["flows_running_as"]
        kinds["flows"] = kinds["identity_id"].map(counts).fillna(0).astype(COUNT)
    else:
        kinds["flows"] = pd.Series(pd.NA, index=kinds.index, dtype=COUNT)
    register = tenant.register.assign(account=tenant.register["account"].str.lower()).drop_duplicates("account")
    listed = register.set_index("account")
    keys = kinds["identity_id"].map(people["upn"].fillna(people["app_id"])).str.lower()
    for column, name in (("owner", "registered_owner"), ("purpose", "purpose")):
        kinds[name] = keys.map(listed[column]).fillna(kinds["identity_id"].map(listed[column])).astype(TEXT)
    return kinds.sort_values(["score", "flows", "name"], ascending=[False, False, True], ignore_index=True)


def rights(tenant: Tenant, gap: pd.DataFrame) -> pd.DataFrame:
    """How many rights each account behind flows is granted and needs.

    Parameters
    ----------
    tenant : Tenant
        The data.
    gap : DataFrame
        From ``least_privilege_gap``.

    Returns
    -------
    DataFrame
        account_id, account_name, granted, needed, excess, missing: numbers of resources with a right. Needed counts
        what is granted and used and what is missing; what is not known counts nowhere. All NA when nobody
        collected grants.
    """
    behind = flow_accounts(tenant)["account_id"].dropna().unique()
    held = (
        effective_permissions(tenant, list(behind), paths=False)
        if len(behind)
        else pd.DataFrame({"identity_id": [], "kind": []})
    )
    granted = held[held["kind"] == "grant"].groupby("identity_id", observed=True).size()
    known = gap[gap["state"] == "found"].drop_duplicates(["account_id", "side", "resource_id"])
    sides = known.groupby(["account_id", "side"], observed=True).size().unstack(fill_value=0)
    frame = pd.DataFrame({"account_id": pd.Series(behind, dtype=TEXT)})
    frame["granted"] = _counts(frame["account_id"], granted)
    for side in ("excess", "missing"):
        frame[side] = _counts(frame["account_id"], sides[side] if side in sides else pd.Series(dtype="int64"))
    absent = known[(known["side"] == "missing") & (known["granted"] == "none")]
    unused = known[(known["side"] == "excess") & (known["needed"] == "none")]
    more, less = (_counts(frame["account_id"], k.groupby("account_id", observed=True).size()) for k in (absent, unused))
    frame["needed"] = frame["granted"] + more - less
    if not tenant.has("grants"):
        frame[["granted", "excess", "missing", "needed"]] = pd.NA
    names = named(frame[["account_id"]], tenant)["account"]
    order = ["account_id", "account_name", "granted", "needed", "excess", "missing"]
    return frame.assign(account_name=names)[order].sort_values(
        ["excess", "granted"], ascending=False, ignore_index=True
    )


def _counts(ids: pd.Series, counts: pd.Series) -> pd.Series:
    """Numbers by id, 0 where there is none; also when there is no id at all."""
    return pd.Series(counts.reindex(ids).fillna(0).to_numpy("int64"), index=ids.index)


def moves(history: History) -> pd.DataFrame:
    """The ledger of examined months, most severe first."""
    states = keep_ledger(history)
    rank = states["severity"].map({s: -i for i, s in enumerate(SEVERITIES)})
    return states.assign(rank=rank).sort_values(["rank", "rule", "finding_id"], ignore_index=True).drop(columns="rank")


def moved(states: pd.DataFrame) -> pd.DataFrame:
    """A ledger by rule: rule, title, fixed, open, new."""
    if not len(states):
        return pd.DataFrame(columns=["rule", "fixed", "open", "new", "title"])
    counts = states.groupby(["rule", "state"], observed=True).size().unstack(fill_value=0)
    counts = counts.reindex(columns=["fixed", "open", "new", "returned"], fill_value=0)
    counts["new"] += counts.pop("returned")
    titles = states.drop_duplicates("rule").set_index("rule")["title"]
    return counts.assign(title=titles).reset_index()


ALIKE = 0.2  # share of their rights that two accounts must have in common, where there are too many pairs to read
MANY = 500  # accounts behind flows from which on that holds


def overlapping(tenant: Tenant) -> pd.DataFrame:
    """Pairs of accounts behind flows with rights in common, named as :func:`named_pairs` does.

    Of many accounts nearly all have something in common: then only pairs that share a good part are told, and
    ``attrs["least"]`` (a share, else 0) and the notes say so.
    """
    many = flow_accounts(tenant)["account_id"].nunique() > MANY
    found = named_pairs(permission_overlap(tenant, threshold=ALIKE if many else 0.0), tenant)
    found.attrs["least"] = ALIKE if many else 0.0
    if many:
        coverage = found.attrs["coverage"]
        words = f"pairs that share less than {ALIKE:.0%} of their rights are left out, there are too many"
        found.attrs["coverage"] = coverage | {"notes": [*coverage["notes"], words]}
    return found


def named_pairs(overlap: pd.DataFrame, tenant: Tenant) -> pd.DataFrame:
    """Pairs of accounts with names in account_a and account_b; the ids move to account_a_id and account_b_id."""
    names = people_names(tenant)
    renamed = overlap.rename(columns={"account_a": "account_a_id", "account_b": "account_b_id"})
    first, second = (_names(renamed[f"account_{side}_id"], names) for side in "ab")
    result = pd.concat([first.rename("account_a"), second.rename("account_b"), renamed], axis=1)
    result["relation"] = result["relation"].replace(
        {"a_subset": "first within second", "b_subset": "second within first"}
    )
    result.attrs = dict(overlap.attrs)
    return result


def exact_accounts(tenant: Tenant) -> tuple[pd.DataFrame, Mined]:
    """The fewest sets of rights out of which every flow gets exactly what it needs, no more and no less.

    Returns
    -------
    DataFrame
        account (a number), rights, flows (that use it), resources (in words), one row per set, most used first.
    Mined
        The result itself: count, bound, proved.
    """
    from flowanalysis.planning.mining import mine_roles  # late: the other pages do without

    known = tenant.needs[
        tenant.needs["state"].eq("known") & tenant.needs["level"].isin(["read", "write", "owner", "full"])
    ]
    flow = known["environment_id"] + "/" + known["flow_id"]
    pairs = pd.DataFrame({"flow": flow, "right": known["resource"] + ": " + known["level"]}).drop_duplicates()
    # A page is read, not waited for: beyond half a minute the sets are as thin as they became.
    mined = mine_roles(pairs, effort="quick", progress=False, deadline=30.0)
    rights = mined.roles.groupby("role")["column"].agg(["size", lambda c: "; ".join(sorted(map(str, c)))])
    rights.columns = ["rights", "resources"]
    flows = mined.memberships.groupby("role").size().rename("flows")
    table = rights.join(flows).rename_axis("account").reset_index()
    return table.sort_values(["flows", "rights", "account"], ascending=[False, False, True], ignore_index=True), mined
