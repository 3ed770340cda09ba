"""Snapshots: an immutable folder of Parquet files and a manifest, written once and reopened in seconds.

::

    data/contoso/2026-10/
        manifest.json     version, month, tables with rows and sha256, what was collected, sources
        flows.parquet     one file per table that has rows
        codes/*.npy       the integer codes that the analyses use
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from flowanalysis import __version__, codes, schema
from flowanalysis.errors import SnapshotError
from flowanalysis.tenant import Tenant

MANIFEST = "manifest.json"
FORMAT = "flowanalysis-snapshot/1"
PAYS = 2
"""Rows that a word must stand for on average, or the plain strings are as small and quicker."""


def is_snapshot(place: str | Path) -> bool:
    """True when the folder holds the manifest of a snapshot."""
    manifest = Path(place) / MANIFEST
    if not manifest.is_file():
        return False
    with manifest.open("rb") as file:
        return FORMAT.encode() in file.read(4096)


def write_snapshot(tenant: Tenant, folder: str | Path) -> Path:
    """Write a tenant as a snapshot; the folder appears whole or not at all.

    Parameters
    ----------
    tenant : Tenant
        What to keep.
    folder : str or Path
        The snapshot's folder; must not exist. A snapshot is never changed: collect again into a new one.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SnapshotError
        When the folder exists.
    """
    target = Path(folder)
    if target.exists():
        raise SnapshotError("a snapshot is never overwritten", where=str(target), remedy="Choose another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    draft.mkdir()
    try:
        tables = {name: _write_table(tenant[name], name, draft) for name in schema.TABLES if len(tenant[name])}
        manifest = _manifest(tenant, tables) | {"codes": _write_codes(tenant, draft)}
        _write_last(draft / MANIFEST, manifest)
        os.replace(draft, target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target


def _write_table(frame: pd.DataFrame, name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.parquet"
    columns = {c.name: _written(frame[c.name]) for c in schema.table(name).columns}
    # one group of rows and dictionaries of any size: each word is written and read once, and no other column has any
    whole: dict[str, Any] = {"row_group_size": max(1, len(frame)), "dictionary_pagesize_limit": 2**30}
    repeated = [n for n, column in columns.items() if pa.types.is_dictionary(column.type)]
    pq.write_table(
        pa.table(columns), path, compression="zstd", write_statistics=False, use_dictionary=repeated, **whole
    )
    return {"rows": len(frame), "sha256": _digest(path)}


def _written(column: pd.Series) -> pa.Array:
    """A column as it is kept: words that repeat once, where that is the smaller."""
    if column.dtype != schema.TEXT:
        return pa.array(column, from_pandas=True)
    words = schema.encoded(column)
    return words if len(words.dictionary) * PAYS <= len(words) else pa.array(column.array)


def _write_codes(tenant: Tenant, folder: Path) -> dict[str, str]:
    place = folder / "codes"
    place.mkdir()
    digests = {}
    for name, array in tenant.codes.arrays().items():
        path = place / f"{name}.npy"
        np.save(path, array, allow_pickle=False)
        digests[name] = _digest(path)
    return digests


def _manifest(tenant: Tenant, tables: dict[str, Any]) -> dict[str, Any]:
    log = tenant.collection_log
    partial_sources = sorted(set(log.loc[(log["complete"] == False).fillna(False), "file"]))  # noqa: E712  NA is not False
    return {
        "format": FORMAT,
        "flowanalysis": __version__,
        "name": tenant.name,
        "as_of": tenant.as_of.isoformat(),
        "month": tenant.month,
        "collected": sorted(tenant.collected),
        "complete": not partial_sources,
        "incomplete_files": partial_sources,
        "sources": sorted(set(log["source"].dropna())),
        "tables": tables,
    }


def _write_last(path: Path, manifest: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a snapshot.

    Raises
    ------
    SnapshotError
        When it is missing, damaged, or of another format.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SnapshotError(
            f"manifest cannot be read: {error}", where=str(path), remedy="Load the exports again."
        ) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise SnapshotError(f"format {found!r} is not {FORMAT!r}", where=str(path), remedy="Load the exports again.")
    return manifest


def open_snapshot(folder: str | Path, *, verify: bool = False) -> Tenant:
    """A tenant whose tables are read from the snapshot when first asked for.

    Parameters
    ----------
    folder : str or Path
        A folder written by `write_snapshot`.
    verify : bool
        Compare every file with its digest first (reads all bytes).

    Raises
    ------
    SnapshotError
        When a file is missing, or with `verify` when one was changed.
    """
    place = Path(folder)
    manifest = read_manifest(place)
    files = {f"{name}.parquet": entry["sha256"] for name, entry in manifest["tables"].items()}
    files |= {f"codes/{name}.npy": digest for name, digest in manifest["codes"].items()}
    for name, digest in files.items():
        path = place / name
        if not path.is_file():
            raise SnapshotError("file is missing", where=str(path), remedy="Load the exports again.")
        if verify and _digest(path) != digest:
            raise SnapshotError(
                "file was changed after it was written", where=str(path), remedy="Load the exports again."
            )
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        name: partial(_read_table, place, name) for name in manifest["tables"]
    }
    return Tenant(
        readers,
        collected=manifest["collected"],
        as_of=pd.Timestamp(manifest["as_of"]),
        codes=partial(_read_codes, place, list(manifest["codes"])),
        name=manifest["name"],
    )


def _read_table(place: Path, name: str) -> pd.DataFrame:
    try:
        with pq.ParquetFile(place / f"{name}.parquet") as file:
            return schema.frame(name, file.read(), distinct=True)  # `_written` takes them from columns
    except (OSError, pa.ArrowException) as error:
        where = str(place / f"{name}.parquet")
        raise SnapshotError(f"table cannot be read: {error}", where=where, remedy="Load the exports again.") from None


def _read_codes(place: Path, names: list[str]) -> codes.Codes:
    return codes.Codes.from_arrays(
        {name: np.load(place / "codes" / f"{name}.npy", allow_pickle=False) for name in names}
    )
