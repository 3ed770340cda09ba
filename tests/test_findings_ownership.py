"""Ownership rules: pass, fail and unknown for each."""

from __future__ import annotations

import pandas as pd
import pytest
import rooms

from flowanalysis.findings import evidence, find

GROUP, SPN, LIST = ("team", "Group"), ("spn", "ServicePrincipal"), ("list", "SharePointList")


def test_a_sound_flow_has_no_finding():
    assert rooms.rules(rooms.build()) <= {"SVC-3"}


@pytest.mark.parametrize("owner", ["del", "purged"])
def test_a_flow_whose_owners_all_left_is_orphaned(owner):
    found = rooms.only(rooms.owned_by(owner), "OWN-1")
    assert found["flow_id"].tolist() == ["f"]
    assert found["severity"].tolist() == ["high"]
    assert found["confidence"].tolist() == ["full"]


@pytest.mark.parametrize("other", ["ada", "svc", GROUP, SPN, LIST, "off", "mystery"])
def test_a_flow_with_another_owner_is_never_orphaned(other):
    assert not rooms.finds("OWN-1", rooms.owned_by("del", other))


@pytest.mark.parametrize("owner", [GROUP, SPN, LIST, "ada", "off", "mystery", ("nowhere", "User")])
def test_an_owner_that_is_not_known_to_be_gone_orphans_nothing(owner):
    assert not rooms.finds("OWN-1", rooms.owned_by(owner))


def test_run_only_users_do_not_keep_a_flow_alive():
    owners = [
        {"principal_id": "del", "principal_kind": "User", "role": "Owner"},
        {"principal_id": "ada", "principal_kind": "User", "role": "RunOnly"},
    ]
    flows = [{**rooms.BASE["flows"][0], "owner_id": "del"}]
    assert rooms.finds("OWN-1", rooms.build(flow_owners=owners, flows=flows))


def test_a_dataverse_user_is_looked_up_and_never_missing():
    users = [{"environment_id": rooms.ENV, "systemuser_id": "sys-1", "identity_id": "ada"}]
    owners = [{"principal_id": "sys-1", "principal_kind": "User", "role": "Owner"}]
    flows = [{**rooms.BASE["flows"][0], "owner_id": "sys-1", "owner_source": "dataverse"}]
    tenant = rooms.build(dataverse_users=users, flow_owners=owners, flows=flows)
    assert not rooms.finds("OWN-1", tenant)
    assert rooms.only(tenant, "OWN-4")["account_id"].tolist() == ["ada"]


def test_a_deleted_creator_is_not_taken_for_the_owner():
    made = {**rooms.BASE["flows"][0], "owner_id": "del", "owner_source": "creator"}
    assert not {"OWN-1", "OWN-3"} & rooms.rules(rooms.build(flows=[made]))
    assert not {"OWN-1", "OWN-3"} & rooms.rules(rooms.build(flows=[made], flow_owners=[]))


def test_an_owner_told_by_dataverse_alone_gives_partial_confidence():
    made = {**rooms.BASE["flows"][0], "owner_id": "del", "owner_source": "dataverse"}
    found = rooms.only(rooms.build(flows=[made], flow_owners=[]), "OWN-1")
    assert found["confidence"].tolist() == ["partial"]


@pytest.mark.parametrize("rule", ["OWN-1", "OWN-2", "OWN-3", "OWN-4", "OWN-5"])
@pytest.mark.parametrize("table", ["flow_owners", "identities", "flows"])
def test_without_owners_or_identities_the_rules_are_not_answered(rule, table):
    tenant = rooms.build(without=(table,))
    assert rooms.answer(tenant, rule) == "no"
    assert not rooms.finds(rule, tenant)


def test_a_business_flow_with_one_owner_is_named():
    assert rooms.finds("OWN-2", rooms.owned_by("ada"))
    assert not rooms.finds("OWN-2", rooms.owned_by("ada", "bo"))
    assert not rooms.finds("OWN-2", rooms.owned_by("ada", GROUP))
    assert not rooms.finds("OWN-2", rooms.owned_by("ada", display_name="Copy of orders"))


def test_a_leaver_beside_a_single_owner_counts_as_nobody():
    assert rooms.finds("OWN-2", rooms.owned_by("del", "ada"))


def test_one_owner_beside_an_unknown_one_is_not_called_single():
    assert not rooms.finds("OWN-2", rooms.owned_by("ada", "mystery"))


@pytest.mark.parametrize("owner", ["off", "del", "purged"])
def test_a_gone_primary_owner_beside_a_living_one_starts_the_clock(owner):
    found = rooms.only(rooms.owned_by(owner, "ada"), "OWN-3")
    assert found["account_id"].tolist() == [owner]
    assert "co-owner remains" in found["impact"].item()


def test_a_disabled_owner_alone_starts_the_clock_and_is_no_orphan():
    assert {"OWN-1", "OWN-3"} & rooms.rules(rooms.owned_by("off")) == {"OWN-3"}


def test_states_of_owners_are_told_apart_in_words():
    facts = [evidence(rooms.owned_by(o, "ada"))["fact"].to_list() for o in ("off", "del", "purged")]
    said = [next(f for f in fs if o in f.split()[0]) for fs, o in zip(facts, ("off@", "del@", "purged"), strict=True)]
    assert [s.split(" ", 1)[1][:12] for s in said] == ["is disabled", "was deleted ", "is not in th"]


def test_a_premium_flow_of_a_disabled_owner_has_its_day_named():
    tiers = [{"connector_id": "shared_office365", "environment_id": "(none)", "tier": "Premium"}]
    tenant = rooms.owned_by("off", "ada").replace(connectors=rooms.build(connectors=tiers).connectors)
    assert "within 14 days" in rooms.only(tenant, "OWN-3")["impact"].item()


def test_business_flows_belong_to_service_accounts():
    assert rooms.finds("OWN-4", rooms.owned_by("ada", "bo"))
    assert not rooms.finds("OWN-4", rooms.owned_by("svc", "ada"))
    assert not rooms.finds("OWN-4", rooms.owned_by(SPN, "ada"))
    assert not rooms.finds("OWN-4", rooms.owned_by("mystery"))


def test_a_stopped_flow_is_nobodys_business():
    assert not rooms.finds("OWN-4", rooms.owned_by("ada", state="Stopped"))


def test_a_service_account_needs_a_person_beside_it():
    assert rooms.finds("OWN-5", rooms.owned_by("svc"))
    assert rooms.finds("OWN-5", rooms.owned_by(SPN))
    assert rooms.finds("OWN-5", rooms.owned_by("svc", "del"))
    assert not rooms.finds("OWN-5", rooms.owned_by("svc", "ada"))
    assert not rooms.finds("OWN-5", rooms.owned_by("svc", GROUP))
    assert not rooms.finds("OWN-5", rooms.owned_by("svc", ("nowhere", "User")))


def test_renaming_changes_no_finding_id():
    before, after = rooms.owned_by("del"), rooms.owned_by("del", display_name="Something else")
    assert find(before)["finding_id"].tolist() == find(after)["finding_id"].tolist()


def test_shuffled_input_gives_the_same_findings_byte_for_byte():
    tenant = rooms.owned_by("purged", "del", GROUP, "ada")
    mixed = tenant.replace(flow_owners=tenant.flow_owners.sample(frac=1, random_state=3))
    for table in (find, evidence):
        pd.testing.assert_frame_equal(table(tenant), table(mixed))
