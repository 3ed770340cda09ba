"""Small tenants for tests of a run, and what a test asks of the folder that came of it."""

from __future__ import annotations

import json
from pathlib import Path

from fake_tenant.server import FakeTenant
from fake_tenant.tokens import FakeClock, FakeTokens
from flowanalysis.collect.limits import Limits
from flowanalysis.collect.run import collect

USERS = ("graph", "/v1.0/users")
BAP = "/providers/Microsoft.BusinessAppPlatform/scopes/admin/environments"
FLOW = "/providers/Microsoft.ProcessSimple/scopes/admin/environments"
APPS = "/providers/Microsoft.PowerApps/scopes/admin/environments"


def people(count: int) -> list[dict]:
    return [
        {"id": f"u-{n}", "displayName": f"Person {n}", "signInActivity": {}, "manager": {"id": "boss"}}
        for n in range(count)
    ]


def directory(count: int = 45, groups: int = 0) -> FakeTenant:
    lists = {USERS: people(count), ("graph", "/beta/groups"): [{"id": f"g-{n}"} for n in range(groups)]}
    for n in range(groups):
        lists["graph", f"/v1.0/groups/g-{n}/members"] = [{"@odata.type": "#microsoft.graph.user", "id": f"u-{n}"}]
        lists["graph", f"/v1.0/groups/g-{n}/owners"] = []
    return FakeTenant(lists=lists, clock=FakeClock())


def run(served: FakeTenant, out: Path, **options) -> Path:
    options = {"parts": ("graph",), "signin": FakeTokens(), "limits": Limits(broken=3), "progress": False, **options}
    return collect(tenant="fabrikam.example", out=out, clock=served.clock, **{"cloud": served.cloud, **options})


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def lines(folder: Path, name: str) -> list[dict]:
    return [json.loads(text) for text in (folder / f"{name}.jsonl").read_bytes().splitlines()]


def rows(folder: Path, name: str) -> list[dict]:
    return [row for line in lines(folder, name) for row in line["body"].get("value", [])]


def newest(out: Path) -> Path:
    return max(p for p in (out / "fabrikam.example").iterdir() if p.is_dir())


def answer(status: int, code: str, message: str = "") -> tuple[int, dict, bytes]:
    return status, {}, json.dumps({"error": {"code": code, "message": message}}).encode()


def platform(groups: list[dict] | None = None) -> FakeTenant:
    """Two environments, one without flow runtime, one flow with a group as co-owner."""
    served = directory(groups=0)
    served.lists["graph", "/beta/groups"] = groups or []
    environment = {"environment": {"name": "env-1"}}
    served.lists |= {
        ("bap", BAP): [{"name": "env-1", "properties": {}}, {"name": "env-2", "properties": {}}],
        ("flow", f"{FLOW}/env-1/v2/flows"): [{"name": "flow-1", "properties": environment}],
        ("flow", f"{FLOW}/env-1/flows/flow-1/permissions"): [
            {"name": "p", "properties": {"roleName": "CanEdit", "principal": {"id": "G-Team", "type": "Group"}}}
        ],
        ("powerapps", f"{APPS}/env-1/connections"): [
            {"name": "c-1", "properties": {"apiId": "/x/shared_sql", "allowSharing": True, **environment}},
            {"name": "c-2", "properties": {"apiId": "/x/shared_sql", "allowSharing": False, **environment}},
            {"name": "c-3", "properties": {"apiId": "/x/shared_sql", "allowSharing": False, **environment}},
        ],
        ("bap", "/providers/Microsoft.BusinessAppPlatform/scopes/admin/apiPolicies"): [],
        ("powerplatform", "/resourcequery/resources/query"): [{"name": f"f-{n}", "type": "x"} for n in range(45)],
    }
    references = {"shared_sql": {"connectionName": "C-3", "id": "/x/shared_sql"}}
    served.records["flow", f"{FLOW}/env-1/flows/flow-1"] = {
        "name": "flow-1",
        "properties": {**environment, "connectionReferences": references},
    }
    return served
