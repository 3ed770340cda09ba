"""The only room in which text of the tenant becomes HTML or a plot label.

Names of flows, people and connections are written by anybody in the tenant; here they become text that does
nothing. Notebooks show frames, pictures and numbers through these functions alone.
"""

from importlib import import_module
from typing import Any

# Opened when first used: the process that only turns a notebook into a page needs none of the analyses.
_ROOMS = {
    "flowanalysis.report.changed": "changed exports",
    "flowanalysis.report.frames": "accounts exact_accounts moved named named_pairs overlapping owned rights",
    "flowanalysis.report.lookalikes": "lookalikes",
    "flowanalysis.report.scope": "Scope scope",
    "flowanalysis.report.seen": "Seen examine ledger",
    "flowanalysis.report.show.blocks": (
        "Block Picture advice advice_lines coverage_html edges found link_list network note numbers opening picture "
        "png said_once some table todo"
    ),
    "flowanalysis.report.show.leaf": "attribute escape label missing",
    "flowanalysis.report.show.tables": "heading number severity table_html",
}
_PUBLIC = {name: room for room, names in _ROOMS.items() for name in names.split()}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowanalysis.report.show' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
