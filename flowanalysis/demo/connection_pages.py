"""Power Platform answers about connections: who signed in, who may use them, connectors, data policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flowanalysis.demo.steps import APIS, SQL_SERVER
from flowanalysis.demo.world import EXTERNAL, PREMIUM_CONNECTORS, Connection, World, connectors

APPS = "/providers/Microsoft.PowerApps/"
VERSION = "api-version=2016-11-01"
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


def person(world: World, key: str) -> dict[str, Any]:
    """A user as Power Platform describes one."""
    name = world.accounts[key].name if key in world.accounts else key.rpartition(":")[2]
    return {
        "id": world.identity(key),
        "displayName": name,
        "email": world.address(key),
        "type": "User",
        "tenantId": world.tenant_id,
        "userPrincipalName": world.address(key),
    }


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
        "createdBy": person(world, connection.maker),
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
        maker = person(world, c.maker)
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
    used = dict.fromkeys(c for f in world.in_environment(environment) for c in connectors(world.steps(f)))
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
