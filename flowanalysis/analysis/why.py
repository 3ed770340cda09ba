"""The shortest explanation between any two things of a tenant: how one comes to the other, a sentence for each hop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from flowanalysis import matrices
from flowanalysis.analysis.paths import labels
from flowanalysis.analysis.paths import verb as words_of
from flowanalysis.analysis.reach import covered, kept
from flowanalysis.codes import SEPARATOR, Codes, Names, pair
from flowanalysis.errors import UnknownName
from flowanalysis.matrices import Matrix
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.tenant import Tenant

KINDS = ("principal", "flow", "connection", "resource", "role")
OWNS = {4: "owns", 3: "can edit", 2: "may see", 1: "may run"}
SHARES = {4: "owns", 3: "may edit", 2: "may use and share", 1: "may use"}
COLUMNS = ["hop", "source_kind", "source", "target_kind", "target", "edge", "sentence"]
TABLES = {
    "memberships": "ways over groups are not seen",
    "grants": "ways over grants are not seen",
    "flow_owners": "ways over owners are not seen",
    "flow_connections": "ways over connections of flows are not seen",
    "connections": "ways over accounts of connections are not seen",
    "connection_shares": "ways over shares are not seen",
    "role_assignments": "ways over directory roles are not seen",
}


@dataclass(frozen=True, eq=False)
class Link:
    """One kind of edge: from, to, which pairs, and how it reads."""

    source: str
    target: str
    matrix: Matrix
    edge: str


@kept
def role_names(tenant: Tenant) -> Names:
    """Directory roles by name."""
    return Names.of([tenant.role_assignments["role_name"]])


@kept
def links(tenant: Tenant) -> list[Link]:
    """All kinds of edges, those that carry rights first, so that of equally short ways the telling one is found."""
    codes, roles = tenant.codes, tenant.role_assignments
    need = matrices.relation(
        codes.flows.codes(pair(tenant.needs, "flow_id")),
        codes.resources.codes(tenant.needs["resource"]),
        1,
        (len(codes.flows), len(codes.resources)),
    )
    holds = matrices.relation(
        codes.principals.codes(roles["principal_id"]),
        role_names(tenant).codes(roles["role_name"]),
        1 + (roles["state"] != "eligible").fillna(True).to_numpy(np.int64),
        (len(codes.principals), len(role_names(tenant))),
    )
    return [
        Link("principal", "resource", codes.held, "granted"),
        Link("principal", "role", holds, "holds"),
        Link("principal", "principal", codes.member, "member"),
        Link("resource", "resource", codes.cover, "contains"),
        Link("principal", "connection", codes.shares.T.tocsr(), "shared"),
        Link("principal", "flow", codes.owned, "edits"),
        Link("connection", "principal", codes.signs_in, "signs in as"),
        Link("flow", "connection", codes.uses, "uses"),
        Link("flow", "principal", codes.runs_as, "runs as"),
        Link("flow", "resource", need, "needs"),
    ]


@kept
def turned(tenant: Tenant) -> list[Link]:
    """The same edges walked against their direction."""
    return [Link(link.target, link.source, link.matrix.T.tocsr(), link.edge) for link in links(tenant)]


def why(tenant: Tenant, who: str, what: str) -> pd.DataFrame:
    """How one thing comes to another: the shortest way, hop by hop.

    Parameters
    ----------
    tenant : Tenant
        The data.
    who, what : str
        Any two of: identity or group (id, user principal name, mail address), flow or connection (id, or
        ``environment/id``), flow name, resource key, name of a directory role.

    Returns
    -------
    DataFrame
        One row for each hop: hop (from 1), source_kind, source, target_kind, target, edge, sentence. A way along the
        direction of rights is told where there is one; else one from `what` to `who`; else one that ignores directions.
        ``attrs["direction"]`` is forward, backward, either or none (then the frame is empty, and
        ``attrs["coverage"]`` says what was not collected that might have shown a way). Of equally short ways the
        first by id is told.

    Raises
    ------
    UnknownName
        When nothing is called so.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> tenant = Tenant({
    ...     "memberships": schema.frame("memberships", [{"group_id": "finance", "member_id": "ann"}]),
    ...     "grants": schema.frame("grants", [{"principal_id": "finance", "resource_id": "ledger", "level": "write"}]),
    ... })
    >>> why(tenant, "ann", "ledger")["sentence"].tolist()
    ['ann is a member of finance.', 'finance may write ledger.']
    """
    start, end = find(tenant, who), find(tenant, what)
    forward, backward = links(tenant), None
    way, direction = _search(tenant, start, end, forward), "forward"
    if way is None:
        way, direction = _search(tenant, end, start, forward), "backward"
    if way is None:
        backward = turned(tenant)
        way, direction = _search(tenant, start, end, [*forward, *backward]), "either"
    rows = [] if way is None else [_hop(tenant, *step, flip=step[2] >= len(forward)) for step in way]
    frame = pd.DataFrame(rows, columns=COLUMNS[1:], dtype=TEXT)
    frame.insert(0, "hop", pd.array(range(1, len(frame) + 1), dtype=COUNT))
    frame.attrs["direction"] = "none" if way is None else direction
    return covered(frame, tenant, TABLES)


Node = tuple[str, int]  # kind and code


def find(tenant: Tenant, name: str) -> Node:
    """Kind and code of what is called so; identities win over flows, flows over connections, then resources and roles.

    Raises
    ------
    UnknownName
        When nothing is called so.
    """
    codes, folded = tenant.codes, name.strip().lower()
    for kind, code in (
        ("principal", codes.principals.code(folded)),
        ("principal", _person(tenant, folded)),
        ("flow", _paired(codes.flows, folded)),
        ("flow", _named_flow(tenant, folded)),
        ("connection", _paired(codes.connections, folded)),
        ("resource", codes.resources.code(folded)),
        ("role", _role(tenant, folded)),
    ):
        if code >= 0:
            return kind, code
    known = pd.concat(
        [tenant.identities["upn"], tenant.flows["display_name"], tenant.resources["resource_id"]]
    ).dropna()
    near = known[known.str[:2].str.lower() == folded[:2]].head(2_000)
    raise UnknownName("identity, flow, connection, resource or role", name, near)


def _person(tenant: Tenant, folded: str) -> int:
    people = tenant.identities
    same = (people["upn"].str.lower() == folded) | (people["mail"].str.lower() == folded)
    rows = people.loc[same.fillna(False).to_numpy(bool), "identity_id"]
    return tenant.codes.principals.code(rows.min()) if len(rows) else -1


def _paired(names: Names, folded: str) -> int:
    """Code of ``environment/id``, or of an id that only one environment has."""
    environment, _, rest = folded.rpartition("/")
    if environment and (code := names.code(environment + SEPARATOR + rest)) >= 0:
        return code
    places = np.flatnonzero(pc.ends_with(names.values, SEPARATOR + folded).to_numpy(zero_copy_only=False))
    return int(places[0]) if len(places) == 1 else -1


def _named_flow(tenant: Tenant, folded: str) -> int:
    rows = tenant.flows[(tenant.flows["display_name"].str.lower() == folded).fillna(False).to_numpy(bool)]
    return int(tenant.codes.flows.codes(pair(rows, "flow_id")).min()) if len(rows) else -1


def _role(tenant: Tenant, folded: str) -> int:
    names = pd.Series(role_names(tenant).text(np.arange(len(role_names(tenant)))), dtype=TEXT)
    same = np.flatnonzero((names.str.lower() == folded).to_numpy(bool))
    return int(same[0]) if len(same) else -1


def _sizes(tenant: Tenant) -> dict[str, int]:
    codes = tenant.codes
    return {
        "principal": len(codes.principals),
        "flow": len(codes.flows),
        "connection": len(codes.connections),
        "resource": len(codes.resources),
        "role": len(role_names(tenant)),
    }


def _search(tenant: Tenant, start: Node, end: Node, edges: list[Link]) -> list[tuple[Node, Node, int]] | None:
    """Breadth first, a round for each hop: (source, target, place of the link) of each hop, or None."""
    sizes = _sizes(tenant)
    parent = {kind: np.full(size, -1, np.int64) for kind, size in sizes.items()}  # code of the node before
    over = {kind: np.full(size, -1, np.int16) for kind, size in sizes.items()}  # link that led here
    over[start[0]][start[1]] = len(edges)
    frontier = {kind: np.empty(0, np.int64) for kind in KINDS} | {start[0]: np.array([start[1]])}
    while over[end[0]][end[1]] < 0 and any(len(f) for f in frontier.values()):
        following: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
        for number, link in enumerate(edges):
            rows = frontier[link.source]
            places, counts = matrices.spans(link.matrix, rows)
            targets, first = np.unique(link.matrix.indices[places], return_index=True)
            fresh = over[link.target][targets] < 0
            targets, source = targets[fresh], np.repeat(rows, counts)[first[fresh]]
            over[link.target][targets], parent[link.target][targets] = number, source
            following[link.target].append(targets)
        frontier = {
            kind: np.sort(np.concatenate(parts or [np.empty(0, np.int64)])) for kind, parts in following.items()
        }
    if over[end[0]][end[1]] < 0:
        return None
    way, node = [], end
    while node != start:
        number = int(over[node[0]][node[1]])
        before = edges[number].source, int(parent[node[0]][node[1]])
        way.append((before, node, number))
        node = before
    return way[::-1]


def _hop(tenant: Tenant, source: Node, target: Node, number: int, *, flip: bool) -> list[str]:
    """One hop in words; a hop against the direction is told in the direction that it has."""
    link = links(tenant)[number % len(links(tenant))]
    begin, end = (target, source) if flip else (source, target)
    value = int(link.matrix[begin[1], end[1]])
    verb = {
        "granted": f"may {words_of(min(value, 4))}",
        "holds": "holds the directory role" if value != 1 else "is eligible for the directory role",
        "member": "is a member of",
        "contains": "contains",
        "shared": SHARES.get(value, "may use") + " the connection",
        "edits": OWNS.get(value, "may see") + " the flow",
        "signs in as": "signs in as",
        "uses": "uses the connection",
        "runs as": "runs as",
        "needs": "needs",
    }[link.edge]
    sentence = f"{name_of(tenant, begin)} {verb} {name_of(tenant, end)}."
    return [source[0], id_of(tenant, source), target[0], id_of(tenant, target), link.edge, sentence]


def id_of(tenant: Tenant, node: Node) -> str:
    """Id of a node; environment and id with a slash between for flows and connections."""
    return str(_names(tenant, node[0]).text([node[1]])[0]).replace(SEPARATOR, "/")


def _names(tenant: Tenant, kind: str) -> Names:
    codes: Codes = tenant.codes
    of = {
        "principal": codes.principals,
        "flow": codes.flows,
        "connection": codes.connections,
        "resource": codes.resources,
    }
    return role_names(tenant) if kind == "role" else of[kind]


def name_of(tenant: Tenant, node: Node) -> str:
    """A readable name of a node."""
    if node[0] == "principal":
        return str(labels(tenant).iloc[node[1]])
    if node[0] == "flow":
        environment, _, flow_id = str(tenant.codes.flows.text([node[1]])[0]).partition(SEPARATOR)
        rows = tenant.rows("flows", "flow_id", [flow_id])
        rows = rows[(rows["environment_id"] == environment).fillna(False) & rows["display_name"].notna()]
        return str(rows["display_name"].iloc[0]) if len(rows) else flow_id
    return id_of(tenant, node)
