"""The ledger: what became of each finding from month to month.

A finding is *new* in its first month, *open* while it stays, *fixed* in the first month without it, and
*returned* when it comes back. In a month in which its rule could not be answered it is *unknown*: absence
proves nothing then. Ids hold whatever is renamed, and the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from flowanalysis.errors import PolicyError
from flowanalysis.findings import COLUMNS, Examination, to_csv
from flowanalysis.schema import COUNT, TEXT, to_pandas

__all__ = ["STATES", "Kept", "ledger", "months", "recall", "record", "write_ledger"]

#: Living states first, then those of findings that are no more.
STATES = ("new", "open", "returned", "unknown", "fixed", "closed")
NEW, OPEN, RETURNED, UNKNOWN, FIXED, CLOSED = range(6)
COUNTED = ["month", "rule", *STATES[: FIXED + 1]]
WORDS = [c for c in COLUMNS if c not in ("finding_id", "evidence")]


@dataclass(frozen=True)
class Kept:
    """A month in a folder; its columns are read when asked for."""

    file: Path

    def columns(self, names: list[str]) -> pd.DataFrame:
        """Some columns of the month's findings."""
        return to_pandas(pq.read_table(self.file, columns=names))

    @property
    def answerable(self) -> pd.DataFrame:
        """Which rules could be answered in the month."""
        month = self.file.stem.removeprefix("findings-")
        rules = pd.read_csv(self.file.with_name(f"answerable-{month}.csv"), dtype=str, keep_default_na=False)
        return rules.astype(TEXT)


Month: TypeAlias = pd.DataFrame | Examination | Kept
History: TypeAlias = Mapping[str, Month]


def ledger(history: History) -> pd.DataFrame:
    """Every finding ever seen, as it stands after the last month.

    Parameters
    ----------
    history : mapping
        Month (``2026-10``) to findings, to an `Examination`, or as `recall` returns it. The latter two say which
        rules could be answered, and so tell fixed from unknown.

    Returns
    -------
    DataFrame
        The columns of a finding as last seen, and: state (new | open | returned | fixed | unknown | closed;
        closed is fixed in an earlier month), first_month, last_month (last seen), fixed_month (NA while
        open), months_seen, age (months of the present stretch, 0 when not open). Sorted by finding id.

    Examples
    --------
    >>> month = pd.DataFrame({"finding_id": ["OWN-1-a"], "rule": ["OWN-1"]})
    >>> ledger({"2026-09": month, "2026-10": month})[["state", "age"]].values.tolist()
    [['open', 2]]
    """
    names = sorted(history)
    codes, ids, rules = _coded(history, names)
    walk = _Walk(history, names, codes, rules)
    table = pd.concat([pd.Series(ids, name="finding_id"), _last_words(history, names, codes, walk.last)], axis=1)
    labels = np.array([*names, None], dtype=object)
    table["state"] = pd.array(np.array(STATES, dtype=object)[walk.state], dtype=TEXT)
    for column, place in (("first_month", walk.first), ("last_month", walk.last), ("fixed_month", walk.fixed)):
        table[column] = pd.array(labels[place], dtype=TEXT)
    table["months_seen"] = pd.array(walk.seen, dtype=COUNT)
    table["age"] = pd.array(walk.age, dtype=COUNT)
    return table.sort_values("finding_id", ignore_index=True)


def months(history: History) -> pd.DataFrame:
    """How many findings of each rule are in each state in each month.

    Returns
    -------
    DataFrame
        month, rule, new, open, returned, unknown, fixed. Findings at hand are new + open + returned.
    """
    names = sorted(history)
    codes, _, rules = _coded(history, names)
    return _Walk(history, names, codes, rules).counts


def write_ledger(table: pd.DataFrame, path: str | Path) -> None:
    """Write a ledger as CSV; the same ledger gives the same bytes."""
    to_csv(table, path)


def record(folder: str | Path, month: str, examination: Examination) -> Path:
    """Keep a month's findings in a folder; recording a month again replaces it.

    Returns
    -------
    Path
        The file of the findings.
    """
    if len(month) != 7 or month[4] != "-" or not (month[:4] + month[5:]).isdigit():
        raise PolicyError(f"{month!r} is not a month", remedy="Write it as 2026-10")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"findings-{month}.parquet"
    ordered = examination.findings.sort_values("finding_id", ignore_index=True)
    pq.write_table(pa.Table.from_pandas(ordered, preserve_index=False), file, compression="zstd")
    to_csv(examination.answerable, place / f"answerable-{month}.csv")
    return file


def recall(folder: str | Path) -> dict[str, Kept]:
    """The months kept in a folder; nothing is read before it is needed."""
    files = sorted(Path(folder).glob("findings-????-??.parquet"))
    return {f.stem.removeprefix("findings-"): Kept(f) for f in files}


def _columns(month: Month, names: list[str]) -> pd.DataFrame:
    if isinstance(month, Kept):
        return month.columns(names)
    found = month.findings if isinstance(month, Examination) else month
    return found.reindex(columns=names)


def _coded(history: History, names: list[str]) -> tuple[list[np.ndarray], pd.Index, pd.Categorical]:
    """Codes of each month's findings, the ids, and the rule of each id."""
    frames = [_columns(history[n], ["finding_id", "rule"]) for n in names]
    ids, at = _encoded([f["finding_id"] for f in frames])
    rules, rule_at = _encoded([f["rule"] for f in frames])
    rule_of = np.zeros(len(ids), np.int32)
    rule_of[at] = rule_at
    ends = np.cumsum([len(f) for f in frames])
    codes = np.split(at, ends[:-1]) if names else []
    return codes, ids, pd.Categorical.from_codes(rule_of, categories=rules.astype(object))


def _encoded(columns: list[pd.Series]) -> tuple[pd.Index, np.ndarray]:
    """Distinct texts of several columns, and the code of each entry, one column after the other."""
    whole = pa.chunked_array([pa.array(c, pa.string()) for c in columns], pa.string()).combine_chunks()
    encoded = whole.dictionary_encode()
    return pd.Index(pd.array(encoded.dictionary, dtype=TEXT)), encoded.indices.to_numpy()


def _answered(month: Month, rules: pd.Categorical) -> np.ndarray:
    """For each finding: could its rule be answered in the month? Frames alone are taken to answer all."""
    if isinstance(month, pd.DataFrame):
        return np.ones(len(rules), bool)
    table = month.answerable
    told = table.loc[table["answerable"].isin(["full", "partly"]), "rule"]
    return np.isin(rules.categories.to_numpy(object), told.to_numpy(object))[rules.codes]


def _last_words(history: History, names: list[str], codes: list[np.ndarray], last: np.ndarray) -> pd.DataFrame:
    """The columns of each finding as the last month that has it tells them."""
    parts, places = [], []
    for m, name in enumerate(names):
        final = last[codes[m]] == m
        if final.any():
            parts.append(_columns(history[name], WORDS)[final])
            places.append(codes[m][final])
    if not parts:
        return pd.DataFrame(columns=WORDS, dtype=TEXT)
    words = pd.concat(parts, ignore_index=True).astype(TEXT)
    return words.iloc[np.argsort(np.concatenate(places))].reset_index(drop=True)


class _Walk:
    """One pass over the months; every array has one entry for each finding."""

    def __init__(self, history: History, names: list[str], codes: list[np.ndarray], rules: pd.Categorical) -> None:
        size = len(rules)
        self.first, self.last, self.fixed = (np.full(size, -1, np.int16) for _ in range(3))
        self.seen, self.age = np.zeros(size, np.int16), np.zeros(size, np.int16)
        self.state = np.full(size, CLOSED, np.int8)
        counted = []
        for m, name in enumerate(names):
            here = np.zeros(size, bool)
            here[codes[m]] = True
            self._step(m, here, _answered(history[name], rules))
            counted.append(self._counts(name, rules))
        self.counts = pd.concat(counted, ignore_index=True) if counted else pd.DataFrame(columns=COUNTED)

    def _step(self, month: int, here: np.ndarray, answered: np.ndarray) -> None:
        known, living = self.first >= 0, self.state <= UNKNOWN
        cases = [here & ~known, here & living, here, living & answered, living]
        self.state = np.select(cases, [NEW, OPEN, RETURNED, FIXED, UNKNOWN], CLOSED).astype(np.int8)
        self.first[cases[0]] = month
        self.last[here] = month
        self.seen += here
        fresh, on = np.isin(self.state, (NEW, RETURNED)), np.isin(self.state, (OPEN, UNKNOWN))
        self.age = np.select([fresh, on], [1, self.age + 1], 0).astype(np.int16)
        self.fixed[self.state == FIXED] = month
        self.fixed[here] = -1

    def _counts(self, month: str, rules: pd.Categorical) -> pd.DataFrame:
        width = len(STATES)
        flat = np.bincount(rules.codes.astype(np.int64) * width + self.state, minlength=len(rules.categories) * width)
        table = pd.DataFrame(flat.reshape(-1, width)[:, : FIXED + 1], columns=STATES[: FIXED + 1]).astype(COUNT)
        table.insert(0, "rule", pd.array(rules.categories.to_numpy(object), dtype=TEXT))
        table.insert(0, "month", pd.array([month] * len(table), dtype=TEXT))
        return table
