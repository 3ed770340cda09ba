"""Findings as a page shows them: with names, within its scope, and never silent about what is not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from weakref import WeakKeyDictionary, ref

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from flowanalysis import schema
from flowanalysis.findings import Examination
from flowanalysis.findings import examine as apply_rules
from flowanalysis.loading import load
from flowanalysis.places import place
from flowanalysis.policy import Policy, load_policy
from flowanalysis.report.frames import moves, named
from flowanalysis.report.scope import Scope
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant
from flowanalysis.worklists import work_list


@dataclass(frozen=True)
class Seen:
    """Findings and which rules the data could answer.

    Parameters
    ----------
    findings : DataFrame
        Findings with names beside their ids, and in ``who`` the person who can act.
    answerable : DataFrame
        rule, title, answerable (full | partly | no | off), missing.
    policy : Policy
        The policy that judged.
    before : Tenant, optional
        The month before.
    """

    findings: pd.DataFrame
    answerable: pd.DataFrame = field(repr=False)
    policy: Policy = field(default_factory=load_policy, repr=False)
    before: Tenant | None = field(default=None, repr=False)

    def of(self, *rules: str) -> pd.DataFrame | None:
        """The findings of some rules; None when the data could answer none of them."""
        state = self.answerable.set_index("rule")["answerable"].reindex(rules)
        if not state.isin(["full", "partly"]).any():
            return None
        return self.findings[self.findings["rule"].isin(rules)]

    def count(self, *rules: str) -> object:
        """How many findings some rules have; NA when the data could answer none of them."""
        rows = self.of(*rules)
        return pd.NA if rows is None else len(rows)

    def lacking(self, *rules: str) -> str:
        """Why rules could not be answered, in words."""
        rows = self.answerable[self.answerable["rule"].isin(rules)]
        if (rows["answerable"] == "off").all() and len(rows):
            return "the policy switches this rule off"
        missing = ", ".join(dict.fromkeys(m.replace("_", " ") for m in rows["missing"].dropna() if m))
        return f"not collected: {missing}" if missing else "no rule answers it"


def examine(tenant: Tenant, here: Scope | None = None, *, policy: str = "", previous: str = "") -> Seen:
    """Findings of a tenant for a page.

    Parameters
    ----------
    tenant : Tenant
        The data.
    here : Scope, optional
        What the page shows; the rules always see the whole tenant.
    policy : str
        Policy file, "" for the defaults.
    previous : str
        Exports or snapshot of the month before, "" for none: then rules that compare are not answered.
    """
    rules = load_policy(place(policy)) if policy else load_policy()
    before = load(place(previous)) if previous else None
    kept = _kept(tenant, rules, before)
    found = named((here or Scope())(kept.result.findings), tenant)
    found = found.assign(who=found["finding_id"].map(kept.who).astype(TEXT))
    return Seen(found, kept.result.answerable, rules, before)


@dataclass
class _Kept:
    """An examination that later questions about the same data and rules need not repeat."""

    tenant: Callable[[], Tenant | None] = field(repr=False)
    policy: Policy
    before: Tenant | None
    result: Examination

    @cached_property
    def who(self) -> pd.Series:
        """Finding to the person who can act on it."""
        tenant = self.tenant()
        assert tenant is not None
        work = work_list(tenant, self.result.findings)
        return work.drop_duplicates("finding_id").set_index("finding_id")["responsible"]


_EXAMINED: WeakKeyDictionary[Tenant, list[_Kept]] = WeakKeyDictionary()


def hand_over(folder: Path, name: str, tenant: Tenant, policy: Policy, before: Tenant | None) -> None:
    """Write an examination for another process that has the same tenant; :func:`take_over` reads it there."""
    kept = _kept(tenant, policy, before)
    parts = {f.name: getattr(kept.result, f.name) for f in fields(kept.result)}
    parts["who"] = kept.who.astype(TEXT).reset_index()
    for part, frame in parts.items():
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{name}-{part}.parquet")


def take_over(folder: Path, name: str, tenant: Tenant, policy: Policy, before: Tenant | None) -> None:
    """Know what another process has found, instead of looking for it again."""
    read = {
        part: schema.to_pandas(pq.read_table(folder / f"{name}-{part}.parquet"))
        for part in (*(f.name for f in fields(Examination)), "who")
    }
    who = read.pop("who")
    kept = _Kept(ref(tenant), policy, before, Examination(**read))
    kept.who = who.set_index(who.columns[0])[who.columns[1]]
    _EXAMINED.setdefault(tenant, []).append(kept)


def _kept(tenant: Tenant, rules: Policy, before: Tenant | None) -> _Kept:
    known = _EXAMINED.setdefault(tenant, [])
    met = next((k for k in known if k.policy == rules and k.before is before), None)
    if met is None:
        met = _Kept(ref(tenant), rules, before, apply_rules(tenant, rules, before))
        known.append(met)
    return met


def examined(tenant: Tenant, policy: Policy | None = None, before: Tenant | None = None) -> Examination:
    """Findings, evidence and coverage, found once for a tenant, its policy and its month before."""
    met = _kept(tenant, policy or load_policy(), before).result
    return Examination(*(getattr(met, f.name).copy(deep=False) for f in fields(met)))


def responsible(tenant: Tenant, policy: Policy | None = None, before: Tenant | None = None) -> pd.Series:
    """Id of each finding to the name of the person who can act on it; found once, as :func:`examined`."""
    return _kept(tenant, policy or load_policy(), before).who.copy()


def ledger(tenant: Tenant, before: Tenant | None, policy: Policy | None = None) -> pd.DataFrame:
    """Findings of two months with their state: new, open, returned, fixed or unknown; none without a month before."""
    if before is None:
        return moves({tenant.month: examined(tenant, policy)}).iloc[:0]
    return moves({before.month: examined(before, policy), tenant.month: examined(tenant, policy, before)})
