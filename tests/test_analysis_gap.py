"""Rights too many and rights too few: every reason by a table made by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.analysis.gap import flow_gap, least_privilege_gap
from flowanalysis.errors import UnknownName
from flowanalysis.tenant import Tenant

E = "env"
A, B = "https://corp.example/sites/a", "https://corp.example/sites/b"
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"


def grant(what: str, level: str, who: str = "svc") -> dict:
    return {"principal_id": who, "resource_id": what, "resource_kind": "sharepoint_site", "level": level}


def need(what: str | None, level: str | None, flow: str = "f", **more: object) -> dict:
    told = {"resource": what, "resource_kind": "sharepoint_site", "state": "known" if what else "expression"}
    return {"environment_id": E, "flow_id": flow, "step": "s", "alias": "a", "level": level, **told, **more}


def use(flow: str = "f", connection: str = "c", **more: object) -> dict:
    return {"environment_id": E, "flow_id": flow, "alias": "a", "connection_id": connection, **more}


def state(*, without: tuple[str, ...] = (), **tables: list[dict]) -> Tenant:
    """The flow f runs as svc on the connection c, the flow g as bot on d; their definitions were read."""
    rows = {
        "flows": [{"environment_id": E, "flow_id": f, "has_definition": True} for f in ("f", "g")],
        "flow_connections": [use(), use("g", "d")],
        "connections": [
            {"environment_id": E, "connection_id": c, "created_by_id": who} for c, who in (("c", "svc"), ("d", "bot"))
        ],
        "identities": [{"identity_id": who, "upn": f"{who}@corp.example", "kind": "user"} for who in ("svc", "bot")],
        "memberships": [],
        "needs": [],
        "grants": [],
        **tables,
    }
    frames = {t: schema.frame(t, r) for t, r in rows.items() if t not in without}
    return Tenant(frames, collected=set(frames))


def told(tenant: Tenant, *columns: str, **options: object) -> list[tuple]:
    found = least_privilege_gap(tenant, **options)[list(columns)].astype(object)
    return list(found.where(found.notna(), None).itertuples(index=False, name=None))


# Too many

OTHER = need(B, "read", "g")


@pytest.mark.parametrize(
    ("held", "needs", "expected"),
    [
        ("read", [], ("found", "read", "none", "never_needed")),
        ("read", [need(B, "read")], ("found", "read", "none", "never_needed")),
        ("read", [need(A, "read", "g")], ("found", "read", "none", "needed_by_other_flows")),
        ("write", [need(A, "read")], ("found", "write", "read", "level_too_high")),
        ("full", [need(A, "read"), need(A, "owner")], ("found", "full", "owner", "level_too_high")),
        ("read", [need(None, "read")], ("unknown", "read", "none", "unknown_resource")),
        ("write", [need(A, "read"), need(None, "read")], ("unknown", "write", "read", "unknown_resource")),
        (
            "read",
            [need(None, "read"), need("m", "read", "g", resource_kind="mailbox")],
            ("unknown", "read", "none", "unknown_resource"),
        ),
        ("read", [need(None, "read", resource_kind=None)], ("unknown", "read", "none", "unknown_resource")),
        ("read", [need(None, "read", resource_kind="mailbox")], ("found", "read", "none", "never_needed")),
        ("write", [need(A, None)], ("unknown", "write", "none", "unknown_level")),
        ("write", [need(A, None), need(A, "read")], ("unknown", "write", "read", "unknown_level")),
        ("read", [need(None, "read", "g")], ("found", "read", "none", "never_needed")),
        ("read", [need(None, "read", alias="gone")], ("found", "read", "none", "never_needed")),
    ],
)
def test_a_right_beyond_need_has_its_reason(held, needs, expected):
    tenant = state(grants=[grant(A, held)], needs=needs)
    assert told(tenant, "state", "granted", "needed", "reason", side="excess", accounts="svc") == [expected]


@pytest.mark.parametrize(
    ("held", "needs"),
    [
        ("read", [need(A, "read")]),
        ("read", [need(A, "full")]),
        ("write", [need(A, "read"), need(A, "write")]),
        ("read", [need(A, "read", state="environment_variable")]),
        ("read", [need(A, None), need(A, "read")]),
    ],
)
def test_a_right_that_is_needed_at_its_level_is_not_told(held, needs):
    assert told(state(grants=[grant(A, held)], needs=needs), "reason", side="excess") == []


@pytest.mark.parametrize(
    ("flow", "reason"),
    [
        ({"has_definition": False}, "definition_not_read"),
        ({"has_definition": None}, "definition_not_read"),
        ({"has_definition": True}, "never_needed"),
    ],
)
def test_a_flow_that_nobody_read_may_need_whatever_its_account_holds(flow, reason):
    flows = [{"environment_id": E, "flow_id": "f", **flow}]
    assert told(state(flows=flows, grants=[grant(A, "read")]), "reason", side="excess") == [(reason,)]


@pytest.mark.parametrize(
    "rows", [{"needs": [need(B, "read")]}, {"steps": [{"environment_id": E, "flow_id": "f", "step": "s"}]}]
)
def test_a_flow_with_steps_was_read_whatever_is_told_of_it(rows):
    flows = [{"environment_id": E, "flow_id": "f", "has_definition": None}]
    tenant = state(flows=flows, grants=[grant(A, "read")], **rows)
    assert told(tenant, "reason", side="excess") == [("never_needed",)]


def test_needs_of_whoever_starts_a_flow_count_for_nobody():
    declared = [use(runtime_source="invoker")]
    tenant = state(grants=[grant(A, "read")], needs=[need(A, "read")], flow_connections=declared)
    assert told(tenant, "reason", accounts="svc") == [("never_needed",)]
    assert told(tenant, "side") == []


def test_own_rights_and_those_of_a_group_are_told_apart():
    links = [{"group_id": "team", "member_id": "svc", "relation": "member"}]
    grants = [grant(A, "read"), grant(B, "read", "team"), grant("c", "read"), grant("c", "write", "team")]
    tenant = state(grants=grants, memberships=links)
    assert told(tenant, "resource_id", "granted", "via", side="excess") == [
        ("c", "write", "group"),
        (A, "read", "direct"),
        (B, "read", "group"),
    ]


LIST = f"{A}|list"


@pytest.mark.parametrize(
    ("held", "needs", "expected"),
    [
        ([grant(A, "read")], [need(LIST, "read")], []),
        ([grant(A, "write")], [need(LIST, "read")], [(A, "write", "read", "level_too_high")]),
        ([grant(A, "read")], [need(LIST, "read", "g")], [(A, "read", "none", "needed_by_other_flows")]),
        ([grant(LIST, "read")], [need(A, "read")], [(LIST, "read", "none", "never_needed")]),
        ([grant(A, "read")], [need(LIST, None)], [(A, "read", "none", "unknown_level")]),
    ],
)
def test_a_need_inside_a_container_is_a_need_of_the_container(held, needs, expected):
    columns = ("resource_id", "granted", "needed", "reason")
    assert told(state(grants=held, needs=needs), *columns, side="excess", accounts="svc") == expected


# Too few


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [
        ([grant(B, "read")], need(A, "read"), ("found", "none", "read", "not_granted")),
        ([grant(A, "read")], need(A, "write"), ("found", "read", "write", "level_too_low")),
        ([grant(A, "owner")], need(A, "full"), ("found", "owner", "full", "level_too_low")),
        ([grant(B, "read")], need(A, None), ("unknown", "none", None, "unknown_level")),
        ([], need(A, "read"), ("unknown", "none", "read", "grants_not_collected")),
        (
            [grant("m", "read") | {"resource_kind": "mailbox"}],
            need(A, "read"),
            ("unknown", "none", "read", "grants_not_collected"),
        ),
        ([grant(B, "read")], need(A, "read", alias="gone"), ("unknown", "none", "read", "missing_reference")),
    ],
)
def test_a_need_that_is_not_met_has_its_reason(held, asked, expected):
    tenant = state(grants=held, needs=[asked])
    assert told(tenant, "state", "granted", "needed", "reason", side="missing") == [expected]


@pytest.mark.parametrize("held", ["read", "write", "owner", "full"])
def test_a_need_that_is_met_is_not_told(held):
    tenant = state(grants=[grant(A, held)], needs=[need(A, "read"), need(LIST, "read"), need(A, None)])
    assert told(tenant, "reason", side="missing") == []


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (GLOBAL_ADMINISTRATOR, "role_may_carry"),
        ("17315797-102d-40b4-93e0-432062caca18", "role_may_carry"),  # the lowest that still may
        ("88d8e3e3-8f55-4a1e-953a-9b9898b8876b", "not_granted"),
        ("a role that nobody knows", "not_granted"),
    ],
)
def test_a_role_that_controls_the_tenant_may_carry_what_no_grant_gives(role, reason):
    roles = [{"principal_id": "svc", "role_id": role, "role_template_id": role, "scope": "/", "state": "active"}]
    tenant = state(grants=[grant(B, "read")], needs=[need(A, "read")], role_assignments=roles)
    assert told(tenant, "reason", side="missing") == [(reason,)]


@pytest.mark.parametrize(
    ("declared", "connections", "reason"),
    [
        (use(connection=None), [], "unbound_reference"),
        (use(connection="gone"), [], "missing_connection"),
        (use(connection="c"), [{"account_name": "sql-login"}], "external_account"),
        (use(connection="c"), [{"account_name": "strange@other.example"}], "unknown_account"),
        (use(connection="c"), [{}], "unknown_account"),
    ],
)
def test_a_need_of_an_account_that_nobody_knows_says_why(declared, connections, reason):
    made = [{"environment_id": E, "connection_id": "c", **c} for c in connections]
    tenant = state(flow_connections=[declared], connections=made, grants=[grant(A, "read")], needs=[need(A, "read")])
    assert told(tenant, "account_id", "state", "reason", "granted", side="missing") == [
        (None, "unknown", reason, "none")
    ]
    assert told(tenant, "reason", side="missing", accounts="svc") == []


def test_the_own_mailbox_needs_no_grant():
    mine = need("svc@corp.example", "write", resource_kind="mailbox")
    theirs = need("bot@corp.example", "write", resource_kind="mailbox", step="t")
    other = {"principal_id": "svc", "resource_id": "m", "resource_kind": "mailbox", "level": "read"}
    tenant = state(grants=[other], needs=[mine, theirs])
    assert told(tenant, "step", "reason", side="missing") == [("t", "not_granted")]


def test_each_step_that_lacks_a_right_is_its_own_row_with_its_proof():
    needs = [need(A, "read"), need(A, "write", step="t"), need(A, "read", "g", step="u")]
    tenant = state(grants=[grant(B, "read")], needs=needs)
    columns = ("account_id", "environment_id", "flow_id", "step", "needed", "via")
    assert told(tenant, *columns, side="missing") == [
        ("svc", E, "f", "s", "read", None),
        ("svc", E, "f", "t", "write", None),
        ("bot", E, "g", "u", "read", None),
    ]


# Both, and for one flow


def test_both_sides_come_as_one_table_of_both():
    tenant = state(grants=[grant(B, "read")], needs=[need(A, "read")])
    assert told(tenant, "side", "resource_id", "flow_id", "step") == [
        ("missing", A, "f", "s"),
        ("excess", B, None, None),
    ]
    both = least_privilege_gap(tenant)
    for side in ("missing", "excess"):
        alone = least_privilege_gap(tenant, side=side)
        pd.testing.assert_frame_equal(both[both["side"] == side].reset_index(drop=True), alone, check_categorical=False)
    assert both["resource_kind"].tolist() == ["sharepoint_site"] * 2
    assert list(both) == [
        *("account_id", "side", "state", "resource_id", "resource_kind", "granted", "needed", "reason", "via"),
        *("environment_id", "flow_id", "step"),
    ]


def two_flows() -> Tenant:
    """svc runs f and g; f needs A, g needs B; it holds both and c, which nobody needs."""
    return state(
        flow_connections=[use(), use("g")],
        grants=[grant(A, "read"), grant(B, "write"), grant("c", "read"), grant(B, "read", "bot")],
        needs=[need(A, "write"), need(B, "read", "g"), need(None, "read", "g", resource_kind="mailbox")],
    )


def test_one_flow_is_measured_by_its_own_needs():
    tenant = two_flows()
    columns = ("side", "resource_id", "reason")
    assert told(tenant, *columns) == [
        ("missing", A, "level_too_low"),
        ("excess", "c", "never_needed"),
        ("excess", B, "level_too_high"),
    ]
    assert told(tenant, *columns, flow="f") == [
        ("missing", A, "level_too_low"),
        ("excess", "c", "never_needed"),
        ("excess", B, "needed_by_other_flows"),
    ]
    assert told(tenant, *columns, flow=f"{E}/G") == [
        ("excess", "c", "never_needed"),
        ("excess", A, "needed_by_other_flows"),
        ("excess", B, "level_too_high"),
    ]


def test_flows_are_summed_up_by_what_their_accounts_hold():
    found = flow_gap(two_flows()).set_index("flow_id")
    assert found.loc["f"].to_dict() == {
        "environment_id": E,
        "accounts": 1,
        "granted": 3,
        "needed": 1,
        "missing": 1,
        "unknown": 0,
        "excess": 2,
        "never_needed": 1,
        "needed_by_other_flows": 1,
    }
    assert found.loc["g"].to_dict() == {
        "environment_id": E,
        "accounts": 1,
        "granted": 3,
        "needed": 1,
        "missing": 0,
        "unknown": 1,
        "excess": 3,
        "never_needed": 1,
        "needed_by_other_flows": 2,
    }


@pytest.mark.parametrize("after", ["nothing", "everybody"])
def test_accounts_are_asked_about_one_by_one_the_first_by_id_too_and_those_of_no_flow(after):
    grants = [grant(A, "write"), grant(B, "read", "bot"), grant(B, "full", "idle")]
    tenant = state(grants=grants, needs=[need(A, "read"), need(A, "read", "g"), need(B, "read")])
    if after == "everybody":  # whose reach is at hand from then on
        least_privilege_gap(tenant)
    asked = {who: told(tenant, "account_id", "side", "resource_id", "reason", accounts=who) for who in ("bot", "svc")}
    assert asked == {
        "bot": [("bot", "missing", A, "not_granted"), ("bot", "excess", B, "needed_by_other_flows")],
        "svc": [("svc", "missing", B, "not_granted"), ("svc", "excess", A, "level_too_high")],
    }
    idle = told(tenant, "account_id", "resource_id", "granted", accounts="idle")
    assert idle == [("idle", B, "full")]


def test_a_flow_on_two_accounts_counts_the_rights_of_both():
    tenant = state(
        flow_connections=[use(), use(connection="d") | {"alias": "b"}],
        grants=[grant(A, "read"), grant(B, "read", "bot"), grant(A, "read", "bot")],
        needs=[need(A, "read"), need(A, "read", step="t"), need(B, "read", alias="b"), need("z", "read", alias="b")],
    )
    row = flow_gap(tenant).iloc[0]
    assert row[["accounts", "granted", "needed", "missing", "unknown", "excess"]].tolist() == [2, 3, 3, 1, 0, 1]


def test_of_several_needs_on_a_resource_the_highest_counts():
    needs = [need(A, "read"), need(A, "write", step="t"), need(A, "read", step="u")]
    row = flow_gap(state(grants=[grant(A, "write")], needs=needs)).iloc[0]
    assert row[["granted", "needed", "missing", "excess"]].tolist() == [1, 1, 0, 0]


def test_needs_inside_a_container_are_summed_up_there():
    tenant = state(grants=[grant(A, "read"), grant(B, "write")], needs=[need(LIST, "read"), need(f"{B}|x", "read")])
    row = flow_gap(tenant).iloc[0]
    assert row[["granted", "needed", "missing", "excess", "never_needed"]].tolist() == [2, 2, 0, 1, 0]


@pytest.mark.parametrize("name", ["x", "other/f", f"{E}/x", "f"])
def test_a_flow_that_is_not_one_is_an_error_with_a_remedy(name):
    twice = state(flows=[{"environment_id": e, "flow_id": "f", "has_definition": True} for e in (E, "second")])
    with pytest.raises(UnknownName, match="It is in several" if name == "f" else "It is not known"):
        least_privilege_gap(twice, flow=name)
    assert told(twice, "reason", flow=f"{E}/f") == []


def test_an_account_that_nobody_knows_is_an_error():
    with pytest.raises(UnknownName):
        least_privilege_gap(state(), "carla@corp.example")


@pytest.mark.parametrize("table", ["needs", "grants", "connections", "flow_connections", "memberships"])
def test_what_was_not_collected_is_named_and_claims_nothing(table):
    tenant = state(grants=[grant(A, "read")], needs=[need(A, "read"), need(B, "read")], without=(table,))
    found = least_privilege_gap(tenant)
    notes = found.attrs["coverage"]["notes"]
    assert [n.partition(" not collected")[0] for n in notes] == [table]
    assert found.attrs["coverage"]["answer"] == ("partly" if table == "memberships" else "none")
    if table != "memberships":
        assert not (
            (found["state"] == "found") & (found["side"] == ("missing" if table == "grants" else "excess"))
        ).any()
