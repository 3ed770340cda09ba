"""Rights in words: over which groups and containers an identity comes to a right."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import matrices
from flowanalysis.analysis.reach import Reach, kept
from flowanalysis.codes import LEVELS, Codes
from flowanalysis.matrices import Matrix
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

VERBS = {
    "directory_role": "holds the directory role {right}{state}",
    "app_permission": "has the application permission {right} on {resource}",
    "connection_share": "may use the connection {resource} ({right})",
    "environment_role": "has the role {right} in the environment {resource}",
}


@kept
def labels(tenant: Tenant) -> pd.Series:
    """A readable name for each principal: user principal name, else display name, else id."""
    people, groups, principals = tenant.identities, tenant.groups, tenant.codes.principals
    shown = pd.concat([people["upn"].fillna(people["display_name"]), groups["display_name"]], ignore_index=True)
    place = np.concatenate([tenant.coded("identities", "identity_id"), tenant.coded("groups", "group_id")])
    told = np.flatnonzero((place >= 0) & shown.notna().to_numpy())[::-1]
    source = len(shown) + np.arange(len(principals))
    source[place[told]] = told  # of several the first is written last
    texts = pa.chunked_array([*pa.chunked_array(pa.array(shown.array)).chunks, principals.values], pa.large_string())
    return pd.Series(TEXT.__from_arrow__(texts.combine_chunks().take(pa.array(source))))


def phrases(*parts: object) -> pd.api.extensions.ExtensionArray:
    """Texts and columns of text, one behind the other in each row; NA where one of them is.

    Examples
    --------
    >>> phrases("The ", pd.Series(["sea", None], dtype=TEXT), ".").tolist()
    ['The sea.', <NA>]
    """
    kind = pa.large_string()
    told = [pa.scalar(p, kind) if isinstance(p, str) else pa.array(getattr(p, "array", p)) for p in parts]
    whole = pc.binary_join_element_wise(*(t.cast(kind) for t in told), pa.scalar("", kind))
    return TEXT.__from_arrow__(whole)


def explain(tenant: Tenant, found: Reach, rows: pd.DataFrame) -> pd.Series:
    """The path of each row of `effective_permissions` as a sentence.

    The shortest path over groups is told; of equally short ones the first by id.
    """
    sentences = pd.Series(pd.NA, index=rows.index, dtype=TEXT)
    distance = distances(tenant.codes, found.principals)
    is_grant = (rows["kind"] == "grant").to_numpy()
    sentences[is_grant] = _grant_sentences(tenant, found, distance)
    for place in np.flatnonzero(~is_grant):
        sentences.iloc[place] = _role_sentence(tenant, found, distance, rows.iloc[place])
    return sentences


def distances(codes: Codes, principals: np.ndarray) -> Matrix:
    """Principal x principal: 1 for itself, 2 for its groups, 3 for their groups, and so on up to 127."""
    shape = (len(principals), len(codes.principals))
    frontier = matrices.relation(np.arange(shape[0], dtype=np.int32), principals, 1, shape).astype(np.int64)
    whole, steps = frontier, 1
    while frontier.nnz:
        steps = min(steps + 1, 127)
        near = matrices.ones(frontier) @ codes.member.astype(np.int64)
        frontier = matrices.ones(near) - matrices.ones(near).multiply(matrices.ones(whole))
        frontier.eliminate_zeros()
        whole = whole + frontier * steps
    whole.sort_indices()
    return whole.tocsr()


def _grant_sentences(tenant: Tenant, found: Reach, distance: Matrix) -> list[str]:
    """A sentence for each entry of the levels, in their order."""
    codes, names = tenant.codes, labels(tenant)
    holder = witnesses(codes, found, distance)
    resources = codes.resources.text(np.arange(len(codes.resources)))
    row = matrices.row_of(found.levels)
    chains = {}
    sentences = []
    for i, resource, level, group in zip(row, found.levels.indices, found.levels.data, holder, strict=True):
        key = (i, group)
        if key not in chains:
            chains[key] = in_words(names, chain(codes, int(found.principals[i]), int(group)))
        place = _container(codes, int(group), int(resource), int(level))
        inside = "" if place == resource else f", which contains {resources[resource]}"
        sentences.append(f"{chains[key]} may {verb(level)} {resources[place]}{inside}.")
    return sentences


def verb(level: int) -> str:
    """A level as a verb."""
    return {"owner": "manage", "full": "fully control"}.get(LEVELS[level], LEVELS[level])


def witnesses(codes: Codes, found: Reach, distance: Matrix) -> np.ndarray:
    """For each entry of the levels, the nearest principal that holds it at that level."""
    granted, levels = codes.granted, found.levels
    places, counts = matrices.spans(granted, distance.indices)
    width = max(levels.shape[1], 1)
    row = np.repeat(matrices.row_of(distance).astype(np.int64), counts)
    spots = np.searchsorted(_keys(levels), row * width + granted.indices[places])
    highest = levels.data[spots] == granted.data[places]
    holder, steps = np.repeat(distance.indices, counts)[highest], np.repeat(distance.data, counts)[highest]
    spots = spots[highest]
    order = np.lexsort((holder, steps, spots))
    first = np.unique(spots[order], return_index=True)[1]
    return holder[order][first]


def _keys(matrix: Matrix) -> np.ndarray:
    return matrices.row_of(matrix).astype(np.int64) * max(matrix.shape[1], 1) + matrix.indices


def _container(codes: Codes, holder: int, resource: int, level: int) -> int:
    """The resource itself when the holder has the level on it, else the first container where it has."""
    held = codes.held
    span = slice(held.indptr[holder], held.indptr[holder + 1])
    at_level = held.indices[span][held.data[span] == level]
    if resource in at_level:
        return resource
    inside = codes.cover_up
    around = inside.indices[inside.indptr[resource] : inside.indptr[resource + 1]]
    return int(np.intersect1d(at_level, around)[0])


def chain(codes: Codes, start: int, end: int) -> list[int]:
    """The shortest chain of memberships from one principal to another, both included."""
    member = codes.member
    before = {start: start}
    queue = deque([start])
    while queue and end not in before:
        node = queue.popleft()
        for group in member.indices[member.indptr[node] : member.indptr[node + 1]].tolist():
            if group not in before:
                before[group] = node
                queue.append(group)
    steps = [end]
    while steps[-1] != start:
        steps.append(before[steps[-1]])
    return steps[::-1]


def in_words(names: pd.Series, steps: Iterable[int]) -> str:
    """A chain of memberships as the beginning of a sentence."""
    first, *groups = (names.iloc[step] for step in steps)
    if not groups:
        return first
    return f"{first} is a member of " + ", which is a member of ".join(groups) + ", which"


def _role_sentence(tenant: Tenant, found: Reach, distance: Matrix, row: pd.Series) -> str:
    """A role, permission or share in words."""
    codes = tenant.codes
    start = codes.principals.code(row["identity_id"])
    end = _nearest_holder(tenant, found, distance, row, start)
    state = "" if row["state"] == "active" else f" ({row['state']}, not active)"
    verb = VERBS[row["kind"]].format(right=row["right"], resource=row["resource_id"], state=state)
    return f"{in_words(labels(tenant), chain(codes, start, end))} {verb}."


def _nearest_holder(tenant: Tenant, found: Reach, distance: Matrix, row: pd.Series, start: int) -> int:
    if row["via"] == "direct":
        return start
    place = found.place[start]
    span = slice(distance.indptr[place], distance.indptr[place + 1])
    ways = pd.Series(distance.data[span], index=distance.indices[span])
    holders = _role_holders(tenant, row)
    return int(ways[ways.index.isin(holders)].sort_index().idxmin())


def _role_holders(tenant: Tenant, row: pd.Series) -> np.ndarray:
    """Codes of the principals that hold the role, permission or share of a row themselves."""
    table, holder, target, right = {
        "directory_role": ("role_assignments", "principal_id", "role_template_id", "role_name"),
        "app_permission": ("app_permissions", "client_id", "resource_id", "permission"),
        "connection_share": ("connection_shares", "principal_id", "connection_id", "role"),
        "environment_role": ("environment_roles", "principal_id", "environment_id", "role"),
    }[row["kind"]]
    rows = tenant[table]
    wanted = row["resource_id"]
    if table == "connection_shares":
        same = (rows["environment_id"] + "/" + rows["connection_id"]) == wanted
    elif table == "role_assignments":
        same = (rows[target].fillna(rows["role_id"]) == wanted) & (rows["state"].fillna("active") == row["state"])
    else:
        same = rows[target] == wanted
    same = same & (rows[right] == row["right"]).fillna(True)
    return tenant.codes.principals.codes(rows.loc[same.fillna(False).to_numpy(bool), holder])
