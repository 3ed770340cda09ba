"""Pages: is this one, where is the next, and its line on disk."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson

from flowanalysis.collect.limits import Malformed
from flowanalysis.errors import HonestStop

__all__ = ["Seen", "Trail", "check_page", "check_record", "following", "gap", "line", "relative"]

LINKS = ("@odata.nextLink", "nextLink")


def check_page(answer: Any) -> None:
    """Raise ``Malformed`` unless the answer is a page: an object whose ``value`` is a list of objects."""
    if not isinstance(answer, dict):
        raise Malformed("a page that is not an object")
    rows = answer.get("value", answer.get("data") if "totalRecords" in answer else None)
    if "error" in answer and rows is None:
        raise Malformed("an error inside an answer that says success")
    if not isinstance(rows, list) or not all(type(row) is dict for row in rows):
        raise Malformed("a page without a list of rows")
    for name in LINKS:
        if not isinstance(answer.get(name), str | None):
            raise Malformed("a link to the next page that is not text")


def check_record(answer: Any) -> None:
    """Raise ``Malformed`` unless the answer is one record."""
    if not isinstance(answer, dict) or "error" in answer or not (answer.get("name") or answer.get("id")):
        raise Malformed("an answer that is not the record asked for")


def following(page: Mapping[str, Any], url: str) -> str | None:
    """The address of the next page as the server wrote it; the transport checks where it leads."""
    for name in LINKS:
        if page.get(name):
            return urljoin(url, page[name])
    return None


def relative(url: str) -> str:
    """An address without its origin."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


class Trail:
    """Addresses visited in one list; none twice, and not without end."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.marks: set[bytes] = set()

    def visit(self, place: str) -> None:
        """Note an address.

        Raises
        ------
        HonestStop
            When it was visited before, or the list is longer than any honest one.
        """
        mark = hashlib.blake2b(place.encode(), digest_size=16).digest()
        if mark in self.marks:
            raise HonestStop("The server links back to a page that was already read; the list would never end")
        if len(self.marks) >= self.limit:
            raise HonestStop(f"The list did not end after {self.limit:,} pages")
        self.marks.add(mark)


@dataclass
class Seen:
    """Rows met so far, by id: doubles and contradictions at page borders are counted, not guessed.

    An id is kept as a 64 bit hash with a checksum of the row: about 110 MB for a million rows.
    """

    key: str
    marks: dict[int, int] = field(default_factory=dict)
    duplicates: int = 0
    conflicts: int = 0

    def keep(self, rows: list[dict[str, Any]]) -> list[bytes]:
        """Rows as bytes, without those met before exactly as they are; differing copies stay, the last one wins."""
        marks, key, kept = self.marks, self.key, []
        for row in rows:
            text = orjson.dumps(row)
            name = row.get(key)
            if isinstance(name, str):
                mark, check = hash(name.lower()), zlib.crc32(text)
                before = marks.get(mark)
                if before is not None:
                    self.duplicates += before == check
                    self.conflicts += before != check
                    if before == check:
                        continue
                marks[mark] = check
            kept.append(text)
        return kept


def line(request: str, page: dict[str, Any], *, observed: str, seen: Seen | None = None) -> tuple[bytes, int]:
    """One line of a collection: the request and its page, and the number of rows that it brings.

    Rows met before are left out when `seen` is given. `followed` says that the page's link was followed, or that a
    later line of the same file tells why it was not.
    """
    name = "value" if "value" in page else "data"
    head: dict[str, Any] = {"request": request, "observed_at": observed}
    if any(page.get(link) for link in LINKS):
        head["followed"] = True
    if seen is None or not isinstance(page.get(name), list):
        rows = page.get(name)
        text = orjson.dumps({**head, "body": page}, option=orjson.OPT_APPEND_NEWLINE)
        return text, len(rows) if isinstance(rows, list) else 1
    kept = seen.keep(page[name])
    rest = orjson.dumps({k: v for k, v in page.items() if k != name})[:-1]
    start = orjson.dumps(head)[:-1]
    comma = b"," if len(rest) > 1 else b""
    return b'%s,"body":%s%s"%s":[%s]}}\n' % (start, rest, comma, name.encode(), b",".join(kept)), len(kept)


def gap(request: str, reason: str, *, observed: str, status: int | None) -> bytes:
    """A line that says what is missing here, so that a file alone never passes for whole."""
    body = {"error": {"code": "NotCollected", "message": reason}}
    value = {"request": re.sub(r"(skiptoken|deltatoken)=[^&]*", r"\1=…", request), "observed_at": observed}
    return orjson.dumps({**value, "status": status or 0, "body": body}, option=orjson.OPT_APPEND_NEWLINE)
