"""Rights on SharePoint sites and libraries as Microsoft Graph lists them, and the keys of both.

Requests call a site by its id and a library by that of its drive; flows call them by address. So rights stay under
``sharepoint:<site>,<web>`` until a list of sites or drives tells the address; what no list tells keeps that key.

Source of the shapes: Microsoft Graph v1.0 reference, permission resource and identity sets; login names of
SharePoint as Graph Data Connect documents them. That the id of a drive is made of the ids of site, web and list is
not documented; an id that is not 48 bytes is taken as it is.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from flowanalysis import schema
from flowanalysis.schema import TEXT
from flowanalysis.sources.pages import CALL, Page
from flowanalysis.sources.values import UNTOLD, fold, items, obj, text

Row = Mapping[str, Any]

# Roles of SharePoint and of Graph by the least level that carries them; custom ones are not guessed.
LEVELS = {
    "full control": "full",
    "fullcontrol": "full",
    "owner": "owner",
    "manage": "owner",
    "design": "owner",
    "edit": "write",
    "contribute": "write",
    "write": "write",
    "read": "read",
    "view only": "read",
    "restricted view": "read",
    "limited access": None,
    "web-only limited access": None,
}
ORDER = ["read", "write", "owner", "full"]
EVERYBODY = {"anyone", "anonymous", "organization"}
"""Scopes of links that anybody, or anybody in the tenant, may use."""
PREFIX = "sharepoint:"
DEFAULT = "(default library)"
SITES = "export the sites too (GET https://graph.microsoft.com/v1.0/sites?search=*)"
BY_PATH = re.compile(r"sites/([^/:]+):/(.+?)/?(?::|$)")
IN_DRIVE = re.compile(r"root:/(.+?)(?::/permissions|:?$)")
ID = "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# How login names begin and end -> kind of principal; the id stands in the brackets.
LOGINS = (
    (re.compile(r"spo-grid-all-users|^c:0\(\.s\|true$|urn:spo:anon"), "everyone"),
    (re.compile(r"federateddirectoryclaimprovider\|" + ID + "(?:_o)?)$"), "group"),
    (re.compile(r"\|tenant\|" + ID + ")$"), "group"),
    (re.compile(r"^i:0i\.t\|[^|]*\|" + ID + ")@"), "service_principal"),
    (re.compile(r"\|membership\|(?:urn:spo:guest#)?(.+)$"), "user"),
)


class Place(NamedTuple):
    """What a list of rights is about: key, kind, and the site collection where the request tells it."""

    key: str
    kind: str
    site: str = ""


def site_id(graph_id: Any) -> str | None:
    """Site collection and web out of the id that Graph gives a site.

    >>> site_id("Contoso.sharepoint.example,1F0C,2A3B"), site_id("root")
    ('1f0c,2a3b', None)
    """
    found = (fold(graph_id) or "").split(",")
    return ",".join(found[1:]) if len(found) == 3 else None


def drive_parts(drive: str) -> list[str]:
    """Ids of site collection, web and list in the id of a drive; nothing when it is not made of them.

    >>> drive_parts("b!" + base64.urlsafe_b64encode(bytes(48)).decode())[2]
    '00000000-0000-0000-0000-000000000000'
    """
    try:
        data = base64.b64decode(drive.removeprefix("b!"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return []
    whole = drive.startswith("b!") and len(data) == 48
    return [str(uuid.UUID(bytes_le=data[at : at + 16])) for at in (0, 16, 32)] if whole else []


def place(page: Page) -> Place:
    """The site, library or file that a page of permissions is about, by its request, else by its context.

    >>> place(Page((), request="https://graph.microsoft.com/v1.0/sites/c.example:/sites/HR:/permissions")).key
    'https://c.example/sites/hr'
    """
    found = (_place(t) for t in (page.request, page.context.partition("$metadata#")[2]))
    return next((p for p in found if p), Place(UNTOLD, "other"))


def _place(told: str) -> Place | None:
    path = CALL.sub(r"\1/\2", told.split("?", 1)[0])
    whole = _library(path) or _site(path)
    if whole is None:
        return None
    inner = IN_DRIVE.search(path)
    name = fold(_after(path, "items")) or (f"/{inner[1].lower()}" if inner else "")
    return Place(f"{whole.key}|{name}", "sharepoint_file", whole.site) if name else whole


def _library(path: str) -> Place | None:
    drive, owner = _after(path, "drives"), _site(path)
    if drive:
        parts = drive_parts(drive)
        if parts:
            return Place(f"{PREFIX}{parts[0]},{parts[1]}|{parts[2]}", "sharepoint_list", parts[0])
        return (
            Place(f"{owner.key}|{fold(drive)}", "drive", owner.site)
            if owner
            else Place(f"drive:{fold(drive)}", "drive")
        )
    if not re.search(r"/drive(/|$)", path):
        return None
    if owner:
        return Place(f"{owner.key}|{DEFAULT}", "drive", owner.site)
    whose = next((f"{c}/{fold(_after(path, c))}" for c in ("groups", "users") if _after(path, c)), None)
    return Place(f"drive:{whose}", "drive") if whose else None


def _site(path: str) -> Place | None:
    """A site by its path or its id, or the list inside it."""
    named, told = BY_PATH.search(path), _after(path, "sites")
    if not told:
        return None
    ids = site_id(told)
    url = f"https://{named[1]}/{named[2]}" if named else f"https://{told}" if "." in told and not ids else None
    key = url.lower() if url else f"{PREFIX}{ids or fold(told)}"
    site, inner = (ids or "").partition(",")[0], _after(path, "lists")
    return Place(f"{key}|{fold(inner)}", "sharepoint_list", site) if inner else Place(key, "sharepoint_site", site)


def _after(path: str, name: str) -> str | None:
    found = re.search(rf"(?:^|/){name}/([^/]+)", path, re.IGNORECASE)
    return found[1].rstrip(":") if found else None


def level(row: Row) -> str | None:
    """The highest level among the roles; None for what only lets a link inside work.

    Raises
    ------
    ValueError
        When the row tells no roles, or one that the tenant made.
    """
    told = row.get("roles")
    roles = [str(r).lower().removeprefix("sp.") for r in told] if isinstance(told, list) else []
    if not roles:
        raise ValueError("tells no roles; lists of application rights leave them out: ask for the permission by its id")
    if strange := [r for r in roles if r not in LEVELS]:
        raise ValueError(f"role {strange[0]!r} is the tenant's own; say its level in a CSV of rights")
    return max((found for r in roles if (found := LEVELS[r])), key=ORDER.index, default=None)


def grants(row: Row, where: Place) -> Iterator[dict[str, Any]]:
    """The rights that one permission gives; a link for everybody gives one, a link for some gives theirs."""
    found = level(row)
    if found is None:
        return
    linked = isinstance(row.get("link"), Mapping)
    for who, kind in dict.fromkeys(_holders(row, where)):
        yield {
            "principal_id": who,
            "principal_kind": kind,
            "resource_id": where.key,
            "resource_kind": where.kind,
            "level": found,
            "via": "link" if linked else "app" if kind == "service_principal" else "direct",
        }


def identity_sets(row: Row) -> list[Row]:
    """Everybody that a permission names; the newer of two spellings where both are there."""
    one = row.get("grantedToV2") or row.get("grantedTo")
    return [*items([one]), *items(row.get("grantedToIdentitiesV2") or row.get("grantedToIdentities"))]


def _holders(row: Row, where: Place) -> Iterator[tuple[str, str]]:
    if str(obj(row.get("link")).get("scope", "")).lower() in EVERYBODY:
        yield "everyone", "everyone"
        return
    sets = identity_sets(row)
    for granted in sets:
        if found := _holder(granted, where):
            yield found
    invited = fold(obj(row.get("invitation")).get("email"))
    if invited and not sets:
        yield invited, "user"


def _holder(granted: Row, where: Place) -> tuple[str, str] | None:
    """Key and kind of one identity set, which may name the same person as user and as user of the site."""
    for key, kind in (("user", "user"), ("group", "group"), ("application", "service_principal")):
        told = obj(granted.get(key))
        who = fold(told.get("id")) or fold(told.get("userPrincipalName")) or fold(told.get("email"))
        if who:
            return who, kind
    person, group = obj(granted.get("siteUser")), obj(granted.get("siteGroup"))
    for told in (person, group, obj(granted.get("user"))):
        if found := login(told.get("loginName")):
            return found
    if name := fold(group.get("displayName")) or fold(group.get("loginName")):
        return f"{where.site or where.key}/{name}", "sharepoint_group"
    mail = fold(person.get("email"))
    return (mail, "user") if mail else None


def login(name: Any) -> tuple[str, str] | None:
    """Principal and kind behind a login name of SharePoint.

    >>> login("i:0#.f|membership|Jo@contoso.example"), login("c:0-.f|rolemanager|spo-grid-all-users/t1")
    (('jo@contoso.example', 'user'), ('everyone', 'everyone'))
    """
    told = (fold(name) or "").replace("%3a", ":")
    for pattern, kind in LOGINS:
        if found := pattern.search(told):
            return (found[1] if pattern.groups else kind), kind
    return None


def drive(row: Row) -> Iterator[dict[str, Any]]:
    """A library as a resource, and its site, whose address that of the library tells."""
    parts, url = drive_parts(str(row.get("id") or "")), text(row.get("webUrl"))
    found = {"display_name": text(row.get("name")), "url": url}
    if not parts:
        yield {"resource_id": f"drive:{fold(row.get('id'))}", "kind": "drive", **found}
        return
    ids = f"{parts[0]},{parts[1]}"
    yield {"resource_id": f"{PREFIX}{ids}|{parts[2]}", "kind": "sharepoint_list", **found}
    if url:
        above = url.rstrip("/").rpartition("/")[0].removesuffix("/Lists")
        yield {"resource_id": above.lower(), "kind": "sharepoint_site", "url": above, "site_id": ids}


def placed(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Rights and resources under the address of their site, where any list tells it."""
    known = _addresses(frames.get("resources", schema.empty("resources")))
    if not known:
        return {}
    out = {}
    for table, columns in (("grants", ["resource_id"]), ("resources", ["resource_id", "parent_id"])):
        frame = frames.get(table, schema.empty(table))
        changed = {c: _renamed(frame[c], known) for c in columns if _by_id(frame[c]).any()}
        if changed:
            frame = frame.assign(**changed)
            out[table] = frame if table == "grants" else frame.drop_duplicates("resource_id", ignore_index=True)
    return out


def _addresses(resources: pd.DataFrame) -> dict[str, str]:
    """Address by the ids of site and web, and of the shortest address of a site by that of the site alone."""
    told = resources[resources["site_id"].notna() & resources["resource_id"].str.startswith("http").fillna(False)]
    told = told.sort_values("resource_id", key=lambda urls: urls.str.len(), kind="stable")
    found = dict(zip(told["site_id"].iloc[::-1], told["resource_id"].iloc[::-1], strict=True))
    for ids, url in zip(told["site_id"], told["resource_id"], strict=True):
        found.setdefault(ids.partition(",")[0], url)
    return found


def _by_id(keys: pd.Series) -> pd.Series:
    """Which keys name a site by its id."""
    return keys.astype(TEXT).str.startswith(PREFIX).fillna(False).astype(bool)


def _renamed(keys: pd.Series, known: Mapping[str, str]) -> pd.Series:
    def name(key: str) -> str:
        site, bar, inner = key.removeprefix(PREFIX).partition("|")
        return f"{known[site]}{bar}{inner}" if site in known else key

    mine = _by_id(keys)
    names = {k: name(k) for k in keys[mine].unique()}
    return keys.mask(mine, keys.map(names).astype(TEXT))


def tell_unplaced(log: Iterable[dict[str, Any]], frames: Mapping[str, pd.DataFrame]) -> None:
    """Lines of the log about rights of Graph and Data Connect say how many sites nobody told the address of."""
    keys = frames.get("grants", schema.empty("grants"))["resource_id"]
    number = len({key.partition("|")[0] for key in keys[_by_id(keys)].unique()})
    said = f"the addresses of {number:,} sites are not known, so their rights stand under the sites' ids: {SITES}"
    for entry in log if number else ():
        if entry["table"] == "grants" and not entry["source"].startswith("own"):
            entry["message"] = "; ".join(filter(None, (entry["message"], said)))
