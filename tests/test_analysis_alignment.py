"""Values of a matrix where another has entries: by looking all places up, and row beside row, as told one by one."""

from __future__ import annotations

import numpy as np
import pytest

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.analysis.alignment import aligned, levels_at


@pytest.fixture(params=["looked up", "by loops"], autouse=True)
def way(request, monkeypatch):
    """Both ways; loops as plain Python."""
    monkeypatch.setattr(kernels, "worth", lambda work: request.param == "by loops")
    monkeypatch.setattr(kernels, "compiled", lambda loop: loop)


def some(seed: int, rows: int) -> matrices.Matrix:
    """Levels of 20 columns in some rows, the last of which is empty."""
    rng = np.random.default_rng(seed)
    row, column = rng.integers(0, rows - 1, 5 * rows), rng.integers(0, 20, 5 * rows)
    return matrices.relation(row, column, rng.integers(1, 5, 5 * rows), (rows, 20))


@pytest.mark.parametrize("seed", range(4))
def test_each_entry_has_the_other_value_of_its_column(seed):
    entries, values = some(seed, 30), some(seed + 10, 12)
    rows = np.random.default_rng(seed).integers(0, 12, 30)
    whole = values.toarray()[rows]
    expected = whole[matrices.row_of(entries), entries.indices]
    assert aligned(entries, values, rows).tolist() == expected.tolist()
    assert (expected > 0).any()
    assert (expected == 0).any()


@pytest.mark.parametrize("seed", range(4))
def test_single_places_have_their_values_and_no_row_has_none(seed):
    levels, rng = some(seed, 15), np.random.default_rng(seed)
    row, column = rng.integers(-1, 15, 200), rng.integers(0, 20, 200)
    expected = np.where(row >= 0, levels.toarray()[row, column], 0)
    assert levels_at(levels, row, column).tolist() == expected.tolist()


def test_matrices_without_entries_have_no_values():
    empty = matrices.Matrix((2, 3), dtype=np.int8)
    assert aligned(empty, some(0, 4)[:, :3].tocsr(), np.array([0, 1])).tolist() == []
    assert aligned(some(0, 4)[:2, :3].tocsr(), empty, np.array([0, 1])).max() == 0
    assert levels_at(empty, np.array([0, -1]), np.array([2, 0])).tolist() == [0, 0]
