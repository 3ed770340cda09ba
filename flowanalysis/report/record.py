"""What a notebook leaves for the report: its tables as CSV and its summary numbers.

A notebook that an analyst runs by hand records nothing. The runner names a folder in the environment of the
notebook's process; :mod:`flowanalysis.report.show` then writes there.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pandas as pd

from flowanalysis.errors import ReportError
from flowanalysis.text import cell

VARIABLE = "FLOWANALYSIS_RECORD"
ROWS = 1_000  # rows of a table that a report carries: it is mailed and read, the snapshot holds the rest
# Tables that a number of the summary counts; they are whole, however long.
WHOLE = frozenset(
    [
        "accounts-that-can-stop-flows",
        "excess-rights",
        "flows",
        "flows-with-one-owner",
        "flows-without-owner",
        "privileged-runs",
        "urgent-findings",
    ]
)
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def folder() -> Path | None:
    """Where to record, or None when nobody asked for it."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def table(name: str, frame: pd.DataFrame, *, caption: str, to: Path | None = None) -> str:
    """Record a table; the link to it relative to a page of the report, or "" when nothing is recorded.

    The first `ROWS` rows are kept, and how many there are; all rows of a table that the summary counts.

    Raises
    ------
    ReportError
        When the name is not fit for a file, or a table of that name was recorded with other rows.
    """
    if not NAME.fullmatch(name):
        raise ReportError(f"Table name {name!r}: use lower-case words joined by hyphens.")
    place = to or folder()
    if place is None:
        return ""
    (place / "tables").mkdir(parents=True, exist_ok=True)
    write_csv(frame.head(kept(name, len(frame))), place / "tables" / f"{name}.csv")
    note = {"name": name, "caption": caption, "rows": len(frame), "columns": list(map(str, frame.columns))}
    (place / "tables" / f"{name}.json").write_text(json.dumps(note), encoding="utf-8")
    return f"tables/{name}.csv"


def kept(name: str, rows: int) -> int:
    """How many rows of a table a report carries.

    >>> kept("evidence", 5_000), kept("flows", 5_000)
    (1000, 5000)
    """
    return rows if name in WHOLE else min(rows, ROWS)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """A frame as CSV that a spreadsheet opens: UTF-8 with mark, no text that is taken for a formula."""
    guarded = {c: _guard(frame.iloc[:, i]) for i, c in enumerate(map(cell, map(str, frame.columns)))}
    pd.DataFrame(guarded).to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n")


def _guard(column: pd.Series) -> pd.Series:
    """The column with every text made safe; repeated texts are looked at once."""
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.reset_index(drop=True)
    plain = column.reset_index(drop=True).astype(object).map(_text, na_action="ignore")
    safe = {text: cell(text) for text in plain.dropna().unique()}
    return plain.map(safe, na_action="ignore")


def _text(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)
