"""The part of a tenant that an analyst looks at, as a networkx graph.

The whole tenant is never one graph: a sub-graph is grown from what is asked about, one hop at a time.
Nodes are ``principal:id``, ``flow:environment/id``, ``connection:environment/id``, ``connector:id``,
``resource:key`` and ``role:name``; every edge has a kind and a reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import networkx as nx
import numpy as np
import pandas as pd

from flowanalysis.analysis.execution import connection_accounts, connection_uses
from flowanalysis.graph_nodes import describe, resolve
from flowanalysis.tenant import Source, Tenant

EDGE = ["source", "target", "kind", "reason"]
FLOW = ("environment_id", "flow_id")
CONNECTION = ("environment_id", "connection_id")
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
    edges = _edges(tenant, _by_family(grown), fan, among=grown)
    for source, target, kind, template in zip(*(edges[c].tolist() for c in EDGE), strict=True):
        reason = _in_words(template, labels[source]["label"], labels[target]["label"])
        result.add_edge(source, target, kind=kind, reason=reason)
    return result


def _in_words(template: str, source: str, target: str) -> str:
    # One pass, so that braces in tenant text stay text.
    return re.sub(r"\{(source|target)\}", lambda m: source if m.group(1) == "source" else target, template)


def _grow(tenant: Tenant, start: set[str], *, hops: int, fan: int, limit: int) -> tuple[dict[str, int], bool]:
    """Nodes with their distance, breadth first, in the order met."""
    grown = dict.fromkeys(sorted(start), 0)
    frontier = dict(grown)
    for hop in range(1, hops + 1):
        edges = _edges(tenant, _by_family(frontier), fan)
        met = pd.unique(pd.concat([edges["source"], edges["target"]]))
        new = [node for node in met.tolist() if node not in grown]
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


def _edges(tenant: Tenant, nodes: Nodes, fan: int, *, among: Iterable[str] | None = None) -> pd.DataFrame:
    """All edges that touch the nodes, from every source of edges; with `among` only those between such nodes."""
    parts = [part for source in SOURCES for part in source(tenant, nodes, fan) if len(part)]
    if among is not None:
        known = pd.Index(list(among), dtype="str")
        parts = [part[part["source"].isin(known) & part["target"].isin(known)] for part in parts]
    return pd.concat(parts, ignore_index=True).drop_duplicates() if parts else pd.DataFrame(columns=EDGE, dtype="str")


def _touching(tenant: Tenant, source: Source, ends: Mapping[str, set[str]], fan: int, *columns: str) -> pd.DataFrame:
    """Some columns of the rows of a table or analysis that touch given ids in one of the `ends`."""
    frame = tenant[source] if isinstance(source, str) else source(tenant)
    found = [np.empty(0, np.int32)]
    for column, ids in ends.items():
        scoped = column in ("flow_id", "connection_id")
        keys = {i.partition("/")[2] for i in ids} if scoped else ids
        places = tenant.lookup(source, column).positions(sorted(keys), fan=fan)
        if scoped:  # an id alone is not a key: packages and copies of environments repeat it
            rows = frame[["environment_id", column]].take(places)
            places = places[(rows["environment_id"] + "/" + rows[column]).isin(ids).to_numpy(bool)]
        found.append(places)
    return frame[list(columns)].take(pd.unique(np.concatenate(found)))


def _edge(source: pd.Series, target: pd.Series, kind: str, reason: str | pd.Series) -> pd.DataFrame:
    data = {"source": source, "target": target, "kind": kind, "reason": reason}
    return pd.DataFrame(data).dropna().astype(str)


def _flow(rows: pd.DataFrame) -> pd.Series:
    return "flow:" + rows["environment_id"] + "/" + rows["flow_id"]


def _connection(rows: pd.DataFrame) -> pd.Series:
    return "connection:" + rows["environment_id"] + "/" + rows["connection_id"]


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


def owner_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """Who owns, edits or may run a flow."""
    rows = _touching(
        tenant,
        "flow_owners",
        {"flow_id": nodes["flow"], "principal_id": nodes["principal"]},
        fan,
        *FLOW,
        "principal_id",
        "role",
    )
    parts = []
    for role, of_role in rows.groupby("role"):
        kind, verb = ROLE_EDGES.get(str(role), ("may see", "may see"))
        parts.append(
            _edge("principal:" + of_role["principal_id"], _flow(of_role), kind, f"{{source}} {verb} {{target}}")
        )
    return parts


def use_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """Which connections a flow uses, and as whom it runs."""
    ends = {"flow_id": nodes["flow"], "connection_id": nodes["connection"], "account_id": nodes["principal"]}
    columns = (*FLOW, "connection_id", "account_id", "alias", "reason", "how")
    rows = _touching(tenant, connection_uses, ends, fan, *columns)
    embedded = rows[rows["reason"] != "invoker"]
    return [
        _edge(_flow(embedded), _connection(embedded), "uses", "{source} uses {target} as " + embedded["alias"]),
        _edge(
            _flow(embedded),
            "principal:" + embedded["account_id"],
            "runs as",
            "{source} runs as {target}: " + embedded["how"],
        ),
    ]


def account_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """As whom a connection signs in, and through which connector."""
    ends = {"connection_id": nodes["connection"], "account_id": nodes["principal"], "connector_id": nodes["connector"]}
    rows = _touching(tenant, connection_accounts, ends, fan, *CONNECTION, "account_id", "connector_id", "method")
    signs = "{source} signs in as {target} (" + rows["method"].str.replace("_", " ") + ")"
    return [
        _edge(_connection(rows), "principal:" + rows["account_id"], "signs in as", signs),
        _edge(_connection(rows), "connector:" + rows["connector_id"], "through", "{source} goes through {target}"),
    ]


def member_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """Who is in which group."""
    ends = {"member_id": nodes["principal"], "group_id": nodes["principal"]}
    rows = _touching(tenant, "memberships", ends, fan, "member_id", "group_id", "relation")
    reason = "{source} is " + rows["relation"].fillna("member") + " of {target}"
    return [_edge("principal:" + rows["member_id"], "principal:" + rows["group_id"], "member of", reason)]


def share_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """With whom a connection is shared."""
    ends = {"connection_id": nodes["connection"], "principal_id": nodes["principal"]}
    rows = _touching(tenant, "connection_shares", ends, fan, *CONNECTION, "principal_id", "role")
    reason = "{source} is shared with {target} (" + rows["role"].fillna("role not told") + ")"
    return [_edge(_connection(rows), "principal:" + rows["principal_id"], "shared with", reason)]


def need_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """What a flow needs."""
    ends = {"flow_id": nodes["flow"], "resource": nodes["resource"]}
    rows = _touching(tenant, "needs", ends, fan, *FLOW, "resource", "level", "step")
    rows = rows[rows["resource"].fillna("") != ""]
    reason = "{source} needs " + rows["level"] + " on {target} in step " + rows["step"]
    return [_edge(_flow(rows), "resource:" + rows["resource"], "needs", reason)]


def grant_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """Who may do what on a resource."""
    ends = {"principal_id": nodes["principal"], "resource_id": nodes["resource"]}
    rows = _touching(tenant, "grants", ends, fan, "principal_id", "resource_id", "level", "via")
    reason = "{source} holds " + rows["level"] + " rights on {target} (" + rows["via"].fillna("direct") + ")"
    return [_edge("principal:" + rows["principal_id"], "resource:" + rows["resource_id"], "may", reason)]


def role_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """Who holds which directory role."""
    ends = {"principal_id": nodes["principal"], "role_name": nodes["role"]}
    rows = _touching(tenant, "role_assignments", ends, fan, "principal_id", "role_name", "state")
    reason = "{source} holds {target} (" + rows["state"].fillna("active") + ")"
    return [_edge("principal:" + rows["principal_id"], "role:" + rows["role_name"], "holds", reason)]


def child_edges(tenant: Tenant, nodes: Nodes, fan: int) -> list[pd.DataFrame]:
    """Which flow calls which."""
    calls = _touching(tenant, "steps", {"flow_id": nodes["flow"]}, fan, *FLOW, "child_flow_id")
    calls = calls[calls["child_flow_id"].notna()]
    if not len(calls):
        return []
    children = tenant.rows("flows", "workflow_id", calls["child_flow_id"])[["environment_id", "flow_id", "workflow_id"]]
    joined = calls.merge(
        children.rename(columns={"flow_id": "child"}),
        left_on=["environment_id", "child_flow_id"],
        right_on=["environment_id", "workflow_id"],
    )
    target = "flow:" + joined["environment_id"] + "/" + joined["child"]
    return [_edge(_flow(joined), target, "calls", "{source} calls {target}")]


SOURCES: tuple[Callable[[Tenant, Nodes, int], list[pd.DataFrame]], ...] = (
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
