"""Pages: is this one, where is the next, and its line on disk."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson

from flowanalysis.collect.keys import Keys
from flowanalysis.collect.limits import Malformed
from flowanalysis.errors import HonestStop, RefusedRequest

__all__ = [
    "Seen",
    "Trail",
    "check_page",
    "check_record",
    "following",
    "gap",
    "glimpse",
    "line",
    "link_names",
    "relative",
    "rows_of",
    "with_rows",
]

BARREN = 1000  # pages in a row without a row that is new: no honest list goes on like this
# links that all programs read alike
CLEAR = re.compile(r"(?i)https?://[^/?#]|/(?!/)|//[^/]|\?|[\w$%(.][^:/?#]*([/?]|$)")
LINK = re.compile(rb'"(?:@odata\.)?nextLink"\s*:\s*("(?:[^"\\]|\\.)*")')
NEAR = 4096  # bytes at either end of a page in which its link is looked for
Row = dict[str, Any]


def check_page(answer: Any) -> None:
    """Raise ``Malformed`` unless the answer is a page: an object whose ``value`` is a list of objects."""
    if not isinstance(answer, dict):
        raise Malformed("a page that is not an object")
    rows = answer.get("value", answer.get("data") if "totalRecords" in answer else None)
    if answer.get("error") is not None:
        raise Malformed("an error inside an answer that says success")
    if not isinstance(rows, Keys) and not (isinstance(rows, list) and {dict}.issuperset(map(type, rows))):
        raise Malformed("a page without a list of rows")
    if not all(isinstance(answer[name], str | None) for name in link_names(answer)):
        raise Malformed("a link to the next page that is not text")


def check_record(answer: Any) -> None:
    """Raise ``Malformed`` unless the answer is one record."""
    if not isinstance(answer, dict) or "error" in answer or not (answer.get("name") or answer.get("id")):
        raise Malformed("an answer that is not the record asked for")


def link_names(page: Mapping[str, Any]) -> list[str]:
    """The keys that lead to the next page: ``nextLink``, with ``@``, ``odata.`` or in another case before and in it."""
    return [name for name in page if name.lower().endswith("nextlink")]


def following(page: Mapping[str, Any], url: str) -> str | None:
    """The address of the next page as the server wrote it; the transport checks where it leads.

    Raises
    ------
    RefusedRequest
        When the link can be read in more than one way, or there are two that differ.
    """
    links = {page[name] for name in link_names(page) if page[name]}
    if not links:
        return None
    target = links.pop()
    try:
        joined = urljoin(url, target)
        scheme = urlsplit(target).scheme
    except ValueError:
        raise RefusedRequest("A link to the next page that cannot be read was offered; it is not requested") from None
    if links or (not CLEAR.match(target) and scheme in ("", "http", "https")):
        raise RefusedRequest("A link to the next page that can be read in two ways was offered; it is not requested")
    return joined


def glimpse(content: bytes, url: str) -> str | None:
    """The link to the next page as it seems to stand in the bytes of a page, near their start or their end.

    A guess to be held against `following` once the page is read; None where none is seen.

    >>> glimpse(b'{"@odata.nextLink": "https://graph.example/v1.0/users?$skiptoken=2", "value": []}', "https://x.example/")
    'https://graph.example/v1.0/users?$skiptoken=2'
    """
    found = LINK.search(content[:NEAR]) or LINK.search(content, max(0, len(content) - NEAR))
    try:
        return following({"nextLink": orjson.loads(found[1])}, url) if found else None
    except (ValueError, RefusedRequest):
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
        mark = hashlib.blake2b(place.partition("#")[0].encode(), digest_size=16).digest()
        if mark in self.marks:
            raise HonestStop("The server links back to a page that was already read; the list would never end")
        if len(self.marks) >= self.limit:
            raise HonestStop(f"The list did not end after {self.limit:,} pages")
        self.marks.add(mark)


@dataclass
class Seen:
    """Rows met so far, by id: doubles and contradictions at page borders are counted, not guessed.

    An id is kept as a 64 bit hash. Whether a row that comes again says the same is asked only when one does: then
    checksums of all rows are taken from the disk once, and of every row from there on.
    """

    key: str
    marks: set[int] = field(default_factory=set)
    checks: dict[int, int] | None = None
    duplicates: int = 0
    conflicts: int = 0
    barren: int = 0

    def keep(self, rows: list[Row], earlier: Callable[[], Iterable[list[Row]]] = tuple) -> list[Row]:
        """Rows without those met before exactly as they are; differing copies stay, the last one wins.

        `earlier` gives the rows of every page before. The very list comes back when all its rows stay.

        Raises
        ------
        HonestStop
            When page after page brings nothing new.
        """
        if self.fresh([row.get(self.key) for row in rows]):
            return rows
        if self.checks is None and rows:
            self._compare(earlier())
        known = len(self.checks or ())
        kept = [row for row in rows if self._differs(row)]
        self._bore(len(self.checks or ()) > known or not all(isinstance(row.get(self.key), str) for row in kept))
        return rows if len(kept) == len(rows) else kept

    def fresh(self, keys: list[Any]) -> bool:
        """Note the keys of a page's rows; False when `keep` must see the rows themselves: one may have come before."""
        if self.checks is not None or not keys:
            return False
        names = keys if isinstance(keys, Keys) else [key for key in keys if isinstance(key, str)]
        known = len(self.marks)
        self.marks.update(map(hash, map(str.lower, names)))
        if len(self.marks) < known + len(names):
            return False
        self.barren = 0
        return True

    def _bore(self, something: bool) -> None:
        self.barren = 0 if something else self.barren + 1
        if self.barren >= BARREN:
            raise HonestStop(f"{BARREN:,} pages in a row brought nothing new; the list would never end")

    def recall(self, earlier: Callable[[], Iterable[list[Row]]]) -> None:
        """Rows of the pages that an earlier run left."""
        if not all(self.fresh([row.get(self.key) for row in rows]) for rows in earlier() if rows):
            self._compare(earlier())

    def _compare(self, earlier: Iterable[list[Row]]) -> None:
        counted = self.duplicates, self.conflicts
        self.checks, self.marks = {}, set()
        for rows in earlier:
            for row in rows:
                self._differs(row)
        self.duplicates, self.conflicts = counted

    def _differs(self, row: Row) -> bool:
        """Note a row; False when it was met before exactly so."""
        name = row.get(self.key)
        if self.checks is None or not isinstance(name, str):
            return True
        mark, check = hash(name.lower()), zlib.crc32(orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
        before = self.checks.get(mark)
        self.checks[mark] = check
        self.duplicates += before == check
        self.conflicts += before not in (None, check)
        return before != check


def line(request: str, page: Row, *, observed: str, text: bytes | None = None) -> tuple[bytes, ...]:
    """One line of a collection, in parts: the request and its page, in the server's own bytes where `text` has them.

    `followed` says that the page's link was followed, or that a later line of the same file tells why it was not.
    """
    head: Row = {"request": request, "observed_at": observed}
    if any(page[name] for name in link_names(page)):
        head["followed"] = True
    if text is None:
        return (orjson.dumps({**head, "body": page}, option=orjson.OPT_APPEND_NEWLINE),)
    if b"\n" in text or b"\r" in text:  # between the values: inside a text JSON writes them as escapes
        text = text.replace(b"\r", b" ").replace(b"\n", b" ")
    return orjson.dumps(head)[:-1] + b',"body":', text, b"}\n"  # a page is long: it is not copied into its line


def rows_of(page: Row) -> list[Row] | None:
    """The rows of a page, under whichever name; None for one record."""
    rows = page.get("value", page.get("data"))
    return rows if isinstance(rows, list) else None


def with_rows(page: Row, rows: list[Row]) -> Row:
    """A page with other rows; the very page when they are its own."""
    name = "value" if "value" in page else "data"
    return page if page.get(name) is rows else {**page, name: rows}


def gap(request: str, reason: str, *, observed: str, status: int | None) -> bytes:
    """A line that says what is missing here, so that a file alone never passes for whole."""
    body = {"error": {"code": "NotCollected", "message": reason}}
    value = {"request": re.sub(r"(skiptoken|deltatoken)=[^&]*", r"\1=…", request), "observed_at": observed}
    return orjson.dumps({**value, "status": status or 0, "body": body}, option=orjson.OPT_APPEND_NEWLINE)
