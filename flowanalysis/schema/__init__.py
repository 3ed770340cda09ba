"""Every table of a tenant, declared once: columns, types, keys, meaning.

All rooms speak through these tables. Conventions:

* ids are lower-case strings, so that joins are joins on equality; connectors are the last path
  segment (``shared_sharepointonline``),
* times are UTC, microseconds; flags are nullable; **NA means not known, never False**,
* ``environment_id`` is ``NO_ENVIRONMENT`` for flows that come from a package or a file of their own,
* a table that nobody collected is absent from ``Tenant.collected``; its frame is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis.errors import UnknownName
from flowanalysis.schema import collection, directory, platform, rights
from flowanalysis.schema.compact import CompactText, compact, encoded
from flowanalysis.schema.declare import ARROW, COUNT, FLAG, NUMBER, PANDAS, TEXT, TIME, Column, Table

__all__ = [
    "ARROW",
    "COUNT",
    "FLAG",
    "NO_ENVIRONMENT",
    "NUMBER",
    "PANDAS",
    "TABLES",
    "TEXT",
    "TIME",
    "Column",
    "Table",
    "empty",
    "encoded",
    "frame",
    "table",
    "to_pandas",
]

NO_ENVIRONMENT = "(none)"
TABLES: Mapping[str, Table] = MappingProxyType(
    {t.name: t for room in (directory, platform, rights, collection) for t in room.TABLES}
)


def table(name: str) -> Table:
    """The declaration of a table.

    Raises
    ------
    UnknownName
        When there is no such table.

    Examples
    --------
    >>> table("memberships").key
    ('group_id', 'member_id', 'relation')
    """
    try:
        return TABLES[name]
    except KeyError:
        raise UnknownName("table", name, TABLES) from None


def empty(name: str) -> pd.DataFrame:
    """The table without rows, every column typed."""
    return frame(name, ())


def frame(
    name: str, rows: Iterable[Mapping[str, object]] | pd.DataFrame | pa.Table, *, distinct: bool = False
) -> pd.DataFrame:
    """Rows as a frame of the table: all columns in order, typed, absent ones NA.

    Parameters
    ----------
    name : str
        Table.
    rows : records, DataFrame or Arrow table
        Columns that the table does not have are an error: a reader that invents one is wrong. Text that comes as an
        Arrow dictionary stays one inside its column.
    distinct : bool
        The words of such dictionaries are known to be distinct, as those that a snapshot keeps are.

    Examples
    --------
    >>> frame("memberships", [{"group_id": "g1", "member_id": "u1"}]).iloc[0]["relation"]
    <NA>
    """
    spec = table(name)
    if isinstance(rows, pa.Table):
        return _from_arrow(spec, rows, distinct=distinct)
    data = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame.from_records(list(rows))
    strange = [c for c in data.columns if c not in spec.kinds]
    if strange:
        raise UnknownName(f"column of {name}", strange[0], spec.names)
    typed = {
        c: _cast(data[c], PANDAS[k]) if c in data else _absent(len(data), PANDAS[k]) for c, k in spec.kinds.items()
    }
    return pd.DataFrame(typed, index=pd.RangeIndex(len(data)))


def _absent(rows: int, dtype: object) -> pd.api.extensions.ExtensionArray:
    """A column that is NA in every row."""
    if dtype == TEXT:
        return _nothing(rows)
    return pd.array([], dtype=dtype).take(np.full(rows, -1), allow_fill=True)


def _cast(column: pd.Series, dtype: object) -> pd.array:
    if column.dtype == dtype:
        return column.array
    if dtype == TIME:
        return pd.to_datetime(column, utc=True, format="ISO8601").astype(TIME).array
    return column.astype(dtype).array


def _from_arrow(spec: Table, rows: pa.Table, *, distinct: bool) -> pd.DataFrame:
    strange = [c for c in rows.column_names if c not in spec.kinds]
    if strange:
        raise UnknownName(f"column of {spec.name}", strange[0], spec.names)
    # frames keep text with large offsets: rows that come with them are not copied
    kinds = {c.name: ARROW[c.kind] for c in spec.columns if c.kind != "text"}
    others = [rows[n].cast(k) if n in rows.column_names else pa.nulls(rows.num_rows, k) for n, k in kinds.items()]
    typed = to_pandas(pa.table(others, names=list(kinds)))
    told = {n: compact(rows[n], distinct=distinct) for n in spec.texts if n in rows.column_names}
    texts = {n: told[n] if n in told else _nothing(rows.num_rows) for n in spec.texts}
    columns = {n: texts[n] if n in texts else typed[n].array for n in spec.names}
    return pd.DataFrame(columns, index=pd.RangeIndex(rows.num_rows), copy=False)


def _nothing(rows: int) -> CompactText:
    """A column of text that is NA in every row."""
    return CompactText.of(pa.array([], pa.large_string()), np.full(rows, -1, np.int32))


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """An Arrow table with the house's dtypes: Arrow-backed text, nullable flags and counts."""
    known = {pa.string(): TEXT, pa.large_string(): TEXT, pa.bool_(): FLAG, pa.int64(): COUNT, pa.float64(): NUMBER}
    return rows.to_pandas(types_mapper=known.get)
