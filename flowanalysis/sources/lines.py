"""Files too large to decode whole: through the database where that can be, else a stretch of lines at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis import schema
from flowanalysis.sources import bulk, bulksheets, files, sheets
from flowanalysis.sources.base import Batch, Document, Reader, Reject
from flowanalysis.sources.jsontext import roots
from flowanalysis.sources.values import tidy

STRETCH = 16 * 2**20
"""Bytes of lines that are decoded together."""
FEW = 2**20
"""Bytes of lines with something unusual among them that are not halved any further."""
ROWS = 50_000
"""Rows of a table that are read together."""


def read(document: Document, reader: Reader) -> Iterator[Batch | Reject]:
    """The batches of a document that stayed on disk, the same as if it were small.

    Parameters
    ----------
    document : Document
        Of form ``lines``, or a ``sheet`` with a `path`.
    reader : Reader
        The reader that recognised it.
    """
    if document.sheet is not None:
        yield from _table(document, reader)
        return
    quick = bulk.read(document)
    if quick is not None:
        yield from quick
    elif bulk.is_array(document.path) or bulk.is_page(document):
        yield from reader.read(files.whole(document))
    else:
        yield from _joined(_stretches(document, reader))


def _stretches(document: Document, reader: Reader) -> Iterator[Batch | Reject]:
    """Batches of one stretch of lines after the other; rows become frames at once, which are far smaller."""
    usual = bulk.plan(document)
    with tempfile.TemporaryDirectory(prefix="flowanalysis-") as folder:
        for first, found in _cut(document):
            yield from _stretch(replace(document, path=Path(folder) / "lines"), reader, usual, first, found)


def _stretch(
    document: Document, reader: Reader, usual: bulk.Plan | None, first: int, found: list[bytes]
) -> Iterator[Batch | Reject]:
    """Through the database where every line is as usual; else the halves, down to what is read line by line."""
    where, data = f"lines {first:,} to {first + len(found) - 1:,}", b"".join(found)
    if usual is not None and document.path is not None and len(data) > FEW and len(found) > 1:
        document.path.write_bytes(data)
        quick = bulk.read(document, found=usual)
        if quick is not None:
            yield from _framed(quick, where)
            return
        half = len(found) // 2
        yield from _stretch(document, reader, usual, first, found[:half])
        yield from _stretch(document, reader, usual, first + half, found[half:])
        return
    rows, rejects = roots(data.decode("utf-8-sig" if first == 1 else "utf-8"), name=document.name)
    yield from _framed([*rejects, *reader.read(_decoded(document, tuple(rows)))], where)


def _decoded(document: Document, rows: tuple[Any, ...]) -> Document:
    return Document(document.name, "json", roots=rows, variables=document.variables)


def _framed(results: Iterable[Batch | Reject], where: str) -> Iterator[Batch | Reject]:
    """Results of one stretch, rows as frames, rejects with the place of the stretch."""
    for result in results:
        if isinstance(result, Reject):
            yield replace(result, record=f"{where}, {result.record}".rstrip(", "))
        elif isinstance(result.rows, (list, tuple)) and result.table:
            frame, bad = tidy(result.table, result.rows)
            yield replace(result, rows=frame)
            yield from (Reject(result.table, f"{where}, row {c.number + 1}, {c.column}", c.reason) for c in bad)
        else:
            yield result


def _table(document: Document, reader: Reader) -> list[Batch | Reject]:
    """A large table in text."""
    quick = bulksheets.rights(document)
    if quick is not None:
        return quick
    try:
        return list(_joined(_stretches_of_rows(document, reader)))
    except UnicodeDecodeError:
        return list(reader.read(files.whole(document)))


def _stretches_of_rows(document: Document, reader: Reader) -> Iterator[Batch | Reject]:
    if document.path is None:
        return
    damaged = 0
    for first, sheet, rejects in sheets.read_stretches(document.path, name=document.name, rows=ROWS):
        yield from rejects
        damaged += sheets.lost(sheet)
        where = f"rows {first:,} to {first + len(sheet) + len(rejects) - 1:,}"
        yield from _framed(reader.read(Document(document.name, "sheet", sheet=sheet)), where)
    for note in sheets.lost_letters(damaged):
        yield Batch(reader.SOURCE, "", (), message=note)


def _cut(document: Document) -> Iterator[tuple[int, list[bytes]]]:
    """Number of the first line, and the lines, of each stretch."""
    if document.path is None:
        return
    number = 1
    with document.path.open("rb") as file:
        while found := file.readlines(STRETCH):
            yield number, found
            number += len(found)


def _joined(results: Iterator[Batch | Reject]) -> Iterator[Batch | Reject]:
    """One batch for each source and table, as if the stretches were one."""
    groups: dict[tuple[str, str, bool], list[Batch]] = {}
    for result in results:
        if isinstance(result, Reject):
            yield result
        else:
            groups.setdefault((result.source, result.table, result.aside), []).append(result)
    # one list may fill several exports (users and deleted users), so it is open or closed for all of them
    told = [(c, left) for batches in groups.values() for b in batches for c, left in b.chains.items()]
    closed = {c for c, left in told if not left}
    for (_, table, _), batches in groups.items():
        yield _one(table, batches, closed)


def _one(table: str, batches: list[Batch], closed: set[str]) -> Batch:
    last = batches[-1]
    said = dict.fromkeys(b.message for b in batches if b.message)
    chains = {c: c not in closed for b in batches for c in b.chains}
    left = any(chains.values())
    complete = None if last.complete is None else not left
    seen = [b.observed_at for b in batches if b.observed_at]
    frames = [schema.frame(table, b.rows) for b in batches] if table else []
    return replace(
        last,
        rows=pd.concat(frames, ignore_index=True) if frames else (),
        complete=complete,
        next_link=left,
        chains=chains,
        message="; ".join(said),
        observed_at=max(seen, default=None),
    )
