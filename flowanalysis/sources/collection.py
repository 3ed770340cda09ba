"""The manifest of a collection: what of it is not there, and what its reader must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowanalysis.sources.base import Batch, Document, Reject

SOURCE = "collection"
FORMAT = "flowanalysis collection"
WHOLE = {"complete", "absent"}
SHOWN = 20  # sentences of one manifest in the log; the manifest has all


def recognise(document: Document) -> str | None:
    """A manifest, by the format that it names."""
    if document.form != "json" or len(document.roots) != 1 or not isinstance(document.roots[0], Mapping):
        return None
    return "manifest of a collection" if document.roots[0].get("format") == FORMAT else None


def read(document: Document) -> Iterator[Batch | Reject]:
    """One line of the log, and one reject for each list that is not whole."""
    manifest = document.roots[0]
    said: list[str] = [str(w) for w in _list(manifest.get("warnings"))]
    for name, entry in _mapping(manifest.get("collections")).items():
        entry = _mapping(entry)
        said += [f"{name}: {warning}" for warning in _list(entry.get("warnings"))]
        if entry.get("state") not in WHOLE:
            yield Reject("", str(name), f"not collected as a whole: {entry.get('reason') or 'no reason given'}")
    for name, reason in _mapping(manifest.get("unfinished")).items():
        yield Reject("", str(name), f"not collected yet: {reason}. Give the same command again to go on")
    message = "; ".join(said[:SHOWN])
    yield Batch(source=SOURCE, table="", rows=(), complete=manifest.get("complete") is True, message=message)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
