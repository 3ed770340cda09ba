"""Power that a flow borrows: privileged accounts behind it, and editors who gain by it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.analysis.blast import escalations
from flowanalysis.analysis.privileges import privileges
from flowanalysis.analysis.reach import main_reach
from flowanalysis.register import members
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


def editor_gains(context: Context) -> pd.DataFrame:
    """A person who edits a flow reaches through its account what that person does not hold.

    Owner and deputy of the account in the register are meant to, and are left out.
    """
    gains = escalations(context.tenant)
    gains = gains[["editor_id", "account_id", "gained", "account_tier", "editor_tier"]]
    gains = gains.astype({"editor_id": TEXT, "account_id": TEXT})
    owners = context.owners
    person = (owners["state"] == "alive") & context.kind(owners["principal_id"]).isin(["person", "guest"])
    editors = owners.loc[person.astype(bool), ["environment_id", "flow_id", "fid", "principal_id"]]
    pairs = context.uses.loc[context.uses["fid"] >= 0, ["fid", "account_id"]].dropna().drop_duplicates()
    cases = editors.merge(pairs, on="fid").merge(
        gains, left_on=["principal_id", "account_id"], right_on=["editor_id", "account_id"]
    )
    cases = cases[_too_much(context, cases) & ~_answers_for(context, cases)]
    editor, account = context.name(cases["principal_id"]), context.name(cases["account_id"])
    return rows(
        cases,
        subject_kind="flow",
        subject_name=pd.Series(context.flows["name"].array[cases["fid"]], index=cases.index),
        account_id=cases["account_id"],
        table="flow_owners",
        principal_id=cases["principal_id"],
        fact=editor + " gains " + cases["gained"].astype(TEXT) + " rights of " + account,
    )


def _too_much(context: Context, cases: pd.DataFrame) -> np.ndarray:
    """Gains a privileged role, or so many and so large a part of the account's rights as the policy says."""
    least, share, tier = (context.policy.threshold("PRV-2", n) for n in ("gains", "share", "tier"))
    found = main_reach(context.tenant)
    place = found.place[context.tenant.codes.principals.codes(cases["account_id"])]
    total = np.diff(found.levels.indptr)[place]
    gained = cases["gained"].to_numpy(np.int64)
    top, own = (cases[c].fillna(9).to_numpy(np.int64) for c in ("account_tier", "editor_tier"))
    return ((gained >= least) & (gained > 0) & (gained >= share * total)) | ((top <= tier) & (top < own))


def _answers_for(context: Context, cases: pd.DataFrame) -> np.ndarray:
    """The editor is owner or deputy of the account in the register."""
    listed = context.tenant.register
    account = members(context.tenant, listed["account"])
    named = [pd.MultiIndex.from_arrays([members(context.tenant, listed[c]), account]) for c in ("owner", "deputy")]
    pairs = pd.MultiIndex.from_arrays([cases["principal_id"], cases["account_id"]])
    return pairs.isin(named[0].append(named[1])) if len(listed) else np.zeros(len(cases), bool)


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
    Rule(
        "PRV-2",
        "Editor gains rights through the flow",
        "By changing the flow, an editor acts with rights that nobody gave to this person.",
        "Take the person off the flow, or give the account only what the flow needs.",
        "flow",
        ("flows", "flow_owners", "flow_connections", "connections", "grants", "identities"),
        ("memberships", "role_assignments", "connection_references"),
        editor_gains,
    ),
)
