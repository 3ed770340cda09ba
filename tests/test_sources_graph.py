"""Microsoft Graph rows: what is not asked for is not known, and ids are read from the request."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from flowanalysis import sources
from flowanalysis.analysis.privileges import privileges
from flowanalysis.sources import graph
from flowanalysis.sources.base import Document
from flowanalysis.sources.values import UNTOLD

CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#"
ID = "7e06b566-15f3-4013-8bf8-79874d52e68a"


def page(kind: str, rows: list[dict], **more) -> dict:
    return {"@odata.context": CONTEXT + kind, "value": rows, **more}


def asked(url: str, body: object, **more) -> dict:
    return {"request": url, "body": body, **more}


@pytest.fixture
def load(tmp_path):
    def run(*roots):
        for number, root in enumerate(roots):
            (tmp_path / f"{number:03}.json").write_text(json.dumps(root), encoding="utf-8")
        return sources.read(tmp_path).tenant()

    return run


def test_what_was_not_selected_is_not_known(load):
    row = load(page("users", [{"id": "A", "userPrincipalName": "a@tailwind.example"}])).identities.iloc[0]
    for column in ("account_enabled", "on_prem_synced", "password_never_expires", "manager_known", "last_signin_at"):
        assert pd.isna(row[column]), column
    assert (row.identity_id, row.status) == ("a", "unknown")


def test_null_of_a_selected_property_is_an_answer(load):
    row = {
        "id": "a",
        "accountEnabled": False,
        "displayName": "A",
        "onPremisesSyncEnabled": None,
        "passwordPolicies": None,
    }
    found = load(page("users", [row])).identities.iloc[0]
    assert not found.on_prem_synced
    assert not found.password_never_expires
    assert found.status == "disabled"


@pytest.mark.parametrize(
    "context, rows, known",
    [
        ("users(id,manager(id))", [{"id": "a", "userPrincipalName": "a"}], [True]),
        (
            "users",
            [{"id": "a", "userPrincipalName": "a", "manager": {"id": "M"}}, {"id": "b", "userPrincipalName": "b"}],
            [True, True],
        ),
        ("users", [{"id": "a", "userPrincipalName": "a"}], [None]),
    ],
)
def test_no_manager_means_none_only_when_managers_were_asked_for(load, context, rows, known):
    found = load(page(context, rows)).identities
    assert [None if pd.isna(v) else bool(v) for v in found["manager_known"]] == known
    if "manager" in rows[0]:
        assert found["manager_id"].iloc[0] == "m"
        assert pd.isna(found["manager_id"].iloc[1])


def test_managers_asked_for_one_by_one(load):
    users = page("users", [{"id": "a", "userPrincipalName": "a"}, {"id": "b", "userPrincipalName": "b"}])
    none = {"error": {"code": "Request_ResourceNotFound", "message": "Resource 'manager' does not exist"}}
    found = load(users, [asked("users/a/manager", {"id": "m"}), asked("users/b/manager", none, status=404)]).identities
    rows = found.set_index("identity_id")
    assert rows.loc["a", "manager_id"] == "m"
    assert rows.loc[["a", "b"], "manager_known"].tolist() == [True, True]


def test_deleted_users_lose_the_id_in_front_of_their_name(load):
    deleted = {
        "id": ID,
        "userPrincipalName": ID.replace("-", "") + "john@tailwind.example",
        "deletedDateTime": "2026-10-01T00:00:00Z",
    }
    row = load(page("users", [deleted])).identities.iloc[0]
    assert (row.upn, row.status) == ("john@tailwind.example", "deleted")
    assert row.deleted_at == pd.Timestamp("2026-10-01T00:00:00Z")


def test_an_empty_recycle_bin_was_collected(load):
    tenant = load(
        page("users", [{"id": "a", "userPrincipalName": "a"}]),
        asked("directory/deletedItems/microsoft.graph.user", page("users", [])),
    )
    assert "graph deleted users" in tenant.collection_log["source"].tolist()


def test_guests_without_a_type_are_known_by_their_name(load):
    rows = [{"id": "a", "userPrincipalName": "x_fabrikam.example#EXT#@tailwind.example", "userType": None}]
    assert load(page("users", rows)).identities["user_type"].tolist() == ["Guest"]


MEMBER = {"@odata.type": "#microsoft.graph.user", "id": "U1"}
GROUP = {"@odata.type": "#microsoft.graph.group", "id": "G2"}


@pytest.mark.parametrize(
    "root, expected",
    [
        (
            asked("groups/G1/members?$select=id", page("directoryObjects", [MEMBER, GROUP])),
            [("g1", "u1", "user", "member"), ("g1", "g2", "group", "member")],
        ),
        (
            asked("https://graph.microsoft.com/v1.0/groups/G1/owners", page("directoryObjects", [MEMBER])),
            [("g1", "u1", "user", "owner")],
        ),
        (
            {"groupId": "G1", "members": [MEMBER], "owners": [MEMBER]},
            [("g1", "u1", "user", "member"), ("g1", "u1", "user", "owner")],
        ),
        ([{"groupId": "G1", **MEMBER}], [("g1", "u1", "user", "member")]),
        (
            page(
                "directoryObjects",
                [MEMBER],
                **{"@odata.nextLink": "https://graph.microsoft.com/v1.0/groups/G1/members?$skiptoken=x"},
            ),
            [("g1", "u1", "user", "member")],
        ),
        (
            {"responses": [{"id": "groups/G1/members", "status": 200, "body": page("directoryObjects", [MEMBER])}]},
            [("g1", "u1", "user", "member")],
        ),
        (
            asked(
                "users/U1/transitiveMemberOf/microsoft.graph.group",
                page("groups", [{"id": "G1", "displayName": "x", "groupTypes": []}]),
            ),
            [("g1", "u1", "user", "member")],
        ),
        (
            [{"id": "U1", "userPrincipalName": "u1@tailwind.example", "roles": ["Member"]}],
            [(UNTOLD, "u1", "user", "member")],
        ),
    ],
)
def test_members_in_every_accepted_form(load, root, expected):
    found = load(root).memberships
    assert list(found.itertuples(index=False, name=None)) == expected


def test_an_empty_group_was_collected(load):
    tenant = load(asked("groups/g1/members", page("directoryObjects", [])))
    assert tenant.has("memberships")
    assert tenant.memberships.empty


def test_members_bring_names_but_do_not_list_the_directory(load):
    row = {**MEMBER, "userPrincipalName": "u1@tailwind.example", "displayName": "U One"}
    tenant = load(asked("groups/g1/members", page("directoryObjects", [row])))
    assert tenant.identities["display_name"].tolist() == ["U One"]
    assert not tenant.has("identities")


@pytest.mark.parametrize(
    "row, kind, dynamic",
    [
        ({"groupTypes": ["Unified"], "securityEnabled": False, "mailEnabled": True}, "m365", False),
        ({"groupTypes": ["DynamicMembership"], "securityEnabled": True, "mailEnabled": False}, "security", True),
        ({"groupTypes": [], "securityEnabled": True, "mailEnabled": True}, "mail_security", False),
        ({"groupTypes": [], "securityEnabled": False, "mailEnabled": True}, "distribution", False),
        ({"groupTypes": []}, None, False),
    ],
)
def test_kinds_of_groups(load, row, kind, dynamic):
    found = load(page("groups", [{"id": "g", **row}])).groups.iloc[0]
    assert (None if pd.isna(found.kind) else found.kind) == kind
    assert found.dynamic == dynamic
    assert pd.isna(found.has_team)


def test_roles_active_and_eligible(load):
    active = {
        "id": "1",
        "principalId": "P",
        "roleDefinitionId": "fe930be7-5e62-47db-91af-98c3a49a38b1",
        "directoryScopeId": "/",
    }
    eligible = {
        **active,
        "roleEligibilityScheduleId": "s",
        "startDateTime": "2026-01-01T00:00:00Z",
        "memberType": "Group",
    }
    kinds = "roleManagement/directory/"
    tenant = load(
        page(kinds + "roleAssignments", [active]), page(kinds + "roleEligibilityScheduleInstances", [eligible])
    )
    found = tenant.role_assignments.set_index("state")
    assert found.loc["active", "role_name"] == "User Administrator"
    assert found.loc["eligible", "member_type"] == "Group"
    assert bool(found.loc["active", "is_privileged"])


def test_application_permissions_get_their_names_from_the_api_that_offers_them(load):
    offered = {
        "id": "R",
        "appId": "x",
        "servicePrincipalType": "Application",
        "displayName": "My API",
        "appRoles": [{"id": "ROLE", "value": "Things.Read"}],
    }
    held = {"id": "1", "appRoleId": "role", "principalId": "C", "principalType": "ServicePrincipal", "resourceId": "r"}
    person = {**held, "principalId": "u", "principalType": "User"}
    tenant = load(page("servicePrincipals", [offered]), page("appRoleAssignments", [held, person]))
    row = tenant.app_permissions.iloc[0]
    assert (len(tenant.app_permissions), row.client_id, row.permission, row.resource_name) == (
        1,
        "c",
        "Things.Read",
        "My API",
    )


def test_delegated_scopes_with_blanks_in_front(load):
    grant = {
        "id": "x",
        "clientId": "C",
        "consentType": "Principal",
        "principalId": "U",
        "resourceId": "R",
        "scope": " Mail.Read  Files.Read",
    }
    found = load(page("oauth2PermissionGrants", [grant])).app_permissions
    assert found["permission"].tolist() == ["Mail.Read", "Files.Read"]
    assert set(found["principal_id"]) == {"u"}


def test_licences_through_a_group(load):
    sku = "F30DB892-07E9-47E9-837C-80727F46FD3D"
    row = {
        "id": "a",
        "userPrincipalName": "a",
        "assignedLicenses": [{"skuId": sku, "disabledPlans": ["P1"]}, {"skuId": "s2", "disabledPlans": []}],
        "licenseAssignmentStates": [
            {"skuId": sku, "assignedByGroup": "G"},
            {"skuId": "s2", "assignedByGroup": None},
            {"skuId": "s2", "assignedByGroup": "G"},
        ],
    }
    skus = {
        "skuId": sku.lower(),
        "skuPartNumber": "FLOW_FREE",
        "consumedUnits": 1,
        "prepaidUnits": {"enabled": 2},
        "capabilityStatus": "Enabled",
    }
    found = load(page("users", [row]), page("subscribedSkus", [skus])).licences.set_index("sku_id")
    assert found.loc[sku.lower(), "via_group_id"] == "g"
    assert found.loc[sku.lower(), "sku_part_number"] == "FLOW_FREE"
    assert pd.isna(found.loc["s2", "via_group_id"])
    assert found.loc[sku.lower(), "disabled_plans"] == "p1"


def test_users_without_licences_were_asked_for_them(load):
    tenant = load(page("users", [{"id": "a", "userPrincipalName": "a", "assignedLicenses": []}]))
    assert tenant.has("licences")
    assert tenant.licences.empty


def test_delta_removals_are_deleted_or_purged(load):
    rows = [{"id": "a", "@removed": {"reason": "changed"}}, {"id": "b", "@removed": {"reason": "deleted"}}]
    found = load(page("users", rows)).identities.set_index("identity_id")["status"]
    assert found.to_dict() == {"a": "deleted", "b": "purged_or_foreign"}


def test_never_is_not_a_date(load):
    rows = [
        {
            "id": "a",
            "userPrincipalName": "a",
            "createdDateTime": "0001-01-01T00:00:00Z",
            "lastPasswordChangeDateTime": "9999-12-31T23:59:59.9999999Z",
        }
    ]
    found = load(page("users", rows)).identities.iloc[0]
    assert pd.isna(found.created_at)
    assert pd.isna(found.last_password_change_at)


def test_other_families_are_not_taken(load):
    rows = [{"name": "e", "type": "Microsoft.BusinessAppPlatform/environments", "properties": {}}]
    for document in (
        Document("x", "json", roots=({"value": rows},)),
        Document("x", "json", roots=([1, 2],)),
        Document("x", "sheet"),
    ):
        assert graph.recognise(document) is None


def test_activated_roles_of_the_older_collection_tell_their_holders(tmp_path):
    rows = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#directoryRoles(members())",
        "value": [
            {
                "id": "1f7a6b7e-0000-4000-8000-000000000001",
                "displayName": "Exchange Administrator",
                "roleTemplateId": "29232CDF-9323-42FD-ADE2-1D097AF3E4DE",
                "members": [
                    {"@odata.type": "#microsoft.graph.user", "id": "U1", "userPrincipalName": "ann@contoso.example"},
                    {"@odata.type": "#microsoft.graph.group", "id": "g1", "displayName": "Mail team"},
                ],
            }
        ],
    }
    (tmp_path / "roles.json").write_text(json.dumps(rows), encoding="utf-8")
    tenant = sources.read(tmp_path).tenant()
    held = tenant.role_assignments.set_index("principal_id")
    assert held["role_name"].to_dict() == {"u1": "Exchange Administrator", "g1": "Exchange Administrator"}
    assert set(held["role_id"]) == {"29232cdf-9323-42fd-ade2-1d097af3e4de"}
    assert privileges(tenant, ["u1"])["name"].tolist() == ["Exchange Administrator"]
