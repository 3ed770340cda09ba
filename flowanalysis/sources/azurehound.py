"""AzureHound: what the Azure collector of BloodHound keeps of users, groups, roles and applications.

Its flags are written only when true: in its rows, and nowhere else, a missing ``accountEnabled`` means *disabled*.
It knows no licences and no sign-ins.

Source: BloodHoundAD/AzureHound, models of 2024-09.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowanalysis.sources import graphrows
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.values import count, dig, fold, items, last, obj, text

SOURCE = "azurehound"
Row = Mapping[str, Any]


def recognise(document: Document) -> str | None:
    """Rows ``{"kind": "AZ…", "data": {…}}``, in one object or one a line."""
    if document.form not in {"json", "lines"}:
        return None
    first = next(_lines(document), None)
    return "AzureHound" if first is not None and str(first.get("kind", "")).startswith("AZ") else None


def _lines(document: Document) -> Iterator[Row]:
    for root in document.roots or document.sample:
        if isinstance(root, Mapping) and isinstance(root.get("data"), list):
            yield from items(root["data"])
        elif isinstance(root, Mapping):
            yield root
        elif isinstance(root, list):
            yield from items(root)


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every kind that the house has a table for; the rest is counted."""
    gather = Gather(SOURCE)
    other: dict[str, int] = {}
    for number, line in enumerate(_lines(document), 1):
        kind = str(line.get("kind"))
        if kind not in READERS:
            other[kind] = other.get(kind, 0) + 1
            continue
        if not isinstance(line.get("data"), Mapping):
            gather.reject("", f"item {number}", f"{kind} without data")
            continue
        READERS[kind](gather, line["data"])
    meta = [r["meta"] for r in document.roots if isinstance(r, Mapping) and isinstance(r.get("meta"), Mapping)]
    told, got = sum(count(m.get("count")) or 0 for m in meta), sum(1 for _ in _lines(document))
    if meta and told > got:
        gather.reject("", "meta", f"the file promises {told} items and holds {got}; collect again")
    for kind, rows in sorted(other.items()):
        gather.say("other", f"{rows} rows of {kind} have no use here")
    yield from gather.batches()


def _user(gather: Gather, row: Row) -> None:
    shown = {"accountEnabled": False, "onPremisesSyncEnabled": False, **row}
    gather.add("identities", graphrows.user(shown, deleted=False, manager_shown=False), "users")


def _group(gather: Gather, row: Row) -> None:
    shown = {"securityEnabled": False, "mailEnabled": False, "isAssignableToRole": False, **row}
    gather.add("groups", graphrows.group(shown), "groups")


def _service_principal(gather: Gather, row: Row) -> None:
    shown = {"accountEnabled": False, **row}
    gather.add("identities", graphrows.service_principal(shown), "service principals")
    for role in graphrows.app_roles(row):
        gather.add("app_roles", role, "service principals")


def _members(relation: str, key: str, export: str) -> Callable[[Gather, Row], None]:
    def handle(gather: Gather, row: Row) -> None:
        group = fold(row.get("groupId"))
        gather.expect("memberships", export)
        for entry in items(row.get(key)):
            inner = obj(entry.get(key.removesuffix("s")))
            found = {"member_id": fold(inner.get("id")), "member_kind": graphrows.member_kind(inner)}
            gather.add("memberships", {"group_id": group, "relation": relation, **found}, export)

    return handle


def _role(gather: Gather, row: Row) -> None:
    gather.add("directory_roles", graphrows.role_definition(row), "roles")


def _role_assignments(gather: Gather, row: Row) -> None:
    gather.expect("role_assignments", "role assignments")
    for entry in items(row.get("roleAssignments")):
        definition = entry.get("roleDefinitionId") or row.get("roleDefinitionId")
        found = {**entry, "roleDefinitionId": definition, "roleDefinition": obj(entry.get("roleDefinition"))}
        gather.add("role_assignments", graphrows.role_assignment(found, state="active"), "role assignments")


def _app_role(gather: Gather, row: Row) -> None:
    if str(row.get("principalType", "")).lower() == "serviceprincipal":
        gather.add("app_permissions", graphrows.app_role(row), "app role assignments")


def _tenant(gather: Gather, row: Row) -> None:
    key = last(row.get("tenantId")) or last(row.get("id"))
    if key:
        named = {"identity_id": key, "kind": "tenant", "display_name": text(dig(row, "displayName"))}
        gather.add("identities", named, "tenant", aside=True)


READERS: dict[str, Callable[[Gather, Row], None]] = {
    "AZUser": _user,
    "AZGroup": _group,
    "AZServicePrincipal": _service_principal,
    "AZGroupMember": _members("member", "members", "group members"),
    "AZGroupOwner": _members("owner", "owners", "group owners"),
    "AZRole": _role,
    "AZRoleAssignment": _role_assignments,
    "AZAppRoleAssignment": _app_role,
    "AZTenant": _tenant,
}
