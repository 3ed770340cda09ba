"""Small shared readers of single values: ids, connectors, flags, times. None stands for *not known*."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flowanalysis import schema
from flowanalysis.schema.compact import CompactText
from flowanalysis.sources import hashes

UNTOLD = "(not told)"
"""Stands in a key where an export does not say whose row it is, such as a member list without its group."""

# Spreadsheets write the words of their own language when they save what they opened.
TRUE = {"true", "yes", "1", "$true", "wahr", "ja", "vrai", "oui", "verdadero", "vero", "waar", "sant", "sand"}
FALSE = {"false", "no", "0", "$false", "falsch", "nein", "faux", "non", "falso", "onwaar", "falskt", "falsk"}
# PowerShell 5.1 writes dates as milliseconds since 1970, with or without an offset.
SCRIPT_DATE = re.compile(r"^\\?/Date\((-?\d+)([+-]\d{4})?\)\\?/$")
ISO_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}(?:$|[T ]\d)")
# Services write these for "never": the first and last day of .NET, Dataverse's and SQL's zero.
NEVER = (1900, 9000)


def text(value: Any) -> str | None:
    """A scalar as text; None for nothing, for the empty text and for objects. ``"NA"`` and ``"null"`` stay.

    >>> text("NA"), text(12), text(""), text({"a": 1})
    ('NA', '12', None, None)
    """
    if isinstance(value, str):
        return value if value.strip() else None
    if value is None or isinstance(value, (Mapping, list, tuple)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def fold(value: Any) -> str | None:
    """An id as the house writes it: trimmed, lower case.

    >>> fold("Default-1E85 "), fold("00123")
    ('default-1e85', '00123')
    """
    found = text(value)
    return found.strip().strip("{}").lower() or None if found else None


def last(path: Any) -> str | None:
    """The last segment of an id path, folded.

    >>> last("/providers/Microsoft.PowerApps/scopes/admin/environments/e1/apis/shared_SQL")
    'shared_sql'
    """
    found = fold(path)
    return found.rstrip("/").rsplit("/", 1)[-1] or None if found else None


connector = last


def segment(path: Any, name: str) -> str | None:
    """The segment that follows `name` in an id path or URL path, folded.

    >>> segment("/providers/X/environments/Default-1/flows/F1/runs/R", "flows")
    'f1'
    """
    found = text(path)
    if not found:
        return None
    parts = found.split("?", 1)[0].strip("/").split("/")
    for here, following in zip(parts, parts[1:], strict=False):
        if here.lower() == name.lower():
            return fold(following)
    return None


def flag(value: Any) -> bool | None:
    """Yes, no or not known, from JSON or from the words that exports use.

    >>> flag("True"), flag(False), flag("maybe") is None
    (True, False, True)
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if value is not None else ""
    return True if word in TRUE else False if word in FALSE else None


def count(value: Any) -> int | None:
    """A whole number or None."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def items(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing for anything else."""
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def obj(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def dig(value: Any, *keys: str) -> Any:
    """The value under nested keys, None where any is missing."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def get(row: Mapping[str, Any], key: str) -> Any:
    """The value of a key in any case, as Dataverse, PowerShell and Data Connect disagree about it."""
    if key in row:
        return row[key]
    wanted = key.lower()
    return next((v for k, v in row.items() if k.lower() == wanted), None)


def moment(value: Any) -> datetime | None:
    """A time in UTC; None for nothing and for the sentinels that mean never.

    ISO 8601 with any number of fraction digits and any offset, ``/Date(ms)/``, or a datetime. A time without
    zone is taken as UTC. Days written in a country's order are refused: 03/04/2026 has two meanings.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> moment("2026-05-04T09:05:14.2414881Z").isoformat()
    '2026-05-04T09:05:14.241488+00:00'
    >>> moment("/Date(1700000000000)/").year, moment("9999-12-31T23:59:59.9999999Z") is None
    (2023, True)
    """
    if value is None or value is pd.NaT or (isinstance(value, str) and not value.strip()):
        return None
    found = value if isinstance(value, datetime) else _parse(str(value).strip())
    if not NEVER[0] < found.year < NEVER[1]:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _parse(word: str) -> datetime:
    if script := SCRIPT_DATE.match(word):
        # milliseconds are UTC already; the offset only says where they were written
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(script[1]))
    if not ISO_DATE.match(word):
        raise ValueError(f"{word[:40]!r} is not an ISO 8601 time; a country's own order of days is not guessed")
    if word[:4] in {"0001", "9999"}:
        return datetime(1, 1, 1)
    return datetime.fromisoformat(word.replace(" Z", "Z").replace("z", "Z"))


class Cell(NamedTuple):
    """A cell that was left empty: number of its row (from 0), column, why."""

    number: int
    column: str
    reason: str


def tidy(table: str, rows: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, list[Cell]]:
    """Rows as written by a reader, typed; times that cannot be read become NA and are told.

    Returns
    -------
    (frame, cells)
        The frame has every row; the cells are those that were left empty.
    """
    kinds = schema.table(table).kinds
    times = [c for c, k in kinds.items() if k == "time"]
    bad: list[Cell] = []
    frame = pd.DataFrame.from_records(list(rows), columns=_columns(rows)) if rows else pd.DataFrame()
    for column in times:
        if column in frame:
            frame[column] = pd.Series(_times(column, frame[column], bad), dtype=schema.TIME)
    return schema.frame(table, frame), bad


def among(values: pd.Series, wanted: pd.Series | pd.Index) -> np.ndarray:
    """Which texts are among the wanted ones; NA is not. On a million texts far faster than ``isin`` of pandas.

    >>> among(pd.Series(["a", None, "b"], dtype=schema.TEXT), pd.Index(["b"])).tolist()
    [False, False, True]
    """
    words, asked = wanted.array, values.array
    known = hashes.arrow(words.used().words if isinstance(words, CompactText) else words)
    if isinstance(asked, CompactText):
        if asked.words.equals(known):
            return asked.places >= 0
        return np.append(hashes.places(asked.words, known) >= 0, False)[asked.places]
    return hashes.places(hashes.arrow(asked), known) >= 0


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(k for row in rows for k in row))


def _times(column: str, values: pd.Series, bad: list[Cell]) -> list[datetime | None]:
    out: list[datetime | None] = []
    for number, value in enumerate(values):
        try:
            out.append(moment(None if value is pd.NA or value != value else value))
        except (ValueError, OverflowError) as error:
            out.append(None)
            bad.append(Cell(number, column, f"left empty: {error}. Export times as ISO 8601"))
    return out
