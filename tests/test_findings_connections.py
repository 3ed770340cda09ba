"""Connection rules: pass, fail and unknown for each."""

from __future__ import annotations

import pytest
import rooms

from flowanalysis.findings import evidence


def connected(**columns: object):
    """The sound tenant with its one connection changed."""
    return rooms.build(connections=[{**rooms.BASE["connections"][0], **columns}])


def run_on(*accounts: str, owner: str = "svc", **use: object):
    """The flow, owned by `owner`, with one connection for each account (by id)."""
    made = [{"connection_id": f"c{i}", "connector_id": "shared_x", "created_by_id": a} for i, a in enumerate(accounts)]
    uses = [{"alias": f"a{i}", "connection_id": f"c{i}", **use} for i in range(len(accounts))]
    flows = [{**rooms.BASE["flows"][0], "owner_id": owner}]
    return rooms.build(connections=made, flow_connections=uses, flows=flows)


@pytest.mark.parametrize("account", ["off", "del", "purged"])
def test_a_connection_of_a_gone_account_is_named_once_with_its_flows(account):
    found = rooms.only(run_on(account), "CON-1")
    assert found[["subject_id", "account_id", "evidence"]].to_numpy().tolist() == [["c0", account, 1]]
    assert "Running flows that fail or are about to: 1." in found["impact"].item()


@pytest.mark.parametrize("account", ["svc", "ada", "mystery", "spn", "not-listed"])
def test_a_connection_of_a_living_or_unknown_account_is_not_gone(account):
    assert not rooms.finds("CON-1", run_on(account))


def test_an_invoker_connection_counts_for_nobody():
    tenant = run_on("del", "ada", runtime_source="invoker")
    assert not {"CON-1", "CON-3", "CON-4"} & rooms.rules(tenant)


def test_the_account_signed_in_outweighs_the_maker():
    assert not rooms.finds("CON-1", connected(created_by_id="del"))


def test_a_reference_leads_to_the_gone_account():
    uses = [{"alias": "a", "reference_name": "cr_orders"}]
    references = [{"environment_id": rooms.ENV, "reference_name": "cr_orders", "connection_id": "c", "is_bound": True}]
    made = [{"connection_id": "c", "created_by_id": "del"}]
    tenant = rooms.build(flow_connections=uses, connection_references=references, connections=made)
    assert rooms.finds("CON-1", tenant)


@pytest.mark.parametrize("rule", ["CON-1", "CON-2", "CON-3", "CON-4"])
@pytest.mark.parametrize("table", ["connections", "flow_connections", "flows"])
def test_without_connections_nothing_is_said(rule, table):
    tenant = rooms.build(without=(table,))
    assert rooms.answer(tenant, rule) == "no"
    assert not rooms.finds(rule, tenant)


def test_without_references_confidence_is_partial():
    tenant = run_on("del")
    known = {t: tenant[t] for t in tenant.collected if t != "connection_references"}
    less = type(tenant)(known, collected=known, as_of=tenant.as_of)
    assert rooms.answer(less, "CON-1") == "partly"
    assert set(rooms.only(less, "CON-1")["confidence"]) == {"partial"}


@pytest.mark.parametrize(("status", "broken"), [("Error", True), ("Unauthenticated", True), ("connected", False)])
def test_a_connection_with_an_error_is_broken(status, broken):
    assert (rooms.finds("CON-2", connected(status=status))) == broken


def test_a_status_that_nobody_told_is_not_an_error():
    assert not rooms.finds("CON-2", connected(status=None))


def test_the_sign_in_error_is_evidence():
    tenant = connected(status="Error", aadsts="70008")
    proof = evidence(tenant)
    assert "AADSTS70008" in proof.loc[proof["rule"] == "CON-2", "fact"].item()


def test_a_broken_connection_that_no_flow_uses_is_no_finding():
    assert not rooms.finds(
        "CON-2", rooms.build(flow_connections=[], connections=[{"connection_id": "c", "status": "Error"}])
    )


@pytest.mark.parametrize(("days", "idle"), [(89, False), (90, True), (400, True), (None, False)])
def test_a_connection_is_idle_when_all_its_flows_rested(days, idle):
    last = None if days is None else rooms.AS_OF - rooms.pd.Timedelta(days=days)
    tenant = rooms.build(flows=[{**rooms.BASE["flows"][0], "last_run_at": last}])
    assert (rooms.finds("CON-2", tenant)) == idle


def test_a_connection_signed_in_anew_is_not_idle():
    flows = [{**rooms.BASE["flows"][0], "last_run_at": rooms.AS_OF - rooms.pd.Timedelta(days=200)}]
    fresh = [{**rooms.BASE["connections"][0], "modified_at": rooms.AS_OF - rooms.pd.Timedelta(days=2)}]
    assert not rooms.finds("CON-2", rooms.build(flows=flows, connections=fresh))


def test_a_run_in_the_log_shows_that_a_connection_is_used():
    flows = [{**rooms.BASE["flows"][0], "last_run_at": rooms.AS_OF - rooms.pd.Timedelta(days=200)}]
    runs = [{"run_id": "r", "start_at": rooms.AS_OF - rooms.pd.Timedelta(days=1)}]
    assert not rooms.finds("CON-2", rooms.build(flows=flows, runs=runs))


def test_a_service_accounts_flow_does_not_run_on_a_person():
    assert rooms.only(run_on("ada"), "CON-3")["account_id"].tolist() == ["ada"]
    assert not rooms.finds("CON-3", run_on("svc"))
    assert not rooms.finds("CON-3", run_on("ada", owner="ada"))
    assert not rooms.finds("CON-3", run_on("mystery"))


def test_two_accounts_behind_one_flow_are_mixed():
    assert rooms.only(run_on("ada", "svc"), "CON-4")["evidence"].tolist() == [2]
    assert not rooms.finds("CON-4", run_on("svc", "svc"))


def test_a_connection_shared_with_the_tenant_is_open_to_everyone():
    for share in ({"principal_id": "tenant", "principal_kind": "Tenant"}, {"principal_id": "tenant"}):
        assert rooms.finds("CON-5", rooms.build(connection_shares=[share]))
    one = [{"principal_id": "ada", "principal_kind": "User"}]
    assert not rooms.finds("CON-5", rooms.build(connection_shares=one))


@pytest.mark.parametrize(("members", "found"), [(499, False), (500, True)])
def test_a_group_as_large_as_the_policy_says_is_everyone(members, found):
    share = [{"principal_id": "all", "principal_kind": "Group", "role": "CanView"}]
    rows = [{"group_id": "all", "member_id": f"u{i}", "relation": "member"} for i in range(members)]
    assert (rooms.finds("CON-5", rooms.build(connection_shares=share, memberships=rows))) == found


def test_without_shares_nobody_knows_who_may_use_a_connection():
    assert rooms.answer(rooms.build(), "CON-5") == "no"
    shares = [{"principal_id": "tenant", "principal_kind": "Tenant"}]
    less = rooms.build(connection_shares=shares, without=("memberships",))
    assert rooms.only(less, "CON-5")["confidence"].tolist() == ["partial"]


def test_many_running_flows_raise_the_severity():
    flows = [{**rooms.BASE["flows"][0], "flow_id": f"f{i}"} for i in range(10)]
    uses = [{"flow_id": f"f{i}", "alias": "a", "connection_id": "c0"} for i in range(10)]
    made = [{"connection_id": "c0", "created_by_id": "del"}]
    wide = rooms.build(flows=flows, flow_connections=uses, connections=made)
    assert rooms.only(wide, "CON-1")["severity"].tolist() == ["critical"]
    stopped = rooms.build(flows=[{**f, "state": "Stopped"} for f in flows], flow_connections=uses, connections=made)
    assert rooms.only(stopped, "CON-1")["severity"].tolist() == ["medium"]
