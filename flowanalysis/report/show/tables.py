"""A frame as an HTML table: typed cells, a caption, and an honest word about what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from flowanalysis.report.record import kept
from flowanalysis.report.show.leaf import SEVERITIES, attribute, escape, missing

ROWS = 200  # rows of one HTML table; the CSV has all
# Words of the field that a column name alone would get wrong.
WORDS = {"upn": "user name", "id": "id", "sku": "type", "dlp": "data policy", "url": "address", "at": ""}
MONO = ("_id",)
NARROW = frozenset(["rule", "state", "level"])  # short words of our own, never broken
# Columns that hold our own code words, read as words.
CODED = frozenset(
    [
        "kind",
        "reason",
        "part",
        "clock",
        "repairer_kind",
        "resource_kind",
        "account_kind",
        "editor_kind",
        "band",
        "relation",
        "side",
        "method",
        "missing",
        "what",
        "change",
    ]
)
LISTED = frozenset(["signals", "columns"])  # code words, separated by blanks
LONG = 44  # characters from which a column of text gets room to wrap


def heading(column: str) -> str:
    """A column name as words.

    >>> heading("last_signin_at"), heading("flow_id")
    ('Last signin', 'Flow id')
    """
    words = [WORDS.get(w, w) for w in str(column).split("_")]
    text = " ".join(w for w in words if w)
    return text[:1].upper() + text[1:]


def table_html(
    frame: pd.DataFrame,
    *,
    name: str,
    caption: str,
    columns: Mapping[str, str] | Iterable[str] | None = None,
    rows: int = ROWS,
    link: str = "",
    note: str = "",
) -> str:
    """A frame as a captioned table.

    Parameters
    ----------
    frame : DataFrame
        Rows in the order of importance: the first `rows` are shown.
    name : str
        Its name in the report; the anchor is ``t-<name>``.
    caption : str
        What a row is, in words of our own.
    columns : mapping or iterable, optional
        Columns to show, and their headings. Default: all.
    rows : int
        How many rows to show.
    link : str
        Where all rows are, relative to the page.
    note : str
        A sentence under the table, of our own.
    """
    shown = _columns(frame, columns)
    part = frame.head(rows)
    cells = {c: _render(part[c], c) for c in shown}
    head = "".join(_th(frame[c], c, title) for c, title in shown.items())
    body = "".join("<tr>" + "".join(row) + "</tr>" for row in zip(*cells.values(), strict=True))
    empty = f'<tr><td colspan="{max(len(shown), 1)}" class="fa-none">No rows.</td></tr>'
    return (
        f'<figure class="fa-table" id="t-{attribute(name)}">'
        f'<figcaption id="c-{attribute(name)}">{escape(caption, width=None)}'
        f' <span class="fa-count">{_count(len(frame))}</span></figcaption>'
        f'<div class="fa-scroll" role="region" tabindex="0" aria-labelledby="c-{attribute(name)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body or empty}</tbody></table></div>"
        f"{_foot(len(frame), min(rows, len(frame)), kept(name, len(frame)), link, note)}</figure>"
    )


def _columns(frame: pd.DataFrame, columns: Mapping[str, str] | Iterable[str] | None) -> dict[str, str]:
    if columns is None:
        return {c: heading(c) for c in frame.columns}
    if isinstance(columns, Mapping):
        return dict(columns)
    return {c: heading(c) for c in columns}


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _foot(total: int, shown: int, kept: int, link: str, note: str) -> str:
    parts = [escape(note, width=None)] if note else []
    if shown < total:
        parts.append(f"The first {shown:,} of {total:,} rows are shown.")
    if link:
        what = "All rows" if shown < total else "Download"
        if kept < total:
            parts.append("For the others narrow the report to an environment or a department.")
            what = f"The first {kept:,}"
        parts.append(f'<a href="{attribute(link)}" download>{what} as CSV</a>')
    return f'<p class="fa-foot">{" ".join(parts)}</p>' if parts else ""


def _th(column: pd.Series, name: str, title: str) -> str:
    kind = "number" if _numeric(column) else "severity" if name == "severity" else "text"
    return f'<th scope="col" data-kind="{kind}">{escape(title)}</th>'


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _render(column: pd.Series, name: str) -> list[str]:
    """The cells of a column; the renderer is chosen once, by kind."""
    render, css = _renderer(column, name)
    open_tag = f'<td class="{css}">' if css else "<td>"
    return [f"{open_tag}{escape(None) if missing(v) else render(v)}</td>" for v in column.tolist()]


def _renderer(column: pd.Series, name: str) -> tuple[Callable[[object], str], str]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return lambda v: "yes" if v else "no", ""
    if pd.api.types.is_float_dtype(column.dtype):
        return number, "fa-num"
    if _numeric(column):
        return number, "fa-num"
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return lambda v: v.strftime("%Y-%m-%d"), "fa-date"
    if name == "severity":
        return severity, ""
    if name.endswith(MONO):
        return _text, "fa-id"
    if name in LISTED:
        return _listed, "fa-long"
    if name in CODED:
        return _words, ""
    if name in NARROW:
        return _text, "fa-date"
    long = pd.api.types.is_string_dtype(column.dtype) and (column.str.len() > LONG).fillna(False).any()
    return _text, "fa-long" if long else ""


def number(value: object) -> str:
    """A number with thousands separated, at most two decimals.

    >>> number(12345), number(0.25), number(3.0)
    ('12,345', '0.25', '3')
    """
    text = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def severity(value: object) -> str:
    """A severity as a word with a mark; the words are ours, anything else is shown as text."""
    word = str(value)
    if word not in SEVERITIES:
        return escape(word)
    return f'<span class="fa-sev fa-{word}" data-sort="{SEVERITIES.index(word)}">{word}</span>'


def _words(value: object) -> str:
    return escape(str(value).replace("_", " "), width=400)


def _listed(value: object) -> str:
    """Code words separated by blanks, as a list of words; those with a minus speak against."""
    words = str(value).replace(",", " ").split()
    speak = [w.replace("_", " ") for w in words if not w.startswith("-")]
    against = [w[1:].replace("_", " ") for w in words if w.startswith("-")]
    parts = [", ".join(speak), "against: " + ", ".join(against) if against else ""]
    return escape("; ".join(filter(None, parts)), width=400)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return number(value)
    if isinstance(value, list | tuple | set | frozenset) or hasattr(value, "tolist"):
        items = list(value)
        rest = f" and {len(items) - 6:,} more" if len(items) > 6 else ""
        return ", ".join(escape(i, width=60) for i in items[:6]) + rest
    return escape(value)
