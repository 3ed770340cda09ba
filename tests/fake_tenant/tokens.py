"""A sign-in and a clock for tests."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from flowanalysis.collect.clock import Clock


class FakeTokens:
    """Gives ``canary-<scope>-<number>``; the number grows when another is asked for."""

    unattended = True

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.claims: list[str] = []
        self.asked: list[str] = []

    def token(self, scope: str, *, refresh: bool = False, claims: str | None = None) -> str:
        self.asked.append(scope)
        if claims:
            self.claims.append(claims)
        if refresh or claims:
            self.numbers[scope] = self.numbers.get(scope, 1) + 1
        return f"canary-{scope}-{self.numbers.get(scope, 1)}"


class FakeClock(Clock):
    """Sleeping moves the hands at once; the time of day stands unless time is slept away."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.sleeps: list[float] = []
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def now(self) -> datetime:
        return datetime(2026, 10, 31, 12, tzinfo=UTC) + timedelta(seconds=self.slept)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept += seconds
            self.sleeps.append(seconds)

    def jitter(self) -> float:
        return 0.75
