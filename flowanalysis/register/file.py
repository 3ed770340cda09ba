"""The register as a CSV file that a company edits."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis import schema
from flowanalysis.errors import PolicyError, UnknownName
from flowanalysis.text import cell, unguarded

LIMIT = 10_000_000  # bytes of a register file


def read(path: str | Path) -> pd.DataFrame:
    """A register from CSV, as the table ``register``.

    Raises
    ------
    PolicyError
        When the file is missing, not text, lacks the column ``account``, or names an account twice.
    UnknownName
        When it has a column that no register has, with the nearest that do.
    """
    where = Path(path).name
    try:
        raw = Path(path).read_bytes()
        text = raw[: LIMIT + 1].decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the register cannot be read ({error})", where=where) from None
    if len(raw) > LIMIT:
        raise PolicyError(f"{len(raw):,} bytes is too large for a register", where=where)
    head = text.partition("\n")[0]
    lines = csv.DictReader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",")
    known = schema.table("register").names
    try:
        columns, records = lines.fieldnames or [], list(lines)
    except csv.Error as error:
        raise PolicyError(f"the register is no CSV ({error})", where=where) from None
    for column in columns:
        if column not in known:
            raise UnknownName(f"column of a register ({where})", column, known)
    if "account" not in columns:
        raise PolicyError("the column account is missing", where=where, remedy=f"Columns: {', '.join(known)}")
    return _rows(records, where)


def _rows(records: list[dict[str, Any]], where: str) -> pd.DataFrame:
    seen: dict[str, int] = {}
    for number, record in enumerate(records, start=2):
        if any(extra.strip() for extra in record.pop(None, [])):  # type: ignore[call-overload]
            what, remedy = "more cells than the head has", "Put texts that hold the separator in quotes"
            raise PolicyError(what, where=f"{where}, line {number}", remedy=remedy)
        for column, value in record.items():
            record[column] = unguarded((value or "").strip()) or None
        account = (record["account"] or "").lower()
        if not account or account in seen:
            what = f"the account of line {seen[account]} again" if account in seen else "no account"
            raise PolicyError(what, where=f"{where}, line {number}", remedy="One line for each account")
        seen[account] = number
        record["account"] = account
        record["review_date"] = _date(record.get("review_date"), f"{where}, line {number}")
    return schema.frame("register", records)


def _date(value: str | None, where: str) -> pd.Timestamp | None:
    if value is None:
        return None
    try:
        return pd.Timestamp(pd.to_datetime(value, format="ISO8601", utc=True))
    except ValueError:
        raise PolicyError(f"{value!r} is not a date", where=where, remedy="Write it as 2027-06-30") from None


def write(rows: pd.DataFrame, path: str | Path) -> None:
    """Write a register as CSV; no cell becomes a formula."""
    out = rows.astype(object).where(rows.notna(), "")
    out["review_date"] = (
        rows["review_date"].dt.strftime("%Y-%m-%d").astype(object).where(rows["review_date"].notna(), "")
    )
    out.map(cell).to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
