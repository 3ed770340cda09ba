"""Coverage tells what the exports answer, and what would close a gap."""

from __future__ import annotations

import pandas as pd

from flowanalysis import reference, schema
from flowanalysis.sources.coverage import coverage
from flowanalysis.tenant import Tenant

OWNERS_GONE = "Which owners are disabled or gone?"


def tenant(**rows) -> Tenant:
    return Tenant({t: schema.frame(t, r) for t, r in rows.items()}, collected=set(rows))


def row(found: pd.DataFrame, question: str) -> pd.Series:
    return found.set_index("question").loc[question]


def test_every_need_names_a_table_and_column_that_exist_and_an_export_that_closes_it():
    known = set(reference.table("exports")["need"])
    for question in reference.table("questions").itertuples():
        for need in f"{question.required} {question.wanted}".split():
            table, _, column = need.partition("~")[0].partition(".")
            assert not column or column in schema.table(table).kinds
            assert schema.table(table)
            assert need in known, need


def test_nothing_collected_answers_nothing_and_says_what_to_export():
    found = coverage(tenant())
    assert set(found["answer"]) == {"none"}
    assert found["command"].str.len().gt(0).all()


def test_users_without_account_enabled_do_not_tell_who_is_gone():
    found = coverage(
        tenant(flows=[{"flow_id": "f"}], identities=[{"identity_id": "u", "kind": "user", "status": "unknown"}])
    )
    gone = row(found, OWNERS_GONE)
    assert gone.answer == "none"
    assert "identities.account_enabled" in gone.missing
    assert "accountEnabled" in gone.command


def test_a_missing_wanted_export_makes_the_answer_partial():
    people = [{"identity_id": "u", "kind": "user", "status": "active", "account_enabled": True}]
    gone = row(coverage(tenant(flows=[{"flow_id": "f"}], identities=people)), OWNERS_GONE)
    assert gone.answer == "partly"
    assert gone.missing == "identities~deleted; flow_owners; memberships"


def test_a_left_over_link_makes_the_answer_partial():
    log = [{"source": "flowadmin flow list", "file": "f.json", "table": "flows", "next_link": True}]
    given = tenant(
        flows=[{"flow_id": "f", "state": "Started"}], environments=[{"environment_id": "e"}], collection_log=log
    )
    found = row(coverage(given), "Which flows exist and what state are they in?")
    assert (found.answer, found.missing) == ("partly", "")
    assert "f.json" in found.incomplete


def test_everything_collected_answers_in_full():
    given = tenant(flows=[{"flow_id": "f", "state": "Started"}], environments=[{"environment_id": "e"}])
    assert row(coverage(given), "Which flows exist and what state are they in?").answer == "full"


def test_a_flag_known_for_few_is_partial():
    people = [
        {"identity_id": f"u{i}", "kind": "user", "status": "active", "account_enabled": True if i else None}
        for i in range(4)
    ]
    gone = row(coverage(tenant(flows=[{"flow_id": "f"}], identities=people)), OWNERS_GONE)
    assert gone.incomplete == "identities.account_enabled known for 75%"
