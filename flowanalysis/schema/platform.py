"""Tables of the Power Platform: environments, flows, who owns them, the connections they use."""

from flowanalysis.schema.declare import declare

TABLES = (
    declare(
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
    declare(
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
    declare(
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
    declare(
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
        name_marks text which patterns of the policy its name fitted before a pseudonym took its place: named excluded critical; NA: the name is the flow's
    """,
    ),
    declare(
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
    declare(
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
    declare(
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
    declare(
        "environment_variables",
        "environment_id variable_id",
        "An environment variable, by whose value flows name resources",
        """
        environment_id text where
        variable_id text Dataverse id of the definition
        variable_name text schema name, lower case; NA where only the value was exported
        kind text string | number | boolean | json | data_source | secret
        value text the value in force: the environment's own, else the default; NA for secrets
        default_value text default of the definition; NA for secrets
    """,
    ),
    declare(
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
    declare(
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
    declare(
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
    declare(
        "connector_operations",
        "connector_id operation_id",
        "An operation as the connector's own description in an export tells it",
        """
        connector_id text the connector
        operation_id text operation
        right text read | write | delete | unknown: what its method says; triggers read
    """,
    ),
    declare(
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
    declare(
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
)
