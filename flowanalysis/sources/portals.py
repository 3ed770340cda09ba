"""Files that people download by hand: Entra portal, Microsoft 365 admin centre, Power Platform inventory.

Traps: the admin centre's ``Block credential`` is the opposite of *enabled*; its licences are product names joined
with ``+``; the inventory's *Owner* of a cloud flow is its creator, and stays so after a change of owner.

Sources: MicrosoftDocs entra-docs users-bulk-download; exports of the admin centre seen in public; Power Platform
inventory-api, inventory-schema and its known limitations (2026).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources import graphrows
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.records import filled, folded, keys, records
from flowanalysis.sources.values import count, dig, flag, fold, last, obj, text

SOURCE = "portal"
Row = Mapping[str, Any]
ENTRA = {"userprincipalname", "objectid"}
ADMIN_CENTRE = {"user principal name", "block credential"}
INVENTORY_SHEET = {"item name", "item type"}
FLOW_TYPES = {
    "microsoft.powerautomate/cloudflows": "cloud",
    "microsoft.powerautomate/agentflows": "agent",
    "microsoft.powerautomate/m365agentflows": "agent",
    "microsoft.powerautomate/desktopflows": "desktop",
    "cloud flow": "cloud",
    "agent flow": "agent",
    "desktop flow": "desktop",
}
ENVIRONMENT_TYPES = {"microsoft.powerplatform/environments", "environment"}
EXPORTS = {"entra": "Entra users", "m365": "Microsoft 365 users", "inventory": "inventory flows"}
OWNER = "its owner is the creator of a flow, even after the owner was changed"


def recognise(document: Document) -> str | None:
    """Which portal the file comes from."""
    kind = _kind(document)
    words = {
        "entra": "Entra portal: users",
        "m365": "Microsoft 365 admin centre: users",
        "inventory": "Power Platform inventory",
    }
    return words.get(kind or "")


def _kind(document: Document) -> str | None:
    found = keys(document) if document.form in {"sheet", "json", "lines"} else frozenset()
    if document.form == "sheet":
        if found >= ENTRA:
            return "entra"
        if found >= ADMIN_CENTRE:
            return "m365"
        return "inventory" if found >= INVENTORY_SHEET else None
    first = next(iter(_inventory_rows(document)), None)
    if first is None:
        return "inventory" if any("/resourcequery/" in _asked(r) or _nothing(r) for r in document.roots) else None
    known = first is not None and str(first.get("type", "")).lower() in {*FLOW_TYPES, *ENVIRONMENT_TYPES}
    return "inventory" if known else None


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of every record."""
    kind = _kind(document)
    gather = Gather(SOURCE)
    if kind == "inventory" and document.form != "sheet":
        _inventory(gather, document)
    else:
        gather.expect("flows" if kind == "inventory" else "identities", EXPORTS[str(kind)])
        reader: Callable[[Gather, Row], None] = {"entra": _entra, "m365": _m365, "inventory": _cells}[str(kind)]
        for number, row in enumerate(records(document), 1):
            try:
                reader(gather, folded(row))
            except (KeyError, ValueError) as error:
                gather.reject("", f"row {number}", f"set aside: {error}")
    yield from gather.batches()


def _entra(gather: Gather, row: Row) -> None:
    upn = graphrows.former_upn(row["objectid"], row.get("userprincipalname"))
    gather.add(
        "identities",
        {
            "identity_id": fold(row["objectid"]),
            "kind": "user",
            "upn": upn,
            "mail": text(row.get("mail")),
            "display_name": text(row.get("displayname")),
            "given_name": text(row.get("givenname")),
            "surname": text(row.get("surname")),
            "user_type": text(row.get("usertype")) or ("Guest" if "#EXT#" in (upn or "").upper() else None),
            "account_enabled": flag(row.get("accountenabled")),
            "department": text(row.get("department")),
            "job_title": text(row.get("jobtitle")),
            "usage_location": text(row.get("usagelocation")),
        },
        "Entra users",
    )


def _m365(gather: Gather, row: Row) -> None:
    key = fold(row.get("object id"))
    if key is None:
        raise ValueError("no Object Id: names alone are not joined on; export the column Object Id too")
    blocked, deleted = flag(row.get("block credential")), row.get("soft deletion time stamp")
    gather.add(
        "identities",
        {
            "identity_id": key,
            "kind": "user",
            "upn": graphrows.former_upn(key, row.get("user principal name")),
            "display_name": text(row.get("display name")),
            "given_name": text(row.get("first name")),
            "surname": text(row.get("last name")),
            "account_enabled": None if blocked is None else not blocked,
            "status": "deleted" if deleted else None,
            "deleted_at": deleted,
            "created_at": row.get("when created"),
            "last_password_change_at": row.get("last password change time stamp"),
            "password_never_expires": flag(row.get("password never expires")),
            "on_prem_synced": flag(row.get("dirsyncenabled")),
            "department": text(row.get("department")),
            "job_title": text(row.get("title")),
            "usage_location": text(row.get("usage location")),
        },
        "Microsoft 365 users",
    )
    gather.expect("licences", "Microsoft 365 users")
    for product in (text(row.get("licenses")) or "").split("+"):
        if filled(product) and product.strip().lower() != "unlicensed":
            gather.add("licences", {"identity_id": key, "sku_id": product.strip()}, "Microsoft 365 users")


def _inventory_rows(document: Document) -> Iterator[Row]:
    for root in document.roots or document.sample:
        answer = root.get("body", root) if isinstance(root, Mapping) and "request" in root else root
        rows = answer.get("data") if isinstance(answer, Mapping) else answer
        if isinstance(rows, list):
            yield from (r for r in rows if isinstance(r, Mapping))
        elif isinstance(answer, Mapping):
            yield answer


def _asked(root: object) -> str:
    """The request that an answer was kept with: it tells what an empty answer is empty of."""
    return str(root.get("request") or "") if isinstance(root, Mapping) else ""


def _nothing(root: object) -> bool:
    """True for an answer of the inventory without any record."""
    return isinstance(root, Mapping) and root.get("data") == [] and {"totalRecords", "count"} <= root.keys()


def _inventory(gather: Gather, document: Document) -> None:
    gather.expect("flows", "inventory flows")
    promised = max((count(r.get("totalRecords")) or 0 for r in document.roots if isinstance(r, Mapping)), default=0)
    got = 0
    for row in _inventory_rows(document):
        got += 1
        kind, shown = str(row.get("type", "")).lower(), obj(row.get("properties")) or row
        if kind in FLOW_TYPES:
            _inventory_flow(gather, row, shown, FLOW_TYPES[kind])
        elif kind in ENVIRONMENT_TYPES:
            _inventory_environment(gather, row, shown)
    if promised > got:
        gather.reject("flows", "totalRecords", f"{promised} records were promised, {got} are here; follow skipToken")
        gather.say("inventory flows", f"incomplete: {got} of {promised} records")


def _inventory_flow(gather: Gather, row: Row, shown: Row, kind: str) -> None:
    owner = fold(shown.get("ownerId"))
    gather.say("inventory flows", OWNER)
    gather.add(
        "flows",
        {
            "environment_id": last(shown.get("environmentId")) or NO_ENVIRONMENT,
            "flow_id": fold(row.get("name")) or last(row.get("id")),
            "display_name": text(shown.get("displayName")),
            "created_at": shown.get("createdAt"),
            "modified_at": shown.get("lastModifiedAt"),
            "creator_id": fold(shown.get("createdBy")) or owner,
            "owner_id": owner,
            "owner_source": "inventory" if owner else None,
            "workflow_id": fold(shown.get("workflowEntityId")),
            "is_solution": True if fold(shown.get("workflowEntityId")) else None,
            "kind": kind,
        },
        "inventory flows",
    )


def _inventory_environment(gather: Gather, row: Row, shown: Row) -> None:
    gather.add(
        "environments",
        {
            "environment_id": fold(row.get("name")) or last(row.get("id")),
            "display_name": text(shown.get("displayName")),
            "sku": text(shown.get("environmentType")),
            "is_managed": flag(shown.get("isManaged")),
            "region": text(row.get("location")),
            "created_at": shown.get("createdAt"),
            "created_by_id": fold(shown.get("createdBy")),
            "environment_group_id": fold(shown.get("environmentGroupId")) or fold(dig(shown, "environmentGroup", "id")),
        },
        "inventory environments",
    )


def _cells(gather: Gather, row: Row) -> None:
    """A row of the workbook that the admin centre downloads."""
    kind, key = row["item type"].strip().lower(), fold(row.get("item id"))
    if kind not in FLOW_TYPES and kind not in ENVIRONMENT_TYPES:
        return
    if key is None:
        raise ValueError("no Item ID; add the column Item ID to the view and download again")
    shown = {
        "displayName": row.get("item name"),
        "createdAt": row.get("created on"),
        "lastModifiedAt": row.get("modified on"),
        "environmentId": row.get("environment id"),
        "ownerId": row.get("owner id"),
        "environmentType": row.get("environment type"),
    }
    raw = {"name": key, "location": row.get("location")}
    if kind in FLOW_TYPES:
        if row.get("environment") and not row.get("environment id"):
            gather.say("inventory flows", "names environments without their ids; add the column Environment ID")
        _inventory_flow(gather, raw, shown, FLOW_TYPES[kind])
    else:
        _inventory_environment(gather, raw, shown)
