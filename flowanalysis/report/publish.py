"""A report appears whole or not at all, and says later whether it was changed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from flowanalysis.errors import ReportError

SUMS = "SHA256SUMS"
TRIES = 100  # for the place of a report that others want too
LOOKS = 5  # before a folder counts as foreign


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """A draft folder beside the target; it takes the target's place when the block ends well.

    A report that stood there before is replaced at the same moment. When the block fails, nothing is
    left of the draft and the old report stands.

    Raises
    ------
    ReportError
        When the target exists and is no report: it is never deleted.
    """
    refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    draft.mkdir()
    try:
        yield draft
        seal(draft)
        _swap(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def refuse_foreign(target: Path) -> None:
    """Raise when something stands at the target that no report run has made."""
    for _ in range(LOOKS):
        with contextlib.suppress(FileNotFoundError):
            names = {p.name for p in target.iterdir()}
            if not names or "run.json" in names:
                return
            # Another run may just be taking an old report away, file by file; what is foreign stays.
            time.sleep(0.02)
            continue
        return
    raise ReportError(
        f"{target}: the folder exists and is no report (it has no run.json). Choose another place or month."
    )


def _swap(draft: Path, target: Path) -> None:
    """Put the draft in the target's place; of several runs that do so at once the last one stays."""
    for _ in range(TRIES):
        old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
        try:
            with contextlib.suppress(FileNotFoundError):
                os.replace(target, old)
            os.replace(draft, target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            if old.exists() and not target.exists():
                with contextlib.suppress(OSError):
                    os.replace(old, target)
            shutil.rmtree(old, ignore_errors=True)
    raise ReportError(f"{target}: other runs put their reports here again and again. Choose another place.")


def seal(folder: Path) -> None:
    """Write the SHA-256 of every file, in the form that ``sha256sum -c`` reads."""
    lines = [f"{digest(p)}  {p.relative_to(folder).as_posix()}" for p in _files(folder)]
    (folder / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def verify(folder: str | Path) -> list[str]:
    """What differs from the report as rendered: changed, missing and added files; empty when nothing does.

    Raises
    ------
    ReportError
        When the folder has no list of sums.
    """
    place = Path(folder)
    sums = place / SUMS
    if not sums.is_file():
        raise ReportError(f"{place}: no {SUMS}; this is no report, or the list was removed.")
    listed = {}
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        told, _, name = line.partition("  ")
        listed[name] = told
    present = {p.relative_to(place).as_posix(): p for p in _files(place)}
    changed = [f"{n}: changed" for n in sorted(listed) if n in present and digest(present[n]) != listed[n]]
    missing = [f"{n}: missing" for n in sorted(set(listed) - set(present))]
    added = [f"{n}: was not part of the report" for n in sorted(set(present) - set(listed))]
    return changed + missing + added


def digest(path: Path) -> str:
    """SHA-256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS)
