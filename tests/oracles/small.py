"""Random small tenants with everything that goes wrong: cycles, strangers, empty and missing tables, shuffled rows."""

from __future__ import annotations

import random

import pandas as pd

from flowanalysis import schema
from flowanalysis.tenant import Tenant

LEVELS = ["read", "write", "owner", "full"]
AS_OF = pd.Timestamp("2026-10-31", tz="UTC")
E = "env"
ROLES = [("x1", "SharePoint Administrator"), ("x2", "Global Reader"), ("x3", "Made-up Role")]


def rows(seed: int) -> dict[str, list[dict]]:
    """Rows of a tenant of some people, groups, resources and flows."""
    dice = random.Random(seed)
    people = [f"u{i}" for i in range(dice.randint(1, 7))]
    groups = [f"g{i}" for i in range(dice.randint(0, 5))]
    sites = [f"s{i}" for i in range(dice.randint(1, 4))]
    things = sites + [f"{s}|l{i}" for s in sites for i in range(dice.randint(0, 2))]
    flows = [f"f{i}" for i in range(dice.randint(0, 6))]
    connections = [f"c{i}" for i in range(dice.randint(0, 6))]
    anyone = [*people, *groups, "stranger"]
    return {
        "identities": [_person(dice, p) for p in people],
        "groups": [{"group_id": g, "display_name": g.upper()} for g in groups],
        "memberships": [_membership(dice, groups, anyone) for _ in (_some(dice, 14) if groups else ())],
        "resources": [_resource(dice, t, things) for t in dice.sample(things, dice.randint(0, len(things)))],
        "grants": [*(_grant(dice, anyone, things) for _ in _some(dice, 14)), *_public(dice, things)],
        "role_assignments": [_role(dice, anyone, *role) for role in dice.sample(ROLES, dice.randint(0, 3))],
        "connections": [_connection(dice, c, people) for c in connections],
        "connection_shares": [_share(dice, connections, anyone) for _ in (_some(dice, 5) if connections else ())],
        "flows": [_flow(dice, f, anyone) for f in flows],
        "flow_owners": [_owner(dice, flows, anyone) for _ in (_some(dice, 10) if flows else ())],
        **_declared(dice, flows, connections, things),
    }


def _some(dice: random.Random, most: int) -> range:
    return range(dice.randint(0, most))


def _membership(dice: random.Random, groups: list[str], anyone: list[str]) -> dict:
    relation = dice.choice(["member", "member", "owner", None])
    return {"group_id": dice.choice(groups), "member_id": dice.choice(anyone), "relation": relation}


def _resource(dice: random.Random, thing: str, things: list[str]) -> dict:
    return {
        "resource_id": thing,
        "kind": dice.choice(["sharepoint_site", "mailbox", None]),
        "sensitivity": dice.choice([None, 1.0, 5.0]),
        "parent_id": dice.choice([None, None, *things]),
    }


def _grant(dice: random.Random, anyone: list[str], things: list[str]) -> dict:
    level = dice.choice([*LEVELS, None])
    who = dice.choice(anyone)
    return {"principal_id": who, "principal_kind": "user", "resource_id": dice.choice(things), "level": level}


def _public(dice: random.Random, things: list[str]) -> list[dict]:
    everyone = {"principal_id": "everyone", "principal_kind": "everyone", "resource_id": dice.choice(things)}
    return [{**everyone, "level": "read"}] if dice.random() < 0.2 else []


def _role(dice: random.Random, anyone: list[str], role: str, name: str) -> dict:
    state = dice.choice(["active", "eligible"])
    return {"principal_id": dice.choice(anyone), "role_id": role, "role_name": name, "state": state, "scope": "/"}


def _connection(dice: random.Random, connection: str, people: list[str]) -> dict:
    maker = dice.choice([*people, "stranger", None])
    return {"environment_id": E, "connection_id": connection, "connector_id": "shared_x", "created_by_id": maker}


def _share(dice: random.Random, connections: list[str], anyone: list[str]) -> dict:
    role = dice.choice(["CanView", "CanEdit"])
    return {
        "environment_id": E,
        "connection_id": dice.choice(connections),
        "principal_id": dice.choice(anyone),
        "role": role,
    }


def _flow(dice: random.Random, flow: str, anyone: list[str]) -> dict:
    return {
        "environment_id": E,
        "flow_id": flow,
        "owner_id": dice.choice([*anyone, None]),
        "state": dice.choice(["Started", "Stopped", None]),
        "has_definition": dice.choice([True, True, False, None]),
    }


def _owner(dice: random.Random, flows: list[str], anyone: list[str]) -> dict:
    who = dice.choice([*anyone, "list"])
    return {
        "environment_id": E,
        "flow_id": dice.choice(flows),
        "principal_id": who,
        "principal_kind": "SharePointList" if who == "list" else dice.choice(["User", None]),
        "role": dice.choice(["Owner", "CanEdit", "CanEdit", "CanView", "RunOnly"]),
    }


def _person(dice: random.Random, name: str) -> dict:
    return {
        "identity_id": name,
        "kind": dice.choice(["user", "user", "user", "service_principal"]),
        "upn": dice.choice([f"{name}@corp.example", None]),
        "user_type": dice.choice(["Member", "Guest", None]),
        "status": dice.choice(["active", "active", "disabled", "deleted", "unknown", None]),
        "department": dice.choice(["Sales", "Finance", None]),
    }


def _declared(
    dice: random.Random, flows: list[str], connections: list[str], things: list[str]
) -> dict[str, list[dict]]:
    """Connections of flows, their steps and needs."""
    uses, steps, needs = [], [], []
    for flow in flows:
        for alias in dice.sample(["a", "b", "c"], dice.randint(0, 3)):
            key = {"environment_id": E, "flow_id": flow, "alias": alias, "connector_id": "shared_x"}
            source = dice.choice(["embedded", "embedded", "invoker", None])
            uses.append({**key, "connection_id": dice.choice([*connections, "gone", None]), "runtime_source": source})
            for number in range(dice.randint(0, 3)):
                step = {**key, "step": f"{alias}{number}"}
                steps.append({**step, "kind": dice.choice(["action", "trigger"]), "runtime_source": source})
                needs.append({**step, **_need(dice, things)})
    return {"flow_connections": uses, "steps": steps, "needs": needs}


def _need(dice: random.Random, things: list[str]) -> dict:
    state = dice.choice(["known", "known", "environment_variable", "expression"])
    return {
        "level": dice.choice([*LEVELS, "unknown"]),
        "right": "x",
        "state": state,
        "resource": dice.choice(things) if state != "expression" else "",
        "resource_kind": dice.choice(["sharepoint_list", "mailbox", None]),
    }


def tenant_of(tables: dict[str, list[dict]], *, seed: int = 0, without: int = 0) -> Tenant:
    """A tenant of rows in random order, repeated rows of relations dropped, some tables missing."""
    dice = random.Random(seed)
    frames = {}
    for name in tables:
        rows_ = list(tables[name])
        dice.shuffle(rows_)
        frame = schema.frame(name, rows_)
        frames[name] = frame.drop_duplicates(list(schema.table(name).key), ignore_index=True)
    for name in dice.sample(sorted(frames), without):
        del frames[name]
    return Tenant(frames, as_of=AS_OF)


def tenant(seed: int) -> Tenant:
    """Tenant number `seed`; every third lacks some tables."""
    return tenant_of(rows(seed), seed=seed, without=seed % 3 * 2 if seed % 3 else 0)
