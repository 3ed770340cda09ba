"""What flows need, as codes: by step, by account, and what about it is not known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from flowanalysis import matrices, reference
from flowanalysis.analysis.execution import connection_uses
from flowanalysis.analysis.reach import kept, resource_kinds
from flowanalysis.analysis.traits import flow_codes
from flowanalysis.codes import LEVELS, Names, pair
from flowanalysis.codes.accounts import REASONS
from flowanalysis.matrices import Matrix
from flowanalysis.schema.compact import compact, encoded
from flowanalysis.tenant import Tenant

SETTLED = ("known", "environment_variable")
LEVEL_CODES = {level: rank for rank, level in enumerate(LEVELS) if rank}
ANY_FAMILY = np.uint64(2**64 - 1)
WHY = (*REASONS, "no_connection")  # how a step comes to its account, or why it has none
FAMILIES = 63  # families told apart; further ones share the last bit, which can only make more unknown


@dataclass(frozen=True, eq=False)
class Demand:
    """Needs of flows on stored connections.

    Attributes
    ----------
    rows : DataFrame
        One row for each settled need: place (row of ``needs``), flow, account (-1 unknown), resource, level (0 when
        not known), step, why (its connection, as the place in `WHY`), own (the resource is the account's own mailbox
        or drive).
    by_account : matrix, principals x resources
        Highest level needed.
    vague : matrix, principals x resources
        1: needed at a level that is not known, on the resource or inside it.
    anywhere : ndarray of bool, one for each resource
        Some flow needs it or something inside it, whoever it runs as.
    families : ndarray of uint64, one for each principal
        Bit set of the resource families for which the account has needs with unknown resources.
    unread : ndarray of bool, one for each principal
        A flow that runs as the account has no definition that was read.
    open_needs : ndarray of int, one for each flow
        Needs whose resource is not known before the flow runs.
    """

    rows: pd.DataFrame
    by_account: Matrix
    vague: Matrix
    anywhere: np.ndarray
    families: np.ndarray
    unread: np.ndarray
    open_needs: np.ndarray


@kept
def demand(tenant: Tenant) -> Demand:
    """The needs of all flows."""
    return _demand(tenant, np.ones(len(tenant.needs), bool), tenant.codes.runs_as)


def demand_of(tenant: Tenant, flow: int) -> Demand:
    """The needs of one flow; what is needed anywhere still counts all flows."""
    codes = tenant.codes
    chosen = codes.flows.codes(pair(tenant.needs, "flow_id")) == flow
    runs_as = codes.runs_as[[flow]]
    alone = matrices.trusted(
        runs_as.data,
        runs_as.indices,
        np.where(np.arange(len(codes.flows) + 1) > flow, runs_as.nnz, 0),
        codes.runs_as.shape,
    )
    return replace(_demand(tenant, chosen, alone), anywhere=demand(tenant).anywhere)


def _demand(tenant: Tenant, chosen: np.ndarray, runs_as: Matrix) -> Demand:
    codes, needs = tenant.codes, tenant.needs
    resource = codes.resources.codes(needs["resource"])
    flow = codes.flows.codes(pair(needs, "flow_id"))
    account, why = _accounts(tenant, flow)
    embedded = chosen & (why != WHY.index("invoker")) & (why != WHY.index("no_connection"))
    settled = needs["state"].isin(SETTLED).to_numpy() & (resource >= 0)
    at = np.flatnonzero(settled & embedded)
    rows = pd.DataFrame(
        {
            "place": at,
            "flow": flow[at],
            "account": account[at],
            "resource": resource[at],
            "level": needs["level"].map(LEVEL_CODES).fillna(0).to_numpy(np.int8)[at],
            "step": compact(encoded(needs["step"]), distinct=True)[at],
            "why": why[at],
            "own": _own(tenant, account[at], resource[at]),
        },
        copy=False,
    )
    open_ = ~settled & embedded
    return Demand(
        rows,
        *_matrices(tenant, rows),
        _open_families(tenant, account, open_ & (account >= 0)),
        _unread(tenant, runs_as, flow),
        np.bincount(flow[open_], minlength=len(codes.flows)),
    )


def _matrices(tenant: Tenant, rows: pd.DataFrame) -> tuple[Matrix, Matrix, np.ndarray]:
    """Needs by account, needs of no known level by account, and resources that some flow needs."""
    codes = tenant.codes
    size = (len(codes.principals), len(codes.resources))
    sharp = rows["level"].to_numpy() > 0
    by_account = matrices.relation(*_links(rows[sharp]), rows.loc[sharp, "level"].to_numpy(), size)
    vague = matrices.relation(*_links(rows[~sharp]), 1, size)
    if codes.granted is not codes.held:
        vague = matrices.ones(matrices.ones(vague) @ matrices.ones(codes.cover_up), np.int8)
        vague.sort_indices()
    used = np.zeros(size[1], np.int64)
    used[rows["resource"]] = 1
    return by_account, vague, (matrices.ones(codes.cover) @ used) > 0


def _links(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return rows["account"].to_numpy(), rows["resource"].to_numpy()


def _accounts(tenant: Tenant, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The account of each row of needs, and how its step comes to it, as places in `WHY`."""
    codes, needs = tenant.codes, tenant.needs
    if not len(needs):
        return np.empty(0, np.int32), np.empty(0, np.int8)
    uses = connection_uses(tenant)
    aliases = Names.of([uses["alias"], needs["alias"]])
    width, alias = max(len(aliases), 1), aliases.codes(needs["alias"])
    known = codes.flows.codes(pair(uses, "flow_id")).astype(np.int64) * width + aliases.codes(uses["alias"])
    order = np.argsort(known, kind="stable")
    wanted = flow.astype(np.int64) * width + alias
    at = np.append(order, -1)[np.searchsorted(known, wanted, sorter=order)]
    hit = (alias >= 0) & (np.append(known, -1)[at] == wanted)
    why = np.where(alias >= 0, WHY.index("missing_reference"), WHY.index("no_connection")).astype(np.int8)
    why[hit] = uses["reason"].map({word: place for place, word in enumerate(WHY)}).to_numpy(np.int8)[at[hit]]
    account = np.full(len(needs), -1, np.int32)
    account[hit] = codes.principals.codes(uses["account_id"])[at[hit]]
    account[why == WHY.index("invoker")] = -1
    return account, why


def _own(tenant: Tenant, account: np.ndarray, resource: np.ndarray) -> np.ndarray:
    """The resource is named like the account itself: its mailbox or drive, which it holds without a grant."""
    codes, people, width = tenant.codes, tenant.identities, len(tenant.codes.resources)
    mine = np.unique(account[account >= 0])
    people = people.loc[
        people["identity_id"].isin(codes.principals.text(mine)) if len(mine) else [], ["identity_id", "upn", "mail"]
    ]
    holder = codes.principals.codes(people["identity_id"])
    named = [codes.resources.codes(people[column].str.lower()) for column in ("upn", "mail")]
    own = [holder[place >= 0].astype(np.int64) * width + place[place >= 0] for place in named]
    return np.isin(account.astype(np.int64) * width + resource, matrices.ascending(np.concatenate(own)))


@kept
def family_codes(tenant: Tenant) -> dict[str, int]:
    """Kind of resource to the number of its family."""
    listed = reference.table("resource_families").set_index("kind")["family"]
    kinds = sorted({*resource_kinds(tenant).categories, *tenant.needs["resource_kind"].dropna().unique()})
    families = [listed.get(kind, kind) for kind in kinds]
    numbers = {family: min(number, FAMILIES - 1) for number, family in enumerate(dict.fromkeys(families))}
    return {kind: numbers[family] for kind, family in zip(kinds, families, strict=True)}


@kept
def family_of(tenant: Tenant) -> np.ndarray:
    """Number of the family of each resource; resources of no known kind are a family of their own."""
    kinds, numbers = resource_kinds(tenant), family_codes(tenant)
    lookup = np.array([*(numbers[kind] for kind in kinds.categories), FAMILIES], dtype=np.int64)
    return lookup[kinds.codes]


def _open_families(tenant: Tenant, account: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """Families in which each account has needs that name no resource."""
    masks = np.zeros(len(tenant.codes.principals), np.uint64)
    kind = tenant.needs["resource_kind"]
    numbers = kind.map(family_codes(tenant)).fillna(-1).to_numpy(np.int64)
    general = kind.isna().to_numpy() | kind.isin(["other", "tenant", "unknown"]).to_numpy()
    bits = np.where(general, ANY_FAMILY, np.uint64(1) << np.maximum(numbers, 0).astype(np.uint64))
    # A resource of no known kind may be the one meant by any need.
    np.bitwise_or.at(masks, account[open_], bits[open_] | np.uint64(1) << np.uint64(FAMILIES))
    return masks


def _unread(tenant: Tenant, runs_as: Matrix, needing: np.ndarray) -> np.ndarray:
    """Accounts of flows whose definition was not read; flows that need something were."""
    codes, flows = tenant.codes, tenant.flows
    read = np.zeros(len(codes.flows) + 1, bool)  # the last place is that of -1
    if tenant.has("needs"):
        read[flow_codes(tenant)[flows["has_definition"].fillna(False).to_numpy(bool)]] = True
        read[codes.flows.codes(pair(tenant.steps, "flow_id"))] = True
        read[needing] = True
    return (matrices.ones(runs_as).T @ (~read[:-1]).astype(np.int64)) > 0
