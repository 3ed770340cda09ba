"""The SQL of the bulk path: what each big family's rows are declared as and how they become rows of tables.

A file is parsed once: the statement of its family streams from the text to Arrow, and what is nested in its rows
comes out of that. In it ``r`` is one raw row with the declared keys, ``request`` and ``asked`` are what the page was
asked for. The words ``{shown:key}`` become ``true`` when the export has the key anywhere in its sample, so that NULL
of a property that was asked for may mean *no*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowanalysis.sources.bulkvalues import first_of, fold, is_blank, quoted, text, word
from flowanalysis.sources.graphrows import USER_TEXT

SHOWN = re.compile(r"\{shown:([\w.]+)\}")


@dataclass(frozen=True)
class Asked:
    """A column as an expression over others; texts of the first without any of some letters are their own answers."""

    sql: str
    paths: tuple[str, ...]
    without: bytes = b""


@dataclass(frozen=True)
class Result:
    """One table out of a family: its export, what it needs, what to say when a key is missing.

    `sql` reads from ``base``, the rows of the family's statement; without it the columns of the table are taken as
    they are. `gone` picks the rows of which the column of this name is true, or not.

    `inside` takes the entries of the family's maps instead of its rows; columns that are `asked` for are worked out
    word by word, and ``base`` has the columns that are in `distinct`, each combination once. Columns to `spread` stay
    out of the database: `sql` tells the ``place`` of each row's own row in ``base`` instead.
    """

    table: str
    export: str
    sql: str = ""
    needs: frozenset[str] = frozenset()
    messages: tuple[tuple[str, str], ...] = ()
    aside: bool = False
    optional: bool = False
    gone: bool | None = None
    # (column, value, export): the rows with this value came from another export
    other: tuple[str, str, str] | None = None
    inside: bool = False
    asked: Mapping[str, Asked] = field(default_factory=dict)
    distinct: tuple[str, ...] = ()
    spread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A big family: declared columns, forms it comes in, the statement, keys that only the careful way can read.

    The statement has the columns of the first table, times as text, and whatever the others are made of. A row of
    which its column `odd` is true can only be judged by the careful way. `inside` names a column of maps, and the
    columns of its row that every entry has too.
    """

    source: str
    columns: Mapping[str, str]
    forms: frozenset[str]
    base: str
    results: tuple[Result, ...]
    odd: str = "false"
    never: frozenset[str] = frozenset()
    inside: tuple[str, ...] = ()


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


ALL = frozenset({"rows", "pages", "envelopes"})
# The group of a member list stands in the request: found once a page, not once a member.
ASKED = "nullif(lower(regexp_extract(p.request, '(?i)groups/([^/?]+)', 1)), '') as asked"
# Pages do not repeat what was asked for: the link to the next stands in for it.
LINKED = """coalesce(p."@odata.nextLink", p."nextLink", '')"""
# Whence the rows come: the words for the request and for the group, and the place of the rows.
ROWS = {
    "rows": ("''", "null::varchar", "{source} as r"),
    "pages": (
        "request",
        "null::varchar",
        f"(select unnest(p.value) as r, {LINKED} as request from {{source}} as p) as pages",
    ),
    "envelopes": (
        "request",
        "asked",
        f"""(select unnest(p.body.value) as r, p.request as request, {ASKED} from {{source}} as p
            where p.body.error is null and (p.status is null or p.status < 300)) as pages""",
    ),
    "children": (
        "request",
        "asked",
        """(select unnest(members) as r, '/members' as request, lower(trim(groupId)) as asked from {source}
            union all select unnest(owners), '/owners', lower(trim(groupId)) from {source}
            union all select unnest(transitiveMembers), '/members', lower(trim(groupId)) from {source}) as pages""",
    ),
}
# The pages without their rows: errors, and the links to the next.
PAGES = {
    "pages": """
        create temp table pages as select row_number() over () as number, {{'error': p.error,
            '@odata.nextLink': p."@odata.nextLink", 'nextLink': p."nextLink"}} as body, '' as request,
            null::bigint as status, null::varchar as observed_at from {source} as p
    """,
    "envelopes": """
        create temp table pages as select row_number() over () as number, {{'error': p.body.error,
            '@odata.nextLink': p.body."@odata.nextLink", 'nextLink': p.body."nextLink"}} as body,
            p.request, p.status, p.observed_at from {source} as p
    """,
}


def statement(family: Family, form: str, keys: frozenset[str], source: str) -> str:
    """The statement that streams the rows of a file."""
    request, asked, place = ROWS[form]
    sql = filled(family.base, keys).replace("{odd}", family.odd).replace("{rows}", place.format(source=source))
    return sql.replace("{request}", request).replace("{asked}", asked)


CHAINS = """
select split_part(request, '?', 1) as chain, max(observed_at) as observed,
    count(*) filter (where coalesce(body."@odata.nextLink", body."nextLink") is null) = 0 as left_open
from pages where body.error is null group by chain
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
# Its first letters tell of nearly every name that no id stands before it.
PREFIXED = (
    "case when strlen(r.userPrincipalName) > 32 and lower(left(r.userPrincipalName, 8)) = lower(left(r.id, 8)) "
    f"then length({PREFIX}) = 32 and starts_with(lower(r.userPrincipalName), {PREFIX}) else false end"
)
DELETED = f"({PREFIXED} or case when r.deletedDateTime is null then false else not {is_blank('r.deletedDateTime')} end)"
UPN = f"case when {PREFIXED} then r.userPrincipalName[33:] else r.userPrincipalName end"
USER_TIMES = {
    "created_at": "r.createdDateTime",
    "deleted_at": "r.deletedDateTime",
    "last_password_change_at": "r.lastPasswordChangeDateTime",
    "last_signin_at": "r.signInActivity.lastSignInDateTime",
    "last_noninteractive_signin_at": "r.signInActivity.lastNonInteractiveSignInDateTime",
    "last_successful_signin_at": "r.signInActivity.lastSuccessfulSignInDateTime",
}
USERS = f"""
select r.id as identity_id, {word("user")} as kind, {UPN} as upn,
    {", ".join(f"r.{key} as {column}" for column, key in USER_TEXT.items())},
    r.accountEnabled as account_enabled,
    case when r.userType in ('Member', 'Guest') then r.userType else coalesce(
        {text("r.userType")}, case when contains(upper({UPN}), '#EXT#') then 'Guest' end) end as user_type,
    case when {DELETED} then {word("deleted")} end as status,
    {", ".join(f"{path} as {column}" for column, path in USER_TIMES.items())},
    case when {{shown:passwordPolicies}}
        then contains(lower(coalesce(r.passwordPolicies, '')), 'disablepasswordexpiration') end
        as password_never_expires,
    case when {{shown:onPremisesSyncEnabled}} then coalesce(r.onPremisesSyncEnabled, false) end as on_prem_synced,
    r.manager.id as manager_id,
    case when {{shown:manager}} then true end as manager_known,
    r.assignedLicenses as licences, r.licenseAssignmentStates as states, {DELETED} as gone, {{odd}} as odd
from {{rows}}
"""
LICENCES = f"""
select place, {fold("licence.skuId")} as sku_id,
    case when len(licence.disabledPlans) = 0 then '' else
        array_to_string(list_filter(list_transform(licence.disabledPlans, lambda p: {fold("p")}),
            lambda p: p is not null), ' ') end as disabled_plans,
    case when {{shown:licenseAssignmentStates}}
        and not list_contains(list_transform(via, lambda g: g is null), true) then list_min(via) end as via_group_id
from (
    select *, list_transform(list_filter(states, lambda s: lower(s.skuId) = lower(licence.skuId)),
        lambda s: {fold("s.assignedByGroup")}) as via
    from (select place, unnest(licences) as licence, coalesce(states, []) as states from base)
)
"""
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
select r.id as group_id, r.displayName as display_name, r.mail,
    case when list_contains(r.groupTypes, 'Unified') then {word("m365")}
        when r.securityEnabled is null then null
        when r.mailEnabled then case when r.securityEnabled then {word("mail_security")} else {word("distribution")} end
        when r.securityEnabled then {word("security")} else {word("unknown")} end as kind,
    list_contains(r.groupTypes, 'DynamicMembership') as dynamic,
    r.membershipRule as membership_rule,
    case when {{shown:isAssignableToRole}} then coalesce(r.isAssignableToRole, false) end as role_assignable,
    case when {{shown:onPremisesSyncEnabled}} then coalesce(r.onPremisesSyncEnabled, false) end as synced,
    list_contains(r.resourceProvisioningOptions, 'Team') as has_team,
    r.visibility, {{odd}} as odd
from {{rows}}
"""
MEMBER_COLUMNS = dict.fromkeys(["id", "memberId", "groupId", "relation", "@odata.type", "memberType"], "VARCHAR")
MEMBER_KINDS = {"user": "user", "group": "group", "serviceprincipal": "service_principal", "device": "device"}
TYPED = "lower(coalesce(nullif(r.\"@odata.type\", ''), r.memberType, ''))"
MEMBER_KIND = (
    f"case r.\"@odata.type\" when '#microsoft.graph.user' then {word('user')} "
    f"when '#microsoft.graph.group' then {word('group')} "
    "else case "
    + " ".join(f"when {TYPED} in ('#microsoft.graph.{k}', '{k}') then {word(v)}" for k, v in MEMBER_KINDS.items())
    + f" else {word('unknown')} end end"
)
MEMBER = first_of(("r.memberId", "r.memberId"), otherwise="r.id")
GROUP = first_of(("{asked}", "{asked}"), otherwise="r.groupId")
OWNED = "({request} like '%/owners%' or lower(r.relation) = 'owner')"
MEMBERS = f"""
select {GROUP} as group_id, {MEMBER} as member_id,
    {MEMBER_KIND} as member_kind,
    case when {OWNED} then {word("owner")} else {word("member")} end as relation, {{odd}} as odd
from {{rows}}
"""
# Names of members would be lost, and the group must be told in the line.
MEMBER_NEVER = frozenset({"userPrincipalName", "displayName", "appId", "servicePrincipalType", "groupTypes", "roles"})


FAMILIES: dict[str, Family] = {
    "user": Family(
        "graph",
        USER_COLUMNS,
        ALL,
        USERS,
        (
            Result("identities", "users", messages=USER_MESSAGES, optional=True, gone=False),
            Result("licences", "users", LICENCES, needs=WITH_LICENCES, gone=False, spread=("identity_id",)),
            Result("identities", "deleted users", optional=True, gone=True),
            Result(
                "licences",
                "deleted users",
                LICENCES,
                needs=WITH_LICENCES,
                optional=True,
                gone=True,
                spread=("identity_id",),
            ),
        ),
        odd=f"({STRANGE_USERS})",
        never=frozenset({"@removed", "@odata.type", "memberOf"}),
    ),
    "group": Family(
        "graph",
        GROUP_COLUMNS,
        ALL,
        GROUPS,
        (Result("groups", "groups"),),
        odd='(r."@removed" is not null or r.userPrincipalName is not null)',
        never=frozenset({"@removed", "members", "owners", "members@delta", "owners@delta"}),
    ),
    "member": Family(
        "graph",
        MEMBER_COLUMNS,
        ALL | {"children"},
        MEMBERS,
        (Result("memberships", "group members", optional=True, other=("relation", "owner", "group owners")),),
        never=MEMBER_NEVER,
    ),
}
