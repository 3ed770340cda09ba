"""Rights that are too many, too few, or lost since last month."""

from __future__ import annotations

import pandas as pd

from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.gap import least_privilege_gap
from flowanalysis.rules.base import Rule, no_rows, rows
from flowanalysis.rules.context import Context
from flowanalysis.schema import TEXT

__all__ = ["RULES"]

WHY_EXCESS = {
    "never_needed": "no flow of the tenant needs it",
    "needed_by_other_flows": "only flows of other accounts need it",
    "level_too_high": "a lower level would do",
}
LEVELS = {"read": 1, "write": 2, "owner": 3, "full": 4}


def excess(context: Context) -> pd.DataFrame:
    """A service account holds rights that none of its flows needs. People hold rights for more than their flows."""
    found = least_privilege_gap(context.tenant, side="excess")
    found = found[(found["state"] == "found").to_numpy(bool)]
    found = found.astype(dict.fromkeys(found.columns, TEXT)).reset_index(drop=True)
    cases = found[(context.band(found["account_id"]) != "person").fillna(False).to_numpy(bool)]
    many = cases.groupby("account_id")["resource_id"].transform("size") >= context.policy.threshold("GAP-1", "rights")
    cases = cases[many.to_numpy(bool)]
    said = "may " + cases["granted"] + " " + cases["resource_id"] + "; " + cases["reason"].map(WHY_EXCESS).astype(TEXT)
    return rows(
        cases,
        **_account(context, cases),
        partial=(context.band(cases["account_id"]) == "review").fillna(False),
        reach=cases["account_id"].map(context.flows_run_by).fillna(0).astype("int64"),
        table="grants",
        resource=cases["resource_id"],
        fact=said,
    )


def missing(context: Context) -> pd.DataFrame:
    """A step needs a right that the account behind it does not hold."""
    cases = context.missing_rights
    said = cases["step"] + " needs " + cases["needed"] + " on " + cases["resource_id"] + "; the account holds "
    return rows(
        cases,
        **_account(context, cases),
        table="needs",
        at_environment_id=cases["environment_id"],
        at_flow_id=cases["flow_id"],
        step=cases["step"],
        resource=cases["resource_id"],
        fact=said + cases["granted"],
    )


def right_lost(context: Context) -> pd.DataFrame:
    """A right that a step needs was held a month ago and is not any more."""
    before = context.previous
    cases = context.missing_rights
    if before is None or cases.empty:
        return no_rows()
    accounts = pd.Series(cases["account_id"].unique(), dtype=TEXT)
    accounts = accounts[before.codes.principals.codes(accounts) >= 0]
    held = effective_permissions(before, accounts.tolist(), paths=False)
    held = held.loc[held["kind"] == "grant", ["identity_id", "resource_id", "level"]].astype(TEXT)
    held = held.set_axis(["account_id", "resource_id", "before"], axis=1)
    cases = cases.merge(held, on=["account_id", "resource_id"])
    enough = cases["before"].map(LEVELS) >= cases["needed"].map(LEVELS)
    cases = cases[enough.fillna(False).astype(bool)]
    said = cases["step"] + " needs " + cases["needed"] + " on " + cases["resource_id"] + "; the account held "
    return rows(
        cases,
        **_account(context, cases),
        table="grants",
        at_environment_id=cases["environment_id"],
        at_flow_id=cases["flow_id"],
        step=cases["step"],
        resource=cases["resource_id"],
        fact=said + cases["before"] + " last month and holds " + cases["granted"] + " now",
    )


def _account(context: Context, cases: pd.DataFrame) -> dict[str, object]:
    account = cases["account_id"]
    return {
        "subject_kind": "account",
        "subject_id": account,
        "subject_name": context.name(account),
        "account_id": account,
        "principal_id": account,
    }


RIGHTS = ("flows", "needs", "grants", "connections", "flow_connections")

RULES = (
    Rule(
        "GAP-1",
        "Service account may do more than its flows need",
        "Whoever edits one of its flows, or learns its password, can use these rights. Running flows on it: {flows}.",
        "Take the listed rights back.",
        "account",
        (*RIGHTS, "identities"),
        ("memberships", "connection_references"),
        excess,
    ),
    Rule(
        "GAP-2",
        "Account lacks a right that its flows need",
        "Running flows with a step that fails: {flows}.",
        "Give the account the listed right, or take the step out.",
        "account",
        RIGHTS,
        ("memberships", "connection_references"),
        missing,
    ),
    Rule(
        "DRF-1",
        "Account lost a right that its flows need",
        "Running flows with a step that fails since the change: {flows}.",
        "Ask who took the right away; give it back, or move the flow.",
        "account",
        RIGHTS,
        ("memberships", "connection_references"),
        right_lost,
        previous=True,
    ),
)
