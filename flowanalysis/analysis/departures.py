"""What happens to flows when an account leaves, loses its licence or must sign in again.

Two things hang on an account: the connections that sign in as it, and the flows that it owns. What each event does to
either, and after how many days, is data (``reference/stop_clocks.csv``) with its source and how sure it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from flowanalysis import matrices, reference
from flowanalysis.analysis import owners as owning
from flowanalysis.analysis.alignment import levels_at
from flowanalysis.analysis.demand import demand
from flowanalysis.analysis.execution import execution_map
from flowanalysis.analysis.gap import flow_texts
from flowanalysis.analysis.paths import labels
from flowanalysis.analysis.reach import covered, editors, reach, who
from flowanalysis.analysis.traits import flow_codes, flow_environments, flow_traits, owner_codes, repairers
from flowanalysis.codes import pair
from flowanalysis.errors import UnknownName
from flowanalysis.schema import COUNT, FLAG, TEXT
from flowanalysis.tenant import Tenant

# Event -> the clock of connections that sign in as the account, and the clocks of flows that it owns.
EVENTS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "deleted": ("connection_invalid", ("owner_gone",)),
    "disabled": ("connection_invalid", ("owner_gone", "owner_disabled")),
    "password_reset": ("password_reset", ()),
    "mfa_enforced": ("mfa_enforced", ()),
    "mfa_remembered": ("remember_mfa", ()),
    "terms_of_use": ("terms_of_use", ()),
    "connection_idle": ("idle_connection", ()),
    "app_disabled": ("app_disabled", ()),
    "licence_removed": (None, ("licence_removed",)),
    "owner_changed": (None, ("owner_changed",)),
    "role_removed": ("role_removed", ()),
}
COLUMNS = [
    *("environment_id", "flow_id", "display_name", "state", "account_id", "part", "clock", "effect", "stops"),
    *("happens_at", "days", "certainty", "steps", "trigger", "others", "repair", "repairers", "repairer_kind"),
    "sentence",
]
TABLES = {
    "flows": "flows and their owners are not seen",
    "flow_owners": "co-owners are not seen, so a flow may look orphaned that is not",
    "connections": "the accounts behind flows are not known",
    "flow_connections": "the connections of flows are not known",
    "steps": "the steps that fail cannot be named",
    "identities": "whether other owners still live is not known",
}


def departures(
    tenant: Tenant, accounts: str | Iterable[str], event: str = "deleted", *, at: pd.Timestamp | None = None
) -> pd.DataFrame:
    """What an event that hits some accounts does to flows, when, how sure that is, and who can repair it.

    Parameters
    ----------
    tenant : Tenant
        The data.
    accounts : str or iterable of str
        Object ids or user principal names; they are hit together. For ``owner_changed``: the new owners, with the flows
        that they own in the data.
    event : str
        deleted | disabled | password_reset | mfa_enforced | mfa_remembered | terms_of_use | connection_idle |
        app_disabled | licence_removed | owner_changed | role_removed.
    at : timestamp, optional
        When it happens; default the moment that the data describes.

    Returns
    -------
    DataFrame
        One row for each flow, account and clock: environment_id, flow_id, display_name, state, account_id, part (owner
        | connection), clock (row of the stop clocks), effect (in words), stops (True: the flow is off, cannot start or
        fails from then on; False: it goes on; NA: it may fail), happens_at (UTC; NA where no date is documented), days,
        certainty (documented | community | judgement; not_collected where co-owners may change the answer), steps
        (failing ones; NA for owners and when steps were not collected), trigger (the trigger is among them), others
        (other living owners, NA when co-owners were not collected), repair (what to do), repairers (ids of those who
        can, first those next to the flow, at most five), repairer_kind (account | co-owner | environment_admin |
        tenant_admin | none), sentence.

    Raises
    ------
    UnknownName
        For an unknown account or event.
    """
    if event not in EVENTS:
        raise UnknownName("event", event, EVENTS)
    leaving = np.unique(who(tenant, accounts))
    moment = tenant.as_of if at is None else pd.Timestamp(at)
    of_connections, of_owners = EVENTS[event]
    parts = [_connection_part(tenant, leaving, of_connections)] if of_connections else []
    if of_owners:
        parts.append(_owner_part(tenant, leaving, of_owners))
    rows = _told(tenant, pd.concat(parts, ignore_index=True), leaving, moment)
    rows = rows.merge(repairers(tenant, rows, leaving, event=event), on=["flow", "account", "part"], how="left")
    rows["sentence"] = _sentences(tenant, rows)
    rows = rows.sort_values(
        ["environment_id", "flow_id", "account_id", "part", "clock"], kind="stable", ignore_index=True
    )
    return covered(rows[COLUMNS], tenant, TABLES, essential=("flows", "connections", "flow_connections"))


def clock(name: str) -> pd.Series:
    """One row of the stop clocks: event, applies_to, effect, days, certainty, repair, source, as_of."""
    rows = reference.table("stop_clocks").set_index("clock")
    if name not in rows.index:
        raise UnknownName("stop clock", name, rows.index)
    return rows.loc[name]


def failing_steps(tenant: Tenant, accounts: str | Iterable[str], event: str = "deleted") -> pd.DataFrame:
    """The steps that fail when an event hits accounts, because they sign in as one of them.

    Returns
    -------
    DataFrame
        environment_id, flow_id, step, kind (trigger | action), connector_id, operation_id, connection_id, account_id.
        For ``role_removed`` only the steps whose right no grant of the account carries.
    """
    codes = tenant.codes
    leaving = np.unique(who(tenant, accounts))
    rows = execution_map(tenant).assign(kind=tenant.steps["kind"].array)
    mine = (rows["reason"] != "invoker") & np.isin(codes.principals.codes(rows["account_id"]), leaving)
    rows = rows[mine.to_numpy(bool)]
    if event == "role_removed":
        bare = tenant.needs.iloc[_uncarried(tenant, leaving)["place"]]
        keys = ["environment_id", "flow_id", "step"]
        rows = rows.merge(bare[keys].drop_duplicates(), on=keys)
    columns = [
        "environment_id",
        "flow_id",
        "step",
        "kind",
        "connector_id",
        "operation_id",
        "connection_id",
        "account_id",
    ]
    rows = rows[columns].sort_values(columns[:3], kind="stable", ignore_index=True)
    return covered(
        rows, tenant, {"steps": "the steps of flows are not known", **TABLES}, essential=("steps", "connections")
    )


def _uncarried(tenant: Tenant, leaving: np.ndarray) -> pd.DataFrame:
    """Needs of accounts that their grants do not carry."""
    rows = demand(tenant).rows
    rows = rows[rows["account"].isin(leaving) & ~rows["own"]]
    found = reach(tenant.codes, leaving)
    held = levels_at(found.levels, found.place[rows["account"]], rows["resource"].to_numpy())
    return rows[held < np.maximum(rows["level"], 1)]


def _connection_part(tenant: Tenant, leaving: np.ndarray, name: str) -> pd.DataFrame:
    """Flows that run as the accounts."""
    runs_as = tenant.codes.runs_as
    flow, account = matrices.row_of(runs_as), runs_as.indices
    hit = np.isin(account, leaving)
    rows = pd.DataFrame({"flow": flow[hit], "account": account[hit], "part": "connection", "clock": name})
    if name == "role_removed":
        bare = _uncarried(tenant, leaving)[["flow", "account"]].drop_duplicates()
        rows = rows.merge(bare, on=["flow", "account"])
    rows["stops"] = pd.array([pd.NA if name == "role_removed" else True] * len(rows), dtype=FLAG)
    return _with_steps(tenant, rows, leaving)


def _with_steps(tenant: Tenant, rows: pd.DataFrame, leaving: np.ndarray) -> pd.DataFrame:
    """Number of failing steps, and whether the trigger is among them."""
    if not tenant.has("steps"):
        return rows.assign(steps=pd.array([pd.NA] * len(rows), COUNT), trigger=pd.array([pd.NA] * len(rows), FLAG))
    names = tenant.codes.principals.text(leaving)
    event = "role_removed" if (rows["clock"] == "role_removed").any() else "deleted"
    steps = failing_steps(tenant, list(names), event)
    frame = pd.DataFrame(
        {
            "flow": tenant.codes.flows.codes(pair(steps, "flow_id")),
            "account": tenant.codes.principals.codes(steps["account_id"]),
            "steps": 1,
            "trigger": (steps["kind"] == "trigger").fillna(False).to_numpy(bool),
        }
    )
    counts = frame.groupby(["flow", "account"]).agg(steps=("steps", "sum"), trigger=("trigger", "any")).reset_index()
    rows = rows.merge(counts, on=["flow", "account"], how="left")
    return rows.assign(steps=rows["steps"].fillna(0).astype(COUNT), trigger=rows["trigger"].astype(FLAG).fillna(False))


def _owner_part(tenant: Tenant, leaving: np.ndarray, events: tuple[str, ...]) -> pd.DataFrame:
    """Flows whose primary owner is hit, and flows that lose their last living owner."""
    edit = editors(tenant.codes)
    primary = _primary(tenant)
    flow, account = matrices.row_of(edit), edit.indices
    left = _others(tenant, leaving)
    hit = np.isin(account, leaving) & ((primary[flow] == account) | (left[flow] == 0))
    rows = pd.DataFrame({"flow": flow[hit], "account": account[hit], "part": "owner"})
    rows["others"] = left[rows["flow"]]
    traits = flow_traits(tenant)
    rows = rows.assign(
        **{c: traits[c].array[rows["flow"]] for c in ("premium", "manual")},
        primary=primary[rows["flow"]] == rows["account"],
    )
    parts = [rule(rows) for event in events for rule in RULES[event]]
    result = pd.concat([p for p in parts if len(p)] or [parts[0]], ignore_index=True)
    columns = ["flow", "account", "part", "clock", "stops"]
    return result[columns].astype({"stops": FLAG})


def _primary(tenant: Tenant) -> np.ndarray:
    """Primary owner of each flow: as the flow tells, else its first owner by id; -1 when none is known."""
    codes = tenant.codes
    full = matrices.at_least(codes.owns, 4)
    primary = np.where(np.diff(full.indptr) > 0, np.append(full.indices, -1)[full.indptr[:-1]], -1)
    told, place = owner_codes(tenant), flow_codes(tenant)
    primary[place[told >= 0]] = told[told >= 0]
    return primary


def _others(tenant: Tenant, leaving: np.ndarray) -> np.ndarray:
    """Living owners that each flow has besides the accounts that are hit; crowds count as one each."""
    found = owning.owners(tenant)
    gone = np.zeros(found.people.shape[1], np.int64)
    gone[leaving] = 1
    hit = matrices.ones(found.people) @ gone
    return np.diff(found.people.indptr) - hit + np.diff(found.crowds.indptr)


def _rule(name: str, rows: pd.DataFrame, where: pd.Series, stops: object) -> pd.DataFrame:
    return rows[where.fillna(False).to_numpy(bool)].assign(clock=name, stops=stops)


RULES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], ...]] = {
    "owner_gone": (
        lambda rows: _rule("coowner_continues", rows, rows["others"] > 0, False),
        lambda rows: _rule("orphaned", rows, rows["others"] == 0, pd.NA),
        lambda rows: _rule("low_profile", rows, rows["primary"], False),
        lambda rows: _rule("premium_off", rows, rows["primary"] & rows["premium"], True),
    ),
    "owner_disabled": (
        lambda rows: _rule("disabled_owner_stops", rows, rows["primary"] & ~rows["manual"].fillna(False), True),
    ),
    "licence_removed": (
        lambda rows: _rule("premium_off_licence", rows, rows["primary"] & rows["premium"], True),
        lambda rows: _rule(
            "enforced_environment", rows, rows["primary"] & rows["premium"] & ~rows["manual"].fillna(False), False
        ),
        lambda rows: _rule(
            "enforced_suspension", rows, rows["primary"] & rows["premium"] & ~rows["manual"].fillna(False), pd.NA
        ),
    ),
    "owner_changed": (
        lambda rows: _rule("new_owner_premium", rows, rows["primary"] & rows["premium"], True),
        lambda rows: _rule("licence_delay", rows, rows["primary"] & rows["premium"], False),
    ),
}


def _told(tenant: Tenant, rows: pd.DataFrame, leaving: np.ndarray, moment: pd.Timestamp) -> pd.DataFrame:
    """Facts of the clocks and of the flows beside the rows."""
    facts = reference.table("stop_clocks").set_index("clock")
    days = pd.to_numeric(rows["clock"].map(facts["days"]).replace("", pd.NA)).astype(COUNT)
    environment, flow_id = flow_texts(tenant, rows["flow"].to_numpy())
    traits = flow_traits(tenant)
    left = pd.array(_others(tenant, leaving)[rows["flow"]], dtype=COUNT)
    told = rows.assign(
        environment_id=environment,
        flow_id=flow_id,
        display_name=traits["display_name"].array[rows["flow"]],
        state=traits["state"].array[rows["flow"]],
        account_id=tenant.codes.principals.text(rows["account"]),
        days=days,
        happens_at=(moment + pd.to_timedelta(days.astype("Float64"), unit="D")).astype("datetime64[us, UTC]"),
        others=left if tenant.has("flow_owners") else pd.array([pd.NA] * len(rows), dtype=COUNT),
        **{c: rows["clock"].map(facts[c]).astype(TEXT) for c in ("effect", "certainty", "repair")},
    )
    if not tenant.has("flow_owners"):
        told.loc[told["clock"] == "orphaned", "certainty"] = "not_collected"
    for column, kind in (("steps", COUNT), ("trigger", FLAG)):
        told[column] = told[column].astype(kind) if column in told else pd.array([pd.NA] * len(told), dtype=kind)
    return told


def _sentences(tenant: Tenant, rows: pd.DataFrame) -> pd.Series:
    """Each row in words."""
    names = labels(tenant).reindex(rows["account"]).array
    flow = rows["display_name"].fillna(rows["flow_id"])
    some = np.where((rows["steps"] == 1).fillna(False), " step of ", " steps of ")
    sign = np.where((rows["steps"] == 1).fillna(False), " signs in as ", " sign in as ")
    how = rows["steps"].astype(TEXT) + some + flow + sign + names
    how = how.fillna(flow + " signs in as " + names).where(rows["part"] == "connection", names + " owns " + flow)
    when = "from " + rows["happens_at"].dt.strftime("%Y-%m-%d").astype(TEXT) + " "
    return (how + "; " + when.fillna("") + rows["effect"] + ".").astype(TEXT)


def departure_impact(tenant: Tenant, *, everyone: bool = False) -> pd.DataFrame:
    """What would stop if each identity left, for all identities at once.

    Parameters
    ----------
    tenant : Tenant
        The data.
    everyone : bool
        Identities on whom no flow hangs as well.

    Returns
    -------
    DataFrame
        Ranked, heaviest first: identity_id, rank, flows_stop (flows not switched off that fail or are orphaned),
        flows_fail (of these, with steps on connections of the identity), flows_orphaned (of these, without another
        living owner), flows_owned (living or not, as primary owner), flows_running_as (with steps that sign in as it),
        connections (that sign in as it), environments (in which flows stop).
    """
    codes, found = tenant.codes, owning.owners(tenant)
    live = np.ones(len(codes.flows), bool)
    off = tenant.flows["state"].isin(["Stopped", "Deleted"]).to_numpy(bool)
    live[flow_codes(tenant)[::-1]] = ~off[::-1]  # of rows with one key the first counts
    size = len(codes.principals)
    sole = (np.diff(found.people.indptr) == 1) & (np.diff(found.crowds.indptr) == 0)
    flow_of_sole = np.flatnonzero(sole)
    sole_person = found.people.indices[found.people.indptr[flow_of_sole]]
    runs, account = matrices.row_of(codes.runs_as), codes.runs_as.indices
    both = matrices.relation(
        np.concatenate([account, sole_person]), np.concatenate([runs, flow_of_sole]), 1, (size, len(live))
    )
    stop, of = live[both.indices], matrices.row_of(both)
    primary = _primary(tenant)
    counts = {
        "flows_stop": np.bincount(of[stop], minlength=size),
        "flows_fail": np.bincount(account[live[runs]], minlength=size),
        "flows_orphaned": np.bincount(sole_person[live[flow_of_sole]], minlength=size),
        "flows_owned": np.bincount(primary[primary >= 0], minlength=size),
        "flows_running_as": np.bincount(account, minlength=size),
        "connections": np.bincount(codes.signs_in.indices, minlength=size),
        "environments": _distinct_environments(tenant, of[stop], both.indices[stop], size),
    }
    wanted = ~codes.groups if everyone else np.any([c > 0 for c in counts.values()], axis=0)
    chosen = np.flatnonzero(wanted)
    order = chosen[
        np.lexsort(
            [chosen, *(-counts[c][chosen] for c in ("flows_running_as", "flows_owned", "flows_fail", "flows_stop"))]
        )
    ]
    frame = pd.DataFrame({"identity_id": codes.principals.text(order), "rank": np.arange(1, len(order) + 1)})
    for name, count in counts.items():
        frame[name] = count[order]
    frame = frame.astype(dict.fromkeys(["rank", *counts], COUNT))
    return covered(frame, tenant, TABLES, essential=("flows", "connections", "flow_connections"))


def _distinct_environments(tenant: Tenant, person: np.ndarray, flow: np.ndarray, size: int) -> np.ndarray:
    environments = flow_environments(tenant)
    keys = matrices.ascending(person.astype(np.int64) * (environments.max(initial=0) + 1) + environments[flow])
    return np.bincount(keys // (environments.max(initial=0) + 1), minlength=size)
