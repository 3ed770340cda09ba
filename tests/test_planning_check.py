"""The checker finds every kind of wrong result."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flowanalysis.errors import PlanError
from flowanalysis.planning import check
from flowanalysis.planning.check import check_roles
from flowanalysis.planning.mining import mine_roles

PAIRS = pd.DataFrame([("a", "x"), ("a", "y"), ("b", "y"), ("c", "z")], columns=["flow", "right"])
ROLES = pd.DataFrame([(1, "x"), (2, "y"), (3, "z")], columns=["role", "column"])
MEMBERS = pd.DataFrame([("a", 1), ("a", 2), ("b", 2), ("c", 3)], columns=["row", "role"])


def certificate(*lines):
    return pd.DataFrame(lines, columns=["row", "column"])


def test_a_right_result_passes():
    check_roles(PAIRS, ROLES, MEMBERS, certificate(("a", "x"), ("b", "y"), ("c", "z")))


def test_duplicate_pairs_and_other_columns_do_not_matter():
    check_roles(pd.concat([PAIRS, PAIRS]).assign(extra=1), ROLES, MEMBERS)


def test_excess_names_role_row_and_column():
    extra = pd.concat([MEMBERS, pd.DataFrame({"row": ["b"], "role": [1]})])
    with pytest.raises(PlanError, match=r"Excess: role 1 gives 'x' to 'b'"):
        check_roles(PAIRS, ROLES, extra)


def test_omission_names_row_and_column():
    with pytest.raises(PlanError, match=r"Omission: no role gives 'y' to 'b'"):
        check_roles(PAIRS, ROLES, MEMBERS.drop(index=2))


@pytest.mark.parametrize(
    "roles, members, lacks",
    [(ROLES.iloc[:2], MEMBERS, "Role 3 has no grant"), (ROLES, MEMBERS.iloc[:3], "Role 3 has no member")],
)
def test_roles_without_grants_or_members_are_refused(roles, members, lacks):
    with pytest.raises(PlanError, match=lacks):
        check_roles(PAIRS, roles, members)


def test_names_that_are_not_among_the_pairs_are_refused():
    with pytest.raises(PlanError, match="The row 'nobody' is not among the pairs"):
        check_roles(PAIRS, ROLES, MEMBERS.replace("c", "nobody"))
    with pytest.raises(PlanError, match="The column 'nothing' is not among the pairs"):
        check_roles(PAIRS, ROLES.replace("z", "nothing"), MEMBERS)


@pytest.mark.parametrize(
    "lines, says",
    [
        ([("a", "x"), ("a", "y")], "can share a role"),
        ([("a", "x"), ("a", "x")], "can share a role"),
        ([("b", "x")], "is not an assignment"),
        ([("d", "x")], "is not among the pairs"),
    ],
)
def test_a_bad_certificate_is_refused(lines, says):
    with pytest.raises(PlanError, match=says):
        check_roles(PAIRS, ROLES, MEMBERS, certificate(*lines))


def test_a_certificate_longer_than_the_number_of_roles_cannot_pass():
    with pytest.raises(PlanError):
        check_roles(PAIRS, ROLES, MEMBERS, certificate(("a", "x"), ("a", "y"), ("b", "y"), ("c", "z")))


@pytest.mark.parametrize(
    "claims, says",
    [
        ({"count": 2}, "2 roles are claimed, 3 are there"),
        ({"count": 4}, "4 roles are claimed, 3 are there"),
        ({"bound": 4}, "The bound 4 is not between the certificate's 2 and the 3 roles"),
        ({"bound": 1}, "The bound 1 is not between the certificate's 2 and the 3 roles"),
    ],
)
def test_wrong_numbers_are_refused(claims, says):
    with pytest.raises(PlanError, match=says):
        check_roles(PAIRS, ROLES, MEMBERS, certificate(("a", "x"), ("c", "z")), **claims)
    check_roles(PAIRS, ROLES, MEMBERS, certificate(("a", "x"), ("c", "z")), count=3, bound=2)


def is_right(pairs, roles, members) -> bool:
    """The same question, asked with sets and loops."""
    grants = {name: set(lines["column"]) for name, lines in roles.groupby("role")}
    complete = set(roles["role"]) == set(members["role"])
    reached = {(row, column) for row, role in members.itertuples(index=False) for column in grants.get(role, ())}
    return complete and reached == set(pairs.itertuples(index=False, name=None))


def is_apart(pairs, shown) -> bool:
    assigned = set(pairs.itertuples(index=False, name=None))
    places = list(shown.itertuples(index=False, name=None))
    return set(places) <= assigned and not any(
        {(one[0], other[1]), (other[0], one[1])} <= assigned for at, one in enumerate(places) for other in places[:at]
    )


def wrong_answers(mined):
    """Every answer that is one line away from this one: a line gone, or a line from elsewhere added."""
    rows, roles, columns = (
        sorted(set(keys)) for keys in (mined.memberships["row"], mined.roles["role"], mined.roles["column"])
    )
    for table, lines in {
        "roles": [(role, column) for role in roles for column in columns],
        "memberships": [(row, role) for row in rows for role in roles],
        "certificate": [(row, column) for row in rows for column in columns],
    }.items():
        frame = getattr(mined, table)
        for at in frame.index:
            yield table, frame.drop(index=at)
        for line in lines:
            yield table, pd.concat([frame, pd.DataFrame([line], columns=frame.columns)], ignore_index=True)


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_one_line_away_is_judged_rightly(seed):
    rng = np.random.default_rng(seed)
    pairs = pd.DataFrame(sorted(set(map(tuple, rng.integers(0, 7, (24, 2)).tolist()))), columns=["row", "column"])
    mined = mine_roles(pairs)
    refused = 0
    for table, changed in wrong_answers(mined):
        answer = {name: getattr(mined, name) for name in ("roles", "memberships", "certificate")} | {table: changed}
        right = is_right(pairs, answer["roles"], answer["memberships"]) and is_apart(pairs, answer["certificate"])
        try:
            check_roles(pairs, **answer)
        except PlanError:
            refused += 1
            assert not right, f"{table} is right and was refused"
        else:
            assert right, f"{table} is wrong and passed"
    assert refused > 50


def test_the_checker_shares_no_code_with_the_solver():
    tree = ast.parse(Path(check.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name.startswith("flowanalysis")} == {"flowanalysis.errors"}
