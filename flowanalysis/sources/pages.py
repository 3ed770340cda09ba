"""Answers of web APIs as exports keep them: pages, arrays of pages, single objects, lines with their request.

Accepted forms, alone, in arrays or one a line:

* a page ``{"value": [...], "@odata.context"?, "@odata.nextLink"? | "nextLink"?}``,
* a line of the collector ``{"request": "<URL>", "body": <page or object>, "status"?, "observed_at"?}``; ids that a
  body does not repeat (the group of a member list, the flow of its permissions) are read from the request,
* the answer of a ``$batch`` call ``{"responses": [{"id", "status", "body"}]}``, where ``id`` may be the URL,
* a parent with its children ``{"groupId": "...", "members": [...], "owners"?: [...]}``,
* bare rows, as ``m365 … --output json`` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import unquote

from flowanalysis.sources.base import Document
from flowanalysis.sources.values import fold, moment, segment, text

Row = Mapping[str, Any]
KEY = re.compile(r"\('[^']*'\)")
CALL = re.compile(r"(\w+)\('([^']*)'\)")
CHILDREN = ("members", "owners", "transitiveMembers")


@dataclass(frozen=True)
class Page:
    """Rows that were answered together.

    Attributes
    ----------
    rows : list
        What stands in ``value``, or the single object.
    place : str
        Where in the file, such as ``page 3``.
    context : str
        Text of ``@odata.context``, decoded.
    request : str
        URL asked for, as far as told; the next link stands in for it.
    next_link : bool
        A link to a further page is there.
    single : bool
        The answer is one object, so that it says nothing about a whole collection.
    bare : bool
        Rows without anything around them, which cannot tell whether they are all.
    status : int or None
        HTTP status, where told.
    error : str
        Code and message when the answer is an error.
    """

    rows: tuple[Any, ...]
    place: str = ""
    context: str = ""
    request: str = ""
    next_link: bool = False
    single: bool = False
    bare: bool = False
    status: int | None = None
    error: str = ""
    observed_at: datetime | None = None

    @cached_property
    def kind(self) -> str:
        """The collection that the context names, such as ``users`` or ``roleManagement/directory/roleAssignments``."""
        name = KEY.sub("", self.context.partition("$metadata#")[2]).partition("(")[0]
        return name.removesuffix("/$entity").removesuffix("/$delta").strip("/")

    @property
    def host(self) -> str:
        """Host of the context or of the request, lower case."""
        for url in (self.context, self.request):
            if "://" in url:
                return url.split("://", 1)[1].split("/", 1)[0].split(":", 1)[0].lower()
        return ""

    def about(self, name: str) -> str | None:
        """The id that follows `name` in the request, else in the context: "groups" in ``groups/{id}/members``."""
        return _about(self.request, name) or _about(CALL.sub(r"\1/\2", self.context.partition("$metadata#")[2]), name)


@lru_cache(maxsize=64)  # every row of a page asks the same
def _about(request: str, name: str) -> str | None:
    return segment(request.partition("://")[2] or request, name)


def pages(document: Document, *, limit: int | None = None) -> list[Page]:
    """The pages of a document; bare rows of the whole file make one page.

    Parameters
    ----------
    document : Document
        Of form json or lines (of which only the sample is seen).
    limit : int, optional
        Stop after so many top-level values: enough to recognise a shape.
    """
    roots = document.roots or document.sample
    found: list[Page] = []
    bare: list[Any] = []
    single = len(roots) == 1 and isinstance(roots[0], Mapping)
    for number, root in enumerate(_flat(roots), 1):
        if limit is not None and number > limit:
            break
        made = list(_pages(root, f"page {number}"))
        found.extend(made)
        if not made:
            bare.append(root)
    if bare:
        context = _context(bare[0]) if isinstance(bare[0], Mapping) else ""
        found.append(Page(tuple(bare), context=context, single=single, bare=not single))
    return found


def _flat(roots: tuple[Any, ...]) -> Iterator[Any]:
    for root in roots:
        if isinstance(root, list):
            yield from root
        else:
            yield root


def _pages(root: Any, place: str) -> Iterator[Page]:
    """Pages of one top-level value; nothing when it is a bare row."""
    if not isinstance(root, Mapping):
        return
    if "request" in root and "body" in root:
        yield _page(root["body"], place, request=_url(root["request"]), envelope=root)
    elif isinstance(root.get("responses"), list):
        for answer in root["responses"]:
            if isinstance(answer, Mapping) and "status" in answer:
                url = _url(answer.get("url") or answer.get("id"))
                yield _page(answer.get("body"), f"{place}, answer {answer.get('id')}", request=url, envelope=answer)
    elif isinstance(root.get("value"), (list, Mapping)) or isinstance(root.get("error"), Mapping):
        yield _page(root, place)
    elif "groupId" in root and any(isinstance(root.get(c), list) for c in CHILDREN):
        for name in CHILDREN:
            if isinstance(root.get(name), list):
                found = tuple({"id": row} if isinstance(row, str) else row for row in root[name])
                yield Page(found, place, bare=True, request=f"groups/{root['groupId']}/{name}")


def _page(body: Any, place: str, *, request: str = "", envelope: Row | None = None) -> Page:
    envelope = envelope or {}
    common: dict[str, Any] = {"place": place, "request": request, "observed_at": _observed(envelope)}
    status = envelope.get("status")
    common["status"] = status if isinstance(status, int) else None
    if not isinstance(body, Mapping):
        rows = tuple(body) if isinstance(body, list) else ()
        return Page(rows, error="" if _fine(common["status"]) else f"status {status}", **common)
    if isinstance(body.get("error"), Mapping) or not _fine(common["status"]):
        return Page((), error=_error(body, common["status"]), **common)
    following = text(body.get("@odata.nextLink")) or text(body.get("nextLink"))
    common["request"] = request or _url(following)
    common["context"] = _context(body)
    told = body.get("value")
    if isinstance(told, (list, Mapping)):  # PowerShell writes a list of one as the one
        rows = (told,) if isinstance(told, Mapping) else tuple(told)
        return Page(rows, next_link=bool(following) and not envelope.get("followed"), **common)
    return Page((body,), single=True, **common)


def _context(body: Row) -> str:
    return unquote(text(body.get("@odata.context")) or "")


def _fine(status: int | None) -> bool:
    return status is None or 200 <= status < 300


def _url(value: Any) -> str:
    return unquote(text(value) or "")


def _observed(envelope: Row) -> datetime | None:
    try:
        return moment(envelope.get("observed_at"))
    except ValueError:
        return None


def _error(body: Row, status: int | None) -> str:
    found = body.get("error")
    error: Row = found if isinstance(found, Mapping) else {}
    message = error.get("message")
    if isinstance(message, Mapping):  # SharePoint wraps the text with its language
        message = message.get("value")
    words = [str(w) for w in (status, error.get("code"), message) if w]
    return " ".join(words)[:200] or "an error answer"


def newest(found: list[Page]) -> datetime | None:
    """The newest time at which a page says that it was collected."""
    times = [p.observed_at for p in found if p.observed_at]
    return max(times) if times else None


def same(one: Any, other: Any) -> bool:
    """True when both are the same id."""
    return fold(one) is not None and fold(one) == fold(other)
