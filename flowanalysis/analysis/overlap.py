"""How much the rights of accounts overlap: duplicates, subsets, near duplicates, outliers.

A right is a resource at a level, and levels nest, so that write on a site holds read on it too. Two accounts share on a
resource the lower of their levels; the similarity is what they share over what either has (Jaccard), and how much of
each is contained in the other. All three are told plain, and weighted by the sensitivity of the resources.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.analysis.counting import BOTH, COMMON, distinct, meet
from flowanalysis.analysis.gap import reach_of, rows_of
from flowanalysis.analysis.reach import Reach, covered, main_reach, weights, who
from flowanalysis.matrices import Matrix, row_sums
from flowanalysis.schema import COUNT, FLAG, TEXT
from flowanalysis.schema.compact import CompactText, worded
from flowanalysis.tenant import Tenant

TABLES = {
    "grants": "no right on a resource is seen",
    "memberships": "rights through groups are not seen",
    "connections": "the accounts behind flows are not known",
}
RELATIONS = ("duplicate", "a_subset", "b_subset", "overlap")
MEETINGS = 20_000_000  # of rows in a token, held at a time
PARTS, LEAST = 8, 50_000  # in which pairs of accounts are counted, and rights in one at the least
SORTED = 1 << 18  # tokens sorted at a time, in the cache


def permission_overlap(
    tenant: Tenant,
    identities: str | Iterable[str] | None = None,
    *,
    threshold: float = 0.0,
    everyone: bool = False,
) -> pd.DataFrame:
    """Pairs of identities with rights in common.

    Parameters
    ----------
    tenant : Tenant
        The data.
    identities : str or iterable of str, optional
        Object ids or user principal names. Default: the accounts that flows run as.
    threshold : float
        Only pairs at least so similar (Jaccard, plain), between 0 and 1. Above 0 the pairs are found without comparing
        all, and none is missed.
    everyone : bool
        All identities that matter: accounts behind connections, and whoever can edit a flow. Give a threshold.

    Returns
    -------
    DataFrame
        One row for each pair, most similar first: account_a, account_b (a before b), rights_a, rights_b (levels
        counted: read 1, write 2, owner 3, full 4), shared, jaccard, a_in_b and b_in_a (share of the rights of one
        that the other has too, 0 to 1), weighted, weighted_a_in_b, weighted_b_in_a (the same by sensitivity),
        relation (duplicate | a_subset | b_subset | overlap).

    Examples
    --------
    >>> from flowanalysis import schema
    >>> rows = [{"principal_id": p, "resource_id": r, "level": "read"} for p, r in ("ax", "ay", "bx")]
    >>> tenant = Tenant({"grants": schema.frame("grants", rows)})
    >>> permission_overlap(tenant, ["a", "b"])[["shared", "jaccard", "relation"]].to_numpy().tolist()
    [[1, 0.5, 'b_subset']]
    """
    found = _subjects(tenant, identities, everyone=everyone)
    if threshold > 0:
        first, second = similar_pairs(found.levels, threshold)
        pairs: tuple[np.ndarray, ...] = (first, second, *_shared(found.levels, first, second, weights(tenant)))
    else:
        pairs = sharing_pairs(found.levels, weights(tenant))
    return covered(
        _measure(tenant, found, *_ranked(found.levels, threshold, *pairs)), tenant, TABLES, essential=("grants",)
    )


def _subjects(tenant: Tenant, identities: str | Iterable[str] | None, *, everyone: bool) -> Reach:
    if identities is not None:
        return reach_of(tenant, who(tenant, identities))
    whole = main_reach(tenant)
    return whole if everyone else rows_of(whole, whole.place[np.unique(tenant.codes.runs_as.indices)])


def nested(levels: Matrix) -> Matrix:
    """Rights as a set: each entry of level n becomes n columns, so that a higher level holds the lower ones."""
    copies = levels.data
    ends = np.cumsum(copies, dtype=np.int64)
    shape = (levels.shape[0], levels.shape[1] * 4)
    kind = np.int32 if max(shape[1], ends[-1] if len(ends) else 0) < 2**31 else np.int64
    first = levels.indices.astype(kind) * 4 - (ends - copies).astype(kind)
    columns = np.repeat(first, copies) + np.arange(ends[-1] if len(ends) else 0, dtype=kind)
    bounds = np.append(0, ends)[levels.indptr]
    return matrices.trusted(np.ones(len(columns), np.int8), columns, bounds, shape)


def sharing_pairs(levels: Matrix, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """All pairs of rows that have some column in common: first, second, what they share, its weight; by first, second.

    A product of the nested rights with themselves tells everything at once. Some rows at a time are multiplied with
    those from their first one on, so that hardly a pair is met twice.
    """
    rights = nested(levels).astype(np.int32)
    weighed = matrices.trusted(np.repeat(weight, 4)[rights.indices], rights.indices, rights.indptr, rights.shape)
    plain = bool((weight == 1).all())

    def some(part: slice) -> tuple[np.ndarray, ...]:
        others = rights[part.start :].T.tocsr()
        product = _in_order(rights[part] @ others)
        first, second = matrices.row_of(product), product.indices
        upper = np.flatnonzero(first < second)
        shared = product.data[upper]
        # the weights lie at the very same places
        heavy = shared if plain else _in_order(weighed[part] @ others).data[upper]
        return first[upper] + part.start, second[upper] + part.start, shared, heavy

    found = kernels.spread(np.diff(rights.indptr), some, most=max(rights.nnz / PARTS, LEAST))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True)) or some(slice(0, 0))


def _in_order(product: Matrix) -> Matrix:
    """The same with each row in order: turning it around twice is sooner than sorting."""
    return product.T.tocsr().T.tocsr()


def _shared(levels: Matrix, first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What pairs of rows share, and its weight."""
    shared = meet(levels, first, second, COMMON)[0]
    if (weight == 1).all():
        return shared, shared
    return shared, meet(levels, first, second, COMMON, weight=weight)[0]


def similar_pairs(levels: Matrix, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows whose Jaccard similarity may reach a threshold, none missed and few too many.

    With columns ordered from rare to common, two sets of similarity t or more share a column among the first
    ``n - ceil(t n) + 1`` of each (n its size), and their sizes differ by a factor of at most t. Whatever they share
    and do not share there lies in what is left of the set whose prefix ends first (Xiao and others, 2008); where that
    is too little, the pair falls away. Only the others are counted. Rows that are equal are taken once and told
    again for each of their copies.
    """
    graded = levels.indices.astype(np.int64 if levels.shape[1] * 4 >= 2**31 else np.int32) * 4 + (levels.data - 1)
    shape = (levels.shape[0], levels.shape[1] * 4)
    which, first_of = distinct(matrices.trusted(levels.data, graded, levels.indptr, shape))
    order = np.argsort(row_sums(levels, levels.data)[first_of], kind="stable")  # by size, as the compiled loop asks for
    at_level = np.bincount(graded, minlength=shape[1]).reshape(-1, 4)
    count = at_level[:, ::-1].cumsum(axis=1)[:, ::-1].ravel()  # whoever has a level has the lower ones
    tokens = _ranked_rows(levels, first_of[order], np.argsort(count, kind="stable"))
    size = np.diff(tokens.indptr)
    length = np.where(size > 0, size - np.ceil(threshold * size - 1e-9).astype(np.int64) + 1, 0)
    prefix = _prefixes(tokens, length)
    walks = row_sums(prefix, np.bincount(prefix.indices, minlength=prefix.shape[1])[prefix.indices])
    find = _walked_pairs if kernels.worth(walks.sum()) else _looked_up_pairs
    a, b = find(tokens, prefix, walks, threshold)
    return _copies(which, order[a], order[b], np.diff(levels.indptr) > 0)


def _ranked_rows(levels: Matrix, rows: np.ndarray, columns: np.ndarray) -> Matrix:
    """Rights of some rows as sets, see `nested`; columns are places in a list of them, ascending."""
    rank = np.empty(len(columns), np.int32)
    rank[columns] = np.arange(len(columns))
    bounds = matrices.starts(row_sums(levels, levels.data)[rows])
    result = np.empty(bounds[-1], np.int32)

    def some(part: slice) -> None:
        left, keys = levels[rows[part]], []
        row, column, level = matrices.row_of(left).astype(np.int64) << 32, left.indices.astype(np.int64) * 4, left.data
        while len(level):
            keys.append(row | rank[column])
            higher = np.flatnonzero(level > 1)  # they have the next level as well
            row, column, level = row[higher], column[higher] + 1, level[higher] - 1
        whole = np.concatenate([*keys, np.empty(0, np.int64)])
        whole.sort()
        result[bounds[part.start] : bounds[part.stop]] = whole & 0xFFFFFFFF

    kernels.spread(np.diff(bounds), some, most=SORTED)
    return matrices.trusted(np.ones(len(result), np.int8), result, bounds, (len(rows), len(columns)))


def _prefixes(tokens: Matrix, length: np.ndarray) -> Matrix:
    """The first so many tokens of each row; the values tell their places."""
    bounds = matrices.starts(length)
    place = np.arange(bounds[-1], dtype=np.int32) - np.repeat(bounds[:-1].astype(np.int32), length)
    early = np.repeat(tokens.indptr[:-1], length) + place
    return matrices.trusted(place, tokens.indices[early], bounds, tokens.shape)


def _walked_pairs(tokens: Matrix, prefix: Matrix, walks: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Similar pairs of rows that ascend by size, by the compiled loop."""
    size = np.diff(tokens.indptr)
    low = np.searchsorted(size, threshold * size - 1e-9)
    index = prefix.T.tocsr()
    parts = (tokens.indptr, tokens.indices, np.diff(prefix.indptr), low, index.indptr, index.indices, index.data)
    find, confirm = kernels.compiled(kernels.near), kernels.compiled(kernels.confirmed)

    def some(rows: slice) -> np.ndarray:
        pairs = find(rows.start, rows.stop, *parts, threshold)
        return pairs[:2, confirm(pairs, *parts[:3], threshold)]

    found = kernels.spread(walks + size, some, most=MEETINGS)
    return tuple(np.concatenate(found, axis=1))


def _looked_up_pairs(
    tokens: Matrix, prefix: Matrix, walks: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same by products of prefixes, and a count of what the pairs that are left share."""
    size, length = np.diff(tokens.indptr), np.diff(prefix.indptr)
    last = np.append(prefix.indices, -1)[np.where(length > 0, prefix.indptr[1:] - 1, -1)]
    a, b = _candidates(matrices.ones(prefix, np.int32), last, walks, size, threshold)
    shared = meet(tokens, a, b, BOTH)[0]
    close = shared >= threshold * (size[a] + size[b] - shared) - 1e-9
    return a[close], b[close]


def _candidates(
    prefix: Matrix, last: np.ndarray, walks: np.ndarray, size: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that share a column of their prefixes and are alike in size; in chunks, since most pairs fall away."""
    turned = prefix.T.tocsr()
    chunk = np.cumsum(walks) // MEETINGS
    left = size - np.diff(prefix.indptr)
    found = []
    for part in np.unique(chunk):
        rows = np.flatnonzero(chunk == part)
        product = prefix[rows] @ turned
        a, b = rows[matrices.row_of(product)], product.indices
        low, high = np.minimum(size[a], size[b]), np.maximum(size[a], size[b])
        near = np.flatnonzero((a < b) & (low >= threshold * high - 1e-9))
        a, b, common = a[near], b[near], product.data[near]
        most = common + np.where(last[a] <= last[b], left[a], left[b])
        near = most >= threshold / (1 + threshold) * (size[a] + size[b]) - 1e-9
        found.append((a[near], b[near]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def _copies(which: np.ndarray, a: np.ndarray, b: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of sets as pairs of rows: each copy of a with each of b, and the copies of one set with each other."""
    rows = np.flatnonzero(some)
    order = rows[np.argsort(which[rows], kind="stable")]
    count = np.bincount(which[rows], minlength=which.max(initial=-1) + 1)
    copies = matrices.trusted(np.ones(len(order), np.int8), order, matrices.starts(count), (len(count), len(which)))
    same = np.flatnonzero(count > 1)
    a, b = np.concatenate([a, same]), np.concatenate([b, same])
    left, lengths = matrices.spans(copies, a)
    pair = np.repeat(np.arange(len(a)), lengths)
    right, widths = matrices.spans(copies, b[pair])
    first, second = np.repeat(order[left], widths), order[right]
    # Copies of one set meet twice and themselves; different sets meet once, in either order of rows.
    inside = np.repeat(a[pair] == b[pair], widths)
    wanted = ~inside | (first < second)
    first, second = first[wanted], second[wanted]
    first, second = np.minimum(first, second), np.maximum(first, second)
    rows = np.lexsort((second, first))
    return first[rows], second[rows]


def _ranked(
    levels: Matrix, threshold: float, first: np.ndarray, second: np.ndarray, shared: np.ndarray, heavy: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Pairs that are similar enough, most similar first, equals as they came: by their rows."""
    have = row_sums(levels, levels.data)
    jaccard = shared / (have[first] + have[second] - shared)
    order = matrices.order(-jaccard)[: np.count_nonzero(jaccard >= threshold)]
    return first[order], second[order], shared[order], heavy[order]


def _measure(
    tenant: Tenant, found: Reach, first: np.ndarray, second: np.ndarray, shared: np.ndarray, heavy_shared: np.ndarray
) -> pd.DataFrame:
    """Pairs with what they share, plain and weighted, as a frame."""
    have, heavy_have = _sums(found.levels, weights(tenant), first, second)
    a, b, heavy_a, heavy_b = have[first], have[second], heavy_have[first], heavy_have[second]
    relation = 3 - 2 * (shared == a).astype(np.int32) - (shared == b)  # places in RELATIONS
    return pd.DataFrame(
        {
            "account_a": _ids(tenant, found, first),
            "account_b": _ids(tenant, found, second),
            "rights_a": pd.array(a, dtype=COUNT),
            "rights_b": pd.array(b, dtype=COUNT),
            "shared": pd.array(shared.astype(np.int64), dtype=COUNT),
            "jaccard": shared / (a + b - shared),
            "a_in_b": shared / a,
            "b_in_a": shared / b,
            "weighted": heavy_shared / (heavy_a + heavy_b - heavy_shared),
            "weighted_a_in_b": heavy_shared / heavy_a,
            "weighted_b_in_a": heavy_shared / heavy_b,
            "relation": worded(RELATIONS, relation),
        },
        copy=False,
    )


def _sums(levels: Matrix, weight: np.ndarray, *rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many rights each of some rows has, levels counted, and their weight; nothing for other rows."""
    asked = np.zeros(levels.shape[0], bool)
    for some in rows:
        asked[some] = True
    known = levels[asked]
    have, heavy = np.zeros(len(asked), np.int64), np.zeros(len(asked))
    have[asked], heavy[asked] = row_sums(known, known.data), row_sums(known, known.data * weight[known.indices])
    return have, heavy


def _ids(tenant: Tenant, found: Reach, rows: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """Ids of rows, each kept once where there are more rows than ids."""
    if len(rows) < len(found.principals):
        return tenant.codes.principals.text(found.principals[rows])
    return CompactText.of(tenant.codes.principals.values.take(pa.array(found.principals)), rows.astype(np.int32))


def outliers(tenant: Tenant, identities: str | Iterable[str] | None = None, *, far: float = 3.5) -> pd.DataFrame:
    """Accounts whose rights are unlike those of the others.

    Parameters
    ----------
    tenant : Tenant
        The data.
    identities : str or iterable of str, optional
        Default: the accounts that flows run as.
    far : float
        A size is unusual when it lies so many robust standard deviations (1.4826 median absolute deviations of the
        logarithm) above the median; 3.5 is the rule of Iglewicz and Hoaglin (1993).

    Returns
    -------
    DataFrame
        account_id, rights (levels counted), alone (resources that no other of these accounts reaches), nearest_id and
        nearest (the most similar other account and its Jaccard similarity; NA without one that shares anything), size
        (robust standard deviations from the median), is_outlier (unusual size, or nothing in common with any other
        while the others do overlap).
    """
    found = _subjects(tenant, identities, everyone=False)
    levels = found.levels
    have = row_sums(levels, levels.data.astype(np.int64))
    alone = row_sums(levels, np.bincount(levels.indices, minlength=levels.shape[1])[levels.indices] == 1)
    pairs = permission_overlap(tenant, list(tenant.codes.principals.text(found.principals)))
    ends = ["account_a", "account_b"]
    both = pd.concat([pairs[[*ends, "jaccard"]], pairs[[*ends[::-1], "jaccard"]].set_axis([*ends, "jaccard"], axis=1)])
    best = both.sort_values(["jaccard", "account_b"], ascending=[False, True])
    best = best.drop_duplicates("account_a").set_index("account_a")
    ids = pd.Series(tenant.codes.principals.text(found.principals))
    size = _robust(np.log1p(have))
    nearest = best["jaccard"].reindex(ids).array
    lonely = pd.isna(nearest) & (have > 0) & (len(best) > 0)
    frame = pd.DataFrame(
        {
            "account_id": ids,
            "rights": pd.array(have, dtype=COUNT),
            "alone": pd.array(alone, dtype=COUNT),
            "nearest_id": best["account_b"].reindex(ids).astype(TEXT).array,
            "nearest": nearest,
            "size": size,
            "is_outlier": pd.array((size > far) | lonely, dtype=FLAG),
        }
    )
    return covered(frame, tenant, TABLES, essential=("grants",))


def _robust(values: np.ndarray) -> np.ndarray:
    if not len(values):
        return values
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    return (values - middle) / spread if spread else np.zeros(len(values))
