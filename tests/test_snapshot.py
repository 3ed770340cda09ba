"""A snapshot is written once, opens quickly, and tells when it was touched."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.codes import ROWS
from flowanalysis.errors import SnapshotError
from flowanalysis.schema.compact import CompactText
from flowanalysis.snapshot import is_snapshot, open_snapshot, read_manifest, write_snapshot
from flowanalysis.tenant import Tenant


@pytest.fixture
def tenant() -> Tenant:
    frames = {
        "identities": [
            {"identity_id": "a", "upn": "NA", "account_enabled": False, "created_at": "2024-01-02T03:04:05Z"},
            {"identity_id": "b", "display_name": "null", "account_enabled": pd.NA},
        ],
        "flows": [{"environment_id": "e", "flow_id": "00123", "display_name": "Größe 🦊", "action_count": 3}],
        "flow_owners": [{"environment_id": "e", "flow_id": "00123", "principal_id": "a", "role": "Owner"}],
        "collection_log": [
            {"source": "graph", "file": "users.json", "table": "identities", "rows": 2, "complete": False,
             "observed_at": "2026-10-31T00:00:00Z"},
        ],
    }  # fmt: skip
    return Tenant({n: schema.frame(n, r) for n, r in frames.items()}, collected=[*frames, "runs"], name="Contoso")


def test_what_is_opened_equals_what_was_written(tenant, tmp_path):
    again = open_snapshot(write_snapshot(tenant, tmp_path / "2026-10"), verify=True)
    for name in schema.TABLES:
        pd.testing.assert_frame_equal(again[name], tenant[name])
    assert again.collected == tenant.collected
    assert (again.as_of, again.month, again.name) == (tenant.as_of, "2026-10", "Contoso")


def test_words_that_repeat_are_kept_once_and_stay_so(tmp_path):
    rows = [{"group_id": f"g{n % 2}", "member_id": f"u{n}", "relation": None if n % 3 else "owner"} for n in range(60)]
    tenant = Tenant({"memberships": schema.frame("memberships", rows)})
    again = open_snapshot(write_snapshot(tenant, tmp_path / "s")).memberships
    pd.testing.assert_frame_equal(again, tenant.memberships)
    assert {c for c in again if isinstance(again[c].array, CompactText)} == {"group_id", "member_kind", "relation"}
    assert len(again["group_id"].array.words) == 2


def test_codes_come_back_as_they_were(tenant, tmp_path):
    again = open_snapshot(write_snapshot(tenant, tmp_path / "s"))
    stored, fresh = again.codes.arrays(), tenant.codes.arrays()
    assert stored.keys() == fresh.keys()
    assert all((stored[k] == fresh[k]).all() for k in fresh)


def test_codes_of_rows_are_those_of_their_ids_whether_kept_or_made_anew(tenant, tmp_path):
    uses = [{"environment_id": "e", "flow_id": "00123", "connection_id": c} for c in ("c2", None, "c1")]
    folder = write_snapshot(tenant.replace(flow_connections=schema.frame("flow_connections", uses)), tmp_path / "s")
    kept, manifest = open_snapshot(folder), read_manifest(folder)
    manifest["codes"] = {name: digest for name, digest in manifest["codes"].items() if not name.startswith("rows.")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    anew = open_snapshot(folder)
    assert set(kept.codes.rows) == set(ROWS)
    assert not anew.codes.rows
    for opened in (kept, anew):
        told = {name: opened.coded(*name.split(".")).tolist() for name in (*ROWS, "flows.owner_id")}
        assert told["identities.identity_id"] == [0, 1]
        assert told["flow_connections.connection_id"] == [1, -1, 0]
        assert told["flow_connections.flow_id"] == [0, 0, 0]
        assert told["flow_owners.flow_id"] == told["flows.flow_id"] == [0]
        assert told["flows.owner_id"] == [-1]
        assert told["groups.group_id"] == told["connections.connection_id"] == []


def test_manifest_names_what_is_incomplete(tenant, tmp_path):
    manifest = read_manifest(write_snapshot(tenant, tmp_path / "s"))
    assert manifest["complete"] is False
    assert manifest["incomplete_files"] == ["users.json"]
    assert manifest["tables"]["identities"]["rows"] == 2
    assert "runs" in manifest["collected"]
    assert "runs" not in manifest["tables"]


def test_a_snapshot_is_never_overwritten(tenant, tmp_path):
    write_snapshot(tenant, tmp_path / "s")
    with pytest.raises(SnapshotError, match="never overwritten"):
        write_snapshot(tenant, tmp_path / "s")


def test_nothing_is_left_when_writing_fails(tenant, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowanalysis.snapshot._write_last", full)
    with pytest.raises(OSError, match="No space"):
        write_snapshot(tenant, tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_a_changed_byte_is_found_and_the_file_named(tenant, tmp_path):
    place = write_snapshot(tenant, tmp_path / "s")
    path = place / "flows.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SnapshotError, match=r"flows\.parquet.*changed"):
        open_snapshot(place, verify=True)


def test_a_missing_file_is_found_without_reading_all(tenant, tmp_path):
    place = write_snapshot(tenant, tmp_path / "s")
    (place / "identities.parquet").unlink()
    with pytest.raises(SnapshotError, match="identities.parquet: file is missing"):
        open_snapshot(place)


def test_another_format_is_refused_by_name(tenant, tmp_path):
    place = write_snapshot(tenant, tmp_path / "s")
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    manifest["format"] = "flowanalysis-snapshot/99"
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert not is_snapshot(place)
    with pytest.raises(SnapshotError, match="snapshot/99"):
        open_snapshot(place)


def test_a_folder_without_manifest_is_no_snapshot(tmp_path):
    assert not is_snapshot(tmp_path)
    with pytest.raises(SnapshotError, match="manifest cannot be read"):
        open_snapshot(tmp_path)
