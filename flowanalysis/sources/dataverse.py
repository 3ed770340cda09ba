"""Dataverse Web API: workflows, connection references, environment variables, users, teams, roles, runs, shares.

A page names its organisation in ``@odata.context`` and never its environment: rows carry the organisation's host
as environment until the environments of the tenant tell which it is (see ``settle``).

Source of the shapes: Dataverse Web API reference and the page "Manage flows with code"; answers recorded in 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources import variables
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.pages import Page, pages
from flowanalysis.sources.powerplatform import read_into
from flowanalysis.sources.values import UNTOLD, connector, count, dig, flag, fold, items, last, obj, text

SOURCE = "dataverse"
Row = Mapping[str, Any]

KEYS: tuple[tuple[str, frozenset[str]], ...] = (
    ("shared", frozenset({"PrincipalAccesses"})),
    ("reference", frozenset({"connectionreferencelogicalname"})),
    ("user", frozenset({"systemuserid", "fullname"})),
    ("user", frozenset({"systemuserid", "azureactivedirectoryobjectid"})),
    ("user", frozenset({"systemuserid", "systemuserroles_association"})),
    ("user", frozenset({"systemuserid", "domainname"})),
    ("run", frozenset({"flowrunid"})),
    ("run", frozenset({"workflowid", "starttime", "status"})),
    ("flow", frozenset({"workflowid", "clientdata"})),
    ("flow", frozenset({"workflowid", "category"})),
    ("flow", frozenset({"workflowid", "statecode"})),
    ("team", frozenset({"teamid"})),
    ("role", frozenset({"roleid", "name"})),
    ("variable", frozenset({"environmentvariabledefinitionid", "schemaname"})),
    ("variable_value", frozenset({"environmentvariablevalueid", "value"})),
    ("variable_value", frozenset({"_environmentvariabledefinitionid_value", "value"})),
)
COLLECTIONS = {
    "workflows": "flow",
    "connectionreferences": "reference",
    "systemusers": "user",
    "teams": "team",
    "flowruns": "run",
    "systemuserroles_association": "role",
    "roles": "role",
    "environmentvariabledefinitions": "variable",
    "environmentvariablevalues": "variable_value",
}
IN_WORDS = {
    "flow": "workflows",
    "reference": "connection references",
    "user": "system users",
    "team": "teams",
    "run": "flow runs",
    "role": "security roles",
    "shared": "shares of a flow",
    "variable": "environment variables",
    "variable_value": "environment variable values",
}
TABLES = {
    "flow": "flows",
    "reference": "connection_references",
    "user": "dataverse_users",
    "team": "groups",
    "run": "runs",
    "role": "environment_roles",
    "shared": "flow_owners",
    "variable": "environment_variables",
    "variable_value": "environment_variables",
}
STATES = {0: "Stopped", 1: "Started", 2: "Suspended"}
ACCESS = {
    0: "read_write",
    1: "administrative",
    2: "read",
    3: "support",
    4: "non_interactive",
    5: "delegated_admin",
}
MODERN = {0: "cloud", 1: "agent", 2: "agent"}
CATEGORIES = {5: "cloud", 6: "desktop"}  # everything else is a classic workflow, dialog, rule or action
DEFINITION = 1  # the other types of a workflow row are 2, an activated copy, and 3, a template
LOOKUP = "@Microsoft.Dynamics.CRM.lookuplogicalname"


def kind_of(row: Any) -> str | None:
    """The kind of a row, None when it is nothing of Dataverse that matters here."""
    if not isinstance(row, Mapping):
        return None
    return next((kind for kind, needed in KEYS if needed <= row.keys()), None)


def _asked(page: Page) -> str | None:
    if "/api/data/v" not in page.context + page.request:
        return None
    path = page.request.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1].lower()
    return COLLECTIONS.get(path) or COLLECTIONS.get(page.kind.rsplit("/", 1)[-1].lower())


def recognise(document: Document) -> str | None:
    """The kinds of Dataverse rows in the document."""
    if document.form not in {"json", "lines"}:
        return None
    found: dict[str, None] = {}
    for page in pages(document, limit=20):
        for row in page.rows[:20]:
            kind = kind_of(row)
            if kind is None:
                return None
            found[IN_WORDS[kind]] = None
        asked = _asked(page)
        if not page.rows and asked:
            found[IN_WORDS[asked]] = None
    return f"Dataverse: {', '.join(found)}" if found else None


def organisation(page: Page) -> str:
    """Host of the organisation without ``.api``, standing for the environment until that is known.

    >>> organisation(Page((), context="https://contoso.api.crm4.dynamics.com/api/data/v9.2/$metadata#workflows"))
    'contoso.crm4.dynamics.com'
    """
    return page.host.replace(".api.crm", ".crm", 1) or NO_ENVIRONMENT


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every page; a row that cannot be understood is set aside."""
    gather = Gather(SOURCE, variables=document.variables)
    for page in pages(document):
        asked = _asked(page)
        if page.error:
            gather.reject(TABLES.get(asked or "", ""), page.place, f"an error answer instead of data: {page.error}")
            gather.say("errors", f"error answer: {page.error}")
        elif not page.rows and asked:
            gather.page(page, IN_WORDS[asked], chain=f"{asked} {page.host}")
            gather.expect(TABLES[asked], IN_WORDS[asked])
        for number, row in enumerate(page.rows, 1):
            kind = kind_of(row)
            if kind is None:
                gather.reject(
                    "", f"{page.place}, row {number}".strip(", "), "not a row of Dataverse that is known here"
                )
                continue
            HANDLERS[kind](gather, page, row)
            gather.page(page, IN_WORDS[kind], chain=f"{kind} {page.host}")
    yield from gather.batches()


def flow(row: Row, *, environment: str) -> dict[str, Any]:
    """A workflow row as a flow. Owner and makers are Dataverse ids until they are settled."""
    name = fold(row.get("workflowid"))
    creator = fold(row.get("_createdby_value"))
    owner = fold(row.get("_ownerid_value")) or fold(row.get("_owninguser_value")) or fold(row.get("_owningteam_value"))
    return {
        "environment_id": environment,
        "flow_id": name,
        "display_name": text(row.get("name")),
        "state": STATES.get(_number(row.get("statecode")), "Unknown") if row.get("statecode") is not None else None,
        "suspension_reason": "CompanyDlpViolation" if count(row.get("statuscode")) == 3 else None,
        "created_at": row.get("createdon"),
        "modified_at": row.get("modifiedon"),
        "creator_id": creator,
        "creator_kind": "DataverseSystemUser" if creator else None,
        "owner_id": owner,
        "owner_source": "dataverse" if owner else None,
        "is_solution": True,
        "workflow_id": name,
        "workflow_unique_id": fold(row.get("workflowidunique")),
        "is_managed": flag(row.get("ismanaged")),
        "kind": _kind(row),
        "description": text(row.get("description")),
    }


def _kind(row: Row) -> str | None:
    category = count(row.get("category"))
    if category == 5:
        return MODERN.get(count(row.get("modernflowtype")) or 0, "other")
    return None if category is None else CATEGORIES.get(category, "classic")


def _flow(gather: Gather, page: Page, row: Row) -> None:
    export = IN_WORDS["flow"]
    gather.expect("flows", export)
    if count(row.get("type")) not in {None, DEFINITION}:
        gather.say(export, "activated copies and templates of workflows are left out")
        return
    found = flow(row, environment=organisation(page))
    gather.add("flows", found, export)
    _owner(gather, row, found)
    client = row.get("clientdata")
    if isinstance(client, (str, Mapping)) and client:
        _definition(gather, found, client)


def _owner(gather: Gather, row: Row, found: Row) -> None:
    if not found["owner_id"]:
        return
    team = row.get(f"_ownerid_value{LOOKUP}") == "team" or fold(row.get("_owningteam_value")) == found["owner_id"]
    line = {
        "environment_id": found["environment_id"],
        "flow_id": found["flow_id"],
        "principal_id": found["owner_id"],
        "principal_kind": "Team" if team else "User",
        "role": "Owner",
        "via": "dataverse",
    }
    gather.add("flow_owners", line, IN_WORDS["flow"])


def _definition(gather: Gather, found: dict[str, Any], client: str | Row) -> None:
    try:
        document = orjson.loads(client) if isinstance(client, str) else client
    except orjson.JSONDecodeError as error:
        gather.reject("steps", f"flow {found['flow_id']}", f"clientdata is not JSON: {error}")
        return
    if dig(document, "properties", "definition") is None:
        gather.say(IN_WORDS["flow"], "clientdata without definition (desktop flows have none)")
        return
    read_into(gather, found, document, IN_WORDS["flow"], references=True)


def _reference(gather: Gather, page: Page, row: Row) -> None:
    bound = last(row.get("connectionid"))
    state = count(row.get("statecode"))
    line = {
        "environment_id": organisation(page),
        "reference_name": fold(row.get("connectionreferencelogicalname")),
        "reference_id": fold(row.get("connectionreferenceid")),
        "display_name": text(row.get("connectionreferencedisplayname")),
        "connector_id": connector(row.get("connectorid")),
        "connection_id": bound,
        # the key must have been asked for: a column left out of $select says nothing
        "is_bound": bool(bound) if "connectionid" in row else None,
        "owner_id": fold(row.get("_ownerid_value")),
        "state": None if state is None else "active" if state == 0 else "inactive",
        "is_managed": flag(row.get("ismanaged")),
    }
    gather.add("connection_references", line, IN_WORDS["reference"])


def _user(gather: Gather, page: Page, row: Row) -> None:
    environment = organisation(page)
    name = fold(row.get("systemuserid"))
    found = {
        "environment_id": environment,
        "systemuser_id": name,
        "identity_id": fold(row.get("azureactivedirectoryobjectid")),
        "upn": text(row.get("domainname")) or text(row.get("internalemailaddress")),
        "display_name": text(row.get("fullname")),
        "is_disabled": flag(row.get("isdisabled")),
        "access_mode": ACCESS.get(_number(row.get("accessmode"))),
        "application_id": fold(row.get("applicationid")),
    }
    gather.add("dataverse_users", found, IN_WORDS["user"])
    for role in items(row.get("systemuserroles_association")):
        _has_role(gather, environment, name, "User", role)


def _number(value: Any) -> int:
    """A choice of Dataverse; -1, which no choice has, where none is told."""
    found = count(value)
    return -1 if found is None else found


def _has_role(gather: Gather, environment: str, who: str | None, kind: str, role: Row) -> None:
    line = {
        "environment_id": environment,
        "principal_id": who or UNTOLD,
        "principal_kind": kind,
        "role": text(role.get("name")) or fold(role.get("roleid")),
        "via": "dataverse",
    }
    gather.add("environment_roles", line, IN_WORDS["role"])


def _role(gather: Gather, page: Page, row: Row) -> None:
    user, team = _inside(page, "systemusers"), _inside(page, "teams")
    if user or team:
        _has_role(gather, organisation(page), user or team, "User" if user else "Team", row)
    else:
        gather.say(
            IN_WORDS["role"], "names of roles without their holders add nothing; expand systemuserroles_association"
        )


def _inside(page: Page, collection: str) -> str | None:
    """The id in ``systemusers(<id>)/…`` of the request or the context."""
    for url in (page.request, page.context):
        inner = url.lower().partition(f"{collection}(")[2].partition(")")[0]
        if inner and "," not in inner and page.request + page.context:
            return fold(inner)
    return None


def _team(gather: Gather, page: Page, row: Row) -> None:
    """A team as a group; the Entra group behind it, or its users, as its members."""
    name, behind = fold(row.get("teamid")), fold(row.get("azureactivedirectoryobjectid"))
    found = {"group_id": name, "display_name": text(row.get("name")), "kind": "unknown"}
    gather.add("groups", found, IN_WORDS["team"], aside=True)
    members: list[tuple[str | None, str]] = [(behind, "group")] if behind else []
    for user in items(row.get("teammembership_association")):
        members.append((fold(user.get("azureactivedirectoryobjectid")) or fold(user.get("systemuserid")), "user"))
    for member, kind in members:
        line = {"group_id": name, "member_id": member, "member_kind": kind, "relation": "member"}
        gather.add("memberships", line, IN_WORDS["team"], aside=True)


def _shared(gather: Gather, page: Page, row: Row) -> None:
    """Answer of RetrieveSharedPrincipalsAndAccess; which flow it is about stands in the request only."""
    export = IN_WORDS["shared"]
    gather.expect("flow_owners", export)
    name = _inside(page, "workflows") or UNTOLD
    if name == UNTOLD:
        gather.say(export, f"does not tell the flow; kept under {UNTOLD}. Keep the request beside the answer")
    for access in items(row.get("PrincipalAccesses")):
        who = obj(access.get("Principal"))
        typed = str(who.get("@odata.type", "")).rsplit(".", 1)[-1].lower()
        role = _role_of(access.get("AccessMask"))
        if role is None:
            gather.reject("flow_owners", page.place or f"flow {name}", "a share that neither reads nor writes the flow")
            continue
        line = {
            "environment_id": organisation(page),
            "flow_id": name,
            "principal_id": fold(who.get("ownerid")) or fold(who.get(f"{typed}id")),
            "principal_kind": "Team" if typed == "team" else "User",
            "role": role,
            "via": "dataverse",
        }
        gather.add("flow_owners", line, export)


def _role_of(mask: Any) -> str | None:
    """The role that an access mask, in words or as bits, comes to; None for masks that neither read nor write.

    Who may read the row of a flow may see its definition; whether he was added as run-only user it does not tell.

    >>> _role_of("ReadAccess, WriteAccess"), _role_of(1), _role_of("None")
    ('CanEdit', 'CanView', None)
    """
    words = text(mask) or ""
    if words.isdecimal():
        bits = int(words)
        return "CanEdit" if bits & 2 else "CanView" if bits & 1 else None
    return "CanEdit" if "WriteAccess" in words else "CanView" if "ReadAccess" in words else None


def _run(gather: Gather, page: Page, row: Row) -> None:
    line = {
        "environment_id": organisation(page),
        "flow_id": fold(row.get("_workflow_value")) or fold(row.get("workflowid")),
        "run_id": text(row.get("name")) or text(row.get("flowrunid")),
        "start_at": row.get("starttime"),
        "end_at": row.get("endtime"),
        "status": text(row.get("status")),
        "error_code": text(row.get("errorcode")),
        "trigger_name": None,
    }
    gather.add("runs", line, IN_WORDS["run"])


def _variable(gather: Gather, page: Page, row: Row) -> None:
    export = IN_WORDS["variable"]
    gather.add("environment_variables", variables.definition(row, environment=organisation(page)), export)
    if variables.EXPANDED not in row:
        gather.say(export, "definitions alone; the values in force are the list environmentvariablevalues")


def _variable_value(gather: Gather, page: Page, row: Row) -> None:
    export = IN_WORDS["variable_value"]
    gather.expect("environment_variables", export)
    gather.add("environment_variables", variables.value(row, environment=organisation(page)), export)


Handler = Callable[[Gather, Page, Row], None]
HANDLERS: dict[str, Handler] = {
    "flow": _flow,
    "reference": _reference,
    "user": _user,
    "team": _team,
    "run": _run,
    "role": _role,
    "shared": _shared,
    "variable": _variable,
    "variable_value": _variable_value,
}
