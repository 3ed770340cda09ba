"""Blast radius: what an editor, or whoever takes over a flow, reaches through the accounts behind it.

Whoever can edit a flow can make it do anything that the accounts of its connections may do. So a flow reaches what its
accounts reach, and an identity reaches, besides its own rights, those of every account behind a flow that it can
edit or a connection that is shared with it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis.counting import COVERED, COVERED_WRITE, meet, united
from flowanalysis.analysis.execution import unknown_accounts
from flowanalysis.analysis.gap import flow_texts
from flowanalysis.analysis.paths import labels, phrases
from flowanalysis.analysis.privileges import main_tiers
from flowanalysis.analysis.reach import (
    Reach,
    covered,
    editors,
    kept,
    main_reach,
    weights,
)
from flowanalysis.analysis.traits import flow_codes
from flowanalysis.matrices import Matrix, row_sums
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.schema.compact import worded
from flowanalysis.tenant import Tenant

WRITE = 2
TABLES = {
    "grants": "no right on a resource is seen",
    "memberships": "rights through groups are not seen",
    "connections": "the accounts behind flows are not known",
    "flow_connections": "the connections of flows are not known",
    "flow_owners": "co-owners are not seen",
    "role_assignments": "directory roles are not seen",
}
ESSENTIAL = ("grants", "connections", "flow_connections")


def blast_radius(tenant: Tenant, *, by: str = "flow") -> pd.DataFrame:
    """What each flow, or each identity, reaches in all.

    Parameters
    ----------
    tenant : Tenant
        The data.
    by : str
        ``flow`` or ``identity`` (accounts behind connections, and whoever can edit a flow).

    Returns
    -------
    DataFrame
        By flow, for each flow with a connection: environment_id, flow_id, display_name, accounts, unknown_accounts
        (embedded connections whose account is not known: their reach is not in the numbers), reach (distinct
        resources), reach_write (of these, with write or more), weight (sum of sensitivities), tier (highest of the
        accounts; NA when none holds a privileged role or permission), largest_account_id, largest_reach, editors.

        By identity: identity_id, own (resources that it reaches itself), reach, reach_write, weight (with the accounts
        of flows it can edit and of connections shared with it), gained (reach without own), accounts, flows (it can
        edit, through groups as well), connections (shared with it), tier, own_tier.
    """
    rows = _by_flow(tenant) if by == "flow" else _by_identity(tenant)
    return covered(rows, tenant, TABLES, essential=ESSENTIAL)


def rows_in(found: Reach, sets: Matrix) -> Matrix:
    """Sets of principals as sets of rows of a reach; every member must have one."""
    # Places ascend with codes, so that rows stay sorted.
    return matrices.trusted(sets.data, found.place[sets.indices], sets.indptr, (sets.shape[0], len(found.principals)))


@kept
def _together(tenant: Tenant) -> np.ndarray:
    """Resources as groups hold them, the groups first that most are in: what many reach together."""
    found, granted = main_reach(tenant), tenant.codes.granted
    used = np.bincount(found.ways.indices, minlength=granted.shape[0])
    groups = np.flatnonzero((used > 1) & (np.diff(granted.indptr) > 0))
    return granted.indices[matrices.spans(granted, groups[np.argsort(-used[groups], kind="stable")])[0]]


@kept
def tiers(tenant: Tenant) -> tuple[np.ndarray, pd.DataFrame]:
    """Highest active tier of each principal (9: none), and the frame it comes from."""
    frame = main_tiers(tenant)
    lowest = np.full(len(tenant.codes.principals) + 1, 9, np.int64)
    lowest[tenant.codes.principals.codes(frame["account_id"])] = frame["tier"].fillna(9)
    return lowest[:-1], frame


def _highest_tier(tenant: Tenant, sets: Matrix) -> pd.api.extensions.ExtensionArray:
    lowest = np.full(sets.shape[0], 9, np.int64)
    np.minimum.at(lowest, matrices.row_of(sets), tiers(tenant)[0][sets.indices])
    return _tier_column(lowest)


def _tier_column(lowest: np.ndarray) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.IntegerArray(lowest.astype(np.int64), lowest == 9)


def _by_flow(tenant: Tenant) -> pd.DataFrame:
    codes, found = tenant.codes, main_reach(tenant)
    unknown = unknown_accounts(tenant)
    flow = np.flatnonzero((np.diff(codes.runs_as.indptr) > 0) | (unknown > 0))
    sets = rows_in(found, codes.runs_as[flow])
    total, write, weight = united(found.levels, sets, weights(tenant), least=WRITE, near=_together(tenant))
    largest, size = _largest(found, sets)
    names = dict(zip(("environment_id", "flow_id"), flow_texts(tenant, flow), strict=True))
    shown = tenant.flows["display_name"].set_axis(flow_codes(tenant))
    frame = pd.DataFrame(
        {
            **names,
            "display_name": shown[~shown.index.duplicated()].reindex(flow).array,
            "accounts": np.diff(sets.indptr),
            "unknown_accounts": unknown[flow],
            "reach": total,
            "reach_write": write,
            "weight": weight,
            "tier": _highest_tier(tenant, codes.runs_as[flow]),
            "largest_account_id": codes.principals.text(largest),
            "largest_reach": size,
            "editors": np.diff(editors(codes).indptr)[flow],
        }
    )
    counts = ["accounts", "unknown_accounts", "reach", "reach_write", "largest_reach", "editors"]
    return frame.astype({**dict.fromkeys(counts, COUNT), "display_name": TEXT})


def _largest(found: Reach, sets: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """The member of each set that reaches most (of equals the first by id), and how much; -1 and 0 for empty sets."""
    sizes, count = np.diff(found.levels.indptr), np.diff(sets.indptr)
    largest, size = np.full(sets.shape[0], -1), np.full(sets.shape[0], -1, np.int64)
    for place in range(count.max(initial=0)):  # the first members of all sets, then the second, …
        some = np.flatnonzero(count > place)
        member = sets.indices[sets.indptr[some] + place]
        more = sizes[member] > size[some]
        largest[some[more]], size[some[more]] = found.principals[member[more]], sizes[member[more]]
    return largest, np.maximum(size, 0)


def _by_identity(tenant: Tenant) -> pd.DataFrame:
    codes, found = tenant.codes, main_reach(tenant)
    ways, itself = matrices.ones(found.ways), np.arange(len(found.principals))
    edits = ways @ matrices.ones(editors(codes)).T.tocsr()
    shared = ways @ matrices.ones(codes.shares).T.tocsr()
    accounts = edits @ matrices.ones(codes.runs_as) + shared @ matrices.ones(codes.signs_in)
    own = matrices.relation(itself.astype(np.int32), found.principals, 1, accounts.shape)
    accounts = (matrices.ones(accounts) + matrices.ones(own)).tocsr()
    accounts.sort_indices()
    sets = rows_in(found, accounts)
    total, write, weight = united(found.levels, sets, weights(tenant), least=WRITE, near=_together(tenant))
    size = np.diff(found.levels.indptr)
    frame = pd.DataFrame(
        {
            "identity_id": codes.principals.text(found.principals),
            "own": size,
            "reach": total,
            "reach_write": write,
            "weight": weight,
            "gained": total - size,
            "accounts": np.diff(sets.indptr) - 1,
            "flows": np.diff(edits.indptr),
            "connections": np.diff(shared.indptr),
            "tier": _highest_tier(tenant, accounts),
            "own_tier": _tier_column(tiers(tenant)[0][found.principals]),
        }
    )
    return frame.astype(
        dict.fromkeys(["own", "reach", "reach_write", "gained", "accounts", "flows", "connections"], COUNT)
    )


def escalations(tenant: Tenant) -> pd.DataFrame:
    """Editors who come, through a flow, to what its account reaches and they do not.

    Returns
    -------
    DataFrame
        One row for each editor and account with something to gain, most weight first: editor_id (a person,
        application or group; a group's own rights are compared, its members may hold more), editor_kind (group |
        identity), account_id, flows (over which), environment_id and flow_id (the first of them), gained (resources on
        which the account's level is higher), gained_write (of these, where the account may write), gained_weight (sum
        of sensitivities), account_tier, editor_tier (NA: no privileged role or permission), sentence.
    """
    codes, found = tenant.codes, main_reach(tenant)
    editor, account, flows, first = _editor_pairs(tenant)
    gained, written, heavy = _gains(found, editor, account, weights(tenant))
    lowest = tiers(tenant)[0]
    more = (gained > 0) | (lowest[account] < lowest[editor])
    order = np.flatnonzero(more)
    order = order[np.lexsort((-gained[order], -heavy[order]))]  # of equals by editor and account, as pairs are
    environment, flow_id = flow_texts(tenant, first[order])
    frame = pd.DataFrame(
        {
            "editor_id": codes.principals.text(editor[order]),
            "editor_kind": worded(["identity", "group"], codes.groups[editor[order]]),
            "account_id": codes.principals.text(account[order]),
            "flows": pd.array(flows[order], dtype=COUNT),
            "environment_id": environment,
            "flow_id": flow_id,
            "gained": pd.array(gained[order].astype(np.int64), dtype=COUNT),
            "gained_write": pd.array(written[order].astype(np.int64), dtype=COUNT),
            "gained_weight": heavy[order],
            "account_tier": _tier_column(lowest[account[order]]),
            "editor_tier": _tier_column(lowest[editor[order]]),
        }
    )
    frame["sentence"] = _escalation_sentences(tenant, frame, editor[order], account[order])
    return covered(frame, tenant, TABLES, essential=(*ESSENTIAL, "flow_owners"))


def _editor_pairs(tenant: Tenant) -> tuple[np.ndarray, ...]:
    """Distinct (editor, account) of all flows: editor, account, number of flows, first flow."""
    codes = tenant.codes
    edit, runs_as = editors(codes), codes.runs_as
    row = matrices.row_of(edit)
    places, counts = matrices.spans(runs_as, row)
    editor, account = np.repeat(edit.indices, counts).astype(np.int64), runs_as.indices[places]
    flow = np.repeat(row, counts)
    other = editor != account
    editor, account, flow = editor[other], account[other], flow[other]
    # A stable sort keeps the flows of a pair in order, so that the first is the first by id.
    keys, first, flows = np.unique(editor * runs_as.shape[1] + account, return_index=True, return_counts=True)
    return keys // max(runs_as.shape[1], 1), keys % max(runs_as.shape[1], 1), flows, flow[first]


def _gains(found: Reach, editor: np.ndarray, account: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Resources on which the account's level is higher: all, those it may write, their weight."""
    levels, mine, theirs = found.levels, found.place[editor], found.place[account]
    same, same_write = meet(levels, mine, theirs, COVERED, COVERED_WRITE)
    total = np.diff(levels.indptr)[theirs] - same
    written = row_sums(levels, levels.data >= WRITE)[theirs] - same_write
    if (weight == 1).all():
        return total, written, total
    heavy = row_sums(levels, weight[levels.indices])[theirs]
    left = heavy - meet(levels, mine, theirs, COVERED, weight=weight)[0]
    return total, written, np.where(total > 0, left, 0.0)


def _escalation_sentences(
    tenant: Tenant, rows: pd.DataFrame, editor: np.ndarray, account: np.ndarray
) -> pd.api.extensions.ExtensionArray:
    names = labels(tenant).array
    flows, counts = pd.factorize(rows["flows"].to_numpy(np.int64))
    some = [f" can edit {n} flow{' that runs' if n == 1 else 's that run'} as " for n in counts.tolist()]
    gained, numbers = pd.factorize(rows["gained"].to_numpy(np.int64))
    more = [f", and so reaches {n} resources more or at a higher level." for n in numbers.tolist()]
    return phrases(names.take(editor), worded(some, flows), names.take(account), worded(more, gained))
