"""How a table is declared: the kinds of columns, in pandas and in Arrow."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

TEXT = pd.StringDtype("pyarrow", na_value=pd.NA)
FLAG = pd.BooleanDtype()
COUNT = pd.Int64Dtype()
NUMBER = pd.Float64Dtype()
TIME = pd.DatetimeTZDtype("us", "UTC")
ARROW = {
    "text": pa.string(),
    "flag": pa.bool_(),
    "count": pa.int64(),
    "number": pa.float64(),
    "time": pa.timestamp("us", "UTC"),
}
PANDAS = {"text": TEXT, "flag": FLAG, "count": COUNT, "number": NUMBER, "time": TIME}


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind (text, flag, count, number, time) and what it means."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """One table: its name, the columns that identify a row, all columns, and what a row is."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    meaning: str

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [c.name for c in self.columns]

    @property
    def texts(self) -> list[str]:
        """Names of the columns of text, in order."""
        return [c.name for c in self.columns if c.kind == "text"]

    @property
    def kinds(self) -> dict[str, str]:
        """Column name to kind."""
        return {c.name: c.kind for c in self.columns}

    @property
    def dtypes(self) -> dict[str, object]:
        """Column name to pandas dtype."""
        return {c.name: PANDAS[c.kind] for c in self.columns}

    @property
    def arrow(self) -> pa.Schema:
        """The same columns as an Arrow schema."""
        return pa.schema([(c.name, ARROW[c.kind]) for c in self.columns])


def declare(name: str, key: str, meaning: str, columns: str) -> Table:
    """A table from a text: one ``name kind meaning`` a line."""
    parsed = [Column(*line.split(None, 2)) for line in columns.strip().splitlines()]
    return Table(name, tuple(key.split()), tuple(parsed), meaning)
