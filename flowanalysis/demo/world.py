"""The tenant as it stands in one month: flows, their connections, and the rights that make them run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from flowanalysis.demo import flows as flow_table
from flowanalysis.demo.flow import RUNNER, Flow
from flowanalysis.demo.gaps import deviate
from flowanalysis.demo.ids import DOMAIN, Ids
from flowanalysis.demo.people import DEPARTMENTS, Account, accounts, deputy, lead
from flowanalysis.demo.recipes import RECIPES
from flowanalysis.demo.steps import Need, Place, Step

LEVELS = ("read", "write", "owner", "full")
EXTERNAL = "ext:"
# key: (name as shown, sku, has Dataverse)
ENVIRONMENTS = {
    "default": ("Tailwind Traders (default)", "Default", False),
    "production": ("Tailwind Production", "Production", True),
    "finance": ("Tailwind Finance", "Production", True),
    "sandbox": ("Tailwind Sandbox", "Sandbox", True),
    "developer": ("Emil Frost's Environment", "Developer", True),
    "teams": ("Facilities Team", "Teams", True),
}
PREMIUM_CONNECTORS = {"shared_sql", "shared_commondataserviceforapps", "shared_commondataservice"}
BROKEN = {  # (environment, connector, account): (stages, sign-in error)
    ("production", "shared_approvals", "svc-flow-facilities"): ((1,), 50173),
    ("production", "shared_microsoftforms", "svc-flow-hr"): ((0,), 700082),
    ("production", "shared_planner", "svc-flow-marketing"): ((0, 1), 700082),
}


@dataclass(frozen=True)
class Connection:
    """A stored sign-in of one account with one connector in one environment."""

    id: str
    environment: str
    connector: str
    account: str
    maker: str
    error: int = 0
    everyone: bool = False


@dataclass(frozen=True)
class World:
    """Everything about one month. `stage` is 0 for the first month and 1 later."""

    ids: Ids
    stage: int
    users: int
    flow_count: int

    @cached_property
    def accounts(self) -> dict[str, Account]:
        """User objects that exist in this month, purged ones included."""
        return {k: a for k, a in accounts(self.ids, self.users).items() if self.stage in a.stages}

    @cached_property
    def flows(self) -> list[Flow]:
        """Flows of this month."""
        return [f for f in flow_table.flows(self.ids, self.flow_count) if self.stage in f.stages]

    def in_environment(self, environment: str) -> list[Flow]:
        """Flows of an environment."""
        return [f for f in self.flows if f.environment == environment]

    def identity(self, key: str) -> str:
        """Object id of an account, service principal, group or list."""
        kind, _, name = key.rpartition(":")
        if kind == "sp":
            return self.ids.guid("service-principal", name)
        if kind == "list":
            return Place(self.ids, name).list("Tasks")
        return self.ids.guid("group" if kind == "group" else "user", name)

    def address(self, key: str) -> str:
        """Name that a connection shows for an account."""
        return self.accounts[key].address if key in self.accounts else f"{key.rpartition(':')[2]}@{DOMAIN}"

    def environment_id(self, key: str) -> str:
        """Name of an environment in ids."""
        return f"Default-{self.tenant_id}" if key == "default" else self.ids.guid("environment", key)

    @property
    def tenant_id(self) -> str:
        """Id of the tenant."""
        return self.ids.guid("tenant")

    def org(self, environment: str) -> str:
        """Address of an environment's Dataverse."""
        return f"https://tailwind-{environment}.crm.dynamics.example"

    def steps(self, flow: Flow) -> list[Step]:
        """Trigger first, then actions."""
        return self._steps[flow.key]

    @cached_property
    def _steps(self) -> dict[str, list[Step]]:
        found = {}
        for flow in self.flows:
            recipe = flow.recipe_before if flow.recipe_before and self.stage == 0 else flow.recipe
            found[flow.key] = RECIPES[recipe](Place(self.ids, flow.department), flow.name)
        return found

    def account_of(self, flow: Flow, connector: str) -> str:
        """Key of the account behind one of the flow's connections."""
        return dict(flow.on).get(connector, flow.account)

    @cached_property
    def connections(self) -> dict[tuple[str, str, str], Connection]:
        """Connections by environment, connector and account."""
        found: dict[tuple[str, str, str], Connection] = {}
        for flow in self.flows:
            for connector in connectors(self.steps(flow)):
                if connector not in flow.invoker + flow.unbound:
                    key = (flow.environment, connector, self.account_of(flow, connector))
                    found.setdefault(key, self._connection(key, flow))
        return found

    def _connection(self, key: tuple[str, str, str], flow: Flow) -> Connection:
        environment, connector, account = key
        stem = connector.replace("_", "-", 1)[:20]
        maker = account
        foreign = account.startswith((EXTERNAL, "sp:"))
        # Some service account connections were made by a person who knew the password: still the service account's.
        if foreign or (account.startswith("svc-") and self.ids.number(3, "maker", *key) == 0):
            maker = lead(flow.department)
        stages, error = BROKEN.get(key, ((), 0))
        return Connection(
            f"{stem}-{self.ids.guid('connection', *key)}",
            environment,
            connector,
            account,
            maker,
            error if self.stage in stages else 0,
            everyone=account.startswith(EXTERNAL),
        )

    def uses(self) -> Iterator[tuple[Flow, str, Need]]:
        """Flow, account and right of every step that runs on a stored connection."""
        for flow in self.flows:
            for step in walk(self.steps(flow)):
                if step.connector and step.connector not in flow.invoker + flow.unbound:
                    for kind, resource, level in step.needs:
                        if kind == "dataverse_table":
                            resource = f"{self.org(flow.environment)}|{resource}"
                        yield flow, self.account_of(flow, step.connector), (kind, resource, level)

    @cached_property
    def needed(self) -> dict[str, dict[tuple[str, str], str]]:
        """Per account: the least level on each resource that all its steps together need."""
        found: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        for _, account, (kind, resource, level) in self.uses():
            raise_to(found[account], (kind, resource), level)
        return found

    @cached_property
    def granted(self) -> dict[str, dict[tuple[str, str], str]]:
        """Per account or group: what rights.csv says. Exactly the needs, then the planted deviations."""
        found = {a: dict(rights) for a, rights in self.needed.items() if not a.startswith(EXTERNAL)}
        for department in DEPARTMENTS:
            found[f"group:keepers-{department}"] = self._kept_by(department)
        deviate(self.ids, self.stage, found)
        return found

    def _kept_by(self, department: str) -> dict[tuple[str, str], str]:
        """What the people who keep a department's flows may do themselves: as much as those flows can."""
        keepers = {lead(department), deputy(department), f"group:keepers-{department}"}
        kept = {self.account_of(f, c) for f, c in self._kept(keepers)}
        found: dict[tuple[str, str], str] = {}
        for account in sorted(kept):
            for key, level in self.needed.get(account, {}).items():
                raise_to(found, key, level)
        return found

    def _kept(self, keepers: set[str]) -> Iterator[tuple[Flow, str]]:
        for flow in self.flows:
            if keepers & {flow.owner, *flow.co_owners}:
                for connector in connectors(self.steps(flow)):
                    if connector not in flow.invoker + flow.unbound:
                        yield flow, connector


def raise_to(rights: dict[tuple[str, str], str], key: tuple[str, str], level: str) -> None:
    """Keep the higher level."""
    if LEVELS.index(level) > LEVELS.index(rights.get(key, "read")) or key not in rights:
        rights[key] = level


def walk(steps: list[Step]) -> Iterator[Step]:
    """All steps at all depths."""
    for step in steps:
        yield step
        yield from walk(list(step.inner))


def connectors(steps: list[Step]) -> list[str]:
    """Connectors in order of first use."""
    return list(dict.fromkeys(s.connector for s in walk(steps) if s.connector))


def needs_premium(steps: list[Step]) -> bool:
    """True when a step asks for a premium licence."""
    http = any(s.body.get("type") == "Http" or s.body.get("kind") == "Http" for s in walk(steps))
    return http or bool(PREMIUM_CONNECTORS & set(connectors(steps)))


def owner_kind(key: str) -> str:
    """Type of a principal in flow permissions."""
    return {"sp": "ServicePrincipal", "group": "Group", "list": "SharePointList"}.get(key.partition(":")[0], "User")


__all__ = [
    "BROKEN",
    "ENVIRONMENTS",
    "EXTERNAL",
    "LEVELS",
    "PREMIUM_CONNECTORS",
    "RUNNER",
    "Connection",
    "World",
    "connectors",
    "needs_premium",
    "owner_kind",
    "raise_to",
    "walk",
]
