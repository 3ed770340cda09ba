"""Whose rights a step uses, link by link."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.analysis.execution import connection_accounts, connection_uses, execution_map, flow_accounts
from flowanalysis.tenant import Tenant

E = "env"


def tenant(*, collected=None, **tables) -> Tenant:
    return Tenant({name: schema.frame(name, rows) for name, rows in tables.items()}, collected=collected)


def person(key, **more):
    return {"identity_id": key, "kind": "user", "upn": f"{key}@contoso.example", "status": "active", **more}


def connection(key, **more):
    return {"environment_id": E, "connection_id": key, "connector_id": "shared_office365", **more}


def use(alias, **more):
    return {"environment_id": E, "flow_id": "f", "alias": alias, "runtime_source": "embedded", **more}


def step(alias, **more):
    row = {"environment_id": E, "flow_id": "f", "step": f"Use_{alias}", "kind": "action", "alias": alias}
    return {**row, "connector_id": "shared_office365", **more}


def only(frame: pd.DataFrame) -> pd.Series:
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.mark.parametrize(
    "fields, account, method, reason",
    [
        ({"account_name": "SVC@contoso.example", "created_by_id": "maker"}, "svc", "account_name", "ok"),
        ({"account_name": "svc.mail@contoso.example"}, "svc", "account_name", "ok"),
        ({"client_id": "app-1", "created_by_id": "maker"}, "robot", "client_id", "ok"),
        ({"client_id": "app-unheard-of"}, None, "client_id", "unknown_account"),
        ({"username": "svc@contoso.example", "created_by_id": "maker"}, "svc", "username", "ok"),
        ({"username": "sql_loader", "created_by_id": "maker"}, None, "username", "external_account"),
        ({"account_name": "gone@contoso.example", "created_by_id": "maker"}, None, "account_name", "unknown_account"),
        ({"created_by_id": "maker", "created_by_upn": "maker@contoso.example"}, "maker", "created_by", "ok"),
        ({"created_by_id": "stranger"}, "stranger", "created_by", "unknown_account"),
        ({}, None, "none", "unknown_account"),
    ],
)
def test_account_is_found_by_the_best_evidence(fields, account, method, reason):
    t = tenant(
        identities=[
            person("svc", mail="svc.mail@contoso.example"),
            person("maker"),
            {"identity_id": "robot", "kind": "service_principal", "app_id": "app-1", "status": "active"},
        ],
        connections=[connection("c", **fields)],
    )
    row = only(connection_accounts(t))
    assert (row["account_id"] if pd.notna(row["account_id"]) else None) == account
    assert (row["method"], row["reason"]) == (method, reason)


def test_living_account_wins_over_a_deleted_one_of_the_same_name():
    t = tenant(
        identities=[
            person("old", upn="svc@contoso.example", status="deleted"),
            person("new", upn="svc@contoso.example"),
        ],
        connections=[connection("c", account_name="svc@contoso.example")],
    )
    assert only(connection_accounts(t))["account_id"] == "new"


def test_account_equal_to_the_maker_is_known_without_any_user_list():
    t = tenant(
        connections=[
            connection(
                "c", account_name="Ann@contoso.example", created_by_upn="ann@contoso.example", created_by_id="a"
            ),
            connection(
                "d", account_name="other@contoso.example", created_by_upn="ann@contoso.example", created_by_id="a"
            ),
        ]
    )
    rows = connection_accounts(t).set_index("connection_id")
    assert rows.loc["c", "account_id"] == "a"
    assert rows.loc["c", "reason"] == "ok"
    assert rows.loc["d", "reason"] == "not_collected"


REFERENCE = {"environment_id": E, "reference_name": "ref", "connector_id": "shared_office365"}


@pytest.mark.parametrize(
    "declared, tables, collected, reason",
    [
        ({"connection_id": "c"}, {}, None, "ok"),
        ({"reference_name": "ref"}, {"connection_references": [{**REFERENCE, "connection_id": "c"}]}, None, "ok"),
        (
            {"reference_name": "ref"},
            {"connection_references": [{**REFERENCE, "is_bound": False}]},
            None,
            "unbound_reference",
        ),
        ({"reference_name": "ref"}, {"connection_references": [REFERENCE]}, None, "not_collected"),
        ({"reference_name": "ref"}, {}, None, "not_collected"),
        ({"reference_name": "ref"}, {}, ["connections", "connection_references"], "missing_reference"),
        ({"connection_id": "lost"}, {}, None, "missing_connection"),
        ({"connection_id": "lost"}, {}, [], "not_collected"),
        ({}, {}, None, "unbound_reference"),
        ({"connection_id": "c", "runtime_source": "invoker"}, {}, None, "invoker"),
    ],
)
def test_each_broken_link_has_its_own_reason(declared, tables, collected, reason):
    t = tenant(
        collected=collected,
        identities=[person("svc")],
        connections=[connection("c", account_name="svc@contoso.example")],
        flow_connections=[use("mail", **declared)],
        steps=[step("mail")],
        **tables,
    )
    row = only(execution_map(t))
    assert row["reason"] == reason
    assert pd.notna(row["how"])
    assert pd.notna(row["account_id"]) == (reason == "ok")
    assert only(connection_uses(t))["reason"] == reason


def test_no_step_is_dropped_and_built_in_steps_need_nobody():
    t = tenant(
        flow_connections=[use("mail", connection_id="c")],
        steps=[
            step("mail"),
            step("nowhere"),
            step("theirs", runtime_source="invoker"),
            step(None, step="Compose", connector_id=None),
        ],
    )
    rows = execution_map(t).set_index("step")["reason"].to_dict()
    assert rows == {
        "Use_mail": "not_collected",
        "Use_nowhere": "missing_reference",
        "Use_theirs": "invoker",
        "Compose": "no_connection",
    }


def test_flow_accounts_read_in_both_directions_and_skip_invokers():
    t = tenant(
        identities=[person("svc"), person("ann")],
        connections=[
            connection("c1", account_name="svc@contoso.example"),
            connection("c2", account_name="svc@contoso.example"),
            connection("c3", account_name="ann@contoso.example"),
        ],
        flow_connections=[
            use("a", connection_id="c1"),
            use("b", connection_id="c2"),
            use("c", connection_id="c3", runtime_source="invoker"),
            use("d", flow_id="g", connection_id="c3"),
        ],
    )
    rows = flow_accounts(t)
    assert rows[["flow_id", "account_id", "connections"]].values.tolist() == [["f", "svc", 2], ["g", "ann", 1]]


def test_an_empty_tenant_gives_empty_frames_with_their_columns():
    t = tenant()
    for function in (connection_accounts, connection_uses, execution_map, flow_accounts):
        assert function(t).empty
    assert {"account_id", "reason", "how"} <= set(execution_map(t).columns)
