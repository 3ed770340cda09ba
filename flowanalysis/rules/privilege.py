"""Power that a flow borrows: privileged accounts behind it, and editors who gain by it."""

from __future__ import annotations

import pandas as pd

from flowanalysis.analysis.privileges import privileges
from flowanalysis.rules.base import Rule, rows
from flowanalysis.rules.context import Context
from flowanalysis.schema import TEXT

__all__ = ["RULES"]


def privileged_account(context: Context) -> pd.DataFrame:
    """A flow runs on an account that holds a privileged role or application permission."""
    found = privileges(context.tenant)
    top = context.policy.threshold("PRV-1", "tier")
    held = found[(found["tier"] <= top).fillna(False) & (found["state"] == "active") & (found["kind"] != "delegated")]
    held = held[["account_id", "name", "tier", "path"]].astype({"account_id": TEXT, "name": TEXT, "path": TEXT})
    pairs = context.uses.loc[context.uses["fid"] >= 0, ["environment_id", "flow_id", "fid", "account_id"]]
    cases = pairs.drop_duplicates().merge(held, on="account_id")
    name = context.name(cases["account_id"])
    return rows(
        cases,
        subject_kind="flow",
        subject_name=pd.Series(context.flows["name"].array[cases["fid"]], index=cases.index),
        account_id=cases["account_id"],
        table="role_assignments",
        principal_id=cases["account_id"],
        resource=cases["name"],
        fact="runs on " + name + ", which holds " + cases["name"],
    )


RULES = (
    Rule(
        "PRV-1",
        "Flow runs on a privileged account",
        "A mistake in the flow, or anybody who edits it, acts with administrative power.",
        "Move the flow to a service account that holds only what its steps need.",
        "flow",
        ("flows", "flow_connections", "connections", "role_assignments"),
        ("memberships", "app_permissions", "connection_references"),
        privileged_account,
    ),
)
