"""Every way in which the chain from a step to an account holds or breaks, with its reason and its words."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.analysis.execution import connection_uses, execution_map, flow_accounts, unknown_accounts
from flowanalysis.tenant import Tenant

KEY = {"environment_id": "e", "flow_id": "f"}
SVC = {"identity_id": "svc", "upn": "svc@fabrikam.example", "kind": "user", "status": "active"}
MADE = {"environment_id": "e", "connection_id": "c", "connector_id": "x", "account_name": "SVC@fabrikam.example"}
PLATFORM = "the platform itself; the step needs no connection"
UNDECLARED = "not known: nothing declares the alias or reference that the step names"


def state(step: dict, use: dict | None = None, **more: list[dict]) -> Tenant:
    """One step, what its flow declares, and the rest; connections and references were collected."""
    tables = {
        "steps": [KEY | {"step": "s"} | step],
        "flow_connections": [KEY | {"alias": "a", "connector_id": "x"} | use] if use is not None else [],
        "connections": [MADE],
        "connection_references": [],
        "identities": [SVC],
        **more,
    }
    frames = {t: schema.frame(t, rows) for t, rows in tables.items()}
    return Tenant(frames, collected=frames)


def told(tenant: Tenant, *columns: str) -> list:
    row = execution_map(tenant)[list(columns)].astype(object)
    return row.where(row.notna(), None).iloc[0].tolist()


@pytest.mark.parametrize(
    ("step", "reason", "words"),
    [
        ({}, "no_connection", PLATFORM),
        ({"alias": "a"}, "missing_reference", UNDECLARED),
        ({"connector_id": "x"}, "missing_reference", UNDECLARED),
        ({"alias": "a", "connector_id": "x"}, "missing_reference", UNDECLARED),
        (
            {"alias": "a", "connector_id": "x", "runtime_source": "invoker"},
            "invoker",
            "whoever starts the flow, on a connection of their own",
        ),
    ],
)
def test_a_step_whose_alias_nothing_declares(step, reason, words):
    assert told(state(step), "reason", "how", "method", "account_id") == [reason, words, "none", None]


STEP = {"alias": "a", "connector_id": "x", "operation_id": "Get", "runtime_source": "embedded"}
REFERENCE = {"environment_id": "e", "reference_name": "r"}


@pytest.mark.parametrize(
    ("use", "references", "reason", "connection", "account"),
    [
        ({"connection_id": "c"}, [], "ok", "c", "svc"),
        ({"reference_name": "r"}, [REFERENCE | {"connection_id": "c", "is_bound": True}], "ok", "c", "svc"),
        ({"reference_name": "r", "connection_id": "c"}, [REFERENCE | {"connection_id": "d"}], "ok", "c", "svc"),
        ({"reference_name": "r"}, [REFERENCE | {"is_bound": False}], "unbound_reference", None, None),
        ({"reference_name": "r"}, [REFERENCE], "not_collected", None, None),
        ({"reference_name": "r"}, [], "missing_reference", None, None),
        ({}, [], "unbound_reference", None, None),
        ({"connection_id": "gone"}, [], "missing_connection", "gone", None),
        ({"connection_id": "c", "runtime_source": "invoker"}, [], "invoker", "c", None),
    ],
)
def test_each_link_of_the_chain(use, references, reason, connection, account):
    tenant = state(STEP, use, connection_references=references)
    assert told(tenant, "reason", "connection_id", "account_id") == [reason, connection, account]
    assert told(tenant, "alias", "connector_id", "operation_id") == ["a", "x", "Get"]
    uses = connection_uses(tenant)
    assert uses["reason"].tolist() == [reason]
    assert uses["how"].tolist() == told(tenant, "how")
    assert unknown_accounts(tenant).tolist() == [int(account is None and reason != "invoker")]


@pytest.mark.parametrize(
    ("missing", "use", "reason"),
    [
        ("connections", {"connection_id": "c"}, "not_collected"),
        ("connection_references", {"reference_name": "r"}, "not_collected"),
        ("connection_references", {"connection_id": "c"}, "ok"),
    ],
)
def test_a_table_that_was_not_collected_is_no_broken_chain(missing, use, reason):
    whole = state(STEP, use)
    part = Tenant({t: whole[t] for t in whole.collected - {missing}}, collected=whole.collected - {missing})
    assert told(part, "reason") == [reason]
    assert unknown_accounts(part).tolist() == [int(reason != "ok")]


def test_steps_keep_their_order_and_columns():
    tenant = state({})
    steps = [KEY | {"step": n, "alias": a} for n, a in (("z", None), ("a", "gone"), ("m", None))]
    found = execution_map(tenant.replace(steps=schema.frame("steps", steps)))
    assert found["step"].tolist() == ["z", "a", "m"]
    assert list(found) == [
        *("environment_id", "flow_id", "step", "connector_id", "operation_id", "alias", "connection_id"),
        *("account_id", "account_name", "account_kind", "method", "reason", "how"),
    ]


def test_accounts_of_flows_are_sorted_and_leave_out_invokers_and_the_unknown():
    declared = [
        KEY | {"alias": "a", "connection_id": "c", "runtime_source": "embedded"},
        KEY | {"alias": "b", "connection_id": "c", "runtime_source": "invoker"},
        KEY | {"alias": "d", "connection_id": "gone", "runtime_source": "embedded"},
        KEY | {"flow_id": "e", "alias": "a", "connection_id": "c", "runtime_source": "embedded"},
    ]
    found = flow_accounts(state(STEP).replace(flow_connections=schema.frame("flow_connections", declared)))
    assert found.to_dict("records") == [
        KEY
        | {"flow_id": flow, "account_id": "svc", "account_name": "SVC@fabrikam.example"}
        | {"account_kind": "user", "connections": 1}
        for flow in ("e", "f")
    ]


def test_nothing_gives_nothing():
    assert len(execution_map(Tenant({}))) == len(flow_accounts(Tenant({}))) == 0
    assert isinstance(execution_map(Tenant({})), pd.DataFrame)
