"""Environments, connectors and data policies, one raw row at a time: raw object in, rows of tables out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources.powerrows import environment_of
from flowanalysis.sources.values import connector, dig, flag, fold, items, last, obj, text

Row = Mapping[str, Any]
DLP_CLASSES = {
    "hbi": "business",
    "lbi": "non_business",
    "blocked": "blocked",
    "confidential": "business",
    "general": "non_business",
    "business": "business",
    "nonbusiness": "non_business",
}
DLP_SCOPES = {
    "include": "only",
    "exclude": "except",
    "onlyenvironments": "only",
    "exceptenvironments": "except",
    "allenvironments": "all",
}


def environment(row: Row) -> dict[str, Any]:
    """An environment from the admin or the maker list."""
    shown = obj(row.get("properties"))
    linked = obj(shown.get("linkedEnvironmentMetadata"))
    protection = text(dig(shown, "governanceConfiguration", "protectionLevel"))
    return {
        "environment_id": fold(row.get("name")) or last(row.get("id")),
        "display_name": text(shown.get("displayName")) or text(row.get("displayName")),
        "sku": text(shown.get("environmentSku")),
        "is_default": flag(shown.get("isDefault")),
        "is_managed": protection.lower() == "standard" if protection else None,
        "region": text(shown.get("azureRegion")) or text(shown.get("azureRegionHint")) or text(row.get("location")),
        "state": _lifecycle(shown),
        "created_at": shown.get("createdTime"),
        "created_by_id": fold(dig(shown, "createdBy", "id")),
        "owner_id": fold(dig(shown, "usedBy", "id")),
        "has_dataverse": _has_dataverse(row),
        "org_url": text(linked.get("instanceUrl")),
        "org_id": fold(linked.get("resourceId")),
        "security_group_id": fold(linked.get("securityGroupId")),
        "environment_group_id": fold(dig(shown, "parentEnvironmentGroup", "id")),
        "tenant_id": fold(shown.get("tenantId")),
    }


def _lifecycle(shown: Row) -> str | None:
    told = [text(dig(shown, "states", s, "id")) for s in ("management", "runtime")]
    told.append(text(shown.get("provisioningState")))
    return next((t for t in told if t and t != "NotSpecified"), None)


def _has_dataverse(row: Row) -> bool | None:
    """Only the admin list says by silence that there is no database."""
    shown = obj(row.get("properties"))
    if dig(shown, "linkedEnvironmentMetadata", "instanceUrl"):
        return True
    admin = "businessappplatform" in str(row.get("type", "")).lower()
    return False if admin or text(shown.get("databaseType")) == "None" else None


def roles_in_environment(row: Row) -> Iterator[dict[str, Any]]:
    """Roles that ``$expand=permissions`` lists inside an environment row."""
    for name, found in obj(dig(row, "properties", "permissions")).items():
        for who in items(dig(found, "principals")):
            yield {
                "environment_id": fold(row.get("name")),
                "principal_id": fold(who.get("id")),
                "principal_kind": text(who.get("type")),
                "role": name,
                "via": "environment",
            }


def environment_role(row: Row, *, request: str = "") -> dict[str, Any]:
    """A role in an environment."""
    shown = obj(row.get("properties"))
    who = obj(shown.get("principal"))
    kind = text(who.get("type"))
    tenant = fold(who.get("tenantId")) if kind == "Tenant" else None
    return {
        "environment_id": environment_of(row, request) or NO_ENVIRONMENT,
        "principal_id": fold(who.get("id")) or tenant or fold(row.get("name")),
        "principal_kind": kind,
        "role": text(dig(shown, "roleDefinition", "name")) or last(dig(shown, "roleDefinition", "id")),
        "via": "environment",
    }


def connector_row(row: Row, *, request: str = "") -> dict[str, Any]:
    """A connector; custom ones belong to their environment."""
    shown = obj(row.get("properties"))
    custom = flag(shown.get("isCustomApi"))
    described = obj(shown.get("metadata"))
    where = environment_of(row, request) or fold(described.get("environmentName"))
    url = text(dig(described, "serviceUrl")) or text(shown.get("primaryRuntimeUrl"))
    return {
        "connector_id": connector(row.get("name")) or connector(row.get("id")),
        "environment_id": (where if custom else None) or NO_ENVIRONMENT,
        "display_name": text(shown.get("displayName")),
        "tier": text(shown.get("tier")),
        "is_custom": custom,
        "publisher": text(shown.get("publisher")),
        "host": url.split("://", 1)[-1].split("/", 1)[0].lower() if custom and url else None,
        "created_by_id": fold(dig(shown, "createdBy", "id")) or _maker_in_text(described.get("createdBy")),
    }


def _maker_in_text(value: Any) -> str | None:
    """The metadata of a connector holds its maker as JSON inside a string."""
    try:
        found = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return None
    return fold(dig(found, "id"))


def policy(row: Row) -> Iterator[dict[str, Any]]:
    """A connector's class in a data policy, from the older and the newer model."""
    shown = obj(row.get("properties")) or row
    name = fold(row.get("name")) or last(row.get("id"))
    title = text(shown.get("displayName")) or text(row.get("displayName"))
    scope, where = _policy_scope(shown)
    for classification, found in _policy_groups(shown):
        yield {
            "policy_id": name,
            "policy_name": title,
            "connector_id": connector(found.get("id")) or connector(found.get("name")),
            "classification": classification,
            "scope": scope,
            "environment_ids": where,
        }


def _policy_groups(shown: Row) -> Iterator[tuple[str, Row]]:
    for name, group in obj(dig(shown, "definition", "apiGroups")).items():
        for found in items(dig(group, "apis")):
            yield DLP_CLASSES.get(name.lower(), name.lower()), found
    for group in items(shown.get("connectorGroups")):
        name = text(group.get("classification")) or ""
        for found in items(group.get("connectors")):
            yield DLP_CLASSES.get(name.lower(), name.lower()), found


def _policy_scope(shown: Row) -> tuple[str, str]:
    old = obj(dig(shown, "definition", "constraints", "environmentFilter1", "parameters"))
    word = text(old.get("filterType")) or text(shown.get("environmentType")) or "AllEnvironments"
    listed = items(old.get("environments")) or items(shown.get("environments"))
    return DLP_SCOPES.get(word.lower(), "all"), " ".join(filter(None, (fold(e.get("name")) for e in listed)))
