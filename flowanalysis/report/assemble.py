"""Everything around the notebooks: findings, numbers, work lists, graph, workbook, and the first page."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis import schema
from flowanalysis.findings import Examination
from flowanalysis.policy import load_policy
from flowanalysis.report import figures, index, record, show, viewer
from flowanalysis.report.frames import moved, moves, named
from flowanalysis.report.headlines import URGENT, Headline, headlines
from flowanalysis.report.page import Frame, month_name, page
from flowanalysis.report.scope import Scope
from flowanalysis.report.seen import examined, responsible
from flowanalysis.report.workbook import write_workbook
from flowanalysis.report.worker import Status
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant
from flowanalysis.text import plain, slug
from flowanalysis.worklists import work_list

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge", "microsoft-edge")


@dataclass(frozen=True)
class Before:
    """The month before, and which part of it compares."""

    tenant: Tenant
    scope: Scope


@dataclass
class Parts:
    """Parts of a report made one after the other; one that fails is named, and the others are still made."""

    problems: list[str] = field(default_factory=list)

    def make(self, what: str, function: Callable[[], Any], otherwise: Any = None) -> Any:
        """The result of the function; on failure `otherwise`, and the problem is kept for the first page."""
        try:
            return function()
        except Exception as error:  # whatever it is, the report must name it and go on
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # there is no place for a report that names it
            traceback.print_exc()
            self.problems.append(f"{what}: {plain(type(error).__name__)}: {plain(error, width=300)}")
            return otherwise


@dataclass
class Made:
    """What can be made of the data before any notebook has ended."""

    parts: Parts
    seen: Examination
    found: pd.DataFrame
    numbers: list[Headline]
    coverage: pd.DataFrame
    old: Mapping[str, int | None]
    old_month: str
    picture: str
    files: dict[str, str]


def prepare(
    tenant: Tenant,
    before: Before | None,
    scope: Scope,
    frame: Frame,
    draft: Path,
    *,
    out: Path,
    policy: Path | None,
) -> Made:
    """Findings, numbers, last month's numbers, the picture of changes and the graph; needs no notebook.

    Parameters
    ----------
    draft : Path
        Folder of the report being built.
    out : Path
        Folder of the reports, where last month's numbers are looked for.
    """
    parts, rules = Parts(), load_policy(policy)
    past = before.tenant if before else None
    seen: Examination = parts.make("Findings", lambda: examined(tenant, rules, past), _nothing_examined())
    who = parts.make("Who can act", lambda: responsible(tenant, rules, past), pd.Series(dtype=TEXT))
    found = scope(seen.findings).assign(who=lambda rows: rows["finding_id"].map(who).astype(TEXT))
    numbers = parts.make("Numbers", lambda: headlines(tenant, seen, scope), [])
    then = parts.make("Findings of last month", lambda: examined(past, rules)) if past else None
    old, old_month = parts.make("Last month", lambda: previous_numbers(frame, out, before, then), ({}, ""))
    coverage = parts.make("Coverage", lambda: coverage_of(tenant), pd.DataFrame(columns=COVERAGE))
    picture = parts.make("Changes", lambda: _changes(frame, seen, scope, before, then), "")
    files = parts.make("Graph", lambda: _graph(tenant, scope, found, frame, draft), {})
    return Made(parts, seen, found, numbers, coverage, old, old_month, picture, files)


def assemble(made: Made, tenant: Tenant, frame: Frame, statuses: list[Status], draft: Path) -> dict[str, Any]:
    """Write what stands around the notebooks; what run.json keeps of it.

    Parameters
    ----------
    made : Made
        From :func:`prepare`.
    statuses : list of Status
        How the notebooks ended.
    """
    _tables(draft, made.numbers, made.found, made.seen, made.coverage)
    files = made.files | _files(made.parts, tenant, made.found, frame, draft)
    over = index.Overview(
        frame=frame,
        as_of=tenant.as_of,
        coverage=made.coverage,
        collected=sorted(tenant.collected),
        not_collected=[t for t in schema.TABLES if t not in tenant.collected and t not in NOT_EXPECTED],
        headlines=made.numbers,
        findings=made.found,
        statuses=statuses,
        before=made.old,
        before_month=made.old_month,
        problems=made.parts.problems,
        files=files,
        picture=made.picture,
    )
    (draft / "index.html").write_text(index.html(over), encoding="utf-8")
    return {
        "tenant": tenant.name,
        "as_of": tenant.as_of.isoformat(),
        "headlines": {h.name: h.value for h in made.numbers},
        "findings": {str(k): int(v) for k, v in made.found["severity"].value_counts().items()},
        "problems": made.parts.problems,
    }


COVERAGE = ["question", "answer", "missing", "incomplete", "export", "command"]
# Tables that the readers write themselves, and that no export is missing for.
# What no analyst can be asked to export, or what comes along with other exports.
NOT_EXPECTED = frozenset({"rejected", "conflicts", "collection_log", "register", "connector_operations"})


def _nothing_examined() -> Examination:
    from flowanalysis.findings import COLUMNS

    empty = pd.DataFrame(columns=COLUMNS)
    return Examination(
        empty, pd.DataFrame(columns=["finding_id"]), pd.DataFrame(columns=["rule", "title", "answerable", "missing"])
    )


def coverage_of(tenant: Tenant) -> pd.DataFrame:
    """The questions of the house and how far this data answers them, the worst first."""
    from flowanalysis.sources.coverage import coverage

    frame = coverage(tenant)
    rank = frame["answer"].map({"none": 0, "partly": 1, "full": 2})
    return frame.assign(_rank=rank).sort_values("_rank", kind="stable").drop(columns="_rank").reset_index(drop=True)


def _changes(frame: Frame, seen: Examination, scope: Scope, before: Before | None, then: Examination | None) -> str:
    """The picture of findings fixed, open and new."""
    if before is None or then is None:
        return ""
    states = scope(moves({before.tenant.month: then, frame.month: seen}))
    figure = figures.change(moved(states), before=month_name(before.tenant.month), now=month_name(frame.month))
    return show.picture(figure, dark=True).html


def previous_numbers(
    frame: Frame, out: Path, before: Before | None, then: Examination | None
) -> tuple[dict[str, int | None], str]:
    """Last month's headline numbers and its name: from its data when given, else from its report."""
    if before is not None and then is not None:
        numbers = headlines(before.tenant, then, before.scope)
        return {h.name: h.value for h in numbers}, before.tenant.month
    if frame.scope:
        return {}, ""  # reports of other months may have had another scope
    earlier = sorted(
        p.parent for p in out.glob("*/run.json") if p.parent.name < frame.month and not p.parent.name.startswith(".")
    )
    for folder in reversed(earlier):
        told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if not told.get("environment") and not told.get("department") and "headlines" in told:
            return told["headlines"], folder.name
    return {}, ""


def _tables(
    draft: Path, numbers: list[Headline], found: pd.DataFrame, seen: Examination, coverage: pd.DataFrame
) -> None:
    for number in numbers:
        if number.rows is not None:
            record.table(number.name, number.rows, caption=number.label, to=draft)
    record.table("findings", found, caption="All findings, most severe first", to=draft)
    rest = found[~found["severity"].isin(URGENT)]
    record.table("other-findings", rest, caption="Findings that are not urgent", to=draft)
    evidence = seen.evidence[seen.evidence["finding_id"].isin(found["finding_id"])]
    record.table("evidence", evidence, caption="The rows behind each finding", to=draft)
    record.table("coverage", coverage, caption="What this report can answer", to=draft)
    record.table("rules", seen.answerable, caption="Which rules the data can answer", to=draft)


def _files(parts: Parts, tenant: Tenant, found: pd.DataFrame, frame: Frame, draft: Path) -> dict[str, str]:
    """Work lists and workbook; file to what it is."""
    files: dict[str, str] = {}
    files |= parts.make("Work lists", lambda: worklists(tenant, found, frame, draft), {})
    files |= parts.make("Workbook", lambda: _workbook(draft, frame), {})
    files |= {
        "tables/findings.csv": "the findings, with all columns",
        "tables/evidence.csv": "the rows behind each finding",
        "run.json": "how this report was made",
        "SHA256SUMS": "to see later whether it was changed: flowanalysis verify",
    }
    return files


def _graph(tenant: Tenant, scope: Scope, found: pd.DataFrame, frame: Frame, draft: Path) -> dict[str, str]:
    flows = scope(tenant.flows)
    chosen = viewer.important_flows(flows, found)
    note = (
        "All flows."
        if len(chosen) == len(flows)
        else f"{len(chosen):,} of {len(flows):,} flows, those with findings first."
    )
    network = viewer.of_flows(tenant, chosen)
    viewer.write(network, draft / "graph.html", title=f"{frame.tenant}: who runs what", back="index.html", note=note)
    return {"graph.html": "who owns, runs and reaches what, to click through"}


def _workbook(draft: Path, frame: Frame) -> dict[str, str]:
    """All tables recorded so far, findings first, in one workbook."""
    told = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted((draft / "tables").glob("*.json"))}
    order = sorted(told, key=lambda n: (n not in FIRST_SHEETS, FIRST_SHEETS.index(n) if n in FIRST_SHEETS else 0, n))
    read = {"dtype": str, "keep_default_na": False, "nrows": SHEET}
    sheets = {n: pd.read_csv(draft / "tables" / f"{n}.csv", **read) for n in order}
    typed = {n: _typed(t) for n, t in sheets.items()}
    cut = {n: f" (the first {len(sheets[n]):,} of {told[n]['rows']:,} rows)" for n in order}
    notes = {n: told[n]["caption"] + (cut[n] if told[n]["rows"] > len(sheets[n]) else "") for n in order}
    write_workbook(draft / "tables.xlsx", typed, title=f"{frame.tenant} {frame.month}", notes=notes)
    return {"tables.xlsx": "all tables in one workbook"}


SHEET = 5_000  # rows of a sheet; the CSV of a number that the summary tells has all
FIRST_SHEETS = ("findings", "work-list", "coverage", "rules")


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of nothing but whole numbers or decimals as numbers; the guard of CSV texts is taken off again."""
    typed = {}
    for name in table:
        texts = table[name]
        filled = texts[texts != ""]
        if len(filled) and filled.str.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d+)?").all():
            typed[name] = pd.to_numeric(texts.where(texts != "")).astype("Float64")
        else:
            typed[name] = texts.where(~texts.str.match(r"'\s*[=+\-@|]"), texts.str[1:])
    return pd.DataFrame(typed)


LISTS = 100  # people or environments that get a page of their own, those with the most urgent findings first
LISTED = {"responsible": 500, "environment": 100}  # rows of such a page
NARROW = "For the others narrow the report to the environment."


def worklists(tenant: Tenant, found: pd.DataFrame, frame: Frame, draft: Path) -> dict[str, str]:
    """Who does what: a table of all, and a page for each person and each environment."""
    work = work_list(tenant, found)
    record.table("work-list", work, caption="Who should act on what", to=draft)
    (draft / "worklists").mkdir()
    keyed = named(found, tenant)[["finding_id", "environment"]]
    work = work.merge(keyed, on="finding_id", how="left")
    made = [
        _lists(work, by, title, frame, draft)
        for by, title in (("responsible", "Person"), ("environment", "Environment"))
    ]
    body = ["<h1>Work lists</h1>", '<p class="fa-lede">Every finding with the person who can act on it.</p>']
    for table, by in zip(made, ("person", "environment"), strict=True):
        body.append(f"<h2>By {by}</h2>" + show.link_list(table, heading=by.capitalize()))
    (draft / "worklists.html").write_text(
        page("Work lists", "".join(body), frame, current="worklists.html"), encoding="utf-8"
    )
    return {
        "worklists.html": "who should act on what, by person and by environment",
        "tables/work-list.csv": "the same in one table",
    }


def _lists(work: pd.DataFrame, by: str, title: str, frame: Frame, draft: Path) -> list[tuple[str, str, str]]:
    """A page for each group of findings, the most urgent first; name, file and what it holds."""
    work = work.assign(**{by: work[by].fillna("–").replace("–", NOWHERE[by])})
    work = work.assign(_urgent=work["severity"].isin(["critical", "high"]))
    counts = work.groupby(by)["_urgent"].agg(["sum", "size"]).sort_values(["sum", "size"], ascending=False)
    made = []
    for group, (urgent, size) in counts.head(LISTS).iterrows():
        rows = work[work[by] == group]
        file = f"worklists/{slug(group, key=by + str(group))}.html"
        columns = {c: t for c, t in WORK.items() if c != by and not rows[c].isin(["–"]).all()}
        most = LISTED[by]
        told = NARROW if size > most else ""
        caption = "Findings, most urgent first"
        table = show.table_html(rows, name="work", caption=caption, columns=columns, rows=most, note=told)
        body = f'<p class="fa-meta">{title}</p><h1>{show.escape(group)}</h1>{table}'
        (draft / file).write_text(page(f"Work list: {group}", body, frame, up="../"), encoding="utf-8")
        made.append((str(group), file, f"{_findings(size)}, {urgent:,} of them critical or high"))
    if len(counts) > LISTS:
        made.append((f"{len(counts) - LISTS:,} more", "tables/work-list.csv", "in the table of all"))
    return made


def _findings(number: int) -> str:
    return "1 finding" if number == 1 else f"{number:,} findings"


NOWHERE = {"responsible": "nobody named", "environment": "in no environment"}
WORK = {
    "severity": "Severity",
    "title": "What",
    "subject_name": "Where",
    "responsible": "Who can act",
    "environment": "Environment",
    "impact": "What it means",
    "advice": "What to do",
    "why_you": "Why you",
}


def pdf(folder: Path) -> list[str]:
    """A PDF beside every page, printed by a browser on this machine; the files made."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return []
    made = []
    with tempfile.TemporaryDirectory(prefix="flowanalysis-browser-") as profile:
        for page in sorted(folder.glob("*.html")):
            target = page.with_suffix(".pdf")
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--no-first-run"]
            quiet = [
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-quic",
            ]
            command = [browser, *flags, *quiet, f"--user-data-dir={profile}", f"--print-to-pdf={target}", page.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            made.append(target.name)
    return made
