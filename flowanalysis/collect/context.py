"""What every driver needs in hand: the transport, the folder, the clock, the bar."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from flowanalysis.collect import redact
from flowanalysis.collect.clock import Clock
from flowanalysis.collect.clouds import Cloud
from flowanalysis.collect.disk import Disk
from flowanalysis.collect.journal import Journal
from flowanalysis.collect.transport import Transport

__all__ = ["Context"]


@dataclass
class Context:
    """One run over one folder.

    Attributes
    ----------
    observed : str
        When the collection was begun, ISO 8601; stands on every line, so that a resumed run writes the same bytes.
    """

    transport: Transport
    cloud: Cloud
    folder: Path
    observed: str
    disk: Disk
    clock: Clock
    redactor: redact.Redactor | None = None
    progress: bool = False
    _checked: float = field(default=float("-inf"))

    def journal(self, name: str) -> Journal:
        """The growing file of a collection."""
        return Journal(self.folder, name, self.disk)

    def redact(self, page: dict[str, Any], kind: str) -> tuple[dict[str, Any], int]:
        """A page without what must not reach the disk."""
        return redact.redact(page, kind, redactor=self.redactor)

    def due(self) -> bool:
        """True when the time since the last checkpoint asks for one."""
        now = self.clock.monotonic()
        if now - self._checked < self.transport.limits.checkpoint:
            return False
        self._checked = now
        return True

    def bar(self, name: str, *, total: int | None, done: int = 0) -> tqdm:
        """A bar on stderr with rate and time left."""
        return tqdm(
            total=total,
            initial=done,
            desc=name,
            unit=" rows",
            unit_scale=True,
            file=sys.stderr,
            disable=not self.progress,
            dynamic_ncols=True,
        )
