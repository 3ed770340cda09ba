"""Each fault of tests/faults.toml ends as the list demands: exact, or an honest stop. Nothing else is allowed."""

from __future__ import annotations

import json
import resource
import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from fake_tenant import FakeClock, FakeTenant, FakeTokens
from fake_tenant.faults import fault

from flowanalysis.collect.limits import Limits
from flowanalysis.collect.run import collect
from flowanalysis.errors import CollectError

FAULTS = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))["fault"]
USERS = ("graph", "/v1.0/users")
QUICK = Limits(deadline=0.6, silence=5, connect=5)


def people(count: int = 200) -> list[dict]:
    return [
        {
            "id": f"u-{n:04d}",
            "userPrincipalName": f"person{n}@fabrikam.example",
            "displayName": f"Person {n} é",
            "accountEnabled": True,
        }
        for n in range(count)
    ]


def tenant(row: dict | None = None) -> FakeTenant:
    environments = [{"name": f"env-{n}", "properties": {"displayName": f"Environment {n}"}} for n in (1, 2, 3)]
    lists = {
        USERS: people(),
        ("bap", "/providers/Microsoft.BusinessAppPlatform/scopes/admin/environments"): environments,
    }
    for n in (1, 2, 3):
        path = f"/providers/Microsoft.ProcessSimple/scopes/admin/environments/env-{n}/v2/flows"
        lists["flow", path] = [{"name": f"flow-{n}", "properties": {"environment": {"name": f"env-{n}"}}}]
    clock = FakeClock()
    return FakeTenant(lists=lists, clock=clock, fault=fault(row) if row else None)


def run(served: FakeTenant, out: Path, *, part: str = "graph", **options) -> tuple[Path, dict, str]:
    """Collect; the folder, its manifest, and the words of the error if there was one. Ends in time or fails."""
    ended: list = []

    def work() -> None:
        try:
            collect(
                tenant="fabrikam.example",
                out=out,
                parts=(part,),
                signin=options.pop("tokens", FakeTokens()),
                cloud=served.cloud,
                clock=served.clock,
                limits=options.pop("limits", QUICK),
                progress=False,
                **options,
            )
            ended.append("")
        except CollectError as stop:
            ended.append(str(stop))
        except BaseException as crash:
            ended.append(crash)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert ended, "HANG"
    assert isinstance(ended[0], str), f"crash: {ended[0]!r}"
    folder = max(p for p in (out / "fabrikam.example").iterdir() if p.is_dir())
    return folder, json.loads((folder / "manifest.json").read_text(encoding="utf-8")), ended[0]


def users(folder: Path) -> list[dict]:
    """Rows of users, those of the unfinished part too."""
    rows = []
    for place in (folder / "graph" / "users.jsonl", folder / ".state" / "graph.users.part"):
        if place.exists():
            for line in place.read_bytes().splitlines():
                rows += json.loads(line)["body"].get("value", [])
    return rows


def outcome(served: FakeTenant, folder: Path, manifest: dict, said: str) -> str:
    """The word for how a run ended."""
    got = [row["id"] for row in users(folder)]
    truth = {row["id"] for row in served.lists[USERS]}
    if any(shown for _, shown in served.foreign):
        return "LEAK"
    if served.foreign or not set(got) <= truth:
        return "POISON"
    if manifest["complete"] and not said:
        return "exact" if set(got) == truth and len(set(got)) == len(got) - served_conflicts(manifest) else "SILENT"
    return "honest-stop" if said and not manifest["complete"] else "SILENT"


def served_conflicts(manifest: dict) -> int:
    return manifest["collections"]["graph/users"]["conflicts"]


def gaps(served: FakeTenant, row: dict) -> list[float]:
    """Seconds between a struck request and the next on the same page."""
    at = (row.get("page", 5) - 1) * served.page_size
    times = [r.at for r in served.log if r.path == row.get("path", USERS[1]) and r.skip == at]
    return [later - sooner for sooner, later in zip(times, times[1:], strict=False)]


@pytest.mark.parametrize("row", [f for f in FAULTS if "path" not in f], ids=lambda f: f["id"])
def test_a_fault_ends_exact_or_in_an_honest_stop(row, tmp_path):
    # inflating until the bomb is seen takes longer than the short deadline of the other faults
    limits = replace(QUICK, deadline=30) if row["kind"] == "bomb" else QUICK
    with tenant(row) as served:
        folder, manifest, said = run(served, tmp_path, limits=limits)
        assert served.fault.struck[0] > 0, "the fault did not strike"
        assert outcome(served, folder, manifest, said) == row["expect"]
        assert served.foreign == []
        assert {r.method for r in served.log if not r.path.endswith("$batch")} == {"GET"}
        if "wait" in row:
            assert min(gaps(served, row)[: row.get("times", 1)]) >= row["wait"]
    entry = manifest["collections"].get("graph/users", {})
    reasons = " ".join([said, entry.get("reason", ""), *manifest["unfinished"].values()])
    assert row.get("says", "") in reasons
    assert any(row.get("warns", "") in warning for warning in entry.get("warnings", [])) or "warns" not in row
    assert entry.get("duplicates", 0) == row.get("duplicates", 0)
    assert entry.get("conflicts", 0) == row.get("conflicts", 0)
    assert "canary" not in said


def test_one_environment_denied_leaves_the_others_whole(tmp_path):
    row = next(f for f in FAULTS if f["id"] == "F24")
    with tenant(row) as served:
        folder, manifest, said = run(served, tmp_path, part="flows")
    entry = manifest["collections"]["powerplatform/flows"]
    assert row["says"] in said
    assert (manifest["complete"], manifest["sealed"], entry["state"]) == (False, True, "partial")
    assert [m["request"].split("/")[6] for m in entry["missing"]] == ["env-2"]
    lines = [json.loads(text) for text in (folder / "powerplatform" / "flows.jsonl").read_bytes().splitlines()]
    assert [r["name"] for line in lines for r in line["body"].get("value", [])] == ["flow-1", "flow-3"]
    assert [line["status"] for line in lines if "error" in line["body"]] == [403]


def test_the_list_of_faults_is_whole():
    ids = [f["id"] for f in FAULTS]
    assert len(ids) == len(set(ids))
    assert len([i for i in ids if i.startswith("F")]) == 37
    assert len(ids) == 84
    assert {f["expect"] for f in FAULTS} == {"exact", "honest-stop"}


@pytest.mark.parametrize("name", ["F14", "F15", "F16", "F17a"])
def test_a_naive_client_is_caught_leaking_or_eating_foreign_rows(name):
    row = next(f for f in FAULTS if f["id"] == name)
    with tenant(row) as served:
        url, rows = f"{served.base('graph')}/v1.0/users", []
        while url:
            page = requests.get(url, headers={"Authorization": f"Bearer {served.token('graph')}"}, timeout=5).json()
            rows += page["value"]
            url = page.get("@odata.nextLink")
        assert served.foreign != []
        assert {"id": "poison"} in rows


def test_memory_of_a_bomb_stays_small(tmp_path):
    row = {"kind": "bomb", "megabytes": 400, "times": 0}
    with tenant(row) as served:
        served.fault(served, _fifth(served), None)  # builds the bomb before the measurement
        before = _resident()
        peak = [before]
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.002):
                peak[0] = max(peak[0], _resident())

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        run(served, tmp_path, limits=replace(QUICK, deadline=30))
        stop.set()
    assert peak[0] - before < 100 << 20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _fifth(served: FakeTenant):
    from fake_tenant.server import _request

    return _request("graph", "GET", "/v1.0/users?$skiptoken=80", {}, b"", 0.0)
