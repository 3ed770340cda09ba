"""Power Platform answers: environments, flows, owners, connections, connectors, data policies, runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowanalysis.demo.connection_pages import VERSION, person
from flowanalysis.demo.definitions import api_references, definition
from flowanalysis.demo.flow import RUNNER, Flow
from flowanalysis.demo.people import lead
from flowanalysis.demo.world import (
    ENVIRONMENTS,
    World,
    needs_premium,
    owner_kind,
)

FLOWS = "/providers/Microsoft.ProcessSimple/"
TRIMMED = ("production", "finance")  # environments whose solution flows have their definition from Dataverse alone
BUSY_RUNS = 58  # a day of the busy flow


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
        else person(world, "emil.frost" if key == "developer" else lead("it")),
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


# Flows ----------------------------------------------------------------------------------------------------------


def flow_id(world: World, flow: Flow) -> str:
    """Name of a flow in ids."""
    return world.ids.guid("flow", flow.key)


def workflow_id(world: World, flow: Flow) -> str:
    """Dataverse id of a solution flow."""
    return world.ids.guid("workflow", flow.key)


def flow_page(world: World, environment: str) -> dict[str, Any]:
    """The thin list."""
    return {"value": [_flow(world, f, _listed(world, f)) for f in world.in_environment(environment)]}


def flow_lines(world: World, environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """One detail a flow, with its definition."""
    for flow in world.in_environment(environment):
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
    for flow in world.in_environment(environment):
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
    for flow in world.in_environment(environment):
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
