"""The part of a tenant that an analyst looks at, as a networkx graph.

The whole tenant is never one graph: a sub-graph is grown from what is asked about, one hop at a time.
Nodes are ``principal:id``, ``flow:environment/id``, ``connection:environment/id``, ``connector:id``,
``resource:key`` and ``role:name``; every edge has a kind and a reason in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, cast

import networkx as nx
import numpy as np
import pandas as pd

from flowanalysis.analysis.execution import connection_accounts, connection_uses
from flowanalysis.graph_nodes import SCOPED, describe, resolve
from flowanalysis.lookup import Lookup, texts
from flowanalysis.tenant import Source, Tenant

Row = tuple[str | None, ...]
Edge = tuple[str, str, str, str]  # source, target, kind, reason
Told = tuple[str | None, ...]  # an edge as a row tells it; with something that is not known it is none
FLOW = ("environment_id", "flow_id")
CONNECTION = ("environment_id", "connection_id")


class Fan(NamedTuple):
    """Which rows a source of edges reads: so many for one id of one end; perhaps only those that may join two."""

    most: int
    inside: bool = False


Nodes = Mapping[str, set[str]]  # family of ids -> ids: principal, flow, connection, connector, resource, role
ROLE_EDGES = {"Owner": ("owns", "owns"), "CanEdit": ("co-owns", "can edit"), "RunOnly": ("may run", "may run")}


def graph(tenant: Tenant, around: object, *, hops: int = 2, fan: int = 200, limit: int = 5_000) -> nx.MultiDiGraph:
    """What lies around an account, a flow, a connection, a group, a resource or a finding.

    Parameters
    ----------
    tenant : Tenant
        The data.
    around : str, row of findings, or several of them
        Id, user principal name, or exact flow name; or a row of the findings frame.
    hops : int
        How many edges away.
    fan : int
        At most so many edges of one kind from one node; the node's attribute ``more`` counts the rest.
    limit : int
        Growth stops before this many nodes are passed; the graph's attribute ``cut`` is then True.

    Returns
    -------
    networkx.MultiDiGraph
        Nodes with kind, label, state and distance; edges with kind and reason.

    Raises
    ------
    UnknownName
        When nothing of that id or name exists.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> owner = {"environment_id": "e", "flow_id": "f", "principal_id": "ann", "role": "Owner"}
    >>> tenant = Tenant({"flow_owners": schema.frame("flow_owners", [owner])})
    >>> [d["reason"] for _, _, d in graph(tenant, "ann").edges(data=True)]
    ['ann owns f']
    """
    start = resolve(tenant, around)
    grown, cut = _grow(tenant, start, hops=hops, fan=fan, limit=limit)
    result = nx.MultiDiGraph(cut=cut)
    labels, more = describe(tenant, grown), _more(tenant, grown, fan)
    for node, distance in grown.items():
        result.add_node(node, **labels[node], distance=distance, more=more[node])
    edges = _edges(tenant, _by_family(grown), Fan(fan, inside=True))
    edges = [edge for edge in edges if edge[0] in grown and edge[1] in grown]
    for source, target, kind, template in edges:
        reason = _in_words(template, labels[source]["label"], labels[target]["label"])
        result.add_edge(source, target, kind=kind, reason=reason)
    return result


def _in_words(template: str, source: str, target: str) -> str:
    # One pass, so that braces in tenant text stay text.
    return _pattern(template) % {"source": source, "target": target}


@lru_cache(10_000)
def _pattern(template: str) -> str:
    return template.replace("%", "%%").replace("{source}", "%(source)s").replace("{target}", "%(target)s")


def _grow(tenant: Tenant, start: set[str], *, hops: int, fan: int, limit: int) -> tuple[dict[str, int], bool]:
    """Nodes with their distance, breadth first, in the order met."""
    grown = dict.fromkeys(sorted(start), 0)
    frontier = dict(grown)
    for hop in range(1, hops + 1):
        edges = _edges(tenant, _by_family(frontier), Fan(fan))
        met = dict.fromkeys([edge[0] for edge in edges] + [edge[1] for edge in edges])
        new = [node for node in met if node not in grown]
        if len(grown) + len(new) > limit:
            return grown | dict.fromkeys(new[: limit - len(grown)], hop), True
        frontier = dict.fromkeys(new, hop)
        grown |= frontier
    return grown, False


def _by_family(nodes: Iterable[str]) -> Nodes:
    families: dict[str, set[str]] = {
        f: set() for f in ("principal", "flow", "connection", "connector", "resource", "role")
    }
    for node in nodes:
        family, _, key = node.partition(":")
        families[family].add(key)
    return families


def _edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> list[Edge]:
    """All edges that touch the nodes, from every source of edges."""
    told = [edge for source in SOURCES for edge in source(tenant, nodes, fan) if None not in edge]
    return list(dict.fromkeys(cast(list[Edge], told)))


def _touching(tenant: Tenant, source: Source, ends: Mapping[str, set[str]], fan: Fan, *columns: str) -> list[Row]:
    """Some columns of the rows of a table or analysis that touch given ids in one of the `ends`; None is not known.

    Few rows, so plain tuples: a frame for each kind of edge costs more than all of them.
    """
    frame = tenant[source] if isinstance(source, str) else source(tenant)
    keys = {c: {i.partition("/")[2] for i in ids} if c in SCOPED else ids for c, ids in ends.items()}
    lookups = {column: tenant.lookup(source, column) for column in ends}
    numbers = {c: lookups[c].numbers(sorted(ids)) for c, ids in keys.items()}
    found = [lookups[c].rows(numbers[c], fan=fan.most) for c in ends]
    end, places = np.repeat(np.arange(len(found)), [len(rows) for rows in found]), np.concatenate(found)
    if fan.inside and len(places):
        joins = _joining(lookups, numbers, places)
        end, places = end[joins], places[joins]
    keep = np.ones(len(places), bool)
    for number in (n for n, c in enumerate(ends) if c in SCOPED):  # an id alone is no key: environments repeat it
        column, here = list(ends)[number], np.flatnonzero(end == number)
        rows = zip(*(texts(frame[c], places[here]) for c in ("environment_id", column)), strict=True)
        keep[here] = [f"{environment}/{key}" in ends[column] for environment, key in rows]
    met = pd.unique(places[keep])
    return list(zip(*(texts(frame[c], met) for c in columns), strict=True)) if len(met) else []


def _joining(lookups: Mapping[str, Lookup], numbers: Mapping[str, np.ndarray], places: np.ndarray) -> np.ndarray:
    """Which of the rows hold an id of the first end, and of one of the others where there are others."""
    first, *others = (lookup.among(places, numbers[column]) for column, lookup in lookups.items())
    return first & np.any(others, axis=0) if others else first


def _node(family: str, key: str | None) -> str | None:
    """Name of a node; None when its id is not known."""
    return None if key is None else f"{family}:{key}"


def _placed(family: str, environment: str | None, key: str | None) -> str | None:
    """Name of a node in an environment; None when a part of it is not known."""
    return None if environment is None or key is None else f"{family}:{environment}/{key}"


COUNTED: tuple[tuple[str, Source, str], ...] = (
    ("principal", "flow_owners", "principal_id"),
    ("principal", "memberships", "group_id"),
    ("principal", connection_accounts, "account_id"),
    ("connector", connection_accounts, "connector_id"),
    ("resource", "grants", "resource_id"),
    ("resource", "needs", "resource"),
    ("role", "role_assignments", "role_name"),
)


def _more(tenant: Tenant, nodes: Iterable[str], fan: int) -> dict[str, int]:
    """Edges of the commonest kinds that `fan` left out at each node."""
    left = dict.fromkeys(nodes, 0)
    for family, keys in _by_family(left).items():
        names = sorted(keys)
        for _, source, column in (c for c in COUNTED if c[0] == family):
            for name, count in zip(names, tenant.lookup(source, column).counts(names).tolist(), strict=True):
                left[f"{family}:{name}"] += max(0, count - fan)
    return left


def owner_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """Who owns, edits or may run a flow."""
    ends = {"flow_id": nodes["flow"], "principal_id": nodes["principal"]}
    rows = _touching(tenant, "flow_owners", ends, fan, "role", *FLOW, "principal_id")
    for role, environment, flow, who in sorted((r for r in rows if r[0]), key=lambda row: str(row[0])):
        kind, verb = ROLE_EDGES.get(str(role), ("may see", "may see"))
        yield _node("principal", who), _placed("flow", environment, flow), kind, f"{{source}} {verb} {{target}}"


def use_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """Which connections a flow uses, and as whom it runs."""
    ends = {"flow_id": nodes["flow"], "connection_id": nodes["connection"], "account_id": nodes["principal"]}
    columns = (*FLOW, "connection_id", "account_id", "alias", "how", "reason")
    rows = _touching(tenant, connection_uses, ends, fan, *columns)
    embedded = [(_placed("flow", *row[:2]), *row) for row in rows if row[-1] != "invoker"]
    for flow, environment, _, connection, _, alias, _, _ in embedded:
        yield flow, _placed("connection", environment, connection), "uses", _said("{source} uses {target} as ", alias)
    for flow, _, _, _, account, _, how, _ in embedded:
        yield flow, _node("principal", account), "runs as", _said("{source} runs as {target}: ", how)


def _said(words: str, more: str | None) -> str | None:
    return None if more is None else words + more


def account_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """As whom a connection signs in, and through which connector."""
    ends = {"connection_id": nodes["connection"], "account_id": nodes["principal"], "connector_id": nodes["connector"]}
    rows = _touching(tenant, connection_accounts, ends, fan, *CONNECTION, "account_id", "connector_id", "method")
    named = [_placed("connection", *row[:2]) for row in rows]
    for node, (_, _, account, _, method) in zip(named, rows, strict=True):
        how = method and f"{{source}} signs in as {{target}} ({method.replace('_', ' ')})"
        yield node, _node("principal", account), "signs in as", how
    for node, (_, _, _, connector, _) in zip(named, rows, strict=True):
        yield node, _node("connector", connector), "through", "{source} goes through {target}"


def member_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """Who is in which group."""
    ends = {"member_id": nodes["principal"], "group_id": nodes["principal"]}
    for member, group, relation in _touching(tenant, "memberships", ends, fan, "member_id", "group_id", "relation"):
        reason = f"{{source}} is {relation or 'member'} of {{target}}"
        yield _node("principal", member), _node("principal", group), "member of", reason


def share_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """With whom a connection is shared."""
    ends = {"connection_id": nodes["connection"], "principal_id": nodes["principal"]}
    rows = _touching(tenant, "connection_shares", ends, fan, *CONNECTION, "principal_id", "role")
    for environment, connection, who, role in rows:
        reason = f"{{source}} is shared with {{target}} ({role or 'role not told'})"
        yield _placed("connection", environment, connection), _node("principal", who), "shared with", reason


def need_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """What a flow needs."""
    ends = {"flow_id": nodes["flow"], "resource": nodes["resource"]}
    for environment, flow, resource, level, step in _touching(
        tenant, "needs", ends, fan, *FLOW, "resource", "level", "step"
    ):
        if resource and level and step:
            reason = f"{{source}} needs {level} on {{target}} in step {step}"
            yield _placed("flow", environment, flow), _node("resource", resource), "needs", reason


def grant_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """Who may do what on a resource."""
    ends = {"principal_id": nodes["principal"], "resource_id": nodes["resource"]}
    for who, what, level, via in _touching(tenant, "grants", ends, fan, "principal_id", "resource_id", "level", "via"):
        reason = level and f"{{source}} holds {level} rights on {{target}} ({via or 'direct'})"
        yield _node("principal", who), _node("resource", what), "may", reason


def role_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """Who holds which directory role."""
    ends = {"principal_id": nodes["principal"], "role_name": nodes["role"]}
    for who, role, state in _touching(tenant, "role_assignments", ends, fan, "principal_id", "role_name", "state"):
        reason = f"{{source}} holds {{target}} ({state or 'active'})"
        yield _node("principal", who), _node("role", role), "holds", reason


def child_edges(tenant: Tenant, nodes: Nodes, fan: Fan) -> Iterator[Told]:
    """Which flow calls which."""
    calls = _touching(tenant, "steps", {"flow_id": nodes["flow"]}, fan, *FLOW, "child_flow_id")
    wanted = dict.fromkeys(child for _, _, child in calls if child)
    if not wanted:
        return
    children = tenant.rows("flows", "workflow_id", wanted)[["environment_id", "workflow_id", "flow_id"]]
    known: dict[tuple[str, str], list[str]] = {}
    for environment, workflow, child in children.itertuples(index=False, name=None):
        known.setdefault((environment, workflow), []).append(child)
    for environment, flow, workflow in calls:
        for child in known.get((str(environment), str(workflow)), ()):
            target = _placed("flow", environment, child)
            yield _placed("flow", environment, flow), target, "calls", "{source} calls {target}"


SOURCES: tuple[Callable[[Tenant, Nodes, Fan], Iterator[Told]], ...] = (
    owner_edges,
    use_edges,
    account_edges,
    member_edges,
    share_edges,
    need_edges,
    grant_edges,
    role_edges,
    child_edges,
)
