"""Every table of a tenant, declared once: columns, types, keys, meaning.

All rooms speak through these tables. Conventions:

* ids are lower-case strings, so that joins are joins on equality; connectors are the last path
  segment (``shared_sharepointonline``),
* times are UTC, microseconds; flags are nullable; **NA means not known, never False**,
* ``environment_id`` is ``NO_ENVIRONMENT`` for flows that come from a package or a file of their own,
* a table that nobody collected is absent from ``Tenant.collected``; its frame is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
import pyarrow as pa

from flowanalysis.errors import UnknownName

NO_ENVIRONMENT = "(none)"

TEXT = pd.StringDtype("pyarrow", na_value=pd.NA)
FLAG = pd.BooleanDtype()
COUNT = pd.Int64Dtype()
NUMBER = pd.Float64Dtype()
TIME = pd.DatetimeTZDtype("us", "UTC")
ARROW = {
    "text": pa.string(),
    "flag": pa.bool_(),
    "count": pa.int64(),
    "number": pa.float64(),
    "time": pa.timestamp("us", "UTC"),
}
PANDAS = {"text": TEXT, "flag": FLAG, "count": COUNT, "number": NUMBER, "time": TIME}


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind (text, flag, count, number, time) and what it means."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """One table: its name, the columns that identify a row, all columns, and what a row is."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    meaning: str

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [c.name for c in self.columns]

    @property
    def kinds(self) -> dict[str, str]:
        """Column name to kind."""
        return {c.name: c.kind for c in self.columns}

    @property
    def dtypes(self) -> dict[str, object]:
        """Column name to pandas dtype."""
        return {c.name: PANDAS[c.kind] for c in self.columns}

    @property
    def arrow(self) -> pa.Schema:
        """The same columns as an Arrow schema."""
        return pa.schema([(c.name, ARROW[c.kind]) for c in self.columns])


def _table(name: str, key: str, meaning: str, columns: str) -> Table:
    """A table from a text: one ``name kind meaning`` a line."""
    parsed = [Column(*line.split(None, 2)) for line in columns.strip().splitlines()]
    return Table(name, tuple(key.split()), tuple(parsed), meaning)


_ALL = (
    _table(
        "identities",
        "identity_id",
        "A user, service principal, group or tenant that can own, run or share something",
        """
        identity_id text object id in Entra ID
        kind text user | service_principal | group | tenant | dataverse_user | unknown
        upn text user principal name; of a deleted user the former one
        mail text mail address
        display_name text name as shown; not unique
        given_name text given name
        surname text surname
        account_enabled flag may sign in
        user_type text Member | Guest
        status text active | disabled | deleted | purged_or_foreign | system | unknown (derived)
        created_at time creation
        deleted_at time soft deletion
        last_password_change_at time last change of the password
        password_never_expires flag password policy says so
        on_prem_synced flag comes from Active Directory
        employee_type text free text of the directory, such as Employee or ServiceAccount
        employee_id text personnel number
        department text department
        company text company
        job_title text job title
        manager_id text object id of the manager
        manager_known flag True when the export would have shown a manager, so that a missing one means none
        usage_location text country for licences
        mailbox_type text user | shared | room | equipment, where an export says so
        last_signin_at time last interactive sign-in, an attempt counts
        last_noninteractive_signin_at time last non-interactive sign-in; a running flow shows here
        last_successful_signin_at time last successful sign-in
        app_id text application (client) id of a service principal
        sp_type text Application | ManagedIdentity | Legacy | SocialIdp
        home_tenant_id text tenant that owns the identity, where known
    """,
    ),
    _table(
        "groups",
        "group_id",
        "A group",
        """
        group_id text object id
        display_name text name as shown
        mail text mail address
        kind text security | m365 | distribution | mail_security | unknown
        dynamic flag members follow a rule
        membership_rule text the rule
        role_assignable flag may hold directory roles
        synced flag comes from Active Directory
        has_team flag has a Microsoft Teams team
        visibility text Public | Private | HiddenMembership
    """,
    ),
    _table(
        "memberships",
        "group_id member_id relation",
        "Direct membership or ownership of a group",
        """
        group_id text the group
        member_id text the member: user, group or service principal
        member_kind text user | group | service_principal | device | unknown
        relation text member | owner
    """,
    ),
    _table(
        "directory_roles",
        "role_id",
        "Definition of an Entra role",
        """
        role_id text definition id in this tenant
        template_id text id that is the same in all tenants
        display_name text name
        is_builtin flag Microsoft's own
        is_privileged flag Microsoft marks it as privileged (beta API only)
    """,
    ),
    _table(
        "role_assignments",
        "principal_id role_id scope state",
        "A directory role held by a principal",
        """
        principal_id text user, group or service principal
        role_id text definition id or template id
        role_template_id text template id
        role_name text name
        scope text / for the whole tenant, else an administrative unit or application
        state text active | eligible
        member_type text Direct | Group | Inherited
        assignment_type text Assigned | Activated
        start_at time begins
        end_at time ends; NA is permanent or not said
        is_privileged flag as told by the export
    """,
    ),
    _table(
        "app_permissions",
        "client_id resource_id permission kind principal_id",
        "A permission of an application",
        """
        client_id text service principal that holds it
        resource_id text service principal of the API
        resource_name text name of the API
        permission text such as Mail.Send; the app role id when its name is not known
        permission_id text app role id
        kind text application | delegated
        consent text AllPrincipals | Principal for delegated
        principal_id text the user of a Principal consent; empty string for all
        created_at time granted
    """,
    ),
    _table(
        "app_roles",
        "resource_id permission_id",
        "A permission that an API offers, the key from permission ids to names",
        """
        resource_id text service principal of the API
        permission_id text app role or scope id
        permission text such as Mail.Send
        kind text application | delegated
    """,
    ),
    _table(
        "skus",
        "sku_id",
        "A licence product that the tenant owns",
        """
        sku_id text product id
        sku_part_number text such as POWERAUTOMATE_ATTENDED_RPA
        display_name text product name
        status text Enabled | Warning | Suspended | Deleted | LockedOut
        enabled_units count seats paid
        consumed_units count seats given
        service_plans text names of the plans, separated by blanks
    """,
    ),
    _table(
        "licences",
        "identity_id sku_id",
        "A licence given to an identity",
        """
        identity_id text who
        sku_id text product id, or the display name where an export has only that
        sku_part_number text part number where known
        disabled_plans text ids of plans switched off, separated by blanks
        via_group_id text group that brings the licence; NA is direct or not said
    """,
    ),
    _table(
        "environments",
        "environment_id",
        "A Power Platform environment",
        """
        environment_id text name of the environment in ids
        display_name text name as shown
        sku text Production | Sandbox | Developer | Default | Trial | Teams
        is_default flag the default environment
        is_managed flag Managed Environment
        region text location
        state text as told by the service
        created_at time creation
        created_by_id text who made it
        owner_id text for whom a developer environment was made
        has_dataverse flag has a Dataverse database
        org_url text Dataverse URL
        org_id text Dataverse organisation id
        security_group_id text group that limits access
        environment_group_id text environment group
        tenant_id text tenant
    """,
    ),
    _table(
        "environment_roles",
        "environment_id principal_id role",
        "A role in an environment",
        """
        environment_id text where
        principal_id text who
        principal_kind text User | Group | Tenant | ServicePrincipal
        role text EnvironmentAdmin | EnvironmentMaker | System Administrator | other security role
        via text environment | dataverse
    """,
    ),
    _table(
        "dataverse_users",
        "environment_id systemuser_id",
        "A Dataverse user row, the key from Dataverse ids to identities",
        """
        environment_id text where; NO_ENVIRONMENT when the export does not tell
        systemuser_id text Dataverse id
        identity_id text object id in Entra ID
        upn text domain name
        display_name text full name
        is_disabled flag disabled in Dataverse
        access_mode text read_write | administrative | read | support | non_interactive | delegated_admin
        application_id text set for application users
    """,
    ),
    _table(
        "flows",
        "environment_id flow_id",
        "A flow",
        """
        environment_id text where
        flow_id text name of the flow in ids; the workflow id where only Dataverse knows it
        display_name text name as shown
        state text Started | Stopped | Suspended | Deleted | Draft | Unknown
        suspension_reason text why suspended, None where told so
        suspension_at time announced suspension
        created_at time creation
        modified_at time last change
        last_run_at time last run known
        creator_id text who made it
        creator_kind text ActiveDirectory | DataverseSystemUser | NA
        owner_id text identity that owns it now, as far as known
        owner_source text permissions | owninguser | dataverse | inventory | creator: the evidence for owner_id
        is_solution flag lives in a solution
        workflow_id text Dataverse workflow id
        workflow_unique_id text Dataverse unique id
        is_managed flag part of a managed solution
        kind text cloud | desktop | agent | classic | other
        trigger_type text such as Recurrence, OpenApiConnectionWebhook, Request
        trigger_kind text such as Button, Http, PowerAppV2
        action_count count actions at all depths, without the trigger
        has_definition flag the definition was read
        sharing_type text as told
        description text description
        template_name text template
        licence_name text licence shown with the flow
        failure_alert flag owner is mailed about failures
    """,
    ),
    _table(
        "flow_owners",
        "environment_id flow_id principal_id role",
        "A principal with a role on a flow",
        """
        environment_id text where
        flow_id text the flow
        principal_id text who
        principal_kind text User | Group | ServicePrincipal | SharePointList | Tenant | Team
        role text Owner | CanEdit | CanView | RunOnly
        via text permissions | dataverse | coe | creator
    """,
    ),
    _table(
        "flow_connections",
        "environment_id flow_id alias",
        "A connection that a flow declares",
        """
        environment_id text where
        flow_id text the flow
        alias text key inside the definition; says nothing about the connector
        connector_id text connector
        connection_id text stored connection; NA when only a reference is named
        reference_name text logical name of a connection reference
        runtime_source text embedded | invoker | unknown
        tier text as told
    """,
    ),
    _table(
        "connection_references",
        "environment_id reference_name",
        "A connection reference of a solution",
        """
        environment_id text where
        reference_name text logical name
        reference_id text Dataverse id
        display_name text name as shown
        connector_id text connector
        connection_id text connection bound to it; NA with is_bound False is unbound
        is_bound flag a connection is set; NA not told
        owner_id text owner
        state text active | inactive
        is_managed flag part of a managed solution
    """,
    ),
    _table(
        "connections",
        "environment_id connection_id",
        "A connection: a stored sign-in",
        """
        environment_id text where
        connection_id text name of the connection in ids
        connector_id text connector
        display_name text often the account
        created_by_id text object id of the maker
        created_by_upn text name of the maker
        created_by_tenant_id text tenant of the maker
        account_name text account signed in
        auth_kind text parameter set, such as Oauth, ServicePrincipalOauth, sql
        username text user name parameter
        server text server, site or base address parameter
        database text database parameter
        client_id text application id of a service principal connection
        status text Connected | Error | Unauthenticated | other
        status_code text error code
        aadsts text number of the sign-in error
        is_sso flag single sign-on
        allow_sharing flag may be shared
        created_at time creation
        modified_at time last change
        token_expires_at time expiry of the access token; in the past is normal
    """,
    ),
    _table(
        "connection_shares",
        "environment_id connection_id principal_id",
        "A share of a connection",
        """
        environment_id text where
        connection_id text the connection
        principal_id text who; the tenant id for everybody
        principal_kind text User | Group | Tenant | ServicePrincipal
        role text Owner | CanEdit | CanView | CanViewWithShare
    """,
    ),
    _table(
        "connectors",
        "connector_id environment_id",
        "A connector",
        """
        connector_id text last path segment
        environment_id text for custom connectors; NO_ENVIRONMENT for public ones
        display_name text name as shown
        tier text Standard | Premium | NotSpecified
        is_custom flag made in the tenant
        publisher text publisher
        host text host that a custom connector calls
        created_by_id text maker of a custom connector
    """,
    ),
    _table(
        "dlp_rules",
        "policy_id connector_id",
        "A connector's class in a data policy",
        """
        policy_id text the policy
        policy_name text name
        connector_id text connector
        classification text business | non_business | blocked
        scope text all | only | except
        environment_ids text environments of the scope, separated by blanks
    """,
    ),
    _table(
        "steps",
        "environment_id flow_id step",
        "A trigger or action of a flow",
        """
        environment_id text where
        flow_id text the flow
        step text path, such as Scope/Condition/else/Send_mail; the trigger's own name
        name text name of the step
        kind text trigger | action
        type text such as OpenApiConnection, Http, Workflow
        connector_id text connector; NA for built-in steps
        operation_id text operation; method and path where the definition has no id
        alias text key of the connection in flow_connections
        runtime_source text embedded | invoker | unknown; NA for built-in steps
        authentication text parameter | raw | oauth | basic | none | other
        child_flow_id text workflow id of a called flow
        method text HTTP method where literal
        host text host of an HTTP step where literal
    """,
    ),
    _table(
        "needs",
        "environment_id flow_id step right resource_kind resource",
        "A right that a step requires on a resource",
        """
        environment_id text where
        flow_id text the flow
        step text the step
        connector_id text connector, or http
        operation_id text operation
        alias text connection that must carry the right
        right text access class of the operation, such as read, write, delete, send, execute, grant, unknown
        level text read | write | owner | full | unknown: the least level that carries the right
        resource_kind text such as sharepoint_list, mailbox, dataverse_table, tenant
        resource text resource key, lower case; empty string when the state is not known or environment_variable
        state text known | environment_variable | expression | in_connection
        via text own | trigger_registration: why the need exists
    """,
    ),
    _table(
        "definition_marks",
        "environment_id flow_id mark step path",
        "Something that a definition alone tells: a risk or a trait, never a value",
        """
        environment_id text where
        flow_id text the flow
        mark text secret | open_http_trigger | no_failure_branch | deprecated_operation | legacy_connector | personal_address | two_identities | outside_connector | secret_not_secured | premium_connector | environment_variable | grants_rights | other
        step text the step; empty string for the flow
        path text JSON path inside the definition; empty string where it adds nothing
        detail text plain words; for secrets kind and length, never a part of the value
        fingerprint text keyed fingerprint of a secret, equal for equal values in one run
    """,
    ),
    _table(
        "resources",
        "resource_id",
        "A thing that rights are about",
        """
        resource_id text resource key, lower case
        kind text sharepoint_site | sharepoint_list | drive | mailbox | team | dataverse_table | sql_database | http_host | environment | tenant | other
        display_name text name
        url text address
        parent_id text resource that contains it
        sensitivity number weight of one right on it, at least 1; NA is the policy's default
    """,
    ),
    _table(
        "grants",
        "principal_id resource_id level via",
        "Who may do what on which resource",
        """
        principal_id text identity or group
        principal_kind text user | group | service_principal | sharepoint_group | everyone | unknown
        resource_id text the resource
        resource_kind text kind of the resource
        connector_id text connector through which the right is used; NA is any
        level text read | write | owner | full
        via text direct | group | link | site_admin | app | delegation | other
        granted_at time since when
    """,
    ),
    _table(
        "signins",
        "signin_id",
        "A sign-in",
        """
        signin_id text id of the log row
        identity_id text who
        at time when
        app_id text application
        app_name text name of the application
        interactive flag interactive
        error_code count 0 is success
        ip text address
    """,
    ),
    _table(
        "runs",
        "environment_id flow_id run_id",
        "A run of a flow",
        """
        environment_id text where
        flow_id text the flow
        run_id text the run
        start_at time start
        end_at time end
        status text Succeeded | Failed | Cancelled | Running | Waiting | TimedOut | Skipped
        error_code text code of the failure
        trigger_name text the trigger
    """,
    ),
    _table(
        "register",
        "account",
        "A service account as the company documents it",
        """
        account text UPN, object id or application id
        kind text user | service_principal
        owner text human owner: UPN or object id
        deputy text deputy: UPN or object id
        purpose text what it is for
        allowed_rights text approved rights, such as sharepoint_site=https://…:write, separated by ;
        environments text environments it may work in, separated by ;
        review_date time next review
        licence text licence it is meant to have
    """,
    ),
    _table(
        "collection_log",
        "source file table",
        "What was read from where",
        """
        source text kind of export, such as graph or flowadmin
        file text name of the file, relative to the place given
        table text table that it filled; empty string for a file that gave none
        rows count rows given
        duplicates count rows met before
        complete flag nothing more to fetch as far as the file tells
        next_link flag a link to a further page was left over
        observed_at time when collected, as far as known
        message text what an analyst must know
    """,
    ),
    _table(
        "rejected",
        "file record table",
        "A record set aside",
        """
        file text name of the file
        record text place in the file: line, row, index or id
        table text table it would have gone to
        reason text why, and what to do
    """,
    ),
    _table(
        "conflicts",
        "table key column",
        "Two sources that say different things of one row",
        """
        table text table
        key text key of the row
        column text column
        kept text value kept
        kept_source text source trusted
        dropped text value not kept
        dropped_source text other source
    """,
    ),
)
TABLES: Mapping[str, Table] = MappingProxyType({t.name: t for t in _ALL})


def table(name: str) -> Table:
    """The declaration of a table.

    Raises
    ------
    UnknownName
        When there is no such table.

    Examples
    --------
    >>> table("memberships").key
    ('group_id', 'member_id', 'relation')
    """
    try:
        return TABLES[name]
    except KeyError:
        raise UnknownName("table", name, TABLES) from None


def empty(name: str) -> pd.DataFrame:
    """The table without rows, every column typed."""
    return frame(name, ())


def frame(name: str, rows: Iterable[Mapping[str, object]] | pd.DataFrame | pa.Table) -> pd.DataFrame:
    """Rows as a frame of the table: all columns in order, typed, absent ones NA.

    Parameters
    ----------
    name : str
        Table.
    rows : records, DataFrame or Arrow table
        Columns that the table does not have are an error: a reader that invents one is wrong.

    Examples
    --------
    >>> frame("memberships", [{"group_id": "g1", "member_id": "u1"}]).iloc[0]["relation"]
    <NA>
    """
    spec = table(name)
    if isinstance(rows, pa.Table):
        return _from_arrow(spec, rows)
    data = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame.from_records(list(rows))
    strange = [c for c in data.columns if c not in spec.kinds]
    if strange:
        raise UnknownName(f"column of {name}", strange[0], spec.names)
    typed = {
        c: _cast(data[c], PANDAS[k]) if c in data else pd.array([pd.NA] * len(data), dtype=PANDAS[k])
        for c, k in spec.kinds.items()
    }
    return pd.DataFrame(typed, index=pd.RangeIndex(len(data)))


def _cast(column: pd.Series, dtype: object) -> pd.array:
    if column.dtype == dtype:
        return column.array
    if dtype == TIME:
        return pd.to_datetime(column, utc=True, format="ISO8601").astype(TIME).array
    return column.astype(dtype).array


def _from_arrow(spec: Table, rows: pa.Table) -> pd.DataFrame:
    strange = [c for c in rows.column_names if c not in spec.kinds]
    if strange:
        raise UnknownName(f"column of {spec.name}", strange[0], spec.names)
    arrays = [
        rows[c.name].cast(ARROW[c.kind]) if c.name in rows.column_names else pa.nulls(rows.num_rows, ARROW[c.kind])
        for c in spec.columns
    ]
    return to_pandas(pa.table(arrays, schema=spec.arrow))


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """An Arrow table with the house's dtypes: Arrow-backed text, nullable flags and counts."""
    known = {pa.string(): TEXT, pa.large_string(): TEXT, pa.bool_(): FLAG, pa.int64(): COUNT, pa.float64(): NUMBER}
    return rows.to_pandas(types_mapper=known.get)
