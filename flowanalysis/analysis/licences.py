"""What the licences of an identity give it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.lookup import text_by
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant, once_per_tenant

__all__ = ["licence_classes"]


# What counts of several licences: the first of these that one of them gives.
ORDER = {"premium": ("yes", "unknown", "no"), "requests": ("paid", "unknown", "seeded", "none")}
# A right that only an app's flows have is not known for a flow; one that goes to a flow is none for its owner.
READ_AS = {"premium": {"app": "unknown", "process": "no"}, "requests": {"process": "none"}}


@once_per_tenant
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
    ranks = {}
    for name, order in ORDER.items():
        words = [*facts[name].replace(READ_AS[name]), "unknown"]  # the last is met where no pattern fits, at -1
        ranks[name] = np.array([order.index(word) for word in words])[at]
    best = pd.DataFrame(ranks, index=held.index).groupby(held["identity_id"]).min()
    return best.assign(**{name: np.array(order, object)[best[name]] for name, order in ORDER.items()})
