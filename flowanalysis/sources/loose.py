"""A flow definition in a file of its own: out of an unpacked solution or package, or copied from the designer.

The file is read as the one member of a package. Its id is the one inside, else the GUID in the file's name, as
solutions write it, else the name itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from flowanalysis.sources import packages
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.values import dig, fold

SOURCE = packages.SOURCE


def recognise(document: Document) -> str | None:
    """A single object with triggers or actions, in any wrapper that definitions have."""
    if document.form != "json" or len(document.roots) != 1 or not isinstance(document.roots[0], Mapping):
        return None
    root = document.roots[0]
    inner = (dig(root, "properties", "definition"), root.get("definition"), root.get("flow_definition"), root)
    return "flow definition" if any(map(_is_definition, inner)) or _is_desktop(root) else None


def _is_definition(found: Any) -> bool:
    if isinstance(found, str):  # the body of a request holds the definition as text
        return found.lstrip().startswith("{") and '"actions"' in found
    return isinstance(found, Mapping) and any(isinstance(found.get(k), Mapping) for k in ("triggers", "actions"))


def _is_desktop(root: Mapping[str, Any]) -> bool:
    return "schemaVersion" in root and isinstance(dig(root, "properties", "definition"), Mapping)


def read(document: Document) -> Iterator[Batch | Reject]:
    """The rows that the package reader gives for the one file."""
    root = document.roots[0]
    name = fold(root.get("name"))
    plain = document.name.replace("\\", "/").rpartition("/")[2].rpartition("!")[2]
    stem = plain[: -len(".json")] if plain.lower().endswith(".json") else plain
    place = f"Microsoft.Flow/flows/{name}/definition.json" if name and "type" in root else f"Workflows/{stem}.json"
    yield from packages.read(Document(document.name, "package", members={place: orjson.dumps(root)}))
