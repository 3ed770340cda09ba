"""What lies around a node, with a reason on every edge."""

from __future__ import annotations

import networkx as nx
import pyarrow as pa
import pytest

from flowanalysis import schema
from flowanalysis.errors import UnknownName
from flowanalysis.graph import graph
from flowanalysis.tenant import Tenant

E = "env"


def small(**more) -> Tenant:
    rows = {
        "identities": [
            {
                "identity_id": "svc",
                "kind": "user",
                "upn": "svc@contoso.example",
                "display_name": "SVC",
                "status": "active",
            },
            {"identity_id": "ann", "kind": "user", "upn": "ann@contoso.example", "display_name": "Ann {target} <b>"},
        ],
        "groups": [{"group_id": "hr", "display_name": "HR"}],
        "memberships": [{"group_id": "hr", "member_id": "ann", "relation": "member"}],
        "flows": [
            {"environment_id": E, "flow_id": "f1", "display_name": "Leave", "state": "Started", "workflow_id": "w1"},
            {"environment_id": E, "flow_id": "f2", "display_name": "Child", "workflow_id": "w2"},
            {"environment_id": "other", "flow_id": "f1", "display_name": "Copy"},
        ],
        "flow_owners": [
            {"environment_id": E, "flow_id": "f1", "principal_id": "ann", "role": "Owner"},
            {"environment_id": E, "flow_id": "f1", "principal_id": "hr", "role": "CanEdit"},
        ],
        "connections": [
            {
                "environment_id": E,
                "connection_id": "c1",
                "connector_id": "shared_x",
                "account_name": "svc@contoso.example",
            }
        ],
        "connection_shares": [{"environment_id": E, "connection_id": "c1", "principal_id": "ann", "role": "CanView"}],
        "flow_connections": [
            {"environment_id": E, "flow_id": "f1", "alias": "x", "connection_id": "c1", "runtime_source": "embedded"}
        ],
        "steps": [{"environment_id": E, "flow_id": "f1", "step": "Run", "kind": "action", "child_flow_id": "w2"}],
        "needs": [
            {
                "environment_id": E,
                "flow_id": "f1",
                "step": "Get",
                "level": "read",
                "resource": "https://x",
                "state": "known",
            }
        ],
        "grants": [{"principal_id": "svc", "resource_id": "https://x", "level": "owner", "via": "direct"}],
        "role_assignments": [{"principal_id": "svc", "role_name": "Global Reader", "state": "active"}],
        **more,
    }
    return Tenant({name: schema.frame(name, r) for name, r in rows.items()})


def reasons(g) -> set[str]:
    return {d["reason"] for *_, d in g.edges(data=True)}


def test_every_kind_of_edge_has_a_reason_in_words():
    g = graph(small(), "f1", hops=3)
    kinds = {d["kind"] for *_, d in g.edges(data=True)}
    assert kinds == {
        "owns", "co-owns", "uses", "runs as", "signs in as", "through", "member of", "shared with",
        "needs", "may", "holds", "calls",
    }  # fmt: skip
    assert "Leave runs as SVC: the account signed in to the connection" in reasons(g)
    assert "SVC may owner https://x (direct)" not in reasons(g)
    assert "SVC holds owner rights on https://x (direct)" in reasons(g)


def test_names_with_braces_stay_text():
    assert "Ann {target} <b> owns Leave" in reasons(graph(small(), "ann", hops=1))


def test_an_equal_flow_id_in_another_environment_is_another_flow():
    g = graph(small(), "ann", hops=1)
    assert "flow:env/f1" in g
    assert "flow:other/f1" not in g


@pytest.mark.parametrize(
    "name", ["svc", "SVC@contoso.example", "Leave", "w1", "c1", "HR", "https://x", "shared_x", "Global Reader"]
)
def test_a_start_is_found_by_id_or_exact_name(name):
    assert len(graph(small(), name, hops=0)) >= 1


def test_a_finding_starts_at_its_flow_and_account():
    row = {"finding_id": "x", "environment_id": E, "flow_id": "f1", "account_id": "svc", "subject_id": "f1"}
    assert set(graph(small(), row, hops=0)) == {"flow:env/f1", "principal:svc"}


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'Leave'"):
        graph(small(), "Leaves")


def test_a_large_group_is_cut_and_the_rest_is_counted():
    members = [{"group_id": "hr", "member_id": f"u{i}", "relation": "member"} for i in range(30)]
    g = graph(small(memberships=members), "hr", hops=1, fan=10)
    assert g.nodes["principal:hr"]["more"] == 20
    assert len([n for n in g if n.startswith("principal:u")]) == 10


def test_growth_stops_at_the_limit_and_says_so():
    g = graph(small(), "f1", hops=4, limit=5)
    assert len(g) == 5
    assert g.graph["cut"]


def test_state_and_distance_are_on_the_nodes():
    g = graph(small(), "f1", hops=1)
    assert g.nodes["flow:env/f1"] == {"kind": "flow", "label": "Leave", "state": "Started", "distance": 0, "more": 0}
    assert g.nodes["principal:hr"]["kind"] == "group"


def test_rows_in_many_chunks_give_the_same_graph(months):
    tenant = months["2026-10"]
    owners = pa.Table.from_pandas(tenant.flow_owners, preserve_index=False)
    cut = pa.concat_tables([owners.slice(n, 7) for n in range(0, len(owners), 7)])
    chunked = tenant.replace(flow_owners=schema.frame("flow_owners", cut))
    assert chunked.flow_owners["flow_id"].array.__arrow_array__().num_chunks > 1
    around = tenant.flow_owners["principal_id"].iloc[0]
    assert nx.utils.graphs_equal(graph(chunked, around), graph(tenant, around))
