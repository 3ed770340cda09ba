"""The few ways in which a collection touches the disk, each of which can be interrupted by a test.

``os.replace`` is the only rename: it replaces on Windows too. Directories are synchronised where the system can.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

import orjson

__all__ = ["Disk", "private"]


class Disk:
    """Writes that survive a crash: data, then name, then folder."""

    def append(self, file: BinaryIO, data: bytes) -> None:
        """Write at the end of an open file."""
        file.write(data)

    def sync(self, file: BinaryIO) -> None:
        """Bring a file's bytes to the disk."""
        file.flush()
        os.fsync(file.fileno())

    def replace(self, old: Path, new: Path) -> None:
        """Rename over whatever is there."""
        os.replace(old, new)
        self.sync_folder(new.parent)

    def remove(self, path: Path) -> None:
        """Delete a file if it is there."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Bring names to the disk; Windows does so by itself and cannot open folders."""
        if os.name == "nt":
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def write(self, path: Path, value: object) -> None:
        """A small JSON file, whole or not at all."""
        draft = path.with_name(path.name + ".tmp")
        with open(draft, "wb", opener=private) as file:
            self.append(file, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            self.sync(file)
        self.replace(draft, path)

    def folder(self, path: Path) -> Path:
        """A folder that only its owner may enter, with its parents."""
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for place in reversed(missing):
            with contextlib.suppress(FileExistsError):
                place.mkdir(mode=0o700)
        return path


def private(path: str, flags: int) -> int:
    """An opener for files that only their owner may read."""
    return os.open(path, flags, 0o600)
