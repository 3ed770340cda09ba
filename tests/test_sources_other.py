# ruff: noqa: E501  exports are shown as they are written
"""Exports of other tools, in the shapes they have on disk, each through the same door: a file is read."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources import read
from flowanalysis.sources.own import resource
from flowanalysis.sources.powershell import unfold

U1, U2 = "0b6e6f5e-0c1f-4a43-9b0a-3f5f5d1f0a01", "0b6e6f5e-0c1f-4a43-9b0a-3f5f5d1f0a02"
G1, F1 = "6272d1f8-4cb8-5820-a9b5-e80b04ca0570", "5b1d0000-0000-4000-8000-000000000001"
ENV = "Default-11111111-1111-4111-8111-111111111111"
C1 = "shared-sharepointonl-22222222-2222-4222-8222-222222222222"


@pytest.fixture
def load(tmp_path):
    """Write one file, read it, give its frames; a name that says nothing, since content alone decides."""

    def loaded(content, *, name="export.dat"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
        return read(path).frames

    return loaded


def row(frames, table) -> dict:
    assert len(frames[table]) == 1, frames[table]
    return {k: v for k, v in frames[table].iloc[0].to_dict().items() if pd.notna(v)}


def messages(frames) -> str:
    return " ".join(frames["collection_log"]["message"].dropna())


RAW_FLOW = {
    "name": F1.upper(),
    "id": f"/providers/Microsoft.ProcessSimple/environments/{ENV}/flows/{F1}",
    "type": "Microsoft.ProcessSimple/environments/flows",
    "properties": {
        "displayName": "Invoice intake",
        "state": "Suspended",
        "environment": {"name": ENV},
        "creator": {"objectId": U1, "userId": U1, "userType": "ActiveDirectory", "tenantId": "t"},
        "createdTime": "2025-03-02T08:11:09.1234567Z",
    },
}
ADMIN_FLOW = {
    "FlowName": F1,
    "Enabled": False,
    "DisplayName": "Invoice intake",
    "UserType": "Owner",
    "CreatedTime": "2025-03-02T08:11:09.1234567Z",
    "CreatedBy": {"tenantId": "t", "objectId": U1, "userId": U1, "userType": "ActiveDirectory"},
    "LastModifiedTime": "2025-03-03T08:11:09Z",
    "EnvironmentName": ENV,
    "Internal": RAW_FLOW,
}


class TestPowerShell:
    def test_a_single_object_is_one_row_and_internal_is_preferred(self, load):
        flow = row(load(ADMIN_FLOW), "flows")
        assert flow["state"] == "Suspended"
        assert (flow["environment_id"], flow["flow_id"], flow["creator_id"]) == (ENV.lower(), F1, U1)
        assert flow["creator_kind"] == "ActiveDirectory"

    def test_what_depth_2_cut_is_saved_and_said(self, load):
        cut = {
            **ADMIN_FLOW,
            "CreatedBy": f"@{{tenantId=t; objectId={U1}; userId={U1}; userType=DataverseSystemUser}}",
            "Internal": {
                "name": F1,
                "properties": f"@{{displayName=Invoice; intake; state=Stopped; environment=; creator=@{{objectId={U1}}}}}",
            },
        }
        frames = load([cut])
        flow = row(frames, "flows")
        assert flow["creator_id"] == U1
        assert flow["state"] == "Stopped"
        assert flow["environment_id"] == ENV.lower()
        assert "Depth 20" in messages(frames)

    def test_enabled_false_alone_is_not_stopped(self, load):
        bare = {k: v for k, v in ADMIN_FLOW.items() if k != "Internal"}
        assert row(load([bare]), "flows")["state"] == "Unknown"
        assert row(load([{**bare, "Enabled": True}]), "flows")["state"] == "Started"

    def test_utf16_csv_with_type_line(self, load):
        sheet = (
            "#TYPE System.Management.Automation.PSCustomObject\r\n"
            '"FlowName","Enabled","DisplayName","CreatedTime","CreatedBy","EnvironmentName","Internal"\r\n'
            f'"{F1}","True","Größe; ""A""","2025-03-02T08:11:09Z","@{{tenantId=t; objectId={U1}; userId={U1}}}",'
            f'"{ENV}","@{{name={F1}; properties=}}"\r\n'
        )
        flow = row(load(sheet.encode("utf-16")), "flows")
        assert flow["display_name"] == 'Größe; "A"'
        assert flow["creator_id"] == U1

    def test_semicolons_tabs_and_byte_order_mark(self, load):
        for mark in (";", "\t"):
            head = mark.join(["FlowName", "Enabled", "DisplayName", "EnvironmentName", "CreatedTime"])
            line = mark.join([F1, "True", "A, b", ENV, "2025-03-02T08:11:09Z"])
            frames = load(b"\xef\xbb\xbf" + f"{head}\r\n{line}\r\n".encode())
            assert row(frames, "flows")["display_name"] == "A, b"

    def test_dates_in_a_countrys_order_are_refused_but_the_row_is_kept(self, load):
        head = "FlowName,Enabled,DisplayName,EnvironmentName,CreatedTime"
        frames = load(f"{head}\n{F1},True,A,{ENV},03/04/2025 08:11:09\n")
        assert "created_at" not in row(frames, "flows")
        assert frames["rejected"]["reason"].str.contains("not an ISO 8601 time").any()

    def test_owner_roles_take_the_role_from_role_type(self, load):
        owner = {
            "RoleId": f"/providers/Microsoft.ProcessSimple/environments/{ENV}/flows/{F1}/permissions/{U2}",
            "RoleName": U2,
            "PrincipalObjectId": U2,
            "PrincipalType": "User",
            "RoleType": "CanEdit",
            "FlowName": F1,
            "EnvironmentName": ENV,
            "Internal": None,
        }
        found = row(load([owner]), "flow_owners")
        assert (found["principal_id"], found["role"], found["flow_id"]) == (U2, "CanEdit", F1)

    def test_connections_and_shares_recover_the_connection_of_a_group(self, load):
        connection = {
            "ConnectionName": C1,
            "ConnectionId": f"/providers/Microsoft.PowerApps/scopes/admin/environments/{ENV}/connections/{C1}",
            "FullConnectorName": "/providers/Microsoft.PowerApps/apis/shared_sharepointonline",
            "ConnectorName": "shared_sharepointonline",
            "DisplayName": "svc@contoso.example",
            "CreatedTime": "2025-03-02T08:11:09Z",
            "CreatedBy": {"id": U1, "userPrincipalName": "svc@contoso.example", "type": "User"},
            "LastModifiedTime": "2025-03-02T08:11:09Z",
            "EnvironmentName": ENV,
            "Statuses": [{"status": "Error", "error": {"code": "Unauthorized", "message": "AADSTS50173: revoked"}}],
        }
        found = row(load([connection]), "connections")
        assert (found["connection_id"], found["aadsts"], found["created_by_id"]) == (C1, "50173", U1)
        base = f"/providers/Microsoft.PowerApps/scopes/admin/environments/{ENV}/apis/shared_sharepointonline"
        share = {
            "RoleId": f"{base}/connections/{C1}/permissions/{G1}",
            "RoleName": G1,
            "PrincipalDisplayName": "HR",
            "PrincipalEmail": None,
            "PrincipalObjectId": G1,
            "PrincipalType": "Group",
            "RoleType": "CanView",
            "ConnectionName": None,
            "ConnectorName": "shared_sharepointonline",
            "EnvironmentName": ENV,
        }
        found = row(load([share]), "connection_shares")
        assert (found["connection_id"], found["principal_id"], found["principal_kind"]) == (C1, G1, "Group")

    def test_environments_and_data_policies(self, load):
        environment = {
            "EnvironmentName": ENV,
            "DisplayName": "Default",
            "IsDefault": True,
            "Location": "europe",
            "EnvironmentType": "Default",
            "Internal": None,
        }
        found = row(load(environment), "environments")
        assert (found["environment_id"], found["is_default"], found["sku"]) == (ENV.lower(), True, "Default")
        policy = {
            "PolicyName": "p1",
            "DisplayName": "Tenant",
            "BusinessDataGroup": [{"id": "/providers/Microsoft.PowerApps/apis/shared_office365", "name": "Outlook"}],
            "NonBusinessDataGroup": [],
        }
        found = row(load([policy]), "dlp_rules")
        assert (found["connector_id"], found["classification"]) == ("shared_office365", "business")

    def test_mg_users_print_what_was_not_asked_for_as_empty(self, load):
        user = {
            "Id": U1.upper(),
            "UserPrincipalName": "ann@contoso.example",
            "DisplayName": "Ann",
            "AccountEnabled": None,
            "OnPremisesSyncEnabled": None,
            "CreatedDateTime": "/Date(1700000000000)/",
            "SignInActivity": {"LastSignInDateTime": "2026-10-01T00:00:00Z"},
            "AdditionalProperties": {},
        }
        frames = load([user])
        found = row(frames, "identities")
        assert "account_enabled" not in found
        assert "on_prem_synced" not in found
        assert found["identity_id"] == U1
        assert found["created_at"].year == 2023
        assert found["last_signin_at"].month == 10
        assert "AccountEnabled" in messages(frames)

    def test_text_of_nested_objects_keeps_semicolons_and_equals_signs(self):
        assert unfold("@{a=1; note=x; y; z=p=q; empty=}") == {"a": "1", "note": "x; y", "z": "p=q", "empty": None}


class TestCoE:
    def test_flows_from_the_web_api_and_from_csv_are_equal(self, load):
        api = {
            "value": [
                {
                    "admin_flowid": F1,
                    "admin_flowidstring": F1,
                    "admin_displayname": "NA",
                    "admin_flowstate": 597910001,
                    "admin_flowstate@OData.Community.Display.V1.FormattedValue": "Started",
                    "admin_flowcreatedon": "2025-03-02T08:11:09Z",
                    "_admin_flowcreator_value": U1,
                    "admin_flowcreatorupn": "ann@contoso.example",
                    "admin_flowenvironmentid": ENV,
                    "admin_flowdeleted": False,
                    "admin_containsplaintextpassword": True,
                }
            ]
        }
        sheet = (
            "admin_flowid,admin_flowidstring,admin_displayname,admin_flowstate,admin_flowcreatedon,admin_flowcreator,"
            "admin_flowcreatorupn,admin_flowenvironmentid,admin_flowdeleted,admin_containsplaintextpassword\n"
            f"{F1},{F1},NA,Started,2025-03-02T08:11:09Z,{U1},ann@contoso.example,{ENV},No,Yes\n"
        )
        one, two = load(api), load(sheet)
        for table in ("flows", "definition_marks", "identities"):
            pd.testing.assert_frame_equal(one[table], two[table])
        assert row(one, "flows")["display_name"] == "NA"
        assert row(one, "flows")["state"] == "Started"

    def test_connection_identities_have_the_name_in_the_creator_column(self, load):
        found = row(
            load(
                [
                    {
                        "admin_connectionreferenceidentityid": "x",
                        "admin_name": C1,
                        "admin_accountname": "svc@contoso.example",
                        "admin_connectorshortname": "shared_sharepointonline",
                        "_admin_environment_value": ENV,
                        "admin_connectionreferencecreatordisplayname": "ann@contoso.example",
                    }
                ]
            ),
            "connections",
        )
        assert (found["account_name"], found["created_by_upn"]) == ("svc@contoso.example", "ann@contoso.example")

    def test_makers_environments_connectors(self, load):
        maker = {"admin_makerid": U1, "admin_userprincipalname": "ann@contoso.example", "admin_accountenabled": "No"}
        assert (
            row(load([maker]), "identities")["account_enabled"] is False
            or not row(load([maker]), "identities")["account_enabled"]
        )
        environment = {"admin_environmentid": "k", "admin_environmentname": ENV, "admin_environmentsku": "Production"}
        assert row(load([environment]), "environments")["environment_id"] == ENV.lower()
        connector = {
            "admin_connectorid": "k",
            "admin_name": "shared_x",
            "admin_displayname": "X",
            "admin_tier": "Premium",
        }
        assert row(load([connector]), "connectors")["environment_id"] == NO_ENVIRONMENT


class TestAzureHound:
    def document(self):
        user = {"id": U1, "userPrincipalName": "ann@contoso.example", "userType": "Member", "tenantId": "t"}
        return {
            "data": [
                {"kind": "AZUser", "data": user},
                {
                    "kind": "AZUser",
                    "data": {**user, "id": U2, "userPrincipalName": "bo@contoso.example", "accountEnabled": True},
                },
                {"kind": "AZGroup", "data": {"id": G1, "displayName": "HR", "securityEnabled": True, "groupTypes": []}},
                {
                    "kind": "AZGroupMember",
                    "data": {
                        "groupId": G1,
                        "members": [{"groupId": G1, "member": {"id": U1, "@odata.type": "#microsoft.graph.user"}}],
                    },
                },
                {
                    "kind": "AZRoleAssignment",
                    "data": {
                        "roleDefinitionId": "62e90394-69f5-4237-9190-012177145e10",
                        "tenantId": "t",
                        "roleAssignments": [{"id": "a", "principalId": U1, "directoryScopeId": "/"}],
                    },
                },
                {"kind": "AZDevice", "data": {"id": "d"}},
            ],
            "meta": {"type": "azure", "version": 5, "count": 6},
        }

    def test_a_missing_flag_means_false_here(self, load):
        users = load(self.document())["identities"].set_index("identity_id")
        assert not users.loc[U1, "account_enabled"]
        assert users.loc[U2, "account_enabled"]
        assert pd.notna(users.loc[U1, "account_enabled"])

    def test_members_and_roles(self, load):
        frames = load(self.document())
        assert row(frames, "memberships")["member_id"] == U1
        assert row(frames, "role_assignments")["role_id"].startswith("62e90394")
        assert "AZDevice" in messages(frames)

    def test_a_cut_file_is_noticed_by_its_own_count(self, load):
        cut = self.document()
        cut["data"] = cut["data"][:3]
        assert load(cut)["rejected"]["reason"].str.contains("promises 6 items and holds 3").any()


def test_roadrecon_database(load, tmp_path):
    path = tmp_path / "roadrecon.db"
    with sqlite3.connect(path) as db:
        db.executescript(
            """
            CREATE TABLE Users (objectId TEXT, userPrincipalName TEXT, displayName TEXT, accountEnabled BOOLEAN,
                dirSyncEnabled BOOLEAN, deletionTimestamp TEXT, userType TEXT, assignedLicenses TEXT);
            CREATE TABLE Groups (objectId TEXT, displayName TEXT, securityEnabled BOOLEAN, mailEnabled BOOLEAN, groupTypes TEXT);
            CREATE TABLE ServicePrincipals (objectId TEXT, appId TEXT, displayName TEXT, servicePrincipalType TEXT, accountEnabled BOOLEAN);
            CREATE TABLE RoleDefinitions (objectId TEXT, displayName TEXT, isBuiltIn BOOLEAN, templateId TEXT);
            CREATE TABLE RoleAssignments (id TEXT, principalId TEXT, resourceScopes TEXT, roleDefinitionId TEXT);
            CREATE TABLE AppRoleAssignments (id TEXT, principalId TEXT, principalType TEXT, resourceId TEXT, resourceDisplayName TEXT);
            CREATE TABLE lnk_group_member_user ("Group" TEXT, "User" TEXT);
            """
        )
        db.execute(
            "INSERT INTO Users VALUES (?, 'ann@contoso.example', 'Ann', 0, NULL, NULL, 'Member', ?)",
            (U1, '[{"skuId": "S1"}]'),
        )
        db.execute("INSERT INTO Groups VALUES (?, 'HR', 1, 0, '[]')", (G1,))
        db.execute("INSERT INTO lnk_group_member_user VALUES (?, ?)", (G1, U1))
        db.execute(
            "INSERT INTO RoleAssignments VALUES ('a', ?, '[\"/\"]', '62e90394-69f5-4237-9190-012177145e10')", (U1,)
        )
        db.execute(
            "INSERT INTO AppRoleAssignments VALUES ('perm', 'sp', 'ServicePrincipal', 'graph', 'Microsoft Graph')"
        )
    frames = read(path).frames
    ann = frames["identities"].set_index("identity_id").loc[U1]
    assert not ann["account_enabled"]
    assert not ann["on_prem_synced"]
    assert row(frames, "memberships")["group_id"] == G1
    assert row(frames, "role_assignments")["scope"] == "/"
    assert row(frames, "app_permissions")["permission_id"] == "perm"
    assert row(frames, "licences")["sku_id"] == "s1"


class TestPortals:
    def test_entra_users_keep_awkward_names_as_text(self, load):
        frames = load(
            f"userPrincipalName,displayName,objectId,userType,accountEnabled\nnull@contoso.example,NA,{U1},Member,False\n"
        )
        ann = row(frames, "identities")
        assert ann["display_name"] == "NA"
        assert not ann["account_enabled"]

    @pytest.mark.parametrize("mark", [",", ";"])
    def test_block_credential_is_the_opposite_of_enabled(self, load, mark):
        head = [
            "Display name",
            "User principal name",
            "Object Id",
            "Block credential",
            "Licenses",
            "Password never expires",
        ]
        lines = [
            ["Ann", "ann@contoso.example", U1, "True", "Power Automate Premium+Office 365 E3", "False"],
            ["Bo", "bo@contoso.example", U2, "False", "Unlicensed", "True"],
        ]
        frames = load("\n".join(mark.join(line) for line in [head, *lines]))
        users = frames["identities"].set_index("identity_id")
        assert not users.loc[U1, "account_enabled"]
        assert users.loc[U2, "account_enabled"]
        assert sorted(frames["licences"]["sku_id"]) == ["Office 365 E3", "Power Automate Premium"]

    def test_soft_deleted_users_have_their_former_name(self, load):
        head = "Display name,User principal name,Object Id,Block credential,Soft deletion time stamp"
        former = U1.replace("-", "")
        frames = load(f"{head}\nAnn,{former}ann@contoso.example,{U1},True,2026-10-01 10:00:00Z\n")
        ann = row(frames, "identities")
        assert ann["upn"] == "ann@contoso.example"
        assert ann["status"] == "deleted"

    def test_rows_without_object_id_are_set_aside_by_name(self, load):
        frames = load(
            f"Display name,User principal name,Object Id,Block credential\nAnn,a@x.example,{U1},True\nBo,b@x.example,,True\n"
        )
        assert len(frames["identities"]) == 1
        assert frames["rejected"]["reason"].str.contains("Object Id").any()

    def test_inventory_owner_is_told_to_be_the_creator(self, load):
        flow = {
            "name": F1,
            "type": "microsoft.powerautomate/cloudflows",
            "location": "europe",
            "properties": {
                "displayName": "Invoice",
                "createdBy": U1,
                "ownerId": U1,
                "environmentId": ENV,
                "createdAt": "2025-01-01T00:00:00Z",
            },
        }
        frames = load({"totalRecords": 2, "count": 1, "resultTruncated": 1, "skipToken": "x", "data": [flow]})
        found = row(frames, "flows")
        assert found["owner_source"] in {"inventory", "creator"}
        assert found["environment_id"] == ENV.lower()
        assert "creator" in messages(frames)
        assert frames["rejected"]["reason"].str.contains("2 records were promised, 1 are here").any()


class TestDataConnect:
    def rows(self):
        base = {
            "ptenant": "t",
            "SiteId": "S1",
            "WebId": "w",
            "ListId": None,
            "SnapshotDate": "2026-10-01T00:00:00Z",
            "Operation": "Full",
        }
        return [
            {
                **base,
                "ItemType": "Web",
                "ItemURL": "https://contoso.sharepoint.example/sites/HR",
                "RoleDefinition": "Contribute",
                "SharedWith": [
                    {"Type": "User", "TypeV2": "InternalUser", "AADObjectId": U1.upper(), "UPN": "ann@contoso.example"}
                ],
            },
            {
                **base,
                "ItemType": "List",
                "ListId": "L1",
                "ItemURL": "https://contoso.sharepoint.example/sites/HR/Lists/Leave",
                "RoleDefinition": "Full Control",
                "SharedWith": [{"TypeV2": "SecurityGroup", "AadObjectId": G1}],
            },
            {**base, "ItemType": "Web", "ItemURL": "https://x", "RoleDefinition": "Limited Access", "SharedWith": []},
            {**base, "ItemType": "Web", "ItemURL": "https://x", "RoleDefinition": "Own role", "SharedWith": []},
        ]

    def check(self, frames):
        grants = frames["grants"].sort_values("resource_id")[["principal_id", "resource_id", "level"]].values.tolist()
        assert grants == [
            [U1, "https://contoso.sharepoint.example/sites/hr", "write"],
            [G1, "https://contoso.sharepoint.example/sites/hr|l1", "full"],
        ]
        assert frames["rejected"]["reason"].str.contains("own role").any()

    def test_lines_and_objects_glued_together(self, load):
        self.check(load("\n".join(map(json.dumps, self.rows()))))
        self.check(load("".join(map(json.dumps, self.rows()))))

    def test_parquet(self, tmp_path):
        path = tmp_path / "part-0.dat"
        pq.write_table(pa.Table.from_pylist(self.rows()), path)
        self.check(read(path).frames)


class TestOwn:
    def test_rights_and_register(self, load):
        frames = load(
            "who,resource,level,via\n"
            f"{U1.upper()},sharepoint_site=https://Contoso.sharepoint.example/sites/HR/,Write,\n"
            "x,y,admin,\n"
        )
        grant = row(frames, "grants")
        assert grant["resource_id"] == "https://contoso.sharepoint.example/sites/hr"
        assert grant["level"] == "write"
        assert grant["via"] == "direct"
        assert frames["rejected"].iloc[0]["record"] == "line 3"
        frames = load("account;owner;purpose;review_date\nsvc@contoso.example;ann@contoso.example;Leave;2027-01-31\n")
        assert row(frames, "register")["review_date"] == pd.Timestamp("2027-01-31", tz="UTC")

    @pytest.mark.parametrize(
        "word, kind",
        [
            ("https://c.example/sites/hr|l1", "sharepoint_list"),
            ("https://c.example/sites/hr", "sharepoint_site"),
            ("hr@contoso.example", "mailbox"),
            ("sql_table=s/d/t", "sql_table"),
            ("thing", "other"),
        ],
    )
    def test_kinds_of_resources(self, word, kind):
        assert resource(word)[0] == kind


@pytest.mark.parametrize("pack", ["gzip", "zip"])
def test_compressed_exports_give_the_same_tables(tmp_path, pack):
    sheet = f"userPrincipalName,displayName,objectId,accountEnabled\nann@contoso.example,Ann,{U1},True\n".encode()
    plain, packed = tmp_path / "plain.bin", tmp_path / "packed.bin"
    plain.write_bytes(sheet)
    if pack == "gzip":
        packed.write_bytes(gzip.compress(sheet))
    else:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("users.csv", sheet)
    pd.testing.assert_frame_equal(read(plain).frames["identities"], read(packed).frames["identities"])
