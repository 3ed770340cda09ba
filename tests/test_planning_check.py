"""The checker finds every kind of wrong result."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd
import pytest

from flowanalysis.errors import PlanError
from flowanalysis.planning import check
from flowanalysis.planning.check import check_roles

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


def test_the_checker_shares_no_code_with_the_solver():
    tree = ast.parse(Path(check.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name.startswith("flowanalysis")} == {"flowanalysis.errors"}
