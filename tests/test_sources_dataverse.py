"""Dataverse rows: organisations become environments, system users become identities."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from flowanalysis import sources

ORG = "https://tailwind.api.crm4.dynamics.com/api/data/v9.2/$metadata#"
ENVIRONMENT = {
    "name": "E1",
    "type": "Microsoft.BusinessAppPlatform/scopes/environments",
    "properties": {"linkedEnvironmentMetadata": {"instanceUrl": "https://Tailwind.crm4.dynamics.com/"}},
}
FLOW = "Microsoft.ProcessSimple/environments/flows"
LOOKUP = "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"


def page(kind: str, rows: list[dict]) -> dict:
    return {"@odata.context": ORG + kind, "value": rows}


def workflow(name: str = "W1", **more) -> dict:
    return {
        "workflowid": name,
        "workflowidunique": f"{name}-u",
        "category": 5,
        "type": 1,
        "statecode": 1,
        "name": "x",
        **more,
    }


@pytest.fixture
def load(tmp_path):
    def run(*roots):
        for number, root in enumerate(roots):
            (tmp_path / f"{number:03}.json").write_text(json.dumps(root), encoding="utf-8")
        return sources.read(tmp_path).tenant()

    return run


def api_flow(name: str, workflow: str | None = None, unique: str | None = None, **shown) -> dict:
    ids = {"workflowEntityId": workflow, "workflowUniqueId": unique}
    return {
        "name": name,
        "type": FLOW,
        "properties": {"environment": {"name": "E1"}, **{k: v for k, v in ids.items() if v}, **shown},
    }


def test_the_organisation_becomes_its_environment(load):
    tenant = load(
        [ENVIRONMENT],
        page("workflows", [workflow()]),
        page("connectionreferences", [{"connectionreferencelogicalname": "New_Ref"}]),
    )
    assert tenant.flows["environment_id"].tolist() == ["e1"]
    assert tenant.connection_references[["environment_id", "reference_name"]].values.tolist() == [["e1", "new_ref"]]


def test_common_workflows_tell_the_environment_when_the_list_is_missing(load):
    tenant = load([api_flow("N1", "W1")], page("workflows", [workflow("W1"), workflow("W2")]))
    assert set(tenant.flows["environment_id"]) == {"e1"}
    assert sorted(tenant.flows["flow_id"]) == ["n1", "w2"]


def test_an_organisation_that_nothing_explains_keeps_its_address(load):
    assert load(page("workflows", [workflow()])).flows["environment_id"].tolist() == ["tailwind.crm4.dynamics.com"]


@pytest.mark.parametrize(
    "api",
    [
        api_flow("N1", workflow="W1"),
        api_flow("W1", workflow="W1"),
        api_flow("W1-u", unique="W1-u"),
        api_flow("N1", workflow="other", unique="W1-U"),
    ],
)
def test_one_flow_under_three_ids_is_one_flow(load, api):
    client = json.dumps(
        {
            "properties": {
                "definition": {"triggers": {"t": {"type": "Recurrence"}}, "actions": {}},
                "connectionReferences": {},
            }
        }
    )
    tenant = load([ENVIRONMENT], [api], page("workflows", [workflow("W1", clientdata=client, _ownerid_value="S1")]))
    assert tenant.flows["flow_id"].tolist() == [api["name"].lower()]
    assert tenant.flows["has_definition"].tolist() == [True]
    assert set(tenant.steps["flow_id"]) == {api["name"].lower()}
    assert set(tenant.flow_owners["flow_id"]) == {api["name"].lower()}


USERS = [
    {
        "systemuserid": "S1",
        "azureactivedirectoryobjectid": "A1",
        "fullname": "Alex",
        "domainname": "alex@tailwind.example",
        "accessmode": 0,
    },
    {
        "systemuserid": "S2",
        "azureactivedirectoryobjectid": None,
        "fullname": "SYSTEM",
        "domainname": "",
        "isdisabled": False,
    },
    {"systemuserid": "S3", "azureactivedirectoryobjectid": None, "applicationid": "APP", "fullname": "# app"},
    {
        "systemuserid": "S4",
        "azureactivedirectoryobjectid": None,
        "fullname": "Old",
        "domainname": "OLD@tailwind.example",
        "isdisabled": True,
    },
]


def test_system_users_become_identities(load):
    entra = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#x",
        "value": [
            {"id": "SP1", "appId": "app", "servicePrincipalType": "Application"},
            {"id": "O1", "userPrincipalName": "old@tailwind.example", "displayName": "Old"},
        ],
    }
    flows = [
        api_flow(f"F{n}", creator={"objectId": f"S{n}", "userType": "DataverseSystemUser"}) for n in (1, 2, 3, 4, 5)
    ]
    tenant = load(entra, flows, page("systemusers", USERS))
    found = tenant.flows.set_index("flow_id")
    assert found["creator_id"].to_dict() == {"f1": "a1", "f2": "s2", "f3": "sp1", "f4": "o1", "f5": "s5"}
    assert found["creator_kind"].to_dict()["f1"] == "ActiveDirectory"
    assert found["creator_kind"].to_dict()["f5"] == "DataverseSystemUser"
    who = tenant.identities.set_index("identity_id")
    assert who.loc["s2", ["kind", "status"]].tolist() == ["dataverse_user", "system"]
    assert who.loc["s5", ["kind", "status"]].tolist() == ["dataverse_user", "unknown"]


def test_a_dataverse_creator_is_no_orphan_when_all_users_are_listed(load):
    users = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users",
        "value": [{"id": "A9", "userPrincipalName": "a9@tailwind.example", "accountEnabled": True}],
    }
    tenant = load(users, [api_flow("F1", creator={"objectId": "S9", "userType": "DataverseSystemUser"})])
    assert tenant.identities.set_index("identity_id").loc["s9", "status"] == "unknown"


def test_owners_of_workflows_are_people_or_teams(load):
    rows = [workflow("W1", _ownerid_value="S1"), workflow("W2", **{"_ownerid_value": "T1", LOOKUP: "team"})]
    team = {"teamid": "T1", "name": "Flow team", "teammembership_association": [{"systemuserid": "S1"}]}
    tenant = load([ENVIRONMENT], page("workflows", rows), page("systemusers", USERS), page("teams", [team]))
    assert tenant.flows.set_index("flow_id")["owner_id"].to_dict() == {"w1": "a1", "w2": "t1"}
    assert tenant.flow_owners.set_index("flow_id")["principal_kind"].to_dict() == {"w1": "User", "w2": "Team"}
    assert tenant.memberships[["group_id", "member_id"]].values.tolist() == [["t1", "a1"]]
    assert "t1" not in tenant.identities["identity_id"].tolist()


def test_a_reference_is_unbound_only_when_the_export_asked(load):
    rows = [
        {"connectionreferencelogicalname": "a", "connectionid": None},
        {"connectionreferencelogicalname": "b"},
        {"connectionreferencelogicalname": "c", "connectionid": "C1"},
    ]
    found = load(page("connectionreferences", rows)).connection_references.set_index("reference_name")["is_bound"]
    assert [None if pd.isna(v) else bool(v) for v in found] == [False, None, True]


def test_activated_copies_are_left_out_and_states_translated(load):
    tenant = load(
        page(
            "workflows",
            [
                workflow("A", statecode=0),
                workflow("B", statecode=2, statuscode=3),
                workflow("C", type=2),
                workflow("D", category=6),
                workflow("E", modernflowtype=1),
            ],
        )
    )
    found = tenant.flows.set_index("flow_id")
    assert found["state"].to_dict() == {"a": "Stopped", "b": "Suspended", "d": "Started", "e": "Started"}
    assert found["kind"].to_dict() == {"a": "cloud", "b": "cloud", "d": "desktop", "e": "agent"}
    assert found.loc["b", "suspension_reason"] == "CompanyDlpViolation"


def test_clientdata_that_is_not_json_is_set_aside(load):
    tenant = load(page("workflows", [workflow(clientdata="{broken")]))
    assert tenant.rejected["record"].tolist() == ["flow w1"]
    assert len(tenant.flows) == 1


def test_roles_and_shares_know_their_holder_from_the_request(load):
    base = "https://tailwind.crm4.dynamics.com/api/data/v9.2/"
    roles = {
        "request": base + "systemusers(S1)/systemuserroles_association?$select=name",
        "body": page("roles", [{"roleid": "r", "name": "System Administrator"}]),
    }
    access = {
        "PrincipalAccesses": [
            {
                "AccessMask": "ReadAccess",
                "Principal": {"@odata.type": "#Microsoft.Dynamics.CRM.systemuser", "ownerid": "S1"},
            }
        ]
    }
    shares = {
        "request": base + 'RetrieveSharedPrincipalsAndAccess(Target=@t)?@t={"@odata.id":"workflows(W1)"}',
        "body": access,
    }
    tenant = load([ENVIRONMENT], [roles], [shares], page("systemusers", USERS))
    assert tenant.environment_roles[["environment_id", "principal_id", "role"]].values.tolist() == [
        ["e1", "a1", "System Administrator"]
    ]
    assert tenant.flow_owners[["flow_id", "principal_id", "role"]].values.tolist() == [["w1", "a1", "CanView"]]
