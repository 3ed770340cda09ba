"""Large JSON Lines through the database: declared schemas in, Arrow out, no object per record.

Only the plain shapes of the big families go this way: users, groups, memberships, flow lists with their connection
references, connections. Everything else, and every file in which something is odd, is read line by line as usual;
the rows are the same either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import schema
from flowanalysis.sources import bulkcells, bulkpower, bulksql, bulkvalues, bulkwords, graph, powerplatform
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.pages import CHILDREN, Page, pages
from flowanalysis.sources.values import moment

LONGEST = 64 * 2**20
"""Bytes of one page at most."""
LINE = 2**20
"""Bytes of one row in a line of its own; the database keeps room for some of this size, which costs time."""
NAMED = 50_000
"""Collections in one file of which each has a name of its own."""
ERRORS = """
select number, status, body.error ->> '$.code' as code, body.error ->> '$.message' as message, request
from pages where body.error is not null or status >= 300 order by number
"""


FAMILIES = {**bulksql.FAMILIES, **bulkpower.FAMILIES}


@dataclass(frozen=True)
class Plan:
    """How a file is read: the family's SQL, the form of its lines, and which keys its rows have."""

    kind: str
    family: bulksql.Family
    form: str  # rows | pages | envelopes | children
    layout: str  # newline_delimited | array | unstructured, in the database's words
    keys: frozenset[str]


def read(document: Document, *, found: Plan | None = None) -> list[Batch | Reject] | None:
    """The batches of a large file, or None when it must be read line by line.

    Parameters
    ----------
    document : Document
        Of form ``lines``.
    found : Plan, optional
        How it is read, where that is known already.
    """
    found = found or plan(document)
    if found is None or document.path is None:
        return None
    with duckdb.connect() as database:
        database.execute("set TimeZone = 'UTC'")
        database.execute("set arrow_large_buffer_size = true")  # the offsets that text has in frames
        database.execute(bulkvalues.FEW_WORDS)
        try:
            return list(_batches(database, found, document.path))
        except duckdb.Error:
            # a line that is no JSON, or a value of another type than declared: line by line tells which
            return None


def plan(document: Document) -> Plan | None:
    """The plan for a document by its sample; None when no plain shape of a big family is seen."""
    form = _form(document.sample)
    kinds: set[str | None] = set()
    keys: set[str] = set()
    for page in pages(document):
        for row in page.rows:
            if not isinstance(row, Mapping):
                return None
            kind = graph.kind_of(page, row) or powerplatform.kind_of(row)
            kinds.add("member" if kind == "owner" else kind)
            keys.update(bulksql.paths(row))
    only = kinds.pop() if len(kinds) == 1 else None
    family = FAMILIES.get(only or "")
    if family is None or form is None or form not in family.forms or keys & family.never:
        return None
    layout = "array" if is_array(document.path) else "unstructured" if is_page(document) else "newline_delimited"
    return Plan(only or "", family, form, layout, frozenset(keys))


def is_page(document: Document) -> bool:
    """True when the file is one object, which may have any number of lines."""
    return len(document.sample) == 1 and isinstance(document.sample[0], Mapping)


def _form(sample: Sequence[Any]) -> str | None:
    """The one form of all lines of the sample."""
    forms = set()
    for root in sample:
        if not isinstance(root, Mapping) or "responses" in root:
            return None
        if "request" in root and "body" in root:
            forms.add("envelopes")
        elif isinstance(root.get("value"), list):
            forms.add("pages")
        elif "groupId" in root and any(isinstance(root.get(c), list) for c in CHILDREN):
            forms.add("children")
        else:
            forms.add("rows")
    return forms.pop() if len(forms) == 1 else None


def is_array(path: Path | None) -> bool:
    """True when the file is one large array."""
    if path is None:
        return False
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _source(found: Plan, path: Path) -> str:
    """The rows or pages of the file, as the database reads them."""
    row = bulksql.struct(found.family.columns)
    columns = {
        "rows": found.family.columns,
        "pages": bulksql.body(row),
        "envelopes": {
            "request": "VARCHAR",
            "status": "BIGINT",
            "observed_at": "VARCHAR",
            "body": bulksql.struct(bulksql.body(row)),
        },
        "children": {"groupId": "VARCHAR", **dict.fromkeys(CHILDREN, f"{row}[]")},
    }[found.form]
    longest = LINE if found.form == "rows" and found.layout == "newline_delimited" else LONGEST
    if found.layout == "unstructured":
        longest = max(longest, path.stat().st_size + 1)
    return (
        f"read_json({bulkvalues.quoted(str(path))}, format = '{found.layout}', "
        f"columns = {bulksql.declared(columns)}, maximum_object_size = {longest})"
    )


def _batches(database: duckdb.DuckDBPyConnection, found: Plan, path: Path) -> Iterator[Batch | Reject]:
    source = _source(found, path)
    base = database.sql(bulksql.statement(found.family, found.form, found.keys, source)).to_arrow_table()
    base = bulkcells.read(database, base)
    if pc.any(base["odd"]).as_py():
        raise duckdb.Error("values that only the careful way can judge")
    if paged := found.form in bulksql.PAGES:
        database.execute(bulksql.PAGES[found.form].format(source=source))
    chains, observed = _chains(database, found) if paged else ({}, None)
    left = any(chains.values())
    made = list(_tables(database, found, base))
    nothing = not any(len(rows) for _, _, rows in made)
    for number, (result, export, rows) in enumerate(made):
        if not len(rows) and result.optional and not (nothing and number == 0):
            continue
        yield Batch(
            source=f"{found.family.source} {export}",
            table=result.table,
            rows=rows,
            complete=not left if paged else None,
            next_link=left,
            message="; ".join(m for missing, m in result.messages if missing not in found.keys),
            chains=chains,
            aside=result.aside,
            observed_at=observed,
        )
    if found.form == "envelopes":
        yield from _errors(database, found.family.results[0].table)


def _tables(
    database: duckdb.DuckDBPyConnection, found: Plan, base: pa.Table
) -> Iterator[tuple[bulksql.Result, str, pa.Table]]:
    """Rows of every table, by export."""
    gone = "gone" in base.column_names and bool(pc.any(base["gone"]).as_py())
    inside = bulkwords.entries(base, *found.family.inside) if found.family.inside else base
    for result in found.family.results:
        if not result.needs <= found.keys:
            continue
        rows = base.filter(base["gone"] if result.gone else pc.invert(base["gone"])) if gone else base
        if result.gone and not gone:
            rows = base.slice(0, 0)
        rows = _rows(database, found, result, inside if result.inside else rows)
        if result.other is None:
            yield result, result.export, rows
            continue
        column, value, export = result.other
        other = pc.equal(rows[column], value)
        some = bool(pc.any(other).as_py())
        yield result, result.export, rows.filter(pc.invert(other)) if some else rows
        if some:
            yield result, export, rows.filter(other)


def _rows(database: duckdb.DuckDBPyConnection, found: Plan, result: bulksql.Result, rows: pa.Table) -> pa.Table:
    """Rows of one table."""
    if not result.sql:
        asked = bulkcells.read(database, bulkwords.worked(database, rows, result.asked))
        others = [c for c in schema.table(result.table).names if c in rows.column_names and c not in result.asked]
        return pa.table({**{c: rows[c] for c in others}, **{c: asked[c] for c in result.asked}})
    base = bulkwords.combined(rows.select(result.distinct))[0] if result.distinct else rows
    if result.spread:
        base = base.drop_columns(list(result.spread)).append_column(
            "place", pa.array(np.arange(len(base), dtype=np.int32))
        )
    database.register("base", base)
    made = database.sql(bulksql.filled(result.sql, found.keys)).to_arrow_table()
    told = {name: bulkwords.spread(rows[name], made["place"].combine_chunks()) for name in result.spread}
    read = bulkcells.read(database, made.drop_columns(["place"]) if result.spread else made)
    return pa.table({**told, **dict(zip(read.column_names, read.columns, strict=True))})


def _errors(database: duckdb.DuckDBPyConnection, table: str) -> Iterator[Reject]:
    for number, status, code, message, request in database.execute(ERRORS).fetchall():
        if status == 404 and table == "flows":
            continue  # an environment without flow runtime has no flows
        words = " ".join(str(w) for w in (status, code, message) if w)[:200]
        yield Reject(table, f"page {number}", f"an error answer instead of data: {words}. Ask for {request} again")


def _chains(database: duckdb.DuckDBPyConnection, found: Plan) -> tuple[dict[str, bool], datetime | None]:
    """Whether each collection lacks its last page, and when the newest page was collected."""
    database.execute(f"create temp table chains as {bulksql.CHAINS}")
    told = "select count(*), max(nullif(observed, '')), bool_or(left_open) from chains"
    count, observed, left = database.execute(told).fetchall()[0]
    if count > NAMED:
        return {"(one of many)": left}, moment(observed)
    rows = database.execute("select chain, left_open from chains").fetchall()
    return {_named(found.kind, url): left for url, left in rows}, moment(observed)


def _named(kind: str, url: str) -> str:
    """The name that the careful way gives a collection."""
    page = Page((), request=url)
    if kind in powerplatform.TABLES:
        return powerplatform.chain(page, kind)
    return graph.chain(page, "owner" if kind == "member" and "/owners" in url.lower() else kind)
