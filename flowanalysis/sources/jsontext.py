"""Text of exports: encodings, and the JSON family with everything that files do to it.

One object, an array, JSON Lines, objects glued ``}{``, with or without byte order mark. Strict: NaN, doubled keys,
absurd nesting and broken text are refused with a name, because the rest could not be trusted.
"""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

import orjson

from flowanalysis.errors import BrokenExport, RefusedInput
from flowanalysis.sources import torn
from flowanalysis.sources.base import Reject

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ESCAPED_COLON = re.compile(r"\\u003a", re.IGNORECASE)
SAMPLE = 50


def decoded(data: bytes, *, name: str) -> tuple[str, tuple[str, ...]]:
    """Bytes as text and what must be said about it.

    By byte order mark, else strict UTF-8, else UTF-16 when every other byte is zero, else cp1252 with a note.

    Raises
    ------
    BrokenExport
        When a byte order mark lies, or zero bytes stand in 8-bit text.
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding, name), ()
    half = data[:4096]
    odd, even = half[1::2].count(0), half[::2].count(0)
    if odd > len(half) * 0.3 and not even:
        return _strict(data, "utf-16-le", name), ("read as UTF-16 without a byte order mark",)
    if even > len(half) * 0.3 and not odd:
        return _strict(data, "utf-16-be", name), ("read as UTF-16 without a byte order mark",)
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data" and error.start:
            return data[: error.start].decode("utf-8"), ("it ends in the middle of a letter",)
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise BrokenExport("neither UTF-8 nor Windows-1252 text", where=name, remedy="Export it as UTF-8") from None
    if "\x00" in text:
        raise BrokenExport("zero bytes inside the text", where=name, remedy="Export it as UTF-8")
    return text, ("not UTF-8; read as Windows-1252, so check names with accents",)


def _strict(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.start and ("end of data" in error.reason or "truncated" in error.reason):
            return _strict(data[: error.start], encoding, name)  # cut in the middle of a letter
        what = f"not {encoding.upper()} although it begins so (byte {error.start:,})"
        raise BrokenExport(what, where=name, remedy="Export it again as UTF-8") from None


def roots(text: str, *, name: str) -> tuple[list[Any], list[Reject]]:
    """Every top-level value of a JSON text, and the lines that could not be read.

    Raises
    ------
    BrokenExport
        When nothing can be read, or a key stands twice in one object.
    RefusedInput
        When it is nested beyond reason.
    """
    raw = text.encode("utf-8", "surrogatepass")
    try:
        found = [orjson.loads(raw)]
        rejects: list[Reject] = []
    except orjson.JSONDecodeError as error:
        found, rejects = _several(text, name, error)
    _check_keys(text, raw, found, name)
    return found, rejects


def _several(text: str, name: str, error: orjson.JSONDecodeError) -> tuple[list[Any], list[Reject]]:
    """Lines, else glued objects."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > 1 and _reads(lines[0][1]):
        return _lines(lines)
    return _glued(text, name, error)


def _reads(line: str) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _lines(lines: list[tuple[int, str]]) -> tuple[list[Any], list[Reject]]:
    found, rejects = [], []
    for number, line in lines:
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            cut = " (the last line: the export was cut)" if number == lines[-1][0] else ""
            rejects.append(Reject("", f"line {number}", f"not JSON{cut}: {error}"))
    return found, rejects


def _glued(text: str, name: str, why: orjson.JSONDecodeError) -> tuple[list[Any], list[Reject]]:
    """Objects that follow one another without separator, each strict JSON; the last may be torn."""
    scanner = json.JSONDecoder(parse_int=str)  # only to find the ends; a number may have a million digits
    at, made = 0, []
    while (at := torn.skip(text, at)) < len(text):
        try:
            value, end = scanner.raw_decode(text, at)
            if not isinstance(value, (dict, list)):
                raise json.JSONDecodeError("text after the end", text, at)
            made.append(orjson.loads(text[at:end].encode("utf-8", "surrogatepass")))
        except RecursionError:
            raise _nested(name) from None
        except (json.JSONDecodeError, orjson.JSONDecodeError) as error:
            mended = torn.mend(text, at)
            if mended is None:
                raise _broken(name, error, done=len(made)) from None
            return _mended(text, name, made, mended)
        at = end
    if not made:
        raise _broken(name, why)
    return made, []


def _mended(text: str, name: str, made: list[Any], mended: torn.Torn) -> tuple[list[Any], list[Reject]]:
    """The records before the tear, strict JSON each, and what is lost."""
    try:
        value = orjson.loads(json.dumps(mended.value, allow_nan=False))
    except (ValueError, RecursionError) as error:
        raise _broken(name, error, done=len(made)) from None
    place, rest = (len(t.encode("utf-8", "surrogatepass")) for t in (text[: mended.start], text[mended.start :]))
    lost = (
        f"not complete: the export was cut here. {mended.records:,} records before it were kept, {rest:,} bytes and "
        "all that should follow are lost. Export it again"
    )
    return [*made, value], [Reject("", f"record {mended.records + 1:,}, byte {place:,}", lost)]


def _broken(name: str, error: Exception, *, done: int = 0) -> BrokenExport | RefusedInput:
    if "recursion" in str(error).lower():
        return _nested(name)
    after = f" after {done:,} complete objects" if done else ""
    return BrokenExport(
        f"not complete, strict JSON{after}: {error}",
        where=name,
        remedy="The export was cut, or another tool changed it: export it again",
    )


def _nested(name: str) -> RefusedInput:
    return RefusedInput("nested beyond reason", where=name, remedy="No export is nested like this")


def _check_keys(text: str, raw: bytes, found: list[Any], name: str) -> None:
    """Refuse doubled keys, of which every parser keeps one in silence.

    What was read has a colon fewer for each key that got lost, so that the slow search is needed only then.
    """
    try:
        kept = sum(orjson.dumps(root).count(b":") for root in found)
    except orjson.JSONEncodeError:  # the one thing that was read and cannot be written: more than 254 levels
        raise _nested(name) from None
    if raw.count(b":") <= kept and not ESCAPED_COLON.search(text):
        return
    for line in [text] if len(found) == 1 else text.splitlines():
        try:
            json.loads(line, object_pairs_hook=lambda pairs: _unique(pairs, name))
        except (ValueError, RecursionError):
            continue  # a line that was set aside already


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [k for k, _ in pairs]
        twice = next(k for k in keys if keys.count(k) > 1)
        raise BrokenExport(f"the key {twice!r} stands twice in one object", where=name, remedy="Export it again")
    return made


def sample(path: Path) -> list[Any]:
    """The first rows of a large file of JSON Lines or of one large array, the beginning of one page; else nothing."""
    with path.open("rb") as file:
        head = file.read(2**22)
    text = head.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        return _first(text[1:], between=",")
    lines = text.split("\n")[:-1][:SAMPLE]
    if lines and all(map(_is_row, lines)):
        return [orjson.loads(line) for line in lines if line.strip()]
    return _page(text)


def _page(text: str) -> list[Any]:
    """The beginning of one page, which is one object however long it is."""
    if not text.startswith("{"):
        return []
    if _reads(text):
        root = orjson.loads(text)
    else:
        mended = torn.mend(text)
        root = mended.value if mended else {}
    return [{**root, "value": root["value"][:SAMPLE]}] if isinstance(root.get("value"), list) else []


def _is_row(line: str) -> bool:
    return not line.strip() or (line.lstrip().startswith("{") and _reads(line))


def _first(text: str, *, between: str) -> list[Any]:
    scanner, at = json.JSONDecoder(), 0
    found: list[Any] = []
    while len(found) < SAMPLE:
        at = torn.skip(text, at)
        try:
            row, at = scanner.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        found.append(row)
        at = torn.skip(text, at)
        if text[at : at + 1] != between:
            break
        at += 1
    return found
