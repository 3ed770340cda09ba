"""What was not collected never reads as no problem: numbers and tables of tenants that are known in part."""

from __future__ import annotations

import pytest

import flowanalysis as fa
from flowanalysis.findings import examine
from flowanalysis.report import frames, record
from flowanalysis.report.headlines import COUNTED, headlines
from flowanalysis.report.scope import scope


@pytest.fixture(scope="module")
def whole(months):
    return months["2026-10"]


def without(tenant: fa.Tenant, *tables: str) -> fa.Tenant:
    left = {t: tenant[t] for t in tenant.collected - set(tables)}
    return fa.Tenant(left, collected=tenant.collected - set(tables))


def test_rights_are_not_known_where_nobody_collected_grants(whole):
    bare = without(whole, "grants")
    table = frames.rights(bare, fa.least_privilege_gap(bare))
    assert len(table) > 0
    assert table[["granted", "needed", "excess", "missing"]].isna().all(axis=None)
    full = frames.rights(whole, fa.least_privilege_gap(whole))
    assert full[["granted", "needed", "excess", "missing"]].notna().all(axis=None)


def test_a_headline_out_of_part_of_the_data_says_so(whole):
    def told(tenant):
        seen = examine(tenant)
        states = dict(zip(seen.answerable["rule"], seen.answerable["answerable"], strict=True))
        return states, {n.name: n for n in headlines(tenant, seen, scope(tenant))}

    states, numbers = told(without(whole, "memberships", "flow_owners"))
    assert {states[rule] for _, rule, _, _ in COUNTED} == {"partly", "no"}
    for name, rule, _, _ in COUNTED:
        assert ("as far as" in numbers[name].label) == (states[rule] == "partly"), rule
        assert (numbers[name].value is None) == (states[rule] not in ("full", "partly")), rule
    states, numbers = told(whole)
    assert not any("as far as" in numbers[name].label for name, rule, _, _ in COUNTED if states[rule] == "full")
    assert set(numbers) == record.WHOLE  # each number's table holds all its rows


def test_of_many_accounts_only_pairs_that_share_much_are_told_and_the_page_says_so(whole, monkeypatch):
    few = frames.overlapping(whole)
    monkeypatch.setattr(frames, "MANY", 0)
    many = frames.overlapping(whole)
    assert len(many) == (few["jaccard"] >= frames.ALIKE).sum() < len(few)
    assert (few.attrs["least"], many.attrs["least"]) == (0, frames.ALIKE)
    assert any("less than 20%" in note for note in many.attrs["coverage"]["notes"])
    assert not any("less than" in note for note in few.attrs["coverage"]["notes"])
