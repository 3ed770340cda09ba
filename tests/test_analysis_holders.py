"""Who reaches a resource, and connections that nobody uses: in which order they are told."""

from __future__ import annotations

import pandas as pd
from oracles.small import tenant_of

from flowanalysis.analysis.holders import unused_connections

KNOWN = ("2026-01-05T00:00:00Z", "2026-03-01T12:00:00Z")


def test_unused_connections_are_told_oldest_first_then_by_environment_and_id_and_undated_ones_last():
    made = {"e2": (None, KNOWN[1], KNOWN[0]), "e1": (KNOWN[1], None, KNOWN[1])}
    connections = [
        {"environment_id": place, "connection_id": f"c{n}", "created_at": time and pd.Timestamp(time)}
        for place, times in made.items()
        for n, time in enumerate(times)
    ]
    used = [{"environment_id": "e1", "flow_id": "f", "alias": "x", "connection_id": "c9"}]
    for seed in range(5):  # rows come in any order
        found = unused_connections(tenant_of({"connections": connections, "flow_connections": used}, seed=seed))
        told = list(zip(found["environment_id"], found["connection_id"], strict=True))
        assert told == [("e2", "c2"), ("e1", "c0"), ("e1", "c2"), ("e2", "c1"), ("e1", "c1"), ("e2", "c0")]
