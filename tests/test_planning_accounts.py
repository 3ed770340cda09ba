"""The plan of the fewest accounts: exact where it can be, sound always, and honest about what cannot be kept."""

from __future__ import annotations

import dataclasses

import pandas as pd
import plans
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import flowanalysis as fa
from flowanalysis import schema
from flowanalysis.errors import PlanError
from flowanalysis.planning.check_plan import check_plan
from flowanalysis.planning.front import knee
from flowanalysis.policy import load_policy
from flowanalysis.tenant import Tenant

ENV = "env-prod"
SHAREPOINT, MAIL, TABLES, SQL = (
    "shared_sharepointonline",
    "shared_office365",
    "shared_commondataserviceforapps",
    "shared_sql",
)


def flow(name, *needs, account="ann", env=ENV, **facts):
    """A flow and what it needs: connector, kind, resource, level."""
    return {"name": name, "needs": needs, "account": account, "env": env, "facts": facts}


def small(*flows, **tables):
    """A tenant of these flows; people ann and bo, service accounts svc-a and svc-b."""
    rows = {"flows": [], "flow_connections": [], "connections": [], "needs": [], **tables}
    for one in flows:
        keys = {"environment_id": one["env"], "flow_id": one["name"]}
        base = {"display_name": one["name"].upper(), "state": "Started", "kind": "cloud", "has_definition": True}
        rows["flows"].append(
            {**keys, **base, "owner_id": "ann", "is_solution": False, "action_count": 2, **one["facts"]}
        )
        for connector in sorted({need[0] for need in one["needs"]}):
            connection = {"environment_id": one["env"], "connection_id": f"{connector}-{one['account']}"}
            rows["flow_connections"].append({**keys, **connection, "alias": connector, "connector_id": connector})
            found = {**connection, "connector_id": connector, "created_by_id": one["account"]}
            if found not in rows["connections"]:
                rows["connections"].append(found)
        for place, (connector, kind, resource, level, *state) in enumerate(one["needs"]):
            need = {"step": f"s{place}", "connector_id": connector, "alias": connector, "right": level, "level": level}
            known = {"resource_kind": kind, "resource": resource, "state": state[0] if state else "known", "via": "own"}
            rows["needs"].append({**keys, **need, **known})
    people = [
        {"identity_id": i, "upn": f"{i}@fabrikam.example", "kind": "user", "status": "active", "department": d}
        for i, d in (("ann", "Sales"), ("bo", "Finance"), ("svc-a", "Sales"), ("svc-b", "Finance"))
    ]
    rows.setdefault("identities", people)
    rows.setdefault("register", [{"account": "svc-a@fabrikam.example"}, {"account": "svc-b@fabrikam.example"}])
    return Tenant({name: schema.frame(name, found) for name, found in rows.items()}, collected=rows)


def reads(name, *lists, level="read", **facts):
    return flow(name, *((SHAREPOINT, "sharepoint_list", one, level) for one in lists), **facts)


@pytest.fixture
def policy(tmp_path):
    def made(text):
        path = tmp_path / "policy.toml"
        path.write_text(text, encoding="utf-8")
        return load_policy(path)

    return made


def account_of(plan):
    return plan.assignment.set_index("flow_id")["account"].to_dict()


def problems(plan):
    return set(plan.findings["problem"])


# --- how few -----------------------------------------------------------------------------------------------------


def fewest(tenant, limit):
    """Branch and bound over plain sets: the oracle. It knows nothing of the planner."""
    weight = {"read": 1.0, "write": 3.0}
    named = {}
    for resource, level in tenant.needs[["resource", "level"]].drop_duplicates().itertuples(index=False):
        named.setdefault(resource, set()).add(level)
    worth = {}
    for resource, levels in named.items():
        worth |= {(resource, level): weight[level] for level in levels}
        if len(levels) == 2:
            worth[resource, "write"] = 2.0
    flows, carried = {}, {}
    for row in tenant.needs.itertuples(index=False):
        rights = {(row.resource, lv) for lv in ("read", row.level) if lv in named[row.resource]}
        needs, connectors = flows.setdefault((row.environment_id, row.flow_id), (set(), set()))
        needs |= rights
        connectors.add(row.connector_id)
        carried.setdefault(row.connector_id, set()).update(rights)
    total = 0
    for env in sorted({env for env, _ in flows}):
        units = {(frozenset(n), frozenset(c)) for (e, _), (n, c) in flows.items() if e == env}
        units = [(n, frozenset().union(*(carried[x] for x in c))) for n, c in units]
        total += _fewest(units, worth, limit)
    return total


def _fewest(units, worth, limit):
    def sound(group):
        held = frozenset().union(*(n for n, _ in group))
        return all(sum(worth[r] for r in (held & reach) - needs) <= limit for needs, reach in group)

    against = {u: sum(not sound([u, v]) for v in units) for u in units}
    order = sorted(units, key=lambda u: (-against[u], sorted(u[0])))
    best = len(order)

    def place(number, groups):
        nonlocal best
        if len(groups) >= best:
            return
        if number == len(order):
            best = len(groups)
            return
        for group in groups:
            group.append(order[number])
            if sound(group):
                place(number + 1, groups)
            group.pop()
        groups.append([order[number]])
        place(number + 1, groups)
        groups.pop()

    place(0, [])
    return best


@pytest.mark.parametrize("limit", [0, 3, 6, 12])
def test_plans_of_fifty_flows_are_the_fewest_there_are(limit):
    tenant = plans.tenant(50, seed=1)
    plan = fa.plan_accounts(tenant, excess_limit=limit)
    assert plan.count == fewest(tenant, limit)
    assert plan.proved


def test_five_hundred_flows_come_within_a_tenth_of_what_is_possible():
    plan = fa.plan_accounts(plans.tenant(500, seed=3), excess_limit=0)
    assert plan.bound <= plan.count <= 1.1 * plan.bound


def test_more_excess_never_needs_more_accounts():
    tenant = plans.tenant(40, seed=5)
    counts = [fa.plan_accounts(tenant, excess_limit=limit).count for limit in (0, 2, 5, 9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


def test_without_excess_no_flow_reaches_what_it_does_not_need():
    plan = fa.plan_accounts(plans.tenant(60, seed=8, accounts=5), excess_limit=0)
    assert len(plan.excess) == 0
    assert plan.exposure == 0


def test_the_same_flows_in_any_order_give_the_same_plan():
    tenant = plans.tenant(60, seed=2, accounts=6)
    mixed = Tenant({t: tenant[t].sample(frac=1, random_state=7) for t in tenant.collected}, collected=tenant.collected)
    one, other = (fa.plan_accounts(t, excess_limit=4) for t in (tenant, mixed))
    for name in ("assignment", "connections", "accounts", "grants", "excess", "moves", "front", "findings"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), obj=name)


def test_flows_share_where_the_connector_cannot_carry_the_rest():
    plan = fa.plan_accounts(small(reads("f", "orders"), flow("g", (SQL, "sql_table", "stock", "read"))))
    assert plan.count == 1


def test_levels_nest_and_containers_hold_what_lies_inside():
    write = reads("w", "site", level="write")
    tenant = small(write, reads("both", "site", "site|list", level="write"))
    assert fa.plan_accounts(tenant, excess_limit=0).count == 1
    given = fa.plan_accounts(tenant, excess_limit=0).grants
    assert given[["resource", "level"]].to_numpy().tolist() == [["site", "write"]]


# --- rules that always hold --------------------------------------------------------------------------------------

RIGHTS = [(SHAREPOINT, "sharepoint_list", f"list{n}", level) for n in range(3) for level in ("read", "write")]
RIGHTS += [
    (SQL, "sql_table", "vendors", "write"),
    (SQL, "sql_table", "payments", "write"),
    (MAIL, "mailbox", "box", "read"),
]
RIGHTS += [(SHAREPOINT, "sharepoint_list", "", "read", "expression"), (MAIL, "mailbox", "", "read", "in_connection")]
FLOWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(RIGHTS), min_size=1, max_size=3),
        st.sampled_from(["ann", "bo", "svc-a"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=9,
)
RULES = """
[caps]
flows_per_owner = {flows}
requests_paid = 40
[planning]
pinned = [ {{ flow = "f0", account = "svc-b" }}, {{ flow = "f1", account = "svc-b" }} ]
forbidden = [ {{ flow = "f2", account = "svc-a" }}, {{ flow = "f0", account = "{banned}" }} ]
conflicts = [ {{ left = 'vendors:write$', right = 'payments:write$' }} ]
"""


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(FLOWS, st.integers(1, 4), st.sampled_from(["svc-a", "svc-b"]), st.sampled_from([0, 2, 5]), st.integers(0, 30))
def test_no_cap_and_no_conflict_is_ever_broken(policy, made, most, banned, limit, runs):
    flows = [flow(f"f{n}", *set(needs), account=who, is_solution=inside) for n, (needs, who, inside) in enumerate(made)]
    ran = [
        {"environment_id": ENV, "flow_id": f"f{n}", "run_id": f"r{n}-{r}", "start_at": "2026-10-01T08:00:00Z"}
        for n in range(len(flows))
        for r in range(runs % (n + 2))
    ]
    plan = fa.plan_accounts(
        small(*flows, runs=ran), policy(RULES.format(flows=most, banned=banned)), excess_limit=limit
    )
    for account, rows in plan.assignment.groupby("account"):
        assert (~rows["is_solution"]).sum() <= most
        spent = sum(3 * (runs % (int(name[1:]) + 2)) for name in rows["flow_id"])
        assert spent <= 40 or len(rows) == 1
        held = plan.grants.loc[(plan.grants["account"] == account) & (plan.grants["flows"] > 0), "resource"]
        if {"vendors", "payments"} <= set(held):
            assert len(rows) == 1
            assert "conflict_alone" in problems(plan)
    assert account_of(plan).get("f2") != "svc-a"
    assert not (banned == "svc-b" and account_of(plan)["f0"] == "svc-b")


def test_the_checker_finds_what_is_wrong_with_a_plan():
    tenant, policy = plans.tenant(30, seed=4), load_policy()
    plan = fa.plan_accounts(tenant, policy, excess_limit=3)
    check_plan(tenant, plan, policy)
    accounts = plan.accounts.loc[plan.accounts["action"] != "retire", "account"]
    everything = plan.assignment.assign(account=accounts.iloc[0])
    doubled = pd.concat([plan.assignment, plan.assignment.head(1)])
    wrong = {
        "assignment": [everything, doubled, plan.assignment.assign(excess=99.0), plan.assignment.assign(boundary="x")],
        "excess": [plan.excess.head(0)],
        "grants": [
            plan.grants.iloc[1:],
            pd.concat([plan.grants, plan.grants.head(1).assign(account=accounts.iloc[-1])]),
        ],
    }
    assert len(plan.excess)
    for name, frames in wrong.items():
        for frame in frames:
            with pytest.raises(PlanError):
                check_plan(tenant, dataclasses.replace(plan, **{name: frame}), policy)


def test_environments_never_share_an_account_unless_the_policy_joins_them(policy):
    tenant = small(reads("f", "orders"), reads("g", "orders", env="env-dev"))
    assert fa.plan_accounts(tenant).count == 2
    named = [{"environment_id": e, "display_name": e} for e in (ENV, "env-dev")]
    joined = policy("[planning.boundaries]\npatterns = [ { match = '^env-', boundary = 'all' } ]")
    assert fa.plan_accounts(tenant.replace(environments=schema.frame("environments", named)), joined).count == 1


def test_purposes_never_share_an_account(policy):
    tenant = small(reads("pay", "orders", display_name="Payroll run"), reads("ship", "orders"))
    assert fa.plan_accounts(tenant).count == 1
    apart = policy("[purposes]\npatterns = [ { match = 'payroll', purpose = 'hr' } ]")
    assert set(fa.plan_accounts(tenant, apart).accounts["purpose"]) == {"hr", ""}


# --- which accounts ----------------------------------------------------------------------------------------------


def grant(principal, resource, level="read"):
    return {
        "principal_id": principal,
        "principal_kind": "user",
        "resource_id": resource,
        "level": level,
        "via": "direct",
    }


def test_existing_service_accounts_come_first_and_people_are_never_used():
    tenant = small(
        reads("f", "orders"),
        reads("g", "stock", account="bo"),
        grants=[grant("svc-b", "stock"), grant("ann", "orders")],
    )
    plan = fa.plan_accounts(tenant)
    assert account_of(plan) == {"f": "new:svc-flow-sales-1", "g": "svc-b"}
    assert plan.accounts.set_index("account")["action"].to_dict() == {"new:svc-flow-sales-1": "create", "svc-b": "use"}


def test_administrators_and_dead_accounts_take_no_flow():
    role = {"principal_id": "svc-a", "role_name": "Global Administrator", "scope": "/", "state": "active"}
    role["role_template_id"] = role["role_id"] = "62e90394-69f5-4237-9190-012177145e10"
    tenant = small(
        reads("f", "orders"), grants=[grant("svc-a", "orders"), grant("svc-b", "orders")], role_assignments=[role]
    )
    assert account_of(fa.plan_accounts(tenant)) == {"f": "svc-b"}
    people = tenant.identities.assign(status=["active", "active", "active", "disabled"])
    assert account_of(fa.plan_accounts(tenant.replace(identities=people))) == {"f": "new:svc-flow-sales-1"}


def test_a_pin_is_kept_and_a_ban_too(policy):
    tenant = small(reads("f", "orders"), grants=[grant("svc-a", "orders")])
    assert account_of(fa.plan_accounts(tenant)) == {"f": "svc-a"}
    pinned = policy('[planning]\npinned = [ { flow = "F", account = "svc-b@fabrikam.example" } ]')
    assert account_of(fa.plan_accounts(tenant, pinned)) == {"f": "svc-b"}
    banned = policy('[planning]\nforbidden = [ { account = "svc-a@fabrikam.example" } ]')
    assert account_of(fa.plan_accounts(tenant, banned)) == {"f": "new:svc-flow-sales-1"}


def test_an_account_with_a_seeded_licence_takes_no_busy_flow():
    licence = [{"identity_id": "svc-a", "sku_id": "e3", "sku_part_number": "SPE_E3"}]
    ran = [
        {"environment_id": ENV, "flow_id": "f", "run_id": str(n), "start_at": "2026-10-01T08:00:00Z"}
        for n in range(2_500)
    ]
    tenant = small(reads("f", "orders"), grants=[grant("svc-a", "orders")], licences=licence, runs=ran)
    assert account_of(fa.plan_accounts(tenant)) == {"f": "new:svc-flow-sales-1"}
    assert fa.plan_accounts(tenant).accounts["requests"].tolist() == [7_500]


def test_a_service_principal_takes_flows_that_it_can_sign_in_for():
    people = [
        {"identity_id": "app", "kind": "service_principal", "display_name": "Runner", "status": "active", "app_id": "1"}
    ]
    people += [{"identity_id": "ann", "kind": "user", "upn": "ann@fabrikam.example", "status": "active"}]
    rights = [grant("app", "accounts"), grant("app", "orders")]
    both = {"identities": people, "register": [{"account": "1"}], "grants": rights}
    table = small(flow("f", (TABLES, "dataverse_table", "accounts", "read")), **both)
    assert account_of(fa.plan_accounts(table)) == {"f": "app"}
    site = small(reads("f", "orders"), **both)
    assert account_of(fa.plan_accounts(site)) == {"f": "new:svc-flow-1"}
    assert fa.plan_accounts(site).accounts.loc[0, "service_principal"] == "no"


def test_head_room_is_what_the_caps_leave():
    tenant = small(reads("f", "orders"), reads("g", "orders", is_solution=True), runs=[])
    row = fa.plan_accounts(tenant).accounts.iloc[0]
    assert (row["flows"], row["flows_left"], row["requests_left"]) == (2, 599, 40_000)
    unknown = fa.plan_accounts(small(reads("f", "orders")))
    assert pd.isna(unknown.accounts.loc[0, "requests_left"])
    assert "runs" in unknown.coverage["missing"]


# --- what cannot be ----------------------------------------------------------------------------------------------

IMPOSSIBLE = {
    "pin_forbidden": '[planning]\npinned = [{flow="f",account="svc-a"}]\nforbidden = [{flow="f",account="svc-a"}]',
    "pin_no_service_account": '[planning]\npinned = [{flow="f",account="bo"}]',
    "pinned_twice": '[planning]\npinned = [{flow="f",account="svc-a"},{flow="f",account="svc-b"}]',
    "pins_contradict": '[planning]\npinned = [{flow="f",account="svc-a"},{flow="g",account="svc-a"}]',
    "unknown_flow": '[planning]\npinned = [{flow="nosuch",account="svc-a"}]',
    "unknown_account": '[planning]\npinned = [{flow="f",account="nosuch"}]',
    "conflict_alone": "[planning]\nconflicts = [{left='orders',right='stock'}]",
    "no_service_principal": '[planning]\nservice_principals = "require"',
    "flows_alone": "[caps]\nflows_per_owner = 0",
}


@pytest.mark.parametrize("problem", IMPOSSIBLE)
def test_a_wish_that_cannot_be_kept_is_a_row_of_the_result(policy, problem):
    tenant = small(reads("f", "orders", "stock"), reads("g", "hr", account="bo"))
    plan = fa.plan_accounts(tenant, policy(IMPOSSIBLE[problem]))
    assert problem in problems(plan)
    assert plan.findings["remedy"].notna().all()
    assert plan.assignment["account"].notna().all()


def test_needs_that_are_not_known_are_rights_of_their_own():
    open_ = (SHAREPOINT, "sharepoint_list", "", "read", "expression")
    plan = fa.plan_accounts(small(flow("f", open_), flow("g", open_), reads("h", "orders")))
    assert plan.count == 3
    assert "need_not_known" in problems(plan)
    assert set(plan.grants["action"]) == {"ask", "add"}


def test_what_belongs_to_an_account_is_not_the_same_on_another():
    inbox = (MAIL, "mailbox", "", "read", "in_connection")
    assert fa.plan_accounts(small(flow("f", inbox), flow("g", inbox))).count == 1
    assert fa.plan_accounts(small(flow("f", inbox), flow("g", inbox, account="bo"))).count == 2


def test_flows_that_cannot_be_planned_are_left_with_a_reason():
    tenant = small(
        reads("f", "orders"),
        reads("off", "orders", state="Stopped"),
        flow("unread", has_definition=False),
        flow("bare"),
        reads("robot", "orders", kind="desktop"),
    )
    plan = fa.plan_accounts(tenant)
    left = plan.assignment.set_index("flow_id").query("state == 'left'")["reason"]
    assert set(left.index) == {"off", "unread", "bare", "robot"}
    assert left.notna().all()
    assert "definition_not_read" in problems(plan)


def test_an_empty_tenant_gives_an_empty_plan_that_says_so():
    plan = fa.plan_accounts(Tenant({}))
    assert (plan.count, plan.bound, len(plan.moves)) == (0, 0, 0)
    assert plan.coverage["answer"] == "none"


# --- the way there -----------------------------------------------------------------------------------------------


def test_grants_say_what_to_add_to_change_and_to_remove():
    held = [grant("svc-a", "orders"), grant("svc-a", "stock", "full"), grant("svc-a", "hr"), grant("svc-a", "plain")]
    needs = [
        (SHAREPOINT, "sharepoint_list", r, lv)
        for r, lv in (("orders", "write"), ("stock", "read"), ("new", "read"), ("plain", "read"))
    ]
    plan = fa.plan_accounts(small(flow("f", *needs, account="svc-a"), grants=held))
    assert plan.grants.set_index("resource")["action"].to_dict() == {
        "orders": "raise",
        "stock": "lower",
        "new": "add",
        "plain": "keep",
        "hr": "remove",
    }


def test_rights_that_a_flow_outside_the_plan_may_need_are_not_removed():
    held = [grant("svc-a", "orders"), grant("svc-a", "hr")]
    off = reads("off", "hr", account="svc-a", state="Stopped")
    plan = fa.plan_accounts(small(reads("f", "orders", account="svc-a"), off, grants=held))
    assert plan.grants.set_index("resource")["action"].to_dict() == {"orders": "keep", "hr": "review"}


def test_what_an_account_holds_is_asked_where_grants_were_not_collected():
    plan = fa.plan_accounts(small(reads("f", "orders", account="svc-a")))
    assert plan.grants["action"].tolist() == ["check"]


def test_a_flow_that_stays_has_nothing_to_do():
    plan = fa.plan_accounts(small(reads("f", "orders", account="svc-a"), grants=[grant("svc-a", "orders")]))
    assert plan.assignment["state"].tolist() == ["stays"]
    assert len(plan.moves) == 0


def test_moves_lead_from_the_account_to_the_last_step_in_order():
    plan = fa.plan_accounts(small(reads("f", "orders"), grants=[]))
    assert plan.moves["step"].tolist() == ["create_account", "grant", "connect", "rebind", "own", "test", "clean_up"]
    assert plan.moves["order"].tolist() == list(range(1, 8))
    assert plan.moves["who"].notna().all()
    assert "co-owner" in plan.moves.set_index("step").loc["own", "sentence"]


def test_a_solution_changes_its_owner_and_its_reference():
    tenant = small(reads("f", "orders", is_solution=True), grants=[])
    uses = tenant.flow_connections.assign(reference_name="ref_sites", connection_id=pd.NA)
    bound = [{"environment_id": ENV, "reference_name": "ref_sites", "connection_id": f"{SHAREPOINT}-ann"}]
    tenant = tenant.replace(flow_connections=uses, connection_references=schema.frame("connection_references", bound))
    told = fa.plan_accounts(tenant).moves.set_index("step")["sentence"]
    assert "ref_sites" in told["rebind"]
    assert told["own"].endswith("leave ann@fabrikam.example as co-owner.")


def test_a_connection_that_is_there_is_used_again():
    tenant = small(reads("f", "orders"), reads("g", "orders", account="svc-a"), grants=[])
    plan = fa.plan_accounts(tenant)
    assert account_of(plan) == {"f": "svc-a", "g": "svc-a"}
    assert plan.moves["step"].tolist() == ["grant", "reuse", "rebind", "own", "test", "clean_up"]


def test_service_accounts_that_lose_all_their_flows_can_go():
    tenant = small(
        reads("f", "orders", account="svc-a"), reads("g", "orders", account="svc-b"), grants=[grant("svc-a", "orders")]
    )
    actions = fa.plan_accounts(tenant).accounts.set_index("account")["action"].to_dict()
    assert actions == {"svc-a": "use", "svc-b": "retire"}


# --- the curve ---------------------------------------------------------------------------------------------------


def test_the_front_falls_in_accounts_and_rises_in_exposure():
    plan = fa.plan_accounts(plans.tenant(60, seed=6))
    front = plan.front
    assert front["accounts"].is_monotonic_decreasing
    assert front["exposure"].is_monotonic_increasing
    assert (front["accounts"].iloc[0], front["exposure"].iloc[0]) == (plan.count, 0)  # the plan allows no excess
    assert front["accounts"].iloc[-1] == 2  # one for each environment
    assert front["knee"].sum() == 1


def test_the_last_point_of_the_front_is_one_account_that_holds_everything():
    tenant = small(reads("f", "orders"), reads("g", "stock", "bins", level="write"))
    front = fa.plan_accounts(tenant).front
    assert front[["accounts", "exposure"]].to_numpy().tolist() == [[2, 0], [1, 7]]


def test_the_knee_is_where_fewer_accounts_begin_to_cost():
    curve = pd.DataFrame({"accounts": [10, 6, 5, 4, 1], "exposure": [0.0, 0.0, 100.0, 200.0, 300.0]})
    assert knee(curve) == 1
