"""Work lists and the certification pack as files that people fill in or read: a workbook and a page of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from flowanalysis import __version__
from flowanalysis.findings import examine
from flowanalysis.policy import Policy
from flowanalysis.report import show
from flowanalysis.report.frames import tenant_name
from flowanalysis.report.page import Frame, page
from flowanalysis.report.workbook import write_workbook
from flowanalysis.tenant import Tenant
from flowanalysis.worklists import certification, sheets, work_list

__all__ = ["write_packs"]

SHEETS = 200  # people with a sheet and a table of their own; the first sheet has all of them
TITLES = {
    "work-by-owner": ("Work lists by owner", "Findings with the person who can act on them."),
    "work-by-manager": ("Work lists by manager", "What waits in each manager's team."),
    "certification": ("Certification of service accounts", "Keep, reduce or retire each account, and say who decided."),
}


def write_packs(
    tenant: Tenant, folder: str | Path, *, policy: Policy | None = None, previous: Tenant | None = None
) -> list[Path]:
    """Write the work lists by owner and by manager, and the certification pack.

    Parameters
    ----------
    tenant, previous : Tenant
        Now, and the month before where there is one.
    folder : path
        Made when absent; files in it are replaced.
    policy : Policy, optional
        The company's.

    Returns
    -------
    list of Path
        An ``.xlsx`` and an ``.html`` of each.

    Raises
    ------
    ReportError
        When a workbook cannot be written.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    examination = examine(tenant, policy, previous)
    work = work_list(tenant, examination.findings)
    packs = {
        "work-by-owner": sheets(work),
        "work-by-manager": sheets(work, by="manager"),
        "certification": certification(tenant, examination, policy),
    }
    frame = Frame(tenant=tenant_name(tenant), month=tenant.month, scope="", links=(), version=__version__)
    made = []
    for name, parts in packs.items():
        kept = dict(list(parts.items())[: SHEETS + 1])
        made.append(write_workbook(place / f"{name}.xlsx", kept, title=f"{TITLES[name][0]}, {tenant.month}"))
        made.append(_page(place / f"{name}.html", kept, frame))
    return made


def _page(file: Path, parts: Mapping[str, pd.DataFrame], frame: Frame) -> Path:
    title, lede = TITLES[file.stem]
    tables = [
        show.table_html(rows, name=f"{file.stem}-{number}", caption=name, columns=_heads(rows), rows=500)
        for number, (name, rows) in enumerate(parts.items())
    ]
    body = f'<h1>{title}</h1><p class="fa-lede">{lede}</p>' + "".join(tables)
    file.write_text(page(title, body, frame), encoding="utf-8")
    return file


def _heads(rows: pd.DataFrame) -> dict[str, str]:
    """Columns worth reading on a page; the workbook has all."""
    return {c: c.replace("_", " ").capitalize() for c in rows if c not in ("finding_id", "flow_id", "environment_id")}
