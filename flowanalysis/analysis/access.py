"""Effective permissions: what an identity may do, over every route, with the path in words.

Routes: grants on resources (own, or through groups in groups, or on a container), directory roles (active and
eligible apart), application permissions, shares of connections, roles in environments and in Dataverse.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.analysis.paths import explain
from flowanalysis.analysis.reach import (
    Reach,
    Ways,
    blank,
    covered,
    level_names,
    main_reach,
    reach,
    resource_kinds,
    who,
)
from flowanalysis.codes import LEVELS, SHARE_ROLES, ranks
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

COLUMNS = ["identity_id", "kind", "resource_id", "resource_kind", "level", "right", "state", "via", "path"]
PATH_LIMIT = 50_000
TABLES = {
    "grants": "no right on a resource is seen",
    "memberships": "rights through groups are not seen",
    "role_assignments": "directory roles are not seen",
    "app_permissions": "permissions of applications are not seen",
    "connection_shares": "shares of connections are not seen",
    "environment_roles": "roles in environments and Dataverse are not seen",
}


def effective_permissions(
    tenant: Tenant,
    identities: str | Iterable[str] | None = None,
    *,
    everyone: bool = False,
    paths: bool | None = None,
) -> pd.DataFrame:
    """What identities may do: the highest level on each resource, and every role and permission.

    Parameters
    ----------
    tenant : Tenant
        The data.
    identities : str or iterable of str, optional
        Object ids, user principal names or group ids. Default: the identities that matter, which are the accounts
        behind connections and whoever can edit a flow.
    everyone : bool
        All identities and groups instead.
    paths : bool, optional
        Write the path of each right as a sentence. Default: when there are at most 50,000 rows.

    Returns
    -------
    DataFrame
        One row for each identity, kind and right, sorted by kind, identity and resource: identity_id, kind
        (app_permission | connection_share | directory_role | environment_role | grant), resource_id (resource key;
        role template; API; ``environment/connection``; environment), resource_kind, level (read < write < owner <
        full, ordered; NA for roles and permissions, which have none), right (level, role or permission), state
        (active | eligible), via (direct | group: where the level comes from; direct wins), path (sentence or NA).
        Ids are categorical, so that millions of rows stay small. ``attrs["coverage"]`` names what is not seen.

    Raises
    ------
    UnknownName
        For an identity that the tenant does not have.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> tenant = Tenant({
    ...     "memberships": schema.frame("memberships", [{"group_id": "finance", "member_id": "ann"}]),
    ...     "grants": schema.frame("grants", [{"principal_id": "finance", "resource_id": "ledger", "level": "write"}]),
    ... })
    >>> effective_permissions(tenant, "ann")["path"].item()
    'ann is a member of finance, which may write ledger.'
    """
    if identities is not None:
        found = reach(tenant.codes, who(tenant, identities))
    elif everyone:
        found = reach(tenant.codes, np.arange(len(tenant.codes.principals)))
    else:
        found = main_reach(tenant)
    rows = _stack(tenant, found, other_rows(tenant, found))
    write = len(rows) <= PATH_LIMIT if paths is None else paths
    rows["path"] = explain(tenant, found, rows) if write else blank(len(rows))
    return covered(rows, tenant, TABLES)


def grant_columns(tenant: Tenant, found: Reach, room: int) -> dict[str, tuple[np.ndarray, pd.Index]]:
    """Rights on resources, one for each identity and resource, behind some rows left empty: codes and their texts."""
    levels, kinds = found.levels, resource_kinds(tenant)
    who_, what = (names.category([]).categories for names in (tenant.codes.principals, tenant.codes.resources))
    size, empty = room + levels.nnz, np.full(room, -1, np.int8)
    people = np.append(-1, found.principals).astype(np.int32)
    kind = np.full(size, -1, kinds.codes.dtype)
    kind[room:] = kinds.codes[levels.indices]
    direct = own(tenant, found).view(np.int8)
    return {
        "identity_id": (np.repeat(people, np.append(room, np.diff(levels.indptr))), who_),
        "kind": (np.zeros(size, np.int8), _texts("grant")),
        "resource_id": (np.append(empty.astype(np.int32), levels.indices), what),
        "resource_kind": (kind, kinds.categories),
        "level": (np.append(empty, levels.data), _texts(*LEVELS)),
        "right": (np.append(empty, levels.data), _texts(*LEVELS)),
        "state": (np.zeros(size, np.int8), _texts("active")),
        "via": (np.append(empty, direct), _texts("group", "direct")),
    }


def _texts(*words: str) -> pd.Index:
    return pd.Index(words, dtype=TEXT)


def own(tenant: Tenant, found: Reach) -> np.ndarray:
    """For each entry of the levels: the identity holds it itself, at that very level."""
    granted, levels, flags = tenant.codes.granted, found.levels, np.zeros(found.levels.nnz, bool)
    if kernels.worth(levels.nnz):
        parts = (granted.indptr, granted.indices, granted.data, flags)
        kernels.compiled(kernels.alike)(levels.indptr, levels.indices, levels.data, found.principals, *parts)
        return flags
    places, counts = matrices.spans(granted, found.principals)
    row = np.repeat(np.arange(len(found.principals)), counts)
    spots = matrices.places_of(levels, row, granted.indices[places])
    flags[spots[levels.data[spots] == granted.data[places]]] = True
    return flags


def other_rows(tenant: Tenant, found: Reach) -> list[pd.DataFrame]:
    """Roles, permissions and shares, one frame for each kind."""
    roles, apps = tenant.role_assignments, tenant.app_permissions
    shares, environments = tenant.connection_shares, tenant.environment_roles
    share_level = level_names(np.array([0, 1, 1, 2, 3])[ranks(shares["role"], SHARE_ROLES)])
    return [
        _held(tenant, found, apps["client_id"], "app_permission", apps["resource_id"], apps["permission"]),
        _held(
            tenant,
            found,
            shares["principal_id"],
            "connection_share",
            shares["environment_id"] + "/" + shares["connection_id"],
            shares["role"],
            level=share_level,
        ),
        _held(
            tenant, found, roles["principal_id"], "directory_role", _role_id(roles), roles["role_name"], roles["state"]
        ),
        _held(
            tenant,
            found,
            environments["principal_id"],
            "environment_role",
            environments["environment_id"],
            environments["role"],
        ),
    ]


def _role_id(roles: pd.DataFrame) -> pd.Series:
    return roles["role_template_id"].fillna(roles["role_id"])


def _held(
    tenant: Tenant,
    found: Reach,
    holder: pd.Series,
    kind: str,
    target: pd.Series,
    right: pd.Series,
    state: pd.Series | None = None,
    *,
    level: pd.Categorical | None = None,
) -> pd.DataFrame:
    """Rows of a table of roles for everyone who holds them, directly or through groups."""
    row, at, holders = held_by(tenant, found, holder)
    direct = holders == found.principals[row]
    frame = pd.DataFrame(
        {
            "identity_id": tenant.codes.principals.category(found.principals[row]),
            "kind": pd.array([kind] * len(row), dtype=TEXT),
            "resource_id": target.iloc[at].array,
            "resource_kind": pd.array([kind.partition("_")[0]] * len(row), dtype=TEXT),
            "level": level_names(np.full(len(row), -1)) if level is None else level.take(at),
            "right": right.iloc[at].array,
            "state": "active" if state is None else state.fillna("active").iloc[at].array,
            "via": np.where(direct, "direct", "group"),
        }
    ).astype({"state": TEXT, "via": TEXT})
    order = ["identity_id", "resource_id", "right", "state", "via"]
    return frame.sort_values(order, kind="stable").drop_duplicates(order[:-1], ignore_index=True)


def held_by(tenant: Tenant, found: Ways, holder: pd.Series) -> tuple[np.ndarray, ...]:
    """Which identity holds what of a table whose column names the holder: rows of `found`, of the table, holders."""
    codes = tenant.codes.principals.codes(holder)
    size = (len(tenant.codes.principals), len(holder))
    links = matrices.relation(codes, np.arange(len(holder), dtype=np.int32), 1, size)
    # Few principals hold anything, so that only few of the ways are followed.
    some = np.flatnonzero(np.diff(links.indptr)[found.ways.indices])
    row = np.searchsorted(found.ways.indptr, some, side="right") - 1
    places, counts = matrices.spans(links, found.ways.indices[some])
    row, at = np.repeat(row, counts), links.indices[places]
    order = np.lexsort((at, row))
    return row[order], at[order], codes[at[order]]


def _stack(tenant: Tenant, found: Reach, others: list[pd.DataFrame]) -> pd.DataFrame:
    """Other rows and then grants, each column one categorical; each part is sorted already, kinds in order."""
    grants = grant_columns(tenant, found, sum(map(len, others)))
    columns = {
        name: _filled(*column, [part[name].array for part in others], ordered=name == "level")
        for name, column in grants.items()
    }
    return pd.DataFrame(columns, copy=False)


def _filled(
    codes: np.ndarray, known: pd.Index, parts: list[pd.api.extensions.ExtensionArray], *, ordered: bool
) -> pd.Categorical:
    """A column whose first rows are filled in place: what only they say comes after the texts that are known."""
    start = 0
    for array in parts:
        part = array if isinstance(array, pd.Categorical) else pd.Categorical(pd.Series(array, dtype=TEXT))
        places = part.codes
        if part.categories is not known:
            known = known.append(part.categories[known.get_indexer(part.categories) < 0])
            places = np.append(known.get_indexer(part.categories), -1)[places]
            if len(known) > np.iinfo(codes.dtype).max:
                codes = codes.astype(np.int32)
        codes[start : start + len(places)] = places
        start += len(places)
    return pd.Categorical.from_codes(codes, categories=known, ordered=ordered, validate=False)
