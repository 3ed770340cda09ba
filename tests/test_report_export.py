"""Graphs for other tools come back as they went, whatever the names are."""

from __future__ import annotations

import json
import re

import networkx as nx
import pytest

from flowanalysis.errors import UnknownName
from flowanalysis.graph import graph
from flowanalysis.report import export

NAMES = ["<b>&\"'</b>", "a\x00b\x1f", "\ud800 lone", "\ufffe", "名前 😀", "", "]]>", "x" * 5000]


@pytest.fixture
def network():
    made = nx.MultiDiGraph(cut=False)
    for n, name in enumerate(NAMES):
        made.add_node(f"flow:{n}", kind="flow", label=name, state="Started", more=n)
        made.add_node(f"principal:{n}", kind="service_account", label=f"user {n}", state="", more=0)
        made.add_edge(f"principal:{n}", f"flow:{n}", kind="owns", reason=f"user {n} owns {name}")
        made.add_edge(f"principal:{n}", f"flow:{n}", kind="may edit", reason="twice")
    return made


@pytest.mark.parametrize(("ending", "read"), [(".graphml", nx.read_graphml), (".gexf", nx.read_gexf)])
def test_xml_formats_come_back_whole(network, tmp_path, ending, read):
    file = export.write(network, tmp_path / f"graph{ending}")
    back = read(file)
    assert set(back.nodes) == set(network.nodes)
    assert back.number_of_edges() == network.number_of_edges()
    assert {d["kind"] for _, _, d in back.edges(data=True)} == {"owns", "may edit"}


def test_opengraph_is_what_bloodhound_takes_in(network, tmp_path):
    told = json.loads(export.write(network, tmp_path / "graph.JSON").read_text(encoding="utf-8"))
    nodes, edges = told["graph"]["nodes"], told["graph"]["edges"]
    ids = {n["id"] for n in nodes}
    assert len(ids) == len(nodes) == network.number_of_nodes()
    assert all(1 <= len(n["kinds"]) <= 3 for n in nodes)
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", k) for n in nodes for k in n["kinds"])
    assert {e["kind"] for e in edges} == {"PAOwns", "PAMayEdit"}
    assert all(e[side]["value"] in ids and e[side]["match_by"] == "id" for e in edges for side in ("start", "end"))
    values = [v for n in nodes for v in n["properties"].values()]
    assert all(isinstance(v, str | int | float | bool) for v in values)
    assert not any(re.search("[\x00-\x08\ud800-\udfff]", v) for v in values if isinstance(v, str))


def test_an_unknown_ending_names_the_known_ones(network, tmp_path):
    with pytest.raises(UnknownName, match="graphml"):
        export.write(network, tmp_path / "graph.graphmll")


def test_a_graph_of_the_demo_goes_out_in_every_format(months, tmp_path):
    tenant = months["2026-10"]
    around = graph(tenant, tenant.flows["flow_id"].iloc[0], hops=2)
    for ending in export.FORMATS:
        assert export.write(around, tmp_path / f"g{ending}").stat().st_size > 500
