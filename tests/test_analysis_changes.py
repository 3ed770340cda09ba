"""Rows of two frames compared as sets, whatever their columns hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flowanalysis.analysis import changes
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.schema.compact import worded


def rows(seed: int, kinds: tuple[str, ...]) -> pd.DataFrame:
    """Rows of a few values, some of them NA, many of them twice."""
    rng = np.random.default_rng(seed)
    made = {
        "text": lambda: pd.array(rng.choice(["a", "b", "c", None], 40), TEXT),
        "compact": lambda: worded(["x", "y", f"only {seed}", "unused"], rng.integers(-1, 3, 40)),
        "number": lambda: pd.array(rng.choice([1, 2, pd.NA], 40), COUNT),
        "time": lambda: pd.to_datetime(pd.Series(rng.choice([None, "2026-01-01", "2026-02-01"], 40)), utc=True).array,
        "nothing": lambda: pd.array([pd.NA] * 40, TEXT),
        "object": lambda: pd.array([None] * 40, object),
    }
    return pd.DataFrame({place: made[kind]() for place, kind in enumerate(kinds)})


KINDS = [("text", "text", "nothing", "text"), ("compact", "number", "object"), ("time", "text", "compact")]


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("limits", [{}, {"SMALL": 0}, {"ROOM": 40}, {"MARKS": 1}], ids=str)
def test_rows_are_compared_as_sets(kinds, limits, monkeypatch):
    for name, value in limits.items():
        monkeypatch.setattr(changes, name, value)
    for seed in range(0, 12, 2):
        sides = rows(seed, kinds), rows(seed + 1, kinds)
        plain = [[tuple("NA" if pd.isna(v) else v for v in row) for row in f.itertuples(index=False)] for f in sides]
        for found, mine, other in zip(changes.difference(*sides), plain, plain[::-1], strict=True):
            assert found.tolist() == [n for n, row in enumerate(mine) if row not in other and row not in mine[:n]]


def test_beside_a_frame_without_rows_all_are_told_once():
    some = pd.DataFrame({"id": pd.array(["a", "b", "a"], TEXT)})
    assert [part.tolist() for part in changes.difference(some.iloc[:0], some)] == [[], [0, 1]]
    assert [part.tolist() for part in changes.difference(some.iloc[:0], some.iloc[:0])] == [[], []]
