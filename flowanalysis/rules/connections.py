"""Connections: whose account stands behind them, whether it lives, and who else may use them."""

from __future__ import annotations

import pandas as pd

from flowanalysis.lookup import text_by
from flowanalysis.rules.base import Rule, rows
from flowanalysis.rules.context import FLOW, Context

__all__ = ["RULES"]

CONNECTION = ["environment_id", "connection_id"]


def _in_flows(context: Context, connections: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Uses of the given connections in flows that are known, with the flow's name."""
    uses = context.uses[context.uses["fid"] >= 0].drop(columns=[c for c in columns if c in context.uses])
    cases = uses.merge(connections[[*CONNECTION, *columns]], on=CONNECTION)
    return cases.assign(flow=context.flows["name"].to_numpy(object)[cases["fid"]])


def _shown(context: Context, cases: pd.DataFrame) -> pd.Series:
    """Name of each row's connection: what it shows, else its id."""
    known = context.tenant.connections.drop_duplicates(CONNECTION)
    name = cases[CONNECTION].merge(known[[*CONNECTION, "display_name"]], on=CONNECTION, how="left")["display_name"]
    name = name.set_axis(cases.index).fillna(cases["connection_id"])
    return cases["connector_id"].fillna("connection") + ": " + name


def account_gone(context: Context) -> pd.DataFrame:
    """The account behind a connection that flows use is disabled, deleted or purged."""
    uses = context.uses
    status = text_by(uses["account_id"], context.identity["status"])
    kind = text_by(uses["account_id"], context.identity["kind"])
    gone = status.isin(["disabled", "deleted", "purged_or_foreign", "absent"]) & ~(
        (kind == "service_principal") & (status == "purged_or_foreign")
    )
    cases = uses[(gone & (uses["fid"] >= 0)).fillna(False).astype(bool)]
    guessed = cases["method"] == "created_by"
    name = context.name(cases["account_id"])
    return rows(
        cases,
        subject_kind="connection",
        subject_id=cases["connection_id"],
        subject_name=_shown(context, cases),
        environment_id=cases["environment_id"],
        account_id=cases["account_id"],
        partial=guessed.fillna(False),
        table="flow_connections",
        at_environment_id=cases["environment_id"],
        at_flow_id=cases["flow_id"],
        connection_id=cases["connection_id"],
        principal_id=cases["account_id"],
        fact="the flow runs on " + name + ", which " + context.how_gone(cases["account_id"]),
    )


def broken_or_idle(context: Context) -> pd.DataFrame:
    """A connection in use that reports an error, or whose flows have not run for so long that its sign-in ends."""
    known = context.tenant.connections
    broken = known[(known["status"].notna() & (known["status"].str.lower() != "connected")).fillna(False).astype(bool)]
    why = "its status is " + broken["status"] + (" (AADSTS" + broken["aadsts"] + ")").fillna("")
    cases = pd.concat(
        [_in_flows(context, broken.assign(why=why), ["why"]), _idle(context)],
        ignore_index=True,
    ).drop_duplicates([*CONNECTION, *FLOW])
    return rows(
        cases,
        subject_kind="connection",
        subject_id=cases["connection_id"],
        subject_name=_shown(context, cases),
        environment_id=cases["environment_id"],
        account_id=cases["account_id"],
        table="connections",
        at_environment_id=cases["environment_id"],
        at_flow_id=cases["flow_id"],
        connection_id=cases["connection_id"],
        principal_id=cases["account_id"],
        fact=cases["why"],
    )


def _idle(context: Context) -> pd.DataFrame:
    """Connections none of whose flows ran lately; where one flow's last run is not known, nothing is said."""
    uses = context.uses[context.uses["fid"] >= 0]
    uses = uses.assign(last=context.last_run.to_numpy()[uses["fid"]])
    uses["last"] = pd.to_datetime(uses["last"], utc=True)
    per = uses.groupby(CONNECTION, as_index=False).agg(
        last=("last", "max"), told=("last", "count"), all=("fid", "size")
    )
    per = per[per["told"] == per["all"]].merge(context.tenant.connections[[*CONNECTION, "modified_at"]], on=CONNECTION)
    per["last"] = per["last"].where(~(per["modified_at"] > per["last"]).fillna(False), per["modified_at"])
    days = (context.tenant.as_of - per["last"]).dt.days
    idle = per[days >= context.policy.threshold("CON-2", "idle_days")]
    idle = idle.assign(why="nothing has used it since " + idle["last"].dt.strftime("%Y-%m-%d").astype(object))
    return _in_flows(context, idle, ["why"])


def personal_in_service_flow(context: Context) -> pd.DataFrame:
    """A service account owns the flow, yet a step runs on a person's account."""
    flows = context.flows
    served = (context.band(flows["owner_id"]) == "service").fillna(False).to_numpy(bool)
    uses = context.uses[context.uses["fid"] >= 0]
    person = context.kind(uses["account_id"]).isin(["person", "guest"])
    person &= (uses["account_id"] != flows["owner_id"].array[uses["fid"]]).fillna(False)
    cases = uses[(person & served[uses["fid"]]).to_numpy(bool)]
    weak = flows["owner_source"].isin(["creator", "inventory"]).to_numpy(bool)[cases["fid"]]
    doubtful = (context.band(cases["account_id"]) != "person").fillna(True) | (cases["method"] == "created_by") | weak
    return rows(
        cases,
        subject_kind="flow",
        subject_name=pd.Series(flows["name"].array[cases["fid"]], index=cases.index),
        account_id=cases["account_id"],
        partial=doubtful.fillna(True),
        table="flow_connections",
        connection_id=cases["connection_id"],
        principal_id=cases["account_id"],
        fact=cases["connector_id"].fillna("a connection") + " runs on " + context.name(cases["account_id"]),
    )


def mixed_identities(context: Context) -> pd.DataFrame:
    """One flow runs on several accounts."""
    uses = context.uses[(context.uses["fid"] >= 0) & context.uses["account_id"].notna()]
    pairs = uses[["fid", "account_id"]].drop_duplicates()
    many = context.count(pairs["fid"].to_numpy()) >= context.policy.threshold("CON-4", "accounts")
    cases = uses[many[uses["fid"]]]
    return rows(
        cases,
        subject_kind="flow",
        subject_name=pd.Series(context.flows["name"].array[cases["fid"]], index=cases.index),
        table="flow_connections",
        connection_id=cases["connection_id"],
        principal_id=cases["account_id"],
        fact=cases["connector_id"].fillna("a connection") + " runs on " + context.name(cases["account_id"]),
    )


def shared_with_everyone(context: Context) -> pd.DataFrame:
    """A connection is shared with the whole tenant or with a group as large as that."""
    shares = context.tenant.connection_shares
    members = context.tenant.memberships
    size = members[(members["relation"] != "owner").fillna(True)].groupby("group_id").size()
    large = size.index[size >= context.policy.threshold("CON-5", "group_members")]
    everyone = (shares["principal_kind"] == "Tenant").fillna(False) | shares["principal_id"].isin(
        context.tenant.environments["tenant_id"].dropna().unique()
    )
    cases = shares[(everyone | shares["principal_id"].isin(large)).astype(bool)]
    known = context.tenant.connections[[*CONNECTION, "connector_id"]].drop_duplicates(CONNECTION)
    cases = cases.merge(known, on=CONNECTION, how="left")
    used = context.uses[context.uses["fid"] >= 0][[*CONNECTION, "account_id", "fid"]]
    running = used[context.flows["running"].to_numpy(bool)[used["fid"]]]
    reach = running.drop_duplicates().groupby(CONNECTION).size().rename("reach").reset_index()
    cases = cases.merge(reach, on=CONNECTION, how="left").fillna({"reach": 0})
    who = cases["principal_kind"].map({"Tenant": "everyone in the tenant"}).fillna("a group of everyone")
    return rows(
        cases,
        subject_kind="connection",
        subject_id=cases["connection_id"],
        subject_name=_shown(context, cases),
        environment_id=cases["environment_id"],
        reach=cases["reach"],
        table="connection_shares",
        connection_id=cases["connection_id"],
        principal_id=cases["principal_id"],
        fact="shared with " + who + " as " + cases["role"].fillna("user"),
    )


CONNECTION_TABLES = ("flows", "flow_connections", "connections")

RULES = (
    Rule(
        "CON-1",
        "Connection runs on an account that is gone",
        "Running flows that fail or are about to: {flows}. Everyone who shares the connection is hit.",
        "Sign the connection in with a living service account, or bind the flows to another connection.",
        "connection",
        (*CONNECTION_TABLES, "identities"),
        ("connection_references",),
        account_gone,
    ),
    Rule(
        "CON-2",
        "Connection is broken or about to expire",
        "Running flows that use it: {flows}. Their steps fail until somebody signs it in again.",
        "Open the connection and sign it in again; remove it when no flow needs it.",
        "connection",
        CONNECTION_TABLES,
        ("connection_references", "runs"),
        broken_or_idle,
    ),
    Rule(
        "CON-3",
        "Service account's flow uses a personal connection",
        "It stops when this person leaves or changes the password, and acts with this person's rights.",
        "Replace the connection by one of the service account.",
        "flow",
        (*CONNECTION_TABLES, "identities"),
        ("connection_references", "flow_owners"),
        personal_in_service_flow,
    ),
    Rule(
        "CON-4",
        "Flow runs on several accounts",
        "Its rights are the sum of all of them, and each of them can stop it.",
        "Run all its steps on one service account.",
        "flow",
        (*CONNECTION_TABLES, "identities"),
        ("connection_references",),
        mixed_identities,
    ),
    Rule(
        "CON-5",
        "Connection is shared with everyone",
        "Anyone can build a flow that acts with this account's rights. Running flows that use it: {flows}.",
        "Take the share back and name the people or the group that need it.",
        "connection",
        ("connections", "connection_shares"),
        ("memberships", "environments", "flows", "flow_connections"),
        shared_with_everyone,
    ),
)
