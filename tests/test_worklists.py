"""Work lists and certification: everybody gets what is theirs, and a proposal with its reason."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
import rooms
from click.testing import CliRunner

from flowanalysis.cli import main
from flowanalysis.findings import examine, find
from flowanalysis.report.packs import write_packs
from flowanalysis.worklists import LAST_RESORT, NOBODY, certification, sheets, work_list


def responsible(tenant, rule: str) -> list[str]:
    """Who is to act on a rule's finding, and why."""
    work = work_list(tenant, find(tenant))
    return work.loc[work["rule"] == rule, ["responsible", "why_you"]].to_numpy().tolist()[0]


def test_the_living_owner_acts_on_a_flow():
    assert responsible(rooms.owned_by("ada"), "OWN-2") == ["ada.berg@fabrikam.example", "owns the flow"]


def test_a_co_owner_acts_when_the_owner_is_gone():
    assert responsible(rooms.owned_by("del", "bo"), "OWN-3") == ["bo.lind@fabrikam.example", "co-owns the flow"]


def test_the_manager_acts_when_every_owner_is_gone():
    who, why = responsible(rooms.owned_by("del"), "OWN-1")
    assert (who, why) == ("boss@fabrikam.example", "manages the owner, who is gone")


def test_a_member_acts_for_a_group():
    inside = [{"group_id": "team", "member_id": "bo", "member_kind": "user", "relation": "member"}]
    tenant = rooms.owned_by("purged", ("team", "Group"))
    tenant = tenant.replace(memberships=rooms.schema.frame("memberships", inside))
    assert responsible(tenant, "OWN-3") == ["bo.lind@fabrikam.example", "is in a group that co-owns the flow"]


def test_the_register_names_who_acts_for_an_account():
    listed = [{"account": "svc-orders@fabrikam.example", "deputy": "bo.lind@fabrikam.example"}]
    tenant = rooms.build(register=listed)
    assert responsible(tenant, "SVC-2")[0] == "bo.lind@fabrikam.example"


def test_an_administrator_is_the_last_resort_and_otherwise_nobody_is_said():
    tenant = rooms.owned_by("purged")
    assert responsible(tenant, "OWN-1")[0] == NOBODY
    role = {"principal_id": "bo", "role_name": "Power Platform Administrator", "state": "active", "scope": "/"}
    tenant = tenant.replace(role_assignments=rooms.schema.frame("role_assignments", [role]))
    assert responsible(tenant, "OWN-1")[0] == "bo.lind@fabrikam.example"


def test_an_emergency_account_gets_no_work_before_an_administrator_who_must_activate_the_role():
    tenant = rooms.owned_by("purged")
    people = tenant.identities.copy()
    people.loc[people["identity_id"] == "ada", "upn"] = "breakglass-01@fabrikam.example"
    roles = [("ada", "Global Administrator", "active"), ("bo", "Global Administrator", "eligible")]
    held = [{"principal_id": p, "role_name": r, "state": s, "scope": "/"} for p, r, s in roles]
    tenant = tenant.replace(identities=people, role_assignments=rooms.schema.frame("role_assignments", held))
    assert responsible(tenant, "OWN-1")[0] == "bo.lind@fabrikam.example"


def test_nobody_is_asked_to_take_away_what_is_his_own(months):
    tenant = months["2026-10"]
    work = work_list(tenant, find(tenant)).set_index("rule")
    assert work.loc["PRV-2", "responsible"] != "max.hollow@tailwindtraders.example"
    assert work.loc["PRV-2", "why_you"] == "owns the service account in the register"
    alone = work_list(tenant.replace(register=None), find(tenant)).set_index("rule")
    assert alone.loc["PRV-2", "why_you"] == LAST_RESORT


@pytest.mark.parametrize("owner", ["svc", "off", "spn"])
def test_accounts_and_the_disabled_get_no_work(owner):
    work = work_list(rooms.owned_by(owner), find(rooms.owned_by(owner)))
    assert not set(work["responsible_id"].dropna()) & {"svc", "off", "spn"}


def test_every_finding_is_on_exactly_one_list():
    tenant = rooms.owned_by("del", "ada")
    found = find(tenant)
    work = work_list(tenant, found)
    assert sorted(work["finding_id"]) == sorted(found["finding_id"])
    assert set(work["manager"].dropna()) == {"boss@fabrikam.example"}


@pytest.mark.parametrize("by", ["responsible", "manager"])
def test_sheets_hold_all_the_work_after_an_overview(by):
    tenant = rooms.owned_by("del", "ada")
    work = work_list(tenant, find(tenant))
    cut = sheets(work, by=by)
    overview = cut.pop("Overview")
    assert overview["findings"].sum() == len(work) == sum(len(s) for s in cut.values())
    assert overview["person"].to_list() == list(cut)


def test_no_finding_gives_an_empty_overview():
    assert list(sheets(work_list(rooms.build(), find(rooms.build()).head(0)))) == ["Overview"]


def pack(grants: list[dict], **tables: object) -> dict:
    """The certification of the sound account."""
    need = {"step": "Write", "alias": "a", "level": "write", "resource": "list", "resource_kind": "sharepoint_list"}
    rows = [{"resource_kind": "sharepoint_list", "level": "write", "principal_id": "svc", **g} for g in grants]
    tenant = rooms.build(needs=[need], grants=rows, **tables)
    return certification(tenant, examine(tenant))


@pytest.mark.parametrize(
    ("grants", "state", "proposal"),
    [
        ([{"resource_id": "list"}], "Started", "keep"),
        ([{"resource_id": "list"}, {"resource_id": "payroll"}], "Started", "reduce"),
        ([{"resource_id": "list"}], "Stopped", "retire"),
    ],
)
def test_a_service_account_is_kept_reduced_or_retired(grants, state, proposal):
    flows = [{**rooms.BASE["flows"][0], "state": state}]
    accounts = pack(grants, flows=flows)["Accounts"]
    assert accounts[["account", "proposal"]].to_numpy().tolist() == [["svc-orders@fabrikam.example", proposal]]
    assert accounts["decision"].isna().all()


def test_the_pack_proves_what_it_proposes():
    made = pack([{"resource_id": "list"}, {"resource_id": "payroll"}])
    assert made["Rights"][["side", "resource_id", "reason"]].to_numpy().tolist() == [
        ["excess", "payroll", "never_needed"]
    ]
    assert made["Flows"]["flow"].tolist() == ["Orders"]
    assert "GAP-1" in set(made["Findings"]["rule"])


def test_without_rights_nothing_is_proposed_as_too_much():
    tenant = rooms.build()
    assert certification(tenant, examine(tenant))["Accounts"]["proposal"].tolist() == ["keep"]


def test_lists_and_pack_are_written_as_workbooks_and_pages(tmp_path):
    hostile = "<script>alert(1)</script> =1+1"
    tenant = rooms.owned_by("off", "ada", display_name=hostile)
    made = write_packs(tenant, tmp_path / "lists")
    names = ["work-by-owner", "work-by-manager", "certification"]
    assert [p.name for p in made] == [f"{n}.{kind}" for n in names for kind in ("xlsx", "html")]
    for name in names:
        book = openpyxl.load_workbook(tmp_path / "lists" / f"{name}.xlsx")
        cells = [c for sheet in book for row in sheet.iter_rows() for c in row]
        assert not [c for c in cells if c.data_type == "f"]
        assert len(book.sheetnames) >= 2
        assert "<script>alert" not in (tmp_path / "lists" / f"{name}.html").read_text(encoding="utf-8")
    accounts = openpyxl.load_workbook(tmp_path / "lists" / "certification.xlsx")["Accounts"]
    heads = [c.value for c in next(accounts.iter_rows())]
    assert {"account", "proposal", "decision"} <= {str(h).lower() for h in heads}
    work = (tmp_path / "lists" / "work-by-owner.html").read_text(encoding="utf-8")
    assert "ada.berg@" in work.replace("<wbr>", "")


def test_the_command_names_the_files_it_wrote(tmp_path, root):
    told = CliRunner().invoke(main, ["worklists", str(root / "data" / "demo" / "2026-10"), "--out", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert [Path(line).suffix for line in told.output.splitlines()] == [".xlsx", ".html"] * 3
