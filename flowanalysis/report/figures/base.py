"""What every picture shares: light and dark twins, an alternative text, and quiet axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from flowanalysis.report.show.leaf import label
from flowanalysis.report.style import DPI, INKS, WIDTH, Ink, drawing

Options = ParamSpec("Options")
LABEL = 30  # characters of a name on an axis


def picture(
    draw: Callable[Concatenate[Ink, pd.DataFrame, Options], Figure],
) -> Callable[Concatenate[pd.DataFrame, Options], Figure]:
    """Make a drawing function public: it takes a frame and returns a Figure that knows its dark twin.

    The figure has two attributes more: ``alt``, its content in words, and ``again(mode)``, which draws it in
    the other ink. An empty frame gives a figure that says so.
    """

    @wraps(draw)
    def drawn(frame: pd.DataFrame, *args: Any, mode: str = "light", **options: Any) -> Figure:
        ink = INKS[mode]
        with drawing(ink):
            figure = draw(ink, frame, *args, **options) if len(frame) else nothing(ink)
        figure.again = partial(_again, drawn, frame, args, options)  # type: ignore[attr-defined]
        return figure

    return drawn  # type: ignore[return-value]


def _again(
    drawn: Callable[..., Figure], frame: pd.DataFrame, args: tuple[Any, ...], options: dict[str, Any], mode: str
) -> Figure:
    return drawn(frame, *args, **options, mode=mode)


def canvas(height: float, *, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    return figure, figure.add_subplot()


def nothing(ink: Ink, words: str = "Nothing to draw: the data has no rows for this picture.") -> Figure:
    """A figure that says that there is nothing."""
    figure = Figure(figsize=(WIDTH, 0.7), dpi=DPI)
    figure.text(0.01, 0.5, words, color=ink.muted, va="center", style="italic")
    return described(figure, words)


def described(figure: Figure, alt: str) -> Figure:
    """The figure with its alternative text."""
    figure.alt = alt  # type: ignore[attr-defined]
    return figure


def rows_height(rows: int, *, each: float = 0.3, around: float = 1.25) -> float:
    """Height in inches of a picture with so many named rows."""
    return around + each * max(rows, 2)


def even_rows(ax: Axes, rows: int) -> None:
    """The same distance between rows however few they are."""
    ax.set_ylim(min(-0.6, rows - 2.4), rows - 0.4)


def names(values: Iterable[object], *, width: int = LABEL) -> list[str]:
    """Names for an axis: the mail domain that most of them share is left out, the rest is elided."""
    texts = list(values)
    domains = [str(v).rpartition("@")[2] for v in texts if "@" in str(v)]
    common = max(set(domains), key=domains.count, default="")
    if len(domains) < 2 or domains.count(common) * 2 < len(texts):
        return [label(v, width=width) for v in texts]
    return [label(str(v).removesuffix(f"@{common}") if "@" in str(v) else v, width=width) for v in texts]


def titled(ax: Axes, title: str, entries: Sequence[tuple[str, str]] = ()) -> None:
    """A statement over the picture, and on the next line what the colours mean; both flush with its left edge."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    size = ax.title.get_fontsize()
    second = "\n" if entries else ""  # keeps the line free on which the key stands
    figure.suptitle(label(title, width=96) + second, x=0.008, ha="left", fontsize=size, fontweight="bold")
    if entries:
        handles = [Patch(facecolor=colour, label=label(text, width=40)) for text, colour in entries]
        key = figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(-0.002, 1 - 0.21 / figure.get_figheight()),
            ncols=len(entries),
            handlelength=0.9,
            handleheight=0.9,
            columnspacing=1.5,
            handletextpad=0.5,
        )
        key.set_in_layout(False)


def top(counts: pd.Series, most: int) -> pd.Series:
    """The largest entries; what is left out is summed under "all others"."""
    ordered = counts.sort_values(ascending=False, kind="stable")
    if len(ordered) <= most:
        return ordered
    rest = ordered.iloc[most - 1 :]
    return pd.concat([ordered.iloc[: most - 1], pd.Series({f"all {len(rest):,} others": rest.sum()})])


def share(part: float, whole: float) -> str:
    """A share in words: 37 %."""
    return f"{100 * part / whole:.0f} %" if whole else "none"


def contrast(ink: Ink, colour: Any) -> str:
    """Black or white, whichever reads better on the colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "#101418"


def integers(ax: Axes, axis: str = "x") -> None:
    """Whole numbers on an axis of counts, thousands separated."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    chosen = ax.xaxis if axis == "x" else ax.yaxis
    chosen.set_major_locator(MaxNLocator(nbins=6, integer=True))
    chosen.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))


def to_float(values: pd.Series) -> np.ndarray:
    """Numbers as floats; not known is NaN."""
    return values.astype("Float64").to_numpy(float, na_value=np.nan)
