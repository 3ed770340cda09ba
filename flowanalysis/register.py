"""The register of service accounts: what a company says about them, and how reality differs."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flowanalysis import schema
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.execution import connection_uses, execution_map
from flowanalysis.analysis.identities import classify, matches
from flowanalysis.errors import PolicyError, UnknownName
from flowanalysis.lookup import text_by
from flowanalysis.policy import Policy, load_policy
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant
from flowanalysis.text import cell, unguarded

__all__ = ["DIFFERENCES", "check_register", "draft", "members", "named_purpose", "purposes", "read", "write"]

LEVELS = ("read", "write", "owner", "full")
LIMIT = 10_000_000  # bytes of a register file
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


def read(path: str | Path) -> pd.DataFrame:
    """A register from CSV, as the table ``register``.

    Raises
    ------
    PolicyError
        When the file is missing, not text, lacks the column ``account``, or names an account twice.
    UnknownName
        When it has a column that no register has, with the nearest that do.
    """
    where = Path(path).name
    try:
        raw = Path(path).read_bytes()
        text = raw[: LIMIT + 1].decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the register cannot be read ({error})", where=where) from None
    if len(raw) > LIMIT:
        raise PolicyError(f"{len(raw):,} bytes is too large for a register", where=where)
    head = text.partition("\n")[0]
    lines = csv.DictReader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",")
    known = schema.table("register").names
    try:
        columns, records = lines.fieldnames or [], list(lines)
    except csv.Error as error:
        raise PolicyError(f"the register is no CSV ({error})", where=where) from None
    for column in columns:
        if column not in known:
            raise UnknownName(f"column of a register ({where})", column, known)
    if "account" not in columns:
        raise PolicyError("the column account is missing", where=where, remedy=f"Columns: {', '.join(known)}")
    return _rows(records, where)


def _rows(records: list[dict[str, Any]], where: str) -> pd.DataFrame:
    seen: dict[str, int] = {}
    for number, record in enumerate(records, start=2):
        if any(extra.strip() for extra in record.pop(None, [])):  # type: ignore[call-overload]
            what, remedy = "more cells than the head has", "Put texts that hold the separator in quotes"
            raise PolicyError(what, where=f"{where}, line {number}", remedy=remedy)
        for column, value in record.items():
            record[column] = unguarded((value or "").strip()) or None
        account = (record["account"] or "").lower()
        if not account or account in seen:
            what = f"the account of line {seen[account]} again" if account in seen else "no account"
            raise PolicyError(what, where=f"{where}, line {number}", remedy="One line for each account")
        seen[account] = number
        record["account"] = account
        record["review_date"] = _date(record.get("review_date"), f"{where}, line {number}")
    return schema.frame("register", records)


def _date(value: str | None, where: str) -> pd.Timestamp | None:
    if value is None:
        return None
    try:
        return pd.Timestamp(pd.to_datetime(value, format="ISO8601", utc=True))
    except ValueError:
        raise PolicyError(f"{value!r} is not a date", where=where, remedy="Write it as 2027-06-30") from None


def write(rows: pd.DataFrame, path: str | Path) -> None:
    """Write a register as CSV; no cell becomes a formula."""
    out = rows.astype(object).where(rows.notna(), "")
    out["review_date"] = (
        rows["review_date"].dt.strftime("%Y-%m-%d").astype(object).where(rows["review_date"].notna(), "")
    )
    out.map(cell).to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def draft(tenant: Tenant, policy: Policy | None = None) -> pd.DataFrame:
    """A register drafted from reality: service accounts in use, with what can be known of them.

    Returns
    -------
    DataFrame
        Table ``register``. Owner and deputy are the people who co-own most of its flows, and have to be
        confirmed; allowed rights are what its steps need today; purpose and review date are left empty.
    """
    working = _working(tenant, policy)
    people = _people_beside(tenant, working)
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    ids = working["account_id"]
    principal = working["account_kind"] == "service_principal"
    name = text_by(ids, known["upn"]).where(~principal, text_by(ids, known["app_id"])).fillna(ids)
    rows = {
        "account": name.str.lower(),
        "kind": principal.map({True: "service_principal", False: "user"}),
        "owner": text_by(ids, people[0]),
        "deputy": text_by(ids, people[1]),
        "allowed_rights": text_by(ids, _needed(tenant)),
        "environments": text_by(ids, _places(tenant).groupby("account_id")["environment_id"].agg(";".join)),
        "licence": text_by(ids, _licences(tenant)),
    }
    return schema.frame("register", pd.DataFrame(rows).sort_values("account", ignore_index=True))


def _working(tenant: Tenant, policy: Policy | None) -> pd.DataFrame:
    """Accounts of the band service that own a flow or stand behind one of its connections."""
    flows = tenant.flows[~tenant.flows["owner_source"].isin(["creator", "inventory"])]
    ids = pd.concat([flows["owner_id"], _run_by(tenant)["account_id"]]).dropna().unique()
    verdicts = classify(tenant, policy, only=ids)
    chosen = verdicts[verdicts["band"] == "service"].sort_values("identity_id", ignore_index=True)
    return chosen.rename(columns={"identity_id": "account_id", "kind": "account_kind"})


def _run_by(tenant: Tenant) -> pd.DataFrame:
    """account_id and environment_id of every connection in a flow that runs on an account."""
    uses = connection_uses(tenant)
    return uses.loc[uses["reason"] != "invoker", ["account_id", "environment_id"]].dropna()


def _places(tenant: Tenant) -> pd.DataFrame:
    """account_id and environment_id: where accounts own or run flows."""
    owned = tenant.flows[["owner_id", "environment_id"]].set_axis(["account_id", "environment_id"], axis=1)
    run = _run_by(tenant)
    both = pd.concat([owned, run]).dropna().drop_duplicates()
    return both[both["environment_id"] != schema.NO_ENVIRONMENT].sort_values(["account_id", "environment_id"])


def _people_beside(tenant: Tenant, working: pd.DataFrame) -> list[pd.Series]:
    """Account to the person (UPN) who co-owns most of its flows, and to the next one."""
    owners = tenant.flow_owners[tenant.flow_owners["role"].isin(["Owner", "CanEdit"])]
    mine = tenant.flows.loc[
        tenant.flows["owner_id"].isin(working["account_id"]), ["environment_id", "flow_id", "owner_id"]
    ]
    pairs = owners.merge(mine, on=["environment_id", "flow_id"])
    alive = tenant.identities[(tenant.identities["kind"] == "user") & (tenant.identities["status"] == "active")]
    pairs = pairs.merge(alive[["identity_id", "upn"]], left_on="principal_id", right_on="identity_id")
    pairs = pairs[~pairs["principal_id"].isin(working["account_id"])]
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


def members(tenant: Tenant, names: pd.Series) -> pd.Series:
    """Ids of the identities that names in a register stand for: object id, UPN, mail or application id; else NA."""
    known = tenant.identities
    wanted = names.str.strip().str.lower().astype(TEXT)
    found = pd.Series(pd.NA, index=names.index, dtype=TEXT)
    for column in ("identity_id", "app_id", "upn", "mail"):
        key = known[column].str.lower()
        fits = key.isin(wanted.dropna()).to_numpy(bool)
        if not fits.any():
            continue
        rows = known.loc[fits, ["identity_id", "status"]].assign(key=key[fits])
        rows = rows.sort_values("status", key=lambda s: s != "active", kind="stable").drop_duplicates("key")
        found = found.fillna(wanted.map(rows.set_index("key")["identity_id"]).astype(TEXT))
    return found


def purposes(tenant: Tenant, policy: Policy, accounts: pd.Series) -> pd.Series:
    """Purpose of each account by the policy's patterns over the register; accounts of different ones never merge."""
    listed = tenant.register
    told = pd.Series(listed["purpose"].array, index=members(tenant, listed["account"]))
    told = told[told.index.notna() & ~told.index.duplicated()]
    found = named_purpose(policy, accounts.map(told).astype(TEXT))
    return pd.Series(found, index=accounts)


def named_purpose(policy: Policy, words: pd.Series) -> np.ndarray:
    """The purpose that the first fitting pattern of the policy names; what none fits has the unknown purpose."""
    found = np.full(len(words), str(policy.purposes["unknown"]), dtype=object)
    for pattern in reversed(policy.purposes["patterns"]):
        found[matches(words.str.lower(), [pattern["match"]])] = next(v for k, v in pattern.items() if k != "match")
    return found


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
    working = _working(tenant, policy)
    rest = working[~working["account_id"].isin(listed["account_id"])]
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    name = text_by(rest["account_id"], known["upn"]).fillna(text_by(rest["account_id"], known["display_name"]))
    detail = "looks like a service account: " + rest["signals"]
    return rest.assign(account=name.fillna(rest["account_id"]), difference="unregistered", detail=detail)


def _unseen(tenant: Tenant, listed: pd.DataFrame) -> pd.DataFrame:
    used = pd.concat([tenant.flows["owner_id"], _run_by(tenant)["account_id"]]).dropna()
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


def approved(listed: pd.DataFrame) -> pd.DataFrame:
    """Approved rights one by one: account, account_id, kind, resource, level, rank (0 to 3)."""
    rows = listed[["account", "account_id", "allowed_rights"]].dropna()
    rows = rows.assign(right=rows["allowed_rights"].str.split(";")).explode("right", ignore_index=True)
    text = rows["right"].astype(TEXT).str.strip().str.lower()
    rows = rows.assign(resource=text.str.rsplit(":", n=1).str[0], level=text.str.rsplit(":", n=1).str[1])
    rows["kind"] = rows["resource"].astype(TEXT).str.extract(r"^([a-z_]+)=", expand=False)
    rows["resource"] = rows["resource"].astype(TEXT).str.replace(r"^[a-z_]+=", "", regex=True)
    rows["rank"] = rows["level"].map({v: i for i, v in enumerate(LEVELS)}).astype(float)
    return rows[rows["rank"].notna() & (rows["resource"] != "")]


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
    works = _places(tenant)
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
