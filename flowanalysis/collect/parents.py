"""What the lists on disk say must be asked for next: environments, databases, flows, connections, groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowanalysis.collect.clouds import Service
from flowanalysis.collect.context import Context
from flowanalysis.collect.endpoints import Endpoint
from flowanalysis.errors import RefusedRequest

__all__ = ["Parent", "inner", "parents", "rows"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Parent:
    """One parent: the ids that fill the address, and whose service answers."""

    values: dict[str, str]
    service: Service


def inner(value: Any, *keys: str) -> Any:
    """What stands behind keys inside one another; None where the way there is not made of objects.

    >>> inner({"properties": {"principal": None}}, "properties", "principal", "id") is None
    True
    """
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def rows(context: Context, name: str) -> Iterator[Row]:
    """Every row of a collection that was read, in its order; error lines have none."""
    for line in context.journal(name).lines():
        body = line["body"]
        if "error" in body:
            continue
        if isinstance(body.get("value"), list):
            yield from body["value"]
        else:
            yield body


def parents(context: Context, endpoint: Endpoint) -> tuple[list[Parent], list[str]]:
    """The parents of an endpoint, each once, and what had to be said while finding them."""
    found: dict[tuple[str, ...], Parent] = {}
    notes: list[str] = []
    used = _used(context) if "connection" in endpoint.of else frozenset()
    for row in rows(context, endpoint.parent):
        values = _values(endpoint, row, used)
        if values is None:
            continue
        try:
            service = _service(context, endpoint, values)
            endpoint.relative(values)  # an id that is no part of an address is told here
        except RefusedRequest as refused:
            notes.append(str(refused))
            continue
        found.setdefault(tuple(v.lower() for v in values.values()), Parent(values, service))
    return list(found.values()), notes


def _service(context: Context, endpoint: Endpoint, values: dict[str, str]) -> Service:
    if endpoint.service == "dataverse":
        return context.cloud.dataverse(values["database"])
    return context.cloud.service(endpoint.service)


def _values(endpoint: Endpoint, row: Row, used: frozenset[str]) -> dict[str, str] | None:
    """The ids that fill an address; None when this row is not asked for."""
    environment = inner(row, "properties", "environment", "name")
    if endpoint.of == ("id",):
        values = {"id": row.get("id")}
    elif endpoint.of == ("environment",):
        values = {"environment": row.get("name")}
    elif endpoint.of == ("environment", "database"):
        linked = inner(row, "properties", "linkedEnvironmentMetadata")
        database = inner(linked, "instanceUrl") or inner(linked, "instanceApiUrl")
        values = {"environment": row.get("name"), "database": database}
    elif endpoint.of == ("environment", "flow"):
        values = {"environment": environment, "flow": row.get("name")}
    else:
        if inner(row, "properties", "allowSharing") is False and str(row.get("name", "")).lower() not in used:
            return None  # cannot be shared and no flow runs on it
        connector = str(inner(row, "properties", "apiId") or "").rsplit("/", 1)[-1]
        values = {"environment": environment, "connector": connector, "connection": row.get("name")}
    told = {k: v for k, v in values.items() if isinstance(v, str) and v}
    return told if len(told) == len(values) else None


def _used(context: Context) -> frozenset[str]:
    """Names of connections that flows run on."""
    names = set()
    for row in rows(context, "powerplatform/flow_details"):
        references = inner(row, "properties", "connectionReferences")
        for reference in references.values() if isinstance(references, dict) else ():
            name = inner(reference, "connectionName")
            if isinstance(name, str):
                names.add(name.lower())
    return frozenset(names)
