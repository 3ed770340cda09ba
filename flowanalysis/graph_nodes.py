"""Which node a name means, and what a node is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from flowanalysis.errors import UnknownName
from flowanalysis.lookup import texts
from flowanalysis.tenant import Tenant

SCOPED = ("flow_id", "connection_id")  # named with their environment


def resolve(tenant: Tenant, around: object) -> set[str]:
    """Node names for an id, a name, a row of findings, or several of them.

    Raises
    ------
    UnknownName
        When nothing of that id or name exists.
    """
    if isinstance(around, pd.Series | Mapping):
        return _of_finding(tenant, dict(around))
    if isinstance(around, pd.DataFrame):
        return set().union(*(resolve(tenant, row) for _, row in around.iterrows()))
    if not isinstance(around, str):
        return set().union(*(resolve(tenant, one) for one in around))  # type: ignore[attr-defined]
    found = _by_id(tenant, around.lower()) or _by_name(tenant, around)
    if not found:
        names = [*tenant.identities["upn"].dropna(), *tenant.flows["display_name"].dropna()][:100_000]
        raise UnknownName("account, flow, connection, group or resource", around, names)
    return found


def _of_finding(tenant: Tenant, row: dict[str, Any]) -> set[str]:
    """The flow, the account and the subject that a finding names."""
    nodes = set()
    if pd.notna(row.get("flow_id")):
        nodes.add(f"flow:{row['environment_id']}/{row['flow_id']}")
    if pd.notna(row.get("account_id")):
        nodes.add(f"principal:{row['account_id']}")
    if not nodes:
        nodes = resolve(tenant, str(row["subject_id"]))
    return nodes


def _scoped(rows: pd.DataFrame, family: str, column: str) -> set[str]:
    return set(f"{family}:" + rows["environment_id"] + "/" + rows[column])


def _by_id(tenant: Tenant, key: str) -> set[str]:
    for table, column in (("identities", "identity_id"), ("groups", "group_id"), ("flow_owners", "principal_id")):
        if tenant.lookup(table, column).count(key):
            return {f"principal:{key}"}
    for column in ("flow_id", "workflow_id", "workflow_unique_id"):
        found = _scoped(tenant.rows("flows", column, [key]), "flow", "flow_id")
        if found:
            return found
    found = _scoped(tenant.rows("connections", "connection_id", [key]), "connection", "connection_id")
    if found:
        return found
    for family, table, column in (
        ("resource", "resources", "resource_id"),
        ("resource", "grants", "resource_id"),
        ("resource", "needs", "resource"),
        ("connector", "connections", "connector_id"),
    ):
        if tenant.lookup(table, column).count(key):
            return {f"{family}:{key}"}
    return set()


def _by_name(tenant: Tenant, name: str) -> set[str]:
    people = tenant.identities
    same = (people["upn"].str.lower() == name.lower()) | (people["mail"].str.lower() == name.lower())
    found = set("principal:" + people.loc[same.fillna(False).astype(bool), "identity_id"])
    if found:
        return found
    found = _scoped(tenant.rows("flows", "display_name", [name]), "flow", "flow_id")
    if found:
        return found
    groups = tenant.rows("groups", "display_name", [name])
    roles = tenant.rows("role_assignments", "role_name", [name])
    return set("principal:" + groups["group_id"]) or set("role:" + roles["role_name"])


def describe(tenant: Tenant, nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Kind, label and state of every node; what nothing describes is labelled by its id."""
    described: dict[str, dict[str, Any]] = {}
    for node in nodes:
        family, _, key = node.partition(":")
        kind = "unknown" if family == "principal" else family
        described[node] = {"kind": kind, "label": key.rpartition("/")[2] if family != "resource" else key, "state": ""}
    keys = {family: [n.partition(":")[2] for n in described if n.startswith(f"{family}:")] for family in FAMILIES}
    for family, table, column, label, state in DESCRIPTIONS:
        ids = [k.rpartition("/")[2] if column in SCOPED else k for k in keys[family]]
        places = tenant.lookup(table, column).positions(ids)
        kind = {"identities": "unknown", "groups": "group"}.get(table, family)
        kinds = "kind" if table == "identities" else None
        for id_, name, told, is_ in _told(tenant[table], places, column, label, kinds, state):
            if f"{family}:{id_}" in described:
                described[f"{family}:{id_}"] = {"kind": told or kind, "label": name, "state": is_ or ""}
    return described


def _told(
    frame: pd.DataFrame, places: np.ndarray, column: str, label: list[str], *more: str | None
) -> Iterator[tuple[str | None, ...]]:
    """Of some rows the id, the first label that is known (else the id), and more columns; None for no column."""
    ids: list[str | None] = texts(frame[column], places)
    if column in SCOPED:
        ids = [f"{place}/{key}" for place, key in zip(texts(frame["environment_id"], places), ids, strict=True)]
    names = ids
    for name in reversed(label):
        names = [n if n is not None else o for n, o in zip(texts(frame[name], places), names, strict=True)]
    rest = (texts(frame[c], places) if c else [None] * len(ids) for c in more)
    return zip(ids, names, *rest, strict=True)


FAMILIES = ("principal", "flow", "connection", "connector", "resource", "role")
DESCRIPTIONS = (
    ("principal", "identities", "identity_id", ["display_name", "upn"], "status"),
    ("principal", "groups", "group_id", ["display_name", "mail"], None),
    ("flow", "flows", "flow_id", ["display_name"], "state"),
    ("connection", "connections", "connection_id", ["display_name", "account_name"], "status"),
    ("connector", "connectors", "connector_id", ["display_name"], None),
    ("resource", "resources", "resource_id", ["display_name"], None),
)
