"""Laws of comparing two states: nothing, all of it, and back again."""

from __future__ import annotations

import copy
import random

import pandas as pd
import pytest
import worlds
from hypothesis import given

from flowanalysis.analysis.changes import apply, changes
from flowanalysis.analysis.drift import drift, rights_drift
from flowanalysis.tenant import Tenant

OPPOSITE = {
    "gained": "lost",
    "lost": "gained",
    "raised": "lowered",
    "lowered": "raised",
    "changed": "changed",
    "added": "removed",
    "removed": "added",
}


def two(seed: int) -> tuple[Tenant, Tenant]:
    """A tenant, and what became of it: rows gone, rows new, values changed."""
    dice = random.Random(seed)
    before = worlds.rows(seed)
    after, other = copy.deepcopy(before), worlds.rows(seed + 1)
    for table, rows in after.items():
        rows[:] = [r for r in rows if dice.random() > 0.2] + dice.sample(other[table], min(2, len(other[table])))
    for person in after["identities"]:
        person["status"] = dice.choice(worlds.STATUS)
    return worlds.tenant(before), worlds.tenant(after, shuffle=seed)


@worlds.examples(3)
@given(worlds.seeds)
def test_a_state_compared_with_itself_in_another_order_has_no_change(seed):
    tables = worlds.rows(seed)
    first, second = worlds.tenant(tables, shuffle=1), worlds.tenant(tables, shuffle=2)
    assert changes(first, second) == {}
    assert drift(first, second).empty
    assert rights_drift(first, second).empty


@worlds.examples(3)
@given(worlds.seeds)
def test_the_changes_applied_give_the_second_state(seed):
    before, after = two(seed)
    made = apply(before, changes(before, after))
    for table in worlds.rows(seed):
        worlds.frames_alike(made[table], after[table])


@worlds.examples(3)
@given(worlds.seeds)
def test_the_changes_back_are_the_changes_turned_round(seed):
    before, after = two(seed)
    there, back = changes(before, after), changes(after, before)
    assert there.keys() == back.keys()
    for table, rows in there.items():
        worlds.frames_alike(_turned(rows), back[table])


@pytest.mark.parametrize("compare", [drift, rights_drift])
@worlds.examples(2)
@given(worlds.seeds)
def test_drift_back_is_drift_turned_round(compare, seed):
    before, after = two(seed)
    there, back = compare(before, after), compare(after, before)
    words = [
        c for c in there.columns if c in ("what", "change", "subject_id", "account_id", "object_id", "resource_id")
    ]
    assert len(there) > 0
    worlds.frames_alike(_turned(there)[words], back[words])


def _turned(rows: pd.DataFrame) -> pd.DataFrame:
    kind = rows["change"].dtype
    return rows.assign(change=rows["change"].astype(object).map(OPPOSITE).astype(kind))
