"""Zip archives from strangers, read in memory and never extracted.

Exports arrive as solutions and packages, and those inside zips of their own. An archive that is out of
proportion, or whose names point outside, is refused as a whole: half a package is worse than none.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flowanalysis.errors import BrokenExport, RefusedInput
from flowanalysis.text import plain

__all__ = ["Limits", "is_zip", "members"]

SEPARATOR = "!"
PLAUSIBLE = 2**16  # bytes below which any ratio is harmless: a small file of blanks compresses 1,000 times


@dataclass(frozen=True)
class Limits:
    """What an archive, with the archives inside it, may hold at most."""

    entries: int = 5_000
    member: int = 32 * 2**20
    total: int = 256 * 2**20
    ratio: int = 200
    depth: int = 4


@dataclass
class _Spent:
    """What was read so far, over all archives inside one another."""

    entries: int = 0
    total: int = 0
    limits: Limits = field(default_factory=Limits)


def is_zip(data: bytes) -> bool:
    """True when the bytes begin like a zip archive; an empty archive counts."""
    return data[:4] in {b"PK\x03\x04", b"PK\x05\x06"}


def members(
    source: bytes | str | Path,
    *,
    name: str = "",
    limits: Limits | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Files of an archive, those of archives inside it included, in the order of the archive.

    Parameters
    ----------
    source : bytes, str or Path
        The archive, or where it is.
    name : str
        Name to show; by default the file name.
    limits : Limits, optional
        What it may hold at most.
    wanted : function, optional
        Tells by name which members to read; others are checked by their declared size only.

    Yields
    ------
    name, content
        Names are ``export.zip!Workflows/a.json``; of an archive inside, ``export.zip!inner.zip!a.json``.

    Raises
    ------
    RefusedInput
        A bomb, a name that points outside, a link, an encrypted or doubled entry.
    BrokenExport
        The archive is cut or damaged.
    """
    path = None if isinstance(source, bytes) else Path(source)
    shown = name or (path.name if path else "archive")
    yield from _read(
        source if isinstance(source, bytes) else Path(source), shown, _Spent(limits=limits or Limits()), wanted, 1
    )


def _refused(what: str, where: str) -> RefusedInput:
    return RefusedInput(what, where=plain(where, width=200), remedy="Nothing of this archive was read")


def _read(
    source: bytes | Path, shown: str, spent: _Spent, wanted: Callable[[str], bool] | None, depth: int
) -> Iterator[tuple[str, bytes]]:
    if depth > spent.limits.depth:
        raise _refused(f"archives inside archives more than {spent.limits.depth} deep", shown)
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            entries = _checked(archive.infolist(), shown, spent)
            for info in entries:
                inner = f"{shown}{SEPARATOR}{info.filename}"
                nested = info.filename.lower().endswith(".zip")
                if not nested and wanted and not wanted(inner):
                    continue
                data = _content(archive, info, inner, spent)
                if nested and is_zip(data):
                    yield from _read(data, inner, spent, wanted, depth + 1)
                else:
                    yield inner, data
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise BrokenExport(
            f"the archive cannot be read to its end ({type(error).__name__})",
            where=plain(shown, width=200),
            remedy="Export it again",
        ) from None


def _checked(infos: list[zipfile.ZipInfo], shown: str, spent: _Spent) -> list[zipfile.ZipInfo]:
    """The files of an archive, after all of its entries passed."""
    spent.entries += len(infos)
    if spent.entries > spent.limits.entries:
        raise _refused(f"more than {spent.limits.entries:,} entries", shown)
    seen: set[str] = set()
    declared = 0
    for info in infos:
        where = f"{shown}{SEPARATOR}{info.filename}"
        _check_name(info, where)
        folded = info.filename.lower()
        if folded in seen:
            raise _refused("two entries of the same name", where)
        seen.add(folded)
        _check_size(info, where, spent.limits)
        declared += info.file_size
    if spent.total + declared > spent.limits.total:
        raise _refused(f"more than {spent.limits.total // 2**20} MB when unpacked", shown)
    return [i for i in infos if not i.is_dir()]


def _check_name(info: zipfile.ZipInfo, where: str) -> None:
    # zipfile turns backslashes into slashes and cuts at NUL; the name as stored tells the intent
    raw = info.orig_filename
    parts = PurePosixPath(raw).parts
    if "\\" in raw or "\0" in raw or raw.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise _refused("an entry whose name points outside the archive", where)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise _refused("an entry that is a link", where)
    if info.flag_bits & 0x1:
        raise _refused("an encrypted entry", where)


def _check_size(info: zipfile.ZipInfo, where: str, limits: Limits) -> None:
    if info.file_size > limits.member:
        raise _refused(f"an entry of more than {limits.member // 2**20} MB", where)
    if info.file_size > PLAUSIBLE and info.file_size > limits.ratio * max(info.compress_size, 1):
        raise _refused(f"an entry that unpacks to more than {limits.ratio} times its size", where)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, spent: _Spent) -> bytes:
    """Bytes of an entry; the declared size may lie, so one byte more than allowed is asked for."""
    allowed = min(spent.limits.member, spent.limits.total - spent.total, info.file_size)
    with archive.open(info) as file:
        data = file.read(allowed + 1)
    if len(data) > allowed:
        raise _refused("an entry larger than it declares", where)
    spent.total += len(data)
    return data
