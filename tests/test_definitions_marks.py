"""Marks: risks and traits that a definition tells."""

from __future__ import annotations

import pytest

from flowanalysis import schema
from flowanalysis.definitions import read_definition
from flowanalysis.definitions.marks import place

AFTER = {"runAfter": {"First": ["Failed", "TimedOut"]}}


def step(connector, operation, alias="", **parameters):
    host = {"connectionName": alias or connector, "operationId": operation, "apiId": f"/providers/x/apis/{connector}"}
    return {"type": "OpenApiConnection", "inputs": {"host": host, "parameters": parameters}}


def http(method="POST", uri="https://api.fabrikam.example/x", **inputs):
    return {"type": "Http", "inputs": {"method": method, "uri": uri, **inputs}}


def read(actions=None, trigger=None, references=None, parameters=None):
    return read_definition(
        {
            "properties": {
                "definition": {
                    "triggers": {"T": trigger or {"type": "Recurrence"}},
                    "actions": actions or {},
                    "parameters": parameters or {},
                },
                "connectionReferences": references or {},
            }
        },
        flow_id="f",
    )


def marks(name, *args, **options):
    return [(m["step"], m["detail"]) for m in read(*args, **options).marks if m["mark"] == name]


def request(**inputs):
    return {"type": "Request", "kind": "Http", "inputs": inputs}


@pytest.mark.parametrize(
    "trigger, is_open",
    [
        (request(), True),
        (request(triggerAuthenticationType="All"), True),
        (request(triggerAuthenticationType="Tenant"), False),
        (request(triggerAuthenticationType="User", triggerAllowedUsers="x"), False),
        ({"type": "Request", "kind": "Button", "inputs": {}}, False),
        ({"type": "Request", "kind": "PowerAppV2", "inputs": {}}, False),
        ({"type": "OpenApiConnectionWebhook", "inputs": {"triggerAuthenticationType": "All"}}, True),
        ({"type": "Recurrence"}, False),
    ],
)
def test_http_triggers_are_open_unless_they_ask_who_calls(trigger, is_open):
    assert bool(marks("open_http_trigger", trigger=trigger)) is is_open


def test_a_flow_without_failure_branch_is_marked_once():
    reaching = {"First": step("shared_sql", "GetItems_V2")}
    assert marks("no_failure_branch", reaching) == [("", "no action runs after another one failed or timed out")]
    assert marks("no_failure_branch", reaching | {"Catch": {"type": "Scope", "actions": {}, **AFTER}}) == []
    assert marks("no_failure_branch", {"Only": {"type": "Compose"}}) == []


def test_legacy_connectors_and_deprecated_operations_name_what_to_use():
    actions = {
        "A": step("shared_commondataservice", "GetItems_V2"),
        "B": step("shared_commondataservice", "GetItem_V2"),
    }
    assert marks("legacy_connector", actions) == [
        ("A", "shared_commondataservice is a legacy connector; shared_commondataserviceforapps takes its place")
    ]
    assert marks("deprecated_operation", {"A": step("shared_teams", "PostUserNotification")})[0][0] == "A"
    assert marks("deprecated_operation", {"A": step("shared_teams", "GetTeam")}) == []
    assert marks("legacy_connector", {"A": step("shared_sql", "GetItems_V2")}) == []


def test_premium_connectors_are_marked_at_their_first_step():
    actions = {"A": step("shared_sql", "GetItems_V2"), "B": step("shared_sql", "GetItem_V2"), "C": http()}
    assert [m[0] for m in marks("premium_connector", actions)] == ["A", "C"]
    assert marks("premium_connector", trigger=request())[0][0] == "T"
    assert marks("premium_connector", {"A": step("shared_teams", "GetTeam")}) == []
    custom = {"A": step("shared_fab-20orders-5f1c2d3e4f5a6b7c8d", "X")}
    assert marks("premium_connector", custom)


def test_handing_out_rights_is_marked():
    assert [s for s, _ in marks("grants_rights", {"A": step("shared_office365groups", "AddMemberToGroup")})] == ["A"]
    assert [s for s, _ in marks("grants_rights", {"A": step("shared_sharepointonline", "CreateSharingLink")})] == ["A"]
    assert marks("grants_rights", {"A": step("shared_sharepointonline", "GetItems")}) == []


def reference(name, connector="shared_sharepointonline"):
    return {"api": {"name": connector}, "connection": {"connectionReferenceLogicalName": name}}


def test_two_connections_of_one_connector_are_two_identities():
    two = {"a": reference("fab_1"), "b": reference("fab_2")}
    assert marks("two_identities", references=two) == [("", "2 connections of shared_sharepointonline")]
    assert marks("two_identities", references={"a": reference("fab_1"), "b": reference("fab_1")}) == []
    assert marks("two_identities", references={"a": reference("1"), "b": reference("2", "shared_sql")}) == []


SHAREPOINT = step("shared_sharepointonline", "GetItems")


@pytest.mark.parametrize(
    "actions, where",
    [
        ({"In": SHAREPOINT, "Out": step("shared_gmail", "SendEmailV2")}, ["Out"]),
        ({"In": SHAREPOINT, "Out": step("shared_dropbox", "CreateFile")}, ["Out"]),
        ({"In": SHAREPOINT, "Out": http()}, ["Out"]),
        ({"In": SHAREPOINT, "Out": http("GET")}, []),
        ({"In": SHAREPOINT, "Out": http(uri="https://graph.microsoft.com/v1.0/users")}, []),
        ({"In": SHAREPOINT, "Out": http(uri="https://graph.microsoft.com.fabrikam.example/x")}, ["Out"]),
        ({"In": SHAREPOINT, "Out": http(uri="@body('x')")}, []),
        ({"Out": step("shared_gmail", "SendEmailV2")}, []),
        ({"In": SHAREPOINT, "Out": step("shared_dropbox", "GetFileContent")}, []),
        ({"In": SHAREPOINT, "Out": step("shared_office365", "SendEmailV2")}, []),
    ],
)
def test_business_data_on_its_way_out_is_marked(actions, where):
    assert [s for s, _ in marks("outside_connector", actions)] == where


SECURED = {"runtimeConfiguration": {"secureData": {"properties": ["inputs", "outputs"]}}}


def test_steps_that_show_a_secret_in_the_run_history_are_marked():
    oauth = http(authentication={"type": "ActiveDirectoryOAuth", "secret": "@body('x')"})
    header = http(headers={"authorization": "@variables('t')"})
    vault = step("shared_keyvault", "GetSecret")
    for action in (oauth, header, vault):
        assert [s for s, _ in marks("secret_not_secured", {"A": action})] == ["A"]
        assert marks("secret_not_secured", {"A": action | SECURED}) == []
    assert marks("secret_not_secured", {"A": http(headers={"Accept": "json"})}) == []
    half = {"runtimeConfiguration": {"secureData": {"properties": ["inputs"]}}}
    assert marks("secret_not_secured", {"A": vault | half})


def test_environment_variables_are_listed_without_their_values():
    found = read(
        parameters={
            "Site (fab_Site)": {"defaultValue": "https://hidden.example", "metadata": {"schemaName": "fab_Site"}},
            "Bare (fab_Bare)": {"metadata": {"schemaName": "fab_Bare"}},
            "$connections": {"defaultValue": {}},
        }
    )
    rows = [(m["path"], m["detail"]) for m in found.marks if m["mark"] == "environment_variable"]
    assert rows == [
        ("parameters/Site (fab_Site)", "fab_Site, with a default value"),
        ("parameters/Bare (fab_Bare)", "fab_Bare, without a default value"),
    ]
    assert "hidden" not in repr(found.marks)


@pytest.mark.parametrize(
    "text, marked",
    [
        ("jo.doe@fabrikam.com", True),
        ("jo.doe@fabrikam.com; ann@fabrikam.co.uk", True),
        ("<a href='mailto:jo@fabrikam.com'>", True),
        ("owner@odata.bind", False),
        ("statecode@OData.Community.Display.V1.FormattedValue", False),
        ("_x_value@Microsoft.Dynamics.CRM.lookuplogicalname", False),
        ("19:4f9c1be07a2d@thread.tacv2", False),
        ("someone@example.com", False),
        ("@body('x').value", False),
        ("@triggerOutputs()?['body/mail']", False),
        ("a@b", False),
    ],
)
def test_mail_addresses_in_steps_are_marked_and_look_alikes_are_not(text, marked):
    found = read({"A": {"type": "Compose", "inputs": {"to": text}}}).marks
    rows = [m for m in found if m["mark"] == "personal_address"]
    assert [(m["step"], m["path"]) for m in rows] == ([("A", "inputs/to")] if marked else [])
    assert "fabrikam" not in repr(rows)


@pytest.mark.parametrize(
    "path, expected",
    [
        (("triggers", "T", "inputs", "x"), ("T", "inputs/x")),
        (("actions", "A", "inputs"), ("A", "inputs")),
        (("actions", "S", "else", "actions", "A", "inputs"), ("S/else/A", "inputs")),
        (("actions", "S", "cases", "One", "actions", "A", "x"), ("S/One/A", "x")),
        (("actions", "S", "default", "actions", "A", "x"), ("S/default/A", "x")),
        (("parameters", "P", "defaultValue"), ("", "parameters/P/defaultValue")),
        ((), ("", "")),
    ],
)
def test_places_use_the_paths_of_the_steps(path, expected):
    assert place(path) == expected


def test_rows_fit_the_table_and_its_key():
    found = read({"A": http(headers={"a": "jo@fabrikam.com", "b": "ann@fabrikam.com"}), "B": http()}, trigger=request())
    frame = schema.frame("definition_marks", found.marks)
    assert not frame.duplicated(list(schema.table("definition_marks").key)).any()
    assert set(frame["flow_id"]) == {"f"}


def test_real_definitions_have_unique_marks(corpus):
    for file in (p for p in (corpus / "flows" / "definitions").rglob("*") if p.is_file()):
        frame = schema.frame("definition_marks", read_definition(file.read_bytes(), flow_id="f").marks)
        assert not frame.duplicated(list(schema.table("definition_marks").key)).any(), file.name
