"""Definitions of flows in the wrappers that exports have: the API's, Dataverse's client data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowanalysis.demo.flow import Flow
from flowanalysis.demo.steps import APIS, Step
from flowanalysis.demo.world import PREMIUM_CONNECTORS, World, connectors, walk

SCHEMA = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"


def definition(world: World, flow: Flow) -> dict[str, Any]:
    """What the designer saves."""
    trigger, *actions = world.steps(flow)
    parameters: dict[str, Any] = {
        "$connections": {"defaultValue": {}, "type": "Object"},
        "$authentication": {"defaultValue": {}, "type": "SecureObject"},
    }
    for step in walk(actions):
        parameters |= step.variables
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": parameters,
        "triggers": {trigger.name: trigger.body},
        "actions": _chain(actions),
    }


def _chain(steps: Sequence[Step]) -> dict[str, Any]:
    """Actions one after the other, each with its inner ones."""
    found: dict[str, Any] = {}
    before = ""
    for step in steps:
        body = step.body | {"runAfter": {before: ["Succeeded"]} if before else {}}
        if step.inner:
            body["actions"] = _chain(step.inner)
        found[step.name] = body
        before = step.name
    return found


def reference_name(world: World, flow: Flow, connector: str) -> str:
    """Logical name of a connection reference: one for each department, connector and account of an environment."""
    account = "none" if connector in flow.unbound else "invoker" if connector in flow.invoker else ""
    words = (flow.environment, flow.department, connector, account or world.account_of(flow, connector))
    return f"tt_{flow.department}_{connector.removeprefix('shared_')}_{world.ids.guid('reference', *words)[:5]}"


def api_references(world: World, flow: Flow) -> dict[str, Any]:
    """``connectionReferences`` as the admin API returns it."""
    found = {}
    for connector in connectors(world.steps(flow)):
        invoker = connector in flow.invoker
        row: dict[str, Any] = {}
        if not invoker and connector not in flow.unbound:
            connection = world.connections[flow.environment, connector, world.account_of(flow, connector)]
            row["connectionName"] = connection.id
        if flow.solution:
            row["connectionReferenceLogicalName"] = reference_name(world, flow, connector)
        found[connector] = row | {
            "source": "Invoker" if invoker else "Embedded",
            "id": APIS + connector,
            "tier": "Premium" if connector in PREMIUM_CONNECTORS else "Standard",
        }
    return found


def client_data(world: World, flow: Flow) -> dict[str, Any]:
    """``clientdata`` of a Dataverse workflow row, before it becomes a string."""
    references = {}
    for connector in connectors(world.steps(flow)):
        references[connector] = {
            "runtimeSource": "invoker" if connector in flow.invoker else "embedded",
            "connection": {"connectionReferenceLogicalName": reference_name(world, flow, connector)},
            "api": {"name": connector},
        }
    body = {"connectionReferences": references, "definition": definition(world, flow)}
    return {"properties": body, "schemaVersion": "1.0.0.0"}
