"""ROADrecon: the directory as a SQLite database, in the spelling of the old Azure AD Graph.

Source: roadrecon 2.0, tables read from the database it writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import orjson

from flowanalysis.sources import graphrows
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.values import flag, fold, text

SOURCE = "roadrecon"
LONGEST = 32 * 2**20  # bytes of a value or row; a computed column of a stranger's database can claim any size
Row = Mapping[str, Any]
MARK = {"Users", "ServicePrincipals", "RoleDefinitions"}


def recognise(document: Document) -> str | None:
    """A database with ROADrecon's tables."""
    if document.form != "sqlite" or document.path is None:
        return None
    try:
        return "ROADrecon database" if _tables(document) >= MARK else None
    except sqlite3.DatabaseError:
        return None


def _open(document: Document) -> closing[sqlite3.Connection]:
    assert document.path is not None
    connection = sqlite3.connect(f"{document.path.resolve().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    connection.execute("PRAGMA trusted_schema = OFF")
    return closing(connection)


def _tables(document: Document) -> set[str]:
    with _open(document) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every table that the house knows; a table that cannot be read is set aside as a whole."""
    gather = Gather(SOURCE)
    present = _tables(document)
    with _open(document) as database:
        for table, (kind, export, reader) in TABLES.items():
            if table not in present:
                continue
            gather.expect(kind, export)
            try:
                for row in database.execute(f'SELECT * FROM "{table}"'):  # names come from TABLES alone
                    reader(gather, _values(row), export)
            except (sqlite3.DatabaseError, KeyError) as error:
                gather.reject(kind, table, f"table cannot be read: {error}. Run roadrecon gather again")
    yield from gather.batches()


def _values(row: sqlite3.Row) -> dict[str, Any]:
    """Cells of a row; JSON text as objects, 0 and 1 of flags left to the readers."""
    found = dict(row)
    for key, value in found.items():
        if isinstance(value, str) and value[:1] in {"[", "{"}:
            try:
                found[key] = orjson.loads(value)
            except orjson.JSONDecodeError:
                found[key] = None
    return found


def _graph(row: Row) -> dict[str, Any]:
    """The row in today's spelling of Microsoft Graph."""
    found = {**row, "id": row["objectId"], "onPremisesSyncEnabled": flag(row.get("dirSyncEnabled")) or False}
    found["deletedDateTime"] = row.get("deletionTimestamp")
    for key in ("accountEnabled", "securityEnabled", "mailEnabled", "isAssignableToRole"):
        if key in row:
            found[key] = flag(row[key])
    found.pop("dirSyncEnabled", None)
    return found


def _user(gather: Gather, row: Row, export: str) -> None:
    found = _graph(row)
    gather.add("identities", graphrows.user(found, deleted=graphrows.is_deleted(found), manager_shown=False), export)
    for licence in graphrows.licences(found):
        gather.add("licences", licence, "licences of users")


def _group(gather: Gather, row: Row, export: str) -> None:
    gather.add("groups", graphrows.group(_graph(row)), export)


def _service_principal(gather: Gather, row: Row, export: str) -> None:
    gather.add("identities", graphrows.service_principal(_graph(row)), export)


def _link(relation: str, kind: str) -> Callable[[Gather, Row, str], None]:
    columns = {"user": "User", "group": "childGroup", "service_principal": "ServicePrincipal"}

    def handle(gather: Gather, row: Row, export: str) -> None:
        member = row.get(columns[kind]) or row.get(columns[kind].lower())
        found = {"group_id": fold(row["Group"]), "member_id": fold(member), "member_kind": kind, "relation": relation}
        gather.add("memberships", found, export)

    return handle


def _role(gather: Gather, row: Row, export: str) -> None:
    key = fold(row["objectId"])
    template = fold(row.get("templateId")) or key
    named = {"role_id": key, "template_id": template, "display_name": text(row.get("displayName"))}
    gather.add("directory_roles", {**named, "is_builtin": flag(row.get("isBuiltIn"))}, export)


def _assignment(state: str) -> Callable[[Gather, Row, str], None]:
    def handle(gather: Gather, row: Row, export: str) -> None:
        scopes = row.get("resourceScopes")
        for scope in scopes if isinstance(scopes, list) and scopes else ["/"]:
            found = {**row, "directoryScopeId": scope}
            gather.add("role_assignments", graphrows.role_assignment(found, state=state), export)

    return handle


def _app_role(gather: Gather, row: Row, export: str) -> None:
    """Here ``id`` is the permission, not the assignment."""
    if str(row.get("principalType")) == "ServicePrincipal":
        gather.add("app_permissions", graphrows.app_role({**row, "appRoleId": row.get("id")}), export)


def _grant(gather: Gather, row: Row, export: str) -> None:
    for permission in graphrows.delegated(row):
        gather.add("app_permissions", permission, export)


Entry = tuple[str, str, Callable[[Gather, Row, str], None]]
TABLES: dict[str, Entry] = {
    "Users": ("identities", "users", _user),
    "Groups": ("groups", "groups", _group),
    "ServicePrincipals": ("identities", "service principals", _service_principal),
    "lnk_group_member_user": ("memberships", "group members", _link("member", "user")),
    "lnk_group_member_group": ("memberships", "group members", _link("member", "group")),
    "lnk_group_member_serviceprincipal": ("memberships", "group members", _link("member", "service_principal")),
    "lnk_group_owner_user": ("memberships", "group owners", _link("owner", "user")),
    "RoleDefinitions": ("directory_roles", "roles", _role),
    "RoleAssignments": ("role_assignments", "role assignments", _assignment("active")),
    "EligibleRoleAssignments": ("role_assignments", "eligible roles", _assignment("eligible")),
    "AppRoleAssignments": ("app_permissions", "app role assignments", _app_role),
    "OAuth2PermissionGrants": ("app_permissions", "delegated grants", _grant),
}
