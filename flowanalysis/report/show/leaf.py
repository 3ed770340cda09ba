"""Tenant text at the leaf: the only functions that turn it into HTML or into a plot label."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from pathlib import Path

import pandas as pd

from flowanalysis.text import plain

NOT_KNOWN = "not known"
LONGEST = 160  # characters of one table cell; the CSV has the rest
BREAK_AFTER = re.compile(r"([@/_\\:]|[^\s@/_\\:]{28})(?=\S)")
SEVERITIES = ("critical", "high", "medium", "low", "info")


def escape(value: object, *, width: int | None = LONGEST) -> str:
    r"""Any value as HTML text that shows what was written and does nothing.

    Control and bidirectional characters become visible, stacks of combining marks are cut to two, the
    middle of long text is elided, and long tokens may wrap.

    Parameters
    ----------
    value : object
        Text of the tenant, or anything with a text.
    width : int, optional
        Longest text in characters; None leaves it whole.

    Examples
    --------
    >>> escape("<b>&\u202e")
    '&lt;b&gt;&amp;\\<wbr>u202e'
    """
    if missing(value):
        return f'<span class="fa-na">{NOT_KNOWN}</span>'
    text = plain(_unstack(str(value)), width=width)
    return "<wbr>".join(html.escape(part, quote=True) for part in BREAK_AFTER.sub("\\1\x00", text).split("\x00"))


def attribute(value: object) -> str:
    """Any value as the inside of a double-quoted HTML attribute.

    >>> attribute('" onclick="x')
    '&quot; onclick=&quot;x'
    """
    return html.escape(plain(_unstack(str(value)), width=LONGEST), quote=True)


def quoted(page: str) -> str:
    """A whole page as the inside of an attribute, for ``srcdoc``."""
    return html.escape(page, quote=True)


def label(value: object, *, width: int = 30) -> str:
    r"""Any value as a plot label: one line, elided, only characters that a font here can draw.

    >>> label("Invoice intake for the northern region\n", width=20)
    'Invoice i…n region\\n'
    """
    if missing(value):
        return NOT_KNOWN
    text = plain(_unstack(str(value)), width=width)
    known = _glyphs()
    drawn = "".join(c if ord(c) in known else "\u25af" for c in text)
    # Matplotlib leaves labels that begin with an underscore out of legends.
    return "\u02cd" + drawn[1:] if drawn.startswith("_") else drawn


def missing(value: object) -> bool:
    """True for every spelling of "not known": None, NA, NaT, NaN.

    >>> missing(pd.NA), missing(float("nan")), missing("NA"), missing(False)
    (True, True, False, False)
    """
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def _unstack(text: str) -> str:
    """At most two combining marks in a row: more of them grow out of the line."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for c in text:
        marks = marks + 1 if unicodedata.category(c) in ("Mn", "Me") else 0
        if marks <= 2:
            kept.append(c)
    return "".join(kept)


# Families by preference; those that a machine lacks are left out, DejaVu Sans comes with Matplotlib.
FAMILIES = ("Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
FALLBACKS = ("Noto Sans CJK JP", "Yu Gothic", "Microsoft YaHei", "Hiragino Sans", "Malgun Gothic", "Noto Sans Arabic")


@cache
def families() -> list[str]:
    """Font families that Matplotlib finds on this machine, in order of fallback."""
    from matplotlib import font_manager  # late: a slow import that tables do without

    found = {f.name for f in font_manager.fontManager.ttflist}
    first = next(f for f in FAMILIES if f in found)
    return list(dict.fromkeys([first, "DejaVu Sans", *(f for f in FALLBACKS if f in found)]))


@cache
def _glyphs() -> frozenset[int]:
    """Code points that every weight used in a figure can draw."""
    from matplotlib import font_manager, ft2font

    drawn: set[int] = set()
    for family in families():
        path = Path(font_manager.findfont(font_manager.FontProperties(family=[family])))
        drawn |= set(ft2font.FT2Font(str(path)).get_charmap())
    return frozenset(drawn)
