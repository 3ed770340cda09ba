"""A register drafted from reality: who works as a service account, where, for whom, with which rights."""

from __future__ import annotations

import pandas as pd

from flowanalysis import schema
from flowanalysis.analysis.execution import connection_uses, execution_map
from flowanalysis.analysis.identities import classify
from flowanalysis.lookup import text_by
from flowanalysis.policy import Policy
from flowanalysis.register.entries import LEVELS
from flowanalysis.tenant import Tenant


def draft(tenant: Tenant, policy: Policy | None = None) -> pd.DataFrame:
    """A register drafted from reality: service accounts in use, with what can be known of them.

    Returns
    -------
    DataFrame
        Table ``register``. Owner and deputy are the people who co-own most of its flows, and have to be
        confirmed; allowed rights are what its steps need today; purpose and review date are left empty.
    """
    seen = working(tenant, policy)
    people = _people_beside(tenant, seen)
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    ids = seen["account_id"]
    principal = seen["account_kind"] == "service_principal"
    name = text_by(ids, known["upn"]).where(~principal, text_by(ids, known["app_id"])).fillna(ids)
    rows = {
        "account": name.str.lower(),
        "kind": principal.map({True: "service_principal", False: "user"}),
        "owner": text_by(ids, people[0]),
        "deputy": text_by(ids, people[1]),
        "allowed_rights": text_by(ids, _needed(tenant)),
        "environments": text_by(ids, places(tenant).groupby("account_id")["environment_id"].agg(";".join)),
        "licence": text_by(ids, _licences(tenant)),
    }
    return schema.frame("register", pd.DataFrame(rows).sort_values("account", ignore_index=True))


def working(tenant: Tenant, policy: Policy | None) -> pd.DataFrame:
    """Accounts of the band service that own a flow or stand behind one of its connections."""
    flows = tenant.flows[~tenant.flows["owner_source"].isin(["creator", "inventory"])]
    ids = pd.concat([flows["owner_id"], run_by(tenant)["account_id"]]).dropna().unique()
    verdicts = classify(tenant, policy, only=ids)
    chosen = verdicts[verdicts["band"] == "service"].sort_values("identity_id", ignore_index=True)
    return chosen.rename(columns={"identity_id": "account_id", "kind": "account_kind"})


def run_by(tenant: Tenant) -> pd.DataFrame:
    """account_id and environment_id of every connection in a flow that runs on an account."""
    uses = connection_uses(tenant)
    return uses.loc[uses["reason"] != "invoker", ["account_id", "environment_id"]].dropna()


def places(tenant: Tenant) -> pd.DataFrame:
    """account_id and environment_id: where accounts own or run flows."""
    owned = tenant.flows[["owner_id", "environment_id"]].set_axis(["account_id", "environment_id"], axis=1)
    run = run_by(tenant)
    both = pd.concat([owned, run]).dropna().drop_duplicates()
    return both[both["environment_id"] != schema.NO_ENVIRONMENT].sort_values(["account_id", "environment_id"])


def _people_beside(tenant: Tenant, seen: pd.DataFrame) -> list[pd.Series]:
    """Account to the person (UPN) who co-owns most of its flows, and to the next one."""
    owners = tenant.flow_owners[tenant.flow_owners["role"].isin(["Owner", "CanEdit"])]
    mine = tenant.flows.loc[
        tenant.flows["owner_id"].isin(seen["account_id"]), ["environment_id", "flow_id", "owner_id"]
    ]
    pairs = owners.merge(mine, on=["environment_id", "flow_id"])
    alive = tenant.identities[(tenant.identities["kind"] == "user") & (tenant.identities["status"] == "active")]
    pairs = pairs.merge(alive[["identity_id", "upn"]], left_on="principal_id", right_on="identity_id")
    pairs = pairs[~pairs["principal_id"].isin(seen["account_id"])]
    counted = pairs.groupby(["owner_id", "upn"]).size().rename("flows").reset_index()
    counted = counted.sort_values(["owner_id", "flows", "upn"], ascending=[True, False, True], ignore_index=True)
    place = counted.groupby("owner_id").cumcount()
    return [counted[place == n].set_index("owner_id")["upn"] for n in (0, 1)]


def _needed(tenant: Tenant) -> pd.Series:
    """Account to the rights that its steps need, as the register writes them."""
    runs = execution_map(tenant)
    runs = runs.loc[runs["reason"] == "ok", ["environment_id", "flow_id", "step", "account_id"]]
    needs = tenant.needs[(tenant.needs["state"] == "known") & tenant.needs["level"].isin(LEVELS)]
    both = needs.merge(runs, on=["environment_id", "flow_id", "step"])
    both["rank"] = both["level"].map({v: i for i, v in enumerate(LEVELS)}).astype(int)
    best = both.groupby(["account_id", "resource_kind", "resource"], as_index=False)["rank"].max()
    level = best["rank"].map(dict(enumerate(LEVELS)))
    text = best["resource_kind"] + "=" + best["resource"] + ":" + level
    return text.groupby(best["account_id"]).agg(lambda t: ";".join(sorted(t)))


def _licences(tenant: Tenant) -> pd.Series:
    held = tenant.licences
    name = held["sku_part_number"].fillna(held["sku_id"])
    return name.groupby(held["identity_id"]).agg(lambda t: " + ".join(sorted(set(t.dropna()))))
