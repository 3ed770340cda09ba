"""``m365 … --output csv`` and other CSV with the names of the APIs' own properties.

The rows are those of the APIs with only their plain properties, so the readers of the APIs read them. In such files an
empty cell may be *no* or *not asked for*: it stays not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowanalysis.sources import dataverse, graph, powerplatform
from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.records import records
from flowanalysis.sources.values import flag

SOURCE = "m365cli"
# Columns, spelled as in the API, that tell whose rows these are.
MARKS = (
    (("name", "type", "id"), powerplatform),
    (("id", "userPrincipalName"), graph),
    (("id", "displayName", "groupTypes"), graph),
    (("id", "displayName", "mailEnabled", "securityEnabled"), graph),
    (("id", "appId", "servicePrincipalType"), graph),
    (("principalId", "roleDefinitionId"), graph),
    (("id", "templateId", "isBuiltIn"), graph),
    (("skuId", "skuPartNumber", "consumedUnits"), graph),
    (("clientId", "consentType", "scope"), graph),
    (("appRoleId", "roleName", "resourceId"), graph),
    (("groupId", "memberId"), graph),
    (("workflowid", "category"), dataverse),
    (("connectionreferencelogicalname", "connectorid"), dataverse),
    (("systemuserid", "fullname"), dataverse),
    (("systemuserid", "azureactivedirectoryobjectid"), dataverse),
    (("environmentvariabledefinitionid", "schemaname"), dataverse),
    (("environmentvariablevalueid", "value"), dataverse),
)
# All the columns of lists that tell too little: what the list is, and what its rows do not say.
BARE = {
    frozenset({"name", "displayName"}): ("flows, environments or connectors", "which of these they are"),
    frozenset({"roleName", "id", "type"}): ("owners of a flow", "whose flow it is"),
    frozenset({"name", "startTime", "status"}): ("runs of a flow", "which flow ran"),
    frozenset({"name", "displayName", "description", "triggers", "actions"}): ("one flow", "its connections"),
}
FLAGS = (
    "accountEnabled",
    "mailEnabled",
    "securityEnabled",
    "isAssignableToRole",
    "onPremisesSyncEnabled",
    "isBuiltIn",
    "isPrivileged",
)
PARTIAL = "CSV has only some plain properties; export JSON for all of them (m365: use --output json)"


def recognise(document: Document) -> str | None:
    """Rows of an API as CSV."""
    if bare := _bare(document):
        return f"m365 {bare[0]} (CSV)"
    marks, reader = _reader(document)
    words = reader.recognise(_as_rows(document, marks)) if reader else None
    return f"{words} (CSV)" if words else None


def _bare(document: Document) -> tuple[str, str] | None:
    return None if document.sheet is None else BARE.get(frozenset(document.sheet.columns))


def _reader(document: Document) -> tuple[tuple[str, ...], Any]:
    columns = set() if document.sheet is None else set(document.sheet.columns)
    return next(((marks, reader) for marks, reader in MARKS if columns.issuperset(marks)), ((), None))


def read(document: Document) -> Iterator[Batch | Reject]:
    """What the reader of the API makes of the rows."""
    if bare := _bare(document):
        yield Reject("", "all rows", f"{bare[0]}: the CSV does not tell {bare[1]}. Export it with --output json")
        return
    marks, reader = _reader(document)
    for result in reader.read(_as_rows(document, marks)):
        if isinstance(result, Batch):
            result = replace(result, message="; ".join(filter(None, (result.message, PARTIAL))))
        yield result


def _as_rows(document: Document, marks: tuple[str, ...]) -> Document:
    """The rows as the API has them: without the empty cells, but for those by which the kind is known."""
    rows = [dict.fromkeys(marks) | _row(r) for r in records(document)]
    if document.sheet is not None and {"objectType", "isGroup"} <= set(document.sheet.columns):
        # the portal's list of a group's members, which may be groups
        typed = [{**r, "@odata.type": f"#microsoft.graph.{r.get('objectType', '')}".lower()} for r in rows]
        return Document(
            document.name, "json", roots=({"@odata.context": "$metadata#directoryObjects", "value": typed},)
        )
    return Document(document.name, "json", roots=(rows,))


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {k: v for k, v in record.items() if k not in FLAGS}
    row |= {k: told for k in FLAGS if (told := flag(record.get(k))) is not None}
    if "groupTypes" in row:
        row["groupTypes"] = [w.strip(' "[]') for w in str(row["groupTypes"]).split(",") if w.strip(' "[]')]
    return row
