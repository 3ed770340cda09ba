"""Tables of the CoE Starter Kit (``admin_*``), as CSV or as answers of the Dataverse Web API.

The kit knows flows, makers, connectors and connection identities, but no key from a flow to its connections'
accounts: it cannot tell which flows run on an account, and this reader does not pretend it can. Rows that name
only the kit's own key of a flow get the environment later, when the flow is known.

Source of the column names: the solution CoE Core Components (Entity.xml of each table).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.powerrows import runtime_source, state
from flowanalysis.sources.records import folded, keys, records
from flowanalysis.sources.values import UNTOLD, connector, flag, fold, text

SOURCE = "coe"
Row = Mapping[str, Any]
# Kind, columns that only this table has.
SHAPES = (
    ("identity", {"admin_connectionreferenceidentityid"}),
    ("identity", {"admin_accountname", "admin_connectionreferencecreatordisplayname"}),
    ("reference", {"admin_connectionreferenceid"}),
    ("reference", {"admin_flow_connectionreferencesource"}),
    ("step", {"admin_flowactiondetailid"}),
    ("step", {"admin_operation", "admin_actiontype"}),
    ("role", {"admin_powerplatformuserroleid"}),
    ("role", {"admin_rolename", "admin_resourcetype"}),
    ("user", {"admin_powerplatformuserid", "admin_userprincipalname"}),
    ("flow", {"admin_flowid", "admin_displayname"}),
    ("flow", {"admin_flowidstring"}),
    ("maker", {"admin_makerid", "admin_userprincipalname"}),
    ("maker", {"admin_makerid", "admin_displayname"}),
    ("environment", {"admin_environmentid", "admin_environmentsku"}),
    ("security_role", {"admin_securityrolename", "admin_userid"}),
    ("connector", {"admin_connectorid", "admin_displayname"}),
    ("connector", {"admin_tier", "admin_iscustomapi"}),
)
EXPORTS = {
    "identity": "connection identities",
    "reference": "connection references",
    "step": "flow action details",
    "role": "user roles",
    "user": "users",
    "flow": "flows",
    "maker": "makers",
    "environment": "environments",
    "security_role": "security roles",
    "connector": "connectors",
}
# What an empty table of the kit says that there is none of.
TABLES = {
    "identity": "connections",
    "reference": "flow_connections",
    "step": "steps",
    "role": "flow_owners",
    "flow": "flows",
    "maker": "identities",
    "environment": "environments",
    "security_role": "environment_roles",
    "connector": "connectors",
}


def recognise(document: Document) -> str | None:
    """The table of the kit."""
    kind = _kind(document)
    return None if kind is None else f"CoE Starter Kit: {EXPORTS[kind]}"


def _kind(document: Document) -> str | None:
    if document.form not in {"json", "lines", "sheet"}:
        return None
    found = keys(document)
    return next((kind for kind, needed in SHAPES if needed <= found), None)


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every record."""
    kind = _kind(document)
    if kind is None:
        return
    gather = Gather(SOURCE)
    if kind in TABLES:
        gather.expect(TABLES[kind], EXPORTS[kind])
    for number, row in enumerate(records(document), 1):
        try:
            READERS[kind](gather, folded(row), EXPORTS[kind])
        except KeyError as error:
            gather.reject("", f"row {number}", f"column {error} is missing or empty; export it too")
    yield from gather.batches()


def lookup(row: Row, name: str) -> str | None:
    """The id in a lookup column: ``_name_value`` from the Web API, ``name`` where a sheet holds the id."""
    return fold(row.get(f"_{name}_value")) or fold(row.get(name))


def _place(row: Row, name: str = "admin_environment") -> str:
    return lookup(row, name) or NO_ENVIRONMENT


def _flow(gather: Gather, row: Row, export: str) -> None:
    key = fold(row.get("admin_flowidstring")) or fold(row.get("admin_recordguidasstring")) or fold(row["admin_flowid"])
    where = fold(row.get("admin_flowenvironmentlogicalname")) or fold(row.get("admin_flowenvironmentid"))
    deleted = flag(row.get("admin_flowdeleted"))
    creator = lookup(row, "admin_flowcreator")
    gather.add(
        "flows",
        {
            "environment_id": where or _place(row, "admin_flowenvironment"),
            "flow_id": key,
            "display_name": text(row.get("admin_displayname")),
            "state": "Deleted" if deleted else state(_shown(row, "admin_flowstate")),
            "suspension_reason": text(row.get("admin_flowsuspensionreason")),
            "suspension_at": row.get("admin_flowpendingsuspensionon"),
            "created_at": row.get("admin_flowcreatedon"),
            "modified_at": row.get("admin_flowmodifiedon"),
            "last_run_at": row.get("admin_flowlastrunon"),
            "creator_id": creator,
            "is_solution": flag(_shown(row, "admin_issolutionflow")),
            "workflow_id": fold(row.get("admin_workflowentityid")),
            "kind": "cloud",
            "description": text(row.get("admin_flowdescription")),
            "template_name": text(row.get("admin_templatename")),
        },
        export,
    )
    if creator and text(row.get("admin_flowcreatorupn")):
        named = {"identity_id": creator, "kind": "user", "upn": text(row["admin_flowcreatorupn"])}
        gather.add("identities", named, export, aside=True)
    if flag(_shown(row, "admin_containsplaintextpassword")):
        mark = {"environment_id": where or NO_ENVIRONMENT, "flow_id": key, "mark": "secret", "step": "", "path": ""}
        gather.add("definition_marks", {**mark, "detail": "flagged by the CoE Starter Kit"}, export)


def _shown(row: Row, name: str) -> Any:
    """The words of a choice, where the export has them beside the number."""
    return row.get(f"{name}@odata.community.display.v1.formattedvalue", row.get(name))


def _reference(gather: Gather, row: Row, export: str) -> None:
    if not lookup(row, "admin_flow"):
        return  # of an app
    name = connector(lookup(row, "admin_connector")) or connector(row.get("admin_displayname"))
    gather.say(export, "names connectors of flows, not connections: accounts of flows stay unknown")
    gather.add(
        "flow_connections",
        {
            "environment_id": UNTOLD,
            "flow_id": lookup(row, "admin_flow"),
            "alias": text(row.get("admin_displayname")) or name or UNTOLD,
            "connector_id": name,
            "runtime_source": runtime_source(_shown(row, "admin_flow_connectionreferencesource")),
        },
        export,
    )


def _identity(gather: Gather, row: Row, export: str) -> None:
    """A connection; the column with the creator's display name holds the user principal name."""
    gather.add(
        "connections",
        {
            "environment_id": _place(row),
            "connection_id": fold(row["admin_name"]),
            "connector_id": connector(row.get("admin_connectorshortname")) or connector(lookup(row, "admin_connector")),
            "account_name": text(row.get("admin_accountname")),
            "created_by_id": lookup(row, "admin_connectionreferencecreator"),
            "created_by_upn": text(row.get("admin_connectionreferencecreatordisplayname")),
        },
        export,
    )


def _maker(gather: Gather, row: Row, export: str) -> None:
    robot, guest = flag(_shown(row, "admin_userisserviceprinciple")), flag(_shown(row, "admin_userisguest"))
    gather.add(
        "identities",
        {
            "identity_id": fold(row["admin_makerid"]),
            "kind": "service_principal" if robot else "user",
            "upn": text(row.get("admin_userprincipalname")),
            "mail": text(row.get("admin_useremail")),
            "display_name": text(row.get("admin_displayname")),
            "account_enabled": flag(_shown(row, "admin_accountenabled")),
            "user_type": None if guest is None else "Guest" if guest else "Member",
            "department": text(row.get("admin_department")),
            "company": text(row.get("admin_company")),
            "job_title": text(row.get("admin_jobtitle")),
            "manager_id": fold(row.get("admin_managerid")),
        },
        export,
    )


def _user(gather: Gather, row: Row, export: str) -> None:
    key = fold(row["admin_powerplatformuserid"])
    if str(_shown(row, "admin_type")).lower() == "group":
        gather.add("groups", {"group_id": key, "display_name": text(row.get("admin_displayname"))}, export)
        return
    guest = flag(_shown(row, "admin_userisguest"))
    found = {"identity_id": key, "kind": "user", "upn": text(row.get("admin_userprincipalname"))}
    gather.add("identities", {**found, "user_type": "Guest" if guest else None}, export, aside=True)


def _role(gather: Gather, row: Row, export: str) -> None:
    flow, principal = lookup(row, "admin_flow"), lookup(row, "admin_powerplatformuser")
    if flow is None or principal is None:
        return  # of an app or an environment
    role = text(row.get("admin_rolename")) or text(row.get("admin_rolenamefriendly"))
    place = {"environment_id": UNTOLD, "flow_id": flow, "principal_id": principal}
    gather.add("flow_owners", {**place, "role": role, "via": "coe"}, export)


def _step(gather: Gather, row: Row, export: str) -> None:
    place = {"environment_id": UNTOLD, "flow_id": lookup(row, "admin_flow")}
    name = text(row.get("admin_name")) or text(row.get("admin_operation")) or UNTOLD
    kind = {
        "kind": "action",
        "type": text(row.get("admin_actiontype")),
        "operation_id": text(row.get("admin_operation")),
    }
    gather.say(export, "names operations without parameters: resources stay unknown")
    gather.add("steps", {**place, "step": name, "name": name, **kind}, export)


def _environment(gather: Gather, row: Row, export: str) -> None:
    url = text(row.get("admin_environmentcdsinstanceurl"))
    gather.add(
        "environments",
        {
            "environment_id": fold(row.get("admin_environmentname")) or fold(row["admin_environmentid"]),
            "display_name": text(row.get("admin_displayname")),
            "sku": text(_shown(row, "admin_environmentsku")),
            "is_managed": flag(_shown(row, "admin_envtismanaged")),
            "created_at": row.get("admin_environmentcreatedon"),
            "has_dataverse": True if url else None,
            "org_url": url,
            "security_group_id": fold(row.get("admin_securitygroupid")),
        },
        export,
    )


def _security_role(gather: Gather, row: Row, export: str) -> None:
    found = {"environment_id": _place(row), "principal_id": fold(row["admin_userid"]), "via": "dataverse"}
    gather.add(
        "environment_roles", {**found, "principal_kind": "User", "role": text(row["admin_securityrolename"])}, export
    )


def _connector(gather: Gather, row: Row, export: str) -> None:
    custom = flag(_shown(row, "admin_iscustomapi"))
    gather.add(
        "connectors",
        {
            "connector_id": connector(row.get("admin_name"))
            or connector(row.get("admin_id"))
            or fold(row["admin_connectorid"]),
            "environment_id": _place(row) if custom else NO_ENVIRONMENT,
            "display_name": text(row.get("admin_displayname")),
            "tier": text(_shown(row, "admin_tier")),
            "is_custom": custom,
            "publisher": text(row.get("admin_publisher")),
            "host": text(row.get("admin_customconnectorhost")),
        },
        export,
    )


READERS: dict[str, Callable[[Gather, Row, str], None]] = {
    "flow": _flow,
    "reference": _reference,
    "identity": _identity,
    "maker": _maker,
    "user": _user,
    "role": _role,
    "step": _step,
    "environment": _environment,
    "security_role": _security_role,
    "connector": _connector,
}
