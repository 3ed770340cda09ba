"""Pages of one list in their order, the next one under way while the last is still being checked and written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from flowanalysis.collect import pages
from flowanalysis.collect.transport import Answer, Call, Transport

__all__ = ["walk"]

Walked = tuple[str, Answer, str | None]  # address, page, address of the next


def walk(
    transport: Transport,
    start: str,
    *,
    ask: Callable[[str], Call],
    follow: Callable[[Answer, str], str | None],
    glimpse: Callable[[bytes, str], str | None],
) -> Iterator[Walked]:
    """Pages from `start` on: (address, page, address of the next).

    The next page is asked for as soon as its link is seen in the bytes of the last. That is a guess until the whole
    page is read: a page that was asked for wrongly is dropped, and goes nowhere.

    Parameters
    ----------
    ask, follow, glimpse : function
        The call for an address; the address after a page, None after the last; the same as a guess from its bytes.

    Raises
    ------
    HonestStop, RefusedRequest
        As a call does, and when the list goes in a circle.
    """
    trail = pages.Trail(transport.limits.pages)
    with ThreadPoolExecutor(2, thread_name_prefix="collect") as pool:
        under_way = _UnderWay(transport, ask, glimpse, pool)
        place: str | None = start
        try:
            while place is not None:
                trail.visit(place)
                answer = under_way.take(place)
                following = follow(answer, place)
                if following is not None:
                    under_way.begin(following)
                yield place, answer, following
                place = following
        except KeyboardInterrupt:
            transport.halt()  # else the way out waits for a page that waits for its server
            raise
        finally:
            under_way.drop()


class _UnderWay:
    """At most two pages: the one that is worked on and the one after it, so that a stop costs no more than these."""

    def __init__(
        self,
        transport: Transport,
        ask: Callable[[str], Call],
        glimpse: Callable[[bytes, str], str | None],
        pool: ThreadPoolExecutor,
    ) -> None:
        self.transport, self.ask, self.glimpse, self.pool = transport, ask, glimpse, pool
        self.coming: dict[str, Future[Answer]] = {}
        self.glimpsed: dict[str, str] = {}
        self.lock = threading.RLock()

    def take(self, place: str) -> Answer:
        """The page of an address; the one before it is done with."""
        with self.lock:
            self._keep(place)
            self.begin(place)
            self._look_ahead(place)
        return self.coming[place].result()

    def begin(self, place: str) -> None:
        """Ask for a page, unless it is under way."""
        with self.lock:
            if place not in self.coming:
                self.coming[place] = self.pool.submit(self._fetch, place)

    def drop(self) -> None:
        """Let go of everything that has not begun."""
        with self.lock:
            self._keep("")

    def _fetch(self, place: str) -> Answer:
        call = self.ask(place)
        return self.transport.fetch(call, seen=lambda content: self._glimpse(content, place))

    def _glimpse(self, content: bytes, place: str) -> None:
        following = self.glimpse(content, place)
        with self.lock:
            if following is not None and place in self.coming:
                self.glimpsed[place] = following
                self._look_ahead(place)

    def _look_ahead(self, place: str) -> None:
        if place in self.glimpsed and len(self.coming) < 2:
            self.begin(self.glimpsed[place])

    def _keep(self, place: str) -> None:
        for other in [p for p in self.coming if p != place]:
            self.coming.pop(other).cancel()
            self.glimpsed.pop(other, None)
