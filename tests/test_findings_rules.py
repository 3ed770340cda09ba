"""All rules alike: each speaks where its fault is, is silent where all is sound, and admits what it cannot know."""

from __future__ import annotations

import pandas as pd
import pytest
import rooms

from flowanalysis import demo, schema
from flowanalysis.findings import answerable, examine, find
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


# A value far enough from the default to be felt, for every threshold; the demo feels those without a tenant of its own.
FELT = {
    "OWN-2.owners": 5,
    "OWN-3.premium_days": 30,
    "OWN-5.group_counts": False,
    "CON-2.idle_days": 0,
    "CON-4.accounts": 5,
    "CON-5.group_members": 2,
    "PRV-1.tier": 0,
    "PRV-2.gains": 100,
    "PRV-2.share": 2.0,
    "PRV-2.tier": 0,
    "GAP-1.rights": 100,
    "SVC-3.flows": 100,
    "SVC-5.review_grace_days": 50,
    "LIM-1.share": 2.0,
    "OVL-1.containment": 2.0,
    "OVL-1.rights": 100,
    "OVL-2.excess": 0,
}


def small(name: str) -> Tenant | None:
    """A tenant in which a threshold is felt that the demo does not feel."""
    premium = [{"connector_id": "shared_office365", "environment_id": schema.NO_ENVIRONMENT, "tier": "Premium"}]
    team = [{"group_id": "all", "member_id": f"m{i}", "relation": "member"} for i in range(3)]
    share = [{"principal_id": "all", "principal_kind": "Group", "role": "CanView"}]
    # an admin role that only the account holds, and so many rights beside it that its part is small
    shared = [
        {"principal_id": w, "resource_id": f"r{i}", "resource_kind": "x", "level": "read", "via": "direct"}
        for i in range(9)
        for w in ("svc", "ada")
    ]
    role = [{"principal_id": "svc", "role_template_id": "f28a1f50-f6e7-4571-818b-6a12f2af6b6c", "scope": "/"}]
    return {
        "OWN-3.premium_days": rooms.owned_by("off", "ada").replace(connectors=schema.frame("connectors", premium)),
        "OWN-5.group_counts": rooms.owned_by("svc", ("team", "Group")),
        "CON-5.group_members": rooms.build(connection_shares=share, memberships=team),
        "PRV-2.tier": rooms.build(
            needs=[], grants=shared, app_permissions=[], role_assignments=[{**role[0], "state": "active"}]
        ),
    }.get(name)


@pytest.fixture(scope="module")
def judged(months) -> dict[str, pd.DataFrame]:
    """Findings under the default policy, by threshold; the demo's are made once."""
    demo_found = find(months[demo.MONTHS[1]])
    return {name: demo_found if small(name) is None else find(small(name)) for name in FELT}


def test_every_threshold_of_the_policy_is_tried():
    listed = {f"{rule}.{name}" for rule, section in load_policy().rules.items() for name in section}
    assert {name for name in listed if not name.endswith(".enabled")} == set(FELT)


@pytest.mark.parametrize("name", FELT)
def test_a_changed_threshold_changes_its_rule_and_no_other(months, judged, name):
    rule, _, threshold = name.partition(".")
    tenant, before = small(name) or months[demo.MONTHS[1]], judged[name]
    after = find(tenant, load_policy().with_threshold(rule, threshold, FELT[name]))
    mine, theirs = (frame[frame["rule"] == rule].reset_index(drop=True) for frame in (before, after))
    assert not mine.equals(theirs), "nobody feels it"
    others = [frame[frame["rule"] != rule].reset_index(drop=True) for frame in (before, after)]
    pd.testing.assert_frame_equal(*others)
