"""The processes that run notebooks: one each, a few at a time, judged by how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# macOS and Windows do not copy a process that has opened their libraries; there each notebook starts from nothing.
COPIES = sys.platform == "linux"
FEW = 3  # notebooks up to which opening everything once saves nothing
PAUSE = 0.03  # seconds between two looks at what runs


class Process(Protocol):
    """What is asked of a process, as :class:`subprocess.Popen` answers it."""

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


Ends = Iterator[tuple[Path, int | None]]
FOUND = "found"  # folder beside the jobs with what the warm process found


@dataclass(frozen=True)
class Running:
    """Jobs that run.

    Parameters
    ----------
    ends : iterator of tuple
        A job's file and its exit code, as it ends; None instead of a code when it took too long.
    found : function
        Waits until the warm process has looked for findings; the folder with them, or None when there is none.
    """

    ends: Ends
    found: Callable[[], Path | None] = lambda: None


READY = "ready"


def say_ready() -> None:
    """Tell on stdout that everything is open, or could not be opened."""
    print(json.dumps([READY, None]), flush=True)


@contextlib.contextmanager
def running(
    files: Sequence[Path], *, jobs: int, timeout: float, opened: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run jobs, each in a process of its own; inside the block they run, and after it none does.

    Parameters
    ----------
    files : sequence of Path
        Jobs as :mod:`flowanalysis.report.worker` reads them; ``.log`` beside each receives what it says.
    jobs : int
        Processes at the same time.
    timeout : float
        Seconds for one job.
    opened : mapping, optional
        What all jobs need: places of ``data`` and ``previous``, file of ``policy``.

    Yields
    ------
    Running
        How they end.
    """
    if not COPIES or len(files) < FEW:
        yield Running(in_turn(files, fresh, jobs=jobs, timeout=timeout))
        return
    order = files[0].with_name("order.json")
    told = {"files": list(map(str, files)), "jobs": jobs, "timeout": timeout, "opened": dict(opened or {})}
    order.write_text(json.dumps(told), encoding="utf-8")
    with _warm_one(order) as warm:
        try:
            yield Running(_ends(warm, files, timeout), lambda: _found(warm, order.with_name(FOUND)))
        finally:
            if warm.poll() is None:
                os.killpg(warm.pid, signal.SIGKILL)


def _warm_one(order: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flowanalysis.report.warm", str(order)]
    with order.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
            start_new_session=True,
            text=True,
        )


def _found(warm: subprocess.Popen[str], folder: Path) -> Path | None:
    """The first line of a warm process says that it is ready; asked before any end is."""
    assert warm.stdout is not None
    warm.stdout.readline()
    return folder if folder.is_dir() else None


def _ends(warm: subprocess.Popen[str], files: Sequence[Path], timeout: float) -> Ends:
    left = list(files)
    assert warm.stdout is not None
    for line in warm.stdout:
        name, code = json.loads(line)
        if name == READY:
            continue
        left.remove(Path(name))
        yield Path(name), code
    # What a warm process left undone that ended early: too little memory for it, as a rule.
    yield from in_turn(left, fresh, jobs=1, timeout=timeout)


def in_turn(files: Sequence[Path], start: Callable[[Path], Process], *, jobs: int, timeout: float) -> Ends:
    """Start jobs in order, at most so many at once, and tell how each ended; what still runs at the end is killed."""
    waiting = list(reversed(files))
    running: dict[Path, tuple[Process, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                file = waiting.pop()
                running[file] = start(file), time.monotonic() + timeout
            for file, (process, end) in list(running.items()):
                code = process.poll()
                if code is None and time.monotonic() < end:
                    continue
                del running[file]
                if code is None:
                    process.kill()
                    process.wait()
                yield file, code
            time.sleep(PAUSE)
    finally:
        for process, _ in running.values():
            process.kill()
            process.wait()


def fresh(file: Path) -> subprocess.Popen[bytes]:
    """A job in a process that starts from nothing."""
    command = [sys.executable, "-m", "flowanalysis.report.worker", str(file)]
    with file.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment()
        )


def environment() -> dict[str, str]:
    """The environment of a notebook: UTF-8, pictures without a window, no thread that a copy would lack."""
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return os.environ | alone | {"PYTHONUTF8": "1", "PYTHONHASHSEED": "0", "MPLBACKEND": "agg"}
