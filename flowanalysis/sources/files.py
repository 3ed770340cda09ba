"""Files as they lie on a disk: told apart by their content, decoded, and handed on as documents.

The order is: first bytes (gzip, zip, SQLite, Parquet), byte order mark, then the first character: ``{`` or ``[``
is JSON, everything else a table in text. File names and endings decide nothing.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from flowanalysis.errors import BrokenExport, InputError, NothingToLoad, RefusedInput
from flowanalysis.sources import archives, jsontext, sheets
from flowanalysis.sources.base import Document, Reject

LARGE = 32 * 2**20
"""Bytes from which JSON Lines, pages and tables stay on disk for the database to read."""
MIDDLE = 4 * 2**20
"""The same where many files together are large."""
WHOLE = 4 * 2**30
"""Bytes that are decoded at most when a file cannot be read line by line."""
UNPACKED = 8 * 2**30
RATIO = 500  # text of a million equal rows packs about 1:200; a bomb 1:1000
SQLITE = b"SQLite format 3\x00"
PARQUET = b"PAR1"
GZIP = b"\x1f\x8b"
GZIP_FORM = 16 + zlib.MAX_WBITS


def threshold(paths: Iterable[Path]) -> int:
    """Bytes from which a file stays on disk, when so many are read together: many of a middle size are large too."""
    return LARGE if sum(p.stat().st_size for p in paths) < LARGE else min(LARGE, MIDDLE)


def found(paths: Iterable[str | Path]) -> Iterator[tuple[Path, str]]:
    """Files with the names to show; hidden ones are no exports."""
    places = [Path(p) for p in paths]
    for place in places:
        if place.is_file():
            yield place, place.name
        elif place.is_dir():
            prefix = f"{place.name}/" if len(places) > 1 else ""
            for path in sorted(p for p in place.rglob("*") if p.is_file()):
                inner = path.relative_to(place)
                if not any(part.startswith((".", "~$")) for part in inner.parts):
                    yield path, f"{prefix}{inner.as_posix()}"
        else:
            raise NothingToLoad("there is no such file or folder", where=str(place), remedy="Check the path")


def documents(path: Path, *, name: str, workspace: Path, large: int | None = None) -> Iterator[Document | InputError]:
    """The documents of one file; an archive gives several.

    Parameters
    ----------
    path : Path
        File to read.
    name : str
        Name to show.
    workspace : Path
        Folder for what must lie on disk while it is read; the caller removes it.
    large : int, optional
        Bytes from which a file stays on disk, from `threshold`.

    Yields
    ------
    Document or InputError
        An error for one member does not stop the others.
    """
    try:
        yield from _open(path, name, workspace, LARGE if large is None else large)
    except InputError as error:
        yield error
    except OSError as error:
        yield BrokenExport(f"cannot be opened ({error.strerror})", where=name, remedy="Check the file's permissions")


def _open(path: Path, name: str, workspace: Path, large: int) -> Iterator[Document | InputError]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip():
        raise BrokenExport("the file is empty", where=name, remedy="Export it again")
    if head.startswith(GZIP):
        place, entire = _unpacked(path, name, workspace)
        if entire:
            yield from _open(place, name.removesuffix(".gz"), workspace, large)
        else:
            yield from map(_shortened, _open(place, name, workspace, large))
    elif archives.is_zip(head):
        yield from _archive(path, name, workspace)
    elif head.startswith(SQLITE):
        yield Document(name, "sqlite", path=path)
    elif head.startswith(PARQUET):
        yield Document(name, "parquet", path=path)
    elif size > large and (sample := jsontext.sample(path)):
        yield Document(name, "lines", path=path, sample=tuple(sample))
    elif size > large and (first := sheets.head(path, name=name)) is not None:
        yield Document(name, "sheet", path=path, sheet=first)
    elif size > WHOLE:
        raise RefusedInput(f"more than {WHOLE // 2**30} GB in one piece", where=name, remedy="Export as JSON Lines")
    else:
        yield decode(path.read_bytes(), name=name)


def whole(document: Document) -> Document:
    """A document that stayed on disk decoded in full, for readers that need every row at once."""
    if document.path is None:
        raise ValueError("only a document on disk can be decoded again")
    if document.path.stat().st_size > WHOLE:
        raise RefusedInput(f"more than {WHOLE // 2**30} GB of this kind", where=document.name, remedy="Split the file")
    return replace(decode(document.path.read_bytes(), name=document.name), variables=document.variables)


def decode(data: bytes, *, name: str) -> Document:
    """JSON or a table in text, by its first character.

    Raises
    ------
    BrokenExport, RefusedInput
        When the text cannot be decoded to its end, or must not be.
    """
    text, notes = jsontext.decoded(data, name=name)
    if text.lstrip()[:1] in {"{", "["}:
        roots, rejects = jsontext.roots(text, name=name)
        return Document(name, "json", roots=tuple(roots), notes=notes, rejects=tuple(rejects))
    sheet, rejects, said = sheets.read_text(text, name=name)
    return Document(name, "sheet", sheet=sheet, notes=notes + said, rejects=tuple(rejects))


def _unpacked(path: Path, name: str, workspace: Path) -> tuple[Path, bool]:
    """The content of a gzip file, in the workspace, and whether it is all there."""
    limit = min(UNPACKED, max(path.stat().st_size * RATIO, 2**24))
    place = workspace / f"unpacked-{len(list(workspace.iterdir()))}"
    with path.open("rb") as packed, place.open("wb") as out:
        return place, _inflate(packed, out, name=name, limit=limit)


def _inflate(packed: IO[bytes], out: IO[bytes], *, name: str, limit: int) -> bool:
    """Unpack as much as there is; False when the file ends before its content does."""
    engine, written = zlib.decompressobj(GZIP_FORM), 0
    try:
        while data := packed.read(2**20):
            while data:
                written += out.write(engine.decompress(data, 2**24))
                if written > limit:
                    raise RefusedInput("grows out of proportion when unpacked", where=name, remedy="Unpack it yourself")
                data = engine.unused_data.lstrip(b"\0") if engine.eof else engine.unconsumed_tail
                if engine.eof and data:
                    engine = zlib.decompressobj(GZIP_FORM)  # another file was packed behind the first
    except zlib.error as error:
        raise BrokenExport(f"the gzip file is damaged ({error})", where=name, remedy="Export it again") from None
    return engine.eof


def _shortened(document: Document | InputError) -> Document | InputError:
    """A document of a gzip file that ends too early: what is there is read, and it says so."""
    what = "the gzip file ends before its content does: the export was cut. Export it again"
    if isinstance(document, InputError):
        return document
    return replace(document, notes=(*document.notes, what), rejects=(*document.rejects, Reject("", "its end", what)))


def _archive(path: Path, name: str, workspace: Path) -> Iterator[Document | InputError]:
    found: dict[str, dict[str, bytes]] = {}
    for member, data in archives.members(path, name=name):
        outer, _, inner = member.rpartition(archives.SEPARATOR)
        found.setdefault(outer, {})[inner] = data
    for outer, inside in found.items():
        if sheets.is_workbook(inside):
            yield from _sheets(inside, outer)
        elif is_package(inside):
            yield Document(outer, "package", members=inside)
        else:
            for inner, data in inside.items():
                yield from _member(data, f"{outer}{archives.SEPARATOR}{inner}", workspace)


def _member(data: bytes, name: str, workspace: Path) -> Iterator[Document | InputError]:
    """One file of an archive, as if it lay on disk."""
    try:
        if not data.strip():
            return
        if archives.is_zip(data):  # a workbook: zips were unfolded before
            inside = {n.rpartition(archives.SEPARATOR)[2]: d for n, d in archives.members(data, name=name)}
            yield from _sheets(inside, name)
        elif data.startswith(GZIP):
            content = io.BytesIO()  # never a part of it: the rest would be missing in silence
            entire = _inflate(io.BytesIO(data), content, name=name, limit=LARGE)
            unpacked = _member(content.getvalue(), name, workspace)
            yield from unpacked if entire else map(_shortened, unpacked)
        elif data.startswith((SQLITE, PARQUET)):
            place = workspace / f"member-{len(list(workspace.iterdir()))}"
            place.write_bytes(data)
            yield Document(name, "sqlite" if data.startswith(SQLITE) else "parquet", path=place)
        else:
            yield decode(data, name=name)
    except InputError as error:
        yield error


def _sheets(inside: dict[str, bytes], name: str) -> Iterator[Document]:
    for title, sheet, rejects in sheets.read_workbook(inside, name=name):
        yield Document(f"{name}{archives.SEPARATOR}{title}", "sheet", sheet=sheet, rejects=tuple(rejects))


def is_package(inside: dict[str, bytes]) -> bool:
    """True for the files of a solution or of a flow package, in any case of their names."""
    names = [n.lower() for n in inside]
    solution = any(n.rsplit("/", 1)[-1] in {"solution.xml", "customizations.xml"} for n in names)
    flows = any("microsoft.flow/flows/" in n for n in names)
    return flows or solution or any(n.startswith("workflows/") and n.endswith(".json") for n in names)
