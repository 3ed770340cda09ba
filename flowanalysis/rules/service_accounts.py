"""Service accounts: licensed, owned, registered, within their limits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.analysis.licences import licence_classes
from flowanalysis.lookup import text_by
from flowanalysis.rules.base import Rule, no_rows, rows
from flowanalysis.rules.context import Context
from flowanalysis.schema import TEXT

__all__ = ["RULES"]


def licence_unfit(context: Context) -> pd.DataFrame:
    """A service account owns running flows and has no licence, or premium flows and none that covers them."""
    flows = context.flows
    owner = flows["owner_id"]
    served = (context.kind(owner) == "service_account").fillna(False) & flows["running"]
    sure = ~flows["owner_source"].isin(["creator", "inventory"])
    # A button flow runs under the licence of whoever presses it.
    own_clock = ~flows["trigger_kind"].isin(["Button", "PowerApp", "PowerAppV2"])
    licence = licence_classes(context.tenant)
    premium = text_by(owner, licence["premium"]).fillna("none").to_numpy(object)
    bare = premium == "none"
    unfit = context.premium & own_clock.to_numpy(bool) & np.isin(premium, ["no", "none"])
    hit = (served & sure).to_numpy(bool) & (bare | unfit)
    cases = flows[hit]
    why = np.where(
        bare[hit], "it has no licence at all", "it uses premium steps, and no licence of the account covers them"
    )
    return rows(
        cases,
        subject_kind="account",
        subject_id=cases["owner_id"],
        subject_name=context.name(cases["owner_id"]),
        account_id=cases["owner_id"],
        table="licences",
        at_environment_id=cases["environment_id"],
        at_flow_id=cases["flow_id"],
        principal_id=cases["owner_id"],
        fact=cases["name"] + ": " + pd.Series(why, index=cases.index),
    )


def _registered(context: Context, differences: tuple[str, ...]) -> pd.DataFrame:
    """Rows of the register check as rows of a rule."""
    found = context.register_check
    cases = found[found["difference"].isin(differences)]
    subject = cases["account_id"].fillna(cases["account"])
    return rows(
        cases,
        subject_kind="account",
        subject_id=subject,
        subject_name=context.name(cases["account_id"]).fillna(cases["account"]),
        account_id=cases["account_id"],
        reach=subject.map(context.flows_run_by).fillna(0).astype("int64"),
        table="register",
        principal_id=cases["account_id"],
        resource=cases["resource"],
        fact=cases["account"] + ": " + cases["detail"],
    )


def owner_not_living(context: Context) -> pd.DataFrame:
    """The register names no owner for an account, or one who is gone."""
    return _registered(context, ("owner_missing", "owner_gone"))


def unregistered(context: Context) -> pd.DataFrame:
    """An account that works as a service account and is not in the register."""
    found = _registered(context, ("unregistered",))
    enough = found["reach"] >= context.policy.threshold("SVC-3", "flows")
    return found[enough.to_numpy(bool)]


def unseen(context: Context) -> pd.DataFrame:
    """A registered account that nobody finds at work."""
    return _registered(context, ("unseen",))


def register_differs(context: Context) -> pd.DataFrame:
    """Rights, kind, environments, licence or review differ from what the register says."""
    differences = ("beyond", "short", "review_overdue", "other_kind", "other_environment", "other_licence")
    return _registered(context, differences)


def limit_near(context: Context) -> pd.DataFrame:
    """An owner near the number of flows, or an account near the daily requests, that the service allows."""
    parts = [p for p in (_many_flows(context), _many_requests(context)) if len(p)]
    return pd.concat(parts, ignore_index=True) if parts else no_rows()


def _many_flows(context: Context) -> pd.DataFrame:
    flows, cap = context.flows, context.policy.caps["flows_per_owner"]
    outside = flows[
        ~flows["is_solution"].fillna(True).astype(bool) & ~flows["owner_source"].isin(["creator", "inventory"])
    ]
    counted = outside.groupby("owner_id").size().rename("flows").reset_index()
    cases = counted[counted["flows"] >= context.policy.threshold("LIM-1", "share") * cap]
    said = cases["flows"].astype(TEXT) + f" flows outside solutions of the {cap:,} that one owner may have"
    return _near(context, cases["owner_id"], said, table="flows", partial=False)


def _many_requests(context: Context) -> pd.DataFrame:
    """Requests of the busiest day: runs times steps, loops counted once, so never too high."""
    runs = context.tenant.runs
    fid = context.fid(runs)
    sure = ~context.flows["owner_source"].isin(["creator", "inventory"]).to_numpy(bool)
    ok = (fid >= 0) & runs["start_at"].notna().to_numpy(bool)
    ok[ok] &= sure[fid[ok]]
    steps = context.flows["action_count"].fillna(0).to_numpy(np.int64) + 1
    owner = context.flows["owner_id"].to_numpy(object)
    days = runs["start_at"].dt.strftime("%Y-%m-%d").to_numpy(object)
    spent = pd.DataFrame({"account": owner[fid[ok]], "day": days[ok], "requests": steps[fid[ok]]}).dropna()
    spent = spent.groupby(["account", "day"], as_index=False)["requests"].sum()
    spent = spent.sort_values(["requests", "day"], ascending=[False, True]).drop_duplicates("account")
    account = spent["account"].astype(TEXT)
    cap, unsure = _allowance(context, account)
    near = (spent["requests"].to_numpy() >= context.policy.threshold("LIM-1", "share") * cap) & (cap > 0)
    cases = spent[near]
    said = [
        f"{n:,} of {c:,} requests on {d}" for n, c, d in zip(cases["requests"], cap[near], cases["day"], strict=True)
    ]
    facts = pd.Series(said, index=cases.index, dtype=TEXT)
    return _near(context, account[near], facts, table="runs", partial=unsure[near])


def _allowance(context: Context, account: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Requests per day of each account, and whether that is only the least that is sure."""
    caps = context.policy.caps
    kind = text_by(account, licence_classes(context.tenant)["requests"]).fillna("none")
    kind = kind.mask((context.kind(account) == "service_principal").fillna(False), "unlicensed")
    amount = {"paid": caps["requests_paid"], "seeded": caps["requests_seeded"], "none": caps["requests_seeded"]}
    amount |= {"unlicensed": caps["requests_unlicensed"], "unknown": caps["requests_paid"]}
    if not context.tenant.has("licences"):
        kind = kind.mask(kind == "none", "unknown")
    return kind.map(amount).to_numpy(np.int64), (kind == "unknown").to_numpy(bool)


def _near(context: Context, account: pd.Series, said: pd.Series, *, table: str, partial: object) -> pd.DataFrame:
    return rows(
        account.to_frame(),
        subject_kind="account",
        subject_id=account,
        subject_name=context.name(account),
        account_id=account,
        partial=partial,
        reach=account.map(context.flows_run_by).fillna(0).astype("int64"),
        table=table,
        principal_id=account,
        fact=said,
    )


REGISTER_TABLES = ("register", "identities", "flows")

RULES = (
    Rule(
        "SVC-1",
        "Service account lacks a licence that its flows need",
        "Flows that are turned off when the grace period ends: {flows}.",
        "Assign a licence that covers premium steps, or license the flow itself.",
        "account",
        ("flows", "identities", "licences"),
        ("flow_connections", "connectors", "skus"),
        licence_unfit,
    ),
    Rule(
        "SVC-2",
        "Service account has no living owner",
        "Nobody answers for its password, its rights and its review. Running flows on it: {flows}.",
        "Name a new owner in the register and let them confirm what the account may do.",
        "account",
        REGISTER_TABLES,
        (),
        owner_not_living,
    ),
    Rule(
        "SVC-3",
        "Service account is not registered",
        "Nobody approved it, and nobody reviews it. Running flows on it: {flows}.",
        "Register it with owner, purpose and approved rights, or retire it.",
        "account",
        (*REGISTER_TABLES, "flow_connections", "connections"),
        ("connection_references", "flow_owners"),
        unregistered,
    ),
    Rule(
        "SVC-4",
        "Registered service account is not in use",
        "An account that nobody needs is a door that nobody watches.",
        "Disable it, wait for a month, delete it, and strike it from the register.",
        "account",
        (*REGISTER_TABLES, "flow_connections", "connections"),
        ("connection_references", "flow_owners"),
        unseen,
    ),
    Rule(
        "SVC-5",
        "Service account differs from its registration",
        "What was approved is not what is. Running flows on it: {flows}.",
        "Correct the account, or have the register approved anew.",
        "account",
        REGISTER_TABLES,
        ("grants", "memberships", "licences", "environments", "flow_connections", "connections"),
        register_differs,
    ),
    Rule(
        "LIM-1",
        "Account is near a limit of the service",
        "Beyond the limit its flows are slowed down or cannot be saved. Running flows on it: {flows}.",
        "Move flows to another account, into a solution, or to a Process licence.",
        "account",
        ("flows",),
        ("runs", "licences", "identities"),
        limit_near,
    ),
)
