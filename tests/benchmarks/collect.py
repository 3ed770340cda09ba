"""Collecting a million users in 2,000 pages, beside a bare loop that only downloads and writes.

Run: ``python tests/benchmarks/collect.py [users]``. The server is a process of its own; all meet the same bytes.
``bare`` does not even decode: it cuts the next link out of the bytes. ``json`` is the loop that people write. ``alone``
reads and throws away: the speed of the server, which must not be what is measured.
"""

from __future__ import annotations

import multiprocessing
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import orjson

PAGE = 500
CLIENTS = ("alone", "bare", "json", "ours")
ROW = {
    "userPrincipalName": "person{n}@fabrikam.example",
    "displayName": "Person {n}",
    "userType": "Member",
    "accountEnabled": True,
    "createdDateTime": "2021-03-02T08:11:09Z",
    "employeeType": "Employee",
    "department": "Finance",
    "onPremisesSyncEnabled": None,
    "assignedLicenses": [{"disabledPlans": [], "skuId": "f30db892-07e9-47e9-837c-80727f46fd3d"}],
    "signInActivity": {"lastSignInDateTime": "2023-01-09T10:02:11Z", "lastNonInteractiveSignInDateTime": None},
    "manager": {"id": "7a000000-0000-4000-8000-000000000000", "userPrincipalName": "lead@fabrikam.example"},
}


def serve(users: int, port: object) -> None:
    """Pages of users; ids are stamped into a page made once."""
    row = orjson.dumps({"id": "{id}", **ROW}).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            body = b'{"value":[]}'
            if self.path.startswith("/v1.0/users?"):
                body = page(int(query.get("$skiptoken", ["0"])[0]))
            elif self.path.startswith("/v1.0/users/$count"):
                body = str(users).encode()
            self.send_response_only(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silence."""

    whole = (",".join(row for _ in range(PAGE))).encode().replace(b"{n}", b"0000001")
    pieces = whole.split(b"{id}")

    def page(start: int) -> bytes:
        ids = [b"%08x-0000-4000-8000-000000000000" % n for n in range(start, start + PAGE)]
        rows = b"".join(piece + i for piece, i in zip(pieces, [*ids, b""], strict=True))
        link = b""
        if start + PAGE < users:
            here = (server.server_address[1], start + PAGE)
            link = b'"@odata.nextLink":"http://127.0.0.1:%d/v1.0/users?$skiptoken=%d",' % here
        return b"{" + link + b'"value":[' + rows + b"]}"

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_address[1])
    server.serve_forever()


def alone(port: int, out: Path, *, users: int) -> int:
    """Pages read from a socket into one buffer and forgotten."""
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as line:
        for start in range(0, users, PAGE):
            line.sendall(b"GET /v1.0/users?$skiptoken=%d HTTP/1.1\r\nHost: x\r\n\r\n" % start)
            got = line.recv_into(buffer)
            head, _, body = bytes(buffer[:got]).partition(b"\r\n\r\n")
            left = int(head.rpartition(b": ")[2]) - len(body)
            while left:
                left -= line.recv_into(buffer, min(left, len(buffer)))
    return users


def bare(port: int, out: Path, *, decode: bool = False) -> int:
    """Download, find the link, write; nothing else."""
    import requests

    session, rows, url = requests.Session(), 0, f"http://127.0.0.1:{port}/v1.0/users?$top=500"
    with open(out / "bare.jsonl", "wb") as file:
        while url:
            answer = session.get(url, headers={"Authorization": "Bearer x"}, timeout=60)
            content = answer.content
            file.write(content + b"\n")
            rows += PAGE
            if decode:
                url = answer.json().get("@odata.nextLink")
            else:
                start = content.find(b'"@odata.nextLink":"', 0, 300)
                url = content[start + 19 : content.index(b'"', start + 19)].decode() if start >= 0 else None
    return rows


def ours(port: int, out: Path) -> int:
    """The same through the collector: validated, de-duplicated, checkpointed."""
    from flowanalysis.collect.clouds import Cloud, Service
    from flowanalysis.collect.folders import manifest_of
    from flowanalysis.collect.run import collect

    class Tokens:
        unattended = True

        def token(self, scope: str, **_: object) -> str:
            return "benchmark-token-of-an-ordinary-length"

    service = Service(f"http://127.0.0.1:{port}", "graph")
    cloud = Cloud("bench", "Bench", "", {"graph": service}, ())
    folder = collect(tenant="fabrikam.example", out=out, parts=("graph",), signin=Tokens(), cloud=cloud, progress=False)
    return manifest_of(folder)["collections"]["graph/users"]["items"]


def measured(name: str, port: str, users: str) -> None:
    """One client in a process of its own: rows, seconds, megabytes above start, seconds of the processor."""
    own = {"bare": bare, "json": partial(bare, decode=True), "ours": ours, "alone": partial(alone, users=int(users))}
    client = own[name]
    import requests  # noqa: F401 - what both need is there before the measurement

    import flowanalysis.collect.run  # noqa: F401
    import flowanalysis.definitions.stripped  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = client(int(port), Path(folder))
        took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(rows, took, (after.ru_maxrss - before.ru_maxrss) / 1024, busy)


def main(users: int, rounds: int) -> None:
    """The clients in turn, as often as asked; medians."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(users, there), daemon=True)
    server.start()
    port = str(here.recv())
    times: dict[str, list[float]] = {name: [] for name in CLIENTS}
    memory: dict[str, list[float]] = {name: [] for name in times}
    work: dict[str, list[float]] = {name: [] for name in times}
    for name in (*times,) * rounds:
        words = [sys.executable, __file__, name, port, str(users)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        rows, took, grown, busy = (float(word) for word in done.stdout.split())
        print(f"{name}: {rows:,.0f} users in {took:.1f} s, {busy:.1f} s of it busy, {grown:.0f} MB above start")
        times[name].append(took)
        work[name].append(busy)
        memory[name].append(grown)
    server.terminate()
    middle = {name: statistics.median(took) for name, took in times.items()}
    for name in ("bare", "json"):
        print(f"throughput {middle[name] / middle['ours']:.2f} of {name} (medians of {rounds})")
        print(
            f"processor time {statistics.median(work['ours']) / statistics.median(work[name]):.2f} times that of {name}"
        )
    print(f"{max(memory['ours']):.0f} MB above start at most")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CLIENTS:
        measured(*sys.argv[1:4])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000, 3)
