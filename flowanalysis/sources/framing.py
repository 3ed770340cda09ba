"""Rows of many small files become frames together: making a frame for each file costs more than reading it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from flowanalysis import schema
from flowanalysis.sources.base import Reject
from flowanalysis.sources.values import tidy

AT_ONCE = 50_000  # rows of a table that wait as records, which take about ten times the room of a frame

Ready = Callable[[pd.DataFrame, tuple[int, int], list[Reject]], None]


@dataclass
class Framing:
    """Records that wait for their frame, by table.

    ``add`` takes the rows of one file and what to do with the frame that holds them, with the place of its own in
    it, and with the rows and cells set aside;
    ``finish`` sees to it that nobody waits any longer. Files of one table are answered in the order they came.
    """

    waiting: dict[str, list[tuple[Sequence[Any], Ready]]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, rows: Sequence[Any], ready: Ready) -> None:
        """Let rows wait; rows of times that cannot be read and without a key are told to `ready`."""
        self.waiting.setdefault(table, []).append((rows, ready))
        self.sizes[table] = self.sizes.get(table, 0) + len(rows)
        if self.sizes[table] >= AT_ONCE:
            self._frame(table)

    def finish(self) -> None:
        """Frame all that is left."""
        for table in list(self.waiting):
            self._frame(table)

    def _frame(self, table: str) -> None:
        chunks = self.waiting.pop(table)
        self.sizes[table] = 0
        frame, cells = tidy(table, [row for rows, _ in chunks for row in rows])
        bounds = np.cumsum([0, *(len(rows) for rows, _ in chunks)])
        told: dict[int, list[Reject]] = {}

        def tell(number: int, where: str, reason: str) -> None:
            place = int(np.searchsorted(bounds, number, side="right")) - 1
            row = f"row {number - int(bounds[place]) + 1}{where}"
            told.setdefault(place, []).append(Reject(table, row, reason))

        for cell in cells:
            tell(cell.number, f", {cell.column}", cell.reason)
        kept, nameless = keyed(table, frame)
        for number, reason in nameless:
            tell(number, "", reason)
        own = bounds - np.searchsorted([number for number, _ in nameless], bounds)
        for place, (_, ready) in enumerate(chunks):
            ready(kept, (int(own[place]), int(own[place + 1])), told.get(place, []))


def keyed(table: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """Rows without a part of their key cannot be told from others: they are set aside, each with what it lacks."""
    missing = frame[list(schema.table(table).key)].isna()
    gone = missing.any(axis=1)
    if not gone.any():
        return frame, []
    reasons = [(int(n), f"has no {', '.join(c for c in missing if missing.at[n, c])}") for n in frame.index[gone]]
    return frame[~gone].reset_index(drop=True), reasons
