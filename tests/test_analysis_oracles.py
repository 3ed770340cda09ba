"""Every analysis against its slow, obvious version on 200 random small tenants, of which each run takes some."""

from __future__ import annotations

import os
from functools import cache

import networkx as nx
import pandas as pd
import pytest
from oracles import plain
from oracles.small import rows, tenant, tenant_of

from flowanalysis import schema
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.blast import blast_radius, escalations
from flowanalysis.analysis.changes import apply, changes
from flowanalysis.analysis.departures import departure_impact
from flowanalysis.analysis.drift import rights_drift
from flowanalysis.analysis.execution import connection_accounts
from flowanalysis.analysis.gap import flow_gap, least_privilege_gap
from flowanalysis.analysis.holders import unused_connections, who_reaches
from flowanalysis.analysis.overlap import permission_overlap
from flowanalysis.analysis.owners import bus_factor
from flowanalysis.analysis.privileges import privileges
from flowanalysis.analysis.why import why
from flowanalysis.errors import UnknownName
from flowanalysis.tenant import Tenant

SEEDS = range(200)
FEW = 20  # in the quick run; in the full one every third of the others, or all where FLOWANALYSIS_THOROUGH is set
REST = SEEDS[FEW :: 1 if os.environ.get("FLOWANALYSIS_THOROUGH") else 3]
LEVEL = ["none", "read", "write", "owner", "full"]


@pytest.fixture(params=[SEEDS[:FEW], pytest.param(REST, marks=pytest.mark.slow)], ids=["few", "rest"])
def seeds(request):
    """Seeds of the tenants to try."""
    return request.param


@pytest.fixture(scope="module")
def worlds():
    made = {}

    def world(seed: int) -> plain.World:
        if seed not in made:
            made[seed] = plain.World(tenant(seed))
        return made[seed]

    return world


def test_effective_levels_of_everybody(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = effective_permissions(world.tenant, everyone=True, paths=False)
        found = found[found["kind"] == "grant"]
        names = world.tenant.codes.principals.text(range(len(world.tenant.codes.principals)))
        expected = {(i, r, LEVEL[n]) for i in names for r, n in world.levels(i).items()}
        columns = zip(found["identity_id"], found["resource_id"], found["level"], strict=True)
        assert set(columns) == expected, seed
        assert len(found) == len(expected), seed


def test_identities_that_matter_are_accounts_and_editors(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = effective_permissions(world.tenant)
        with_rights = {i for i in world.matter() if world.levels(i)}
        assert set(found.loc[found["kind"] == "grant", "identity_id"]) == with_rights, seed


def test_paths_name_only_memberships_and_grants_that_exist(worlds, seeds):
    for seed in seeds[::5]:
        world = worlds(seed)
        found = effective_permissions(world.tenant, everyone=True, paths=True)
        assert found["path"].notna().all(), seed
        direct = found[(found["kind"] == "grant") & (found["via"] == "direct")]
        assert not direct["path"].str.contains("is a member of").any(), seed
        group = found[(found["kind"] == "grant") & (found["via"] == "group")]
        assert group["path"].str.contains("is a member of").all(), seed


def test_roles_reach_accounts_over_groups(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = privileges(world.tenant, everyone=True)
        principals = set(world.tenant.codes.principals.text(range(len(world.tenant.codes.principals))))
        expected = {
            (i, r["role_name"], r["state"])
            for r in plain.records(world.tenant, "role_assignments")
            for i in principals
            if r["principal_id"] in world.ways(i)
        }
        assert set(zip(found["account_id"], found["name"], found["state"], strict=True)) == expected, seed


def test_excess_rights_with_their_reasons(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = least_privilege_gap(world.tenant, side="excess")
        columns = ["account_id", "resource_id", "granted", "needed", "reason"]
        got = {
            (a, r, LEVEL.index(g), LEVEL.index(n), why_) for a, r, g, n, why_ in found[columns].itertuples(index=False)
        }
        assert got == plain.excess(world), seed
        assert len(found) == len(got), seed


def test_missing_rights_step_by_step(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = least_privilege_gap(world.tenant, side="missing").astype(object)
        found = found.where(found.notna(), None)
        columns = ["account_id", "flow_id", "step", "resource_id", "granted"]
        got = {(a, f, s, r, LEVEL.index(g)) for a, f, s, r, g in found[columns].itertuples(index=False)}
        assert got == plain.missing(world), seed


def test_excess_counted_for_each_flow_is_what_listing_it_gives(worlds, seeds):
    for seed in seeds[::4]:
        world = worlds(seed)
        for row in flow_gap(world.tenant).itertuples():
            listed = least_privilege_gap(world.tenant, flow=row.flow_id, side="excess")
            assert len(listed) == row.excess, (seed, row.flow_id)
            assert row.granted == sum(len(world.granted(a)) for a in world.accounts_of(row.flow_id))
            assert row.excess == row.never_needed + row.needed_by_other_flows


def test_reach_of_flows(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = blast_radius(world.tenant)
        found = found[found["accounts"] > 0].set_index("flow_id")
        got = {f: tuple(r) for f, r in found[["accounts", "reach", "reach_write", "weight"]].iterrows()}
        assert got == plain.flow_blast(world), seed


def test_reach_of_identities(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = blast_radius(world.tenant, by="identity").set_index("identity_id")
        columns = ["own", "flows", "connections", "reach", "reach_write", "weight"]
        assert {i: tuple(r) for i, r in found[columns].iterrows()} == plain.identity_blast(world), seed


def test_what_editors_gain_by_accounts(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = escalations(world.tenant)
        found = found[found["gained"] > 0].set_index(["editor_id", "account_id"])
        columns = ["flows", "gained", "gained_write", "gained_weight"]
        assert {p: tuple(r) for p, r in found[columns].iterrows()} == plain.escalations(world), seed


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.8, 1.0])
def test_pairs_of_accounts_above_a_threshold(worlds, threshold, seeds):
    for seed in seeds:
        world = worlds(seed)
        accounts = sorted({a for f in world.flows for a in world.accounts_of(f)})
        found = permission_overlap(world.tenant, threshold=threshold).set_index(["account_a", "account_b"])
        expected = {p: v for p, v in plain.overlap(world, accounts).items() if v[1] >= threshold}
        got = {p: tuple(r) for p, r in found[["shared", "jaccard", "weighted"]].iterrows()}
        assert got.keys() == expected.keys(), seed
        for pair, values in got.items():
            assert values == pytest.approx(expected[pair]), (seed, pair)


def test_impact_of_every_departure_at_once(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        found = departure_impact(world.tenant)
        found = found[(found["flows_fail"] > 0) | (found["flows_orphaned"] > 0)].set_index("identity_id")
        got = {i: tuple(r) for i, r in found[["flows_stop", "flows_fail", "flows_orphaned"]].iterrows()}
        assert got == plain.impact(world), seed


def test_people_who_keep_a_flow(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        for row in bus_factor(world.tenant).itertuples():
            people, crowds = world.keepers(row.flow_id)
            assert row.at_least == bool(crowds), (seed, row.flow_id)
            assert row.bus_factor == max(len(people), bool(crowds)), (seed, row.flow_id)


def test_applying_the_changes_gives_the_second_state(seeds):
    for seed in seeds[::4]:
        old, new = tenant(seed), tenant(seed + 1)
        there = changes(old, new)
        made = apply(old, there)
        for table in schema.TABLES:
            assert _row_set(made, table) == _row_set(new, table), (seed, table)
        for table in there:
            assert list(made[table].dtypes) == list(new[table].dtypes), (seed, table)


def test_changes_back_are_as_many_as_there(seeds):
    for seed in seeds[::10]:
        old, new = tenant(seed), tenant(seed + 1)
        there, back = changes(old, new), changes(new, old)
        assert {t: len(f) for t, f in there.items()} == {t: len(f) for t, f in back.items()}


def test_nothing_changes_between_a_state_and_itself():
    assert [changes(tenant(seed), tenant(seed)) for seed in SEEDS[:10]] == [{}] * 10


def _row_set(state: Tenant, table: str) -> set[tuple]:
    return {tuple(row.values()) for row in plain.records(state, table)} if len(state[table]) else set()


def test_rights_in_effect_that_come_and_go(worlds, seeds):
    for seed in seeds[::2]:
        old, new = worlds(seed), worlds(seed + 1) if seed + 1 in SEEDS else worlds(0)
        found = rights_drift(old.tenant, new.tenant)
        accounts = {a for w in (old, new) for a in w.account.values() if a}
        expected = set()
        for account in accounts:
            before, after = old.levels(account), new.levels(account)
            for resource in before.keys() | after.keys():
                levels = before.get(resource, 0), after.get(resource, 0)
                if levels[0] != levels[1]:
                    expected.add((account, resource, LEVEL[levels[0]], LEVEL[levels[1]]))
        columns = ["account_id", "resource_id", "before", "after"]
        assert set(found[columns].itertuples(index=False, name=None)) == expected, seed


def test_everybody_who_reaches_a_resource(worlds, seeds):
    for seed in seeds[::2]:
        world = worlds(seed)
        names = world.tenant.codes.principals.text(range(len(world.tenant.codes.principals)))
        for resource in list(world.inside)[:3]:
            found = who_reaches(world.tenant, resource)
            direct = {i: LEVEL[n] for i in names if (n := world.levels(i).get(resource, 0))}
            own = found[found["via"] != "flow"]
            assert dict(zip(own["identity_id"], own["level"], strict=True)) == direct, (seed, resource)
            over = {
                i
                for i in names
                for f in world.flows
                if i not in direct and world.editors(f) & world.ways(i) and world.accounts_of(f) & direct.keys()
            }
            assert set(found.loc[found["via"] == "flow", "identity_id"]) == over, (seed, resource)


def test_connections_that_no_flow_declares(worlds, seeds):
    for seed in seeds:
        world = worlds(seed)
        used = {u["connection_id"] for u in world.uses}
        expected = set(world.account) - used if world.tenant.has("connections", "flow_connections") else set()
        unused, key = unused_connections(world.tenant), ["environment_id", "connection_id"]
        assert set(unused["connection_id"]) == expected, seed
        known = connection_accounts(world.tenant)[[*key, "account_id", "account_name"]]
        told = unused[key].merge(known, on=key, how="left")
        assert unused["account_id"].equals(told["account_id"]), seed
        named = told["account_name"].fillna("an account that is not known")
        assert all(f" of {name} to " in text for name, text in zip(named, unused["sentence"], strict=True)), seed


def test_explanations_are_as_short_as_they_can_be(worlds, seeds):
    for seed in seeds[::4]:
        world = worlds(seed)
        graph = _graph(world)
        for who in list(world.people)[:3]:
            for resource in list(world.inside)[:3]:
                found = why(world.tenant, who, resource)
                try:
                    length = nx.shortest_path_length(graph, ("p", who), ("r", resource))
                except (nx.NetworkXNoPath, nx.NodeNotFound):
                    assert found.attrs["direction"] != "forward", (seed, who, resource)
                else:
                    assert len(found) == length, (seed, who, resource)


def _graph(world: plain.World) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_edges_from((("p", m), ("p", g)) for m, groups in world.groups_of.items() for g in groups)
    graph.add_edges_from((("p", p), ("r", r)) for p, held in world.grants.items() for r in held)
    graph.add_edges_from((("r", c), ("r", r)) for r, containers in world.inside.items() for c in containers)
    graph.add_edges_from((("p", p), ("f", f)) for f, roles in world.owners.items() for p in roles)
    shares = plain.records(world.tenant, "connection_shares")
    graph.add_edges_from((("p", s["principal_id"]), ("c", s["connection_id"])) for s in shares)
    graph.add_edges_from((("c", c), ("p", a)) for c, a in world.account.items() if a)
    embedded = [u for u in world.uses if u["runtime_source"] != "invoker" and u["connection_id"]]
    graph.add_edges_from((("f", u["flow_id"]), ("c", u["connection_id"])) for u in embedded)
    graph.add_edges_from((("f", u["flow_id"]), ("p", a)) for u in embedded if (a := world.account_of_use(u)))
    needs = plain.records(world.tenant, "needs")
    graph.add_edges_from((("f", n["flow_id"]), ("r", n["resource"])) for n in needs if n["resource"])
    return graph


ANALYSES = {
    "access": lambda t: effective_permissions(t, everyone=True),
    "gap": least_privilege_gap,
    "flow gap": flow_gap,
    "blast": blast_radius,
    "identities": lambda t: blast_radius(t, by="identity"),
    "escalations": escalations,
    "overlap": permission_overlap,
    "privileges": lambda t: privileges(t, everyone=True),
    "impact": departure_impact,
    "bus factor": bus_factor,
    "unused": unused_connections,
}


@cache
def _shuffled(seed: int) -> tuple[Tenant, Tenant]:
    """One tenant with its rows in two orders."""
    tables = rows(seed)
    return tenant_of(tables, seed=1), tenant_of(tables, seed=2)


@cache
def _relabelled(seed: int) -> tuple[Tenant, Tenant]:
    """One tenant under two sets of ids that sort alike."""
    tables = rows(seed)
    renamed = {t: [{k: _renamed(k, v) for k, v in row.items()} for row in table] for t, table in tables.items()}
    return tenant_of(tables, seed=1), tenant_of(renamed, seed=1)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_order_of_rows_changes_nothing(analysis, seeds):
    for seed in seeds[::20]:
        first, second = (ANALYSES[analysis](state) for state in _shuffled(seed))
        pd.testing.assert_frame_equal(_sorted(first), _sorted(second))


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    plain_frame = frame.astype(dict.fromkeys(frame.select_dtypes("category"), object))
    return plain_frame.sort_values(list(plain_frame.columns), ignore_index=True, key=lambda c: c.astype(str))


@pytest.mark.parametrize("analysis", ANALYSES)
def test_new_ids_in_the_same_order_change_only_ids(analysis, seeds):
    for seed in seeds[::40]:
        first, second = (ANALYSES[analysis](state) for state in _relabelled(seed))
        assert len(first) == len(second)
        numbers = first.select_dtypes(["number"]).columns
        pd.testing.assert_frame_equal(_sorted(first[numbers]), _sorted(second[numbers]))


def _renamed(column: str, value: object) -> object:
    ids = {"identity_id", "group_id", "member_id", "principal_id", "owner_id", "created_by_id"}
    return f"zz-{value}" if column in ids and isinstance(value, str) else value


@pytest.mark.parametrize("analysis", ANALYSES)
def test_an_empty_tenant_has_typed_columns_and_says_that_nothing_was_collected(analysis):
    empty = ANALYSES[analysis](tenant_of({}))
    some = ANALYSES[analysis](tenant(3))
    assert len(empty) == 0
    assert list(empty.columns) == list(some.columns)
    assert empty.attrs["coverage"]["answer"] in ("none", "partly")
    assert empty.attrs["coverage"]["missing"]


def test_an_unknown_name_is_an_error_with_near_names():
    with pytest.raises(UnknownName, match="u0@corp"):
        effective_permissions(
            tenant_of(rows(2) | {"identities": [{"identity_id": "x", "upn": "u0@corp.example"}]}), "u0@corp.exampel"
        )
