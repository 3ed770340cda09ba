"""Read an answer's body: bounded in size and expansion, strict in its text."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import orjson
import requests

from flowanalysis.collect.limits import Broken, Limits, Malformed
from flowanalysis.errors import HonestStop

__all__ = ["decode", "parse", "read"]

CHUNK, BLOCK = 1 << 18, 1 << 22  # bytes asked for at once: of a body of unknown length, of a known one
LONE = re.compile("[\ud800-\udfff]")  # halves that found no partner
FREE = 8 << 20  # expansion is judged only beyond this many bytes: short texts compress beyond every ratio


def read(answer: requests.Response, *, limits: Limits) -> bytes:
    """The whole body, decompressed.

    The session that opened the answer sees to it that all arrives in time.

    Raises
    ------
    Broken, Malformed
        To be asked for again: cut short, not the compression it claims; ``Slow`` from the session.
    HonestStop
        When the body is larger, or expands more, than any honest page.
    """
    inflate = _Inflate(answer.headers.get("Content-Encoding", ""))
    pieces: list[bytes] = []
    size = arrived = 0
    while chunk := _arriving(answer, plain=inflate.engine is None):
        arrived += len(chunk)
        for piece in inflate(chunk):
            pieces.append(piece)
            size += len(piece)
            _bound(size, arrived, limits)
    if answer.raw.length_remaining:
        raise Broken(f"the answer ended {answer.raw.length_remaining} bytes early")
    inflate.close()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _arriving(answer: requests.Response, *, plain: bool) -> bytes:
    """The next bytes of the body as they were sent; more at once of a plain one that says its length."""
    left = answer.raw.length_remaining
    if left and plain:
        return bytes(answer.raw.read(min(left, BLOCK), decode_content=False))
    return bytes(answer.raw.read1(CHUNK, decode_content=False))


def _bound(size: int, arrived: int, limits: Limits) -> None:
    if size > limits.body:
        raise HonestStop(f"An answer larger than {limits.body >> 20} MB is not read")
    if size > FREE and size > limits.ratio * arrived:
        raise HonestStop(f"An answer that expands more than {limits.ratio}-fold is not read")


class _Inflate:
    """Bytes of one content encoding, decompressed in bounded pieces."""

    def __init__(self, encoding: str) -> None:
        kinds = {"": 0, "identity": 0, "gzip": 31, "x-gzip": 31, "deflate": 15}
        name = encoding.strip().lower()
        if name not in kinds:
            raise Malformed(f"compressed as {name[:40]!r}, which was not asked for")
        self.bits = kinds[name]
        self.engine = zlib.decompressobj(self.bits) if self.bits else None

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        if self.engine is None:
            yield chunk
            return
        while chunk:
            if self.engine.eof:
                self.engine = zlib.decompressobj(self.bits)
            try:
                yield self.engine.decompress(chunk, 1 << 20)
            except zlib.error as problem:
                raise Malformed(f"not the {self.bits} bit deflate stream it claims to be ({problem})") from None
            chunk = self.engine.unconsumed_tail or self.engine.unused_data

    def close(self) -> None:
        if self.engine is not None and not self.engine.eof:
            raise Broken("the compressed answer ended early")


def parse(body: bytes) -> tuple[Any, bytes | None]:
    """The JSON value of a body, and the bytes that say just this; None where only the value was mended.

    Strict UTF-8, bounded nesting, no numbers that lose digits to infinity. A byte order mark is taken off. Half of a
    surrogate pair, which some servers write for a broken emoji in a name, becomes U+FFFD rather than stopping a
    million users.

    Raises
    ------
    Malformed
        When the body is not such a value.

    Examples
    --------
    >>> parse(codecs.BOM_UTF8 + b'{"value": []}')
    ({'value': []}, b'{"value": []}')
    """
    text = body.removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(text), text
    except orjson.JSONDecodeError as problem:
        if "surrogate" in str(problem):
            return _mended(text), None
        start = text[:60].lstrip().lower()
        what = "a web page instead of JSON" if start.startswith(b"<") else f"not JSON ({str(problem)[:80]})"
        raise Malformed(what) from None


def decode(body: bytes) -> Any:
    """The JSON value of a body alone; see `parse`."""
    return parse(body)[0]


def _mended(text: bytes) -> Any:
    try:
        value = json.loads(text.decode("utf-8"))
        return orjson.loads(LONE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError) as problem:
        raise Malformed(f"not JSON ({str(problem)[:80]})") from None
