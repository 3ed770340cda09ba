"""Large tables in text: the company's own rights through the database, any other a stretch of rows at a time.

A line of rights that says too little, or says it in an unusual way, is read by the reader itself, so that the rows
and what is set aside are the same either way.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.compute as pc

from flowanalysis import schema
from flowanalysis.sources import own, records, sheets
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.bulkids import folded
from flowanalysis.sources.bulksql import declared, end, fold, quoted, time
from flowanalysis.sources.values import tidy

UNUSUAL = 0.01
"""Share of lines, a thousand at least, that may need the reader itself; with more of them it reads all."""
COLUMNS = ("who", "resource", "level", "via", "who_kind", "connector", "since", "sensitivity", "name")
# The kinds that this product knows; those at the head of the file come to them.
KINDS = frozenset(
    [
        "sharepoint_site",
        "sharepoint_list",
        "sharepoint_file",
        "drive",
        "mailbox",
        "team",
        "plan",
        "dataverse_table",
        "sql_database",
        "sql_table",
        "http_host",
        "environment",
        "tenant",
        "other",
    ]
)
# Anything else is left to the reader: blanks, dashes for nothing, resources without kind, strange levels and times.
# The database compares the ends of a text far faster than it trims.
USUAL = f"""
    length(who) > 2 and left(who, 1) > ' ' and right(who, 1) > ' '
    and level in ({", ".join(map(quoted, sorted(own.LEVELS)))})
    and resource_kind in ({{kinds}}) and right(resource, 1) not in ('/', '=', ' ')
    and not contains(resource, '= ')
    and (via is null or (length(via) > 2 and left(via, 1) > ' ' and right(via, 1) > ' '))
    and (connector is null or length(connector) > 2) and (who_kind is null or length(who_kind) > 2)
    and sensitivity is null and name is null
    and (since is null or regexp_matches(since, '^[0-9]{{{{4}}}}-[0-9]{{{{2}}}}-[0-9]{{{{2}}}}'))
"""
GRANTS = f"""
select who as principal_id,
    case when who_kind is not null then {fold("who_kind")}
        when length(who) = 8 and lower(who) = 'everyone' then 'everyone' else 'unknown' end as principal_kind,
    lower(substr(resource, length(resource_kind) + 2)) as resource_id, resource_kind,
    {end("connector")} as connector_id, level, coalesce(via, 'direct') as via, {time("since")} as granted_at, usual
from judged
"""
RESOURCES = """
select distinct resource_id, resource_kind as kind,
    case when resource_kind = 'sharepoint_list' then split_part(resource_id, '|', 1) end as parent_id
from grants order by all
"""


def rights(document: Document) -> list[Batch | Reject] | None:
    """Grants and resources of a large file of rights; None when the file is another one or has a form of its own.

    Parameters
    ----------
    document : Document
        A large table: `sheet` holds its first rows, `path` the file.
    """
    if document.path is None or document.sheet is None:
        return None
    header = [str(c).strip().lower() for c in document.sheet.columns]
    if not set(header) >= own.RIGHTS or len(set(header)) < len(header):
        return None
    with duckdb.connect() as database:
        database.execute("set TimeZone = 'UTC'")
        database.execute("set arrow_large_buffer_size = true")
        try:
            return _rights(database, document, header)
        except duckdb.Error:
            return None  # a quote or a delimiter inside a cell, or text that is not UTF-8


def _rights(database: duckdb.DuckDBPyConnection, document: Document, header: list[str]) -> list[Batch | Reject] | None:
    kinds = KINDS | {
        own.resource(row["resource"])[0] for row in map(records.folded, records.records(document)) if "resource" in row
    }
    usual = USUAL.format(kinds=", ".join(map(quoted, sorted(kinds))))
    kind = "split_part(resource, '=', 1) as resource_kind"
    database.execute(
        f"create temp view judged as select *, coalesce({usual}, false) as usual from ("
        f"select *, {kind} from (select {_cells(header)} from {_source(document.path, header)}))"
    )
    grants = database.sql(GRANTS).to_arrow_table()
    rows = len(grants)
    unusual = rows - pc.sum(grants["usual"]).as_py()
    if unusual > max(1_000, rows * UNUSUAL):
        return None
    grants = folded(database, (grants.filter(grants["usual"]) if unusual else grants).drop_columns("usual"))
    database.register("grants", grants)
    made = {"grants": grants, "resources": database.sql(RESOURCES).to_arrow_table()}
    quick = {table: schema.frame(table, found) for table, found in made.items()}
    odd = _odd(database) if unusual else []
    out: list[Batch | Reject] = []
    for result in own.judged(odd, rights=True):
        if isinstance(result, Reject):
            out.append(result)
        else:
            frame, cells = tidy(result.table, list(result.rows))
            out += [Reject(result.table, f"row {odd[c.number][0]}, {c.column}", c.reason) for c in cells]
            quick[result.table] = pd.concat([quick[result.table], frame], ignore_index=True)
    return [Batch(f"{own.SOURCE} rights", table, frame) for table, frame in quick.items()] + out


def _source(path: Path | None, header: list[str]) -> str:
    with open(str(path), encoding="utf-8-sig", newline="") as file:
        mark, start = sheets.dialect(first := file.read(4096))
    skip = first[:start].count("\n") + 1
    columns = declared({name or f"unnamed{n}": "VARCHAR" for n, name in enumerate(header)})
    return (
        f"read_csv({quoted(str(path))}, header = false, skip = {skip}, delim = {quoted(mark)}, quote = '\"', "
        f"escape = '\"', columns = {columns}, auto_detect = false, nullstr = '')"
    )


def _cells(header: list[str]) -> str:
    return ", ".join(f'"{c}"' if c in header else f"null::varchar as {c}" for c in COLUMNS)


def _odd(database: duckdb.DuckDBPyConnection) -> list[tuple[int, dict[str, str]]]:
    """Lines for the reader itself, each with its number; the header is line 1."""
    found = database.execute(
        f"select number, {', '.join(COLUMNS)} from (select row_number() over () + 1 as number, * from judged) "
        "where not usual order by number"
    ).fetchall()
    return [(n, {c: v for c, v in zip(COLUMNS, cells, strict=False) if records.filled(v)}) for n, *cells in found]
