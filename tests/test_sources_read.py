"""Reading a folder: what is bad is named and counted, the rest is there."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest

from flowanalysis import sources
from flowanalysis.errors import NothingToLoad

CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#"


def page(kind: str, rows: list[dict], **more) -> dict:
    return {"@odata.context": CONTEXT + kind, **more, "value": rows}


def user(name: str, **more) -> dict:
    return {"id": name, "userPrincipalName": f"{name}@tailwind.example", "accountEnabled": True, **more}


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    return folder


def put(folder, **files):
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def test_an_empty_folder_says_what_could_be_read(place):
    with pytest.raises(NothingToLoad) as caught:
        sources.read(place)
    assert "no file here" in str(caught.value)
    assert "Microsoft Graph answers" in str(caught.value)


def test_a_path_that_does_not_exist_is_named(place):
    with pytest.raises(NothingToLoad, match="no such file or folder"):
        sources.read(place / "nowhere")


def test_a_folder_with_nothing_readable_names_the_first_files(place):
    put(place, a="hello there", b='{"x": 1')
    with pytest.raises(NothingToLoad, match="none of 2 files"):
        sources.read(place)


def test_an_unknown_file_is_named_and_the_rest_loaded(place):
    put(place, users=page("users", [user("a")]), shopping=[{"milk": 2}], broken='{"value":[{"id":"x"},')
    harvest = sources.read(place)
    tenant = harvest.tenant()
    assert tenant.identities["identity_id"].tolist() == ["a"]
    assert sorted(tenant.rejected["file"]) == ["broken.json", "shopping.json"]
    log = tenant.collection_log.set_index("file")
    assert not log.loc["broken.json", "complete"]
    assert harvest.shapes["shopping.json"] == ""


def test_a_cut_json_lines_file_keeps_its_good_lines_and_is_not_complete(place):
    put(place, users="\n".join(json.dumps(user(n)) for n in "ab") + '\n{"id": "c", "userPr')
    tenant = sources.read(place).tenant()
    assert len(tenant.identities) == 2
    assert tenant.rejected["record"].tolist() == ["line 3"]
    assert not tenant.collection_log["complete"].iloc[0]


def test_a_left_over_next_link_is_loud(place):
    put(
        place,
        users=page("users", [user("a")], **{"@odata.nextLink": "https://graph.microsoft.com/v1.0/users?$skiptoken=X"}),
    )
    log = sources.read(place).tenant().collection_log
    assert log["next_link"].tolist() == [True]
    assert log["complete"].tolist() == [False]
    assert "not complete" in log["message"].iloc[0]


def test_the_last_page_in_another_file_closes_the_list(place):
    link = {"@odata.nextLink": "https://graph.microsoft.com/v1.0/users?$skiptoken=X"}
    put(
        place,
        p1=page("users", [user("a")], **link),
        p2=page("users", [user("b")], **link),
        p3=page("users", [user("c")]),
    )
    tenant = sources.read(place).tenant()
    assert tenant.collection_log["complete"].tolist() == [True]
    assert not tenant.collection_log["next_link"].any()
    assert len(tenant.identities) == 3


def test_pages_in_an_array_and_pages_as_lines_are_one_list(place):
    link = {"@odata.nextLink": "https://graph.microsoft.com/v1.0/users?$skiptoken=X"}
    pages = [page("users", [user("a")], **link), page("users", [user("b")])]
    put(place, array=pages, lines="\n".join(map(json.dumps, pages)), glued="".join(map(json.dumps, pages)))
    tenant = sources.read(place).tenant()
    assert sorted(tenant.identities["identity_id"]) == ["a", "b"]
    assert tenant.collection_log["complete"].tolist() == [True] * 3


def test_the_same_record_twice_is_one_and_counted(place):
    put(place, a=page("users", [user("a"), user("a")]), b=page("users", [user("a"), user("b")]))
    tenant = sources.read(place).tenant()
    assert sorted(tenant.identities["identity_id"]) == ["a", "b"]
    assert tenant.collection_log["duplicates"].tolist() == [1, 1]
    assert tenant.collection_log["rows"].tolist() == [2, 2]


def test_an_empty_page_is_collected_and_has_nothing(place):
    put(place, groups=page("groups", []))
    tenant = sources.read(place).tenant()
    assert tenant.has("groups")
    assert tenant.groups.empty


def test_an_error_answer_is_no_data(place):
    error = {"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges"}}
    put(
        place,
        users=page("users", [user("a")]),
        lines=json.dumps({"request": "groups/g1/members", "status": 403, "body": error}),
    )
    harvest = sources.read(place)
    assert any("Insufficient privileges" in r["reason"] for r in harvest.rejected)
    assert not harvest.tenant().has("memberships")


def test_a_localised_date_is_left_empty_and_told(place):
    put(
        place,
        users=page(
            "users",
            [user("a", createdDateTime="03/04/2026"), user("b", createdDateTime="2026-04-03T00:00:00.1234567Z")],
        ),
    )
    tenant = sources.read(place).tenant()
    assert tenant.identities["created_at"].isna().tolist() == [True, False]
    assert tenant.rejected["record"].tolist() == ["row 1, created_at"]
    assert "'03/04/2026'" in tenant.rejected["reason"].iloc[0]


def test_names_that_look_like_nothing_and_ids_that_look_like_numbers_stay_text(place):
    rows = [user(i, displayName=n) for i, n in [("00123", "NA"), ("1e5", "null"), ("nan", "None")]]
    put(place, users=page("users", rows))
    tenant = sources.read(place).tenant()
    assert tenant.identities["identity_id"].tolist() == ["00123", "1e5", "nan"]
    assert tenant.identities["display_name"].tolist() == ["NA", "null", "None"]


def test_names_of_files_do_not_matter(tmp_path):
    path = tmp_path / "whatever.xyz"
    path.write_text(json.dumps(page("users", [user("a")])), encoding="utf-16")
    assert sources.read(path).shapes == {"whatever.xyz": "Microsoft Graph: users"}


def test_hidden_files_are_no_exports(place):
    put(place, users=page("users", [user("a")]))
    (place / ".DS_Store").write_bytes(b"\0\0")
    (place / "~$book.xlsx").write_bytes(b"\0\0")
    assert list(sources.read(place).shapes) == ["users.json"]


def test_inspect_tells_per_file_what_it_is_and_gave(place):
    put(
        place,
        users=page("users", [{"id": "a", "userPrincipalName": "a@tailwind.example"}, {"odd": 1}]),
        odd="no export",
    )
    found = sources.inspect(place).set_index("file")
    assert found.loc["users.json", "tables"] == "identities 1"
    assert found.loc["users.json", "set_aside"] == 1
    assert "accountEnabled" in found.loc["users.json", "missing"]
    assert found.loc["odd.json", "recognised"] == ""
    assert "no known export" in found.loc["odd.json", "reasons"]


def test_inspect_of_an_empty_folder_is_an_empty_table(place):
    assert sources.inspect(place).empty


def test_the_newest_observation_is_the_date_of_the_tenant(place):
    line = {"request": "users", "observed_at": "2026-10-31T22:00:00Z", "body": page("users", [user("a")])}
    put(place, lines=json.dumps(line))
    assert sources.read(place).tenant().as_of == pd.Timestamp("2026-10-31T22:00:00Z")


def test_reading_twice_gives_the_same_tables(place):
    put(
        place,
        users=page("users", [user("b"), user("a")]),
        groups=page("groups", [{"id": "g", "groupTypes": ["Unified"]}]),
    )
    one, two = sources.read(place).tenant(), sources.read(place).tenant()
    for table in one.collected:
        pd.testing.assert_frame_equal(one[table], two[table])


def test_exports_without_any_time_are_as_old_as_their_newest_file(tmp_path):
    path = tmp_path / "users.json"
    path.write_text('{"value": [{"id": "u1", "userPrincipalName": "ann@contoso.example"}]}', encoding="utf-8")
    os.utime(path, (1_790_000_000, 1_790_000_000))
    assert sources.read(path).tenant().month == "2026-09"


@pytest.mark.parametrize("last", [True, False])
def test_pages_of_one_list_in_many_files_are_one_line_of_the_log(tmp_path, last):
    base = "https://graph.microsoft.com/v1.0/users"
    for number in range(4):
        page = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users"}
        page["value"] = [{"id": f"u{number}{n}", "userPrincipalName": f"{n}@x.example"} for n in range(3)]
        if number < 3 or not last:
            page["@odata.nextLink"] = f"{base}?$skiptoken={number}"
        (tmp_path / f"users-{number}.json").write_text(json.dumps(page), encoding="utf-8")
    log = sources.read(tmp_path).frames["collection_log"]
    mine = log[log["table"] == "identities"]
    assert mine["rows"].tolist() == [12]
    assert mine["complete"].tolist() == [last]
    assert mine["next_link"].tolist() == [not last]
    assert mine["file"].tolist() == ["users-0.json and 3 more of the same list"]
