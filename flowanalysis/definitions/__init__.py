"""Definitions: what a flow does, step by step, and which rights that needs.

>>> flow = read_definition({"definition": {"triggers": {"Daily": {"type": "Recurrence"}}, "actions": {}}})
>>> flow.trigger_type, flow.action_count
('Recurrence', 0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flowanalysis.definitions import parse, secrets
from flowanalysis.definitions.expressions import Scope
from flowanalysis.definitions.marks import Read, marks_of
from flowanalysis.definitions.needs import Need, needs_of
from flowanalysis.definitions.stripped import noted
from flowanalysis.errors import DefinitionError, FlowAnalysisError
from flowanalysis.schema import NO_ENVIRONMENT

__all__ = ["Definition", "read_definition"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Definition:
    """One definition, read: facts about the flow, and rows ready for ``schema.frame``.

    Attributes
    ----------
    wrapper : str
        solution | api | create_body | dataverse | bare | definition | desktop: how the definition was packed.
    flow_id, display_name, state : str
        As far as the wrapper or the caller tells; empty text where neither does.
    kind : str
        cloud | desktop | classic | other. Only cloud flows have steps that need rights.
    trigger_type, trigger_kind : str
        Such as ``Request`` and ``Button``; empty text where there is none.
    trigger_operation : str
        ``connector|operation`` of a trigger that works through a connection; the operation is empty where the
        definition does not name it.
    action_count : int
        Actions at all depths, without the trigger.
    operations : tuple of str
        ``connector|operation`` of all steps that work through a connection, once each, sorted.
    steps, references, needs, marks : list of dict
        Rows of the tables steps, flow_connections, needs and definition_marks.
    """

    wrapper: str
    flow_id: str
    display_name: str
    state: str
    kind: str
    trigger_type: str
    trigger_kind: str
    trigger_operation: str
    action_count: int
    operations: tuple[str, ...]
    steps: list[Row]
    references: list[Row]
    needs: list[Row]
    marks: list[Row]


def read_definition(
    document: object,
    *,
    flow_id: str | None = None,
    environment_id: str = NO_ENVIRONMENT,
    variables: Mapping[str, object] | None = None,
    swaggers: Mapping[str, Any] | None = None,
) -> Definition:
    """Read one flow definition in any wrapper.

    Parameters
    ----------
    document : dict, str or bytes
        A solution's workflow file, a legacy package's or the admin API's flow, a Dataverse workflow row or its
        ``clientdata``, the body of an API request, or a bare definition.
    flow_id : str, optional
        Id to use in the rows; by default the one that the wrapper tells.
    environment_id : str
        Environment to use in the rows.
    variables : mapping, optional
        Current values of environment variables by schema name; they win over defaults in the definition.
    swaggers : mapping, optional
        OpenAPI documents of connectors by connector id, for operations that the catalogue does not know.

    Returns
    -------
    Definition
        Desktop flows, macros and classic workflows come back with their kind and without steps.

    Raises
    ------
    DefinitionError
        When it cannot be understood, or when its secrets cannot be looked for.
    """
    where = flow_id or ""
    wrapped = parse.unwrap(parse.decode(document, where=where), where=where)
    ids = {"environment_id": environment_id, "flow_id": (flow_id or wrapped.flow_id).lower()}
    described = {parse.segment(connector): swagger for connector, swagger in (swaggers or {}).items()}
    read = _read(wrapped, where or wrapped.flow_id, variables, described)
    trigger = next((s for s in read.steps if s.kind == "trigger"), None)
    return _guarded(
        Definition(
            wrapper=wrapped.wrapper,
            flow_id=ids["flow_id"],
            display_name=wrapped.display_name,
            state=wrapped.state,
            kind=wrapped.kind,
            trigger_type=trigger.type if trigger else "",
            trigger_kind=str(trigger.node.get("kind") or "") if trigger else "",
            trigger_operation=_operation(trigger) if trigger and trigger.connection else "",
            action_count=sum(s.kind == "action" for s in read.steps),
            operations=tuple(sorted({_operation(s) for s in read.steps if s.connection})),
            steps=[_step_row(s, ids) for s in read.steps],
            references=[_reference_row(r, ids) for r in read.references.values()],
            needs=[need.row(ids) for need in read.needs],
            marks=[mark.row(ids) for mark in marks_of(read)] if wrapped.kind == "cloud" else [],
        )
    )


def _read(
    wrapped: parse.Wrapped, where: str, variables: Mapping[str, object] | None, swaggers: Mapping[str, Any] | None
) -> Read:
    definition, removed, text = _redacted(wrapped.definition, where)
    declared = parse.references(wrapped.references)
    scope = Scope(
        parse.mapping(definition.get("parameters")), given=variables, constants=lambda: parse.constants(definition)
    )
    steps = parse.steps(definition, declared, scope)
    needs: list[Need] = []
    if wrapped.kind == "cloud":
        needs = [need for step in steps for need in needs_of(step, scope, swaggers)]
    return Read(definition, declared, steps, needs, removed, text)


def _redacted(definition: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], list[secrets.Secret], str]:
    """The definition without its secrets; when that fails for any reason at all, the definition is not used."""
    try:
        clean, found, text = secrets.examine(definition)
        return clean, [*noted(definition), *found], text
    except FlowAnalysisError:
        raise
    except Exception as error:
        raise DefinitionError(
            f"its secrets could not be looked for ({type(error).__name__}), so nothing of it is used", where=where
        ) from None


def _guarded(found: Definition) -> Definition:
    """The last gate: names and values that came in beside the definition pass it as well."""
    texts = {found.display_name, *(need["resource"] for need in found.needs)}
    for row in found.references:
        texts.update((row["alias"], row["connection_id"] or "", row["reference_name"] or "", row["tier"] or ""))
    if not secrets.any_in("\n".join(texts)):
        return found
    rows = (found.steps, found.references, found.needs, found.marks)
    clean = [[{k: _clean(v) for k, v in row.items()} for row in table] for table in rows]
    return replace(
        found,
        display_name=_clean(found.display_name),
        operations=tuple(map(_clean, found.operations)),
        trigger_operation=_clean(found.trigger_operation),
        steps=clean[0],
        references=clean[1],
        needs=clean[2],
        marks=clean[3],
    )


def _clean(value: Any) -> Any:
    return secrets.redact_text(value) if isinstance(value, str) else value


def _operation(step: parse.Step) -> str:
    return f"{step.connector_id or ''}|{step.operation_id if step.declared else ''}"


def _step_row(step: parse.Step, ids: Mapping[str, str]) -> Row:
    return {
        **ids,
        "step": step.path,
        "name": step.name,
        "kind": step.kind,
        "type": step.type,
        "connector_id": step.connector_id,
        "operation_id": step.operation_id,
        "alias": step.alias,
        "runtime_source": step.runtime_source,
        "authentication": step.authentication,
        "child_flow_id": step.child_flow_id,
        "method": step.method,
        "host": step.host,
    }


def _reference_row(reference: parse.Reference, ids: Mapping[str, str]) -> Row:
    return {
        **ids,
        "alias": reference.alias.lower(),
        "connector_id": reference.connector_id,
        "connection_id": reference.connection_id,
        "reference_name": reference.reference_name,
        "runtime_source": reference.runtime_source,
        "tier": reference.tier,
    }
