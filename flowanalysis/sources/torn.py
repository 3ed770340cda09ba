"""What is left of a JSON export that was cut while it was written: the complete records before the tear.

Only a text that ends inside its last value counts as torn. Anything else that is no JSON was changed rather than cut,
and nothing in it can be trusted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BLANK = " \t\r\n\x1e"
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[\[\]{}]', re.DOTALL)
DEEP = 8  # values inside one another that may be torn: an array of envelopes of pages of rows with lists


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise json.JSONDecodeError("a key stands twice", "", 0)
    return made


SCANNER = json.JSONDecoder(object_pairs_hook=_once)


@dataclass(frozen=True)
class Torn:
    """The value without what is not complete.

    Attributes
    ----------
    value : object
        The value, closed after its last complete record.
    records : int
        Complete objects in the array in which the tear is.
    start : int
        Character at which the incomplete record begins.
    """

    value: Any
    records: int
    start: int


def mend(text: str, at: int = 0) -> Torn | None:
    """The value that begins at a place of a torn text; None when no complete record is in it.

    >>> mend('{"value":[{"id":1},{"id":2},{"i')
    Torn(value={'value': [{'id': 1}, {'id': 2}]}, records=2, start=28)
    """
    if not _torn(text, at):
        return None
    found = _mended(text, skip(text, at), DEEP)
    return found if found is not None and found.records else None


def skip(text: str, at: int) -> int:
    """The next place that is no blank."""
    while at < len(text) and text[at] in BLANK:
        at += 1
    return at


def _torn(text: str, at: int) -> bool:
    """True when the text ends before the value that begins at `at` is closed."""
    depth = 0
    for found in TOKEN.finditer(text, at):
        if found[0] in "[{":
            depth += 1
        elif found[0] in "]}":
            depth -= 1
            if depth == 0:
                return False
    return True


def _mended(text: str, at: int, deep: int) -> Torn | None:
    if deep and text[at : at + 1] == "[":
        return _array(text, at + 1, deep)
    return _object(text, at + 1, deep) if deep and text[at : at + 1] == "{" else None


def _array(text: str, at: int, deep: int) -> Torn:
    """The complete elements; of the last one what can be kept, if it holds records itself."""
    made: list[Any] = []
    while True:
        start = at = skip(text, at)
        try:
            value, at = SCANNER.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            break
        at = skip(text, at)
        if text[at : at + 1] != "," and not isinstance(value, (dict, list)):
            break  # a number or a word may go on after the tear
        made.append(value)
        start = at
        if text[at : at + 1] != ",":
            break
        at += 1
    inner = _mended(text, start, deep - 1)
    if inner is not None and inner.records:
        return Torn([*made, inner.value], inner.records, inner.start)
    return Torn(made, sum(isinstance(v, Mapping) for v in made), start)


def _object(text: str, at: int, deep: int) -> Torn | None:
    """The complete members, and the last one if it holds records; without any it is itself the record torn."""
    made: dict[str, Any] = {}
    while True:
        at = skip(text, at)
        try:
            key, at = SCANNER.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            return None
        at = skip(text, at)
        if text[at : at + 1] != ":" or not isinstance(key, str) or key in made:
            return None
        at = skip(text, at + 1)
        try:
            made[key], at = SCANNER.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            inner = _mended(text, at, deep - 1)
            return Torn({**made, key: inner.value}, inner.records, inner.start) if inner and inner.records else None
        at = skip(text, at)
        if text[at : at + 1] != ",":
            return None
        at += 1
