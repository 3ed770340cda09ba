"""Tables of the directory: who there is, which groups, roles, permissions and licences they hold."""

from flowanalysis.schema.declare import declare

TABLES = (
    declare(
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
        status text active | disabled | deleted | purged_or_foreign | absent | system | unknown (derived); absent: not among the users listed, and deleted users were not exported
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
        name_signals text signals that its names and titles gave before pseudonyms took their place, separated by blanks; NA: the names are the directory's
    """,
    ),
    declare(
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
    declare(
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
    declare(
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
    declare(
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
    declare(
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
    declare(
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
    declare(
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
    declare(
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
    declare(
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
)
