"""Pictures over an order: who is missed most, what comes when, and what more accounts buy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from flowanalysis.report.figures.base import (
    canvas,
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
)
from flowanalysis.report.style import Ink


@picture
def impact(ink: Ink, frame: pd.DataFrame, *, named: int = 6) -> Figure:
    """Flows that stop when one account goes: accounts by impact, the heaviest named.

    Parameters
    ----------
    frame : DataFrame
        name and flows (flows that stop when this one account goes), one row per account.
    """
    part = frame[frame["flows"].fillna(0) > 0].sort_values("flows", ascending=False, kind="stable")
    if not len(part):
        return nothing(ink, "No flow stops when a single account goes.")
    flows = to_float(part["flows"])
    place = np.arange(1, len(flows) + 1)
    figure, ax = canvas(3.9)
    ax.fill_between(place, flows, step="mid", color=ink.series[0], alpha=0.18, linewidth=0)
    ax.step(place, flows, where="mid", color=ink.series[0], linewidth=1.8)
    heaviest = names(part["name"].head(named), width=40)
    ax.plot(place[: len(heaviest)], flows[: len(heaviest)], "o", color=ink.series[1], markersize=5)
    listed = "\n".join(f"{n}.  {text}:  {flows[n - 1]:,.0f}" for n, text in enumerate(heaviest, 1))
    box = {"facecolor": ink.paper, "edgecolor": "none", "pad": 4}
    ax.text(0.6, 0.97, listed, transform=ax.transAxes, va="top", fontsize=9, linespacing=1.55, bbox=box)
    ax.set_xlim(0.4, max(len(flows) + 0.6, 8))
    ax.set_ylim(0, flows[0] * 1.1)
    ax.set_xlabel("accounts, the most important first")
    ax.set_ylabel("flows that stop")
    integers(ax, "x")
    integers(ax, "y")
    ax.grid(axis="y")
    worst = names(part["name"].head(1), width=40)[0]
    title = f"{len(part):,} accounts can each stop at least one flow"
    titled(ax, title)
    return described(figure, f"{title}; most with {worst}: {flows[0]:,.0f} flows. Median {np.median(flows):,.0f}.")


@picture
def clocks(ink: Ink, frame: pd.DataFrame, *, title: str = "How long a flow runs on after the event") -> Figure:
    """What happens how long after an event, on a time axis of days.

    Parameters
    ----------
    frame : DataFrame
        event (text), days (number; NA when no documented time exists) and effect (text), one row per clock.
    """
    part = frame.sort_values("days", ascending=False, na_position="first", kind="stable")
    figure, ax = canvas(rows_height(len(part), each=0.44, around=1.1))
    days = to_float(part["days"])
    spot = np.log10(1 + np.nan_to_num(days, nan=0.0))
    furthest = max(spot.max(), 1.0)
    for y, (x, d, effect) in enumerate(zip(spot, days, part["effect"], strict=True)):
        known = d == d
        ax.plot([0, x], [y, y], color=ink.series[0] if known else ink.rule, linewidth=2.2, solid_capstyle="round")
        ax.plot(x, y, "o" if known else "s", color=ink.series[1] if known else ink.muted, markersize=7)
        when = "at once" if d == 0 else f"{d:,.3g} day{'' if d == 1 else 's'}" if known else "no time documented"
        ax.text(
            x + furthest * 0.025,
            y,
            f"{when}: {names([effect], width=58)[0]}",
            va="center",
            fontsize=8.5,
            color=ink.text,
        )
    ax.set_yticks(range(len(part)), names(part["event"], width=34))
    even_rows(ax, len(part))
    ax.set_xlim(-0.03 * furthest, furthest * 1.9)
    marks = [d for d in (0, 1, 7, 14, 30, 90, 365) if np.log10(1 + d) <= furthest + 0.01]
    ax.set_xticks([np.log10(1 + d) for d in marks], [f"{d}" for d in marks])
    ax.set_xlabel("days after the event (logarithmic)", loc="left")
    titled(ax, title)
    words = "; ".join(
        f"{e}: {'not documented' if d != d else f'{d:,.3g} days'}"
        for e, d in zip(names(part["event"], width=60), days, strict=True)
    )
    return described(figure, f"{title}. {'; '.join(words)}.")


@picture
def front(ink: Ink, frame: pd.DataFrame, *, marks: Mapping[str, tuple[float, float]] | None = None) -> Figure:
    """What more accounts buy: exposure against the number of accounts.

    Parameters
    ----------
    frame : DataFrame
        accounts and exposure (rights that an account holds and a flow on it does not need), one row per plan.
    marks : mapping, optional
        Up to three points to name, such as *today*: accounts and exposure.
    """
    part = frame.sort_values("accounts")
    x, y = to_float(part["accounts"]), to_float(part["exposure"])
    figure, ax = canvas(4.0)
    ax.step(x, y, where="post", color=ink.series[0], linewidth=2)
    ax.plot(x, y, "o", color=ink.series[0], markersize=4.5)
    ends = f"{x.min():,.0f} accounts (exposure {y.max():,.0f}) to {x.max():,.0f} (exposure {y.min():,.0f})"
    words = [f"{len(part)} plans from {ends}"]
    for (name, spot), shape, colour in zip((marks or {}).items(), "Dos", ink.series[1:], strict=False):
        ax.plot(*spot, shape, color=colour, markersize=9, markerfacecolor="none", markeredgewidth=2.2, clip_on=False)
        right = spot[0] > 0.8 * max(x.max(), 1)  # there the words stand before their mark, inside the picture
        text, lift = f"{name}: {spot[0]:,.0f} accounts", 14 if right else 7
        look: dict[str, Any] = {
            "fontsize": 9.5,
            "fontweight": "bold",
            "color": colour,
            "ha": "right" if right else "left",
        }
        ax.annotate(text, spot, (6 if right else 12, lift), textcoords="offset points", **look)
        words.append(f"{text} with exposure {spot[1]:,.0f}")
    ax.set_xlabel("service accounts")
    ax.set_ylabel("exposure: rights held, not needed")
    ax.set_ylim(bottom=0)
    ax.margins(x=0.12)
    integers(ax, "x")
    integers(ax, "y")
    ax.grid(axis="y")
    titled(ax, "Fewer accounts mean more rights in one hand")
    return described(figure, f"Accounts against exposure: {'; '.join(words)}.")


@picture
def change(
    ink: Ink, frame: pd.DataFrame, *, before: str = "last month", now: str = "this month", most: int = 12
) -> Figure:
    """Findings fixed, still open and new by rule: what went and what came, left and right of a line.

    Parameters
    ----------
    frame : DataFrame
        title, fixed, open, new: numbers of findings, one row per rule.
    """
    moved = frame.assign(_all=frame["fixed"] + frame["new"] + frame["open"]).sort_values(
        "_all", ascending=False, kind="stable"
    )
    part = moved.head(most).iloc[::-1]
    figure, ax = canvas(rows_height(len(part), each=0.36, around=1.3))
    fixed, kept, new = (to_float(part[c]) for c in ("fixed", "open", "new"))
    spots = np.arange(len(part))
    ax.barh(spots, -fixed, color=ink.series[2], height=0.62)
    ax.barh(spots, kept, color=ink.series[5], height=0.62)
    ax.barh(spots, new, left=kept, color=ink.series[1], height=0.62)
    widest = max((kept + new).max(), fixed.max(), 1)
    for y, (f, k, n) in enumerate(zip(fixed, kept, new, strict=True)):
        if f:
            ax.text(-f - widest * 0.012, y, f"{f:,.0f}", ha="right", va="center", fontsize=8.5, color=ink.text)
        tail = " + ".join([f"{k:,.0f}"] * bool(k) + [f"{n:,.0f} new"] * bool(n))
        ax.text(k + n + widest * 0.012, y, tail, va="center", fontsize=8.5, color=ink.text)
    ax.axvline(0, color=ink.text, linewidth=0.9)
    ax.set_yticks(spots, names(part["title"], width=44))
    even_rows(ax, len(part))
    ax.set_xlim(-max(fixed.max() * 1.25, widest * 0.06), widest * 1.2)
    ax.xaxis.set_visible(False)
    ax.spines["bottom"].set_visible(False)
    total = {c: int(frame[c].sum()) for c in ("fixed", "open", "new")}
    title = f"{total['fixed']:,} findings fixed, {total['new']:,} new, {total['open']:,} still open"
    colours = [
        (f"fixed since {before}", ink.series[2]),
        ("still open", ink.series[5]),
        (f"new in {now}", ink.series[1]),
    ]
    titled(ax, title, colours)
    return described(
        figure, f"{title}. By rule, {share(total['fixed'], total['fixed'] + total['open'])} of last month's are fixed."
    )


@picture
def scores(ink: Ink, frame: pd.DataFrame, *, bands: tuple[float, float] | None = None) -> Figure:
    """How surely each account is a service account: one dot per account on the scale of the score.

    Parameters
    ----------
    frame : DataFrame
        name, score (0 to 1) and band (service | review | person), one row per account.
    bands : (review, service), optional
        Where the bands begin.
    """
    order = {"service": 2, "review": 1, "person": 0}
    part = frame[frame["band"].isin(order)]
    if not len(part):
        return nothing(ink)
    figure, ax = canvas(2.9)
    hues = {"service": ink.series[0], "review": ink.series[3], "person": ink.series[5]}
    for band, row in order.items():
        mine = part[part["band"] == band].sort_values("score")
        x = to_float(mine["score"])
        # A fixed pattern instead of chance: the same data is the same picture.
        lift = ((np.arange(len(mine)) * 0.618) % 1 - 0.5) * 0.62
        ax.plot(x, row + lift, "o", color=hues[band], markersize=4.5, alpha=0.75, markeredgewidth=0)
    for edge in bands or ():
        ax.axvline(edge, color=ink.muted, linewidth=0.9, linestyle=(0, (4, 3)))
    counts = {b: int((part["band"] == b).sum()) for b in order}
    words = {"service": "service accounts", "review": "to be looked at", "person": "people"}
    ax.set_yticks(list(order.values()), [f"{counts[b]:,} {words[b]}" for b in order])
    ax.set_ylim(-0.6, 2.6)
    ax.set_xlabel("score: how much speaks for a service account")
    title = f"{counts['service']:,} service accounts; {counts['review']:,} need a look"
    titled(ax, title)
    return described(figure, f"{title}; {counts['person']:,} are people. One dot per account over its score.")
