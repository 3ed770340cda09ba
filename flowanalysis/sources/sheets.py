"""Tables in text and in workbooks: every cell stays the text that was written.

Delimiter and header are found on the header line only; ``NA``, ``null`` and ``00123`` stay what they are; rows of
another width than the header are set aside.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping

import pandas as pd

from flowanalysis.errors import BrokenExport
from flowanalysis.sources.base import Reject

DELIMITERS = ",;\t|"
# A definition or a policy inside one cell is long; the default of the csv module is 128 kB.
csv.field_size_limit(2**26)
FIRST_LINES = re.compile(r"^(?:#TYPE [^\r\n]*|sep=[,;\t|])\s*(?:\r\n|\n|\r)", re.IGNORECASE)
SEPARATOR = re.compile(r"^sep=([,;\t|])", re.IGNORECASE)


def delimiter(header: str) -> str:
    """The delimiter of a header line: the one that stands most often outside quotes.

    >>> delimiter('"Display name";"User, principal name";Mail')
    ';'
    """
    bare = re.sub(r'"[^"]*"', "", header)
    counts = {d: bare.count(d) for d in DELIMITERS}
    return max(DELIMITERS, key=lambda d: counts[d])


def read_text(text: str, *, name: str) -> tuple[pd.DataFrame, list[Reject], tuple[str, ...]]:
    """A table in text: CSV of any dialect that exports have.

    Returns
    -------
    (sheet, rejects, notes)
        Cells are text; headers as written, a repeated one with a number behind.
    """
    told = SEPARATOR.match(text)
    while first := FIRST_LINES.match(text):
        text = text[first.end() :]
    header = text.split("\n", 1)[0]
    mark = told[1] if told else delimiter(header)
    try:
        rows = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=mark) if any(map(str.strip, r))]
    except csv.Error as error:
        raise BrokenExport(f"not a table: {error}", where=name, remedy="Export it again") from None
    if not rows:
        raise BrokenExport("no header line", where=name, remedy="Export it again")
    sheet, rejects = _sheet(rows)
    lost = sum(sheet[c].str.contains(r"\w\?\w", regex=True).sum() for c in sheet.columns if "name" in c.lower())
    note = f"{lost:,} names with ? inside: letters were lost when the file was written as ASCII"
    return sheet, rejects, (note,) if lost else ()


def _sheet(rows: list[list[str]]) -> tuple[pd.DataFrame, list[Reject]]:
    header = _headers(rows[0])
    good, rejects = [], []
    for number, row in enumerate(rows[1:], 2):
        if len(row) == len(header):
            good.append(row)
        elif len(row) == len(header) + 1 and not row[-1].strip():
            good.append(row[:-1])  # a delimiter at the end of each line
        else:
            reason = f"{len(row)} cells where the header has {len(header)}: a delimiter or a quote inside a cell"
            rejects.append(Reject("", f"row {number}", reason))
    return pd.DataFrame(good, columns=header, dtype=pd.StringDtype("pyarrow", na_value=pd.NA)), rejects


def _headers(row: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    out = []
    for cell in row:
        name = cell.strip().strip("\ufeff")
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    while out and not out[-1]:
        out.pop()
    return out


def is_workbook(members: Mapping[str, bytes]) -> bool:
    """True for the parts of an Excel workbook."""
    return "xl/workbook.xml" in {n.lower() for n in members}


def read_workbook(members: Mapping[str, bytes], *, name: str) -> Iterator[tuple[str, pd.DataFrame, list[Reject]]]:
    """The sheets of a workbook that have a header, as text."""
    from flowanalysis.sources import workbook  # late: only workbooks need the XML reader

    for title, rows in workbook.sheets(members, name=name):
        filled = [r for r in rows if any(map(str.strip, r))]
        if filled:
            width = max(map(len, filled))
            sheet, rejects = _sheet([r + [""] * (width - len(r)) for r in filled])
            yield title, sheet, rejects
