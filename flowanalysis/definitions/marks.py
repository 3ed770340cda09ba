"""Marks: what a definition alone tells about risks and traits of its flow. Never a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from flowanalysis import reference
from flowanalysis.definitions import catalogue
from flowanalysis.definitions.needs import HTTP, Need
from flowanalysis.definitions.parse import Reference, Step, mapping
from flowanalysis.definitions.secrets import Secret

__all__ = ["Mark", "Read", "marks_of"]

_ADDRESS = re.compile(
    r"@(?!odata|microsoft\.|thread|unq\.|example)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,4}\.[a-z]{2,12}\b",
    re.IGNORECASE,
)
_WHOLE_ADDRESS = re.compile(
    r"(?<![\w.%+-])[A-Za-z0-9][\w.%+'-]{0,63}@(?!odata|microsoft\.|thread|unq\.|example)"
    r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,12}\b(?![\w(])",
    re.IGNORECASE,
)
_BRANCHES = {"actions", "else", "cases", "default"}
_CHANGING = {"write", "send", "send_as", "share", "unknown"}


class Mark(NamedTuple):
    """One row of definition_marks without the flow's ids."""

    mark: str
    step: str
    path: str
    detail: str
    fingerprint: str | None = None

    def row(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """The row of the table."""
        return {**ids, **self._asdict()}


class Read(NamedTuple):
    """A definition as far as it was read, for the rules below."""

    definition: Mapping[str, Any]
    references: Mapping[str, Reference]
    steps: list[Step]
    needs: list[Need]
    secrets: list[Secret]
    text: str  # all texts and names of the definition, each once


def marks_of(read: Read) -> list[Mark]:
    """All marks of a definition, each once."""
    found = [mark for rule in _RULES for mark in rule(read)]
    return list({mark[:3]: mark for mark in reversed(found)}.values())[::-1]


def place(path: tuple[str, ...]) -> tuple[str, str]:
    """Step and path inside it for a place in the definition.

    >>> place(("actions", "Try", "actions", "Call", "inputs", "authentication", "secret"))
    ('Try/Call', 'inputs/authentication/secret')
    """
    if path[:1] == ("triggers",):
        return path[1] if len(path) > 1 else "", "/".join(path[2:])
    if path[:1] != ("actions",):
        return "", "/".join(path)
    step, at = "", 0
    while at + 1 < len(path) and path[at] in _BRANCHES:
        if path[at] == "actions":
            step = f"{step}/{path[at + 1]}" if step else path[at + 1]
            at += 2
        elif path[at] == "cases":
            step, at = f"{step}/{path[at + 1]}", at + 2
        else:
            step, at = f"{step}/{path[at]}", at + 1
    return step, "/".join(path[at:])


def _secrets(read: Read) -> Iterator[Mark]:
    for secret in read.secrets:
        step, path = place(secret.path)
        yield Mark("secret", step, path, f"{secret.kind}, {secret.length} characters", secret.fingerprint)


def _open_trigger(read: Read) -> Iterator[Mark]:
    for step in read.steps:
        if step.kind != "trigger":
            continue
        asked = step.inputs.get("triggerAuthenticationType")
        over_http = _is(step.type, "request") and (step.node.get("kind") is None or _is(step.node["kind"], "http"))
        if (over_http and not asked) or (isinstance(asked, str) and asked.lower() == "all"):
            yield Mark("open_http_trigger", step.path, "", "anyone who holds the address can start the flow")


def _no_failure_branch(read: Read) -> Iterator[Mark]:
    reaching = any(s.kind == "action" and (s.connection or s.child_flow_id or s.host or s.method) for s in read.steps)
    for step in read.steps:
        for outcomes in mapping(step.node.get("runAfter")).values():
            # nearly all steps run after success; the rest is looked at
            if outcomes == ["Succeeded"] or not isinstance(outcomes, list):
                continue
            if any(str(o).lower() in {"failed", "timedout"} for o in outcomes):
                return
    if reaching:
        yield Mark("no_failure_branch", "", "", "no action runs after another one failed or timed out")


def _operations(read: Read) -> Iterator[Mark]:
    """Deprecated operations, and rights handed to others."""
    for need in read.needs:
        if need.right in {"grant", "share"}:
            what = "shares with others" if need.right == "share" else "changes who has rights"
            yield Mark("grants_rights", need.step.path, "", f"{need.operation_id or need.connector_id} {what}")
        fact = catalogue.operation(need.connector_id, need.operation_id) if need.operation_id else None
        if fact and fact.deprecated:
            yield Mark("deprecated_operation", need.step.path, "", f"{need.operation_id} is deprecated")


def _connectors(read: Read) -> Iterator[Mark]:
    """Legacy and premium connectors, once each, at the first step that uses them."""
    seen = set()
    for step, connector in _used(read):
        fact = catalogue.connector(connector)
        if connector in seen or fact is None:
            continue
        seen.add(connector)
        if fact.legacy:
            instead = f"; {fact.replaced_by} takes its place" if fact.replaced_by else ""
            yield Mark("legacy_connector", step.path, "", f"{connector} is a legacy connector{instead}")
        if fact.tier == "Premium":
            yield Mark("premium_connector", step.path, "", f"{connector} is a premium connector")


def _is(value: object, word: str) -> bool:
    return isinstance(value, str) and value.lower() == word


def _used(read: Read) -> Iterator[tuple[Step, str]]:
    for step in read.steps:
        if step.connector_id:
            yield step, step.connector_id
        elif step.type[:4].lower() == "http":
            yield step, HTTP
        elif step.kind == "trigger" and _is(step.type, "request") and _is(step.node.get("kind"), "http"):
            yield step, "http_trigger"


def _two_identities(read: Read) -> Iterator[Mark]:
    by_connector: dict[str, set[str]] = {}
    for alias, declared in read.references.items():
        name = declared.reference_name or declared.connection_id or alias
        by_connector.setdefault(declared.connector_id, set()).add(name)
    for connector, names in by_connector.items():
        if len(names) > 1:
            yield Mark("two_identities", "", connector, f"{len(names)} connections of {connector}")


@cache
def _own_hosts() -> tuple[str, ...]:
    return tuple(reference.table("microsoft_hosts")["ending"])


def _outside(read: Read) -> Iterator[Mark]:
    """Data sent or written to an outside connector or host, in a flow that also works with business data."""
    business = any(_side(need.connector_id) == "business" for need in read.needs)
    for need in read.needs if business else ():
        if need.right not in _CHANGING or need.step.kind == "trigger":
            continue
        if _side(need.connector_id) == "outside":
            yield Mark("outside_connector", need.step.path, "", f"business data may leave through {need.connector_id}")
        elif need.connector_id == HTTP and need.resource.key and not _own(need.resource.key):
            yield Mark("outside_connector", need.step.path, "", "business data may leave by an HTTP request")


def _side(connector: str) -> str:
    fact = catalogue.connector(connector)
    return fact.side if fact else ""


def _own(host: str) -> bool:
    return any(host == ending or host.endswith("." + ending) for ending in _own_hosts())


def _not_secured(read: Read) -> Iterator[Mark]:
    for step in read.steps:
        side = _handles_secret(step)
        if side and side not in _secured(step):
            yield Mark("secret_not_secured", step.path, "", f"secure {side} are off: run history shows the secret")


def _handles_secret(step: Step) -> str:
    """Which side of a step shows a secret in the run history: inputs, outputs or neither."""
    if _is(step.type, "http"):
        sign_in = step.inputs.get("authentication")
        if isinstance(sign_in, dict) and {"secret", "password", "pfx"} & {str(k).lower() for k in sign_in}:
            return "inputs"
        headers = mapping(step.inputs.get("headers"))
        return "inputs" if any(str(h).lower() in {"authorization", "x-functions-key"} for h in headers) else ""
    if step.connector_id == "shared_keyvault" and str(step.operation_id).lower().startswith("getsecret"):
        return "outputs"
    return ""


def _secured(step: Step) -> set[str]:
    secure = mapping(mapping(step.node.get("runtimeConfiguration")).get("secureData")).get("properties")
    return {str(p).lower() for p in secure} if isinstance(secure, list) else set()


def _variables(read: Read) -> Iterator[Mark]:
    for name, spec in mapping(read.definition.get("parameters")).items():
        schema_name = mapping(mapping(spec).get("metadata")).get("schemaName")
        if schema_name:
            told = "with" if mapping(spec).get("defaultValue") not in (None, "") else "without"
            yield Mark("environment_variable", "", f"parameters/{name}", f"{schema_name}, {told} a default value")


def _addresses(read: Read) -> Iterator[Mark]:
    """Mail addresses written into steps or variables; whether they are a person's, a reader must tell."""
    if not _ADDRESS.search(read.text):
        return
    stack: list[tuple[tuple[str, ...], object]] = [((), read.definition)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict):
            stack += [((*path, k), v) for k, v in node.items()]
        elif isinstance(node, list):
            stack += [((*path, str(at)), v) for at, v in enumerate(node)]
        elif isinstance(node, str) and _WHOLE_ADDRESS.search(node):
            step, inside = place(path)
            yield Mark("personal_address", step, inside, "a mail address is written into the definition")


_RULES = (
    _secrets,
    _open_trigger,
    _no_failure_branch,
    _operations,
    _connectors,
    _two_identities,
    _outside,
    _not_secured,
    _variables,
    _addresses,
)
