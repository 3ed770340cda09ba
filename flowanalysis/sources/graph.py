"""Microsoft Graph: pages, JSON Lines, Graph Explorer saves and the rows that ``m365 … --output json`` prints.

The kind of a row is told by the request, by ``@odata.context`` or by its own keys, in this order. Whose members a
list holds is told by the request in the line, by the next link, by ``{"groupId": …, "members": […]}``, or by a key
``groupId`` in every row; a list that tells nothing is kept under ``(not told)``.

Source of the shapes: Microsoft Graph v1.0 reference; CLI for Microsoft 365 documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from flowanalysis.sources import graphrows as rows
from flowanalysis.sources import sharepoint
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.graphkinds import IN_WORDS, KEYS, NAMES, TABLES, TYPES
from flowanalysis.sources.pages import Page, pages
from flowanalysis.sources.values import UNTOLD, fold, items, obj, text

SOURCE = "graph"
# Lists that come expanded inside a group, of a delta query too, and how many they hold at most.
EXPANDED = {"members": "member", "owners": "owner", "members@delta": "member", "owners@delta": "owner"}
AT_MOST = 20
Row = Mapping[str, Any]


def kind_of(page: Page, row: Any) -> str | None:
    """The kind of a row, None when it is nothing of Graph."""
    if not isinstance(row, Mapping) or "/api/data/v" in page.context:
        return None
    if "@removed" in row:
        return "removed"
    asked = _asked(page)
    if asked in {"member", "owner"} and (page.about("groups") or "groupId" in row):
        return asked
    if asked in {"member_of", "manager", "licence_detail"}:
        return asked
    keys = row.keys()
    own = next((kind for kind, needed in KEYS if needed <= keys), None)
    typed = TYPES.get(str(row.get("@odata.type", "")).lower())
    if "groupId" in row and ("id" in row or "memberId" in row):
        return "member"
    return typed or own if asked in {"member", "owner"} else asked or typed or own


def _asked(page: Page) -> str | None:
    """The kind that the request or the context names."""
    return _named(page.request, page.kind)


@lru_cache(maxsize=64)  # every row of a page asks the same
def _named(request: str, kind: str) -> str | None:
    path = request.split("?", 1)[0].rstrip("/").lower()
    if "/providers/microsoft." in f"/{path}" or "/api/data/v" in path:
        return None  # Power Platform and Dataverse have collections of the same names
    parts = [p for p in path.split("/") if p and not p.startswith(("microsoft.graph.", "$"))]
    if "deleteditems" in parts:
        return {"user": "user", "group": "group"}.get(path.rsplit(".", 1)[-1])
    named = next((NAMES[p] for p in reversed(parts[-2:]) if p in NAMES), None)
    return named or NAMES.get(kind.rsplit("/", 1)[-1].removeprefix("microsoft.graph.").lower())


def recognise(document: Document) -> str | None:
    """The kinds of Graph rows in the document."""
    if document.form not in {"json", "lines"}:
        return None
    found: dict[str, None] = {}
    for page in pages(document, limit=20):
        for row in page.rows[:20]:
            kind = kind_of(page, row)
            if kind is None:
                return None
            found[IN_WORDS[kind]] = None
        asked = _asked(page)
        if not page.rows and asked:
            found[IN_WORDS[asked]] = None
    return f"Microsoft Graph: {', '.join(found)}" if found else None


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every page; a row that cannot be understood is set aside."""
    gather = Gather(SOURCE)
    for page in pages(document):
        _page(gather, page)
    yield from gather.batches()


def _page(gather: Gather, page: Page) -> None:
    if page.error:
        _failed(gather, page)
        return
    asked = _asked(page)
    if not page.rows and asked:
        _expect(gather, page, asked)
    shown = frozenset(key for row in page.rows if isinstance(row, Mapping) for key in row)
    for number, row in enumerate(page.rows, 1):
        kind = kind_of(page, row)
        if kind is None:
            gather.reject("", _place(page, number), "not a row of Microsoft Graph that is known here")
            continue
        HANDLERS[kind](gather, page, row, shown)
        gather.page(page, _export(kind, row), chain=chain(page, kind))


def _place(page: Page, number: int) -> str:
    return f"{page.place}, row {number}" if page.place else f"row {number}"


def chain(page: Page, kind: str) -> str:
    """The name of the collection that a page is a part of."""
    if kind == "permission":
        return f"permission {sharepoint.place(page).key}"
    owner = page.about("groups") or page.about("users") or page.about("serviceprincipals") or ""
    return f"{kind} {owner}".strip()


def _export(kind: str, row: Row) -> str:
    return "deleted users" if kind == "user" and rows.is_deleted(row) else IN_WORDS[kind]


def _expect(gather: Gather, page: Page, kind: str) -> None:
    """An empty page: the collection was asked for and has nothing."""
    table = TABLES[kind]
    export = "deleted users" if "deleteditems" in page.request.lower() else IN_WORDS[kind]
    gather.page(page, export, chain=chain(page, kind))
    gather.expect(table, export)


def _failed(gather: Gather, page: Page) -> None:
    missing = page.status == 404 or "ResourceNotFound" in page.error
    if missing and _asked(page) == "manager":
        # Graph answers 404 when nobody is manager: that is knowledge, not a failure
        gather.add("identities", {"identity_id": page.about("users"), "manager_known": True}, "managers", aside=True)
        return
    table = TABLES.get(_asked(page) or "", "")
    gather.reject(table, page.place, f"an error answer instead of data: {page.error}. Ask for {page.request} again")
    gather.say("errors", f"error answer: {page.error}")


def _user(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    deleted = rows.is_deleted(row) or "deleteditems" in page.request.lower()
    export = "deleted users" if deleted else "users"
    manager = "manager" in shown or "manager(" in page.context or "expand=manager" in page.request.lower()
    aside = not deleted and page.kind.lower().startswith("directoryobjects")
    if aside:
        gather.say(export, "members or owners of something that is not told, so only who they are is kept")
    gather.add("identities", rows.user(row, deleted=deleted, manager_shown=manager), export, aside=aside)
    for group in items(row.get("memberOf")):
        if rows.member_kind(group) == "group":
            _membership(gather, fold(group.get("id")), {**row, "@odata.type": "#microsoft.graph.user"}, "member")
    if "assignedLicenses" in row:
        gather.expect("licences", export)
        for licence in rows.licences(row):
            gather.add("licences", licence, export)
    if "accountEnabled" not in row and not deleted:
        gather.say(export, "made without $select=accountEnabled, so whether accounts are disabled is not known")
    if "signInActivity" not in shown and not deleted:
        gather.say(export, "without signInActivity, so the last sign-in is not known")


def _group(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.add("groups", rows.group(row), "groups")
    for key, relation in EXPANDED.items():
        found = row.get(key)
        if isinstance(found, list):
            gather.expect("memberships", IN_WORDS[relation])
            for member in found:
                if isinstance(member, Mapping) and "@removed" not in member:
                    _membership(gather, fold(row.get("id")), member, relation)
            if len(found) >= AT_MOST and "@" not in key:
                gather.say(
                    IN_WORDS[relation], f"expanded lists end at {AT_MOST}: export the members of large groups too"
                )


def _service_principal(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.add("identities", rows.service_principal(row), "service principals")
    for role in rows.app_roles(row):
        gather.add("app_roles", role, "service principals")


def _member(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    kind = "owner" if _asked(page) == "owner" or str(row.get("relation", "")).lower() == "owner" else "member"
    group = page.about("groups") or fold(row.get("groupId"))
    _membership(gather, group, row, kind)


def _member_listed(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    """A row of ``m365 entra group member list``: roles of one person, the group is not told."""
    group = page.about("groups") or fold(row.get("groupId"))
    if group is None:
        gather.say("group members", f"does not tell the group; kept under {UNTOLD}. Add a key groupId to every row")
    told = row.get("roles")
    for role in told if isinstance(told, list) and told else ["Member"]:
        _membership(gather, group, row, "owner" if str(role).lower() == "owner" else "member")


def _membership(gather: Gather, group: str | None, row: Row, relation: str) -> None:
    export = IN_WORDS[relation]
    member = fold(row.get("memberId") or row.get("id"))
    if member is None:
        gather.reject("memberships", str(group), "a member without id")
        return
    kind = rows.member_kind(row)
    line = {"group_id": group or UNTOLD, "member_id": member, "member_kind": kind, "relation": relation}
    gather.add("memberships", line, export)
    if kind == "user" and text(row.get("userPrincipalName")):
        gather.add("identities", rows.user(row, deleted=False, manager_shown=False), export, aside=True)
    elif kind == "group" and text(row.get("displayName")):
        gather.add("groups", rows.group(row), export, aside=True)


def _member_of(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    if rows.member_kind(row, default="group") != "group":
        return  # directory roles and administrative units have their own exports
    line = {
        "group_id": fold(row.get("id")),
        "member_id": page.about("users"),
        "member_kind": "user",
        "relation": "member",
    }
    gather.add("memberships", line, IN_WORDS["member_of"])


def _manager(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    found = {"identity_id": page.about("users"), "manager_id": fold(row.get("id")), "manager_known": True}
    gather.add("identities", found, "managers", aside=True)


def _licence_detail(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    found = {
        "identity_id": page.about("users") or UNTOLD,
        "sku_id": fold(row.get("skuId")),
        "sku_part_number": text(row.get("skuPartNumber")),
    }
    gather.add("licences", found, IN_WORDS["licence_detail"])


def _sku(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.add("skus", rows.sku(row), IN_WORDS["sku"])


def _role_definition(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.add("directory_roles", rows.role_definition(row), IN_WORDS["role_definition"])


def _directory_role(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    """An activated role of the older collection; who holds it stands in ``$expand=members`` only."""
    export = IN_WORDS["directory_role"]
    gather.add("directory_roles", rows.directory_role(row), export)
    if "members" not in row:
        gather.say(export, "without $expand=members, so who holds the roles is not told")
        return
    gather.expect("role_assignments", export)
    for held in rows.directory_role_holders(row):
        gather.add("role_assignments", rows.role_assignment(held, state="active"), export)
        for identity in rows.principal(held):
            gather.add("identities", identity, export, aside=True)


def _role(kind: str, state: str) -> Handler:
    def handle(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
        gather.add("role_assignments", rows.role_assignment(row, state=state), IN_WORDS[kind])
        for identity in rows.principal(row):
            gather.add("identities", identity, IN_WORDS[kind], aside=True)

    return handle


def _role_request(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    """What was asked for: to give, to take, to prolong. What came of it stands among assignments and instances."""
    gather.say(IN_WORDS["role_request"], "requests are no rights; export the assignments and PIM instances for those")


def _grant(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    for permission in rows.delegated(row):
        gather.add("app_permissions", permission, IN_WORDS["grant"])


def _app_role(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.expect("app_permissions", IN_WORDS["app_role"])
    if str(row.get("principalType", "ServicePrincipal")).lower() != "serviceprincipal":
        gather.say(IN_WORDS["app_role"], "assignments of people and groups to applications are not app permissions")
        return
    gather.add("app_permissions", rows.app_role(row), IN_WORDS["app_role"])


def _app_role_listed(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    """A row of ``m365 entra approleassignment list``: the application itself is not told."""
    export = IN_WORDS["app_role"]
    client = page.about("serviceprincipals") or fold(row.get("clientId") or row.get("principalId"))
    if client is None:
        gather.say(export, f"does not tell the application; kept under {UNTOLD}. Export appRoleAssignments from Graph")
    gather.add("app_permissions", rows.app_role_listed(row, client=client or UNTOLD), export)


def _signin(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.add("signins", rows.signin(row), IN_WORDS["signin"])


def _site(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.add("resources", rows.site(row), IN_WORDS["site"])


def _drive(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    for found in sharepoint.drive(row):
        gather.add("resources", found, IN_WORDS["drive"])


def _permission(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    """A right on a site, a library or a file; which one stands in the request or the context only."""
    export, where = IN_WORDS["permission"], sharepoint.place(page)
    gather.expect("grants", export)
    if where.key == UNTOLD:
        gather.say(export, f"does not tell the site or file; kept under {UNTOLD}. Keep the request beside the answer")
    try:
        found = list(sharepoint.grants(row, where))
    except ValueError as error:
        gather.reject("grants", f"{page.place} {where.key}, permission {row.get('id')}".strip(), f"set aside: {error}")
        return
    gather.add("resources", {"resource_id": where.key, "kind": where.kind}, export, aside=True)
    for grant in found:
        gather.add("grants", grant, export)
    for granted in sharepoint.identity_sets(row):
        user, group = obj(granted.get("user")), obj(granted.get("group"))
        if fold(user.get("id")) and text(user.get("displayName")):
            named = {**user, "mail": user.get("email")}
            gather.add("identities", rows.user(named, deleted=False, manager_shown=False), export, aside=True)
        if fold(group.get("id")) and text(group.get("displayName")):
            gather.add("groups", rows.group({**group, "mail": group.get("email")}), export, aside=True)


def _application(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    gather.say(IN_WORDS["application"], "app registrations add nothing that service principals do not tell")


def _removed(gather: Gather, page: Page, row: Row, shown: frozenset[str]) -> None:
    if "group" in page.kind:
        gather.reject("groups", str(row.get("id")), "removed since the last round of the delta query")
        return
    gather.add("identities", rows.removed(row), IN_WORDS["removed"])


Handler = Callable[[Gather, Page, Row, frozenset[str]], None]
HANDLERS: dict[str, Handler] = {
    "user": _user,
    "group": _group,
    "service_principal": _service_principal,
    "application": _application,
    "grant": _grant,
    "sku": _sku,
    "role_assignment": _role("role_assignment", "active"),
    "role_instance": _role("role_instance", "active"),
    "role_eligible": _role("role_eligible", "eligible"),
    "role_request": _role_request,
    "role_definition": _role_definition,
    "directory_role": _directory_role,
    "app_role": _app_role,
    "app_role_listed": _app_role_listed,
    "signin": _signin,
    "member": _member,
    "owner": _member,
    "member_listed": _member_listed,
    "member_of": _member_of,
    "manager": _manager,
    "licence_detail": _licence_detail,
    "site": _site,
    "drive": _drive,
    "permission": _permission,
    "removed": _removed,
}
