"""What a notebook shows: an opening with coverage, numbers, pictures, tables, and what to do."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from flowanalysis.errors import UnknownName
from flowanalysis.report import record
from flowanalysis.report.frames import tenant_name
from flowanalysis.report.seen import Seen
from flowanalysis.report.show.leaf import SEVERITIES, attribute, escape
from flowanalysis.report.show.tables import ROWS, number, severity, table_html
from flowanalysis.report.style import notebook_css
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant
from flowanalysis.text import plain

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.figure import Figure


class Block:
    """Something to show: HTML made by this room, and the same in plain text.

    Parameters
    ----------
    html : str
        Markup in which every text of the tenant went through :func:`escape`.
    text : str
        What a terminal shows.
    """

    def __init__(self, html: str, text: str) -> None:
        self.html, self.text = html, plain_lines(text)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


# On a narrow screen a picture keeps its size and scrolls, which the keyboard must reach.
FIGURE = '<figure class="fa-picture" tabindex="0">'


class Picture:
    """A figure as PNG with its alternative text; for a report the dark twin travels in the metadata."""

    def __init__(self, figure: Figure, *, dark: bool = False) -> None:
        self.alt = plain(getattr(figure, "alt", "") or "Picture without description")
        self._light = png(figure)
        again = getattr(figure, "again", None)
        self._dark = png(again("dark"), kind="WEBP") if again and (dark or record.folder()) else b""

    def __repr__(self) -> str:
        return self.alt

    @property
    def html(self) -> str:
        """The picture for a page of the report."""
        light, dark = (base64.b64encode(png).decode("ascii") for png in (self._light, self._dark))
        source = f'<source media="screen and (prefers-color-scheme: dark)" srcset="data:image/webp;base64,{dark}">'
        image = f'<img src="data:image/png;base64,{light}" alt="{attribute(self.alt)}">'
        return f"{FIGURE}<picture>{source if dark else ''}{image}</picture></figure>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        about = {"alt": self.alt}
        if self._dark:
            about["dark"] = base64.b64encode(self._dark).decode("ascii")
        data = {"image/png": base64.b64encode(self._light).decode("ascii"), "text/plain": self.alt}
        return data, {"image/png": about}


def plain_lines(text: str) -> str:
    """Lines of text, each of them harmless in a terminal."""
    return "\n".join(plain(line) for line in text.split("\n"))


def png(figure: Figure, *, kind: str = "PNG") -> bytes:
    """A figure of at most 48 colours: flat drawings shrink to a third and look the same.

    Parameters
    ----------
    kind : str
        ``PNG``, which every notebook shows, or ``WEBP``, a quarter smaller, for pages; both without loss.
    """
    from matplotlib import pyplot
    from PIL import Image

    raw = io.BytesIO()
    figure.savefig(raw, format="png", metadata={"Software": None})
    pyplot.close(figure)
    small = io.BytesIO()
    lean = Image.open(raw).convert("RGB").quantize(48, dither=Image.Dither.NONE)
    options = {"optimize": True} if kind == "PNG" else {"lossless": True}
    (lean if kind == "PNG" else lean.convert("RGB")).save(small, kind, **options)
    return small.getvalue()


def picture(figure: Figure, *, dark: bool = False) -> Picture:
    """Show a figure made by :mod:`flowanalysis.report.figures`; `dark` adds its twin outside of reports too."""
    return Picture(figure, dark=dark)


def table(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    *,
    columns: Mapping[str, str] | Iterable[str] | None = None,
    rows: int = ROWS,
    note: str = "",
) -> Block:
    """Show a frame and record all its rows and columns for the report.

    Parameters
    ----------
    frame : DataFrame
        Most important rows first.
    name : str
        Lower-case words joined by hyphens, unique in the report: file name and anchor.
    caption : str
        What a row is.
    columns : mapping or iterable, optional
        Columns to show and their headings; the CSV has all.
    rows : int
        Rows to show.
    note : str
        A sentence under the table.
    """
    link = record.table(name, frame, caption=caption)
    unseen = "; ".join(frame.attrs.get("coverage", {}).get("notes", []))
    note = " ".join(filter(None, [note, f"Bear in mind: {unseen}." if unseen else ""])).replace("_", " ")
    html = table_html(frame, name=name, caption=caption, columns=columns, rows=rows, link=link, note=note)
    return Block(html, f"{caption}: {len(frame):,} row{'' if len(frame) == 1 else 's'}")


FINDING = {
    "severity": "Severity",
    "subject_name": "Where",
    "environment": "Environment",
    "who": "Who can act",
    "impact": "What it means",
    "advice": "What to do",
    "confidence": "Confidence",
}
SAID_ONCE = ("impact", "advice")  # columns that stand over the table when all rows have the same text


def found(seen: Seen, *rules: str, name: str, caption: str, columns: Mapping[str, str] | None = None) -> Block:
    """Show and record the findings of some rules, or say why they are not known.

    Parameters
    ----------
    seen : Seen
        From :func:`examine`.
    *rules : str
        Ids of rules.
    name, caption : str
        As in :func:`table`.
    columns : mapping, optional
        Columns and their headings.
    """
    rows = seen.of(*rules)
    if rows is not None:
        shown = dict(columns or FINDING)
        if rows["environment_id"].isna().all():
            shown.pop("environment", None)  # about accounts, which live in no environment
        shown, said = said_once(rows, shown)
        block = table(rows, name, caption, columns=shown)
        return Block(said + block.html, block.text)
    words = f"{caption}: not known; {seen.lacking(*rules)}."
    return Block(f'<p class="fa-warning" role="note" id="t-{attribute(name)}">{escape(words, width=None)}</p>', words)


def said_once(rows: pd.DataFrame, columns: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Columns worth a column, and as HTML what all rows have in common; full confidence goes without saying."""
    shown = dict(columns)
    if "confidence" in shown and (rows["confidence"] == "full").all():
        del shown["confidence"]
    if len(rows) < 2:
        return shown, ""
    common = [c for c in SAID_ONCE if c in shown and rows[c].nunique(dropna=False) == 1]
    terms = "".join(f"<dt>{escape(shown.pop(c))}</dt><dd>{escape(rows[c].iloc[0], width=None)}</dd>" for c in common)
    return shown, f'<dl class="fa-said">{terms}</dl>' if terms else ""


def numbers(values: Mapping[str, object], *, links: Mapping[str, str] | None = None, known: bool = True) -> Block:
    """Show headline numbers side by side.

    Parameters
    ----------
    values : mapping
        Label of our own to number; NA is shown as not known, never as 0.
    links : mapping, optional
        Label to the name of the table that holds the rows.
    known : bool
        False when what is counted was not collected: then no number is known, and none is 0.
    """
    values = values if known else dict.fromkeys(values)
    tiles = "".join(_tile(label, value, (links or {}).get(label, "")) for label, value in values.items())
    text = " · ".join(f"{label}: {_value(value, mark=False)}" for label, value in values.items())
    return Block(f'<dl class="fa-numbers">{tiles}</dl>', text)


def _tile(label: str, value: object, to: str) -> str:
    shown = _value(value, mark=True)
    if to:
        shown = f'<a href="#t-{attribute(to)}">{shown}</a>'
    return f"<div><dt>{escape(label, width=None)}</dt><dd>{shown}</dd></div>"


def _value(value: Any, *, mark: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        try:
            value = value.item()  # type: ignore[union-attr]  # a numpy number
        except AttributeError:
            return escape(value) if mark else "not known" if pd.isna(value) else str(value)
    return number(value)


def todo(items: Iterable[str], *, title: str = "What to do") -> Block:
    """Show a short list of actions, most urgent first; says so when there is none."""
    lines = list(items)
    body = "".join(f"<li>{escape(i, width=None)}</li>" for i in lines)
    html = f"<ol>{body}</ol>" if lines else "<p>Nothing to do here.</p>"
    text = "\n".join([f"{title}:", *(f"{n}. {i}" for n, i in enumerate(lines, 1))]) if lines else f"{title}: nothing."
    return Block(f'<section class="fa-todo"><h3>{escape(title)}</h3>{html}</section>', text)


def advice(findings: pd.DataFrame, *, limit: int = 6, title: str = "What to do") -> Block:
    """Show what the findings ask for: one line per rule, most severe and most frequent first."""
    lines = advice_lines(findings, limit=limit)
    body = "".join(
        f"<li>{severity(r.severity)} <strong>{escape(r.title)}</strong> "
        f'<span class="fa-count">{r.count:,}</span><br>{escape(r.advice, width=400)}'
        f'<span class="fa-where-to">{some(r.subjects)}</span></li>'
        for r in lines.itertuples()
    )
    html = f"<ol>{body}</ol>" if body else "<p>No finding of these rules.</p>"
    text = "\n".join([f"{title}:", *(f"{r.severity}: {r.title} ({r.count}). {r.advice}" for r in lines.itertuples())])
    return Block(f'<section class="fa-todo"><h3>{escape(title)}</h3>{html}</section>', text)


def some(names: Sequence[object], *, most: int = 3) -> str:
    """The first of some names as HTML, and how many more there are."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return " · ".join(escape(n, width=60) for n in names[:most]) + rest


def advice_lines(findings: pd.DataFrame, *, limit: int | None = None) -> pd.DataFrame:
    """One row per rule: rule, severity of its worst finding, title, advice, subjects, people, count; most severe first.

    People are those who can act, the one with most findings first; none where the findings do not name them.
    """
    order = {s: i for i, s in enumerate(SEVERITIES)}
    who = findings["who"] if "who" in findings else pd.Series(pd.NA, index=findings.index, dtype=TEXT)
    ranked = findings.assign(_rank=findings["severity"].map(order), who=who).sort_values("_rank", kind="stable")
    lines = (
        ranked.groupby("rule", sort=False, observed=True)
        .agg(
            severity=("severity", "first"),
            _rank=("_rank", "min"),
            title=("title", "first"),
            advice=("advice", "first"),
            subjects=("subject_name", lambda names: [*names.dropna().drop_duplicates()]),
            people=("who", lambda names: [*names.value_counts(sort=True).index]),
        )
        .assign(count=ranked["rule"].value_counts())
        .reset_index()
        .sort_values(["_rank", "count", "rule"], ascending=[True, False, True])
    )
    return lines.drop(columns="_rank").head(len(lines) if limit is None else limit).reset_index(drop=True)


def note(text: str, *, kind: str = "note") -> Block:
    """Show a sentence of our own: ``note`` in passing, ``warning`` for what limits the page."""
    css = "fa-warning" if kind == "warning" else "fa-note"
    role = ' role="note"' if kind == "warning" else ""
    return Block(f'<p class="{css}"{role}>{escape(text, width=None)}</p>', text)


def opening(tenant: Tenant, *questions: str) -> Block:
    """Open a notebook: what the data is, and how far it can answer the questions of the page.

    Parameters
    ----------
    tenant : Tenant
        The data.
    *questions : str
        Beginnings of the questions of :func:`flowanalysis.coverage` that the page is about; none means all.

    Raises
    ------
    UnknownName
        When no question begins so.
    """
    from flowanalysis.sources.coverage import coverage  # late: keeps this room free of the readers

    frame = coverage(tenant)
    for begin in questions:
        if not frame["question"].str.startswith(begin).any():
            raise UnknownName("question", begin, frame["question"])
    if questions:
        frame = frame[frame["question"].str.startswith(tuple(questions))]
    head = ", ".join(filter(None, [tenant_name(tenant), f"data as of {tenant.as_of:%d %B %Y}"]))
    body, lines = coverage_html(frame), coverage_lines(frame)
    style = "" if record.folder() else f"<style>{notebook_css()}</style>"
    html = f'{style}<section class="fa-opening"><p class="fa-asof">{escape(head)}</p>{body}</section>'
    return Block(html, "\n".join([head, *lines]))


def coverage_html(frame: pd.DataFrame) -> str:
    """How far each question can be answered, what is missing, and what would close the gap."""
    if not len(frame):
        return ""
    if (frame["answer"] == "full").all():
        return '<p class="fa-full">Everything that this page needs was collected.</p>'
    items = "".join(
        f'<li><span class="fa-answer fa-{attribute(r.answer)}">{_ANSWERS.get(r.answer, escape(r.answer))}:</span> '
        f"{escape(r.question, width=None)}<small>{escape(gaps(r), width=None)}</small>{_remedies(r)}</li>"
        for r in frame[frame["answer"] != "full"].itertuples()
    )
    return f'<ul class="fa-coverage">{items}</ul>'


def gaps(row: Any) -> str:
    """What one question of the coverage lacks, as a sentence."""
    parts = [f"Not collected: {row.missing.replace('_', ' ')}." if row.missing else ""]
    parts.append(f"Incomplete: {row.incomplete}." if row.incomplete else "")
    return " ".join(filter(None, parts))


def _remedies(row: Any) -> str:
    pairs = zip(row.export.split("\n"), row.command.split("\n"), strict=False)
    return "".join(
        f"<small>Export {escape(what, width=None)}: <code>{escape(how, width=None)}</code></small>"
        for what, how in pairs
        if how
    )


_ANSWERS = {"full": "answered in full", "partly": "answered in part", "none": "cannot be answered"}


def coverage_lines(frame: pd.DataFrame) -> list[str]:
    """The same in plain text, one question a line."""
    short = frame[frame["answer"] != "full"]
    if not len(short):
        return ["Everything that this page needs was collected."]
    return [f"{_ANSWERS.get(r.answer, r.answer)}: {r.question} {gaps(r)}" for r in short.itertuples()]


def network(graph: nx.MultiDiGraph, *, title: str = "Graph", height: int = 620) -> Block:
    """Show a graph in the viewer, inside the notebook; works without any address outside."""
    from flowanalysis.report import viewer  # late: the viewer uses this room

    words = f"{title}: {graph.number_of_nodes():,} nodes, {graph.number_of_edges():,} edges"
    return Block(viewer.frame(graph, title=title, height=height), words)


def edges(graph: nx.MultiDiGraph, *, rows: int = 100) -> Block:
    """Show the edges of a graph as a table with the reason of each."""
    label = dict(graph.nodes(data="label"))
    listed = [(label[a], d["kind"], label[b], d["reason"]) for a, b, d in graph.edges(data=True)]
    frame = pd.DataFrame(listed, columns=["from", "edge", "to", "reason"])
    return table(frame, "edges", "Edges and their reasons", rows=rows)


def link_list(entries: Iterable[tuple[str, str, str]], *, heading: str) -> str:
    """A table of links: name, address inside the report, and what is there."""
    rows = "".join(
        f'<tr><td><a href="{attribute(to)}">{escape(name)}</a></td><td>{escape(what)}</td></tr>'
        for name, to, what in entries
    )
    return (
        '<figure class="fa-table">'
        f'<div class="fa-scroll" role="region" tabindex="0" aria-label="{attribute(heading)}"><table>'
        f'<thead><tr><th scope="col">{escape(heading)}</th><th scope="col">Work</th></tr></thead><tbody>{rows}</tbody>'
        "</table></div></figure>"
    )
