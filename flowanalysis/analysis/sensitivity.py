"""How heavy one right on a resource weighs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.analysis.identities import matches
from flowanalysis.policy import Policy
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

__all__ = ["sensitivity"]


def sensitivity(tenant: Tenant, policy: Policy) -> pd.Series:
    """Weight of one right on each resource, indexed by resource id: its own, else the policy's.

    Returns
    -------
    Series of float
        For every resource that the resources table or a need names. The first pattern of the policy that fits the id
        or the name decides where the resource has no weight of its own.
    """
    rules, resources = policy.sensitivity, tenant.resources.drop_duplicates("resource_id")
    known = pd.concat([resources["resource_id"], tenant.needs["resource"]]).dropna().unique()
    ids = pd.Series(known, dtype=TEXT)
    names = ids.map(resources.set_index("resource_id")["display_name"]).astype(TEXT).fillna("").str.lower()
    words = (ids + " " + names).str.replace(r"[_/]", " ", regex=True)
    weight = np.full(len(ids), float(rules["default"]))
    for pattern in reversed(rules["patterns"]):
        weight[matches(words, [pattern["match"]])] = next(v for k, v in pattern.items() if k != "match")
    listed = resources.set_index("resource_id")
    own, before = (ids.map(listed[column]).astype("Float64") for column in ("sensitivity", "name_weight"))
    return own.fillna(before).fillna(pd.Series(weight, dtype="Float64")).astype(float).set_axis(ids)
