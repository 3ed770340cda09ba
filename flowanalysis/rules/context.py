"""What several rules need to know, computed once for each run."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.analysis import identities as people
from flowanalysis.analysis.execution import connection_uses
from flowanalysis.analysis.gap import least_privilege_gap
from flowanalysis.analysis.sensitivity import sensitivity
from flowanalysis.lookup import text_by
from flowanalysis.policy import Policy
from flowanalysis.register import check_register
from flowanalysis.schema import FLAG, TEXT
from flowanalysis.tenant import Tenant

__all__ = ["FLOW", "Context"]

FLOW = ["environment_id", "flow_id"]
COLLECTIVE = ("Group", "SharePointList", "Tenant", "Team")
STATE = {
    "active": "alive",
    "system": "alive",
    "disabled": "disabled",
    "deleted": "gone",
    "purged_or_foreign": "gone",
    "absent": "gone",
}
HOW_GONE = {
    "disabled": "is disabled",
    "deleted": "was deleted and can still be restored",
    "purged_or_foreign": "is not in the directory any more, or belongs to another tenant",
    "absent": "is not among the users; whether it can be restored is not known, as deleted users were not exported",
}


class Context:
    """One tenant under one policy, with the frames that rules share.

    Parameters
    ----------
    tenant, previous : Tenant
        Now, and the month before where there is one.
    policy : Policy
        What counts.
    """

    def __init__(self, tenant: Tenant, policy: Policy, previous: Tenant | None = None) -> None:
        self.tenant, self.policy, self.previous = tenant, policy, previous

    def fid(self, frame: pd.DataFrame, *, env: str = "environment_id", flow: str = "flow_id") -> np.ndarray:
        """Row number in `flows` of each row's flow; -1 where the flow is not known."""
        return self._flow_index.get_indexer(_joined(frame[env], frame[flow]))

    @cached_property
    def _flow_index(self) -> pd.Index:
        return pd.Index(_joined(self.tenant.flows["environment_id"], self.tenant.flows["flow_id"]))

    @cached_property
    def flows(self) -> pd.DataFrame:
        """Flows with: name, running, personal (lives in a personal environment), business, owner_id resolved."""
        rules = self.policy.business_flows
        flows = self.tenant.flows.copy()
        flows["owner_id"] = self.resolved(flows["owner_id"])
        flows["creator_id"] = self.resolved(flows["creator_id"])
        places = self.tenant.environments.drop_duplicates("environment_id").set_index("environment_id")
        sku = text_by(flows["environment_id"], places["sku"])
        default = flows["environment_id"].map(places["is_default"]).astype(FLAG)
        flows["name"] = flows["display_name"].fillna(flows["flow_id"])
        flows["running"] = flows["state"].isin(rules["states"]) | flows["state"].isna() | (flows["state"] == "Unknown")
        flows["personal"] = sku.isin(rules["personal_skus"])
        production = sku.isin(rules["environment_skus"]) & (~default.fillna(False) | bool(rules["default_environment"]))
        solution = (flows["is_solution"].fillna(False) & bool(rules["solution_flows"])).astype(bool)
        low = flows["name"].str.lower()
        named = people.told(flows["name_marks"], "named", people.matches(low, rules["names"]))
        excluded = people.told(flows["name_marks"], "excluded", people.matches(low, rules["not_names"]))
        marked = production | (solution & ~flows["personal"]) | named | (self._run_only >= rules["run_only_principals"])
        flows["business"] = flows["running"] & marked & ~excluded
        return flows

    @cached_property
    def _run_only(self) -> np.ndarray:
        owners = self.tenant.flow_owners
        shared = owners[owners["role"] == "RunOnly"]
        return self.count(self.fid(shared))

    def count(self, fids: np.ndarray) -> np.ndarray:
        """How often each flow (row of `flows`) occurs among row numbers; -1 is nobody."""
        return np.bincount(fids[fids >= 0], minlength=len(self.tenant.flows))

    @cached_property
    def importance(self) -> np.ndarray:
        """-1, 0 or +1 for each flow, as the policy's section on severity says."""
        rules, flows = self.policy.severity, self.flows
        idle = ~flows["running"].to_numpy(bool) | flows["personal"].to_numpy(bool)
        fitting = people.matches(flows["name"].str.lower(), rules["critical_names"])
        named = people.told(flows["name_marks"], "critical", fitting)
        weights = self.sensitivity
        heavy = weights.index[weights >= rules["sensitive"]]
        needs = self.tenant.needs
        touching = self.count(self.fid(needs[needs["resource"].isin(heavy)])) > 0
        return np.where(idle, -1, np.where(named | touching, 1, 0))

    @cached_property
    def sensitivity(self) -> pd.Series:
        """Weight of one right on each resource, indexed by resource id: its own, else the policy's."""
        return sensitivity(self.tenant, self.policy)

    def resolved(self, ids: pd.Series) -> pd.Series:
        """Ids with Dataverse user ids replaced by the identities they stand for."""
        users = self.tenant.dataverse_users.dropna(subset=["systemuser_id", "identity_id"])
        if users.empty:
            return ids
        known = users.drop_duplicates("systemuser_id").set_index("systemuser_id")["identity_id"]
        return ids.map(known).astype(TEXT).fillna(ids)

    @cached_property
    def owners(self) -> pd.DataFrame:
        """Owners and co-owners of each flow, once each.

        Columns: environment_id, flow_id, principal_id, principal_kind, via, primary, weak (only the creator is
        known, and who made a flow need not own it), fid, status, state (alive | disabled | gone | unknown).
        """
        listed = self.tenant.flow_owners
        listed = listed[listed["role"].isin(["Owner", "CanEdit"])][[*FLOW, "principal_id", "principal_kind", "via"]]
        listed = listed.assign(principal_id=self.resolved(listed["principal_id"]), weak=listed["via"] == "creator")
        flows = self.flows
        named = flows.loc[flows["owner_id"].notna(), [*FLOW, "owner_id", "owner_source"]]
        named = named.set_axis([*FLOW, "principal_id", "via"], axis=1)
        named = named.assign(principal_kind=pd.NA, weak=named["via"].isin(["creator", "inventory"]))
        named = named.astype({"principal_kind": TEXT})
        known = self.fid(listed[~listed["weak"].fillna(False).astype(bool)])
        # Once real owners are listed, the creator alone proves nothing.
        idle = named["weak"].fillna(False).astype(bool) & (self.count(known) > 0)[self.fid(named)]
        owners = pd.concat([listed, named[~idle]], ignore_index=True)
        owners["weak"] = owners["weak"].fillna(False).astype(bool)
        owners = owners.sort_values("weak", kind="stable").drop_duplicates([*FLOW, "principal_id"])
        owners = owners.sort_index().reset_index(drop=True)
        return self._with_state(owners)

    def _with_state(self, owners: pd.DataFrame) -> pd.DataFrame:
        fids = self.fid(owners)
        owners = owners[fids >= 0].assign(fid=fids[fids >= 0])
        identity = self.identity.reindex(owners["principal_id"])
        kind = owners["principal_kind"].fillna(
            pd.Series(identity["kind"].array, index=owners.index).map(
                {"user": "User", "service_principal": "ServicePrincipal", "group": "Group", "tenant": "Tenant"}
            )
        )
        status = pd.Series(identity["status"].array, index=owners.index).fillna("unknown")
        state = status.map(STATE).fillna("unknown")
        # A collective is never missing, and an application is gone only when the directory says that it was deleted.
        state = state.mask(kind.isin(COLLECTIVE), "alive")
        state = state.mask((kind == "ServicePrincipal") & ~status.isin(["deleted", "disabled"]), "alive")
        owner = pd.Series(self.flows["owner_id"].array[owners["fid"]], index=owners.index)
        primary = (owners["principal_id"] == owner).fillna(False).astype(bool)
        return owners.assign(principal_kind=kind.astype(TEXT), status=status, state=state, primary=primary)

    @cached_property
    def identity(self) -> pd.DataFrame:
        """Identities by id: name, kind, status."""
        known = self.tenant.identities.drop_duplicates("identity_id")
        name = known["upn"].fillna(known["display_name"]).fillna(known["identity_id"])
        return pd.DataFrame(
            {"name": name.array, "kind": known["kind"].array, "status": known["status"].array},
            index=pd.Index(known["identity_id"]),
        )

    def name(self, ids: pd.Series) -> pd.Series:
        """User principal names, else names as shown, else the ids themselves."""
        return ids.map(self.identity["name"]).astype(TEXT).fillna(ids)

    def how_gone(self, ids: pd.Series) -> pd.Series:
        """In words: what became of each account."""
        return ids.map(self.identity["status"]).map(HOW_GONE).astype(TEXT)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """Verdicts of `classify`, indexed by id, for the identities that own, run or are registered."""
        ids = [self.owners["principal_id"], self.uses["account_id"], self.flows["owner_id"]]
        registered = self.tenant.register["account"].str.strip().str.lower()
        named = self.tenant.identities
        hit = named["upn"].str.lower().isin(registered) | named["app_id"].isin(registered)
        ids += [registered, named.loc[hit.fillna(False).astype(bool), "identity_id"]]
        verdicts = people.classify(self.tenant, self.policy, only=pd.concat(ids).dropna().unique())
        return verdicts.set_index("identity_id")

    def band(self, ids: pd.Series) -> pd.Series:
        """Band of each identity: service, review or person; NA when it is not among the identities."""
        return ids.map(self.classes["band"]).astype(TEXT)

    def kind(self, ids: pd.Series) -> pd.Series:
        """Kind of each identity as `classify` has it."""
        return ids.map(self.classes["kind"]).astype(TEXT)

    @cached_property
    def uses(self) -> pd.DataFrame:
        """Connections as flows declare them, invoker connections left out, with account and fid."""
        uses = connection_uses(self.tenant)
        uses = uses[(uses["reason"] != "invoker") & uses["connection_id"].notna()]
        return uses.assign(account_id=self.resolved(uses["account_id"]), fid=self.fid(uses))

    @cached_property
    def missing_rights(self) -> pd.DataFrame:
        """Settled missing rights, one row for each step: account_id, resource_id, granted, needed, flow, step."""
        found = least_privilege_gap(self.tenant, side="missing")
        found = found[(found["state"] == "found") & found["account_id"].notna()].reset_index(drop=True)
        return found.astype(dict.fromkeys(found.columns, TEXT))

    @cached_property
    def register_check(self) -> pd.DataFrame:
        """How reality differs from the register."""
        return check_register(self.tenant, self.policy)

    @cached_property
    def flows_run_by(self) -> pd.Series:
        """Account to the number of running flows that it owns or stands behind."""
        running = self.flows["running"].to_numpy(bool)
        run = self.uses.loc[self.uses["fid"] >= 0, ["account_id", "fid"]]
        own = pd.DataFrame({"account_id": self.flows["owner_id"], "fid": np.arange(len(self.flows))})
        pairs = pd.concat([run, own]).dropna().drop_duplicates()
        return pairs[running[pairs["fid"].to_numpy(int)]].groupby("account_id").size()

    @cached_property
    def last_run(self) -> pd.Series:
        """Time of the last run of each flow, from the flow list or the runs; NA where neither tells."""
        runs = self.tenant.runs
        newest = runs.groupby(FLOW, as_index=False)["start_at"].max()
        fid = self.fid(newest)
        seen = pd.Series(pd.NaT, index=self.flows.index, dtype=newest["start_at"].dtype)
        seen.iloc[fid[fid >= 0]] = newest["start_at"].array[fid >= 0]
        told = self.flows["last_run_at"]
        return told.where(seen.isna() | (told > seen).fillna(False), seen)

    @cached_property
    def premium(self) -> np.ndarray:
        """True for each flow with a premium connector or a web request, as far as known."""
        marks, steps, declared = self.tenant.definition_marks, self.tenant.steps, self.tenant.flow_connections
        marked = marks["mark"] == "premium_connector"
        web = steps["type"].isin(["Http", "HttpWebhook"]) | (
            (steps["type"] == "Request") & (steps["kind"] == "trigger")
        )
        # A button or an app starts a flow through a request trigger too, and needs no premium licence for it.
        manual = self.flows["trigger_kind"].isin(["Button", "PowerApp", "PowerAppV2", "Skills"]).to_numpy(bool)
        web_flows = self.count(self.fid(steps[(web & steps["connector_id"].isna()).fillna(False).astype(bool)])) > 0
        hit = declared["connector_id"].isin(self._premium_connectors) | (declared["tier"] == "Premium").fillna(False)
        on = self.count(self.fid(declared[hit.astype(bool)])) > 0
        return (self.count(self.fid(marks[marked.fillna(False).astype(bool)])) > 0) | on | (web_flows & ~manual)

    @cached_property
    def _premium_connectors(self) -> pd.Series:
        """By the tenant's own list; by the list of known connectors where that is silent."""
        own, known = self.tenant.connectors, reference.table("connectors")
        told = own.loc[own["tier"].isin(["Standard", "Premium"]), "connector_id"]
        rest = known.loc[(known["tier"] == "Premium") & ~known["connector"].isin(told), "connector"]
        return pd.concat([own.loc[own["tier"] == "Premium", "connector_id"], rest])


def _joined(env: pd.Series, flow: pd.Series) -> pd.Series:
    return env.astype(TEXT) + "\x1f" + flow.astype(TEXT)
