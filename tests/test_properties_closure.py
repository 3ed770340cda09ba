"""Laws of what is held over groups and containers."""

from __future__ import annotations

import random

import pandas as pd
import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st

from flowanalysis import schema
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.gap import least_privilege_gap
from flowanalysis.tenant import Tenant

NAMES = ["u0", "u1", "g0", "g1", "g2", "g3"]
member = st.tuples(st.sampled_from(NAMES[2:]), st.sampled_from(NAMES))
grant = st.tuples(st.sampled_from(NAMES), st.sampled_from(["r0", "r1"]), st.sampled_from(worlds.LEVELS))
RANK = {level: rank for rank, level in enumerate(worlds.LEVELS)}


def tenant(members, grants) -> Tenant:
    kinds = {"principal_kind": "unknown", "via": "direct", "resource_kind": "x"}
    frames = {
        "identities": schema.frame("identities", [{"identity_id": u, "kind": "user"} for u in NAMES[:2]]),
        "groups": schema.frame("groups", [{"group_id": g} for g in NAMES[2:]]),
        "memberships": schema.frame(
            "memberships", [{"group_id": g, "member_id": m, "relation": "member"} for g, m in members]
        ),
        "grants": schema.frame(
            "grants", [{"principal_id": p, "resource_id": r, "level": v, **kinds} for p, r, v in grants]
        ),
    }
    return Tenant(frames, collected=frames)


def held(members, grants) -> dict[tuple[str, str], str]:
    """Highest level of each user on each resource."""
    found = effective_permissions(tenant(members, grants), everyone=True)
    found = found[found["identity_id"].isin(NAMES[:2])]
    best: dict[tuple[str, str], str] = {}
    for who, what, level in found[["identity_id", "resource_id", "right"]].astype(str).itertuples(index=False):
        if RANK[level] >= RANK[best.get((who, what), "read")]:
            best[who, what] = level
    return best


def inside(members) -> set[tuple[str, str]]:
    """Every group with all that are in it at any depth, the slow way."""
    pairs = set(members)
    while True:
        more = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
        if not more:
            return pairs
        pairs |= more


@worlds.examples(12)
@given(st.sets(member, max_size=8), st.lists(grant, max_size=6))
def test_rights_pass_down_to_members_at_any_depth_and_round_in_circles(members, grants):
    wanted: dict[tuple[str, str], str] = {}
    deep = inside(members) | {(n, n) for n in NAMES}
    for who, what, level in grants:
        for user in NAMES[:2]:
            if (who, user) in deep and RANK[level] >= RANK[wanted.get((user, what), "read")]:
                wanted[user, what] = level
    assert held(members, grants) == wanted


@worlds.examples(6)
@given(st.sets(member, max_size=8), st.lists(grant, max_size=6))
def test_writing_down_what_already_holds_changes_nothing(members, grants):
    assert held(inside(members), grants) == held(members, grants)


@worlds.examples(6)
@given(st.sets(member, max_size=8), st.lists(grant, max_size=6), member, grant)
def test_a_membership_or_a_grant_more_takes_nothing_away(members, grants, joined, given_):
    before, after = held(members, grants), held(members | {joined}, [*grants, given_])
    assert all(RANK[after[pair]] >= RANK[level] for pair, level in before.items())


@worlds.examples(3)
@given(worlds.seeds)
def test_rights_given_where_they_were_missing_close_the_gap_and_add_no_excess(seed):
    tables = {**worlds.rows(seed), "memberships": [], "role_assignments": []}
    found = least_privilege_gap(worlds.tenant(tables))
    missing = found[(found["side"] == "missing") & (found["state"] == "found")]
    kinds = {"principal_kind": "user", "resource_kind": "sharepoint_site", "via": "direct"}
    given_ = missing[["account_id", "resource_id", "needed"]].astype(str)
    tables["grants"] += [
        {"principal_id": who, "resource_id": what, "level": level, **kinds}
        for who, what, level in given_.itertuples(index=False)
    ]
    again = least_privilege_gap(worlds.tenant(tables))
    assert ((again["side"] == "missing") & (again["state"] == "found")).sum() == 0
    assert set(_pairs(found[found["side"] == "excess"])) >= set(_pairs(again[again["side"] == "excess"]))


def _pairs(frame: pd.DataFrame) -> list[tuple]:
    return list(frame[["account_id", "resource_id"]].astype(str).itertuples(index=False, name=None))


@pytest.mark.parametrize("circle", [[], [("g1000", "g0")]], ids=["chain", "circle"])
def test_a_thousand_groups_one_in_the_other_come_to_an_end(circle):
    links = [(f"g{n}", f"g{n + 1}") for n in range(1000)]
    random.Random(1).shuffle(links)
    groups = schema.frame("groups", [{"group_id": f"g{n}"} for n in range(1001)])
    state = tenant([*links, *circle, ("g1000", "u0")], [("g0", "r0", "owner")]).replace(groups=groups)
    assert effective_permissions(state, "u0")["right"].tolist() == ["owner"]
