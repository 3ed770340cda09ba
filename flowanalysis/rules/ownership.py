"""Who answers for a flow, and what happens when nobody does."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.rules.base import Rule, rows
from flowanalysis.rules.context import Context

__all__ = ["RULES"]

TABLE = "flow_owners"


def _tally(context: Context) -> pd.DataFrame:
    """For each flow (row of `flows`): how many owners are alive, disabled, gone, unknown, weak."""
    owners = context.owners
    fid, state = owners["fid"].to_numpy(), owners["state"].to_numpy(object)
    weak = owners["weak"].to_numpy(bool)
    tally = {s: context.count(fid[(state == s) & ~weak]) for s in ("alive", "disabled", "gone", "unknown")}
    return pd.DataFrame({**tally, "weak": context.count(fid[weak])})


def _of_flows(context: Context, wanted: np.ndarray, owners: pd.DataFrame) -> pd.DataFrame:
    """The owners of the wanted flows, with the flow's name and premium mark."""
    chosen = owners[wanted[owners["fid"].to_numpy()]]
    flow = context.flows.iloc[chosen["fid"]]
    return chosen.assign(flow=flow["name"].array, premium=context.premium[chosen["fid"]])


def no_living_owner(context: Context) -> pd.DataFrame:
    """Every owner and co-owner was deleted; where one is only disabled or not known, another rule speaks."""
    tally = _tally(context)
    wanted = (tally["gone"] > 0) & (tally[["alive", "disabled", "unknown", "weak"]].sum(axis=1) == 0)
    cases = _of_flows(context, wanted.to_numpy(), context.owners)
    confirmed = context.count(context.fid(context.tenant.flow_owners)) > 0
    return rows(
        cases,
        subject_kind="flow",
        subject_name=cases["flow"],
        account_id=pd.NA,
        partial=~confirmed[cases["fid"]],
        table=TABLE,
        principal_id=cases["principal_id"],
        fact=context.name(cases["principal_id"]) + " " + context.how_gone(cases["principal_id"]),
    )


def single_owner(context: Context) -> pd.DataFrame:
    """A business flow with fewer living owners than the policy asks for; groups and lists stand for several."""
    tally, owners = _tally(context), context.owners
    collective = owners["principal_kind"].isin(["Group", "SharePointList", "Tenant", "Team"]).to_numpy(bool)
    several = context.count(owners["fid"].to_numpy()[collective]) > 0
    people = owners["principal_kind"].isin(["User"]).to_numpy(bool) & (owners["state"] == "alive").to_numpy(bool)
    short = context.count(owners["fid"].to_numpy()[people & ~owners["weak"].to_numpy(bool)])
    asked = context.policy.threshold("OWN-2", "owners")
    lonely = (short == tally["alive"]) & (short >= 1) & (short < asked) & (tally["unknown"] + tally["weak"] == 0)
    wanted = lonely.to_numpy(bool) & ~several & context.flows["business"].to_numpy(bool)
    cases = _of_flows(context, wanted, owners[people])
    return rows(
        cases,
        subject_kind="flow",
        subject_name=cases["flow"],
        table=TABLE,
        principal_id=cases["principal_id"],
        fact=context.name(cases["principal_id"]) + " is an owner; no other living one is known",
    )


def owner_disabled(context: Context) -> pd.DataFrame:
    """The primary owner is disabled, or gone while a co-owner lives: the clock runs."""
    tally, owners = _tally(context), context.owners
    alone = ((tally[["alive", "disabled", "unknown", "weak"]].sum(axis=1)) == 0).to_numpy()
    ill = (owners["primary"] & ~owners["weak"] & owners["state"].isin(["disabled", "gone"])).to_numpy(bool)
    cases = _of_flows(context, ~alone, owners[ill])
    living = tally["alive"].to_numpy()[cases["fid"]] > 0
    days = str(context.policy.threshold("OWN-3", "premium_days"))
    clock = np.where(
        cases["premium"], f"It uses premium steps and is turned off within {days} days.", "It may stop any day."
    )
    rest = np.where(living, " A co-owner remains and can take over.", " No other owner is left.")
    return rows(
        cases,
        subject_kind="flow",
        subject_name=cases["flow"],
        account_id=cases["principal_id"],
        impact=pd.Series(clock.astype(object) + rest.astype(object), index=cases.index),
        table=TABLE,
        principal_id=cases["principal_id"],
        fact=context.name(cases["principal_id"]) + " " + context.how_gone(cases["principal_id"]),
    )


def owned_by_person(context: Context) -> pd.DataFrame:
    """A business flow whose primary owner is a living person, not a service account."""
    owners = context.owners
    chosen = owners[owners["primary"] & ~owners["weak"] & (owners["state"] == "alive")]
    kind, band = context.kind(chosen["principal_id"]), context.band(chosen["principal_id"])
    person = kind.isin(["person", "guest"]) & (band != "service").fillna(False)
    business = context.flows["business"].to_numpy(bool)
    cases = _of_flows(context, business, chosen[person.astype(bool).to_numpy()])
    doubtful = (context.band(cases["principal_id"]) == "review").fillna(False)
    return rows(
        cases,
        subject_kind="flow",
        subject_name=cases["flow"],
        account_id=cases["principal_id"],
        partial=doubtful,
        table="flows",
        principal_id=cases["principal_id"],
        fact=context.name(cases["principal_id"]) + " owns it in person",
    )


def without_named_person(context: Context) -> pd.DataFrame:
    """A service account owns the flow and no living person (or group, if the policy allows) stands beside it."""
    owners = context.owners
    account = owners["primary"] & ~owners["weak"] & (context.band(owners["principal_id"]) == "service").fillna(False)
    account = account.to_numpy(bool)
    kind = context.kind(owners["principal_id"])
    human = (kind.isin(["person", "guest"]) & (owners["state"] != "gone") & (owners["state"] != "disabled")).to_numpy(
        bool
    )
    if context.policy.threshold("OWN-5", "group_counts"):
        human = human | owners["principal_kind"].isin(["Group", "Team", "SharePointList"]).to_numpy(bool)
    # An owner that the directory export does not hold may be a person: then nothing is claimed.
    human = human | (owners["principal_kind"].isin(["User"]) & kind.isna()).to_numpy(bool)
    known = context.count(owners["fid"].to_numpy()[human]) > 0
    cases = _of_flows(context, ~known & context.flows["running"].to_numpy(bool), owners[account])
    return rows(
        cases,
        subject_kind="flow",
        subject_name=cases["flow"],
        account_id=cases["principal_id"],
        table=TABLE,
        principal_id=cases["principal_id"],
        fact=context.name(cases["principal_id"]) + " owns it, and no person is named beside it",
    )


OWNER_TABLES = ("flows", "flow_owners", "identities")

RULES = (
    Rule(
        "OWN-1",
        "Flow has no living owner",
        "Every owner left the directory. Nobody is told when it fails, and it may stop any day.",
        "Name a co-owner now, then move the flow to a service account and bind its connections anew.",
        "flow",
        OWNER_TABLES,
        (),
        no_living_owner,
    ),
    Rule(
        "OWN-2",
        "Business flow hangs on one owner",
        "When this person leaves, nobody can repair the flow.",
        "Add a second owner or a group as co-owner.",
        "flow",
        OWNER_TABLES,
        ("environments",),
        single_owner,
    ),
    Rule(
        "OWN-3",
        "Owner is disabled or gone and the clock runs",
        "It may stop any day.",
        "Make a living owner the primary one and bind the connections of the old owner anew.",
        "flow",
        OWNER_TABLES,
        ("flow_connections", "connectors"),
        owner_disabled,
    ),
    Rule(
        "OWN-4",
        "Business flow is owned by a person",
        "It depends on this person's account, licence and password.",
        "Move it to a service account; keep the person as co-owner who knows the flow.",
        "flow",
        OWNER_TABLES,
        ("environments",),
        owned_by_person,
    ),
    Rule(
        "OWN-5",
        "Service account's flow has no person who knows it",
        "When it fails or asks for a change, nobody is responsible.",
        "Name a person or a team as co-owner.",
        "flow",
        OWNER_TABLES,
        (),
        without_named_person,
    ),
)
