"""Traits of flows that the stop clocks ask for, and who can repair a flow."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.analysis import owners as owning
from flowanalysis.analysis.reach import kept
from flowanalysis.codes import SEPARATOR, pair
from flowanalysis.schema import FLAG, NO_ENVIRONMENT, TEXT
from flowanalysis.tenant import Tenant

MANUAL = ("Button", "PowerApp", "PowerAppV2", "Skills", "VirtualAgent")  # instant triggers; HTTP counts for the owner
NAMED = 5  # repairers named for one flow
ENVIRONMENT_ROLES = ("EnvironmentAdmin", "System Administrator")
TENANT_ROLES = ("Power Platform Administrator", "Dynamics 365 Administrator", "Global Administrator")
NEVER_ITSELF = ("deleted", "disabled", "app_disabled")


@kept
def flow_codes(tenant: Tenant) -> np.ndarray:
    """The code of each row of flows."""
    return tenant.coded("flows", "flow_id")


@kept
def owner_codes(tenant: Tenant) -> np.ndarray:
    """The code of the primary owner that each row of flows tells; -1 where it tells none."""
    return tenant.coded("flows", "owner_id")


def environments(tenant: Tenant) -> dict[str, slice]:
    """The codes of the flows of each environment; they lie together, since codes are in order of their names."""
    names, found, start = tenant.codes.flows.values, {}, 0
    while start < len(names):
        name = names[start].as_py().partition(SEPARATOR)[0]
        end = (name + chr(ord(SEPARATOR) + 1)).encode()
        stop = bisect_left(names, end, lo=start, key=lambda value: value.as_py().encode())
        found[name] = slice(start, stop)
        start = stop
    return found


@kept
def flow_environments(tenant: Tenant) -> np.ndarray:
    """Number of the environment of each flow code."""
    numbers = np.empty(len(tenant.codes.flows), np.int64)
    for number, codes in enumerate(environments(tenant).values()):
        numbers[codes] = number
    return numbers


@kept
def flow_traits(tenant: Tenant) -> pd.DataFrame:
    """One row for each flow code: display_name, state, environment (number), premium and manual (NA: not known)."""
    codes, flows = tenant.codes, tenant.flows
    size = len(codes.flows)
    place = flow_codes(tenant)
    first = np.unique(place, return_index=True)[1]
    rows = flows.iloc[first].set_axis(place[first]).reindex(range(size))
    instant = (rows["trigger_type"] == "Request") & rows["trigger_kind"].isin(MANUAL)
    return pd.DataFrame(
        {
            "display_name": rows["display_name"],
            "state": rows["state"],
            "environment": flow_environments(tenant),
            "premium": _premium(tenant, size),
            "manual": instant.where(rows["trigger_type"].notna()).astype(FLAG),
        }
    )


def _premium(tenant: Tenant, size: int) -> pd.Series:
    """Uses a premium connector: True when one is seen, NA when no connector of the flow is known."""
    codes, marks = tenant.codes, tenant.definition_marks
    known, premium = np.zeros(size, bool), np.zeros(size, bool)
    tiers = _tiers(tenant)
    for frame in (tenant.flow_connections, tenant.steps):
        place = codes.flows.codes(pair(frame, "flow_id"))
        known[place] = True
        paid = frame["connector_id"].map(tiers) == "Premium"
        if "tier" in frame:
            paid = paid | (frame["tier"] == "Premium")
        premium[place[paid.fillna(False).to_numpy(bool)]] = True
    marked = marks[(marks["mark"] == "premium_connector").fillna(False)]
    premium[codes.flows.codes(pair(marked, "flow_id"))] = True
    return pd.Series(pd.arrays.BooleanArray(premium, mask=~(known | premium)))


def _tiers(tenant: Tenant) -> pd.Series:
    """Connector to tier: as the tenant tells, else as listed."""
    listed = reference.table("connectors").rename(columns={"connector": "connector_id"})[["connector_id", "tier"]]
    told = tenant.connectors
    told = told[told["environment_id"] == NO_ENVIRONMENT][["connector_id", "tier"]].dropna()
    both = pd.concat([told[told["tier"] != "NotSpecified"], listed], ignore_index=True)
    return both.drop_duplicates("connector_id").set_index("connector_id")["tier"]


def repairers(tenant: Tenant, rows: pd.DataFrame, leaving: np.ndarray, *, event: str) -> pd.DataFrame:
    """Who can repair each flow: the account itself where it can, else co-owners, else administrators.

    Returns
    -------
    DataFrame
        flow, account, part, repairers (ids separated by ``; ``), repairer_kind.
    """
    keys = rows[["flow", "account", "part"]].drop_duplicates().reset_index(drop=True)
    found, text = owning.owners(tenant), tenant.codes.principals.text
    gone = set(leaving.tolist())
    environment_admins, tenant_admins = _administrators(tenant, gone)
    traits = flow_traits(tenant)
    answers = []
    for row in keys.itertuples(index=False):
        near = [p for m in (found.people, found.crowds) for p in m.indices[m.indptr[row.flow] : m.indptr[row.flow + 1]]]
        ways = {
            "account": [row.account] if row.part == "connection" and event not in NEVER_ITSELF else [],
            "co-owner": [p for p in near if p not in gone],
            "environment_admin": environment_admins.get(traits["environment"].iloc[row.flow], []),
            "tenant_admin": tenant_admins,
        }
        kind = next((k for k, people in ways.items() if people), "none")
        answers.append(("; ".join(text(ways[kind][:NAMED])) if kind != "none" else pd.NA, kind))
    keys["repairers"] = pd.array([a for a, _ in answers], dtype=TEXT)
    keys["repairer_kind"] = pd.array([k for _, k in answers], dtype=TEXT)
    return keys


def _administrators(tenant: Tenant, gone: set[int]) -> tuple[dict[int, list[int]], list[int]]:
    """Living administrators of each environment (by its number) and of the tenant."""
    codes, living = tenant.codes, owning.alive(tenant)
    roles = tenant.environment_roles
    roles = roles[roles["role"].isin(ENVIRONMENT_ROLES)]
    numbers = {name: number for number, name in enumerate(environments(tenant))}
    of_environment: dict[int, list[int]] = {}
    admins = codes.principals.codes(roles["principal_id"])
    for number, admin in sorted(
        set(zip(roles["environment_id"].map(numbers).fillna(-1).astype(int), admins, strict=True))
    ):
        if living[admin] and admin not in gone:
            of_environment.setdefault(number, []).append(int(admin))
    assigned = tenant.role_assignments
    assigned = assigned[assigned["role_name"].isin(TENANT_ROLES) & (assigned["state"] != "eligible").fillna(True)]
    everywhere = sorted(set(codes.principals.codes(assigned["principal_id"]).tolist()) - gone)
    return of_environment, [p for p in everywhere if living[p]]
