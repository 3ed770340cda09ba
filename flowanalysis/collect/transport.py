"""One request to one origin: read-only, bounded, patient, and never anywhere else.

The rules, each of them a test:

* GET only; POST only to the addresses that read by POST, and a batch may hold only GETs,
* a token is bound to its service's origin: no other host, scheme or port sees a request, redirects are not followed,
* the token travels as an ``AuthBase`` (a ``.netrc`` would replace a plain header), appears in no text and no file.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

import orjson
import requests
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from flowanalysis.collect import body
from flowanalysis.collect.clock import Clock
from flowanalysis.collect.clouds import Service, origin
from flowanalysis.collect.limits import Again, Broken, Budget, Limits, Malformed, Throttled, asked_wait
from flowanalysis.collect.stops import BadRequest, Interrupted, NotFound, NotPermitted, StartOver
from flowanalysis.collect.wire import Session, session
from flowanalysis.errors import RefusedRequest

__all__ = ["Answer", "Call", "Parse", "Tokens", "Transport", "scrub"]

log = logging.getLogger("flowanalysis.collect")

READING_POSTS = re.compile(r"/(v1\.0|beta)/\$batch|/resourcequery/resources/query")
THROTTLED = {429, 503}
FAILED = {408, 500, 502, 504, 509}
LOST_PLACE = {"directory_expiredpagetoken", "request_expiredpagetoken", "syncstatenotfound", "resyncrequired"}
Received = TypeVar("Received")
Parse = Callable[[bytes], tuple[Any, bytes | None]]
STEP = 1.0  # seconds between looks at the stop sign
SECRET = re.compile(r"(?i)(bearer\s+)\S+|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|([?&](?:sig|code|token|access_token)=)[^&\s\"']+")


class Tokens(Protocol):
    """What the transport needs of a sign-in."""

    def token(self, scope: str, *, refresh: bool = False, claims: str | None = None) -> str:
        """An access token for a scope; `refresh` forbids the cached one, `claims` is a server's challenge."""


@dataclass(frozen=True)
class Call:
    """One request: where, of which service, what must be true of the answer.

    `parse` gives the value of a body and the bytes that say just this; `check` raises ``Malformed`` when the value is
    not what was asked for; `where` is the address without origin and query, fit for messages.
    """

    url: str
    service: Service
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: Any = None
    check: Callable[[Any], None] | None = None
    text: bool = False
    parse: Parse = body.parse

    @property
    def where(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.hostname}{parts.path}"


class Answer(NamedTuple):
    """A checked value, and the bytes of the body that say just this; None where there are none."""

    value: Any
    text: bytes | None


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return "<bearer token>"


def scrub(text: str) -> str:
    """Text of a server without anything that looks like a token or a signature, and short.

    >>> scrub("denied for Bearer abc.def at https://x.example/?sig=abc&v=1")
    'denied for Bearer *** at https://x.example/?sig=***&v=1'
    """
    return SECRET.sub(lambda m: f"{m.group(1) or m.group(2) or ''}***", text)[:300]


class Transport:
    """Sends calls, as often as their budgets allow, and gives back checked JSON.

    Parameters
    ----------
    tokens : Tokens
        The sign-in.
    clock, limits : optional
        Handed in by tests.
    """

    def __init__(self, tokens: Tokens, *, clock: Clock | None = None, limits: Limits | None = None) -> None:
        self.tokens, self.clock, self.limits = tokens, clock or Clock(), limits or Limits()
        self.requests = 0
        self._local = threading.local()
        self._lock = threading.Lock()
        self._closed_until: dict[tuple[str, str, int], float] = {}
        self._halted = False

    def heed(self, call: Call, status: object, headers: Mapping[str, str]) -> None:
        """Heed the patience that an answer inside an answer asks for: its service is left alone for so long.

        Raises
        ------
        Interrupted
            When that is longer than is waited for.
        """
        wait = asked_wait(CaseInsensitiveDict(headers), self.clock.now())
        if wait is not None or (isinstance(status, int) and status in THROTTLED):
            pause = Budget(self.limits, self.clock).wait(Throttled("asked to wait", wait), call.where)
            self._close(call, pause, shared=True)

    def halt(self) -> None:
        """Let every waiting thread give up, for an analyst who stops the run."""
        self._halted = True

    def send(self, call: Call) -> Any:
        """The value that answers a call; raises as `fetch` does."""
        return self.fetch(call).value

    def fetch(self, call: Call, *, received: bytes | None = None) -> Answer:
        """The answer to a call, checked; `received` is its body where `receive` brought it already.

        Raises
        ------
        RefusedRequest
            When the call or the answer would lead somewhere else, or would write.
        Interrupted
            When it should be tried later; ``NotPermitted``, ``NotFound``, ``StartOver``, ``BadRequest`` when the
            server says no; ``HonestStop`` when the answer cannot be trusted.
        """
        return self._patiently(call, lambda content: _checked(call, content), received)

    def receive(self, call: Call) -> bytes:
        """The body of an answer that says success, not looked into; raises as `fetch` does."""
        return self._patiently(call, bytes)

    def _patiently(self, call: Call, read: Callable[[bytes], Received], content: bytes | None = None) -> Received:
        """What can be read of a call's answer, asked for as often as the budgets allow."""
        self._permit(call)
        budget = Budget(self.limits, self.clock)
        challenge: str | None = None
        renewed = False
        while True:
            try:
                if content is None:
                    self._queue(call)
                    content = self._once(call, renewed=renewed, claims=challenge)
                return read(content)
            except _Unauthorised as refused:
                if renewed and refused.claims in (None, challenge):
                    raise Interrupted(
                        f"{call.where}: the server does not accept the sign-in any more "
                        f"({refused}). What was read is kept; sign in again with the same command"
                    ) from None
                renewed, challenge = True, refused.claims
            except Again as again:
                content = None
                pause = budget.wait(again, call.where)
                log.debug("%s: %s; again in %.1f s", call.where, again, pause)
                self._close(call, pause, shared=isinstance(again, Throttled))

    def _permit(self, call: Call) -> None:
        if origin(call.url) != origin(call.service.base):
            raise RefusedRequest(
                f"The server links to {origin(call.url)[1]}, which is not {origin(call.service.base)[1]}. "
                "It gets no request and no token; this list stops here"
            )
        if call.payload is None:
            return
        if not READING_POSTS.fullmatch(urlsplit(call.url).path):
            raise RefusedRequest(
                f"POST to {call.where} could change the tenant; only queries and batches of reads are sent"
            )
        for inner in call.payload.get("requests", ()):
            if inner.get("method") != "GET" or not str(inner.get("url", "")).startswith("/") or "body" in inner:
                raise RefusedRequest(
                    f"A batch may hold only GETs of relative addresses: {inner.get('method')} is not sent"
                )

    def _queue(self, call: Call) -> None:
        """Wait while this origin is closed: one thread's throttling is every thread's."""
        while (left := self._closed_until.get(origin(call.url), 0.0) - self.clock.monotonic()) > 0:
            self._rest(left)

    def _rest(self, seconds: float) -> None:
        """Wait in short steps, so that a run that is stopped need not wait for a far Retry-After."""
        until = self.clock.monotonic() + seconds
        while (left := until - self.clock.monotonic()) > 0:
            if self._halted:
                raise Interrupted("Stopped by hand. What was read is kept; run the same command again to go on")
            self.clock.sleep(min(left, STEP))

    def _close(self, call: Call, pause: float, *, shared: bool) -> None:
        if not shared:
            self._rest(pause)
            return
        with self._lock:
            here = origin(call.url)
            until = self.clock.monotonic() + pause
            self._closed_until[here] = max(until, self._closed_until.get(here, 0.0))

    def _once(self, call: Call, *, renewed: bool, claims: str | None) -> bytes:
        token = self.tokens.token(call.service.scope, refresh=renewed, claims=claims)
        try:
            with self._open(call, token) as answer:
                content = body.read(answer, limits=self.limits)
        except (requests.RequestException, HTTPError, OSError) as problem:
            raise Broken(f"the connection failed ({type(problem).__name__})") from None
        if answer.status_code != 200:
            self._refused(answer, content, call)
        if len(token) > 15 and token.encode() in content:
            raise RefusedRequest(f"{call.where}: the answer repeats the token that was sent; it is not kept")
        return content

    def _open(self, call: Call, token: str) -> requests.Response:
        with self._lock:
            self.requests += 1
        payload = None if call.payload is None else orjson.dumps(call.payload)
        headers = {"Content-Type": "application/json", **call.headers} if payload else dict(call.headers)
        return self._session().ask(
            call.url,
            headers=headers,
            data=payload,
            auth=_Bearer(token),
            timeout=(self.limits.connect, self.limits.silence),
        )

    def _session(self) -> Session:
        """One session for each thread: sessions are not documented as safe to share."""
        if not hasattr(self._local, "session"):
            self._local.session = session(self.limits.deadline)
        return self._local.session

    def _refused(self, answer: requests.Response, content: bytes, call: Call) -> NoReturn:
        """What a status other than 200 means."""
        status = answer.status_code
        if 300 <= status < 400:
            raise RefusedRequest(f"{call.where}: answered with a redirect, which is not followed")
        code, message = _error(content)
        said = scrub(f"{status} {code} {message}".strip())
        if status == 401:
            raise _Unauthorised(said, answer.headers.get("WWW-Authenticate", ""))
        wait = asked_wait(answer.headers, self.clock.now())
        if status in THROTTLED or (status in FAILED and wait is not None):
            raise Throttled(f"answered {said}", wait)
        if status in FAILED:
            raise Broken(f"answered {said}")
        kinds = {403: NotPermitted, 404: NotFound, 410: StartOver}
        kind = StartOver if code.lower() in LOST_PLACE else kinds.get(status, BadRequest)
        raise kind(f"{call.where}: answered {said}", status=status, code=code)


def _checked(call: Call, content: bytes) -> Answer:
    """The value of a body, if it is what was asked for."""
    value, text = (content.decode("utf-8-sig", "strict"), None) if call.text else call.parse(content)
    if call.check:
        call.check(value)
    return Answer(value, text)


class _Unauthorised(Exception):
    """401: one new token is worth a try; a claims challenge says what the token must show."""

    def __init__(self, text: str, challenge: str) -> None:
        super().__init__(text)
        found = re.search(r'claims="?([A-Za-z0-9+/=_-]{1,8000})', challenge)
        self.claims = found.group(1) if found else None


def _error(content: bytes) -> tuple[str, str]:
    """Code and message of an error body in any of the families' forms; empty where it has none."""
    try:
        value = body.decode(content[:100_000])
    except Malformed:
        return "", ""
    error = value.get("error", value.get("odata.error", value)) if isinstance(value, dict) else {}
    if not isinstance(error, dict):
        return "", str(error)
    message = error.get("message", "")
    return str(error.get("code", "")), str(message.get("value", "") if isinstance(message, dict) else message)
