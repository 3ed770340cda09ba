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

Ready = Callable[[pd.DataFrame, list[Reject]], None]


@dataclass
class Framing:
    """Records that wait for their frame, by table.

    ``add`` takes the rows of one file and what to do with their frame and with the rows and cells set aside;
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
        ends = np.cumsum([len(rows) for rows, _ in chunks])
        owner = np.searchsorted(ends, [c.number for c in cells], side="right")
        told: dict[int, list[Reject]] = {}
        for place, cell in zip(owner.tolist(), cells, strict=True):
            number = cell.number - int(ends[place]) + len(chunks[place][0]) + 1
            told.setdefault(place, []).append(Reject(table, f"row {number}, {cell.column}", cell.reason))
        nameless = frame[list(schema.table(table).key)].isna().any(axis=1).to_numpy()
        for place, (rows, ready) in enumerate(chunks):
            mine = slice(int(ends[place]) - len(rows), int(ends[place]))
            part, bad = frame.iloc[mine].reset_index(drop=True), told.get(place, [])
            ready(*keyed(table, part, bad) if nameless[mine].any() else (part, bad))


def keyed(table: str, frame: pd.DataFrame, bad: list[Reject]) -> tuple[pd.DataFrame, list[Reject]]:
    """Rows without a part of their key cannot be told from others: they are set aside."""
    missing = frame[list(schema.table(table).key)].isna()
    gone = missing.any(axis=1)
    if not gone.any():
        return frame, bad
    for number in frame.index[gone]:
        named = ", ".join(c for c in missing if missing.at[number, c])
        bad.append(Reject(table, f"row {number + 1}", f"has no {named}"))
    return frame[~gone].reset_index(drop=True), bad
