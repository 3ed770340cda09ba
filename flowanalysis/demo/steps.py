"""Steps of flow definitions in the shape the designer writes, each with the rights that it uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flowanalysis.demo.ids import DOMAIN, Ids

HOST = "https://tailwindtraders.sharepoint.example"
SQL_SERVER = "tailwind-sql.database.example"
APIS = "/providers/Microsoft.PowerApps/apis/"

Need = tuple[str, str, str]  # (kind of resource, resource, level)


@dataclass(frozen=True)
class Step:
    """A trigger or action.

    `account` is the key of the connection's account where it is not the one that the flow runs as;
    `alias` the key of the connection where it is not the connector.
    """

    name: str
    body: dict[str, Any]
    connector: str = ""
    needs: tuple[Need, ...] = ()
    account: str = ""
    alias: str = ""
    inner: tuple[Step, ...] = ()
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a department works: its site and lists, team, mailbox and tables."""

    ids: Ids
    department: str

    @property
    def site(self) -> str:
        """Address of the site."""
        return f"{HOST}/sites/{self.department}"

    @property
    def mailbox(self) -> str:
        """The department's shared mailbox."""
        return "customerservice@" + DOMAIN if self.department == "service" else f"{self.department}-inbox@{DOMAIN}"

    @property
    def team(self) -> str:
        """Group id of the team."""
        return self.ids.guid("group", f"team-{self.department}")

    def list(self, name: str) -> str:
        """Id of a list or library."""
        return self.ids.guid("list", self.department, name)


def connector_step(name: str, connector: str, operation: str, parameters: dict[str, Any], **more: Any) -> Step:
    """A step of a connector in the present shape."""
    kind = more.pop("type", "OpenApiConnection")
    host = {"apiId": APIS + connector, "operationId": operation, "connectionName": more.get("alias") or connector}
    inputs = {"parameters": parameters, "host": host, "authentication": "@parameters('$authentication')"}
    body = {"type": kind, "inputs": inputs, **more.pop("body", {})}
    return Step(name, body, connector, **more)


def listed(place: Place, name: str, level: str) -> tuple[Need, ...]:
    """The right on a list."""
    return (("sharepoint_list", f"{place.site}|{place.list(name)}", level),)


# SharePoint -----------------------------------------------------------------------------------------------------


def sharepoint(place: Place, operation: str, name: str, **more: Any) -> Step:
    """A step on a list: read for Get…, else write."""
    level = "read" if operation.startswith("Get") else "write"
    site = more.pop("site", place.site)
    parameters: dict[str, Any] = {"dataset": site, "table": place.list(name)}
    if operation in ("PatchItem", "GetItem"):
        parameters["id"] = "@triggerOutputs()?['body/ID']"
    if level == "write":
        parameters |= {"item/Title": "@triggerOutputs()?['body/Title']", "item/Status/Value": "Done"}
    label = {"GetItems": "Get", "GetItem": "Look_up", "PostItem": "Add_to", "PatchItem": "Update"}[operation]
    step = f"{label}_{name.replace(' ', '_')}"
    return connector_step(
        step, "shared_sharepointonline", operation, parameters, needs=listed(place, name, level), **more
    )


def sharepoint_trigger(place: Place, operation: str, name: str, **more: Any) -> Step:
    """A polling trigger on a list or library."""
    title = {"GetOnNewItems": "When_an_item_is_created", "GetOnUpdatedItems": "When_an_item_changes"}.get(
        operation, "When_a_file_is_created"
    )
    parameters = {"dataset": place.site, "table": place.list(name)}
    body = {"recurrence": {"frequency": "Minute", "interval": 3}, "splitOn": "@triggerOutputs()?['body/value']"}
    return connector_step(
        title, "shared_sharepointonline", operation, parameters, needs=listed(place, name, "read"), body=body, **more
    )


def file_copy(place: Place, target: Place, library: str, **more: Any) -> Step:
    """Create a file in a library, by folder path."""
    parameters = {
        "dataset": target.site,
        "folderPath": f"/{library}",
        "name": "@triggerOutputs()?['body/{FilenameWithExtension}']",
        "body": "@body('Get_file_content')",
    }
    need = (("sharepoint_file", f"{target.site}|/{library.lower()}", "write"),)
    return connector_step("Create_file", "shared_sharepointonline", "CreateFile", parameters, needs=need, **more)


def file_content(place: Place, **more: Any) -> Step:
    """Read a file that the trigger found."""
    parameters = {"dataset": place.site, "id": "@triggerOutputs()?['body/{Identifier}']", "inferContentType": True}
    need = (("sharepoint_site", place.site, "read"),)
    return connector_step(
        "Get_file_content", "shared_sharepointonline", "GetFileContent", parameters, needs=need, **more
    )


# Outlook, Teams, people -----------------------------------------------------------------------------------------


def mail(place: Place, *, to: str = "@triggerOutputs()?['body/Author/Email']", **more: Any) -> Step:
    """Send from the department's shared mailbox."""
    parameters = {
        "emailMessage/MailboxAddress": place.mailbox,
        "emailMessage/To": to,
        "emailMessage/Subject": "News from @{workflow()?['tags']?['flowDisplayName']}",
        "emailMessage/Body": "<p>@{triggerOutputs()?['body/Title']}</p>",
    }
    need = (("mailbox", place.mailbox, "write"),)
    return connector_step("Send_mail", "shared_office365", "SharedMailboxSendEmailV2", parameters, needs=need, **more)


def own_mail(name: str = "Send_me_a_mail", *, to: str = "@triggerOutputs()?['body/To']", **more: Any) -> Step:
    """Send from the mailbox of whoever the connection belongs to."""
    parameters = {"emailMessage/To": to, "emailMessage/Subject": "Reminder", "emailMessage/Body": "<p>See list</p>"}
    return connector_step(name, "shared_office365", "SendEmailV2", parameters, **more)


def mail_trigger(place: Place, **more: Any) -> Step:
    """Mail arrives in the shared mailbox."""
    parameters = {"mailboxAddress": place.mailbox, "folderId": "Inbox", "hasAttachments": True}
    need = (("mailbox", place.mailbox, "read"),)
    body = {"recurrence": {"frequency": "Minute", "interval": 5}, "splitOn": "@triggerOutputs()?['body/value']"}
    return connector_step(
        "When_mail_arrives", "shared_office365", "SharedMailboxOnNewEmailV2", parameters, needs=need, body=body, **more
    )


def own_mail_trigger(**more: Any) -> Step:
    """A mail is flagged in the mailbox of the connection."""
    body = {"type": "OpenApiConnectionNotification", "splitOn": "@triggerOutputs()?['body/value']"}
    return connector_step(
        "When_a_mail_is_flagged", "shared_office365", "OnFlaggedEmailV3", {"folderPath": "Inbox"}, body=body, **more
    )


def teams(place: Place, **more: Any) -> Step:
    """Post to the department's channel as the flow bot."""
    parameters = {
        "poster": "Flow bot",
        "location": "Channel",
        "body/recipient/groupId": place.team,
        "body/recipient/channelId": f"19:{place.ids.guid('channel', place.department).replace('-', '')}@thread.tacv2",
        "body/messageBody": "<p>@{triggerOutputs()?['body/Title']}</p>",
    }
    need = (("team", place.team, "write"),)
    return connector_step(
        "Post_to_channel", "shared_teams", "PostMessageToConversation", parameters, needs=need, **more
    )


def profile(**more: Any) -> Step:
    """Look up a person in the directory."""
    parameters = {"id": "@triggerOutputs()?['body/Author/Email']", "$select": "displayName,department"}
    return connector_step("Get_user_profile", "shared_office365users", "UserProfile_V2", parameters, **more)


def approval(place: Place, **more: Any) -> Step:
    """Ask somebody and wait."""
    parameters = {
        "approvalType": "Basic",
        "WebhookApprovalCreationInput/title": "@triggerOutputs()?['body/Title']",
        "WebhookApprovalCreationInput/assignedTo": "@triggerOutputs()?['body/Approver/Email']",
        "WebhookApprovalCreationInput/enableNotifications": True,
    }
    kind = "OpenApiConnectionWebhook"
    return connector_step(
        "Ask_for_approval", "shared_approvals", "StartAndWaitForAnApproval", parameters, type=kind, **more
    )


def task(place: Place, **more: Any) -> Step:
    """A Planner task in the team's plan."""
    plan = place.ids.guid("plan", place.department).replace("-", "")[:28]
    parameters = {"body/groupId": place.team, "body/planId": plan, "body/title": "@triggerOutputs()?['body/Title']"}
    need = (("plan", f"{place.team}|{plan}", "write"),)
    return connector_step("Create_task", "shared_planner", "CreateTask_V3", parameters, needs=need, **more)


def form_trigger(place: Place, form: str) -> Step:
    """A form is answered."""
    parameters = {"form_id": place.ids.guid("form", place.department, form).replace("-", "")}
    body = {"type": "OpenApiConnectionWebhook", "splitOn": "@triggerOutputs()?['body/value']"}
    return connector_step(
        "When_a_form_is_answered", "shared_microsoftforms", "CreateFormWebhook", parameters, body=body
    )


# Dataverse, SQL, HTTP -------------------------------------------------------------------------------------------


def dataverse(operation: str, table: str, **more: Any) -> Step:
    """A Dataverse step on an entity set."""
    level = "read" if operation in ("ListRecords", "GetItem") else "write"
    parameters: dict[str, Any] = {"entityName": table}
    if operation == "ListRecords":
        parameters |= {"$select": "createdon", "$top": 500}
    if operation in ("UpdateRecord", "GetItem"):
        parameters["recordId"] = "@triggerOutputs()?['body/id']"
    if level == "write":
        parameters["item/tt_status"] = 1
    need = (("dataverse_table", table, level),)
    step = f"{'List' if operation == 'ListRecords' else operation.removesuffix('Record')}_{table}"
    return connector_step(step, "shared_commondataserviceforapps", operation, parameters, needs=need, **more)


def dataverse_trigger(logical: str, table: str) -> Step:
    """A row is added, changed or deleted; the table by its logical name."""
    parameters = {
        "subscriptionRequest/message": 4,
        "subscriptionRequest/entityname": logical,
        "subscriptionRequest/scope": 4,
    }
    need = (("dataverse_table", table, "read"), ("dataverse_table", "callbackregistrations", "write"))
    kind = "OpenApiConnectionWebhook"
    name, connector = "When_a_row_changes", "shared_commondataserviceforapps"
    return connector_step(name, connector, "SubscribeWebhookTrigger", parameters, needs=need, type=kind)


def sql(operation: str, database: str, table: str, **more: Any) -> Step:
    """A SQL Server step."""
    level = "read" if operation.startswith("Get") else "write"
    parameters: dict[str, Any] = {"server": SQL_SERVER, "database": database, "table": f"[dbo].[{table}]"}
    if level == "write":
        parameters["item/Title"] = "@triggerOutputs()?['body/Title']"
    need = (("sql_table", f"{SQL_SERVER}|{database}|dbo.{table}", level),)
    step = f"{'Read' if level == 'read' else 'Insert_into'}_{table}"
    return connector_step(step, "shared_sql", operation, parameters, needs=need, **more)


def recurrence(frequency: str = "Day", interval: int = 1) -> Step:
    """A schedule."""
    return Step("Recurrence", {"type": "Recurrence", "recurrence": {"frequency": frequency, "interval": interval}})


def button() -> Step:
    """Started by hand from a Power App."""
    schema = {"type": "object", "properties": {"text": {"type": "string", "title": "Reason"}}, "required": ["text"]}
    return Step("manual", {"type": "Request", "kind": "PowerAppV2", "inputs": {"schema": schema}})


def http_trigger(*, open_to_all: bool = False) -> Step:
    """Called over HTTP: by anybody who has the address, or only with a sign-in to the tenant."""
    who = "All" if open_to_all else "Tenant"
    inputs = {"schema": {"type": "object", "properties": {}}, "triggerAuthenticationType": who}
    return Step("manual", {"type": "Request", "kind": "Http", "inputs": inputs})


def http(uri: str, *, method: str = "GET", headers: dict[str, str] | None = None, **inputs: Any) -> Step:
    """A raw HTTP call."""
    body = {"method": method, "uri": uri, **({"headers": headers} if headers else {}), **inputs}
    return Step("Call_service", {"type": "Http", "inputs": body})


# Built-in -------------------------------------------------------------------------------------------------------


def compose(name: str = "Compose", value: Any = "@triggerBody()") -> Step:
    """A value worked out."""
    return Step(name, {"type": "Compose", "inputs": value})


def variable(name: str, value: Any) -> Step:
    """A variable."""
    inputs = {"variables": [{"name": name, "type": "string", "value": value}]}
    return Step(f"Initialize_{name}", {"type": "InitializeVariable", "inputs": inputs})


def response() -> Step:
    """The answer of an HTTP flow."""
    return Step("Response", {"type": "Response", "kind": "Http", "inputs": {"statusCode": 202, "body": {"ok": True}}})


def child(workflow: str) -> Step:
    """A child flow."""
    inputs = {"host": {"workflowReferenceName": workflow}, "body": {"text": "@triggerBody()?['text']"}}
    return Step("Run_a_child_flow", {"type": "Workflow", "inputs": inputs})


def each(source: str, steps: Iterable[Step], name: str = "For_each_row") -> Step:
    """A loop over the rows of a step."""
    return Step(name, {"type": "Foreach", "foreach": f"@outputs('{source}')?['body/value']"}, inner=tuple(steps))


def scope(name: str, steps: Iterable[Step]) -> Step:
    """A scope."""
    return Step(name, {"type": "Scope"}, inner=tuple(steps))


def when_approved(steps: Iterable[Step]) -> Step:
    """A condition on the answer to an approval."""
    expression = {"equals": ["@outputs('Ask_for_approval')?['body/outcome']", "Approve"]}
    return Step("If_approved", {"type": "If", "expression": expression, "else": {"actions": {}}}, inner=tuple(steps))
