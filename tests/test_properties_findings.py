"""Laws of the findings, whatever the tenant looks like."""

from __future__ import annotations

import copy
from functools import cache, reduce
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
import worlds
from hypothesis import given

from flowanalysis.analysis.blast import blast_radius
from flowanalysis.analysis.identities import classify
from flowanalysis.findings import examine, find, to_csv
from flowanalysis.policy import SEVERITIES, Policy, load_policy
from flowanalysis.rules import RULES
from flowanalysis.tenant import Tenant

STOPS = ("OWN", "CON")  # what makes a flow stop when people leave
POWER = ("PRV", "GAP-1")  # what an account may do beyond its flows


@cache
def only(families: tuple[str, ...]) -> Policy:
    """The default policy with other families of rules switched off; every gain of an editor is listed."""
    silent = [r for r in RULES if not r.startswith(families)]
    policy = reduce(lambda p, rule: p.with_threshold(rule, "enabled", False), silent, load_policy())
    return policy.with_threshold("PRV-2", "share", 0.0)


def risk(state: Tenant, families: tuple[str, ...]) -> dict[tuple, int]:
    """Rank of the worst finding of each flow; -1 where it has none."""
    found = find(state, only(families))
    ranks = found["severity"].map(SEVERITIES.index).astype("int64")
    ranks = ranks.groupby([found["environment_id"], found["flow_id"]]).max()
    flows = pd.MultiIndex.from_frame(state.flows[["environment_id", "flow_id"]])
    return dict(zip(flows, ranks.reindex(flows).fillna(-1).astype(int), strict=True))


def lower(before: dict, after: dict) -> list:
    return [flow for flow, rank in before.items() if after[flow] < rank]


@worlds.examples(2)
@given(worlds.seeds)
def test_every_judgement_is_on_its_scale_and_about_something_that_exists(seed):
    state = worlds.tenant(worlds.rows(seed))
    seen, people, reach = examine(state), classify(state), blast_radius(state)
    assert set(seen.findings["severity"]) <= set(SEVERITIES)
    assert sorted(people["identity_id"]) == sorted(state.identities["identity_id"])
    assert people["score"].between(0, 1).all()
    places = ["environment_id", "flow_id"]
    assert not reach.duplicated(places).any()
    assert set(reach["flow_id"]) <= set(state.flows["flow_id"])
    assert (reach.select_dtypes("number").fillna(0) >= 0).all(axis=None)
    assert set(seen.findings["flow_id"].dropna()) <= set(state.flows["flow_id"])
    assert set(seen.findings["account_id"].dropna()) <= set(state.identities["identity_id"])
    assert seen.findings["finding_id"].is_unique
    assert set(seen.evidence["finding_id"]) == set(seen.findings["finding_id"])


@worlds.examples(2)
@given(worlds.seeds)
def test_order_of_rows_and_tables_changes_no_byte(seed):
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("one.csv", "other.csv")]
        for order, file in enumerate(files):
            to_csv(find(worlds.tenant(worlds.rows(seed), shuffle=order)), file)
        assert files[0].read_bytes() == files[1].read_bytes()


@worlds.examples(2)
@given(worlds.seeds)
def test_other_ids_change_nothing_but_ids(seed):
    tables = worlds.rows(seed)
    others, ids = worlds.renamed(tables)
    back = {new: old for old, new in ids.items()}
    # Of two accounts alike the one with the lower id is named: which one it is may differ, that there is one not.
    twins = {"OVL-1", "OVL-2"}
    before = {f for f in worlds.judged(worlds.tenant(tables)) if f[0] not in twins}
    after = {f for f in worlds.judged(worlds.tenant(others), back) if f[0] not in twins}
    assert before == after


@worlds.examples(2)
@given(worlds.seeds)
def test_more_rights_for_an_account_never_make_its_flows_look_safer(seed):
    tables = worlds.rows(seed)
    more = copy.deepcopy(tables)
    account = sorted({c["created_by_id"] for c in tables["connections"]})[seed % 3 % len(tables["connections"])]
    kinds = {"principal_kind": "user", "resource_kind": "sharepoint_site", "via": "group"}
    place = f"{worlds.SITE}/{('a', 'payroll', 'new')[seed % 3]}"
    more["grants"] = [{"principal_id": account, "resource_id": place, "level": "full", **kinds}, *more["grants"]]
    before, after = worlds.tenant(tables), worlds.tenant(more)
    assert lower(risk(before, POWER), risk(after, POWER)) == []
    weights = [blast_radius(s).set_index(["environment_id", "flow_id"])["weight"] for s in (before, after)]
    assert (weights[1] >= weights[0]).all()


@pytest.mark.parametrize("status", ["disabled", "deleted"])
@worlds.examples(2)
@given(worlds.seeds)
def test_losing_a_person_never_makes_a_flow_look_safer(status, seed):
    tables = worlds.rows(seed)
    worse = copy.deepcopy(tables)
    living = [p for p in worse["identities"] if p["status"] == "active"]
    for person in living[: 1 + seed % 3]:
        person["status"] = status
    assert lower(risk(worlds.tenant(tables), STOPS), risk(worlds.tenant(worse), STOPS)) == []


@worlds.examples(2)
@given(worlds.seeds)
def test_one_more_living_owner_never_makes_a_flow_look_worse(seed):
    tables = worlds.rows(seed)
    better = copy.deepcopy(tables)
    better["identities"].append(worlds.rooms.PERSON | {"identity_id": "new", "upn": "new@corp.example"})
    role = {"principal_id": "new", "principal_kind": "User", "role": "CanEdit", "via": "permissions"}
    better["flow_owners"] += [
        {"environment_id": f["environment_id"], "flow_id": f["flow_id"], **role} for f in tables["flows"]
    ]
    before, after = risk(worlds.tenant(tables), STOPS), risk(worlds.tenant(better), STOPS)
    assert lower(after, before) == []


@worlds.examples(2)
@given(worlds.seeds)
def test_strangers_to_a_flow_change_nothing_about_it(seed):
    tables = worlds.rows(seed)
    wider = copy.deepcopy(tables)
    wider["identities"].append(worlds.rooms.PERSON | {"identity_id": "zoe", "upn": "zoe@corp.example"})
    wider["groups"].append({"group_id": "far", "display_name": "Far"})
    wider["memberships"].append({"group_id": "far", "member_id": "zoe", "relation": "member"})
    flow = {"environment_id": "e2", "flow_id": "far", "state": "Started", "owner_id": "zoe", "has_definition": True}
    wider["flows"].append(flow | {"owner_source": "permissions", "creator_id": "zoe", "display_name": "Far"})
    before, after = worlds.judged(worlds.tenant(tables)), worlds.judged(worlds.tenant(wider))
    assert {f for f in after if "far" not in f} == before


def test_the_random_tenants_make_most_rules_speak():
    spoken = {f[0] for seed in range(2) for f in worlds.judged(worlds.tenant(worlds.rows(seed)))}
    assert len(spoken) > 12
