"""The first page: what the data can tell, the numbers, what changed, what to do first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from flowanalysis.report import show
from flowanalysis.report.headlines import URGENT, Headline
from flowanalysis.report.page import Frame, month_name, page
from flowanalysis.report.worker import COMPLETED, Status
from flowanalysis.text import plain

FIRST = 7  # actions on the first page


@dataclass(frozen=True)
class Overview:
    """Everything the first page says.

    Parameters
    ----------
    frame : Frame
        Tenant, month, scope, pages.
    as_of : Timestamp
        The moment the data describes.
    coverage : DataFrame
        question, answer, missing, incomplete, export, command.
    collected, not_collected : list of str
        Tables.
    headlines : list of Headline
        Numbers.
    before : mapping
        Name of a headline to last month's number; empty without last month.
    before_month : str
        Last month.
    findings : DataFrame
        Findings of this month.
    statuses : list of Status
        How the notebooks ended.
    problems : list of str
        Other parts of the report that could not be made.
    files : mapping
        File, relative to the page, to what it is.
    """

    frame: Frame
    as_of: pd.Timestamp
    coverage: pd.DataFrame
    collected: Sequence[str]
    not_collected: Sequence[str]
    headlines: Sequence[Headline]
    findings: pd.DataFrame
    statuses: Sequence[Status] = ()
    before: Mapping[str, int | None] = field(default_factory=dict)
    before_month: str = ""
    problems: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    picture: str = ""


def html(over: Overview) -> str:
    """The first page."""
    frame = over.frame
    scope = f" · only {show.escape(frame.scope)}" if frame.scope else ""
    title = f"{frame.tenant or 'Power Automate'}: flows in {month_name(frame.month)}"
    head = f'<h1>{show.escape(title)}</h1><p class="fa-meta">Data as of {over.as_of:%d %B %Y, %H:%M} UTC{scope}</p>'
    parts = [head, alarm(over), lede(over), _collected(over), _tiles(over), first(over), changes(over)]
    parts += [_findings(over), _coverage(over), _pages(frame), _files(over.files)]
    return page(title, "\n".join(filter(None, parts)), frame, current="index.html")


def alarm(over: Overview) -> str:
    """Notebooks and parts that failed, named before anything else."""
    broken = [s for s in over.statuses if s.status != COMPLETED]
    made = {link.href for link in over.frame.links}
    items = [
        f"<li>{_to_page(s.notebook, made)} {show.escape(s.status)}: {show.escape(s.problem, width=300)}</li>"
        for s in broken
    ]
    items += [f"<li>{show.escape(p, width=300)}</li>" for p in over.problems]
    if not items:
        return ""
    title = f"{len(items)} part{'s' if len(items) > 1 else ''} of this report could not be made"
    return (
        f'<section class="fa-alarm" role="alert"><h2>{title}</h2><ul>{"".join(items)}</ul>'
        "<p>What is missing here is not known. It does not mean that nothing was found.</p></section>"
    )


def _to_page(notebook: str, made: set[str]) -> str:
    name = show.escape(notebook)
    return (
        f'<a href="{show.attribute(notebook)}.html">{name}</a>'
        if f"{notebook}.html" in made
        else f"<strong>{name}</strong>"
    )


def lede(over: Overview) -> str:
    """The month in two sentences, every number linked to its rows."""
    by_name = {h.name: h for h in over.headlines}
    clauses = [
        _clause(by_name.get(name), one, many)
        for name, one, many in (
            ("flows-without-owner", "has no living owner", "have no living owner"),
            ("flows-with-one-owner", "hangs on one person", "hang on one person"),
            ("privileged-runs", "runs as a privileged account", "run as a privileged account"),
        )
    ]
    flows = by_name.get("flows")
    if flows is None or flows.value is None:
        return '<p class="fa-lede">No flows were collected. This report can say little before they are.</p>'
    start = f"Of {_link(flows, f'{flows.value:,} flow' + ('' if flows.value == 1 else 's'))}, "
    told = [c for c in clauses if c]
    sentence = start + (", ".join(told[:-1]) + " and " + told[-1] if len(told) > 1 else "".join(told)) + "."
    if not told:
        sentence = f"{_link(flows, f'{flows.value:,} flows')}. No finding about owners or privileged accounts."
    return f'<p class="fa-lede">{sentence} {_urgent(by_name.get("urgent-findings"))}</p>'


def _clause(headline: Headline | None, one: str, many: str) -> str:
    if headline is None or not headline.value:
        return ""
    return f"{_link(headline, f'{headline.value:,}')} {one if headline.value == 1 else many}"


def _urgent(headline: Headline | None) -> str:
    if headline is None or headline.value is None:
        return ""
    if not headline.value:
        return "No finding is critical or high."
    verb = "finding is" if headline.value == 1 else "findings are"
    return f"{_link(headline, f'{headline.value:,}')} {verb} critical or high."


def _link(headline: Headline, text: str) -> str:
    return f'<a href="{rows_of(headline)}">{show.escape(text)}</a>'


def rows_of(headline: Headline) -> str:
    """Where the rows of a number are: on its page, or as a file."""
    return f"{headline.page}#t-{headline.name}" if headline.page else f"#t-{headline.name}"


def _collected(over: Overview) -> str:
    """What the data holds and lacks, before any number."""
    if not len(over.coverage):
        return '<section class="fa-opening"><p>How complete the data is could not be told.</p></section>'
    answers = over.coverage["answer"].value_counts()
    full, partly, none = (int(answers.get(a, 0)) for a in ("full", "partly", "none"))
    if not (partly or none):
        return '<section class="fa-opening"><p>Every question of this report can be answered in full.</p></section>'
    gone = ", ".join(show.escape(t.replace("_", " ")) for t in over.not_collected)
    missing = f"<p><strong>Not collected:</strong> {gone}.</p>" if gone else ""
    counts = f"<strong>{full}</strong> of {full + partly + none} questions can be answered in full"
    rest = [f"{partly} in part" if partly else "", f"{none} not at all" if none else ""]
    return (
        f'<section class="fa-opening" aria-label="What was collected"><p>{counts}, {", ".join(filter(None, rest))}. '
        f'<a href="#coverage">Which, and what would close the gaps</a></p>{missing}</section>'
    )


def _tiles(over: Overview) -> str:
    tiles = "".join(_tile(h, over) for h in over.headlines)
    return f'<dl class="fa-numbers">{tiles}</dl>'


def _tile(headline: Headline, over: Overview) -> str:
    if headline.value is None:
        value = show.escape(None)
    else:
        value = f'<a href="{rows_of(headline)}">{headline.value:,}</a>'
    return f"<div><dt>{show.escape(headline.label)}{_delta(headline, over)}</dt><dd>{value}</dd></div>"


def _delta(headline: Headline, over: Overview) -> str:
    old = over.before.get(headline.name)
    if old is None or headline.value is None:
        return ""
    change = headline.value - old
    since = show.escape(month_name(over.before_month).partition(" ")[0])
    if not change:
        return f'<span class="fa-delta">as in {since}</span>'
    worse = {"fewer": change > 0, "more": change < 0}.get(headline.wish)
    css = ("fa-more" if change > 0 else "fa-less") if worse is None else ("fa-worse" if worse else "fa-better")
    sign = "more" if change > 0 else "fewer"
    return f'<span class="fa-delta {css}"><b>{abs(change):,} {sign}</b> than in {since}</span>'


def first(over: Overview) -> str:
    """What to do first: the rules that ask for most, each with where its rows are."""
    lines = show.advice_lines(over.findings, limit=FIRST)
    items = "".join(map(_action, lines.itertuples()))
    body = f"<ol>{items}</ol>" if items else "<p>No finding this month.</p>"
    return f'<section class="fa-todo" aria-labelledby="first"><h2 id="first">What to do first</h2>{body}</section>'


def _action(line: Any) -> str:
    table = "urgent-findings" if line.severity in URGENT else "other-findings"
    count = f"{line.count:,} {'finding' if line.count == 1 else 'findings'}, {show.escape(line.rule)}"
    link = f'<a href="#t-{table}" data-find="{show.attribute(line.title)}">'
    able = f'<span class="fa-where-to">Who can act: {show.some(line.people)}</span>' if line.people else ""
    return (
        f"<li>{show.severity(line.severity)} {link}<strong>{show.escape(line.title)}</strong></a>"
        f'<span class="fa-count">{count}</span><br>{show.escape(line.advice, width=400)}'
        f'<span class="fa-where-to">Where: {show.some(line.subjects)}</span>{able}</li>'
    )


def changes(over: Overview) -> str:
    """The picture of what changed since last month, when there was one."""
    return f"<h2>Since {show.escape(month_name(over.before_month))}</h2>{over.picture}" if over.picture else ""


COLUMNS = {
    "severity": "Severity",
    "title": "What",
    "subject_name": "Where",
    "who": "Who can act",
    "impact": "What it means",
    "advice": "What to do",
    "rule": "Rule",
    "confidence": "Confidence",
}


def _findings(over: Overview) -> str:
    """All findings: the urgent ones, then the rest; no row stands twice."""
    if all(h.value is None for h in over.headlines if h.name == "urgent-findings"):
        words = "Not known: what was collected answers no rule. That is no clean bill of health."
        return f'<h2>Findings</h2><p class="fa-warning" role="note" id="t-urgent-findings">{show.escape(words)}</p>'
    found = over.findings
    columns = dict(COLUMNS)
    if (found["confidence"] == "full").all():
        del columns["confidence"]  # goes without saying
    parts = (
        (found[found["severity"].isin(URGENT)], "urgent-findings", "Critical and high findings"),
        (found[~found["severity"].isin(URGENT)], "other-findings", "Other findings"),
    )
    tables = "".join(
        show.table_html(rows, name=name, caption=caption, columns=columns, link=f"tables/{name}.csv")
        for rows, name, caption in parts
    )
    return f"<h2>Findings</h2>{tables}"


def _coverage(over: Overview) -> str:
    """The questions with a gap and what would close it; those without one by name."""
    columns = {
        "question": "Question",
        "answer": "Answer",
        "missing": "Not collected",
        "incomplete": "Incomplete",
        "export": "Export to add",
        "command": "Command",
    }
    gaps = over.coverage[over.coverage["answer"] != "full"]
    whole = over.coverage[over.coverage["answer"] == "full"]["question"]
    columns = {c: title for c, title in columns.items() if c in ("question", "answer") or gaps[c].ne("").any()}
    table = show.table_html(
        gaps, name="coverage", caption="What this report can answer in part or not at all", columns=columns
    )
    listed = "".join(f"<li>{show.escape(q, width=None)}</li>" for q in whole)
    told = f"<details><summary>Answered in full: {len(whole)} questions</summary><ul>{listed}</ul></details>"
    link = '<p class="fa-foot"><a href="tables/coverage.csv" download>All questions as CSV</a></p>'
    return f'<h2 id="coverage">Coverage</h2>{table if len(gaps) else ""}{told if len(whole) else ""}{link}'


def _pages(frame: Frame) -> str:
    items = "".join(
        f"<li><b>{show.escape(link.number)}</b><div>"
        f'<a href="{show.attribute(link.href)}">{show.escape(link.title)}</a><br>'
        f"<span>{show.escape(link.question, width=200)}</span></div></li>"
        for link in frame.links
        if link.number
    )
    return f'<h2>Pages</h2><ul class="fa-pages">{items}</ul>' if items else ""


def _files(files: Mapping[str, str]) -> str:
    items = "".join(
        f'<li><a href="{show.attribute(path)}">{show.escape(plain(path))}</a> {show.escape(what)}</li>'
        for path, what in files.items()
    )
    return f'<h2>Files</h2><ul class="fa-files">{items}</ul>' if items else ""
