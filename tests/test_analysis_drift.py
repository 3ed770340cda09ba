"""What changed between two months, in words; and what creeps up over several. Tables by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.analysis.drift import creep, drift, rights_drift
from flowanalysis.tenant import Tenant

E = "env"
ANN = {"identity_id": "ann", "upn": "ann@fabrikam.example", "kind": "user"}
FLOW = {"environment_id": E, "flow_id": "f"}
CONNECTION = {"environment_id": E, "connection_id": "c"}


def state(month: str = "2026-10", **tables: list[dict]) -> Tenant:
    """A tenant of a few rows in which these tables were collected."""
    frames = {t: schema.frame(t, rows) for t, rows in tables.items()}
    return Tenant(frames, collected=set(frames), as_of=pd.Timestamp(f"{month}-28", tz="UTC"))


def told(before: Tenant, after: Tenant) -> list[tuple]:
    """What changed, without the sentences."""
    found = drift(before, after).drop(columns="sentence").astype(object)
    return [tuple(row) for row in found.where(found.notna(), None).itertuples(index=False)]


def sentences(before: Tenant, after: Tenant) -> list[str]:
    return drift(before, after)["sentence"].tolist()


def grant(level: str | None, who: str = "ann", what: str = "ledger") -> dict:
    return {"principal_id": who, "resource_id": what, "level": level}


@pytest.mark.parametrize(
    ("before", "after", "change", "old", "new", "words"),
    [
        ([], ["read"], "gained", None, "read", "ann gained right on ledger: nothing → read."),
        (["read"], [], "lost", "read", None, "ann lost right on ledger: read → nothing."),
        (["read"], ["write"], "raised", "read", "write", "ann raised right on ledger: read → write."),
        (["full"], ["owner"], "lowered", "full", "owner", "ann lowered right on ledger: full → owner."),
        (["read", "owner"], ["owner", "full"], "raised", "owner", "full", "ann raised right on ledger: owner → full."),
    ],
)
def test_a_right_is_told_by_the_highest_level_before_and_after(before, after, change, old, new, words):
    first, second = (state(grants=[grant(v) for v in levels]) for levels in (before, after))
    assert told(first, second) == [("right", change, "ann", "ledger", None, old, new, "level")]
    assert sentences(first, second) == [words]


def test_a_lower_right_beside_a_higher_one_changes_nothing():
    assert drift(state(grants=[grant("owner")]), state(grants=[grant("owner"), grant("read")])).empty


def test_two_rights_on_one_resource_are_told_apart_by_who_holds_them():
    first = state(grants=[grant("read"), grant("read", "bo")])
    second = state(grants=[grant("write"), grant("read", "bo"), grant("full", "cy", "site")])
    assert [row[1:4] for row in told(first, second)] == [("raised", "ann", "ledger"), ("gained", "cy", "site")]


def test_people_are_named_by_what_either_month_knows():
    before = state(identities=[ANN], memberships=[{"group_id": "g", "member_id": "ann", "relation": "member"}])
    after = state(identities=[], memberships=[])
    assert sentences(before, after) == [
        "ann@fabrikam.example lost identity.",
        "ann@fabrikam.example lost membership on g: member → nothing.",
    ]
    assert sentences(after, before)[1] == "ann@fabrikam.example gained membership on g: nothing → member."


@pytest.mark.parametrize(
    ("table", "row", "change", "expected"),
    [
        (
            "flows",
            FLOW | {"state": "Started"},
            {"state": "Stopped"},
            ("flow", "changed", "f", None, E, "Started", "Stopped", "state"),
        ),
        (
            "flows",
            FLOW | {"state": "Started", "owner_id": "ann", "display_name": "Orders"},
            {"owner_id": "bo", "display_name": "Sales"},
            ("flow", "changed", "f", None, E, "Started", "Started", "display_name owner_id"),
        ),
        (
            "connections",
            CONNECTION | {"account_name": "svc@x.example"},
            {"account_name": "ann@x.example"},
            ("connection", "changed", "c", None, E, "svc@x.example", "ann@x.example", "account_name"),
        ),
        (
            "connection_references",
            {"environment_id": E, "reference_name": "r", "connection_id": "c"},
            {"connection_id": "d"},
            ("connection_reference", "changed", "r", None, E, "c", "d", "connection_id"),
        ),
        (
            "identities",
            ANN | {"status": "active"},
            {"status": "disabled"},
            ("identity", "changed", "ann", None, None, "active", "disabled", "status"),
        ),
        (
            "flow_owners",
            FLOW | {"principal_id": "ann", "role": "CanEdit"},
            {"role": "Owner"},
            ("owner", "changed", "ann", "f", E, "CanEdit", "Owner", "role"),
        ),
        (
            "identities",
            ANN | {"job_title": None},
            {"job_title": "Clerk"},
            ("identity", "changed", "ann", None, None, None, None, "job_title"),
        ),
    ],
)
def test_a_row_that_changed_tells_its_value_and_its_columns(table, row, change, expected):
    first, second = state(**{table: [row]}), state(**{table: [row | change]})
    assert told(first, second) == [expected]
    assert told(first, first) == told(second, second) == []


@pytest.mark.parametrize(
    ("table", "row", "expected", "words"),
    [
        (
            "licences",
            {"identity_id": "ann", "sku_id": "E3"},
            ("licence", "ann", "E3", None, None),
            "ann gained licence on E3.",
        ),
        (
            "role_assignments",
            {"principal_id": "ann", "role_id": "r", "scope": "/", "state": "active"},
            ("directory_role", "ann", "r", None, "active"),
            "ann gained directory role on r: nothing → active.",
        ),
        (
            "environment_roles",
            {"principal_id": "ann", "environment_id": E, "role": "Maker"},
            ("environment_role", "ann", E, E, "Maker"),
            "ann gained environment role on env: nothing → Maker.",
        ),
        ("connections", CONNECTION, ("connection", "c", None, E, None), "c gained connection."),
    ],
)
def test_a_new_row_tells_its_value_and_no_columns(table, row, expected, words):
    first, second = state(**{table: []}), state(**{table: [row]})
    what, subject, thing, environment, value = expected
    assert told(first, second) == [(what, "gained", subject, thing, environment, None, value, None)]
    assert told(second, first) == [(what, "lost", subject, thing, environment, value, None, None)]
    assert sentences(first, second) == [words]


def test_a_change_without_another_value_names_the_columns():
    first = state(flows=[FLOW | {"state": "Started", "owner_id": "ann", "display_name": "Orders"}])
    second = state(flows=[FLOW | {"state": "Started", "owner_id": "bo", "display_name": "Sales"}])
    assert sentences(first, second) == ["f changed flow in display name, owner id."]


def test_a_change_of_value_names_the_values():
    first, second = (state(flows=[FLOW | {"state": s}]) for s in ("Started", "Stopped"))
    assert sentences(first, second) == ["f changed flow: Started → Stopped."]


@pytest.mark.parametrize(
    ("table", "row", "column"),
    [
        ("identities", ANN, "last_signin_at"),
        ("identities", ANN, "last_noninteractive_signin_at"),
        ("identities", ANN, "last_successful_signin_at"),
        ("flows", FLOW, "last_run_at"),
        ("connections", CONNECTION, "token_expires_at"),
        ("connections", CONNECTION, "modified_at"),
    ],
)
def test_times_that_pass_by_themselves_are_no_change(table, row, column):
    first, second = (
        state(**{table: [row | {column: pd.Timestamp(f"2026-{month}-01", tz="UTC")}]}) for month in ("09", "10")
    )
    assert drift(first, second).empty


def test_the_time_at_which_a_flow_was_modified_tells_of_a_hand():
    first, second = (
        state(flows=[FLOW | {"modified_at": pd.Timestamp(f"2026-{month}-01", tz="UTC")}]) for month in ("09", "10")
    )
    assert [row[-1] for row in told(first, second)] == ["modified_at"]


def test_rows_that_stand_twice_are_compared_once():
    once = state(memberships=[{"group_id": "g", "member_id": "ann", "relation": "member"}])
    row = {"group_id": "g", "member_id": "ann", "relation": "member"}
    twice = state(memberships=[row, row, {"group_id": "h", "member_id": "ann", "relation": "member"}] * 2)
    assert [r[1:4] for r in told(once, twice)] == [("gained", "ann", "h")]


def test_two_roles_of_one_person_are_set_side_by_side():
    role = {"principal_id": "ann", "role_id": "r", "role_name": "Reader", "scope": "/"}
    first = state(role_assignments=[role | {"state": "active"}, role | {"state": "active", "scope": "/a"}])
    second = state(role_assignments=[role | {"state": "active"}, role | {"state": "eligible", "scope": "/a"}])
    assert told(first, second) == [("directory_role", "changed", "ann", "r", None, "active", "eligible", "state")]


def test_changes_come_by_what_and_by_whom():
    before = state(grants=[], memberships=[], flows=[FLOW])
    after = state(
        grants=[grant("read", "bo", "b"), grant("read", "bo", "a"), grant("read")],
        memberships=[{"group_id": "g", "member_id": "ann", "relation": "member"}],
        flows=[],
    )
    found = drift(before, after)
    assert found[["what", "subject_id", "object_id"]].astype(object).fillna("").to_numpy().tolist() == [
        ["flow", "f", ""],
        ["membership", "ann", "g"],
        ["right", "ann", "ledger"],
        ["right", "bo", "a"],
        ["right", "bo", "b"],
    ]
    assert list(found) == [
        *("what", "change", "subject_id", "object_id", "environment_id", "before", "after", "columns", "sentence")
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_a_table_of_one_month_only_is_not_compared_and_is_named(turned):
    months = [state(grants=[grant("read")], flows=[FLOW]), state(flows=[])]
    found = drift(*(months[::-1] if turned else months))
    assert found["what"].tolist() == ["flow"]
    notes = " ".join(found.attrs["coverage"]["notes"])
    assert "changes of rights are not seen, since not both states have them" in notes
    assert "changes of flows " not in notes
    assert "changes of app permissions are not seen" in notes


def test_nothing_collected_gives_no_change_and_says_so():
    found = drift(Tenant({}), Tenant({}))
    assert found.empty
    assert len(found.attrs["coverage"]["notes"]) == 13


# Rights in effect


def through(level: str, *, member: bool = True, **more: list[dict]) -> Tenant:
    """The account svc reaches a ledger through a group, and stands behind a connection."""
    links = [{"group_id": "g", "member_id": "svc", "relation": "member"}] if member else []
    made = [CONNECTION | {"connector_id": "x", "created_by_id": "svc"}]
    return state(grants=[grant(level, "g"), *more.pop("grants", [])], memberships=links, connections=made, **more)


def moved(before: Tenant, after: Tenant, **options: bool) -> list[tuple]:
    found = rights_drift(before, after, **options)
    return list(found.astype(str).itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (through("read"), through("write"), ("read", "write", "raised")),
        (through("full"), through("read"), ("full", "read", "lowered")),
        (through("read", member=False), through("read"), ("none", "read", "gained")),
        (through("owner"), through("owner", member=False), ("owner", "none", "lost")),
    ],
)
def test_what_an_account_reaches_through_a_group_is_compared(before, after, expected):
    assert moved(before, after) == [("svc", "ledger", *expected)]
    assert moved(before, before) == moved(after, after) == []


def test_only_accounts_behind_flows_are_compared_unless_everybody_is_asked_for():
    before, after = through("read"), through("read", grants=[grant("full", "ann", "site")])
    assert moved(before, after) == []
    assert moved(before, after, everybody=True) == [("ann", "site", "none", "full", "gained")]
    assert moved(after, before, everybody=True) == [("ann", "site", "full", "none", "lost")]


def test_an_account_of_one_month_only_is_compared_as_well():
    made = [CONNECTION | {"connector_id": "x", "created_by_id": "new"}]
    before = through("read")
    after = state(grants=[grant("read", "new", "a"), grant("write", "new", "b")], memberships=[], connections=made)
    assert moved(before, after) == [
        ("new", "a", "none", "read", "gained"),
        ("new", "b", "none", "write", "gained"),
        ("svc", "ledger", "read", "none", "lost"),
    ]


def test_what_one_of_two_months_lacks_is_named():
    whole = through("read")
    part = state(grants=[], connections=[CONNECTION | {"connector_id": "x", "created_by_id": "svc"}])
    for pair in ((whole, part), (part, whole)):
        assert rights_drift(*pair).attrs["coverage"]["notes"] == [
            "memberships not collected: rights through groups are not seen"
        ]
    assert rights_drift(whole, whole).attrs["coverage"]["notes"] == []


# Over many months


def month(number: int, *resources: str, level: str = "read", who: str = "svc") -> Tenant:
    made = [CONNECTION | {"connector_id": "x", "created_by_id": who}]
    weights = [{"resource_id": r, "kind": "sharepoint_site", "sensitivity": 5.0} for r in ("pay",)]
    return state(
        f"2026-{number:02}", grants=[grant(level, who, r) for r in resources], connections=made, resources=weights
    )


def test_rights_of_an_account_are_counted_month_by_month():
    found = creep([month(8, "a"), month(9, "a", "b", "pay"), month(10, "b", level="write")])
    assert found["month"].tolist() == ["2026-08", "2026-09", "2026-10"]
    assert found["rights"].tolist() == [1, 3, 1]
    assert found["weight"].tolist() == [1.0, 7.0, 1.0]
    assert found["since_first"].tolist() == [0, 2, 0]
    moves = found[["gained", "lost", "raised", "lowered"]].astype(object)
    assert moves.iloc[0].isna().all()
    assert moves.iloc[1:].to_numpy().tolist() == [[2, 0, 0, 0], [0, 2, 1, 0]]


@pytest.mark.parametrize(
    ("months", "creeping"),
    [
        ([["a"], ["a", "b"], ["a", "b", "c"]], [False, False, True]),
        ([["a"], ["a", "b"]], [False, False]),
        ([["a"], ["a", "b"], ["a", "b"], ["a", "b", "c"]], [False, False, False, False]),
        ([["a", "b"], ["a"], ["a", "b"], ["a", "b", "c"]], [False, False, False, False]),
        ([["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]], [False, False, True, True]),
    ],
)
def test_an_account_creeps_when_its_rights_grew_in_each_of_three_months_or_more(months, creeping):
    found = creep([month(n, *resources) for n, resources in enumerate(months, 5)])
    assert found["creeping"].tolist() == creeping


def test_two_accounts_are_followed_apart():
    both = [
        state(
            f"2026-{n:02}",
            grants=[*(grant("read", "svc", r) for r in "abcd"[:n]), grant("read", "bot", "a")],
            connections=[
                CONNECTION | {"connector_id": "x", "created_by_id": "svc"},
                {"environment_id": E, "connection_id": "d", "connector_id": "x", "created_by_id": "bot"},
            ],
        )
        for n in (1, 2, 3)
    ]
    found = creep(iter(both)).set_index(["account_id", "month"])
    assert found.loc["svc", "creeping"].tolist() == [False, False, True]
    assert found.loc["svc", "since_first"].tolist() == [0, 1, 2]
    assert found.loc["bot", "creeping"].tolist() == [False, False, False]
    assert found.loc["bot", "since_first"].tolist() == [0, 0, 0]


def test_without_a_month_there_is_nothing_and_without_rights_it_is_said():
    empty = creep([])
    assert len(empty) == 0
    assert list(empty) == [
        *("month", "account_id", "rights", "weight", "gained", "lost", "raised", "lowered", "since_first", "creeping")
    ]
    assert str(empty["creeping"].dtype) == "boolean"
    for found in (creep([state(connections=[])]), rights_drift(state(connections=[]), state(connections=[]))):
        assert found.attrs["coverage"]["answer"] == "none"
        assert "grants not collected: no right on a resource is seen" in found.attrs["coverage"]["notes"]
    assert creep([state(grants=[])]).attrs["coverage"]["answer"] == "full"
