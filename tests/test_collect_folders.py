"""Where a collection lives: whose lock it is, which folder waits to be finished, which one is built upon."""

from __future__ import annotations

import json
import os
import socket
from datetime import timedelta

import pytest
from fake_tenant import FakeClock, FakeTokens
from fake_tenant.small import USERS, directory, manifest, newest, rows, run

from flowanalysis.collect import folders
from flowanalysis.collect.disk import Disk
from flowanalysis.collect.folders import find_open, last_sealed, lock, new_folder
from flowanalysis.errors import CollectError

REQUEST = {"tenant": "fabrikam.example", "cloud": "global", "parts": ["graph"], "since": ""}


def begun(home, clock, **changed):
    return new_folder(home, {**REQUEST, "observed": clock.now().isoformat(), **changed}, clock, Disk())


def test_the_newest_unfinished_folder_of_the_same_request_is_gone_on_with(tmp_path):
    clock = FakeClock()
    begun(tmp_path, clock)
    clock.slept += 60
    folder = begun(tmp_path, clock)
    clock.slept += 60
    begun(tmp_path, clock, parts=["flows"])
    found, written = find_open(tmp_path, REQUEST, clock)
    assert (found, written["tenant"]) == (folder, "fabrikam.example")


@pytest.mark.parametrize("observed", [None, "soon", 3, "2026-10-31T12:00:00"])
def test_a_folder_that_does_not_say_when_it_was_begun_is_left_alone(tmp_path, observed):
    folder = begun(tmp_path, FakeClock(), observed=observed)
    assert find_open(tmp_path, REQUEST, FakeClock()) is None
    assert folder.is_dir()


def test_a_folder_from_before_its_first_line_is_swept_and_one_with_files_is_not(tmp_path):
    for name in ("20261031T120000Z-aaaa", "20261031T120000Z-bbbb"):
        (tmp_path / name / ".state").mkdir(parents=True)
    (tmp_path / "20261031T120000Z-bbbb" / "mine.txt").write_text("x")
    assert find_open(tmp_path, REQUEST, FakeClock()) is None
    assert [p.name for p in tmp_path.iterdir()] == ["20261031T120000Z-bbbb"]


def test_a_clock_that_was_set_back_or_ahead_starts_no_half_of_two_days(tmp_path):
    clock = FakeClock()
    folder = begun(tmp_path, clock)
    clock.slept = -timedelta(hours=5).total_seconds()
    assert find_open(tmp_path, REQUEST, clock)[0] == folder
    clock.slept = timedelta(hours=49).total_seconds()
    assert find_open(tmp_path, REQUEST, clock) is None


def test_what_an_end_left_behind_is_swept_and_the_folder_not_opened(tmp_path):
    folder = begun(tmp_path, FakeClock())
    (folder / "manifest.json").write_text('{"sealed": true}')
    assert find_open(tmp_path, REQUEST, FakeClock()) is None
    assert not (folder / ".state").exists()
    assert last_sealed(tmp_path) == folder


@pytest.mark.parametrize("text", ["", "[1]", '{"sealed": false}'])
def test_only_a_sealed_collection_is_built_upon(tmp_path, text):
    folder = begun(tmp_path, FakeClock())
    (folder / "manifest.json").write_text(text)
    assert last_sealed(tmp_path) is None


def held(home, **changed):
    told = {"pid": os.getppid(), "host": socket.gethostname(), **changed}
    (home / ".lock").write_text(json.dumps(told))


def test_the_lock_of_another_machine_is_not_taken(tmp_path):
    held(tmp_path, pid=999_999_999, host="elsewhere.example")
    with pytest.raises(CollectError, match="is at work"), lock(tmp_path):
        pytest.fail("entered")


def test_the_lock_of_another_user_s_process_is_not_taken(tmp_path, monkeypatch):
    def forbidden(pid, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    held(tmp_path)
    with pytest.raises(CollectError, match="is at work"), lock(tmp_path):
        pytest.fail("entered")


def test_a_dead_lock_that_another_took_over_meanwhile_is_given_back(tmp_path, monkeypatch):
    held(tmp_path, pid=999_999_999)
    judge = folders._alive

    def slow(theirs):
        held(tmp_path)  # somebody was quicker
        return judge(theirs)

    monkeypatch.setattr(folders, "_alive", slow)
    with pytest.raises(CollectError, match="just begun"), lock(tmp_path):
        pytest.fail("entered")
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getppid()
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_a_dead_lock_that_vanishes_meanwhile_is_no_hindrance(tmp_path, monkeypatch):
    held(tmp_path, pid=999_999_999)
    monkeypatch.setattr(folders, "_alive", lambda theirs: (tmp_path / ".lock").unlink())
    with lock(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_a_run_stopped_by_hand_keeps_what_it_read_and_goes_on(tmp_path):
    class Stopping(FakeTokens):
        left = 4

        def token(self, scope, **options):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().token(scope, **options)

    with directory(45) as served:
        with pytest.raises(KeyboardInterrupt):
            run(served, tmp_path, signin=Stopping())
        told = manifest(newest(tmp_path))
        assert (told["complete"], told["sealed"], told["unfinished"]) == (False, False, {"run": "stopped by hand"})
        first = [r.skip for r in served.log if r.path == USERS[1]]
        folder = run(served, tmp_path)
        again = [r.skip for r in served.log if r.path == USERS[1]][len(first) :]
    assert (manifest(folder)["complete"], len(rows(folder, "graph/users"))) == (True, 45)
    assert len(again) < 3, "it began anew"
