"""Folders of many small pages, each in a file of its own: those that are alike go through the database together.

They are written as the lines of one file, which the bulk path reads. A page in which anything is unusual is left to
the careful way, and so are all of them when the bulk path cannot judge one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from flowanalysis import schema
from flowanalysis.sources import bulk, bulksql
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.files import MIDDLE
from flowanalysis.sources.merge import certainly_unique

FEW = 20
"""Files of one folder from which it pays."""
PROBES = 5
"""Files of a folder that are looked at before all of them are read."""
SHOWN = 3
"""Rows of a page by which its kind is told; the keys of all are looked at."""
ESCAPED_COLON = re.compile(rb"\\u003a", re.IGNORECASE)
File = tuple[Path, str]


class _Page(NamedTuple):
    """A page on its way into the file of its bunch; `open` when a link to a further page is left."""

    file: File
    line: bytes
    root: Mapping[str, Any]
    plan: bulk.Plan
    seen: str
    chain: str
    open: bool


@dataclass(frozen=True)
class Bunch:
    """Pages of one kind that show the same keys: their files, and the document that holds all of them."""

    files: tuple[File, ...]
    document: Document
    plan: bulk.Plan


def bunches(found: Sequence[File], workspace: Path) -> Iterator[Bunch]:
    """The bunches among some files, folder by folder.

    Parameters
    ----------
    found : sequence of (Path, str)
        Files with the names to show.
    workspace : Path
        Folder for the files of lines; the caller removes it.
    """
    folders: dict[Path, list[File]] = {}
    for path, name in found:
        folders.setdefault(path.parent, []).append((path, name))
    for files in folders.values():
        if len(files) >= FEW and any(map(_page, files[:: max(1, len(files) // PROBES)])):
            yield from _of_folder(files, workspace)


def _of_folder(files: Sequence[File], workspace: Path) -> Iterator[Bunch]:
    kept: dict[tuple[Any, ...], list[_Page]] = {}
    places: dict[tuple[Any, ...], Path] = {}
    for page in filter(None, map(_page, files)):
        key = (page.plan.kind, page.plan.form, page.plan.keys, page.seen)
        place = places.setdefault(key, workspace / f"bunch-{len(list(workspace.iterdir()))}")
        with place.open("ab") as out:
            out.write(page.line + b"\n")
        few = page.root if len(kept.get(key, ())) < FEW else {}
        kept.setdefault(key, []).append(page._replace(line=b"", root=few))
    for key, pages in kept.items():
        mine = _whole(pages, places[key])
        if len(mine) >= FEW:
            name = f"{mine[0].file[1]} and {len(mine) - 1:,} more of the same list"
            sample = tuple(p.root for p in mine if p.root)
            document = Document(name, "lines", path=places[key], sample=sample)
            yield Bunch(tuple(p.file for p in mine), document, mine[0].plan)


def _whole(pages: list[_Page], place: Path) -> list[_Page]:
    """The pages without the lists of which the last page is missing: the log must name the file of each."""
    closed = {p.chain for p in pages if not p.open}
    kept = [not p.chain or p.chain in closed for p in pages]
    if all(kept):
        return pages
    lines = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(b"".join(line for line, keep in zip(lines, kept, strict=True) if keep))
    return [page for page, keep in zip(pages, kept, strict=True) if keep]


def _page(file: File) -> _Page | None:
    """A file as a page that the bulk path can read; None for all others."""
    path = file[0]
    if path.stat().st_size > MIDDLE:
        return None
    data = path.read_bytes()
    if not data.startswith(b"{"):
        return None
    try:
        root = orjson.loads(data)
        line = orjson.dumps(root)
    except orjson.JSONDecodeError:
        return None
    envelope = "request" in root and "body" in root
    body = root["body"] if envelope else root
    rows = body.get("value") if isinstance(body, dict) else None
    # a colon fewer is a key that stood there twice; without rows, with an error or a status the careful way tells more
    strange = line.count(b":") != data.count(b":") or ESCAPED_COLON.search(data) or root.get("followed")
    if strange or not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
        return None
    if body.get("error") or root.get("status") not in (None, 200):
        return None
    shown = {**body, "value": rows[:SHOWN]}
    shown = {**root, "body": shown} if envelope else shown
    found = _plan(shown, rows)
    if found is None:
        return None
    chain = str(root["request"]).split("?", 1)[0] if envelope else ""
    seen = str(root.get("observed_at") or "")[:10] if envelope else ""
    return _Page(file, line, shown, found, seen, chain, bool(body.get("@odata.nextLink") or body.get("nextLink")))


def _plan(shown: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bulk.Plan | None:
    found = bulk.plan(Document("", "lines", sample=(shown,)))
    if found is None:
        return None
    keys = set().union(*rows)
    if keys & found.family.never:
        return None
    telling = (key.partition(".") for key in _telling(found.kind))
    shows = (outer + dot + key for outer, dot, key in telling if outer in keys and (not key or _any(rows, outer, key)))
    return replace(found, layout="newline_delimited", keys=frozenset(shows))


def _any(rows: Sequence[Mapping[str, Any]], outer: str, key: str) -> bool:
    return any(key in inner for row in rows if isinstance(inner := row.get(outer), dict))


@cache
def _telling(kind: str) -> frozenset[str]:
    """Keys of which the family asks whether an export shows them: pages that differ in one are not alike."""
    family = bulk.FAMILIES[kind]
    asked = {key for sql in (family.base, *(r.sql for r in family.results)) for key in bulksql.SHOWN.findall(sql)}
    for result in family.results:
        asked |= result.needs | {key for key, _ in result.messages}
    return frozenset(asked)


def read(bunch: Bunch) -> list[Batch] | None:
    """The batches of a bunch; None when its files must be read one by one, so that each can be named."""
    results = bulk.read(bunch.document, found=bunch.plan)
    if results is None or any(isinstance(r, Reject) for r in results):
        return None
    made = [replace(b, rows=schema.frame(b.table, b.rows)) for b in results if isinstance(b, Batch)]
    return made if all(_plain(b) for b in made) else None


def _plain(batch: Batch) -> bool:
    """True when every row has its key, and no two rows tell differently about the same thing."""
    frame, key = schema.frame(batch.table, batch.rows), list(schema.table(batch.table).key)
    if frame[key].isna().any(axis=None):
        return False
    return batch.aside or batch.table in {"memberships", "licences"} or certainly_unique(frame, key)
