"""Small tenants for the tests of rules: one sound flow, and one step at a time away from it."""

from __future__ import annotations

import pandas as pd
from conftest import THOROUGH

from flowanalysis import schema
from flowanalysis.findings import answerable, find
from flowanalysis.policy import Policy, load_policy
from flowanalysis.rules import RULES
from flowanalysis.tenant import Tenant

ENV = "env-prod"
AS_OF = pd.Timestamp("2026-10-31", tz="UTC")
PERSON = {
    "kind": "user",
    "status": "active",
    "user_type": "Member",
    "given_name": "Ada",
    "surname": "Berg",
    "manager_id": "boss",
    "manager_known": True,
    "employee_id": "4711",
}
SERVICE = {"kind": "user", "status": "active", "employee_type": "Service account", "manager_known": True}
BASE = {
    "environments": [{"environment_id": ENV, "sku": "Production", "is_default": False, "tenant_id": "tenant"}],
    "identities": [
        {"identity_id": "ada", "upn": "ada.berg@fabrikam.example", **PERSON},
        {"identity_id": "bo", "upn": "bo.lind@fabrikam.example", **PERSON, "given_name": "Bo", "surname": "Lind"},
        {"identity_id": "svc", "upn": "svc-orders@fabrikam.example", **SERVICE},
        {"identity_id": "off", "upn": "off@fabrikam.example", **PERSON, "status": "disabled"},
        {"identity_id": "del", "upn": "del@fabrikam.example", **PERSON, "status": "deleted"},
        {"identity_id": "purged", "upn": None, "kind": "unknown", "status": "purged_or_foreign"},
        {"identity_id": "mystery", "upn": None, "kind": "unknown", "status": "unknown"},
        {"identity_id": "spn", "display_name": "Orders app", "kind": "service_principal", "app_id": "app-1"},
        {"identity_id": "boss", "upn": "boss@fabrikam.example", **PERSON},
    ],
    "flows": [
        {
            "environment_id": ENV,
            "flow_id": "f",
            "display_name": "Orders",
            "state": "Started",
            "owner_id": "svc",
            "owner_source": "permissions",
            "creator_id": "svc",
        }
    ],
    "flow_owners": [
        {"principal_id": "svc", "principal_kind": "User", "role": "Owner"},
        {"principal_id": "ada", "principal_kind": "User", "role": "CanEdit"},
    ],
    "flow_connections": [{"alias": "a", "connector_id": "shared_office365", "connection_id": "c"}],
    "connections": [
        {"connection_id": "c", "connector_id": "shared_office365", "account_name": "svc-orders@fabrikam.example"}
    ],
    "connection_references": [],
    "connectors": [{"connector_id": "shared_office365", "environment_id": schema.NO_ENVIRONMENT, "tier": "Standard"}],
    "runs": [],
    "memberships": [],
}
WHERE = {
    "flow_owners": {"environment_id": ENV, "flow_id": "f", "via": "permissions"},
    "flow_connections": {"environment_id": ENV, "flow_id": "f", "runtime_source": "embedded"},
    "connections": {"environment_id": ENV, "status": "Connected"},
    "connection_shares": {"environment_id": ENV, "connection_id": "c"},
    "definition_marks": {"environment_id": ENV, "flow_id": "f", "step": "", "path": ""},
    "needs": {"environment_id": ENV, "flow_id": "f", "via": "own", "state": "known"},
    "steps": {"environment_id": ENV, "flow_id": "f", "kind": "action", "runtime_source": "embedded"},
    "flows": {"environment_id": ENV, "state": "Started", "owner_source": "permissions"},
    "runs": {"environment_id": ENV, "flow_id": "f"},
}


def build(*, without: tuple[str, ...] = (), **tables: list[dict]) -> Tenant:
    """The sound tenant with tables replaced; ``without`` names tables that were not collected."""
    data = {**BASE, **tables}
    rows = {t: [{**WHERE.get(t, {}), **r} for r in data[t]] for t in data if t not in without}
    return Tenant({t: schema.frame(t, r) for t, r in rows.items()}, collected=rows, as_of=AS_OF)


def owned_by(*principals: str | tuple[str, str], **flow: object) -> Tenant:
    """The flow with these owners, the first of them primary; a pair names the kind of principal."""
    pairs = [(p, "User") if isinstance(p, str) else p for p in principals]
    roles = ["Owner", *["CanEdit"] * (len(pairs) - 1)]
    owners = [{"principal_id": p, "principal_kind": k, "role": r} for (p, k), r in zip(pairs, roles, strict=True)]
    made = {**BASE["flows"][0], "owner_id": pairs[0][0], **flow}
    return build(flow_owners=owners, flows=[made])


def rules(tenant: Tenant, **options: object) -> set[str]:
    """Ids of the rules that found something."""
    return set(find(tenant, **options)["rule"])


def alone(rule: str, policy: Policy | None = None) -> Policy:
    """The policy with every other rule switched off."""
    policy = policy or load_policy()
    for other in set(RULES) - {rule}:
        policy = policy.with_threshold(other, "enabled", False)
    return policy


def only(tenant: Tenant, rule: str, *, policy: Policy | None = None, previous: Tenant | None = None) -> pd.DataFrame:
    """Findings of one rule. No rule hears of another, so the others are asked in a thorough run only."""
    found = find(tenant, policy if THOROUGH else alone(rule, policy), previous)
    return found[found["rule"] == rule].reset_index(drop=True)


def finds(rule: str, tenant: Tenant, **options: object) -> bool:
    """Whether a rule found something."""
    return not only(tenant, rule, **options).empty


def answer(tenant: Tenant, rule: str, **options: object) -> str:
    """Whether the rule can be answered: full, partly, no or off."""
    table = answerable(tenant, **options).set_index("rule")
    return table.loc[rule, "answerable"]
