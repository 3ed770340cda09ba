"""Where a collection lives: its folder, its lock, and whether an earlier one waits to be finished."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from flowanalysis.collect.clock import Clock
from flowanalysis.collect.disk import Disk
from flowanalysis.collect.journal import STATE
from flowanalysis.errors import CollectError

__all__ = ["FORMAT", "find_open", "last_sealed", "lock", "manifest_of", "new_folder", "tenant_folder"]

FORMAT = "flowanalysis collection"
TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
RESUMABLE = timedelta(hours=48)  # older skip tokens are dead, and a tenant that moved on would be half old, half new
RUN = "run.json"


def tenant_folder(out: Path, tenant: str, disk: Disk) -> Path:
    """``out/<tenant>``, made when absent.

    Raises
    ------
    CollectError
        When the tenant is neither a domain nor an id.
    """
    if not TENANT.fullmatch(tenant) or ".." in tenant:
        raise CollectError(f"{tenant!r} is not a tenant: give its domain (contoso.example) or its id")
    return disk.folder(out / tenant.lower())


def new_folder(home: Path, run: dict[str, Any], clock: Clock, disk: Disk) -> Path:
    """A folder of its own for a new collection, named by the time in UTC and a few random digits.

    The digits keep two collections apart when a clock is set back.
    """
    folder = disk.folder(home / f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")
    disk.folder(folder / STATE)
    disk.write(folder / STATE / RUN, run)
    return folder


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """A collection's manifest; None when there is none, or it cannot be read."""
    return _json(folder / "manifest.json")


def find_open(home: Path, run: dict[str, Any], clock: Clock) -> tuple[Path, dict[str, Any]] | None:
    """The newest collection of the same request that was begun lately and not sealed, and its request as written."""
    for folder in _newest(home):
        manifest = manifest_of(folder)
        if manifest is not None and manifest.get("sealed"):
            # a run that ended between its manifest and its last broom stroke
            shutil.rmtree(folder / STATE, ignore_errors=True)
            continue
        written = _json(folder / STATE / RUN)
        if written is None and not any(p.is_file() and p.suffix != ".tmp" for p in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)  # stopped before it began
            continue
        if written is None or any(written.get(k) != run[k] for k in ("tenant", "cloud", "parts", "since")):
            continue
        begun = _moment(written.get("observed"))
        if begun is not None and clock.now() - begun < RESUMABLE:
            return folder, written
    return None


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def last_sealed(home: Path) -> Path | None:
    """The newest sealed collection, to ask only for what changed since."""
    for folder in _newest(home):
        manifest = manifest_of(folder)
        if manifest is not None and manifest.get("sealed"):
            return folder
    return None


def _newest(home: Path) -> list[Path]:
    return sorted((p for p in home.iterdir() if p.is_dir() and not p.name.startswith(".")), reverse=True)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """One collector for each tenant folder.

    Raises
    ------
    CollectError
        When another is at work; the lock of a process that is gone is taken over.
    """
    path = home / ".lock"
    mine = orjson.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat()})
    if not _take(path, mine):
        theirs = path.read_bytes() if path.exists() else b""
        if _alive(theirs):
            raise CollectError(f"Another collection is at work in {home} ({theirs.decode('utf-8', 'replace')[:200]}). "
                               f"Wait for it, or delete {path} when you know that it is gone")  # fmt: skip
        _set_aside(path, theirs)
        if not _take(path, mine):
            raise CollectError(f"Another collection has just begun in {home}")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path, mine: bytes) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as file:
        file.write(mine)
    return True


def _alive(theirs: bytes) -> bool:
    """Whether the process that wrote a lock may still run; in doubt it does."""
    try:
        told = orjson.loads(theirs)
        pid, host = int(told["pid"]), told["host"]
    except (ValueError, KeyError, TypeError):
        return False  # torn: its writer died while writing
    if host != socket.gethostname() or os.name == "nt":
        return True  # another machine, or a system on which asking about a process may end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _set_aside(path: Path, theirs: bytes) -> None:
    """Remove a dead lock, and only that one: what is renamed must be what was judged."""
    aside = path.with_name(f".lock.{secrets.token_hex(4)}")
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return
    if aside.read_bytes() != theirs:
        os.replace(aside, path)
        raise CollectError(f"Another collection has just begun in {path.parent}")
    aside.unlink()
