"""A collection survives every moment at which the machine may stop."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from fake_tenant import FakeClock, FakeTenant, FakeTokens

from flowanalysis.collect.disk import Disk
from flowanalysis.collect.folders import lock
from flowanalysis.collect.journal import Journal
from flowanalysis.collect.limits import Limits
from flowanalysis.collect.run import collect
from flowanalysis.errors import CollectError, HonestStop

USERS = "/v1.0/users"
EVERY_PAGE = Limits(checkpoint=-1.0)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 needs a system that forks")


def tenant() -> FakeTenant:
    """Five pages of users, three groups with members, nothing else."""
    groups = [{"id": f"g-{n}", "displayName": f"Group {n}", "groupTypes": []} for n in range(3)]
    lists = {
        ("graph", USERS): [{"id": f"u-{n:03d}", "displayName": f"Person {n}"} for n in range(100)],
        ("graph", "/beta/groups"): groups,
    }
    for n in range(3):
        members = [{"@odata.type": "#microsoft.graph.user", "id": f"u-{m:03d}"} for m in range(n, 100, 3)]
        lists["graph", f"/v1.0/groups/g-{n}/members"] = members
    return FakeTenant(lists=lists, clock=FakeClock())


def run(served: FakeTenant, out: Path, disk: Disk | None = None) -> Path:
    return collect(
        tenant="fabrikam.example",
        out=out,
        parts=("graph",),
        signin=FakeTokens(),
        cloud=served.cloud,
        clock=served.clock,
        limits=EVERY_PAGE,
        disk=disk,
        progress=False,
    )


def folders(out: Path) -> list[Path]:
    return sorted(p for p in (out / "fabrikam.example").iterdir() if p.is_dir())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the state of one that was stopped between its manifest and its last broom stroke."""
    files = [p for p in folder.rglob("*") if p.is_file() and ".state" not in p.relative_to(folder).parts]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


class Counting(Disk):
    """Counts the moments at which a stop could hurt; stops the process at one of them."""

    def __init__(self, stop_at: int = 0) -> None:
        self.points, self.stop_at = 0, stop_at

    def point(self) -> None:
        self.points += 1
        if self.points == self.stop_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def append(self, file, data):
        half = len(data) // 2
        file.write(data[:half])
        file.flush()
        self.point()
        file.write(data[half:])

    def sync(self, file):
        self.point()
        super().sync(file)
        self.point()

    def replace(self, old, new):
        self.point()
        super().replace(old, new)
        self.point()

    def remove(self, path):
        self.point()
        super().remove(path)

    def write(self, path, value):
        self.point()
        super().write(path, value)
        self.point()


def killed(served: FakeTenant, out: Path, stop_at: int) -> None:
    """Run in a process of its own that is killed at one point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn about forks beside threads
        child = os.fork()
    if child == 0:
        try:
            run(served, out, Counting(stop_at))
        finally:
            os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"point {stop_at} was not reached"


def points(tmp_path: Path) -> tuple[int, dict[str, bytes]]:
    """How many points there are, and the folder that an undisturbed run makes."""
    disk = Counting()
    with tenant() as served:
        port = served.base("graph")
        folder = run(served, tmp_path / "whole", disk)
    return disk.points, _portless(contents(folder), port)


def _portless(files: dict[str, bytes], port: str) -> dict[str, bytes]:
    """Files without the port of the server; sums of files that name the port count only for being there."""
    made = {name: data.replace(port.encode(), b"http://graph") for name, data in files.items()}
    manifest = json.loads(made["manifest.json"])
    for entry in manifest["collections"].values():
        entry["sha256"], entry["bytes"] = bool(entry["sha256"]), bool(entry["bytes"])
    return {**made, "manifest.json": json.dumps(manifest).encode()}


def check_point(tmp_path: Path, stop_at: int, whole: dict[str, bytes]) -> int:
    """Kill at a point, go on, compare; the number of pages of users that were fetched more than once."""
    out = tmp_path / str(stop_at)
    with tenant() as served:
        killed(served, out, stop_at)
        for folder in folders(out) if (out / "fabrikam.example").exists() else []:
            manifest = folder / "manifest.json"
            if manifest.exists() and json.loads(manifest.read_bytes())["complete"]:
                assert _portless(contents(folder), served.base("graph")) == whole, "complete on short data"
        run(served, out)
        first = folders(out)[0]
        assert _portless(contents(first), served.base("graph")) == whole
        asked = [r.url for r in served.log if r.path == USERS]
        # a kill between manifest and end lets the second run begin anew: that is no second fetch for one folder
        return len(asked) - len(set(asked)) if len(folders(out)) == 1 else 0


@needs_fork
def test_a_kill_at_a_dozen_moments_loses_and_doubles_nothing(tmp_path):
    total, whole = points(tmp_path)
    assert total >= 90
    for stop_at in sorted({1, 2, total, *random.Random(5).sample(range(3, total), 9)}):
        assert check_point(tmp_path, stop_at, whole) <= 2


@pytest.mark.slow
@needs_fork
def test_a_kill_at_any_moment_loses_and_doubles_nothing(tmp_path):
    """At about a hundred moments in even steps; at every one where FLOWANALYSIS_THOROUGH is set."""
    total, whole = points(tmp_path)
    step = 1 if os.environ.get("FLOWANALYSIS_THOROUGH") else max(1, total // 100)
    assert total >= 90
    for stop_at in range(1, total + 1, step):
        assert check_point(tmp_path, stop_at, whole) <= 2


@needs_fork
def test_kill_after_kill_still_ends_exact(tmp_path):
    _, whole = points(tmp_path)
    chance = random.Random(11)
    for number in range(4):
        out = tmp_path / f"again-{number}"
        with tenant() as served:
            for _ in range(4):
                killed(served, out, chance.randrange(20, 60))
            run(served, out)
            assert _portless(contents(folders(out)[0]), served.base("graph")) == whole


def stopped(tmp_path: Path) -> tuple[FakeTenant, Path]:
    """A collection that ran out of room in the middle of the list of users."""
    served = tenant()
    served.__enter__()
    with pytest.raises(HonestStop, match="make room"):
        run(served, tmp_path, Full(6))
    return served, folders(tmp_path)[0]


class Full(Disk):
    """A disk that is full after some lines."""

    def __init__(self, left: int) -> None:
        self.left = left

    def append(self, file, data):
        if self.left == 0:
            file.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        self.left -= 1
        super().append(file, data)


def test_a_full_disk_stops_honestly_and_goes_on_when_there_is_room(tmp_path):
    _, whole = points(tmp_path)
    served, folder = stopped(tmp_path / "full")
    try:
        assert not (folder / "manifest.json").exists()
        run(served, tmp_path / "full")
        assert _portless(contents(folder), served.base("graph")) == whole
    finally:
        served.__exit__()


TORN = {
    "empty checkpoint": lambda s: (s / "graph.users.checkpoint.json").write_bytes(b""),
    "half a checkpoint": lambda s: _half(s / "graph.users.checkpoint.json"),
    "random checkpoint": lambda s: (s / "graph.users.checkpoint.json").write_bytes(random.Random(1).randbytes(200)),
    "checkpoint of another file": lambda s: _edit(s / "graph.users.checkpoint.json", bytes=3),
    "checkpoint with a negative size": lambda s: _edit(s / "graph.users.checkpoint.json", bytes=-1),
    "no checkpoint": lambda s: (s / "graph.users.checkpoint.json").unlink(),
    "short part": lambda s: _half(s / "graph.users.part"),
    "flipped bit in the part": lambda s: _flip(s / "graph.users.part"),
    "absent part": lambda s: (s / "graph.users.part").unlink(),
    "longer part": lambda s: (s / "graph.users.part").open("ab").write(b'{"half a li'),
}


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **values}))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("how", TORN)
def test_torn_state_is_recovered_exactly(tmp_path, how):
    _, whole = points(tmp_path)
    served, folder = stopped(tmp_path / "torn")
    try:
        TORN[how](folder / ".state")
        run(served, tmp_path / "torn")
        assert _portless(contents(folder), served.base("graph")) == whole
    finally:
        served.__exit__()


def test_a_sealed_collection_is_not_opened_again(tmp_path):
    with tenant() as served:
        first = run(served, tmp_path)
        before = contents(first)
        served.clock.slept += 5
        second = run(served, tmp_path)
        assert second != first
        assert contents(first) == before
    assert not (first / ".state").exists()


def test_an_old_unfinished_collection_is_left_alone(tmp_path):
    served, folder = stopped(tmp_path)
    try:
        served.clock.slept += 60 * 60 * 72
        assert run(served, tmp_path) != folder
    finally:
        served.__exit__()


def test_another_choice_of_parts_does_not_continue_the_first(tmp_path):
    served, folder = stopped(tmp_path)
    try:
        with pytest.raises(HonestStop):
            collect(
                tenant="fabrikam.example",
                out=tmp_path,
                parts=("flows",),
                signin=FakeTokens(),
                cloud=served.cloud,
                clock=served.clock,
                limits=replace(EVERY_PAGE, broken=1),
                progress=False,
            )
        assert folder in folders(tmp_path)
        assert len(folders(tmp_path)) == 2
    finally:
        served.__exit__()


def test_two_collectors_do_not_share_a_folder(tmp_path):
    with lock(tmp_path):
        other = (tmp_path / ".lock").read_bytes().replace(str(os.getpid()).encode(), str(os.getppid()).encode())
        (tmp_path / ".lock").write_bytes(other)
        with pytest.raises(CollectError, match="is at work"), lock(tmp_path):
            pytest.fail("entered")


@pytest.mark.parametrize("text", [b"", b"{", b'{"pid": 999999999, "host": "HOST"}'])
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, text):
    import socket

    (tmp_path / ".lock").write_bytes(text.replace(b"HOST", socket.gethostname().encode()))
    with lock(tmp_path):
        assert str(os.getpid()).encode() in (tmp_path / ".lock").read_bytes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_files_and_folders_are_for_their_owner_only(tmp_path):
    with tenant() as served:
        folder = run(served, tmp_path)
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert {oct(p.stat().st_mode & 0o077) for p in folder.rglob("*")} == {"0o0"}


def test_a_journal_closed_before_its_end_keeps_what_it_had(tmp_path):
    (tmp_path / ".state").mkdir()
    journal = Journal(tmp_path, "graph/users", Disk())
    journal.append(b'{"a":1}\n')
    journal.close()
    journal.append(b'{"a":2}\n')
    journal.finish({})
    assert (tmp_path / "graph" / "users.jsonl").read_bytes() == b'{"a":1}\n{"a":2}\n'
