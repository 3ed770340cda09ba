"""What flows need, as rights that a plan can weigh, and which of them each flow could reach.

A right is a resource at a level. Levels nest, and a right on a container holds for what lies inside, so that needing
*write* on a site is needing *read* on its lists as well. What cannot be known is a right of its own:

* a resource that is chosen while the flow runs is equal to no other,
* a resource that lies in the connection is that of the connection as it is today: its server and database, or what
  belongs to its account. Sending mail and asking for approval work from any account and need no grant,
* a level that cannot be told nests with no other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.analysis.execution import connection_uses
from flowanalysis.analysis.sensitivity import sensitivity
from flowanalysis.codes import LEVELS
from flowanalysis.planning.units import bits
from flowanalysis.policy import Policy
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

__all__ = ["KEY", "Wants", "wants"]

KEY = ["environment_id", "flow_id"]
RANKS = {"unknown": 0} | {level: rank for rank, level in enumerate(LEVELS) if rank}
SETTLED = ("known", "environment_variable")
OWN = "(of the account itself)"
OWN_RIGHTS = ("send", "compute")  # done in the account's own name, with nothing but the account

Flow = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Wants:
    """Needs of flows on stored connections.

    Attributes
    ----------
    rights : DataFrame
        One row for each right; its place is its bit: resource_kind, resource, level, state (known | own |
        in_connection | unknown_resource | unknown_level), weight, text (``kind=resource:level``).
    rows : DataFrame
        environment_id, flow_id, connector_id, right (place in `rights`): what steps need, once each.
    holds : list of int
        For each right the rights that it includes, itself among them, as bits.
    uses : DataFrame
        environment_id, flow_id, alias, connector_id, connection_id, reference_name, account_id, account_name: embedded
        connections.
    """

    rights: pd.DataFrame
    rows: pd.DataFrame
    holds: list[int]
    uses: pd.DataFrame

    def needs(self) -> dict[Flow, int]:
        """Rights that each flow needs, with those that they include."""
        found: dict[Flow, int] = {}
        for environment, flow, right in self.rows[[*KEY, "right"]].itertuples(index=False):
            found[environment, flow] = found.get((environment, flow), 0) | self.holds[right]
        return found

    def carried(self) -> dict[str, int]:
        """Rights that each connector can carry: those for which some flow uses it."""
        found: dict[str, int] = {}
        for connector, right in self.rows[["connector_id", "right"]].drop_duplicates().itertuples(index=False):
            found[connector] = found.get(connector, 0) | self.holds[right]
        return found

    def reach(self) -> dict[Flow, int]:
        """Rights that the connections of each flow could carry, if its account held them."""
        carried = self.carried()
        found: dict[Flow, int] = {}
        both = pd.concat([self.uses[[*KEY, "connector_id"]], self.rows[[*KEY, "connector_id"]]]).drop_duplicates()
        for environment, flow, connector in both.itertuples(index=False):
            found[environment, flow] = found.get((environment, flow), 0) | carried.get(connector, 0)
        return found

    def least(self, mask: int) -> list[int]:
        """Of a set of rights those that no other of them includes: what has to be granted."""
        chosen = bits(mask)
        return [b for b in chosen if not any(o != b and self.holds[o] >> b & 1 for o in chosen)]


def wants(tenant: Tenant, policy: Policy) -> Wants:
    """Needs of all flows on stored connections.

    Parameters
    ----------
    tenant : Tenant
        needs, flow_connections and connections; resources for containers and sensitivity.
    policy : Policy
        Weights.
    """
    uses = _uses(tenant)
    told = _named(tenant, uses)
    rights = told[["resource_kind", "resource", "level", "state"]]
    rights = rights.sort_values(["resource", "level", "state", "resource_kind"]).drop_duplicates(["resource", "level"])
    rights = rights.reset_index(drop=True)
    rights["rank"] = rights["level"].map(RANKS).astype("int64")
    rights["weight"] = _weights(tenant, policy, rights)
    rights["text"] = rights["resource_kind"] + "=" + rights["resource"] + ":" + rights["level"]
    place = {pair: n for n, pair in enumerate(zip(rights["resource"], rights["level"], strict=True))}
    told["right"] = [place[pair] for pair in zip(told["resource"], told["level"], strict=True)]
    rows = told[[*KEY, "connector_id", "right"]].drop_duplicates().sort_values([*KEY, "connector_id", "right"])
    return Wants(rights, rows.reset_index(drop=True), _holds(tenant, rights), uses)


def _uses(tenant: Tenant) -> pd.DataFrame:
    """Connections that flows store, a connector that was replaced under the name of its successor."""
    uses = connection_uses(tenant)
    uses = uses[uses["reason"] != "invoker"]
    uses = uses.assign(connector_id=successor(uses["connector_id"]))
    columns = [*KEY, "alias", "connector_id", "connection_id", "reference_name", "account_id", "account_name"]
    return uses[columns].sort_values([*KEY, "alias"], ignore_index=True)


def successor(connectors: pd.Series) -> pd.Series:
    """Connectors of which one replaced the other reach the same, so they count as one."""
    listed = reference.table("connectors")
    known = listed[listed["replaced_by"] != ""].set_index("connector")["replaced_by"]
    return connectors.map(known).astype(TEXT).fillna(connectors)


def _named(tenant: Tenant, uses: pd.DataFrame) -> pd.DataFrame:
    """Needs on stored connections, every resource with a name of its own."""
    needs = tenant.needs[tenant.needs["alias"].notna()]
    invoked = connection_uses(tenant)
    invoked = invoked.loc[invoked["reason"] == "invoker", [*KEY, "alias"]].assign(invoked=True)
    needs = needs.merge(invoked, on=[*KEY, "alias"], how="left")
    needs = needs[needs["invoked"].isna()].drop(columns="invoked")
    needs = needs.merge(uses[[*KEY, "alias", "connection_id", "account_name"]], on=[*KEY, "alias"], how="left")
    places = tenant.connections[["environment_id", "connection_id", "server", "database"]]
    needs = needs.merge(places, on=["environment_id", "connection_id"], how="left")
    level = needs["level"].where(needs["level"].isin(list(RANKS)), "unknown").fillna("unknown")
    settled = needs["state"].isin(SETTLED) & (needs["resource"].fillna("") != "")
    inside = (needs["state"] == "in_connection").fillna(False)
    own = inside & needs["right"].isin(OWN_RIGHTS)
    kind = needs["resource_kind"].fillna("other")
    open_ = "chosen by " + needs["environment_id"] + "/" + needs["flow_id"] + " while it runs"
    resource = needs["resource"].where(settled, open_).mask(inside & ~settled, _in_connection(needs)).mask(own, OWN)
    resource = resource.where(settled, "(" + kind + ") " + resource)
    state = np.select(
        [settled & (level == "unknown"), settled, own, inside],
        ["unknown_level", "known", "own", "in_connection"],
        "unknown_resource",
    )
    frame = pd.DataFrame({**{c: needs[c] for c in KEY}, "connector_id": successor(needs["connector_id"].fillna(""))})
    return frame.assign(resource_kind=kind, resource=resource, level=level, state=state)


def _in_connection(needs: pd.DataFrame) -> pd.Series:
    """What lies in a connection: its server and database, else what belongs to its account, else only it knows."""
    server = needs["server"].str.lower() + ("|" + needs["database"].str.lower()).fillna("")
    account = "of " + needs["account_name"].str.lower().fillna("connection " + needs["connection_id"])
    return server.fillna(account).fillna("of a connection of " + needs["flow_id"])


def _weights(tenant: Tenant, policy: Policy, rights: pd.DataFrame) -> np.ndarray:
    """Weight that each right adds to the level below it on the same resource."""
    levels = rights["level"].map(dict(policy.planning["levels"])).astype(float)
    ranked = rights.assign(value=levels).sort_values(["resource", "rank"])
    nested = ranked["rank"] > 0
    below = ranked["value"].where(nested).groupby(ranked["resource"]).shift().fillna(0.0).where(nested, 0.0)
    added = (ranked["value"] - below).clip(lower=0.0)
    heavy = sensitivity(tenant, policy)
    factor = rights["resource"].map(heavy).astype(float).fillna(float(policy.sensitivity["default"]))
    return (added.reindex(rights.index) * factor).to_numpy()


def _holds(tenant: Tenant, rights: pd.DataFrame) -> list[int]:
    """For each right the rights that it includes: lower levels, and the same on what lies inside."""
    of: dict[str, list[tuple[int, int]]] = {}
    for bit, (resource, rank) in enumerate(zip(rights["resource"], rights["rank"], strict=True)):
        of.setdefault(resource, []).append((rank, bit))
    inside = _contents(tenant, list(of))
    found = []
    for bit, (resource, rank) in enumerate(zip(rights["resource"], rights["rank"], strict=True)):
        mask = 1 << bit
        if rank:
            for content in inside.get(resource, (resource,)):
                mask |= sum(1 << b for r, b in of[content] if 0 < r <= rank)
        found.append(mask)
    return found


def _contents(tenant: Tenant, resources: list[str]) -> dict[str, list[str]]:
    """Resources that lie inside others of the list, each with itself; only those that hold some."""
    codes = tenant.codes
    place = codes.resources.codes(pd.Series(resources, dtype=TEXT))
    name = {int(code): resource for code, resource in zip(place, resources, strict=True) if code >= 0}
    found = {}
    for code, resource in name.items():
        around = codes.cover.indices[codes.cover.indptr[code] : codes.cover.indptr[code + 1]]
        if len(around) > 1:
            found[resource] = [name[c] for c in around.tolist() if c in name]
    return found
