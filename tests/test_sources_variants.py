"""The same rows in every wrapping: encodings, compressions, delimiters, pages, arrays and single objects."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile

import pandas as pd
import pytest

from flowanalysis import sources

USERS = [
    {"id": f"u{n}", "userPrincipalName": f"ü{n}@c.example", "displayName": f"Ü {n}", "accountEnabled": n % 2 == 0}
    for n in range(4)
]
FLOWS = [
    {
        "name": f"f{n}",
        "id": f"/providers/Microsoft.ProcessSimple/environments/E1/flows/f{n}",
        "type": "Microsoft.ProcessSimple/environments/flows",
        "properties": {
            "displayName": f"Flöw {n}",
            "state": "Started",
            "connectionReferences": {"shared_sql": {"id": "/apis/shared_sql", "connectionName": "c1"}},
        },
    }
    for n in range(4)
]
ROWS = {"users": USERS, "flows": FLOWS}


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.json", data)
    return out.getvalue()


WRAPPINGS = {
    "page": lambda rows: json.dumps({"value": rows}).encode(),
    "indented": lambda rows: json.dumps({"value": rows}, indent=4).encode(),
    "CRLF": lambda rows: json.dumps({"value": rows}, indent=1).replace("\n", "\r\n").encode(),
    "array": lambda rows: json.dumps(rows).encode(),
    "lines": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "lines with blanks between": lambda rows: "\r\n\r\n".join(map(json.dumps, rows)).encode() + b"\r\n\r\n",
    "glued": lambda rows: "".join(map(json.dumps, rows)).encode(),
    "pages a line": lambda rows: "\n".join(json.dumps({"value": [r]}) for r in rows).encode(),
    "array of pages": lambda rows: json.dumps([{"value": rows[:1]}, {"value": []}, {"value": rows[1:]}]).encode(),
    "UTF-8 with mark": lambda rows: json.dumps({"value": rows}, ensure_ascii=False).encode("utf-8-sig"),
    "UTF-16": lambda rows: json.dumps({"value": rows}, ensure_ascii=False).encode("utf-16"),
    "UTF-16 without mark": lambda rows: json.dumps({"value": rows}, ensure_ascii=False).encode("utf-16-le"),
    "Windows-1252": lambda rows: json.dumps({"value": rows}, ensure_ascii=False).encode("cp1252"),
    "gzip": lambda rows: gzip.compress(json.dumps(rows).encode()),
    "zip": lambda rows: zipped(json.dumps(rows).encode()),
    "gzip in zip": lambda rows: zipped(gzip.compress(json.dumps(rows).encode())),
    "other order of keys": lambda rows: json.dumps([dict(reversed(r.items())) for r in rows]).encode(),
    "fields of tomorrow": lambda rows: json.dumps([{**r, "new": {"deep": [1]}, "@x": None} for r in rows]).encode(),
}


def read(path, data: bytes) -> dict[str, pd.DataFrame]:
    path.write_bytes(data)
    frames = sources.read(path).frames
    assert frames["rejected"].empty
    return {n: f for n, f in frames.items() if n not in {"collection_log", "rejected", "conflicts"}}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", ROWS)
def test_every_wrapping_gives_the_same_tables(tmp_path, name, wrapping):
    one = read(tmp_path / "x", WRAPPINGS["page"](ROWS[name]))
    two = read(tmp_path / "x", WRAPPINGS[wrapping](ROWS[name]))
    assert one.keys() == two.keys()
    for table in one:
        pd.testing.assert_frame_equal(one[table], two[table])


@pytest.mark.parametrize("name", ROWS)
def test_a_single_object_is_one_row(tmp_path, name):
    path = tmp_path / "x"
    path.write_text(json.dumps(ROWS[name][0]))
    frames = sources.read(path).frames
    assert len(frames["identities" if name == "users" else "flows"]) == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("first", ["", "#TYPE System.Management.Automation.PSCustomObject\r\n", "sep={}\r\n"])
def test_every_dialect_of_a_table_gives_the_same_rows(tmp_path, delimiter, encoding, first):
    columns = ["UserPrincipalName", "Id", "DisplayName", "AccountEnabled", "Extra"]
    random.Random(delimiter + encoding).shuffle(columns)
    cells = {
        "UserPrincipalName": "ü1@c.example",
        "Id": "00123",
        "DisplayName": '"Größe, ""A""; B"',
        "AccountEnabled": "False",
        "Extra": "NA",
    }
    text = first.format(delimiter) + delimiter.join(columns) + "\r\n"
    text += delimiter.join(cells[c] for c in columns) + "\r\n"
    (row,) = read(tmp_path / "x", text.encode(encoding))["identities"].to_dict("records")
    assert row["identity_id"] == "00123"
    assert row["display_name"] == 'Größe, "A"; B'
    assert row["account_enabled"] is False


def test_csv_of_the_command_line_has_the_rows_of_its_json(tmp_path):
    flow = "/providers/Microsoft.ProcessSimple/environments/Default-1/flows/F1"
    (tmp_path / "flows").write_text(
        f"name,id,type,displayName\nF1,{flow},Microsoft.ProcessSimple/environments/flows,N\n"
    )
    (tmp_path / "users").write_text(
        "id,displayName,userPrincipalName,mail,accountEnabled\nU1,Ann,a@c.example,,1\nU2,B,b@c.example,,\n"
    )
    (tmp_path / "groups").write_text('id,displayName,groupTypes,securityEnabled,mailEnabled\nG1,G,"[""Unified""]",,1\n')
    harvest = sources.read(tmp_path)
    frames = harvest.frames
    assert frames["flows"].loc[0, ["environment_id", "flow_id", "display_name"]].tolist() == ["default-1", "f1", "N"]
    people = frames["identities"].set_index("identity_id")["account_enabled"]
    assert people["u1"]
    assert pd.isna(people["u2"])
    assert frames["groups"].loc[0, "kind"] == "m365"
    assert frames["collection_log"]["message"].str.contains("use --output json").all()


@pytest.mark.parametrize(
    ("header", "line", "table", "expected"),
    [
        (
            "id,principalId,roleDefinitionId,directoryScopeId,roleEligibilityScheduleId,roleDefinitionName",
            "E-1-e,P1,R1,/,S1,Search Administrator",
            "role_assignments",
            {"principal_id": "p1", "role_name": "Search Administrator", "state": "eligible"},
        ),
        (
            "id,description,displayName,isBuiltIn,isEnabled,templateId,version",
            "R1,Can do it.,Search Administrator,1,1,R1,1",
            "directory_roles",
            {"role_id": "r1", "display_name": "Search Administrator", "is_builtin": True},
        ),
        (
            "accountName,consumedUnits,id,skuId,skuPartNumber",
            "contoso,1,T_K1,K1,PREMIUM",
            "skus",
            {"sku_id": "k1", "sku_part_number": "PREMIUM"},
        ),
        (
            "clientId,consentType,id,resourceId,scope",
            "C1,AllPrincipals,x,A1,Mail.Read",
            "app_permissions",
            {"client_id": "c1", "permission": "Mail.Read"},
        ),
        (
            "id,displayName,mailEnabled,securityEnabled",
            "G1,Mail only,1,",
            "groups",
            {"group_id": "g1", "display_name": "Mail only"},
        ),
    ],
)
def test_lists_of_the_command_line_are_known_by_their_columns(tmp_path, header, line, table, expected):
    (row,) = read(tmp_path / "x", f"{header}\n{line}\n".encode())[table].to_dict("records")
    assert {k: row[k] for k in expected} == expected


@pytest.mark.parametrize("header", ["name,displayName", "roleName,id,type", "name,startTime,status"])
def test_lists_that_do_not_tell_whose_rows_they_are_are_set_aside_with_the_remedy(tmp_path, header):
    (tmp_path / "x").write_text(header + "\n" + ",".join("abc"[: header.count(",") + 1]) + "\n")
    (tmp_path / "users").write_text(json.dumps(USERS))
    rejected = sources.read(tmp_path).frames["rejected"]
    assert rejected["file"].tolist() == ["x"]
    assert "Export it with --output json" in rejected.loc[0, "reason"]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_request_for_a_role_is_not_the_role(tmp_path, form):
    request = {"id": "Q1", "status": "Revoked", "action": "adminRemove", "principalId": "P1", "roleDefinitionId": "R1"}
    lines = [",".join(request), ",".join(request.values())]
    (tmp_path / "x").write_text(json.dumps([request]) if form == "json" else "\n".join(lines))
    (tmp_path / "users").write_text(json.dumps(USERS))
    harvest = sources.read(tmp_path)
    assert not harvest.tenant().has("role_assignments")
    assert harvest.frames["collection_log"]["message"].str.contains("requests are no rights").any()


def test_exceptions_are_named_for_what_they_are(tmp_path):
    (tmp_path / "x").write_text("rule,subject_id,approver,reason,until\nSEC-3,f1,a@c.example,audit,2027-03-31\n")
    (tmp_path / "users").write_text(json.dumps(USERS))
    found = sources.inspect(tmp_path).set_index("file").loc["x"]
    assert found["recognised"] == "exceptions of the policy (own CSV)"
    assert found["set_aside"] == 0
    assert "read with the policy" in found["missing"]


def test_an_empty_answer_counts_as_collected(tmp_path):
    url = "https://graph.microsoft.com/v1.0/$metadata#groups"
    (tmp_path / "x").write_text(json.dumps({"@odata.context": url, "value": []}))
    tenant = sources.read(tmp_path).tenant()
    assert tenant.has("groups")
    assert tenant.groups.empty


def test_a_link_that_was_left_over_makes_the_list_incomplete(tmp_path):
    link = "https://graph.microsoft.com/v1.0/users?$skiptoken=x"
    (tmp_path / "x").write_text(json.dumps({"value": USERS, "@odata.nextLink": link}))
    log = sources.read(tmp_path).frames["collection_log"]
    assert log["next_link"].all()
    assert log["complete"].eq(False).all()


GROUP = {"id": "g1", "displayName": "HR", "groupTypes": [], "securityEnabled": True, "mailEnabled": False}
PERSON = {"@odata.type": "#microsoft.graph.user", "id": "u1"}
GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"
ROLE = {
    "RoleId": "/providers/Microsoft.BusinessAppPlatform/scopes/admin/environments/E1/roleAssignments/r1",
    "RoleName": "r1",
    "PrincipalObjectId": "u1",
    "PrincipalType": "User",
    "RoleType": "EnvironmentAdmin",
    "EnvironmentName": "E1",
}
SHARED = {"siteid": "s1", "ListId": "l", "ItemType": "List", "ItemURL": "https://c.example/sites/x/Lists/a"}
SHARED |= {"RoleDefinition": "Read", "SharedWith": json.dumps([{"TypeV2": "InternalUser", "AadObjectId": "u1"}])}
STRANGERS = {
    "one object where a list was": ({"value": FLOWS[0]}, "flows", ["flow_id"], [["f0"]]),
    "one object in a page of Graph": (
        {"@odata.context": f"{GRAPH}users", "value": USERS[0]},
        "identities",
        ["identity_id"],
        [["u0"]],
    ),
    "a list of one that PowerShell counted": (
        {"value": [{"FlowName": "f1", "EnvironmentName": "E1", "Enabled": True, "CreatedBy": None}], "Count": 1},
        "flows",
        ["flow_id", "state"],
        [["f1", "Started"]],
    ),
    "members whose group the context tells": (
        {"@odata.context": f"{GRAPH}groups('g9')/members", "value": [{**PERSON, "userPrincipalName": "a@c.example"}]},
        "memberships",
        ["group_id", "member_id"],
        [["g9", "u1"]],
    ),
    "members expanded": (
        [{**GROUP, "members": [PERSON], "owners": [{**PERSON, "id": "u2"}]}],
        "memberships",
        ["group_id", "member_id", "relation"],
        [["g1", "u1", "member"], ["g1", "u2", "owner"]],
    ),
    "members of a delta query": (
        {
            "@odata.context": f"{GRAPH}groups/$delta",
            "value": [{**GROUP, "members@delta": [PERSON, {**PERSON, "id": "u2", "@removed": {"reason": "deleted"}}]}],
        },
        "memberships",
        ["group_id", "member_id"],
        [["g1", "u1"]],
    ),
    "groups expanded": (
        [{**USERS[0], "memberOf": [{"@odata.type": "#microsoft.graph.group", "id": "g1"}, {**PERSON, "id": "r1"}]}],
        "memberships",
        ["group_id", "member_id", "member_kind"],
        [["g1", "u0", "user"]],
    ),
    "roles in environments": (
        [ROLE],
        "environment_roles",
        ["environment_id", "principal_id", "principal_kind", "role"],
        [["e1", "u1", "User", "EnvironmentAdmin"]],
    ),
    "columns chosen by hand": (
        [{"FlowName": "f1", "DisplayName": "F", "EnvironmentName": "E1"}],
        "flows",
        ["environment_id", "flow_id", "display_name"],
        [["e1", "f1", "F"]],
    ),
    "a definition inside a text": (
        [{**FLOWS[0], "properties": {"definition": '{"triggers": {"t": {"type": "Recurrence"}}, "actions": {}}'}}],
        "steps",
        ["flow_id", "type"],
        [["f0", "Recurrence"]],
    ),
    "references in a list": (
        [
            {
                **FLOWS[0],
                "properties": {
                    "connectionReferences": [{"id": "/apis/shared_sql", "connectionName": f"c{n}"} for n in (1, 2)]
                },
            }
        ],
        "flow_connections",
        ["alias", "connection_id"],
        [["shared_sql", "c1"], ["shared_sql_1", "c2"]],
    ),
    "members by their ids": (
        {"groupId": "g1", "members": ["u1"]},
        "memberships",
        ["group_id", "member_id"],
        [["g1", "u1"]],
    ),
    "flags as words": (
        [{**USERS[0], "accountEnabled": "False"}],
        "identities",
        ["identity_id", "account_enabled"],
        [["u0", False]],
    ),
    "a list inside a text": (SHARED, "grants", ["principal_id", "level"], [["u1", "read"]]),
}


@pytest.mark.parametrize(("root", "table", "columns", "expected"), STRANGERS.values(), ids=STRANGERS)
def test_shapes_that_people_bring_lose_nothing(tmp_path, root, table, columns, expected):
    assert read_text(tmp_path, json.dumps(root)).frames[table][columns].values.tolist() == expected


def read_text(folder, text: str) -> sources.Harvest:
    (folder / "x").write_text(text, encoding="utf-8")
    return sources.read(folder)


def test_large_lists_of_groups_with_members_lose_none(tmp_path, monkeypatch):
    monkeypatch.setattr("flowanalysis.sources.files.LARGE", 10)
    lines = [json.dumps({**GROUP, "id": f"g{n}", "members": [PERSON]}) for n in range(60)]
    assert len(read_text(tmp_path, "\n".join(lines)).frames["memberships"]) == 60


@pytest.mark.parametrize("context", ["directoryObjects", "directoryObjects(id,userPrincipalName)"])
def test_members_of_nothing_are_no_list_of_all_users(tmp_path, context):
    rows = [{**PERSON, "userPrincipalName": "a@c.example"}]
    flow = {**FLOWS[0], "properties": {**FLOWS[0]["properties"], "creator": {"objectId": "gone"}}}
    (tmp_path / "flow").write_text(json.dumps(flow), encoding="utf-8")
    harvest = read_text(tmp_path, json.dumps({"@odata.context": GRAPH + context, "value": rows}))
    people = harvest.frames["identities"].set_index("identity_id")
    assert people["upn"].dropna().tolist() == ["a@c.example"]
    assert people.loc["gone", "status"] == "unknown"
    assert "members or owners of something" in harvest.frames["collection_log"]["message"].str.cat()


@pytest.mark.parametrize(
    ("header", "table"),
    [
        ("userPrincipalName,displayName,objectId,accountEnabled", "identities"),
        ("Block credential;Display name;User principal name;Object Id", "identities"),
        ("FlowName,Enabled,DisplayName,EnvironmentName,CreatedBy", "flows"),
        ("Item name,Item type,Item ID", "flows"),
        ("admin_flowid;admin_displayname;admin_flowstate", "flows"),
    ],
)
def test_a_header_alone_says_that_there_is_nothing(tmp_path, header, table):
    assert read_text(tmp_path, header + "\r\n").frames[table].empty


def test_the_members_that_the_portal_lists_may_be_groups(tmp_path):
    header = "id,userPrincipalName,displayName,objectType,userType,isUser,isGroup,isGuest"
    rows = ["u1,a@c.example,A,User,Member,True,False,False", "g2,,HR,Group,,False,True,False"]
    frames = read_text(tmp_path, "\n".join([header, *rows])).frames
    assert frames["identities"]["identity_id"].tolist() == ["u1"]
    assert frames["groups"]["group_id"].tolist() == ["g2"]


@pytest.mark.parametrize(("word", "enabled"), [("WAHR", True), ("Falsch", False), ("VRAI", True), ("perhaps", None)])
def test_flags_in_the_language_of_the_spreadsheet(tmp_path, word, enabled):
    text = f"userPrincipalName;objectId;accountEnabled\na@c.example;u1;{word}\n"
    told = read_text(tmp_path, text).frames["identities"]["account_enabled"].item()
    assert (None if told is pd.NA else bool(told)) == enabled


@pytest.mark.parametrize(
    ("lines", "table", "columns", "expected"),
    [
        (["groupId,memberId", "g1,u1"], "memberships", ["group_id", "member_id"], ["g1", "u1"]),
        (["workflowid,category,statecode", "w1,5,1"], "flows", ["flow_id", "state"], ["w1", "Started"]),
        (["systemuserid,fullname,isdisabled", "s1,A,No"], "dataverse_users", ["is_disabled"], [False]),
        (["who;resource;level;sensitivity", "u1;mailbox=a@c.example;read;2,5"], "resources", ["sensitivity"], [2.5]),
    ],
)  # fmt: skip
def test_tables_with_the_names_of_an_api_are_its_rows(tmp_path, lines, table, columns, expected):
    assert read_text(tmp_path, "\n".join(lines)).frames[table][columns].values.tolist() == [expected]


def test_a_secret_variable_in_a_table_stays_out(tmp_path):
    lines = ["environmentvariabledefinitionid,schemaname,type,defaultvalue", "d1,fab_x,Secret,tellnobody"]
    found = read_text(tmp_path, "\n".join(lines)).frames["environment_variables"]
    assert found[["kind", "value"]].isna().values.tolist() == [[False, True]]


@pytest.mark.parametrize(
    "root",
    [
        {
            "ptenant": "t",
            "Id": "s",
            "Url": "https://c.example/sites/x",
            "RootWeb": [None],
            "SnapshotDate": "2026-01-01",
        },
        {"data": [{"kind": "AZUser", "data": {"id": "u1"}}], "meta": {"type": "azure", "count": [None]}},
        {"data": [{"type": "microsoft.powerautomate/cloudflows", "name": "f1"}], "totalRecords": [3]},
        [{"who": "u1", "resource": None, "level": "read"}],
    ],
)
def test_values_of_another_type_stop_nothing(tmp_path, root):
    assert read_text(tmp_path, json.dumps(root)).shapes["x"]
