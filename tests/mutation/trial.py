"""Tests tried against faults in forked copies of one process, in which they are imported and collected once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mutants import Mutant
from swap import Changed, forget, in_function, own_names, path_of, swap

MOST = 120.0  # seconds of tests tried against one fault
SAID = os.dup(2)  # children are silent otherwise
Notes = dict[str, dict]


def child(work: Callable[[], int], limit: float = 3600.0, lock: Path | None = None) -> int:
    """Exit status of some work in a forked child, -1 when it took too long; never while others hold the lock."""
    with contextlib.ExitStack() as held:
        if lock is not None:
            fcntl.flock(held.enter_context(lock.open()), fcntl.LOCK_SH)
        pid = os.fork()
        if pid == 0:
            os._exit(_quietly(work))
        return _ended(pid, time.monotonic() + limit)


def _quietly(work: Callable[[], int]) -> int:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        return int(work())
    except BaseException:
        return 3


def _ended(pid: int, until: float) -> int:
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1


def tests_run(tests: list[str], *plugins: object) -> int:
    """Exit status of pytest over tests."""
    import pytest

    options = ["-q", "-x", "-s", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:nbval"]
    os.environ["HYPOTHESIS_DATABASE_FILE"] = ""
    return int(pytest.main([*options, "--override-ini", "addopts=", "-m", "not slow", *tests], plugins=list(plugins)))


class Trial:
    """In place of one run of the tests: a run that takes notes, then one for each fault inside a function."""

    def __init__(self, module: str, faults: list[Mutant], lock: Path | None, out: Path) -> None:
        self.module, self.faults, self.lock, self.out = module, faults, lock, out

    def pytest_runtestloop(self, session) -> bool:
        child(lambda: self._watched(session))
        if not (self.out / "notes").is_file():
            return True
        notes = json.loads((self.out / "notes").read_text())
        source = path_of(self.module).read_text(encoding="utf-8")
        answers = []
        for fault in self.faults:
            chosen, names = tried_on(fault, notes), own_names(self.module, source, fault.line)
            here = names or in_function(source, fault.line)
            work = lambda f=fault, c=chosen, n=names: self._tried(session, f, c, n)  # noqa: E731
            answers.append(noticed(work, self.module, fault, chosen, notes, self.lock) if here else "")
        (self.out / "answers").write_text(json.dumps(answers))
        return True

    def _watched(self, session) -> int:
        """Write down the seconds of each test, and the tests that pass over each line; or the test that failed."""
        import coverage

        path = str(path_of(self.module))
        cover = coverage.Coverage(data_file=None, include=[path], config_file=False)
        seconds = {}
        cover.start()
        for item, after in _pairs(session.items):
            forget(self.module)
            cover.switch_context(item.nodeid)
            began = time.monotonic()
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            seconds[item.nodeid] = time.monotonic() - began
            if session.testsfailed:
                (self.out / "failed").write_text(item.nodeid)
                return 1
        cover.stop()
        lines = {str(line): tests for line, tests in cover.get_data().contexts_by_lineno(path).items()}
        (self.out / "notes").write_text(json.dumps({"lines": lines, "seconds": seconds}))
        return 0

    def _tried(self, session, fault: Mutant, chosen: list[str], names: list[str]) -> int:
        swap(self.module, fault.source, names)
        known = {item.nodeid: item for item in session.items}
        for item, after in _pairs([known[name] for name in chosen]):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return 1
        return 0


def _pairs(items: list) -> Iterable[tuple]:
    """Each test with the one that comes after it: what both share is kept."""
    return zip(items, [*items[1:], None], strict=True)


def anew(module: str, fault: Mutant, tests: list[str]) -> int:
    """Exit status of tests in a process that has imported nothing of the package yet."""
    sys.meta_path.insert(0, Changed(module, fault.source))
    return tests_run(tests)


def tried_on(fault: Mutant, notes: Notes) -> list[str]:
    """Tests that pass over the line, quickest first; for a line that runs at import, over any line of the module."""
    over = [t for t in notes["lines"].get(str(fault.line), []) if t]
    over = over or sorted({t for tests in notes["lines"].values() for t in tests if t})
    left, chosen = MOST, []
    for test in sorted(over, key=notes["seconds"].get):
        left -= notes["seconds"][test]
        chosen += [test] if left > 0 else []
    return chosen


def noticed(work: Callable[[], int], module: str, fault: Mutant, chosen: list[str], notes: Notes, lock) -> str:
    """killed, survived or timeout; a loop without end counts as noticed."""
    usual = sum(notes["seconds"][t] for t in chosen)
    status = child(work, limit=60 + 5 * usual, lock=lock)
    answer = "timeout" if status == -1 else "survived" if status == 0 else "killed"
    os.write(SAID, f"{module} {answer:8} {fault}\n".encode())
    return answer
