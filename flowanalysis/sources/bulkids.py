"""Ids out of the database as the house writes them: folded all at once, and only where any of them needs it.

Nearly always they are lower case already, which their bytes tell far faster than the database makes them so.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from flowanalysis.sources.bulksql import fold

# Columns in which statements leave ids as the export writes them.
IDS = {"identity_id", "manager_id", "group_id", "member_id", "environment_id", "flow_id", "creator_id", "connection_id"}
IDS |= {"connector_id", "created_by_id", "created_by_tenant_id", "principal_id", "via"}


def folded(database: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Table:
    """The rows with the ids of the columns `IDS` trimmed and in lower case; text must have large offsets."""
    for place, name in enumerate(rows.column_names):
        if name in IDS and not all(_is_folded(chunk) for chunk in rows[name].chunks):
            database.register("ids", pa.table({"id": rows[name]}))
            ids = database.sql(f"select {fold('id')} as id from ids").to_arrow_table()["id"]
            rows = rows.set_column(place, name, ids)
    return rows


def _is_folded(ids: pa.Array) -> bool:
    """True when no letter of any id is a capital, a blank, a bracket or of another alphabet, and no id is empty."""
    if not pa.types.is_large_string(ids.type):
        return len(ids) == ids.null_count
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, np.int64)[ids.offset : ids.offset + len(ids) + 1]
    if np.count_nonzero(ends[1:] == ends[:-1]) > ids.null_count:
        return False
    if data is None or ends[0] == ends[-1]:
        return True
    letters = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    capital = letters - np.uint8(ord("A")) < 26
    return bool(letters.min() > ord(" ") and letters.max() < ord("{") and not capital.any())
