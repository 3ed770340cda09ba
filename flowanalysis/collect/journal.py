"""One collection on disk: nothing lost, nothing doubled, whatever moment the machine chooses to stop.

While a collection is read, its lines grow in ``.state/NAME.part``. A checkpoint says how many of those bytes count,
what their checksum is, and where the server goes on; it is written after the bytes it speaks of are on the disk. The
end is one write of ``NAME.done.json``; only then does the file get its final name. Whoever finds the folder later
trusts the bytes that the checkpoint vouches for, or starts this one collection over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from flowanalysis.collect.disk import Disk, private

__all__ = ["STATE", "Journal", "digest"]

STATE = ".state"
BLOCK = 1 << 20


class Journal:
    """The growing file of one collection.

    Parameters
    ----------
    folder : Path
        The collection's folder.
    name : str
        Such as ``graph/users``; the file becomes ``graph/users.jsonl``.
    disk : Disk
        Ways to write.
    """

    def __init__(self, folder: Path, name: str, disk: Disk) -> None:
        self.disk, self.name = disk, name
        self.final = folder / f"{name}.jsonl"
        state, stem = folder / STATE, name.replace("/", ".")
        self.part = state / f"{stem}.part"
        self.checkpoint = state / f"{stem}.checkpoint.json"
        self.entry = state / f"{stem}.done.json"
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._bytes = 0

    def done(self) -> dict[str, Any] | None:
        """What was written about the collection when it ended, after bringing an interrupted end to its end."""
        entry = _load(self.entry)
        if entry is None or not isinstance(entry.get("bytes"), int):
            return None
        if entry["bytes"] == 0:
            self._clear()
            return entry
        for place in (self.part, self.final):
            if place.exists() and digest(place, entry["bytes"], whole=True) == entry.get("sha256"):
                if place == self.part:
                    self._name()
                self._clear()
                return entry
        self.discard()
        return None

    def resume(self) -> dict[str, Any] | None:
        """The checkpoint to go on from, with the part cut to the bytes it vouches for; None starts over."""
        point = _load(self.checkpoint)
        if point is not None and isinstance(point.get("bytes"), int) and self.part.exists():
            hashed = hashlib.sha256()
            if digest(self.part, point["bytes"], into=hashed) == point.get("sha256"):
                self._file = open(self.part, "r+b")  # noqa: SIM115 - lives as long as the collection is read
                self._file.truncate(point["bytes"])
                self._file.seek(point["bytes"])
                self._hash, self._bytes = hashed, point["bytes"]
                return point
        self.discard()
        return None

    def discard(self) -> None:
        """Forget everything about this collection."""
        self.close()
        for path in (self.entry, self.checkpoint, self.part, self.final):
            self.disk.remove(path)
        self._hash, self._bytes = hashlib.sha256(), 0

    def append(self, *parts: bytes) -> None:
        """Lines at the end of the part; they count from the next commit on."""
        if self._file is None:
            kind: Literal["ab", "wb"] = "ab" if self._bytes else "wb"
            self._file = open(self.part, kind, opener=private)  # noqa: SIM115 - lives as long as the collection is read
        for data in parts:
            self.disk.append(self._file, data)
            self._hash.update(data)
            self._bytes += len(data)

    def commit(self, **state: Any) -> None:
        """Vouch for all bytes so far; `state` is what going on needs."""
        if self._file is not None:
            self.disk.sync(self._file)
        self.disk.write(self.checkpoint, {**state, "bytes": self._bytes, "sha256": self._hash.hexdigest()})

    def finish(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The collection ended: the entry first, then the name."""
        if self._file is not None:
            self.disk.sync(self._file)
            self.close()
        entry = {**entry, "bytes": self._bytes, "sha256": self._hash.hexdigest() if self._bytes else ""}
        self.disk.write(self.entry, entry)
        if self._bytes:
            self._name()
        self._clear()
        return entry

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines written so far, decoded."""
        if self._file is not None:
            self._file.flush()
        place = self.part if self.part.exists() else self.final
        if place.exists():
            with open(place, "rb") as file:
                for text in file:
                    yield orjson.loads(text)

    def close(self) -> None:
        """Let go of the file; what is not committed will not count."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _name(self) -> None:
        self.disk.folder(self.final.parent)
        self.disk.replace(self.part, self.final)

    def _clear(self) -> None:
        self.disk.remove(self.checkpoint)
        self.disk.remove(self.checkpoint.with_name(self.checkpoint.name + ".tmp"))
        self.disk.remove(self.entry.with_name(self.entry.name + ".tmp"))


def _load(path: Path) -> dict[str, Any] | None:
    """A state file, None when it is absent or torn."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def digest(path: Path, size: int, *, whole: bool = False, into: Any = None) -> str | None:
    """SHA-256 of the first `size` bytes; None when there are fewer (or, for `whole`, more)."""
    hashed = into if into is not None else hashlib.sha256()
    actual = path.stat().st_size
    if actual < size or (whole and actual != size) or size < 0:
        return None
    with open(path, "rb") as file:
        left = size
        while left and (block := file.read(min(BLOCK, left))):
            hashed.update(block)
            left -= len(block)
    return hashed.hexdigest()
