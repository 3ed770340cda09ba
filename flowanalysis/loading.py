"""The one way in: exports or a snapshot become a Tenant."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from flowanalysis.snapshot import is_snapshot, open_snapshot
from flowanalysis.sources import read
from flowanalysis.tenant import Tenant


def load(*paths: str | Path, progress: bool = False) -> Tenant:
    """A tenant from exports or from a snapshot.

    Parameters
    ----------
    *paths : str or Path
        One snapshot folder, or any number of export files and folders, shapes mixed.
    progress : bool
        Show a bar on stderr.

    Raises
    ------
    NothingToLoad
        When nothing in the paths can be read; the message lists the shapes that would be.
    SnapshotError
        When the snapshot is incomplete or was changed.
    """
    if len(paths) == 1 and is_snapshot(paths[0]):
        return _kept.get(Path(paths[0]).resolve()) or open_snapshot(paths[0])
    tenant = read(*paths, progress=progress).tenant()
    pa.default_memory_pool().release_unused()  # reading takes more memory, and for longer, than all that follows
    return tenant


_kept: dict[Path, Tenant] = {}


def keep_open(place: str | Path) -> Tenant:
    """Open a snapshot for good: until this process ends, `load` gives the same tenant for it.

    For the process that notebooks are copied from; what a notebook's analyses remember is then there already.
    """
    return _kept.setdefault(Path(place).resolve(), open_snapshot(place))
