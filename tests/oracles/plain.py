"""What the analyses mean, in sets, dicts and loops over rows."""

from __future__ import annotations

import itertools
from collections import defaultdict
from functools import cached_property
from weakref import WeakKeyDictionary

import pandas as pd

from flowanalysis.tenant import Tenant

LEVEL = {"read": 1, "write": 2, "owner": 3, "full": 4}
DEAD = {"disabled", "deleted", "purged_or_foreign"}


_READ: WeakKeyDictionary[Tenant, dict[str, list[dict]]] = WeakKeyDictionary()


def records(tenant: Tenant, table: str) -> list[dict]:
    """Rows of a table as dicts, NA as None."""
    read = _READ.setdefault(tenant, {})
    if table not in read:
        frame = tenant[table]
        columns = {c: [None if v is pd.NA or v is pd.NaT else v for v in frame[c].tolist()] for c in frame}
        read[table] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return read[table]


class World:
    """One tenant as dicts of sets."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._levels: dict[str, dict[str, int]] = {}
        self._ways: dict[str, set[str]] = {}
        self.people = {r["identity_id"]: r for r in records(tenant, "identities")}
        self.groups_of: dict[str, set[str]] = defaultdict(set)
        self.group_ids = {r["group_id"] for r in records(tenant, "groups")}
        for row in records(tenant, "memberships"):
            self.group_ids.add(row["group_id"])
            if row["relation"] != "owner":
                self.groups_of[row["member_id"]].add(row["group_id"])
        for row in records(tenant, "grants"):
            if row["principal_kind"] == "everyone":
                self.group_ids.add(row["principal_id"]) if self._members() else None
                for member in self._members():
                    self.groups_of[member].add(row["principal_id"])
        self.grants = defaultdict(dict)
        for row in records(tenant, "grants"):
            held = self.grants[row["principal_id"]]
            held[row["resource_id"]] = max(held.get(row["resource_id"], 0), LEVEL.get(row["level"], 1))
        self.inside = self._containers()
        self.account = {r["connection_id"]: r["created_by_id"] for r in records(tenant, "connections")}
        self.uses = records(tenant, "flow_connections")
        self.owners = defaultdict(dict)
        for row in records(tenant, "flow_owners"):
            roles = self.owners[row["flow_id"]]
            rank = {"RunOnly": 1, "CanView": 2, "CanEdit": 3, "Owner": 4}[row["role"]]
            roles[row["principal_id"]] = max(roles.get(row["principal_id"], 0), rank)
        for row in records(tenant, "flows"):
            if row["owner_id"]:
                self.owners[row["flow_id"]][row["owner_id"]] = 4

    def _members(self) -> list[str]:
        return [i for i, p in self.people.items() if p["kind"] == "user" and p["user_type"] != "Guest"]

    def _containers(self) -> dict[str, set[str]]:
        """Resource to all that contain it, itself included."""
        tenant = self.tenant
        known = {r["resource_id"] for r in records(tenant, "grants")} | {
            r["resource_id"] for r in records(tenant, "resources")
        }
        known |= {r["resource"] for r in records(tenant, "needs") if r["resource"]}
        known |= {r["parent_id"] for r in records(tenant, "resources") if r["parent_id"]}
        up = {r: {p for p in known if r.startswith(p + "|")} for r in known}
        for row in records(tenant, "resources"):
            if row["parent_id"]:
                up[row["resource_id"]].add(row["parent_id"])
        return {r: reach(r, up) for r in known}

    def ways(self, who: str) -> set[str]:
        if who not in self._ways:
            self._ways[who] = reach(who, self.groups_of)
        return self._ways[who]

    def levels(self, who: str) -> dict[str, int]:
        """Effective level on each resource."""
        if who not in self._levels:
            self._levels[who] = self._sought(who)
        return self._levels[who]

    def _sought(self, who: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for holder in self.ways(who):
            for resource, containers in self.inside.items():
                for place in containers:
                    level = self.grants[holder].get(place, 0) if holder in self.grants else 0
                    if level > found.get(resource, 0):
                        found[resource] = level
        return found

    def granted(self, who: str) -> dict[str, int]:
        """Level on each resource that some grant names."""
        found: dict[str, int] = {}
        for holder in self.ways(who):
            for resource, level in self.grants.get(holder, {}).items():
                found[resource] = max(found.get(resource, 0), level)
        return found

    def accounts_of(self, flow: str) -> set[str]:
        return {a for u in self.uses if u["flow_id"] == flow and (a := self.account_of_use(u))}

    def account_of_use(self, use: dict) -> str | None:
        return None if use["runtime_source"] == "invoker" else self.account.get(use["connection_id"])

    @cached_property
    def flows(self) -> set[str]:
        tables = ("flows", "flow_owners", "flow_connections")
        return {r["flow_id"] for t in tables for r in records(self.tenant, t)}

    def editors(self, flow: str) -> set[str]:
        return {p for p, rank in self.owners.get(flow, {}).items() if rank >= 3}

    def matter(self) -> set[str]:
        behind = {a for a in self.account.values() if a}
        return behind | {e for f in self.flows for e in self.editors(f)}

    @cached_property
    def told(self) -> dict[str, float]:
        return {r["resource_id"]: r["sensitivity"] for r in records(self.tenant, "resources")}

    def weight(self, resource: str) -> float:
        return self.told.get(resource) or 1.0

    def alive(self, who: str) -> bool:
        return self.people.get(who, {}).get("status") not in DEAD

    def members(self, group: str) -> set[str]:
        """Everybody inside who is no group."""
        everybody = set(self.groups_of) | set(self.people)
        return {p for p in everybody if group in self.ways(p) and p != group and p not in self.group_ids}

    def keepers(self, flow: str) -> tuple[set[str], set[str]]:
        """Living people who can edit a flow, and what stays whoever leaves."""
        lists = {
            r["principal_id"] for r in records(self.tenant, "flow_owners") if r["principal_kind"] == "SharePointList"
        }
        people, crowds = set(), set()
        for editor in self.editors(flow):
            if editor in lists or (editor in self.group_ids and not self.members(editor)):
                crowds.add(editor)
            elif editor in self.group_ids:
                people |= {m for m in self.members(editor) if self.alive(m) and m not in lists}
            elif self.alive(editor):
                people.add(editor)
        return people, crowds


def reach(start: str, step: dict[str, set[str]]) -> set[str]:
    """All that any number of steps reaches, the start included."""
    seen, todo = {start}, [start]
    while todo:
        for node in step.get(todo.pop(), ()):
            if node not in seen:
                seen.add(node)
                todo.append(node)
    return seen


def excess(world: World) -> set[tuple]:
    """(account, resource, granted, needed, reason) of rights beyond need."""
    found = set()
    everything = [n for n in needs(world) if n["settled"]]
    for account in {a for f in world.flows for a in world.accounts_of(f)}:
        mine = [n for n in needs(world) if n["account"] == account]
        for resource, level in world.granted(account).items():
            on = [n for n in mine if n["settled"] and resource in world.inside[n["resource"]]]
            wanted = max((LEVEL.get(n["level"], 0) for n in on), default=0)
            if level > wanted:
                found.add(
                    (
                        account,
                        resource,
                        level,
                        wanted,
                        _excess_reason(world, account, resource, wanted, on, mine, everything),
                    )
                )
    return found


def _excess_reason(world, account, resource, wanted, on, mine, everything) -> str:
    tenant = world.tenant
    read = {r["flow_id"] for t in ("steps", "needs") for r in records(tenant, t)}
    read |= {r["flow_id"] for r in records(tenant, "flows") if r["has_definition"] is True}
    read = read if tenant.has("needs") else set()
    if any(account in world.accounts_of(f) and f not in read for f in world.flows):
        return "definition_not_read"
    families = {family(n["resource_kind"]) for n in mine if not n["settled"]}
    if families and (
        None in families or kind_family(world, resource) is None or kind_family(world, resource) in families
    ):
        return "unknown_resource"
    if any(n["level"] not in LEVEL for n in on):
        return "unknown_level"
    if wanted:
        return "level_too_high"
    return (
        "needed_by_other_flows" if any(resource in world.inside[n["resource"]] for n in everything) else "never_needed"
    )


def family(kind: str | None) -> str | None:
    return {"sharepoint_list": "sharepoint", "sharepoint_site": "sharepoint", "mailbox": "exchange"}.get(kind)


def kind_family(world: World, resource: str) -> str | None:
    """Family of a resource: as the resources tell, else the first kind by name that a need tells."""
    told = {r["resource_id"]: r["kind"] for r in records(world.tenant, "resources") if r["kind"]}
    if resource in told:
        return family(told[resource])
    kinds = sorted(
        n["resource_kind"] for n in records(world.tenant, "needs") if n["resource"] == resource and n["resource_kind"]
    )
    return family(kinds[0]) if kinds else None


def needs(world: World) -> list[dict]:
    """Needs on stored connections, each with its account (None when not known)."""
    uses = {(u["flow_id"], u["alias"]): u for u in world.uses}
    found = []
    for need in records(world.tenant, "needs"):
        use = uses.get((need["flow_id"], need["alias"]))
        if use is not None and use["runtime_source"] == "invoker":
            continue
        account = world.account_of_use(use) if use else None
        settled = need["state"] in ("known", "environment_variable") and bool(need["resource"])
        found.append({**need, "account": account, "settled": settled})
    return found


def missing(world: World) -> set[tuple]:
    """(account, flow, step, resource, granted) of needs not held, or of an account not known."""
    found = set()
    for need in needs(world):
        if not need["settled"]:
            continue
        level = world.levels(need["account"]).get(need["resource"], 0) if need["account"] else 0
        if not need["account"] or level < max(LEVEL.get(need["level"], 0), 1):
            found.add((need["account"], need["flow_id"], need["step"], need["resource"], level))
    return found


def flow_blast(world: World) -> dict[str, tuple]:
    """Flow to accounts, reach, reach with write, weight."""
    found = {}
    for flow in world.flows:
        accounts = world.accounts_of(flow)
        merged = union(world, accounts)
        if accounts:
            found[flow] = (len(accounts), *merged)
    return found


def union(world: World, accounts: set[str]) -> tuple[int, int, float]:
    levels: dict[str, int] = {}
    for account in accounts:
        for resource, level in world.levels(account).items():
            levels[resource] = max(levels.get(resource, 0), level)
    return len(levels), sum(level >= 2 for level in levels.values()), sum(world.weight(r) for r in levels)


def identity_blast(world: World) -> dict[str, tuple]:
    """Identity to own reach, flows it can edit, connections shared with it, reach, reach with write, weight."""
    found = {}
    shares = records(world.tenant, "connection_shares")
    for who in world.matter():
        ways = world.ways(who)
        flows = {f for f in world.flows if world.editors(f) & ways}
        shared = {s["connection_id"] for s in shares if s["principal_id"] in ways}
        accounts = {who} | {a for f in flows for a in world.accounts_of(f)} | {world.account.get(c) for c in shared}
        found[who] = (len(world.levels(who)), len(flows), len(shared), *union(world, accounts - {None}))
    return found


def escalations(world: World) -> dict[tuple, tuple]:
    """(editor, account) to flows, gained, gained with write, gained weight."""
    found: dict[tuple, list] = defaultdict(list)
    for flow in world.flows:
        for editor, account in itertools.product(world.editors(flow), world.accounts_of(flow)):
            if editor != account:
                found[editor, account].append(flow)
    result = {}
    for (editor, account), flows in found.items():
        mine, theirs = world.levels(editor), world.levels(account)
        more = {r: level for r, level in theirs.items() if level > mine.get(r, 0)}
        if more:
            weight = sum(world.weight(r) for r in more)
            result[editor, account] = (len(flows), len(more), sum(level >= 2 for level in more.values()), weight)
    return result


def overlap(world: World, accounts: list[str]) -> dict[tuple, tuple]:
    """Pairs that share something to shared, Jaccard and weighted Jaccard."""
    sets = {a: {(r, n) for r, level in world.levels(a).items() for n in range(level)} for a in accounts}
    found = {}
    for a, b in itertools.combinations(sorted(accounts), 2):
        both, either = sets[a] & sets[b], sets[a] | sets[b]
        if both:
            heavy = sum(world.weight(r) for r, _ in both) / sum(world.weight(r) for r, _ in either)
            found[a, b] = (len(both), len(both) / len(either), heavy)
    return found


def impact(world: World) -> dict[str, tuple]:
    """Identity to flows that fail, are orphaned, or either, among flows not switched off; each leaver tried in turn."""
    states = {r["flow_id"]: r["state"] for r in records(world.tenant, "flows")}
    live = {f for f in world.flows if states.get(f) not in ("Stopped", "Deleted")}
    found = {}
    keepers = {f: world.keepers(f) for f in live}
    everybody = {a for f in live for a in world.accounts_of(f)}.union(*(people for people, _ in keepers.values()))
    for who in everybody - world.group_ids:
        fail = {f for f in live if who in world.accounts_of(f)}
        orphaned = {f for f, (people, crowds) in keepers.items() if people == {who} and not crowds}
        found[who] = (len(fail | orphaned), len(fail), len(orphaned))
    return {who: counts for who, counts in found.items() if any(counts)}
