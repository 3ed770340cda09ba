"""Needs: rights, levels and resources of steps."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import reference, schema
from flowanalysis.definitions import catalogue, read_definition
from flowanalysis.definitions.expressions import Scope
from flowanalysis.definitions.resources import site

SITE = "https://fabrikam.sharepoint.example/sites/hr"
SETTINGS = {
    "Site (fab_Site)": {"defaultValue": SITE, "type": "String", "metadata": {"schemaName": "fab_Site"}},
    "Empty (fab_Empty)": {"type": "String", "metadata": {"schemaName": "fab_Empty"}},
    "plain": {"defaultValue": "orders", "type": "String"},
}


def step(connector, operation, type_="OpenApiConnection", **parameters):
    parameters = {k.replace("__", "/"): v for k, v in parameters.items()}
    host = {"connectionName": connector, "operationId": operation, "apiId": f"/providers/x/apis/{connector}"}
    return {"type": type_, "inputs": {"host": host, "parameters": parameters}}


def old(connector, operation, path, method="get", body=None):
    return {
        "type": "ApiConnection",
        "inputs": {
            "host": {"connection": {"name": f"@parameters('$connections')['{connector}']['connectionId']"}},
            "method": method,
            "path": path,
            **({"body": body} if body else {}),
        },
        "metadata": {"flowSystemMetadata": {"swaggerOperationId": operation}} if operation else {},
    }


def http(method, uri, **more):
    return {"type": "Http", "inputs": {"method": method, "uri": uri, **more}}


def flow(action=None, trigger=None, others=None):
    return {
        "triggers": {"T": trigger or {"type": "Recurrence"}},
        "actions": ({"S": action} if action else {}) | (others or {}),
        "parameters": SETTINGS,
    }


def needs(action=None, trigger=None, others=None, **options):
    return read_definition(flow(action, trigger, others), flow_id="f", **options).needs


def told(action=None, **more):
    """right, level, kind, resource and state of the only need."""
    (need,) = needs(action, **more)
    return tuple(need[c] for c in ("right", "level", "resource_kind", "resource", "state"))


SP, DV, MAIL = "shared_sharepointonline", "shared_commondataserviceforapps", "shared_office365"
LIST = f"{SITE}|orders"
VARIABLE = "@parameters('Site (fab_Site)')"

CASES = {
    "list": (
        step(SP, "GetItems", dataset=SITE + "/", table="Orders"),
        ("read", "read", "sharepoint_list", LIST, "known"),
    ),
    "list by variable": (
        step(SP, "PatchItem", dataset=VARIABLE, table="Orders"),
        ("write", "write", "sharepoint_list", LIST, "environment_variable"),
    ),
    "variable in a template": (
        step(SP, "PostItem", dataset="@{parameters('Site (fab_Site)')}", table="@parameters('plain')"),
        ("write", "write", "sharepoint_list", LIST, "environment_variable"),
    ),
    "variable without value": (
        step(SP, "GetItems", dataset="@parameters('Empty (fab_Empty)')", table="Orders"),
        ("read", "read", "sharepoint_list", "", "expression"),
    ),
    "site of the run": (
        step(SP, "DeleteItem", dataset="@triggerBody()?['site']", table="Orders"),
        ("delete", "write", "sharepoint_list", "", "expression"),
    ),
    "list of the run": (
        step(SP, "GetItems", dataset=SITE, table="@items('Each')"),
        ("read", "read", "sharepoint_site", SITE, "known"),
    ),
    "file": (
        step(SP, "GetFileContentByPath", dataset=SITE, path="/Shared Documents/Plan.xlsx"),
        ("read", "read", "sharepoint_file", f"{SITE}|/shared documents/plan.xlsx", "known"),
    ),
    "file by encoded id": (
        step(SP, "DeleteFile", dataset=SITE, id="%252fShared%2bDocuments%252fPlan.xlsx"),
        ("delete", "write", "sharepoint_file", f"{SITE}|/shared documents/plan.xlsx", "known"),
    ),
    "sharing": (
        step(SP, "CreateSharingLink", dataset=SITE, table="Orders"),
        ("share", "owner", "sharepoint_list", LIST, "known"),
    ),
    "request that reads": (
        step(SP, "HttpRequest", dataset=SITE, parameters__method="GET", parameters__uri="_api/web/title"),
        ("read", "read", "sharepoint_site", SITE, "known"),
    ),
    "request that writes to a list": (
        step(
            SP,
            "HttpRequest",
            dataset=SITE,
            parameters__method="POST",
            parameters__uri="_api/web/lists/getByTitle('Orders')/items(@{items('E')})",
        ),
        ("write", "write", "sharepoint_list", LIST, "known"),
    ),
    "request that grants": (
        step(
            SP,
            "HttpRequest",
            dataset=SITE,
            parameters__method="POST",
            parameters__uri="_api/web/lists/getByTitle('@{body('x')}')/roleassignments/addroleassignment(principalid=1)",
        ),
        ("grant", "owner", "sharepoint_site", SITE, "known"),
    ),
    "request with another method in its headers": (
        step(
            SP,
            "HttpRequest",
            dataset=SITE,
            parameters__method="POST",
            parameters__uri="_api/web/other",
            parameters__headers={"X-HTTP-Method": "DELETE"},
        ),
        ("delete", "write", "sharepoint_site", SITE, "known"),
    ),
    "request in the older shape": (
        old(
            SP,
            "HttpRequest",
            f"/datasets/@{{encodeURIComponent(encodeURIComponent('{SITE}'))}}/httprequest",
            "post",
            {"method": "POST", "uri": "_api/web/lists/getByTitle('Orders')/breakroleinheritance"},
        ),
        ("grant", "owner", "sharepoint_list", LIST, "known"),
    ),
    "older shape": (
        old(
            SP,
            "PatchItem",
            f"/datasets/@{{encodeURIComponent(encodeURIComponent('{SITE}'))}}/tables/@{{encodeURIComponent("
            "encodeURIComponent('Orders'))}/items/@{body('x')?['ID']}",
            "patch",
        ),
        ("write", "write", "sharepoint_list", LIST, "known"),
    ),
    "older shape without operation": (
        old(
            SP,
            "",
            f"/datasets/@{{encodeURIComponent('{SITE}')}}/tables/@{{encodeURIComponent('Orders')}}/items",
            "post",
        ),
        ("write", "write", "sharepoint_list", LIST, "known"),
    ),
    "own mailbox": (step(MAIL, "GetEmailsV3", folderPath="Inbox"), ("read", "read", "mailbox", "", "in_connection")),
    "shared mailbox": (
        step(MAIL, "SharedMailboxSendEmailV2", emailMessage__MailboxAddress="Desk@Fabrikam.example"),
        ("send", "write", "mailbox", "desk@fabrikam.example", "known"),
    ),
    "mailbox read for another": (
        step(MAIL, "GetEmailsV3", mailboxAddress="desk@fabrikam.example"),
        ("read", "read", "mailbox", "desk@fabrikam.example", "known"),
    ),
    "own table": (
        step(DV, "UpdateRecord", entityName="Accounts"),
        ("write", "write", "dataverse_table", "|accounts", "known"),
    ),
    "table elsewhere": (
        step(DV, "ListRecordsWithOrganization", entityName="accounts", organization="https://Fab.crm.example/"),
        ("read", "read", "dataverse_table", "https://fab.crm.example|accounts", "known"),
    ),
    "table in an organisation of the run": (
        step(DV, "GetItemWithOrganization", entityName="accounts", organization="@outputs('x')"),
        ("read", "read", "dataverse_table", "", "expression"),
    ),
    "dataverse action": (
        step(DV, "PerformUnboundAction", actionName="fab_Close"),
        ("execute", "write", "dataverse_action", "|fab_close", "known"),
    ),
    "legacy dataverse": (
        step("shared_commondataservice", "GetItems_V2", dataset="default.cds", table="accounts"),
        ("read", "read", "dataverse_table", "|accounts", "known"),
    ),
    "sql table": (
        step("shared_sql", "PostItem_V2", server="Fab.database.example", database="Sales", table="[dbo].[Orders]"),
        ("write", "write", "sql_table", "fab.database.example|sales|dbo.orders", "known"),
    ),
    "sql of the connection": (
        step("shared_sql", "GetItems_V2", server="default", database="default", table="[dbo].[Orders]"),
        ("read", "read", "sql_table", "", "in_connection"),
    ),
    "sql procedure": (
        step("shared_sql", "ExecuteProcedure_V2", server="s", database="d", procedure="[dbo].[Close]"),
        ("execute", "write", "sql_procedure", "s|d|dbo.close", "known"),
    ),
    "sql, older shape": (
        old(
            "shared_sql",
            "GetItems_V2",
            "/v2/datasets/@{encodeURIComponent('s')},@{encodeURIComponent('d')}/tables/@{encodeURIComponent('[dbo].[O]')}/items",
        ),
        ("read", "read", "sql_table", "s|d|dbo.o", "known"),
    ),
    "vault": (
        step("shared_keyvault", "GetSecret", secretName="crm"),
        ("read_secret", "read", "key_vault", "", "in_connection"),
    ),
    "vault by name": (
        step("shared_keyvault", "GetSecret", vaultName="Fab", secretName="Crm"),
        ("read_secret", "read", "key_vault_secret", "fab|crm", "known"),
    ),
    "blob": (
        step("shared_azureblob", "CreateFile_V2", dataset="fabstore", folderPath="/Drop/in", name="x"),
        ("write", "write", "storage_container", "fabstore|drop", "known"),
    ),
    "blob of the connection": (
        step("shared_azureblob", "DeleteFile_V2", dataset="AccountNameFromSettings", id="/drop/x"),
        ("delete", "write", "storage_container", "", "in_connection"),
    ),
    "plan": (
        step("shared_planner", "CreateTask_V3", body__groupId="G1", body__planId="P1"),
        ("write", "write", "plan", "g1|p1", "known"),
    ),
    "workbook": (
        step("shared_excelonlinebusiness", "AddRowV2", source="groups/g1", drive="b!x", file="01A", table="t"),
        ("write", "write", "file", "groups/g1|b!x|01a", "known"),
    ),
    "own workbook": (
        step("shared_excelonlinebusiness", "GetItems", source="me", drive="b!x", file="01A"),
        ("read", "read", "file", "", "in_connection"),
    ),
    "own drive": (
        step("shared_onedriveforbusiness", "CreateFile", folderPath="/a", name="b"),
        ("write", "write", "drive", "", "in_connection"),
    ),
    "channel": (
        step("shared_teams", "PostMessageToConversation", location="Channel", body__recipient__groupId="T1"),
        ("send", "write", "team", "t1", "known"),
    ),
    "channel as an object": (
        step("shared_teams", "PostMessageToConversation", location="Channel", body={"recipient": {"groupId": "T1"}}),
        ("send", "write", "team", "t1", "known"),
    ),
    "channel of the run": (
        step("shared_teams", "PostCardToConversation", location="Channel", body__recipient="@body('x')"),
        ("send", "write", "team", "", "expression"),
    ),
    "chat": (
        step("shared_teams", "PostCardToConversation", location="Chat with Flow bot", body__recipient="@body('x')"),
        ("send", "write", "chat", "", "in_connection"),
    ),
    "team membership": (
        step("shared_teams", "AddMemberToTeam", teamId="T1"),
        ("grant", "owner", "team", "t1", "known"),
    ),
    "group": (
        step("shared_office365groups", "AddMemberToGroup", groupId="G1", userUpn="@x"),
        ("grant", "owner", "group", "g1", "known"),
    ),
    "directory": (
        step("shared_office365users", "UserProfile_V2", id="@body('x')"),
        ("read", "read", "directory", "users", "known"),
    ),
    "security group": (step("shared_azuread", "AddUserToGroup", id="G1"), ("grant", "owner", "group", "g1", "known")),
    "devops": (
        step("shared_visualstudioteamservices", "CreateWorkItem", account="Fab", project="Web"),
        ("write", "write", "devops_project", "fab|web", "known"),
    ),
    "devops query": (
        step(
            "shared_visualstudioteamservices",
            "HttpRequest",
            account="fab",
            parameters__Method="POST",
            parameters__Uri="fab/_apis/wit/wiql",
        ),
        ("read", "read", "devops_organization", "fab", "known"),
    ),
    "admin of an environment": (
        step("shared_powerplatformforadmins", "Remove-AdminEnvironment", environment="E1"),
        ("delete", "write", "environment", "e1", "known"),
    ),
    "admin of what the run says": (
        step("shared_powerappsforadmins", "Edit-AdminAppRoleAssignment", environment="@items('e')", app="@x"),
        ("grant", "owner", "tenant", "", "expression"),
    ),
    "admin of the tenant": (
        step("shared_powerplatformforadmins", "Get-AdminEnvironment"),
        ("read", "read", "tenant", "tenant", "known"),
    ),
    "settings of a policy": (
        step("shared_powerplatformforadmins", "CreatePolicyV2"),
        ("administer", "full", "tenant", "tenant", "known"),
    ),
    "approval": (
        step("shared_approvals", "StartAndWaitForAnApproval", approvalType="Basic"),
        ("send", "write", "approval", "", "in_connection"),
    ),
    "http that reads": (
        http("GET", "https://API.fabrikam.example/a?x=1"),
        ("read", "read", "http_host", "api.fabrikam.example", "known"),
    ),
    "http that posts": (
        http("POST", "https://api.fabrikam.example/a"),
        ("unknown", "unknown", "http_host", "api.fabrikam.example", "known"),
    ),
    "http whose path is open": (
        http("DELETE", "https://api.fabrikam.example/@{body('x')}"),
        ("delete", "write", "http_host", "api.fabrikam.example", "known"),
    ),
    "http to a variable": (
        http("PATCH", "@{parameters('Site (fab_Site)')}/x"),
        ("write", "write", "http_host", "fabrikam.sharepoint.example", "environment_variable"),
    ),
    "http to anywhere": (http("GET", "@body('x')"), ("read", "read", "http_host", "", "expression")),
    "http with any method": (
        http("@variables('m')", "https://api.fabrikam.example"),
        ("unknown", "unknown", "http_host", "api.fabrikam.example", "known"),
    ),
    "graph mail": (
        http("POST", "https://graph.microsoft.com/v1.0/users/x/sendMail"),
        ("send", "write", "http_host", "graph.microsoft.com", "known"),
    ),
    "graph membership": (
        http("POST", "https://graph.microsoft.com/v1.0/groups/@{body('g')}/members/$ref"),
        ("grant", "owner", "http_host", "graph.microsoft.com", "known"),
    ),
    "graph batch": (
        http("POST", "https://graph.microsoft.com/v1.0/$batch"),
        ("unknown", "unknown", "http_host", "graph.microsoft.com", "known"),
    ),
    "entra http": (
        step(
            "shared_webcontents",
            "InvokeHttp",
            request__method="GET",
            request__url="https://graph.microsoft.com/v1.0/me",
        ),
        ("read", "read", "http_host", "graph.microsoft.com", "known"),
    ),
    "entra http, address in the connection": (
        step("shared_webcontents", "InvokeHttp", request__method="PATCH", request__url="/api/data/v9.2/accounts(1)"),
        ("write", "write", "http_host", "", "in_connection"),
    ),
    "unknown connector": (
        step("shared_fab-20orders-5f1c2d3e4f5a6b7c8d", "Submit"),
        ("unknown", "unknown", "other", "", "in_connection"),
    ),
    "unknown connector that gets": (
        step("shared_fab-20orders-5f1c2d3e4f5a6b7c8d", "GetOrders"),
        ("read", "read", "other", "", "in_connection"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_step_needs_its_right_on_its_resource(case):
    action, expected = CASES[case]
    assert told(action) == expected


def test_sending_as_another_mailbox_is_a_need_of_its_own():
    found = needs(step(MAIL, "SendEmailV2", emailMessage__To="x", emailMessage__From="Desk@fabrikam.example"))
    assert [(n["right"], n["resource"], n["state"]) for n in found] == [
        ("send", "", "in_connection"),
        ("send_as", "desk@fabrikam.example", "known"),
    ]


def test_copying_reads_here_and_writes_there():
    there = "https://fabrikam.sharepoint.example/sites/it"
    found = needs(
        step(
            SP,
            "CopyFileAsync",
            dataset=SITE,
            parameters__sourceFileId="/a/b",
            parameters__destinationDataset=there,
            parameters__destinationFolderPath="/c",
        )
    )
    assert [(n["right"], n["resource"]) for n in found] == [("read", f"{SITE}|/a/b"), ("write", f"{there}|/c")]


def test_dataverse_triggers_register_a_callback():
    trigger = step(
        DV, "SubscribeWebhookTrigger", "OpenApiConnectionWebhook", subscriptionRequest__entityname="opportunity"
    )
    found = needs(trigger=trigger)
    assert [(n["right"], n["resource"], n["via"]) for n in found] == [
        ("read", "|opportunities", "own"),
        ("write", "|callbackregistrations", "trigger_registration"),
    ]


def test_triggers_only_read_even_when_nothing_is_known_of_them():
    trigger = step("shared_fab-20orders-5f1c2d3e4f5a6b7c8d", "WhenPosted", "OpenApiConnectionWebhook")
    assert [(n["right"], n["level"]) for n in needs(trigger=trigger)] == [("read", "read")]


def test_values_of_the_tenant_win_over_defaults():
    action = step(SP, "GetItems", dataset=VARIABLE, table="orders")
    live = "https://fabrikam.sharepoint.example/sites/live"
    (need,) = needs(action, variables={"fab_site": live})
    assert (need["resource"], need["state"]) == (f"{live}|orders", "environment_variable")


@pytest.mark.parametrize(
    "site_of, others",
    [
        (
            "@variables('Site')",
            {"I": {"type": "InitializeVariable", "inputs": {"variables": [{"name": "site", "value": SITE}]}}},
        ),
        ("@outputs('C')", {"C": {"type": "Compose", "inputs": SITE}}),
        ("@outputs('C')?['url']", {"C": {"type": "Compose", "inputs": {"url": SITE}}}),
        (
            "@body('P')?['url']",
            {
                "C": {"type": "Compose", "inputs": {"url": SITE}},
                "P": {"type": "ParseJson", "inputs": {"content": "@outputs('C')"}},
            },
        ),
        ("@concat('https://fabrikam.sharepoint.example/', 'sites/hr')", {}),
        ("https://fabrikam.sharepoint.example/sites/@{toLower('HR')}", {}),
    ],
)
def test_what_cannot_change_at_run_time_is_known(site_of, others):
    (need,) = needs(step(SP, "GetItems", dataset=site_of, table="orders"), others=others)
    assert (need["resource"], need["state"]) == (LIST, "known")


@pytest.mark.parametrize(
    "site_of, others",
    [
        (
            "@variables('Site')",
            {
                "I": {"type": "InitializeVariable", "inputs": {"variables": [{"name": "Site", "value": SITE}]}},
                "Z": {"type": "SetVariable", "inputs": {"name": "Site", "value": "other"}},
            },
        ),
        ("@outputs('C')", {"C": {"type": "Compose", "inputs": "@outputs('C')"}}),
        ("@variables('gone')", {}),
        ("@if(true, 'https://a.example', 'https://b.example')", {}),
        ("@concat('https://a.example/', triggerBody()?['x'])", {}),
        ("@parameters('gone')", {}),
        ("@concat('a'", {}),
        ("@" + "concat(" * 50 + "'a'" + ")" * 50, {}),
        ("@{" * 20, {}),
    ],
)
def test_what_may_change_at_run_time_stays_unknown(site_of, others):
    (need,) = needs(step(SP, "GetItems", dataset=site_of, table="orders"), others=others)
    assert (need["resource"], need["state"]) == ("", "expression")


SWAGGER = {
    "paths": {
        "/a": {"get": {"operationId": "A"}, "post": {"operationId": "GetB"}, "put": {"operationId": "C"}},
        "/b": {
            "delete": {"operationId": "D"},
            "patch": {"operationId": "E"},
            "post": {"operationId": "F", "x-ms-trigger": "single"},
        },
        "/odd": None,
        "/odder": {"get": None, "parameters": []},
    }
}


@pytest.mark.parametrize(
    "operation, right",
    [
        ("A", "read"),
        ("GetB", "unknown"),
        ("C", "write"),
        ("D", "delete"),
        ("E", "write"),
        ("F", "read"),
        ("G", "unknown"),
    ],
)
@pytest.mark.parametrize("form", [lambda s: s, lambda s: {"properties": {"swagger": s}}, catalogue.index_swagger])
def test_the_tenants_own_connector_descriptions_decide(operation, right, form):
    connector = "shared_fab-20orders-5f1c2d3e4f5a6b7c8d"
    (need,) = needs(step(connector, operation), swaggers={connector: form(SWAGGER)})
    assert need["right"] == right


def test_steps_inside_the_engine_need_nothing():
    assert needs({"type": "Compose", "inputs": 1}) == []
    assert needs({"type": "Workflow", "inputs": {"host": {"workflowReferenceName": "x"}}}) == []


def test_rows_fit_the_table_and_its_key():
    twice = step(
        SP,
        "CopyFileAsync",
        dataset="@x()",
        parameters__destinationDataset="@x()",
        parameters__destinationFolderPath="/a",
    )
    frame = schema.frame("needs", needs(twice))
    assert not frame.duplicated(list(schema.table("needs").key)).any()


@pytest.mark.parametrize(
    "address",
    [
        SITE,
        SITE + "/",
        SITE.upper(),
        SITE + "/Lists/Orders/AllItems.aspx",
        SITE + "/_layouts/15/x.aspx?a=1",
        SITE + "/SitePages/Home.aspx",
    ],
)
def test_every_address_inside_a_site_is_the_site(address):
    assert site(address) == SITE


def test_the_catalogue_is_sound():
    operations = reference.table("operations")
    rights = set(reference.table("rights")["right"]) | {"dynamic"}
    assert set(operations["right"]) <= rights
    assert not operations.duplicated(["connector", "operation"]).any()
    assert (operations[["basis", "source", "as_of"]] != "").all(axis=None)
    connectors = reference.table("connectors")
    assert set(connectors["tier"]) <= {"Standard", "Premium"}
    assert set(connectors["side"]) == {"business", "outside", "neutral"}
    assert not connectors["connector"].duplicated().any()
    assert len(operations) > 1_000


def test_exact_names_win_over_patterns():
    assert catalogue.operation("shared_sharepointonline", "GetItems").basis != "from memory"
    assert catalogue.operation("sharepointonline", "getitems").right == "read"
    assert catalogue.operation("shared_sharepointonline", "Frobnicate") is None


def test_scope_gives_back_plain_text_unchanged():
    scope = Scope({})
    assert scope.value("plain").text == "plain"
    assert scope.value("@@odata").text == "@odata"
    assert scope.value(None).state == scope.value("").state == "absent"
    assert scope.value({"a": 1}).state == "expression"


def test_real_definitions_are_understood_to_the_bars(corpus):
    rows, connected = [], 0
    for file in (p for p in (corpus / "flows" / "definitions").rglob("*") if p.is_file()):
        found = read_definition(file.read_bytes(), flow_id=file.name)
        connected += sum(bool(s["connector_id"]) for s in found.steps)
        rows += found.needs
    frame = schema.frame("needs", rows)
    main = frame[(frame["via"] == "own") & (frame["connector_id"] != "http")].drop_duplicates(["flow_id", "step"])
    assert len(main) == connected
    assert (main["level"] != "unknown").mean() >= 0.95
    assert set(frame["state"]) <= {"known", "environment_variable", "expression", "in_connection"}
    named = frame[frame["state"].isin(["known", "environment_variable"])]
    assert (named["resource"] != "").all()
    assert (frame.loc[~frame.index.isin(named.index), "resource"] == "").all()
    sites = frame[frame["resource_kind"].str.startswith("sharepoint")]
    assert sites["state"].isin(["known", "environment_variable"]).mean() >= 0.6
    assert frame["resource"].str.lower().equals(frame["resource"])


def test_literal_sites_of_real_definitions_are_found(corpus):
    expected = pd.read_csv(corpus / "flows" / "expected.csv", dtype=str, keep_default_na=False)
    for row in expected[expected["sharepoint_sites"] != ""].itertuples():
        found = read_definition((corpus / "flows" / "definitions" / row.file).read_bytes())
        sites = {n["resource"].partition("|")[0] for n in found.needs}
        assert {s.rstrip("/").lower() for s in row.sharepoint_sites.split(";")} <= sites, row.file
