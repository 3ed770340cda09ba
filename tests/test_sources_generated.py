"""The exports of the benchmarks are real in shape, the same for the same seed, and read without a remark."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from flowanalysis import sources

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from generate import Size, write

TINY = Size(users=200, flows=90, groups=30, memberships=600, grants=400, resources=60, environments=3, definitions=20)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    one, two, three = (digest(write(tmp_path / str(n), TINY, seed)) for n, seed in enumerate((7, 7, 8)))
    assert one == two
    assert one.keys() == three.keys()
    assert all(one[name] != three[name] for name in one if "skus" not in name)


@pytest.fixture(scope="module", params=["lines", "pages"])
def harvest(request, tmp_path_factory):
    return sources.read(write(tmp_path_factory.mktemp("made"), TINY, form=request.param))


def test_every_generated_file_is_read_without_a_row_set_aside_or_a_conflict(harvest):
    assert all(harvest.shapes.values())
    assert harvest.frames["rejected"].empty
    assert harvest.frames["conflicts"].empty


def test_the_generated_tenant_has_what_analyses_need(harvest):
    frames = harvest.frames
    assert len(frames["flows"]) == 90
    assert len(frames["connections"]) >= 270
    assert set(frames["identities"]["status"]) >= {"active", "disabled", "deleted"}
    assert frames["flow_connections"]["connection_id"].isin(frames["connections"]["connection_id"]).all()
    assert frames["flows"]["owner_source"].eq("permissions").all()
    assert frames["needs"]["resource"].isin(frames["grants"]["resource_id"]).sum() > 5
    assert frames["flows"]["has_definition"].sum() == 20
