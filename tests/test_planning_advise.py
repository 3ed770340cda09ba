"""The advisor: which account could run a flow, why the others could not, and what a new one would need."""

from __future__ import annotations

import json
import time

import pandas as pd
import plans
import pytest
from click.testing import CliRunner
from test_planning_accounts import ENV, MAIL, SHAREPOINT, SQL, TABLES, flow, grant, reads, small

import flowanalysis as fa
from flowanalysis import schema
from flowanalysis.cli import main
from flowanalysis.errors import InputError, UnknownName
from flowanalysis.policy import load_policy


@pytest.fixture
def policy(tmp_path):
    def made(text):
        path = tmp_path / "policy.toml"
        path.write_text(text, encoding="utf-8")
        return load_policy(path)

    return made


def verdicts(answer):
    return dict(zip(answer["account_id"].fillna("new"), answer["verdict"], strict=True))


def reason(answer, account):
    return answer.set_index("account_id").loc[account, "explanation"]


def test_an_account_with_exactly_the_rights_fits_and_stands_first():
    tenant = small(reads("f", "orders"), grants=[grant("svc-b", "orders"), grant("svc-a", "stock")])
    answer = fa.advise(tenant, "f")
    assert answer["account_id"].iloc[0] == "svc-b"
    assert verdicts(answer) == {"svc-b": "fits", "new": "create", "svc-a": "with_changes"}
    assert answer.set_index("account_id").loc["svc-b", ["covers", "missing", "excess"]].tolist() == [True, 0, 0]
    assert "1 right would have to be granted" in reason(answer, "svc-a")


def test_an_account_that_holds_more_covers_and_says_how_much_too_much():
    tenant = small(reads("f", "orders"), grants=[grant("svc-b", "orders", "write"), grant("svc-b", "stock", "write")])
    answer = fa.advise(tenant, "f")
    assert verdicts(answer)["svc-b"] == "covers"
    assert answer["excess"].iloc[0] == 5
    assert "5 too much" in reason(answer, "svc-b")


def test_rights_that_the_connectors_cannot_carry_are_no_excess():
    rights = [grant("svc-b", "orders"), {**grant("svc-b", "warehouse"), "resource_kind": "sql_table"}]
    answer = fa.advise(small(reads("f", "orders"), grants=rights), "f")
    assert verdicts(answer)["svc-b"] == "fits"


def test_what_the_flows_of_an_account_need_it_holds():
    tenant = small(reads("f", "orders"), reads("g", "orders", account="svc-a"))
    assert verdicts(fa.advise(tenant, "f"))["svc-a"] == "fits"


def test_without_any_fit_the_answer_lists_exactly_the_rights_of_a_new_account():
    tenant = small(flow("f", (SHAREPOINT, "sharepoint_list", "orders", "write"), (SQL, "sql_table", "stock", "read")))
    new = fa.advise(tenant, "f").set_index("verdict").loc["create"]
    assert new["rights"] == "write on sharepoint list orders; read on sql table stock"
    assert "create one with exactly these rights" in new["explanation"]


def test_each_rejection_is_explained(policy):
    licence = [{"identity_id": "svc-b", "sku_id": "e3", "sku_part_number": "SPE_E3"}]
    ran = [
        {"environment_id": ENV, "flow_id": "f", "run_id": str(n), "start_at": "2026-10-01T08:00:00Z"}
        for n in range(2_500)
    ]
    rights = [grant("svc-a", "orders"), grant("svc-b", "orders")]
    tenant = small(reads("f", "orders"), grants=rights, licences=licence, runs=ran)
    assert "6,000 requests" in reason(fa.advise(tenant, "f"), "svc-b")
    dead = tenant.replace(identities=tenant.identities.assign(status=["active", "active", "disabled", "active"]))
    assert reason(fa.advise(dead, "f"), "svc-a").startswith("No: it is disabled")
    banned = policy('[planning]\nforbidden = [{account="svc-a"}]')
    assert "forbids" in reason(fa.advise(tenant, "f", banned), "svc-a")
    apart = policy("[purposes]\npatterns = [ { match = '^f ', purpose = 'hr' } ]")
    assert "purpose" in reason(fa.advise(tenant, "f", apart), "svc-a")
    places = schema.frame("environments", [{"environment_id": e} for e in (ENV, "other")])
    listed = tenant.register.assign(environments=["other", pd.NA])
    held = fa.advise(tenant.replace(register=listed, environments=places), "f")
    assert "register" in reason(held, "svc-a")
    assert "register" not in reason(held, "svc-b")


def test_a_flow_that_owns_as_many_as_it_may_is_full(policy):
    tenant = small(reads("f", "orders"), reads("g", "orders", account="svc-a"), grants=[])
    answer = fa.advise(tenant, "f", policy("[caps]\nflows_per_owner = 1"))
    assert "as many flows" in reason(answer, "svc-a")


def test_duties_stay_apart(policy):
    rules = policy("[planning]\nconflicts = [{left='vendors:write$',right='payments:write$'}]")
    tenant = small(
        reads("f", "vendors", level="write"), grants=[grant("svc-a", "payments", "write"), grant("svc-b", "payments")]
    )
    answer = fa.advise(tenant, "f", rules)
    assert "must not hold both" in reason(answer, "svc-a")
    assert verdicts(answer)["svc-b"] == "with_changes"


def test_a_service_principal_is_offered_only_where_it_can_sign_in():
    people = [
        {"identity_id": "app", "kind": "service_principal", "display_name": "Runner", "status": "active", "app_id": "1"}
    ]
    both = {"identities": people, "register": [{"account": "1"}], "grants": [grant("app", "x")]}
    table = fa.advise(small(flow("f", (TABLES, "dataverse_table", "x", "read")), **both), "f")
    assert verdicts(table)["app"] == "fits"
    assert "a service principal would do" in table.set_index("verdict").loc["create", "explanation"]
    assert verdicts(fa.advise(small(reads("f", "x"), **both), "f"))["app"] == "no"


def test_what_is_not_known_is_said_and_nothing_is_claimed():
    open_ = (SHAREPOINT, "sharepoint_list", "", "read", "expression")
    answer = fa.advise(small(flow("f", open_), grants=[]), "f")
    assert answer["covers"].isna().all()
    assert answer["explanation"].str.contains("while it runs").all()
    silent = fa.advise(small(reads("f", "orders")), "f")
    assert silent.set_index("account_id").loc["svc-a", "covers"] is pd.NA
    assert "grants" in silent.attrs["coverage"]["missing"]


def test_an_unknown_flow_is_an_error_with_the_nearest_names():
    with pytest.raises(UnknownName, match="orders"):
        fa.advise(small(reads("orders", "x")), "ordrs")


DEFINITION = {
    "properties": {
        "displayName": "New intake",
        "connectionReferences": {
            "shared_sharepointonline": {
                "connectionName": "c1",
                "source": "Embedded",
                "id": "/providers/Microsoft.PowerApps/apis/shared_sharepointonline",
            }
        },
        "definition": {
            "$schema": "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#",
            "triggers": {"Daily": {"type": "Recurrence", "recurrence": {"frequency": "Day", "interval": 1}}},
            "actions": {
                "Get_items": {
                    "type": "OpenApiConnection",
                    "inputs": {
                        "host": {
                            "connectionName": "shared_sharepointonline",
                            "operationId": "GetItems",
                            "apiId": "/providers/Microsoft.PowerApps/apis/shared_sharepointonline",
                        },
                        "parameters": {"dataset": "https://fabrikam.sharepoint.example/sites/hr", "table": "list-1"},
                    },
                }
            },
        },
    }
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "intake.json"
    path.write_text(json.dumps(DEFINITION), encoding="utf-8")
    return path


def test_a_definition_in_a_file_is_advised_before_the_flow_exists(file):
    key = "https://fabrikam.sharepoint.example/sites/hr|list-1"
    tenant = small(reads("f", "orders"), grants=[grant("svc-b", key.partition("|")[0])])
    answer = fa.advise(tenant, file)
    assert verdicts(answer)["svc-a"] == "with_changes"
    assert key in answer.set_index("verdict").loc["create", "rights"]
    assert answer.set_index("account_id").loc["svc-b", "missing"] == 0  # the site holds the list


def test_a_file_with_another_number_of_flows_is_refused(tmp_path):
    path = tmp_path / "rights.csv"
    path.write_text("who,resource,level,via\nann@fabrikam.example,orders,read,direct\n", encoding="utf-8")
    with pytest.raises(InputError, match="one is asked for"):
        fa.advise(small(reads("f", "orders")), path)


def test_the_command_ranks_accounts_and_lists_the_rights(root):
    data = str(root / "data" / "demo" / "2026-10")
    done = CliRunner().invoke(main, ["advise", "Invoice intake", "--data", data, "--most", "3"])
    assert done.exit_code == 0, done.output
    assert "svc-flow-finance" in done.output
    assert "create one with exactly these rights" in done.output
    wrong = CliRunner().invoke(main, ["advise", "No such flow", "--data", data])
    assert wrong.exit_code == 2


def test_advice_among_five_thousand_accounts_takes_seconds():
    tenant = plans.tenant(400, seed=3, accounts=5_000)
    begin = time.process_time()
    answer = fa.advise(tenant, "flow-00007")
    assert len(answer) == 5_001
    assert time.process_time() - begin < 6  # a guard; the benchmark measures


def test_own_mail_needs_no_right():
    send = {"right": "send", "level": "write", "state": "in_connection", "resource": ""}
    tenant = small(flow("f", (MAIL, "mailbox", "", "write", "in_connection")), grants=[])
    tenant = tenant.replace(needs=tenant.needs.assign(**send))
    new = fa.advise(tenant, "f").set_index("verdict").loc["create"]
    assert new["rights"] == "no right on any resource"
