"""How to get from today to the plan: grants to give and to take, and for each flow the steps in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from flowanalysis.codes import LEVELS
from flowanalysis.planning.targets import Holding
from flowanalysis.planning.wants import KEY, RANKS, Wants
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.tenant import Tenant

__all__ = ["GRANTS", "MOVES", "grants", "moves"]

GRANTS = ["account", "resource_kind", "resource", "level", "action", "held", "flows", "sentence"]
MOVES = ["account", "environment_id", "flow_id", "order", "step", "who", "alias", "connector_id", "sentence"]


def grants(
    tenant: Tenant, wants: Wants, planned: Mapping[str, Mapping[int, int]], held: Holding, vague: Mapping[str, str]
) -> pd.DataFrame:
    """What each account of the plan must hold, and what has to change for that.

    Parameters
    ----------
    tenant, wants
        The data and its rights.
    planned : mapping
        Account to rights (places in the rights table) with the number of flows that need each.
    held : Holding
        Of the existing ones among these accounts.
    vague : mapping
        Account to the reason why what it holds beyond the plan may be needed all the same.

    Returns
    -------
    DataFrame
        account, resource_kind, resource, level, action, held (level today; NA for none), flows (that need it),
        sentence. Actions: keep, add, raise, lower, remove, check (what it holds was not collected), review (held beyond
        the plan, but it may be needed), none (belongs to the account itself), ask (what is needed is not known before
        the flow runs).
    """
    rows: list[tuple[object, ...]] = []
    rights = list(wants.rights[["resource_kind", "resource", "level", "state"]].itertuples(index=False, name=None))
    for account in sorted(planned):
        now = held.direct(tenant, account)
        told = tenant.has("grants") or account not in held.row
        least = {bit: rights[bit] for bit in wants.least(sum(1 << b for b in planned[account]))}
        rows += _needed(account, least, planned[account], now, told=told)
        rows += _beyond(account, {resource for _, resource, _, _ in least.values()}, now, vague.get(account))
    frame = pd.DataFrame(rows, columns=GRANTS)
    frame = frame.astype({c: TEXT for c in GRANTS if c != "flows"} | {"flows": COUNT})
    return frame.sort_values(["account", "resource", "level", "action"], ignore_index=True)


def _needed(
    account: str,
    least: Mapping[int, tuple[str, str, str, str]],
    planned: Mapping[int, int],
    now: Mapping[str, tuple[int, bool]],
    *,
    told: bool,
) -> list[tuple[Any, ...]]:
    rows = []
    for bit, (kind, resource, level, state) in least.items():
        have = now.get(resource, (0, False))[0]
        action, sentence = _action(resource, level, state, have)
        if action == "add" and not told:
            action, sentence = "check", f"See that it holds {level} on {resource}; what it holds was not collected."
        rows.append((account, kind, resource, level, action, LEVELS[have] if have else pd.NA, planned[bit], sentence))
    return rows


def _action(resource: str, level: str, state: str, have: int) -> tuple[str, str]:
    rank = RANKS[level]
    if state in ("own", "in_connection"):
        return ("none", f"Needs no grant where the account signs in: {resource}.")
    if state != "known":
        return ("ask", f"Ask the flow's owner which right is meant: {resource}, level {level}.")
    if not have:
        return ("add", f"Grant {level} on {resource}.")
    if have < rank:
        return ("raise", f"Raise {LEVELS[have]} to {level} on {resource}.")
    if have > rank:
        return ("lower", f"Lower {LEVELS[have]} to {level} on {resource}.")
    return ("keep", f"Holds {level} on {resource}.")


def _beyond(
    account: str, needed: set[str], now: Mapping[str, tuple[int, bool]], vague: str | None
) -> list[tuple[Any, ...]]:
    """Rights that the account holds and no flow of it needs."""
    rows = []
    for resource in sorted(set(now) - needed):
        level, direct = now[resource]
        how = "" if direct else " It comes from a group: take the account out of the group, or change the group."
        if vague:
            action, sentence = "review", f"Not needed by the plan, but keep {resource} until this is settled: {vague}."
        else:
            action, sentence = "remove", f"Remove {LEVELS[level]} on {resource}: no flow of the account needs it.{how}"
        rows.append((account, pd.NA, resource, LEVELS[level], action, LEVELS[level], 0, sentence))
    return rows


def moves(
    assignment: pd.DataFrame, connections: pd.DataFrame, given: pd.DataFrame, existing: pd.DataFrame
) -> pd.DataFrame:
    """The steps of each flow that changes its account or one of its connections, in their order.

    Parameters
    ----------
    assignment, connections : DataFrame
        From the plan: one row for each flow, one for each stored connection.
    given : DataFrame
        flow x right to be granted: environment_id, flow_id, account, sentence.
    existing : DataFrame
        Connections that are there: environment_id, connector_id, account_id, connection_id.

    Returns
    -------
    DataFrame
        account, environment_id, flow_id, order (from 1), step (create_account | grant | connect | reuse | rebind | own
        | test | clean_up), who, alias, connector_id, sentence. Flows of one account stand together.
    """
    there = existing.sort_values("connection_id").drop_duplicates(["environment_id", "connector_id", "account_id"])
    there = there.set_index(["environment_id", "connector_id", "account_id"])["connection_id"].to_dict()
    shared = _shared_references(connections)
    by_flow: dict[tuple[str, str], list[Any]] = {}
    for use in connections[connections["changed"]].itertuples(index=False):
        by_flow.setdefault((use.environment_id, use.flow_id), []).append(use)
    grants_of: dict[tuple[str, str], set[str]] = {}
    for environment, flow, sentence in given[[*KEY, "sentence"]].itertuples(index=False):
        grants_of.setdefault((environment, flow), set()).add(sentence)
    rows: list[tuple[Any, ...]] = []
    moving = assignment[assignment["state"] == "moves"].sort_values(["account", *KEY])
    for flow in moving.itertuples(index=False):
        key = (flow.environment_id, flow.flow_id)
        steps = [
            *_opening(flow, grants_of.get(key, ())),
            *_connect(flow, by_flow.get(key, ()), there, shared),
            *_close(flow),
        ]
        rows += [(flow.account, *key, place, *step) for place, step in enumerate(steps, start=1)]
    frame = pd.DataFrame(rows, columns=MOVES)
    return frame.astype({c: TEXT for c in MOVES if c != "order"} | {"order": COUNT})


def _shared_references(connections: pd.DataFrame) -> set[tuple[str, str]]:
    """Connection references that serve flows of more than one account of the plan, or flows that are not planned."""
    named = connections.dropna(subset="reference_name")
    counts = named.fillna({"account": ""}).groupby(["environment_id", "reference_name"])["account"].nunique()
    return set(counts[counts > 1].index)


def _opening(flow: Any, sentences: Iterable[str]) -> list[tuple[Any, ...]]:
    steps = []
    if flow.is_new:
        what = f"Create the account {flow.account_name}, license it, and register it with an owner and a deputy."
        steps.append(("create_account", "identity administrator", pd.NA, pd.NA, what))
    return steps + [("grant", "owner of the resource", pd.NA, pd.NA, s) for s in sorted(sentences)]


def _connect(
    flow: Any, uses: Iterable[Any], there: Mapping[Any, Any], shared: set[tuple[str, str]]
) -> list[tuple[Any, ...]]:
    steps = []
    for use in uses:
        ends = (use.alias, use.connector_id)
        found = there.get((use.environment_id, use.connector_id, flow.account))
        if found is None:
            what = (
                f"Sign in as {flow.account_name} and create the connection for {use.connector_id} in the environment."
            )
            steps.append(("connect", "who holds the new account", *ends, what))
        else:
            what = f"Use the connection {found}, which {flow.account_name} has already."
            steps.append(("reuse", "who holds the new account", *ends, what))
        steps.append(("rebind", "maker of the flow", *ends, _rebind(use, shared)))
    return steps


def _rebind(use: Any, shared: set[tuple[str, str]]) -> str:
    if pd.isna(use.reference_name):
        return "Choose that connection in the flow, save, and see that no step kept the old one."
    if (use.environment_id, use.reference_name) in shared:
        return (
            f"Give the flow a connection reference of its own: {use.reference_name} also serves flows that do not "
            "move to this account."
        )
    return f"Point the connection reference {use.reference_name} to that connection; that moves all flows that use it."


def _close(flow: Any) -> list[tuple[Any, ...]]:
    old = flow.owner_name if isinstance(flow.owner_name, str) else "the owner of today"
    if flow.owner_id == flow.account:
        own = f"{flow.account_name} owns the flow already."
    elif pd.notna(flow.is_solution) and flow.is_solution:
        own = f"Make {flow.account_name} the owner and leave {old} as co-owner."
    else:
        own = (
            f"Add {flow.account_name} as co-owner. {old} stays the owner: a flow outside solutions cannot be handed "
            "over; put it into a solution, or save a copy as the new account, to change that."
        )
    test = "Run the flow once and compare the result with a run from before."
    clean = "When it has run well for a while, remove the old connections that no other flow uses."
    return [
        ("own", "owner of the flow", pd.NA, pd.NA, own),
        ("test", "owner of the flow", pd.NA, pd.NA, test),
        ("clean_up", "who holds the old account", pd.NA, pd.NA, clean),
    ]
