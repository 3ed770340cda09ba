"""Compiled loops give what the ways without them give."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracles.small import tenant

from flowanalysis import matrices
from flowanalysis.analysis import kernels, overlap, reach
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.blast import blast_radius, escalations
from flowanalysis.analysis.counting import COMMON, COVERED, COVERED_WRITE, distinct, meet, united
from flowanalysis.analysis.gap import least_privilege_gap
from flowanalysis.analysis.overlap import permission_overlap
from flowanalysis.tenant import Tenant


@pytest.fixture
def plainly(monkeypatch):
    """Loops run as plain Python wherever a compiled one would."""
    monkeypatch.setattr(kernels, "worth", lambda work: True)
    monkeypatch.setattr(kernels, "compiled", lambda loop: loop)


def some(seed: int, rows: int = 40, columns: int = 2_100) -> matrices.Matrix:
    """Levels with empty, small, large and equal rows, columns in several words and blocks."""
    rng = np.random.default_rng(seed)
    size = rng.integers(0, 60, rows)
    row = np.repeat(np.arange(rows), size)
    column = np.where(rng.random(len(row)) < 0.5, rng.integers(0, 40, len(row)), rng.integers(0, columns, len(row)))
    matrix = matrices.relation(row, column, rng.integers(1, 5, len(row)), (rows, columns))
    return matrix[np.concatenate([np.arange(rows), rng.integers(0, rows, 10)])].tocsr()


def twice(work, request):
    """What work gives by numpy, and what by the loops."""
    before = work()
    request.getfixturevalue("plainly")
    return before, work()


@pytest.mark.parametrize("seed", range(5))
def test_levels_over_ways(seed, request):
    levels, rng = some(seed), np.random.default_rng(seed + 100)
    ways = matrices.relation(rng.integers(0, 30, 90), rng.integers(0, 50, 90), 1, (31, 50))
    expected = matrices.strongest(ways, levels)
    request.getfixturevalue("plainly")
    found = kernels.strongest(ways, levels)
    for part in ("data", "indices", "indptr"):
        assert getattr(found, part).tolist() == getattr(expected, part).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_what_any_number_of_steps_reaches(seed, plainly):
    rng = np.random.default_rng(seed)
    steps = matrices.relation(rng.integers(0, 700, 900), rng.integers(0, 700, 900), 1, (700, 700))
    begin = matrices.relation(rng.integers(0, 30, 60), rng.integers(0, 700, 60), 1, (31, 700))
    expected, found = matrices.reached(begin, steps), kernels.reached(begin, steps)
    assert found.nnz > 1_100  # more than the first guess of the memory
    for part in ("data", "indices", "indptr"):
        assert getattr(found, part).tolist() == getattr(expected, part).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_what_pairs_share(seed, request):
    levels, rng = some(seed), np.random.default_rng(seed)
    first, second = rng.integers(0, 50, (2, 200))
    weight = rng.integers(1, 9, levels.shape[1]).astype(float)
    before, after = twice(lambda: meet(levels, first, second, COMMON, COVERED, COVERED_WRITE, weight=weight), request)
    assert (before == after).all()
    dense = levels.toarray().astype(int)
    least = np.minimum(dense[first], dense[second])
    assert before[0].tolist() == (least * weight).sum(axis=1).tolist()
    held = (dense[first] >= dense[second]) & (dense[second] > 0)
    assert before[1].tolist() == (held * weight).sum(axis=1).tolist()
    assert before[2].tolist() == ((held & (dense[second] >= 2)) * weight).sum(axis=1).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_what_sets_unite(seed, request):
    levels, rng = some(seed), np.random.default_rng(seed)
    sets = matrices.relation(rng.integers(0, 60, 200), rng.integers(0, 50, 200), 1, (62, 50))
    weight = rng.integers(1, 9, levels.shape[1]).astype(float)
    before, after = twice(lambda: united(levels, sets, weight, least=2), request)
    dense, expected = levels.toarray(), []
    for row in range(sets.shape[0]):
        most = dense[sets[[row]].indices].max(axis=0, initial=0)
        expected.append([(most > 0).sum(), (most >= 2).sum(), ((most > 0) * weight).sum()])
    assert np.array(before).T.tolist() == np.array(expected).tolist()
    assert np.array(after).T.tolist() == np.array(expected).tolist()


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.8, 1.0])
def test_similar_pairs(threshold, request):
    levels = some(3, rows=60, columns=90)

    def pairs() -> list[tuple[int, int]]:
        return sorted(zip(*(part.tolist() for part in overlap.similar_pairs(levels, threshold)), strict=True))

    before, after = twice(pairs, request)
    rights = [set(row.indices.tolist()) for row in overlap.nested(levels)]
    expected = [
        (i, j)
        for i in range(len(rights))
        for j in range(i + 1, len(rights))
        if rights[i] and rights[j] and len(rights[i] & rights[j]) >= threshold * len(rights[i] | rights[j]) - 1e-9
    ]
    assert before == after == expected


def test_equal_sets_are_found_even_when_their_sums_meet_by_chance(monkeypatch):
    sets = matrices.relation(np.array([0, 1, 2, 3]), np.array([1, 0, 1, 2]), 1, (5, 3))
    true, seeds = np.random.default_rng, []

    class Same:
        def integers(self, _low, _high, size):
            return np.ones(size, np.int64)

    def lot(seed):
        seeds.append(seed)
        return Same() if seed == 0 else true(seed)

    monkeypatch.setattr(np.random, "default_rng", lot)
    assert [part.tolist() for part in distinct(sets)] == [[0, 1, 0, 2, 3], [0, 1, 3, 4]]
    assert seeds == [0, 1]


def answers(found: Tenant) -> list[pd.DataFrame]:
    """Everything that the loops have a part in, computed anew."""
    reach._KEPT.pop(found, None)
    similar = permission_overlap(found, everyone=True, threshold=0.3)
    radius = [blast_radius(found), blast_radius(found, by="identity")]
    gap = least_privilege_gap(found)
    return [*radius, escalations(found), similar, effective_permissions(found, everyone=True), gap]


def test_whole_analyses_are_the_same_when_compiled(monkeypatch):
    pytest.importorskip("numba")
    kernels.numba.cache_clear()
    if kernels.numba() is None:
        pytest.skip("compiling is switched off")
    for seed in range(5):
        world = tenant(seed)
        monkeypatch.setattr(kernels, "ENOUGH", 1e18)
        expected = answers(world)
        monkeypatch.setattr(kernels, "ENOUGH", 1)
        for before, after in zip(expected, answers(world), strict=True):
            pd.testing.assert_frame_equal(before, after)


def test_without_a_compiler_nothing_is_worth_compiling(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    kernels.numba.cache_clear()
    assert not kernels.worth(1e12)
    kernels.numba.cache_clear()


def test_a_loop_that_cannot_be_kept_on_disk_is_compiled_all_the_same(monkeypatch):
    class Compiler:
        def njit(self, loop, *, cache=False, nogil):
            if cache:
                raise RuntimeError("no locator available")
            return "compiled"

    monkeypatch.setattr(kernels, "numba", lambda: Compiler())
    kernels.compiled.cache_clear()
    assert kernels.compiled(kernels.near) == "compiled"
    kernels.compiled.cache_clear()


@pytest.mark.parametrize("work", [[], [1], [0, 0, 0], [5, 1, 1, 1, 1, 1], [1] * 1000])
def test_every_item_is_done_once_and_in_order(work):
    parts = kernels.spread(np.array(work), lambda part: list(range(part.start, part.stop)), most=7)
    assert sum(parts, []) == list(range(len(work)))
