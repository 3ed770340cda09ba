"""Exceptions: findings that somebody accepted, for a reason, until a day. After it they are open again."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from flowanalysis.errors import PolicyError, UnknownName
from flowanalysis.schema import TEXT, TIME

__all__ = ["COLUMNS", "accepted", "apply_exceptions", "read_exceptions"]

COLUMNS = ["finding_id", "rule", "subject_id", "approver", "reason", "until"]
LIMIT = 10_000_000  # bytes of a file


def read_exceptions(path: str | Path) -> pd.DataFrame:
    """Exceptions from CSV.

    Each line names a finding by its id, or by rule and subject id, and has an approver, a reason and a last
    day (``until``, such as ``2027-03-31``).

    Raises
    ------
    PolicyError
        When the file cannot be read, or a line lacks what an exception must have.
    UnknownName
        When it has a column that is none, with the nearest that are.
    """
    where = Path(path).name
    try:
        raw = Path(path).read_bytes()
        text = raw[: LIMIT + 1].decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the exceptions cannot be read ({error})", where=where) from None
    if len(raw) > LIMIT:  # never a part of them: what is cut off would silently be no exception
        raise PolicyError(f"{len(raw):,} bytes is too large for exceptions", where=where)
    head = text.partition("\n")[0]
    lines = csv.DictReader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        columns, read = lines.fieldnames or [], list(lines)
    except csv.Error as error:
        raise PolicyError(f"the exceptions are no CSV ({error})", where=where) from None
    for column in columns:
        if column not in COLUMNS:
            raise UnknownName(f"column of exceptions ({where})", column, COLUMNS)
    records = [_checked(line, f"{where}, line {n}") for n, line in enumerate(read, start=2)]
    frame = pd.DataFrame(records, columns=COLUMNS)
    return frame.astype({c: TIME if c == "until" else TEXT for c in COLUMNS})


def _checked(line: dict[str, str | None], where: str) -> dict[str, object]:
    row: dict[str, object] = {c: (line.get(c) or "").strip() or None for c in COLUMNS}
    if not row["finding_id"] and not (row["rule"] and row["subject_id"]):
        raise PolicyError("no finding is named", where=where, remedy="Give finding_id, or rule and subject_id")
    for column in ("approver", "reason", "until"):
        if row[column] is None:
            raise PolicyError(f"{column} is missing", where=where, remedy="No exception without it")
    try:
        row["until"] = pd.to_datetime(row["until"], format="ISO8601", utc=True)
    except ValueError:
        raise PolicyError(f"{row['until']!r} is not a date", where=where, remedy="Write it as 2027-03-31") from None
    return row


def apply_exceptions(findings: pd.DataFrame, exceptions: pd.DataFrame, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """Findings with what was accepted.

    Parameters
    ----------
    findings : DataFrame
        As `find` returns.
    exceptions : DataFrame
        As `read_exceptions` returns. Of several for one finding the one that lasts longest counts.
    as_of : timestamp
        The moment the data describes; the last day of an exception still counts.

    Returns
    -------
    DataFrame
        The findings and: exception (none | accepted | expired), approver, reason, until, note (a sentence;
        of an expired exception that the finding is open again).
    """
    by_id = exceptions.dropna(subset=["finding_id"])
    by_subject = exceptions[exceptions["finding_id"].isna()]
    keys = findings[["rule", "subject_id", "finding_id"]]
    wide = by_subject.drop(columns="finding_id").merge(keys, on=["rule", "subject_id"])
    every = pd.concat([by_id, wide])[["finding_id", "approver", "reason", "until"]]
    every = every.sort_values(["until", "approver", "reason"], ascending=[False, True, True])
    every = every.drop_duplicates("finding_id")
    merged = findings.merge(every, on="finding_id", how="left", validate="1:1")
    alive = merged["until"] + pd.Timedelta(days=1) > as_of
    named = merged["until"].notna()
    merged["exception"] = np.select([named & alive, named], ["accepted", "expired"], "none")
    day = merged["until"].dt.strftime("%Y-%m-%d").astype(TEXT)
    accepted = "accepted by " + merged["approver"] + " until " + day + ": " + merged["reason"]
    expired = "open again: the exception of " + merged["approver"] + " ended on " + day
    merged["note"] = accepted.where(merged["exception"] == "accepted", expired).where(named, pd.NA).astype(TEXT)
    return merged.astype({"exception": TEXT})


def accepted(findings: pd.DataFrame) -> pd.Series:
    """True for the findings that an exception in force covers; without `apply_exceptions` none is."""
    if "exception" not in findings:
        return pd.Series(False, index=findings.index)
    return (findings["exception"] == "accepted").fillna(False).astype(bool)
