"""Synthetic tenants for the plan: departments of unequal size, templates that are used again, some noise."""

from __future__ import annotations

import numpy as np

from flowanalysis import schema
from flowanalysis.tenant import Tenant

CONNECTORS = {
    "shared_sharepointonline": "sharepoint_list",
    "shared_sql": "sql_table",
    "shared_office365": "mailbox",
    "shared_teams": "team",
    "shared_commondataserviceforapps": "dataverse_table",
}


def tenant(flows=50, *, seed=1, departments=None, accounts=0, requests=False):
    """A tenant of so many flows in two environments, with so many registered service accounts."""
    random = np.random.default_rng(seed)
    departments = departments or max(flows // 6, 3)
    share = 1 / np.arange(1, departments + 1)
    templates = [_template(random) for _ in range(max(flows // 10, 3))]
    rows = {name: [] for name in ("flows", "flow_connections", "connections", "needs", "flow_owners", "runs")}
    for number in range(flows):
        department = int(random.choice(departments, p=share / share.sum()))
        _flow(rows, random, number, department, templates)
    people = [_person(d) for d in range(departments)] + [_service(a, departments) for a in range(accounts)]
    frames = {name: schema.frame(name, found) for name, found in rows.items() if name != "runs" or requests}
    frames["connections"] = frames["connections"].drop_duplicates(ignore_index=True)
    frames["identities"] = schema.frame("identities", people)
    frames["register"] = schema.frame(
        "register", [{"account": p["upn"], "kind": "user"} for p in people if p["upn"].startswith("svc")]
    )
    frames["grants"] = schema.frame("grants", _grants(random, rows["needs"], accounts))
    return Tenant(frames, collected=frames)


def _template(random):
    """Steps that many flows have in common: connector, thing of the department, level."""
    count = int(random.integers(1, 4))
    names = random.choice(list(CONNECTORS), size=count, replace=False)
    return [(str(c), int(random.integers(3)), "write" if random.random() < 0.4 else "read") for c in names]


def _flow(rows, random, number, department, templates):
    environment, flow = f"env{department % 2}", f"flow-{number:05}"
    steps = list(templates[int(random.integers(len(templates)))])
    if random.random() < 0.25:
        steps += _template(random)
    keys = {"environment_id": environment, "flow_id": flow}
    rows["flows"].append(
        {**keys, "display_name": f"Flow {number}", "state": "Started", "kind": "cloud", "has_definition": True}
        | {"owner_id": f"owner{department}", "is_solution": bool(random.random() < 0.5), "action_count": len(steps)}
    )
    for editor in range(int(random.poisson(1.2))):
        rows["flow_owners"].append({**keys, "principal_id": f"owner{editor}", "role": "CanEdit"})
    for connector in sorted({c for c, _, _ in steps}):
        connection = f"{connector}-{environment}-{department}"
        rows["flow_connections"].append(
            {**keys, "alias": connector, "connector_id": connector} | {"connection_id": connection}
        )
        rows["connections"].append(
            {"environment_id": environment, "connection_id": connection, "connector_id": connector}
            | {"created_by_id": f"owner{department}"}
        )
    for place, (connector, thing, level) in enumerate(steps):
        rows["needs"].append(
            {**keys, "step": f"step{place}", "connector_id": connector, "alias": connector, "right": level}
            | {"level": level, "resource_kind": CONNECTORS[connector], "state": "known", "via": "own"}
            | {"resource": f"{CONNECTORS[connector]}-{department}-{thing}"}
        )


def _person(department):
    return {
        "identity_id": f"owner{department}",
        "kind": "user",
        "upn": f"owner{department}@fabrikam.example",
        "status": "active",
        "department": f"Department {department}",
    }


def _service(number, departments):
    return {
        "identity_id": f"svc{number:05}",
        "kind": "user",
        "upn": f"svc-{number:05}@fabrikam.example",
        "status": "active",
        "department": f"Department {number % departments}",
    }


def _grants(random, needs, accounts):
    """Each service account holds some of the rights that flows need."""
    rows = []
    for number in range(accounts):
        for place in random.integers(len(needs), size=int(random.integers(1, 8))):
            need = needs[int(place)]
            rows.append(
                {"principal_id": f"svc{number:05}", "principal_kind": "user", "resource_id": need["resource"]}
                | {"resource_kind": need["resource_kind"], "level": need["level"], "via": "direct"}
            )
    return rows
