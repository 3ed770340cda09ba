"""The graph viewer: one HTML file that needs nothing else, in columns from people to resources."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd

from flowanalysis.analysis.identities import classify
from flowanalysis.graph import graph
from flowanalysis.report import style
from flowanalysis.report.page import policy
from flowanalysis.report.show import attribute, escape
from flowanalysis.report.show.leaf import quoted
from flowanalysis.report.style import DARK, LIGHT, variables
from flowanalysis.tenant import Tenant
from flowanalysis.text import plain

MARKS = re.compile("([\x01\x02])")
ALT = "Graph in columns; choose a node by search and read its edges beside"
MOST = 5_000  # nodes that a browser draws smoothly
# Column from left to right, its heading, the kinds of nodes in it, and the number of its colour.
COLUMNS = (
    ("Users and groups", ("user", "guest", "group", "tenant", "unknown"), 5),
    ("Service accounts", ("service_account", "service_principal"), 0),
    ("Connections", ("connection", "connector"), 3),
    ("Flows", ("flow",), 2),
    ("Resources and roles", ("resource", "role"), 4),
)
PLACE = {kind: i for i, (_, kinds, _) in enumerate(COLUMNS) for kind in kinds}


def page(network: nx.MultiDiGraph, *, title: str, back: str = "", note: str = "") -> str:
    """A graph as a page: search, click for neighbours with the reason of every edge, zoom, drag.

    Parameters
    ----------
    network : networkx.MultiDiGraph
        As :func:`flowanalysis.graph` returns it; nodes beyond the first 5,000 are left out, and the page says so.
    title : str
        Shown over the graph.
    back : str
        Address of the page to return to, relative.
    note : str
        What the graph shows, of our own.
    """
    script, css = style.asset("viewer.js"), _css()
    left_out = max(0, network.number_of_nodes() - MOST)
    way_back = f'<a href="{attribute(back)}">Back to the report</a>' if back else ""
    said = [note, f"{left_out:,} nodes are left out." if left_out or network.graph.get("cut") else ""]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(script, css)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{attribute(title)}</title>
<style>{css}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{escape(" ".join(filter(None, said)), width=None)} {way_back}</p>
<label>Search <input id="search" type="search" autocomplete="off" list="names"></label>
<button id="whole" type="button">Show all</button>
<ul id="legend" aria-label="Columns"></ul>
</header>
<main>
<canvas id="view" tabindex="0" role="img" aria-label="{ALT}"></canvas>
<aside id="about" aria-live="polite"></aside>
</main>
<script type="application/json" id="data">{_data(network)}</script>
<script>{script}</script>
</body>
</html>
"""


def _css() -> str:
    hues = {
        ink.name: "".join(f"--c{i}:{ink.series[hue]};" for i, (_, _, hue) in enumerate(COLUMNS))
        for ink in (LIGHT, DARK)
    }
    dark = f"@media (prefers-color-scheme: dark){{:root{{{variables(DARK)}{hues['dark']}}}}}"
    return f":root{{{variables(LIGHT)}{hues['light']}}}{dark}{style.asset('viewer.css')}"


def _data(network: nx.MultiDiGraph) -> str:
    """Nodes and edges as JSON that cannot end its script element; names with nothing hidden in them."""
    kept = list(network.nodes)[:MOST]
    spot = {node: i for i, node in enumerate(kept)}
    about = network.nodes
    nodes = [[_clean(about[n]["label"]), PLACE.get(about[n]["kind"], 0), _clean(_about(about[n]))] for n in kept]
    edges = [
        [
            spot[a],
            spot[b],
            _clean(d.get("kind", "")),
            _reason(d.get("reason", ""), about[a]["label"], about[b]["label"]),
        ]
        for a, b, d in network.edges(data=True)
        if a in spot and b in spot
    ]
    columns = [name for name, _, _ in COLUMNS]
    text = json.dumps({"columns": columns, "nodes": nodes, "edges": edges}, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")


def _reason(reason: object, first: object, second: object) -> str:
    """A reason with marks in the place of the two names, which the page has already; no name holds such a mark."""
    text = str(reason)
    if MARKS.search(text):
        return _clean(text)
    for name, mark in ((str(first), "\x01"), (str(second), "\x02")):
        if len(name) > 3:
            text = text.replace(name, mark)
    return "".join(part if MARKS.fullmatch(part) else _clean(part) for part in MARKS.split(text))


def _about(node: dict[str, Any]) -> str:
    more = f", {node['more']:,} edges more" if node.get("more") else ""
    return f"{node['kind'].replace('_', ' ')}{', ' + node['state'] if node.get('state') else ''}{more}"


def _clean(text: object) -> str:
    return plain(text, width=140)


def of_flows(tenant: Tenant, flows: Iterable[str], *, hops: int = 1) -> nx.MultiDiGraph:
    """The graph around flows, service accounts told from people.

    Parameters
    ----------
    tenant : Tenant
        The data.
    flows : iterable of str
        Ids of flows, the most important first.
    hops : int
        How many edges away.
    """
    chosen = list(dict.fromkeys(flows))
    if not chosen:
        return nx.MultiDiGraph(cut=False)
    return tell_service_accounts(graph(tenant, chosen, hops=hops, limit=MOST), tenant)


def tell_service_accounts(network: nx.MultiDiGraph, tenant: Tenant) -> nx.MultiDiGraph:
    """The graph with kind ``service_account`` for users that are service accounts; changed in place."""
    people = {n.partition(":")[2]: n for n, d in network.nodes(data=True) if d["kind"] == "user"}
    kinds = classify(tenant, only=people)
    for identity in kinds.loc[kinds["band"] == "service", "identity_id"]:
        network.nodes[people[identity]]["kind"] = "service_account"
    return network


def important_flows(flows: pd.DataFrame, findings: pd.DataFrame, *, most: int = 400) -> Collection[str]:
    """Ids of flows to draw: those with findings first, most severe first."""
    first = findings["flow_id"].dropna()
    return list(dict.fromkeys([*first[first.isin(flows["flow_id"])], *flows["flow_id"]]))[:most]


def write(network: nx.MultiDiGraph, path: str | Path, *, title: str, back: str = "", note: str = "") -> Path:
    """Write the page of a graph."""
    target = Path(path)
    target.write_text(page(network, title=title, back=back, note=note), encoding="utf-8")
    return target


def frame(network: nx.MultiDiGraph, *, title: str = "Graph", height: int = 640) -> str:
    """The page as an inline frame for JupyterLab; the frame may run its own script and nothing else."""
    inside = quoted(page(network, title=title))
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{inside}" width="100%" height="{int(height)}" title="Graph"></iframe>'
    )
