"""Power Platform admin and maker APIs: environments, flows, permissions, connections, connectors, policies, runs.

Every row says by its ``type`` what it is, so pages, arrays, single objects and ``m365 … --output json`` read alike.
Environment, flow, connector and connection stand in the row's ``id`` path; where a body does not repeat them, the
request of the line tells.

Never stored: signed links of runs, ``flowTriggerUri``, and connection parameters outside an allow-list.

Source of the shapes: answers recorded from api.flow, api.powerapps and api.bap in 2026; CLI for Microsoft 365
documentation; Microsoft.PowerApps.Administration.PowerShell. These APIs are not documented, so keys may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowanalysis.definitions.catalogue import index_swagger
from flowanalysis.errors import InputError
from flowanalysis.sources import powerplaces as places
from flowanalysis.sources import powerrows as rows
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.pages import Page, pages
from flowanalysis.sources.values import dig, obj, text

SOURCE = "flowadmin"
Row = Mapping[str, Any]

# Ends of the row's type, the longer first.
TYPES = (
    ("flows/runs/actions", "run_action"),
    ("flows/runs", "run"),
    ("flows/permissions", "permission"),
    ("flows/users", "run_only"),
    ("environments/flows", "flow"),
    ("connections/permissions", "share"),
    ("apis/connections", "connection"),
    ("environments/roleassignments", "environment_role"),
    ("scopes/environments", "environment"),
    ("businessappplatform/environments", "environment"),
    ("processsimple/environments", "environment"),
    ("powerapps/environments", "environment"),
    ("apipolicies", "policy"),
    ("admin/apis", "connector"),
    ("scopes/apis", "connector"),
    ("powerapps/apis", "connector"),
)
IN_WORDS = {
    "run_action": "run actions",
    "run": "runs",
    "permission": "flow permissions",
    "run_only": "run-only users",
    "flow": "flow list",
    "flow_detail": "flow details",
    "share": "connection permissions",
    "connection": "connections",
    "environment_role": "environment roles",
    "environment": "environments",
    "policy": "data policies",
    "connector": "connectors",
}
TABLES = {
    "run_action": "runs",
    "run": "runs",
    "permission": "flow_owners",
    "run_only": "flow_owners",
    "flow": "flows",
    "flow_detail": "flows",
    "share": "connection_shares",
    "connection": "connections",
    "environment_role": "environment_roles",
    "environment": "environments",
    "policy": "dlp_rules",
    "connector": "connectors",
}
# Ends of a request, for pages without rows.
REQUESTS = (
    ("/permissions", "connections", "share"),
    ("/permissions", "flows", "permission"),
    ("/users", "flows", "run_only"),
    ("/runs", "flows", "run"),
    ("/flows", "environments", "flow"),
    ("/connections", "", "connection"),
    ("/roleassignments", "environments", "environment_role"),
    ("/apis", "", "connector"),
    ("/environments", "", "environment"),
    ("policies", "", "policy"),
)


def kind_of(row: Any) -> str | None:
    """The kind of a row, None when it is nothing of Power Platform.

    >>> kind_of({"type": "/providers/Microsoft.ProcessSimple/environments/flows/permissions", "properties": {}})
    'permission'
    """
    if not isinstance(row, Mapping):
        return None
    typed = str(row.get("type") or "").lower().strip("/")
    if typed.startswith(("microsoft.", "providers/microsoft.")):
        kind = next((kind for end, kind in TYPES if typed.endswith(end)), None)
        if kind == "flow" and rows.is_detail(row):
            return "flow_detail"
        return kind
    if "connectorGroups" in row or dig(row, "properties", "definition", "apiGroups"):
        return "policy"
    return None


def _asked(page: Page) -> str | None:
    path = "/" + page.request.split("?", 1)[0].rstrip("/").lower()
    if "microsoft." not in path and "powerplatform" not in path:
        return None
    return next((kind for end, inside, kind in REQUESTS if path.endswith(end) and f"/{inside}" in path), None)


def recognise(document: Document) -> str | None:
    """The kinds of Power Platform rows in the document."""
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
    return f"Power Platform: {', '.join(found)}" if found else None


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every page; a row that cannot be understood is set aside."""
    gather = Gather(SOURCE, variables=document.variables)
    for page in pages(document):
        asked = _asked(page)
        if page.error:
            _failed(gather, page, asked)
        elif not page.rows and asked:
            gather.page(page, IN_WORDS[asked], chain=chain(page, asked))
            gather.expect(TABLES[asked], IN_WORDS[asked])
        for number, row in enumerate(page.rows, 1):
            _row(gather, page, row, number)
    yield from gather.batches()


def _row(gather: Gather, page: Page, row: Row, number: int) -> None:
    kind = kind_of(row)
    if kind is None:
        gather.reject("", f"{page.place}, row {number}".strip(", "), "not a row of Power Platform that is known here")
        return
    read_row(gather, row, kind, request=page.request)
    gather.page(page, IN_WORDS[kind], chain=chain(page, kind, row))


def read_row(gather: Gather, row: Row, kind: str, *, request: str = "") -> None:
    """One raw API row into its tables; other families hold such rows too (PowerShell's ``Internal``)."""
    HANDLERS[kind](gather, row, request)


def chain(page: Page, kind: str, row: Row | None = None) -> str:
    """The name of the collection that a page is a part of, by its request or by one of its rows."""
    found = obj(row)
    place = rows.environment_of(found, page.request) if kind != "environment" else None
    inner = rows.flow_of(found, page.request) if kind in {"permission", "run", "run_only"} else None
    return " ".join(filter(None, (kind, place, inner)))


def _failed(gather: Gather, page: Page, asked: str | None) -> None:
    if page.status == 404 and asked == "flow":
        # an environment without flow runtime answers 404 with an empty body: it has no flows
        gather.expect("flows", IN_WORDS["flow"])
        gather.say(IN_WORDS["flow"], "an environment without flow runtime was asked: no flows")
        return
    table = TABLES.get(asked or "", "")
    gather.reject(table, page.place, f"an error answer instead of data: {page.error}. Ask for {page.request} again")
    gather.say("errors", f"error answer: {page.error}")


def _flow(gather: Gather, row: Row, request: str) -> None:
    export = IN_WORDS["flow"]
    gather.add("flows", rows.flow(row, request=request), export)
    _references(gather, row, request, export)


def _references(gather: Gather, row: Row, request: str, export: str) -> None:
    if not rows.shows_references(row):
        return
    gather.expect("flow_connections", export)
    for reference in rows.references(row, request=request):
        gather.add("flow_connections", reference, export)
    for connector in rows.connectors_in(row):
        gather.add("connectors", connector, export, aside=True)


def _flow_detail(gather: Gather, row: Row, request: str) -> None:
    """A flow with its definition: what the definition says wins over the summary beside it."""
    export = IN_WORDS["flow_detail"]
    flow = rows.flow(row, request=request)
    gather.add("flows", flow, export)
    _references(gather, row, request, export)
    if rows.is_definition(dig(row, "properties", "definition")):
        read_into(gather, flow, row, export, references=False)


def read_into(gather: Gather, flow: dict[str, Any], document: Any, export: str, *, references: bool) -> None:
    """Read a definition and put its steps, needs and marks beside the flow.

    Parameters
    ----------
    gather : Gather
        Where the rows go.
    flow : dict
        Row of ``flows`` already added; trigger, number of actions and ``has_definition`` are set in it.
    document : object
        Any wrapper of a definition that :func:`flowanalysis.definitions.read_definition` takes.
    export : str
        Export that the rows come from.
    references : bool
        Take the connection references from the definition too.
    """
    from flowanalysis.definitions import read_definition  # late: definitions read resource files when imported

    for table in ("steps", "needs", "definition_marks"):
        gather.expect(table, export)
    place = {"flow_id": flow["flow_id"], "environment_id": flow["environment_id"]}
    try:
        found = read_definition(document, variables=gather.variables.get(flow["environment_id"]), **place)
    except (InputError, RecursionError) as error:
        gather.reject("steps", f"flow {flow['flow_id']}", f"definition not understood: {error}")
        return
    flow["has_definition"] = True
    flow["trigger_type"], flow["trigger_kind"] = text(found.trigger_type), text(found.trigger_kind)
    flow["action_count"] = found.action_count
    parts = {"steps": found.steps, "needs": found.needs, "definition_marks": found.marks}
    if references:
        parts["flow_connections"] = found.references
        gather.expect("flow_connections", export)
    for table, lines in parts.items():
        for line in lines:
            gather.add(table, line, export)


def _permission(gather: Gather, row: Row, request: str) -> None:
    gather.add("flow_owners", rows.permission(row, request=request), IN_WORDS["permission"])


def _run_only(gather: Gather, row: Row, request: str) -> None:
    found = rows.permission(row, request=request)
    gather.add("flow_owners", {**found, "role": "RunOnly"}, IN_WORDS["run_only"])


def _connection(gather: Gather, row: Row, request: str) -> None:
    export = IN_WORDS["connection"]
    gather.add("connections", rows.connection(row, request=request), export)
    gather.add("identities", rows.maker(dig(row, "properties", "createdBy")), export, aside=True)


def _share(gather: Gather, row: Row, request: str) -> None:
    export = IN_WORDS["share"]
    gather.add("connection_shares", rows.share(row, request=request), export)
    gather.add("identities", rows.maker(dig(row, "properties", "principal")), export, aside=True)


def _environment(gather: Gather, row: Row, request: str) -> None:
    export = IN_WORDS["environment"]
    gather.add("environments", places.environment(row), export)
    for key in ("createdBy", "usedBy"):
        gather.add("identities", rows.maker(dig(row, "properties", key)), export, aside=True)
    for role in places.roles_in_environment(row):
        gather.add("environment_roles", role, export)


def _environment_role(gather: Gather, row: Row, request: str) -> None:
    export = IN_WORDS["environment_role"]
    gather.add("environment_roles", places.environment_role(row, request=request), export)
    gather.add("identities", rows.maker(dig(row, "properties", "principal")), export, aside=True)


def _connector(gather: Gather, row: Row, request: str) -> None:
    described = places.connector_row(row, request=request)
    gather.add("connectors", described, IN_WORDS["connector"])
    for operation, right in index_swagger(row).items():
        found = {"connector_id": described["connector_id"], "operation_id": operation}
        right = "read" if right == "trigger" else right
        gather.add("connector_operations", {**found, "right": right}, IN_WORDS["connector"], aside=True)
    gather.add("identities", rows.maker(dig(row, "properties", "createdBy")), IN_WORDS["connector"], aside=True)


def _policy(gather: Gather, row: Row, request: str) -> None:
    gather.expect("dlp_rules", IN_WORDS["policy"])
    for rule in places.policy(row):
        gather.add("dlp_rules", rule, IN_WORDS["policy"])


def _run(gather: Gather, row: Row, request: str) -> None:
    gather.add("runs", rows.run(row, request=request), IN_WORDS["run"])


def _run_action(gather: Gather, row: Row, request: str) -> None:
    """An action of a run tells that the run was, not how it ended."""
    found = rows.run_of_action(row, request=request)
    gather.add("runs", found, IN_WORDS["run_action"], aside=True)
    if text(dig(row, "properties", "status")) == "Failed":
        gather.say(IN_WORDS["run_action"], "actions of a run: only the run is kept")


Handler = Callable[[Gather, Row, str], None]
HANDLERS: dict[str, Handler] = {
    "flow": _flow,
    "flow_detail": _flow_detail,
    "permission": _permission,
    "run_only": _run_only,
    "connection": _connection,
    "share": _share,
    "environment": _environment,
    "environment_role": _environment_role,
    "connector": _connector,
    "policy": _policy,
    "run": _run,
    "run_action": _run_action,
}
