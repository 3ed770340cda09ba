"""Only what changed: Graph's delta for users and groups, laid over the files of the last collection."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import orjson

from flowanalysis.collect import pages
from flowanalysis.collect.clouds import Service
from flowanalysis.collect.context import Context
from flowanalysis.collect.endpoints import Endpoint
from flowanalysis.collect.folders import manifest_of
from flowanalysis.collect.journal import STATE, digest
from flowanalysis.collect.lists import read_list
from flowanalysis.collect.stops import StartOver

__all__ = ["read_since"]


def read_since(context: Context, endpoint: Endpoint, service: Service, base: Path) -> dict[str, Any] | None:
    """The list as it is now, from the last collection and the changes since; None when it must be read whole.

    Raises
    ------
    Interrupted
        As reading a list does.
    """
    journal = context.journal(endpoint.name)
    done = journal.done()
    if done is not None:
        return done
    before = ((manifest_of(base) or {}).get("collections") or {}).get(endpoint.name) or {}
    link, file = before.get("delta_link"), base / f"{endpoint.name}.jsonl"
    if not link or before.get("state") != "complete" or not _unchanged(file, before):
        return None
    changes = dataclasses.replace(
        endpoint, name=f"{STATE}/changes.{endpoint.name.replace('/', '.')}", count="", delta=""
    )
    try:
        entry = read_list(context, changes, service, start=link)
    except StartOver:
        context.journal(changes.name).discard()
        return None
    if entry["state"] != "complete" or not entry["delta_link"]:
        context.journal(changes.name).discard()
        return None
    return _merge(context, endpoint, file, changes.name, entry)


def _unchanged(file: Path, entry: dict[str, Any]) -> bool:
    """Whether a file of the last collection is still the one that its manifest speaks of."""
    size = entry.get("bytes")
    return isinstance(size, int) and file.is_file() and digest(file, size, whole=True) == entry.get("sha256")


def _merge(context: Context, endpoint: Endpoint, file: Path, changes: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Old rows with their changes, then the new ones. What delta does not track is taken out, not kept stale."""
    changed: dict[str, dict[str, Any]] = {}
    for line in context.journal(changes).lines():
        for row in line["body"].get("value", ()):
            if isinstance(row.get("id"), str):
                name = row["id"].lower()
                before = {} if "@removed" in row else changed.get(name, {})
                changed[name] = {**{k: v for k, v in before.items() if k != "@removed"}, **row}
    journal, items, count = context.journal(endpoint.name), 0, 0
    journal.discard()
    request = endpoint.relative(leave_out=endpoint.without)
    with open(file, "rb") as old:
        for text in old:
            line = orjson.loads(text)
            rows = [_row(row, changed, endpoint) for row in line["body"].get("value", ())]
            page = {**_quiet(line["body"]), "value": [row for row in rows if row is not None]}
            journal.append(*pages.line(request, page, observed=context.observed))
            items, count = items + len(page["value"]), count + 1
    new = [row for row in changed.values() if "@removed" not in row]
    if new:
        journal.append(*pages.line(request, {"value": new}, observed=context.observed))
    note = (
        f"{entry['items']:,} changes since {file.parent.parent.name}; managers and sign-in times are not tracked there"
    )
    return journal.finish(
        {
            "kind": "list",
            "state": "complete",
            "pages": count + bool(new),
            "items": items + len(new),
            "server_count": None,
            "duplicates": 0,
            "conflicts": 0,
            "restarts": 0,
            "delta_link": entry["delta_link"],
            "warnings": [note],
            "reason": "",
        }
    )


def _quiet(body: dict[str, Any]) -> dict[str, Any]:
    apart = {*pages.link_names(body), "value", "@odata.deltaLink", "@odata.count"}
    return {k: v for k, v in body.items() if k not in apart}


def _row(row: dict[str, Any], changed: dict[str, dict[str, Any]], endpoint: Endpoint) -> dict[str, Any] | None:
    """One old row as it is now; its change is used up."""
    change = changed.pop(str(row.get("id")).lower(), {})
    if "@removed" in change:
        return None
    return {k: v for k, v in {**row, **change}.items() if k not in endpoint.without}
