"""Power Platform answers: environments, flows, owners, connections, connectors, data policies, runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flowanalysis.demo.definitions import api_references, definition
from flowanalysis.demo.flows import RUNNER, Flow
from flowanalysis.demo.people import lead
from flowanalysis.demo.steps import APIS, SQL_SERVER
from flowanalysis.demo.world import (
    ENVIRONMENTS,
    EXTERNAL,
    PREMIUM_CONNECTORS,
    Connection,
    World,
    connectors,
    needs_premium,
    owner_kind,
)

FLOWS = "/providers/Microsoft.ProcessSimple/"
APPS = "/providers/Microsoft.PowerApps/"
VERSION = "api-version=2016-11-01"
TRIMMED = ("production", "finance")  # environments whose solution flows have their definition from Dataverse alone
BUSY_RUNS = 58  # a day of the busy flow
TITLES = {
    "shared_sharepointonline": "SharePoint",
    "shared_office365": "Office 365 Outlook",
    "shared_office365users": "Office 365 Users",
    "shared_office365groups": "Office 365 Groups",
    "shared_teams": "Microsoft Teams",
    "shared_approvals": "Approvals",
    "shared_planner": "Planner",
    "shared_microsoftforms": "Microsoft Forms",
    "shared_commondataserviceforapps": "Microsoft Dataverse",
    "shared_commondataservice": "Microsoft Dataverse (legacy)",
    "shared_sql": "SQL Server",
    "shared_dropbox": "Dropbox",
}
ERRORS = {
    50173: "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
    700082: "The refresh token has expired due to inactivity.",
}


def environment_page(world: World) -> dict[str, Any]:
    """All environments."""
    return {"value": [_environment(world, key) for key in ENVIRONMENTS]}


def _environment(world: World, key: str) -> dict[str, Any]:
    name, sku, dataverse = ENVIRONMENTS[key]
    found = world.environment_id(key)
    properties: dict[str, Any] = {
        "tenantId": world.tenant_id,
        "azureRegion": "westeurope",
        "displayName": name,
        "createdTime": "2021-02-03T09:30:00.1234567Z",
        "createdBy": {"id": "SYSTEM", "displayName": "SYSTEM", "type": "NotSpecified"}
        if key == "default"
        else _person(world, "emil.frost" if key == "developer" else lead("it")),
        "provisioningState": "Succeeded",
        "creationType": "DefaultTenant" if key == "default" else "User",
        "environmentSku": sku,
        "isDefault": key == "default",
        "databaseType": "CommonDataService" if dataverse else "None",
        "states": {"management": {"id": "Ready"}, "runtime": {"id": "Enabled"}},
        "governanceConfiguration": {"protectionLevel": "Standard" if sku == "Production" else "Basic"},
    }
    if key == "developer":
        properties["usedBy"] = {"id": world.identity("emil.frost"), "type": "User", "tenantId": world.tenant_id}
    if dataverse:
        properties["linkedEnvironmentMetadata"] = {
            "resourceId": world.ids.guid("organisation", key),
            "friendlyName": name,
            "uniqueName": f"unqtailwind{key}",
            "domainName": f"tailwind-{key}",
            "instanceUrl": world.org(key) + "/",
            "instanceApiUrl": world.org(key),
            "instanceState": "Ready",
        }
    return {
        "id": f"/providers/Microsoft.BusinessAppPlatform/scopes/admin/environments/{found}",
        "type": "Microsoft.BusinessAppPlatform/scopes/environments",
        "location": "europe",
        "name": found,
        "properties": properties,
    }


def _person(world: World, key: str) -> dict[str, Any]:
    name = world.accounts[key].name if key in world.accounts else key.rpartition(":")[2]
    return {
        "id": world.identity(key),
        "displayName": name,
        "email": world.address(key),
        "type": "User",
        "tenantId": world.tenant_id,
        "userPrincipalName": world.address(key),
    }


# Flows ----------------------------------------------------------------------------------------------------------


def in_environment(world: World, environment: str) -> list[Flow]:
    """Flows of an environment."""
    return [f for f in world.flows if f.environment == environment]


def flow_id(world: World, flow: Flow) -> str:
    """Name of a flow in ids."""
    return world.ids.guid("flow", flow.key)


def workflow_id(world: World, flow: Flow) -> str:
    """Dataverse id of a solution flow."""
    return world.ids.guid("workflow", flow.key)


def flow_page(world: World, environment: str) -> dict[str, Any]:
    """The thin list."""
    return {"value": [_flow(world, f, _listed(world, f)) for f in in_environment(world, environment)]}


def flow_lines(world: World, environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """One detail a flow, with its definition."""
    for flow in in_environment(world, environment):
        request = f"{_scoped(world, flow)}?{VERSION}"
        yield request, _flow(world, flow, _listed(world, flow) | _detailed(world, flow))


def _scoped(world: World, flow: Flow) -> str:
    place = f"environments/{world.environment_id(flow.environment)}/flows/{flow_id(world, flow)}"
    return f"providers/Microsoft.ProcessSimple/scopes/admin/{place}"


def _flow(world: World, flow: Flow, properties: dict[str, Any]) -> dict[str, Any]:
    name = flow_id(world, flow)
    return {
        "name": name,
        "id": f"{FLOWS}environments/{world.environment_id(flow.environment)}/flows/{name}",
        "type": "Microsoft.ProcessSimple/environments/flows",
        "properties": properties,
    }


def dates(world: World, flow: Flow) -> tuple[str, str]:
    """Creation and last change; a flow that is new this month was made this month."""
    if flow.stages == (1,):
        return world.ids.when("2026-10-07", flow.key), world.ids.when("2026-10-20", flow.key)
    made = f"2025-{1 + world.ids.number(12, 'made', flow.key):02}-10"
    changed = "2026-10-13" if flow.recipe_before and world.stage else f"2026-0{1 + world.ids.number(8, flow.key)}-17"
    return world.ids.when(made, flow.key), world.ids.when(changed, flow.key)


def creator(world: World, flow: Flow) -> dict[str, Any]:
    """Who made it: the keeper of a service account's flow, in Dataverse's own numbering for some."""
    maker = lead(flow.department) if flow.owner.startswith(("svc-", "sp:")) else flow.owner
    if flow.system_creator:
        found, kind = world.ids.guid("systemuser", flow.environment, maker), "DataverseSystemUser"
    else:
        found, kind = world.identity(maker), "ActiveDirectory"
    return {"tenantId": world.tenant_id, "objectId": found, "userId": found, "userType": kind}


def _listed(world: World, flow: Flow) -> dict[str, Any]:
    made, changed = dates(world, flow)
    environment = world.environment_id(flow.environment)
    row: dict[str, Any] = {
        "displayName": flow.name,
        "state": flow.state,
        "createdTime": made,
        "lastModifiedTime": changed,
        "flowSuspensionReason": "None",
        "environment": {
            "name": environment,
        },
        "creator": creator(world, flow),
        "isManaged": False,
    }
    if flow.solution:
        row["workflowEntityId"] = workflow_id(world, flow)
        row["workflowUniqueId"] = world.ids.guid("workflow-unique", flow.key)
    return row


def _detailed(world: World, flow: Flow) -> dict[str, Any]:
    row: dict[str, Any] = {
        "userType": "Owner",
        "connectionReferences": api_references(world, flow),
        "referencedResources": [],
    }
    if flow.environment not in TRIMMED or not flow.solution:
        row["definition"] = definition(world, flow)
    if flow.solution:
        row["sharingType"] = "CommonDataService"
        owning: dict[str, Any] = {"id": world.ids.guid("systemuser", flow.environment, flow.owner)}
        if flow.owner != RUNNER:
            owning["azureActiveDirectoryObjectId"] = world.identity(flow.owner)
        row["owningUser"] = owning
    if needs_premium(world.steps(flow)):
        plan = "Power Automate Process" if flow.owner == RUNNER else "Power Automate Premium"
        row["licenseData"] = {"performanceProfile": {"throttles": {"mode": "High"}}, "flowLicenseName": plan}
        if flow.key == "svc1-premium":
            row["licenseData"]["flowLicenseName"] = "Office 365"
    return row


def permission_lines(world: World, environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Owner and co-owners of each flow."""
    for flow in in_environment(world, environment):
        who = [(flow.owner, "Owner"), *((c, "CanEdit") for c in flow.co_owners)]
        base = f"{FLOWS}environments/{world.environment_id(flow.environment)}/flows/{flow_id(world, flow)}/permissions"
        rows = [
            {
                "name": world.identity(key),
                "id": f"{base}/{world.identity(key)}",
                "type": "/providers/Microsoft.ProcessSimple/environments/flows/permissions",
                "properties": {
                    "roleName": role,
                    "permissionType": "Principal",
                    "principal": {"id": world.identity(key), "type": owner_kind(key)},
                },
            }
            for key, role in who
        ]
        yield f"{_scoped(world, flow)}/permissions?{VERSION}", {"value": rows}


def run_lines(world: World, environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The latest run of every running flow; a whole day of the busy one."""
    month = f"2026-{9 + world.stage:02}"
    for flow in in_environment(world, environment):
        if flow.state != "Started" or (flow.solution and flow.key != "lim1-busy"):
            continue  # the runs of solution flows were not exported
        count = BUSY_RUNS if flow.key == "lim1-busy" else 1
        rows = [_run(world, flow, month, i) for i in range(count)]
        yield f"{_scoped(world, flow)}/runs?{VERSION}", {"value": rows}


def _run(world: World, flow: Flow, month: str, number: int) -> dict[str, Any]:
    name = f"0858{world.ids.number(10**24, 'run', flow.key, month, number):024}CU{10 + world.ids.number(80, flow.key)}"
    minute = number * 24
    start = f"{month}-29T{minute // 60:02}:{minute % 60:02}"
    return {
        "name": name,
        "id": f"{FLOWS}environments/{world.environment_id(flow.environment)}/flows/{flow_id(world, flow)}/runs/{name}",
        "type": "Microsoft.ProcessSimple/environments/flows/runs",
        "properties": {
            "startTime": f"{start}:04.1234567Z",
            "endTime": f"{start}:09.7654321Z",
            "status": "Succeeded",
            "trigger": {"name": world.steps(flow)[0].name, "status": "Succeeded"},
        },
    }


# Connections, connectors, policies ------------------------------------------------------------------------------


def connections_in(world: World, environment: str) -> list[Connection]:
    """Connections of an environment."""
    return [c for c in world.connections.values() if c.environment == environment]


def connection_page(world: World, environment: str) -> dict[str, Any]:
    """Connections as the admin list has them."""
    return {"value": [_connection(world, c) for c in connections_in(world, environment)]}


def _connection(world: World, connection: Connection) -> dict[str, Any]:
    environment = world.environment_id(connection.environment)
    path = f"{APPS}scopes/admin/environments/{environment}/apis/{connection.connector}"
    shown = world.address(connection.account)
    row: dict[str, Any] = {
        "apiId": path,
        "displayName": _label(connection, shown),
        "statuses": [_status(connection.error)],
        "isSsoConnection": False,
        "createdBy": _person(world, connection.maker),
        "createdTime": world.ids.when("2025-11-12", connection.id),
        "lastModifiedTime": world.ids.when(f"2026-{9 + world.stage:02}-21", connection.id),
        "expirationTime": world.ids.when(f"2026-{9 + world.stage:02}-22", connection.id),
        "environment": {"id": f"{APPS}environments/{environment}", "name": environment},
        "allowSharing": connection.everyone or connection.account.startswith("sp:"),
    }
    row |= _signed_in(world, connection, shown)
    return {
        "name": connection.id,
        "id": f"{path}/connections/{connection.id}",
        "type": "Microsoft.PowerApps/scopes/apis/connections",
        "properties": row,
    }


def _label(connection: Connection, shown: str) -> str:
    """The account, but the application's name or the bare login where there is no account."""
    if connection.account.startswith("sp:"):
        return "Tailwind Flow Runner"
    return shown.partition("@")[0] if connection.everyone else shown


def _signed_in(world: World, connection: Connection, shown: str) -> dict[str, Any]:
    """The part that tells whose sign-in it is: account, application, or user name of a database."""
    if connection.account.startswith("sp:"):
        values = {
            "token:grantType": {"value": "client_credentials"},
            "token:clientId": {"value": world.ids.guid("app", connection.account[3:])},
            "token:TenantId": {"value": world.tenant_id},
        }
        return {"connectionParametersSet": {"name": "ServicePrincipalOauth", "values": values}}
    if connection.account.startswith(EXTERNAL):
        user = connection.account.removeprefix(EXTERNAL)
        parameters = {"username": user, "server": SQL_SERVER, "database": "warehouse"}
        return {"connectionParameters": parameters}
    return {"accountName": shown, "connectionParametersSet": {"name": "Oauth", "values": {}}}


def _status(error: int) -> dict[str, Any]:
    if not error:
        return {"status": "Connected"}
    cause = json.dumps({"error": "invalid_grant", "error_description": f"AADSTS{error}: {ERRORS[error]}"})
    message = f"Failed to refresh access token. {cause}"
    return {"status": "Error", "target": "token", "error": {"code": "Unauthorized", "message": message}}


def share_lines(world: World, environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Who may use each connection."""
    place = world.environment_id(environment)
    for c in connections_in(world, environment):
        if not c.everyone and c.maker == c.account:
            continue  # asked only where somebody else may hold the connection
        path = f"{APPS}scopes/admin/environments/{place}/apis/{c.connector}/connections/{c.id}/permissions"
        maker = _person(world, c.maker)
        rows = [("Owner", {k: maker[k] for k in ("id", "type", "displayName", "email", "tenantId")})]
        if c.everyone:
            rows.append(("CanView", {"id": world.tenant_id, "type": "Tenant", "tenantId": world.tenant_id}))
        value = [
            {
                "name": principal["id"],
                "id": f"{path}/{principal['id']}",
                "type": "Microsoft.PowerApps/scopes/apis/connections/permissions",
                "properties": {"roleName": role, "principal": principal},
            }
            for role, principal in rows
        ]
        yield f"{path.removeprefix('/')}?{VERSION}", {"value": value}


def connector_page(world: World, environment: str) -> dict[str, Any]:
    """Connectors that are in use."""
    used = dict.fromkeys(c for f in in_environment(world, environment) for c in connectors(world.steps(f)))
    rows = [
        {
            "name": name,
            "id": APIS + name,
            "type": "Microsoft.PowerApps/apis",
            "properties": {
                "displayName": TITLES[name],
                "tier": "Premium" if name in PREMIUM_CONNECTORS else "Standard",
                "isCustomApi": False,
                "publisher": "Microsoft" if name != "shared_dropbox" else "Dropbox",
                "capabilities": ["actions"],
            },
        }
        for name in used
    ]
    return {"value": rows}


def policy_page(world: World) -> dict[str, Any]:
    """One data policy for all environments; consumer storage is not business."""
    business = [{"id": APIS + c, "name": t, "type": "Microsoft.PowerApps/apis"} for c, t in TITLES.items()]
    groups = {
        "hbi": {"apis": [b for b in business if "dropbox" not in b["id"]], "description": "Business data only"},
        "lbi": {"apis": [b for b in business if "dropbox" in b["id"]], "description": "No business data allowed"},
    }
    name = world.ids.guid("policy")
    return {
        "value": [
            {
                "name": name,
                "id": f"/providers/Microsoft.BusinessAppPlatform/scopes/admin/apiPolicies/{name}",
                "type": "Microsoft.BusinessAppPlatform/scopes/apiPolicies",
                "properties": {
                    "displayName": "Tailwind tenant policy",
                    "definition": {
                        "$schema": "https://schema.management.azure.com/providers/Microsoft.PowerApps/schemas/2016-11-01",
                        "defaultApiGroup": "lbi",
                        "constraints": {},
                        "apiGroups": groups,
                    },
                },
            }
        ]
    }
