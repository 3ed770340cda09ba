"""The way through the database gives the rows of the careful way, or steps aside."""

from __future__ import annotations

import json
import random
import uuid

import pandas as pd
import pytest

from flowanalysis import schema, sources
from flowanalysis.sources import bulk, files, lines, values

CANARY = "correct-horse-battery"
NAMES = ["NA", "null", " ", "", "Ünïcode 🦊", "=1+1", "a,b;c", None]
TIMES = [
    "2021-03-02T08:11:09.1234567Z",
    "9999-12-31T23:59:59.9999999Z",
    "2026-05-04T09:05:14+02:00",
    "2026-05-04",
    "",
    None,
]


def users(draw: random.Random) -> list[dict]:
    rows = [user(draw, number) for number in range(120)]
    gone = rows[7]
    gone["userPrincipalName"] = gone["id"].replace("-", "").lower() + "old@tailwind.example"
    return rows


def user(draw: random.Random, number: int) -> dict:
    licences = [
        {"skuId": f"S{n}", "disabledPlans": ["P1", None, "P2"][: draw.randint(0, 3)]} for n in range(draw.randint(0, 3))
    ]
    states = [
        {"skuId": f"s{draw.randint(0, 3)}", "assignedByGroup": draw.choice([None, "G1", "G2"])}
        for _ in range(draw.randint(0, 4))
    ]
    return {
        "id": str(uuid.UUID(int=draw.getrandbits(128))).upper(),
        "userPrincipalName": draw.choice([f"u{number}@tailwind.example", f"x_y.example#EXT#{number}@tailwind.example"]),
        "displayName": draw.choice(NAMES),
        "accountEnabled": draw.choice([True, False, None]),
        "userType": draw.choice(["Member", "Guest", None]),
        "createdDateTime": draw.choice(TIMES),
        "lastPasswordChangeDateTime": draw.choice(TIMES),
        "onPremisesSyncEnabled": draw.choice([True, None]),
        "passwordPolicies": draw.choice([None, "None", "DisablePasswordExpiration, DisableStrongPassword"]),
        "signInActivity": draw.choice([None, {"lastSignInDateTime": draw.choice(TIMES)}]),
        "assignedLicenses": licences,
        "licenseAssignmentStates": states,
        "manager": draw.choice([None, {"@odata.type": "#microsoft.graph.user", "id": "M1"}]),
    }


def groups(draw: random.Random) -> list[dict]:
    return [
        {
            "id": f"G{number:05}",
            "displayName": draw.choice(NAMES),
            "groupTypes": draw.choice([[], ["Unified"], ["DynamicMembership", "Unified"], ["DynamicMembership"]]),
            "securityEnabled": draw.choice([True, False, None]),
            "mailEnabled": draw.choice([True, False, None]),
            "isAssignableToRole": draw.choice([True, None]),
            "resourceProvisioningOptions": draw.choice([[], ["Team"]]),
        }
        for number in range(100)
    ]


def members(draw: random.Random) -> list[dict]:
    kinds = [
        "#microsoft.graph.user",
        "#microsoft.graph.group",
        "#microsoft.graph.servicePrincipal",
        "#microsoft.graph.orgContact",
        None,
    ]
    return [
        {"id": f"U{number}", **({"@odata.type": kind} if (kind := draw.choice(kinds)) else {})} for number in range(30)
    ]


def flows(draw: random.Random) -> list[dict]:
    return [flow(draw, number) for number in range(120)]


def flow(draw: random.Random, number: int) -> dict:
    shown = {
        "displayName": draw.choice(NAMES),
        "state": draw.choice(["Started", "stopped", "mc", "", None]),
        "createdTime": draw.choice(TIMES),
        "lastModifiedTime": draw.choice(TIMES),
        "environment": draw.choice([{"name": "E1"}, {"id": "/providers/x/environments/E1"}]),
        "creator": {
            "objectId": draw.choice(["C1", None]),
            "userId": "C2",
            "userType": draw.choice(["ActiveDirectory", "DataverseSystemUser"]),
        },
        "owningUser": draw.choice([None, {"id": "dv"}, {"azureActiveDirectoryObjectId": "O1"}]),
        "definitionSummary": {"triggers": draw.choice([[], [{"type": "Request", "kind": "Button"}]]), "actions": []},
        "isManaged": draw.choice([True, False]),
        "flowFailureAlertSubscribed": draw.choice([True, False]),
    }
    if draw.random() < 0.5:
        shown |= {"workflowEntityId": f"W{number}", "workflowUniqueId": f"W{number}-u"}
    shown["connectionReferences"] = {
        f"Shared_{n}{draw.choice(['', '_1'])}": reference(draw) for n in range(draw.randint(0, 3))
    }
    return {
        "name": f"F{number}",
        "id": f"/x/environments/E9/flows/F{number}",
        "type": "Microsoft.ProcessSimple/environments/flows",
        "properties": shown,
    }


def reference(draw: random.Random) -> dict:
    api = f"shared_{draw.choice(['sql', 'Office365', 'custom'])}"
    found = {
        "id": f"/providers/Microsoft.PowerApps/apis/{api}",
        "source": draw.choice(["Embedded", "Invoker", "NotSpecified", None]),
    }
    found |= {"tier": draw.choice(["Standard", "Premium", None]), "displayName": draw.choice(NAMES)}
    if draw.random() < 0.7:
        found["connectionName"] = draw.choice(["shared-sql-1", "ABCDEF", ""])
    if draw.random() < 0.5:
        found["connectionReferenceLogicalName"] = "New_Ref"
    if draw.random() < 0.3:
        found["apiDefinition"] = {
            "name": api,
            "properties": {"displayName": "D", "isCustomApi": api == "shared_custom", "tier": "Premium"},
        }
    return found


def connections(draw: random.Random) -> list[dict]:
    return [connection(draw, number) for number in range(120)]


def connection(draw: random.Random, number: int) -> dict:
    bad = {"status": "Error", "target": "token", "error": {"code": "Unauthorized", "message": "x AADSTS50173: y"}}
    shown = {
        "apiId": draw.choice(["/providers/Microsoft.PowerApps/scopes/admin/environments/E1/apis/Shared_sql", None]),
        "displayName": draw.choice(NAMES),
        "accountName": draw.choice([None, "a@tailwind.example"]),
        "statuses": draw.choice([[], [{"status": "Connected"}], [{"status": "Connected"}, bad], [bad], None]),
        "createdBy": {
            "id": draw.choice(["U1", "SYSTEM", "U2"]),
            "type": draw.choice(["User", "ServicePrincipal", "NotSpecified"]),
            "email": "m",
            "displayName": "D",
            "tenantId": "T",
        },
        "createdTime": draw.choice(TIMES),
        "isSsoConnection": draw.choice([True, False]),
        "environment": {"name": "E1"},
    }
    if draw.random() < 0.5:
        shown["connectionParameters"] = {
            "username": draw.choice(NAMES),
            "server": draw.choice(["s1", f"https://u:{CANARY}@h.example/x?code={CANARY}"]),
            "password": CANARY,
            "sku": 3,
        }
    if draw.random() < 0.5:
        inside = {
            "token:clientId": {"value": "APP"},
            "token:clientSecret": {"value": CANARY},
            "server": {"value": draw.choice(["s2", None, {"deep": 1}])},
            "database": {"value": 12},
        }
        shown["connectionParametersSet"] = {"name": "sql", "values": inside}
    path = f"/providers/Microsoft.PowerApps/scopes/admin/environments/E1/apis/shared_sql/connections/C{number}"
    return {
        "name": f"C{number}",
        "id": path,
        "type": "Microsoft.PowerApps/scopes/apis/connections",
        "properties": shown,
    }


def permissions(draw: random.Random) -> list[dict]:
    return [permission(draw, number) for number in range(120)]


def permission(draw: random.Random, number: int) -> dict:
    role, kind = draw.choice(["Owner", "CanEdit", " ", None]), draw.choice(["User", "Group", "ServicePrincipal", None])
    place = draw.choice(["environments/E1", "scopes/admin/environments/E1", "environments/E1?x=/a", "none"])
    shown = {"roleName": role, "principal": {"id": draw.choice([f"U{number}", "", None]), "type": kind}}
    path = f"/providers/Microsoft.ProcessSimple/{place}/flows/F1/permissions/P{number}"
    kind = "/providers/Microsoft.ProcessSimple/environments/flows/permissions"
    return {"name": f"P{number}", "id": path, "type": kind, "properties": shown}


def runs(draw: random.Random) -> list[dict]:
    return [
        {
            "name": f"0858{number}CU",
            "id": f"/providers/Microsoft.ProcessSimple/environments/E1/flows/F1/runs/0858{number}CU",
            "type": "Microsoft.ProcessSimple/environments/flows/runs",
            "properties": {
                "startTime": draw.choice(TIMES),
                "endTime": draw.choice(TIMES),
                "status": draw.choice(["Succeeded", "Failed", None]),
                "code": draw.choice(["ActionFailed", None]),
                "error": draw.choice([None, {"code": "Conflict", "message": CANARY}]),
                "trigger": {"name": draw.choice(NAMES), "inputsLink": {"uri": CANARY}},
            },
        }
        for number in range(120)
    ]


FAMILIES = {
    "users": users,
    "groups": groups,
    "flows": flows,
    "connections": connections,
    "permissions": permissions,
    "runs": runs,
}
ADMIN = "https://api.powerapps.com/providers/Microsoft.PowerApps/scopes/admin/environments/E1/"


def address(name: str) -> str:
    if name in {"permissions", "runs"}:
        return f"{ADMIN}flows/F1/{name}"
    return f"https://graph.microsoft.com/v1.0/{name}" if name in {"users", "groups"} else ADMIN + name


def as_lines(rows: list[dict], name: str) -> list[object]:
    return rows


def as_pages(rows: list[dict], name: str) -> list[object]:
    parts = [rows[:40], [], rows[40:]]
    return [
        {"value": p, **({"@odata.nextLink": f"{address(name)}?$skiptoken=x"} if n < 2 else {})}
        for n, p in enumerate(parts)
    ]


def as_answers(rows: list[dict], name: str) -> list[object]:
    url = address(name)
    answers = [
        {"request": url, "status": 200, "observed_at": "2026-10-31T01:02:03Z", "body": page}
        for page in as_pages(rows, name)
    ]
    failed = {"request": f"{url}?again", "status": 429, "body": {"error": {"code": "TooMany", "message": "wait"}}}
    return [*answers, failed]


def as_one_page(rows: list[dict], name: str) -> list[object]:
    return [{"@odata.context": "", "value": rows, "@odata.nextLink": f"{address(name)}?$skiptoken=x"}]


def written(tmp_path, roots: list[object], monkeypatch, *, array: bool = False):
    path = tmp_path / "large.json"
    path.write_text(json.dumps(roots) if array else "\n".join(map(json.dumps, roots)), encoding="utf-8")
    monkeypatch.setattr(files, "LARGE", 10)
    return path


def rows_of(results: list) -> dict[tuple[str, str], pd.DataFrame]:
    """Sorted frames without repetition by source and table; empty ones left out."""
    out = {}
    for batch in results:
        if isinstance(batch, sources.Batch) and len(batch.rows):
            plain = isinstance(batch.rows, (list, tuple))
            frame = values.tidy(batch.table, batch.rows)[0] if plain else schema.frame(batch.table, batch.rows)
            frame = frame.drop_duplicates()
            out[batch.source, batch.table] = frame.sort_values(list(frame.columns), ignore_index=True)
    return out


def both_ways(path):
    (document,) = files.documents(path, name=path.name, workspace=path.parent)
    assert document.form == "lines"
    reader = next(r for r in sources.readers() if r.recognise(document))
    return bulk.read(document), list(reader.read(files.whole(document)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", [as_lines, as_pages, as_answers, as_one_page])
@pytest.mark.parametrize("name", FAMILIES)
def test_rows_are_the_same_either_way(tmp_path, monkeypatch, name, form, seed):
    path = written(tmp_path, form(FAMILIES[name](random.Random(seed)), name), monkeypatch)
    monkeypatch.setattr(bulk, "NAMED", bulk.NAMED if seed else 0)  # no name for any collection: the same is told
    quick, careful = both_ways(path)
    assert quick is not None
    one, two = rows_of(quick), rows_of(careful)
    assert one.keys() == two.keys()
    for key in one:
        pd.testing.assert_frame_equal(one[key], two[key], obj=str(key))
    told = {
        (b.source, b.table): (b.complete, b.next_link, b.message, b.observed_at)
        for b in careful
        if isinstance(b, sources.Batch) and len(b.rows)
    }
    assert told == {
        (b.source, b.table): (b.complete, b.next_link, b.message, b.observed_at)
        for b in quick
        if isinstance(b, sources.Batch) and len(b.rows)
    }
    assert [r for r in quick if isinstance(r, sources.Reject)] == [r for r in careful if isinstance(r, sources.Reject)]
    assert CANARY not in "".join(frame.to_csv() for frame in one.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_one_large_array_goes_the_same_way(tmp_path, monkeypatch, name):
    quick, careful = both_ways(written(tmp_path, FAMILIES[name](random.Random(1)), monkeypatch, array=True))
    assert rows_of(quick).keys() == rows_of(careful).keys()
    for key, frame in rows_of(quick).items():
        pd.testing.assert_frame_equal(frame, rows_of(careful)[key])


def member_forms(draw: random.Random) -> dict[str, list[dict]]:
    urls = ["https://graph.microsoft.com/v1.0/groups/G1/members?$select=id", "groups/G2/owners", "groups/G3/members"]
    return {
        "answers": [{"request": url, "body": {"value": members(draw)}} for url in urls]
        + [{"request": "groups/G4/members", "body": {"value": []}}],
        "children": [{"groupId": f"G{n}", "members": members(draw), "owners": members(draw)[:2]} for n in range(5)],
        "rows": [{"groupId": f"G{n}", **row} for n in range(5) for row in members(draw)],
        "named": [
            {
                "groupId": f"G{n}",
                "memberId": f"U{n}",
                "memberType": "user",
                "relation": draw.choice(["member", "Owner"]),
            }
            for n in range(50)
        ],
    }


@pytest.mark.parametrize("form", ["answers", "children", "rows", "named"])
def test_memberships_are_the_same_either_way(tmp_path, monkeypatch, form):
    quick, careful = both_ways(written(tmp_path, member_forms(random.Random(5))[form], monkeypatch))
    assert quick is not None
    assert rows_of(quick).keys() == rows_of(careful).keys()
    for key, frame in rows_of(quick).items():
        pd.testing.assert_frame_equal(frame, rows_of(careful)[key])


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "x", "userPrincipalName": "x", "createdDateTime": "03/04/2026"},
        {"id": "x", "@removed": {"reason": "changed"}},
        {"id": "x", "userPrincipalName": "x", "accountEnabled": {"not": "a flag"}},
    ],
)
def test_what_only_the_careful_way_can_judge_goes_there(tmp_path, monkeypatch, odd):
    path = written(tmp_path, [*users(random.Random(1)), odd], monkeypatch)
    assert both_ways(path)[0] is None
    assert "x" in sources.read(path).tenant().identities["identity_id"].tolist()


def test_a_detail_far_down_a_flow_list_is_read_with_its_definition(tmp_path, monkeypatch):
    detail = flow(random.Random(1), 999)
    detail["properties"]["definition"] = {"triggers": {"t": {"type": "Recurrence"}}, "actions": {}}
    path = written(tmp_path, [*flows(random.Random(2)), detail], monkeypatch)
    assert both_ways(path)[0] is None
    assert sources.read(path).tenant().flows.set_index("flow_id").loc["f999", "has_definition"]


def test_bad_lines_of_a_large_file_are_told_and_the_rest_kept(tmp_path, monkeypatch):
    path = written(tmp_path, users(random.Random(1)), monkeypatch)
    with path.open("a", encoding="utf-8") as file:
        file.write('\nnot json\n{"id": "cut')
    monkeypatch.setattr(lines, "STRETCH", 5_000)
    tenant = sources.read(path).tenant()
    assert len(tenant.identities) == 120
    assert len(tenant.rejected) == 2
    assert not tenant.collection_log["complete"].fillna(True).any()


def test_stretches_of_lines_make_one_part(tmp_path, monkeypatch):
    rows = [
        {
            "id": f"{n}",
            "userId": "u",
            "appId": "a",
            "createdDateTime": "2026-01-01T00:00:00Z",
            "status": {"errorCode": 0},
        }
        for n in range(200)
    ]
    path = written(tmp_path, rows, monkeypatch)
    monkeypatch.setattr(lines, "STRETCH", 2_000)
    harvest = sources.read(path)
    assert [(p.table, len(p.frame)) for p in harvest.parts] == [("signins", 200)]


def test_a_byte_order_mark_in_front_of_lines(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    path.write_text("\n".join(map(json.dumps, users(random.Random(1)))), encoding="utf-8-sig")
    monkeypatch.setattr(files, "LARGE", 10)
    assert len(sources.read(path).tenant().identities) == 120


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", FAMILIES)
def test_one_large_page_of_any_layout_goes_through_the_database(tmp_path, monkeypatch, name, indent):
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"value": FAMILIES[name](random.Random(1))}, indent=indent), encoding="utf-8")
    monkeypatch.setattr(files, "LARGE", 10)
    quick, careful = both_ways(path)
    assert quick is not None
    one, two = rows_of(quick), rows_of(careful)
    assert one.keys() == two.keys()
    for key in one:
        pd.testing.assert_frame_equal(one[key], two[key], obj=str(key))


def test_files_of_a_middle_size_go_through_the_database_where_many_are_large(tmp_path, monkeypatch):
    for number in range(3):
        page = {"value": users(random.Random(number))}
        (tmp_path / f"{number}.json").write_text(json.dumps(page, indent=1), encoding="utf-8")
    size = (tmp_path / "0.json").stat().st_size
    taken = []
    monkeypatch.setattr(bulk, "read", lambda document: taken.append(document.name))
    for large in (size * 4, size * 2):
        monkeypatch.setattr(files, "LARGE", large)
        monkeypatch.setattr(files, "MIDDLE", size // 2)
        assert len(sources.read(tmp_path).frames["identities"]) > 300
        assert bool(taken) == (large == size * 2)


@pytest.mark.parametrize("bad", ['{"id": "x", "createdDateTime": "03/04/2026"}', "not json", '{"id": "cut'])
def test_one_bad_line_sends_only_its_neighbours_to_the_careful_way(tmp_path, monkeypatch, bad):
    rows = [json.dumps(user(random.Random(n), n)) for n in range(600)]
    path = written(tmp_path, [], monkeypatch)
    path.write_text("\n".join([*rows[:400], bad, *rows[400:]]), encoding="utf-8")
    monkeypatch.setattr(lines, "STRETCH", 100_000)
    monkeypatch.setattr(lines, "FEW", 5_000)
    seen = []
    careful = lines.roots
    monkeypatch.setattr(lines, "roots", lambda text, name: seen.append(text) or careful(text, name=name))
    tenant = sources.read(path).tenant()
    assert {json.loads(row)["id"].lower() for row in rows} <= set(tenant.identities["identity_id"])
    assert len(tenant.rejected) == 1
    assert bad in "".join(seen)
    assert sum(map(len, seen)) < 10_000


@pytest.mark.parametrize("last", [True, False])
def test_a_list_is_whole_when_its_last_page_lies_in_another_stretch(tmp_path, monkeypatch, last):
    url = address("users")
    pages = as_pages(users(random.Random(1)), "users")
    found = [{"request": url, "status": 200, "body": page} for page in pages if last or "@odata.nextLink" in page]
    path = written(tmp_path, [*found, {"request": f"{url}?again", "status": 500, "body": "gateway"}], monkeypatch)
    monkeypatch.setattr(lines, "STRETCH", 2_000)
    monkeypatch.setattr(lines, "FEW", 10)
    log = sources.read(path).frames["collection_log"]
    assert log.loc[log["table"] == "identities", "complete"].all() == last
