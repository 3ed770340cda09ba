"""Which questions the collected exports answer, which they answer partly, and what would close each gap.

A report opens with this table: *not collected* must never read as *no problem*.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from flowanalysis import reference, schema
from flowanalysis.sources.merge import cut
from flowanalysis.tenant import Tenant

COLUMNS = ["question", "answer", "missing", "incomplete", "export", "command"]
ENOUGH = 0.95
"""Share of rows from which a flag counts as known."""


@dataclass(frozen=True)
class _Gap:
    """What is not there, or only in part."""

    need: str
    note: str
    absent: bool


def coverage(tenant: Tenant) -> pd.DataFrame:
    """How well each question of the product can be answered.

    Parameters
    ----------
    tenant : Tenant

    Returns
    -------
    pandas.DataFrame
        One row a question, in the order of the report: question, answer (full | partly | none), missing (what was
        not collected), incomplete (what was collected in part, and why), export (what to export next, one a line)
        and command (how, in the same order).

    Examples
    --------
    >>> coverage(Tenant({})).answer.unique().tolist()
    ['none']
    """
    rows = [_answered(tenant, q.question, q.required.split(), q.wanted.split()) for q in _questions().itertuples()]
    _tell_cut(tenant, rows)
    return pd.DataFrame(rows, columns=COLUMNS).astype(schema.TEXT)


def _tell_cut(tenant: Tenant, rows: list[dict[str, str]]) -> None:
    """Where sources disagree so often that the list was cut, every question about the table says so."""
    for table, words in cut(tenant.conflicts).items():
        for row, question in zip(rows, _questions().itertuples(), strict=True):
            needs = {n.partition(".")[0].partition("~")[0] for n in f"{question.required} {question.wanted}".split()}
            if table in needs:
                row["incomplete"] = "; ".join(filter(None, (row["incomplete"], words)))


def wanted(answers: pd.DataFrame) -> pd.DataFrame:
    """What to export next: the exports that open questions wait for, those that help most questions first.

    Parameters
    ----------
    answers : DataFrame
        What :func:`coverage` gave.

    Returns
    -------
    DataFrame
        command (whole, one a row), export (all that the command gives), questions (how many it helps to answer).
    """
    pairs = [
        (row.question, export, command)
        for row in answers.itertuples()
        for export, command in zip(row.export.split("\n"), row.command.split("\n"), strict=True)
        if export
    ]
    asked = pd.DataFrame(pairs, columns=["question", "export", "command"]).groupby("command", sort=False)
    found = asked.agg(export=("export", lambda e: "; ".join(dict.fromkeys(e))), questions=("question", "nunique"))
    return found.reset_index().sort_values("questions", ascending=False, kind="stable", ignore_index=True)


def _questions() -> pd.DataFrame:
    return reference.table("questions")


def _answered(tenant: Tenant, question: str, required: list[str], wanted: list[str]) -> dict[str, str]:
    needed = [g for n in required if (g := _gap(tenant, n))]
    helpful = [g for n in wanted if (g := _gap(tenant, n))]
    gaps = needed + helpful
    answer = "none" if any(g.absent for g in needed) else "partly" if gaps else "full"
    closing = _closing(gaps)
    return {
        "question": question,
        "answer": answer,
        "missing": "; ".join(dict.fromkeys(g.need for g in gaps if g.absent)),
        "incomplete": "; ".join(dict.fromkeys(g.note for g in gaps if not g.absent)),
        "export": "\n".join(e for e, _ in closing),
        "command": "\n".join(c for _, c in closing),
    }


def _closing(gaps: list[_Gap]) -> list[tuple[str, str]]:
    known = reference.table("exports").set_index("need")
    found = {}
    for gap in gaps:
        if gap.need in known.index:
            row = known.loc[gap.need]
            found[row["export"]] = row["command"]
    return list(found.items())


def _gap(tenant: Tenant, need: str) -> _Gap | None:
    """What stands between the tenant and a need; None when nothing does."""
    if "~" in need:
        table, text = need.split("~", 1)
        return None if _exported(tenant, table, text) else _Gap(need, f"no export of {text} {table}", absent=True)
    table, _, column = need.partition(".")
    if not tenant.has(table):
        return _Gap(need, f"{table} not collected", absent=True)
    return _column_gap(tenant, need, table, column) if column else _incomplete(tenant, table)


def _exported(tenant: Tenant, table: str, text: str) -> bool:
    log = tenant.collection_log
    mine = (log["table"] == table).fillna(False)
    if log["source"][mine].str.contains(text, regex=False).fillna(False).any():
        return True
    if text == "deleted":
        return bool((tenant.identities["status"] == "deleted").fillna(False).any())
    return text == "eligible" and bool((tenant.role_assignments["state"] == text).fillna(False).any())


def _column_gap(tenant: Tenant, need: str, table: str, column: str) -> _Gap | None:
    frame = tenant[table]
    if table == "identities":  # of service principals and foreign accounts most columns are never known
        frame = frame[
            frame["kind"].isin(["user"]) & ~frame["status"].isin(["deleted", "purged_or_foreign", "absent", "system"])
        ]
    if frame.empty:
        return None
    share = float(frame[column].notna().mean())
    if share == 0:
        return _Gap(need, f"{need} not in the exports", absent=True)
    if schema.table(table).kinds[column] == "flag" and share < ENOUGH:
        return _Gap(need, f"{need} known for {share:.0%}", absent=False)
    return None


def _incomplete(tenant: Tenant, table: str) -> _Gap | None:
    """A table of which a link to a further page was left over."""
    log = tenant.collection_log
    left = log[((log["table"] == table) & log["next_link"]).fillna(False).astype(bool)]
    if left.empty:
        return None
    files = left["file"].drop_duplicates()
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return _Gap(table, f"{table}: further pages not exported ({files.iloc[0]}{more})", absent=False)
