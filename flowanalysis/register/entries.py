"""What the lines of a register stand for: identities, purposes, approved rights."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.analysis.identities import matches
from flowanalysis.policy import Policy
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

LEVELS = ("read", "write", "owner", "full")


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
