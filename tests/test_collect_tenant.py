"""A whole tenant, served by real addresses, collected and loaded, is the tenant that was served."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fake_tenant import FakeTokens
from fake_tenant.demo import NOT_COLLECTED, move, served

from flowanalysis import sources
from flowanalysis.collect.run import collect

# Tables about the reading itself, and what no address of the collection answers.
APART = {"collection_log", "conflicts", "rejected"}


@pytest.fixture(scope="module")
def demo(root, tmp_path_factory) -> Path:
    """The demo's newest month without the files that no address answers."""
    folder = tmp_path_factory.mktemp("demo") / "month"
    shutil.copytree(root / "data" / "demo" / "2026-10", folder, ignore=shutil.ignore_patterns(*NOT_COLLECTED))
    return folder


@pytest.fixture(scope="module")
def collected(demo, tmp_path_factory):
    """The folder, the requests that were seen, and the tokens that were given."""
    tokens = FakeTokens()
    with served(demo) as tenant:
        moved = move(tenant, demo)
        folder = collect(
            tenant="tailwindtraders.example",
            out=tmp_path_factory.mktemp("out"),
            signin=tokens,
            cloud=tenant.cloud,
            progress=False,
        )
    for file in folder.rglob("*.jsonl"):
        text = file.read_text(encoding="utf-8")
        for here, there in moved.items():
            text = text.replace(here, there)
        file.write_text(text, encoding="utf-8")
    sealed_again(folder)
    return folder, tenant


def sealed_again(folder: Path) -> None:
    """Write the changed files into the manifest, which would tell of them otherwise."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["collections"].values():
        if "file" in entry:
            content = (folder / entry["file"]).read_bytes()
            entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (folder / "manifest.json").write_text(json.dumps(manifest))


def rows(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame in an order of its own; fingerprints of secrets are new in each run."""
    frame = frame.drop(columns=[c for c in ("fingerprint",) if c in frame])
    return frame.sort_values(list(frame.columns), ignore_index=True)


def test_served_collected_and_loaded_is_the_same_tenant_table_by_table(demo, collected):
    folder, _ = collected
    before, after = sources.read(demo).tenant(), sources.read(folder).tenant()
    # asked for and empty there: the demo's exports do not speak of them
    assert {name for name in after.collected - before.collected if len(after[name])} == set()
    differing = {}
    for name in sorted(before.collected - APART):
        left, right = rows(before[name]), rows(after[name])
        if not left.equals(right):
            differing[name] = (len(left), len(right))
    assert differing == {}
    assert list(after["rejected"]["reason"]) == []


def test_the_manifest_says_complete_and_counts_each_part(collected):
    folder, tenant = collected
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["complete"], manifest["sealed"]) == (True, True)
    assert manifest["collections"]["graph/users"]["items"] == len(tenant.lists["graph", "/v1.0/users"])
    assert manifest["collections"]["graph/users"]["server_count"] == len(tenant.lists["graph", "/v1.0/users"])
    for name, entry in manifest["collections"].items():
        assert ("file" in entry) == (folder / f"{name}.jsonl").exists()


def test_only_reads_are_sent_and_each_token_only_to_its_own_service(collected):
    _, tenant = collected
    posts = {r.path for r in tenant.log if r.method == "POST"}
    assert posts == {"/v1.0/$batch", "/resourcequery/resources/query"}
    assert {r.method for r in tenant.log} == {"GET", "POST"}
    for request in (r for r in tenant.log if r.path.endswith("$batch")):
        assert {inner["method"] for inner in json.loads(request.body)["requests"]} == {"GET"}
    assert tenant.foreign == []
    shown = {r.headers["Authorization"].split("-")[1].split("/.")[0] for r in tenant.log if r.role == "graph"}
    assert shown == {"graph"}


def test_no_token_is_in_any_file(collected):
    folder, _ = collected
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert [p for p in files if b"canary-" in p.read_bytes()] == []
    (folder.parent / "control").write_bytes(b"x canary-graph/.default-1 x")
    assert b"canary-" in (folder.parent / "control").read_bytes()


def test_what_a_manifest_calls_missing_is_told_when_the_folder_is_loaded(collected, tmp_path):
    folder, _ = collected
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    manifest = json.loads((broken / "manifest.json").read_text(encoding="utf-8"))
    manifest["complete"] = False
    manifest["collections"]["graph/groups"] |= {"state": "partial", "reason": "answered 403"}
    manifest["unfinished"] = {"graph/skus": "the server asks to wait"}
    (broken / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    harvest = sources.read(broken)
    told = {row["record"]: row["reason"] for row in harvest.rejected}
    assert "answered 403" in told["graph/groups"]
    assert "again to go on" in told["graph/skus"]
    assert [e["complete"] for e in harvest.log if e["source"] == "collection"] == [False]
