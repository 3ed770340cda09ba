"""Microsoft Graph answers about the tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowanalysis.demo.ids import DOMAIN
from flowanalysis.demo.people import DEPARTMENTS, OFFICE, PREMIUM, SKUS, Account, deputy, lead
from flowanalysis.demo.steps import Place
from flowanalysis.demo.world import World

GRAPH = "https://graph.microsoft.com/v1.0/$metadata#"
MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000"
USER_COLUMNS = (
    "id,userPrincipalName,displayName,mail,userType,accountEnabled,createdDateTime,givenName,surname,employeeType,"
    "employeeId,department,jobTitle,onPremisesSyncEnabled,assignedLicenses,"
    "lastPasswordChangeDateTime,passwordPolicies,signInActivity,manager(id,userPrincipalName)"
)
ROLES = {
    "Global Administrator": "62e90394-69f5-4237-9190-012177145e10",
    "SharePoint Administrator": "f28a1f50-f6e7-4571-818b-6a12f2af6b6c",
    "Power Platform Administrator": "11648597-926c-4cf3-9c36-bcebb0ba8dcc",
    "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "Reports Reader": "4a5d8f65-41da-4de4-8968-e035b65339cf",
}
PRIVILEGED = {"Global Administrator", "User Administrator"}
ASSIGNED = (  # (who, role, active or eligible)
    ("breakglass-01", "Global Administrator", "active"),
    ("lena.ortiz", "SharePoint Administrator", "active"),
    ("gwen.keller", "Global Administrator", "eligible"),
    ("gwen.keller", "Power Platform Administrator", "eligible"),
    ("group:helpdesk", "User Administrator", "active"),
    ("petra.lindqvist", "Reports Reader", "active"),
)
APP_ROLES = {
    "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
}
PAGE = 500


def page(kind: str, rows: list[dict[str, Any]], columns: str = "") -> dict[str, Any]:
    """One answer with its context."""
    return {"@odata.context": f"{GRAPH}{kind}{f'({columns})' if columns else ''}", "value": rows}


def user_pages(world: World) -> Iterator[dict[str, Any]]:
    """Users with what $select asks for, in pages of 500; the link of a page was followed by whoever exported."""
    rows = [_user(world, a) for a in world.accounts.values() if a.state(world.stage) in ("active", "disabled")]
    for start in range(0, len(rows), PAGE):
        yield page("users", rows[start : start + PAGE], USER_COLUMNS)


def _user(world: World, account: Account) -> dict[str, Any]:
    given, _, surname = account.name.partition(" ")
    human = account.kind == "person"
    month = f"2026-{9 + world.stage:02}"
    row: dict[str, Any] = {
        "id": world.identity(account.key),
        "userPrincipalName": account.address,
        "displayName": account.name,
        "mail": None if account.kind in ("guest", "breakglass") else account.address,
        "userType": "Guest" if account.kind == "guest" else "Member",
        "accountEnabled": account.state(world.stage) == "active",
        "createdDateTime": world.ids.when(_hired(world, account), account.key),
        "givenName": given if human else None,
        "surname": surname if human else None,
        "employeeType": {"person": "Employee", "service": "ServiceAccount"}.get(account.kind),
        "employeeId": f"E{world.ids.number(900_000, 'employee', account.key) + 100_000}" if human else None,
        "department": DEPARTMENTS[account.department][0] if account.department else None,
        "jobTitle": account.title or None,
        "onPremisesSyncEnabled": True if human and world.ids.number(2, "synced", account.key) else None,
        "assignedLicenses": [{"disabledPlans": [], "skuId": SKUS[s][0]} for s in account.licences],
        "lastPasswordChangeDateTime": world.ids.when(f"2026-0{world.ids.number(6, 'password', account.key) + 1}-14"),
        "passwordPolicies": "DisablePasswordExpiration" if account.never_expires else None,
    }
    row["signInActivity"] = _activity(world, account, month)
    if account.manager:
        row["manager"] = {
            "@odata.type": "#microsoft.graph.user",
            "id": world.identity(account.manager),
            "userPrincipalName": world.address(account.manager),
        }
    return row


def _hired(world: World, account: Account) -> str:
    if account.stages == (1,):
        return "2026-10-06"
    return f"20{18 + world.ids.number(8, 'year', account.key)}-0{1 + world.ids.number(9, 'month', account.key)}-15"


def _activity(world: World, account: Account, month: str) -> dict[str, Any] | None:
    """People sign in themselves; service accounts are signed in by flows; mailboxes and break-glass never."""
    if account.kind == "shared" or account.idle:
        return None
    gone = account.state(world.stage) != "active"
    hand = f"2026-0{3 + world.ids.number(2, 'hand', account.key)}-11" if account.kind == "service" else f"{month}-29"
    hand, program = ("2026-07-30", "2026-07-30") if gone else (hand, f"{month}-30")
    return {
        "lastSignInDateTime": world.ids.when(hand, "sign-in", account.key),
        "lastNonInteractiveSignInDateTime": world.ids.when(program, "program", account.key),
    }


def deleted_page(world: World) -> dict[str, Any]:
    """Users in the recycle bin; the service puts the id in front of their names."""
    rows = []
    for account in world.accounts.values():
        if account.state(world.stage) == "deleted":
            found = world.identity(account.key)
            day = f"2026-{9 + account.since:02}-{10 + world.ids.number(12, 'deleted', account.key)}"
            rows.append(
                {
                    "id": found,
                    "userPrincipalName": found.replace("-", "") + account.address,
                    "displayName": account.name,
                    "mail": account.address,
                    "deletedDateTime": world.ids.when(day, "deleted", account.key),
                    "userType": "Member",
                    "accountEnabled": False,
                }
            )
    columns = "id,userPrincipalName,displayName,mail,deletedDateTime,userType,accountEnabled"
    return page("users", rows, columns)


# Groups ---------------------------------------------------------------------------------------------------------


def groups(world: World) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Group key to (row, keys of direct members)."""
    found = {}
    for key, (name, *_) in DEPARTMENTS.items():
        people = [a.key for a in world.accounts.values() if a.department == key and a.kind == "person"]
        living = [k for k in people if world.accounts[k].state(world.stage) in ("active", "disabled")]
        account = f"svc-flow-{key}"
        found[f"keepers-{key}"] = (_group(world, f"keepers-{key}", f"{name} process keepers"), [lead(key), deputy(key)])
        team = _group(world, f"team-{key}", name, team=True) | {"id": Place(world.ids, key).team}
        found[f"team-{key}"] = (team, [account, *living])
    it = [lead("it"), deputy("it")]
    found["helpdesk"] = (_group(world, "helpdesk", "Helpdesk operators", role=True), ["gwen.keller"])
    found["keepers"] = (
        _group(world, "keepers", "All process keepers"),
        [f"group:keepers-{k}" for k in DEPARTMENTS] + it,
    )
    rule = '(user.jobTitle -startsWith "Head of") or (user.jobTitle -eq "Chief Executive")'
    board = ["petra.lindqvist", *(lead(d) for d in DEPARTMENTS)]
    found["board"] = (_group(world, "board", "Management", rule=rule), board)
    found["joiners"] = (_group(world, "joiners", "New joiners"), [deputy("hr"), "june.abara"])
    return found


def _group(
    world: World, key: str, name: str, *, team: bool = False, role: bool = False, rule: str = ""
) -> dict[str, Any]:
    mail = f"{key}@{DOMAIN}" if team else None
    return {
        "id": world.ids.guid("group", key),
        "displayName": name,
        "mail": mail,
        "groupTypes": ["Unified"] if team else ["DynamicMembership"] if rule else [],
        "securityEnabled": not team,
        "mailEnabled": team,
        "isAssignableToRole": True if role else None,
        "membershipRule": rule or None,
        "membershipRuleProcessingState": "On" if rule else None,
        "visibility": "Private" if team else None,
        "onPremisesSyncEnabled": None,
        "resourceProvisioningOptions": ["Team"] if team else [],
    }


def group_page(world: World) -> dict[str, Any]:
    """Groups."""
    return page("groups", [row for row, _ in groups(world).values()])


def member_lines(world: World, relation: str = "members") -> Iterator[tuple[str, dict[str, Any]]]:
    """Request and answer per group; owners are the first two members of a team."""
    for row, members in groups(world).values():
        chosen = members if relation == "members" else [m for m in members[1:3] if row["groupTypes"] == ["Unified"]]
        kinds = ["group" if m.startswith("group:") else "user" for m in chosen]
        rows = [
            {"@odata.type": f"#microsoft.graph.{k}", "id": world.identity(m)}
            for k, m in zip(kinds, chosen, strict=True)
        ]
        if rows or relation == "members":
            yield f"groups/{row['id']}/{relation}?$select=id&$top=999", page("directoryObjects", rows, "id")


# Roles, applications, licences, sign-ins ------------------------------------------------------------------------


def role_pages(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and answer: definitions, assignments, PIM instances."""
    base = "roleManagement/directory/"
    rows = [
        {"id": i, "displayName": n, "isBuiltIn": True, "isPrivileged": n in PRIVILEGED, "templateId": i}
        for n, i in ROLES.items()
    ]
    definitions = page(base + "roleDefinitions", rows, "id,displayName,isBuiltIn,isPrivileged,templateId")
    definitions["@odata.context"] = definitions["@odata.context"].replace("/v1.0/", "/beta/")
    yield "role-definitions.json", definitions
    active = [_role(world, *a) for a in ASSIGNED if a[2] == "active"]
    yield "role-assignments.json", page(base + "roleAssignments", active)
    eligible = [
        _role(world, *a)
        | {"startDateTime": "2026-01-12T08:00:00Z", "endDateTime": "2027-01-12T08:00:00Z", "memberType": "Direct"}
        for a in ASSIGNED
        if a[2] == "eligible"
    ]
    yield "role-eligible.json", page(base + "roleEligibilityScheduleInstances", eligible)


def _role(world: World, who: str, role: str, state: str) -> dict[str, Any]:
    return {
        "id": world.ids.guid("role", who, role, state).replace("-", ""),
        "principalId": world.identity(who),
        "roleDefinitionId": ROLES[role],
        "directoryScopeId": "/",
        "appScopeId": None,
        "roleDefinition": {"id": ROLES[role], "displayName": role, "templateId": ROLES[role]},
    }


def application_pages(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and answer: service principals and delegated grants."""
    runner = _principal(world, "flow-runner", "Tailwind Flow Runner")
    reader = _principal(world, "directory-reader", "Tailwind Directory Reader")
    roles = [
        {"id": i, "value": v, "displayName": v, "allowedMemberTypes": ["Application"], "isEnabled": True}
        for v, i in APP_ROLES.items()
    ]
    graph = _principal(world, "graph", "Microsoft Graph") | {"appId": MICROSOFT_GRAPH, "appRoles": roles}
    graph["appOwnerOrganizationId"] = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
    yield "service-principals.json", page("servicePrincipals", [runner, reader, graph])
    grant = {
        "id": world.ids.guid("grant").replace("-", ""),
        "clientId": reader["id"],
        "consentType": "AllPrincipals",
        "principalId": None,
        "resourceId": graph["id"],
        "scope": " User.Read openid",
    }
    yield "oauth2-grants.json", page("oauth2PermissionGrants", [grant])


def _principal(world: World, key: str, name: str) -> dict[str, Any]:
    return {
        "id": world.ids.guid("service-principal", key),
        "appId": world.ids.guid("app", key),
        "displayName": name,
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "appOwnerOrganizationId": world.tenant_id,
        "appRoles": [],
        "oauth2PermissionScopes": [],
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
        "publisherName": "Tailwind Traders",
    }


def app_role_lines(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    """Application permissions per service principal."""
    for key, roles in (("directory-reader", ("Directory.Read.All", "User.Read.All")), ("flow-runner", ())):
        found = world.ids.guid("service-principal", key)
        rows = [
            {
                "id": world.ids.guid("app-role", key, role).replace("-", ""),
                "appRoleId": APP_ROLES[role],
                "principalId": found,
                "principalType": "ServicePrincipal",
                "principalDisplayName": "Tailwind Directory Reader",
                "resourceId": world.ids.guid("service-principal", "graph"),
                "resourceDisplayName": "Microsoft Graph",
                "createdDateTime": "2024-05-07T09:12:44Z",
            }
            for role in roles
        ]
        yield (
            f"servicePrincipals/{found}/appRoleAssignments",
            page(f"servicePrincipals('{found}')/appRoleAssignments", rows),
        )


def sku_page(world: World) -> dict[str, Any]:
    """Licences that the tenant owns."""
    rows = []
    present = [a for a in world.accounts.values() if a.state(world.stage) in ("active", "disabled")]
    for part, (sku, factor, plans) in SKUS.items():
        used = sum(part in a.licences for a in present)
        rows.append(
            {
                "id": f"{world.tenant_id}_{sku}",
                "accountId": world.tenant_id,
                "accountName": "tailwindtraders",
                "appliesTo": "User",
                "capabilityStatus": "Enabled",
                "consumedUnits": used,
                "skuId": sku,
                "skuPartNumber": part,
                "prepaidUnits": {"enabled": int(used * factor) + 5, "suspended": 0, "warning": 0, "lockedOut": 0},
                "servicePlans": [
                    {
                        "servicePlanId": world.ids.guid("plan", p),
                        "servicePlanName": p,
                        "provisioningStatus": "Success",
                        "appliesTo": "User",
                    }
                    for p in plans
                ],
            }
        )
    return page("subscribedSkus", rows)


def signin_page(world: World) -> dict[str, Any]:
    """A few sign-ins, among them one by hand with a service account."""
    month = f"2026-{9 + world.stage:02}"
    who = ("svc-flow-finance", False), ("svc-flow-hr", False), ("svc-flow-it", True), ("ada.finch", True)
    return page("auditLogs/signIns", [_signin(world, month, *w) for w in who])


def _signin(world: World, month: str, who: str, interactive: bool) -> dict[str, Any]:
    return {
        "id": world.ids.guid("signin", month, who),
        "createdDateTime": world.ids.when("2026-04-11" if who == "svc-flow-it" else f"{month}-28", "signin", who),
        "userDisplayName": world.accounts[who].name,
        "userPrincipalName": world.address(who),
        "userId": world.identity(who),
        "appId": "7df0a125-d3be-4c96-aa54-591f83ff541c",
        "appDisplayName": "Microsoft Flow Service",
        "ipAddress": "203.0.113.7",
        "clientAppUsed": "Browser" if interactive else "Mobile Apps and Desktop clients",
        "isInteractive": interactive,
        "resourceId": MICROSOFT_GRAPH,
        "status": {"errorCode": 0, "failureReason": None, "additionalDetails": None},
    }


__all__ = [
    "OFFICE",
    "PREMIUM",
    "app_role_lines",
    "application_pages",
    "deleted_page",
    "group_page",
    "groups",
    "member_lines",
    "role_pages",
    "signin_page",
    "sku_page",
    "user_pages",
]
