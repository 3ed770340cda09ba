"""The shape that the rows of a list have had so far, and pages of that shape read several times as fast.

A page of a million users is decoded strictly only to be checked: what goes to the disk are the server's own bytes.
Rows are therefore read into compiled records once their shape is known. Nothing is skipped: a column, a kind of value
or a depth that was not met before does not fit, and its page is read the ordinary way, which widens the shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any, Union

import msgspec

from flowanalysis.collect import body

__all__ = ["Keys", "Reader", "Shape"]

DEPTH, COLUMNS, CHANGES = 8, 200, 30  # beyond these a list has no shape worth compiling
ENVELOPE = ("@odata.context", "@odata.nextLink", "@odata.deltaLink")
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
PLAIN = {type(None): None, bool: bool, str: str, int: Whole}


class Keys(list[Any]):
    """The keys of the rows of a page, in place of the rows: all else in them was checked and let go."""


class _Strange(Exception):
    """A value that no shape holds: a fraction, whose digits could run to infinity, or one too deep or too wide."""


@dataclass
class Shape:
    """Kinds of values met at one place."""

    kinds: set[type] = field(default_factory=set)
    items: Shape | None = None
    members: dict[str, Shape] = field(default_factory=dict)

    def learn(self, value: Any, depth: int = DEPTH) -> None:
        """Widen the shape so that it holds a value."""
        kind = type(value)
        if not depth or kind not in (*PLAIN, list, dict):
            raise _Strange
        self.kinds.add(kind)
        if kind is list:
            self.items = self.items or Shape()
            for item in value:
                self.items.learn(item, depth - 1)
        elif kind is dict:
            for name, item in value.items():
                self.members.setdefault(name, Shape()).learn(item, depth - 1)
            if len(self.members) > COLUMNS:
                raise _Strange

    def compiled(self) -> Any:
        """The type of all values of this shape, and of no others."""
        made: list[Any] = [PLAIN[kind] for kind in PLAIN if kind in self.kinds]
        if list in self.kinds:
            made.append(list[self.items.compiled() if self.items and self.items.kinds else None])  # type: ignore[misc]
        if dict in self.kinds:
            made.append(self.record())
        return Union[tuple(made)]  # noqa: UP007 - the members are known only now

    def record(self) -> type[msgspec.Struct]:
        """An object with some of the members met, and no others."""
        columns = [
            (f"c{number}", shape.compiled(), msgspec.field(default=None, name=name))
            for number, (name, shape) in enumerate(self.members.items())
        ]
        return msgspec.defstruct("Record", columns, forbid_unknown_fields=True, gc=False)


class Reader:
    """Reads the pages of one list; ``parse`` stands in for `body.parse`.

    Parameters
    ----------
    key : str
        The column by which rows are known.
    """

    def __init__(self, key: str) -> None:
        self.key, self.shape, self.changes = key, Shape(), 0
        self._page: msgspec.json.Decoder[Any] | None = None
        self._keys = attrgetter("c0")

    def parse(self, content: bytes) -> tuple[Any, bytes | None]:
        """What `body.parse` says of the bytes; `Keys` stand for rows whose shape is known."""
        if self._page is not None:
            try:
                page = self._page.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
            else:
                links = zip(ENVELOPE, (page.e0, page.e1, page.e2), strict=True)
                told = {name: link for name, link in links if link is not None}
                return {**told, "value": Keys(map(self._keys, page.value))}, content
        value, text = body.parse(content)
        if self.changes < CHANGES and text is not None:
            self._learn(value)
        return value, text

    def _learn(self, page: Any) -> None:
        """Take a page's rows into the shape, where they are rows at all."""
        rows = page.get("value") if isinstance(page, dict) else None
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            return
        self.changes += 1
        try:
            self.shape.members.setdefault(self.key, Shape({type(None)}))
            for row in rows:
                self.shape.learn(row)
            self._page = msgspec.json.Decoder(_page_of(self.shape.record()))
        except (_Strange, TypeError, ValueError):
            self.changes, self._page = CHANGES, None


def _page_of(row: type[msgspec.Struct]) -> type[msgspec.Struct]:
    links = [(f"e{n}", str | None, msgspec.field(default=None, name=name)) for n, name in enumerate(ENVELOPE)]
    return msgspec.defstruct("Page", [("value", list[row]), *links], forbid_unknown_fields=True, gc=False)  # type: ignore[valid-type]
