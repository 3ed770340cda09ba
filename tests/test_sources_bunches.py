"""Folders of many small pages give what the pages give one by one."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from flowanalysis import sources

GRAPH = "https://graph.microsoft.com/v1.0/"
FILES = 45


def user(number: int, **more) -> dict:
    told = {"id": f"U{number}", "userPrincipalName": f"u{number}@c.example", "accountEnabled": number % 3 > 0}
    return {**told, "signInActivity": {"lastSignInDateTime": "2026-01-01T00:00:00Z"}, "assignedLicenses": [], **more}


def users(number: int, **more) -> dict:
    rows = [user(n) for n in range(number * 4, number * 4 + 4)]
    link = {"@odata.nextLink": f"{GRAPH}users?$skiptoken={number}"} if number < FILES - 1 else {}
    return {"@odata.context": f"{GRAPH}$metadata#users", "value": rows, **link, **more}


def members(number: int, **more) -> dict:
    rows = [{"@odata.type": "#microsoft.graph.user", "id": f"U{n}"} for n in range(number, number + 3)]
    return {"request": f"{GRAPH}groups/G{number}/members?$select=id", "status": 200, "body": {"value": rows}, **more}


def flows(number: int) -> dict:
    row = {
        "name": f"F{number}",
        "id": f"/providers/Microsoft.ProcessSimple/environments/E1/flows/F{number}",
        "type": "Microsoft.ProcessSimple/environments/flows",
        "properties": {"displayName": f"Flow {number}", "state": "Started", "connectionReferences": {}},
    }
    return {"value": [row]}


def changed(pages: list[dict], number: int, page: object) -> list:
    return [*pages[:number], page, *pages[number + 1 :]]


MEMBERS, USERS = [members(n) for n in range(FILES)], [users(n) for n in range(FILES)]
GAP = {"@odata.nextLink": f"{GRAPH}groups/G7/members?$skiptoken=x"}
FOLDERS = {
    "users": USERS,
    "users of which the last page is missing": USERS[:-1],
    "members": MEMBERS,
    "flows": [flows(n) for n in range(FILES)],
    "a list that goes on elsewhere": changed(MEMBERS, 7, members(7, body={**members(7)["body"], **GAP})),
    "an error between": changed(MEMBERS, 7, members(7, status=403, body={"error": {"code": "Forbidden"}})),
    "an empty page between": changed(MEMBERS, 7, members(7, body={"value": []})),
    "a removed user between": changed(USERS, 7, users(7, value=[{"id": "U9", "@removed": {"reason": "deleted"}}])),
    "a user without id": changed(USERS, 7, users(7, value=[{**user(28), "id": None}])),
    "a user told twice": changed(USERS, 7, users(7, value=[user(0, accountEnabled=True)])),
    "other properties asked for": changed(USERS, 7, users(7, value=[{"id": "U9", "userPrincipalName": "x"}])),
    "another kind between": changed(USERS, 7, members(7)),
    "a page that is no JSON": changed(USERS, 7, None),
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    def run(pages: list, *, few: int):
        monkeypatch.setattr("flowanalysis.sources.bunches.FEW", few)
        for number, page in enumerate(pages):
            text = '{"value": [{"id": ' if page is None else json.dumps(page)
            (tmp_path / f"{number:03}.json").write_text(text, encoding="utf-8")
        return sources.read(tmp_path)

    return run


def table(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(frame.columns), ignore_index=True, key=lambda c: c.astype(str))


@pytest.mark.parametrize("name", FOLDERS)
def test_the_same_rows_as_one_by_one(load, name):
    one, two = load(FOLDERS[name], few=10**6), load(FOLDERS[name], few=20)
    assert one.frames.keys() == two.frames.keys()
    for part in one.frames.keys() - {"collection_log"}:
        pd.testing.assert_frame_equal(table(one.frames[part]), table(two.frames[part]))
    assert one.shapes == two.shapes
    logs = [h.frames["collection_log"].groupby("table")[["rows", "duplicates"]].sum() for h in (one, two)]
    pd.testing.assert_frame_equal(*logs)
    left = [set(h.frames["collection_log"].query("next_link")["table"]) for h in (one, two)]
    assert left[0] == left[1]


def test_they_go_through_the_database_together(load, monkeypatch):
    def careful(*_):
        raise AssertionError("read one by one")

    monkeypatch.setattr("flowanalysis.sources.graph.read", careful)
    log = load(MEMBERS, few=20).frames["collection_log"]
    assert log["file"].tolist() == [f"000.json and {FILES - 1} more of the same list"]
    assert log["rows"].tolist() == [FILES * 3]


def test_the_file_of_a_list_that_goes_on_elsewhere_is_named(load):
    log = load(FOLDERS["a list that goes on elsewhere"], few=20).frames["collection_log"]
    assert log[log["next_link"]]["file"].tolist() == ["007.json"]
