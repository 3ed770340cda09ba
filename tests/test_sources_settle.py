"""What follows from several tables: owners by evidence, and who still exists."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.sources import Harvest
from flowanalysis.sources.merge import Part

PLACE = {"environment_id": "e", "flow_id": "f"}


def settled(*given: tuple, complete: bool | None = None) -> dict[str, pd.DataFrame]:
    """Frames from (table, rows) or (table, rows, source) or (table, rows, source, listed)."""
    parts = []
    for table, rows, *more in given:
        source, listed = (*more, "graph users", True)[:2] if len(more) < 2 else more
        parts.append(Part(table, schema.frame(table, rows), source, "x", None, listed, complete))
    return Harvest(parts=parts).frames


def flow(**more) -> tuple:
    return "flows", [{**PLACE, **more}], "flowadmin flow list"


def owner(who: str, **more) -> dict:
    return {**PLACE, "principal_id": who, "principal_kind": "User", "role": "Owner", "via": "permissions", **more}


def owns(frames: dict) -> list:
    return frames["flows"][["owner_id", "owner_source"]].iloc[0].tolist()


@pytest.mark.parametrize(
    "row, owners, expected",
    [
        ({"creator_id": "c"}, [], ["c", "creator"]),
        ({"creator_id": "c", "owner_id": "o", "owner_source": "owninguser"}, [], ["o", "owninguser"]),
        ({"creator_id": "c", "owner_id": "o", "owner_source": "owninguser"}, [owner("p")], ["p", "permissions"]),
        ({"creator_id": "c"}, [owner("a"), owner("c")], ["c", "permissions"]),
        ({"creator_id": "x"}, [owner("b"), owner("a")], ["a", "permissions"]),
        ({"creator_id": "c"}, [owner("e", role="CanEdit")], ["c", "creator"]),
        ({"owner_id": "o", "owner_source": "inventory"}, [owner("d", via="dataverse")], ["o", "inventory"]),
    ],
)
def test_the_owner_is_who_the_best_evidence_names(row, owners, expected):
    assert owns(settled(flow(**row), ("flow_owners", owners, "flowadmin flow permissions"))) == expected


def test_a_flow_of_which_nothing_is_told_has_no_owner():
    found = owns(settled(flow()))
    assert pd.isna(found).all()


LISTED = (
    "identities",
    [
        {"identity_id": "a", "kind": "user", "account_enabled": True},
        {"identity_id": "d", "kind": "user", "account_enabled": False},
    ],
)


def status(frames: dict) -> dict:
    return frames["identities"].set_index("identity_id")["status"].to_dict()


def test_listed_disabled_deleted_and_gone_are_four_states():
    bin_ = ("identities", [{"identity_id": "x", "kind": "user", "status": "deleted"}], "graph deleted users")
    makers = [
        ("flows", [{"environment_id": "e", "flow_id": n, "creator_id": n} for n in "adxz"], "flowadmin flow list")
    ]
    assert status(settled(LISTED, bin_, *makers)) == {
        "a": "active",
        "d": "disabled",
        "x": "deleted",
        "z": "purged_or_foreign",
    }


def test_nobody_is_gone_while_the_list_of_users_is_not_complete():
    assert status(settled(LISTED, flow(creator_id="z"), complete=False))["z"] == "unknown"


def test_nobody_is_gone_when_only_deleted_users_were_listed():
    bin_ = ("identities", [{"identity_id": "x", "kind": "user", "status": "deleted"}], "graph deleted users")
    assert status(settled(bin_, flow(creator_id="z")))["z"] == "unknown"


def test_a_service_principal_is_not_missed_in_a_list_of_users():
    owners = ("flow_owners", [owner("sp", principal_kind="ServicePrincipal")], "flowadmin flow permissions")
    found = settled(LISTED, flow(), owners)["identities"].set_index("identity_id")
    assert found.loc["sp", ["kind", "status"]].tolist() == ["service_principal", "unknown"]


def test_groups_and_what_is_not_told_are_no_identities():
    owners = [owner("g", principal_kind="Group", role="CanEdit"), owner("(not told)")]
    roles = (
        "role_assignments",
        [{"principal_id": "g", "role_id": "r", "scope": "/", "state": "active"}],
        "graph role assignments",
    )
    frames = settled(
        LISTED, flow(), ("flow_owners", owners, "flowadmin flow permissions"), ("groups", [{"group_id": "g"}]), roles
    )
    assert sorted(frames["identities"]["identity_id"]) == ["a", "d"]


def test_names_found_in_passing_do_not_bring_anybody_back_to_life():
    passing = (
        "identities",
        [{"identity_id": "z", "kind": "user", "display_name": "Gone"}],
        "flowadmin connections",
        False,
    )
    found = settled(LISTED, passing)["identities"].set_index("identity_id")
    assert found.loc["z", ["display_name", "status"]].tolist() == ["Gone", "absent"]


def test_a_user_is_purged_only_where_deleted_users_were_exported_too():
    flows = ("flows", [{"environment_id": "e", "flow_id": "f", "creator_id": "z"}], "flowadmin flow list")
    recycled = ("identities", [{"identity_id": "d", "kind": "user", "status": "deleted"}], "graph deleted users")
    empty_bin = ("identities", [], "graph deleted users")
    for parts, status in (((), "absent"), ((recycled,), "purged_or_foreign"), ((empty_bin,), "purged_or_foreign")):
        found = settled(LISTED, flows, *parts)["identities"].set_index("identity_id")["status"]
        assert found["z"] == status


def test_everybody_is_the_tenant():
    shares = [
        {
            "environment_id": "e",
            "connection_id": "c",
            "principal_id": "t",
            "principal_kind": "Tenant",
            "role": "CanView",
        }
    ]
    found = settled(LISTED, ("connection_shares", shares, "flowadmin connection permissions"))["identities"]
    assert found.set_index("identity_id").loc["t", ["kind", "status"]].tolist() == ["tenant", "active"]


def test_one_right_told_in_two_ways_is_one_row():
    users = (
        "dataverse_users",
        [{"environment_id": "e", "systemuser_id": "s", "identity_id": "a"}],
        "dataverse system users",
    )
    told = [owner("a"), owner("s", via="dataverse")]
    found = settled(LISTED, flow(), users, ("flow_owners", told, "flowadmin flow permissions"))["flow_owners"]
    assert found[["principal_id", "via"]].values.tolist() == [["a", "permissions"]]


def test_settling_leaves_the_parts_as_they_were():
    part = Part("flows", schema.frame("flows", [{**PLACE, "creator_id": "c"}]), "flowadmin flow list")
    before = part.frame.copy()
    assert len(Harvest(parts=[part]).frames["flows"]) == 1
    pd.testing.assert_frame_equal(part.frame, before)


def test_of_several_with_one_name_the_living_one_holds_the_right_and_sign_in_names_come_before_mail():
    people = [
        {"identity_id": "gone", "kind": "user", "upn": "ann@x.example", "deleted_at": "2026-01-01T00:00:00Z"},
        {"identity_id": "mail", "kind": "user", "upn": "m@x.example", "mail": "ann@x.example", "account_enabled": True},
        {"identity_id": "lives", "kind": "user", "upn": "Ann@x.example", "account_enabled": True},
        {"identity_id": "left", "kind": "user", "upn": "bo@x.example", "mail": None, "account_enabled": False},
        {"identity_id": "heir", "kind": "user", "upn": "h@x.example", "mail": "bo@x.example", "account_enabled": True},
        {"identity_id": "app", "kind": "service_principal", "app_id": "4711"},
    ]
    names = ("ann@x.example", "bo@x.example", "4711", "other")
    rights = [{"principal_id": who, "resource_id": "r", "level": "read"} for who in names]
    held = settled(("identities", people), ("grants", rights, "own rights"))["grants"].set_index("principal_id")
    assert held["principal_kind"].dropna().to_dict() == {"lives": "user", "left": "user", "app": "service_principal"}
    assert set(held.index) == {"lives", "left", "app", "other"}
