"""Who keeps a flow alive, where groups are large, nested and partly dead: beside sets that are walked through."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.analysis import kernels
from flowanalysis.analysis.owners import GROUP_CAP, _greedy, bus_factor, crowd_sizes, owners
from flowanalysis.tenant import Tenant

E = "env"


def rows(seed: int) -> dict[str, list[dict]]:
    """People enough for groups of about the size from which members are no longer named."""
    dice = random.Random(seed)
    people = [f"u{i:03}" for i in range(70)]
    groups = [f"g{i}" for i in range(9)]
    joined = {(g, p) for g in groups for p in dice.sample(people, dice.choice([0, 1, 5, 50, 51, 52, 60]))}
    nested = {(dice.choice(groups), dice.choice(groups)) for _ in range(5)}
    owned = {("f0", "list")} | {
        (f"f{f}", who) for f in range(12) for who in dice.sample([*people[:10], *groups, "list"], dice.randint(0, 4))
    }
    status = {p: dice.choice(["active"] * 40 + ["deleted", "disabled"]) for p in people}
    return {
        "identities": [{"identity_id": p, "kind": "user", "status": status[p]} for p in people],
        "groups": [{"group_id": g} for g in groups],
        "memberships": [{"group_id": g, "member_id": m, "relation": "member"} for g, m in sorted(joined | nested)],
        "flows": [{"environment_id": E, "flow_id": f"f{f}"} for f in range(12)],
        "flow_owners": [
            {"environment_id": E, "flow_id": f, "principal_id": who, "principal_kind": kind(who), "role": "CanEdit"}
            for f, who in sorted(owned)
        ],
    }


def kind(who: str) -> str:
    return {"u": "user", "g": "group", "l": "SharePointList"}[who[0]]


def members(told: dict[str, list[dict]], group: str) -> set[str]:
    """Everybody in a group, at any depth."""
    waiting, seen = [group], set()
    while waiting:
        here = waiting.pop()
        seen.add(here)
        waiting += [m["member_id"] for m in told["memberships"] if m["group_id"] == here and m["member_id"] not in seen]
    return {who for who in seen if who.startswith("u")}


def expected(told: dict[str, list[dict]], flow: str) -> tuple[set[str], dict[str, int]]:
    """Living people who can edit a flow, and what stays whoever leaves, with its living members."""
    living = {p["identity_id"] for p in told["identities"] if p["status"] == "active"}
    people, crowds = set(), {}
    for who in (o["principal_id"] for o in told["flow_owners"] if o["flow_id"] == flow):
        inside = members(told, who) if who.startswith("g") else {who}
        if who == "list" or not inside or len(inside & living) > GROUP_CAP:
            crowds[who] = len(inside & living)
        else:
            people |= inside & living
    return people, crowds


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("looped", [False, True])
def test_small_groups_are_their_living_members_and_large_ones_stay(monkeypatch, seed: int, *, looped: bool) -> None:
    if looped:
        monkeypatch.setattr(kernels, "worth", lambda work: True)
        monkeypatch.setattr(kernels, "compiled", lambda loop: loop)
    told = rows(seed)
    tenant = Tenant({name: schema.frame(name, pd.DataFrame(of)) for name, of in told.items()})
    found, sizes, codes = owners(tenant), crowd_sizes(tenant), tenant.codes
    for number in range(len(codes.flows)):
        people, crowds = expected(told, f"{codes.flows.text([number])[0].split(chr(31))[1]}")
        assert codes.principals.text(found.people[[number]].indices).tolist() == sorted(people)
        here = found.crowds[[number]]
        assert dict(zip(codes.principals.text(here.indices), sizes[here.indices], strict=True)) == crowds
        assert set(here.data.tolist()) <= {1}


def test_each_flow_says_who_can_edit_it() -> None:
    crowd = [{"group_id": "g", "member_id": f"u{n:02}", "relation": "member"} for n in range(GROUP_CAP + 1)]
    owners_of = {"alone": ["u00"], "both": ["u01", "u00"], "crowd": ["g"], "nobody": ["gone"]}
    flows = [{"environment_id": E, "flow_id": f, "owner_id": who[0]} for f, who in reversed(owners_of.items())]
    flows[0]["display_name"] = "Old things"
    told = {
        "identities": [{"identity_id": f"u{n:02}", "status": "active", "department": "Sales"} for n in range(51)]
        + [{"identity_id": "u00", "department": "the second row of an id is not read"}]
        + [{"identity_id": "gone", "status": "deleted"}],
        "memberships": crowd,
        "flows": flows,
        "flow_owners": [
            {"environment_id": E, "flow_id": f, "principal_id": who, "principal_kind": "User", "role": "Owner"}
            for f, of in owners_of.items()
            for who in of
        ],
    }
    found = bus_factor(Tenant({name: schema.frame(name, pd.DataFrame(of)) for name, of in told.items()}))
    assert found["sentence"].tolist() == [
        "Only u00 can edit alone.",
        "2 people can edit both.",
        "At least 51 can edit crowd.",
        "Nobody who lives can edit Old things.",
    ]
    assert found["department"].fillna("-").tolist() == ["Sales", "Sales", "-", "-"]
    assert found["only_person"].fillna("-").tolist() == ["u00", "-", "-", "-"]


def one_by_one(flow: np.ndarray, person: np.ndarray, kept: np.ndarray) -> object:
    """Whoever has most flows is taken out, and all is counted again."""
    pairs, removed = set(zip(flow.tolist(), person.tolist(), strict=True)), 0
    while True:
        dead = [f for f in range(len(kept)) if not kept[f] and not any(g == f for g, _ in pairs)]
        if len(dead) * 2 > len(kept):
            return removed
        if not pairs:
            return pd.NA
        worst = min({p for _, p in pairs}, key=lambda p: (-sum(q == p for _, q in pairs), p))
        pairs, removed = {(f, p) for f, p in pairs if p != worst}, removed + 1


@pytest.mark.parametrize("seed", range(40))
def test_people_leave_a_department_until_most_flows_have_nobody(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 9))
    pairs = np.unique(rng.integers(0, [count, 7], (int(rng.integers(0, 20)), 2)), axis=0)
    kept = rng.random(count) < 0.2
    found, expected = (work(pairs[:, 0], pairs[:, 1], kept) for work in (_greedy, one_by_one))
    assert found is expected or found == expected
