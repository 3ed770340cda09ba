"""What an identity may do, over every route, by tables made by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.analysis import access
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.errors import UnknownName
from flowanalysis.tenant import Tenant

MEMBER = {"group_id": "team", "member_id": "ann", "relation": "member"}


def state(**tables: list[dict]) -> Tenant:
    """A tenant of a few rows."""
    return Tenant({t: schema.frame(t, rows) for t, rows in tables.items()})


def told(tenant: Tenant, *columns: str, who: str | None = "ann", **options: object) -> list[tuple]:
    """These columns of what somebody may do, as plain values."""
    found = effective_permissions(tenant, who, **options)[list(columns)].astype(object)
    return list(found.where(found.notna(), None).itertuples(index=False, name=None))


def grant(who: str, what: str, level: str = "read") -> dict:
    return {"principal_id": who, "resource_id": what, "level": level}


ROUTES = {
    "app_permission": (
        {
            "app_permissions": [
                {"client_id": "ann", "resource_id": "graph", "permission": "Mail.Read", "kind": "application"}
            ]
        },
        ("graph", "app", None, "Mail.Read", "active", "direct"),
    ),
    "connection_share": (
        {
            "connection_shares": [
                {"environment_id": "e", "connection_id": "c", "principal_id": "ann", "role": "CanEdit"}
            ]
        },
        ("e/c", "connection", "write", "CanEdit", "active", "direct"),
    ),
    "directory_role": (
        {
            "role_assignments": [
                {
                    "principal_id": "ann",
                    "role_id": "r",
                    "role_template_id": "t",
                    "role_name": "Reader",
                    "state": "eligible",
                }
            ]
        },
        ("t", "directory", None, "Reader", "eligible", "direct"),
    ),
    "environment_role": (
        {"environment_roles": [{"environment_id": "e", "principal_id": "ann", "role": "Environment Admin"}]},
        ("e", "environment", None, "Environment Admin", "active", "direct"),
    ),
    "grant": (
        {"grants": [grant("ann", "site", "owner")], "resources": [{"resource_id": "site", "kind": "sharepoint_site"}]},
        ("site", "sharepoint_site", "owner", "owner", "active", "direct"),
    ),
}


@pytest.mark.parametrize("kind", ROUTES)
def test_each_route_is_told_in_its_own_words(kind):
    tables, expected = ROUTES[kind]
    columns = ("kind", "resource_id", "resource_kind", "level", "right", "state", "via")
    assert told(state(**tables), *columns) == [(kind, *expected)]


@pytest.mark.parametrize("kind", ROUTES)
def test_each_route_leads_through_a_group_to_its_members(kind):
    tables, expected = ROUTES[kind]
    moved = {t: [{c: "team" if v == "ann" else v for c, v in r.items()} for r in rows] for t, rows in tables.items()}
    columns = ("kind", "resource_id", "right", "via")
    assert told(state(memberships=[MEMBER], **moved), *columns) == [(kind, expected[0], expected[3], "group")]
    assert told(state(memberships=[MEMBER], **moved), "kind", "via", who="team") == [(kind, "direct")]


def test_all_routes_stand_in_one_table_by_kind_identity_and_resource():
    tables = {t: rows for routes, _ in ROUTES.values() for t, rows in routes.items()}
    tables["grants"] = [grant("bo", "a"), grant("ann", "site", "owner"), grant("ann", "a")]
    found = effective_permissions(state(**tables), ["bo", "ann"])
    assert list(found) == access.COLUMNS
    rows = found[["kind", "identity_id", "resource_id"]].astype(str).to_numpy().tolist()
    assert rows == [
        *([kind, "ann", ROUTES[kind][1][0]] for kind in sorted(ROUTES) if kind != "grant"),
        *(["grant", who, what] for who, what in (("ann", "a"), ("ann", "site"), ("bo", "a"))),
    ]
    assert all(isinstance(found[c].dtype, pd.CategoricalDtype) for c in access.COLUMNS[:-1])
    assert list(found["level"].cat.categories) == ["none", "read", "write", "owner", "full"]
    assert found["level"].cat.ordered


def test_what_is_held_directly_and_through_a_group_stands_once_as_direct():
    role = {"environment_id": "e", "role": "Environment Maker"}
    tables = {"environment_roles": [role | {"principal_id": "team"}, role | {"principal_id": "ann"}]}
    assert told(state(memberships=[MEMBER], **tables), "right", "via") == [("Environment Maker", "direct")]


def test_a_role_without_a_template_goes_by_its_own_id():
    row = {"principal_id": "ann", "role_id": "r", "role_name": "Reader", "scope": "/"}
    assert told(state(role_assignments=[row]), "resource_id", "state") == [("r", "active")]


def test_one_role_may_be_active_and_eligible():
    row = {"principal_id": "ann", "role_id": "r", "role_name": "Reader", "scope": "/"}
    rows = [row | {"state": "eligible"}, row | {"state": "active", "scope": "/a"}, row | {"state": "active"}]
    assert told(state(role_assignments=rows), "right", "state") == [("Reader", "active"), ("Reader", "eligible")]


@pytest.mark.parametrize(
    ("own", "groups", "level", "via"),
    [
        ("write", "read", "write", "direct"),
        ("read", "write", "write", "group"),
        ("write", "write", "write", "direct"),
        (None, "full", "full", "group"),
    ],
)
def test_the_highest_level_holds_and_says_where_it_comes_from(own, groups, level, via):
    grants = [grant("team", "ledger", groups), *([grant("ann", "ledger", own)] if own else [])]
    assert told(state(memberships=[MEMBER], grants=grants), "level", "via") == [(level, via)]


def test_an_own_right_on_a_container_is_as_direct_on_what_is_inside():
    inside = [{"resource_id": "site|list", "kind": "sharepoint_list"}]
    tenant = state(grants=[grant("ann", "site", "write")], resources=inside)
    assert told(tenant, "resource_id", "level", "via") == [
        ("site", "write", "direct"),
        ("site|list", "write", "direct"),
    ]


@pytest.mark.parametrize(("who", "number"), [("ann@fabrikam.example", 1), ("ANN", 1), (["ann", "bo"], 2), ("bo", 1)])
def test_identities_go_by_id_or_name(who, number):
    people = [
        {"identity_id": "ann", "upn": "ann@fabrikam.example"},
        {"identity_id": "bo", "upn": "bo@fabrikam.example"},
    ]
    tenant = state(identities=people, grants=[grant("ann", "a"), grant("bo", "a")])
    assert len(effective_permissions(tenant, who)) == number
    with pytest.raises(UnknownName):
        effective_permissions(tenant, "carla")


def test_without_names_it_is_the_accounts_and_the_editors_and_on_demand_everyone():
    key = {"environment_id": "e", "flow_id": "f"}
    tenant = state(
        connections=[{"environment_id": "e", "connection_id": "c", "created_by_id": "svc"}],
        flow_owners=[key | {"principal_id": "ann", "role": "CanEdit"}, key | {"principal_id": "bo", "role": "RunOnly"}],
        grants=[grant(who, "a") for who in ("svc", "ann", "bo", "carla")],
    )
    assert told(tenant, "identity_id", who=None) == [("ann",), ("svc",)]
    assert told(tenant, "identity_id", who=None, everyone=True) == [("ann",), ("bo",), ("carla",), ("svc",)]


@pytest.mark.parametrize(("most", "written"), [(1, False), (2, True), (3, True)])
def test_paths_are_written_up_to_a_number_of_rows(monkeypatch, most, written):
    monkeypatch.setattr(access, "PATH_LIMIT", most)
    tenant = state(grants=[grant("ann", "a"), grant("ann", "b")])
    assert [path is not None for (path,) in told(tenant, "path")] == [written] * 2
    assert [path is not None for (path,) in told(tenant, "path", paths=True)] == [True] * 2
    assert [path is not None for (path,) in told(tenant, "path", paths=False)] == [False] * 2


def test_a_tenant_without_anything_gives_an_empty_table_of_the_same_columns():
    found = effective_permissions(Tenant({}), everyone=True)
    assert len(found) == 0
    assert list(found) == access.COLUMNS


def test_somebody_without_rights_has_no_rows():
    assert told(state(identities=[{"identity_id": "ann"}], grants=[grant("bo", "a")]), "kind") == []


def test_many_permissions_keep_their_names_and_an_unknown_role_of_a_share_is_the_lowest():
    names = [f"Permission.{n:03d}" for n in range(300)]  # more than fit in a code of eight bits
    rows = [{"client_id": "ann", "resource_id": "graph", "permission": n, "kind": "application"} for n in names]
    share = {"environment_id": "e", "connection_id": "c", "principal_id": "ann", "role": "Odd"}
    tenant = state(app_permissions=rows, connection_shares=[share], grants=[grant("ann", "ledger")])
    expected = [("graph", None, name) for name in names]
    assert told(tenant, "resource_id", "level", "right") == [
        *expected,
        ("e/c", "read", "Odd"),
        ("ledger", "read", "read"),
    ]
