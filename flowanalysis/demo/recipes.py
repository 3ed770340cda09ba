"""What the flows of Tailwind Traders do: a recipe makes the steps of a flow for a department."""

from __future__ import annotations

from collections.abc import Callable

from flowanalysis.demo import steps as s
from flowanalysis.demo.steps import Place, Step

Recipe = Callable[[Place, str], list[Step]]


def _intake(p: Place, name: str) -> list[Step]:
    return [s.mail_trigger(p), s.variable("source", p.mailbox), s.sharepoint(p, "PostItem", "Register"), s.teams(p)]


def _approval(p: Place, name: str) -> list[Step]:
    done = s.when_approved([s.sharepoint(p, "PatchItem", "Requests"), s.mail(p)])
    return [s.sharepoint_trigger(p, "GetOnNewItems", "Requests"), s.profile(), s.approval(p), done]


def _route(p: Place, name: str) -> list[Step]:
    start = s.sharepoint_trigger(p, "GetOnNewFileItems", "Incoming")
    return [start, s.file_content(p), s.file_copy(p, p, "Archive"), s.sharepoint(p, "PostItem", "Document log")]


def _notify(p: Place, name: str) -> list[Step]:
    return [s.sharepoint_trigger(p, "GetOnUpdatedItems", "Tasks"), s.compose(), s.teams(p)]


def _load(p: Place, name: str) -> list[Step]:
    rows = s.each("Get_Register", [s.sql("PostItem_V2", "warehouse", f"{p.department}_register")])
    return [s.recurrence("Day"), s.sharepoint(p, "GetItems", "Register"), rows]


def _sync(p: Place, name: str) -> list[Step]:
    table = f"tt_{p.department}items"
    rows = s.each(f"Read_{p.department}_items", [s.dataverse("UpdateRecord", table)])
    return [s.recurrence("Hour", 4), s.sql("GetItems_V2", "warehouse", f"{p.department}_items"), rows]


def _table(p: Place, name: str) -> list[Step]:
    trigger = s.dataverse_trigger(f"tt_{p.department}case", f"tt_{p.department}cases")
    return [trigger, s.dataverse("UpdateRecord", f"tt_{p.department}cases"), s.teams(p)]


def _webhook(p: Place, name: str) -> list[Step]:
    work = s.scope("Handle", [s.compose(), s.sharepoint(p, "PostItem", "Register")])
    return [s.http_trigger(), work, s.response()]


def _reminder(p: Place, name: str) -> list[Step]:
    mail = s.mail(p, to="@items('For_each_row')?['Responsible/Email']")
    return [s.recurrence("Week"), s.sharepoint(p, "GetItems", "Tasks"), s.each("Get_Tasks", [mail])]


def _form(p: Place, name: str) -> list[Step]:
    return [s.form_trigger(p, name), s.sharepoint(p, "PostItem", "Requests"), s.task(p)]


def _leave(p: Place, name: str) -> list[Step]:
    return [s.button(), s.sharepoint(p, "PostItem", "Requests"), s.approval(p), s.mail(p)]


def _rows(p: Place, name: str) -> list[Step]:
    table = f"tt_{p.department}case"
    return [s.dataverse_trigger(table, table + "s"), s.dataverse("UpdateRecord", table + "s")]


def _copy(p: Place, name: str) -> list[Step]:
    rows = s.each(f"Read_{p.department}_items", [s.sql("PostItem_V2", "reports", f"{p.department}_copy")])
    return [s.recurrence("Day"), s.sql("GetItems_V2", "warehouse", f"{p.department}_items"), rows]


def _weekly(p: Place, name: str) -> list[Step]:
    return [s.recurrence("Week"), s.dataverse("ListRecords", f"tt_{p.department}cases"), s.mail(p, to=p.mailbox)]


def _variable_site(p: Place, name: str) -> list[Step]:
    """The site comes from an environment variable with a default, as solutions should do it."""
    key = f"Site (tt_{p.department}site)"
    meta = {"schemaName": f"tt_{p.department}site", "description": ""}
    parameters = {key: {"defaultValue": p.site, "type": "String", "metadata": meta}}
    get = s.sharepoint(p, "GetItems", "Tasks", site=f"@parameters('{key}')", variables=parameters)
    return [s.recurrence("Day"), get, s.each("Get_Tasks", [s.teams(p)])]


def _flagged(p: Place, name: str) -> list[Step]:
    return [s.own_mail_trigger(), s.own_mail("Remind_me")]


def _invoker(p: Place, name: str) -> list[Step]:
    return [s.button(), s.own_mail("Mail_as_me"), s.profile()]


def _own_reminder(p: Place, name: str) -> list[Step]:
    return [s.recurrence("Day"), s.sharepoint(p, "GetItems", "Tasks"), s.own_mail()]


def _old_shape(p: Place, name: str) -> list[Step]:
    """The shape of years ago: connection by expression, site and list inside the path."""
    site = f"@{{encodeURIComponent(encodeURIComponent('{p.site}'))}}"
    path = f"/datasets/{site}/tables/@{{encodeURIComponent(encodeURIComponent('{p.list('Tasks')}'))}}/items"
    host = {"connection": {"name": "@parameters('$connections')['shared_sharepointonline']['connectionId']"}}
    inputs = {"host": host, "method": "get", "path": path, "authentication": "@parameters('$authentication')"}
    meta = {"flowSystemMetadata": {"swaggerOperationId": "GetItems"}}
    body = {"type": "ApiConnection", "inputs": inputs, "metadata": meta}
    return [s.recurrence("Day"), Step("Get_Tasks", body, "shared_sharepointonline", s.listed(p, "Tasks", "read"))]


def _legacy_table(p: Place, name: str) -> list[Step]:
    """The old Dataverse connector, which Microsoft is switching off."""
    parameters = {"dataset": "default.cds", "table": f"tt_{p.department}cases"}
    need = (("dataverse_table", f"tt_{p.department}cases", "read"),)
    old = s.connector_step("List_records", "shared_commondataservice", "GetItems_V2", parameters, needs=need)
    return [s.recurrence("Day"), old, s.teams(p)]


def _secret(p: Place, name: str) -> list[Step]:
    """A key in clear text in a header; the key was never one of a real service."""
    key = p.ids.guid("key", name).replace("-", "") + p.ids.guid("key2", name).replace("-", "")[:8]
    call = s.http("https://api.carrier.example/v2/shipments", method="POST", headers={"x-api-key": key})
    return [s.recurrence("Hour"), s.sharepoint(p, "GetItems", "Register"), call]


def _oauth(p: Place, name: str) -> list[Step]:
    """A call with a secret that comes from a secure environment variable: nothing in clear text."""
    signin = {
        "type": "ActiveDirectoryOAuth",
        "tenant": p.ids.guid("tenant"),
        "audience": "https://graph.microsoft.com",
        "clientId": p.ids.guid("app", "flow-runner"),
        "secret": "@parameters('Runner secret (tt_runnersecret)')",
    }
    call = s.http("https://graph.microsoft.com/v1.0/subscribedSkus", authentication=signin)
    hidden = {"runtimeConfiguration": {"secureData": {"properties": ["inputs", "outputs"]}}}
    meta = {"schemaName": "tt_runnersecret", "description": ""}
    parameters = {"Runner secret (tt_runnersecret)": {"type": "String", "metadata": meta}}
    safe = Step(call.name, {**call.body, **hidden}, variables=parameters)
    return [s.recurrence("Day"), safe, s.teams(p)]


def _open_webhook(p: Place, name: str) -> list[Step]:
    return [s.http_trigger(open_to_all=True), *_webhook(p, name)[1:]]


def _outside(p: Place, name: str) -> list[Step]:
    """Business data to a consumer service."""
    file = {"folderPath": "/shared", "name": "@utcNow()", "body": "@body('Get_Register')"}
    out = s.connector_step("Copy_to_Dropbox", "shared_dropbox", "CreateFile", file)
    return [s.recurrence("Week"), s.sharepoint(p, "GetItems", "Register"), out]


def _grants(p: Place, name: str) -> list[Step]:
    """Changes who may do what."""
    group = p.ids.guid("group", "joiners")
    parameters = {"groupId": group, "userUpn": "@triggerOutputs()?['body/Author/Email']"}
    need = (("group", group, "owner"),)
    add = s.connector_step("Add_to_group", "shared_office365groups", "AddMemberToGroup", parameters, needs=need)
    return [s.sharepoint_trigger(p, "GetOnNewItems", "Requests"), add]


def _busy(p: Place, name: str) -> list[Step]:
    """Ninety steps for every message: what eats a licence's daily requests."""
    many = [s.compose(f"Line_{i:02}", f"@{{variables('source')}} {i}") for i in range(88)]
    return [s.mail_trigger(p), s.variable("source", p.mailbox), *many, s.sharepoint(p, "PostItem", "Register")]


def _child_caller(p: Place, name: str) -> list[Step]:
    return [s.sharepoint_trigger(p, "GetOnNewItems", "Requests"), s.child(p.ids.guid("workflow", "it-child"))]


def _child(p: Place, name: str) -> list[Step]:
    return [s.button(), s.teams(p)]


RECIPES: dict[str, Recipe] = {
    "intake": _intake,
    "approval": _approval,
    "route": _route,
    "notify": _notify,
    "load": _load,
    "sync": _sync,
    "table": _table,
    "webhook": _webhook,
    "reminder": _reminder,
    "form": _form,
    "leave": _leave,
    "weekly": _weekly,
    "rows": _rows,
    "copy": _copy,
    "variable": _variable_site,
    "flagged": _flagged,
    "invoker": _invoker,
    "own_reminder": _own_reminder,
    "old_shape": _old_shape,
    "legacy_table": _legacy_table,
    "secret": _secret,
    "oauth": _oauth,
    "open_webhook": _open_webhook,
    "outside": _outside,
    "grants": _grants,
    "busy": _busy,
    "child_caller": _child_caller,
    "child": _child,
}
