"""Large tables in text: the company's own rights through the database, any other a stretch of rows at a time.

A line of rights that says too little, or says it in an unusual way, is read by the reader itself, so that the rows
and what is set aside are the same either way.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import schema
from flowanalysis.sources import bulkcells, own, records, sheets
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.bulkids import encoded
from flowanalysis.sources.bulksql import declared
from flowanalysis.sources.bulkvalues import end, fold, is_time, quoted
from flowanalysis.sources.merge import joined
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
# Each rule is about one column, so it is asked once for each of its words.
USUAL = {
    "who": "coalesce(length(who) > 2 and left(who, 1) > ' ' and right(who, 1) > ' ', false)",
    "level": f"coalesce(level in ({', '.join(map(quoted, sorted(own.LEVELS)))}), false)",
    "resource": """coalesce(split_part(resource, '=', 1) in ({kinds}) and right(resource, 1) not in ('/', '=', ' ')
        and not contains(resource, '= '), false)""",
    "via": "via is null or (length(via) > 2 and left(via, 1) > ' ' and right(via, 1) > ' ')",
    "connector": "connector is null or length(connector) > 2",
    "who_kind": "who_kind is null or length(who_kind) > 2",
    "sensitivity": "sensitivity is null",
    "name": "name is null",
    "since": f"since is null or {is_time('since')}".replace("{", "{{").replace("}", "}}"),
}
# What becomes of the words of each column.
GRANTS = {
    "who": {
        "principal_id": "who",
        "principal_kind": "case when length(who) = 8 and lower(who) = 'everyone' then 'everyone' else 'unknown' end",
    },
    "who_kind": {"told_kind": fold("who_kind")},
    "resource": {
        "resource_id": "lower(substr(resource, length(split_part(resource, '=', 1)) + 2))",
        "resource_kind": "split_part(resource, '=', 1)",
    },
    "connector": {"connector_id": end("connector")},
    "level": {"level": "level"},
    "via": {"via": "coalesce(via, 'direct')"},
    "since": {"granted_at": "try_cast(since as timestamptz)"},
}
RESOURCES = """
select distinct resource_id, resource_kind as kind,
    case when resource_kind = 'sharepoint_list' then split_part(resource_id, '|', 1) end as parent_id
from resources order by all
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
    told = ", ".join(map(quoted, sorted(kinds)))
    cells = database.sql(f"select {_cells(header)} from {_source(document.path, header)}").to_arrow_table()
    with ThreadPoolExecutor(2) as pool:  # the loops inside let other threads run
        columns = {
            c: _words(database, c, e, told) for c, e in zip(COLUMNS, pool.map(encoded, cells.columns), strict=True)
        }
    del cells
    usual = np.logical_and.reduce([c.row("usual") for c in columns.values()])
    if (unusual := len(usual) - np.count_nonzero(usual)) > max(1_000, len(usual) * UNUSUAL):
        return None
    made = {"grants": _grants(database, columns, usual), "resources": _resources(database, columns["resource"], usual)}
    quick = {table: schema.frame(table, found) for table, found in made.items()}
    odd = _odd(columns, usual) if unusual else []
    out: list[Batch | Reject] = []
    for result in own.judged(odd, rights=True):
        if isinstance(result, Reject):
            out.append(result)
        else:
            frame, cells = tidy(result.table, list(result.rows))
            out += [Reject(result.table, f"row {odd[c.number][0]}, {c.column}", c.reason) for c in cells]
            quick[result.table] = joined([quick[result.table], frame])
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


@dataclass(frozen=True)
class _Words:
    """A column: its distinct cells, NULL the last of them, what they become, and the place of each row's cell."""

    cells: pa.Array
    made: pa.Table
    places: np.ndarray

    def row(self, name: str) -> np.ndarray:
        """A flag or time of every row."""
        return self.made[name].to_numpy()[self.places]

    def text(self, name: str, rows: np.ndarray) -> pa.DictionaryArray:
        """Text of some rows, as a dictionary."""
        told = encoded(self.made[name])
        return pa.DictionaryArray.from_arrays(told.indices.take(pa.array(self.places[rows])), told.dictionary)


def _words(database: duckdb.DuckDBPyConnection, column: str, cells: pa.DictionaryArray, kinds: str) -> _Words:
    words = pa.concat_arrays([cells.dictionary, pa.nulls(1, pa.large_string())])
    database.register("words", pa.table({column: words}))
    made = {"usual": USUAL[column].format(kinds=kinds), **GRANTS.get(column, {})}
    found = database.sql(f"select {', '.join(f'{sql} as {name}' for name, sql in made.items())} from words")
    return _Words(words, found.to_arrow_table(), cells.indices.fill_null(len(words) - 1).to_numpy())


def _grants(database: duckdb.DuckDBPyConnection, columns: dict[str, _Words], usual: np.ndarray) -> pa.Table:
    rows = np.flatnonzero(usual)
    texts = {n: columns[c].text(n, rows) for c, made in GRANTS.items() for n in made if n != "granted_at"}
    told = texts.pop("told_kind")
    if told.null_count < len(told):
        kinds = [k.cast(pa.large_string()) for k in (told, texts["principal_kind"])]
        texts["principal_kind"] = pc.coalesce(*kinds).dictionary_encode()
    times = columns["since"].made["granted_at"].take(pa.array(columns["since"].places[rows]))
    return bulkcells.read(database, pa.table({**texts, "granted_at": times}))


def _resources(database: duckdb.DuckDBPyConnection, column: _Words, usual: np.ndarray) -> pa.Table:
    used = np.bincount(column.places[usual], minlength=len(column.cells)) > 0
    database.register("resources", column.made.filter(pa.array(used)))
    return database.sql(RESOURCES).to_arrow_table()


def _odd(columns: dict[str, _Words], usual: np.ndarray) -> list[tuple[int, dict[str, str]]]:
    """Lines for the reader itself, each with its number; the header is line 1."""
    rows = np.flatnonzero(~usual)
    cells = [c.cells.take(pa.array(c.places[rows])).to_pylist() for c in columns.values()]
    told = ({c: v for c, v in zip(columns, row, strict=True) if records.filled(v)} for row in zip(*cells, strict=True))
    return list(zip((rows + 2).tolist(), told, strict=True))
