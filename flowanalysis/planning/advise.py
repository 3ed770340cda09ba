"""Which existing service account could run a flow: ranked, every rejection explained, and what a new one would need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flowanalysis.analysis.reach import covered
from flowanalysis.codes import LEVELS
from flowanalysis.errors import InputError, UnknownName
from flowanalysis.planning.constraints import serves
from flowanalysis.planning.held import Held, Right
from flowanalysis.planning.subjects import boundaries, subjects
from flowanalysis.planning.targets import targets
from flowanalysis.planning.wants import KEY, RANKS, Wants, wants
from flowanalysis.policy import Policy, load_policy
from flowanalysis.register import members, named_purpose
from flowanalysis.schema import COUNT, FLAG, NO_ENVIRONMENT, NUMBER, TEXT
from flowanalysis.sources import read
from flowanalysis.tenant import Tenant

__all__ = ["advise"]

TABLES = {
    "identities": "service accounts are not recognised",
    "grants": "what accounts hold is only known from what their flows need",
    "runs": "requests are not counted",
    "licences": "how many requests an account may make is assumed",
}
VERDICTS = ("fits", "covers", "create", "with_changes", "no")
COLUMNS = {"verdict": TEXT, "account_id": TEXT, "account_name": TEXT, "covers": FLAG, "missing": COUNT}
COLUMNS |= {"excess": NUMBER, "flows_left": COUNT, "requests_left": NUMBER, "explanation": TEXT, "rights": TEXT}


@dataclass(frozen=True, eq=False)
class _Asked:
    """One flow as the advisor sees it."""

    name: str
    key: tuple[str, str]
    environment: str  # where it lives; empty for a file that does not tell
    boundary: str
    purpose: str
    counted: bool
    requests: float
    wants: Wants
    connectors: pd.Series


def advise(
    tenant: Tenant, flow: str | Path, policy: Policy | None = None, *, environment: str | None = None
) -> pd.DataFrame:
    """Rank the existing service accounts for a flow of the tenant or for a definition in a file.

    Parameters
    ----------
    tenant : Tenant
        The data.
    flow : str or Path
        A file with one flow (a definition in any wrapper, a package), else the id or exact name of a flow.
    policy : Policy, optional
        Boundaries, purposes, bans, conflicts, weights, and the excess that one flow may have.
    environment : str, optional
        Id of the environment where a flow from a file is to live.

    Returns
    -------
    DataFrame
        Best first: verdict (fits | covers | create | with_changes | no), account_id, account_name, covers (holds every
        right that is needed; NA where that cannot be told), missing (rights to be granted), excess (weight of what the
        flow would reach through its connectors and does not need), flows_left and requests_left (head-room with the
        flow; NA where not known), explanation, rights (to be granted). What covers has more excess than allowed. The
        row ``create`` is the answer when nothing above it suits: it lists exactly the rights that a new account needs.
        ``attrs["coverage"]`` says what was not collected.

    Raises
    ------
    UnknownName
        When there is no such flow.
    InputError
        When the file does not hold exactly one flow.

    Examples
    --------
    >>> import flowanalysis as fa
    >>> answer = advise(fa.load(fa.place("data/demo/2026-10")), "Invoice intake")
    >>> answer["verdict"].iloc[-1] in ("no", "create")
    True
    """
    policy = policy or load_policy()
    flows = subjects(tenant, policy)
    asked = _asked(tenant, flows, flow, policy, environment)
    accounts = targets(tenant, policy)
    load = _load(tenant, flows, policy, accounts, asked)
    needed, open_ = _needed(asked)
    have = Held(tenant, policy, accounts, asked.wants.rights, asked.connectors)
    missing = have.missing(needed)
    excess = have.excess(needed)
    told = tenant.has("grants")
    banned, rows = _banned(tenant, policy, asked), []
    for place, account in enumerate(accounts.itertuples(index=False)):
        lacking = [needed[n] for n in np.flatnonzero(missing[place])]
        against = [*_barred(account, asked, banned), *have.conflicts[place], *_full(account, load[place])]
        verdict, words = _verdict(against, lacking, float(excess[place]), policy, told=told, open_=open_)
        covers = None if (lacking and not told) or open_ else not lacking
        rights = "; ".join(_text(r) for r in lacking)
        rows.append(
            (
                verdict,
                account.account_id,
                account.name,
                covers,
                len(lacking),
                excess[place],
                *load[place],
                words,
                rights,
            )
        )
    rows.append(_new(asked, needed, open_, policy))
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return covered(_ranked(frame), tenant, TABLES, essential=("identities",))


def _ranked(frame: pd.DataFrame) -> pd.DataFrame:
    """By verdict, then by rights to be granted, excess and head-room."""
    order = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
    keys = frame.assign(rank=frame["verdict"].map(order).astype("int64"), room=-frame["flows_left"].fillna(0))
    keys = keys.sort_values(["rank", "missing", "excess", "room", "account_name"], na_position="last")
    return frame.loc[keys.index].reset_index(drop=True)


def _asked(tenant: Tenant, flows: pd.DataFrame, flow: str | Path, policy: Policy, environment: str | None) -> _Asked:
    path = Path(flow)
    try:
        from_file = path.is_file()
    except OSError:  # a name longer than any file's
        from_file = False
    return (
        _from_file(tenant, path, policy, environment) if from_file else _from_tenant(tenant, flows, str(flow), policy)
    )


def _from_file(tenant: Tenant, path: Path, policy: Policy, environment: str | None) -> _Asked:
    alone = read(path).tenant()
    if len(alone.flows) != 1:
        what = f"holds {len(alone.flows)} flows, and one is asked for"
        raise InputError(what, where=path.name, remedy="Give a file with one flow, or load it and name the flow")
    row = alone.flows.iloc[0]
    known = tenant.environments["environment_id"].dropna().tolist()
    if environment is not None and environment.lower() not in known:
        raise UnknownName("environment", environment, known)
    here = environment.lower() if environment else row["environment_id"]
    here = "" if here == NO_ENVIRONMENT or (environment is None and here not in known) else here
    name = str(row["display_name"] if pd.notna(row["display_name"]) else path.stem)
    boundary = _boundary(tenant, policy, here) if here else ""
    purpose = str(named_purpose(policy, pd.Series([name], dtype=TEXT))[0])
    counted = not (pd.notna(row["is_solution"]) and row["is_solution"])
    return _describe(
        name, alone, (row["environment_id"], row["flow_id"]), (here, boundary, purpose, counted, 0.0), policy
    )


def _boundary(tenant: Tenant, policy: Policy, environment: str) -> str:
    return str(boundaries(tenant, policy).get(environment, environment))


def _from_tenant(tenant: Tenant, flows: pd.DataFrame, flow: str, policy: Policy) -> _Asked:
    wanted = flow.strip().lower()
    full = flows["environment_id"].str.lower() + "/" + flows["flow_id"].str.lower()
    same = (flows["flow_id"].str.lower() == wanted) | (full == wanted) | (flows["display_name"].str.lower() == wanted)
    found = flows[same.fillna(False)]
    if len(found) != 1:
        known = (
            [*flows["display_name"].dropna(), *flows["flow_id"]]
            if found.empty
            else (found["environment_id"] + "/" + found["flow_id"])
        )
        raise UnknownName(
            "flow" if found.empty else "single flow", flow, known, remedy="Give an id, or environment/id."
        )
    row = found.iloc[0]
    key = (row["environment_id"], row["flow_id"])
    same_flow = {
        t: (tenant[t][KEY[0]] == key[0]) & (tenant[t][KEY[1]] == key[1]) for t in ("flow_connections", "needs")
    }
    own = {t: tenant[t][rows.fillna(False)] for t, rows in same_flow.items()}
    here = {t: tenant[t][tenant[t]["environment_id"] == key[0]] for t in ("connections", "connection_references")}
    alone = Tenant({**own, **here})
    requests = 0.0 if pd.isna(row["requests"]) else float(row["requests"])
    facts = (key[0], row["boundary"], row["purpose"], bool(row["counted"]), requests)
    return _describe(str(row["display_name"]), alone, key, facts, policy)


def _describe(
    name: str, alone: Tenant, key: tuple[str, str], facts: tuple[str, str, str, bool, float], policy: Policy
) -> _Asked:
    found = wants(alone, policy)
    both = pd.concat([found.uses["connector_id"], found.rows["connector_id"]]).dropna()
    return _Asked(name, key, *facts, found, both[both != ""].drop_duplicates().sort_values(ignore_index=True))


def _needed(asked: _Asked) -> tuple[list[Right], list[str]]:
    """Rights that can be granted, and in words what cannot be told."""
    table = asked.wants.rights
    least = table.iloc[asked.wants.least((1 << len(table)) - 1)] if len(table) else table
    known = least[least["state"] == "known"]
    rows = [(k, r, RANKS[lv]) for k, r, lv in known[["resource_kind", "resource", "level"]].itertuples(index=False)]
    open_ = least[~least["state"].isin(["known", "own"])]
    words = {
        "unknown_resource": "it chooses a {kind} while it runs",
        "unknown_level": "which right it needs on {resource} cannot be told",
        "in_connection": "it works on the {kind} of the connection, which would be that of the new account",
    }
    said = [
        words[state].format(kind=kind.replace("_", " "), resource=resource)
        for kind, resource, state in open_[["resource_kind", "resource", "state"]].itertuples(index=False)
    ]
    return sorted(rows), sorted(set(said))


def _text(right: Right) -> str:
    kind, resource, rank = right
    return f"{LEVELS[rank]} on {kind.replace('_', ' ')} {resource}"


def _load(
    tenant: Tenant, flows: pd.DataFrame, policy: Policy, accounts: pd.DataFrame, asked: _Asked
) -> list[tuple[int | None, float | None]]:
    """Head-room of each account with the flow on it: flows outside solutions, requests in 24 hours."""
    others = flows[(flows["environment_id"] + "/" + flows["flow_id"]) != "/".join(asked.key)]
    counted = others[others["counted"]].groupby("account_id").size()
    spent = others.groupby("account_id")["requests"].sum() if tenant.has("runs") else None
    found: list[tuple[int | None, float | None]] = []
    for account, allowed in accounts[["account_id", "requests"]].itertuples(index=False):
        left = policy.caps["flows_per_owner"] - int(counted.get(account, 0)) - int(asked.counted)
        room = None if spent is None else float(allowed) - float(spent.get(account, 0)) - asked.requests
        found.append((left, room))
    return found


def _banned(tenant: Tenant, policy: Policy, asked: _Asked) -> set[str]:
    """Accounts that the policy forbids for the flow."""
    entries = policy.planning["forbidden"]
    about = [e["account"] for e in entries if e.get("flow", asked.name).lower() in (asked.name.lower(), asked.key[1])]
    return set(members(tenant, pd.Series(about, dtype=TEXT)).dropna())


def _barred(account: Any, asked: _Asked, banned: set[str]) -> list[str]:
    """Why an account may not run the flow, whatever it holds."""
    words = ["the policy forbids it"] if account.account_id in banned else []
    if pd.notna(account.closed):
        words.append(f"it {account.closed}")
    if asked.boundary and account.boundaries and asked.boundary not in account.boundaries:
        words.append("the register does not let it work in this environment")
    if asked.purpose != account.purpose:
        words.append(
            f"its purpose is {account.purpose or 'not named'}, that of the flow {asked.purpose or 'not named'}"
        )
    if account.kind == "service_principal":
        answer = serves(asked.connectors)
        no = asked.connectors[(answer != "yes").fillna(True)].tolist()
        if no:
            words.append(f"a service principal cannot sign in, or is not known to, for {', '.join(no)}")
    return words


def _full(account: Any, load: tuple[int | None, float | None]) -> list[str]:
    words = []
    if load[0] is not None and load[0] < 0:
        words.append("it owns as many flows outside solutions as one owner may")
    if load[1] is not None and load[1] < 0:
        words.append(
            f"its flows and this one make more than the {account.requests:,} requests that it may make in a day"
        )
    return words


def _verdict(
    against: list[str], lacking: list[Right], excess: float, policy: Policy, *, told: bool, open_: list[str]
) -> tuple[str, str]:
    """What to think of the account, and the reasons in a sentence."""
    limit = policy.planning["excess_limit"]
    changes = []
    if lacking:
        count = "1 right" if len(lacking) == 1 else f"{len(lacking)} rights"
        changes.append(f"{count} would have to be granted" if told else f"{count} would have to be checked")
    if excess > limit + 1e-9:
        changes.append(f"the flow would reach {excess:g} too much, {limit:g} is allowed")
    verdict = "no" if against else "with_changes" if lacking else "covers" if changes else "fits"
    lead = {"no": "No", "with_changes": "With changes", "covers": "Covers it", "fits": "Fits"}[verdict]
    said = "; ".join([*against, *changes]) or "holds what the flow needs and nothing more that it could reach"
    open_words = f" Not known: {'; '.join(open_)}." if open_ else ""
    return verdict, f"{lead}: {said}.{open_words}"


def _new(asked: _Asked, needed: list[Right], open_: list[str], policy: Policy) -> tuple[Any, ...]:
    """The row of an account that would be made for the flow."""
    answers = serves(asked.connectors)
    principal = bool(len(answers)) and bool((answers == "yes").fillna(False).all())
    kind = "a service principal would do" if principal else "a licensed user account"
    rights = "; ".join(_text(r) for r in needed) or "no right on any resource"
    words = f"If none above suits: create one with exactly these rights ({kind})."
    words += f" Ask the flow's owner, for {'; '.join(open_)}." if open_ else ""
    left = policy.caps["flows_per_owner"] - int(asked.counted)
    return ("create", None, None, None if open_ else True, len(needed), 0.0, left, None, words, rights)
