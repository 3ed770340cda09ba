"""What the licences of an identity give it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.lookup import text_by
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

__all__ = ["licence_classes"]


def licence_classes(tenant: Tenant) -> pd.DataFrame:
    """By identity, what its licences give: premium (yes, unknown, no) and requests (paid, unknown, seeded, none)."""
    held = tenant.licences
    part = held["sku_part_number"].fillna(
        text_by(held["sku_id"], tenant.skus.drop_duplicates("sku_id").set_index("sku_id")["sku_part_number"])
    )
    names = part.str.upper().astype(TEXT)
    facts = reference.table("licence_rights")
    patterns = [re.compile(re.escape(p).replace(r"\*", ".*") + r"\Z") for p in facts["sku"]]
    found = {n: next((i for i, p in enumerate(patterns) if p.match(n)), -1) for n in names.dropna().unique()}
    at = names.map(found).fillna(-1).astype(int).to_numpy()
    premium = np.where(at < 0, "unknown", facts["premium"].to_numpy(object)[at])
    requests = np.where(at < 0, "unknown", facts["requests"].to_numpy(object)[at])
    flags = pd.DataFrame({"identity_id": held["identity_id"], "premium": premium, "requests": requests})
    yes = flags.groupby("identity_id").agg(premium=("premium", set), requests=("requests", set)).reset_index()
    yes["premium"] = yes["premium"].map(
        lambda s: "yes" if "yes" in s else "unknown" if s & {"unknown", "app"} else "no"
    )
    yes["requests"] = yes["requests"].map(lambda s: next((c for c in ("paid", "unknown", "seeded") if c in s), "none"))
    return yes.set_index("identity_id")
