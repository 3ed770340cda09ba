"""What stops when an account is hit by an event: every clock, every repairer, by tables made by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.analysis.departures import EVENTS, departure_impact, departures, failing_steps
from flowanalysis.errors import UnknownName
from flowanalysis.tenant import Tenant

E = "env"
DAY = pd.Timestamp("2026-10-31 20:00", tz="UTC")
SITE = "https://corp.example/sites/a"
CONNECTION_EVENTS = {
    "password_reset": ("password_reset", 0),
    "mfa_enforced": ("mfa_enforced", 0),
    "mfa_remembered": ("remember_mfa", 14),
    "terms_of_use": ("terms_of_use", 0),
    "connection_idle": ("idle_connection", 90),
    "app_disabled": ("app_disabled", 0),
}


def person(key: str, **more: object) -> dict:
    return {"identity_id": key, "kind": "user", "upn": f"{key}@corp.example", "status": "active", **more}


def flow(key: str, owner: str, **more: object) -> dict:
    told = {"owner_id": owner, "display_name": key.title(), "trigger_type": "Recurrence", "state": "Started"}
    return {"environment_id": E, "flow_id": key, **told, **more}


def owner(key: str, who: str, role: str = "Owner") -> dict:
    return {"environment_id": E, "flow_id": key, "principal_id": who, "principal_kind": "user", "role": role}


def use(key: str, **more: object) -> dict:
    told = {"alias": "a", "connector_id": "shared_sharepointonline", "connection_id": "c", "tier": "Standard"}
    return {"environment_id": E, "flow_id": key, "runtime_source": "embedded", **told, **more}


def step(key: str, name: str, kind: str = "action") -> dict:
    told = {"alias": "a", "connector_id": "shared_sharepointonline", "operation_id": "GetItems"}
    return {"environment_id": E, "flow_id": key, "step": name, "kind": kind, **told}


def state(*, without: tuple[str, ...] = (), **tables: list[dict]) -> Tenant:
    """Ann owns *pay*, which runs on a connection of svc; Ann and Bob own *mail*, a manual flow."""
    rows = {
        "identities": [person(who) for who in ("ann", "bob", "svc", "admin")],
        "flows": [
            flow("pay", "ann"),
            flow("mail", "ann", trigger_type="Request", trigger_kind="Button"),
        ],
        "flow_owners": [owner("pay", "ann"), owner("mail", "ann"), owner("mail", "bob", "CanEdit")],
        "connections": [{"environment_id": E, "connection_id": "c", "created_by_id": "svc"}],
        "flow_connections": [use("pay")],
        "steps": [step("pay", "Get_rows"), step("pay", "Send"), step("pay", "Every_day", "trigger")],
        "environment_roles": [],
        "role_assignments": [],
        "memberships": [],
        **tables,
    }
    frames = {t: schema.frame(t, r) for t, r in rows.items() if t not in without}
    return Tenant(frames, collected=set(frames), as_of=DAY)


def told(tenant: Tenant, who: object, event: str, *columns: str) -> list[tuple]:
    found = departures(tenant, who, event)[list(columns)].astype(object)
    return list(found.where(found.notna(), None).itertuples(index=False, name=None))


# Connections that sign in as the account


@pytest.mark.parametrize(("event", "clock", "days"), [(e, *c) for e, c in CONNECTION_EVENTS.items()])
def test_an_event_of_signing_in_hits_the_flows_that_run_on_the_connections(event, clock, days):
    (row,) = departures(state(), "svc", event).to_dict("records")
    assert (row["flow_id"], row["part"], row["clock"], row["stops"]) == ("pay", "connection", clock, True)
    assert (row["steps"], row["trigger"]) == (3, True)
    assert row["days"] == days
    assert row["happens_at"] == DAY + pd.Timedelta(days=days)


@pytest.mark.parametrize("event", sorted(set(CONNECTION_EVENTS) - {"role_removed"}))
def test_signing_in_is_no_matter_for_those_who_only_own(event):
    assert departures(state(), "ann", event).empty


def test_every_event_is_tried_here():
    rest = {"deleted", "disabled", "licence_removed", "owner_changed", "role_removed"}
    assert set(EVENTS) == set(CONNECTION_EVENTS) | rest


def test_connections_that_each_runner_brings_along_do_not_hang_on_an_account():
    tenant = state(flow_connections=[use("pay", runtime_source="invoker")])
    assert departures(tenant, "svc", "deleted").empty
    assert failing_steps(tenant, "svc").empty


def test_the_trigger_is_among_the_failing_steps_only_when_it_signs_in():
    steps = [step("pay", "Get_rows"), {**step("pay", "Every_day", "trigger"), "alias": None, "connector_id": None}]
    assert told(state(steps=steps), "svc", "deleted", "flow_id", "steps", "trigger") == [("pay", 1, False)]


def test_without_definitions_the_number_of_steps_is_not_known():
    assert told(state(without=("steps",)), "svc", "deleted", "flow_id", "stops", "steps", "trigger") == [
        ("pay", True, None, None)
    ]


# Flows that the account owns


def test_a_deleted_owner_leaves_the_flow_to_the_other_or_orphans_it():
    found = told(state(), "ann", "deleted", "flow_id", "clock", "stops", "others")
    assert found == [
        ("mail", "coowner_continues", False, 1),
        ("mail", "low_profile", False, 1),
        ("pay", "low_profile", False, 0),
        ("pay", "orphaned", None, 0),
    ]


@pytest.mark.parametrize("status", ["disabled", "deleted"])
def test_a_co_owner_who_is_not_alive_cannot_go_on(status):
    tenant = state(identities=[person("ann"), person("bob", status=status), person("svc")])
    assert ("mail", "orphaned") in told(tenant, "ann", "deleted", "flow_id", "clock")


def test_two_who_leave_together_orphan_what_neither_would_alone():
    tenant = state()
    for alone in ("ann", "bob"):
        assert ("mail", "orphaned") not in told(tenant, alone, "deleted", "flow_id", "clock")
    assert told(tenant, ["ann", "bob"], "deleted", "flow_id", "account_id", "clock") == [
        ("mail", "ann", "low_profile"),
        ("mail", "ann", "orphaned"),
        ("mail", "bob", "orphaned"),
        ("pay", "ann", "low_profile"),
        ("pay", "ann", "orphaned"),
    ]


def test_a_co_owner_who_leaves_changes_nothing_while_the_primary_lives():
    assert departures(state(), "bob", "deleted").empty


def test_a_premium_flow_is_turned_off_when_its_primary_owner_is_gone():
    tenant = state(flow_connections=[use("pay", connector_id="shared_sql", tier="Premium"), use("mail")])
    assert told(tenant, "ann", "deleted", "flow_id", "clock", "stops")[-1] == ("pay", "premium_off", True)
    assert ("mail", "premium_off", True) not in told(tenant, "ann", "deleted", "flow_id", "clock", "stops")


def test_a_disabled_owner_stops_what_starts_by_itself_and_not_what_people_start():
    found = told(state(), "ann", "disabled", "flow_id", "clock", "stops")
    assert ("pay", "disabled_owner_stops", True) in found
    assert not [row for row in found if row[:2] == ("mail", "disabled_owner_stops")]


def test_a_lost_licence_hits_premium_flows_by_their_kind():
    premium = {"connector_id": "shared_sql", "tier": "Premium"}
    tenant = state(flow_connections=[use("pay", **premium), use("mail", **premium)])
    assert told(tenant, "ann", "licence_removed", "flow_id", "clock", "stops", "days") == [
        ("mail", "premium_off_licence", True, 14),
        ("pay", "enforced_environment", False, 90),
        ("pay", "enforced_suspension", None, 180),
        ("pay", "premium_off_licence", True, 14),
    ]


def test_a_lost_licence_is_no_matter_for_standard_flows():
    assert departures(state(), "ann", "licence_removed").empty


def test_a_new_owner_of_a_premium_flow_needs_a_licence_in_time():
    tenant = state(flow_connections=[use("pay", connector_id="shared_sql", tier="Premium")])
    assert told(tenant, "ann", "owner_changed", "flow_id", "clock", "stops", "days") == [
        ("pay", "licence_delay", False, 7),
        ("pay", "new_owner_premium", True, 30),
    ]


def test_without_co_owners_an_orphan_is_a_guess_and_says_so():
    tenant = state(without=("flow_owners",))
    found = told(tenant, "ann", "deleted", "flow_id", "clock", "certainty", "others")
    assert ("pay", "orphaned", "not_collected", None) in found
    assert not [row for row in found if row[1] != "orphaned" and row[2] == "not_collected"]


# A role that is taken away


def need(level: str, name: str) -> dict:
    told_ = {"level": level, "resource": SITE, "resource_kind": "sharepoint_site", "state": "known", "alias": "a"}
    return {"environment_id": E, "flow_id": "pay", "step": name, "right": f"sites.{level}", **told_}


def grant(level: str) -> dict:
    return {"principal_id": "svc", "resource_id": SITE, "resource_kind": "sharepoint_site", "level": level}


@pytest.mark.parametrize(
    ("grants", "failing"),
    [([], ["Get_rows", "Send"]), ([grant("read")], ["Send"]), ([grant("write")], [])],
)
def test_a_role_that_goes_may_take_the_rights_that_no_grant_carries(grants, failing):
    tenant = state(needs=[need("read", "Get_rows"), need("write", "Send")], grants=grants)
    assert failing_steps(tenant, "svc", "role_removed")["step"].tolist() == failing
    expected = [("pay", "role_removed", None, len(failing))] if failing else []
    assert told(tenant, "svc", "role_removed", "flow_id", "clock", "stops", "steps") == expected


# Who can repair it


ADMIN = {"environment_id": E, "principal_id": "admin", "principal_kind": "user", "role": "EnvironmentAdmin"}
TENANT_ADMIN = {"principal_id": "admin", "role_id": "r", "role_name": "Power Platform Administrator", "scope": "/"}


def test_the_account_itself_signs_in_again_where_it_can():
    assert told(state(), "svc", "password_reset", "repairers", "repairer_kind") == [("svc", "account")]


def test_an_account_that_is_gone_repairs_nothing_its_co_owners_do():
    assert told(state(), "svc", "deleted", "repairers", "repairer_kind") == [("ann", "co-owner")]


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"environment_roles": [ADMIN]}, ("admin", "environment_admin")),
        ({"role_assignments": [{**TENANT_ADMIN, "state": "active"}]}, ("admin", "tenant_admin")),
        ({"role_assignments": [{**TENANT_ADMIN, "state": "eligible"}]}, (None, "none")),
        ({"environment_roles": [{**ADMIN, "role": "EnvironmentMaker"}]}, (None, "none")),
        ({"environment_roles": [{**ADMIN, "environment_id": "elsewhere"}]}, (None, "none")),
        ({"environment_roles": [{**ADMIN, "principal_id": "ann"}]}, (None, "none")),
    ],
)
def test_with_no_co_owner_left_an_administrator_repairs_a_flow(tables, expected):
    rows = departures(state(**tables), "ann", "deleted")
    row = rows[rows["flow_id"] == "pay"].iloc[0]
    assert (row["repairers"] if pd.notna(row["repairers"]) else None, row["repairer_kind"]) == expected


# The words


def test_a_row_is_told_with_its_date():
    tenant = state(steps=[step("pay", "Get_rows")])
    (sentence,) = departures(tenant, "svc", "connection_idle")["sentence"]
    assert sentence.startswith("1 step of Pay signs in as svc@corp.example; from 2027-01-29 AADSTS70008")
    (sentence,) = departures(state(), "svc", "terms_of_use")["sentence"]
    assert sentence.startswith("3 steps of Pay sign in as svc@corp.example; from 2026-10-31 silent sign-in cannot")
    found = departures(state(), "ann", "deleted", at=pd.Timestamp("2026-12-01", tz="UTC")).set_index("clock")
    assert found.loc["coowner_continues", "sentence"].startswith("ann@corp.example owns Mail; the flow goes on")
    assert found.loc["low_profile", "sentence"].iloc[0].endswith("from 2026-12-01 performance profile drops to Low.")


def test_unknown_events_and_accounts_are_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="password_reset"):
        departures(state(), "svc", "pasword_reset")
    with pytest.raises(UnknownName, match="svc"):
        departures(state(), "svx@corp.example", "deleted")


def test_the_ranking_of_all_agrees_with_each_departure():
    tenant = state()
    ranks = departure_impact(tenant).set_index("identity_id")
    assert ranks.loc["ann", ["flows_stop", "flows_fail", "flows_orphaned", "flows_owned"]].tolist() == [1, 0, 1, 2]
    assert ranks.loc["svc", ["flows_stop", "flows_fail", "flows_orphaned", "connections"]].tolist() == [1, 1, 0, 1]
    assert "bob" not in ranks.index
