"""How long a solver may go on, and where its time went."""

from __future__ import annotations

import time


class Clock:
    """Seconds left until a deadline, and seconds per stage.

    Parameters
    ----------
    seconds : float
        From now; infinity for no deadline.
    """

    def __init__(self, seconds: float = float("inf")) -> None:
        self.last = time.monotonic()
        self.until = self.last + seconds
        self.stages: dict[str, float] = {}
        self.stopped = False

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.until - time.monotonic())

    def keep_going(self) -> bool:
        """Whether any time is left."""
        return time.monotonic() < self.until

    def stop(self) -> None:
        """Leave no time: somebody wants the best so far."""
        self.until = float("-inf")
        self.stopped = True

    def part(self, share: float) -> Clock:
        """A clock for a part of the work, with a share of the time that is left."""
        return Clock(self.left() * share)

    def stage(self, name: str) -> None:
        """End a stage: what passed since the one before is booked under `name`."""
        now = time.monotonic()
        self.stages[name] = self.stages.get(name, 0.0) + round(now - self.last, 6)
        self.last = now
