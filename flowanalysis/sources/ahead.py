"""Documents understood ahead of their turn: a large file is read while the rows of the one before it are finished.

The database has all processors for a file, and leaves them idle while its rows become columns. What was found is
told in the order of the files, so that nothing depends on which of two was read first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pyarrow as pa

from flowanalysis import schema
from flowanalysis.errors import InputError, UnknownExport
from flowanalysis.sources import lines
from flowanalysis.sources.base import Batch, Document, Reader, Reject
from flowanalysis.sources.pages import pages

AT_ONCE = 2
"""Large documents that are read at a time; each takes the memory of its rows."""


@dataclass(frozen=True)
class Understood:
    """A document, the shape that a reader recognised in it, and what that reader found; or why it cannot be read."""

    name: str
    shape: str = ""
    document: Document | None = None
    results: Sequence[Batch | Reject] = ()
    error: InputError | None = None


def understood(document: Document, readers: Sequence[Reader]) -> Understood:
    """What the first reader that knows a document finds in it; nothing but the document decides."""
    shape: str | None = None
    try:
        for reader in readers:
            if shape := reader.recognise(document):
                return Understood(document.name, shape, document, _results(document, reader))
    except InputError as error:
        return Understood(document.name, shape or "", document, error=error)
    return Understood(document.name, "", document, error=_unknown(document))


def _results(document: Document, reader: Reader) -> list[Batch | Reject]:
    results = lines.read(document, reader) if _is_large(document) else reader.read(document)
    return [_framed(r) if isinstance(r, Batch) else r for r in results]


def _framed(batch: Batch) -> Batch:
    rows = batch.rows
    return replace(batch, rows=schema.frame(batch.table, rows)) if isinstance(rows, pa.Table) else batch


def _is_large(document: Document) -> bool:
    return document.path is not None and document.form in {"lines", "sheet"}


def _unknown(document: Document) -> InputError:
    answers = pages(document, limit=5) if document.form == "json" else []
    if answers and all(a.error for a in answers):
        what = f"an error answer instead of data: {answers[0].error}"
        return UnknownExport(what, where=document.name, remedy="Export it again")
    remedy = "Leave it out, or export one of the shapes that `flowanalysis inspect` lists"
    return UnknownExport("no known export", where=document.name, remedy=remedy)


@dataclass
class Ahead:
    """Takes documents in the order of the files, and tells in this order what they were understood as.

    Parameters
    ----------
    readers : sequence of Reader
        In the order in which they are asked.
    tell : function
        Takes what was understood, always in the thread that calls.
    """

    readers: Sequence[Reader]
    tell: Callable[[Understood], None]
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))
    _waiting: deque[Future[Understood]] = field(default_factory=deque)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.finish()
        self._pool.shutdown(cancel_futures=True)

    def take(self, document: Document) -> None:
        """Understand a document, later if it is large."""
        if _is_large(document):
            self._wait(self._pool.submit(understood, document, self.readers))
        else:
            self._told(understood(document, self.readers))

    def refuse(self, name: str, error: InputError) -> None:
        """What cannot be read has its turn too."""
        self._told(Understood(name, error=error))

    def finish(self) -> None:
        """Tell everything that was taken."""
        while self._waiting:
            self.tell(self._waiting.popleft().result())

    def _told(self, found: Understood) -> None:
        done: Future[Understood] = Future()
        done.set_result(found)
        self._wait(done)

    def _wait(self, found: Future[Understood]) -> None:
        self._waiting.append(found)
        while self._waiting and (len(self._waiting) > AT_ONCE or self._waiting[0].done()):
            self.tell(self._waiting.popleft().result())
