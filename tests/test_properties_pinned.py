"""Every weight and every severity by an example: laws cannot see a number that is merely wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rooms

from flowanalysis import reference, schema
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.drift import drift
from flowanalysis.analysis.execution import execution_map, flow_accounts
from flowanalysis.analysis.identities import _score
from flowanalysis.definitions.secrets import redact
from flowanalysis.findings import _severity, find, to_sarif
from flowanalysis.policy import SEVERITIES, load_policy
from flowanalysis.rules import RULES
from flowanalysis.tenant import Tenant

BASE = {
    "critical": "",
    "high": "OWN-1 OWN-3 CON-1 CON-5 PRV-1 PRV-2 GAP-2 DRF-1 SVC-1 SVC-2 SEC-1 SEC-2",
    "medium": "OWN-4 OWN-5 CON-2 CON-3 GAP-1 SVC-3 SVC-5 LIM-1 SEC-3 SEC-4",
    "low": "OWN-2 CON-4 SVC-4 OVL-1 LEG-1",
    "info": "OVL-2",
}
LEVELS = {rule: level for level, rules in BASE.items() for rule in rules.split()}


def test_base_severities_are_these():
    assert dict(load_policy().severity["base"]) == LEVELS
    assert set(LEVELS) == set(RULES)


@pytest.mark.parametrize(
    ("rule", "reach", "importance", "level"),
    [
        ("OWN-1", 0, 0, "high"),
        ("OWN-1", 9, 0, "high"),
        ("OWN-1", 10, 0, "critical"),
        ("OWN-1", 0, 1, "critical"),
        ("OWN-1", 10, 1, "critical"),
        ("OWN-1", 0, -1, "medium"),
        ("OWN-1", 10, -1, "high"),
        ("GAP-1", 10, 1, "critical"),
        ("GAP-1", 0, -1, "low"),
        ("OWN-2", 0, -1, "info"),
        ("OVL-2", 0, -1, "info"),
        ("OVL-2", 10, 0, "low"),
    ],
)
def test_severity_is_base_and_reach_and_importance(rule, reach, importance, level):
    assert _severity(rule, np.array([reach]), np.array([importance]), load_policy()).tolist() == [level]


@pytest.mark.parametrize(
    ("flow", "level"),
    [
        ({}, "high"),
        ({"state": "Stopped"}, "medium"),
        ({"state": "Suspended"}, "high"),
        ({"state": None}, "high"),
        ({"state": "Unknown"}, "high"),
        ({"display_name": "Payroll"}, "high"),
    ],
)
def test_a_flow_without_owner_weighs_what_it_does(flow, level):
    assert rooms.only(rooms.owned_by("del", **flow), "OWN-1")["severity"].tolist() == [level]


@pytest.mark.parametrize(("resource", "level"), [("sites/a", "high"), ("sites/payroll", "critical")])
def test_sensitive_data_raises_a_finding_by_one(resource, level):
    need = {"step": "s", "alias": "a", "right": "x", "level": "read", "resource": resource}
    state = rooms.owned_by("del").replace(
        needs=schema.frame("needs", [rooms.WHERE["needs"] | need]),
        resources=schema.frame("resources", [{"resource_id": resource, "kind": "sharepoint_site"}]),
    )
    assert rooms.only(state, "OWN-1")["severity"].tolist() == [level]


def test_findings_come_worst_first_and_levels_map_to_sarif(tmp_path):
    import orjson

    found = find(rooms.owned_by("del", "off", state="Stopped"))
    ranks = found["severity"].map(SEVERITIES.index).tolist()
    assert ranks == sorted(ranks, reverse=True)
    frame = pd.concat([found.head(1).assign(severity=s) for s in SEVERITIES], ignore_index=True)
    to_sarif(frame, tmp_path / "f.sarif")
    results = orjson.loads((tmp_path / "f.sarif").read_bytes())["runs"][0]["results"]
    assert [r["level"] for r in results] == ["note", "note", "warning", "error", "error"]


# Service accounts

WEIGHTS = {
    "name": 0.75,
    "name_weak": 0.3,
    "job_title": 0.7,
    "employee_type": 0.8,
    "no_manager": 0.2,
    "no_employee_id": 0.1,
    "no_personal_name": 0.25,
    "password_never_expires": 0.2,
    "noninteractive_only": 0.4,
    "automation_licence_only": 0.35,
    "many_flows": 0.4,
    "serves_others": 0.5,
    "receives_flows": 0.4,
}
DAMPERS = {"personnel_record": 0.6, "interactive": 0.15, "personal_upn": 0.5, "break_glass": 0.9}


def score(*fired: str) -> float:
    rules = load_policy().identities
    flags = {name: np.array([name in fired]) for name in (*rules["weights"], *rules["dampers"])}
    return round(float(_score(flags, rules)[0]), 6)


@pytest.mark.parametrize(("signal", "weight"), WEIGHTS.items())
def test_a_signal_alone_scores_its_weight(signal, weight):
    assert score(signal) == weight


@pytest.mark.parametrize(("signal", "damping"), DAMPERS.items())
def test_a_counter_signal_takes_its_part_away(signal, damping):
    assert score("name", signal) == round(0.75 * (1 - damping), 6)


def test_signals_join_like_independent_doubts():
    assert score("name", "many_flows") == round(1 - 0.25 * 0.6, 6)
    assert score() == 0.0
    identities = load_policy().identities
    assert dict(identities["weights"]) == WEIGHTS
    assert dict(identities["dampers"]) == DAMPERS
    assert (identities["service"], identities["review"]) == (0.72, 0.45)


# Thresholds, clocks and levels


def test_thresholds_are_these():
    told = {rule: {k: v for k, v in entries.items() if k != "enabled"} for rule, entries in load_policy().rules.items()}
    assert {rule: entries for rule, entries in told.items() if entries} == {
        "OWN-2": {"owners": 2},
        "OWN-3": {"premium_days": 14},
        "OWN-5": {"group_counts": True},
        "CON-2": {"idle_days": 90},
        "CON-4": {"accounts": 2},
        "CON-5": {"group_members": 500},
        "PRV-1": {"tier": 1},
        "PRV-2": {"gains": 1, "share": 0.5, "tier": 1},
        "GAP-1": {"rights": 1},
        "SVC-3": {"flows": 1},
        "SVC-5": {"review_grace_days": 0},
        "LIM-1": {"share": 0.8},
        "OVL-1": {"containment": 1.0, "rights": 1},
        "OVL-2": {"excess": 50},
    }


def test_weights_of_rights_and_of_sensitive_data_are_these():
    policy = load_policy()
    assert dict(policy.planning["levels"]) == {"read": 1.0, "write": 3.0, "owner": 5.0, "full": 8.0, "unknown": 8.0}
    assert [p["weight"] for p in policy.sensitivity["patterns"]] == [5.0]
    assert policy.sensitivity["default"] == 1.0


def test_roles_that_control_a_tenant_are_tier_0():
    roles = reference.table("entra_roles").set_index("role_name")["tier"]
    assert roles[["Global Administrator", "Privileged Role Administrator"]].tolist() == ["0", "0"]
    assert roles[["SharePoint Administrator", "Exchange Administrator"]].tolist() == ["1", "1"]
    assert roles["Directory Readers"] not in ("0", "1")


# Facts of the analyses that no law sees


@pytest.mark.parametrize(
    ("role", "level"), [("CanView", "read"), ("CanViewWithShare", "read"), ("CanEdit", "write"), ("Owner", "owner")]
)
def test_a_share_of_a_connection_counts_as_this_level(role, level):
    share = {"environment_id": "e", "connection_id": "c", "principal_id": "ann", "role": role}
    found = effective_permissions(Tenant({"connection_shares": schema.frame("connection_shares", [share])}), "ann")
    assert found[["kind", "level", "right", "state", "via"]].astype(str).to_numpy().tolist() == [
        ["connection_share", level, role, "active", "direct"]
    ]


def test_a_role_of_which_no_state_is_told_counts_as_active_and_an_eligible_one_does_not():
    rows = [
        {"principal_id": "ann", "role_id": "r1", "role_name": "One", "state": None},
        {"principal_id": "ann", "role_id": "r2", "role_name": "Two", "state": "eligible"},
    ]
    found = effective_permissions(Tenant({"role_assignments": schema.frame("role_assignments", rows)}), "ann")
    assert dict(zip(found["right"], found["state"], strict=True)) == {"One": "active", "Two": "eligible"}


def test_own_and_inherited_rights_are_told_apart_at_their_level():
    member = {"group_id": "team", "member_id": "ann", "relation": "member"}
    grants = [("ann", "a", "write"), ("team", "a", "write"), ("ann", "b", "read"), ("team", "b", "owner")]
    rows = [{"principal_id": p, "resource_id": r, "level": v} for p, r, v in grants]
    frames = {"memberships": schema.frame("memberships", [member]), "grants": schema.frame("grants", rows)}
    found = effective_permissions(Tenant(frames), "ann")
    assert found[["resource_id", "right", "via"]].astype(str).to_numpy().tolist() == [
        ["a", "write", "direct"],
        ["b", "owner", "group"],
    ]


@pytest.mark.parametrize(("asked", "written"), [(None, True), (True, True), (False, False)])
def test_paths_are_written_unless_nobody_wants_them(asked, written):
    grant = {"principal_id": "ann", "resource_id": "ledger", "level": "write"}
    found = effective_permissions(Tenant({"grants": schema.frame("grants", [grant])}), "ann", paths=asked)
    assert found["path"].notna().tolist() == [written]


def test_what_was_not_collected_is_named_for_every_table():
    assert effective_permissions(Tenant({}), everyone=True).attrs["coverage"]["notes"] == [
        "grants not collected: no right on a resource is seen",
        "memberships not collected: rights through groups are not seen",
        "role_assignments not collected: directory roles are not seen",
        "app_permissions not collected: permissions of applications are not seen",
        "connection_shares not collected: shares of connections are not seen",
        "environment_roles not collected: roles in environments and Dataverse are not seen",
    ]


@pytest.mark.parametrize(
    ("connection", "method", "words"),
    [
        ({"account_name": "svc@x.example"}, "account_name", "the account signed in to the connection"),
        ({"client_id": "app-1"}, "client_id", "the application in the connection's parameters"),
        ({"username": "svc@x.example"}, "username", "the user name in the connection's parameters"),
        ({"created_by_id": "ann"}, "created_by", "the maker of the connection, since it names no account"),
        ({}, "none", "nothing in the connection names an account"),
    ],
)
def test_each_way_to_know_an_account_has_its_words(connection, method, words):
    key = {"environment_id": "e", "flow_id": "f", "alias": "a"}
    frames = {
        "steps": schema.frame("steps", [key | {"step": "s", "connector_id": "x", "runtime_source": "embedded"}]),
        "flow_connections": schema.frame("flow_connections", [key | {"connection_id": "c", "connector_id": "x"}]),
        "connections": schema.frame("connections", [{"environment_id": "e", "connection_id": "c", **connection}]),
    }
    row = execution_map(Tenant(frames, collected={*frames, "identities", "connection_references"})).iloc[0]
    assert row["method"] == method
    assert row["reason"] in ("ok", "unknown_account")
    assert row["how"] == words


def test_a_step_that_runs_as_whoever_starts_it_says_so_even_without_a_connection():
    key = {"environment_id": "e", "flow_id": "f", "step": "s", "alias": "a", "connector_id": "x"}
    rows = [key | {"runtime_source": "invoker"}, key | {"step": "t", "runtime_source": "embedded"}]
    found = execution_map(Tenant({"steps": schema.frame("steps", rows)}))
    assert found["reason"].tolist() == ["invoker", "missing_reference"]
    assert found["method"].tolist() == ["none", "none"]


def test_accounts_of_a_flow_come_once_each_with_their_number_of_connections():
    key = {"environment_id": "e", "flow_id": "f", "runtime_source": "embedded"}
    uses = [key | {"alias": a, "connection_id": c} for a, c in (("a", "c1"), ("b", "c2"), ("c", "c3"))]
    made = [("c1", "bo"), ("c2", "ann"), ("c3", "bo")]
    frames = {
        "flow_connections": schema.frame("flow_connections", uses),
        "connections": schema.frame(
            "connections", [{"environment_id": "e", "connection_id": c, "created_by_id": p} for c, p in made]
        ),
    }
    found = flow_accounts(Tenant(frames))
    assert found[["account_id", "connections"]].to_numpy().tolist() == [["ann", 1], ["bo", 2]]


DRIFT = {
    "grants": ("right", "principal_id", "resource_id", "level"),
    "memberships": ("membership", "member_id", "group_id", "relation"),
    "role_assignments": ("directory_role", "principal_id", "role_id", "state"),
    "app_permissions": ("app_permission", "client_id", "permission", "kind"),
    "environment_roles": ("environment_role", "principal_id", "environment_id", "role"),
    "flow_owners": ("owner", "principal_id", "flow_id", "role"),
    "connection_shares": ("share", "principal_id", "connection_id", "role"),
    "connections": ("connection", "connection_id", None, "account_name"),
    "connection_references": ("connection_reference", "reference_name", None, "connection_id"),
    "flow_connections": ("flow_connection", "flow_id", "alias", "connection_id"),
    "flows": ("flow", "flow_id", None, "state"),
    "identities": ("identity", "identity_id", None, "status"),
}


@pytest.mark.parametrize("table", DRIFT)
def test_a_new_row_is_told_in_the_words_of_its_table(table):
    what, subject, thing, value = DRIFT[table]
    told = schema.table(table)
    row = {c: f"{c} of it" for c in (*told.key, subject, value) if told.kinds[c] == "text"}
    row |= {"level": "write"} if table == "grants" else {}
    before = Tenant({table: schema.empty(table)}, collected={table})
    after = Tenant({table: schema.frame(table, [row])}, collected={table})
    for first, second, change, column in ((before, after, "gained", "after"), (after, before, "lost", "before")):
        found = drift(first, second)
        assert len(found) == 1
        seen = found.iloc[0]
        assert (seen["what"], seen["change"], seen["subject_id"]) == (what, change, row[subject])
        assert pd.isna(seen["object_id"]) if thing is None else seen["object_id"] == row[thing]
        assert seen[column] == row[value]
        assert row[subject] in seen["sentence"] or table in ("connections", "flows")


@pytest.mark.parametrize("name", ["ClientSecret", "ClientSecretOfTheAccountThatSendsInvoices"])
def test_the_name_of_a_secret_is_repeated_only_when_it_is_short(name):
    step = {"type": "InitializeVariable", "inputs": {"variables": [{"name": name, "value": "Wel4come" + "!20-26xQ"}]}}
    _, found = redact({"triggers": {}, "actions": {"Keep": step}})
    assert [s.kind for s in found] == [name if len(name) <= 40 else "named secret"]
