"""The headline numbers of a month. Each one is the length of a table, and links to it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from flowanalysis.analysis.departures import departure_impact
from flowanalysis.findings import Examination
from flowanalysis.report.frames import named
from flowanalysis.report.scope import Scope
from flowanalysis.tenant import Tenant


@dataclass(frozen=True)
class Headline:
    """One number of the summary.

    Parameters
    ----------
    name : str
        Name of its table: ``tables/<name>.csv``.
    label : str
        What is counted, in words that follow the number.
    rows : DataFrame
        What is counted; None when the data cannot tell.
    page : str
        Page that shows the table; "" is the overview itself.
    wish : str
        ``fewer``, ``more`` or "" for neither: how a change is coloured.
    """

    name: str
    label: str
    rows: pd.DataFrame | None
    page: str = ""
    wish: str = "fewer"

    @property
    def value(self) -> int | None:
        """The number; None when it is not known."""
        return None if self.rows is None else len(self.rows)


# What the list of flows tells; the snapshot has the rest.
FLOWS = [
    *("flow", "environment", "state", "owner", "owner_source", "created_at", "modified_at", "last_run_at"),
    *("trigger_type", "action_count", "is_solution", "has_definition", "environment_id", "flow_id", "owner_id"),
]
URGENT = ("critical", "high")
# Findings of one rule, as a number: table, rule, words after the number, page that shows the rows.
COUNTED = (
    ("flows-without-owner", "OWN-1", "flows without a living owner", "02_ownership.html"),
    ("flows-with-one-owner", "OWN-2", "flows that hang on one owner", "02_ownership.html"),
    ("privileged-runs", "PRV-1", "flows that run as a privileged account", "04_who_runs_what.html"),
    ("excess-rights", "GAP-1", "rights that no flow needs", "05_least_privilege.html"),
)


def headlines(tenant: Tenant, seen: Examination, scope: Scope) -> list[Headline]:
    """The numbers of a tenant, most telling first; what the data cannot tell is not known, never 0."""
    found = scope(seen.findings)
    state = dict(zip(seen.answerable["rule"], seen.answerable["answerable"], strict=True))
    answered = {rule for rule, answer in state.items() if answer in ("full", "partly")}
    flows = named(scope(tenant.flows), tenant)[FLOWS] if tenant.has("flows") else None
    urgent = found[found["severity"].isin(URGENT)].drop(columns=["subject_kind", "subject_id"]) if answered else None
    numbers = [Headline("flows", "flows", flows, "01_inventory.html", "")]
    numbers.append(Headline("urgent-findings", "critical and high findings", urgent))
    numbers.append(
        Headline(
            "accounts-that-can-stop-flows",
            "accounts that can each stop a flow",
            _heavy(tenant),
            "08_someone_leaves.html",
        )
    )
    for name, rule, label, page in COUNTED:
        rows = found[found["rule"] == rule] if rule in answered else None
        # A small number out of half the data must not read as a small problem.
        hedge = ", as far as was collected" if state.get(rule) == "partly" else ""
        numbers.append(Headline(name, label + hedge, rows, page))
    return numbers


def _heavy(tenant: Tenant) -> pd.DataFrame | None:
    """Accounts without which at least one flow stops."""
    if not tenant.has("flows", "flow_owners", "connections", "flow_connections"):
        return None
    impact = departure_impact(tenant)
    return named(impact[impact["flows_stop"] > 0], tenant)
