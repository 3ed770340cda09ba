"""What a collection would ask, without asking."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis.collect.batch import TOGETHER
from flowanalysis.collect.endpoints import Endpoint
from flowanalysis.collect.folders import last_sealed, manifest_of
from flowanalysis.text import plain

__all__ = ["estimate", "show"]


def estimate(endpoints: Sequence[Endpoint], counts: Mapping[str, int] | None = None) -> pd.DataFrame:
    """The calls of a collection, one row an endpoint.

    Parameters
    ----------
    endpoints : sequence of Endpoint
        In the order of reading.
    counts : mapping, optional
        Rows of each list as an earlier collection found them; without, the number of calls is a formula.

    Returns
    -------
    DataFrame
        Columns collection, method, address, calls (count, NA when not known), formula.
    """
    counts = counts or {}
    rows = []
    for e in endpoints:
        known = counts.get(e.parent) if e.parent else counts.get(e.name)
        each = TOGETHER if e.batch else 1
        calls = None if known is None else max(1, math.ceil(known / (each if e.parent else e.page)))
        formula = (
            f"1 for each {each} of {e.parent}".replace("each 1 of", "each of") if e.parent else f"1 for {e.page} rows"
        )
        method = "POST (batch of GETs)" if e.batch else "POST (query)" if e.payload else "GET"
        rows.append((e.name, method, f"{e.service}: {e.relative()}", calls, formula))
    frame = pd.DataFrame(rows, columns=["collection", "method", "address", "calls", "formula"])
    return frame.astype({"calls": "Int64"})


def counts_of(home: Path) -> dict[str, int]:
    """Rows of each list in the newest finished collection of a tenant."""
    folder = last_sealed(home)
    entries: dict[str, Any] = ((manifest_of(folder) or {}) if folder else {}).get("collections", {})
    return {name: int(entry.get("items", 0)) for name, entry in entries.items()}


def show(endpoints: Sequence[Endpoint], home: Path) -> None:
    """Print the calls and their estimated number."""
    frame = estimate(endpoints, counts_of(home))
    for row in frame.itertuples():
        number = row.formula if pd.isna(row.calls) else f"about {row.calls:,} calls"
        sys.stdout.write(plain(f"{row.collection:36} {row.method:20} {number}") + "\n    " + plain(row.address) + "\n")
    total = frame["calls"].sum() if frame["calls"].notna().any() else None
    known = (
        f"about {total:,} calls, by the last collection"
        if total is not None
        else "no earlier collection to estimate by"
    )
    sys.stdout.write(f"{len(frame)} kinds of calls, {known}. Nothing was sent.\n")
