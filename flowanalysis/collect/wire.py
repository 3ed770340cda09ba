"""Sessions of requests whose answers cannot drip for ever, and that carry no cookies and no retries of their own."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from flowanalysis.collect.clouds import origin
from flowanalysis.collect.limits import Slow

__all__ = ["Session", "session"]

CHUNK = 1 << 18  # bytes that one look at the socket may bring
AGENT = "NONISV|flowanalysis|flowanalysis/1.0"


def session(deadline: float) -> Session:
    """A session for one thread; `deadline` in seconds bounds each answer from its request to its last byte."""
    made = Session()
    made.headers.update({"User-Agent": AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"})
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        made.mount(scheme, _Adapter(deadline))
    return made


class Session(requests.Session):
    """Reads the surroundings (proxies, certificates) once for each origin, and no ``.netrc`` at all.

    The ordinary session goes through every variable of the environment twice for each request.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self._surroundings: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._alike: dict[tuple[tuple[str, str], ...], requests.PreparedRequest] = {}

    def ask(
        self, url: str, *, headers: Mapping[str, str], data: bytes | None, auth: AuthBase, timeout: tuple[float, float]
    ) -> requests.Response:
        """The answer to a GET, or to a POST of `data`, up to its body; a redirect is an answer like another.

        A request is made out of an earlier one with the same headers: half of the time that it takes otherwise.
        """
        like = tuple(headers.items())
        if data is not None:
            asked = self.prepare_request(requests.Request("POST", url, headers=headers, data=data))
        else:
            if like not in self._alike:
                self._alike[like] = self.prepare_request(requests.Request("GET", url, headers=headers))
            asked = self._alike[like].copy()
            asked.prepare_url(url, None)
        settings = self.merge_environment_settings(asked.url, {}, True, None, None)
        return self.send(auth(asked), timeout=timeout, allow_redirects=False, **settings)

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
    """A connection whose answers must be there in time, however slowly their bytes arrive."""

    deadline = 0.0

    def response_class(self, sock: Any, *args: Any, **options: Any) -> HTTPResponse:
        """The answer that ``getresponse`` builds upon a socket, reading through a clock."""
        made = HTTPResponse(sock, *args, **options)
        made.fp = io.BufferedReader(_Clocked(made.fp.detach(), sock, self.deadline), CHUNK)
        return made


class _Clocked(io.RawIOBase):
    """The bytes of one answer; none is waited for beyond the deadline of all.

    The ordinary timeout starts anew with each byte, so that a server can hold a client with one byte a minute.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self.raw, self.sock, self.deadline = raw, sock, deadline
        self.silence, self.until = sock.gettimeout() or deadline, time.monotonic() + deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.until - time.monotonic()
        if left > 0:
            if left < self.silence:  # else the timeout that the request set is the nearer one
                self.sock.settimeout(left)
            try:
                return self.raw.readinto(buffer)
            except TimeoutError:
                if left > self.silence:
                    raise
        raise Slow(f"no whole answer within {self.deadline:g} s")

    def close(self) -> None:
        self.raw.close()
        super().close()
