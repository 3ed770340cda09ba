"""Effective permissions: what an identity may do, over every route, with the path in words.

Routes: grants on resources (own, or through groups in groups, or on a container), directory roles (active and
eligible apart), application permissions, shares of connections, roles in environments and in Dataverse.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis.paths import explain
from flowanalysis.analysis.reach import (
    Reach,
    blank,
    constant,
    covered,
    kinds_at,
    level_names,
    main_reach,
    reach,
    who,
)
from flowanalysis.codes import SHARE_ROLES, ranks
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
    rows = _stack([*other_rows(tenant, found), grant_rows(tenant, found)])
    write = len(rows) <= PATH_LIMIT if paths is None else paths
    rows["path"] = explain(tenant, found, rows) if write else blank(len(rows))
    return covered(rows, tenant, TABLES)


def grant_rows(tenant: Tenant, found: Reach) -> pd.DataFrame:
    """Rights on resources, one row for each identity and resource."""
    levels, codes = found.levels, tenant.codes
    row = matrices.row_of(levels)
    names = level_names(levels.data)
    return pd.DataFrame(
        {
            "identity_id": codes.principals.category(found.principals[row]),
            "kind": constant("grant", levels.nnz),
            "resource_id": codes.resources.category(levels.indices),
            "resource_kind": kinds_at(tenant, levels.indices),
            "level": names,
            "right": names,
            "state": constant("active", levels.nnz),
            "via": pd.Categorical.from_codes(
                own(tenant, found).astype(np.int8), categories=pd.Index(["group", "direct"], dtype=TEXT)
            ),
        },
        copy=False,
    )


def own(tenant: Tenant, found: Reach) -> np.ndarray:
    """For each entry of the levels: the identity holds it itself, at that very level."""
    granted = tenant.codes.granted
    places, counts = matrices.spans(granted, found.principals)
    row = np.repeat(np.arange(len(found.principals)), counts)
    spots = matrices.places_of(found.levels, row, granted.indices[places])
    flags = np.zeros(found.levels.nnz, bool)
    flags[spots[found.levels.data[spots] == granted.data[places]]] = True
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
    row, at = held_by(tenant, found, holder)
    holders = tenant.codes.principals.codes(holder)[at]
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


def held_by(tenant: Tenant, found: Reach, holder: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Which identity holds which row of a table whose column names the holder: rows of `found`, rows of the table."""
    codes = tenant.codes.principals.codes(holder)
    size = (len(tenant.codes.principals), len(holder))
    links = matrices.relation(codes, np.arange(len(holder), dtype=np.int32), 1, size)
    product = matrices.ones(found.ways) @ matrices.ones(links)
    return matrices.row_of(product), product.indices


def _stack(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames one under the other, each column one categorical; each part is sorted already, kinds in order."""
    columns = {name: _joined([part[name].array for part in parts]) for name in COLUMNS[:-1]}
    return pd.DataFrame(columns | {"level": columns["level"].as_ordered()}, copy=False)


def _joined(arrays: list[pd.api.extensions.ExtensionArray]) -> pd.Categorical:
    """Columns as one categorical: the codes of the longest stay as they are, what only others say comes after it."""
    parts = [a if isinstance(a, pd.Categorical) else pd.Categorical(pd.Series(a, dtype=TEXT)) for a in arrays]
    most = known = max(parts, key=len).categories
    codes = []
    for part in parts:
        places = part.codes
        if part.categories is not most:
            known = known.append(part.categories[known.get_indexer(part.categories) < 0])
            places = np.append(known.get_indexer(part.categories), -1)[places]
        codes.append(places)
    kind = next(k for k in (np.int8, np.int16, np.int32) if len(known) <= np.iinfo(k).max)
    together = np.concatenate(codes, dtype=kind, casting="same_kind")
    return pd.Categorical.from_codes(together, categories=known, validate=False)
