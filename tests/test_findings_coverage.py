"""Whatever is empty or was not collected, the rules and all that is made of them still answer, and claim no more."""

from __future__ import annotations

import pytest
import rooms

from flowanalysis import schema
from flowanalysis.document import document
from flowanalysis.findings import examine
from flowanalysis.register import check_register, draft
from flowanalysis.tenant import Tenant
from flowanalysis.worklists import certification, sheets, work_list

LIST = "https://fabrikam.example/sites/a|list"
SVC = "svc-orders@fabrikam.example"
TWIN = {"identity_id": "twin", "upn": "svc-twin@fabrikam.example", **rooms.SERVICE}


def rich() -> Tenant:
    """A tenant with rows in every table that a rule reads."""
    tenant = rooms.build(
        identities=[*rooms.BASE["identities"], TWIN],
        flow_owners=[
            *rooms.BASE["flow_owners"],
            {"principal_id": "team", "principal_kind": "Group", "role": "CanEdit"},
        ],
        flow_connections=[
            {"alias": "a", "connector_id": "shared_sharepointonline", "connection_id": "c"},
            {"alias": "b", "connector_id": "shared_dropbox", "reference_name": "ref"},
        ],
        connections=[
            {"connection_id": "c", "connector_id": "shared_sharepointonline", "created_by_id": "svc"},
            {"connection_id": "d", "connector_id": "shared_dropbox", "created_by_id": "del", "status": "Error"},
        ],
        connection_references=[{"environment_id": rooms.ENV, "reference_name": "ref", "connection_id": "d"}],
        connection_shares=[{"principal_id": "tenant", "principal_kind": "Tenant"}],
        connectors=[{"connector_id": "shared_dropbox", "environment_id": "(none)", "tier": "Premium"}],
        definition_marks=[{"mark": "secret"}, {"mark": "premium_connector"}],
        dlp_rules=[{"policy_id": "p", "connector_id": "shared_dropbox", "classification": "non_business"}],
        needs=[
            {"step": "Write", "alias": "a", "right": "grant", "level": "write", "resource": LIST}
            | {"resource_kind": "sharepoint_list"}
        ],
        steps=[{"step": "Write", "name": "Write", "alias": "a", "type": "OpenApiConnection"}],
        grants=[
            {"principal_id": w, "resource_id": LIST, "resource_kind": "sharepoint_list", "level": v}
            for w, v in (("svc", "read"), ("twin", "write"), ("team", "read"))
        ],
        memberships=[{"group_id": "team", "member_id": "bo", "member_kind": "user", "relation": "member"}],
        groups=[{"group_id": "team", "display_name": "Team"}],
        role_assignments=[
            {"principal_id": "svc", "role_name": "Global Administrator", "scope": "/", "state": "active"}
        ],
        app_permissions=[{"client_id": "spn", "permission": "Mail.Send", "kind": "application"}],
        licences=[{"identity_id": "svc", "sku_id": "s", "sku_part_number": "SPE_E3"}],
        skus=[{"sku_id": "s", "sku_part_number": "SPE_E3"}],
        resources=[{"resource_id": LIST, "display_name": "Payroll", "sensitivity": 5.0}],
        register=[
            {"account": SVC, "owner": "del@fabrikam.example", "allowed_rights": f"sharepoint_list={LIST}:full"}
            | {"environments": rooms.ENV, "licence": "X", "review_date": "2026-01-01"},
            {"account": "svc-ghost@fabrikam.example"},
        ],
        runs=[{"run_id": "r", "start_at": "2026-10-01T00:00:00Z", "status": "Succeeded"}],
        dataverse_users=[{"environment_id": rooms.ENV, "systemuser_id": "sys", "identity_id": "ada"}],
        environment_roles=[{"environment_id": rooms.ENV, "principal_id": "ada", "role": "EnvironmentMaker"}],
        directory_roles=[{"role_id": "r", "display_name": "Global Administrator"}],
    )
    rest = [t for t in schema.TABLES if t not in tenant.collected]
    frames = {t: tenant[t] for t in tenant.collected} | {t: schema.empty(t) for t in rest}
    return Tenant(frames, collected=frames, as_of=rooms.AS_OF)


RICH = rich()
TABLES = sorted(t for t in RICH.collected if len(RICH[t]))


def without(table: str, *, collected: bool) -> Tenant:
    """The rich tenant with one table empty: collected and without a row, or not collected."""
    frames = {t: RICH[t] for t in RICH.collected if t != table}
    kept = RICH.collected if collected else RICH.collected - {table}
    return Tenant({**frames, table: schema.empty(table)}, collected=kept, as_of=rooms.AS_OF)


@pytest.mark.parametrize("collected", [True, False], ids=["empty", "not collected"])
@pytest.mark.parametrize("table", TABLES)
def test_one_missing_table_breaks_nothing(table, collected):
    tenant = without(table, collected=collected)
    examination = examine(tenant, previous=RICH)
    answered = examination.answerable.set_index("rule")["answerable"]
    assert set(examination.findings["rule"].map(answered)) <= {"full", "partly"}
    assert check_register(tenant)["account"].notna().all()
    papers = [paper.markdown for paper in document(tenant)]
    assert len(papers) == len(certification(tenant, examination)["Accounts"])
    assert draft(tenant)["account"].is_unique
    work = work_list(tenant, examination.findings)
    assert (
        len(work)
        == len(examination.findings)
        == sum(len(s) for s in sheets(work).values()) - len(sheets(work)["Overview"])
    )


def test_the_rich_tenant_lets_most_families_speak():
    said = set(examine(RICH, previous=RICH).findings["rule"])
    assert {r.partition("-")[0] for r in said} >= {"CON", "PRV", "SVC", "SEC"}
    assert len(said) >= 12


def test_no_rule_hears_of_another():
    whole = examine(RICH, previous=RICH)
    for rule in whole.answerable["rule"]:
        single = examine(RICH, rooms.alone(rule), RICH)
        for mine, all_ in ((single.findings, whole.findings), (single.evidence, whole.evidence)):
            assert mine.equals(all_[all_["rule"] == rule].reset_index(drop=True)), rule


def test_nothing_collected_answers_nothing():
    examination = examine(Tenant({}, as_of=rooms.AS_OF))
    assert examination.findings.empty
    assert set(examination.answerable["answerable"]) == {"no"}


def test_everything_empty_finds_nothing():
    empty = {t: schema.empty(t) for t in schema.TABLES}
    examination = examine(Tenant(empty, collected=empty, as_of=rooms.AS_OF), previous=Tenant(empty, collected=empty))
    assert examination.findings.empty
    assert set(examination.answerable["answerable"]) == {"full"}
