"""Collections: their manifest, what of them is not there, and one line of the log for a list in many files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
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


def lists(log: Sequence[Mapping[str, Any]], chains: Mapping[int, Mapping[str, bool]]) -> dict[int, tuple[str, ...]]:
    """Line of the log -> the list that it is about, for lists whose pages lie in several files of one folder.

    Parameters
    ----------
    log : sequence of mappings
        Rows of ``collection_log``, before links to further pages are followed from file to file.
    chains : mapping
        Line of the log to the collections in it, each with whether it goes on elsewhere.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for number, entry in enumerate(log):
        told = chains.get(number, {})
        if len(told) == 1:
            folder = entry["file"].rpartition("/")[0]
            found.setdefault((entry["source"], entry["table"], folder, *told), []).append(number)
    several = {k: n for k, n in found.items() if len(n) > 1 and any(any(chains[m].values()) for m in n)}
    return {number: key for key, numbers in several.items() for number in numbers}


def one_line_each(log: Sequence[dict[str, Any]], lists: Mapping[int, tuple[str, ...]]) -> list[dict[str, Any]]:
    """The log with one line for each list, where its first page stood; the others as they are."""
    pages: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for number, entry in enumerate(log):
        pages.setdefault(lists.get(number, (str(number),)), []).append(entry)
    return [found[0] if len(found) == 1 else _one_line(found) for found in pages.values()]


def _one_line(pages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    whole = [p["complete"] for p in pages]
    seen = [p["observed_at"] for p in pages if p["observed_at"]]
    said = dict.fromkeys(p["message"] for p in pages if p["message"])
    return {
        **pages[0],
        "file": f"{pages[0]['file']} and {len(pages) - 1:,} more of the same list",
        "rows": sum(p["rows"] for p in pages),
        "duplicates": sum(p["duplicates"] for p in pages),
        "complete": False if False in whole else None if None in whole else True,
        "next_link": any(p["next_link"] for p in pages),
        "observed_at": max(seen, default=None),
        "message": "; ".join(said),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
