"""Environment variables of Dataverse: their rows, and their values for the flows that name them.

A flow says ``@parameters('Site (fab_Site)')``; what that is stands in the environment, not in the flow. So the files
that hold environment variables, and those that tell whose organisation is which, are read before all others.

A variable of the type secret names a place in a vault; neither its value nor its default is kept anywhere.

Source of the shapes: Dataverse Web API reference, tables EnvironmentVariableDefinition and EnvironmentVariableValue.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from flowanalysis import reference, schema
from flowanalysis.errors import InputError
from flowanalysis.sources import archives
from flowanalysis.sources.files import GZIP, GZIP_FORM
from flowanalysis.sources.merge import Part, merge
from flowanalysis.sources.values import count, fold, items, obj, text

Row = Mapping[str, Any]
Variables = Mapping[str, Mapping[str, object]]

KINDS = {
    100000000: "string",
    100000001: "number",
    100000002: "boolean",
    100000003: "json",
    100000004: "data_source",
    reference.toml("redaction")["variable"]["secret"]: "secret",
}
SECRET = "secret"
VALUES = ["value", "default_value"]
EXPANDED: str = reference.toml("redaction")["variable"]["values"]
VAULT = re.compile(r"providers/microsoft\.keyvault/", re.IGNORECASE)
HEAD = 16 * 2**10
"""Bytes of a file that are looked at: a page names its collection and its first row there."""
OF_VARIABLES = re.compile(rb'\$metadata#environmentvariable|"_?environmentvariable(definition|value)id', re.IGNORECASE)
OF_ENVIRONMENTS = re.compile(
    rb"linkedEnvironmentMetadata|environmentSku|admin_environmentcds|businessappplatform/(scopes/)?(admin/)?env",
    re.IGNORECASE,
)


def definition(row: Row, *, environment: str) -> dict[str, Any]:
    """A definition, with the value that stands expanded inside it.

    >>> definition({"environmentvariabledefinitionid": "D", "schemaname": "fab_Key", "type": 100000005,
    ...             "defaultvalue": "/subscriptions/s/x"}, environment="e1")["default_value"] is None
    True
    """
    word = (text(row.get("type")) or "").lower().replace(" ", "_")
    kind = KINDS.get(count(word) or 0, word if word in KINDS.values() else None)
    told = [v for v in items(row.get(EXPANDED)) if _active(v)]
    return {
        "environment_id": environment,
        "variable_id": fold(row.get("environmentvariabledefinitionid")),
        "variable_name": fold(row.get("schemaname")),
        "kind": kind,
        "value": _shown(told[0].get("value"), kind) if told else None,
        "default_value": _shown(row.get("defaultvalue"), kind),
    }


def value(row: Row, *, environment: str) -> dict[str, Any] | None:
    """A value, with what stands expanded of its definition; None for one that is switched off."""
    if not _active(row):
        return None
    told = next((obj(v) for k, v in row.items() if k.lower() == "environmentvariabledefinitionid"), obj(None))
    found = definition(told, environment=environment)
    found["variable_id"] = fold(row.get("_environmentvariabledefinitionid_value")) or found["variable_id"]
    return {**found, "value": _shown(row.get("value"), found["kind"])}


def _active(row: Row) -> bool:
    return count(row.get("statecode")) in {None, 0}


def _shown(told: Any, kind: str | None) -> str | None:
    found = text(told)
    return None if found is None or kind == SECRET or VAULT.search(found) else found


def early(paths: Iterable[Path]) -> list[Path]:
    """Files that hold environment variables, and those that hold environments; nothing when nobody has variables."""
    heads = [(path, _heads(path)) for path in paths]
    if not any(OF_VARIABLES.search(head) for _, found in heads for head in found):
        return []
    return [p for p, found in heads if any(OF_VARIABLES.search(h) or OF_ENVIRONMENTS.search(h) for h in found)]


def _heads(path: Path) -> list[bytes]:
    """The first bytes of a file, unpacked, or of each file of an archive; without the zero bytes of UTF-16."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if archives.is_zip(head):
            return [data[:HEAD].replace(b"\0", b"") for _, data in archives.members(path)]
        if head.startswith(GZIP):
            head = zlib.decompressobj(GZIP_FORM).decompress(head, HEAD)
    except (OSError, InputError, zlib.error):
        return []  # whoever reads it says what is wrong
    return [head.replace(b"\0", b"")]


def given(parts: Sequence[Part], placed: Sequence[Part]) -> Variables:
    """Values by environment and lower-case schema name.

    Parameters
    ----------
    parts, placed : sequence of Part
        The same rows; in the first under the address of the organisation, as Dataverse's flows come, in the second
        under the environment, as the flow service's flows come.
    """
    found: dict[str, dict[str, object]] = {}
    for several in (parts, placed):
        mine = [p for p in several if p.table == "environment_variables"]
        frame = settled(merge("environment_variables", mine).frame) if mine else schema.empty("environment_variables")
        for row in frame.dropna(subset=["variable_name", "value"]).itertuples(index=False):
            found.setdefault(row.environment_id, {})[row.variable_name] = _parsed(row.value, row.kind)
    return found


def settled(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with the value in force, without what is a secret by its type, its name or its form.

    A value whose definition nobody told may be a secret's, so it goes too; one that the collection took out is not
    known, and no default stands for it.
    """
    open_ = frame["variable_name"].notna() & (frame["kind"] != SECRET).fillna(True)
    default, own = (frame[c].where(open_ & _harmless(frame["variable_name"], frame[c])) for c in VALUES[::-1])
    return frame.assign(value=own.where(frame["value"].notna(), default), default_value=default)


def _harmless(names: pd.Series, values: pd.Series) -> pd.Series:
    from flowanalysis.definitions.secrets import any_in  # late: it reads resource files when imported

    taken_out = reference.toml("redaction")["word"]
    pairs = zip(names.fillna(""), values.fillna(""), strict=True)
    return pd.Series(
        [not v or (v != taken_out and not any_in(f"{n}={v}")) for n, v in pairs], index=names.index, dtype=bool
    )


def _parsed(value: str, kind: object) -> object:
    """The value as a flow sees it: what is typed as JSON has parts."""
    if kind is pd.NA or kind != "json":
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
