"""How reality differs from the register."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.analysis.access import effective_permissions
from flowanalysis.lookup import text_by
from flowanalysis.policy import Policy, load_policy
from flowanalysis.register.entries import LEVELS, approved, members
from flowanalysis.register.reality import places, run_by, working
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

#: What `check_register` can say.
DIFFERENCES = {
    "unregistered": "works as a service account and stands in no register",
    "unseen": "stands in the register and is nowhere to be seen",
    "owner_missing": "the register names no owner",
    "owner_gone": "the owner named in the register is gone",
    "beyond": "holds a right that was not approved",
    "short": "lacks a right that was approved",
    "review_overdue": "its review is overdue",
    "other_kind": "is of another kind than registered",
    "other_environment": "works in an environment that is not approved",
    "other_licence": "lacks a licence that it is meant to have",
}
COLUMNS = ["account", "account_id", "difference", "detail", "resource"]


def check_register(tenant: Tenant, policy: Policy | None = None) -> pd.DataFrame:
    """How reality differs from the register.

    Returns
    -------
    DataFrame
        account (as registered, else its name), account_id (NA when no identity fits), difference (see
        `DIFFERENCES`), detail (a sentence), resource. Sorted. A question whose tables were not collected
        gives no rows; `flowanalysis.findings.answerable` says so.
    """
    policy = policy or load_policy()
    listed = tenant.register.assign(account_id=members(tenant, tenant.register["account"]))
    parts = [_unregistered(tenant, listed, policy), _unseen(tenant, listed), _owners(tenant, listed)]
    if tenant.has("grants"):
        parts.append(_rights(tenant, listed))
    if tenant.has("licences"):
        parts.append(_other_licence(tenant, listed))
    parts += [_overdue(tenant, listed, policy), _other_kind(tenant, listed), _other_environment(tenant, listed)]
    found = pd.concat([p.reindex(columns=COLUMNS).astype(TEXT) for p in parts], ignore_index=True)
    return found.sort_values(COLUMNS, ignore_index=True, na_position="first")


def _unregistered(tenant: Tenant, listed: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    seen = working(tenant, policy)
    rest = seen[~seen["account_id"].isin(listed["account_id"])]
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    name = text_by(rest["account_id"], known["upn"]).fillna(text_by(rest["account_id"], known["display_name"]))
    detail = "looks like a service account: " + rest["signals"]
    return rest.assign(account=name.fillna(rest["account_id"]), difference="unregistered", detail=detail)


def _unseen(tenant: Tenant, listed: pd.DataFrame) -> pd.DataFrame:
    used = pd.concat([tenant.flows["owner_id"], run_by(tenant)["account_id"]]).dropna()
    owners = tenant.flow_owners["principal_id"]
    rest = listed[~listed["account_id"].isin(used).fillna(False) & ~listed["account_id"].isin(owners).fillna(False)]
    known = rest["account_id"].notna()
    detail = np.where(known, "owns no flow and stands behind none", "no identity has this name")
    return rest.assign(difference="unseen", detail=detail)


def _owners(tenant: Tenant, listed: pd.DataFrame) -> pd.DataFrame:
    """Registered accounts whose owner is not named, or is named and not active."""
    nobody = listed[listed["owner"].isna() | (listed["owner"].str.strip() == "").fillna(False)]
    named = listed[~listed.index.isin(nobody.index)]
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    owner = members(tenant, named["owner"])
    words = (
        text_by(owner, known["status"])
        .mask(owner.isna(), "nobody")
        .map(
            {
                "disabled": "is disabled",
                "deleted": "was deleted",
                "purged_or_foreign": "is not in the directory",
                "absent": "is not among the users",
                "nobody": "is not known to the directory",
            }
        )
    )
    gone = named.assign(
        difference="owner_gone", detail="the register names " + named["owner"] + " as owner, who " + words
    )[words.notna()]
    return pd.concat([nobody.assign(difference="owner_missing", detail="the register names no owner"), gone])


def _rights(tenant: Tenant, listed: pd.DataFrame) -> pd.DataFrame:
    """Rights held beyond the approved ones, and approved ones that are not held."""
    told = approved(listed.dropna(subset=["account_id"]))
    accounts = told[["account", "account_id"]].drop_duplicates()
    known = accounts[accounts["account_id"].isin(tenant.grants["principal_id"]) | accounts["account_id"].notna()]
    if known.empty:
        return pd.DataFrame(columns=COLUMNS)
    held = effective_permissions(tenant, known["account_id"].tolist(), paths=False)
    held = held[held["kind"] == "grant"][["identity_id", "resource_id", "level"]].astype(TEXT)
    held["rank"] = held["level"].map({v: i for i, v in enumerate(LEVELS)}).astype(float)
    held = held.merge(accounts, left_on="identity_id", right_on="account_id")
    both = held.merge(
        told,
        left_on=["account_id", "resource_id"],
        right_on=["account_id", "resource"],
        how="outer",
        suffixes=("", "_told"),
    )
    both["account"] = both["account"].fillna(both["account_told"])
    both["resource"] = both["resource"].fillna(both["resource_id"])
    have = both["rank"].fillna(-1)
    may = both["rank_told"].fillna(-1).clip(lower=_from_above(both, told))
    more = both[have > may]
    # What lies inside a resource that is told already needs no line of its own.
    more = more[~(_from_above(more, more) >= more["rank"])]
    less = both[(have < may) & _comparable(tenant, both["kind"])]
    extra = (
        "holds " + more["level"] + " on " + more["resource"] + ", approved is " + more["level_told"].fillna("nothing")
    )
    lack = (
        "holds " + less["level"].fillna("nothing") + " on " + less["resource"] + ", approved is " + less["level_told"]
    )
    return pd.concat([more.assign(difference="beyond", detail=extra), less.assign(difference="short", detail=lack)])


def _comparable(tenant: Tenant, kind: pd.Series) -> pd.Series:
    """False for kinds of which no right at all was collected: such a right may be held and not be seen."""
    seen = tenant.grants["resource_kind"].dropna().str.replace("_.*", "", regex=True).unique()
    return kind.isna() | kind.str.replace("_.*", "", regex=True).isin(seen)


def _from_above(rows: pd.DataFrame, told: pd.DataFrame) -> pd.Series:
    """Rank approved on what contains each row's resource (a site, a team, a database); -1 for none."""
    best = told.groupby(["account_id", "resource"])["rank"].max()
    rank, above = pd.Series(-1.0, index=rows.index), rows["resource"].astype(object)
    while above.str.contains("|", regex=False).any():
        above = above.str.rpartition("|")[0]
        keys = pd.MultiIndex.from_arrays([rows["account_id"].astype(object), above])
        rank = rank.clip(lower=pd.Series(best.reindex(keys).fillna(-1).to_numpy(), index=rows.index))
    return rank


def _overdue(tenant: Tenant, listed: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    grace = pd.Timedelta(days=policy.threshold("SVC-5", "review_grace_days"))
    late = listed[(listed["review_date"] + grace < tenant.as_of).fillna(False)]
    detail = "its review was due on " + late["review_date"].dt.strftime("%Y-%m-%d").astype(TEXT)
    return late.assign(difference="review_overdue", detail=detail)


def _other_kind(tenant: Tenant, listed: pd.DataFrame) -> pd.DataFrame:
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    kind = text_by(listed["account_id"], known["kind"])
    wrong = listed["kind"].notna() & kind.isin(["user", "service_principal"]) & (kind != listed["kind"])
    rows = listed[wrong.fillna(False).astype(bool)]
    detail = "is a " + kind[rows.index].str.replace("_", " ") + ", registered as " + rows["kind"].str.replace("_", " ")
    return rows.assign(difference="other_kind", detail=detail)


def _other_environment(tenant: Tenant, listed: pd.DataFrame) -> pd.DataFrame:
    """Environments by id or name; where the register names one that nobody knows, nothing is claimed."""
    rows = listed.dropna(subset=["account_id", "environments"])
    told = rows.assign(place=rows["environments"].str.lower().str.split(";")).explode("place")
    told["place"] = told["place"].astype(TEXT).str.strip()
    known = tenant.environments
    names = pd.concat([known["environment_id"], known["environment_id"]]).set_axis(
        pd.concat([known["environment_id"].str.lower(), known["display_name"].str.lower()])
    )
    names = names[names.index.notna() & ~names.index.duplicated()]
    told["environment_id"] = told["place"].map(names).astype(TEXT)
    vague = told.loc[told["environment_id"].isna() & (told["place"] != "").fillna(False), "account_id"]
    works = places(tenant)
    works = works[works["account_id"].isin(told["account_id"]) & ~works["account_id"].isin(vague)]
    rest = works.merge(told[["account_id", "environment_id"]], how="left", indicator="found")
    rest = rest[rest["found"] == "left_only"].merge(rows[["account", "account_id"]], on="account_id")
    names = known.drop_duplicates("environment_id").set_index("environment_id")["display_name"]
    detail = "works in " + text_by(rest["environment_id"], names).fillna(rest["environment_id"])
    return rest.assign(difference="other_environment", detail=detail, resource=rest["environment_id"])


def _other_licence(tenant: Tenant, listed: pd.DataFrame) -> pd.DataFrame:
    rows = listed.dropna(subset=["account_id", "licence"])
    told = rows.assign(wanted=rows["licence"].str.split(r"[+;,]", regex=True)).explode("wanted", ignore_index=True)
    told["wanted"] = told["wanted"].astype(TEXT).str.strip().str.upper()
    told = told[(told["wanted"] != "").fillna(False)]
    held = tenant.licences[tenant.licences["identity_id"].isin(told["account_id"])]
    names = held.merge(tenant.skus[["sku_id", "sku_part_number", "display_name"]], on="sku_id", how="left")
    have = pd.concat(
        [
            names[["identity_id", c]].set_axis(["account_id", "wanted"], axis=1)
            for c in ("sku_id", "sku_part_number_x", "sku_part_number_y", "display_name")
        ]
    )
    have["wanted"] = have["wanted"].str.upper()
    rest = told.merge(have.drop_duplicates(), how="left", indicator="found")
    rest = rest[rest["found"] == "left_only"]
    return rest.assign(difference="other_licence", detail="has no licence " + rest["wanted"], resource=rest["wanted"])
