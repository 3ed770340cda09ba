"""How much work a solver may do, how long it may take, and where its time went.

Work is counted in steps that depend on the data alone (iterations, nodes, sizes of products), so a search that ends
because its work is done ends at the same place on every machine. Seconds are a guard behind it; a search that ends
because of them says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class _Ledger:
    """What a clock and all its parts share."""

    spent: float = 0.0
    late: bool = False


class Clock:
    """Work and seconds left, and seconds per stage.

    Parameters
    ----------
    seconds : float
        From now; infinity for no deadline.
    work : float
        Units of about a microsecond each on an ordinary machine; infinity for no limit.
    """

    def __init__(self, seconds: float = float("inf"), work: float = float("inf"), *, ledger: _Ledger | None = None):
        self.last = time.monotonic()
        self.until = self.last + seconds
        self.ledger = ledger or _Ledger()
        self.most = self.ledger.spent + work
        self.stages: dict[str, float] = {}
        self.stopped = False

    @property
    def late(self) -> bool:
        """Whether seconds, not work, ended something: another run may come further."""
        return self.ledger.late

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.until - time.monotonic())

    def in_time(self) -> bool:
        """Whether any second is left; that one was asked in vain is remembered."""
        if time.monotonic() < self.until:
            return True
        self.ledger.late = True
        return False

    def keep_going(self) -> bool:
        """Whether any work and any second is left."""
        return self.ledger.spent < self.most and self.in_time()

    def spend(self, work: float) -> None:
        """Count work done."""
        self.ledger.spent += work

    def stop(self) -> None:
        """Leave no time: somebody wants the best so far."""
        self.until = float("-inf")
        self.stopped = self.ledger.late = True

    def part(self, share: float) -> Clock:
        """A clock for a part of the work, with a share of what is left."""
        return Clock(self.left() * share, max(0.0, self.most - self.ledger.spent) * share, ledger=self.ledger)

    def stage(self, name: str) -> None:
        """End a stage: what passed since the one before is booked under `name`."""
        now = time.monotonic()
        self.stages[name] = self.stages.get(name, 0.0) + round(now - self.last, 6)
        self.last = now
