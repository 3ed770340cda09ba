"""What passes between files and readers: documents in, batches and rejects out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa


@dataclass(frozen=True)
class Reject:
    """One record set aside: where it was, what it would have been, why."""

    table: str
    record: str
    reason: str


@dataclass(frozen=True)
class Document:
    """One file, or one member of an archive, opened and decoded but not yet understood.

    Attributes
    ----------
    name : str
        Name shown to people, relative to the place given; members as ``export.zip!users.json``.
    form : str
        ``json`` (`roots` holds every top-level value), ``lines`` (JSON Lines too large to decode whole:
        `path` on disk and `sample`), ``sheet`` (`sheet` holds CSV or workbook cells, all text, headers as
        written; with a `path` as well it is a large table of which `sheet` holds the first rows),
        ``sqlite`` or ``parquet`` (`path`), ``package`` (`members`: the files of a solution or flow package).
    observed_at : datetime or None
        When the export was made as far as the file itself tells (UTC).
    variables : mapping
        Values of the tenant's environment variables: environment, then schema name in lower case.
    notes : tuple of str
        What the analyst must know about the decoding, such as a guessed encoding.
    rejects : tuple of Reject
        Lines and rows that could not be decoded; the rest is here.
    """

    name: str
    form: str
    roots: tuple[Any, ...] = ()
    sheet: pd.DataFrame | None = None
    path: Path | None = None
    sample: tuple[Any, ...] = ()
    members: Mapping[str, bytes] = field(default_factory=dict)
    variables: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    observed_at: datetime | None = None
    notes: tuple[str, ...] = ()
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Rows for one table out of one document.

    `rows` carry columns of the table only (``schema.frame`` refuses others); ids already lower-case.
    `source` is the family and, after a blank, the export: ``graph deleted users``. Trust goes by the family.
    `complete` is False when the document itself shows that more exists (`next_link`), None when it cannot tell.
    `chains` names the collections that the document is a part of, and whether a link to a further page was left over
    in each, so that a last page in another file closes it.
    `aside` marks rows found in passing, such as the maker's name beside a connection: they fill gaps, but the
    table does not count as collected, nor their identities as listed by the directory.
    A batch with the empty table name gives no rows, only a line in the collection log.
    """

    source: str
    table: str
    rows: Sequence[Mapping[str, Any]] | pd.DataFrame | pa.Table
    complete: bool | None = None
    next_link: bool = False
    message: str = ""
    chains: Mapping[str, bool] = field(default_factory=dict)
    aside: bool = False
    observed_at: datetime | None = None


class Reader(Protocol):
    """A family of exports. Modules of this room satisfy it with module-level names."""

    SOURCE: str

    def recognise(self, document: Document) -> str | None:
        """The shape's name in words when this family can read the document, by content only."""

    def read(self, document: Document) -> Iterator[Batch | Reject]:
        """Rows and rejects; never raises for a bad record."""
