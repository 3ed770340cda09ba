"""Sheets of an Excel workbook as text, read from its parts without trusting them.

The archive's limits hold before this module sees a byte; XML with entities or a document type is refused. A number
becomes the text of the number, a cell formatted as a date an ISO 8601 time; formulas give their last result.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from flowanalysis.errors import BrokenExport, RefusedInput

ROWS, CELLS = 1_048_576, 20_000_000  # Excel's own limit of rows; a limit of ours for cells of a sheet
LAST_COLUMN = 16_384
# Number formats 14-22 and 45-47 are dates and times in every workbook (ECMA-376, part 1, 18.8.30).
DATE_FORMATS = {*range(14, 23), *range(45, 48)}
QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
COLUMN = re.compile(r"^([A-Z]+)\d*$")


def sheets(members: Mapping[str, bytes], *, name: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and rows of every sheet.

    Parameters
    ----------
    members : mapping
        Parts of the workbook by name.
    name : str
        Name to show in errors.

    Raises
    ------
    RefusedInput
        XML with entities, or more cells than a sheet can have.
    BrokenExport
        XML that cannot be read to its end.
    """
    parts = {n.lower().lstrip("/"): data for n, data in members.items()}
    try:
        strings = list(_strings(parts.get("xl/sharedstrings.xml", b"")))
        dates = _date_styles(parts.get("xl/styles.xml", b""))
        for title, part, epoch in _listed(parts):
            if part in parts:
                yield title, list(_rows(parts[part], strings, dates, epoch, name))
    except DefusedXmlException:
        raise RefusedInput("the workbook's XML has entities", where=name, remedy="Save it again from Excel") from None
    except (ParseError, ValueError, IndexError) as error:
        raise BrokenExport(f"the workbook is damaged ({error})", where=name, remedy="Save it again") from None


def _walk(data: bytes, *wanted: str) -> Iterator[Any]:
    """Finished elements of some names, emptied after use."""
    if not data:
        return
    for _, element in iterparse(io.BytesIO(data), events=("end",), forbid_dtd=True):
        if _local(element.tag) in wanted:
            yield element
            element.clear()


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _attribute(element: Any, name: str) -> str:
    return next((v for k, v in element.attrib.items() if _local(k) == name), "")


def _listed(parts: Mapping[str, bytes]) -> Iterator[tuple[str, str, datetime]]:
    """Title, part and first day of every sheet, in the order of the workbook."""
    targets = {r.attrib.get("Id", ""): _path(r.attrib.get("Target", "")) for r in _relations(parts)}
    epoch = datetime(1899, 12, 30)
    for element in _walk(parts.get("xl/workbook.xml", b""), "sheet", "workbookPr"):
        if _local(element.tag) == "workbookPr" and element.attrib.get("date1904") in {"1", "true"}:
            epoch = datetime(1904, 1, 1)
        elif _local(element.tag) == "sheet":
            yield element.attrib.get("name", "sheet"), targets.get(_attribute(element, "id"), ""), epoch


def _relations(parts: Mapping[str, bytes]) -> Iterator[Any]:
    return _walk(parts.get("xl/_rels/workbook.xml.rels", b""), "Relationship")


def _path(target: str) -> str:
    found = target.lower()
    return found.lstrip("/") if found.startswith("/") else f"xl/{found}"


def _strings(data: bytes) -> Iterator[str]:
    for element in _walk(data, "si"):
        yield _words(element)


def _words(element: Any) -> str:
    """Text of all runs, without phonetic guides."""
    out = []
    for child in element:
        if _local(child.tag) == "t":
            out.append(child.text or "")
        elif _local(child.tag) == "r":
            out.extend(t.text or "" for t in child if _local(t.tag) == "t")
    return "".join(out)


def _date_styles(data: bytes) -> set[int]:
    """Numbers of the cell styles that show a date."""
    custom: dict[int, str] = {}
    styles: list[int] = []
    for element in _walk(data, "numFmt", "cellXfs"):
        if _local(element.tag) == "numFmt":
            custom[int(element.attrib.get("numFmtId", -1))] = element.attrib.get("formatCode", "")
        else:
            styles = [int(x.attrib.get("numFmtId", 0)) for x in element]
    return {n for n, f in enumerate(styles) if f in DATE_FORMATS or _is_date(custom.get(f, ""))}


def _is_date(code: str) -> bool:
    bare = QUOTED.sub("", code).lower()
    return any(letter in bare for letter in "ydhs") or ("m" in bare and "0" not in bare)


def _rows(data: bytes, strings: list[str], dates: set[int], epoch: datetime, name: str) -> Iterator[list[str]]:
    cells = 0
    for number, row in enumerate(_walk(data, "row"), 1):
        out: list[str] = []
        for cell in row:
            at = _column(cell.attrib.get("r", ""), len(out))
            if at >= LAST_COLUMN or number > ROWS:
                raise RefusedInput("more cells than a sheet can have", where=name, remedy="Save it again from Excel")
            out.extend([""] * (at - len(out)))
            out.append(_text(cell, strings, dates, epoch))
        cells += len(out)
        if cells > CELLS:
            raise RefusedInput(f"more than {CELLS:,} cells in a sheet", where=name, remedy="Export as CSV")
        yield out


def _column(place: str, following: int) -> int:
    """Zero-based column of a cell's name such as ``AB12``; the next one where it has no name."""
    match = COLUMN.match(place)
    if not match:
        return following
    number = 0
    for letter in match[1]:
        number = number * 26 + ord(letter) - 64
    return max(number - 1, following)


def _text(cell: Any, strings: list[str], dates: set[int], epoch: datetime) -> str:
    kind = cell.attrib.get("t", "n")
    if kind == "inlineStr":
        return next((_words(c) for c in cell if _local(c.tag) == "is"), "")
    value = next((c.text or "" for c in cell if _local(c.tag) == "v"), "")
    if not value:
        return ""
    if kind == "s":
        return strings[int(value)]
    if kind == "b":
        return "True" if value == "1" else "False"
    if kind == "n" and int(cell.attrib.get("s", 0)) in dates:
        return (epoch + timedelta(days=float(value))).replace(microsecond=0).isoformat()
    return value.removesuffix(".0") if kind == "n" else value
