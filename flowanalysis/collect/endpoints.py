"""The addresses that are read, from ``reference/endpoints.toml``, and how one becomes a URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

from flowanalysis import reference
from flowanalysis.collect.names import PARTS
from flowanalysis.errors import RefusedRequest, UnknownName

__all__ = ["Endpoint", "all_endpoints", "chosen", "endpoint", "fill"]

PLAIN = "$,()':;/@*-._~="  # characters that stay as they are in a query, as the documentation writes them


@dataclass(frozen=True)
class Endpoint:
    """One row of the table; its header comment says what each word means."""

    name: str
    part: str
    service: str
    path: str
    paging: str
    entity: str = ""
    select: tuple[str, ...] = ()
    expand: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, Any] | None = None
    parent: str = ""
    of: tuple[str, ...] = ()
    batch: bool = False
    workers: int = 1
    key: str = "id"
    page: int = 100
    count: str = ""
    delta: str = ""
    optional: tuple[str, ...] = ()
    absent: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    without: tuple[str, ...] = ()
    unattended: bool = False
    delegated: tuple[str, ...] = ()
    application: tuple[str, ...] = ()
    role: str = ""
    redact: str = ""

    def relative(self, values: Mapping[str, str] | None = None, *, leave_out: tuple[str, ...] = ()) -> str:
        """Path and query for a parent's values.

        >>> endpoint("graph/group_owners").relative({"id": "g/1"})
        '/v1.0/groups/g%2F1/owners?$select=id&$top=999'
        """
        values = values or {}
        query = dict(self.query)
        if self.select:
            query = {"$select": ",".join(s for s in self.select if s not in leave_out), **query}
        if self.expand:
            query["$expand"] = ",".join(self.expand)
        text = "&".join(f"{key}={quote(fill(value, values), safe=PLAIN)}" for key, value in query.items())
        return fill(self.path, values, path=True) + (f"?{text}" if text else "")


def fill(template: str, values: Mapping[str, str], *, path: bool = False) -> str:
    """A template with its braces filled by ids from the tenant, which cannot leave their place in the address.

    Raises
    ------
    RefusedRequest
        When an id is empty or a dot segment, which would change the path.
    """
    for name, value in values.items():
        if f"{{{name}}}" not in template:
            continue
        if path and value.strip() in ("", ".", ".."):
            raise RefusedRequest(f"The id {value!r} for {name} cannot be part of an address ({template})")
        template = template.replace(f"{{{name}}}", quote(value, safe="") if path else value.replace("'", "''"))
    return template


@cache
def all_endpoints() -> tuple[Endpoint, ...]:
    """Every endpoint in the order of reading."""
    rows = reference.toml("endpoints")["endpoint"]
    return tuple(Endpoint(**_frozen(row)) for row in rows)


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}


def endpoint(name: str) -> Endpoint:
    """One endpoint by name.

    Raises
    ------
    UnknownName
        When there is none.
    """
    known = {e.name: e for e in all_endpoints()}
    if name not in known:
        raise UnknownName("endpoint", name, known)
    return known[name]


def chosen(parts: tuple[str, ...]) -> list[Endpoint]:
    """The endpoints of some parts, and the lists that they need as parents, in the order of reading.

    >>> [e.name for e in chosen(("dataverse",))][:2]
    ['powerplatform/environments', 'dataverse/systemusers']
    """
    for part in parts:
        if part not in PARTS:
            raise UnknownName("part of a collection", part, PARTS)
    wanted = {e.name for e in all_endpoints() if e.part in parts}
    wanted |= {e.parent for e in all_endpoints() if e.name in wanted and e.parent}
    return [e for e in all_endpoints() if e.name in wanted]
