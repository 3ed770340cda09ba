"""The shell of every page: head with its content policy, navigation, foot. No address outside the report."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from flowanalysis.report import style
from flowanalysis.report.show.leaf import attribute, escape


@dataclass(frozen=True)
class Link:
    """A page of the report in the navigation.

    Parameters
    ----------
    href : str
        File beside this page.
    number : str
        Two digits, or "" for pages outside the series.
    title : str
        Title of the page, of our own.
    question : str
        The question it answers.
    broken : bool
        The notebook did not run to its end.
    """

    href: str
    number: str
    title: str
    question: str = ""
    broken: bool = False


@dataclass(frozen=True)
class Frame:
    """What all pages of one report share: tenant, month, scope and the list of pages."""

    tenant: str
    month: str
    scope: str = ""
    links: tuple[Link, ...] = ()
    version: str = ""


def policy(script: str, css: str, *, images: str = "data:") -> str:
    """A content policy under which exactly this script and this style can act, and nothing can be loaded."""
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(css)}; "
        f"img-src {images}; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


SHELL = "fa-frame fa-rail fa-brand fa-where fa-end"  # classes of the shell itself


def page(title: str, body: str, frame: Frame, *, current: str = "", up: str = "") -> str:
    """A whole page.

    Parameters
    ----------
    title : str
        Text; shown in the tab.
    body : str
        Markup made by :mod:`flowanalysis.report.show`.
    frame : Frame
        What all pages share.
    current : str
        ``href`` of this page.
    up : str
        ``../`` once per folder that the page lies below the report.
    """
    navigation = _navigation(frame.links, current, up)
    script = style.asset("table.js")
    css = style.page_css(SHELL + navigation + body)
    where = " · ".join(part for part in (frame.tenant, frame.scope) if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(script, css)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape_title(title)}</title>
<style>{css}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<div class="fa-frame">
<nav class="fa-rail" aria-label="Report">
<a class="fa-brand" href="{up}index.html">Flow report {escape(month_name(frame.month))}</a>
<p class="fa-where">{escape(where)}</p>
{navigation}
</nav>
<main id="main">
{body}
<footer class="fa-end">Made by flowanalysis {escape(frame.version)} from data of {escape(month_name(frame.month))}. \
Nothing on this page is loaded from elsewhere. <a href="{up}run.json">How it was made</a></footer>
</main>
</div>
<script>{script}</script>
</body>
</html>
"""


def escape_title(title: str) -> str:
    """A title has no markup inside, so no break hints either."""
    return attribute(title)


def _navigation(links: Sequence[Link], current: str, up: str) -> str:
    items = "".join(
        f'<li{" class=fa-broken" if link.broken else ""}><a href="{up}{attribute(link.href)}"'
        f"{' aria-current=page' if link.href == current else ''}>"
        f"<b>{escape(link.number)}</b> {escape(link.title)}</a></li>"
        for link in links
    )
    return f"<ol>{items}</ol>"


MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def month_name(month: str) -> str:
    """A month in words; anything else as it is.

    >>> month_name("2026-10"), month_name("sample")
    ('October 2026', 'sample')
    """
    year, _, number = month.partition("-")
    if year.isdigit() and number.isdigit() and 1 <= int(number) <= 12:
        return f"{MONTHS[int(number) - 1]} {year}"
    return month
