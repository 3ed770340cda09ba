"""What a step says of the request it sends: method, path, host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowanalysis.definitions.expressions import HOLE, Value

__all__ = ["host_of", "last_resort", "method_of", "path_segments", "request_of"]

_HOST = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^/@?#]*@)?([^/?#:]+)", re.IGNORECASE)
# Without a look ahead, which would read the rest of the path again at every slash.
_PIECE = re.compile(r"[^/{]+|\{[^}]*\}?|/")


def last_resort(inputs: Mapping[str, Any]) -> str | None:
    """What stands for the operation of a step that names none: its method and the shape of its path."""
    operation = inputs.get("operationId")
    if isinstance(operation, str) and operation:
        return operation
    path = inputs.get("path")
    if not isinstance(path, str):
        return None
    method = inputs.get("method")
    return f"{method.lower() if isinstance(method, str) else 'get'} {shape_of(path)}"


def shape_of(path: str) -> str:
    """A path with its changing parts as holes: ``/datasets/{}/tables/{}/items``."""
    return "/".join(HOLE if "@" in part or "%" in part else part for part in path_segments(path))


def path_segments(path: str) -> list[str]:
    """Path segments; slashes inside expressions do not count."""
    if "{" not in path:
        return path.split("/")
    parts = [""]
    for piece in _PIECE.findall(path):
        if piece == "/":
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def method_of(inputs: Mapping[str, Any]) -> str | None:
    """The method, where the definition tells it."""
    method = inputs.get("method")
    return method.upper() if isinstance(method, str) and method.isalpha() else None


def request_of(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where an HTTP step tells its request: a webhook sends the one that subscribes."""
    subscribe = inputs.get("subscribe")
    return inputs if inputs.get("uri") else subscribe if isinstance(subscribe, dict) and subscribe else inputs


def host_of(uri: Value) -> str | None:
    """Host name of an address, when the address names it before the flow runs."""
    match = _HOST.match(uri.text)
    host = match[1].lower() if match else ""
    return host if host and HOLE not in host and "{" not in host else None
