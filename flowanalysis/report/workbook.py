"""The only way to an Excel workbook: text stays text, heads stay in sight, every column can be filtered."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import xlsxwriter

from flowanalysis.errors import ReportError
from flowanalysis.text import cell

__all__ = ["write_workbook"]

ROWS = 1_048_575  # rows of a sheet below its head (Excel specifications and limits)
WIDEST = 60  # characters that a column shows
SAMPLE = 200  # rows looked at for the width of a column
OPTIONS = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd hh:mm",
    "constant_memory": False,
}
# The date inside the file; the same tables give the same bytes.
CREATED = dt.datetime(2020, 1, 1)


def write_workbook(
    path: str | Path, sheets: Mapping[str, pd.DataFrame], *, title: str = "", notes: Mapping[str, str] | None = None
) -> Path:
    """Write frames as the sheets of a workbook.

    Parameters
    ----------
    path : str or Path
        File, replaced when it exists.
    sheets : mapping
        Name to frame. Names are cut, cleaned and made different as Excel demands.
    title : str
        Title in the properties of the file.
    notes : mapping, optional
        Sheet name to a sentence that is shown above the head.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ReportError
        When there is no sheet, a sheet has more rows than Excel takes, or the file cannot be written.
    """
    if not sheets:
        raise ReportError(f"{Path(path).name}: a workbook needs at least one sheet")
    names = _sheet_names(sheets)
    book = xlsxwriter.Workbook(str(path), OPTIONS)
    book.set_properties({"title": str(cell(title)), "created": CREATED})
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    body = book.add_format({"valign": "top", "text_wrap": True})
    for name, frame in sheets.items():
        _write_sheet(book.add_worksheet(names[name]), frame, (notes or {}).get(name, ""), head, body)
    try:
        book.close()
    except (OSError, xlsxwriter.exceptions.FileCreateError) as error:
        raise ReportError(f"{Path(path).name}: the workbook cannot be written ({error}). Close it in Excel") from None
    return Path(path)


def _sheet_names(sheets: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """At most 31 units of UTF-16, none of the characters that Excel refuses, no two alike in any case."""
    taken: set[str] = {"history"}
    names = {}
    for name in sheets:
        clean = re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", str(cell(str(name)))).strip(" '")
        clean = _begin(clean, 31).rstrip(" '") or "Sheet"
        unique, number = clean, 2
        while unique.lower() in taken:
            unique = f"{_begin(clean, 28 - len(str(number)))} ({number})"
            number += 1
        taken.add(unique.lower())
        names[name] = unique
    return names


def _begin(text: str, units: int) -> str:
    """The beginning of a text, as long as Excel counts: one sign outside the first 65,536 is two."""
    return text.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "ignore")


def _write_sheet(sheet: Any, frame: pd.DataFrame, note: str, head: Any, body: Any) -> None:
    if len(frame) > ROWS - 2:
        raise ReportError(f"{sheet.name}: {len(frame):,} rows are more than Excel takes; write this table as CSV")
    top = 2 if note else 0
    if note:
        sheet.write_string(0, 0, str(cell(note)))
    for column, name in enumerate(frame.columns):
        values = _plain_values(frame.iloc[:, column])
        sheet.write_string(top, column, str(cell(str(name))), head)
        sheet.set_column(column, column, _width(str(name), values), body)
        for row, value in enumerate(values, start=top + 1):
            _write(sheet, row, column, value)
    if len(frame.columns):
        sheet.autofilter(top, 0, top + max(len(frame), 1), len(frame.columns) - 1)
        sheet.freeze_panes(top + 1, 1)


def _plain_values(column: pd.Series) -> list[object]:
    """Python values; times as UTC without a zone, which Excel does not know."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    plain = [None if pd.isna(v) else v for v in column.astype(object)]
    safe = {v: str(cell(v)) for v in plain if isinstance(v, str)}  # the same few texts stand in many rows
    return [safe[v] if isinstance(v, str) else v for v in plain]


def _write(sheet: Any, row: int, column: int, value: object) -> None:
    """One value by its type, so that nothing is guessed from its text."""
    if value is None:
        return
    if isinstance(value, str):
        sheet.write_string(row, column, value)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, (int, float)) and abs(value) < 2**53:
        sheet.write_number(row, column, value)
    elif isinstance(value, dt.datetime) and dt.datetime(1900, 3, 1) <= value < dt.datetime(9999, 1, 1):
        sheet.write_datetime(row, column, value.replace(microsecond=0))
    else:
        sheet.write_string(row, column, str(cell(str(value))))


def _width(name: str, values: list[object]) -> float:
    longest = max((len(str(v)) for v in values[:SAMPLE] if v is not None), default=0)
    return min(max(longest, len(name) + 3, 8), WIDEST)
