"""How long and how often a request is tried, and what makes it be tried again."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flowanalysis.collect.clock import Clock
from flowanalysis.collect.stops import Interrupted
from flowanalysis.errors import HonestStop

__all__ = ["Again", "Broken", "Budget", "Limits", "Malformed", "Slow", "Throttled", "asked_wait", "retry_after"]

FAR = 10 * 365 * 86_400.0  # seconds; whoever asks for more asks for no known time
SKEW = timedelta(hours=1)  # a server's own time is believed when it is no further than this from ours
COURTESY = 5  # so many times a server is taken at its word; then the pauses grow though it asks for short ones


@dataclass(frozen=True)
class Limits:
    """Bounds of one request.

    Attributes
    ----------
    deadline : float
        Seconds for one answer from the first byte sent to the last received.
    connect, silence : float
        Seconds to connect, and without any byte.
    body : int
        Largest decompressed body in bytes; one list of ten thousand environments is about 60 MB.
    ratio : int
        Largest expansion by compression.
    ceiling : float
        Longest Retry-After in seconds that is waited for; beyond it the collection stops and says when to return.
    patience : float
        Seconds that one request waits for a throttling server in all.
    broken, malformed, slow : int
        Tries of a request whose connection breaks or server fails, whose answer cannot be read, that drips.
    pages : int
        Pages of one list, against lists without end.
    checkpoint : float
        Seconds between checkpoints: what a crash may cost in work, never in data.
    """

    deadline: float = 120.0
    connect: float = 15.0
    silence: float = 60.0
    body: int = 128 << 20
    ratio: int = 200
    ceiling: float = 3600.0
    patience: float = 3600.0
    broken: int = 8
    malformed: int = 3
    slow: int = 2
    pages: int = 1_000_000
    checkpoint: float = 2.0


class Again(Exception):
    """The request may be sent again; never leaves this room."""

    wait: float | None = None


class Throttled(Again):
    """The server asks for patience; `wait` holds its seconds where it named them."""

    def __init__(self, text: str, wait: float | None) -> None:
        super().__init__(text)
        self.wait = wait


class Broken(Again):
    """The connection broke, or the server failed."""


class Malformed(Again):
    """The answer cannot be what was asked for."""


class Slow(Again):
    """The answer did not end in time."""


def asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the headers of an answer ask to wait: the longest where several do; None where none can be used.

    A date is held against our clock and against the server's own, whichever is earlier.

    >>> asked_wait({"Retry-After": "2", "x-ms-retry-after-ms": "2500"}, datetime(2026, 10, 31, tzinfo=UTC))
    2.5
    """
    theirs = _date(headers.get("Date", ""))
    if theirs is not None and abs(theirs - now) < SKEW:
        now = min(now, theirs)
    told = [retry_after(headers.get("Retry-After"), now)]
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = retry_after(headers.get(name), now)
        told.append(None if milliseconds is None else milliseconds / 1000)
    return max((seconds for seconds in told if seconds is not None), default=None)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds to wait as a server wrote them: a number, a date, several numbers, or nothing that can be used.

    >>> moment = datetime(2026, 10, 31, 12, tzinfo=UTC)
    >>> retry_after("2", moment), retry_after("0.249", moment), retry_after("-5", moment), retry_after("soon", moment)
    (2.0, 0.249, None, None)
    >>> retry_after("Sat, 31 Oct 2026 12:00:30 GMT", moment), retry_after("5, 7", moment)
    (30.0, 7.0)
    """
    if not header:
        return None
    when = _date(header)
    if when is not None:
        return min(FAR, max(0.0, (when - now).total_seconds()))
    told = [seconds for part in header.split(",") if (seconds := _number(part)) is not None]
    return max(told, default=None)


def _number(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(FAR, seconds) if math.isfinite(seconds) and seconds >= 0 else None


def _date(text: str) -> datetime | None:
    """A moment in the forms of HTTP or ISO 8601; None for anything else, a bare number among it."""
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            when = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return None


@dataclass
class Budget:
    """What one request may still cost; throttling is bounded by time, the rest by tries."""

    limits: Limits
    clock: Clock
    waited: float = 0.0
    steps: int = 0
    tries: dict[type, int] = field(default_factory=dict)

    def wait(self, again: Again, where: str) -> float:
        """Seconds to wait before the next try.

        Raises
        ------
        Interrupted
            When the server or the way to it does not recover; the data so far is good.
        HonestStop
            When the answer stays unreadable.
        """
        kind = type(again)
        self.tries[kind] = self.tries.get(kind, 0) + 1
        self.steps += 1
        pause = self._pause(again)
        if isinstance(again, Throttled):
            self._throttled(pause, where)
        else:
            self._spent(kind, again, where)
        self.waited += pause
        return pause

    def _pause(self, again: Again) -> float:
        grown = 2.0 ** min(6, self.steps - 1) * self.clock.jitter()
        if again.wait is None:
            return grown
        # never earlier than asked for; the jitter only adds
        asked = again.wait + max(0.1, self.clock.jitter() * min(1.0, again.wait / 10))
        return asked if self.steps <= COURTESY else max(asked, grown)

    def _throttled(self, pause: float, where: str) -> None:
        if pause > self.limits.ceiling or self.waited + pause > self.limits.patience:
            back = self.clock.now() + timedelta(seconds=pause)
            raise Interrupted(
                f"{where}: the server asks to wait {pause:,.0f} s. What was read is kept; "
                f"run the same command again after {back:%Y-%m-%d %H:%M} UTC",
                retry_at=back,
            )

    def _spent(self, kind: type[Again], again: Again, where: str) -> None:
        allowed = {Broken: self.limits.broken, Malformed: self.limits.malformed, Slow: self.limits.slow}[kind]
        if self.tries[kind] < allowed:
            return
        text = f"{where}: {again}, {allowed} times in a row"
        if kind is Malformed:
            raise HonestStop(f"{text}. Nothing of this answer is taken")
        raise Interrupted(f"{text}. What was read is kept; run the same command again to go on")
