"""Tables of what flows need and what accounts may: steps, needs, resources, grants, the register."""

from flowanalysis.schema.declare import declare

TABLES = (
    declare(
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
    declare(
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
    declare(
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
    declare(
        "resources",
        "resource_id",
        "A thing that rights are about",
        """
        resource_id text resource key, lower case
        kind text sharepoint_site | sharepoint_list | drive | mailbox | team | dataverse_table | sql_database | http_host | environment | tenant | other
        display_name text name
        url text address
        site_id text id of a SharePoint site, with that of its web after a comma where told; NA for others
        parent_id text resource that contains it
        sensitivity number weight of one right on it, at least 1; NA is the policy's default
        name_weight number weight that the policy gave for its name before a pseudonym took its place; NA: the name is its own
    """,
    ),
    declare(
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
    declare(
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
)
