"""From export files to tables: which reader takes a file, and what came out of it.

>>> [r.SOURCE for r in readers()][:3]
['package', 'collection', 'own']
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis import schema
from flowanalysis.errors import InputError, NothingToLoad, UnknownExport
from flowanalysis.sources import bunches, collection, files, keys, settle, sharepoint, variables
from flowanalysis.sources.ahead import Ahead, Understood
from flowanalysis.sources.base import Batch, Document, Reader, Reject
from flowanalysis.sources.framing import Framing, keyed
from flowanalysis.sources.merge import Merged, Part, bundled, cut, merge
from flowanalysis.tenant import Tenant

__all__ = ["Harvest", "inspect", "read", "readers", "shapes"]

# The first reader that recognises a document takes it: the special before the general.
MODULES = (
    "packages",
    "collection",
    "own",
    "azurehound",
    "dataconnect",
    "coe",
    "powershell",
    "portals",
    "m365csv",
    "roadrecon",
    "powerplatform",
    "dataverse",
    "graph",
    "loose",
)
SHAPES = (
    "Microsoft Graph answers (users, deleted users, groups, members, roles, service principals, grants, licences, "
    "sites, drives, permissions of sites and files)",
    "Power Platform admin answers (environments, flows, flow details, permissions, connections, connectors, runs)",
    "Dataverse answers (workflows, connection references, environment variables, system users, teams)",
    "all of these as pages, arrays, JSON Lines or `m365 … --output json`, plain, in gzip or in zip; "
    "plain properties also as `m365 … --output csv`",
    "flow packages and solutions (zip), and single flow definitions (JSON)",
    "PowerShell: Get-AdminFlow, -FlowOwnerRole, -PowerAppConnection, …RoleAssignment, -PowerAppEnvironment, "
    "-DlpPolicy, Get-MgUser, Get-MgGroup, as ConvertTo-Json or Export-Csv",
    "CoE Starter Kit tables (admin_*), CSV or JSON",
    "AzureHound JSON, ROADrecon database, Graph Data Connect (JSON lines or Parquet)",
    "Entra portal and Microsoft 365 admin centre users (CSV), Power Platform inventory (JSON or workbook)",
    "own CSV: rights (who,resource,level,via) and register of service accounts (account,owner,purpose,…); "
    "exceptions of the policy are named, and belong into the policy",
)


def _by_table(parts: Iterable[Part]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(part.table, []).append(part)
    return found


def readers() -> list[Reader]:
    """The readers in the order in which they are asked."""
    return [import_module(f"{__name__}.{m}") for m in MODULES]


def shapes() -> str:
    """What can be read, one shape a line."""
    return "\n".join(f"  - {s}" for s in SHAPES)


@dataclass
class Harvest:
    """Everything that was read from some places, not yet merged.

    Attributes
    ----------
    parts : list of Part
        Rows of one table out of one file each.
    log : list of dict
        Rows of ``collection_log``.
    rejected : list of dict
        Rows of ``rejected``.
    shapes : dict
        File to the shape that it was recognised as; a file that nobody knows has the empty text.
    written : float or None
        When the newest of the files was written, seconds since 1970.
    lists : dict
        Line of the log to the list whose pages lie in several files, this line being about one of them.
    """

    parts: list[Part] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    shapes: dict[str, str] = field(default_factory=dict)
    written: float | None = None
    lists: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Every table that was collected, merged and settled; with the log, the rejects and the conflicts."""
        unified = keys.unify(self.parts)
        tables = _by_table(unified)
        long = sorted(tables, key=lambda name: -sum(len(part.frame) for part in tables[name]))  # those are begun first
        with ThreadPoolExecutor(2) as pool:  # the loops inside let other threads run
            made = dict(zip(long, pool.map(merge, long, map(tables.__getitem__, long)), strict=True))
        merged = {name: made[name] for name in tables}
        log = [{k: v for k, v in e.items() if k != "part"} for e in self._counted(merged)]
        frames = settle.settled(merged, unified)
        told = [m.conflicts for m in merged.values() if len(m.conflicts)]
        frames["conflicts"] = pd.concat(told, ignore_index=True) if told else schema.empty("conflicts")
        log = collection.one_line_each(log, self.lists)
        _tell_cut(log, cut(frames["conflicts"]))
        sharepoint.tell_unplaced(log, frames)
        frames["collection_log"] = schema.frame("collection_log", log)
        frames["rejected"] = schema.frame("rejected", self.rejected)
        return frames

    def _counted(self, merged: dict[str, Merged]) -> Iterator[dict[str, Any]]:
        """The log with the number of rows of each part that other rows had told before."""
        numbers = {name: iter(m.duplicates) for name, m in merged.items()}
        for entry in self.log:
            yield {**entry, "duplicates": next(numbers[entry["table"]])} if entry["table"] in numbers else entry

    @cached_property
    def collected(self) -> frozenset[str]:
        """Tables that some export was about, even if it had no row."""
        return frozenset({p.table for p in self.parts if p.listed} | {"collection_log", "rejected", "conflicts"})

    def tenant(self, *, name: str = "") -> Tenant:
        """The tenant that the exports describe; as of the newest file where no export tells a time."""
        flows = self.frames.get("flows", schema.empty("flows"))
        told = any(e.get("observed_at") for e in self.log) or flows["modified_at"].notna().any()
        as_of = None if told or self.written is None else pd.Timestamp(self.written, unit="s", tz="UTC")
        return Tenant(self.frames, collected=self.collected, as_of=as_of, name=name)


def read(*paths: str | Path, progress: bool = False) -> Harvest:
    """Read export files and folders, shapes mixed.

    Parameters
    ----------
    *paths : str or Path
        Files, or folders that are searched through.
    progress : bool
        Show a bar on stderr.

    Raises
    ------
    NothingToLoad
        When a path does not exist, or no file in them can be read.
    """
    harvest = _walk(paths, progress=progress)
    if not harvest.parts:
        raise NothingToLoad(
            _nothing(harvest), where=", ".join(map(str, paths)), remedy=f"What can be read:\n{shapes()}"
        )
    return harvest


def _nothing(harvest: Harvest) -> str:
    if not harvest.shapes:
        return "no file here"
    first = [f"{r['file']}: {r['reason']}" for r in harvest.rejected[:3]]
    return f"none of {len(harvest.shapes)} files can be read ({'; '.join(first)})"


@dataclass
class _Work:
    """What one reading keeps in mind: line of the log -> collections that it is a part of; rows without a frame yet."""

    chains: dict[int, Mapping[str, bool]] = field(default_factory=dict)
    framing: Framing = field(default_factory=Framing)


def _walk(paths: Iterable[str | Path], *, progress: bool) -> Harvest:
    found = list(files.found(paths))
    early = set(variables.early(path for path, _ in found))
    before = _opened([f for f in found if f[0] in early], {}).parts if early else []
    return _opened(found, variables.given(before, keys.unify(before)), progress=progress)


def _opened(found: list[tuple[Path, str]], values: variables.Variables, *, progress: bool = False) -> Harvest:
    harvest, work = Harvest(), _Work()
    large = files.threshold(path for path, _ in found)
    with tempfile.TemporaryDirectory(prefix="flowanalysis-") as folder, Ahead(readers(), _told(harvest, work)) as ahead:
        bunched = {f: b for b in bunches.bunches(found, Path(folder)) for f in b.files}
        for path, name in _bar(found, progress):
            harvest.written = max(harvest.written or 0.0, path.stat().st_mtime)
            if (path, name) in bunched:
                ahead.finish()
                if _in_bunch(harvest, (path, name), bunched, work):
                    continue
            document: Document | InputError | None = None
            for document in files.documents(path, name=name, workspace=Path(folder), large=large):
                if isinstance(document, InputError):
                    ahead.refuse(document.where or name, document)
                else:
                    ahead.take(replace(document, variables=values))
            if document is None:  # a file that leaves no trace would be missed by nobody
                error = UnknownExport("nothing in it can be read", where=name, remedy="Export it again")
                ahead.refuse(name, error)
    work.framing.finish()
    harvest.lists = collection.lists(harvest.log, work.chains)
    _close_chains(harvest, work.chains)
    for path, name in found:
        if path.name == collection.MANIFEST:
            for file, what in collection.changed(path).items():
                _doubt(harvest, name.removesuffix(path.name) + file, what)
    harvest.parts = bundled(harvest.parts)
    return harvest


def _in_bunch(harvest: Harvest, file: bunches.File, bunched: dict[bunches.File, bunches.Bunch], work: _Work) -> bool:
    """True for a page that was read with others; the first of them brings all in."""
    bunch = bunched.get(file)
    if bunch is None:
        return False
    if file == bunch.files[0]:
        shape = next(filter(None, (r.recognise(bunch.document) for r in readers())), None)
        results = bunches.read(bunch) if shape else None
        if results is None:
            for other in bunch.files:
                del bunched[other]
            return False
        harvest.shapes.update(dict.fromkeys((name for _, name in bunch.files), str(shape)))
        for batch in results:
            _add(harvest, bunch.document, batch, work, cut=False)
    return True


def _doubt(harvest: Harvest, name: str, what: str) -> None:
    """What came from a file counts as incomplete."""
    harvest.rejected.append({"file": name, "record": "", "table": "", "reason": what})
    harvest.parts[:] = [replace(p, complete=False) if p.file == name else p for p in harvest.parts]
    entries = [e for e in harvest.log if e["file"] == name]
    for entry in entries:
        entry.update(complete=False, message="; ".join(filter(None, (what, entry["message"]))))
    if not entries:
        harvest.log.append({"source": "", "file": name, "table": "", "rows": 0, "complete": False, "message": what})


def _bar(found: list[tuple[Path, str]], progress: bool) -> Iterable[tuple[Path, str]]:
    if not progress:
        return found
    from tqdm import tqdm  # late: only people at a terminal need it

    return tqdm(found, desc="reading exports", unit="file", disable=None)


def _failed(harvest: Harvest, name: str, error: InputError) -> None:
    what = f"{error.what}. {error.remedy}" if error.remedy else error.what
    harvest.shapes.setdefault(name, "")
    harvest.rejected.append({"file": name, "record": "", "table": "", "reason": what})
    harvest.log.append({"source": "", "file": name, "table": "", "rows": 0, "complete": False, "message": what})


def _told(harvest: Harvest, work: _Work) -> Callable[[Understood], None]:
    """What becomes of a document that was understood, or not."""

    def tell(found: Understood) -> None:
        document = found.document
        if document and found.shape:
            harvest.shapes[found.name] = found.shape
            harvest.rejected.extend(_reject_row(found.name, r) for r in document.rejects)
        if found.error or not document:
            _failed(harvest, found.name, found.error or UnknownExport("no known export"))
            return
        rejects = [*document.rejects, *(r for r in found.results if isinstance(r, Reject))]
        cut = any("the export was cut" in r.reason for r in rejects)
        for result in found.results:
            if isinstance(result, Reject):
                harvest.rejected.append(_reject_row(found.name, result))
            else:
                _add(harvest, document, result, work, cut=cut)

    return tell


def _reject_row(name: str, reject: Reject) -> dict[str, Any]:
    return {"file": name, "record": reject.record, "table": reject.table, "reason": reject.reason}


def _add(harvest: Harvest, document: Document, batch: Batch, work: _Work, *, cut: bool) -> None:
    """One batch into parts and log; rows that come as records wait there for a frame of their table."""
    seen = batch.observed_at or document.observed_at
    complete = False if cut else batch.complete
    work.chains[len(harvest.log)] = {} if cut and not batch.next_link else batch.chains
    entry: dict[str, Any] = {
        "source": batch.source,
        "file": document.name,
        "table": batch.table,
        "rows": 0,
        "duplicates": 0,
        "complete": complete,
        "next_link": batch.next_link,
        "observed_at": seen,
        "message": "; ".join(filter(None, (batch.message, *document.notes))),
    }
    harvest.log.append(entry)
    if not batch.table:
        return
    place, part = (
        len(harvest.parts),
        Part(batch.table, pd.DataFrame(), batch.source, document.name, seen, not batch.aside, complete),
    )
    harvest.parts.append(part)

    def ready(frame: pd.DataFrame, span: tuple[int, int], bad: list[Reject]) -> None:
        entry["rows"] = span[1] - span[0]
        harvest.parts[place] = replace(part, frame=frame, span=span)
        harvest.rejected.extend(_reject_row(document.name, r) for r in bad)

    if isinstance(batch.rows, (list, tuple)):
        work.framing.add(batch.table, batch.rows, ready)
    else:
        frame, nameless = keyed(batch.table, schema.frame(batch.table, batch.rows))
        ready(frame, (0, len(frame)), [Reject(batch.table, f"row {n + 1}", why) for n, why in nameless])


def _close_chains(harvest: Harvest, chains: Mapping[int, Mapping[str, bool]]) -> None:
    """A link to a further page is no gap when the last page lies in another file."""
    closed = {
        (e["source"], c)
        for n, e in enumerate(harvest.log)
        for c, left in chains.get(n, {}).items()
        if not left and (e["complete"] or e["next_link"])
    }
    parts = iter(range(len(harvest.parts)))
    for number, entry in enumerate(harvest.log):
        part = next(parts) if entry["table"] else None
        if not entry.get("next_link"):
            continue
        open_ = [(entry["source"], c) for c, left in chains.get(number, {}).items() if left]
        if open_ and closed.issuperset(open_):
            entry["next_link"], entry["complete"] = False, True
            if part is not None:
                harvest.parts[part] = replace(harvest.parts[part], complete=True)
        else:
            said = "a link to a further page was left over: the export is not complete"
            entry["message"] = "; ".join(filter(None, (said, entry["message"])))


def _tell_cut(log: list[dict[str, Any]], said: dict[str, str]) -> None:
    """Say of a table whose conflicts are not all listed so in its first line of the log."""
    for entry in log:
        if words := said.pop(entry["table"], ""):
            entry["message"] = "; ".join(filter(None, (words, entry["message"])))


def inspect(*paths: str | Path) -> pd.DataFrame:
    """What each file was recognised as, what it gave, and what is missing.

    Returns
    -------
    pandas.DataFrame
        One row a file: file, recognised (empty when nobody knows it), tables, rows, set_aside, reasons, missing.
    """
    harvest = _walk(paths, progress=False)
    rows = [_inspected(harvest, name, shape) for name, shape in harvest.shapes.items()]
    columns = ["file", "recognised", "tables", "rows", "set_aside", "reasons", "missing"]
    return pd.DataFrame(rows, columns=columns)


def _inspected(harvest: Harvest, name: str, shape: str) -> dict[str, Any]:
    log = [e for e in harvest.log if e["file"] == name]
    aside = [r for r in harvest.rejected if r["file"] == name]
    counts: dict[str, int] = {}
    for entry in log:
        if entry["table"]:
            counts[entry["table"]] = counts.get(entry["table"], 0) + entry["rows"]
    return {
        "file": name,
        "recognised": shape,
        "tables": ", ".join(f"{t} {n:,}" for t, n in counts.items()),
        "rows": sum(counts.values()),
        "set_aside": len(aside),
        "reasons": "; ".join(dict.fromkeys(r["reason"] for r in aside))[:500],
        "missing": "; ".join(dict.fromkeys(e["message"] for e in log if e["message"] and shape)),
    }
