"""Who runs which Power Automate flow, with which rights, and what stops when they leave.

>>> import flowanalysis as fa
>>> tenant = fa.load(fa.place("data/demo/2026-10"))
>>> findings = fa.findings(tenant)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> module and name there. Rooms are opened when first used: `import flowanalysis` stays quick.
_PUBLIC = {
    "FlowAnalysisError": "errors:FlowAnalysisError",
    "Policy": "policy:Policy",
    "Tenant": "tenant:Tenant",
    "advise": "planning.advise:advise",
    "blast_radius": "analysis.blast:blast_radius",
    "bus_factor": "analysis.owners:bus_factor",
    "catalogue_coverage": "analysis.needs:catalogue_coverage",
    "check_roles": "planning.check:check_roles",
    "classify": "analysis.identities:classify",
    "connection_accounts": "analysis.execution:connection_accounts",
    "connection_uses": "analysis.execution:connection_uses",
    "coverage": "sources.coverage:coverage",
    "departure_impact": "analysis.departures:departure_impact",
    "departures": "analysis.departures:departures",
    "document": "document:document",
    "drift": "analysis.drift:drift",
    "effective_permissions": "analysis.access:effective_permissions",
    "escalations": "analysis.blast:escalations",
    "evidence": "findings:evidence",
    "execution_map": "analysis.execution:execution_map",
    "explain": "analysis.explain:explain",
    "figures": "report.figures",
    "findings": "findings:find",
    "flow_accounts": "analysis.execution:flow_accounts",
    "graph": "graph:graph",
    "inspect": "sources:inspect",
    "least_privilege_gap": "analysis.gap:least_privilege_gap",
    "ledger": "ledger:ledger",
    "load": "loading:load",
    "load_policy": "policy:load_policy",
    "mine_roles": "planning.mining:mine_roles",
    "needs": "analysis.needs:needs",
    "permission_overlap": "analysis.overlap:permission_overlap",
    "place": "places:place",
    "plan_accounts": "planning.accounts:plan_accounts",
    "privileges": "analysis.privileges:privileges",
    "show": "report.show",
    "steps": "analysis.needs:steps",
    "together": "together:together",
    "unused_connections": "analysis.holders:unused_connections",
    "who_reaches": "analysis.holders:who_reaches",
    "why": "analysis.why:why",
    "write_snapshot": "snapshot:write_snapshot",
}
__all__ = sorted(_PUBLIC)


# These modules bear the name of their one public function; bound here, the function wins whoever imports first.
from flowanalysis.document import document as document  # noqa: E402
from flowanalysis.findings import find as findings  # noqa: E402, F401
from flowanalysis.graph import graph as graph  # noqa: E402
from flowanalysis.ledger import ledger as ledger  # noqa: E402


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowanalysis' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    room = import_module(f"flowanalysis.{module}")
    value = getattr(room, attribute) if attribute else room
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
