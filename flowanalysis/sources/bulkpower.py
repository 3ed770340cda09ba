"""The SQL of the bulk path for Power Platform: flow lists with their connection references, and connections.

``connectionReferences`` and the parameters of connections are declared as maps: their keys are data.
Parameters outside the allow-list are never selected.
"""

from __future__ import annotations

from flowanalysis.schema import NO_ENVIRONMENT
from flowanalysis.sources.bulksql import ALL, Asked, Family, Result, struct
from flowanalysis.sources.bulkvalues import end, first_of, fold, last, text
from flowanalysis.sources.powerrows import PARAMETERS, STATES
from flowanalysis.sources.values import UNTOLD

PRINCIPAL = struct(dict.fromkeys(["id", "displayName", "email", "type", "tenantId", "userPrincipalName"], "VARCHAR"))
PLACE = "STRUCT(name VARCHAR, id VARCHAR)"


def segment(path: str, name: str) -> str:
    """The segment that follows `name` in a path, folded."""
    return fold(f"regexp_extract(split_part({path}, '?', 1), '(?i)(?:^|/){name}/([^/]+)', 1)")


def flag(path: str) -> str:
    """A flag, from a JSON boolean or from a word."""
    careful = f"case lower(trim({path})) when 'true' then true when 'yes' then true when 'false' then false end"
    return f"case {path} when 'true' then true when 'false' then false else {careful} end"


def strange(end: str) -> str:
    """True for rows that only the careful way can judge: those of another type."""
    typed = f"case when ends_with(r.type, '{end}') then false"
    typed += f" else not ends_with(rtrim(lower(coalesce(r.type, '')), '/'), '{end}') end"
    return f"({typed})"


def sixth(path: str, number: int, name: str) -> str:
    """Like `segment`, quickly where the path has the usual form with `name` at the place before `number`."""
    usual = f"split_part({path}, '/', {number - 1}) = '{name}' and not contains({path}, '?')"
    found = f"nullif(split_part({path}, '/', {number}), '')"
    return f"case when {usual} then {found} else {segment(path, name)} end"


SHOWN = "r.properties"
IN_PATHS = f"coalesce({segment('r.id', 'environments')}, {segment('{request}', 'environments')}, '{NO_ENVIRONMENT}')"
PLACES = (f"{SHOWN}.environment.name", f"{SHOWN}.environment.id")
ENVIRONMENT = first_of((PLACES[0], PLACES[0]), (PLACES[1], end(PLACES[1])), otherwise=IN_PATHS)
NAME = first_of(("r.name", "r.name"), otherwise=end("r.id"))

# --- flows -----------------------------------------------------------------------------------------------------------
REFERENCE = struct(
    {
        "connectionName": "VARCHAR",
        "connectionReferenceLogicalName": "VARCHAR",
        "source": "VARCHAR",
        "runtimeSource": "VARCHAR",
        "id": "VARCHAR",
        "displayName": "VARCHAR",
        "tier": "VARCHAR",
        "connection": "STRUCT(name VARCHAR, connectionReferenceLogicalName VARCHAR)",
        "api": "STRUCT(name VARCHAR)",
        "apiDefinition": "STRUCT(properties STRUCT("
        "displayName VARCHAR, tier VARCHAR, isCustomApi VARCHAR, publisher VARCHAR))",
    }
)
FLOW_COLUMNS = {
    **dict.fromkeys(["name", "id", "type", "displayName", "description"], "VARCHAR"),
    "properties": struct(
        {
            **dict.fromkeys(
                ["displayName", "state", "flowSuspensionReason", "createdTime", "lastModifiedTime"], "VARCHAR"
            ),
            **dict.fromkeys(["workflowEntityId", "workflowUniqueId", "isManaged", "sharingType"], "VARCHAR"),
            **dict.fromkeys(["templateName", "flowFailureAlertSubscribed"], "VARCHAR"),
            "environment": PLACE,
            "creator": "STRUCT(objectId VARCHAR, userId VARCHAR, userType VARCHAR)",
            "owningUser": "STRUCT(azureActiveDirectoryObjectId VARCHAR)",
            "estimatedSuspensionData": 'STRUCT(suspensionTime VARCHAR, "time" VARCHAR)',
            "definitionSummary": 'STRUCT(triggers STRUCT("type" VARCHAR, kind VARCHAR)[], description VARCHAR)',
            "licenseData": "STRUCT(flowLicenseName VARCHAR)",
            "connectionReferences": f"MAP(VARCHAR, {REFERENCE})",
            # a detail among the lines of a list: its definition must be read
            "definition": "JSON",
            "installedConnectionReferences": "JSON",
        }
    ),
}
SUSPENSION = f'coalesce({SHOWN}.estimatedSuspensionData.suspensionTime, {SHOWN}.estimatedSuspensionData."time")'
FLOW_TIMES = {
    "suspension_at": SUSPENSION,
    "created_at": f"{SHOWN}.createdTime",
    "modified_at": f"{SHOWN}.lastModifiedTime",
}
CREATORS = (f"{SHOWN}.creator.objectId", f"{SHOWN}.creator.userId")
CREATOR = first_of(*((path, path) for path in CREATORS))
TITLE = f"{SHOWN}.displayName"
STATE = (
    'case lower("properties.state") '
    + " ".join(f"when '{word}' then '{state}'" for word, state in STATES.items())
    + f""" else case when {text('"properties.state"')} is not null then 'Unknown' end end"""
)


def _text(*paths: str) -> Asked:
    """The first text among some."""
    told = [text(f'"{path}"') for path in paths]
    return Asked(f"coalesce({', '.join(told)})", paths)


def _flag(path: str) -> Asked:
    return Asked(flag(f'"{path}"'), (path,))


FLOW_WORDS = {
    "state": Asked(STATE, ("properties.state",)),
    "suspension_reason": _text("properties.flowSuspensionReason"),
    "creator_kind": _text("properties.creator.userType"),
    "owner_source": Asked("case when owner_id is not null then 'owninguser' end", ("owner_id",)),
    "is_solution": Asked(
        'case when workflow_id is not null then true when "properties.isManaged" is not null then false end',
        ("workflow_id", "properties.isManaged"),
    ),
    "is_managed": _flag("properties.isManaged"),
    "kind": Asked("'cloud'", ("properties.state",)),
    "trigger_type": _text("properties.definitionSummary.triggers[1].type"),
    "trigger_kind": _text("properties.definitionSummary.triggers[1].kind"),
    "sharing_type": _text("properties.sharingType"),
    "description": _text("properties.definitionSummary.description", "description"),
    "template_name": _text("properties.templateName"),
    "licence_name": _text("properties.licenseData.flowLicenseName"),
    "failure_alert": _flag("properties.flowFailureAlertSubscribed"),
}
FLOW_IDS = {
    "owner_id": f"{SHOWN}.owningUser.azureActiveDirectoryObjectId",
    "workflow_id": f"{SHOWN}.workflowEntityId",
    "workflow_unique_id": f"{SHOWN}.workflowUniqueId",
}
RAW = sorted({path for asked in FLOW_WORDS.values() for path in asked.paths} - FLOW_IDS.keys())
FLOWS = f"""
select {ENVIRONMENT} as environment_id, {NAME} as flow_id,
    coalesce({text(TITLE)}, r.displayName) as display_name,
    {", ".join(f"{path} as {column}" for column, path in FLOW_TIMES.items())},
    {CREATOR} as creator_id, {", ".join(f"{path} as {column}" for column, path in FLOW_IDS.items())},
    {", ".join(f'r.{path} as "{path}"' for path in RAW)}, {SHOWN}.connectionReferences as entries, {{odd}} as odd
from {{rows}}
"""
NAMES = ("connectionReferenceLogicalName", "connection.connectionReferenceLogicalName")
SOURCE = """lower(coalesce(nullif("source", ''), "runtimeSource", ''))"""


def _ends(*paths: str) -> Asked:
    """The last segment of the first path that has a value."""
    return Asked(first_of(*((f'"{p}"', end(f'"{p}"')) for p in paths)), paths, without=b" /{}")


REFERENCES = {
    "alias": Asked('lower("key")', ("key",)),
    "connector_id": _ends("id", "api.name"),
    "connection_id": _ends("connectionName", "connection.name"),
    "reference_name": Asked(first_of(*((f'"{p}"', fold(f'"{p}"')) for p in NAMES)), NAMES),
    "runtime_source": Asked(
        f"case when {SOURCE} in ('embedded', 'invoker') then {SOURCE} else 'unknown' end", ("source", "runtimeSource")
    ),
    "tier": _text("tier"),
}
DESCRIBED = {key: f'"apiDefinition.properties.{key}"' for key in ("displayName", "tier", "isCustomApi", "publisher")}
CONNECTORS = f"""
select * from (select distinct {last('"id"')} as connector_id, '{NO_ENVIRONMENT}' as environment_id,
    coalesce({text(DESCRIBED["displayName"])}, {text('"displayName"')}) as display_name,
    coalesce({text(DESCRIBED["tier"])}, {text('"tier"')}) as tier,
    {flag(DESCRIBED["isCustomApi"])} as is_custom, {text(DESCRIBED["publisher"])} as publisher
from base) where connector_id is not null and not coalesce(is_custom, false)
order by all
"""
DESCRIBING = ("id", "displayName", "tier", *(path.strip('"') for path in DESCRIBED.values()))
WITH_REFERENCES = frozenset({"properties.connectionReferences"})
DETAIL = f"{SHOWN}.definition is not null or {SHOWN}.installedConnectionReferences is not null"

# --- connections -----------------------------------------------------------------------------------------------------
CONNECTION_COLUMNS = {
    **dict.fromkeys(["name", "id", "type"], "VARCHAR"),
    "properties": struct(
        {
            **dict.fromkeys(["apiId", "displayName", "accountName", "isSsoConnection", "allowSharing"], "VARCHAR"),
            **dict.fromkeys(["createdTime", "lastModifiedTime", "expirationTime"], "VARCHAR"),
            "environment": PLACE,
            "createdBy": PRINCIPAL,
            "statuses": 'STRUCT(status VARCHAR, "error" STRUCT(code VARCHAR, message VARCHAR))[]',
            "connectionParameters": "MAP(VARCHAR, JSON)",
            "connectionParametersSet": 'STRUCT(name VARCHAR, "values" MAP(VARCHAR, JSON))',
        }
    ),
}
CONNECTION_TIMES = {
    "created_at": f"{SHOWN}.createdTime",
    "modified_at": f"{SHOWN}.lastModifiedTime",
    "token_expires_at": f"{SHOWN}.expirationTime",
}
SCALAR = "case when json_type({v}) in ('OBJECT', 'ARRAY', 'NULL') then null else {v} ->> '$' end"
INNER = SCALAR.format(v="(e.value -> '$.value')")
VALUE = f"case when json_type(e.value) = 'OBJECT' then {INNER} else {SCALAR.format(v='e.value')} end"
KEY = "lower(regexp_extract(e.key, '[^:]*$'))"
ALLOWED = ", ".join(f"'{key}'" for keys in PARAMETERS.values() for key in keys)


def _entries(path: str) -> str:
    """The allowed parameters of one map, as a list of {k, v}."""
    pairs = f"list_transform(coalesce(map_entries({path}), []), lambda e: {{'k': {KEY}, 'v': {VALUE}}})"
    return f"list_filter({pairs}, lambda p: p.k in ({ALLOWED}) and trim(coalesce(p.v, '')) <> '')"


def _parameter(column: str) -> str:
    picked = (f"list_filter(parameters, lambda p: p.k = '{key}')[-1].v" for key in PARAMETERS[column])
    return f"case when len(parameters) > 0 then coalesce({', '.join(picked)}) end"


ADDRESS = f"regexp_replace(regexp_extract({_parameter('server')}, '^[^?#;]*'), '^(.*?://)[^/@]*@', '\\1')"
STATUSES = f"{SHOWN}.statuses"
WORST = (
    f"case when len({STATUSES}) > 1 then coalesce(list_filter({STATUSES}, "
    f"lambda x: x.status is distinct from 'Connected')[1], {STATUSES}[1]) else {STATUSES}[1] end"
)
MAKER = f"{SHOWN}.createdBy"
CONNECTIONS = f"""
select {ENVIRONMENT} as environment_id, {NAME} as connection_id,
    {first_of((f"{SHOWN}.apiId", end(f"{SHOWN}.apiId")), otherwise=segment("r.id", "apis"))} as connector_id,
    {SHOWN}.displayName as display_name,
    {MAKER}.id as created_by_id,
    coalesce({text(f"{MAKER}.userPrincipalName")}, {text(f"{MAKER}.email")}) as created_by_upn,
    {MAKER}.tenantId as created_by_tenant_id,
    {SHOWN}.accountName as account_name,
    {SHOWN}.connectionParametersSet.name as auth_kind,
    {_parameter("username")} as username, {ADDRESS} as server, {_parameter("database")} as "database",
    {fold(_parameter("client_id"))} as client_id,
    worst.status as status, worst.error.code as status_code,
    nullif(regexp_extract(worst.error.message, 'AADSTS([0-9]+)', 1), '') as aadsts,
    {flag(f"{SHOWN}.isSsoConnection")} as is_sso, {flag(f"{SHOWN}.allowSharing")} as allow_sharing,
    {", ".join(f"{path} as {column}" for column, path in CONNECTION_TIMES.items())},
    {MAKER} as maker, odd
from (
    select {{request}} as request, r, {WORST} as worst, {{odd}} as odd,
        case when {SHOWN}.connectionParametersSet is null and cardinality({SHOWN}.connectionParameters) = 0
            then [] else list_concat({_entries(f"{SHOWN}.connectionParameters")},
                {_entries(f'{SHOWN}.connectionParametersSet."values"')}) end as parameters
    from {{rows}}
)
"""
MAKERS = f"""
select distinct created_by_id as identity_id,
    case maker.type when 'User' then 'user' else 'service_principal' end as kind,
    case maker.type when 'User' then {text("maker.userPrincipalName")} end as upn,
    {text("maker.email")} as mail, {text("maker.displayName")} as display_name, created_by_tenant_id as home_tenant_id
from base
where maker.type in ('User', 'ServicePrincipal') and created_by_id is not null and created_by_id <> 'system'
order by all
"""

# --- permissions and runs --------------------------------------------------------------------------------------------
PERMISSION_COLUMNS = {
    **dict.fromkeys(["name", "id", "type"], "VARCHAR"),
    "properties": struct({"roleName": "VARCHAR", "environment": PLACE, "principal": PRINCIPAL}),
}
ROW_PLACE = f"coalesce({sixth('r.id', 5, 'environments')}, {segment('{request}', 'environments')}, '{NO_ENVIRONMENT}')"
PLACED = first_of((PLACES[0], PLACES[0]), (PLACES[1], end(PLACES[1])), otherwise=ROW_PLACE)
FLOW = f"coalesce({sixth('r.id', 7, 'flows')}, {segment('{request}', 'flows')}, '{UNTOLD}')"
HOLDER = f"{SHOWN}.principal"
HOLDER_ID = first_of((f"{HOLDER}.id", f"{HOLDER}.id"), otherwise="r.name")
PERMISSIONS = f"""
select {PLACED} as environment_id, {FLOW} as flow_id, {HOLDER_ID} as principal_id,
    {HOLDER}.type as principal_kind, {SHOWN}.roleName as role, 'permissions' as via,
    {{odd}} as odd
from {{rows}}
"""
RUN_COLUMNS = {
    **dict.fromkeys(["name", "id", "type"], "VARCHAR"),
    "properties": struct(
        {
            **dict.fromkeys(["startTime", "endTime", "status", "code"], "VARCHAR"),
            "environment": PLACE,
            "error": "STRUCT(code VARCHAR)",
            "trigger": "STRUCT(name VARCHAR)",
        }
    ),
}
RUN_TIMES = {"start_at": f"{SHOWN}.startTime", "end_at": f"{SHOWN}.endTime"}
RUNS = f"""
select {PLACED} as environment_id, {FLOW} as flow_id, coalesce({text("r.name")}, {last("r.id")}) as run_id,
    {", ".join(f"{path} as {column}" for column, path in RUN_TIMES.items())},
    {SHOWN}.status as status, coalesce({text(f"{SHOWN}.error.code")}, {SHOWN}.code) as error_code,
    {SHOWN}."trigger".name as trigger_name, {{odd}} as odd
from {{rows}}
"""

FAMILIES: dict[str, Family] = {
    "permission": Family(
        "flowadmin",
        PERMISSION_COLUMNS,
        ALL,
        PERMISSIONS,
        (Result("flow_owners", "flow permissions"),),
        odd=strange("flows/permissions"),
    ),
    "run": Family(
        "flowadmin",
        RUN_COLUMNS,
        ALL,
        RUNS,
        (Result("runs", "runs"),),
        odd=strange("flows/runs"),
    ),
    "flow": Family(
        "flowadmin",
        FLOW_COLUMNS,
        ALL,
        FLOWS,
        (
            Result("flows", "flow list", asked=FLOW_WORDS),
            Result(
                "flow_connections",
                "flow list",
                needs=WITH_REFERENCES,
                inside=True,
                asked=REFERENCES,
            ),
            Result(
                "connectors",
                "flow list",
                CONNECTORS,
                needs=WITH_REFERENCES,
                inside=True,
                distinct=DESCRIBING,
                aside=True,
                optional=True,
            ),
        ),
        odd=f"({strange('environments/flows')} or {DETAIL})",
        inside=("entries", "environment_id", "flow_id"),
    ),
    "connection": Family(
        "flowadmin",
        CONNECTION_COLUMNS,
        ALL,
        CONNECTIONS,
        (
            Result("connections", "connections"),
            Result("identities", "connections", MAKERS, aside=True, optional=True),
        ),
        odd=strange("apis/connections"),
    ),
}
