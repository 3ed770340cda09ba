"""Random tenants in which most rules find something, for laws that hold whatever the tenant looks like."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Mapping

import pandas as pd
import rooms
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from flowanalysis import schema
from flowanalysis.findings import find
from flowanalysis.tenant import Tenant

Tables = dict[str, list[dict]]
ENVIRONMENTS = [("e1", "Production"), ("e2", "Sandbox"), ("e3", "Developer")]
STATUS = ["active"] * 6 + ["disabled", "deleted", "purged_or_foreign", "unknown"]
SITE = "https://corp.example/sites"
LEVELS = ["read", "write", "owner", "full"]
seeds = st.integers(0, 2**32)


def examples(few: int) -> settings:
    """A handful of examples in each run, the same ones; ``FLOWANALYSIS_EXAMPLES=50`` multiplies, with new ones."""
    times = int(os.environ.get("FLOWANALYSIS_EXAMPLES", "1"))
    return settings(
        max_examples=few * times,
        derandomize=times == 1,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def rows(seed: int) -> Tables:
    """Rows of a tenant: people of all states, accounts, groups, rights, flows and their connections."""
    dice = random.Random(seed)
    people = [f"p{n}" for n in range(7)]
    accounts = [f"a{n}" for n in range(4)]
    groups = ["g0", "g1", "g2"]
    flows = [(f"f{n}", dice.choice(ENVIRONMENTS)[0]) for n in range(9)]
    connections = [(f"c{n}", dice.choice(ENVIRONMENTS)[0]) for n in range(7)]
    places = [f"{SITE}/{n}" for n in ("a", "b", "payroll", "d")]
    return {
        "environments": [{"environment_id": e, "sku": s, "is_default": False} for e, s in ENVIRONMENTS],
        "identities": [*(_person(dice, p) for p in people), *(_account(dice, a) for a in accounts)],
        "groups": [{"group_id": g, "display_name": g} for g in groups],
        "memberships": _some(dice, 8, lambda: _membership(dice, groups, people + accounts)),
        "grants": _some(dice, 14, lambda: _grant(dice, people + accounts + groups, places)),
        "role_assignments": _some(dice, 3, lambda: _role(dice, people + accounts + groups)),
        "flows": [_flow(dice, f, e, people, accounts) for f, e in flows],
        "flow_owners": _some(dice, 16, lambda: _owner(dice, flows, people + accounts, groups)),
        "flow_connections": [u for f, e in flows for u in _uses(dice, f, e, connections)],
        "connections": [_connection(dice, c, e, people, accounts) for c, e in connections],
        "connection_shares": _some(dice, 3, lambda: _share(dice, connections, people + groups)),
        "connection_references": [],
        "connectors": [{"connector_id": "shared_x", "environment_id": schema.NO_ENVIRONMENT, "tier": "Premium"}],
        "needs": [n for f, e in flows for n in _needs(dice, f, e, places)],
        "register": [_registered(dice, a, people) for a in accounts[:2]],
        "licences": [],
        "runs": [],
    }


def tenant(tables: Mapping[str, list[dict]], *, shuffle: int | None = None) -> Tenant:
    """A tenant of rows in which every table counts as collected; `shuffle` puts rows and tables in another order."""
    dice = random.Random(shuffle)
    frames = {}
    for name in dice.sample(sorted(tables), len(tables)) if shuffle is not None else tables:
        listed = {tuple(r.get(c) for c in schema.table(name).key): r for r in tables[name]}
        chosen = list(listed.values())
        if shuffle is not None:
            dice.shuffle(chosen)
        frames[name] = schema.frame(name, chosen)
    return Tenant(frames, collected=frames, as_of=rooms.AS_OF)


def renamed(tables: Tables) -> tuple[Tables, dict[str, str]]:
    """The same rows under ids that have nothing to do with the old ones, nor their order; and old id to new."""
    ids = {v for t in tables.values() for r in t for c, v in r.items() if c.endswith("_id") and isinstance(v, str)}
    ids = {i for i in ids if not i.startswith(("shared_", "http", "("))}
    new = {i: hashlib.sha1(f"other {i}".encode(), usedforsecurity=False).hexdigest() for i in ids}
    return {t: [{c: new.get(v, v) for c, v in r.items()} for r in table] for t, table in tables.items()}, new


def judged(state: Tenant, ids: Mapping[str, str] | None = None) -> set[tuple]:
    """Findings without their words, as a set; ids translated."""
    found = find(state)
    told = found[["rule", "severity", "subject_kind", *IDS, "confidence", "evidence"]].astype(object)
    told = told.where(told.notna(), "")
    if ids is not None:
        told[IDS] = told[IDS].map(lambda value: _translated(value, ids))
    return set(told.itertuples(index=False, name=None))


IDS = ["subject_id", "environment_id", "flow_id", "account_id"]


def _translated(value: str, ids: Mapping[str, str]) -> str:
    """Subjects may join several ids; the parts are translated."""
    for mark in ("|", " ", "/"):
        if mark in value and not value.startswith("http"):
            return mark.join(_translated(part, ids) for part in value.split(mark))
    return ids.get(value, value)


def _some(dice: random.Random, most: int, make: Callable[[], dict]) -> list[dict]:
    return [make() for _ in range(dice.randint(0, most))]


def _person(dice: random.Random, name: str) -> dict:
    return {
        **rooms.PERSON,
        "identity_id": name,
        "upn": f"{name}@corp.example",
        "display_name": f"Person {name}",
        "status": dice.choice(STATUS),
        "user_type": dice.choice(["Member", "Member", "Guest"]),
    }


def _account(dice: random.Random, name: str) -> dict:
    status = dice.choice(["active", "active", "active", "disabled", "deleted"])
    return {**rooms.SERVICE, "identity_id": name, "upn": f"svc-{name}@corp.example", "status": status}


def _membership(dice: random.Random, groups: list[str], members: list[str]) -> dict:
    return {"group_id": dice.choice(groups), "member_id": dice.choice([*members, *groups]), "relation": "member"}


def _grant(dice: random.Random, who: list[str], places: list[str]) -> dict:
    kinds = {"principal_kind": "user", "resource_kind": "sharepoint_site", "via": "direct"}
    return {"principal_id": dice.choice(who), "resource_id": dice.choice(places), "level": dice.choice(LEVELS), **kinds}


def _role(dice: random.Random, who: list[str]) -> dict:
    role = dice.choice(["SharePoint Administrator", "Global Reader", "Global Administrator"])
    return {
        "principal_id": dice.choice(who),
        "role_id": role.lower(),
        "role_name": role,
        "scope": "/",
        "state": "active",
    }


def _flow(dice: random.Random, flow: str, environment: str, people: list[str], accounts: list[str]) -> dict:
    owner = dice.choice(people + accounts)
    return {
        "environment_id": environment,
        "flow_id": flow,
        "display_name": f"Flow {flow}",
        "state": dice.choice(["Started", "Started", "Started", "Stopped"]),
        "owner_id": owner,
        "creator_id": owner,
        "owner_source": "permissions",
        "has_definition": True,
    }


def _owner(dice: random.Random, flows: list[tuple[str, str]], who: list[str], groups: list[str]) -> dict:
    flow, environment = dice.choice(flows)
    kind = dice.choice(["User", "User", "User", "Group"])
    return {
        "environment_id": environment,
        "flow_id": flow,
        "principal_id": dice.choice(groups if kind == "Group" else who),
        "principal_kind": kind,
        "role": dice.choice(["Owner", "CanEdit", "CanEdit", "RunOnly"]),
        "via": "permissions",
    }


def _uses(dice: random.Random, flow: str, environment: str, connections: list[tuple[str, str]]) -> list[dict]:
    here = [c for c, e in connections if e == environment]
    return [
        {
            "environment_id": environment,
            "flow_id": flow,
            "alias": alias,
            "connector_id": dice.choice(["shared_x", "shared_y"]),
            "connection_id": dice.choice(here),
            "runtime_source": dice.choice(["embedded", "embedded", "invoker"]),
        }
        for alias in dice.sample(["one", "two"], dice.randint(0, 2))
        if here
    ]


def _connection(dice: random.Random, name: str, environment: str, people: list[str], accounts: list[str]) -> dict:
    return {
        "environment_id": environment,
        "connection_id": name,
        "connector_id": "shared_x",
        "created_by_id": dice.choice(people + accounts),
        "status": dice.choice(["Connected", "Connected", "Error"]),
    }


def _share(dice: random.Random, connections: list[tuple[str, str]], who: list[str]) -> dict:
    name, environment = dice.choice(connections)
    kind = {"principal_kind": "User", "role": "CanView"}
    return {"environment_id": environment, "connection_id": name, "principal_id": dice.choice(who), **kind}


def _needs(dice: random.Random, flow: str, environment: str, places: list[str]) -> list[dict]:
    key = {"environment_id": environment, "flow_id": flow, "via": "own", "state": "known", "right": "x"}
    return [
        {
            **key,
            "step": alias,
            "alias": alias,
            "connector_id": "shared_x",
            "resource": dice.choice(places),
            "resource_kind": "sharepoint_site",
            "level": dice.choice(LEVELS[:2]),
        }
        for alias in dice.sample(["one", "two"], dice.randint(0, 2))
    ]


def _registered(dice: random.Random, account: str, people: list[str]) -> dict:
    return {
        "account": f"svc-{account}@corp.example",
        "kind": "service_account",
        "owner": f"{dice.choice(people)}@corp.example",
        "purpose": dice.choice(["orders", "payroll"]),
        "review_date": "2027-01-01",
    }


def frames_alike(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Equal up to the order of rows."""
    key = [c for c in first.columns if first[c].notna().any()]
    ordered = [f.sort_values(key, key=lambda c: c.astype(str), ignore_index=True) for f in (first, second)]
    pd.testing.assert_frame_equal(*ordered)
