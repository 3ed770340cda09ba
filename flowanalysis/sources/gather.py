"""What a reader holds while it walks through one document: rows per table, rejects, completeness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from flowanalysis.sources.base import Batch, Reject
from flowanalysis.sources.pages import Page


class Gather:
    """Collects one document's rows and yields them as batches, one per source, table and ``aside``.

    Parameters
    ----------
    family : str
        Family of the export, the first word of every source.
    variables : mapping, optional
        Values of environment variables by environment and name, for the definitions in the document.
    """

    def __init__(self, family: str, *, variables: Mapping[str, Mapping[str, object]] | None = None) -> None:
        self.family = family
        self.variables = variables or {}
        self._rows: dict[tuple[str, str, bool], list[Mapping[str, Any]]] = defaultdict(list)
        self._open: dict[str, bool] = {}
        self._chains: dict[str, dict[str, None]] = defaultdict(dict)
        self._single: dict[str, bool] = {}
        self._bare: set[str] = set()
        self._messages: dict[str, dict[str, None]] = defaultdict(dict)
        self._rejects: list[Reject] = []
        self._observed: datetime | None = None

    def add(self, table: str, row: Mapping[str, Any] | None, export: str, *, aside: bool = False) -> None:
        """One row; None is no row."""
        if row is not None:
            self._rows[self._source(export), table, aside].append(row)

    def expect(self, table: str, export: str) -> None:
        """The table counts as collected even when no row follows."""
        self._rows[self._source(export), table, False]

    def reject(self, table: str, record: str, reason: str) -> None:
        """One record set aside."""
        self._rejects.append(Reject(table, record, reason))

    def say(self, export: str, message: str) -> None:
        """A sentence for the collection log; once per document."""
        self._messages[self._source(export)][message] = None

    def page(self, page: Page, export: str, *, chain: str = "") -> None:
        """Note whether the page was the last of its chain, and when it was collected."""
        source = self._source(export)
        # one list may fill several exports (users and deleted users), so it is open or closed for all of them
        self._open[chain] = page.next_link and self._open.get(chain, True)
        self._chains[source][chain] = None
        self._single[source] = page.single and self._single.get(source, True)
        if page.bare:
            self._bare.add(source)
        if page.observed_at and (self._observed is None or page.observed_at > self._observed):
            self._observed = page.observed_at

    def batches(self) -> Iterator[Batch | Reject]:
        """Everything gathered."""
        sources = {s for s, _, _ in self._rows}
        for (source, table, aside), rows in self._rows.items():
            chains = self._chains[source]
            left = [c for c in chains if self._open[c]]
            yield Batch(
                source=source,
                table=table,
                rows=rows,
                complete=self._complete(source, bool(left)),
                next_link=bool(left),
                message="; ".join(self._messages[source]),
                chains={c: self._open[c] for c in chains},
                aside=aside,
                observed_at=self._observed,
            )
        for source, said in self._messages.items():
            if source not in sources:
                yield Batch(source=source, table="", rows=(), message="; ".join(said), observed_at=self._observed)
        yield from self._rejects

    def _complete(self, source: str, left: bool) -> bool | None:
        if left or self._single.get(source):
            return False
        return None if source in self._bare or not self._chains[source] else True

    def _source(self, export: str) -> str:
        return f"{self.family} {export}".strip()
