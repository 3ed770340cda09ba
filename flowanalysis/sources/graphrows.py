"""One row of Microsoft Graph at a time: raw object in, row of a table out. Times stay text, ids are folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowanalysis.sources.sharepoint import site_id
from flowanalysis.sources.values import count, dig, flag, fold, items, obj, text

Row = Mapping[str, Any]


def is_deleted(row: Row) -> bool:
    """True for a row of the recycle bin: it has a deletion time, or the id stands in front of its name."""
    if text(row.get("deletedDateTime")):
        return True
    return former_upn(row.get("id"), row.get("userPrincipalName")) != text(row.get("userPrincipalName"))


def former_upn(identity: Any, upn: Any) -> str | None:
    """The name without the id that Entra puts in front when a user is deleted.

    >>> former_upn("7e06b566-15f3-4013-8bf8-79874d52e68a", "7e06b56615f340138bf879874d52e68ajohn@contoso.example")
    'john@contoso.example'
    """
    name, prefix = text(upn), (fold(identity) or "").replace("-", "")
    if name and len(prefix) == 32 and name.lower().startswith(prefix) and len(name) > 32:
        return name[len(prefix) :]
    return name


def user(row: Row, *, deleted: bool, manager_shown: bool) -> dict[str, Any]:
    """A user. A property that the export did not ask for stays NA; ``null`` of one that it did may mean False."""
    upn = former_upn(row.get("id"), row.get("userPrincipalName"))
    found: dict[str, Any] = {
        "identity_id": fold(row.get("id")),
        "kind": "user",
        "upn": upn,
        "user_type": text(row.get("userType")) or ("Guest" if upn and "#EXT#" in upn.upper() else None),
        "account_enabled": flag(row.get("accountEnabled")),
        "status": "deleted" if deleted else None,
        "deleted_at": row.get("deletedDateTime"),
        "password_never_expires": _never_expires(row),
        # cloud-only accounts answer null
        "on_prem_synced": bool(row["onPremisesSyncEnabled"]) if "onPremisesSyncEnabled" in row else None,
        "manager_id": fold(dig(row, "manager", "id")),
        "manager_known": True if manager_shown else None,
    }
    for column, key in USER_TEXT.items():
        found[column] = text(row.get(key))
    activity = obj(row.get("signInActivity"))
    for column, key in USER_SIGNINS.items():
        found[column] = activity.get(key)
    for column, key in USER_TIMES.items():
        found[column] = row.get(key)
    return found


USER_TEXT = {
    "mail": "mail",
    "display_name": "displayName",
    "given_name": "givenName",
    "surname": "surname",
    "employee_type": "employeeType",
    "employee_id": "employeeId",
    "department": "department",
    "company": "companyName",
    "job_title": "jobTitle",
    "usage_location": "usageLocation",
}
USER_TIMES = {"created_at": "createdDateTime", "last_password_change_at": "lastPasswordChangeDateTime"}
USER_SIGNINS = {
    "last_signin_at": "lastSignInDateTime",
    "last_noninteractive_signin_at": "lastNonInteractiveSignInDateTime",
    "last_successful_signin_at": "lastSuccessfulSignInDateTime",
}


def _never_expires(row: Row) -> bool | None:
    if "passwordPolicies" not in row:
        return None
    return "disablepasswordexpiration" in (text(row["passwordPolicies"]) or "").lower()


def licences(row: Row) -> Iterator[dict[str, Any]]:
    """The licences of a user; the group that brings one where the states tell it and none is given directly."""
    states = items(row.get("licenseAssignmentStates"))
    for licence in items(row.get("assignedLicenses")):
        sku = fold(licence.get("skuId"))
        via = [fold(s.get("assignedByGroup")) for s in states if fold(s.get("skuId")) == sku]
        yield {
            "identity_id": fold(row.get("id")),
            "sku_id": sku,
            "disabled_plans": " ".join(filter(None, map(fold, licence.get("disabledPlans") or []))),
            "via_group_id": None if None in via else min(via, default=None, key=str),
        }


def removed(row: Row) -> dict[str, Any]:
    """A row of a delta query that says that the object is gone."""
    purged = dig(row, "@removed", "reason") == "deleted"
    return {"identity_id": fold(row.get("id")), "status": "purged_or_foreign" if purged else "deleted"}


def group(row: Row) -> dict[str, Any]:
    """A group with its kind from the flags of the directory."""
    types = row.get("groupTypes")
    options = row.get("resourceProvisioningOptions")
    return {
        "group_id": fold(row.get("id")),
        "display_name": text(row.get("displayName")),
        "mail": text(row.get("mail")),
        "kind": group_kind(row),
        "dynamic": "DynamicMembership" in types if isinstance(types, list) else None,
        "membership_rule": text(row.get("membershipRule")),
        "role_assignable": bool(row["isAssignableToRole"]) if "isAssignableToRole" in row else None,
        "synced": bool(row["onPremisesSyncEnabled"]) if "onPremisesSyncEnabled" in row else None,
        "has_team": "Team" in options if isinstance(options, list) else None,
        "visibility": text(row.get("visibility")),
    }


def group_kind(row: Row) -> str | None:
    """security, m365, distribution, mail_security; NA when the export shows too little."""
    types = row.get("groupTypes")
    if isinstance(types, list) and "Unified" in types:
        return "m365"
    security, mail = row.get("securityEnabled"), row.get("mailEnabled")
    if not isinstance(security, bool):
        return None
    if mail:
        return "mail_security" if security else "distribution"
    return "security" if security else "unknown"


def member_kind(row: Row, *, default: str = "unknown") -> str:
    """user, group, service_principal, device or unknown, from the type or from keys of the row."""
    typed = str(row.get("@odata.type") or row.get("memberType") or "").lower().rsplit(".", 1)[-1].lstrip("#")
    named = {"user": "user", "group": "group", "serviceprincipal": "service_principal", "device": "device"}.get(typed)
    if named or typed:
        return named or "unknown"
    if text(row.get("userPrincipalName")):
        return "user"
    if row.get("servicePrincipalType") or row.get("appId"):
        return "service_principal"
    return "group" if "groupTypes" in row else default


def service_principal(row: Row) -> dict[str, Any]:
    """A service principal as an identity."""
    return {
        "identity_id": fold(row.get("id")),
        "kind": "service_principal",
        "display_name": text(row.get("displayName")) or text(row.get("appDisplayName")),
        "account_enabled": flag(row.get("accountEnabled")),
        "created_at": row.get("createdDateTime"),
        "deleted_at": row.get("deletedDateTime"),
        "status": "deleted" if text(row.get("deletedDateTime")) else None,
        "app_id": fold(row.get("appId")),
        "sp_type": text(row.get("servicePrincipalType")),
        "home_tenant_id": fold(row.get("appOwnerOrganizationId")),
    }


def app_roles(row: Row) -> Iterator[dict[str, Any]]:
    """The permissions that the application behind a service principal offers."""
    for key, kind in (("appRoles", "application"), ("oauth2PermissionScopes", "delegated")):
        for role in items(row.get(key)):
            if fold(role.get("id")) and text(role.get("value")):
                yield {
                    "resource_id": fold(row.get("id")),
                    "permission_id": fold(role.get("id")),
                    "permission": text(role.get("value")),
                    "kind": kind,
                }


def sku(row: Row) -> dict[str, Any]:
    """A licence product of the tenant."""
    return {
        "sku_id": fold(row.get("skuId")),
        "sku_part_number": text(row.get("skuPartNumber")),
        "status": text(row.get("capabilityStatus")),
        "enabled_units": count(dig(row, "prepaidUnits", "enabled")),
        "consumed_units": count(row.get("consumedUnits")),
        "service_plans": " ".join(
            filter(None, (text(p.get("servicePlanName")) for p in items(row.get("servicePlans"))))
        ),
    }


def role_definition(row: Row) -> dict[str, Any]:
    """Definition of an Entra role."""
    return {
        "role_id": fold(row.get("id")),
        "template_id": fold(row.get("templateId")),
        "display_name": text(row.get("displayName")),
        "is_builtin": flag(row.get("isBuiltIn")),
        "is_privileged": flag(row.get("isPrivileged")),
    }


def role_assignment(row: Row, *, state: str) -> dict[str, Any]:
    """A role held by a principal, from assignments or from PIM instances."""
    definition = obj(row.get("roleDefinition"))
    return {
        "principal_id": fold(row.get("principalId")),
        "role_id": fold(row.get("roleDefinitionId")),
        "role_template_id": fold(definition.get("templateId")),
        "role_name": text(definition.get("displayName")) or text(row.get("roleDefinitionName")),
        "scope": text(row.get("directoryScopeId")) or text(row.get("appScopeId")) or "/",
        "state": state,
        "member_type": text(row.get("memberType")),
        "assignment_type": text(row.get("assignmentType")),
        "start_at": row.get("startDateTime"),
        "end_at": row.get("endDateTime"),
        "is_privileged": flag(definition.get("isPrivileged")),
    }


def directory_role(row: Row) -> dict[str, Any]:
    """Definition of an Entra role, from the older collection of activated roles."""
    template = fold(row.get("roleTemplateId"))
    return {"role_id": template, "template_id": template, "display_name": text(row.get("displayName"))}


def directory_role_holders(row: Row) -> Iterator[dict[str, Any]]:
    """The members of an activated role in the shape of role assignments; the role goes by its template."""
    definition = {"templateId": row.get("roleTemplateId"), "displayName": row.get("displayName")}
    for member in row.get("members") or []:
        yield {
            "principalId": obj(member).get("id"),
            "roleDefinitionId": row.get("roleTemplateId"),
            "roleDefinition": definition,
            "principal": member,
        }


def principal(row: Row) -> Iterator[dict[str, Any]]:
    """The principal that ``$expand=principal`` brings along, as an identity."""
    found = obj(row.get("principal"))
    kind = member_kind(found)
    if fold(found.get("id")) and kind == "user":
        yield user(found, deleted=False, manager_shown=False)
    elif fold(found.get("id")) and kind == "service_principal":
        yield service_principal(found)


def app_role(row: Row) -> dict[str, Any]:
    """An application permission; its name is found later through the roles of the resource."""
    return {
        "client_id": fold(row.get("principalId")),
        "resource_id": fold(row.get("resourceId")),
        "resource_name": text(row.get("resourceDisplayName")),
        "permission": fold(row.get("appRoleId")),
        "permission_id": fold(row.get("appRoleId")),
        "kind": "application",
        "principal_id": "",
        "created_at": row.get("createdDateTime"),
    }


def app_role_listed(row: Row, *, client: str) -> dict[str, Any]:
    """A row of ``m365 entra approleassignment list``, which names the permission but not the application."""
    return {
        "client_id": client,
        "resource_id": fold(row.get("resourceId")),
        "resource_name": text(row.get("resourceDisplayName")),
        "permission": text(row.get("roleName")) or fold(row.get("appRoleId")),
        "permission_id": fold(row.get("appRoleId")),
        "kind": "application",
        "principal_id": "",
        "created_at": row.get("created"),
    }


def delegated(row: Row) -> Iterator[dict[str, Any]]:
    """One row for each scope of a delegated grant."""
    for scope in (text(row.get("scope")) or "").split():
        yield {
            "client_id": fold(row.get("clientId")),
            "resource_id": fold(row.get("resourceId")),
            "permission": scope,
            "kind": "delegated",
            "consent": text(row.get("consentType")),
            "principal_id": fold(row.get("principalId")) or "",
        }


def signin(row: Row) -> dict[str, Any]:
    """A row of the sign-in log."""
    return {
        "signin_id": fold(row.get("id")),
        "identity_id": fold(row.get("userId")) or fold(row.get("servicePrincipalId")),
        "at": row.get("createdDateTime"),
        "app_id": fold(row.get("appId")),
        "app_name": text(row.get("appDisplayName")),
        "interactive": flag(row.get("isInteractive")),
        "error_code": count(dig(row, "status", "errorCode")),
        "ip": text(row.get("ipAddress")),
    }


def site(row: Row) -> dict[str, Any]:
    """A SharePoint site as a resource."""
    url = text(row.get("webUrl"))
    return {
        "resource_id": url.rstrip("/").lower() if url else fold(row.get("id")),
        "kind": "sharepoint_site",
        "display_name": text(row.get("displayName")) or text(row.get("name")),
        "url": url,
        "site_id": site_id(row.get("id")),
    }
