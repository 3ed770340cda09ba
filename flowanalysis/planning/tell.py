"""Groups of flows told as the frames of a plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flowanalysis.lookup import text_by
from flowanalysis.planning.constraints import COLUMNS, problem
from flowanalysis.planning.study import Study, flow_key, flow_of
from flowanalysis.planning.subjects import LEFT
from flowanalysis.planning.targets import Demand, match
from flowanalysis.planning.units import Group, Rules, Unit, bits
from flowanalysis.planning.wants import KEY
from flowanalysis.schema import COUNT, FLAG, NUMBER, TEXT
from flowanalysis.tenant import Tenant

Flow = tuple[str, str]
EXCESS = ["environment_id", "flow_id", "account", "resource_kind", "resource", "level", "weight", "editors"]


@dataclass(frozen=True, eq=False)
class Served:
    """A group of flows and the account that carries it.

    Attributes
    ----------
    group : Group
    demand : Demand
    account : str
        Identity id; ``new:`` and a proposed name for an account that has to be created.
    name : str
    is_new : bool
    """

    group: Group
    demand: Demand
    account: str
    name: str
    is_new: bool

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Its flows, sorted."""
        return self.demand.flows


def serve(tenant: Tenant, seen: Study, groups: Sequence[Group]) -> list[Served]:
    """Each group with an existing account where one fits, else with a new one that bears the group's department."""
    demands = _demands(seen, groups)
    chosen = match(tenant, demands, seen.wants, seen.accounts, seen.wishes)
    known = seen.accounts.set_index("account_id")["name"]
    taken = {str(name).partition("@")[0].lower() for name in known}
    served = []
    for group, demand, account in zip(groups, demands, chosen, strict=True):
        if account is not None:
            served.append(Served(group, demand, account, str(known[account]), False))
            continue
        name = _new_name((demand.purpose, group.kin), taken)
        taken.add(name)
        served.append(Served(group, demand, f"new:{name}", name, True))
    return served


def _new_name(words: Iterable[str], taken: set[str]) -> str:
    """A name for a new account, not in use yet."""
    stem = re.sub(r"[^a-z0-9]+", "-", " ".join(("svc flow", *words)).lower()).strip("-")
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def _demands(seen: Study, groups: Sequence[Group]) -> list[Demand]:
    """Groups as an existing account would have to serve them."""
    uses = seen.wants.uses.dropna(subset="account_id")
    behind: dict[Flow, list[str]] = {}
    for environment, flow, account in uses[[*KEY, "account_id"]].itertuples(index=False):
        behind.setdefault((environment, flow), []).append(account)
    demands = []
    for group in groups:
        flows = tuple(flow_of(key) for key in group.keys)
        kept: dict[str, int] = {}
        for account in (a for flow in flows for a in behind.get(flow, ())):
            kept[account] = kept.get(account, 0) + 1
        unit = group.part.units[group.members[0]]
        demands.append(
            Demand(
                rights=seen.wants.least(group.rights),
                flows=flows,
                boundary=seen.boundary(unit),
                purpose=seen.purpose(unit),
                pin=group.pin,
                requests=group.requests,
                principal=principal(seen, flows) == "yes",
                kept=kept,
            )
        )
    return demands


def principal(seen: Study, flows: Iterable[Flow]) -> str:
    """Whether a service principal can sign in to everything that the flows use: yes | no | unknown."""
    answers = {seen.principal.get(flow, "unknown") for flow in flows}
    return next((answer for answer in ("no", "unknown") if answer in answers), "yes")


def _by_flow(served: Sequence[Served]) -> dict[Flow, Served]:
    return {flow: one for one in served for flow in one.flows}


def connections(seen: Study, served: Sequence[Served]) -> pd.DataFrame:
    """Stored connections of all flows, with the account that each shall sign in as."""
    account = {flow: one.account for flow, one in _by_flow(served).items()}
    uses = seen.wants.uses.drop(columns="account_name").rename(columns={"account_id": "from_account_id"})
    keys = zip(uses["environment_id"], uses["flow_id"], strict=True)
    uses["account"] = pd.array([account.get(key) for key in keys], dtype=TEXT)
    uses["changed"] = ((uses["from_account_id"] != uses["account"]).fillna(True) & uses["account"].notna()).astype(FLAG)
    return uses


def assignment(tenant: Tenant, seen: Study, served: Sequence[Served], uses: pd.DataFrame) -> pd.DataFrame:
    """Every flow with its account."""
    by_flow, over = _by_flow(served), _excess_of(served)
    keys = list(zip(seen.flows["environment_id"], seen.flows["flow_id"], strict=True))
    found = [by_flow.get(key) for key in keys]
    changed = set(uses.loc[uses["changed"].to_numpy(bool), KEY].itertuples(index=False, name=None))
    state = [
        "left" if one is None else "moves" if key in changed else "stays" for key, one in zip(keys, found, strict=True)
    ]
    people = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    owner = text_by(seen.flows["owner_id"], people["upn"]).fillna(seen.flows["owner_id"])
    frame = seen.flows[[*KEY, "display_name"]].assign(
        state=pd.array(state, dtype=TEXT),
        account=pd.array([one and one.account for one in found], dtype=TEXT),
        account_name=pd.array([one and one.name for one in found], dtype=TEXT),
        is_new=pd.array([None if one is None else one.is_new for one in found], dtype=FLAG),
        from_account_id=seen.flows["account_id"],
        excess=pd.array([over.get(key) for key in keys], dtype=NUMBER),
    )
    columns = ["editors", "boundary", "purpose", "department", "is_solution", "owner_id"]
    frame[columns] = seen.flows[columns]
    return frame.assign(owner_name=owner, reason=seen.flows["left"].map(LEFT).astype(TEXT))


def _excess_of(served: Sequence[Served]) -> dict[Flow, float]:
    found: dict[Flow, float] = {}
    for one in served:
        for number, over in zip(one.group.members, one.group.over, strict=True):
            found |= {flow_of(key): over for key in one.group.part.units[number].keys}
    return found


def accounts(seen: Study, served: Sequence[Served], flows: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """Accounts of the plan with their load and head-room, and service accounts that are left without a flow."""
    rules = seen.rules
    allowed = seen.accounts.set_index("account_id")["requests"]
    left = flows[flows["state"] == "left"].groupby("from_account_id").size()
    counted = bool(seen.flows["requests"].notna().any())
    rights = given[given["flows"] > 0].groupby("account").size()
    rows = []
    for one in served:
        group, most = one.group, float(allowed.get(one.account, rules.most_requests))
        rows.append(
            {
                "account": one.account,
                "account_name": one.name,
                "is_new": one.is_new,
                "action": "create" if one.is_new else "use",
                "boundary": one.demand.boundary,
                "purpose": one.demand.purpose,
                "department": group.kin,
                "flows": len(one.flows),
                "left_flows": int(left.get(one.account, 0)),
                "rights": int(rights.get(one.account, 0)),
                "requests": group.requests if counted else None,
                "flows_left": max(int(rules.most_flows - group.flows), 0),
                "requests_left": max(most - group.requests, 0.0) if counted else None,
                "exposure": group.exposure,
                "service_principal": principal(seen, one.flows),
            }
        )
    frame = pd.DataFrame(rows + _freed(seen, served, flows, left), columns=list(_ACCOUNTS))
    return frame.astype(_ACCOUNTS).sort_values(["action", "account"], ignore_index=True)


_ACCOUNTS = dict.fromkeys(("account", "account_name"), TEXT) | {"is_new": FLAG}
_ACCOUNTS |= dict.fromkeys(("action", "boundary", "purpose", "department"), TEXT)
_ACCOUNTS |= dict.fromkeys(("flows", "left_flows", "rights"), COUNT) | {"requests": NUMBER, "flows_left": COUNT}
_ACCOUNTS |= {"requests_left": NUMBER, "exposure": NUMBER, "service_principal": TEXT}


def _freed(seen: Study, served: Sequence[Served], flows: pd.DataFrame, left: pd.Series) -> list[dict[str, Any]]:
    """Service accounts that planned flows run as today and none will."""
    used = {one.account for one in served}
    names = seen.accounts.set_index("account_id")["name"]
    planned = flows[flows["state"] != "left"]
    freed = sorted(set(planned["from_account_id"].dropna()) & set(names.index) - used)
    return [
        {
            "account": account,
            "account_name": names[account],
            "is_new": False,
            "action": "retire" if not left.get(account, 0) else "keep",
            "flows": 0,
            "left_flows": int(left.get(account, 0)),
        }
        for account in freed
    ]


def excess(seen: Study, served: Sequence[Served]) -> pd.DataFrame:
    """What flows reach and do not need, right by right."""
    table, rows = seen.wants.rights, []
    columns = table[["resource_kind", "resource", "level", "weight"]].to_records(index=False).tolist()
    editors = dict(
        zip(zip(seen.flows["environment_id"], seen.flows["flow_id"], strict=True), seen.flows["editors"], strict=True)
    )
    for one in served:
        for number in one.group.members:
            unit = one.group.part.units[number]
            beyond = [columns[b] for b in bits(one.group.rights & unit.reach & ~unit.needs)]
            for flow in map(flow_of, unit.keys) if beyond else ():
                rows += [(*flow, one.account, *right, editors[flow]) for right in beyond]
    frame = pd.DataFrame(rows, columns=EXCESS).astype(
        dict.fromkeys(EXCESS[:6], TEXT) | {"weight": NUMBER, "editors": COUNT}
    )
    return frame.sort_values([*KEY, "resource", "level"], ignore_index=True)


def needed(seen: Study, served: Sequence[Served]) -> dict[str, dict[int, int]]:
    """Account to the rights that it must hold, each with the number of flows that need it."""
    found: dict[str, dict[int, int]] = {}
    for one in served:
        counts: dict[int, int] = found.setdefault(one.account, {})
        for number in one.group.members:
            unit = one.group.part.units[number]
            for bit in bits(unit.needs):
                counts[bit] = counts.get(bit, 0) + len(unit.keys)
    return found


def to_grant(seen: Study, served: Sequence[Served], given: pd.DataFrame) -> pd.DataFrame:
    """For each flow the changes of grants without which it cannot move."""
    missing = given[given["action"].isin(["add", "raise", "check", "ask"])]
    sentence = {
        (a, r, lv): s for a, r, lv, s in missing[["account", "resource", "level", "sentence"]].itertuples(index=False)
    }
    names = list(zip(seen.wants.rights["resource"], seen.wants.rights["level"], strict=True))
    rows = []
    for one in served:
        for number in one.group.members:
            unit = one.group.part.units[number]
            texts = [sentence.get((one.account, *names[b])) for b in seen.wants.least(unit.needs)]
            rows += [(*flow_of(key), one.account, text) for key in unit.keys for text in texts if text]
    return pd.DataFrame(rows, columns=[*KEY, "account", "sentence"])


def vague(seen: Study, served: Sequence[Served]) -> dict[str, str]:
    """Accounts whose other rights may be needed though no planned flow is known to need them, and why."""
    open_ = set(np.flatnonzero(seen.wants.rights["state"] == "unknown_resource").tolist())
    reasons: dict[str, str] = {}
    for one in served:
        if not open_.isdisjoint(one.demand.rights):
            reasons[one.account] = "a flow of it chooses what it works on while it runs"
    left = seen.flows[seen.flows["left"].notna() & (seen.flows["left"] != "no_connection")]
    uses = seen.wants.uses.merge(left[[*KEY, "left"]], on=KEY)
    for account, reason in (
        uses[["account_id", "left"]].dropna().drop_duplicates().sort_values(["account_id", "left"]).to_numpy()
    ):
        reasons.setdefault(account, f"a flow that was left out runs as it ({LEFT[reason]})")
    return reasons


def findings(seen: Study) -> pd.DataFrame:
    """What cannot be kept, and what is not known."""
    states = seen.wants.rights["state"].to_numpy()
    open_ = sum(1 << b for b in range(len(states)) if str(states[b]).startswith("unknown"))
    rows = list(seen.problems)
    for unit in seen.units:
        if unit.needs & open_:
            what = "It chooses a resource while it runs, or a level cannot be told: its needs are not fully known."
            rows.append(
                problem(
                    "need_not_known",
                    what,
                    "Ask its owner; it shares those rights with no other flow.",
                    flow=flow_of(unit.key),
                )
            )
    unread = seen.flows[seen.flows["left"] == "definition_not_read"]
    for environment, flow in unread[KEY].itertuples(index=False):
        what = "The definition was not read, so the flow could not be planned."
        rows.append(problem("definition_not_read", what, "Export its definition.", flow=(environment, flow)))
    frame = pd.DataFrame(rows, columns=COLUMNS).astype(TEXT)
    return frame.sort_values(COLUMNS, ignore_index=True, na_position="first").drop_duplicates(ignore_index=True)


def today(seen: Study) -> tuple[int, float]:
    """Accounts behind the planned flows, and their exposure if each held exactly what its flows need."""
    planned = seen.flows[seen.flows["planned"]].dropna(subset="account_id")
    account = {flow_key(e, f): a for e, f, a in planned[[*KEY, "account_id"]].itertuples(index=False)}
    groups: dict[str, list[Unit]] = {}
    for unit in seen.units:
        if unit.key in account:
            groups.setdefault(account[unit.key], []).append(unit)
    exposure, free = 0.0, Rules(seen.rules.weights, float("inf"))
    for members in groups.values():
        rights = 0
        for unit in members:
            rights |= unit.needs
        exposure += sum(unit.editors * free.weigh(rights & unit.reach & ~unit.needs) for unit in members)
    return len(groups), exposure
