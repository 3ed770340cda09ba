"""Power Platform rows: ids in both forms, allow-listed parameters, nothing signed or secret."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from flowanalysis import sources
from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources import powerplatform, powerrows
from flowanalysis.sources.base import Document

FLOW = "Microsoft.ProcessSimple/environments/flows"
CANARY = "correct-horse-battery"


def flow(name: str = "F1", environment: str = "Default-T1", **shown) -> dict:
    return {"name": name, "type": FLOW, "properties": {"environment": {"name": environment}, **shown}}


def connection(name: str = "c1", **shown) -> dict:
    path = f"/providers/Microsoft.PowerApps/scopes/admin/environments/E1/apis/shared_sql/connections/{name}"
    return {"name": name, "id": path, "type": "Microsoft.PowerApps/scopes/apis/connections", "properties": shown}


@pytest.fixture
def load(tmp_path):
    def run(*roots):
        for number, root in enumerate(roots):
            (tmp_path / f"{number:03}.json").write_text(json.dumps(root), encoding="utf-8")
        return sources.read(tmp_path).tenant()

    return run


def test_environment_ids_join_in_any_case(load):
    found = load(
        {"value": [flow(environment="default-T1", state="Started")]}, {"value": [flow(environment="Default-t1")]}
    )
    assert found.flows["environment_id"].tolist() == ["default-t1"]
    assert found.flows["state"].tolist() == ["Started"]


@pytest.mark.parametrize(
    "api",
    [
        "/providers/Microsoft.PowerApps/apis/shared_SQL",
        "/providers/Microsoft.PowerApps/scopes/admin/environments/E1/apis/shared_sql",
    ],
)
def test_connectors_in_both_forms_are_one(load, api):
    assert load([connection(apiId=api)]).connections["connector_id"].tolist() == ["shared_sql"]


@pytest.mark.parametrize(
    "shown",
    [
        {
            "connectionParameters": {
                "server": "s1",
                "database": "d1",
                "username": "svc",
                "password": CANARY,
                "gatewaySetting": CANARY,
            }
        },
        {
            "connectionParametersSet": {
                "name": "sql",
                "values": {
                    "server": {"value": "s1"},
                    "database": {"value": "d1"},
                    "username": {"value": "svc"},
                    "password": {"value": CANARY},
                },
            }
        },
    ],
)
def test_parameters_outside_the_allow_list_are_never_stored(load, shown):
    tenant = load([connection(**shown)])
    row = tenant.connections.iloc[0]
    assert (row.server, row.database, row.username) == ("s1", "d1", "svc")
    for table in tenant.collected:
        assert CANARY not in tenant[table].to_csv(), table


@pytest.mark.parametrize(
    "url",
    [
        f"https://u:{CANARY}@host.example/odata",
        f"https://host.example/odata?code={CANARY}",
        f"https://host.example/odata;pwd={CANARY}",
    ],
)
def test_addresses_lose_what_may_be_secret(url):
    assert powerrows.parameters({"connectionParameters": {"odataUri": url}})["server"] == "https://host.example/odata"


def test_a_service_principal_connection_names_its_application(load):
    values = {
        "token:clientId": {"value": "APP-1"},
        "token:clientSecret": {"value": CANARY},
        "token:grantType": {"value": "client_credentials"},
        "token:TenantId": {"value": "t"},
    }
    row = load([connection(connectionParametersSet={"name": "oauthSP", "values": values})]).connections.iloc[0]
    assert (row.client_id, row.auth_kind) == ("app-1", "oauthSP")
    assert pd.isna(row.account_name)


def test_one_bad_status_among_good_ones_counts(load):
    error = {
        "status": "Error",
        "target": "token",
        "error": {"code": "Unauthorized", "message": "AADSTS50057: The user account is disabled"},
    }
    row = load([connection(statuses=[{"status": "Connected"}, error])]).connections.iloc[0]
    assert (row.status, row.status_code, row.aadsts) == ("Error", "Unauthorized", "50057")


def test_makers_bring_names_but_are_no_listing(load):
    made = {
        "id": "U1",
        "type": "User",
        "userPrincipalName": "u1@tailwind.example",
        "displayName": "U One",
        "tenantId": "T",
    }
    tenant = load([connection(createdBy=made)])
    assert tenant.identities[["identity_id", "upn", "status"]].values.tolist() == [
        ["u1", "u1@tailwind.example", "unknown"]
    ]
    assert not tenant.has("identities")


def test_environment_without_dataverse(load):
    bare = {
        "name": "E1",
        "type": "Microsoft.BusinessAppPlatform/scopes/environments",
        "properties": {"displayName": "x", "isDefault": False},
    }
    maker = {"name": "E2", "type": "Microsoft.ProcessSimple/environments", "properties": {"displayName": "y"}}
    linked = {
        **bare,
        "name": "E3",
        "properties": {
            "linkedEnvironmentMetadata": {"instanceUrl": "https://o.crm.dynamics.com"},
            "governanceConfiguration": {"protectionLevel": "Standard"},
            "createdBy": {"id": "SYSTEM", "type": "NotSpecified"},
        },
    }
    found = load({"value": [bare, maker, linked]}).environments.set_index("environment_id")
    assert not found.loc["e1", "has_dataverse"]
    assert pd.isna(found.loc["e2", "has_dataverse"])
    assert found.loc["e3", "has_dataverse"]
    assert found.loc["e3", "is_managed"]
    assert pd.isna(found.loc["e1", "is_managed"])


def test_the_owner_of_the_row_is_the_owning_user_not_the_creator(load):
    row = flow(
        creator={"objectId": "C", "userType": "ActiveDirectory"},
        owningUser={"id": "dv", "azureActiveDirectoryObjectId": "O"},
    )
    found = load(row).flows.iloc[0]
    assert (found.creator_id, found.owner_id, found.owner_source) == ("c", "o", "owninguser")


def test_a_flow_list_without_references_does_not_count_as_no_connections(load):
    tenant = load({"value": [flow()]})
    assert not tenant.has("flow_connections")
    assert not tenant.flows["has_definition"].iloc[0]


def permission(who: str, role: str, kind: str = "User") -> dict:
    path = f"/providers/Microsoft.ProcessSimple/environments/E1/flows/F1/permissions/{who}"
    principal = {"id": who, "type": kind}
    return {
        "name": who,
        "id": path,
        "type": f"/providers/{FLOW}/permissions",
        "properties": {"roleName": role, "principal": principal},
    }


def test_permissions_of_a_flow(load):
    found = load([permission("A", "Owner"), permission("G", "CanEdit", "Group")]).flow_owners
    assert found[["environment_id", "flow_id", "principal_id", "role"]].values.tolist() == [
        ["e1", "f1", "a", "Owner"],
        ["e1", "f1", "g", "CanEdit"],
    ]


def test_the_request_tells_what_an_empty_answer_is_about(load):
    base = "https://api.flow.microsoft.com/providers/Microsoft.ProcessSimple/scopes/admin/environments/E1/flows/F1"
    tenant = load(
        [
            {"request": f"{base}/permissions?api-version=2016-11-01", "body": {"value": []}},
            {"request": f"{base}/runs", "body": {"value": []}},
        ]
    )
    assert tenant.has("flow_owners", "runs")


def test_ids_missing_in_the_body_are_read_from_the_request(load):
    body = {
        "name": "A",
        "type": f"/providers/{FLOW}/permissions",
        "properties": {"roleName": "Owner", "principal": {"id": "A", "type": "User"}},
    }
    row = load(
        [
            {
                "request": "/providers/Microsoft.ProcessSimple/scopes/admin/environments/E1/flows/F9/permissions",
                "body": {"value": [body]},
            }
        ]
    ).flow_owners.iloc[0]
    assert (row.environment_id, row.flow_id) == ("e1", "f9")


def test_an_environment_without_flow_runtime_has_no_flows(load):
    url = "https://api.flow.microsoft.com/providers/Microsoft.ProcessSimple/scopes/admin/environments/E1/v2/flows"
    tenant = load([{"request": url, "status": 404, "body": None}], {"value": [flow()]})
    assert tenant.has("flows")
    assert tenant.rejected.empty


def test_shares_with_everybody_name_the_tenant(load):
    path = "/providers/Microsoft.PowerApps/scopes/admin/environments/E1/apis/shared_sql/connections/C1/permissions/x"
    shown = {"roleName": "CanView", "principal": {"type": "Tenant", "tenantId": "T1"}}
    row = load(
        [
            {
                "name": "x",
                "id": path,
                "type": "Microsoft.PowerApps/scopes/apis/connections/permissions",
                "properties": shown,
            }
        ]
    ).connection_shares.iloc[0]
    assert (row.connection_id, row.principal_id, row.principal_kind) == ("c1", "t1", "Tenant")


def test_data_policies_of_both_models(load):
    api = {"id": "/providers/Microsoft.PowerApps/apis/shared_sql"}
    only = {
        "environmentFilter1": {
            "parameters": {"filterType": "include", "environments": [{"name": "E1"}, {"name": "E2"}]}
        }
    }
    old = {
        "name": "P1",
        "type": "Microsoft.BusinessAppPlatform/scopes/apiPolicies",
        "properties": {
            "displayName": "old",
            "definition": {"apiGroups": {"hbi": {"apis": [api]}, "lbi": {"apis": []}}, "constraints": only},
        },
    }
    new = {
        "name": "P2",
        "displayName": "new",
        "environmentType": "ExceptEnvironments",
        "environments": [{"name": "E3"}],
        "connectorGroups": [{"classification": "Blocked", "connectors": [api]}],
    }
    found = load({"value": [old, new]}).dlp_rules
    assert found[["policy_id", "classification", "scope", "environment_ids"]].values.tolist() == [
        ["p1", "business", "only", "e1 e2"],
        ["p2", "blocked", "except", "e3"],
    ]


def test_runs_give_a_flow_its_last_run(load):
    run = {
        "name": "R1",
        "id": "/providers/Microsoft.ProcessSimple/environments/Default-T1/flows/F1/runs/R1",
        "type": f"{FLOW}/runs",
        "properties": {
            "startTime": "2026-10-01T00:00:00Z",
            "status": "Failed",
            "error": {"code": "X"},
            "trigger": {"name": "t", "outputsLink": {"uri": f"https://x?sig={CANARY}"}},
        },
    }
    tenant = load([flow()], [run])
    assert tenant.flows["last_run_at"].tolist() == [pd.Timestamp("2026-10-01T00:00:00Z")]
    assert CANARY not in tenant.runs.to_csv()


def test_a_flow_detail_gives_steps_and_never_its_callback(load):
    definition = {
        "triggers": {"manual": {"type": "Request", "kind": "Http"}},
        "actions": {
            "Mail": {
                "type": "OpenApiConnection",
                "inputs": {
                    "host": {
                        "connectionName": "shared_office365",
                        "operationId": "SendEmailV2",
                        "apiId": "/providers/Microsoft.PowerApps/apis/shared_office365",
                    },
                    "parameters": {},
                },
            }
        },
    }
    references = {
        "shared_office365": {
            "connectionName": "c1",
            "source": "Embedded",
            "id": "/providers/Microsoft.PowerApps/apis/shared_office365",
        }
    }
    tenant = load(
        flow(definition=definition, connectionReferences=references, flowTriggerUri=f"https://x?sig={CANARY}")
    )
    row = tenant.flows.iloc[0]
    assert (row.trigger_type, row.trigger_kind, row.action_count, row.has_definition) == ("Request", "Http", 1, True)
    assert tenant.steps["operation_id"].dropna().tolist() == ["SendEmailV2"]
    assert tenant.steps["environment_id"].unique().tolist() == ["default-t1"]
    for table in tenant.collected:
        assert CANARY not in tenant[table].to_csv(), table


def test_a_definition_that_is_not_understood_leaves_the_flow(load):
    tenant = load(flow(definition={"actions": {"x": 3}, "triggers": 7}, displayName="odd"))
    assert tenant.flows["display_name"].tolist() == ["odd"]


def test_a_flow_without_environment_says_so(load):
    assert load([{"name": "f", "type": FLOW, "properties": {}}]).flows["environment_id"].tolist() == [NO_ENVIRONMENT]


def test_other_families_are_not_taken():
    document = Document("x", "json", roots=([{"id": "a", "userPrincipalName": "a"}],))
    assert powerplatform.recognise(document) is None


def test_a_connector_that_describes_itself_says_what_its_operations_need(load):
    action = {
        "type": "OpenApiConnection",
        "inputs": {"host": {"connectionName": "own", "operationId": "Thing_Fetch", "apiId": "/apis/shared_own-1"}},
    }
    detail = flow(environment="e1", state="Started")
    detail["properties"]["definition"] = {
        "triggers": {"now": {"type": "Request", "kind": "Button"}},
        "actions": {"Fetch": action, "Push": {**action, "inputs": {"host": {**action["inputs"]["host"]}}}},
    }
    detail["properties"]["definition"]["actions"]["Push"]["inputs"]["host"]["operationId"] = "Thing_Push"
    spec = {"get": {"operationId": "thing_fetch"}, "post": {"operationId": "Thing_Push"}}
    api = {
        "name": "shared_own-1",
        "id": "/providers/Microsoft.PowerApps/apis/shared_own-1",
        "type": "Microsoft.PowerApps/apis",
        "properties": {"displayName": "Own", "isCustomApi": True, "swagger": {"paths": {"/t": spec}}},
    }

    def rights(*exports):
        return load(*exports).needs.set_index("step")[["right", "level"]].T.to_dict("list")

    assert rights({"value": [detail]}) == {"Fetch": ["unknown", "unknown"], "Push": ["unknown", "unknown"]}
    assert rights({"value": [detail]}, {"value": [api]}) == {"Fetch": ["read", "read"], "Push": ["unknown", "unknown"]}
