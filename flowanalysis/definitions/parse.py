"""Definitions in every wrapper that exports use, and their steps.

A cloud flow's definition travels in a solution file, a legacy package, an answer of the admin API, a
``clientdata`` string of Dataverse, the body of an API request, or bare. Steps name their connection in two
shapes: the present one (``inputs.host.connectionName``) and the older one (``$connections`` expressions).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from flowanalysis.definitions.expressions import HOLE, Scope
from flowanalysis.definitions.requests import host_of, last_resort, method_of, request_of
from flowanalysis.errors import DefinitionError

__all__ = ["Reference", "Step", "Wrapped", "actions", "constants", "steps", "unwrap"]

DEEPEST = 64  # containers within containers; the designer stops at 8
LARGEST = 32 * 2**20  # bytes of one definition
HELP = "Export the flow again; a cloud flow has triggers and actions"

_ALIAS = re.compile(r"""\$connections['"][\])]*\??\[\s*['"]([^'"]+)['"]""", re.IGNORECASE)
_AUTHENTICATION = {
    "raw": "raw",
    "activedirectoryoauth": "oauth",
    "basic": "basic",
    "none": "none",
}
_REQUESTS = {"http", "httpwebhook", "swagger"}
_MEMBERS = {m.lower(): m for m in ("connectionName", "connectionReferenceName", "operationId", "apiId", "connection")}
_STATES = {0: "Stopped", 1: "Started", 2: "Suspended"}
_CATEGORIES = {5: "cloud", 6: "desktop", 0: "classic", 2: "classic", 3: "classic", 4: "classic", 9000: "other"}


class Wrapped(NamedTuple):
    """What a wrapper says, and the definition inside it (empty for what is no cloud flow)."""

    wrapper: str
    kind: str
    flow_id: str
    display_name: str
    state: str
    definition: Mapping[str, Any]
    references: Any


class Reference(NamedTuple):
    """A connection that the definition declares."""

    alias: str
    connector_id: str
    connection_id: str | None
    reference_name: str | None
    runtime_source: str
    tier: str | None


class Step(NamedTuple):
    """A trigger or action, as it stands in the definition."""

    path: str
    name: str
    kind: str
    type: str
    connector_id: str | None
    operation_id: str | None
    declared: bool  # the connection part of the step names the operation itself
    alias: str | None
    runtime_source: str | None
    authentication: str
    child_flow_id: str | None
    method: str | None
    host: str | None
    node: Mapping[str, Any]
    inputs: Mapping[str, Any]
    connection: bool  # the step works through a connection


def mapping(value: object) -> Mapping[str, Any]:
    """`value` when it is an object, else an empty one: definitions hold null and text in odd places."""
    return value if isinstance(value, dict) else {}


def segment(value: object) -> str:
    """Last path segment of an id, lower case."""
    return value.rstrip("/").rpartition("/")[2].lower() if isinstance(value, str) else ""


def decode(document: object, *, where: str = "") -> dict[str, Any]:
    """The JSON object in `document` (object, text or bytes).

    Raises
    ------
    DefinitionError
        When it is no JSON object, is too large, or is nested absurdly.
    """
    for _ in range(2):  # clientdata is JSON text inside JSON text
        if not isinstance(document, (str, bytes, bytearray)):
            break
        if len(document) > LARGEST:
            raise DefinitionError(f"more than {LARGEST // 2**20} MB in one definition", where=where, remedy=HELP)
        try:
            raw = document.encode("utf-8") if isinstance(document, str) else bytes(document)
            document = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            # No detail of the parser: it could quote the text, and the text may hold a secret.
            raise DefinitionError("not readable as JSON", where=where, remedy=HELP) from None
    if not isinstance(document, dict):
        raise DefinitionError("not a JSON object", where=where, remedy=HELP)
    return document


def unwrap(document: Mapping[str, Any], *, where: str = "") -> Wrapped:
    """Recognise the wrapper by its keys.

    Raises
    ------
    DefinitionError
        When no wrapper with triggers or actions is recognised.
    """
    if isinstance(document.get("clientdata"), (str, dict)):
        return _dataverse(document, where)
    if "flow_definition" in document:
        return _wrapped(
            "create_body", document, document["flow_definition"], document.get("connection_references"), where=where
        )
    properties = mapping(document.get("properties"))
    inner = properties.get("definition")
    if "targets" in document or "targets" in properties or "package" in mapping(inner):
        return _wrapped("desktop", {**document, **properties}, {}, None, kind="desktop")
    if inner is not None:
        named = {"name", "id", "type"} <= document.keys()
        wrapper = "solution" if "schemaVersion" in document else "api" if named else "create_body"
        kind = "other" if "subcategory" in document else "cloud"
        facts = {**properties, "name": document.get("name")}
        return _wrapped(wrapper, facts, inner, properties.get("connectionReferences"), kind=kind, where=where)
    if isinstance(document.get("definition"), (dict, str)):
        return _wrapped("bare", document, document["definition"], document.get("connectionReferences"), where=where)
    return _wrapped("definition", {}, document, None, where=where)


def _dataverse(row: Mapping[str, Any], where: str) -> Wrapped:
    category = row.get("category", 5)
    kind = _CATEGORIES.get(category, "other") if isinstance(category, int) else "cloud"
    state = row["statecode"] if isinstance(row.get("statecode"), int) else -1
    facts = {"name": row.get("workflowid"), "displayName": row.get("name"), "state": _STATES.get(state)}
    if kind != "cloud":
        return _wrapped("dataverse", facts, {}, None, kind=kind)
    inner = unwrap(decode(row["clientdata"], where=where), where=where)
    return inner._replace(
        wrapper="dataverse",
        flow_id=segment(facts["name"]),
        display_name=str(facts["displayName"] or ""),
        state=facts["state"] or "",
    )


def _wrapped(
    wrapper: str,
    facts: Mapping[str, Any],
    definition: object,
    references: object,
    *,
    kind: str = "cloud",
    where: str = "",
) -> Wrapped:
    if isinstance(definition, str):
        definition = decode(definition, where=where)
    body = mapping(definition)
    if kind == "cloud" and not (isinstance(body.get("triggers"), dict) or isinstance(body.get("actions"), dict)):
        raise DefinitionError("no triggers and no actions inside", where=where, remedy=HELP)
    name = facts.get("displayName") or facts.get("flow_display_name") or ""
    state = facts.get("state") or facts.get("flow_state") or ""
    return Wrapped(wrapper, kind, segment(facts.get("name")), str(name), str(state), body, references)


def references(raw: object) -> dict[str, Reference]:
    """Declared connections by alias, as written."""
    if isinstance(raw, list):
        raw = dict(_numbered(raw))
    return {alias: _reference(alias, entry) for alias, entry in mapping(raw).items() if isinstance(entry, dict)}


def _numbered(entries: Iterable[object]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Bodies of API requests list connections; steps then use the connector, with _1, _2 for more of them."""
    seen: dict[str, int] = {}
    for entry in entries:
        connector = segment(mapping(entry).get("id"))
        if connector:
            count = seen.get(connector, 0)
            seen[connector] = count + 1
            yield (f"{connector}_{count}" if count else connector), mapping(entry)


def _reference(alias: str, entry: Mapping[str, Any]) -> Reference:
    api, connection = mapping(entry.get("api")), mapping(entry.get("connection"))
    source = str(entry.get("runtimeSource") or entry.get("source") or "").lower()
    name = connection.get("connectionReferenceLogicalName") or entry.get("connectionReferenceLogicalName")
    stored = entry.get("connectionName") or connection.get("name") or segment(connection.get("id"))
    return Reference(
        alias=alias,
        connector_id=segment(api.get("name")) or segment(entry.get("id")) or segment(api.get("id")),
        connection_id=segment(stored) or None,
        reference_name=str(name).lower() if name else None,
        runtime_source=source if source in {"embedded", "invoker"} else "unknown",
        tier=entry.get("tier") if isinstance(entry.get("tier"), str) else None,
    )


def actions(level: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(path, name, action) of every action, containers first, in the order of the definition."""
    if depth > DEEPEST:
        raise DefinitionError(f"actions nested more than {DEEPEST} deep", where=path[:80], remedy=HELP)
    for name, node in mapping(level).items():
        if not isinstance(node, dict):
            continue
        here = f"{path}{name}"
        yield here, name, node
        if "actions" in node:
            yield from actions(node["actions"], f"{here}/", depth + 1)
        if "else" in node:
            yield from actions(mapping(node["else"]).get("actions"), f"{here}/else/", depth + 1)
        if "cases" in node:
            for case, branch in mapping(node["cases"]).items():
                yield from actions(mapping(branch).get("actions"), f"{here}/{case}/", depth + 1)
        if "default" in node:
            yield from actions(mapping(node["default"]).get("actions"), f"{here}/default/", depth + 1)


def constants(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Variables set once, Compose and ParseJson actions, by lower-case name: their value cannot change later."""
    changed, found = set(), {}
    for _, name, node in actions(definition.get("actions")):
        kind, inputs = node.get("type"), node.get("inputs")
        if kind == "Compose":
            found["outputs", name.lower()] = inputs
        elif kind == "ParseJson":
            found["outputs", name.lower()] = mapping(inputs).get("content")
        elif kind == "InitializeVariable":
            entries = mapping(inputs).get("variables")
            for entry in entries if isinstance(entries, list) else ():
                found["variables", str(mapping(entry).get("name")).lower()] = mapping(entry).get("value")
        elif isinstance(kind, str) and kind.endswith("Variable"):
            changed.add(str(mapping(inputs).get("name")).lower())
    for (kind, name), value in found.items():
        if kind == "outputs" or name not in changed:
            yield kind, name, value


def steps(definition: Mapping[str, Any], declared: Mapping[str, Reference], scope: Scope) -> list[Step]:
    """Triggers, then all actions at all depths."""
    folded = {alias.lower(): reference for alias, reference in declared.items()}
    found, seen = [], set()
    triggers = ((n, n, t) for n, t in mapping(definition.get("triggers")).items() if isinstance(t, dict))
    for kind, nodes in (("trigger", triggers), ("action", actions(definition.get("actions")))):
        for path, name, node in nodes:
            while path in seen:  # a case may be called like an action beside it
                path += "'"
            seen.add(path)
            found.append(_step(path, name, kind, node, folded, scope))
    return found


def _step(
    path: str, name: str, kind: str, node: Mapping[str, Any], declared: Mapping[str, Reference], scope: Scope
) -> Step:
    inputs = mapping(node.get("inputs"))
    type_ = node.get("type")
    type_ = type_ if isinstance(type_, str) else ""
    host = inputs.get("host")
    called = None
    if isinstance(host, dict):
        called = _called(type_, host, scope)
        if not called:
            return _connection_step(path, name, kind, type_, node, inputs, _spelled(host), declared)
    plain = type_.lower() in _REQUESTS
    uri = scope.value(request_of(inputs).get("uri")) if plain else None
    return Step(
        path,
        name,
        kind,
        type_,
        None,
        None,
        False,
        None,
        None,
        _authentication(inputs, "none"),
        called,
        method_of(request_of(inputs)) if plain else None,
        host_of(uri) if uri else None,
        node,
        inputs,
        False,
    )


def _connection_step(
    path: str,
    name: str,
    kind: str,
    type_: str,
    node: Mapping[str, Any],
    inputs: Mapping[str, Any],
    host: Mapping[str, Any],
    declared: Mapping[str, Reference],
) -> Step:
    alias, operation = host.get("connectionName") or host.get("connectionReferenceName"), host.get("operationId")
    if not isinstance(alias, str):
        alias = _old_alias(host)
    alias = alias.lower() if alias else None
    reference = declared.get(alias) if alias else None
    api = host.get("apiId")
    connector = reference.connector_id if reference else ""
    if not connector or (isinstance(api, str) and "/operationGroups/" in api):
        connector = segment(api) or _runtime_connector(host, alias) or connector
    if not operation:
        operation = mapping(mapping(node.get("metadata")).get("flowSystemMetadata")).get("swaggerOperationId")
    known = isinstance(operation, str) and operation != ""
    return Step(
        path,
        name,
        kind,
        type_,
        connector or None,
        operation if known else last_resort(inputs),
        known,
        alias,
        reference.runtime_source if reference else "unknown",
        _authentication(inputs, "none"),
        None,
        method_of(inputs),
        None,
        node,
        inputs,
        True,
    )


def _called(type_: str, host: Mapping[str, Any], scope: Scope) -> str | None:
    """Id of the flow that a step calls; the expression itself where only the run tells which one."""
    named = host.get("workflowReferenceName")
    if named is None and type_.lower() == "workflow":
        named = mapping(host.get("workflow")).get("id")
    if named is None:
        return None
    value = scope.value(named)
    return segment(value.text if HOLE not in value.text else named).strip("{}") or None


def _spelled(host: Mapping[str, Any]) -> Mapping[str, Any]:
    """The connection part of a step with the names of its members as the designer writes them."""
    if "connectionName" in host or "connection" in host:
        return host
    return {_MEMBERS.get(key.lower(), key): value for key, value in host.items()}


def _old_alias(host: Mapping[str, Any]) -> str | None:
    connection = mapping(host.get("connection"))
    text, named = connection.get("name"), connection.get("referenceName")
    match = _ALIAS.search(text) if isinstance(text, str) else None
    return match[1] if match else named if isinstance(named, str) else None


def _runtime_connector(host: Mapping[str, Any], alias: str | None) -> str:
    """A definition without references (Logic Apps) names the connector in its runtime URL, else only by alias."""
    by_alias = re.sub(r"[_-]\d+$", "", alias or "")
    name = segment(mapping(host.get("api")).get("runtimeUrl"))
    return by_alias if not name or by_alias == f"shared_{name}" else name


def _authentication(inputs: Mapping[str, Any], otherwise: str) -> str:
    given = inputs.get("authentication")
    if isinstance(given, str):
        return "parameter" if "$authentication" in given else "other"
    if not isinstance(given, dict):
        return otherwise
    kind = given.get("type")
    return _AUTHENTICATION.get(kind.lower(), "other") if isinstance(kind, str) else "other"
