"""The analyses as people write them first: sets, loops, merges. And what they are measured on.

Sets, lists and frames that a loop reads are made beforehand and cost it nothing. The obvious ways give the numbers
only; ours give whole frames with names, kinds, tiers and sentences.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from flowanalysis import matrices, schema
from flowanalysis.analysis import reach as reaching
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.blast import blast_radius, escalations, tiers
from flowanalysis.analysis.changes import changes
from flowanalysis.analysis.demand import demand
from flowanalysis.analysis.departures import departure_impact
from flowanalysis.analysis.execution import connection_uses
from flowanalysis.analysis.gap import flow_names, granted_levels, least_privilege_gap
from flowanalysis.analysis.holders import unused_connections
from flowanalysis.analysis.overlap import nested, permission_overlap
from flowanalysis.analysis.owners import bus_factor
from flowanalysis.analysis.paths import labels
from flowanalysis.analysis.privileges import privileges
from flowanalysis.analysis.reach import weights
from flowanalysis.analysis.traits import flow_codes, owner_codes
from flowanalysis.codes import LEVELS, split
from flowanalysis.graph import graph
from flowanalysis.snapshot import open_snapshot, write_snapshot
from flowanalysis.tenant import Tenant

THRESHOLD = 0.8
Case = tuple[Callable[[], object] | None, Callable[[Tenant], object], Callable[[object], object]]


class Bench:
    """A tenant, and what the obvious ways read."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = with_needs(tenant)
        self.codes, self.found = self.tenant.codes, reaching.main_reach(self.tenant)
        connection_uses(self.tenant)
        for ready in (demand, labels, weights, tiers, flow_codes, owner_codes, flow_names, reaching.resource_kinds):
            ready(self.tenant)

    def described(self) -> str:
        """Size in words."""
        counts = {t: len(self.tenant[t]) for t in ("identities", "flows", "memberships", "grants", "needs")}
        text = ", ".join(f"{n:,} {t}" for t, n in counts.items())
        return f"{text}; {len(self.found.principals):,} identities matter, {self.found.levels.nnz:,} effective rights"

    def again(self, *kept: str) -> Tenant:
        """The tenant with codes and accounts of connections, and of what is computed once only the parts named."""
        copy = Tenant(
            {t: self.tenant[t] for t in schema.TABLES},
            collected=self.tenant.collected,
            as_of=self.tenant.as_of,
            codes=lambda: self.codes,
        )
        copy.codes  # noqa: B018  ready before the clock starts
        copy._known.update(self.tenant._known)
        reaching._KEPT[copy] = {k: v for k, v in reaching._KEPT[self.tenant].items() if k in kept}
        return copy

    @cached_property
    def service(self) -> np.ndarray:
        """Rows of the service accounts."""
        return service_accounts(self.tenant)


def service_accounts(tenant: Tenant) -> np.ndarray:
    """Rows of the accounts that most flows run as, as many as one in five hundred users."""
    flows = np.bincount(tenant.codes.runs_as.indices, minlength=len(tenant.codes.principals))
    most = np.argsort(-flows, kind="stable")[: max(10, len(tenant.identities) // 500)]
    return np.sort(reaching.main_reach(tenant).place[most])


def as_sets(matrix: sparse.csr_matrix, rows: np.ndarray) -> dict[int, set[int]]:
    """Some rows of a matrix as sets."""
    bounds = matrix.indptr
    return {r: set(matrix.indices[bounds[r] : bounds[r + 1]].tolist()) for r in np.unique(rows).tolist()}


def with_needs(tenant: Tenant, seed: int = 5) -> Tenant:
    """The tenant with one need for each embedded connection: half of them on what the account holds."""
    codes, rng = tenant.codes, np.random.default_rng(seed)
    uses = connection_uses(tenant)
    uses = uses[uses["account_id"].notna().to_numpy(bool) & (uses["reason"] != "invoker").to_numpy(bool)]
    found = reaching.reach(codes, codes.runs_as.indices)
    row = found.place[codes.principals.codes(uses["account_id"])]
    size = np.diff(found.levels.indptr)[row]
    at = found.levels.indptr[row] + (rng.random(len(row)) * size).astype(np.int64)
    own = (size > 0) & (rng.random(len(row)) < 0.5)
    thing = rng.integers(0, len(codes.resources), len(row))
    thing[own] = found.levels.indices[at[own]]
    frame = pd.DataFrame(
        {
            **{c: uses[c].array for c in ("environment_id", "flow_id", "alias", "connector_id")},
            "step": uses["alias"].array,
            "right": "read",
            "level": np.array(LEVELS)[rng.integers(1, 4, len(row))],
            "resource_kind": "sharepoint_site",
            "resource": codes.resources.text(thing),
            "state": "known",
        }
    )
    frames = {t: tenant[t] for t in tenant.collected} | {"needs": schema.frame("needs", frame)}
    drawn = Tenant(frames, as_of=tenant.as_of, codes=lambda: codes)
    drawn._known.update(tenant._known)
    return drawn


def later(tenant: Tenant, seed: int = 6) -> Tenant:
    """A month later: a hundredth of the grants gone, a hundredth at another level, a hundredth new."""
    grants, rng = tenant.grants, np.random.default_rng(seed)
    lot = rng.integers(0, 100, len(grants))
    stay = grants[lot != 0].copy()
    moved = rng.integers(0, 100, len(stay)) == 0
    stay["level"] = stay["level"].mask(moved, "full")
    fresh = grants[lot == 1].copy()
    fresh["resource_id"] = grants["resource_id"].sample(len(fresh), random_state=seed, replace=True).array
    both = pd.concat([stay, fresh], ignore_index=True).drop_duplicates(list(schema.table("grants").key))
    return Tenant({"grants": both.sample(frac=1, random_state=seed, ignore_index=True)})


def effective(bench: Bench, share: float) -> Case:
    """Merges of frames of ids until nothing new is reached; a share of 0 is one identity."""
    tenant, codes = bench.tenant, bench.codes
    some = bench.found.principals[:: round(1 / share) if share else len(bench.found.principals)]
    people = pd.DataFrame({"identity_id": codes.principals.text(some)})
    chosen = np.zeros(len(codes.principals), bool)
    chosen[some] = True
    row = matrices.row_of(codes.member)
    member = pd.DataFrame(
        {"holder": codes.principals.text(row), "group_id": codes.principals.text(codes.member.indices)}
    )
    grants = pd.DataFrame(
        {
            "holder": tenant.grants["principal_id"],
            "resource_id": tenant.grants["resource_id"],
            "level": tenant.grants["level"].map({n: i for i, n in enumerate(LEVELS)}).fillna(1).astype(np.int8),
        }
    )
    inside = pd.DataFrame(
        {
            "resource_id": codes.resources.text(matrices.row_of(codes.cover)),
            "content": codes.resources.text(codes.cover.indices),
        }
    )

    def slow() -> tuple[int, int]:
        ways = frontier = people.assign(holder=people["identity_id"])
        while len(frontier):
            step = frontier.merge(member, on="holder")[["identity_id", "group_id"]]
            step = step.rename(columns={"group_id": "holder"}).drop_duplicates()
            known = step.merge(ways, on=["identity_id", "holder"], how="left", indicator=True)
            frontier = known.loc[known["_merge"] == "left_only", ["identity_id", "holder"]]
            ways = pd.concat([ways, frontier], ignore_index=True)
        rights = grants.merge(inside, on="resource_id")[["holder", "content", "level"]]
        found = ways.merge(rights, on="holder").groupby(["identity_id", "content"], sort=False)["level"].max()
        return len(found), int(found.sum())

    def check(frame: pd.DataFrame) -> tuple[int, int]:
        mine = (frame["kind"] == "grant").to_numpy() & chosen[frame["identity_id"].cat.codes]
        levels = frame["level"].cat.codes.to_numpy()[mine]
        return len(levels), int(levels.sum())

    return slow, lambda t: effective_permissions(t, paths=False), check


def blast(bench: Bench, share: float) -> Case:
    """The union of the sets of a flow's accounts, flow by flow: what is reached, and what may be written."""
    codes, place = bench.codes, bench.found.place
    flows = np.flatnonzero(np.diff(codes.runs_as.indptr))[:: round(1 / share)]
    accounts = [place[codes.runs_as[[f]].indices].tolist() for f in flows]
    needed = np.array([a for of in accounts for a in of])
    sets, writes = as_sets(bench.found.levels, needed), as_sets(matrices.at_least(bench.found.levels, 2), needed)

    def slow() -> tuple[int, int]:
        reach = sum(len(set().union(*(sets[a] for a in of))) for of in accounts)
        return reach, sum(len(set().union(*(writes[a] for a in of))) for of in accounts)

    names = set(zip(*split(codes.flows, flows), strict=True))

    def check(frame: pd.DataFrame) -> tuple[int, int]:
        mine = [k in names for k in zip(frame["environment_id"], frame["flow_id"], strict=True)]
        return int(frame.loc[mine, "reach"].sum()), int(frame.loc[mine, "reach_write"].sum())

    return slow, blast_radius, check


def gains(bench: Bench, share: float) -> Case:
    """The difference of two sets of rights for each editor and account that meet in a flow."""
    codes, place = bench.codes, bench.found.place
    edit, runs_as = matrices.ones(reaching.editors(codes)), matrices.ones(codes.runs_as)
    pairs = edit.T.tocsr() @ runs_as
    pairs.sort_indices()
    editor, account = matrices.row_of(pairs), pairs.indices
    other = editor != account
    editor, account = editor[other][:: round(1 / share)], account[other][:: round(1 / share)]
    rights = as_sets(nested(bench.found.levels), place[np.concatenate([editor, account])])
    writes = as_sets(matrices.at_least(bench.found.levels, 2), place[account])
    work = list(zip(place[editor].tolist(), place[account].tolist(), strict=True))

    def slow() -> tuple[int, int]:
        gained = written = 0
        for mine, theirs in work:
            more = {right >> 2 for right in rights[theirs] - rights[mine]}
            gained += len(more)
            written += len(more & writes[theirs])
        return gained, written

    names = set(zip(codes.principals.text(editor), codes.principals.text(account), strict=True))

    def check(frame: pd.DataFrame) -> tuple[int, int]:
        mine = [k in names for k in zip(frame["editor_id"], frame["account_id"], strict=True)]
        return int(frame.loc[mine, "gained"].sum()), int(frame.loc[mine, "gained_write"].sum())

    return slow, escalations, check


def accounts_overlap(bench: Bench, share: float) -> Case:
    """All pairs of service accounts, each as two sets."""
    rows = bench.service
    names = bench.codes.principals.text(bench.found.principals[rows])
    first = range(0, len(rows), round(1 / share))
    rights = as_sets(nested(bench.found.levels), rows)
    sets = [rights[r] for r in rows.tolist()]

    def slow() -> tuple[int, int]:
        found = []
        for i in first:
            for j in range(i + 1, len(sets)):
                both = len(sets[i] & sets[j])
                if both:
                    a, b = len(sets[i]), len(sets[j])
                    found.append((i, j, both, both / (a + b - both), both / a, both / b))
        frame = pd.DataFrame(found, columns=["a", "b", "shared", "jaccard", "a_in_b", "b_in_a"])
        return len(frame), int(frame["shared"].sum())

    chosen = {names[i] for i in first}

    def check(frame: pd.DataFrame) -> tuple[int, int]:
        mine = frame["account_a"].isin(chosen)
        return int(mine.sum()), int(frame.loc[mine, "shared"].sum())

    return slow, lambda t: permission_overlap(t, list(names)), check


def similar(bench: Bench, share: float) -> Case:
    """The product of all rights with themselves, some rows at a time, and then the threshold."""
    rights = nested(bench.found.levels).astype(np.int32)
    size = np.diff(rights.indptr)
    rows = np.arange(0, len(size), round(1 / share))
    turned = rights.T.tocsr()

    def slow() -> int:
        found = 0
        for start in range(0, len(rows), 500):
            some = rows[start : start + 500]
            product = rights[some] @ turned
            a, b = some[matrices.row_of(product)], product.indices
            close = product.data >= THRESHOLD * (size[a] + size[b] - product.data) - 1e-9
            found += int((close & (a < b)).sum())
        return found

    chosen = set(bench.codes.principals.text(bench.found.principals[rows]))
    return (
        slow,
        lambda t: permission_overlap(t, everyone=True, threshold=THRESHOLD),
        lambda frame: int(frame["account_a"].isin(chosen).sum()),
    )


def gap(bench: Bench, share: float) -> Case:
    """Dicts of what each account may and needs, compared in two loops."""
    codes, tenant, found = bench.codes, bench.tenant, bench.found
    accounts = np.unique(codes.runs_as.indices)[:: round(1 / share)]
    held, may = granted_levels(tenant, found), found.levels
    granted = {a: _row(held, found.place[a]) for a in accounts.tolist()}
    reached = {a: _row(may, found.place[a]) for a in accounts.tolist()}
    every = demand(tenant).rows
    rows = every[every["account"].isin(accounts)]
    needs = list(rows[["account", "resource", "level", "flow", "step", "own"]].itertuples(index=False, name=None))
    around = [r.tolist() for r in np.split(codes.cover_up.indices, codes.cover_up.indptr[1:-1])]
    anywhere = {c for r in every["resource"].unique().tolist() for c in around[r]}

    def slow() -> tuple[int, int]:
        wanted: dict[tuple[int, int], int] = {}
        missing, excess = [], []
        for account, thing, level, flow, step, own in needs:
            for container in around[thing]:
                if level > wanted.get((account, container), 0):
                    wanted[account, container] = level
            if not own and reached[account].get(thing, 0) < max(level, 1):
                missing.append((account, thing, reached[account].get(thing, 0), level, flow, step))
        for account, things in granted.items():
            for thing, level in things.items():
                need = wanted.get((account, thing), 0)
                if level > need:
                    reason = "level_too_high" if need else "needed_by_other" if thing in anywhere else "never_needed"
                    excess.append((account, thing, level, need, reason))
        columns = ["account", "resource", "granted", "needed", "a", "b"]
        frame = pd.concat([pd.DataFrame(missing, columns=columns), pd.DataFrame(excess, columns=columns[:5])])
        return len(missing), len(frame) - len(missing)

    chosen = set(codes.principals.text(accounts))

    def check(frame: pd.DataFrame) -> tuple[int, int]:
        mine = frame["account_id"].isin(chosen)
        missing = frame["side"] == "missing"
        return int((mine & missing).sum()), int((mine & ~missing).sum())

    return slow, least_privilege_gap, check


def _row(matrix: sparse.csr_matrix, row: int) -> dict[int, int]:
    place = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return dict(zip(matrix.indices[place].tolist(), matrix.data[place].tolist(), strict=True))


def second(tenant: Tenant, folder: Path) -> Tenant:
    """A month later as it comes: a snapshot of its own, which shares nothing with the first."""
    return open_snapshot(write_snapshot(later(tenant), folder / "later"))


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The same columns of text as strings, a string for each row."""
    return frame.apply(lambda column: pd.array(pa.array(column.array), dtype=schema.TEXT))


def drift(bench: Bench, _share: float) -> Case:
    """An outer merge of two months of grants on the ids themselves."""
    with tempfile.TemporaryDirectory() as place:
        new = second(bench.tenant, Path(place))
        len(new.grants)
    key = list(schema.table("grants").key)
    before, after = plain(bench.tenant.grants[key]), plain(new.grants[key])

    def slow() -> tuple[int, int]:
        both = before.merge(after, on=key, how="outer", indicator=True)["_merge"]
        return int((both == "left_only").sum()), int((both == "right_only").sum())

    def check(found: dict[str, pd.DataFrame]) -> tuple[int, int]:
        words = found["grants"]["change"]
        return int((words == "removed").sum()), int((words == "added").sum())

    return slow, lambda t: changes(t, new, ["grants"]), check


def impact(_bench: Bench, _share: float) -> Case:
    """No other way: one leaver at a time would take days."""
    return None, departure_impact, len


def ego(bench: Bench, _share: float) -> Case:
    """What lies around a maker like others, after one look at another (indices are made once)."""
    flows = np.bincount(bench.codes.runs_as.indices, minlength=len(bench.codes.principals))
    makers = np.flatnonzero(flows)
    first, second = bench.codes.principals.text(
        makers[np.argsort(flows[makers], kind="stable")[len(makers) // 2 :][:2]]
    )
    graph(bench.tenant, first)
    return None, lambda _tenant: graph(bench.tenant, second), len


CASES: dict[str, Callable[[Bench, float], Case]] = {
    "effective": effective,
    "blast": blast,
    "escalations": gains,
    "accounts_overlap": accounts_overlap,
    "similar": similar,
    "gap": gap,
    "drift": drift,
    "impact": impact,
    "ego": ego,
}
CODED = ("flow_codes", "owner_codes", "flow_names", "resource_kinds", "labels", "weights")
KEPT = dict.fromkeys(CASES, ("main_reach", "demand", "tiers", "main_tiers", *CODED)) | {"effective": CODED}


def stages(month_later: Path) -> dict[str, Callable[[Tenant], object]]:
    """The frames of a monthly report; drift reads the snapshot of another month."""
    return {
        "effective": lambda tenant: effective_permissions(tenant, paths=False),
        "drift": lambda tenant: changes(tenant, open_snapshot(month_later), ["grants"]),
        "unused": unused_connections,
        "impact": departure_impact,
        "bus_factor": bus_factor,
        "privileges": privileges,
        "blast": blast_radius,
        "blast_identity": lambda tenant: blast_radius(tenant, by="identity"),
        "escalations": escalations,
        "accounts_overlap": lambda tenant: permission_overlap(tenant, service_names(tenant)),
        "gap": least_privilege_gap,
    }


def service_names(tenant: Tenant) -> list[str]:
    """Ids of the service accounts."""
    return list(tenant.codes.principals.text(reaching.main_reach(tenant).principals[service_accounts(tenant)]))
