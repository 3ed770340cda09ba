"""Two names against each other: who runs what, and who may do the same as whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from flowanalysis.report.figures.base import canvas, contrast, described, names, picture, titled, to_float, top
from flowanalysis.report.style import Ink


@picture
def matrix(
    ink: Ink,
    frame: pd.DataFrame,
    rows: str,
    columns: str,
    *,
    value: str = "",
    unit: str = "steps",
    title: str = "",
    most: tuple[int, int] = (16, 14),
) -> Figure:
    """How much two names have to do with each other: numbers on shaded cells.

    Parameters
    ----------
    frame : DataFrame
        One row per occurrence, or with `value` one row per pair.
    rows, columns : str
        Columns of the names.
    value : str
        Column of the numbers; "" counts rows.
    unit : str
        What a number counts.
    """
    grid = _grid(frame, rows, columns, value, most)
    figure, ax = canvas(1.9 + 0.3 * len(grid))
    data = grid.to_numpy(float)
    shades = colours(ink)
    shown = np.where(data > 0, np.log1p(data), 0.0)
    ax.imshow(shown, cmap=shades, aspect="auto", vmin=0, vmax=max(shown.max(), 1e-9))
    for (y, x), v in np.ndenumerate(data):
        if v:
            colour = shades(shown[y, x] / max(shown.max(), 1e-9))
            ax.text(x, y, f"{v:,.0f}", ha="center", va="center", fontsize=8, color=contrast(ink, colour))
    _frame_cells(ax, data.shape, ink)
    ax.set_yticks(range(len(grid)), names(grid.index))
    ax.set_xticks(range(grid.shape[1]), names(grid.columns, width=22), rotation=38, ha="left", rotation_mode="anchor")
    ax.xaxis.tick_top()
    titled(ax, title or f"{unit} by {rows} and {columns}")
    y, x = np.unravel_index(int(data.argmax()), data.shape)
    most_words = f"{names([grid.index[y]])[0]} with {names([grid.columns[x]])[0]}: {data[y, x]:,.0f} {unit}"
    return described(figure, f"{title}. {len(grid)} rows by {grid.shape[1]} columns; most: {most_words}.")


def _grid(frame: pd.DataFrame, rows: str, columns: str, value: str, most: tuple[int, int]) -> pd.DataFrame:
    """Sums of pairs, the largest names first, the others joined."""
    pairs = frame[[rows, columns]].astype(object)
    pairs = pairs.where(pairs.notna(), "not known").assign(v=to_float(frame[value]) if value else 1.0)
    for axis, limit in ((rows, most[0]), (columns, most[1])):
        kept = top(pairs.groupby(axis)["v"].sum(), limit)
        pairs[axis] = pairs[axis].where(pairs[axis].isin(kept.index), kept.index[-1])
    grid = pairs.groupby([rows, columns])["v"].sum().unstack(fill_value=0.0)
    return grid.loc[_largest_first(grid.sum(axis=1)), _largest_first(grid.sum(axis=0))]


def _largest_first(sums: pd.Series) -> list[object]:
    """Names by their sums; what stands for many others comes last."""
    order = sums.sort_values(ascending=False, kind="stable").index
    return sorted(order, key=lambda name: str(name).startswith("all ") and str(name).endswith(" others"))


def colours(ink: Ink) -> LinearSegmentedColormap:
    """The ramp of an ink, from nothing to much."""
    return LinearSegmentedColormap.from_list(f"flowanalysis-{ink.name}", list(ink.ramp))


def _frame_cells(ax: Axes, shape: tuple[int, int], ink: Ink) -> None:
    ax.set_xticks(np.arange(-0.5, shape[1]), minor=True)
    ax.set_yticks(np.arange(-0.5, shape[0]), minor=True)
    ax.grid(which="minor", color=ink.paper, linewidth=1.6)
    ax.tick_params(which="both", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


@picture
def overlap(ink: Ink, frame: pd.DataFrame, *, most: int = 22) -> Figure:
    """How much of their rights accounts share: a heat map in which look-alikes stand side by side.

    Parameters
    ----------
    frame : DataFrame
        account_a, account_b (names that are unique) and similarity (0 to 1), one row per pair.
    """
    ends = pd.concat([frame["account_a"], frame["account_b"]]).astype(object)
    best = pd.concat([frame["similarity"], frame["similarity"]]).set_axis(ends.to_numpy())
    chosen = best.groupby(level=0).max().sort_values(ascending=False, kind="stable").head(most).index
    square = _square(frame, list(chosen))
    order = _side_by_side(square)
    data = square[np.ix_(order, order)]
    labels = names([chosen[i] for i in order], width=26)
    figure, ax = canvas(1.6 + 0.3 * len(chosen))
    shades = colours(ink)
    ax.imshow(data, cmap=shades, vmin=0, vmax=1, aspect="auto")
    for (y, x), v in np.ndenumerate(data):
        if y != x and v >= 0.05:
            ax.text(x, y, f"{100 * v:.0f}", ha="center", va="center", fontsize=7.5, color=contrast(ink, shades(v)))
    _frame_cells(ax, data.shape, ink)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xticks(range(len(labels)), labels, rotation=38, ha="left", rotation_mode="anchor")
    ax.xaxis.tick_top()
    same = int((frame["similarity"].fillna(0) >= 0.8).sum())
    pairs = "pair of accounts shares" if same == 1 else "pairs of accounts share"
    title = f"{same} {pairs} at least 80 % of their rights"
    titled(ax, title + " (numbers in %)")
    return described(figure, f"{title}, of {len(frame):,} pairs with something in common.")


def _square(frame: pd.DataFrame, chosen: list[object]) -> np.ndarray:
    spot = {name: i for i, name in enumerate(chosen)}
    square = np.eye(len(chosen))
    for a, b, v in zip(frame["account_a"], frame["account_b"], to_float(frame["similarity"]), strict=True):
        if a in spot and b in spot and a != b and v == v:
            square[spot[a], spot[b]] = square[spot[b], spot[a]] = v
    return square


def _side_by_side(square: np.ndarray) -> np.ndarray:
    """An order in which similar rows are neighbours: the leaves of average-linkage clustering."""
    if len(square) < 3:
        return np.arange(len(square))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    apart = np.clip(1 - square, 0, 1)
    np.fill_diagonal(apart, 0)
    return leaves_list(linkage(squareform(apart, checks=False), "average", optimal_ordering=True))
