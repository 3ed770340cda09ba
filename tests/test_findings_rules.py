"""All rules alike: each speaks where its fault is, is silent where all is sound, and admits what it cannot know."""

from __future__ import annotations

import pytest
import rooms

from flowanalysis import demo, places, schema
from flowanalysis.findings import answerable, examine, find
from flowanalysis.loading import load
from flowanalysis.policy import load_policy
from flowanalysis.rules import RULES
from flowanalysis.tenant import Tenant

LIST = "https://fabrikam.example/sites/a|list"
SVC = "svc-orders@fabrikam.example"


def sound() -> Tenant:
    """One flow in order, with every table collected: each rule can be answered in full."""
    right = {"resource_id": LIST, "resource_kind": "sharepoint_list", "level": "write", "via": "direct"}
    need = {"step": "Write", "alias": "a", "right": "write", "level": "write", "resource": LIST}
    entry = {"account": SVC, "kind": "user", "owner": "ada@fabrikam.example", "deputy": "bo.lind@fabrikam.example"}
    tenant = rooms.build(
        flows=[{**rooms.BASE["flows"][0], "has_definition": True}],
        needs=[{**need, "resource_kind": "sharepoint_list", "connector_id": "shared_office365"}],
        grants=[{**right, "principal_id": who, "principal_kind": "user"} for who in ("svc", "ada")],
        register=[
            {**entry, "owner": "ada.berg@fabrikam.example", "review_date": "2027-01-01"}
            | {"allowed_rights": f"sharepoint_list={LIST}:write"}
        ],
        licences=[{"identity_id": "svc", "sku_id": "s", "sku_part_number": "POWERAUTOMATE_ATTENDED_RPA"}],
        skus=[{"sku_id": "s", "sku_part_number": "POWERAUTOMATE_ATTENDED_RPA"}],
    )
    frames = {name: tenant[name] if tenant.has(name) else schema.empty(name) for name in schema.TABLES}
    return Tenant(frames, collected=frames, as_of=rooms.AS_OF)


SOUND = sound()


def without(table: str) -> Tenant:
    frames = {name: SOUND[name] for name in SOUND.collected if name != table}
    return Tenant(frames, collected=frames, as_of=rooms.AS_OF)


@pytest.fixture(scope="module")
def months() -> dict[str, Tenant]:
    return {month: load(places.demo() / month) for month in demo.MONTHS}


@pytest.fixture(scope="module")
def found(months) -> set[str]:
    """Rules that speak in one of the demo's months."""
    first, second = demo.MONTHS
    return set(find(months[first])["rule"]) | set(find(months[second], previous=months[first])["rule"])


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_speaks_where_its_fault_was_planted(found, rule):
    planted = {r for month in demo.MONTHS for r in demo.planted(month)["rule"]}
    assert rule in planted, "planted nowhere in the demo"
    assert rule in found


def test_a_sound_tenant_is_answered_in_full_and_has_no_finding():
    examination = examine(SOUND, previous=SOUND)
    assert set(examination.answerable["answerable"]) == {"full"}
    assert set(examination.answerable["rule"]) == set(RULES)
    assert examination.findings[["rule", "impact"]].to_numpy().tolist() == []


@pytest.mark.parametrize(("rule", "table"), [(r.id, table) for r in RULES.values() for table in r.needs])
def test_a_rule_without_a_table_it_needs_says_that_it_does_not_know(rule, table):
    told = answerable(without(table), previous=SOUND).set_index("rule").loc[rule]
    assert told["answerable"] == "no"
    assert table in told["missing"]


@pytest.mark.parametrize(("rule", "table"), [(r.id, table) for r in RULES.values() for table in r.helps])
def test_a_rule_without_a_table_that_helps_answers_in_part(rule, table):
    told = answerable(without(table), previous=SOUND).set_index("rule").loc[rule]
    assert (told["answerable"], table in told["missing"]) == ("partly", True)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_switched_off_says_so(rule):
    policy = load_policy().with_threshold(rule, "enabled", False)
    assert answerable(SOUND, policy, SOUND).set_index("rule").loc[rule, "answerable"] == "off"


def test_there_are_twenty_eight_rules_and_each_advice_has_one():
    advice = ["OWN", "CON", "PRV", "GAP", "DRF", "SVC", "LIM", "OVL", "SEC", "LEG"]
    assert len(RULES) == 28
    assert [family for family in advice if not any(r.startswith(f"{family}-") for r in RULES)] == []
