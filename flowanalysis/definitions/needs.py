"""Needs: which right each step requires, on which resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flowanalysis.definitions import catalogue
from flowanalysis.definitions.catalogue import UNKNOWN
from flowanalysis.definitions.expressions import EXPRESSION, HOLE, Scope
from flowanalysis.definitions.parse import Step
from flowanalysis.definitions.resources import Parameters, Resource, resources_of

__all__ = ["HTTP", "Need", "needs_of"]

HTTP = "http"  # connector of the built-in HTTP steps in the needs table
Swaggers = Mapping[str, Mapping[str, Any]]


class Need(NamedTuple):
    """A right that a step requires on a resource."""

    step: Step
    connector_id: str
    operation_id: str | None
    right: str
    resource: Resource
    via: str

    def row(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """The row of the needs table."""
        return {
            **ids,
            "step": self.step.path,
            "connector_id": self.connector_id,
            "operation_id": self.operation_id,
            "alias": self.step.alias,
            "right": self.right,
            "level": catalogue.level_of(self.right),
            "resource_kind": self.resource.kind,
            "resource": self.resource.key,
            "state": self.resource.state,
            "via": self.via,
        }


def needs_of(step: Step, scope: Scope, swaggers: Swaggers | None = None) -> list[Need]:
    """What one step requires; nothing for steps that stay inside the engine or call a child flow."""
    if step.connection:
        connector, operation = step.connector_id or "", step.operation_id or ""
    elif step.type[:4].lower() == "http":
        connector, operation = HTTP, step.method or ""
    else:
        return []
    parameters = Parameters(step)
    right = _right(step, connector, operation, parameters, scope, swaggers or {})
    found: list[Need] = []
    for resource in resources_of(connector, operation, parameters, scope):
        via = "trigger_registration" if resource.also and step.kind == "trigger" else "own"
        need = Need(step, connector, operation or None, resource.right or right, resource, via)
        # two resources that only the run tells apart are one row of the table
        if not any((n.right, n.resource[:2]) == (need.right, resource[:2]) for n in found):
            found.append(need)
    return found


def _right(step: Step, connector: str, operation: str, parameters: Parameters, scope: Scope, swaggers: Swaggers) -> str:
    fact = catalogue.operation(connector, operation)
    if fact and fact.right == "dynamic":
        return "read" if step.kind == "trigger" else _of_request(step, connector, parameters, scope)
    if fact:
        return fact.right
    if step.kind == "trigger":
        return "read"
    swagger = swaggers.get(connector)
    verb = _of_swagger(swagger, operation) if swagger else ""
    if verb:
        return verb
    guess = catalogue.by_wording(operation) if operation else None
    if guess:
        return guess.right
    return catalogue.METHODS.get(step.method or "", UNKNOWN)


def _of_swagger(swagger: Mapping[str, Any], operation: str) -> str:
    index = catalogue.index_swagger(swagger) if {"paths", "properties"} & swagger.keys() else swagger
    verb = str(index.get(operation) or next((v for k, v in index.items() if k.lower() == operation.lower()), ""))
    return "read" if verb == "trigger" else verb


def _of_request(step: Step, connector: str, parameters: Parameters, scope: Scope) -> str:
    method, address = parameters.request(scope)
    text = "" if method.state == EXPRESSION else method.text
    return catalogue.request_right(connector, text.strip(), address.text or HOLE)
