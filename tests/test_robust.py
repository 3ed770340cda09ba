"""Whatever interrupts a report, nothing half-made is published, and what stood there before still stands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flowanalysis.errors import ReportError
from flowanalysis.report.publish import building, verify

DEMO = (sys.executable, "-m", "flowanalysis", "demo", "--only", "01_inventory", "--quiet", "--jobs", "1", "--out")


def small(draft: Path, word: str) -> None:
    """A report of three files that all say the same word."""
    for name in ("index.html", "run.json", "tables.csv"):
        (draft / name).write_text(word)


def words(report: Path) -> set[str]:
    return {p.read_text() for p in report.iterdir() if p.name != "SHA256SUMS"}


def published(folder: Path) -> list[str]:
    """Names in the folder of reports, hidden ones too."""
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_many_reports_into_one_place_at_once_leave_one_whole_report(tmp_path):
    target, problems = tmp_path / "reports" / "2026-10", []

    def render(word: str) -> None:
        try:
            for _ in range(15):
                with building(target) as draft:
                    small(draft, word)
        except Exception as error:  # whatever it is, the test must tell
            problems.append(error)

    threads = [threading.Thread(target=render, args=(f"report {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert published(tmp_path / "reports") == ["2026-10"]
    assert len(words(target)) == 1
    assert verify(target) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError, SystemExit])
def test_a_report_that_is_stopped_leaves_the_old_one(tmp_path, stop):
    target = tmp_path / "2026-10"
    with building(target) as draft:
        small(draft, "old")
    with pytest.raises(stop), building(target) as draft:  # noqa: PT012  what stops it comes from inside
        small(draft, "new")
        raise stop
    assert words(target) == {"old"}
    assert published(tmp_path) == ["2026-10"]


def test_a_folder_that_is_no_report_is_never_replaced(tmp_path):
    (tmp_path / "2026-10").mkdir()
    (tmp_path / "2026-10" / "thesis.txt").write_text("mine")
    with pytest.raises(ReportError), building(tmp_path / "2026-10"):
        pass
    assert (tmp_path / "2026-10" / "thesis.txt").read_text() == "mine"


@pytest.fixture
def heeded():
    """Ctrl-C counts for what is started now, even where a shell runs the tests in the background and lets it pass."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("seconds", [0.6, 2.5, 6.0])
def test_ctrl_c_at_any_moment_publishes_nothing_half_made(tmp_path, seconds):
    process = subprocess.Popen(
        [*DEMO, "reports"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all that run in it
    out, _ = process.communicate(timeout=60)
    left = published(tmp_path / "reports")
    if left:  # it was quicker than the hand on the key
        assert left == ["2026-10"]
        assert verify(tmp_path / "reports" / "2026-10") == []
    else:
        assert process.returncode != 0, out
    assert not _running(process.pid)


def _running(group: int) -> list[str]:
    """Processes of the group that outlive it; a few seconds are granted."""
    for _ in range(50):
        done = subprocess.run(["ps", "-o", "pid=,args=", "-g", str(group)], capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            return []
        time.sleep(0.1)
    return done.stdout.splitlines()


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk with room for half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    made = mounted and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(place)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("no permission to mount a small disk here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(tiny_disk):
    done = subprocess.run([*DEMO, "reports"], cwd=tiny_disk, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert published(tiny_disk / "reports") == []
