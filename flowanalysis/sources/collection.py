"""The manifest of a collection: what of it is not there, and what its reader must know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from flowanalysis.sources.base import Batch, Document, Reject

SOURCE = "collection"
MANIFEST = "manifest.json"
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


def changed(manifest: Path) -> dict[str, str]:
    """Files of a sealed collection that are not what its manifest says, with what is wrong, in words.

    A line that was lost on the way, or a file that was left behind, must not pass for a smaller tenant.
    """
    try:
        told = _mapping(orjson.loads(manifest.read_bytes()))
    except (OSError, ValueError):
        return {}  # the reader of the document says so
    if told.get("format") != FORMAT or told.get("sealed") is not True:
        return {}
    entries = [_mapping(e) for e in _mapping(told.get("collections")).values()]
    found = {e["file"]: _difference(manifest.parent, e) for e in entries if isinstance(e.get("file"), str)}
    return {file: what for file, what in found.items() if what}


def _difference(folder: Path, entry: Mapping[str, Any]) -> str:
    path = folder / entry["file"]
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return "is not there, though the manifest of the collection names it"
    size = path.stat().st_size
    if size != entry.get("bytes"):
        return f"has {size:,} bytes, though the collection wrote {entry.get('bytes')}: rows may be missing"
    with path.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == entry.get("sha256")
    return "" if same else "was changed after it was collected"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
