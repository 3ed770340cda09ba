"""Pages of one list in their order, the next one under way while the last is still being checked and written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from flowanalysis.collect import pages
from flowanalysis.collect.transport import Answer, Call, Transport

__all__ = ["walk"]

Page = tuple[str, Future[bytes]]
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
    """At most two pages: the one that is worked on and the one after it, so that a stop costs no more than these.

    A thread that has received a page goes straight on to the next one, while the page is read by who took it.
    """

    def __init__(
        self,
        transport: Transport,
        ask: Callable[[str], Call],
        glimpse: Callable[[bytes, str], str | None],
        pool: ThreadPoolExecutor,
    ) -> None:
        self.transport, self.ask, self.glimpse, self.pool = transport, ask, glimpse, pool
        self.coming: dict[str, Future[bytes]] = {}
        self.glimpsed: dict[str, str] = {}
        self.lock = threading.Lock()

    def take(self, place: str) -> Answer:
        """The page of an address; the one before it is done with."""
        with self.lock:
            self._keep(place)
            self._ask_for(self._claim(place))
            self._ask_for(self._behind(place))
        return self.transport.fetch(self.ask(place), received=self.coming[place].result())

    def begin(self, place: str) -> None:
        """Ask for a page, unless it is under way."""
        with self.lock:
            self._ask_for(self._claim(place))

    def drop(self) -> None:
        """Let go of everything that has not begun."""
        with self.lock:
            self._keep("")

    def _ask_for(self, page: Page | None) -> None:
        if page is not None:
            self.pool.submit(self._receive, page)

    def _receive(self, page: Page | None) -> None:
        """Receive a page, then the one behind it, as long as they are wanted."""
        while page is not None and self.coming.get(page[0]) is page[1]:
            place, promised = page
            try:
                content = self.transport.receive(self.ask(place))
                guess = self.glimpse(content, place)
            except BaseException as problem:  # told to who takes the page; nobody else may ever know of it
                promised.set_exception(problem)
                return
            with self.lock:
                if guess is not None and place in self.coming:
                    self.glimpsed[place] = guess
                page = self._behind(place)
            promised.set_result(content)

    def _claim(self, place: str | None) -> Page | None:
        """A page that is not under way, which it is from now on."""
        if place is None or place in self.coming:
            return None
        return place, self.coming.setdefault(place, Future())

    def _behind(self, place: str) -> Page | None:
        """The page glimpsed behind another, if there is room for it."""
        return self._claim(self.glimpsed.get(place)) if len(self.coming) < 2 else None

    def _keep(self, place: str) -> None:
        for other in [p for p in self.coming if p != place]:
            del self.coming[other]
            self.glimpsed.pop(other, None)
