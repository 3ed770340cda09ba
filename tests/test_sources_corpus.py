"""Every recorded answer loads into the right tables with the values that are in it."""

from __future__ import annotations

import csv

import pandas as pd
import pytest

from flowanalysis import sources
from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources.values import UNTOLD

MOCK = "00000000-0000-0000-0000-000000001111"

# file -> rows of the tables that it is about
EXPECTED = {
    "ess_bap_environments_admin_list_3of118.json": {"environments": 3},
    "ess_connections_admin_list_6of18.json": {"connections": 6},
    "ess_dataverse_connectionreferences.json": {"connection_references": 6},
    "ess_dataverse_shared_principals.json": {"flow_owners": 1},
    "ess_dataverse_workflow_row.json": {"flows": 1, "flow_owners": 1, "steps": 3, "flow_connections": 0},
    "ess_flow_admin_get_trimmed.json": {"flows": 1, "flow_connections": 2, "steps": 36},
    "ess_flow_admin_v2_list.json": {"flows": 5},
    "ess_flow_run_actions.json": {"runs": 2},
    "ess_flow_runs_page_2of50.json": {"runs": 2},
    "pnp_entra_approleassignment_list.json": {"app_permissions": 1},
    "pnp_entra_enterpriseapp_list.json": {"identities": 1, "app_roles": 1},
    "pnp_entra_group_member_list.json": {"memberships": 2},
    "pnp_entra_license_list.json": {"skus": 1},
    "pnp_entra_oauth2grant_list.json": {"app_permissions": 2},
    "pnp_entra_pim_role_assignment_list.json": {"role_assignments": 1},
    "pnp_entra_roledefinition_list.json": {"directory_roles": 1},
    "pnp_entra_user_list.json": {"identities": 1},
    "pnp_entra_user_recyclebin_list.json": {"identities": 1},
    "pnp_entra_user_signin_list.json": {"signins": 1},
    "pnp_flow_environment_list.json": {"environments": 1},
    "pnp_flow_get.json": {"flows": 1, "flow_connections": 1, "steps": 2},
    "pnp_flow_list.json": {"flows": 1, "flow_connections": 1},
    "pnp_flow_owner_list.json": {"flow_owners": 1},
    "pnp_flow_recyclebin_list.json": {"flows": 1},
    "pnp_flow_run_list.json": {"runs": 1},
    "pnp_pa_connector_list.json": {"connectors": 1},
    "pnp_pp_environment_list.json": {"environments": 1},
}


@pytest.fixture(scope="module")
def loaded(corpus):
    """Each file loaded alone."""
    return {path.name: sources.read(path) for path in sorted((corpus / "api").glob("*.json"))}


def only(loaded, name: str, table: str) -> pd.Series:
    frame = loaded[name].tenant()[table]
    assert len(frame) == 1
    return frame.iloc[0]


def test_every_file_of_the_corpus_is_expected_here(loaded):
    assert sorted(loaded) == sorted(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_file_fills_its_tables(loaded, name):
    harvest = loaded[name]
    rows = {t: sum(len(p.frame) for p in harvest.parts if p.table == t) for t in EXPECTED[name]}
    assert rows == EXPECTED[name]
    assert not harvest.rejected


def test_the_whole_folder_loads_at_once_and_names_the_file_that_is_no_export(corpus):
    harvest = sources.read(corpus / "api")
    assert sum(bool(s) for s in harvest.shapes.values()) == 27
    assert [r["file"] for r in harvest.rejected] == ["MANIFEST.md"]
    assert harvest.tenant().has("flows", "steps", "connections", "identities", "environments")


def test_a_flow_from_its_detail(loaded):
    flow = only(loaded, "ess_flow_admin_get_trimmed.json", "flows")
    assert (flow.flow_id, flow.environment_id, flow.owner_id, flow.owner_source) == (MOCK, MOCK, MOCK, "owninguser")
    assert flow.has_definition
    assert (flow.action_count, flow.trigger_type, flow.trigger_kind) == (35, "Request", "Skills")
    assert flow.is_solution
    assert flow.description == "Connection to your organization's Workday system."
    assert flow.modified_at == pd.Timestamp("2026-04-28T20:48:39Z")


def test_connections_of_a_flow_keep_the_stored_connection_and_who_brings_it(loaded):
    rows = loaded["ess_flow_admin_get_trimmed.json"].tenant().flow_connections.set_index("alias")
    dataverse = rows.loc["shared_commondataserviceforapps"]
    assert dataverse.connector_id == "shared_commondataserviceforapps"
    assert dataverse.connection_id == f"shared-commondataser-{MOCK}"
    assert dataverse.reference_name == "msdyn_sharedcommondataserviceforapps_92b66"
    assert dataverse.runtime_source == "embedded"
    assert rows.loc["shared_workdaysoap"].runtime_source == "invoker"
    assert rows.loc["shared_workdaysoap"].tier == "Premium"


def test_references_of_a_flow_that_others_installed(loaded):
    row = only(loaded, "pnp_flow_get.json", "flow_connections")
    assert (row.alias, row.runtime_source) == ("shared_approvals", "invoker")


def test_connections_tell_who_signs_in_where_and_what_broke(loaded):
    frame = pd.concat(
        [p.frame for p in loaded["ess_connections_admin_list_6of18.json"].parts if p.table == "connections"]
    )
    assert frame["username"].iloc[0] == "mock.user@contoso.com@microsoft_dpt6"
    assert frame["server"].tolist()[:3] == [
        "DevMockInstance",
        "DevMockInstance",
        "https://apisalesdemomock.successfactors.com/odata/v2",
    ]
    assert frame["auth_kind"].iloc[1:3].tolist() == ["entraIDUserLogin", "oauthsuccessfactors"]
    assert frame["auth_kind"].isna().iloc[0]
    assert frame["status"].tolist() == ["Connected", "Connected", "Connected", "Error", "Error", "Connected"]
    assert frame["aadsts"].iloc[3] == "50173"
    assert frame["status_code"].iloc[4] == "Unauthenticated"
    assert frame["account_name"].iloc[5] == "mock.user@contoso.com"
    assert set(frame["connector_id"]) == {"shared_service-now", "shared_sapodata", "shared_commondataserviceforapps"}
    assert frame["client_id"].isna().all()  # the client of SuccessFactors is no application of the tenant


def test_environments_with_and_without_dataverse(loaded):
    rows = loaded["ess_bap_environments_admin_list_3of118.json"].tenant().environments
    default = rows[rows["environment_id"] == f"default-{MOCK}"].iloc[0]
    assert default.is_default
    assert default.sku == "Default"
    assert not default.is_managed
    own = loaded["pnp_pp_environment_list.json"].tenant().environments.iloc[0]
    assert own.org_url == "https://org6633049a.crm4.dynamics.com/"
    assert own.has_dataverse
    assert own.created_by_id == "system"


def test_a_workflow_of_dataverse_alone(loaded):
    flow = only(loaded, "ess_dataverse_workflow_row.json", "flows")
    assert (flow.state, flow.owner_source, flow.creator_kind) == ("Stopped", "dataverse", "DataverseSystemUser")
    assert flow.environment_id == "orgmocktenant.crm.dynamics.com"
    assert (flow.action_count, flow.trigger_kind) == (2, "Http")


def test_connection_references_without_connection_are_unbound(loaded):
    rows = loaded["ess_dataverse_connectionreferences.json"].tenant().connection_references.set_index("reference_name")
    assert not rows.loc["msdyn_dataverse", "is_bound"]
    assert rows.loc["new_sharedworkdaysoap_0786a", "is_bound"]
    assert rows.loc["msdyn_dataverse", "connector_id"] == "shared_commondataserviceforapps"


def test_shares_of_a_flow_without_the_request_say_that_the_flow_is_not_told(loaded):
    row = only(loaded, "ess_dataverse_shared_principals.json", "flow_owners")
    assert (row.flow_id, row.principal_kind, row.role) == (UNTOLD, "Team", "CanEdit")


def test_runs_keep_no_signed_link(loaded):
    tenant = loaded["ess_flow_runs_page_2of50.json"].tenant()
    assert tenant.runs["status"].tolist() == ["Succeeded", "Failed"]
    assert tenant.runs["error_code"].iloc[1] == "ActionFailed"
    assert "http" not in tenant.runs.to_csv()
    assert bool(tenant.collection_log["next_link"].iloc[0])


def test_no_table_holds_a_callback_address(loaded):
    tenant = loaded["pnp_flow_get.json"].tenant()
    for table in tenant.collected:
        assert "apim/logicflows" not in tenant[table].to_csv(), table


def test_deleted_users_get_their_name_back(loaded):
    row = only(loaded, "pnp_entra_user_recyclebin_list.json", "identities")
    assert (row.upn, row.status) == ("john@contoso.com", "deleted")


def test_a_user_list_without_select_does_not_know_who_is_disabled(loaded):
    row = only(loaded, "pnp_entra_user_list.json", "identities")
    assert pd.isna(row.account_enabled)
    assert row.status == "unknown"
    assert "accountEnabled" in loaded["pnp_entra_user_list.json"].log[0]["message"]


def test_rows_of_the_command_line_that_do_not_tell_whose_they_are(loaded):
    members = loaded["pnp_entra_group_member_list.json"].tenant().memberships
    assert members[["group_id", "relation"]].values.tolist() == [[UNTOLD, "owner"], [UNTOLD, "member"]]
    app = only(loaded, "pnp_entra_approleassignment_list.json", "app_permissions")
    assert (app.client_id, app.permission) == (UNTOLD, "Mail.Read")


def test_graph_rows_of_the_command_line(loaded):
    scopes = loaded["pnp_entra_oauth2grant_list.json"].tenant().app_permissions
    assert scopes["permission"].tolist() == ["Mail.Read", "Mail.Send"]
    assert scopes["principal_id"].tolist() == ["", ""]
    role = only(loaded, "pnp_entra_pim_role_assignment_list.json", "role_assignments")
    assert (role.role_name, role.state, role.member_type) == ("User Administrator", "active", "Direct")
    assert role.role_template_id == "fe930be7-5e62-47db-91af-98c3a49a38b1"
    signin = only(loaded, "pnp_entra_user_signin_list.json", "signins")
    assert (signin.error_code, signin.app_name) == (0, "Graph explorer")
    sku = only(loaded, "pnp_entra_license_list.json", "skus")
    assert (sku.sku_part_number, sku.enabled_units) == ("ENTERPRISEPREMIUM", 10000)
    principal = loaded["pnp_entra_enterpriseapp_list.json"].tenant().identities.iloc[0]
    assert (principal.kind, principal.status) == ("service_principal", "active")


def test_a_custom_connector_belongs_to_its_environment(loaded):
    row = only(loaded, "pnp_pa_connector_list.json", "connectors")
    assert row.is_custom
    assert row.environment_id == "default-0d645e38-ec52-4a4f-ac58-65f2ac4015f6"
    assert row.created_by_id == "03043611-d01e-4e58-9fbe-1a18ecb861d8"


def test_public_connectors_of_a_flow_belong_to_no_environment(loaded):
    rows = loaded["ess_flow_admin_get_trimmed.json"].tenant().connectors
    assert set(rows["environment_id"]) == {NO_ENVIRONMENT}
    assert not loaded["ess_flow_admin_get_trimmed.json"].tenant().has("connectors")


def test_every_definition_loads_as_a_flow_with_its_trigger_and_number_of_actions(corpus):
    with (corpus / "flows" / "expected.csv").open(encoding="utf-8", newline="") as file:
        expected = {r["file"]: (r["trigger_type"], int(r["action_count"])) for r in csv.DictReader(file)}
    harvest = sources.read(corpus / "flows" / "definitions")
    found = {}
    for part in harvest.parts:
        if part.table == "flows":
            for piece, flow in zip(part.pieces or (part,), part.frame.itertuples(), strict=True):
                trigger = "/".join(t for t in (flow.trigger_type, flow.trigger_kind) if pd.notna(t))
                found[piece.file] = (trigger, flow.action_count)
    assert found == expected
    assert not harvest.rejected


def test_every_package_and_solution_loads(corpus):
    harvest = sources.read(corpus / "flows" / "zips")
    assert len(harvest.shapes) == len(list((corpus / "flows" / "zips").glob("*.zip"))) == 28
    assert all(harvest.shapes.values())
    assert not harvest.rejected
    assert harvest.tenant().has("flows", "steps")
