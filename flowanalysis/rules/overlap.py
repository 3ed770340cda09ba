"""Accounts that do the same work: fewer would do."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis.demand import demand, family_of
from flowanalysis.analysis.overlap import permission_overlap
from flowanalysis.analysis.reach import Reach, reach
from flowanalysis.lookup import text_by
from flowanalysis.register import purposes
from flowanalysis.rules.base import Rule, no_rows, rows
from flowanalysis.rules.context import Context
from flowanalysis.schema import TEXT

__all__ = ["RULES"]


def _accounts(context: Context) -> pd.Series:
    """Living service accounts behind flows that run."""
    ids = pd.Series(context.flows_run_by.index, dtype=TEXT)
    alive = text_by(ids, context.identity["status"]).isin(["active"]) | (context.kind(ids) == "service_principal")
    return ids[((context.band(ids) == "service") & alive).fillna(False).astype(bool)].sort_values(ignore_index=True)


def _merging(context: Context, cases: pd.DataFrame) -> pd.DataFrame:
    """Pairs (account, other) that policy lets merge, each account once, with the other that it fits best."""
    if cases.empty:
        return cases
    ids = pd.concat([cases["account"], cases["other"]]).drop_duplicates()
    purpose = purposes(context.tenant, context.policy, ids)
    same = cases["account"].map(purpose) == cases["other"].map(purpose)
    return cases[same].sort_values(["account", "excess", "other"]).drop_duplicates("account")


def duplicate_or_subset(context: Context) -> pd.DataFrame:
    """All that one service account may do, another may do too. Of two alike, the one with fewer flows is named."""
    accounts = _accounts(context)
    if accounts.empty:
        return no_rows()
    pairs = permission_overlap(context.tenant, accounts.tolist())
    text = {"account_a": TEXT, "account_b": TEXT}
    pairs = pairs[["account_a", "account_b", "rights_a", "rights_b", "a_in_b", "b_in_a"]].astype(text)
    left = pairs.set_axis(["account", "other", "rights", "theirs", "inside", "around"], axis=1)
    right = left.rename(columns={"account": "other", "other": "account", "rights": "theirs", "theirs": "rights"})
    right = right.rename(columns={"inside": "around", "around": "inside"})
    both = pd.concat([left, right], ignore_index=True)
    least, rights = (context.policy.threshold("OVL-1", n) for n in ("containment", "rights"))
    both = both[(both["inside"] >= least) & (both["rights"] >= rights)]
    busy = context.flows_run_by
    mine = pd.DataFrame({"rights": both["rights"], "flows": both["account"].map(busy), "id": both["account"]})
    theirs = pd.DataFrame({"rights": both["theirs"], "flows": both["other"].map(busy), "id": both["other"]})
    mutual = both["around"] >= least
    keep = ~mutual | _smaller(mine, theirs)
    cases = _merging(context, both[keep].assign(excess=both["theirs"] - both["rights"]))
    return _pairs(context, cases, "may do all that it may do", partial=False)


def _smaller(mine: pd.DataFrame, theirs: pd.DataFrame) -> pd.Series:
    """Fewer rights, of equals fewer flows, of equals the later id."""
    less, same = mine["rights"] < theirs["rights"], mine["rights"] == theirs["rights"]
    fewer, alike = mine["flows"] < theirs["flows"], mine["flows"] == theirs["flows"]
    return less | (same & (fewer | (alike & (mine["id"] > theirs["id"]))))


def another_covers(context: Context) -> pd.DataFrame:
    """Another service account holds every right that the flows of this one need, and works where they are."""
    accounts, tenant = _accounts(context), context.tenant
    if len(accounts) < 2:
        return no_rows()
    codes, wanted = tenant.codes, demand(tenant)
    code = codes.principals.codes(accounts)
    found = reach(codes, code)
    # Kinds of which no right was collected cannot be compared: they leave the answer partial.
    kinds = np.isin(np.arange(len(codes.resources)), np.unique(codes.held.indices))
    told = pd.Series(kinds).groupby(family_of(tenant)).transform("any").to_numpy(bool)
    needs = wanted.by_account[found.principals]
    judged = told[needs.indices]
    row, resource, level = matrices.row_of(needs)[judged], needs.indices[judged], needs.data[judged]
    total = np.bincount(row, minlength=len(accounts))
    vague = np.bincount(matrices.row_of(needs)[~judged], minlength=len(accounts)) > 0
    covered = _covered(found, row, resource, level, len(accounts))
    blind = wanted.unread[found.principals] | (wanted.families[found.principals] > 0)
    first, second = np.nonzero((covered == total[:, None]) & (total > 0)[:, None] & ~blind[:, None])
    ids = codes.principals.text(found.principals)
    held = np.diff(found.levels.indptr)
    cases = pd.DataFrame({"account": ids[first], "other": ids[second], "excess": held[second] - total[first]})
    cases["partial"] = vague[first]
    cases = cases[(first != second) & (cases["excess"] <= context.policy.threshold("OVL-2", "excess")).to_numpy()]
    cases = _one_way(context, cases[_same_places(context, cases)])
    cases = _merging(context, cases)
    return _pairs(context, cases, "holds all that its flows need", partial=cases["partial"])


def _covered(found: Reach, row: np.ndarray, resource: np.ndarray, level: np.ndarray, size: int) -> np.ndarray:
    """Account x account: how many needs of the first the second covers; levels compared one by one."""
    covered = np.zeros((size, size), np.int64)
    for least in range(1, 5):
        at = level == least
        need = matrices.ones(matrices.relation(row[at], resource[at], 1, found.levels.shape)).astype(np.int64)
        hold = matrices.ones(matrices.at_least(found.levels, least)).astype(np.int64)
        covered += (need @ hold.T).toarray()
    return covered


def _same_places(context: Context, cases: pd.DataFrame) -> np.ndarray:
    """The other account already works in every environment of the first, and has the licence that it has."""
    run = context.uses.loc[context.uses["fid"] >= 0, ["account_id", "environment_id"]]
    own = context.flows[["owner_id", "environment_id"]].set_axis(["account_id", "environment_id"], axis=1)
    both = pd.concat([run, own]).dropna().drop_duplicates()
    both = both[both["account_id"].isin(pd.concat([cases["account"], cases["other"]]))]
    places = both.groupby("account_id")["environment_id"].agg(frozenset)
    pairs = zip(cases["account"].map(places), cases["other"].map(places), strict=True)
    return np.array([a <= b for a, b in pairs], bool)


def _one_way(context: Context, cases: pd.DataFrame) -> pd.DataFrame:
    """Of two accounts that could stand in for each other, keep the advice for the one with fewer flows."""
    back = set(zip(cases["other"], cases["account"], strict=True))
    mutual = np.array([pair in back for pair in zip(cases["account"], cases["other"], strict=True)], bool)
    busy = context.flows_run_by
    mine, theirs = cases["account"].map(busy), cases["other"].map(busy)
    keep = (mine < theirs) | ((mine == theirs) & (cases["account"] > cases["other"]))
    return cases[~mutual | keep.to_numpy(bool)]


def _pairs(context: Context, cases: pd.DataFrame, words: str, *, partial: object) -> pd.DataFrame:
    account = cases["account"].astype(TEXT)
    return rows(
        cases,
        subject_kind="account",
        subject_id=account,
        subject_name=context.name(account),
        account_id=account,
        partial=partial,
        reach=account.map(context.flows_run_by).fillna(0).astype("int64"),
        table="grants",
        principal_id=cases["other"].astype(TEXT),
        fact=context.name(cases["other"].astype(TEXT)) + f" {words}",
    )


RIGHTS = ("flows", "grants", "connections", "flow_connections", "identities")

RULES = (
    Rule(
        "OVL-1",
        "Service account repeats the rights of another",
        "Two accounts to license, review and keep safe where one may do. Running flows on it: {flows}.",
        "Move its flows to the other account, unless their purposes must stay apart; then retire it.",
        "account",
        RIGHTS,
        ("memberships", "register"),
        duplicate_or_subset,
    ),
    Rule(
        "OVL-2",
        "Another service account could run its flows",
        "The other account needs no further right to take them over. Running flows on it: {flows}.",
        "Bind its connections to the other account, unless their purposes must stay apart.",
        "account",
        (*RIGHTS, "needs"),
        ("memberships", "register", "connection_references"),
        another_covers,
    ),
)
