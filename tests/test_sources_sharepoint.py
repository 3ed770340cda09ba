"""Rights on sites, libraries and files as Microsoft Graph lists them."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from flowanalysis import sources

GRAPH = "https://graph.microsoft.com/v1.0/"
COLLECTION, WEB, LIST = (str(uuid.UUID(int=n)) for n in (17, 18, 19))
SITE = f"tailwind.example,{COLLECTION.upper()},{WEB}"
DRIVE = "b!" + base64.urlsafe_b64encode(b"".join(uuid.UUID(i).bytes_le for i in (COLLECTION, WEB, LIST))).decode()
HR = "https://tailwind.example/sites/hr"
SITES = {
    "@odata.context": f"{GRAPH}$metadata#sites",
    "value": [{"id": SITE, "webUrl": "https://tailwind.example/sites/HR", "displayName": "HR"}],
}
BY_ID = f"sharepoint:{COLLECTION},{WEB}"


def asked(url: str, *rows: dict) -> dict:
    return {"request": GRAPH + url, "body": {"value": list(rows)}}


def right(*roles: str, **more) -> dict:
    return {"id": "p1", "roles": list(roles), **more}


ALEX = {"user": {"id": "A1", "displayName": "Alex", "email": "alex@tailwind.example"}}


@pytest.fixture
def load(tmp_path):
    def run(*roots):
        for number, root in enumerate(roots):
            (tmp_path / f"{number:03}.json").write_text(json.dumps(root), encoding="utf-8")
        return sources.read(tmp_path).tenant()

    return run


def told(tenant, *columns: str) -> list:
    return tenant.grants[list(columns)].values.tolist()


@pytest.mark.parametrize(
    ("url", "key", "kind"),
    [
        (f"sites/{SITE}/permissions", HR, "sharepoint_site"),
        (f"sites/{SITE}/permissions/p1", HR, "sharepoint_site"),
        (f"sites('{SITE.replace(',', '%2C')}')/permissions", HR, "sharepoint_site"),
        ("sites/tailwind.example:/sites/HR:/permissions", HR, "sharepoint_site"),
        ("sites/tailwind.example/permissions", "https://tailwind.example", "sharepoint_site"),
        (f"sites/{SITE}/lists/{{{LIST}}}/permissions", f"{HR}|{LIST}", "sharepoint_list"),
        (f"drives/{DRIVE}/root/permissions", f"{HR}|{LIST}", "sharepoint_list"),
        (f"drives/{DRIVE}/items/01ABC/permissions", f"{HR}|{LIST}|01abc", "sharepoint_file"),
        (f"drives/{DRIVE}/root:/Pay/May 1.xlsx:/permissions", f"{HR}|{LIST}|/pay/may 1.xlsx", "sharepoint_file"),
        (f"sites/{SITE}/drive/root/permissions", f"{HR}|(default library)", "drive"),
        ("drives/9F3A/items/1/permissions", "drive:9f3a|1", "sharepoint_file"),
        ("groups/G1/drive/root/permissions", "drive:groups/g1", "drive"),
    ],
)
def test_the_request_tells_the_site_the_library_or_the_file(load, url, key, kind):
    row = right("read", grantedToV2=ALEX)
    tenant = load(asked(url, row) if not url.endswith("p1") else {"request": GRAPH + url, "body": row}, SITES)
    assert told(tenant, "principal_id", "resource_id", "resource_kind", "level", "via") == [
        ["a1", key, kind, "read", "direct"]
    ]


def test_the_context_tells_it_too(load):
    page = {"@odata.context": f"{GRAPH}$metadata#drives('{DRIVE}')/items('01ABC')/permissions"}
    tenant = load({**page, "value": [right("write", grantedToV2=ALEX)]}, SITES)
    assert told(tenant, "resource_id", "level") == [[f"{HR}|{LIST}|01abc", "write"]]


def test_a_list_of_drives_tells_the_address_of_their_site(load):
    drive = {
        "id": DRIVE,
        "driveType": "documentLibrary",
        "name": "Documents",
        "webUrl": "https://tailwind.example/sites/HR/Shared%20Documents",
    }
    tenant = load(
        asked(f"sites/{SITE}/drives", drive), asked(f"sites/{SITE}/permissions", right("read", grantedTo=ALEX))
    )
    assert told(tenant, "resource_id") == [[HR]]
    assert set(tenant.resources["resource_id"]) == {HR, f"{HR}|{LIST}"}


def test_rights_on_a_site_without_address_are_kept_and_told(load):
    tenant = load(asked(f"sites/{SITE}/permissions", right("read", grantedToV2=ALEX)))
    assert told(tenant, "resource_id") == [[BY_ID]]
    log = tenant.collection_log.set_index("table").loc["grants", "message"]
    assert "addresses of 1 sites are not known" in log
    assert "sites?search=*" in log


def test_one_page_of_rights_after_the_other_is_one_list(load):
    more = {"@odata.nextLink": f"{GRAPH}sites/{SITE}/permissions?$skiptoken=x"}
    first = {
        "request": f"{GRAPH}sites/{SITE}/permissions",
        "body": {"value": [right("read", grantedToV2=ALEX)], **more},
    }
    assert told(load(first, SITES), "resource_id") == [[HR]]
    assert load(first, SITES).collection_log.set_index("table").loc["grants", "next_link"].item()


GROUP = str(uuid.UUID(int=99))


def v2(**who) -> dict:
    return {"grantedToV2": who}


def user_of_site(login: str) -> dict:
    return v2(siteUser={"id": "5", "loginName": login})


def some(*who: dict) -> dict:
    return {"link": {"scope": "users"}, "grantedToIdentitiesV2": list(who)}


PERSON, ALL = ("a1", "user", "direct"), ("everyone", "everyone", "link")
GUEST = {"user": {"email": "Guest@else.example"}}
HOLDERS = {
    "application": ({"grantedToIdentitiesV2": [{"application": {"id": "APP"}}]}, [("s1", "service_principal", "app")]),
    "group": (v2(group={"id": "G1", "displayName": "HR"}), [("g1", "group", "direct")]),
    "group of the site": (
        v2(siteGroup={"id": "3", "displayName": "HR Owners"}),
        [(f"{COLLECTION}/hr owners", "sharepoint_group", "direct")],
    ),
    "login name": (user_of_site("i:0#.f|membership|Alex@Tailwind.example"), [PERSON]),
    "login name of a group": (user_of_site(f"c:0t.c|tenant|{GROUP}"), [(GROUP, "group", "direct")]),
    "login name of all": (
        user_of_site("c:0-.f|rolemanager|spo-grid-all-users/t"),
        [("everyone", "everyone", "direct")],
    ),
    "named twice": ({"grantedTo": ALEX, **v2(**ALEX, siteUser={"id": "5", "email": "x@y.example"})}, [PERSON]),
    "link for anybody": (
        {"link": {"scope": "anonymous", "webUrl": "https://tailwind.example/:x:/g/tellnobody"}},
        [ALL],
    ),
    "link for the tenant": ({"link": {"scope": "organization"}, "grantedToIdentitiesV2": [ALEX]}, [ALL]),
    "link for some": (some(ALEX, GUEST), [("a1", "user", "link"), ("guest@else.example", "user", "link")]),
    "link that nobody took": (some(), []),
    "inherited": ({**v2(**ALEX), "inheritedFrom": {"driveId": DRIVE, "path": "/drive/root:"}}, [PERSON]),
    "invitation": (
        {"invitation": {"email": "Guest@else.example"}, "grantedToV2": None},
        [("guest@else.example", "user", "direct")],
    ),
}


@pytest.mark.parametrize(("row", "expected"), HOLDERS.values(), ids=HOLDERS)
def test_every_way_to_name_a_holder(load, row, expected):
    people = [
        {"id": "A1", "userPrincipalName": "alex@tailwind.example", "accountEnabled": True},
        {"id": "S1", "appId": "APP", "servicePrincipalType": "Application", "displayName": "x"},
    ]
    tenant = load(people, asked(f"sites/{SITE}/permissions", right("write", **row)), SITES)
    assert told(tenant, "principal_id", "principal_kind", "via") == [list(e) for e in expected]
    assert not [t for t in tenant.collected if "tellnobody" in tenant[t].to_csv()]


@pytest.mark.parametrize(
    ("roles", "level"),
    [
        (["read", "write"], ["write"]),
        (["sp.full control"], ["full"]),
        (["fullcontrol"], ["full"]),
        (["manage"], ["owner"]),
        (["sp.limited access"], []),
    ],
)
def test_the_highest_role_counts(load, roles, level):
    tenant = load(asked(f"sites/{SITE}/permissions", right(*roles, grantedToV2=ALEX)))
    assert tenant.grants["level"].tolist() == level
    assert tenant.has("grants")


@pytest.mark.parametrize(
    ("roles", "reason"), [([], "ask for the permission by its id"), (["sp.payroll"], "tenant's own")]
)
def test_a_right_without_a_level_is_set_aside(load, roles, reason):
    tenant = load(asked(f"sites/{SITE}/permissions", right(*roles, grantedToV2=ALEX)))
    assert tenant.grants.empty
    assert reason in tenant.rejected["reason"].item()


def test_rows_alone_are_kept_without_their_site(load):
    tenant = load([right("read", grantedToV2=ALEX)])
    assert told(tenant, "resource_id") == [["(not told)"]]
    assert "Keep the request" in tenant.collection_log["message"].str.cat(sep="; ")


def test_site_collections_of_data_connect_and_graph_are_one(load):
    row = {
        "ptenant": "t",
        "SiteId": COLLECTION,
        "ItemType": "List",
        "ItemURL": "",
        "ListId": LIST,
        "RoleDefinition": "Read",
        "SharedWith": [{"TypeV2": "InternalUser", "AadObjectId": "A1"}],
    }
    assert told(load(row, SITES), "resource_id") == [[f"{HR}|{LIST}"]]
