"""An independent look at mined roles: nothing missing, nothing in excess, the certificate holds.

Nothing here is shared with the solver. The relation is rebuilt from the roles as a matrix product and compared with the
pairs that were given.
"""

from __future__ import annotations

import pandas as pd
from scipy.sparse import csr_array

from flowanalysis.errors import PlanError


def check_roles(
    pairs: pd.DataFrame,
    roles: pd.DataFrame,
    memberships: pd.DataFrame,
    certificate: pd.DataFrame | None = None,
    *,
    count: int | None = None,
    bound: int | None = None,
) -> None:
    """Raise unless roles and memberships give every row exactly its columns.

    Parameters
    ----------
    pairs : DataFrame
        The relation; its first two columns are row and column. Duplicates count once.
    roles : DataFrame
        Columns ``role``, ``column``.
    memberships : DataFrame
        Columns ``row``, ``role``.
    certificate : DataFrame, optional
        Columns ``row``, ``column``: assignments of which no two can share a role, so that no solution has fewer roles.
    count : int, optional
        The number of roles as it is claimed.
    bound : int, optional
        The claim that no solution has fewer roles: not below what the certificate shows, not above the roles here.

    Raises
    ------
    PlanError
        With the first assignment that is missing, in excess, or wrong in the certificate, or with the wrong number.

    Examples
    --------
    >>> pairs = pd.DataFrame({"flow": ["a", "a", "b"], "right": ["x", "y", "y"]})
    >>> roles = pd.DataFrame({"role": [1, 1, 2], "column": ["x", "y", "y"]})
    >>> check_roles(pairs, roles, pd.DataFrame({"row": ["a", "b"], "role": [1, 2]}))
    >>> check_roles(pairs, roles, pd.DataFrame({"row": ["a", "b", "b"], "role": [1, 1, 2]}))
    Traceback (most recent call last):
    flowanalysis.errors.PlanError: Excess: role 1 gives 'x' to 'b', which does not need it (1 such assignments).
    """
    _refuse_loose_ends(roles, memberships)
    given = _Matrix(pairs.iloc[:, 0], pairs.iloc[:, 1])
    member = _Matrix(memberships["row"], memberships["role"], rows=given.rows)
    grant = _Matrix(roles["role"], roles["column"], rows=member.columns, columns=given.columns)
    reached = _ones(member.cells @ grant.cells)
    _refuse_excess(given, member, grant, reached)
    _refuse_omission(given, reached)
    if certificate is not None:
        _refuse_certificate(given, certificate)
    _refuse_numbers(len(grant.rows), 0 if certificate is None else len(certificate), count, bound)


class _Matrix:
    """A relation between two kinds of keys as a 0/1 matrix."""

    def __init__(
        self, down: pd.Series, across: pd.Series, *, rows: pd.Index | None = None, columns: pd.Index | None = None
    ) -> None:
        self.rows = pd.Index(down.unique()) if rows is None else rows
        self.columns = pd.Index(across.unique()) if columns is None else columns
        at_row, at_column = self.rows.get_indexer(down), self.columns.get_indexer(across)
        for codes, keys, kind in ((at_row, down, "row"), (at_column, across, "column")):
            if (codes < 0).any():
                raise PlanError(f"The {kind} {keys.iloc[int((codes < 0).argmax())]!r} is not among the pairs.")
        cells = csr_array(
            ([1] * len(down), (at_row, at_column)), shape=(len(self.rows), len(self.columns)), dtype="int64"
        )
        self.cells = _ones(cells)


def _ones(cells: csr_array) -> csr_array:
    cells = csr_array(cells)
    cells.sum_duplicates()
    cells.eliminate_zeros()
    cells.data[:] = 1
    return cells


def _refuse_loose_ends(roles: pd.DataFrame, memberships: pd.DataFrame) -> None:
    """Every role has a member and a grant."""
    granted, used = set(roles["role"]), set(memberships["role"])
    for name in sorted(granted ^ used, key=str):
        lacks = "member" if name in granted else "grant"
        raise PlanError(f"Role {name!r} has no {lacks}: leave it out or complete it.")


def _refuse_excess(given: _Matrix, member: _Matrix, grant: _Matrix, reached: csr_array) -> None:
    over = csr_array(reached - reached.multiply(given.cells))
    over.eliminate_zeros()
    if over.nnz:
        row, column = (int(ends[0]) for ends in over.nonzero())
        guilty = set(member.cells[[row]].indices) & set(grant.cells[:, [column]].nonzero()[0])
        role, needless, who = member.columns.tolist()[min(guilty)], *_names(given, row, column)
        raise PlanError(
            f"Excess: role {role!r} gives {needless} to {who}, which does not need it ({over.nnz} such assignments)."
        )


def _names(given: _Matrix, row: int, column: int) -> tuple[str, str]:
    """Column and row as they are written in a message."""
    return repr(given.columns.tolist()[column]), repr(given.rows.tolist()[row])


def _refuse_omission(given: _Matrix, reached: csr_array) -> None:
    short = csr_array(given.cells - given.cells.multiply(reached))
    short.eliminate_zeros()
    if short.nnz:
        row, column = (int(ends[0]) for ends in short.nonzero())
        missing, who = _names(given, row, column)
        raise PlanError(f"Omission: no role gives {missing} to {who} ({short.nnz} such assignments).")


def _refuse_certificate(given: _Matrix, certificate: pd.DataFrame) -> None:
    rows, columns = given.rows.get_indexer(certificate["row"]), given.columns.get_indexer(certificate["column"])
    if (rows < 0).any() or (columns < 0).any():
        raise PlanError("The certificate names a row or column that is not among the pairs.")
    crossing = given.cells[rows][:, columns]
    names = list(zip(certificate["row"], certificate["column"], strict=True))
    diagonal = crossing.diagonal()
    if not diagonal.all():
        raise PlanError(f"The certificate's {names[int(diagonal.argmin())]!r} is not an assignment.")
    sharing = csr_array(crossing.multiply(crossing.T))
    first, second = sharing.nonzero()
    wrong = first < second
    if wrong.any():
        at = int(wrong.argmax())
        raise PlanError(
            f"The certificate's {names[first[at]]!r} and {names[second[at]]!r} can share a role "
            f"({int(wrong.sum())} such pairs)."
        )


def _refuse_numbers(found: int, shown: int, count: int | None, bound: int | None) -> None:
    """What is claimed about the number of roles agrees with the roles and the certificate."""
    if count is not None and count != found:
        raise PlanError(f"{count} roles are claimed, {found} are there.")
    if bound is not None and not shown <= bound <= found:
        raise PlanError(f"The bound {bound} is not between the certificate's {shown} and the {found} roles.")
