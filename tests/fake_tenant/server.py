"""Services on ports of their own: a token shown to the wrong one is seen."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from flowanalysis.collect.clock import Clock
from flowanalysis.collect.clouds import Cloud, Service

ROLES = ("graph", "bap", "powerapps", "flow", "powerplatform")
ODATA = ("graph", "dataverse")
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Request:
    """One request as it arrived."""

    role: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    url: str
    at: float

    @property
    def skip(self) -> int:
        return int(self.query.get("$skiptoken", "0"))


# A fault looks at a request and the honest answer, and gives another one; None stays honest.
Fault = Callable[["FakeTenant", Request, "Handler"], Answer | None]


@dataclass
class FakeTenant:
    """What each service holds, by path; start it as a context.

    Attributes
    ----------
    lists, records, refusals : dict
        ``(service, path)`` to rows, to one object, to ``(status, headers, body)``.
    changes : dict
        Delta token to rows.
    fault : function, optional
        See `Fault`.
    """

    lists: dict[tuple[str, str], list[dict]] = field(default_factory=dict)
    records: dict[tuple[str, str], dict] = field(default_factory=dict)
    refusals: dict[tuple[str, str], Answer] = field(default_factory=dict)
    contexts: dict[tuple[str, str], str] = field(default_factory=dict)
    changes: dict[str, list[dict]] = field(default_factory=dict)
    connectors: dict[str, list[dict]] = field(default_factory=dict)
    fault: Fault | None = None
    page_size: int = 20
    databases: tuple[str, ...] = ("dataverse",)
    clock: Clock = field(default_factory=Clock)
    log: list[Request] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    minimum: int = 1

    def __enter__(self) -> FakeTenant:
        self.servers = {role: _serve(self, role) for role in (*ROLES, *self.databases, "evil")}
        return self

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor(len(self.servers)) as pool:  # each waits for the next look of its loop: together
            list(pool.map(lambda server: server.shutdown(), self.servers.values()))
        for server in self.servers.values():
            server.server_close()

    def base(self, role: str) -> str:
        host, port = self.servers[role].server_address
        return f"http://{host}:{port}"

    @property
    def cloud(self) -> Cloud:
        services = {role: Service(self.base(role), f"{role}/.default") for role in ROLES}
        databases = tuple(self.servers[name].server_address[0] for name in self.databases)
        return Cloud("fake", "Fake", "https://login.example", services, databases)

    def token(self, role: str) -> str:
        scope = f"{role}/.default" if role in ROLES else f"{self.base(role)}/.default"
        return f"canary-{scope}-{self.minimum}"

    def answer(self, request: Request) -> Answer:
        """The honest answer."""
        key = (request.role, request.path)
        if key in self.refusals:
            return self.refusals[key]
        if request.path.endswith("/$batch"):
            return self._batch(request)
        if request.path.endswith("/$count"):
            rows = self.lists.get((request.role, request.path.removesuffix("/$count")), [])
            return 200, {"Content-Type": "text/plain"}, str(len(rows)).encode()
        if request.path.endswith("/delta"):
            return self._delta(request)
        if request.path == "/providers/Microsoft.PowerApps/apis":
            return _json(self.page(request, self.connectors.get(request.query["$filter"].split("'")[1], [])))
        if key in self.records:
            return _json(self.records[key])
        if key in self.lists:
            return _json(self.page(request, self.lists[key]))
        return (200 if request.role == "graph" else 404), {}, b'{"value":[]}' if request.role == "graph" else b""

    def page(self, request: Request, rows: list[dict]) -> dict[str, Any]:
        """One page of rows, with the link to the next as this family writes it."""
        size = min(int(request.query.get("$top", self.page_size)), self.page_size)
        start = request.skip
        part = [_selected(row, request) for row in rows[start : start + size]]
        odata = request.role in ODATA or request.role in self.databases
        if request.method == "POST":
            token = str(start + size) if start + size < len(rows) else ""
            return {"totalRecords": len(rows), "count": len(part), "skipToken": token, "data": part}
        page: dict[str, Any] = {"@odata.context": self.context(request)} if odata else {}
        if start + size < len(rows):
            link = f"{self.base(request.role)}{quote(request.path)}?" + "&".join(
                f"{k}={quote(v, safe='$,()')}" for k, v in {**request.query, "$skiptoken": str(start + size)}.items()
            )
            page["@odata.nextLink" if odata else "nextLink"] = link
        return {**page, "value": part}

    def context(self, request: Request) -> str:
        told = self.contexts.get((request.role, request.path))
        if told:
            return told
        version = "v1.0" if request.role == "graph" else "api/data/v9.2"
        return f"{self.base(request.role)}/{version}/$metadata#{request.path.rsplit('/', 1)[-1]}"

    def _delta(self, request: Request) -> Answer:
        token = request.query.get("$deltatoken", "")
        link = f"{self.base(request.role)}{request.path}?$deltatoken=after-{token}"
        if token == "latest":
            return _json({"value": [], "@odata.deltaLink": link})
        if token not in self.changes:
            return _json({"error": {"code": "syncStateNotFound", "message": "start over"}}, 410)
        return _json({"value": self.changes[token], "@odata.deltaLink": link})

    def _batch(self, request: Request) -> Answer:
        responses = []
        for inner in json.loads(request.body)["requests"]:
            url = request.path.removesuffix("/$batch") + inner["url"]
            status, headers, body = self.answer(_request(request.role, "GET", url, {}, b"", request.at))
            responses.append(
                {"id": inner["id"], "status": status, "headers": headers, "body": json.loads(body or b"{}")}
            )
        return _json({"responses": responses[::-1]})


def _json(value: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value, ensure_ascii=False).encode()


def _selected(row: dict, request: Request) -> dict:
    if "$select" not in request.query:
        return row
    wanted = {*request.query["$select"].split(",")}
    wanted |= {part.split("(")[0] for part in request.query.get("$expand", "").split(",") if part}
    return {k: v for k, v in row.items() if k in wanted or "@" in k}


def _request(role: str, method: str, url: str, headers: dict[str, str], body: bytes, at: float) -> Request:
    parts = urlsplit(url)
    query = {k: v[0] for k, v in parse_qs(parts.query).items()}
    if method == "POST" and "resourcequery" in parts.path:
        query["$skiptoken"] = json.loads(body)["Options"]["SkipToken"] or "0"
    return Request(role, method, unquote(parts.path), query, headers, body, url, at)


class Handler(BaseHTTPRequestHandler):
    """Speaks for one service."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._any("GET")

    def do_POST(self) -> None:
        self._any("POST")

    def do_DELETE(self) -> None:
        self._any("DELETE")

    do_PUT = do_PATCH = do_DELETE

    def _any(self, method: str) -> None:
        server = self.server
        tenant: FakeTenant = server.tenant
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        shown = self.headers.get("Authorization", "")
        request = _request(server.role, method, self.path, dict(self.headers), body, tenant.clock.monotonic())
        strange_host = f"http://{self.headers.get('Host')}" != tenant.base(server.role)
        if server.role == "evil" or strange_host:
            tenant.foreign.append((self.path, shown))
            self.send(_json({"value": [{"id": "poison"}]}))
            return
        tenant.log.append(request)
        if shown != f"Bearer {tenant.token(server.role)}":
            self.send(_json({"error": {"code": "InvalidAuthenticationToken", "message": f"not good: {shown}"}}, 401))
            return
        answer = tenant.fault(tenant, request, self) if tenant.fault else None
        if answer != "handled":
            self.send(answer or tenant.answer(request))

    def send(self, answer: Answer) -> None:
        status, headers, body = answer
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silence: tests read `FakeTenant.log`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the game."""


def _serve(tenant: FakeTenant, role: str) -> ThreadingHTTPServer:
    # each database has an address of its own, as each has a host name of its own
    number = tenant.databases.index(role) + 2 if role in tenant.databases else 1
    server = _Server((f"127.0.0.{number}", 0), Handler)
    server.tenant, server.role = tenant, role
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server
