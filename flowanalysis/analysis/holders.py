"""The view from the other end: who reaches a resource, and which connections nobody uses."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis.execution import declared
from flowanalysis.analysis.gap import flow_texts
from flowanalysis.analysis.owners import identity_rows
from flowanalysis.analysis.paths import chain, in_words, labels, phrases, verb
from flowanalysis.analysis.reach import covered, editors, kept, level_names
from flowanalysis.codes import LEVELS, Codes
from flowanalysis.errors import UnknownName
from flowanalysis.matrices import Matrix
from flowanalysis.schema import COUNT, FLAG, TEXT
from flowanalysis.schema.compact import CompactText, chosen, worded
from flowanalysis.tenant import Tenant

Texts: TypeAlias = pd.api.extensions.ExtensionArray
SENTENCES = 10_000  # more rows than anybody reads get no sentence
REACH_TABLES = {
    "grants": "no right on a resource is seen",
    "memberships": "rights through groups are not seen",
    "flow_owners": "who can edit a flow is not seen",
    "flow_connections": "the connections of flows are not known",
    "connections": "the accounts behind flows are not known",
}
UNUSED_TABLES = {
    "connections": "connections are not seen",
    "flow_connections": "what flows use is not known, so nothing can be called unused",
    "connection_references": "a connection may serve flows through a reference",
    "connection_shares": "with whom a connection is shared is not seen",
}


@kept
def flows_of_accounts(tenant: Tenant) -> Matrix:
    """Account x flow: ``runs_as`` turned around."""
    return tenant.codes.runs_as.T.tocsr()


def who_reaches(tenant: Tenant, resource: str, *, level: str = "read", flows: bool = True) -> pd.DataFrame:
    """Everybody who reaches a resource: by a grant, over groups and containers, or through a flow.

    Parameters
    ----------
    tenant : Tenant
        The data.
    resource : str
        Resource key.
    level : str
        Only levels of at least this: read | write | owner | full.
    flows : bool
        Also who can edit a flow that runs as an account which reaches it.

    Returns
    -------
    DataFrame
        One row for each identity and way, highest level first: identity_id, is_group, level, via (direct | group |
        flow), holder_id (who holds the grant: itself, a group, or the account of the flow), environment_id and
        flow_id (of the first such flow), path (a sentence; NA beyond 10,000 rows). Through a flow only those are told
        who do not reach the level otherwise.

    Raises
    ------
    UnknownName
        For an unknown resource or level.
    """
    codes = tenant.codes
    code = codes.resources.code(resource.strip().lower())
    if code < 0:
        raise UnknownName("resource", resource, _near(tenant, resource))
    if level not in LEVELS[1:]:
        raise UnknownName("level", level, LEVELS[1:])
    best, holder = _reachers(codes, code)
    least = LEVELS.index(level)
    own = np.flatnonzero(best >= least)
    through = _through_flows(codes, flows_of_accounts(tenant), own, best, least) if flows else _no_ways()
    who_, levels = np.concatenate([own, through[0]]), np.concatenate([best[own], through[1]])
    holders = np.concatenate([holder[own], through[2]])
    flow = np.concatenate([np.full(len(own), -1), through[3]])
    via = np.where(flow >= 0, "flow", np.where(holders == who_, "direct", "group"))
    order = np.lexsort((who_, flow >= 0, -levels))
    environment, flow_id = flow_texts(tenant, flow[order])
    frame = pd.DataFrame(
        {
            "identity_id": codes.principals.text(who_[order]),
            "is_group": pd.array(codes.groups[who_[order]], dtype=FLAG),
            "level": level_names(levels[order]),
            "via": pd.array(via[order], dtype=TEXT),
            "holder_id": codes.principals.text(holders[order]),
            "environment_id": environment,
            "flow_id": flow_id,
        }
    )
    frame["path"] = _ways(tenant, frame, who_[order], holders[order], codes.resources.text([code])[0])
    return covered(frame, tenant, REACH_TABLES, essential=("grants",))


def _near(tenant: Tenant, resource: str) -> pd.Series:
    names = pd.Series(tenant.codes.resources.text(np.arange(len(tenant.codes.resources))), dtype=TEXT)
    return names[names.str[:10] == resource.lower()[:10]].head(2_000)


def _reachers(codes: Codes, resource: int) -> tuple[np.ndarray, np.ndarray]:
    """For each principal: highest level on the resource, 0 for none, and the first by id that holds it for them."""
    around = codes.cover_up[[resource]].indices
    places, counts = matrices.spans(codes.holders, around)
    size = len(codes.principals)
    held = np.zeros(size, np.int8)
    np.maximum.at(held, codes.holders.indices[places], codes.holders.data[places])
    holders = np.flatnonzero(held)
    begin = matrices.relation(np.arange(len(holders)), holders, 1, (len(holders), size))
    inside = matrices.reached(begin, codes.members)
    row, member = matrices.row_of(inside), inside.indices
    # Of the ways of one member the highest level wins, then its own grant, then the first holder by id.
    order = np.lexsort((holders[row], holders[row] != member, -held[holders[row]], member))
    member, first = np.unique(member[order], return_index=True)
    best, holder = np.zeros(size, np.int8), np.full(size, -1, np.int64)
    holder[member] = holders[row[order][first]]
    best[member] = held[holder[member]]
    return best, holder


def _no_ways() -> tuple[np.ndarray, ...]:
    return tuple(np.empty(0, np.int64) for _ in range(4))


def _through_flows(
    codes: Codes, flows: Matrix, own: np.ndarray, best: np.ndarray, least: int
) -> tuple[np.ndarray, ...]:
    """Who can edit a flow of an account that reaches the resource, and does not reach it himself."""
    places, counts = matrices.spans(flows, own)
    account, flow = np.repeat(own, counts), flows.indices[places]
    edit = editors(codes)
    places, counts = matrices.spans(edit, flow)
    account, flow, editor = np.repeat(account, counts), np.repeat(flow, counts), edit.indices[places]
    known, place = np.unique(editor, return_inverse=True)
    begin = matrices.relation(np.arange(len(known)), known, 1, (len(known), len(codes.principals)))
    inside = matrices.reached(begin, codes.members)
    places, counts = matrices.spans(inside, place)
    person = inside.indices[places]
    account, flow = np.repeat(account, counts), np.repeat(flow, counts)
    new = best[person] < least
    person, account, flow = person[new], account[new], flow[new]
    order = np.lexsort((account, flow, -best[account], person))
    person, first = np.unique(person[order], return_index=True)
    account, flow = account[order][first], flow[order][first]
    return person, best[account], account, flow


def _ways(tenant: Tenant, rows: pd.DataFrame, who_: np.ndarray, holder: np.ndarray, resource: str) -> pd.Series:
    """Each row in words."""
    if len(rows) > SENTENCES:
        return pd.Series(pd.NA, index=rows.index, dtype=TEXT)
    names = labels(tenant)
    sentences = []
    for person, held_by, level, via, flow in zip(
        who_, holder, rows["level"], rows["via"], rows["flow_id"], strict=True
    ):
        right = f"may {verb(LEVELS.index(level))} {resource}"
        if via == "flow":
            account = names.iloc[held_by]
            sentences.append(f"{names.iloc[person]} can edit the flow {flow}, which runs as {account}, who {right}.")
        else:
            sentences.append(f"{in_words(names, chain(tenant.codes, int(person), int(held_by)))} {right}.")
    return pd.Series(sentences, index=rows.index, dtype=TEXT)


def unused_connections(tenant: Tenant) -> pd.DataFrame:
    """Connections that no flow declares: stored sign-ins that only cost.

    Returns
    -------
    DataFrame
        One row for each, oldest first: environment_id, connection_id, connector_id, display_name, account_id,
        account_status, status (of the connection), created_at, age_days (to the moment that the data describes), shares
        (with how many), references (connection references that are bound to it: flows that were not collected may use
        it), sentence. When the connections of flows were not collected the frame is empty, and ``attrs["coverage"]``
        says that there is no answer. Apps may use a connection too; they are not seen here.
    """
    codes, rows = tenant.codes, tenant.connections
    place = tenant.coded("connections", "connection_id")
    used = np.zeros(len(codes.connections) + 1, bool)
    used[declared(tenant)] = True
    used[codes.uses.indices] = True
    free = np.flatnonzero(~used[place] & tenant.has("connections", "flow_connections"))
    free = free[matrices.order(place[free])]  # codes of connections are in the order of environment and id
    made = rows["created_at"].array[free]
    free = free[matrices.order(np.where(made.isna(), np.iinfo(np.int64).max, made.asi8))]
    place, account = place[free], _signed_in(codes, place[free])
    bound = tenant.coded("connection_references", "connection_id")
    references = np.bincount(bound[bound >= 0], minlength=len(codes.connections))[place]
    told = ["environment_id", "connection_id", "connector_id", "display_name", "status", "created_at"]
    frame = {column: rows[column].array[free] for column in told}
    frame["account_id"] = codes.principals.text(account)
    frame["account_status"] = tenant.identities["status"].array.take(identity_rows(tenant)[account], allow_fill=True)
    frame["age_days"] = pd.Series(tenant.as_of - frame["created_at"]).dt.days.astype(COUNT)
    frame["shares"] = pd.array(np.diff(codes.shares.indptr)[place], dtype=COUNT)
    frame["references"] = pd.array(references, dtype=COUNT)
    frame["sentence"] = _unused_sentences(_account_names(rows, free), frame["connector_id"], frame["age_days"])
    order = ["environment_id", "connection_id", "connector_id", "display_name", "account_id", "account_status"]
    order += ["status", "created_at", "age_days", "shares", "references", "sentence"]
    whole = pd.DataFrame({column: frame[column] for column in order}, copy=False)
    return covered(whole, tenant, UNUSED_TABLES, essential=("connections", "flow_connections"))


def _signed_in(codes: Codes, connection: np.ndarray) -> np.ndarray:
    """The account behind each connection; -1 where none is known."""
    first = codes.signs_in.indptr[connection]
    known = codes.signs_in.indptr[connection + 1] > first
    accounts = np.full(len(connection), -1)
    accounts[known] = codes.signs_in.indices[first[known]]
    return accounts


def _account_names(rows: pd.DataFrame, some: np.ndarray) -> CompactText:
    """The account as some connections name it, as `connection_accounts` tells: the best evidence, last the maker."""
    columns = ("created_by_upn", "username", "client_id", "account_name")
    names = [rows[column].array[some] for column in columns]
    which = np.where(rows["created_by_id"].array[some].isna(), -1, 0)
    for number, column in enumerate(names[1:], start=1):
        which[(pd.Series(column) != "").fillna(False).to_numpy(bool)] = number
    return chosen(names, which)


def _unused_sentences(names: CompactText, connector: Texts, days: pd.Series) -> Texts:
    names, connector = names.copy(), connector.copy()
    names[names.isna()] = "an account that is not known"
    connector[connector.isna()] = "an unknown service"
    which, ages = pd.factorize(days)
    age = worded([*(f", made {n} days ago" for n in ages), ""], np.where(which < 0, len(ages), which))
    return phrases("No flow uses the connection of ", names, " to ", connector, age, ".")
