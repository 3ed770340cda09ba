"""Counts as bars: by one thing, by two, and in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowanalysis.report.figures.base import (
    canvas,
    contrast,
    described,
    even_rows,
    integers,
    names,
    nothing,
    picture,
    rows_height,
    share,
    titled,
    to_float,
    top,
)
from flowanalysis.report.style import Ink

MOST = 14  # rows of one picture


@picture
def parts(
    ink: Ink,
    frame: pd.DataFrame,
    rows: str,
    part: str,
    *,
    order: Sequence[str] = (),
    colours: Mapping[str, int] | None = None,
    unit: str = "flows",
    title: str = "",
) -> Figure:
    """How many rows of a frame each name has, split by a state: stacked bars with their numbers.

    Parameters
    ----------
    frame : DataFrame
        One row per thing counted.
    rows, part : str
        Column of the names, column of the states.
    order : sequence of str
        States from left to right; others follow.
    colours : mapping, optional
        State to the number of its series colour.
    unit : str
        What is counted.
    title : str
        Statement over the picture.
    """
    known = frame[[rows, part]].astype(object)
    known = known.where(known.notna(), "not known")
    total = top(known[rows].value_counts(), MOST)
    known[rows] = known[rows].where(known[rows].isin(total.index), total.index[-1])
    counted = known.groupby([rows, part]).size().unstack(fill_value=0)
    states = [s for s in order if s in counted] + [s for s in counted if s not in order]
    counted = counted.reindex(index=total.index[::-1], columns=states, fill_value=0)
    figure, ax = canvas(rows_height(len(counted)))
    shades = {s: ink.series[(colours or {}).get(s, i) % len(ink.series)] for i, s in enumerate(states)}
    _stack(ax, counted, shades, ink)
    ax.set_yticks(range(len(counted)), names(counted.index))
    even_rows(ax, len(counted))
    titled(ax, title, [(str(s), shades[s]) for s in states])
    ax.set_xlabel(unit)
    integers(ax)
    whole = counted.to_numpy().sum()
    words = ", ".join(f"{s} {int(counted[s].sum()):,} ({share(counted[s].sum(), whole)})" for s in states)
    return described(figure, f"{title or 'Bars'}. {whole:,} {unit} in {len(counted)} rows: {words}.")


def _stack(ax: Axes, counted: pd.DataFrame, shades: Mapping[str, str], ink: Ink) -> None:
    left = pd.Series(0, index=counted.index)
    widest = max(int(counted.sum(axis=1).max()), 1)
    for state in counted.columns:
        width = counted[state]
        ax.barh(
            range(len(counted)), width, left=left, color=shades[state], height=0.68, edgecolor=ink.paper, linewidth=0.8
        )
        for y, (w, start) in enumerate(zip(width, left, strict=True)):
            if w > widest * 0.035:
                ax.text(
                    start + w / 2, y, f"{w:,}", ha="center", va="center", fontsize=8, color=contrast(ink, shades[state])
                )
        left = left + width
    for y, whole in enumerate(left):
        ax.text(whole + widest * 0.012, y, f"{whole:,}", va="center", fontsize=9, fontweight="bold", color=ink.text)
    ax.set_xlim(0, widest * 1.09)
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)


@picture
def ranked(
    ink: Ink, frame: pd.DataFrame, name: str, value: str, *, unit: str, title: str = "", most: int = MOST, hue: int = 0
) -> Figure:
    """The largest values by name, as bars with their numbers.

    Parameters
    ----------
    frame : DataFrame
        One row per name.
    name, value : str
        Its columns.
    unit : str
        What the value counts.
    """
    part = frame.dropna(subset=[value]).sort_values(value, ascending=False, kind="stable").head(most).iloc[::-1]
    if not len(part):
        return nothing(ink)
    figure, ax = canvas(rows_height(len(part), around=0.95))
    values = to_float(part[value])
    ax.barh(range(len(part)), values, color=ink.series[hue], height=0.68)
    widest = max(values.max(), 1e-9)
    for y, v in enumerate(values):
        ax.text(v + widest * 0.01, y, f"{v:,.10g}", va="center", fontsize=9, color=ink.text)
    ax.set_yticks(range(len(part)), names(part[name]))
    even_rows(ax, len(part))
    ax.set_xlim(0, widest * 1.1)
    ax.xaxis.set_visible(False)
    ax.spines["bottom"].set_visible(False)
    titled(ax, title or unit)
    left_out = len(frame) - len(part)
    if left_out:
        ax.annotate(
            f"{left_out:,} more with fewer {unit} are not drawn",
            (0, 0),
            (0, -12),
            "axes fraction",
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=ink.muted,
        )
    best = part.iloc[::-1].head(3)
    words = "; ".join(f"{n} {v:,.10g}" for n, v in zip(names(best[name]), to_float(best[value]), strict=True))
    return described(figure, f"{title or 'Ranking'}. {len(frame):,} names by {unit}; the largest: {words}.")


@picture
def gap(ink: Ink, frame: pd.DataFrame, *, most: int = 12) -> Figure:
    """Rights granted against rights needed, one pair of bars per account, the widest gap on top.

    Parameters
    ----------
    frame : DataFrame
        account_name, needed, granted, excess, missing: numbers of rights per account.
    """
    part = frame.sort_values(["excess", "missing"], ascending=False, kind="stable").head(most).iloc[::-1]
    figure, ax = canvas(rows_height(len(part), each=0.46, around=1.35))
    granted, needed, missing = (to_float(part[c]) for c in ("granted", "needed", "missing"))
    spots = range(len(part))
    ax.barh([y + 0.19 for y in spots], granted, height=0.34, color=ink.series[1], alpha=0.95)
    ax.barh([y - 0.19 for y in spots], needed, height=0.34, color=ink.series[0])
    widest = max(granted.max(), needed.max(), 1)
    for y, (g, n, m) in enumerate(zip(granted, needed, missing, strict=True)):
        ax.text(g + widest * 0.01, y + 0.19, f"{g:,.0f}", va="center", fontsize=8.5, color=ink.text)
        lack = f"{n:,.0f}" + (f", {m:,.0f} of them not granted" if m else "")
        ax.text(n + widest * 0.01, y - 0.19, lack, va="center", fontsize=8.5, color=ink.text)
    ax.set_yticks(list(spots), names(part["account_name"]))
    even_rows(ax, len(part))
    ax.set_xlim(0, widest * 1.18)
    ax.xaxis.set_visible(False)
    ax.spines["bottom"].set_visible(False)
    excess, whole = int(frame["excess"].sum()), int(frame["granted"].sum())
    title = f"{excess:,} of {whole:,} rights granted are needed by no flow of the account"
    titled(ax, title, [("rights granted", ink.series[1]), ("rights needed by its flows", ink.series[0])])
    lines = "; ".join(
        f"{n}: granted {g:,.0f}, needed {d:,.0f}"
        for n, g, d in list(zip(names(part["account_name"]), granted, needed, strict=True))[::-1][:4]
    )
    return described(figure, f"{title}. {lines}.")
