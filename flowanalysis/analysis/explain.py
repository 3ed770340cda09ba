"""One flow in words: what starts it, as whom each step runs, what it touches, what is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from flowanalysis.analysis.execution import execution_map
from flowanalysis.analysis.needs import FLOW, child_flows, needs
from flowanalysis.errors import UnknownName
from flowanalysis.tenant import Tenant

__all__ = ["explain", "find_flow", "flow_steps"]

VERBS = {
    "read": "reads",
    "read_secret": "reads a secret from",
    "compute": "works with",
    "write": "writes to",
    "delete": "deletes from",
    "send": "sends through",
    "send_as": "sends as",
    "execute": "runs something in",
    "share": "shares",
    "grant": "changes rights on",
    "administer": "administers",
    "unknown": "does something with",
}
STARTS = {
    "Recurrence": "a schedule",
    "Button": "a person who presses the button",
    "Http": "an HTTP request",
    "PowerApp": "an app",
    "PowerAppV2": "an app",
    "Skills": "a copilot",
    "VirtualAgent": "a copilot",
    "ApiConnection": "a person who selects an item",
}
WHERE = {
    "in_connection": "named by the connection",
    "expression": "known only when it runs",
}


def find_flow(tenant: Tenant, flow: str) -> pd.Series:
    """The row of a flow, by its id, ``environment/flow``, workflow id or exact name.

    Raises
    ------
    UnknownName
        When there is none, or more than one; the message lists near ones, or all that fit.
    """
    rows, wanted = tenant.flows, flow.strip().lower()
    keys = rows["environment_id"].str.lower() + "/" + rows["flow_id"].str.lower()
    for column in (
        keys,
        rows["flow_id"].str.lower(),
        rows["workflow_id"].str.lower(),
        rows["display_name"].str.lower(),
    ):
        hits = rows[(column == wanted).fillna(False).astype(bool)]
        if len(hits) == 1:
            return hits.iloc[0]
        if len(hits) > 1:
            places = ", ".join(sorted(keys[hits.index]))
            raise UnknownName("single flow", flow, [], remedy=f"Say which one: {places}")
    names = [*rows["display_name"].dropna(), *rows["flow_id"]]
    raise UnknownName("flow", flow, names, remedy="Flows go by id, environment/id or exact name")


def flow_steps(tenant: Tenant, flow: str) -> pd.DataFrame:
    """The steps of one flow that reach something, each need a row, with the account it runs as.

    Returns
    -------
    DataFrame
        step, connector_id, operation_id, right, level, resource_kind, resource, state, via_flow, account_id,
        account_name, reason and how (see `execution_map`). Needs of called flows carry the accounts of those flows.
    """
    row = find_flow(tenant, flow)
    place = row[FLOW]
    all_needs = needs(tenant)
    own = all_needs[(all_needs["environment_id"] == place.iloc[0]) & (all_needs["flow_id"] == place.iloc[1])]
    runs = execution_map(tenant)[[*FLOW, "step", "account_id", "account_name", "reason", "how"]]
    runs = runs.rename(columns={"flow_id": "carrier"})
    told = own.merge(runs, on=["environment_id", "carrier", "step"], how="left")
    return told[
        ["step", "connector_id", "operation_id", "right", "level", "resource_kind", "resource", "state", "via_flow"]
        + ["account_id", "account_name", "reason", "how"]
    ]


def explain(tenant: Tenant, flow: str) -> str:
    """A readable account of one flow.

    Parameters
    ----------
    tenant : Tenant
        The data.
    flow : str
        Id, ``environment/flow``, workflow id or exact name.

    Returns
    -------
    str
        Lines of plain text; names are as the tenant wrote them and must pass ``text.plain`` on the way to a terminal.

    Raises
    ------
    UnknownName
        When there is no such flow, or more than one.
    """
    row = find_flow(tenant, flow)
    told = flow_steps(tenant, f"{row['environment_id']}/{row['flow_id']}")
    parts: Iterable[Iterable[str]] = (
        _head(tenant, row),
        _start(tenant, row),
        _reaching(tenant, told),
        _called(tenant, row),
        _marked(tenant, row),
        _unknown(tenant, row, told),
    )
    return "\n".join(line for part in parts for line in part)


def _text(value: object, otherwise: str = "not known") -> str:
    return otherwise if pd.isna(value) or value == "" else str(value)


def _named(tenant: Tenant, identity: object) -> str:
    """Name of an identity with its id, or words for one that is not known."""
    if pd.isna(identity):
        return "not known"
    rows = tenant.identities[tenant.identities["identity_id"] == identity]
    if rows.empty:
        return str(identity)
    person = rows.iloc[0]
    name = _text(person["upn"], _text(person["display_name"], str(identity)))
    status = _text(person["status"], "")
    return f"{name} ({status})" if status not in {"", "active", "unknown"} else name


def _head(tenant: Tenant, row: pd.Series) -> Iterator[str]:
    yield f"{_text(row['display_name'], 'Flow without a name')}  [{row['environment_id']}/{row['flow_id']}]"
    yield f"  State: {_text(row['state'])}. Owner: {_named(tenant, row['owner_id'])}."


def _rows(frame: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    here = (frame["environment_id"] == row["environment_id"]) & (frame["flow_id"] == row["flow_id"])
    return frame[here.fillna(False).astype(bool)]


def _start(tenant: Tenant, row: pd.Series) -> Iterator[str]:
    kind, type_ = _text(row["trigger_kind"], ""), _text(row["trigger_type"], "")
    triggers = _rows(tenant.steps, row)
    triggers = triggers[(triggers["kind"] == "trigger").fillna(False).astype(bool)]
    for trigger in triggers.itertuples():
        what = STARTS.get(kind) or STARTS.get(type_)
        if pd.notna(trigger.connector_id):
            what = f"{trigger.connector_id}, {_text(trigger.operation_id)}"
        yield f"  Started by: {what or type_ or 'not known'} (step {trigger.name})."
    if triggers.empty:
        yield f"  Started by: {STARTS.get(kind) or STARTS.get(type_) or type_ or 'not known'}."


def _what(need: pd.Series) -> str:
    place = _text(need["resource"], "") or WHERE.get(_text(need["state"], ""), "not known")
    kind = _text(need["resource_kind"], "something").replace("_", " ")
    by_variable = " (by an environment variable)" if need["state"] == "environment_variable" else ""
    return f"{VERBS.get(_text(need['right'], 'unknown'), 'uses')} {kind} {place}{by_variable}"


def _who(tenant: Tenant, need: pd.Series) -> str:
    if pd.notna(need["account_id"]):
        return _named(tenant, need["account_id"])
    return _text(need["account_name"], _text(need["how"]))


def _reaching(tenant: Tenant, told: pd.DataFrame) -> Iterator[str]:
    own = told[told["via_flow"].isna()]
    if own.empty:
        return
    yield ""
    yield "  What it does, and as whom:"
    for _, need in own.iterrows():
        yield f"    {need['step']}: {_what(need)}"
        yield f"      as {_who(tenant, need)}"


def _called(tenant: Tenant, row: pd.Series) -> Iterator[str]:
    calls = _rows(child_flows(tenant), row)
    passed = _rows(needs(tenant), row)
    passed = passed[passed["via_flow"].notna()]
    if calls.empty:
        return
    yield ""
    yield "  Flows that it calls (they run on their own connections):"
    names = tenant.flows.set_index(FLOW)["display_name"]
    for call in calls.itertuples():
        name = names.get((call.environment_id, call.called_id)) if pd.notna(call.called_id) else None
        yield f"    {call.step}: {_text(name, f'{call.child_flow_id}, which was not collected')}"
    if len(passed):
        yield f"    Through them it needs {_counted(len(passed), 'further right', 'further rights')}."


def _marked(tenant: Tenant, row: pd.Series) -> Iterator[str]:
    marks = _rows(tenant.definition_marks, row)
    marks = marks[(marks["mark"] != "environment_variable").fillna(True).astype(bool)]
    if marks.empty:
        return
    yield ""
    yield "  What to look at:"
    for mark in marks.itertuples():
        place = f"{mark.step}: " if _text(mark.step, "") else ""
        secret = "a secret is written into the definition: " if mark.mark == "secret" else ""
        yield f"    {place}{secret}{_text(mark.detail, _text(mark.mark))}"


def _unknown(tenant: Tenant, row: pd.Series, told: pd.DataFrame) -> Iterator[str]:
    lines = []
    if _rows(tenant.steps, row).empty:
        lines.append("its definition was not collected, so nothing is known of its steps")
    unclear = told[told["state"] == "expression"]
    if len(unclear):
        lines.append(f"on what {_counted(unclear['step'].nunique(), 'step works', 'steps work')}: only the run tells")
    silent = told[told["level"].fillna("unknown") == "unknown"]
    if len(silent):
        lines.append(f"what {_counted(silent['step'].nunique(), 'step does', 'steps do')} there")
    nobody = told[told["account_id"].isna() & ~told["reason"].isin(["invoker", "no_connection"])]
    if len(nobody):
        lines.append(f"as whom {_counted(nobody['step'].nunique(), 'step runs', 'steps run')}")
    if lines:
        yield ""
        yield "  Not known:"
        yield from (f"    {line}" for line in lines)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
