"""Rules on privilege, gap, drift and overlap: pass, fail and unknown for each."""

from __future__ import annotations

import pytest
import rooms

from flowanalysis.findings import evidence
from flowanalysis.policy import load_policy

SITE, LIST = "https://fabrikam.example/sites/a", "https://fabrikam.example/sites/a|list"
SPO_ADMIN = "f28a1f50-f6e7-4571-818b-6a12f2af6b6c"


def may(who: str, resource: str, level: str, kind: str = "sharepoint_list") -> dict:
    """A grant."""
    row = {"principal_id": who, "resource_id": resource, "resource_kind": kind, "level": level, "via": "direct"}
    return {**row, "principal_kind": "user"}


def need(resource: str, level: str, *, flow: str = "f", state: str = "known") -> dict:
    """A need of the first connection of a flow."""
    row = {"flow_id": flow, "step": "Write", "alias": "a", "right": level, "level": level, "state": state}
    return {**row, "resource": resource, "resource_kind": "sharepoint_list", "connector_id": "shared_office365"}


def working(needs: list[dict], grants: list[dict], **tables: object):
    """The sound flow on svc, with needs and grants."""
    return rooms.build(needs=needs, grants=grants, role_assignments=[], app_permissions=[], **tables)


SOUND = ([need(LIST, "write")], [may("svc", LIST, "write"), may("ada", LIST, "write")])


def test_exactly_the_rights_needed_are_no_finding():
    assert not {"GAP-1", "GAP-2", "PRV-1", "PRV-2", "DRF-1"} & rooms.rules(working(*SOUND))


def test_a_right_that_no_step_needs_is_excess():
    tenant = working(SOUND[0], [*SOUND[1], may("svc", "payroll", "read")])
    found = rooms.only(tenant, "GAP-1")
    assert found[["account_id", "evidence"]].to_numpy().tolist() == [["svc", 1]]
    proof = evidence(tenant)
    assert "may read payroll" in proof.loc[proof["rule"] == "GAP-1", "fact"].item()


def test_people_hold_rights_for_more_than_their_flows():
    person = [{"connection_id": "c", "created_by_id": "ada", "connector_id": "shared_office365"}]
    tenant = working(SOUND[0], [*SOUND[1], may("ada", "payroll", "read")], connections=person)
    assert not rooms.finds("GAP-1", tenant)


def test_what_may_be_needed_is_not_called_excess():
    vague = need("", "write", state="expression")
    tenant = working([*SOUND[0], vague], [*SOUND[1], may("svc", "other list", "read")])
    assert not rooms.finds("GAP-1", tenant)


@pytest.mark.parametrize("level", [None, "read"])
def test_a_needed_right_that_is_not_held_is_missing(level):
    held = [may("ada", LIST, "write")] + ([may("svc", LIST, level)] if level else [])
    found = rooms.only(working(SOUND[0], held), "GAP-2")
    assert found["account_id"].tolist() == ["svc"]
    assert "Running flows with a step that fails: 1." in found["impact"].item()


def test_a_right_of_a_kind_that_nobody_collected_is_not_missing():
    assert not rooms.finds("GAP-2", working(SOUND[0], [may("svc", "shared@fabrikam.example", "write", "mailbox")]))


@pytest.mark.parametrize("rule", ["GAP-1", "GAP-2", "OVL-1", "OVL-2", "PRV-2"])
def test_without_grants_rights_are_not_judged(rule):
    tenant = rooms.build(needs=SOUND[0])
    assert rooms.answer(tenant, rule) == "no"
    assert not rooms.finds(rule, tenant)


def test_a_lost_right_is_drift_only_when_it_was_held():
    before, after = working(*SOUND), working(SOUND[0], [may("svc", LIST, "read"), may("ada", LIST, "write")])
    assert rooms.finds("DRF-1", after, previous=before)
    assert not rooms.finds("DRF-1", after, previous=after)
    assert not rooms.finds("DRF-1", before, previous=after)


def test_without_a_month_before_drift_is_not_answered():
    assert rooms.answer(working(*SOUND), "DRF-1") == "no"
    assert rooms.answer(working(*SOUND), "DRF-1", previous=rooms.build(needs=SOUND[0])) == "no"
    assert rooms.answer(working(*SOUND), "DRF-1", previous=working(*SOUND)) == "full"


def admin(who: str, state: str = "active") -> dict:
    """SharePoint Administrator, which the first list of privileged roles does not have."""
    row = {"principal_id": who, "role_template_id": SPO_ADMIN, "role_id": SPO_ADMIN, "scope": "/", "state": state}
    return {**row, "role_name": "SharePoint Administrator"}


def with_roles(*roles: dict):
    """The sound flow with role assignments."""
    return working(*SOUND).replace(role_assignments=rooms.schema.frame("role_assignments", list(roles)))


def test_a_flow_on_a_privileged_account_is_named():
    found = rooms.only(with_roles(admin("svc")), "PRV-1")
    assert found[["flow_id", "account_id"]].to_numpy().tolist() == [["f", "svc"]]


def test_roles_of_others_and_eligible_roles_do_not_make_the_account_privileged():
    assert not rooms.finds("PRV-1", with_roles(admin("bo"), admin("svc", "eligible")))


def test_without_roles_privilege_is_not_judged():
    assert rooms.answer(rooms.build(), "PRV-1") == "no"


def test_a_role_behind_the_flow_is_an_escalation_for_its_editors():
    proof = evidence(with_roles(admin("svc")))
    assert proof.loc[proof["rule"] == "PRV-2", "principal_id"].tolist() == ["ada"]
    assert not rooms.finds("PRV-2", with_roles(admin("svc"), admin("ada")))


def test_a_co_owner_gains_what_the_account_holds():
    tenant = working(SOUND[0], [may("svc", LIST, "write")])
    assert rooms.only(tenant, "PRV-2")["account_id"].tolist() == ["svc"]


def test_whoever_answers_for_the_account_may_gain():
    listed = [{"account": "svc-orders@fabrikam.example", "owner": "ada.berg@fabrikam.example"}]
    assert not rooms.finds("PRV-2", working(SOUND[0], [may("svc", LIST, "write")], register=listed))


def test_a_small_part_of_the_accounts_rights_is_no_gain():
    needs = [need(f"list-{i}", "write") for i in range(4)]
    held = [may(w, f"list-{i}", "write") for i in range(4) for w in ("svc", "ada") if (w, i) != ("ada", 3)]
    assert not rooms.finds("PRV-2", working(needs, held))
    strict = load_policy().with_threshold("PRV-2", "share", 0.0)
    assert rooms.finds("PRV-2", working(needs, held), policy=strict)


TWIN = {"identity_id": "twin", "upn": "svc-twin@fabrikam.example", **rooms.SERVICE}


def twins(first: list[dict], second: list[dict], **tables: object):
    """Two service accounts, each with a flow that needs to write the list."""
    flow = {**rooms.BASE["flows"][0], "flow_id": "g", "owner_id": "twin"}
    uses = [
        {"flow_id": i, "alias": "a", "connector_id": "shared_office365", "connection_id": c}
        for i, c in (("f", "c"), ("g", "d"))
    ]
    made = [
        {"connection_id": c, "connector_id": "shared_office365", "created_by_id": w}
        for c, w in (("c", "svc"), ("d", "twin"))
    ]
    everything = {
        "identities": [*rooms.BASE["identities"], TWIN],
        "flows": [rooms.BASE["flows"][0], flow],
        "flow_connections": uses,
        "connections": made,
        "needs": [need(LIST, "write"), need(LIST, "write", flow="g")],
        "grants": [*first, *second],
    }
    return rooms.build(**{**everything, **tables})


def test_of_two_alike_one_is_named_once():
    tenant = twins([may("svc", LIST, "write")], [may("twin", LIST, "write")])
    assert rooms.only(tenant, "OVL-1")["account_id"].tolist() == ["twin"]
    assert rooms.only(tenant, "OVL-2")["account_id"].tolist() == ["twin"]


def test_the_smaller_account_is_inside_the_larger():
    tenant = twins([may("svc", LIST, "read")], [may("twin", LIST, "write"), may("twin", "other", "read")])
    assert rooms.only(tenant, "OVL-1")["account_id"].tolist() == ["svc"]


def test_accounts_with_rights_of_their_own_do_not_overlap():
    tenant = twins(
        [may("svc", LIST, "write"), may("svc", "x", "read")], [may("twin", LIST, "write"), may("twin", "y", "read")]
    )
    assert not rooms.finds("OVL-1", tenant)


def test_an_account_short_of_a_need_covers_nothing():
    tenant = twins([may("svc", LIST, "write")], [may("twin", LIST, "read")])
    assert rooms.only(tenant, "OVL-2")["account_id"].tolist() == ["twin"]


def test_accounts_of_different_purposes_stay_apart(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(
        "[purposes]\npatterns = [{ match = 'orders', purpose = 'orders' }, { match = 'pay', purpose = 'pay' }]\n",
        encoding="utf-8",
    )
    listed = [
        {"account": "svc-orders@fabrikam.example", "purpose": "Orders"},
        {"account": "svc-twin@fabrikam.example", "purpose": "Payroll"},
    ]
    tenant = twins([may("svc", LIST, "write")], [may("twin", LIST, "write")], register=listed)
    assert {"OVL-1", "OVL-2"} <= rooms.rules(tenant)
    assert not {"OVL-1", "OVL-2"} & rooms.rules(tenant, policy=load_policy(file))


def test_an_account_whose_needs_are_open_is_never_said_to_be_covered():
    needs = [need(LIST, "write"), need("", "write", state="expression"), need(LIST, "write", flow="g")]
    tenant = twins([may("svc", LIST, "write")], [may("twin", LIST, "write")], needs=needs)
    assert rooms.only(tenant, "OVL-2")["account_id"].tolist() == ["twin"]
    needs = [need(LIST, "write"), need("", "write", state="expression", flow="g"), need(LIST, "write", flow="g")]
    tenant = twins([may("svc", LIST, "write")], [may("twin", LIST, "write")], needs=needs)
    assert "twin" not in set(rooms.only(tenant, "OVL-2")["account_id"])
