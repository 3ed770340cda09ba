"""Stable ids and choices: the same seed and words give the same answer on every machine."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

DOMAIN = "tailwindtraders.example"
SPACE = uuid.uuid5(uuid.NAMESPACE_DNS, DOMAIN)


@dataclass(frozen=True)
class Ids:
    """Ids and choices of one demo tenant.

    Examples
    --------
    >>> Ids(1).guid("flow", "x") == Ids(1).guid("flow", "x") != Ids(2).guid("flow", "x")
    True
    """

    seed: int

    def guid(self, *parts: object) -> str:
        """A GUID for some words."""
        return str(uuid.uuid5(SPACE, "/".join(map(str, (self.seed, *parts)))))

    def number(self, limit: int, *parts: object) -> int:
        """A number below `limit` for some words."""
        digest = hashlib.sha256("/".join(map(str, (self.seed, *parts))).encode()).digest()
        return int.from_bytes(digest[:8], "big") % limit

    def when(self, day: str, *parts: object) -> str:
        """A time on that day, in working hours, UTC."""
        second = self.number(36_000, day, *parts) + 25_200
        return f"{day}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
