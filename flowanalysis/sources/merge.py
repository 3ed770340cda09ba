"""One row per key out of many sources: trusted source first, newest first within a source, NA never overwrites.

Nothing is lost in silence: rows met twice are counted, and values that two sources tell differently are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis import reference, schema
from flowanalysis.schema.compact import CompactText, compact
from flowanalysis.sources import hashes

CONFLICTS = 10_000
"""Conflicts that are listed for one column of one table at most; the rest is counted in the last row."""
MANY = 100_000
"""Rows from which a first look by hashes pays."""
MORE = "(more)"
"""Key of the row that stands for the conflicts not listed."""
# A row tells by these columns how new it is, where the export does not say when it was made.
RECENCY = {"flows": "modified_at", "connections": "modified_at"}
# Rows of one flow belong together: steps of two versions of a definition must not mix.
WHOLE = {"steps", "needs", "definition_marks", "flow_connections"}
# Columns that describe the export rather than the thing: a difference is no conflict.
QUIET = {
    "identities": {"manager_known", "status"},
    "flows": {"owner_source", "has_definition", "creator_kind", "owner_id", "creator_id"},
    "app_permissions": {"permission", "resource_name"},
    "connectors": {"display_name"},
    "environment_variables": {"value", "default_value"},  # what is a secret is known only when all is merged
}


@dataclass(frozen=True)
class Part:
    """Rows of one table out of one file, or of many small files that tell alike.

    Attributes
    ----------
    listed : bool
        False for rows found in passing, which only fill gaps.
    span : tuple of int or None
        Which rows of the frame are its own, from and to; None: all of them.
    pieces : tuple of Part
        The parts whose rows follow one another in the frame; nothing: the part is one.
    """

    table: str
    frame: pd.DataFrame
    source: str
    file: str = ""
    observed_at: datetime | None = None
    listed: bool = True
    complete: bool | None = None
    span: tuple[int, int] | None = None
    pieces: tuple[Part, ...] = ()

    @property
    def family(self) -> str:
        """First word of the source."""
        return self.source.split(" ", 1)[0]


@dataclass(frozen=True)
class Merged:
    """A merged table: `frame`, the conflicts, how many rows of each part were met before, which keys are listed."""

    frame: pd.DataFrame
    conflicts: pd.DataFrame
    duplicates: list[int]
    listed: np.ndarray


def merge(name: str, parts: Sequence[Part]) -> Merged:
    """One frame of a table out of its parts.

    Parameters
    ----------
    name : str
        Table.
    parts : sequence of Part
        In the order in which the files were read.

    Returns
    -------
    Merged
        `frame` in the order in which keys were first met.
    """
    both = joined([p.frame for p in parts])
    parts, sizes = _pieces(parts)
    part_of = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
    given = np.bincount(part_of, minlength=len(parts))
    if name in WHOLE and len(parts) > 1:
        kept = _whole(name, both, parts, part_of)
        both, part_of = both[kept].reset_index(drop=True), part_of[kept]
    listed = np.array([p.listed for p in parts], dtype=bool)[part_of]
    key = list(schema.table(name).key)
    if len(both) > MANY and certainly_unique(both, key):
        duplicates = given - np.bincount(part_of, minlength=len(parts))
        return Merged(both, schema.empty("conflicts"), duplicates.tolist(), listed)
    keys = codes(both, key)
    first, group = _groups(keys)
    if len(first) == len(keys):
        duplicates = given - np.bincount(part_of, minlength=len(parts))
        return Merged(both, schema.empty("conflicts"), duplicates.tolist(), listed)
    duplicates = given - np.bincount(part_of[first], minlength=len(parts))
    frame, conflicts = _combine(name, both, parts, part_of, group, first)
    known = np.zeros(len(first), dtype=bool)
    known[group[listed]] = True
    return Merged(frame, conflicts, duplicates.tolist(), known)


def _pieces(parts: Sequence[Part]) -> tuple[list[Part], list[int]]:
    """The parts as they were before they were bundled, and how many rows each has."""
    single = [q for p in parts for q in (p.pieces or (p,))]
    return single, [q.span[1] - q.span[0] if q.span else len(q.frame) for q in single]


def bundled(parts: Iterable[Part]) -> list[Part]:
    """Parts that follow one another in one frame and tell alike as one: thousands of small frames take minutes.

    Parameters
    ----------
    parts : iterable of Part
        In the order in which the files were read.

    Returns
    -------
    list of Part
        Every one with a frame of its own; those of one table in the order in which they came.
    """
    runs: dict[str, list[list[Part]]] = {}
    for part in parts:
        mine = runs.setdefault(part.table, [])
        if mine and _follows(mine[-1][-1], part):
            mine[-1].append(part)
        else:
            mine.append([part])
    return [_bundle(run) for table in runs.values() for run in table]


def _follows(one: Part, other: Part) -> bool:
    if one.frame is not other.frame or one.span is None or other.span is None or one.span[1] != other.span[0]:
        return False
    return (one.source, one.listed, one.complete) == (other.source, other.listed, other.complete)


def _bundle(run: Sequence[Part]) -> Part:
    first, last = run[0].span, run[-1].span
    if first is None or last is None:
        return run[0]
    whole = run[0].frame
    own = whole if last[1] - first[0] == len(whole) else whole.iloc[first[0] : last[1]].reset_index(drop=True)
    pieces = tuple(replace(part, frame=whole.iloc[:0]) for part in run) if len(run) > 1 else ()
    return replace(run[0], frame=own, span=None, pieces=pieces)


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows in one frame; a column of which most rows share words shares them throughout."""
    if len(frames) == 1:
        return frames[0]
    columns, rows = {}, sum(map(len, frames))
    for column in frames[0].columns:
        arrays = [frame[column].array for frame in frames if len(frame)] or [frames[0][column].array]
        if 2 * sum(len(a) for a in arrays if isinstance(a, CompactText)) > rows:
            arrays = [a if isinstance(a, CompactText) else compact(schema.encoded(a)) for a in arrays]
        columns[column] = pd.concat([pd.Series(a, copy=False) for a in arrays], ignore_index=True).array
    return pd.DataFrame(columns, copy=False)


def _whole(name: str, both: pd.DataFrame, parts: Sequence[Part], part_of: np.ndarray) -> np.ndarray:
    """Which rows stay when each flow is taken from its best part alone."""
    _, flow = np.unique(codes(both, ["environment_id", "flow_id"]), return_inverse=True)
    ranked = _Order(name, both, parts, part_of, np.arange(len(both))).rows("*")
    best = np.empty(flow.max() + 1 if len(flow) else 0, dtype=np.int32)
    best[flow[ranked[::-1]]] = part_of[ranked[::-1]]  # the last one written is the best
    return part_of == best[flow]


def certainly_unique(frame: pd.DataFrame, columns: Sequence[str]) -> bool:
    """True when no two rows are equal in the columns, found by hashes: different hashes are different rows.

    False says nothing: two different rows may have one hash.
    """
    found = np.sort(hashes.hashes(pa.table({c: _hashable(frame[c].array) for c in columns})))
    return not bool((found[1:] == found[:-1]).any())


def _hashable(values: pd.api.extensions.ExtensionArray) -> pa.Array:
    """Values, or the places of the words where these are shared: numbers are hashed faster than text."""
    return pa.array(values.places) if isinstance(values, CompactText) else pa.array(values, from_pandas=True)


def codes(frame: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """One integer for each row, equal for equal values of the columns; NA equals NA."""
    out = np.zeros(len(frame), dtype=np.int64)
    for column in columns:
        place, size = _places(frame[column])
        if out.size and int(out.max()) > (2**62) // size:
            out = np.unique(out, return_inverse=True)[1].astype(np.int64)
        out = out * size + place
    return out


def _places(column: pd.Series) -> tuple[np.ndarray, int]:
    """The place of each row's value, the last one for NA, and how many places there are."""
    if isinstance(told := column.array, CompactText):
        return np.where(told.places < 0, len(told.words), told.places), len(told.words) + 1
    if column.dtype == schema.TEXT:
        return hashes.groups(hashes.arrow(told))
    place, unique = pd.factorize(column)
    return np.where(place < 0, len(unique), place), len(unique) + 1


def _groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each unique key, in the order first met, and the group of every row."""
    group, unique = pd.factorize(keys)
    if len(unique) == len(keys):
        return np.arange(len(keys)), group
    first = np.empty(len(unique), dtype=np.int64)
    first[group[::-1]] = np.arange(len(keys) - 1, -1, -1)  # the last one written is the first met
    return first, group


def _combine(
    name: str, both: pd.DataFrame, parts: Sequence[Part], part_of: np.ndarray, group: np.ndarray, first: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The best value of every column for each key, and what was told otherwise."""
    several = np.bincount(group)[group] > 1
    rows = np.flatnonzero(several)  # all others are the best of their key
    order = _Order(name, both, parts, part_of, rows)
    out, conflicts = {}, []
    key = set(schema.table(name).key)
    for column in both.columns:
        if column in key:
            out[column] = both[column].array.take(first)
            continue
        ranked = order.rows(column)
        known = ranked[~np.asarray(both[column].array.take(ranked).isna())]
        best = first.copy()
        best[group[rows]] = -1
        best[group[known[::-1]]] = known[::-1]  # the last one written is the most trusted
        out[column] = both[column].array.take(best, allow_fill=True)
        others = known[best[group[known]] != known]
        if len(others) and column not in QUIET.get(name, ()):
            conflicts.append(_conflicts(name, column, both, parts, part_of, others, best[group[others]]))
    told = [c for c in conflicts if len(c)]
    return pd.DataFrame(out), pd.concat(told, ignore_index=True) if told else schema.empty("conflicts")


class _Order:
    """Some rows from most to least trusted, for each column."""

    def __init__(
        self, name: str, both: pd.DataFrame, parts: Sequence[Part], part_of: np.ndarray, rows: np.ndarray
    ) -> None:
        self.name, self.parts, self.part_of, self.places = name, parts, part_of[rows], rows
        seen = np.array([p.observed_at.timestamp() if p.observed_at else -np.inf for p in parts])
        self._newer = seen[self.part_of]
        self._own = np.zeros(len(rows), dtype=np.int64)
        if name in RECENCY:
            told = both[RECENCY[name]].iloc[rows]
            self._own = told.fillna(pd.Timestamp(0, tz="UTC")).astype("int64").to_numpy()
        self._default: np.ndarray | None = None

    def rows(self, column: str) -> np.ndarray:
        """Row numbers, best first; within one source the newest, then the later file."""
        special = trust(self.name, column)
        if special is None and self._default is not None:
            return self._default
        ranks = special if special is not None else trust(self.name, "*")
        rank = np.array([_rank(p, ranks or {}) for p in self.parts], dtype=np.int64)[self.part_of]
        found = self.places[np.lexsort((-self.part_of, -self._own, -self._newer, rank))]
        if special is None:
            self._default = found
        return found


def _rank(part: Part, ranks: dict[str, int]) -> int:
    """Place of a source in the order of trust; rows found in passing come last."""
    rank = ranks.get(part.source, ranks.get(part.family, len(ranks) + 1))
    return rank + (0 if part.listed else 1_000)


def trust(name: str, column: str) -> dict[str, int] | None:
    """Place of each source in the order of trust; None when the column has no order of its own."""
    rules = _trust()
    if (name, column) in rules:
        return rules[name, column]
    return rules.get((name, "*"), rules["*", "*"]) if column == "*" else None


@cache
def _trust() -> dict[tuple[str, str], dict[str, int]]:
    table = reference.table("source_trust")
    return {
        (row.table, row.column): {s.strip(): n for n, s in enumerate(row.sources.split(">"))}
        for row in table.itertuples(index=False)
    }


def _conflicts(
    name: str,
    column: str,
    both: pd.DataFrame,
    parts: Sequence[Part],
    part_of: np.ndarray,
    known: np.ndarray,
    kept: np.ndarray,
) -> pd.DataFrame:
    """Rows of `known` whose value differs from the one kept, told by another source."""
    values = both[column].array
    differs = np.asarray(values.take(known) != values.take(kept), dtype=bool) & (part_of[known] != part_of[kept])
    sources = np.array([p.source for p in parts], dtype=object)
    differs &= sources[part_of[known]] != sources[part_of[kept]]
    found = int(differs.sum())
    if not found:
        return schema.empty("conflicts")
    losing, winning = known[differs][:CONFLICTS], kept[differs][:CONFLICTS]
    key = [both[c].array.take(winning).fillna("") for c in schema.table(name).key]
    rows = pd.DataFrame(
        {
            "table": name,
            "key": [" ".join(map(str, told)) for told in zip(*key, strict=True)],
            "column": column,
            "kept": pd.Series(values.take(winning)).astype("string").to_numpy(),
            "kept_source": sources[part_of[winning]],
            "dropped": pd.Series(values.take(losing)).astype("string").to_numpy(),
            "dropped_source": sources[part_of[losing]],
            "count": 1,
        }
    )
    if found > CONFLICTS:
        more = {"table": name, "key": MORE, "column": column, "count": found - CONFLICTS}
        rows = pd.concat([rows, pd.DataFrame([more])], ignore_index=True)
    return schema.frame("conflicts", rows)


def cut(conflicts: pd.DataFrame) -> dict[str, str]:
    """Tables with conflicts of which not all are listed, and what to say about them."""
    told = {}
    for name in conflicts["table"][conflicts["key"] == MORE].unique():
        mine = conflicts[conflicts["table"] == name]
        listed = int((mine["key"] != MORE).sum())
        told[name] = f"{mine['count'].sum():,} values of {name} told otherwise by another source, {listed:,} are listed"
    return told
