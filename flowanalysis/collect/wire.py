"""Sessions of requests whose headers cannot drip for ever, and that carry no cookies and no retries of their own."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from flowanalysis.collect.clouds import origin
from flowanalysis.collect.limits import Slow

__all__ = ["session"]

AGENT = "NONISV|flowanalysis|flowanalysis/1.0"


def session(deadline: float) -> requests.Session:
    """A session for one thread; `deadline` in seconds bounds the wait for the headers of an answer."""
    made = _Session()
    made.headers.update({"User-Agent": AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"})
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        made.mount(scheme, _Adapter(deadline))
    return made


class _Session(requests.Session):
    """Reads the surroundings (proxies, certificates) once for each origin, and no ``.netrc`` at all.

    The ordinary session goes through every variable of the environment twice for each request.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self._surroundings: dict[tuple[str, str, int], dict[str, Any]] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> dict[str, Any]:
        here = origin(url)
        if here not in self._surroundings:
            with requests.Session() as ordinary:
                self._surroundings[here] = ordinary.merge_environment_settings(url, {}, None, None, None)
        return {**self._surroundings[here], "stream": stream}


class _Adapter(HTTPAdapter):
    def __init__(self, deadline: float) -> None:
        plain = type("Plain", (_Timed, HTTPConnection), {"deadline": deadline})
        secure = type("Tls", (_Timed, HTTPSConnection), {"deadline": deadline})
        self._pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _Timed:
    """A connection that is shut when its headers are not there in time.

    The ordinary timeout starts anew with each byte, so that a server can hold a client with one byte a minute.
    """

    deadline = 0.0
    sock: Any

    def getresponse(self) -> Any:
        late = threading.Event()
        timer = threading.Timer(self.deadline, self._shut, (late,))
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()  # type: ignore[misc]  # of the class that this is mixed into
        finally:
            timer.cancel()
            if late.is_set():
                raise Slow(f"no whole answer within {self.deadline:g} s")

    def _shut(self, late: threading.Event) -> None:
        late.set()
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)
