"""Time as a thing that can be handed in, so that tests need not wait."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

__all__ = ["Clock"]


class Clock:
    """The machine's clock; a test hands in one whose `sleep` only moves the hands."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def jitter(self) -> float:
        """A number from 0.5 to 1 that keeps many clients from coming back at once."""
        return 0.5 + random.random() / 2
