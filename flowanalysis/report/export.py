"""A graph for other tools: GraphML, GEXF, and OpenGraph JSON as BloodHound takes it in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx

from flowanalysis.errors import UnknownName
from flowanalysis.text import CONTROL, SURROGATE

# XML 1.0 has no place for these, not even escaped.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def graphml(network: nx.MultiDiGraph, path: str | Path) -> Path:
    """Write GraphML, for yEd, Gephi, Cytoscape."""
    nx.write_graphml(_flat(network), str(path), encoding="utf-8")
    return Path(path)


def gexf(network: nx.MultiDiGraph, path: str | Path) -> Path:
    """Write GEXF, for Gephi."""
    nx.write_gexf(_flat(network), str(path), encoding="utf-8")
    return Path(path)


def opengraph(network: nx.MultiDiGraph, path: str | Path) -> Path:
    """Write BloodHound OpenGraph JSON.

    Kinds of nodes get the prefix ``PA`` (for Power Automate), kinds of edges too, as words joined: ``PARunsAs``.
    The format is that of the BloodHound documentation, OpenGraph schema, 2025.
    """
    nodes = [
        {"id": node, "kinds": [_kind(d["kind"]), "PANode"], "properties": _properties(d, name=d["label"])}
        for node, d in network.nodes(data=True)
    ]
    edges = [
        {
            "kind": _kind(d["kind"]),
            "start": {"value": a, "match_by": "id"},
            "end": {"value": b, "match_by": "id"},
            "properties": _properties(d),
        }
        for a, b, d in network.edges(data=True)
    ]
    text = json.dumps({"metadata": {"source_kind": "PANode"}, "graph": {"nodes": nodes, "edges": edges}}, indent=1)
    Path(path).write_text(text, encoding="utf-8")
    return Path(path)


FORMATS: dict[str, Callable[[nx.MultiDiGraph, str | Path], Path]] = {
    ".graphml": graphml,
    ".gexf": gexf,
    ".json": opengraph,
}


def write(network: nx.MultiDiGraph, path: str | Path) -> Path:
    """Write a graph in the format that the file's ending names: .graphml, .gexf or .json (OpenGraph).

    Raises
    ------
    UnknownName
        When the ending names none of them.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise UnknownName("graph format", ending, FORMATS)
    return FORMATS[ending](network, path)


def _flat(network: nx.MultiDiGraph) -> nx.MultiDiGraph:
    """The graph with plain attributes and numbered edges, every text fit for XML."""
    flat = nx.MultiDiGraph()
    for node, data in network.nodes(data=True):
        flat.add_node(_xml(node), **{k: _xml(v) for k, v in data.items()})
    for number, (a, b, data) in enumerate(network.edges(data=True)):
        flat.add_edge(_xml(a), _xml(b), key=str(number), **{k: _xml(v) for k, v in data.items()})
    return flat


def _xml(value: Any) -> Any:
    return NOT_XML.sub("\ufffd", str(value)) if not isinstance(value, bool | int | float) else value


def _kind(words: str) -> str:
    """A kind as OpenGraph allows it: letters and digits.

    >>> _kind("runs as"), _kind("service_account")
    ('PARunsAs', 'PAServiceAccount')
    """
    return "PA" + "".join(w[:1].upper() + w[1:] for w in re.split(r"[^A-Za-z0-9]+", words))


def _properties(data: dict[str, Any], **more: object) -> dict[str, object]:
    kept = {k: v for k, v in (data | more).items() if k != "kind"}
    return {
        k: v if isinstance(v, bool | int | float) else CONTROL.sub("\ufffd", SURROGATE.sub("\ufffd", str(v)))
        for k, v in kept.items()
    }
