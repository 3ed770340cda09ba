"""Microsoft Graph Data Connect: SharePoint permissions and users in bulk, as JSON lines or Parquet.

The only source of rights on sites, lists and files at the size of a whole tenant; it lags two days behind.

Source: dataset descriptions BasicDataSet_v0.SharePointPermissions_v1, SharePointSites_v1, SharePointGroups_v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from flowanalysis.errors import BrokenExport, RefusedInput
from flowanalysis.sources import graphrows
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.records import folded, records
from flowanalysis.sources.sharepoint import EVERYBODY, LEVELS, PREFIX
from flowanalysis.sources.values import fold, items, obj, text

SOURCE = "dataconnect"
MANY, DENSE = 1_000_000, 4  # rows that are never too many; rows for each byte of a file: equal rows pack to nothing
Row = Mapping[str, Any]
PERMISSIONS = {"siteid", "roledefinition", "sharedwith", "itemtype"}
SITES = {"id", "url", "rootweb", "snapshotdate"}
GROUPS = {"siteid", "groupid", "members", "snapshotdate"}
USERS = {"puser", "ptenant", "userprincipalname"}
SITE = re.compile(r"https?://[^/]+(?:/(?:sites|teams|personal)/[^/]+)?")
KINDS = {
    "internaluser": "user",
    "externaluser": "user",
    "b2buser": "user",
    "user": "user",
    "securitygroup": "group",
    "sharepointgroup": "sharepoint_group",
}


def recognise(document: Document) -> str | None:
    """The dataset, by the columns of its rows."""
    first = next(iter(_rows(document, limit=1)), None)
    if first is None:
        return None
    found = {k.lower() for k in first}
    if found >= PERMISSIONS:
        return "Graph Data Connect: SharePoint permissions"
    if found >= GROUPS:
        return "Graph Data Connect: SharePoint groups"
    if found >= SITES:
        return "Graph Data Connect: SharePoint sites"
    return "Graph Data Connect: users" if found >= USERS else None


def _rows(document: Document, *, limit: int | None = None) -> Iterable[Row]:
    if document.form == "parquet" and document.path is not None:
        yield from _parquet(document.path, document.name, limit=limit)
    elif document.form in {"json", "lines"}:
        yield from records(document, first=limit)


def _parquet(path: Path, name: str, *, limit: int | None) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > max(MANY, DENSE * path.stat().st_size):
                raise RefusedInput("more rows than its size can hold", where=name, remedy="Export it again")
            for batch in file.iter_batches(batch_size=limit or 16_384):
                yield from batch.to_pylist()
                if limit:
                    return
    except (pa.ArrowException, OSError, MemoryError) as error:
        what = f"the Parquet file is damaged ({type(error).__name__})"
        raise BrokenExport(what, where=name, remedy="Export it again") from None


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of the dataset; deleted ones leave no grant."""
    what = (recognise(document) or "").rpartition(": ")[2]
    gather = Gather(SOURCE)
    reader = {"SharePoint permissions": _permission, "SharePoint groups": _group, "SharePoint sites": _site}.get(
        what, _user
    )
    for number, row in enumerate(_rows(document), 1):
        try:
            reader(gather, folded(row), what)
        except (KeyError, ValueError) as error:
            gather.reject("grants", f"row {number}", f"set aside: {error}")
    yield from gather.batches()


def resource(row: Row) -> tuple[str, str]:
    """Key and kind of what a permission is about: the site, or ``site|list id`` inside it, as flows name them.

    >>> resource({"itemurl": "https://c.sharepoint.example/sites/HR/Lists/Leave", "itemtype": "List", "listid": "L1"})
    ('https://c.sharepoint.example/sites/hr|l1', 'sharepoint_list')
    """
    kind = str(row.get("itemtype", "")).lower()
    url = (text(row.get("itemurl")) or "").rstrip("/").lower()
    if kind in {"siteadmin", "web"}:
        return url or f"{PREFIX}{fold(row['siteid'])}", "sharepoint_site"
    found = SITE.match(url)
    site = found[0] if found else f"{PREFIX}{fold(row['siteid'])}"
    return f"{site}|{fold(row.get('listid')) or url}", "sharepoint_list"


def _permission(gather: Gather, row: Row, export: str) -> None:
    gather.expect("grants", export)
    if str(row.get("operation", "")).lower() == "deleted":
        return
    key, kind = resource(row)
    role = str(row.get("roledefinition", "")).lower()
    level = "full" if str(row.get("itemtype", "")).lower() == "siteadmin" else LEVELS.get(role, "unknown")
    if level is None:
        return  # limited access is what SharePoint gives so that a link inside works
    if level == "unknown":
        raise ValueError(f"role {role!r} is the tenant's own; say its level in a CSV of rights")
    gather.add("resources", {"resource_id": key, "kind": kind, "url": text(row.get("itemurl"))}, export, aside=True)
    via = "site_admin" if level == "full" and kind == "sharepoint_site" else "link" if row.get("linkid") else "direct"
    for who in _shared_with(row):
        grant = {"resource_id": key, "resource_kind": kind, "level": level, "via": via}
        gather.add("grants", {**who, **grant, "granted_at": row.get("sharecreatedtime")}, export)


def _shared_with(row: Row) -> Iterator[dict[str, Any]]:
    if str(row.get("linkscope", "")).lower() in EVERYBODY:
        yield {"principal_id": "everyone", "principal_kind": "everyone"}
        return
    told = row.get("sharedwith")
    for who in items(orjson.loads(told) if isinstance(told, str) else told):  # tables hold lists as text
        kind = KINDS.get(str(_told(who, "TypeV2") or _told(who, "Type")).lower(), "unknown")
        key = fold(_told(who, "AadObjectId")) or fold(_told(who, "UPN")) or fold(_told(who, "Email"))
        if kind == "sharepoint_group":
            key = f"{fold(row['siteid'])}/{fold(_told(who, 'Name'))}"
        if key:
            yield {"principal_id": key, "principal_kind": kind}


def _told(who: Row, key: str) -> Any:
    """The value of a key in any spelling: the documentation and the data disagree, and Parquet may hold both."""
    return next((v for k, v in who.items() if k.lower() == key.lower() and v is not None), None)


def _group(gather: Gather, row: Row, export: str) -> None:
    """Members of a SharePoint group, under the same key that permissions use."""
    key = f"{fold(row['siteid'])}/{fold(row.get('displayname'))}"
    gather.add("groups", {"group_id": key, "display_name": text(row.get("displayname")), "kind": "unknown"}, export)
    for who in items(row["members"]):
        member = fold(_told(who, "AadObjectId")) or fold(_told(who, "UPN"))
        kind = KINDS.get(str(_told(who, "TypeV2") or _told(who, "Type")).lower(), "unknown")
        if member:
            line = {"group_id": key, "member_id": member, "member_kind": kind, "relation": "member"}
            gather.add("memberships", line, export)


def _site(gather: Gather, row: Row, export: str) -> None:
    url = (text(row["url"]) or "").rstrip("/")
    found = {"resource_id": url.lower(), "kind": "sharepoint_site", "url": url, "site_id": fold(row["id"])}
    title = text(_told(obj(row.get("rootweb")), "Title"))
    gather.add("resources", {**found, "display_name": title}, export)


def _user(gather: Gather, row: Row, export: str) -> None:
    shown = {
        "id": row.get("id") or row.get("puser"),
        "userPrincipalName": row.get("userprincipalname"),
        "displayName": row.get("displayname"),
        "mail": row.get("mail"),
        "userType": row.get("usertype"),
        "department": row.get("department"),
        "jobTitle": row.get("jobtitle"),
        "createdDateTime": row.get("createddatetime"),
    }
    if isinstance(row.get("accountenabled"), bool):
        shown["accountEnabled"] = row["accountenabled"]
    gather.add("identities", graphrows.user(shown, deleted=False, manager_shown=False), export)
    for licence in graphrows.licences({"id": shown["id"], "assignedLicenses": row.get("assignedlicenses")}):
        gather.add("licences", licence, export)
