"""Needs with those of called flows, coverage of the catalogue, and one flow in words."""

from __future__ import annotations

import pytest

from flowanalysis import Tenant, schema
from flowanalysis.analysis.explain import explain, find_flow, flow_steps
from flowanalysis.analysis.needs import catalogue_coverage, child_flows, needs, steps
from flowanalysis.errors import UnknownName

E = "env"


def flow(flow_id, **more):
    return {
        "environment_id": E,
        "flow_id": flow_id,
        "workflow_id": f"w-{flow_id}",
        "display_name": f"Flow {flow_id}",
    } | more


def call(flow_id, child, step="Run"):
    return {
        "environment_id": E,
        "flow_id": flow_id,
        "step": step,
        "name": step,
        "kind": "action",
        "child_flow_id": child,
    }


def connect(flow_id, step="Get", connector="shared_sql"):
    return {
        "environment_id": E,
        "flow_id": flow_id,
        "step": step,
        "name": step,
        "kind": "action",
        "connector_id": connector,
        "operation_id": "GetItems",
        "alias": "a",
    }


def need(flow_id, step="Get", **more):
    return {
        "environment_id": E,
        "flow_id": flow_id,
        "step": step,
        "connector_id": "shared_sql",
        "operation_id": "GetItems",
        "alias": "a",
        "right": "read",
        "level": "read",
        "resource_kind": "sql_table",
        "resource": f"s|d|{flow_id}",
        "state": "known",
        "via": "own",
    } | more


def tenant(**tables):
    return Tenant({name: schema.frame(name, rows) for name, rows in tables.items()})


def passed(found):
    rows = found[found["via_flow"].notna()]
    return sorted(zip(rows["flow_id"], rows["via_flow"], rows["called_from"], strict=True))


def chain(*calls, flows="abcd"):
    return tenant(
        flows=[flow(f) for f in flows],
        steps=[call(a, f"w-{b}", f"Run_{b}") for a, b in calls] + [connect(f) for f in flows],
        needs=[need(f) for f in flows],
    )


def test_needs_pass_up_to_every_caller_at_any_depth():
    found = needs(chain(("a", "b"), ("b", "c")))
    assert passed(found) == [("a", "b", "Run_b"), ("a", "c", "Run_b"), ("b", "c", "Run_c")]
    assert len(found) == 4 + 3


def test_the_child_keeps_its_own_connections():
    found = needs(chain(("a", "b")))
    row = found[found["via_flow"].notna()].iloc[0]
    assert (row["flow_id"], row["carrier"], row["alias"], row["step"]) == ("a", "b", "a", "Get")
    own = found[found["via_flow"].isna()]
    assert (own["carrier"] == own["flow_id"]).all()


@pytest.mark.parametrize("calls", [[("a", "a")], [("a", "b"), ("b", "a")], [("a", "b"), ("b", "c"), ("c", "a")]])
def test_flows_that_call_in_circles_end(calls):
    found = needs(chain(*calls))
    for caller, called, _ in passed(found):
        assert caller != called
    assert not found.duplicated(["flow_id", "via_flow", "step", "resource"]).any()
    assert len(passed(found)) == {1: 0, 2: 2, 3: 6}[len(calls)]


def test_a_child_called_twice_counts_once():
    assert len(passed(needs(chain(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))))) == 5


def test_long_chains_need_no_recursion():
    names = [f"f{n}" for n in range(1_500)]
    data = tenant(
        flows=[flow(n) for n in names],
        steps=[call(a, f"w-{b}") for a, b in zip(names, names[1:], strict=False)][:1_499],
        needs=[need(names[-1])],
    )
    assert len(needs(data)) == 1_500


def test_children_are_found_by_workflow_or_flow_id_in_any_case_and_in_their_environment_only():
    data = tenant(
        flows=[flow("a"), flow("b"), flow("c", environment_id="other")],
        steps=[call("a", "W-B", "One"), call("a", "b", "Two"), call("a", "w-c", "Three"), call("a", "gone", "Four")],
    )
    found = child_flows(data).set_index("step")["called_id"]
    assert list(found[["One", "Two"]]) == ["b", "b"]
    assert found[["Three", "Four"]].isna().all()


def test_an_empty_tenant_has_no_needs():
    assert needs(tenant()).empty
    assert child_flows(tenant()).empty
    assert steps(tenant()).empty
    assert catalogue_coverage(tenant())["share"].isna().all()


def test_steps_carry_their_main_need_and_stay_one_row_each():
    data = tenant(
        steps=[connect("a"), call("a", "w-b")],
        needs=[need("a"), need("a", right="write", resource="callbackregistrations", via="trigger_registration")],
    )
    found = steps(data).set_index("step")
    assert len(found) == 2
    assert found.loc["Get", "right"] == "read"
    assert found.loc[["Run"], "right"].isna().all()


def test_coverage_counts_operations_steps_and_resources():
    data = tenant(
        needs=[
            need("a"),
            need("b"),
            need("c", operation_id="Odd", right="unknown", level="unknown", state="expression", resource=""),
            need("d", state="in_connection", resource=""),
        ]
    )
    found = catalogue_coverage(data).set_index(["measure", "answer"])
    assert list(found.loc[("operations", "known"), ["count", "met"]]) == [1, 2]
    assert list(found.loc[("steps", "known"), ["count", "met"]]) == [3, 4]
    assert found.loc[("resources", "known"), "share"] == 0.5
    assert found.loc[("resources", "expression"), "count"] == 1
    assert found.loc[("resources", "environment_variable"), "count"] == 0


@pytest.fixture
def office():
    return tenant(
        flows=[
            flow("a", display_name="Orders", state="Started", owner_id="ann", trigger_type="Recurrence"),
            flow("b", display_name="Notify"),
            flow("c", display_name="Twin"),
            flow("d", display_name="Twin"),
        ],
        steps=[
            {
                "environment_id": E,
                "flow_id": "a",
                "step": "Daily",
                "name": "Daily",
                "kind": "trigger",
                "type": "Recurrence",
            },
            connect("a"),
            connect("a", "Put"),
            call("a", "w-b"),
            call("a", "w-gone", "Lost"),
            connect("b"),
        ],
        needs=[
            need("a", resource="s|d|orders"),
            need("a", "Put", right="unknown", level="unknown", state="expression", resource=""),
            need("b"),
        ],
        flow_connections=[
            {"environment_id": E, "flow_id": "a", "alias": "a", "connection_id": "c1", "runtime_source": "embedded"}
        ],
        connections=[{"environment_id": E, "connection_id": "c1", "account_name": "svc@fabrikam.example"}],
        identities=[
            {"identity_id": "ann", "kind": "user", "upn": "ann@fabrikam.example", "status": "disabled"},
            {"identity_id": "svc", "kind": "user", "upn": "svc@fabrikam.example", "status": "active"},
        ],
        definition_marks=[
            {
                "environment_id": E,
                "flow_id": "a",
                "mark": "secret",
                "step": "Put",
                "path": "x",
                "detail": "password, 9 characters",
            },
            {
                "environment_id": E,
                "flow_id": "a",
                "mark": "environment_variable",
                "step": "",
                "path": "y",
                "detail": "noise",
            },
        ],
    )


def test_a_flow_is_told_in_words(office):
    text = explain(office, "Orders")
    for part in (
        "Orders  [env/a]",
        "State: Started. Owner: ann@fabrikam.example (disabled).",
        "Started by: a schedule (step Daily).",
        "Get: reads sql table s|d|orders",
        "as svc@fabrikam.example",
        "Run: Notify",
        "Lost: w-gone, which was not collected",
        "Through them it needs 1 further right.",
        "Put: a secret is written into the definition: password, 9 characters",
        "on what 1 step works: only the run tells",
        "what 1 step does there",
        "as whom 1 step runs",
    ):
        assert part in text, part
    assert "noise" not in text
    assert "nan" not in text.split()


@pytest.mark.parametrize("name", ["a", "env/a", "W-A", "orders", " Orders "])
def test_flows_go_by_id_place_workflow_or_name(office, name):
    assert find_flow(office, name)["flow_id"] == "a"


def test_an_unknown_flow_names_near_ones(office):
    with pytest.raises(UnknownName, match="Orders"):
        explain(office, "Order")


def test_a_name_that_two_flows_bear_asks_which_one(office):
    with pytest.raises(UnknownName, match="env/c, env/d"):
        explain(office, "twin")


def test_a_flow_without_definition_says_so(office):
    text = explain(office, "env/c")
    assert "its definition was not collected" in text
    assert "Owner: not known" in text


def test_steps_of_one_flow_come_with_their_account(office):
    found = flow_steps(office, "a")
    own = found[found["via_flow"].isna()]
    assert set(own["account_id"]) == {"svc"}
    through = found[found["via_flow"].notna()]
    assert through["account_id"].isna().all()
    assert list(through["step"]) == ["Get"]
