"""Tables in text and in workbooks: every cell stays the text that was written.

Delimiter and header are found on the header line only; ``NA``, ``null`` and ``00123`` stay what they are; rows of
another width than the header are set aside.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

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


def dialect(text: str) -> tuple[str, int]:
    """The delimiter of a table, and how many characters stand before its header line."""
    told = SEPARATOR.match(text)
    start = 0
    while first := FIRST_LINES.match(text, start):
        start = first.end()
    header = text[start:].split("\n", 1)[0]
    return told[1] if told else delimiter(header), start


def read_text(text: str, *, name: str) -> tuple[pd.DataFrame, list[Reject], tuple[str, ...]]:
    """A table in text: CSV of any dialect that exports have.

    Returns
    -------
    (sheet, rejects, notes)
        Cells are text; headers as written, a repeated one with a number behind.
    """
    mark, start = dialect(text)
    rows = list(_rows(io.StringIO(text[start:], newline=""), mark, name))
    if not rows:
        raise BrokenExport("no header line", where=name, remedy="Export it again")
    sheet, rejects = _sheet(rows)
    return sheet, rejects, lost_letters(lost(sheet))


def read_stretches(path: Path, *, name: str, rows: int) -> Iterator[tuple[int, pd.DataFrame, list[Reject]]]:
    """A large table in UTF-8 piece by piece: number of the first row, cells, rows of another width.

    Raises
    ------
    UnicodeDecodeError
        Somewhere in the file, when it is not UTF-8: then it must be decoded whole.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        mark, start = dialect(file.read(4096))
        file.seek(0)
        file.read(start)
        lines = _rows(file, mark, name)
        header = next(lines)
        number = 2
        while part := list(islice(lines, rows)):
            sheet, rejects = _sheet([header, *part], first=number)
            yield number, sheet, rejects
            number += len(part)


def head(path: Path, *, name: str) -> pd.DataFrame | None:
    """The first rows of a large table in UTF-8, cells as text; None for anything else."""
    with path.open("rb") as file:
        start = file.read(2**18)
    try:
        text = start[: start.rfind(b"\n") + 1].decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if "\x00" in text or text.lstrip()[:1] in {"{", "[", ""}:
        return None
    sheet, _, _ = read_text("\n".join(text.split("\n")[:50]), name=name)
    return sheet


def lost(sheet: pd.DataFrame) -> int:
    """Names in which letters became question marks."""
    return int(sum(sheet[c].str.contains(r"\w\?\w", regex=True).sum() for c in sheet.columns if "name" in c.lower()))


def lost_letters(count: int) -> tuple[str, ...]:
    """What to say about such names."""
    said = f"{count:,} names with ? inside: letters were lost when the file was written as ASCII"
    return (said,) if count else ()


def _rows(lines: Iterable[str], mark: str, name: str) -> Iterator[list[str]]:
    """Rows that say something."""
    try:
        yield from (r for r in csv.reader(lines, delimiter=mark) if any(map(str.strip, r)))
    except csv.Error as error:
        raise BrokenExport(f"not a table: {error}", where=name, remedy="Export it again") from None


def _sheet(rows: list[list[str]], *, first: int = 2) -> tuple[pd.DataFrame, list[Reject]]:
    header = _headers(rows[0])
    good, rejects = [], []
    for number, row in enumerate(rows[1:], first):
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
