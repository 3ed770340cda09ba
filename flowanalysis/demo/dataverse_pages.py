"""Dataverse answers: workflows, connection references and users of an environment."""

from __future__ import annotations

import json
from typing import Any

from flowanalysis.demo.definitions import client_data, reference_name
from flowanalysis.demo.flow import RUNNER, Flow
from flowanalysis.demo.people import DEPARTMENTS, lead
from flowanalysis.demo.platform_pages import dates, workflow_id
from flowanalysis.demo.steps import APIS
from flowanalysis.demo.world import World, connectors, walk


def _page(world: World, environment: str, kind: str, columns: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@odata.context": f"{world.org(environment)}/api/data/v9.2/$metadata#{kind}({columns})", "value": rows}


def solution_flows(world: World, environment: str) -> list[Flow]:
    """Flows that Dataverse knows."""
    return [f for f in world.in_environment(environment) if f.solution]


def workflow_page(world: World, environment: str) -> dict[str, Any]:
    """Workflows of category 5 with their client data as a string."""
    columns = "workflowid,workflowidunique,name,category,type,statecode,statuscode,clientdata,_ownerid_value,createdon"
    rows = [_workflow(world, f) for f in solution_flows(world, environment)]
    return _page(world, environment, "workflows", columns, rows)


def _workflow(world: World, flow: Flow) -> dict[str, Any]:
    made, changed = dates(world, flow)
    on = flow.state == "Started"
    return {
        "@odata.etag": f'W/"{world.ids.number(9_000_000, flow.key, changed)}"',
        "workflowid": workflow_id(world, flow),
        "workflowidunique": world.ids.guid("workflow-unique", flow.key),
        "name": flow.name,
        "category": 5,
        "type": 1,
        "statecode": 1 if on else 0,
        "statuscode": 2 if on else 1,
        "modernflowtype": 0,
        "clientdata": json.dumps(client_data(world, flow), ensure_ascii=False, separators=(",", ":")),
        "_ownerid_value": world.ids.guid("systemuser", flow.environment, flow.owner),
        "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname": "systemuser",
        "_createdby_value": world.ids.guid("systemuser", flow.environment, lead(flow.department)),
        "createdon": made,
        "modifiedon": changed,
        "ismanaged": False,
        "description": None,
    }


def reference_page(world: World, environment: str) -> dict[str, Any]:
    """Connection references; one without a connection cannot run."""
    columns = "connectionreferenceid,connectionreferencelogicalname,connectorid,connectionid,_ownerid_value,statecode"
    used = [(f, c) for f in solution_flows(world, environment) for c in connectors(world.steps(f))]
    rows = {reference_name(world, f, c): _reference(world, f, c) for f, c in reversed(used)}
    return _page(world, environment, "connectionreferences", columns, list(reversed(rows.values())))


def _reference(world: World, flow: Flow, connector: str) -> dict[str, Any]:
    name = reference_name(world, flow, connector)
    bound = None
    if connector not in flow.unbound + flow.invoker:
        bound = world.connections[flow.environment, connector, world.account_of(flow, connector)].id
    return {
        "@odata.etag": f'W/"{world.ids.number(9_000_000, name)}"',
        "connectionreferenceid": world.ids.guid("reference", name),
        "connectionreferencelogicalname": name,
        "connectionreferencedisplayname": f"{DEPARTMENTS[flow.department][0]} {connector.removeprefix('shared_')}",
        "connectorid": APIS + connector,
        "connectionid": bound,
        "_ownerid_value": world.ids.guid("systemuser", flow.environment, flow.owner),
        "statecode": 0,
        "statuscode": 1,
        "ismanaged": False,
    }


def variable_page(world: World, environment: str) -> dict[str, Any]:
    """Environment variables that flows name: a site has its own value here, a secret names a place in a vault."""
    columns = "environmentvariabledefinitionid,schemaname,type,defaultvalue"
    used = [s for f in solution_flows(world, environment) for s in walk(world.steps(f))]
    told = {v["metadata"]["schemaName"]: v for s in used for v in s.variables.values()}
    rows = [_variable(world, environment, name, told[name].get("defaultValue")) for name in sorted(told)]
    return _page(world, environment, "environmentvariabledefinitions", columns, rows)


def _variable(world: World, environment: str, name: str, site: str | None) -> dict[str, Any]:
    vault = "/subscriptions/tt/resourceGroups/tt/providers/Microsoft.KeyVault/vaults/tt/secrets/" + name
    own = {"environmentvariablevalueid": world.ids.guid("variable-value", environment, name), "statecode": 0}
    return {
        "@odata.etag": f'W/"{world.ids.number(9_000_000, environment, name)}"',
        "environmentvariabledefinitionid": world.ids.guid("variable", environment, name),
        "schemaname": name,
        "type": 100000000 if site else 100000005,
        "defaultvalue": None,
        "environmentvariabledefinition_environmentvariablevalue": [own | {"value": site or vault}],
    }


def user_page(world: World, environment: str) -> dict[str, Any]:
    """Users that Dataverse numbers itself: owners and creators of its flows, and the application."""
    columns = "systemuserid,azureactivedirectoryobjectid,domainname,fullname,isdisabled,accessmode,applicationid"
    flows = solution_flows(world, environment)
    keys = dict.fromkeys([*(lead(f.department) for f in flows), *(f.owner for f in flows)])
    return _page(world, environment, "systemusers", columns, [_user(world, environment, k) for k in keys])


def _user(world: World, environment: str, key: str) -> dict[str, Any]:
    application = key == RUNNER
    return {
        "@odata.etag": f'W/"{world.ids.number(9_000_000, environment, key)}"',
        "systemuserid": world.ids.guid("systemuser", environment, key),
        "azureactivedirectoryobjectid": world.identity(key),
        "domainname": "" if application else world.address(key),
        "fullname": "Tailwind Flow Runner" if application else world.accounts[key].name,
        "internalemailaddress": None if application else world.address(key),
        "isdisabled": False,
        "accessmode": 4 if application else 0,
        "applicationid": world.ids.guid("app", "flow-runner") if application else None,
    }
