"""Microsoft Graph: which groups' members matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowanalysis.collect.context import Context
from flowanalysis.collect.endpoints import Endpoint
from flowanalysis.collect.fanout import read_each
from flowanalysis.collect.parents import inner, parents, rows

__all__ = ["MEMBERS", "groups_that_matter", "read_groups"]

MEMBERS = ("graph/group_members", "graph/group_owners")
SHARES = ("powerplatform/flow_permissions", "powerplatform/connection_permissions", "powerplatform/environment_roles")
ALL = 5000  # so many groups are simply all read: 250 batches
DEPTH = 20  # groups within groups


def read_groups(context: Context, endpoint: Endpoint, *, flows: bool) -> list[tuple[str, dict[str, Any]]]:
    """Members or owners of the groups that matter: one collection for each level of nesting.

    In a small tenant, or when flows are not collected, all groups matter. Otherwise those that hold a role, own a
    flow, share a connection, limit an environment or may be given roles; then the groups inside them.
    """
    every, _ = parents(context, endpoint)
    if len(every) <= ALL or not flows:
        return [(endpoint.name, read_each(context, endpoint, every))]
    known = {parent.values["id"].lower(): parent for parent in every}
    wanted = groups_that_matter(context)
    read: list[tuple[str, dict[str, Any]]] = []
    done: set[str] = set()
    for level in range(DEPTH):
        todo = [known[i] for i in known if i in wanted and i not in done]
        if not todo:
            break
        name = endpoint.name if level == 0 else f"{endpoint.name}_{level + 1}"
        read.append((name, read_each(context, endpoint, todo, name=name)))
        done |= {parent.values["id"].lower() for parent in todo}
        wanted = _groups_in(context, name)
    return read


def groups_that_matter(context: Context) -> set[str]:
    """Ids of principals that hold or give rights; those that are groups are asked for their members."""
    found: set[str] = {
        str(row.get("id")).lower() for row in rows(context, "graph/groups") if row.get("isAssignableToRole") is True
    }
    for name in ("graph/role_assignments", "graph/role_instances", "graph/role_eligibilities"):
        found |= _texts(row.get("principalId") for row in rows(context, name))
    for name in SHARES:
        found |= _texts(inner(row, "properties", "principal", "id") for row in rows(context, name))
    way = ("properties", "linkedEnvironmentMetadata", "securityGroupId")
    return found | _texts(inner(row, *way) for row in rows(context, "powerplatform/environments"))


def _groups_in(context: Context, name: str) -> set[str]:
    kinds = {"#microsoft.graph.group"}
    return _texts(row.get("id") for row in rows(context, name) if row.get("@odata.type") in kinds)


def _texts(values: Iterable[Any]) -> set[str]:
    return {value.lower() for value in values if isinstance(value, str)}
