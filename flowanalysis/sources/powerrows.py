"""One row of the Power Platform APIs at a time: raw object in, row of a table out. Times stay text, ids are folded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources.values import UNTOLD, connector, dig, flag, fold, items, last, obj, segment, text

Row = Mapping[str, Any]
STATES = {s.lower(): s for s in ("Started", "Stopped", "Suspended", "Deleted", "Draft")}
AADSTS = re.compile(r"AADSTS(\d+)")
# Parameters of a connection that may be stored; everything else may be a secret. Compared without the
# "token:" in front, in lower case.
PARAMETERS = {
    "username": ("username", "user", "login", "loginname"),
    "server": ("server", "odatauri", "siteurl", "instance", "instancename", "baseurl", "host", "hostname"),
    "database": ("database", "databasename"),
    "client_id": ("clientid", "client_id"),
}


def environment_of(row: Row, request: str = "") -> str | None:
    """The environment that a row, its id path or its request names."""
    named = fold(dig(row, "properties", "environment", "name")) or last(dig(row, "properties", "environment", "id"))
    return named or segment(row.get("id"), "environments") or segment(request, "environments")


def flow_of(row: Row, request: str = "") -> str | None:
    """The flow in the id path of a permission or run, or in its request."""
    return segment(row.get("id"), "flows") or segment(request, "flows")


# The later wins where both name an alias.
REFERENCES = ("installedConnectionReferences", "connectionReferences")


def is_detail(row: Row) -> bool:
    """True when a flow row is a single flow's answer rather than a line of a list."""
    shown = obj(row.get("properties"))
    return is_definition(shown.get("definition")) or "installedConnectionReferences" in shown


def is_definition(found: Any) -> bool:
    """True for a definition, which some tools hand on as text."""
    return isinstance(found, Mapping) or (isinstance(found, str) and found.lstrip().startswith("{"))


def flow(row: Row, *, request: str = "") -> dict[str, Any]:
    """A flow from a list, a detail, or the recycle bin."""
    shown = obj(row.get("properties"))
    creator = obj(shown.get("creator"))
    owner = fold(dig(shown, "owningUser", "azureActiveDirectoryObjectId"))
    trigger: Row = next(iter(items(dig(shown, "definitionSummary", "triggers"))), {})
    suspension = obj(shown.get("estimatedSuspensionData"))
    return {
        "environment_id": environment_of(row, request) or NO_ENVIRONMENT,
        "flow_id": fold(row.get("name")) or last(row.get("id")),
        "display_name": text(shown.get("displayName")) or text(row.get("displayName")),
        "state": state(shown.get("state")),
        "suspension_reason": text(shown.get("flowSuspensionReason")),
        "suspension_at": suspension.get("suspensionTime") or suspension.get("time"),
        "created_at": shown.get("createdTime"),
        "modified_at": shown.get("lastModifiedTime"),
        "creator_id": fold(creator.get("objectId")) or fold(creator.get("userId")),
        "creator_kind": text(creator.get("userType")),
        "owner_id": owner,
        "owner_source": "owninguser" if owner else None,
        "is_solution": True if fold(shown.get("workflowEntityId")) else _solution(shown),
        "workflow_id": fold(shown.get("workflowEntityId")),
        "workflow_unique_id": fold(shown.get("workflowUniqueId")),
        "is_managed": flag(shown.get("isManaged")),
        "kind": "cloud",
        "trigger_type": text(trigger.get("type")),
        "trigger_kind": text(trigger.get("kind")),
        "sharing_type": text(shown.get("sharingType")),
        "description": text(dig(shown, "definitionSummary", "description")) or text(row.get("description")),
        "template_name": text(shown.get("templateName")),
        "licence_name": text(dig(shown, "licenseData", "flowLicenseName")),
        "failure_alert": flag(shown.get("flowFailureAlertSubscribed")),
    }


def _solution(shown: Row) -> bool | None:
    """The admin list of today names the workflow of every solution flow; older answers do not know the key."""
    return False if "isManaged" in shown else None


def state(value: Any) -> str | None:
    """State of a flow in the house's words; Unknown for words that are not known, NA for none."""
    word = text(value)
    return STATES.get(word.lower(), "Unknown") if word else None


def shows_references(row: Row) -> bool:
    """True when the answer would have shown the connections of the flow."""
    shown = obj(row.get("properties"))
    return any(isinstance(shown.get(k), (Mapping, list)) for k in REFERENCES)


def references(row: Row, *, request: str = "") -> Iterator[dict[str, Any]]:
    """The connections that a flow declares, one for each alias."""
    environment = environment_of(row, request) or NO_ENVIRONMENT
    name = fold(row.get("name")) or last(row.get("id"))
    for alias, found in _declared(row).items():
        yield {
            "environment_id": environment,
            "flow_id": name,
            "alias": alias,
            "connector_id": connector(found.get("id")) or connector(dig(found, "api", "name")),
            "connection_id": last(found.get("connectionName")) or last(dig(found, "connection", "name")),
            "reference_name": fold(
                found.get("connectionReferenceLogicalName")
                or dig(found, "connection", "connectionReferenceLogicalName")
            ),
            "runtime_source": runtime_source(found.get("source") or found.get("runtimeSource")),
            "tier": text(found.get("tier")),
        }


def _declared(row: Row) -> dict[str, Row]:
    shown = obj(row.get("properties"))
    # a flow that somebody else installed lists its references only as installed ones
    both = [pair for key in REFERENCES for pair in _aliased(shown.get(key))]
    return {alias.lower(): found for alias, found in both if isinstance(found, Mapping)}


def _aliased(told: Any) -> Iterator[tuple[str, Any]]:
    """References with the names that definitions call them by; in a list they are numbered like the service does."""
    if isinstance(told, Mapping):
        yield from ((str(alias), found) for alias, found in told.items())
        return
    met: dict[str, int] = {}
    for found in items(told):
        name = connector(found.get("id")) or connector(dig(found, "api", "name")) or UNTOLD
        met[name] = met.get(name, 0) + 1
        yield f"{name}_{met[name] - 1}" if met[name] > 1 else name, found


def runtime_source(value: Any) -> str:
    """embedded, invoker or unknown.

    >>> runtime_source("Embedded"), runtime_source("NotSpecified")
    ('embedded', 'unknown')
    """
    word = (text(value) or "").lower()
    return word if word in {"embedded", "invoker"} else "unknown"


def connectors_in(row: Row) -> Iterator[dict[str, Any]]:
    """Connectors that a flow's references describe in passing."""
    for found in _declared(row).values():
        name = connector(found.get("id"))
        described = obj(dig(found, "apiDefinition", "properties"))
        custom = flag(described.get("isCustomApi"))
        if name and not custom:
            yield {
                "connector_id": name,
                "environment_id": NO_ENVIRONMENT,
                "display_name": text(described.get("displayName")) or text(found.get("displayName")),
                "tier": text(described.get("tier")) or text(found.get("tier")),
                "is_custom": custom,
                "publisher": text(described.get("publisher")),
            }


def permission(row: Row, *, request: str = "") -> dict[str, Any]:
    """A role on a flow."""
    shown = obj(row.get("properties"))
    found = obj(shown.get("principal"))
    return {
        "environment_id": environment_of(row, request) or NO_ENVIRONMENT,
        "flow_id": flow_of(row, request) or UNTOLD,
        "principal_id": fold(found.get("id")) or fold(row.get("name")),
        "principal_kind": text(found.get("type")),
        "role": text(shown.get("roleName")),
        "via": "permissions",
    }


def maker(found: Any) -> dict[str, Any] | None:
    """The person beside a row (createdBy, principal, usedBy) as an identity, None for groups and the service."""
    person = obj(found)
    name, kind = fold(person.get("id")), text(person.get("type"))
    if not name or kind not in {"User", "ServicePrincipal"} or name == "system":
        return None
    return {
        "identity_id": name,
        "kind": "user" if kind == "User" else "service_principal",
        "upn": text(person.get("userPrincipalName")) if kind == "User" else None,
        "mail": text(person.get("email")),
        "display_name": text(person.get("displayName")),
        "home_tenant_id": fold(person.get("tenantId")),
    }


def connection(row: Row, *, request: str = "") -> dict[str, Any]:
    """A connection; of its parameters only those of the allow-list."""
    shown = obj(row.get("properties"))
    made_by = obj(shown.get("createdBy"))
    found = {
        "environment_id": environment_of(row, request) or NO_ENVIRONMENT,
        "connection_id": fold(row.get("name")) or last(row.get("id")),
        "connector_id": connector(shown.get("apiId")) or segment(row.get("id"), "apis"),
        "display_name": text(shown.get("displayName")),
        "created_by_id": fold(made_by.get("id")),
        "created_by_upn": text(made_by.get("userPrincipalName")) or text(made_by.get("email")),
        "created_by_tenant_id": fold(made_by.get("tenantId")),
        "account_name": text(shown.get("accountName")),
        "auth_kind": text(dig(shown, "connectionParametersSet", "name")),
        "is_sso": flag(shown.get("isSsoConnection")),
        "allow_sharing": flag(shown.get("allowSharing")),
        "created_at": shown.get("createdTime"),
        "modified_at": shown.get("lastModifiedTime"),
        "token_expires_at": shown.get("expirationTime"),
    }
    return {**found, **parameters(shown), **status(shown.get("statuses"))}


def parameters(shown: Row) -> dict[str, str | None]:
    """The allowed parameters of a connection: who signs in where.

    >>> parameters({"connectionParameters": {"server": "sql1", "password": "secret"}})["server"]
    'sql1'
    """
    plain: dict[str, str] = {}
    for told in (obj(shown.get("connectionParameters")), obj(dig(shown, "connectionParametersSet", "values"))):
        for key, value in told.items():
            found = text(value.get("value") if isinstance(value, Mapping) else value)
            if found:
                plain[key.rsplit(":", 1)[-1].lower()] = found
    picked = {c: next((plain[k] for k in keys if k in plain), None) for c, keys in PARAMETERS.items()}
    if picked["server"]:
        picked["server"] = _address(picked["server"])
    picked["client_id"] = fold(picked["client_id"])
    return picked


def _address(value: str) -> str:
    """An address without what may be secret in it: user and password before @, query, fragment."""
    bare = value.split("?", 1)[0].split("#", 1)[0].split(";", 1)[0]
    head, slashes, rest = bare.partition("://")
    if slashes and "@" in rest.split("/", 1)[0]:
        rest = rest.split("@", 1)[1]
    return f"{head}{slashes}{rest}"


def status(statuses: Any) -> dict[str, str | None]:
    """The worst status of a connection, its code, and the number of the sign-in error."""
    told = items(statuses)
    if not told:
        return {"status": None, "status_code": None, "aadsts": None}
    worst = next((s for s in told if text(s.get("status")) != "Connected"), told[0])
    error = obj(worst.get("error"))
    number = AADSTS.search(text(error.get("message")) or "")
    return {
        "status": text(worst.get("status")),
        "status_code": text(error.get("code")),
        "aadsts": number[1] if number else None,
    }


def share(row: Row, *, request: str = "") -> dict[str, Any]:
    """A share of a connection; everybody is the tenant's id."""
    shown = obj(row.get("properties"))
    found = obj(shown.get("principal"))
    kind = text(found.get("type"))
    who = fold(found.get("id")) or (fold(found.get("tenantId")) if kind == "Tenant" else None)
    return {
        "environment_id": environment_of(row, request) or NO_ENVIRONMENT,
        "connection_id": segment(row.get("id"), "connections") or segment(request, "connections") or UNTOLD,
        "principal_id": who or fold(row.get("name")),
        "principal_kind": kind,
        "role": text(shown.get("roleName")),
    }


def run(row: Row, *, request: str = "") -> dict[str, Any]:
    """A run of a flow; links to its inputs and outputs are signed and stay out."""
    shown = obj(row.get("properties"))
    return {
        "environment_id": environment_of(row, request) or NO_ENVIRONMENT,
        "flow_id": flow_of(row, request) or UNTOLD,
        "run_id": text(row.get("name")) or last(row.get("id")),
        "start_at": shown.get("startTime"),
        "end_at": shown.get("endTime"),
        "status": text(shown.get("status")),
        "error_code": text(dig(shown, "error", "code")) or text(shown.get("code")),
        "trigger_name": text(dig(shown, "trigger", "name")),
    }


def run_of_action(row: Row, *, request: str = "") -> dict[str, Any]:
    """The run that an action belongs to."""
    return {
        "environment_id": environment_of(row, request) or NO_ENVIRONMENT,
        "flow_id": flow_of(row, request) or UNTOLD,
        "run_id": text(row.get("runName")) or text(segment(row.get("id"), "runs")),
    }
