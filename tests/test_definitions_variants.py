"""Spellings of definitions that are seldom met: they must read like the common ones."""

from __future__ import annotations

import pytest

from flowanalysis.definitions import read_definition
from flowanalysis.definitions.catalogue import request_right

SITE = "https://fabrikam.sharepoint.com/sites/hr"
CHILD = "0a6f2f0e-4a3c-4d0e-9c11-00000000c41d"
MAIL = {
    "shared_office365": {"api": {"name": "shared_office365"}, "runtimeSource": "embedded", "connection": {}},
    "fab_old_3": {"id": "/providers/x/apis/shared_sql", "source": "Invoker", "connectionName": "C9"},
}


def read(actions=None, trigger=None, **options):
    definition = {"triggers": {"T": trigger or {"type": "Recurrence"}}, "actions": actions or {}}
    document = {"properties": {"definition": definition, "connectionReferences": MAIL}, "schemaVersion": "1.0.0.0"}
    return read_definition(document, flow_id="f", **options)


def step(action, **options):
    return read({"A": action}, **options).steps[1]


def old(name, **more):
    inputs = {"host": {"connection": {"name": name}}, "method": "post", "path": "/v2/Mail", **more}
    return {"type": "ApiConnection", "inputs": inputs}


@pytest.mark.parametrize(
    "name",
    [
        "@parameters('$connections')['shared_office365']['connectionId']",
        "@parameters('$connections')?['shared_office365']?['connectionId']",
        "@{parameters('$connections')['shared_office365']['connectionId']}",
        "@parameters('$Connections')['Shared_Office365']['ConnectionId']",
        '@parameters("$connections")["shared_office365"]["connectionId"]',
    ],
)
def test_the_alias_of_the_older_shape_is_found_in_every_spelling(name):
    found = step(old(name))
    assert (found["alias"], found["connector_id"], found["runtime_source"]) == (
        "shared_office365",
        "shared_office365",
        "embedded",
    )


@pytest.mark.parametrize(
    "host",
    [
        {"connectionReferenceName": "shared_office365", "operationId": "SendEmailV2"},
        {"connection": {"referenceName": "shared_office365"}, "operationId": "SendEmailV2"},
        {"ConnectionName": "shared_office365", "OperationId": "SendEmailV2"},
    ],
)
@pytest.mark.parametrize("type_", ["OpenApiConnection", "openapiconnection", "ApiConnection"])
def test_the_connection_of_a_step_is_found_in_every_spelling(host, type_):
    found = step({"type": type_, "inputs": {"host": host, "parameters": {}}})
    assert [found[c] for c in ("alias", "connector_id", "operation_id")] == [
        "shared_office365",
        "shared_office365",
        "SendEmailV2",
    ]


def test_a_connection_that_is_not_declared_is_told_by_its_runtime_address():
    host = {
        "connection": {"name": "@parameters('$connections')['shared_teams_1']['connectionId']"},
        "api": {"runtimeUrl": "https://europe-001.azure-apim.example/apim/teams"},
    }
    found = step({"type": "ApiConnection", "inputs": {"host": host}})
    assert (found["connector_id"], found["runtime_source"]) == ("shared_teams", "unknown")


def test_a_renamed_alias_leads_to_the_connector_of_its_reference():
    host = {"connectionName": "fab_old_3", "operationId": "GetItems_V2", "apiId": "/providers/x/apis/shared_gone"}
    found = step({"type": "OpenApiConnection", "inputs": {"host": host}})
    assert (found["connector_id"], found["runtime_source"]) == ("shared_sql", "invoker")


@pytest.mark.parametrize(
    "host, child",
    [
        ({"workflowReferenceName": CHILD.upper()}, CHILD),
        ({"workflowReferenceName": "{" + CHILD + "}"}, CHILD),
        ({"workflow": {"id": f"/providers/x/flows/{CHILD}"}}, CHILD),
        ({"workflowReferenceName": "@variables('which')"}, "@variables('which')"),
    ],
)
def test_calls_of_flows_are_never_taken_for_connections(host, child):
    found = read({"A": {"type": "Workflow", "inputs": {"host": host}}})
    assert found.steps[1]["child_flow_id"] == child
    assert found.operations == ()
    assert found.needs == []


@pytest.mark.parametrize(
    "given, told",
    [
        ("@parameters('$authentication')", "parameter"),
        ({"type": "raw", "value": "@json(decodeBase64(triggerOutputs().headers['X']))['$ConnectionKey']"}, "raw"),
        ({"type": "ManagedServiceIdentity"}, "other"),
        ({"type": "@variables('x')"}, "other"),
        (None, "none"),
        (["x"], "none"),
        ({}, "other"),
    ],
)
def test_sign_in_of_a_step_in_every_form(given, told):
    host = {"connectionName": "shared_office365", "operationId": "SendEmailV2"}
    assert step({"type": "OpenApiConnection", "inputs": {"host": host, "authentication": given}})["authentication"] == (
        told
    )


@pytest.mark.parametrize("type_", ["OpenApiConnection", "OpenApiConnectionWebhook", "OpenApiConnectionNotification"])
def test_triggers_of_all_connection_types_read(type_):
    host = {"connectionName": "shared_office365", "operationId": "OnNewEmailV3"}
    found = read(trigger={"type": type_, "inputs": {"host": host, "parameters": {}}})
    assert found.trigger_operation == "shared_office365|OnNewEmailV3"
    assert [(n["right"], n["resource_kind"]) for n in found.needs] == [("read", "mailbox")]


def test_loops_within_branches_within_cases_keep_their_path():
    leaf = {"type": "Http", "inputs": {"method": "get", "uri": "https://a.example/x"}}
    loop = {"Until": {"type": "Until", "actions": {"Each": {"type": "Foreach", "actions": {"Call": leaf}}}}}
    switch = {
        "type": "switch",
        "cases": {"One": {"case": "1", "actions": loop}},
        "default": {"actions": {"If": {"type": "If", "else": {"actions": {"Other": leaf}}}}},
    }
    needs = read({"Switch": switch}).needs
    assert [n["step"] for n in needs] == ["Switch/One/Until/Each/Call", "Switch/default/If/else/Other"]
    assert {(n["right"], n["resource"]) for n in needs} == {("read", "a.example")}


def test_a_webhook_over_http_needs_what_its_subscription_sends():
    hook = {"type": "HttpWebhook", "inputs": {"subscribe": {"method": "POST", "uri": "https://a.example/s"}}}
    found = read({"A": hook})
    assert (found.steps[1]["method"], found.steps[1]["host"]) == ("POST", "a.example")
    assert [(n["right"], n["resource"], n["state"]) for n in found.needs] == [("unknown", "a.example", "known")]


@pytest.mark.parametrize("kind", [None, "Http", "http"])
@pytest.mark.parametrize("type_", ["Request", "request"])
def test_open_triggers_are_seen_whatever_the_spelling(type_, kind):
    found = read(trigger={"type": type_, "kind": kind, "inputs": {}})
    assert "open_http_trigger" in {m["mark"] for m in found.marks}


CUSTOM = "shared_fab-20orders-5f1c2d3e4f5a6b7c8d"
SWAGGER = {"paths": {"/x": {"put": {"operationId": "PostOrder"}, "post": {"operationId": "Send"}}}}


@pytest.mark.parametrize("named", [CUSTOM, f"/providers/Microsoft.PowerApps/apis/{CUSTOM.upper()}"])
@pytest.mark.parametrize("operation, right", [("PostOrder", "write"), ("postorder", "write"), ("Send", "unknown")])
def test_descriptions_of_custom_connectors_are_found_by_any_form_of_their_id(named, operation, right):
    host = {"connectionName": CUSTOM, "operationId": operation, "apiId": f"/providers/x/apis/{CUSTOM}"}
    found = read({"A": {"type": "OpenApiConnection", "inputs": {"host": host}}}, swaggers={named: SWAGGER})
    assert found.needs[0]["right"] == right


@pytest.mark.parametrize(
    "address, right",
    [
        ("https://graph.microsoft.com/v1.0/groups/x/members/$ref", "grant"),
        ("https://graph.microsoft.us/v1.0/groups/x/members/$ref", "grant"),
        ("https://dod-graph.microsoft.us/v1.0/groups/x/members/$ref", "grant"),
        ("https://microsoftgraph.chinacloudapi.cn/v1.0/groups/x/members/$ref", "grant"),
        ("https://fabrikam.sharepoint.us/_api/web/roleassignments/addroleassignment(1)", "grant"),
        ("https://fabrikam.sharepoint-mil.us/_api/web/lists/getbytitle('x')/items", "write"),
        ("https://fabrikam.crm.microsoftdynamics.us/api/data/v9.2/GrantAccess", "grant"),
        ("https://graph.microsoft.com.fabrikam.example/v1.0/groups/x/members/$ref", "unknown"),
        ("https://fabrikam.example/_api/web/lists/getbytitle('x')/items", "unknown"),
    ],
)
def test_services_of_all_clouds_are_known_by_their_hosts_and_look_alikes_are_not(address, right):
    assert request_right("http", "POST", address) == right


def test_a_government_site_is_a_site():
    host = {"connectionName": "shared_sharepointonline", "operationId": "GetItems"}
    parameters = {"dataset": "https://Fabrikam.sharepoint.us/sites/HR/", "table": "{B1C2}"}
    (need,) = read({"A": {"type": "OpenApiConnection", "inputs": {"host": host, "parameters": parameters}}}).needs
    assert need["resource"] == "https://fabrikam.sharepoint.us/sites/hr|b1c2"
