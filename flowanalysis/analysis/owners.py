"""Who keeps a flow alive: living people, groups with living members, applications, lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.analysis.paths import labels, phrases
from flowanalysis.analysis.reach import covered, editors, kept
from flowanalysis.codes import Codes
from flowanalysis.lookup import texts
from flowanalysis.matrices import Matrix
from flowanalysis.schema import COUNT, FLAG, TEXT
from flowanalysis.schema.compact import worded
from flowanalysis.tenant import Tenant

DEAD = ("disabled", "deleted", "purged_or_foreign", "absent")
ALWAYS = ("SharePointList", "Tenant", "Team")  # kinds of owners that stand for many and never leave
GROUP_CAP = 50  # members of larger groups are counted, not named
TABLES = {
    "flow_owners": "co-owners are not seen, so a flow may look orphaned that is not",
    "flows": "flows and their owners are not seen",
    "identities": "whether an owner still lives is not known",
    "memberships": "groups count as living owners, however many members they have",
}


@dataclass(frozen=True, eq=False)
class Owners:
    """Living editors of every flow.

    Attributes
    ----------
    people : matrix, flows x principals
        Living people and applications who can edit, members of groups of up to 50 included.
    crowds : matrix, flows x principals
        Larger groups, groups whose members are not known, lists and everybody: they stay whoever leaves.
    """

    people: Matrix
    crowds: Matrix


@kept
def alive(tenant: Tenant) -> np.ndarray:
    """For each principal: False when it is disabled, deleted or of another directory; not known counts as living."""
    flags = np.ones(len(tenant.codes.principals), bool)
    codes = tenant.coded("identities", "identity_id")[tenant.identities["status"].isin(DEAD).to_numpy(bool)]
    flags[codes[codes >= 0]] = False
    return flags


@kept
def identity_rows(tenant: Tenant) -> np.ndarray:
    """The first row of identities of each principal; -1 for all others, and at last for the code -1."""
    rows = np.full(len(tenant.codes.principals) + 1, -1, np.int64)
    codes = tenant.coded("identities", "identity_id")
    rows[codes[::-1]] = np.arange(len(codes))[::-1]  # of several the first is written last
    rows[-1] = -1
    return rows


@kept
def owners(tenant: Tenant) -> Owners:
    """Living editors of every flow, groups resolved."""
    edit, groups = editors(tenant.codes), _nests(tenant).groups
    row, member = _small_groups(tenant)
    crowd = _always(tenant)
    crowd[groups[row[groups] < 0]] = True
    flow, principal = matrices.row_of(edit), edit.indices
    alone = (_living_people(tenant) & ~crowd)[principal]
    through = (row >= 0)[principal] & ~crowd[principal]
    places, counts = matrices.spans(member, row[principal[through]])
    people = matrices.relation(
        np.concatenate([flow[alone], np.repeat(flow[through], counts)]),
        np.concatenate([principal[alone], member.indices[places]]),
        1,
        edit.shape,
    )
    return Owners(people, matrices.ones(_columns(edit, crowd), np.int8))


def _small_groups(tenant: Tenant) -> tuple[np.ndarray, Matrix]:
    """Living people of the groups that are no crowds, and for each principal its row there; -1 for all others."""
    nests = _nests(tenant)
    inside = nests.inside
    told = matrices.row_sums(inside, nests.known[inside.indices]) > 0
    # What lies inside can only be more: groups of too many members need no look at who they are.
    some = np.flatnonzero(told & (matrices.row_sums(inside, nests.living[inside.indices] > GROUP_CAP) == 0))
    member = _people(tenant, inside[some])
    small = np.flatnonzero(np.diff(member.indptr) <= GROUP_CAP)
    row = np.full(inside.shape[1], -1, np.int32)
    row[nests.groups[some[small]]] = small
    return row, member


@dataclass(frozen=True, eq=False)
class _Nests:
    """Groups that can edit a flow (codes, ascending), for each of them itself and the groups inside it at any depth,
    and for every principal how many people it has as direct members, and how many of these live."""

    groups: np.ndarray
    inside: Matrix
    known: np.ndarray
    living: np.ndarray


@kept
def _nests(tenant: Tenant) -> _Nests:
    codes = tenant.codes
    wanted = np.zeros(len(codes.groups), bool)
    wanted[editors(codes).indices] = True
    groups = np.flatnonzero(wanted & codes.groups)
    begin = matrices.relation(np.arange(len(groups), dtype=np.int32), groups, 1, (len(groups), len(wanted)))
    holder, group = _memberships(codes, codes.groups)
    onward = kernels.reached if kernels.worth(codes.member.nnz) else matrices.reached
    inside = onward(begin, matrices.relation(group, holder, 1, codes.member.shape))
    # Nearly all members are people who live: it is sooner told how many are not.
    members = np.diff(codes.members.indptr)
    known = members - np.bincount(group, minlength=len(wanted))
    living = members - np.bincount(_memberships(codes, ~_living_people(tenant))[1], minlength=len(wanted))
    return _Nests(groups, inside, known, living)


def _memberships(codes: Codes, holders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some principals, and the groups of which they are direct members."""
    rows = np.flatnonzero(holders)
    places, counts = matrices.spans(codes.member, rows)
    return np.repeat(rows, counts), codes.member.indices[places]


def _people(tenant: Tenant, nests: Matrix) -> Matrix:
    """Living people who are direct members of some group of each row."""
    places, counts = matrices.spans(tenant.codes.members, nests.indices)
    row, member = np.repeat(matrices.row_of(nests), counts), tenant.codes.members.indices[places]
    lives = _living_people(tenant)[member]
    return matrices.relation(row[lives], member[lives], 1, nests.shape)


@kept
def crowd_sizes(tenant: Tenant) -> np.ndarray:
    """For each principal: living members of a group that can edit a flow, 0 when they are not known."""
    nests, sizes = _nests(tenant), np.zeros(len(tenant.codes.principals), np.int64)
    sizes[nests.groups] = nests.living[nests.groups]
    several = np.diff(nests.inside.indptr) > 1  # of which somebody may be a member twice
    sizes[nests.groups[several]] = _head_counts(tenant, nests.inside[several])
    return sizes


def _head_counts(tenant: Tenant, nests: Matrix) -> np.ndarray:
    """How many living people are direct members of some group of each row."""
    members, counts = tenant.codes.members, np.zeros(nests.shape[0], np.int64)
    if not kernels.worth(np.diff(members.indptr)[nests.indices].sum()):
        return np.diff(_people(tenant, nests).indptr)
    met = np.where(_living_people(tenant), -1, nests.shape[0]).astype(np.int32)  # the last row that met each of them
    kernels.compiled(heads)(nests.indptr, nests.indices, members.indptr, members.indices, met, counts)
    return counts


def heads(
    bounds: np.ndarray, group: np.ndarray, begin: np.ndarray, member: np.ndarray, met: np.ndarray, counts: np.ndarray
) -> None:
    """Rows one after the other: how many members their groups have that no earlier group of the row had."""
    for row in range(len(counts)):
        for place in range(bounds[row], bounds[row + 1]):
            for at in range(begin[group[place]], begin[group[place] + 1]):
                if met[member[at]] < row:
                    met[member[at]] = row
                    counts[row] += 1


def _living_people(tenant: Tenant) -> np.ndarray:
    return alive(tenant) & ~tenant.codes.groups


def _columns(matrix: Matrix, wanted: np.ndarray) -> Matrix:
    """The entries in some of the columns."""
    keep = wanted[matrix.indices]
    return matrices.trusted(matrix.data[keep], matrix.indices[keep], matrices.starts(keep)[matrix.indptr], matrix.shape)


def _always(tenant: Tenant) -> np.ndarray:
    flags = np.zeros(len(tenant.codes.principals), bool)
    rows = tenant.flow_owners
    codes = tenant.codes.principals.codes(rows.loc[rows["principal_kind"].isin(ALWAYS), "principal_id"])
    flags[codes[codes >= 0]] = True
    return flags


def bus_factor(tenant: Tenant, *, by: str = "flow") -> pd.DataFrame:
    """How many people must leave before nobody is left who can edit a flow.

    Parameters
    ----------
    tenant : Tenant
        The data.
    by : str
        ``flow``, or ``department`` (of the primary owner).

    Returns
    -------
    DataFrame
        By flow: environment_id, flow_id, display_name, bus_factor (living people and applications that can edit),
        at_least (True: a larger group, a list or everybody can edit too, so the number is only a lower bound),
        editors (principals with that role, living or not), department, only_person (the one who is left, where it is
        one), sentence.

        By department: department, flows, people (distinct living editors), none and single (flows with a bus factor
        of 0 and 1), bus_factor (people to remove, the one with most flows first, until more than half of the flows
        have nobody; NA when groups keep more than half alive).
    """
    flows = _flow_factors(tenant)
    rows = flows if by == "flow" else _department_factors(tenant, flows)
    return covered(rows.drop(columns="code", errors="ignore"), tenant, TABLES, essential=("flows",))


def _flow_factors(tenant: Tenant) -> pd.DataFrame:
    codes, found, flows = tenant.codes, owners(tenant), tenant.flows
    sizes = crowd_sizes(tenant)[found.crowds.indices]
    code = tenant.coded("flows", "flow_id")
    order = matrices.order(code)  # codes are in the order of environment and id
    code = code[order]
    people = np.diff(found.people.indptr)[code]
    crowd = np.zeros(len(codes.flows), np.int64)
    np.maximum.at(crowd, matrices.row_of(found.crowds), np.maximum(sizes, 1))
    only = _first(found.people, code)
    only[(people != 1) | (crowd[code] > 0)] = -1
    owner = identity_rows(tenant)[tenant.coded("flows", "owner_id")[order]]
    frame = pd.DataFrame(
        {
            **{column: flows[column].array[order] for column in ("environment_id", "flow_id", "display_name")},
            "bus_factor": pd.array(np.maximum(people, crowd[code]), dtype=COUNT),
            "at_least": pd.array(crowd[code] > 0, dtype=FLAG),
            "editors": pd.array(np.diff(editors(codes).indptr)[code], dtype=COUNT),
            "department": tenant.identities["department"].array.take(owner, allow_fill=True),
            "only_person": codes.principals.text(only),
            "code": code,
        },
        copy=False,
    )
    frame["sentence"] = _factor_sentences(tenant, frame, only)
    return frame


def _first(matrix: Matrix, rows: np.ndarray) -> np.ndarray:
    """First entry of some rows, -1 for empty ones."""
    padded = np.append(matrix.indices, -1)
    return np.where(np.diff(matrix.indptr)[rows] > 0, padded[matrix.indptr[rows]], -1)


def _factor_sentences(tenant: Tenant, rows: pd.DataFrame, only: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """Each row in words, of which nearly all begin like others."""
    number, more = rows["bus_factor"].to_numpy(np.int64), rows["at_least"].to_numpy(bool)
    kind, kinds = pd.factorize(np.where(only >= 0, -1 - only.astype(np.int64), number * 2 + more))
    alone = kinds < 0
    begins = np.empty(len(kinds), object)
    begins[alone] = [f"Only {name}" for name in texts(labels(tenant), -1 - kinds[alone])]
    begins[~alone] = [_begin(*divmod(k, 2)) for k in kinds[~alone].tolist()]
    name = rows["display_name"].fillna(rows["flow_id"])
    return phrases(worded(begins.tolist(), kind), " can edit ", name, ".")


def _begin(number: int, more: int) -> str:
    if more:
        return f"At least {number}"
    return f"{number} people" if number else "Nobody who lives"


def _department_factors(tenant: Tenant, flows: pd.DataFrame) -> pd.DataFrame:
    found = owners(tenant)
    rows = []
    for department, of in flows.groupby("department", sort=True, dropna=False):
        places, length = matrices.spans(found.people, of["code"].to_numpy())
        flow, person = np.repeat(np.arange(len(of)), length), found.people.indices[places]
        rows.append(
            {
                "department": department,
                "flows": len(of),
                "people": len(np.unique(person)),
                "none": int((of["bus_factor"] == 0).sum()),
                "single": int(((of["bus_factor"] == 1) & ~of["at_least"]).sum()),
                "bus_factor": _greedy(flow, person, of["at_least"].to_numpy(bool)),
            }
        )
    frame = pd.DataFrame(rows, columns=["department", "flows", "people", "none", "single", "bus_factor"])
    counts = ["flows", "people", "none", "single", "bus_factor"]
    return frame.astype({"department": TEXT, **dict.fromkeys(counts, COUNT)})


def _greedy(flow: np.ndarray, person: np.ndarray, kept_alive: np.ndarray) -> object:
    """People to remove, the one with most flows first (of equals the first by id), until most flows have nobody."""
    who_, flows = np.unique(person, return_inverse=True)[1], np.zeros(len(kept_alive), np.int64)
    count = np.bincount(who_)
    turn = np.empty(len(count), np.int64)
    turn[np.argsort(-count, kind="stable")] = np.arange(1, len(count) + 1)
    np.maximum.at(flows, flow, turn[who_])  # a flow has nobody once the last of its people is gone
    gone = np.sort(flows[~kept_alive])
    half = len(kept_alive) // 2
    return int(gone[half]) if len(gone) > half else pd.NA
