"""What part of a tenant a report shows. The analyses always see the whole: only rows are chosen."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from flowanalysis.errors import UnknownName
from flowanalysis.tenant import Tenant


@dataclass(frozen=True)
class Scope:
    """A choice of flows; called with a frame it keeps the rows that belong to them.

    Parameters
    ----------
    words : str
        The choice in words; "" is the whole tenant.
    flows : Index or None
        Keys ``environment/flow`` of the flows chosen; None is all.
    environments : frozenset
        Environments that count for rows which name no flow; empty is all.
    people : frozenset
        Identities that count for rows which name only a person; empty is all.
    """

    words: str = ""
    flows: pd.Index | None = None
    environments: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that belong to the scope; a frame without any of its keys passes whole."""
        if self.flows is None:
            return frame
        keep = pd.Series(True, index=frame.index)
        named = frame["flow_id"].notna() if "flow_id" in frame else pd.Series(False, index=frame.index)
        if {"environment_id", "flow_id"} <= set(frame.columns):
            keep &= ~named | _keys(frame).isin(self.flows)
        if self.environments and "environment_id" in frame:
            keep &= frame["environment_id"].isin(self.environments) | (frame["environment_id"].isna() & ~named)
        if self.people:
            person = next((c for c in ("owner_id", "account_id", "identity_id") if c in frame), None)
            if person:
                keep &= named | frame[person].isin(self.people)
        return frame[keep.fillna(False).astype(bool)]


def scope(tenant: Tenant, *, environment: str = "", department: str = "") -> Scope:
    """The scope of an environment (id or name) and a department, as typed; both empty is the whole tenant.

    Raises
    ------
    UnknownName
        When the tenant has no such environment or department.
    """
    kept, words = tenant.flows, []
    environments: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    if environment:
        environments, name = _environments(tenant, environment)
        kept = kept[kept["environment_id"].isin(environments)]
        words.append(f"environment {name}")
    if department:
        people, name = _people(tenant, department)
        kept = kept[kept["owner_id"].isin(people)]
        words.append(f"department {name}")
    return Scope(", ".join(words), pd.Index(_keys(kept)), environments, people) if words else Scope()


def _keys(frame: pd.DataFrame) -> pd.Series:
    return frame["environment_id"].fillna("") + "/" + frame["flow_id"].fillna("")


def _environments(tenant: Tenant, asked: str) -> tuple[frozenset[str], str]:
    table = tenant.environments[["environment_id", "display_name"]]
    wanted = asked.casefold()
    met = table[(table["environment_id"] == wanted) | (table["display_name"].str.casefold() == wanted)]
    if len(met):
        return frozenset(met["environment_id"]), str(met["display_name"].fillna(met["environment_id"]).iloc[0])
    if wanted in set(tenant.flows["environment_id"]):
        return frozenset([wanted]), wanted
    raise UnknownName("environment", asked, [*table["display_name"].dropna(), *table["environment_id"]])


def _people(tenant: Tenant, asked: str) -> tuple[frozenset[str], str]:
    table = tenant.identities[["identity_id", "department"]].dropna()
    met = table[table["department"].str.casefold() == asked.casefold()]
    if not len(met):
        raise UnknownName("department", asked, table["department"].unique())
    return frozenset(met["identity_id"]), str(met["department"].iloc[0])
