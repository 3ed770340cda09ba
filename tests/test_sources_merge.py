"""Merging: trusted first, newest first within a source, nothing lost in silence."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowanalysis import reference, schema, sources
from flowanalysis.sources.coverage import coverage
from flowanalysis.sources.merge import CONFLICTS, Part, bundled, codes, merge, trust

NEW, OLD = pd.Timestamp("2026-10-31", tz="UTC"), pd.Timestamp("2026-10-01", tz="UTC")


def part(rows: list[dict], source: str = "graph users", table: str = "identities", **more) -> Part:
    return Part(table, schema.frame(table, rows), source, **more)


def person(name: str = "a", **more) -> dict:
    return {"identity_id": name, **more}


def test_one_source_without_repetition_is_left_alone():
    found = merge("identities", [part([person("b"), person("a")])])
    assert found.frame["identity_id"].tolist() == ["b", "a"]
    assert found.duplicates == [0]
    assert found.conflicts.empty


def test_missing_never_overwrites():
    graph = part([person(display_name=None, account_enabled=None)])
    coe = part([person(display_name="A", account_enabled=False)], "coe makers")
    for parts in ([graph, coe], [coe, graph]):
        row = merge("identities", parts).frame.iloc[0]
        assert row.display_name == "A"
        assert not row.account_enabled


@pytest.mark.parametrize("turned", [False, True])
def test_the_trusted_source_wins_and_the_other_is_listed(turned):
    parts = [part([person(display_name="Graph")]), part([person(display_name="CoE")], "coe makers")]
    found = merge("identities", parts[::-1] if turned else parts)
    assert found.frame["display_name"].tolist() == ["Graph"]
    assert found.conflicts.iloc[0].to_dict() == {
        "table": "identities",
        "key": "a",
        "column": "display_name",
        "kept": "Graph",
        "kept_source": "graph users",
        "dropped": "CoE",
        "dropped_source": "coe makers",
        "count": 1,
    }


@pytest.mark.parametrize("turned", [False, True])
def test_within_a_source_the_newest_wins(turned):
    parts = [part([person(department="old")], observed_at=OLD), part([person(department="new")], observed_at=NEW)]
    found = merge("identities", parts[::-1] if turned else parts)
    assert found.frame["department"].tolist() == ["new"]
    assert found.conflicts.empty


def test_without_a_date_the_later_file_wins():
    assert merge("identities", [part([person(department="1")]), part([person(department="2")])]).frame[
        "department"
    ].tolist() == ["2"]


def test_flows_tell_themselves_which_is_newer():
    def flow(when: pd.Timestamp, state: str) -> Part:
        return part(
            [{"environment_id": "e", "flow_id": "f", "modified_at": when, "state": state}],
            "flowadmin flow list",
            "flows",
        )

    assert merge("flows", [flow(NEW, "Stopped"), flow(OLD, "Started")]).frame["state"].tolist() == ["Stopped"]


def test_rows_found_in_passing_only_fill_gaps_and_are_not_listed():
    passing = part([person("a", display_name="no", mail="m"), person("b")], "graph group members", listed=False)
    found = merge("identities", [passing, part([person("a", display_name="yes")], "coe makers")])
    rows = found.frame.set_index("identity_id")
    assert rows.loc["a", ["display_name", "mail"]].tolist() == ["yes", "m"]
    assert found.listed[rows.index.get_indexer(["a", "b"])].tolist() == [True, False]


def test_steps_of_two_versions_of_a_definition_do_not_mix():
    def steps(source: str, *names: str) -> Part:
        return part([{"environment_id": "e", "flow_id": "f", "step": n} for n in names], source, "steps")

    found = merge("steps", [steps("dataverse workflows", "a", "old"), steps("flowadmin flow details", "a", "new")])
    assert sorted(found.frame["step"]) == ["a", "new"]
    assert found.duplicates == [2, 0]


def test_owner_and_its_evidence_come_from_one_source():
    def flow(source: str, owner: str, how: str) -> Part:
        return part([{"environment_id": "e", "flow_id": "f", "owner_id": owner, "owner_source": how}], source, "flows")

    for parts in ([flow("inventory flows", "i", "inventory"), flow("dataverse workflows", "d", "dataverse")],) * 2:
        row = merge("flows", parts[::-1]).frame.iloc[0]
        assert (row.owner_id, row.owner_source) == ("d", "dataverse")


def test_a_flood_of_conflicts_is_listed_up_to_a_limit():
    ids = [f"u{n}" for n in range(CONFLICTS + 5)]
    parts = [part([person(i, department=d) for i in ids], s) for d, s in (("x", "graph users"), ("y", "coe makers"))]
    found = merge("identities", parts).conflicts
    assert len(found) == CONFLICTS + 1
    assert found["count"].sum() == CONFLICTS + 5


def test_every_order_of_trust_names_columns_that_exist():
    for row in reference.table("source_trust").itertuples():
        assert row.table == "*" or row.column == "*" or row.column in schema.table(row.table).kinds
    assert trust("identities", "*")["graph"] == 0
    assert trust("identities", "mail") is None


words = st.one_of(st.none(), st.text(max_size=3))


@given(st.lists(st.tuples(words, words), max_size=30))
def test_codes_are_equal_exactly_where_the_values_are(rows):
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=schema.TEXT)
    found = codes(frame, ["a", "b"])
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            assert (found[i] == found[j]) == (one == other)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), words, words, st.sampled_from(["graph users", "coe makers"])), max_size=20
    )
)
def test_a_merge_is_what_a_plain_loop_gives(rows):
    parts = [part([person(i, mail=m, department=d)], s) for i, m, d, s in rows] or [part([])]
    found = merge("identities", parts).frame.set_index("identity_id")
    for name in {r[0] for r in rows}:
        ranked = sorted(
            ((s != "graph users", -n, m, d) for n, (i, m, d, s) in enumerate(rows) if i == name), key=lambda r: r[:2]
        )
        for column, place in (("mail", 2), ("department", 3)):
            best = next((r[place] for r in ranked if r[place] is not None), None)
            told = found.loc[name, column]
            assert (None if pd.isna(told) else told) == best
    assert len(found) == len({r[0] for r in rows})


PIECES = st.tuples(
    st.lists(st.sampled_from("abc"), max_size=3),
    st.sampled_from(["graph users", "graph members", "coe makers"]),
    st.sampled_from([None, OLD, NEW]),
    st.booleans(),
)


@given(st.lists(PIECES, min_size=1, max_size=6))
def test_a_bundle_of_parts_is_merged_like_its_parts(pieces):
    rows = [(name, f"{name}{n}") for n, (names, *_) in enumerate(pieces) for name in names]
    whole = schema.frame("identities", [person(name, display_name=shown) for name, shown in rows])
    ends = np.cumsum([0, *(len(names) for names, *_ in pieces)]).tolist()
    told = [{"source": s, "observed_at": at, "listed": listed} for _, s, at, listed in pieces]
    spans = list(zip(ends, ends[1:], strict=False))
    alone = [
        Part("identities", whole.iloc[a:b].reset_index(drop=True), **m) for (a, b), m in zip(spans, told, strict=True)
    ]
    together = bundled(Part("identities", whole, span=s, **m) for s, m in zip(spans, told, strict=True))
    one, two = merge("identities", alone), merge("identities", together)
    assert len(together) <= len(alone)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    pd.testing.assert_frame_equal(one.conflicts, two.conflicts)
    assert (one.duplicates, one.listed.tolist()) == (two.duplicates, two.listed.tolist())


def test_merging_is_fast_enough_for_many_small_files():
    parts = [part([person(f"u{n}")]) for n in range(300)]
    assert len(merge("identities", parts).frame) == 300
    assert np.sum(merge("identities", parts * 2).duplicates) == 300


def test_a_list_of_conflicts_that_is_cut_counts_the_rest_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("flowanalysis.sources.merge"), "CONFLICTS", 3)
    users = [{"id": f"u{n}", "userPrincipalName": f"u{n}@c.example", "displayName": f"U {n}"} for n in range(8)]
    graph = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": users}
    (tmp_path / "users.json").write_text(json.dumps(graph))
    portal = "User principal name,Display name,Object ID,Block credential\n"
    portal += "".join(f"u{n}@c.example,Other {n},u{n},False\n" for n in range(8))
    (tmp_path / "portal.csv").write_text(portal)
    tenant = sources.read(tmp_path).tenant()
    names = tenant.conflicts[tenant.conflicts["column"] == "display_name"]
    assert len(names) == 4
    assert names["count"].sum() == 8
    said = "8 values of identities told otherwise by another source, 3 are listed"
    assert tenant.collection_log["message"].str.contains(said, regex=False).sum() == 1
    assert coverage(tenant)["incomplete"].str.contains(said, regex=False).any()
