"""The SQL of the bulk path: what each big family's rows are declared as and how they become rows of tables.

In every statement ``r`` is one raw row with the declared keys. The words ``{shown:key}`` become ``true`` when the
export has the key anywhere in its sample, so that NULL of a property that was asked for may mean *no*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowanalysis.sources.graphrows import USER_TEXT

SHOWN = re.compile(r"\{shown:([\w.]+)\}")


@dataclass(frozen=True)
class Result:
    """One table out of a family: statement, export, what it needs, what to say when a key is missing."""

    table: str
    export: str
    sql: str
    needs: frozenset[str] = frozenset()
    messages: tuple[tuple[str, str], ...] = ()
    aside: bool = False
    optional: bool = False
    # (column, value, export): the rows with this value came from another export
    other: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Family:
    """A big family: declared columns, forms it comes in, keys that only the careful way can read.

    `stored` rows are parsed once and kept while several statements read them; otherwise they stream through one.
    """

    source: str
    columns: Mapping[str, str]
    forms: frozenset[str]
    results: tuple[Result, ...]
    stored: bool = True
    odd: str = "select 0"
    never: frozenset[str] = frozenset()


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def struct(columns: Mapping[str, str]) -> str:
    """Columns as the type of one object."""
    inside = ", ".join('"' + name + '" ' + kind for name, kind in columns.items())
    return f"STRUCT({inside})"


def declared(columns: Mapping[str, str]) -> str:
    """Columns as the argument of ``read_json``."""
    return "{" + ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in columns.items()) + "}"


def body(row: str) -> dict[str, str]:
    """A page of rows."""
    return {
        "@odata.context": "VARCHAR",
        "@odata.nextLink": "VARCHAR",
        "nextLink": "VARCHAR",
        "error": "JSON",
        "value": f"{row}[]",
    }


def paths(row: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Keys of a row, those of objects inside it with a dot."""
    for key, value in row.items():
        yield prefix + key
        if isinstance(value, Mapping) and not prefix:
            yield from paths(value, f"{key}.")


def filled(sql: str, keys: frozenset[str]) -> str:
    """The statement for an export that shows some keys."""
    return SHOWN.sub(lambda m: "true" if m[1] in keys else "false", sql)


# The database trims far slower than it compares, and evaluates every argument of coalesce: so the common case of
# a value without blanks around it comes first, each time.
def text(path: str) -> str:
    """A text, NULL for nothing but blanks."""
    return f"case when left({path}, 1) > ' ' then {path} when trim({path}) = '' then null else {path} end"


def fold(path: str) -> str:
    """An id."""
    careful = f"nullif(lower(trim({path}, ' {{}}')), '')"
    odd = f"contains({path}, ' ') or contains({path}, '{{')"
    return f"case when {odd} then {careful} else nullif(lower({path}), '') end"


def last(path: str) -> str:
    """The last segment of a path, folded."""
    careful = f"nullif(lower(split_part(trim({path}, ' /'), '/', -1)), '')"
    odd = f"contains({path}, ' ') or ends_with({path}, '/')"
    return f"case when {odd} then {careful} else nullif(lower(split_part({path}, '/', -1)), '') end"


def first_of(*choices: tuple[str, str], otherwise: str = "null") -> str:
    """The expression of the first path that has a value; the others are not evaluated."""
    cases = " ".join(f"when {path} <> '' then {value}" for path, value in choices)
    return f"case {cases} else {otherwise} end"


def time(path: str) -> str:
    """A time in UTC, NULL for the sentinels of never; comparing the year as text is far faster than as a date."""
    return f"case when left({path}, 4) between '1901' and '8999' then try_cast({path} as timestamptz) end"


def bad_time(path: str) -> str:
    """True for a text that is no ISO 8601 time: the careful way tells which."""
    careful = f"trim({path}) <> '' and not regexp_matches({path}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
    usual = f"{path} is null or (left({path}, 4) between '1' and '99999' and substr({path}, 5, 1) = '-')"
    return f"case when {usual} then false else {careful} end"


ALL = frozenset({"rows", "pages", "envelopes"})
# The group of a member list stands in the request: found once a page, not once a member.
ASKED = "nullif(lower(regexp_extract(p.request, '(?i)groups/([^/?]+)', 1)), '') as asked"
# Pages do not repeat what was asked for: the link to the next stands in for it.
LINKED = """coalesce(p."@odata.nextLink", p."nextLink", '')"""
LOAD = {
    "rows": "create {stored} rows as select r, '' as request, null::varchar as asked from {source} as r",
    "pages": f"""
        create temp table pages as select row_number() over () as number, {{{{'error': p.error,
            '@odata.nextLink': p."@odata.nextLink", 'nextLink': p."nextLink"}}}} as body, '' as request,
            null::bigint as status, null::varchar as observed_at from {{source}} as p;
        create {{stored}} rows as select unnest(p.value) as r, {LINKED} as request, null::varchar as asked
            from {{source}} as p;
    """,
    "envelopes": f"""
        create temp table pages as select row_number() over () as number, {{{{'error': p.body.error,
            '@odata.nextLink': p.body."@odata.nextLink", 'nextLink': p.body."nextLink"}}}} as body,
            p.request, p.status, p.observed_at from {{source}} as p;
        create {{stored}} rows as select unnest(rows) as r, request, asked from (
            select p.body.value as rows, p.request, {ASKED} from {{source}} as p
            where p.body.error is null and (p.status is null or p.status < 300));
    """,
    "children": """
        create {stored} rows as select unnest(rows) as r, request, asked from (
            select members as rows, '/members' as request, lower(trim(groupId)) as asked from {source}
            union all select owners, '/owners', lower(trim(groupId)) from {source}
            union all select transitiveMembers, '/members', lower(trim(groupId)) from {source});
    """,
}
CHAINS = """
select count(*) filter (where closed = 0), max(observed) from (
    select split_part(request, '?', 1) as chain, max(observed_at) as observed,
        count(*) filter (where coalesce(body."@odata.nextLink", body."nextLink") is null) as closed
    from pages where body.error is null group by chain)
"""

# --- users -----------------------------------------------------------------------------------------------------------
USER_COLUMNS = {
    "id": "VARCHAR",
    "userPrincipalName": "VARCHAR",
    "userType": "VARCHAR",
    "passwordPolicies": "VARCHAR",
    "createdDateTime": "VARCHAR",
    "lastPasswordChangeDateTime": "VARCHAR",
    "deletedDateTime": "VARCHAR",
    **dict.fromkeys(USER_TEXT.values(), "VARCHAR"),
    "accountEnabled": "BOOLEAN",
    "onPremisesSyncEnabled": "BOOLEAN",
    "manager": "STRUCT(id VARCHAR)",
    "signInActivity": struct(
        dict.fromkeys(
            ("lastSignInDateTime", "lastNonInteractiveSignInDateTime", "lastSuccessfulSignInDateTime"), "VARCHAR"
        )
    ),
    "assignedLicenses": "STRUCT(skuId VARCHAR, disabledPlans VARCHAR[])[]",
    "licenseAssignmentStates": "STRUCT(skuId VARCHAR, assignedByGroup VARCHAR)[]",
    # rows of another kind further down the file
    "@removed": "JSON",
    "groupTypes": "JSON",
    "appId": "JSON",
}
STRANGE_USERS = 'r."@removed" is not null or r.groupTypes is not null or r.appId is not null'
PREFIX = "replace(lower(r.id), '-', '')"
PREFIXED = (
    f"(length({PREFIX}) = 32 and length(r.userPrincipalName) > 32 "
    f"and starts_with(lower(r.userPrincipalName), {PREFIX}))"
)
DELETED = f"({PREFIXED} or trim(coalesce(r.deletedDateTime, '')) <> '')"
UPN = f"case when {PREFIXED} then r.userPrincipalName[33:] else {text('r.userPrincipalName')} end"
USER_TIMES = {
    "created_at": "r.createdDateTime",
    "deleted_at": "r.deletedDateTime",
    "last_password_change_at": "r.lastPasswordChangeDateTime",
    "last_signin_at": "r.signInActivity.lastSignInDateTime",
    "last_noninteractive_signin_at": "r.signInActivity.lastNonInteractiveSignInDateTime",
    "last_successful_signin_at": "r.signInActivity.lastSuccessfulSignInDateTime",
}
USERS = f"""
select {fold("r.id")} as identity_id, 'user' as kind, {UPN} as upn,
    {", ".join(f"{text(f'r.{key}')} as {column}" for column, key in USER_TEXT.items())},
    r.accountEnabled as account_enabled,
    coalesce({text("r.userType")}, case when contains(upper({UPN}), '#EXT#') then 'Guest' end) as user_type,
    case when {DELETED} then 'deleted' end as status,
    {", ".join(f"{time(path)} as {column}" for column, path in USER_TIMES.items())},
    case when {{shown:passwordPolicies}}
        then contains(lower(coalesce(r.passwordPolicies, '')), 'disablepasswordexpiration') end
        as password_never_expires,
    case when {{shown:onPremisesSyncEnabled}} then coalesce(r.onPremisesSyncEnabled, false) end as on_prem_synced,
    {fold("r.manager.id")} as manager_id,
    case when {{shown:manager}} then true end as manager_known
from rows where """
LICENCES = f"""
select identity_id, {fold("licence.skuId")} as sku_id,
    array_to_string(list_filter(list_transform(licence.disabledPlans, lambda p: {fold("p")}),
        lambda p: p is not null), ' ') as disabled_plans,
    case when not list_contains(list_transform(via, lambda g: g is null), true) then list_min(via) end as via_group_id
from (
    select *, list_transform(list_filter(states, lambda s: lower(s.skuId) = lower(licence.skuId)),
        lambda s: {fold("s.assignedByGroup")}) as via
    from (select {fold("r.id")} as identity_id, unnest(r.assignedLicenses) as licence,
        coalesce(r.licenseAssignmentStates, []) as states, {DELETED} as gone from rows)
)
where """
USER_MESSAGES = (
    ("accountEnabled", "made without $select=accountEnabled, so whether accounts are disabled is not known"),
    ("signInActivity", "without signInActivity, so the last sign-in is not known"),
)
WITH_LICENCES = frozenset({"assignedLicenses"})

# --- groups and memberships ------------------------------------------------------------------------------------------
GROUP_COLUMNS = {
    **dict.fromkeys(["id", "displayName", "mail", "membershipRule", "visibility"], "VARCHAR"),
    **dict.fromkeys(["securityEnabled", "mailEnabled", "isAssignableToRole", "onPremisesSyncEnabled"], "BOOLEAN"),
    "groupTypes": "VARCHAR[]",
    "resourceProvisioningOptions": "VARCHAR[]",
    "@removed": "JSON",
    "userPrincipalName": "JSON",
}
GROUPS = f"""
select {fold("r.id")} as group_id, {text("r.displayName")} as display_name, {text("r.mail")} as mail,
    case when list_contains(r.groupTypes, 'Unified') then 'm365'
        when r.securityEnabled is null then null
        when r.mailEnabled then case when r.securityEnabled then 'mail_security' else 'distribution' end
        when r.securityEnabled then 'security' else 'unknown' end as kind,
    list_contains(r.groupTypes, 'DynamicMembership') as dynamic,
    {text("r.membershipRule")} as membership_rule,
    case when {{shown:isAssignableToRole}} then coalesce(r.isAssignableToRole, false) end as role_assignable,
    case when {{shown:onPremisesSyncEnabled}} then coalesce(r.onPremisesSyncEnabled, false) end as synced,
    list_contains(r.resourceProvisioningOptions, 'Team') as has_team,
    {text("r.visibility")} as visibility
from rows
"""
MEMBER_COLUMNS = dict.fromkeys(["id", "memberId", "groupId", "relation", "@odata.type", "memberType"], "VARCHAR")
MEMBER_KINDS = {"user": "user", "group": "group", "serviceprincipal": "service_principal", "device": "device"}
TYPED = "lower(coalesce(nullif(r.\"@odata.type\", ''), r.memberType, ''))"
MEMBER_KIND = (
    "case "
    + " ".join(f"when {TYPED} in ('#microsoft.graph.{k}', '{k}') then '{v}'" for k, v in MEMBER_KINDS.items())
    + " else 'unknown' end"
)
MEMBER = first_of(("r.memberId", fold("r.memberId")), otherwise=fold("r.id"))
GROUP = first_of(("asked", "asked"), otherwise=fold("r.groupId"))
OWNED = "(request like '%/owners%' or lower(r.relation) = 'owner')"
MEMBERS = f"""
select {GROUP} as group_id, {MEMBER} as member_id,
    {MEMBER_KIND} as member_kind, case when {OWNED} then 'owner' else 'member' end as relation
from rows
"""
# Names of members would be lost, and the group must be told in the line.
MEMBER_NEVER = frozenset({"userPrincipalName", "displayName", "appId", "servicePrincipalType", "groupTypes", "roles"})


MEMBERSHIPS = Result(
    "memberships", "group members", MEMBERS, optional=True, other=("relation", "owner", "group owners")
)
FAMILIES: dict[str, Family] = {
    "user": Family(
        "graph",
        USER_COLUMNS,
        ALL,
        (
            Result("identities", "users", USERS + f"not {DELETED}", messages=USER_MESSAGES, optional=True),
            Result("licences", "users", LICENCES + "not gone", needs=WITH_LICENCES),
            Result("identities", "deleted users", USERS + DELETED, optional=True),
            Result("licences", "deleted users", LICENCES + "gone", needs=WITH_LICENCES, optional=True),
        ),
        odd=f"select count(*) from rows where {STRANGE_USERS} or {' or '.join(map(bad_time, USER_TIMES.values()))}",
        never=frozenset({"@removed", "@odata.type"}),
    ),
    "group": Family(
        "graph",
        GROUP_COLUMNS,
        ALL,
        (Result("groups", "groups", GROUPS),),
        odd='select count(*) from rows where r."@removed" is not null or r.userPrincipalName is not null',
        never=frozenset({"@removed"}),
    ),
    "member": Family(
        "graph",
        MEMBER_COLUMNS,
        ALL | {"children"},
        (MEMBERSHIPS,),
        stored=False,
        never=MEMBER_NEVER,
    ),
}
