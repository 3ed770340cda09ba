"""The only room in which text of the tenant becomes HTML or a plot label.

Names of flows, people and connections are written by anybody in the tenant; here they become text that does
nothing. Notebooks show frames, pictures and numbers through these functions alone.
"""

from flowanalysis.report.frames import accounts, exact_accounts, ledger, moved, named, named_pairs, owned, rights
from flowanalysis.report.scope import Scope, scope
from flowanalysis.report.seen import Seen, examine
from flowanalysis.report.show.blocks import (
    Block,
    Picture,
    advice,
    advice_lines,
    coverage_html,
    edges,
    found,
    link_list,
    network,
    note,
    numbers,
    opening,
    picture,
    png,
    table,
    todo,
)
from flowanalysis.report.show.leaf import attribute, escape, label, missing
from flowanalysis.report.show.table import heading, number, severity, table_html

__all__ = [
    "Block",
    "Picture",
    "Scope",
    "Seen",
    "accounts",
    "advice",
    "advice_lines",
    "attribute",
    "coverage_html",
    "edges",
    "escape",
    "exact_accounts",
    "examine",
    "found",
    "heading",
    "label",
    "ledger",
    "link_list",
    "missing",
    "moved",
    "named",
    "named_pairs",
    "network",
    "note",
    "number",
    "numbers",
    "opening",
    "owned",
    "picture",
    "png",
    "rights",
    "scope",
    "severity",
    "table",
    "table_html",
    "todo",
]
