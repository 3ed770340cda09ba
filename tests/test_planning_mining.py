"""The fewest roles: known optima, planted roles, and what must hold whatever happens."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import THOROUGH
from hypothesis import given, settings
from hypothesis import strategies as st

from flowanalysis.errors import InputError, UnknownName
from flowanalysis.planning import cover, generation, tiles
from flowanalysis.planning.check import check_roles
from flowanalysis.planning.clock import Clock
from flowanalysis.planning.component import Component
from flowanalysis.planning.kernel import Kernel, collapse
from flowanalysis.planning.mining import EFFORTS, mine_roles

# Set -> fewest roles, each proved by bound and cover together.
FEWEST = {
    "hc": 14,
    "domino": 20,
    "emea": 34,
    "fire2": 10,
    "fire1": 64,
    "apj": 453,
    "customer": 276,
    "americas_small": 178,
    "americas_large": 398,
}
HEAVIEST = {"americas_small": 12_000, "apj": 5_100}


def planted(rows: int, columns: int, roles: int, *, widest: int, most: int, seed: int) -> pd.DataFrame:
    """Rows that are unions of up to `most` of the planted roles, which have up to `widest` columns."""
    rng = np.random.default_rng(seed)
    grants = [rng.choice(columns, rng.integers(1, widest + 1), replace=False) for _ in range(roles)]
    lines = {
        (f"u{row}", f"p{column}")
        for row in range(rows)
        for role in rng.choice(roles, rng.integers(1, most + 1), replace=False)
        for column in grants[role].tolist()
    }
    return pd.DataFrame(sorted(lines), columns=["row", "column"])


def read(path) -> pd.DataFrame:
    return pd.read_csv(path, sep=r"\s+", header=None, dtype=str, names=["row", "column"])


def same(one, other) -> bool:
    return all(getattr(one, name).equals(getattr(other, name)) for name in ("roles", "memberships", "certificate"))


@pytest.mark.parametrize("name", FEWEST)
def test_published_sets_get_the_fewest_roles_with_proof(corpus, name):
    pairs = read(corpus / "roles" / f"{name}.txt")
    mined = mine_roles(pairs)
    check_roles(pairs, mined.roles, mined.memberships, mined.certificate)
    assert (mined.count, mined.bound, mined.proved) == (FEWEST[name], FEWEST[name], True)
    assert FEWEST[name] - 2 <= len(mined.certificate) <= FEWEST[name]
    assert mined.weight <= HEAVIEST.get(name, mined.weight)


@pytest.mark.parametrize("name", ["hc", "fire1", "apj", "americas_small"])
def test_the_order_of_the_lines_does_not_matter(corpus, name):
    pairs = read(corpus / "roles" / f"{name}.txt")
    assert same(mine_roles(pairs), mine_roles(pd.concat([pairs, pairs.head(50)]).sample(frac=1, random_state=7)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(50, 100, 25, 12, 10), (100, 100, 30, 12, 10)])
def test_planted_roles_are_never_exceeded(shape, seed):
    rows, columns, roles, widest, most = shape
    pairs = planted(rows, columns, roles, widest=widest, most=most, seed=seed)
    mined = mine_roles(pairs, effort="quick")
    check_roles(pairs, mined.roles, mined.memberships, mined.certificate)
    assert len(mined.certificate) <= mined.bound <= mined.count <= roles
    assert mined.proved


@pytest.mark.parametrize("shape", [(120, 120, 60, 30, 6), (100, 300, 50, 60, 6), (300, 300, 150, 6, 12)])
def test_dense_wide_and_thin_planted_roles_are_never_exceeded(shape):
    rows, columns, roles, widest, most = shape
    mined = mine_roles(planted(rows, columns, roles, widest=widest, most=most, seed=1), effort="quick")
    assert mined.bound <= mined.count <= roles


def test_the_order_of_the_lines_does_not_matter_where_roles_are_generated():
    pairs = planted(60, 60, 30, widest=15, most=6, seed=5)
    one = mine_roles(pairs, effort="quick")
    assert same(one, mine_roles(pairs.sample(frac=1, random_state=7), effort="quick"))


@pytest.mark.slow
@pytest.mark.parametrize("most", [5, 12] if THOROUGH else [5])
def test_no_more_than_the_planted_roles_are_found_in_dense_relations(most):
    mined = mine_roles(planted(300, 300, 150, widest=40, most=most, seed=1), effort="quick")
    assert mined.count <= 150
    assert not mined.late


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", [(500, 500, 150, 15, 20), (1000, 1000, 500, 15, 15) if THOROUGH else (500, 500, 250, 15, 15)]
)
def test_large_planted_relations_are_solved_by_generating_roles(shape):
    rows, columns, roles, widest, most = shape
    pairs = planted(rows, columns, roles, widest=widest, most=most, seed=1)
    mined = mine_roles(pairs)
    assert mined.count <= roles
    assert mined.proved


def exhaustive(lines: set[tuple[int, int]]) -> int:
    """Fewest roles by trying all sets of closed bicliques, smallest first."""
    columns_of: dict[int, set[int]] = {}
    for row, column in lines:
        columns_of.setdefault(row, set()).add(column)
    shared = {
        frozenset(set.intersection(*(columns_of[row] for row in chosen)))
        for size in range(1, len(columns_of) + 1)
        for chosen in itertools.combinations(columns_of, size)
    } - {frozenset()}
    roles = [{(r, c) for r, own in columns_of.items() if grants <= own for c in grants} for grants in shared]
    sizes = range(len(columns_of) + 1)
    return next(n for n in sizes for some in itertools.combinations(roles, n) if set().union(*some) == lines)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20))
def test_small_relations_agree_with_trying_everything(lines):
    mined = mine_roles(pd.DataFrame(sorted(lines), columns=["row", "column"]))
    assert mined.count == mined.bound == exhaustive(lines)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_generating_roles_agrees_with_listing_them(seed):
    pairs = planted(16, 16, 9, widest=7, most=4, seed=seed)
    codes = np.column_stack([pd.factorize(pairs[name], sort=True)[0] for name in pairs])
    kernel = Kernel(collapse(codes[:, 0], codes[:, 1]))
    kernel.reduce()
    for edges in kernel.components():
        if len(edges) == 1:
            continue
        listed = cover.exact_cover(kernel.relation, edges, Clock())
        search = generation.Search(Component(kernel.relation, edges), Clock())
        search.run()
        assert search.bound <= len(listed.roles) <= len(search.best)
        assert len(search.best) - search.bound <= 1
        assert sorted(np.unique(np.concatenate(search.best)).tolist()) == list(range(len(edges)))


def plain_greedy(pairs) -> int:
    """Roles of the greedy of the benchmark beside these tests."""
    path = Path(__file__).parent / "benchmarks" / "mining.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_mining", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.plain_greedy(pairs)


def test_without_time_the_roles_are_complete_and_the_bound_holds():
    pairs = planted(100, 100, 50, widest=12, most=15, seed=3)
    mined = mine_roles(pairs, deadline=0.0)
    check_roles(pairs, mined.roles, mined.memberships, mined.certificate)
    assert mined.late
    assert 1 <= len(mined.certificate) <= mined.bound <= 50
    assert mined.proved == (mined.bound == mined.count)
    assert mined.count <= plain_greedy(pairs)


def test_work_is_counted_not_timed(monkeypatch):
    pairs = planted(100, 100, 50, widest=12, most=15, seed=3)
    monkeypatch.setitem(EFFORTS, "quick", (2e5, 1e9))
    one = mine_roles(pairs, effort="quick")
    now = itertools.count()
    monkeypatch.setattr("flowanalysis.planning.clock.time.monotonic", lambda: float(next(now)))
    other = mine_roles(pairs, effort="quick")
    assert same(one, other)
    assert (one.bound, one.late, other.late) == (other.bound, False, False)


@pytest.mark.parametrize("stage", ["kernel.Kernel.reduce", "generation.Search.run", "generation.Search._price"])
def test_an_interrupt_returns_the_best_so_far(monkeypatch, stage):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"flowanalysis.planning.{stage}", interrupted)
    pairs = planted(100, 100, 50, widest=12, most=15, seed=3)
    mined = mine_roles(pairs)
    check_roles(pairs, mined.roles, mined.memberships, mined.certificate)
    assert mined.late
    assert mined.bound <= 50


@pytest.mark.parametrize("moment", [4, 12])
def test_an_interrupt_in_the_middle_keeps_what_was_found(monkeypatch, moment):
    pairs = planted(200, 200, 100, widest=30, most=8, seed=1)
    grow, calls = tiles.Tiler._grow, itertools.count()

    def interrupted(self, *args):
        if next(calls) == moment:
            raise KeyboardInterrupt
        return grow(self, *args)

    monkeypatch.setattr("flowanalysis.planning.tiles.Tiler._grow", interrupted)
    mined = mine_roles(pairs)
    assert next(calls) == moment + 1  # nothing is grown after it
    assert mined.late
    assert mined.bound <= 100
    assert mined.bound <= mined.count < plain_greedy(pairs)


def test_shrinking_keeps_the_number_and_loses_weight(corpus, monkeypatch):
    pairs = read(corpus / "roles" / "americas_small.txt")
    thin = mine_roles(pairs)
    monkeypatch.setattr("flowanalysis.planning.mining.shrink", lambda relation, roles, *_: roles)
    fat = mine_roles(pairs)
    assert thin.count == fat.count
    assert thin.weight < 0.7 * fat.weight


def test_keys_keep_their_type_and_duplicates_count_once():
    mined = mine_roles(pd.DataFrame({"flow": [2, 1, 2], "right": ["b", "a", "b"]}))
    assert mined.memberships["row"].tolist() == [1, 2]
    assert mined.roles["column"].tolist() == ["a", "b"]


def test_keys_of_several_types_are_told_apart():
    mined = mine_roles(pd.DataFrame({"row": pd.Series([1, "1", ("x",)], dtype=object), "column": ["a", "b", "c"]}))
    assert mined.count == 3


def test_no_pairs_need_no_roles():
    mined = mine_roles(pd.DataFrame({"row": [], "column": []}))
    assert (mined.count, mined.bound, mined.proved, len(mined.certificate)) == (0, 0, True, 0)


def test_an_empty_key_is_refused_with_its_line():
    with pytest.raises(InputError, match="column 'row', line 1"):
        mine_roles(pd.DataFrame({"row": ["a", None], "column": ["x", "y"]}))


def test_one_column_is_refused():
    with pytest.raises(InputError, match="two columns"):
        mine_roles(pd.DataFrame({"row": ["a"]}))


def test_an_unknown_effort_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'normal'"):
        mine_roles(pd.DataFrame({"row": ["a"], "column": ["x"]}), effort="norml")


def test_a_progress_bar_is_shown_on_request_only(capsys):
    pairs = planted(20, 20, 6, widest=5, most=3, seed=0)
    mine_roles(pairs)
    assert capsys.readouterr().err == ""
    mine_roles(pairs, progress=True)
    assert "assignments" in capsys.readouterr().err
