"""Wrappers, steps and references of definitions."""

from __future__ import annotations

import csv
import json

import pytest

from flowanalysis import schema
from flowanalysis.definitions import read_definition
from flowanalysis.errors import DefinitionError

FLOW = "0a6f2f0e-4a3c-4d0e-9c11-000000000001"
CHILD = "0A6F2F0E-4A3C-4D0E-9C11-00000000C41D"


def api_step(operation="GetItems", alias="shared_sharepointonline", connector="shared_sharepointonline", **parameters):
    return {
        "type": "OpenApiConnection",
        "inputs": {
            "host": {
                "apiId": f"/providers/Microsoft.PowerApps/apis/{connector}",
                "connectionName": alias,
                "operationId": operation,
            },
            "parameters": parameters,
            "authentication": "@parameters('$authentication')",
        },
    }


def body(actions=None, triggers=None, **more):
    return {
        "triggers": {"Daily": {"type": "Recurrence"}} if triggers is None else triggers,
        "actions": actions or {},
        **more,
    }


REFERENCES = {
    "shared_sharepointonline": {
        "runtimeSource": "embedded",
        "connection": {"connectionReferenceLogicalName": "fab_Intake"},
        "api": {"name": "shared_sharepointonline"},
    }
}


def solution(definition=None, references=REFERENCES):
    return {
        "properties": {"connectionReferences": references, "definition": definition or body({"Get": api_step()})},
        "schemaVersion": "1.0.0.0",
    }


WRAPPERS = {
    "solution": solution(),
    "api": {
        "name": FLOW,
        "id": f"/providers/Microsoft.Flow/flows/{FLOW}",
        "type": "Microsoft.Flow/flows",
        "properties": {"displayName": "Intake", "state": "Started", **solution()["properties"]},
    },
    "create_body": {"properties": {"displayName": "Intake", **solution()["properties"]}},
    "dataverse": {
        "workflowid": FLOW.upper(),
        "name": "Intake",
        "category": 5,
        "statecode": 1,
        "clientdata": json.dumps(solution()),
    },
    "bare": {"definition": body({"Get": api_step()}), "connectionReferences": REFERENCES},
    "definition": body({"Get": api_step()}),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_wrapper_gives_the_same_steps(wrapper):
    found = read_definition(WRAPPERS[wrapper])
    assert found.wrapper == wrapper
    assert (found.trigger_type, found.action_count) == ("Recurrence", 1)
    assert found.operations == ("shared_sharepointonline|GetItems",)


@pytest.mark.parametrize("form", [json.dumps, lambda d: json.dumps(d).encode(), lambda d: json.dumps(json.dumps(d))])
def test_text_bytes_and_text_in_text_read_alike(form):
    assert read_definition(form(solution())) == read_definition(solution())


def test_a_byte_order_mark_does_not_matter():
    assert read_definition(b"\xef\xbb\xbf" + json.dumps(solution()).encode()).action_count == 1


def test_names_and_states_come_from_the_wrapper():
    for wrapper in ("api", "dataverse"):
        found = read_definition(WRAPPERS[wrapper])
        assert (found.flow_id, found.display_name, found.state) == (FLOW, "Intake", "Started")


def test_the_body_that_creates_a_flow_lists_its_connections():
    found = read_definition(
        {
            "flow_definition": body({"Get": api_step(), "Again": api_step(alias="shared_sharepointonline_1")}),
            "flow_display_name": "Intake",
            "connection_references": [
                {"connectionName": "C1", "id": "/providers/Microsoft.PowerApps/apis/shared_sharepointonline"},
                {"connectionName": "C2", "id": "/providers/Microsoft.PowerApps/apis/shared_sharepointonline"},
            ],
        }
    )
    assert [(r["alias"], r["connection_id"]) for r in found.references] == [
        ("shared_sharepointonline", "c1"),
        ("shared_sharepointonline_1", "c2"),
    ]


def test_rows_fit_their_tables():
    found = read_definition(WRAPPERS["api"], environment_id="env-1")
    steps = schema.frame("steps", found.steps)
    references = schema.frame("flow_connections", found.references)
    assert list(steps["step"]) == ["Daily", "Get"]
    assert list(references["reference_name"]) == ["fab_intake"]
    assert set(steps["environment_id"]) == {"env-1"}


def test_actions_in_all_containers_are_found_with_their_path():
    leaf = {"type": "Compose", "inputs": 1}
    nested = {
        "Scope": {
            "type": "Scope",
            "actions": {
                "If": {"type": "If", "actions": {"Yes": leaf}, "else": {"actions": {"No": leaf}}},
                "Each": {"type": "Foreach", "actions": {"Loop": leaf}},
                "Until": {"type": "Until", "actions": {"Wait": leaf}},
                "Switch": {
                    "type": "Switch",
                    "cases": {"North": {"actions": {"A": leaf}}},
                    "default": {"actions": {"B": leaf}},
                },
            },
        }
    }
    found = read_definition(body(nested))
    assert {s["step"] for s in found.steps} >= {
        "Scope/If/Yes",
        "Scope/If/else/No",
        "Scope/Each/Loop",
        "Scope/Until/Wait",
        "Scope/Switch/North/A",
        "Scope/Switch/default/B",
    }
    assert found.action_count == 11


def test_the_connector_comes_from_the_reference_and_never_from_the_alias():
    references = {"shared_old_1": {"runtimeSource": "invoker", "api": {"name": "shared_New"}, "connection": {}}}
    found = read_definition(solution(body({"X": api_step("Go", "shared_old_1", "shared_old")}), references))
    step = found.steps[1]
    assert (step["connector_id"], step["runtime_source"]) == ("shared_new", "invoker")
    assert found.references[0]["reference_name"] is None


def test_a_step_without_a_declared_connection_keeps_its_alias():
    step = read_definition(solution(body({"X": api_step(alias="gone")}))).steps[1]
    assert (step["alias"], step["connector_id"], step["runtime_source"]) == (
        "gone",
        "shared_sharepointonline",
        "unknown",
    )


@pytest.mark.parametrize(
    "spelling",
    [
        "@parameters('$connections')['shared_sharepointonline']['connectionId']",
        "@json(decodeBase64(triggerOutputs().headers['X-MS-APIM-Tokens']))['$connections']['shared_sharepointonline']"
        "['connectionId']",
        "@parameters('$connections')?['shared_sharepointonline']?['connectionId']",
    ],
)
def test_the_older_shape_names_alias_and_operation_elsewhere(spelling):
    old = {
        "type": "ApiConnection",
        "inputs": {
            "host": {"connection": {"name": spelling}},
            "method": "patch",
            "path": "/datasets/@{encodeURIComponent('https://fabrikam.example/a')}/tables/x/items/@{body('A/B')}",
            "authentication": {"type": "Raw", "value": "@x"},
        },
        "metadata": {"flowSystemMetadata": {"swaggerOperationId": "PatchItem"}},
    }
    found = read_definition(solution(body({"Old": old})))
    step = found.steps[1]
    assert (step["alias"], step["operation_id"]) == ("shared_sharepointonline", "PatchItem")
    assert (step["method"], step["authentication"]) == ("PATCH", "raw")
    del old["metadata"]
    found = read_definition(solution(body({"Old": old})))
    assert found.steps[1]["operation_id"] == "patch /datasets/{}/tables/x/items/{}"
    assert found.operations == ("shared_sharepointonline|",)


def test_http_steps_tell_method_host_and_sign_in():
    http = {
        "type": "Http",
        "inputs": {
            "method": "post",
            "uri": "https://API.fabrikam.example:8443/x/@{body('A')}",
            "authentication": {"type": "ActiveDirectoryOAuth"},
        },
    }
    hidden = {"type": "Http", "inputs": {"method": "@variables('m')", "uri": "https://@{body('A')}/x"}}
    steps = read_definition(body({"Call": http, "Hidden": hidden})).steps
    assert [steps[1][c] for c in ("method", "host", "authentication")] == ["POST", "api.fabrikam.example", "oauth"]
    assert [steps[2][c] for c in ("method", "host", "authentication")] == [None, None, "none"]


def test_child_flows_are_named_by_their_id_in_lower_case():
    call = {"type": "Workflow", "inputs": {"host": {"workflowReferenceName": CHILD}}}
    step = read_definition(body({"Run_a_child": call})).steps[1]
    assert (step["child_flow_id"], step["connector_id"]) == (CHILD.lower(), None)


@pytest.mark.parametrize(
    "document, kind",
    [
        ({"targets": [], "properties": {"definition": {"package": "x"}}, "schemaversion": "1"}, "desktop"),
        ({"properties": {"definition": {"package": "x"}, "targets": []}, "schemaversion": "1"}, "desktop"),
        ({"subcategory": "X", "schemaVersion": "1", "properties": {"definition": body()}}, "other"),
        ({"workflowid": "w", "category": 6, "clientdata": "{}"}, "desktop"),
        ({"workflowid": "w", "category": 0, "clientdata": "not json"}, "classic"),
    ],
)
def test_what_is_no_cloud_flow_is_reported_as_such(document, kind):
    assert read_definition(document).kind == kind


ODD = [
    {"triggers": None, "actions": {"A": None, "B": [], "C": {"type": 7, "inputs": [1]}}},
    body({"A": {"type": "OpenApiConnection", "inputs": {"host": {"connectionName": 5, "apiId": None}}}}),
    body({"A": {"type": "If", "else": None, "cases": [], "default": 3, "actions": "x"}}),
    body({"A": {"type": "ApiConnection", "inputs": {"host": {"connection": {"name": 9}}, "path": 4}}}),
    body({"A": {"type": "Http", "inputs": {"uri": {"a": 1}, "method": 3, "authentication": {"type": 5}}}}),
    body(parameters=[1], triggers={"T": {"type": "Request", "kind": None}}),
    {"properties": {"definition": body(), "connectionReferences": {"a": None, "b": {"api": 5, "connection": []}}}},
    {"properties": {"definition": body(), "connectionReferences": [None, 5, {}]}},
]


@pytest.mark.parametrize("document", ODD, ids=range(len(ODD)))
def test_odd_shapes_never_crash_the_reader(document):
    found = read_definition(document)
    schema.frame("steps", found.steps)
    schema.frame("flow_connections", found.references)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        "[]",
        5,
        None,
        {},
        {"properties": {}},
        {"properties": {"definition": 5}},
        b"\xff\xfe{}",
        "\ud800",
        "NaN",
    ],
)
def test_what_cannot_be_understood_is_a_named_error(document):
    with pytest.raises(DefinitionError):
        read_definition(document)


def test_the_error_names_the_flow_and_quotes_nothing():
    with pytest.raises(DefinitionError, match="flow-7") as caught:
        read_definition('{"client_secret": "Zx9~hidden", ', flow_id="flow-7")
    assert "hidden" not in str(caught.value)


def test_absurd_nesting_is_refused():
    deep = {"X": {"type": "Scope", "actions": {}}}
    for _ in range(200):
        deep = {"X": {"type": "Scope", "actions": deep}}
    with pytest.raises(DefinitionError, match="nested"):
        read_definition(body(deep))
    with pytest.raises(DefinitionError):
        read_definition('{"a":' * 5_000 + "1" + "}" * 5_000)


def test_steps_keep_apart_when_a_case_is_called_like_an_action():
    leaf = {"type": "Compose"}
    switch = {"type": "Switch", "actions": {"A": leaf}, "cases": {"A": {"actions": {}}}, "default": {"actions": {}}}
    odd = {"S": switch, "S/A": leaf}
    steps = read_definition(body(odd)).steps
    assert len({s["step"] for s in steps}) == len(steps) == 4


def _expected(corpus):
    with (corpus / "flows" / "expected.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_real_definitions_read_as_another_reader_read_them(corpus):
    differing = []
    rows = _expected(corpus)
    for row in rows:
        found = read_definition((corpus / "flows" / "definitions" / row["file"]).read_bytes())
        kind = f"/{found.trigger_kind}" if found.trigger_kind else ""
        # a list of connections has no keys of its own; the reader gives it the ones that steps would use
        keys = {r["alias"] for r in found.references} if found.wrapper != "create_body" else {""}
        got = (
            found.trigger_type + kind,
            found.trigger_operation,
            str(found.action_count),
            set(found.operations) or {""},
            keys or {""},
            {r["reference_name"] for r in found.references if r["reference_name"]} or {""},
        )
        want = (
            row["trigger_type"],
            row["trigger_operation"],
            row["action_count"],
            set(row["operations"].split(";")),
            set(row["connection_reference_keys"].lower().split(";")),
            set(row["connection_reference_logical_names"].lower().split(";")),
        )
        if got != want:
            differing.append((row["file"], got, want))
    assert len(rows) > 300
    assert differing == []
