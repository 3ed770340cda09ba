"""The account behind connections and uses is what the obvious way finds, whatever the columns are made of."""

from __future__ import annotations

import random

import pandas as pd
import pyarrow as pa
import pytest
from oracles import accounts as obvious

from flowanalysis import schema
from flowanalysis.codes.accounts import connection_accounts, connection_uses
from flowanalysis.codes.names import Names, pair, split
from flowanalysis.schema.compact import CompactText
from flowanalysis.tenant import Tenant

UPNS = ["ann@contoso.example", "svc@contoso.example", "Svc@Contoso.example", "gone@contoso.example", "board", ""]
PLACES = ["e1", "e2"]


def rows(dice: random.Random) -> dict[str, list[dict]]:
    """Tables that contradict and lack each other in every way that exports do."""

    def some(*words):
        return dice.choice([*words, None])

    identities = [
        {
            "identity_id": f"u{n}",
            "upn": some(*UPNS),
            "mail": some(*UPNS),
            "app_id": some("app-1", "app-2"),
            "kind": some("user", "service_principal", "unknown"),
            "status": some("active", "disabled", "deleted", "odd"),
        }
        for n in range(dice.randrange(6))
    ]
    connections = [
        {
            "environment_id": place,
            "connection_id": f"c{n}",
            "connector_id": "shared_sql",
            "account_name": some(*UPNS, None),
            "client_id": some("app-1", "App-2", "app-9", ""),
            "username": some(*UPNS),
            "created_by_id": some("u0", "u1", "stranger"),
            "created_by_upn": some(*UPNS[:3]),
        }
        for n in range(5)
        for place in PLACES
        if dice.random() < 0.7
    ]
    references = [
        {
            "environment_id": p,
            "reference_name": f"r{n}",
            "connection_id": some("c0", "c9"),
            "is_bound": some(True, False),
        }
        for n in range(2)
        for p in PLACES
        if dice.random() < 0.6
    ]
    uses = [
        {
            "environment_id": dice.choice(PLACES),
            "flow_id": f"f{n % 4}",
            "alias": f"a{n}",
            "connection_id": some("c0", "c1", "c4", "gone"),
            "reference_name": some("r0", "r1", "r9"),
            "runtime_source": some("embedded", "invoker"),
        }
        for n in range(dice.randrange(14))
    ]
    given = {"identities": identities, "connections": connections, "connection_references": references}
    return {t: r for t, r in given.items() if dice.random() < 0.85} | {"flow_connections": uses}


def frame(table: str, given: list[dict], *, packed: bool) -> pd.DataFrame:
    """The rows as a frame, with compact text where `packed`."""
    plain = schema.frame(table, given)
    if not packed:
        return plain
    columns = {c: schema.encoded(plain[c]) for c in schema.table(table).texts}
    others = {c: pa.array(plain[c], from_pandas=True) for c in plain if c not in columns}
    return schema.frame(table, pa.table(columns | others))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compact"])
@pytest.mark.parametrize("way", ["connection_accounts", "connection_uses"])
def test_accounts_are_those_of_the_obvious_way(way, packed):
    reasons = set()
    for seed in range(60):
        given = rows(random.Random(seed))
        tenant = Tenant({t: frame(t, r, packed=packed) for t, r in given.items()}, collected=given)
        found = {"connection_accounts": connection_accounts, "connection_uses": connection_uses}[way](tenant)
        pd.testing.assert_frame_equal(found, getattr(obvious, way)(tenant), obj=f"tenant {seed}")
        reasons.update(found["reason"])
    assert len(reasons) == {"connection_accounts": 4, "connection_uses": 8}[way]  # every one was met


def test_names_of_pairs_are_the_same_from_compact_columns():
    given = [{"environment_id": e, "flow_id": f} for e in (*PLACES, None) for f in ("f1", "f2", None, "f1")]
    for packed in (False, True):
        flows = frame("flow_connections", given, packed=packed)
        told = pair(flows, "flow_id")
        names = Names.of([told])
        places, ids = split(names, names.codes(told))
        assert names.values.to_pylist() == [f"{e}\x1f{f}" for e in PLACES for f in ("f1", "f2")]
        whole = flows["environment_id"].notna() & flows["flow_id"].notna()
        assert places.tolist() == flows["environment_id"].where(whole).tolist()
        assert ids.tolist() == flows["flow_id"].where(whole).tolist()
        assert isinstance(places, CompactText)  # more rows than names: they share them
