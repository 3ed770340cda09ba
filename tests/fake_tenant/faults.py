"""The faults of tests/faults.toml as behaviour of the fake tenant, on the fifth page of the list of users."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
import zlib
from datetime import timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any

from fake_tenant.server import Answer, FakeTenant, Handler, Request

USERS = "/v1.0/users"


def fault(row: dict[str, Any]):
    """The behaviour of one row of the list: it strikes `times` times (0 is always)."""
    kind, times, at = KINDS[row["kind"]], row.get("times", 1), row.get("page", 5)
    struck = [0]

    def act(tenant: FakeTenant, request: Request, handler: Handler) -> Answer | None | str:
        here = request.path == row.get("path", USERS) and request.skip == (at - 1) * tenant.page_size
        if not here or (times and struck[0] >= times):
            return None
        struck[0] += 1
        return kind(row, tenant, request, handler)

    act.struck = struck
    return act


def status(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    headers = {}
    if "retry_after" in row:
        headers["Retry-After"] = row["retry_after"]
    headers |= row.get("headers", {})
    if "retry_date" in row:
        headers["Retry-After"] = format_datetime(tenant.clock.now() + timedelta(seconds=row["retry_date"]), usegmt=True)
    if "challenge" in row:
        headers["WWW-Authenticate"] = row["challenge"]
    if row.get("outdate"):
        tenant.minimum += 1
    return row["status"], headers, row.get("body", "").encode()


def page_with(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """The honest page with keys replaced; {evil} and {graph} are ports."""
    honest = json.loads(tenant.answer(request)[2])
    ports = {role: str(server.server_address[1]) for role, server in tenant.servers.items()}
    text = row["set"]
    for role, port in ports.items():
        text = text.replace(f"{{{role}}}", port)
    return 200, {}, json.dumps({**honest, **json.loads(text)}).encode()


def without(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    honest = json.loads(tenant.answer(request)[2])
    return 200, {}, json.dumps({k: v for k, v in honest.items() if k not in row["keys"]}).encode()


def raw(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    return 200, {}, bytes(row["text"], "latin-1") * row.get("repeat", 1)


def wrapped(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """The honest bytes with something in front."""
    return 200, {}, bytes(row["text"], "latin-1") + tenant.answer(request)[2]


def replaced(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """The honest bytes with the first `old` replaced by `new` and some digits."""
    new = bytes(row["new"], "latin-1") + b"1" * row.get("digits", 0)
    return 200, {}, tenant.answer(request)[2].replace(bytes(row["old"], "latin-1"), new, 1)


def cut(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    body = tenant.answer(request)[2]
    return 200, {}, body[: len(body) // 2]


def reset(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> str:
    """Half a body, then the connection is reset."""
    body = tenant.answer(request)[2]
    handler.send_response_only(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    return "handled"


def drop(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> str:
    handler.close_connection = True
    return "handled"


def drip(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> str:
    """One byte at a time, for ever; in the body or already in the headers."""
    try:
        if not row.get("headers"):
            handler.send_response_only(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(400):
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        pass
    return "handled"


def bomb(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    return 200, {"Content-Encoding": "gzip"}, _blank(row["megabytes"])


@cache
def _blank(megabytes: int) -> bytes:
    """So many megabytes of blanks, compressed piece by piece."""
    engine, piece = zlib.compressobj(1, wbits=31), b" " * (1 << 20)
    return b"".join(engine.compress(piece) for _ in range(megabytes)) + engine.flush()


def redirect(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    return row["status"], {"Location": f"{tenant.base('evil')}/v1.0/users"}, b""


def empty(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """An empty page that links to the page itself would have been, under another address."""
    link = f"{tenant.base('graph')}{request.url}&again=1"
    return 200, {}, json.dumps({"value": [], "@odata.nextLink": link}).encode()


def repeat(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """The last row of the page before comes again, changed when told so."""
    honest = json.loads(tenant.answer(request)[2])
    before = json.loads(tenant.answer(_back(request, tenant))[2])["value"][-1]
    again = {**before, **({"displayName": "changed"} if row.get("changed") else {})}
    return 200, {}, json.dumps({**honest, "value": [again, *honest["value"]]}).encode()


def _back(request: Request, tenant: FakeTenant) -> Request:
    query = {**request.query, "$skiptoken": str(request.skip - tenant.page_size)}
    return Request(request.role, request.method, request.path, query, {}, b"", request.url, request.at)


def echo(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    return 200, {}, json.dumps({"value": [{"id": "u-echo", "displayName": tenant.token("graph")}]}).encode()


def encoded(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    return 200, {"Content-Encoding": "br"}, tenant.answer(request)[2]


def honest_with(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """The honest bytes under other headers, or in another encoding of text; the connection ends after them."""
    content = tenant.answer(request)[2]
    if "charset" in row:
        content = content.decode().encode(row["charset"])
    if row.get("gzip"):
        content = gzip.compress(content) + bytes(row.get("after", ""), "latin-1")
    headers = {**row["headers"]}
    if "longer" in row:
        headers["Content-Length"] = str(len(content) + row["longer"])
    handler.close_connection = True
    return 200, headers, content


def chunked(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> str:
    """The honest bytes in two chunks, cut short in one of three places or not at all."""
    content = tenant.answer(request)[2]
    half = len(content) // 2
    first, second = (b"%x\r\n%s\r\n" % (len(part), part) for part in (content[:half], content[half:]))
    sent = {"border": first, "inside": first + second[:-30], "end": first + second, "": first + second + b"0\r\n\r\n"}
    handler.send_response_only(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(sent[row["cut"]])
    handler.close_connection = row["cut"] != ""
    return "handled"


def endless(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """From here on each page has a link to another address, and the same rows or none."""
    number = int(request.query.get("again", "0")) + 1
    rows = [] if row["rows"] == "none" else tenant.lists[request.role, USERS][:5]
    link = f"{tenant.base('graph')}{USERS}?$skiptoken={request.skip}&again={number}"
    return 200, {}, json.dumps({"value": rows, "@odata.nextLink": link}).encode()


def twice(row: dict, tenant: FakeTenant, request: Request, handler: Handler) -> Answer:
    """The first row of a page stands in it twice."""
    honest = json.loads(tenant.answer(request)[2])
    return 200, {}, json.dumps({**honest, "value": [*honest["value"], honest["value"][0]]}).encode()


MORE = (honest_with, chunked, endless, twice)
ALL = (status, page_with, without, raw, wrapped, replaced, cut, reset, drop, drip, bomb, redirect, empty, repeat, echo)
KINDS = {f.__name__: f for f in (*ALL, *MORE, encoded)}
