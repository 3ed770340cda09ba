"""One palette for pages and pictures, in light and dark.

The six series colours keep apart for the common kinds of colour blindness and differ in lightness too;
severity is a ramp of lightness, so that it survives a black-and-white printer. Text and its ground keep a
contrast of at least 4.5 (WCAG 2.2 AA), marks at least 3.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from matplotlib.rcsetup import cycler

CLASS = re.compile(r"\.(fa-[a-z-]+)")
SEVERITY = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True)
class Ink:
    """Colours of one ground, as hex: the paper, what is written on it, and what is drawn."""

    name: str
    paper: str
    panel: str
    text: str
    muted: str
    rule: str
    accent: str
    series: tuple[str, ...]  # blue, vermilion, teal, amber, violet, grey
    severity: tuple[str, ...]  # critical, high, medium, low, info
    ramp: tuple[str, ...]  # from nothing to much

    def of(self, severity: str) -> str:
        """The colour of a severity; unknown words are drawn as info."""
        return dict(zip(SEVERITY, self.severity, strict=True)).get(severity, self.severity[-1])


LIGHT = Ink(
    name="light",
    paper="#ffffff",
    panel="#f5f6f4",
    text="#16202a",
    muted="#55606b",
    rule="#d9dddb",
    accent="#0b5d8f",
    series=("#1f6fb2", "#d1581f", "#12856f", "#a97800", "#7d55ad", "#77818b"),
    severity=("#8c1026", "#c8451b", "#a97800", "#4c86b8", "#77818b"),
    ramp=("#f1f4f6", "#c3daea", "#7db2d8", "#2f7fbc", "#0d4774"),
)
DARK = Ink(
    name="dark",
    paper="#14191e",
    panel="#1c232a",
    text="#e9edf0",
    muted="#a7b1ba",
    rule="#36404a",
    accent="#7cc0f2",
    series=("#6ab3ea", "#f08c57", "#45c4a6", "#e0b343", "#bb99e6", "#98a3ad"),
    severity=("#ff7f8d", "#f08c57", "#e0b343", "#6ab3ea", "#98a3ad"),
    ramp=("#1f2830", "#214b6b", "#2c77ab", "#65aede", "#c9e4f7"),
)
INKS = MappingProxyType({"light": LIGHT, "dark": DARK})
WIDTH = 8.4  # inches of a picture over the full column
DPI = 120


def drawing(ink: Ink) -> AbstractContextManager[None]:
    """Matplotlib as the house draws: no mathematics in names, quiet axes, the palette."""
    import matplotlib as mpl  # late: tables do without

    from flowanalysis.report.show.leaf import families

    return mpl.rc_context(
        {
            "font.family": families(),
            "font.size": 9.5,
            "text.parse_math": False,  # a flow may be called "$x$"
            "text.color": ink.text,
            "axes.labelcolor": ink.muted,
            "axes.edgecolor": ink.rule,
            "axes.facecolor": ink.paper,
            "axes.titlecolor": ink.text,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 12,
            "axes.labelsize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=ink.series),
            "grid.color": ink.rule,
            "grid.linewidth": 0.7,
            "xtick.color": ink.muted,
            "ytick.color": ink.muted,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "figure.facecolor": ink.paper,
            "figure.dpi": DPI,
            "savefig.facecolor": ink.paper,
            "legend.frameon": False,
            "legend.fontsize": 9,
        }
    )


@cache
def asset(name: str) -> str:
    """A file of the template folder as text, without indentation and lines of comment: ``page.css``, ``table.js``."""
    text = (Path(__file__).parent / "template" / name).read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


def notebook_css() -> str:
    """The small style that a notebook carries in itself, so that it looks the same in JupyterLab."""
    return asset("notebook.css")


SCRIPTED = ("fa-tools", "fa-foot", "fa-cards")  # classes that table.js gives


def page_css(body: str | None = None) -> str:
    """The style of a page of the report, with the palette as variables for light and dark.

    Parameters
    ----------
    body : str, optional
        The page; rules for classes that it lacks are left out. Default: all rules.
    """
    dark = f"@media (prefers-color-scheme: dark){{:root{{{variables(DARK)}}}}}"
    lines = asset("page.css").splitlines()
    if body is not None:
        lines = [line for line in lines if _concerns(line, body)]
    rules = "\n".join(lines)
    return f":root{{{variables(LIGHT)}}}{dark}@media print{{:root{{{variables(LIGHT)}}}}}{rules}"


def _concerns(line: str, body: str) -> bool:
    """Whether a line of rules (one selector a line, as the file is written) can meet anything in the page."""
    classes = CLASS.findall(line)
    return not classes or any(c in SCRIPTED or c in body for c in classes)


def variables(ink: Ink) -> str:
    """An ink as CSS variables."""
    plain = {name: getattr(ink, name) for name in ("paper", "panel", "text", "muted", "rule", "accent")}
    severe = {word: ink.of(word) for word in SEVERITY}
    return "".join(f"--{name}:{colour};" for name, colour in (plain | severe).items())
