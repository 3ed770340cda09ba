"""Rules on service accounts and on definitions: pass, fail and unknown for each; thresholds; exports of findings."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import rooms

from flowanalysis.findings import COLUMNS, answerable, evidence, find, rule_table, to_csv, to_sarif
from flowanalysis.policy import SEVERITIES, load_policy
from flowanalysis.rules import RULES

SVC = "svc-orders@fabrikam.example"
ENTRY = {
    "account": SVC,
    "kind": "user",
    "owner": "ada.berg@fabrikam.example",
    "review_date": "2027-06-30",
    "environments": rooms.ENV,
}
PREMIUM = [{"connector_id": "shared_office365", "environment_id": "(none)", "tier": "Premium"}]


def registered(*entries: dict, **tables: object):
    """The sound tenant with a register."""
    return rooms.build(register=list(entries), **tables)


def holding(*skus: str, who: str = "svc", **tables: object):
    """The sound tenant in which an account holds licences."""
    rows = [{"identity_id": who, "sku_id": s.lower(), "sku_part_number": s} for s in skus]
    return rooms.build(licences=rows, skus=[], **tables)


def test_a_registered_account_with_a_living_owner_is_sound():
    assert not {r for r in rooms.rules(registered(ENTRY)) if r.startswith("SVC")}


@pytest.mark.parametrize("owner", [None, "off@fabrikam.example", "del@fabrikam.example", "nobody@fabrikam.example"])
def test_the_register_needs_a_living_owner(owner):
    assert rooms.only(registered({**ENTRY, "owner": owner}), "SVC-2")["account_id"].tolist() == ["svc"]


@pytest.mark.parametrize("account", [SVC, SVC.upper(), "svc"])
def test_accounts_are_recognised_by_name_or_id_in_any_case(account):
    assert not rooms.finds("SVC-3", registered({**ENTRY, "account": account}))


def test_an_unregistered_account_is_named():
    other = {**ENTRY, "account": "app-1", "kind": "service_principal"}
    assert rooms.only(registered(other), "SVC-3")["account_id"].tolist() == ["svc"]


def test_an_account_that_nobody_uses_is_named():
    ghost = {**ENTRY, "account": "svc-fax@fabrikam.example"}
    idle = {**ENTRY, "account": "app-1", "kind": "service_principal"}
    assert set(rooms.only(registered(ENTRY, ghost, idle), "SVC-4")["subject_id"]) == {"svc-fax@fabrikam.example", "spn"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"review_date": "2026-10-01"}, "review was due on 2026-10-01"),
        ({"kind": "service_principal"}, "registered as service principal"),
        ({"environments": "env-other"}, "works in"),
    ],
)
def test_reality_differs_from_the_register(change, said):
    places = [*rooms.BASE["environments"], {"environment_id": "env-other", "display_name": "Other"}]
    proof = evidence(registered({**ENTRY, **change}, environments=places))
    assert said in proof.loc[proof["rule"] == "SVC-5", "fact"].item()


def test_an_environment_name_that_nobody_bears_claims_nothing():
    assert not rooms.finds("SVC-5", registered({**ENTRY, "environments": "Productoin"}))


@pytest.mark.parametrize("rule", ["SVC-2", "SVC-3", "SVC-4", "SVC-5"])
def test_without_a_register_nothing_is_compared(rule):
    assert rooms.answer(rooms.build(), rule) == "no"
    assert not rooms.finds(rule, rooms.build())


def test_a_service_account_needs_a_licence():
    assert rooms.finds("SVC-1", holding("SPE_E3", who="ada"))
    assert not rooms.finds("SVC-1", holding("SPE_E3"))


def test_premium_steps_need_a_premium_licence():
    assert rooms.finds("SVC-1", holding("SPE_E3", connectors=PREMIUM))
    assert not rooms.finds("SVC-1", holding("SPE_E3", "POWERAUTOMATE_ATTENDED_RPA", connectors=PREMIUM))


@pytest.mark.parametrize("sku", ["CONTOSO_SPECIAL", "DYN365_ENTERPRISE_SALES"])
def test_a_licence_of_which_nobody_knows_what_it_covers_claims_nothing(sku):
    assert not rooms.finds("SVC-1", holding(sku, connectors=PREMIUM))


def test_a_button_flow_runs_under_the_licence_of_whoever_presses_it():
    flows = [{**rooms.BASE["flows"][0], "trigger_kind": "Button"}]
    assert not rooms.finds("SVC-1", holding("SPE_E3", connectors=PREMIUM, flows=flows))


def test_without_licences_fitness_is_not_judged():
    assert rooms.answer(rooms.build(), "SVC-1") == "no"


def many(count: int, **flow: object):
    """So many flows of one owner."""
    return rooms.build(flows=[{**rooms.BASE["flows"][0], "flow_id": f"f{i}", **flow} for i in range(count)])


@pytest.mark.parametrize(("count", "solution", "near"), [(480, False, True), (479, False, False), (480, True, False)])
def test_an_owner_near_the_limit_of_flows_is_named(count, solution, near):
    assert (rooms.finds("LIM-1", many(count, is_solution=solution))) == near


@pytest.mark.parametrize(
    ("runs", "sku", "near"),
    [(120, "SPE_E3", True), (119, "SPE_E3", False), (120, "POWERAUTOMATE_ATTENDED_RPA", False), (120, "ODD", False)],
)
def test_requests_of_the_busiest_day_are_compared_with_the_licence(runs, sku, near):
    flows = [{**rooms.BASE["flows"][0], "action_count": 39}]
    rows = [{"run_id": f"r{i}", "start_at": "2026-10-05T10:00:00Z"} for i in range(runs)]
    assert (rooms.finds("LIM-1", holding(sku, flows=flows, runs=rows))) == near


def test_requests_of_different_days_are_not_added_up():
    flows = [{**rooms.BASE["flows"][0], "action_count": 39}]
    rows = [{"run_id": f"r{i}", "start_at": f"2026-10-{i % 20 + 1:02}T10:00:00Z"} for i in range(500)]
    assert not rooms.finds("LIM-1", holding("SPE_E3", flows=flows, runs=rows))


def test_without_runs_the_answer_is_partial():
    assert rooms.answer(rooms.build(without=("runs",)), "LIM-1") == "partly"


MARKS = [
    ("SEC-1", "secret"),
    ("SEC-2", "open_http_trigger"),
    ("LEG-1", "legacy_connector"),
    ("LEG-1", "deprecated_operation"),
]


@pytest.mark.parametrize(("rule", "mark"), MARKS)
def test_a_mark_of_a_definition_is_a_finding_of_its_flow(rule, mark):
    tenant = rooms.build(definition_marks=[{"mark": mark, "step": "Call", "detail": "in words"}])
    assert rooms.only(tenant, rule)["flow_id"].tolist() == ["f"]
    assert "in words: Call" in evidence(tenant)["fact"].to_list()
    assert not rooms.finds(rule, rooms.build(definition_marks=[{"mark": "no_failure_branch"}]))


@pytest.mark.parametrize("rule", ["SEC-1", "SEC-2", "SEC-4", "LEG-1"])
def test_without_definitions_nothing_is_said_of_them(rule):
    assert rooms.answer(rooms.build(), rule) == "no"


def test_flows_without_a_definition_leave_the_answer_partial():
    flows = [{**rooms.BASE["flows"][0], "has_definition": False}]
    table = answerable(rooms.build(flows=flows, definition_marks=[])).set_index("rule")
    assert table.loc["SEC-1", ["answerable", "missing"]].tolist() == ["partly", "definitions of 1 flows"]


@pytest.mark.parametrize(("right", "found"), [("grant", True), ("share", True), ("write", False)])
def test_a_step_that_gives_rights_is_named(right, found):
    tenant = rooms.build(needs=[{"step": "Add", "right": right, "operation_id": "AddMember"}])
    assert (rooms.finds("SEC-4", tenant)) == found


def leaving(*connectors: str, rules: list[dict] | None = None):
    """The flow with these connectors, under data policies."""
    uses = [{"alias": c, "connector_id": c, "connection_id": "c"} for c in connectors]
    return rooms.build(flow_connections=uses, dlp_rules=rules or [])


def test_business_data_beside_an_outside_connector_can_leave():
    assert rooms.finds("SEC-3", leaving("shared_sharepointonline", "shared_dropbox"))
    assert not rooms.finds("SEC-3", leaving("shared_sharepointonline", "shared_office365"))
    assert not rooms.finds("SEC-3", leaving("shared_dropbox"))


@pytest.mark.parametrize(
    ("scope", "environments", "found"),
    [("all", None, False), ("only", rooms.ENV, False), ("only", "elsewhere", True), ("except", rooms.ENV, True)],
)
def test_the_companys_data_policy_says_more_than_any_list(scope, environments, found):
    rule = {"policy_id": "p", "connector_id": "shared_dropbox", "classification": "business", "scope": scope}
    tenant = leaving("shared_sharepointonline", "shared_dropbox", rules=[{**rule, "environment_ids": environments}])
    assert (rooms.finds("SEC-3", tenant)) == found


def test_without_data_policies_the_answer_is_partial():
    tenant = leaving("shared_sharepointonline", "shared_dropbox")
    less = type(tenant)(
        {t: tenant[t] for t in tenant.collected}, collected=tenant.collected - {"dlp_rules"}, as_of=tenant.as_of
    )
    assert rooms.only(less, "SEC-3")["confidence"].tolist() == ["partial"]


def everything():
    """A tenant in which many rules speak, near their thresholds."""
    flows = [{**rooms.BASE["flows"][0], "flow_id": f"f{i}", "owner_id": "ada", "action_count": 39} for i in range(481)]
    flows[0]["last_run_at"] = rooms.AS_OF - pd.Timedelta(days=95)
    owners = [
        {"flow_id": f"f{i}", "principal_id": "ada", "principal_kind": "User", "role": "Owner"} for i in range(481)
    ]
    owners += [{"flow_id": "f1", "principal_id": "bo", "principal_kind": "User", "role": "CanEdit"}]
    uses = [{"flow_id": "f0", "alias": "a", "connector_id": "shared_office365", "connection_id": "c"}]
    uses += [{"flow_id": "f1", "alias": x, "connection_id": x} for x in ("d", "e")]
    made = [
        *rooms.BASE["connections"],
        {"connection_id": "e", "created_by_id": "svc"},
        {"connection_id": "d", "created_by_id": "ada", "status": "Error"},
    ]
    listed = [{**ENTRY, "review_date": "2026-10-30"}]
    grants = [{"principal_id": "svc", "resource_id": f"r{i}", "resource_kind": "x", "level": "read"} for i in range(2)]
    roles = [{"principal_id": "svc", "role_template_id": "f28a1f50-f6e7-4571-818b-6a12f2af6b6c", "scope": "/"}]
    return rooms.build(
        flows=[{**f, "is_solution": False} for f in flows],
        flow_owners=owners,
        flow_connections=uses,
        connections=made,
        register=listed,
        grants=grants,
        needs=[],
        role_assignments=[{**r, "state": "active"} for r in roles],
        app_permissions=[],
        connection_shares=[{"connection_id": "d", "principal_id": "all", "principal_kind": "Group"}],
        memberships=[{"group_id": "all", "member_id": f"m{i}", "relation": "member"} for i in range(600)],
    )


@pytest.fixture(scope="module")
def crowded():
    tenant = everything()
    return tenant, find(tenant)


def test_a_rule_that_is_switched_off_is_silent_and_says_so():
    policy = load_policy().with_threshold("OWN-1", "enabled", False)
    assert not rooms.finds("OWN-1", rooms.owned_by("del"), policy=policy)
    assert rooms.answer(rooms.owned_by("del"), "OWN-1", policy=policy) == "off"


def test_every_rule_has_words_thresholds_and_a_base_severity():
    table = rule_table()
    assert not table[["title", "impact", "advice", "subject", "needs"]].isin([""]).any().any()
    assert list(table["rule"]) == list(RULES)
    assert table["advice"].str.len().max() <= 120


def test_findings_are_typed_sorted_and_unique(crowded):
    found = crowded[1]
    assert list(found.columns) == COLUMNS
    assert found["finding_id"].is_unique
    rank = found["severity"].map({s: i for i, s in enumerate(SEVERITIES)})
    assert rank.is_monotonic_decreasing
    assert find(rooms.build(without=tuple(rooms.BASE))).empty


def test_evidence_counts_match_the_rows(crowded):
    tenant, found = crowded
    rows = evidence(tenant)["finding_id"].value_counts()
    assert (found.set_index("finding_id")["evidence"] == rows.reindex(found["finding_id"]).to_numpy()).all()


def test_csv_holds_no_formula_and_the_same_bytes(tmp_path):
    found = find(rooms.owned_by("del", display_name="=1+1"))
    for name in ("a.csv", "b.csv"):
        to_csv(found, tmp_path / name)
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert "'=1+1" in text
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_sarif_carries_fingerprints_and_no_markup(tmp_path):
    found = find(rooms.owned_by("del", display_name="[x](javascript:1)\u202e"))
    to_sarif(found, tmp_path / "a.sarif")
    log = json.loads((tmp_path / "a.sarif").read_text(encoding="utf-8"))
    run = log["runs"][0]
    assert log["version"] == "2.1.0"
    assert [r["id"] for r in run["tool"]["driver"]["rules"]] == list(RULES)
    marks = {r["partialFingerprints"]["findingId/v1"] for r in run["results"]}
    assert marks == set(found["finding_id"])
    text = next(r for r in run["results"] if r["ruleId"] == "OWN-1")["message"]["text"]
    assert text.startswith("\\[x\\](javascript:1)\\\\u202e: Flow has no living owner.")
