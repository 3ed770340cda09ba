"""``m365 … --output csv`` and other CSV with the names of the APIs' own properties.

The rows are those of the APIs with only their plain properties, so the readers of the APIs read them. In such files an
empty cell may be *no* or *not asked for*: it stays not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowanalysis.sources import graph, powerplatform
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.records import records
from flowanalysis.sources.values import flag

SOURCE = "m365cli"
# Columns, spelled as in the API, that tell whose rows these are.
MARKS = (
    ({"name", "type", "id"}, powerplatform),
    ({"id", "userPrincipalName"}, graph),
    ({"id", "displayName", "groupTypes"}, graph),
    ({"id", "displayName", "mailEnabled", "securityEnabled"}, graph),
    ({"id", "appId", "servicePrincipalType"}, graph),
)
FLAGS = ("accountEnabled", "mailEnabled", "securityEnabled", "isAssignableToRole", "onPremisesSyncEnabled")
PARTIAL = "CSV has only some plain properties; use --output json for all"


def recognise(document: Document) -> str | None:
    """Rows of an API as CSV."""
    found = _reader(document)
    words = found.recognise(_as_rows(document)) if found else None
    return f"{words} (CSV)" if words else None


def _reader(document: Document) -> Any:
    if document.sheet is None:
        return None
    columns = set(document.sheet.columns)
    return next((reader for marks, reader in MARKS if marks <= columns), None)


def read(document: Document) -> Iterator[Batch | Reject]:
    """What the reader of the API makes of the rows."""
    for result in _reader(document).read(_as_rows(document)):
        if isinstance(result, Batch):
            result = replace(result, message="; ".join(filter(None, (result.message, PARTIAL))))
        yield result


def _as_rows(document: Document) -> Document:
    return Document(document.name, "json", roots=([_row(r) for r in records(document)],))


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {k: v for k, v in record.items() if k not in FLAGS}
    row |= {k: told for k in FLAGS if (told := flag(record.get(k))) is not None}
    if "groupTypes" in row:
        row["groupTypes"] = [w.strip(' "[]') for w in str(row["groupTypes"]).split(",") if w.strip(' "[]')]
    return row
