"""The fewest roles that give every row exactly its columns - with the proof.

Rows may be flows and columns rights: then a role is a service account. The steps are those of the rooms beside this
one: what follows from the rest is taken away (`kernel`), each component that is left is covered by the fewest cliques
(`cover`, `generation`, `tiles`), everything is put back, and the roles are made thin (`shrink`). At the end the result
is held against the pairs by `check`, which shares no code with these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from flowanalysis.errors import InputError, UnknownName
from flowanalysis.planning.check import check_roles
from flowanalysis.planning.clock import Clock
from flowanalysis.planning.cover import SMALL, Cover, best_cover, plain_cover
from flowanalysis.planning.kernel import Edge, Kernel, Relation, bits, collapse
from flowanalysis.planning.shrink import Role, shrink

# Work on what cannot be solved by listing (about microseconds, the same on every machine), and the seconds behind it.
EFFORTS = {"quick": (8e6, 300.0), "normal": (100e6, 1800.0), "thorough": (3e9, 14_400.0)}


@dataclass(frozen=True)
class Mined:
    """Roles, who has them, and how few there could be.

    Attributes
    ----------
    roles : DataFrame
        ``role`` (1, 2, …; the heaviest first), ``column``: what a role grants.
    memberships : DataFrame
        ``row``, ``role``.
    bound : int
        No set of roles without excess and omission is smaller.
    proved : bool
        True when the number of roles equals `bound`.
    certificate : DataFrame
        ``row``, ``column``: assignments of which no two can share a role. Anyone can check by hand that at least
        so many roles are needed; `bound` may be larger where the rest of the proof is a computation.
    seconds : dict of str to float
        Wall time of every stage.
    late : bool
        True when an interrupt or the seconds, not the work, ended the search: another run may find fewer roles or a
        higher bound. Otherwise the same pairs give the same result.
    """

    roles: pd.DataFrame
    memberships: pd.DataFrame
    bound: int
    proved: bool
    certificate: pd.DataFrame
    seconds: dict[str, float]
    late: bool = False

    @property
    def count(self) -> int:
        """Number of roles."""
        return int(self.roles["role"].nunique())

    @property
    def weight(self) -> int:
        """Roles + memberships + grants."""
        return self.count + len(self.roles) + len(self.memberships)


def mine_roles(
    pairs: pd.DataFrame,
    *,
    effort: str = "normal",
    progress: bool | None = None,
    deadline: float | None = None,
) -> Mined:
    """The fewest roles that give every row exactly its columns.

    Parameters
    ----------
    pairs : DataFrame
        The first two columns are row and column keys; each line says that the row needs the column. Duplicates and the
        order of the lines do not matter.
    effort : {"quick", "normal", "thorough"}
        How much work to put into what cannot be solved by listing all candidates: about ten seconds, two minutes, an
        hour. Work is counted in steps, so the result does not hang on the machine or its load, only on the pairs and
        the version of the solver beneath.
    progress : bool, optional
        Show a progress bar over the assignments that are left to cover.
    deadline : float, optional
        Seconds after which the best so far is returned, whatever the effort. Unless given a guard stands far behind
        the work: five minutes, half an hour, four hours.

    Returns
    -------
    Mined
        An interrupt (Ctrl-C, the stop button of a notebook) also ends the work early; the roles are complete and the
        bound holds in every case, but they may be further apart.

    Raises
    ------
    InputError
        `pairs` has fewer than two columns or an empty key.
    UnknownName
        There is no such effort.

    Notes
    -----
    The fewest roles are not the most meaningful ones: on data with errors a minimum cover may cut across the purposes
    that people had in mind. Read it as a bound, and keep existing accounts where they make sense.

    Examples
    --------
    >>> needs = pd.DataFrame({"flow": ["a", "a", "b", "c"], "right": ["read", "send", "read", "send"]})
    >>> mined = mine_roles(needs)
    >>> mined.count, mined.bound, mined.proved
    (2, 2, True)
    """
    if effort not in EFFORTS:
        raise UnknownName("effort", effort, EFFORTS)
    work, guard = EFFORTS[effort]
    clock = Clock(guard if deadline is None else deadline)
    row_codes, row_keys = _codes(pairs, 0)
    column_codes, column_keys = _codes(pairs, 1)
    if pairs.empty:
        return Mined(**_frames_of_nothing(row_keys, column_keys), bound=0, proved=True, seconds=clock.stages)
    codes = np.unique(np.column_stack([row_codes, column_codes]), axis=0)
    relation = collapse(codes[:, 0], codes[:, 1])
    clock.stage("read")
    roles, bound, apart = _solve(relation, clock, work, progress=bool(progress))
    frames = _frames(relation, roles, apart, row_keys, column_keys)
    clock.stage("frames")
    check_roles(pairs, *frames.values(), count=len(roles), bound=bound)
    clock.stage("check")
    return Mined(**frames, bound=bound, proved=bound == len(roles), seconds=clock.stages, late=clock.late)


def _codes(pairs: pd.DataFrame, at: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes in the order of the keys, so that the order of the lines does not matter."""
    if pairs.shape[1] < 2:
        raise InputError("pairs needs two columns, row and column", where=f"columns {list(pairs.columns)}")
    series = pairs.iloc[:, at]
    codes, keys = pd.factorize(series)
    if (codes < 0).any():
        line = int(np.argmin(codes))
        raise InputError(
            "empty key", where=f"column {pairs.columns[at]!r}, line {line}", remedy="Drop or name such lines."
        )
    keys = np.asarray(keys, dtype=object)
    try:
        order = sorted(range(len(keys)), key=keys.__getitem__)
    except TypeError:  # keys of several types
        order = sorted(range(len(keys)), key=lambda code: (type(keys[code]).__name__, str(keys[code])))
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys))
    return rank[codes], keys[order]


def _solve(relation: Relation, clock: Clock, work: float, *, progress: bool) -> tuple[list[Role], int, list[Edge]]:
    """Roles over distinct rows and columns, the bound, and assignments of which no two share a role."""
    kernel = Kernel(relation)
    try:
        kernel.reduce(clock.part(0.5).keep_going)
    except KeyboardInterrupt:
        clock.stop()
        kernel = Kernel(relation)
    clock.stage("reduce")
    covers = _cover(kernel, clock, work, progress=progress)
    clock.stage("cover")
    role_of: dict[Edge, int] = {}
    for role, edges in enumerate(edges for cover in covers for edges in cover.roles):
        role_of.update(dict.fromkeys(edges, role))
    roles = kernel.restore(role_of, sum(len(cover.roles) for cover in covers))
    clock.stage("restore")
    row_weight, column_weight = (np.bincount(c).tolist() for c in (relation.row_class, relation.column_class))
    roles = shrink(relation, roles, row_weight, column_weight, clock)
    clock.stage("shrink")
    return roles, sum(cover.bound for cover in covers), [edge for cover in covers for edge in cover.apart]


def _cover(kernel: Kernel, clock: Clock, work: float, *, progress: bool) -> list[Cover]:
    """A cover for every component; after an interrupt the rest gets what needs no time."""
    groups = kernel.components()
    whole = Clock(0.9 * clock.left(), work, ledger=clock.ledger)
    covers = []
    left = sum(map(len, groups))
    with tqdm(total=left, desc="assignments", disable=not progress, leave=False) as bar:
        for group in groups:
            working = whole.part(len(group) / left) if len(group) > SMALL else whole
            try:
                cover = best_cover(kernel.relation, group, working)
            except KeyboardInterrupt:
                working.stop()
                cover = plain_cover(group)
            if working.stopped:
                clock.stop()
                whole.stop()
            covers.append(cover)
            left -= len(group)
            bar.update(len(group))
    return covers


def _frames(
    relation: Relation, roles: Sequence[Role], apart: Sequence[Edge], row_keys: np.ndarray, column_keys: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Roles, memberships and certificate in the keys of the pairs; heavy roles first, ties by their first grant."""
    rows_in = _members(relation.row_class)
    columns_in = _members(relation.column_class)
    full = [
        (
            np.sort(np.concatenate([rows_in[row] for row in bits(rows)])),
            np.sort(np.concatenate([columns_in[column] for column in bits(columns)])),
        )
        for rows, columns in roles
    ]
    full.sort(key=lambda role: (-len(role[0]) * len(role[1]), role[1].tolist(), role[0].tolist()))
    members = [(row, name) for name, (rows, _) in enumerate(full, 1) for row in rows.tolist()]
    grants = [(name, column) for name, (_, columns) in enumerate(full, 1) for column in columns.tolist()]
    spots = sorted((int(rows_in[row][0]), int(columns_in[column][0])) for row, column in apart)
    return {
        "roles": _frame(grants, {"role": None, "column": column_keys}),
        "memberships": _frame(sorted(members), {"row": row_keys, "role": None}),
        "certificate": _frame(spots, {"row": row_keys, "column": column_keys}),
    }


def _frames_of_nothing(row_keys: np.ndarray, column_keys: np.ndarray) -> dict[str, pd.DataFrame]:
    return {
        "roles": _frame([], {"role": None, "column": column_keys}),
        "memberships": _frame([], {"row": row_keys, "role": None}),
        "certificate": _frame([], {"row": row_keys, "column": column_keys}),
    }


def _members(classes: np.ndarray) -> list[np.ndarray]:
    """Original codes behind every class, ascending."""
    order = np.argsort(classes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(classes))[:-1])


def _frame(lines: Sequence[tuple[int, int]], keys: dict[str, np.ndarray | None]) -> pd.DataFrame:
    """A frame of two columns; codes become keys where keys are given."""
    codes = np.array(lines, dtype=np.int64).reshape(-1, 2)
    found = {}
    for at, (name, values) in enumerate(keys.items()):
        column = codes[:, at]
        found[name] = (
            column if values is None else pd.Series(values[column], dtype=pd.Series(values).infer_objects().dtype)
        )
    return pd.DataFrame(found)
