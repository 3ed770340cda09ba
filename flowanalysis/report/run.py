"""The monthly report: notebooks by papermill, each in its own process, then the pages around them."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis import __version__, places
from flowanalysis.errors import ReportError, UnknownName
from flowanalysis.loading import load
from flowanalysis.policy import load_policy
from flowanalysis.pseudonyms import Pseudonyms, fingerprint, pseudonymise
from flowanalysis.report import assemble, notebook, processes, publish, seen, worker
from flowanalysis.report.frames import tenant_name
from flowanalysis.report.page import Frame, Link
from flowanalysis.report.scope import Scope
from flowanalysis.report.scope import scope as scope_of
from flowanalysis.snapshot import is_snapshot, write_snapshot
from flowanalysis.tenant import Tenant

MONTH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
NOTEBOOK_TIMEOUT = 3_600  # seconds for a whole notebook, above the time of its cells
HIDDEN = "names are pseudonyms"
EXTRA = (Link("graph.html", "", "Graph"), Link("worklists.html", "", "Work lists"))
Tick = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What was asked for, as it goes into run.json."""

    paths: tuple[Path, ...]
    month: str
    previous: Path | None = None
    policy: Path | None = None
    environment: str = ""
    department: str = ""
    jobs: int = 2
    pdf: bool = False
    pseudonyms: str = ""

    @property
    def plain(self) -> bool:
        """Whether names stand as they are."""
        return not self.pseudonyms


def render(
    paths: str | Path | Sequence[str | Path],
    *,
    month: str | None = None,
    out: str | Path = "reports",
    only: list[str] | None = None,
    environment: str | None = None,
    department: str | None = None,
    jobs: int = 2,
    pdf: bool = False,
    previous: str | Path | None = None,
    policy: str | Path | None = None,
    progress: bool = True,
    notebooks: str | Path | None = None,
    pseudonym_key: bytes | None = None,
) -> Path:
    """Render the report of exports or a snapshot.

    Parameters
    ----------
    paths : path or several
        Exports, shapes mixed, or one snapshot.
    month : str, optional
        Name of the report's folder. Default: the month that the data describes.
    out : path
        Folder of the reports.
    only : list of str, optional
        Notebooks by number, name or file. Default: all but 10_explore.
    environment, department : str, optional
        Show only what belongs to flows of this environment, or owned in this department.
    jobs : int
        Notebooks at the same time; each needs a processor and the memory of the tenant.
    pdf : bool
        A PDF of every page too, by a Chromium, Chrome or Edge on this machine.
    previous : path, optional
        Last month's exports or snapshot.
    policy : path, optional
        The company's policy file.
    progress : bool
        A bar on stderr.
    notebooks : path, optional
        Folder of notebooks to run instead of the shipped ones.
    pseudonym_key : bytes, optional
        Replace names, addresses and free text by tokens under this key; see `flowanalysis.pseudonyms`.

    Returns
    -------
    Path
        ``index.html`` of the report. Notebooks that did not run are named at its top and in run.json.

    Raises
    ------
    UnknownName
        When a notebook, environment or department does not exist.
    ReportError
        When the month is no folder name, or something that is no report stands in its place.
    """
    suite = notebook.suite(Path(notebooks) if notebooks else places.notebooks(), only)
    with _Bar(len(suite) + 4, shown=progress) as bar:
        bar.tick("reading the data")
        given = [paths] if isinstance(paths, str | Path) else list(paths)
        request = Request(
            paths=tuple(places.place(p) for p in given),
            month=month or "",
            previous=places.place(previous) if previous else None,
            policy=places.place(policy) if policy else None,
            environment=environment or "",
            department=department or "",
            jobs=jobs,
            pdf=pdf,
            pseudonyms=fingerprint(pseudonym_key) if pseudonym_key else "",
        )
        tenant = load(*request.paths)
        before = load(request.previous) if request.previous else None
        if pseudonym_key:
            request, tenant, before = _hidden(request, tenant, before, pseudonym_key)
        request = replace(request, month=_folder_name(request.month or tenant.month))
        target = Path(out) / request.month
        with publish.building(target) as draft:
            _build(request, tenant, before, suite, draft, Path(out), bar.tick)
    return target / "index.html"


def _hidden(
    request: Request, tenant: Tenant, before: Tenant | None, key: bytes
) -> tuple[Request, Tenant, Tenant | None]:
    """The months, and the environment asked for, under pseudonyms."""
    policy = load_policy(request.policy)
    asked = Pseudonyms(key, tenant).id(request.environment) if request.environment else ""
    months = [pseudonymise(one, key, policy) if one is not None else None for one in (tenant, before)]
    return replace(request, environment=asked), months[0] or tenant, months[1]


def failed(report: str | Path) -> list[dict[str, Any]]:
    """The notebooks of a report that did not run to their end, from its run.json."""
    told = json.loads((Path(report) / "run.json").read_text(encoding="utf-8"))
    return [status for status in told["notebooks"] if status["status"] != worker.COMPLETED]


def as_named(path: Path) -> str:
    """A place relative to the folder of work or to the checkout where it lies inside, so that reports travel."""
    for root in (Path.cwd(), places.CHECKOUT):
        if path.resolve().is_relative_to(root):
            return path.resolve().relative_to(root).as_posix()
    return path.as_posix()


def _folder_name(month: str) -> str:
    if not MONTH.fullmatch(month):
        raise ReportError(f"Month {month!r} is no folder name; write it as 2026-10.")
    return month


def _build(
    request: Request,
    tenant: Tenant,
    before: Tenant | None,
    suite: list[notebook.Notebook],
    draft: Path,
    out: Path,
    tick: Tick,
) -> None:
    started = time.time()
    load_policy(request.policy)  # one that cannot be read ends the run now, not after the notebooks
    scope = scope_of(tenant, environment=request.environment, department=request.department)
    frame = Frame(
        tenant=tenant_name(tenant),
        month=request.month,
        scope=scope.words if request.plain else "; ".join(filter(None, [scope.words, HIDDEN])),
        links=(Link("index.html", "", "Overview"), *(n.link for n in suite), *EXTRA),
        version=__version__,
    )
    with tempfile.TemporaryDirectory(prefix="flowanalysis-") as work:
        tick("writing the snapshot")
        given = request.paths if request.plain else ()
        data = _snapshot(given, tenant, Path(work) / "current")
        last = (request.previous,) if request.plain else ()
        earlier = _snapshot(last, before, Path(work) / "previous") if before is not None else ""
        parameters = {
            "data": str(data),
            "previous": str(earlier),
            "policy": str(request.policy or ""),
            "environment": request.environment,
            "department": request.department,
        }
        told = {str(data): "; ".join(map(as_named, request.paths)) if request.plain else HIDDEN}
        if request.previous:
            told[str(earlier)] = as_named(request.previous) if request.plain else HIDDEN
        files = {_order(one, draft, parameters, frame, Path(work), told=told): one.name for one in suite}
        with _running(files, parameters, request.jobs) as jobs:
            tick("findings and overview")
            _take_over(jobs.found(), tenant, before, request.policy)
            past = assemble.Before(before, _same_scope(before, request)) if before is not None else None
            made = assemble.prepare(tenant, past, scope, frame, draft, out=out, policy=request.policy)
            statuses = _statuses(jobs.ends, files, tick)
    frame = _mark_broken(frame, statuses, draft)
    tick("files")
    summary = assemble.assemble(made, tenant, frame, statuses, draft)
    if request.pdf:
        summary["pdf"] = assemble.pdf(draft)
    manifest = _manifest(request, statuses, started) | summary
    (draft / "run.json").write_text(json.dumps(manifest, indent=1, default=str) + "\n", encoding="utf-8")


def _take_over(found: Path | None, tenant: Tenant, before: Tenant | None, policy: Path | None) -> None:
    """Know what the process of the notebooks has found; without it, this process looks itself."""
    if found is None:
        return
    rules = load_policy(policy)
    seen.take_over(found, "now", tenant, rules, before)
    if before is not None:
        seen.take_over(found, "then", before, rules, None)


def _same_scope(before: Tenant, request: Request) -> Scope:
    """The scope in last month's data; what did not exist then has nothing to compare with."""
    try:
        return scope_of(before, environment=request.environment, department=request.department)
    except UnknownName:
        return Scope("nothing", pd.Index([]))


def _mark_broken(frame: Frame, statuses: Iterable[worker.Status], draft: Path) -> Frame:
    """The pages that exist, those of failed notebooks marked."""
    broken = {f"{s.notebook}.html" for s in statuses if s.status != worker.COMPLETED}
    kept = [link for link in frame.links if not link.number or (draft / link.href).is_file()]
    made = [replace(link, broken=link.href in broken) for link in kept]
    return replace(frame, links=tuple(made))


def _snapshot(paths: Sequence[Path | None], tenant: Tenant, folder: Path) -> Path:
    """The snapshot given, or one made of the exports, so that every notebook opens in a moment."""
    if len(paths) == 1 and paths[0] is not None and is_snapshot(paths[0]):
        return paths[0].resolve()
    return write_snapshot(tenant, folder)


def run_notebooks(
    suite: list[notebook.Notebook],
    draft: Path,
    parameters: Mapping[str, object],
    frame: Frame,
    *,
    work: Path,
    jobs: int = 2,
    tick: Tick = lambda _: None,
    cell_timeout: int = 600,
    told: Mapping[str, str] | None = None,
) -> list[worker.Status]:
    """Run notebooks, each in a process of its own; one that fails stops no other.

    Parameters
    ----------
    suite : list of Notebook
        What to run.
    draft : Path
        Folder that receives the executed notebooks, their pages and their tables.
    parameters : dict
        Of these each notebook gets the ones that it declares.
    told : mapping, optional
        Places of this run to the places as the analyst named them, which the executed notebook shows.
    """
    files = {_order(n, draft, parameters, frame, work, told=told, cell_timeout=cell_timeout): n.name for n in suite}
    with _running(files, parameters, jobs) as running:
        return _statuses(running.ends, files, tick)


def _running(
    files: Mapping[Path, str], parameters: Mapping[str, object], jobs: int
) -> contextlib.AbstractContextManager[processes.Running]:
    opened = {k: str(parameters.get(k, "")) for k in ("data", "previous", "policy")}
    return processes.running(list(files), jobs=jobs, timeout=NOTEBOOK_TIMEOUT, opened=opened)


def _statuses(ends: processes.Ends, files: Mapping[Path, str], tick: Tick) -> list[worker.Status]:
    """How each notebook ended, in the order of the suite."""
    done = {}
    for file, code in ends:
        done[files[file]] = _status(file, code)
        tick(files[file])
    return [done[name] for name in files.values()]


def _order(
    one: notebook.Notebook,
    draft: Path,
    parameters: Mapping[str, object],
    frame: Frame,
    work: Path,
    *,
    told: Mapping[str, str] | None = None,
    cell_timeout: int = 600,
) -> Path:
    """The job of a notebook as a file."""
    mine = {k: v for k, v in parameters.items() if k in one.parameters}
    job = worker.Job(str(one.path), str(draft.resolve()), mine, asdict(frame), cell_timeout, dict(told or {}))
    file = work / f"{one.name}.json"
    file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    return file


def _status(file: Path, code: int | None) -> worker.Status:
    """What a job left as its status; without a word from it, what its end tells."""
    told = file.with_suffix(".status")
    if told.is_file():
        return worker.Status(**json.loads(told.read_text(encoding="utf-8")))
    if code is None:
        problem = f"took longer than {NOTEBOOK_TIMEOUT} s"
        return worker.Status(file.stem, worker.TIMED_OUT, NOTEBOOK_TIMEOUT, problem)
    problem = f"The process of the notebook ended with code {code} and left no word; too little memory?"
    return worker.Status(file.stem, worker.KERNEL_DIED, 0.0, problem)


def _manifest(request: Request, statuses: list[worker.Status], started: float) -> dict[str, Any]:
    """What run.json says of the run itself."""
    files = sorted({f for p in request.paths for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file()})
    whole = all(s.status == worker.COMPLETED for s in statuses)
    return {
        "month": request.month,
        "status": "complete" if whole else "some notebooks did not run",
        "rendered_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "environment": request.environment,
        "department": request.department,
        "inputs": {as_named(f) if request.plain else f"input {n}": publish.digest(f) for n, f in enumerate(files, 1)},
        "pseudonyms": request.pseudonyms,
        "notebooks": [asdict(s) for s in statuses],
        "versions": {"flowanalysis": __version__, "python": platform.python_version()}
        | {p: metadata.version(p) for p in ("pandas", "papermill", "nbconvert", "matplotlib", "networkx")},
    }


class _Bar:
    """A progress bar that says what is being done; silent when not asked for."""

    def __init__(self, steps: int, *, shown: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=steps, disable=not shown, unit="step", bar_format="{l_bar}{bar:24}| {desc} {elapsed}")

    def tick(self, what: str) -> None:
        self._bar.set_description_str(what, refresh=False)
        self._bar.update()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
