"""Rows of a document as plain records, whatever it was: JSON values, pages, or cells of a sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from flowanalysis.sources.base import Document

Row = Mapping[str, Any]
# Cells that mean nothing; the inventory of the admin centre prints an en dash where a value does not apply.
NOTHING = {"", "\u2013", "\u2014"}


def records(document: Document, *, first: int | None = None) -> list[Row]:
    """Every object of the document, or the first ones; of a sheet every row without its empty cells."""
    if document.sheet is not None:
        lines = document.sheet.iloc[:first].to_dict("records")
        return [{str(k).strip(): v for k, v in line.items() if filled(v)} for line in lines]
    return list(islice(_objects(document.roots or document.sample), first))


def filled(value: Any) -> bool:
    """True when a cell says something."""
    return isinstance(value, str) and value.strip() not in NOTHING


def _objects(values: Any) -> Iterator[Row]:
    for value in values:
        if isinstance(value, list):
            yield from _objects(value)
        elif isinstance(value, Mapping) and isinstance(value.get("value"), (list, Mapping)):
            yield from _objects([value["value"]])
        elif isinstance(value, Mapping):
            yield value


def keys(document: Document, *, first: int = 20) -> frozenset[str]:
    """Keys that the first records share at least once, or the headers of a sheet; lower case."""
    if document.sheet is not None:
        return frozenset(str(c).strip().lower() for c in document.sheet.columns)
    found = set()
    for row in records(document, first=first):
        found |= {str(k).lower() for k in row}
    return frozenset(found)


def folded(row: Row) -> dict[str, Any]:
    """The record with lower-case keys."""
    return {str(k).strip().lower(): v for k, v in row.items()}
