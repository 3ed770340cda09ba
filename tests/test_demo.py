"""The demo tenant: the same bytes everywhere, every rule planted, and what is written is what is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flowanalysis import demo, places, sources
from flowanalysis.demo.ids import Ids
from flowanalysis.demo.truths import RULE_MEANING, TRUTHS
from flowanalysis.demo.world import World
from flowanalysis.errors import UnknownName
from flowanalysis.tenant import Tenant


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    demo.write_demo(folder)
    return folder


@pytest.fixture(scope="module")
def tenants() -> dict[str, Tenant]:
    return {month: sources.read(places.demo() / month).tenant() for month in demo.MONTHS}


def test_committed_exports_are_what_write_demo_writes(written):
    fresh, kept = _files(written), _files(places.demo())
    assert sorted(fresh) == sorted(kept)
    assert [name for name in fresh if fresh[name] != kept[name]] == []


def test_committed_exports_stay_small():
    assert sum(len(content) for content in _files(places.demo()).values()) < 3_000_000


def test_another_seed_gives_other_ids_and_the_same_findings(tmp_path):
    demo.write_demo(tmp_path, seed=7, users=120)
    assert {p.name for p in tmp_path.iterdir()} == {*demo.MONTHS, "exceptions.csv"}
    here, there = demo.planted("2026-10"), demo.planted("2026-10", seed=7)
    assert here[["rule", "subject_name"]].equals(there[["rule", "subject_name"]])
    assert (here["subject_id"] == there["subject_id"]).sum() == 1  # the account that only the register names


def test_size_follows_the_wish(tmp_path):
    demo.write_demo(tmp_path, users=1200, flows=400)
    pages = sorted((tmp_path / "2026-10" / "graph").glob("users-*.json"))
    assert len(pages) == 3
    users = sum(len(json.loads(p.read_text(encoding="utf-8"))["value"]) for p in pages)
    assert 1150 < users <= 1200  # some of them have left
    assert len(World(Ids(1), 1, 1200, 400).flows) == 399  # one of the 400 was deleted after the first month


@pytest.mark.parametrize("folder", ["2026-09", "2026-10"])
def test_every_line_and_page_is_json(folder):
    for name, content in _files(places.demo() / folder).items():
        if name.endswith(".json"):
            json.loads(content)
        elif name.endswith(".jsonl"):
            assert all(set(json.loads(line)) == {"request", "observed_at", "body"} for line in content.splitlines())


def test_addresses_are_fictional():
    text = b"".join(_files(places.demo()).values()).decode()
    domains = {d.lower() for d in re.findall(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", text)}
    strange = {d for d in domains if not d.endswith((".example", "thread.tacv2", "dynamics.crm.lookuplogicalname"))}
    assert strange == set()


def test_every_rule_is_planted_in_the_second_month_and_none_is_nameless():
    assert set(demo.planted("2026-10")["rule"]) == set(RULE_MEANING)
    assert {t.rule for t in TRUTHS} == set(RULE_MEANING)
    assert not demo.planted("2026-10").isna().any().any()


def test_the_list_of_findings_is_short_enough_to_read():
    assert 40 <= len(demo.planted("2026-10")) <= 80


def test_findings_come_go_and_stay_between_the_months():
    first, second = (set(map(tuple, demo.planted(m)[["rule", "subject_id"]].to_numpy().tolist())) for m in demo.MONTHS)
    assert len(second - first) >= 8
    assert len(first - second) >= 4
    assert len(first & second) >= 20


def test_an_unknown_month_is_refused():
    with pytest.raises(UnknownName, match="2026-11"):
        demo.planted("2026-11")


def test_hostile_names_are_in_the_exports():
    text = (places.demo() / "2026-10/flows/default/flows.json").read_text(encoding="utf-8")
    names = {row["properties"]["displayName"] for row in json.loads(text)["value"]}
    assert "<script>alert(1)</script>" in names
    assert any("\u202e" in name for name in names)
    assert any("$x$" in name for name in names)
    assert any(len(name) >= 300 for name in names)
    assert any("发票" in name for name in names)


@pytest.mark.parametrize("stage", [0, 1])
def test_what_is_written_is_what_is_loaded(tenants, stage):
    world, tenant = demo.world_of(demo.MONTHS[stage]), tenants[demo.MONTHS[stage]]
    present = [a for a in world.accounts.values() if a.state(stage) in ("active", "disabled", "deleted")]
    users = tenant.identities[tenant.identities["kind"] == "user"]
    assert {world.identity(a.key) for a in present} <= set(users["identity_id"])
    assert set(tenant.flows["flow_id"]) == {world.ids.guid("flow", f.key) for f in world.flows}
    assert set(tenant.connections["connection_id"]) == {c.id for c in world.connections.values()}
    assert len(tenant.grants) == sum(len(rights) for rights in world.granted.values())
    assert len(tenant.register) == sum(a.kind == "service" for a in world.accounts.values()) + 2 - stage
    holders = {world.identity(who) for who, rights in world.granted.items() if rights}
    assert set(tenant.grants["principal_id"]) == holders
    assert tenant.environments["display_name"].nunique() == 6
    assert tenant.month == demo.MONTHS[stage]
    assert tenant.rejected.empty


@pytest.mark.parametrize("stage", [0, 1])
def test_leavers_are_told_apart(tenants, stage):
    world, tenant = demo.world_of(demo.MONTHS[stage]), tenants[demo.MONTHS[stage]]
    status = tenant.identities.set_index("identity_id")["status"]
    expected = {"purged": "purged_or_foreign"}
    for account in world.accounts.values():
        if account.leaves and world.identity(account.key) in status.index:
            state = account.state(stage)
            assert status[world.identity(account.key)] == expected.get(state, state), account.key


def test_needs_read_from_the_definitions_are_those_the_demo_was_built_from(tenants):
    world, needs = demo.world_of("2026-10"), tenants["2026-10"].needs
    settled = needs[needs["state"].isin(["known", "environment_variable"])]
    read = set(settled[["flow_id", "resource_kind", "resource", "level"]].itertuples(index=False, name=None))
    built = {(world.ids.guid("flow", f.key), *need) for f, _, need in world.uses()}
    assert built - read == set()
    # Rights that no spreadsheet lists: the directory, forms, hosts; and a step whose reference has no connection.
    assert {kind for _, kind, _, _ in read - built} == {"directory", "form", "http_host", "team"}
