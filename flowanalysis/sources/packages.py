"""Solutions and legacy flow packages: definitions with their true names, states, references and variables.

A solution file names its flows only by a mangled file name; the true name, category and state stand beside it
(``….json.data.xml`` of an unpacked solution, ``customizations.xml`` of a zip). Neither holds owners or connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as xml
import orjson
from defusedxml import DefusedXmlException

from flowanalysis.definitions import Definition, read_definition
from flowanalysis.definitions.secrets import redact_text
from flowanalysis.errors import FlowAnalysisError
from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources.base import Batch, Document, Reject

__all__ = ["SOURCE", "is_part", "read", "recognise"]

SOURCE = "package"
_WORKFLOW = re.compile(r"(?:^|[/!])workflows/[^/]+\.json$", re.IGNORECASE)
_LEGACY = re.compile(r"(?:^|[/!])microsoft\.flow/flows/([^/]+)/definition\.json$", re.IGNORECASE)
_SIDECAR = re.compile(
    r"(?:^|[/!])(?:workflows/[^/]+\.data\.xml|(?:other/)?customizations\.xml|solution\.xml|connectionreferences?\.xml"
    r"|environmentvariabledefinitions/[^/]+/environmentvariable(?:definition\.xml|values\.json))$",
    re.IGNORECASE,
)
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Category of a workflow row (Dataverse table reference, workflow, choice category)
_KINDS = {"5": "cloud", "6": "desktop", "0": "classic", "1": "classic", "2": "classic", "3": "classic", "4": "classic"}
_STATES = {"0": "Stopped", "1": "Started", "2": "Suspended"}
_REMEDY = "The rest of the package was read"


class _Sidecar(NamedTuple):
    """What stands beside a definition in a solution."""

    name: str
    kind: str
    state: str


class _Package(NamedTuple):
    """What a package says about all its flows."""

    sidecars: Mapping[str, _Sidecar]
    references: Mapping[str, Mapping[str, Any]]
    variables: Mapping[str, object]
    managed: bool | None


def is_part(name: str) -> bool:
    """True for files of a package that this reader wants; all others may stay unread.

    >>> is_part("app.zip!Workflows/Intake-0A6F.json"), is_part("app.zip!WebResources/logo.png")
    (True, False)
    """
    return any(pattern.search(name) for pattern in (_WORKFLOW, _LEGACY, _SIDECAR))


def recognise(document: Document) -> str | None:
    """The shape's name in words when the members are those of a solution or a flow package."""
    if document.form != "package":
        return None
    names = [n.replace("\\", "/") for n in document.members]
    if any(_LEGACY.search(n) for n in names):
        return "flow package"
    if any(_WORKFLOW.search(n) for n in names):
        return "solution"
    return "solution without flows" if any(n.lower().endswith("solution.xml") for n in names) else None


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of flows, steps, flow_connections, needs, definition_marks and connection_references."""
    members = {n.replace("\\", "/"): data for n, data in document.members.items()}
    package, rejects = _package(members)
    yield from rejects
    rows: dict[str, list[dict[str, Any]]] = {
        t: [] for t in ("flows", "steps", "flow_connections", "needs", "definition_marks")
    }
    for name, data in members.items():
        flow_id = _flow_id(name)
        if not flow_id:
            continue
        if any(row["flow_id"] == flow_id for row in rows["flows"]):
            yield Reject("flows", name, "another file of this package has the same flow id; the first one was read")
            continue
        try:
            _add(rows, package, name, data, flow_id)
        except FlowAnalysisError as error:
            yield Reject("flows", name, str(error))
    rows["connection_references"] = [dict(r) for r in package.references.values()]
    for table, found in rows.items():
        if found or table == "flows":
            yield Batch(SOURCE, table, found, complete=True)


def _flow_id(name: str) -> str:
    """Id of the flow in a member of the package; empty text when it holds none."""
    legacy = _LEGACY.search(name)
    if legacy:
        return legacy[1].lower()
    if not _WORKFLOW.search(name):
        return ""
    found = _GUID.findall(name.rpartition("/")[2])
    return (found[-1] if found else name).lower()


def _add(rows: dict[str, list[dict[str, Any]]], package: _Package, name: str, data: bytes, flow_id: str) -> None:
    """Read one file of the package into `rows`."""
    sidecar = package.sidecars.get(flow_id)
    found = read_definition(data, flow_id=flow_id, variables=package.variables)
    rows["flows"].append(_flow_row(found, sidecar, name, package.managed))
    if found.kind == "cloud" and (sidecar is None or sidecar.kind == "cloud"):
        rows["steps"] += found.steps
        rows["flow_connections"] += found.references
        rows["needs"] += found.needs
        rows["definition_marks"] += found.marks


def _flow_row(found: Definition, sidecar: _Sidecar | None, name: str, managed: bool | None) -> dict[str, Any]:
    solution = _LEGACY.search(name) is None
    stem = name.rpartition("/")[2].removesuffix(".json")
    shown = (sidecar.name if sidecar else "") or found.display_name or _GUID.sub("", stem).rstrip("-_ ")
    kind = found.kind if found.kind != "cloud" or sidecar is None else sidecar.kind
    return {
        "environment_id": NO_ENVIRONMENT,
        "flow_id": found.flow_id,
        "display_name": shown or found.flow_id,
        "state": (sidecar.state if sidecar else "") or found.state or "Unknown",
        "kind": kind,
        "is_solution": solution,
        "workflow_id": found.flow_id if solution else None,
        "is_managed": managed if solution else None,
        "trigger_type": found.trigger_type or None,
        "trigger_kind": found.trigger_kind or None,
        "action_count": found.action_count,
        "has_definition": kind == "cloud",
    }


def _package(members: Mapping[str, bytes]) -> tuple[_Package, list[Reject]]:
    """Everything beside the definitions; what cannot be read is set aside, not fatal."""
    sidecars: dict[str, _Sidecar] = {}
    references: dict[str, Mapping[str, Any]] = {}
    variables: dict[str, object] = {}
    managed: bool | None = None
    rejects = []
    for name, data in members.items():
        lower = name.lower()
        if not _SIDECAR.search(name):
            continue
        try:
            if lower.endswith(".json"):
                variables.update(_variable_value(name, data))
                continue
            root = xml.fromstring(data.lstrip(b"\xef\xbb\xbf \t\r\n"))
        except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
            rejects.append(Reject("flows", name, f"cannot be read ({type(error).__name__}). {_REMEDY}"))
            continue
        sidecars |= dict(_workflows(root))
        references |= {r["reference_name"]: r for r in _references(root)}
        for schema_name, value in _defaults(root):
            variables.setdefault(schema_name, value)
        if lower.endswith("solution.xml"):
            managed = {"0": False, "1": True}.get(_said(root, "managed"))
    return _Package(sidecars, references, variables, managed), rejects


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _said(element: Element, tag: str) -> str:
    """Text of the first element below with that tag."""
    return next(((e.text or "").strip() for e in element.iter() if _tag(e) == tag), "")


def _attribute(element: Element, name: str) -> str:
    return next((v for k, v in element.attrib.items() if k.lower() == name), "")


def _workflows(root: Element) -> Iterator[tuple[str, _Sidecar]]:
    for element in root.iter():
        workflow_id = _attribute(element, "workflowid").strip("{} ").lower() if _tag(element) == "workflow" else ""
        if workflow_id:
            category = _said(element, "category")
            yield (
                workflow_id,
                _Sidecar(
                    redact_text(_attribute(element, "name")),
                    _KINDS.get(category, "other" if category else "cloud"),
                    _STATES.get(_said(element, "statecode"), ""),
                ),
            )


def _references(root: Element) -> Iterator[dict[str, Any]]:
    for element in root.iter():
        name = _attribute(element, "connectionreferencelogicalname") if _tag(element) == "connectionreference" else ""
        if name:
            connector = _said(element, "connectorid") or _said(element, "customconnectorid")
            yield {
                "environment_id": NO_ENVIRONMENT,
                "reference_name": name.lower(),
                "display_name": redact_text(_said(element, "connectionreferencedisplayname")) or None,
                "connector_id": connector.rpartition("/")[2].lower() or None,
                "state": {"0": "active", "1": "inactive"}.get(_said(element, "statecode")),
            }


def _defaults(root: Element) -> Iterator[tuple[str, object]]:
    for element in root.iter():
        name = _attribute(element, "schemaname") if _tag(element) == "environmentvariabledefinition" else ""
        value = _said(element, "defaultvalue") if name else ""
        if value:
            yield name.lower(), value


def _variable_value(name: str, data: bytes) -> dict[str, object]:
    """Value of an environment variable; the variable is named by the folder."""
    try:
        told = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        raise ValueError("not JSON") from None
    schema_name = name.split("/")[-2].rpartition("!")[2].lower()
    found = told.get("environmentvariablevalues") if isinstance(told, dict) else None
    entry = found.get("environmentvariablevalue") if isinstance(found, dict) else None
    entries = entry if isinstance(entry, list) else [entry]
    values = [e["value"] for e in entries if isinstance(e, dict) and isinstance(e.get("value"), str)]
    return {schema_name: values[0]} if values else {}
