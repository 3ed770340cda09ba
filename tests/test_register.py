"""The register: drafted, written, read back and compared; the documentation made from it."""

from __future__ import annotations

import pandas as pd
import pytest
import rooms

from flowanalysis.document import document, markdown_text
from flowanalysis.errors import PolicyError, UnknownName
from flowanalysis.register import DIFFERENCES, check_register, draft, read, write

LIST = "https://fabrikam.example/sites/a|list"
SVC = "svc-orders@fabrikam.example"


def at_work(**tables: object):
    """The sound tenant whose flow writes a list, with steps and grants."""
    need = {"step": "Write", "alias": "a", "right": "write", "level": "write", "resource": LIST}
    base = {
        "steps": [{"step": "Write", "name": "Write", "alias": "a", "connector_id": "shared_office365"}],
        "needs": [{**need, "resource_kind": "sharepoint_list"}],
        "grants": [{"principal_id": "svc", "resource_id": LIST, "resource_kind": "sharepoint_list", "level": "write"}],
        "licences": [{"identity_id": "svc", "sku_id": "1", "sku_part_number": "SPE_E3"}],
    }
    return rooms.build(**{**base, **tables})


def test_a_draft_says_what_can_be_known():
    row = draft(at_work()).iloc[0]
    assert row["account"] == SVC
    assert row["owner"] == "ada.berg@fabrikam.example"
    assert row["allowed_rights"] == f"sharepoint_list={LIST}:write"
    assert (row["environments"], row["licence"], row["kind"]) == (rooms.ENV, "SPE_E3", "user")
    assert row[["purpose", "review_date"]].isna().all()


def test_reality_agrees_with_its_own_draft():
    tenant = at_work()
    assert check_register(tenant.replace(register=draft(tenant))).empty


def test_a_register_survives_writing_and_reading(tmp_path):
    rows = draft(at_work())
    rows.loc[0, "purpose"] = "=1+1; orders"
    rows.loc[0, "review_date"] = pd.Timestamp("2027-06-30", tz="UTC")
    write(rows, tmp_path / "register.csv")
    assert "'=1+1" in (tmp_path / "register.csv").read_text(encoding="utf-8")
    pd.testing.assert_frame_equal(read(tmp_path / "register.csv"), rows)


@pytest.fixture
def reading(tmp_path):
    """Read a register from text."""

    def load(text: str) -> pd.DataFrame:
        file = tmp_path / "register.csv"
        file.write_text(text, encoding="utf-8")
        return read(file)

    return load


def test_a_register_of_a_semicolon_country_is_read(reading):
    assert reading("account;owner\nSVC-A;ann\n")[["account", "owner"]].to_numpy().tolist() == [["svc-a", "ann"]]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("acount,owner\n", UnknownName, "account"),
        ("owner\nann\n", PolicyError, "the column account is missing"),
        ("account\nsvc\nSVC\n", PolicyError, "line 3: the account of line 2 again"),
        ("account,owner\n,ann\n", PolicyError, "line 2: no account"),
        ("account,review_date\nsvc,soon\n", PolicyError, "line 2: 'soon' is not a date"),
    ],
)
def test_a_wrong_register_is_refused_with_its_line(reading, text, error, said):
    with pytest.raises(error, match=said):
        reading(text)


def test_a_missing_register_is_refused(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        read(tmp_path / "none.csv")


def compared(allowed: str, **tables: object) -> list[tuple[str, str]]:
    """Difference and resource of the rights of the one registered account."""
    listed = [{"account": SVC, "owner": "ada", "allowed_rights": allowed}]
    found = check_register(at_work(register=listed, **tables))
    return found[["difference", "resource"]].to_numpy().tolist()


def test_rights_are_compared_both_ways():
    assert compared(f"sharepoint_list={LIST}:write") == []
    assert compared(f"sharepoint_list={LIST}:read") == [["beyond", LIST]]
    assert compared(f"sharepoint_list={LIST}:full") == [["short", LIST]]


def test_an_approved_site_covers_its_lists_and_an_approved_list_not_the_site():
    site = LIST.partition("|")[0]
    assert compared(f"sharepoint_site={site}:write") == [["short", site]]
    whole = [{"principal_id": "svc", "resource_id": site, "resource_kind": "sharepoint_site", "level": "write"}]
    assert compared(f"sharepoint_site={site}:write", grants=whole) == []
    assert [site] in [r[1:] for r in compared(f"sharepoint_list={LIST}:write", grants=whole) if r[0] == "beyond"]


def test_a_kind_of_right_that_nobody_collected_is_not_called_missing():
    assert compared(f"sharepoint_list={LIST}:write;mailbox=orders@fabrikam.example:write") == []


def test_a_blank_list_of_rights_approves_nothing_and_forbids_nothing():
    assert compared("") == []


def test_a_licence_is_compared_by_its_names():
    def differences(licence: str) -> list[str]:
        listed = [{"account": SVC, "owner": "ada", "licence": licence}]
        return check_register(at_work(register=listed, skus=[]))["difference"].to_list()

    assert differences("SPE_E3") == []
    assert differences("SPE_E3 + POWERAUTOMATE_ATTENDED_RPA") == ["other_licence"]


def test_every_difference_has_words():
    assert set(check_register(at_work(register=[{"account": "ghost"}]))["difference"]) <= set(DIFFERENCES)


def test_every_service_account_is_documented():
    listed = [{"account": SVC, "owner": "ada.berg@fabrikam.example", "purpose": "Orders"}]
    (paper,) = document(at_work(register=listed))
    facts = paper.facts.set_index("fact")["value"]
    assert facts[["owner", "purpose", "licences"]].tolist() == ["ada.berg@fabrikam.example", "Orders", "SPE_E3"]
    assert paper.flows[["flow", "role"]].to_numpy().tolist() == [["Orders", "owns and runs"]]
    assert paper.rights[["resource", "level", "approved", "used_by"]].to_numpy().tolist() == [
        [LIST, "write", "not approved", "Orders"]
    ]
    assert "flows outside solutions" in set(paper.room["limit"])


def test_a_document_says_what_was_not_collected():
    (paper,) = document(rooms.build())
    assert {"register", "grants", "needs", "licences"} <= set(paper.gaps)
    assert "not registered" in paper.markdown
    assert "## Not collected" in paper.markdown


HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:1)",
    "![x](http://evil.example)",
    "a | b",
    "line\n# head",
    "$x$",
    "`code`",
    "www.evil.example",
    "\u202egnp.exe",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_markup_in_a_document(name):
    flows = [{**rooms.BASE["flows"][0], "display_name": name}]
    (paper,) = document(at_work(flows=flows))
    line = next(x for x in paper.markdown.splitlines() if "owns and runs" in x)
    assert markdown_text(name) in line
    for sign in ("<", "](", "://", "$", "www.", "\u202e"):
        assert sign not in line.replace("\\](", "")


def test_ordinary_words_stay_readable():
    assert markdown_text("Invoice intake, 2nd floor") == "Invoice intake, 2nd floor"
    assert markdown_text(pd.NA) == ""
