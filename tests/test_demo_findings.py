"""The findings of the demo tenant are the planted ones: all of them, and nothing else."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import demo, places, sources
from flowanalysis.analysis.blast import escalations
from flowanalysis.analysis.identities import classify
from flowanalysis.demo.truths import RULE_MEANING
from flowanalysis.exceptions import apply_exceptions, read_exceptions
from flowanalysis.findings import find
from flowanalysis.rules import RULES
from flowanalysis.tenant import Tenant


@pytest.fixture(scope="module")
def tenants() -> dict[str, Tenant]:
    return {month: sources.read(places.demo() / month).tenant() for month in demo.MONTHS}


@pytest.fixture(scope="module")
def found(tenants) -> dict[str, pd.DataFrame]:
    first, second = demo.MONTHS
    return {first: find(tenants[first]), second: find(tenants[second], previous=tenants[first])}


def _of(frame: pd.DataFrame, rule: str) -> set[tuple[str, ...]]:
    mine = frame[frame["rule"] == rule]
    return set(mine[["subject_kind", "subject_id", "subject_name"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("month", demo.MONTHS)
@pytest.mark.parametrize("rule", RULE_MEANING)
def test_findings_are_the_planted_ones(found, month, rule):
    if rule not in RULES:
        pytest.skip(f"{rule} is planted, and there is no such rule yet")
    here, planted = _of(found[month], rule), _of(demo.planted(month), rule)
    if rule.startswith("CON"):  # the name of a connection is up to the rule
        here, planted = ({row[:2] for row in rows} for rows in (here, planted))
    assert here == planted


@pytest.mark.parametrize("month", demo.MONTHS)
def test_no_rule_speaks_that_nothing_was_planted_for(found, month):
    assert set(found[month]["rule"]) <= set(RULE_MEANING)


def test_exceptions_hold_until_their_day(tenants, found):
    exceptions = read_exceptions(places.demo() / "exceptions.csv")
    findings = apply_exceptions(found["2026-10"], exceptions, as_of=tenants["2026-10"].as_of)
    told = findings[findings["rule"].isin(["SEC-3", "CON-4"])].set_index("rule")["exception"]
    assert told.to_dict() == {"SEC-3": "accepted", "CON-4": "expired"}


def test_demo_is_collected_in_full(found):
    assert (found["2026-10"]["confidence"] == "full").mean() > 0.9


def test_only_the_planted_outsider_gains_by_editing(tenants):
    tenant = tenants["2026-10"]
    known = tenant.identities.set_index("identity_id")
    gained = escalations(tenant)["editor_id"].astype("str")
    living = known["upn"][known["status"] == "active"].reindex(gained).dropna()
    assert set(living) == {"max.hollow@tailwindtraders.example"}


def test_look_alikes_are_classified_as_what_they_are(tenants):
    tenant = tenants["2026-10"]
    names = tenant.identities.set_index("identity_id")["upn"]
    verdicts = classify(tenant).assign(upn=lambda v: v["identity_id"].map(names)).set_index("upn")
    people = ("sa.rahimi", "app.lindgren", "petra.lindqvist", "breakglass-01")
    for who in people:
        assert verdicts.loc[f"{who}@tailwindtraders.example", "band"] == "person", who
    assert verdicts.loc["customerservice@tailwindtraders.example", "band"] != "service"
    services = verdicts[verdicts["kind"] == "service_account"]
    assert (services["band"] == "service").all()
    assert {upn.partition("@")[0] for upn in services.index} == {
        a.key for a in demo.world_of("2026-10").accounts.values() if a.kind == "service"
    }
