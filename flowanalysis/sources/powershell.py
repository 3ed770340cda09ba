"""Answers of the Power Apps administration module and of Microsoft Graph PowerShell, as JSON or CSV.

A row of ``Get-AdminFlow`` and its sisters wraps the raw API row in ``Internal``; where that is whole, only it is
read. Two things go wrong on the way to a file: ``ConvertTo-Json`` stops at depth 2 and writes deeper objects as
``@{key=value; …}``, and ``Export-Csv`` writes them so always. What can be saved from such text is saved, and said.

Source of the property names: Microsoft.PowerApps.Administration.PowerShell 2.0.64.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowanalysis.sources import graphrows, powerplatform, powerrows
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.records import keys, records
from flowanalysis.sources.values import flag, obj, segment, text

SOURCE = "psadmin"
Row = Mapping[str, Any]

# Kind, keys that every row has (lower case), the cmdlet in words; the more particular first.
SHAPES = (
    ("permission", {"roleid", "principalobjectid", "roletype", "flowname"}, "Get-AdminFlowOwnerRole"),
    (
        "share",
        {"roleid", "principalobjectid", "roletype", "connectorname"},
        "Get-AdminPowerAppConnectionRoleAssignment",
    ),
    ("flow", {"flowname", "environmentname", "createdby"}, "Get-AdminFlow"),
    ("flow", {"flowname", "environmentname", "enabled"}, "Get-AdminFlow"),
    ("connection", {"connectionname", "connectorname", "createdby", "environmentname"}, "Get-AdminPowerAppConnection"),
    ("connection", {"connectionname", "fullconnectorname"}, "Get-AdminPowerAppConnection"),
    ("flow", {"flowname", "environmentname", "displayname"}, "Get-AdminFlow"),
    ("policy", {"policyname", "businessdatagroup"}, "Get-AdminDlpPolicy"),
    (
        "environment_role",
        {"roleid", "principalobjectid", "principaltype", "environmentname"},
        "Get-AdminPowerAppEnvironmentRoleAssignment",
    ),
    ("environment", {"environmentname", "environmenttype"}, "Get-AdminPowerAppEnvironment"),
    ("environment", {"environmentname", "isdefault", "location"}, "Get-AdminPowerAppEnvironment"),
)
EXPORTS = {
    "permission": "flow permissions",
    "share": "connection permissions",
    "flow": "flow list",
    "connection": "connections",
    "policy": "data policies",
    "environment": "environments",
    "environment_role": "environment roles",
    "user": "users",
    "group": "groups",
}
TABLES = {**powerplatform.TABLES, "user": "identities", "group": "groups"}
SHALLOW = "exported at depth 2, so some values are cut; use ConvertTo-Json -Depth 20"


def recognise(document: Document) -> str | None:
    """The cmdlet whose answer this is."""
    kind = _kind(document)
    return None if kind is None else f"PowerShell: {kind[1]}"


def _kind(document: Document) -> tuple[str, str] | None:
    if document.form not in {"json", "lines", "sheet"}:
        return None
    found = keys(document)
    if "appname" in found:
        return None  # rights on apps look like those on environments
    for kind, needed, cmdlet in SHAPES:
        if needed <= found:
            return kind, cmdlet
    sheet = document.sheet
    spelled = {k for r in records(document, first=5) for k in r} if sheet is None else set(sheet.columns)
    if {"Id", "UserPrincipalName"} <= spelled:
        return "user", "Get-MgUser"
    if {"Id", "GroupTypes", "DisplayName"} <= spelled:
        return "group", "Get-MgGroup"
    return None


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every record; a record that cannot be understood is set aside."""
    found = _kind(document)
    if found is None:
        return
    kind = found[0]
    gather = Gather(SOURCE, variables=document.variables)
    gather.expect(TABLES[kind], EXPORTS[kind])
    for number, row in enumerate(records(document), 1):
        whole, cut = _unfold(row)
        if cut:
            gather.say(EXPORTS[kind], SHALLOW)
        if "?" in str(whole.get("DisplayName", "")) and document.sheet is not None:
            gather.say(EXPORTS[kind], "names have question marks: Export-Csv lost letters; use -Encoding UTF8")
        try:
            READERS[kind](gather, whole)
        except (KeyError, TypeError, ValueError) as error:
            gather.reject("", f"row {number}", f"not a whole row of {found[1]}: {error}")
    yield from gather.batches()


def _unfold(row: Row) -> tuple[dict[str, Any], bool]:
    """The record with ``@{…}`` texts as objects, and whether any was met."""
    unfolded = {k: unfold(v) for k, v in row.items()}
    return unfolded, any(_cut(v) for v in row.values())


def _cut(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith(("@{", "System."))
    if isinstance(value, Mapping):
        return any(_cut(v) for v in value.values())
    return isinstance(value, list) and any(_cut(v) for v in value)


def unfold(value: Any) -> Any:
    """Text that PowerShell wrote for an object, as an object again; what cannot be saved is None.

    >>> unfold("@{objectId=u1; tags=System.Object[]; env=@{name=e1; note=a=b}}")
    {'objectId': 'u1', 'tags': None, 'env': {'name': 'e1', 'note': 'a=b'}}
    """
    if isinstance(value, Mapping):
        return {k: unfold(v) for k, v in value.items()}
    if isinstance(value, list):
        return [unfold(v) for v in value]
    if not isinstance(value, str):
        return value
    if value.startswith("System."):
        return None
    if not (value.startswith("@{") and value.endswith("}")):
        return value
    pairs = (part.partition("=") for part in _split(value[2:-1]))
    return {key.strip(): unfold(inner.strip()) or None for key, _, inner in pairs if key.strip()}


def _split(inside: str) -> list[str]:
    """Parts between semicolons that stand outside inner braces; a part without = belongs to the one before."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(inside):
        depth += (letter == "{") - (letter == "}")
        if letter == ";" and depth == 0:
            parts.append(inside[start:place])
            start = place + 1
    parts.append(inside[start:])
    joined: list[str] = []
    for part in parts:
        if joined and not re.match(r"\s*[\w.@-]+=", part):
            joined[-1] += ";" + part
        else:
            joined.append(part)
    return joined


def _raw(row: Row, own: Row) -> dict[str, Any]:
    """The raw API row: ``Internal`` where it is whole, the wrapper's own properties where it is not."""
    internal = obj(row.get("Internal"))
    shown = {k: v for k, v in own.items() if v is not None} | {
        k: v for k, v in obj(internal.get("properties")).items() if v is not None
    }
    named = {k: v for k, v in internal.items() if k in {"name", "id", "type"} and v}
    return {**named, "properties": shown}


def _flow(gather: Gather, row: Row) -> None:
    enabled = flag(row.get("Enabled"))
    own = {
        "displayName": row.get("DisplayName"),
        "createdTime": row.get("CreatedTime"),
        "lastModifiedTime": row.get("LastModifiedTime"),
        "creator": row.get("CreatedBy") if isinstance(row.get("CreatedBy"), Mapping) else None,
        "environment": {"name": row["EnvironmentName"]},
        # Enabled is only "started or not": stopped and suspended look alike.
        "state": None if enabled is None else "Started" if enabled else "NotStarted",
    }
    raw = {"name": row["FlowName"], **_raw(row, own)}
    kind = "flow_detail" if powerrows.is_definition(raw["properties"].get("definition")) else "flow"
    powerplatform.read_row(gather, raw, kind)


def _permission(gather: Gather, row: Row) -> None:
    own = {
        # RoleType is the role; RoleName is only the name of the permission.
        "roleName": row.get("RoleType"),
        "principal": {"id": row.get("PrincipalObjectId"), "type": row.get("PrincipalType")},
        "environment": {"name": row.get("EnvironmentName")},
    }
    path = f"/environments/{row.get('EnvironmentName')}/flows/{row['FlowName']}"
    powerplatform.read_row(gather, {"name": row.get("RoleName"), **_raw(row, own)}, "permission", request=path)


def _connection(gather: Gather, row: Row) -> None:
    statuses = row.get("Statuses")
    own = {
        "apiId": row.get("FullConnectorName") or row.get("ConnectorName"),
        "displayName": row.get("DisplayName"),
        "createdTime": row.get("CreatedTime"),
        "lastModifiedTime": row.get("LastModifiedTime"),
        "createdBy": row.get("CreatedBy") if isinstance(row.get("CreatedBy"), Mapping) else None,
        "environment": {"name": row.get("EnvironmentName")},
        "statuses": [statuses] if isinstance(statuses, Mapping) else statuses if isinstance(statuses, list) else None,
    }
    powerplatform.read_row(gather, {"name": row["ConnectionName"], **_raw(row, own)}, "connection")


def _share(gather: Gather, row: Row) -> None:
    principal = {
        "id": row.get("PrincipalObjectId"),
        "type": row.get("PrincipalType"),
        "displayName": row.get("PrincipalDisplayName"),
        "email": row.get("PrincipalEmail"),
    }
    environment = {"name": row.get("EnvironmentName")}
    own = {"roleName": row.get("RoleType"), "principal": principal, "environment": environment}
    # The module cuts ConnectionName wrongly for groups; the role's id path still has it.
    name = segment(row.get("RoleId"), "connections") or text(row.get("ConnectionName"))
    if name is None:
        raise ValueError("neither RoleId nor ConnectionName names the connection")
    path = f"/environments/{row.get('EnvironmentName')}/apis/{row['ConnectorName']}/connections/{name}"
    powerplatform.read_row(gather, {"name": row.get("RoleName"), **_raw(row, own)}, "share", request=path)


def _environment(gather: Gather, row: Row) -> None:
    own = {
        "displayName": row.get("DisplayName"),
        "environmentSku": row.get("EnvironmentType"),
        "isDefault": flag(row.get("IsDefault")),
        "createdTime": row.get("CreatedTime"),
        "createdBy": row.get("CreatedBy") if isinstance(row.get("CreatedBy"), Mapping) else None,
        "databaseType": row.get("CommonDataServiceDatabaseType"),
        "linkedEnvironmentMetadata": {"securityGroupId": row.get("SecurityGroupId")},
    }
    raw = {"name": row["EnvironmentName"], "location": row.get("Location"), **_raw(row, own)}
    powerplatform.read_row(gather, raw, "environment")


def _environment_role(gather: Gather, row: Row) -> None:
    principal = {
        "id": row.get("PrincipalObjectId"),
        "type": row.get("PrincipalType"),
        "displayName": row.get("PrincipalDisplayName"),
        "email": row.get("PrincipalEmail"),
    }
    own = {"roleDefinition": {"name": row.get("RoleType")}, "principal": principal}
    path = f"/environments/{row['EnvironmentName']}/roleAssignments"
    powerplatform.read_row(gather, {"name": row.get("RoleName"), **_raw(row, own)}, "environment_role", request=path)


def _policy(gather: Gather, row: Row) -> None:
    groups = {"hbi": row.get("BusinessDataGroup"), "lbi": row.get("NonBusinessDataGroup")}
    own = {
        "displayName": row.get("DisplayName"),
        "definition": {
            "apiGroups": {name: {"apis": _listed(found)} for name, found in groups.items()},
            "constraints": row.get("Constraints"),
        },
    }
    powerplatform.read_row(gather, {"name": row["PolicyName"], **_raw(row, own)}, "policy")


def _listed(found: Any) -> list[Any]:
    return [found] if isinstance(found, Mapping) else found if isinstance(found, list) else []


def _graph_keys(row: Row) -> dict[str, Any]:
    """Graph's own spelling of the keys. The SDK prints properties that were not asked for as empty: those go."""
    found = {}
    for key, value in row.items():
        inner = _graph_keys(value) if isinstance(value, Mapping) else value
        if isinstance(value, list):
            inner = [_graph_keys(v) if isinstance(v, Mapping) else v for v in value]
        if inner not in (None, "", {}):
            found[key[:1].lower() + key[1:]] = inner
    return found


def _user(gather: Gather, row: Row) -> None:
    found = _graph_keys(row)
    for key in ("accountEnabled", "onPremisesSyncEnabled"):
        if key in found:
            found[key] = flag(found[key])
    gather.add("identities", graphrows.user(found, deleted=False, manager_shown=False), EXPORTS["user"])
    if "accountEnabled" not in found:
        gather.say(EXPORTS["user"], "without -Property AccountEnabled, so whether accounts are disabled is not known")
    if isinstance(found.get("assignedLicenses"), list):
        gather.expect("licences", EXPORTS["user"])
        for licence in graphrows.licences(found):
            gather.add("licences", licence, EXPORTS["user"])


def _group(gather: Gather, row: Row) -> None:
    found = _graph_keys(row)
    for key in ("securityEnabled", "mailEnabled", "isAssignableToRole"):
        if key in found:
            found[key] = flag(found[key])
    gather.add("groups", graphrows.group(found), EXPORTS["group"])


READERS: dict[str, Callable[[Gather, Row], None]] = {
    "flow": _flow,
    "permission": _permission,
    "connection": _connection,
    "share": _share,
    "environment": _environment,
    "environment_role": _environment_role,
    "policy": _policy,
    "user": _user,
    "group": _group,
}
