"""Rows of the exports that ``generate.py`` writes: one template for each shape of the APIs, filled by columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from export_text import fill, pick, quoted, take, text

World = Any  # generate.World: it draws, this module writes
CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#"
TENANT = "6a1c4e0e-5f0b-4d0e-9c7a-3f2b8d9e0001"
SEEN = "2026-10-31T20:00:00Z"
CONNECTORS = (
    "shared_sharepointonline",
    "shared_office365",
    "shared_teams",
    "shared_commondataserviceforapps",
    "shared_approvals",
    "shared_office365users",
    "shared_excelonlinebusiness",
    "shared_onedriveforbusiness",
    "shared_sql",
    "shared_planner",
)
WEIGHTS = (0.28, 0.24, 0.1, 0.12, 0.06, 0.06, 0.05, 0.04, 0.03, 0.02)
TITLES = ("SharePoint", "Office 365 Outlook", "Microsoft Teams", "Microsoft Dataverse", "Approvals")
TITLES += ("Office 365 Users", "Excel Online (Business)", "OneDrive for Business", "SQL Server", "Planner")
TIERS = tuple("Premium" if c in ("shared_sql", "shared_commondataserviceforapps") else "Standard" for c in CONNECTORS)
SHORT = [c.replace("_", "-")[:20] for c in CONNECTORS]
GIVEN = ("Ada", "Bo", "Chidi", "Dana", "Élodie", "Farid", "Grace", "Hana", "Ivo", "Jun", "Kofi", "Lior", "Mira", "Noor")
SURNAMES = ("Abel", "Brandt", "Castell", "Dubois", "Eriksen", "Finch", "Gomes", "Hâncu", "Imanov", "Jansen", "O'Hara")
DEPARTMENTS = ("Finance", "People", "Sales", "Service", "Logistics", "Legal", "Plant 3", "IT")
PRODUCTS = {
    "SPE_E3": "05e9a617-0261-4cee-bb44-138d3ef5d965",
    "POWERAUTOMATE_ATTENDED_RPA": "eda1941c-3c4f-4995-b5eb-e85a42175ab9",
    "FLOW_FREE": "f30db892-07e9-47e9-837c-80727f46fd3d",
}
SKUS = tuple(
    f'{{"id":"{TENANT}_{sku}","skuId":"{sku}","skuPartNumber":"{part}","capabilityStatus":"Enabled",'
    '"appliesTo":"User","consumedUnits":100,"prepaidUnits":{"enabled":200,"suspended":0,"warning":0,"lockedOut":0},'
    '"servicePlans":[]}'
    for part, sku in PRODUCTS.items()
)
BUNDLES = ((), ("SPE_E3",), ("FLOW_FREE",), ("SPE_E3", "FLOW_FREE"), ("SPE_E3", "POWERAUTOMATE_ATTENDED_RPA"))
LICENCES = tuple(
    '"assignedLicenses":' + quoted([{"disabledPlans": [], "skuId": PRODUCTS[p]} for p in bundle]) for bundle in BUNDLES
)


def chosen(columns: Sequence[pa.Array], kind: np.ndarray, at: np.ndarray | None = None) -> pa.Array:
    """Of several columns the one that each row's kind says, at the row's place or at the row itself."""
    starts = np.cumsum([0, *(len(c) for c in columns)])[:-1]
    places = np.arange(len(kind)) if at is None else at
    return take(pa.concat_arrays(list(columns)), starts[kind] + places)


def nth(key: np.ndarray) -> np.ndarray:
    """How often each key was met before."""
    order = np.argsort(key, kind="stable")
    ranked = key[order]
    first = np.r_[True, ranked[1:] != ranked[:-1]]
    count = np.arange(len(key)) - np.maximum.accumulate(np.where(first, np.arange(len(key)), 0))
    out = np.empty(len(key), np.int64)
    out[order] = count
    return out


def times(rng: np.random.Generator, count: int, first: str, last: str) -> pa.Array:
    """Times between two days."""
    low, high = (int(np.datetime64(day, "s").astype(int)) for day in (first, last))
    drawn = rng.integers(low, high, count).astype("datetime64[s]")
    return fill("<t>Z", t=pc.strftime(pa.array(drawn), "%Y-%m-%dT%H:%M:%S").cast(pa.large_string()))


# --- people ----------------------------------------------------------------------------------------------------------
USER = (
    '{"id":"<id>","userPrincipalName":"<upn>","displayName":"<name>","mail":"<upn>","userType":"<type>",'
    '"accountEnabled":<enabled>,"createdDateTime":"<made>","givenName":"<given>","surname":"<surname>",'
    '"employeeType":"<sort>","employeeId":"<number>","department":"<department>","jobTitle":null,'
    '"onPremisesSyncEnabled":<synced>,<licences>,"lastPasswordChangeDateTime":"<changed>",'
    '"passwordPolicies":<policy>,"usageLocation":"DE",'
    '"signInActivity":{"lastSignInDateTime":"<signed>","lastNonInteractiveSignInDateTime":"<silent>"},'
    '"manager":<manager>}'
)


def user_names(count: int, service: int, rng: np.random.Generator) -> pa.Array:
    """Sign-in names; the first are service accounts, some of the others guests."""
    at = np.arange(count)
    kind = np.where(at < service, 0, 1 + (rng.random(count) < 0.03))
    forms = (
        "svc-flow-<n>@contoso.example",
        "person<n>@contoso.example",
        "person<n>_partner.example#EXT#@contoso.example",
    )
    return chosen([fill(form, n=text(at)) for form in forms], kind)


def shown_names(at: np.ndarray, service: int) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Names as shown, given names and surnames of people; many share one."""
    given, surname = pick(GIVEN, at % len(GIVEN)), pick(SURNAMES, at // len(GIVEN) % len(SURNAMES))
    forms = [fill("SVC Flow <n>", n=text(at)), fill("<g> <s>", g=given, s=surname)]
    return chosen(forms, (at >= service).astype(int)), given, surname


def users(world: World, part: slice) -> pa.Array:
    """Rows of ``/users``."""
    rng, count = world.rng, part.stop - part.start
    at = np.arange(part.start, part.stop)
    upn, serves = world.upns[part], at < world.service
    name, given, surname = shown_names(at, world.service)
    boss = rng.integers(0, world.size.users, count)
    manager = fill(
        '{"@odata.type":"#microsoft.graph.user","id":"<id>","userPrincipalName":"<upn>"}',
        id=take(world.people, boss),
        upn=take(world.upns, boss),
    )
    none = serves | (rng.random(count) < 0.05)
    return fill(
        USER,
        id=world.people[part],
        upn=upn,
        name=name,
        type=pc.if_else(pc.match_substring(upn, "#EXT#"), "Guest", "Member").cast(pa.large_string()),
        enabled=pick(["true", "false"], (rng.random(count) < 0.04).astype(int)),
        made=times(rng, count, "2016-01-01", "2026-09-01"),
        given=given,
        surname=surname,
        sort=pick(["Employee", "ServiceAccount"], serves.astype(int)),
        number=text(100_000 + at),
        department=pick(DEPARTMENTS, rng.integers(0, len(DEPARTMENTS), count)),
        synced=pick(["true", "null"], (rng.random(count) < 0.3).astype(int)),
        licences=pick(LICENCES, rng.choice(5, count, p=[0.1, 0.5, 0.2, 0.15, 0.05])),
        changed=times(rng, count, "2023-01-01", "2026-10-30"),
        policy=pick(["null", '"DisablePasswordExpiration"'], (serves & (rng.random(count) < 0.8)).astype(int)),
        signed=times(rng, count, "2025-01-01", "2026-10-30"),
        silent=times(rng, count, "2026-06-01", "2026-10-31"),
        manager=chosen([manager, pa.array(["null"] * count, pa.large_string())], none.astype(int)),
    )


def deleted(world: World) -> pa.Array:
    """Rows of the directory's recycle bin: the id without dashes stands before the name."""
    part = slice(world.size.users, world.size.users + world.deleted)
    ids = world.people[part]
    return fill(
        '{"id":"<id>","userPrincipalName":"<bare><upn>","displayName":"<name>","mail":null,'
        '"deletedDateTime":"<at>","userType":"Member","accountEnabled":true}',
        id=ids,
        bare=pc.replace_substring(ids, "-", ""),
        upn=world.upns[part],
        name=shown_names(np.arange(part.start, part.stop), world.service)[0],
        at=times(world.rng, world.deleted, "2026-10-02", "2026-10-31"),
    )


# --- groups ----------------------------------------------------------------------------------------------------------
SORTS = tuple(
    f'"groupTypes":{quoted(types)},"securityEnabled":{secure},"mailEnabled":{mail},'
    f'"isAssignableToRole":{role},"membershipRule":{rule},"visibility":{seen},"resourceProvisioningOptions":{team}'
    for types, secure, mail, role, rule, seen, team in (
        ([], "true", "false", "null", "null", "null", "[]"),
        (["Unified"], "false", "true", "null", "null", '"Private"', '["Team"]'),
        (["Unified"], "false", "true", "null", "null", '"Public"', "[]"),
        (["DynamicMembership"], "true", "false", "null", '"(user.department -eq \\"Sales\\")"', "null", "[]"),
        ([], "true", "false", "true", "null", "null", "[]"),
    )
)
MEMBER_PAGE = (
    '{"request":"groups/<group>/members?$select=id&$top=999","status":200,"observed_at":"' + SEEN + '",'
    '"body":{"@odata.context":"' + CONTEXT + 'directoryObjects(id)","value":[<rows>]}}'
)
MEMBER_TYPES = ("user", "group", "servicePrincipal")


def groups(world: World, part: slice) -> pa.Array:
    """Rows of ``/groups``."""
    at = np.arange(part.start, part.stop)
    return fill(
        '{"id":"<id>","displayName":"<d> group <n>","mail":null,<sort>,"onPremisesSyncEnabled":null}',
        id=world.groups[part],
        d=pick(DEPARTMENTS, at % len(DEPARTMENTS)),
        n=text(at),
        sort=pick(SORTS, world.rng.choice(5, len(at), p=[0.5, 0.25, 0.15, 0.08, 0.02])),
    )


def memberships(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group, place of the member, and kind of the member (user, group, application), by group."""
    size, rng = world.size, world.rng
    count = int(size.memberships * 1.02)
    weight = np.arange(1, size.groups + 1) ** -0.9
    group = np.searchsorted(np.cumsum(weight) / weight.sum(), rng.random(count)).clip(0, size.groups - 1)
    edges = np.unique(group * size.users + rng.integers(0, size.users, count))
    edges = np.sort(rng.permutation(edges)[: size.memberships]) if len(edges) > size.memberships else edges
    nested, inner = _nesting(size.groups, rng)
    parts = [(edges // size.users, edges % size.users, 0), (nested, inner, 1)]
    machines = rng.integers(0, size.groups, len(world.apps))
    parts.append((machines, np.arange(len(world.apps)), 2))
    whose = np.concatenate([p[0] for p in parts])
    member = np.concatenate([p[1] for p in parts])
    kind = np.repeat([0, 1, 2], [len(p[0]) for p in parts])
    order = np.argsort(whose, kind="stable")
    return whose[order], member[order], kind[order]


def _nesting(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Half of the groups lie in an earlier one; one of a hundred such pairs is closed to a cycle."""
    inner = np.flatnonzero(rng.random(count) < 0.5)
    inner = inner[inner > 0]
    outer = (rng.random(len(inner)) * inner).astype(np.int64)
    closed = rng.random(len(inner)) < 0.01
    return np.concatenate([outer, inner[closed]]), np.concatenate([inner, outer[closed]])


def _members(world: World, member: np.ndarray, kind: np.ndarray) -> pa.Array:
    return chosen((world.people[: world.size.users], world.groups, world.apps), kind, member)


def member_lines(world: World, group: np.ndarray, member: np.ndarray, kind: np.ndarray) -> pa.Array:
    """One membership a row."""
    return fill(
        '{"groupId":"<g>","@odata.type":"#microsoft.graph.<t>","id":"<m>"}',
        g=take(world.groups, group),
        t=pick(MEMBER_TYPES, kind),
        m=_members(world, member, kind),
    )


def member_rows(world: World, member: np.ndarray, kind: np.ndarray) -> pa.Array:
    """Rows of ``/groups/{id}/members``, which do not tell the group."""
    form = '{"@odata.type":"#microsoft.graph.<t>","id":"<m>"}'
    return fill(form, t=pick(MEMBER_TYPES, kind), m=_members(world, member, kind))


# --- rights ----------------------------------------------------------------------------------------------------------
KINDS = ("sharepoint_site", "sharepoint_list", "mailbox", "team")
LEVELS = ("read", "write", "owner", "full")
REGISTER = "account,kind,owner,deputy,purpose,allowed_rights,environments,review_date,licence"


def site_names(at: np.ndarray) -> pa.Array:
    """Addresses of sites."""
    return fill("https://contoso.sharepoint.example/sites/s<n>", n=text(at))


def rights(world: World) -> tuple[np.ndarray, ...]:
    """Kind and place of the holder, resource, level: no row twice, in no order."""
    size, rng = world.size, world.rng
    kind, _, at = world.actor(rng.random(size.grants) ** 1.5)
    resource = (rng.random(size.grants) ** 2 * size.resources).astype(np.int64)
    level = rng.choice(4, size.grants, p=[0.6, 0.3, 0.08, 0.02])
    key = ((kind * size.users + at) * size.resources + resource) * 4 + level
    kept = np.sort(np.unique(key, return_index=True)[1])
    return kind[kept], at[kept], resource[kept], level[kept]


def right_lines(world: World, kind: np.ndarray, at: np.ndarray, resource: np.ndarray, level: np.ndarray) -> pa.Array:
    """Lines of a CSV of rights."""
    return fill(
        "<who>,<kind>=<key>,<level>,direct",
        who=chosen((world.people, world.groups, world.apps), kind, at),
        kind=pick(KINDS, world.kind[resource]),
        key=take(world.resources, resource),
        level=pick(LEVELS, level),
    )


def register(world: World) -> pa.Array:
    """Three of five service accounts as the company documents them."""
    known = np.flatnonzero(world.rng.random(world.service) < 0.6)
    owners, deputies = (world.rng.integers(world.service, world.size.users, len(known)) for _ in range(2))
    return fill(
        "<account>,user,<owner>,<deputy>,Flows of <d>,,,2027-06-30,SPE_E3",
        account=take(world.upns, known),
        owner=take(world.upns, owners),
        deputy=take(world.upns, deputies),
        d=pick(DEPARTMENTS, known % len(DEPARTMENTS)),
    )


def applications(world: World) -> pa.Array:
    """Rows of ``/servicePrincipals``."""
    return fill(
        '{"id":"<id>","appId":"<app>","displayName":"Application <n>","servicePrincipalType":"Application",'
        f'"accountEnabled":true,"appOwnerOrganizationId":"{TENANT}","appRoles":[],"oauth2PermissionScopes":[]}}',
        id=world.apps,
        app=pc.replace_substring_regex(world.apps, "^.", "f"),
        n=text(np.arange(len(world.apps))),
    )


def roles(world: World) -> pa.Array:
    """Administrators: a few people and service accounts."""
    count = max(6, world.size.users // 2_000)
    ids = ("62e90394-69f5-4237-9190-012177145e10", "f28a1f50-f6e7-4571-818b-6a12f2af6b6c")
    ids += ("11648597-926c-4cf3-9c36-bcebb0ba8dcc",)
    who = np.unique(world.rng.integers(0, world.size.users, count))
    return fill(
        '{"id":"r<n>","principalId":"<who>","roleDefinitionId":"<role>","directoryScopeId":"/"}',
        n=text(np.arange(len(who))),
        who=take(world.people, who),
        role=pick(ids, world.rng.choice(3, len(who), p=[0.2, 0.4, 0.4])),
    )
