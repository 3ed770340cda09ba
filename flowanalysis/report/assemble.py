"""Everything around the notebooks: findings, numbers, work lists, graph, workbook, and the first page."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis import schema
from flowanalysis.findings import Examination, examine
from flowanalysis.policy import Policy, load_policy
from flowanalysis.report import index, record
from flowanalysis.report.headlines import Headline, headlines
from flowanalysis.report.page import Frame
from flowanalysis.report.scope import Scope
from flowanalysis.report.worker import Status
from flowanalysis.tenant import Tenant
from flowanalysis.text import plain

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge", "microsoft-edge")


@dataclass
class Parts:
    """Parts of a report made one after the other; one that fails is named, and the others are still made."""

    problems: list[str] = field(default_factory=list)

    def make(self, what: str, function: Callable[[], Any], otherwise: Any = None) -> Any:
        """The result of the function; on failure `otherwise`, and the problem is kept for the first page."""
        try:
            return function()
        except Exception as error:  # whatever it is, the report must name it and go on
            traceback.print_exc()
            self.problems.append(f"{what}: {plain(type(error).__name__)}: {plain(error, width=300)}")
            return otherwise


def assemble(
    tenant: Tenant,
    before: Tenant | None,
    scope: Scope,
    frame: Frame,
    statuses: list[Status],
    draft: Path,
    *,
    out: Path,
    policy: Path | None,
) -> dict[str, Any]:
    """Write all that is no notebook; what run.json keeps of it.

    Parameters
    ----------
    draft : Path
        Folder of the report being built.
    out : Path
        Folder of the reports, where last month's numbers are looked for.
    """
    parts, rules = Parts(), load_policy(policy)
    seen: Examination = parts.make("Findings", lambda: examine(tenant, rules, before), _nothing_examined())
    found = scope(seen.findings)
    numbers = parts.make("Numbers", lambda: headlines(tenant, seen, scope), [])
    old, old_month = parts.make("Last month", lambda: previous_numbers(frame.month, out, before, rules), ({}, ""))
    coverage = parts.make("Coverage", lambda: coverage_of(tenant), pd.DataFrame(columns=COVERAGE))
    _tables(draft, numbers, found, seen, coverage)
    files = _files(parts, tenant, scope, seen, found, frame, draft)
    over = index.Overview(
        frame=frame,
        as_of=tenant.as_of,
        coverage=coverage,
        collected=sorted(tenant.collected),
        not_collected=[t for t in schema.TABLES if t not in tenant.collected and t not in NOT_EXPECTED],
        headlines=numbers,
        findings=found,
        statuses=statuses,
        before=old,
        before_month=old_month,
        problems=parts.problems,
        files=files,
    )
    (draft / "index.html").write_text(index.html(over), encoding="utf-8")
    return {
        "tenant": tenant.name,
        "as_of": tenant.as_of.isoformat(),
        "headlines": {h.name: h.value for h in numbers},
        "findings": {str(k): int(v) for k, v in found["severity"].value_counts().items()},
        "problems": parts.problems,
    }


COVERAGE = ["question", "answer", "missing", "incomplete", "export", "command"]
# Tables that the readers write themselves, and that no export is missing for.
NOT_EXPECTED = frozenset({"rejected", "conflicts", "collection_log", "register"})


def _nothing_examined() -> Examination:
    from flowanalysis.findings import COLUMNS

    empty = pd.DataFrame(columns=COLUMNS)
    return Examination(empty, pd.DataFrame(columns=["finding_id"]), pd.DataFrame(columns=["rule", "title", "answerable", "missing"]))


def coverage_of(tenant: Tenant) -> pd.DataFrame:
    """The questions of the house and how far this data answers them, the worst first."""
    from flowanalysis.sources.coverage import coverage

    frame = coverage(tenant)
    rank = frame["answer"].map({"none": 0, "partly": 1, "full": 2})
    return frame.assign(_rank=rank).sort_values("_rank", kind="stable").drop(columns="_rank").reset_index(drop=True)


def previous_numbers(
    month: str, out: Path, before: Tenant | None, policy: Policy
) -> tuple[dict[str, int | None], str]:
    """Last month's headline numbers and its name: from its data when given, else from its report."""
    if before is not None:
        numbers = headlines(before, examine(before, policy), Scope())
        return {h.name: h.value for h in numbers}, before.month
    earlier = sorted(p.parent for p in out.glob("*/run.json") if p.parent.name < month and not p.parent.name.startswith("."))
    for folder in reversed(earlier):
        told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if not told.get("environment") and not told.get("department") and "headlines" in told:
            return told["headlines"], folder.name
    return {}, ""


def _tables(draft: Path, numbers: list[Headline], found: pd.DataFrame, seen: Examination, coverage: pd.DataFrame) -> None:
    for number in numbers:
        if number.rows is not None:
            record.table(number.name, number.rows, caption=number.label, to=draft)
    record.table("findings", found, caption="All findings", to=draft)
    evidence = seen.evidence[seen.evidence["finding_id"].isin(found["finding_id"])]
    record.table("evidence", evidence, caption="The rows behind each finding", to=draft)
    record.table("coverage", coverage, caption="What this report can answer", to=draft)
    record.table("rules", seen.answerable, caption="Which rules the data can answer", to=draft)


def _files(
    parts: Parts, tenant: Tenant, scope: Scope, seen: Examination, found: pd.DataFrame, frame: Frame, draft: Path
) -> dict[str, str]:
    """Work lists, graph and workbook; file to what it is."""
    files: dict[str, str] = {}
    files |= {
        "tables/findings.csv": "all findings, with all columns",
        "tables/evidence.csv": "the rows behind each finding",
        "run.json": "how this report was made",
        "SHA256SUMS": "to see later whether it was changed: flowanalysis verify",
    }
    return files


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
            quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
            command = [browser, *flags, *quiet, f"--user-data-dir={profile}", f"--print-to-pdf={target}", page.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            made.append(target.name)
    return made
