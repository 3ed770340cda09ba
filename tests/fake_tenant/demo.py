"""The demo tenant behind the fake services: its exports, taken apart again into what each address answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fake_tenant.server import FakeTenant

GRAPH = {
    "users-*.json": "/v1.0/users",
    "deleted-users.json": "/v1.0/directory/deletedItems/microsoft.graph.user",
    "groups.json": "/beta/groups",
    "service-principals.json": "/v1.0/servicePrincipals",
    "oauth2-grants.json": "/v1.0/oauth2PermissionGrants",
    "role-definitions.json": "/beta/roleManagement/directory/roleDefinitions",
    "role-assignments.json": "/v1.0/roleManagement/directory/roleAssignments",
    "role-eligible.json": "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances",
    "subscribed-skus.json": "/v1.0/subscribedSkus",
}
BAP = "/providers/Microsoft.BusinessAppPlatform/scopes/admin"
FLOW = "/providers/Microsoft.ProcessSimple/scopes/admin/environments"
APPS = "/providers/Microsoft.PowerApps/scopes/admin/environments"
TABLES = {
    "users": "systemusers",
    "workflows": "workflows",
    "connection-references": "connectionreferences",
    "environment-variables": "environmentvariabledefinitions",
}
NOT_COLLECTED = ("sign-ins.json", "runs.jsonl", "rights.csv", "register.csv")


def served(folder: Path, *, page_size: int = 50) -> FakeTenant:
    """A fake tenant that answers with the exports of a folder."""
    databases = tuple(sorted(p.name for p in (folder / "dataverse").iterdir() if p.is_dir()))
    tenant = FakeTenant(databases=databases, page_size=page_size)
    _graph(folder / "graph", tenant)
    _flows(folder / "flows", tenant)
    for name in databases:
        _dataverse(folder / "dataverse" / name, tenant)
    return tenant


def move(tenant: FakeTenant, folder: Path) -> dict[str, str]:
    """Let the environments name the databases where they are served; the moved addresses with the old ones."""
    moved = {}
    for row in tenant.lists["bap", f"{BAP}/environments"]:
        linked = row["properties"].get("linkedEnvironmentMetadata")
        if linked:
            old = linked["instanceUrl"].rstrip("/")
            name = next(n for n in tenant.databases if f"-{n}." in old)
            moved[tenant.base(name)] = old
            linked["instanceUrl"] = f"{tenant.base(name)}/"
    return moved


def _pages(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".jsonl":
        yield from (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line)
    else:
        yield json.loads(path.read_text(encoding="utf-8"))


def _graph(folder: Path, tenant: FakeTenant) -> None:
    for pattern, path in GRAPH.items():
        for file in sorted(folder.glob(pattern)):
            for page in _pages(file):
                tenant.lists.setdefault(("graph", path), []).extend(page["value"])
                tenant.contexts["graph", path] = page["@odata.context"]
    for file in folder.glob("*.jsonl"):
        for line in _pages(file):
            path = f"/v1.0/{urlsplit(line['request']).path}"
            tenant.lists["graph", path] = line["body"]["value"]
            tenant.contexts["graph", path] = line["body"]["@odata.context"]


def _flows(folder: Path, tenant: FakeTenant) -> None:
    environments = next(_pages(folder / "environments.json"))["value"]
    tenant.lists["bap", f"{BAP}/environments"] = environments
    tenant.lists["bap", f"{BAP}/apiPolicies"] = next(_pages(folder / "policies.json"))["value"]
    tenant.lists["powerplatform", "/resourcequery/resources/query"] = []
    for row in environments:
        tenant.lists["bap", f"{BAP}/environments/{row['name']}/roleAssignments"] = []
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        connections = next(_pages(place / "connections.json"))["value"]
        flows = next(_pages(place / "flows.json"))["value"]
        name = (flows or connections)[0]["properties"]["environment"]["name"]
        tenant.lists["flow", f"{FLOW}/{name}/v2/flows"] = flows
        tenant.lists["powerapps", f"{APPS}/{name}/connections"] = connections
        tenant.connectors[name] = next(_pages(place / "connectors.json"))["value"]
        for file, role in (("flow-permissions", "flow"), ("connection-permissions", "powerapps")):
            for line in _pages(place / f"{file}.jsonl") if (place / f"{file}.jsonl").exists() else ():
                tenant.lists[role, f"/{urlsplit(line['request']).path}"] = line["body"]["value"]
        for line in _pages(place / "flow-details.jsonl"):
            tenant.records["flow", f"/{urlsplit(line['request']).path}"] = line["body"]


def _dataverse(folder: Path, tenant: FakeTenant) -> None:
    for file, table in TABLES.items():
        page = next(_pages(folder / f"{file}.json"))
        path = f"/api/data/v9.2/{table}"
        tenant.lists[folder.name, path] = page["value"]
        tenant.contexts[folder.name, path] = page["@odata.context"]
