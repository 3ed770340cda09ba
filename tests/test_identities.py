"""Person or service account: signals one by one, and quality on a labelled tenant full of look-alikes."""

from __future__ import annotations

import pandas as pd
import pytest
import rooms

from flowanalysis import schema
from flowanalysis.analysis.identities import SIGNALS, classify, quality
from flowanalysis.demo.lookalikes import labelled
from flowanalysis.policy import load_policy
from flowanalysis.report.lookalikes import lookalikes
from flowanalysis.tenant import Tenant

RECENT, LONG_AGO = rooms.AS_OF - pd.Timedelta(days=2), rooms.AS_OF - pd.Timedelta(days=300)
HUMAN = {
    "given_name": "Sarah",
    "surname": "Moss",
    "manager_id": "boss",
    "employee_id": "1",
    "last_signin_at": RECENT,
    "last_noninteractive_signin_at": RECENT,
}


def verdict(upn: str, *, tables: dict | None = None, **columns: object) -> pd.Series:
    """The verdict on one user beside an ordinary colleague."""
    base = {"kind": "user", "status": "active", "user_type": "Member", "manager_known": True}
    colleague = {"identity_id": "colleague", "upn": "tom.hale@fabrikam.example", **base, **HUMAN}
    user = {"identity_id": "u", "upn": f"{upn}@fabrikam.example", **base, **columns}
    frames = {"identities": schema.frame("identities", [user, colleague]), **(tables or {})}
    return classify(Tenant(frames, as_of=rooms.AS_OF)).set_index("identity_id").loc["u"]


@pytest.mark.parametrize(
    "upn",
    ["svc-pay", "svc_pay", "svc.pay", "svcpay", "pay-svc", "pay_svc", "sa-sql", "bot-7", "rpa_invoices", "flow-runner"]
    + ["service.account.hr", "power_automate", "hr-serviceaccount", "automation.user", "api-orders", "task_nightly"],
)
def test_names_of_service_accounts_speak(upn):
    assert "name" in verdict(upn)["signals"].split()


@pytest.mark.parametrize(
    "upn",
    ["sarah.moss", "sa.rahimi", "customerservice", "customer-service", "service-desk", "appleby", "app.lindgren"]
    + ["botha.k", "flowers", "isabot", "tasker.l", "apinya.s", "batchelor.j", "it-services", "room.service", "svend"],
)
def test_names_that_only_look_alike_do_not(upn):
    assert "name" not in verdict(upn)["signals"].split()


@pytest.mark.parametrize(
    ("signal", "columns"),
    [
        ("job_title", {"job_title": "Service Account"}),
        ("employee_type", {"employee_type": "ServiceAccount"}),
        ("no_manager", {}),
        ("no_employee_id", {}),
        ("no_personal_name", {}),
        ("password_never_expires", {"password_never_expires": True}),
        ("noninteractive_only", {"last_noninteractive_signin_at": RECENT, "last_signin_at": LONG_AGO}),
        ("-personnel_record", HUMAN),
        ("-interactive", HUMAN),
        ("-personal_upn", {"given_name": "Paula", "surname": "Kent"}),
    ],
)
def test_each_signal_speaks_and_keeps_silent(signal, columns):
    said = verdict("paula.kent", **columns)["signals"].split()
    assert signal in said
    opposite = {} if signal.startswith("-") else {**HUMAN, "password_never_expires": False}
    assert signal not in verdict("x.y", **opposite)["signals"].split()


def test_a_field_that_nobody_has_filled_says_nothing():
    rows = [{"identity_id": i, "kind": "user", "upn": f"{i}@fabrikam.example"} for i in ("a", "b")]
    verdicts = classify(Tenant({"identities": schema.frame("identities", rows)}, as_of=rooms.AS_OF))
    assert verdicts["signals"].tolist() == ["", ""]


def test_licences_only_for_automation_speak():
    held = [{"identity_id": "u", "sku_id": "1", "sku_part_number": "FLOW_FREE"}]
    office = [*held, {"identity_id": "u", "sku_id": "2", "sku_part_number": "SPE_E3"}]
    tables = [{"licences": schema.frame("licences", rows)} for rows in (held, office)]
    said = ["automation_licence_only" in verdict("x", tables=t)["signals"].split() for t in tables]
    assert said == [True, False]


def test_flows_say_most():
    flows = [
        {"environment_id": f"e{i % 3}", "flow_id": f"f{i}", "owner_id": "u", "creator_id": f"p{i}"} for i in range(10)
    ]
    owned = verdict("nobody", tables={"flows": schema.frame("flows", flows)})
    assert {"many_flows", "receives_flows"} <= set(owned["signals"].split())
    others = [{**f, "owner_id": f"p{i}"} for i, f in enumerate(flows)]
    uses = [
        {"environment_id": f"e{i % 3}", "flow_id": f"f{i}", "alias": "a", "connection_id": f"c{i}"} for i in range(3)
    ]
    made = [{"environment_id": f"e{i}", "connection_id": f"c{i}", "created_by_id": "u"} for i in range(3)]
    tables = {"flows": others, "flow_connections": uses, "connections": made}
    serving = verdict("nobody", tables={t: schema.frame(t, rows) for t, rows in tables.items()})
    assert "serves_others" in serving["signals"].split()


def test_the_register_and_the_type_of_principal_win_outright():
    listed = {"register": schema.frame("register", [{"account": "sarah.moss@fabrikam.example"}])}
    told = verdict("sarah.moss", tables=listed, **HUMAN)
    assert (told["kind"], told["band"], told["score"]) == ("service_account", "service", 1.0)
    principal = verdict("x", kind="service_principal")
    assert (principal["kind"], principal["band"]) == ("service_principal", "service")


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"user_type": "Guest"}, "guest"),
        ({"mailbox_type": "shared"}, "shared_mailbox"),
        ({"mailbox_type": "room"}, "shared_mailbox"),
        ({"kind": "group"}, "group"),
        ({"kind": "unknown"}, "other"),
    ],
)
def test_guests_mailboxes_and_groups_are_never_taken_for_service_accounts(columns, kind):
    told = verdict("svc-x", employee_type="Service", **columns)
    assert told["kind"] == kind
    assert told["band"] != "service"


def test_only_those_asked_for_are_classified():
    tenant = rooms.build()
    assert classify(tenant, only=["svc", "nobody"])["identity_id"].tolist() == ["svc"]


def test_every_signal_has_words_and_a_weight_or_damper():
    rules = load_policy().identities
    assert {*rules["weights"], *rules["dampers"], "registered", "service_principal"} == set(SIGNALS)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_service_accounts_are_told_from_look_alikes(seed):
    tried = lookalikes(seed=seed)
    assert tried.quality["F1"] >= 0.9, tried.quality
    assert tried.quality["precision"] >= 0.95, tried.quality


def test_the_confusion_table_counts_everybody_once():
    people, labels = labelled(seed=1)
    table = lookalikes(seed=1).table.set_index("truth")
    assert table.to_numpy().sum() == len(labels) == len(people)
    assert table.loc["service account"].sum() == labels["is_service"].sum()


def test_the_sample_holds_every_kind_that_is_mistaken_elsewhere():
    people, labels = labelled(seed=1)
    names = people.loc[~labels["is_service"].to_numpy(bool), "upn"]
    for part in ("sa.rahimi", "customerservice@", "vip", "breakglass", "#ext#", "service-desk"):
        assert names.str.lower().str.contains(part, regex=False).any(), part
    assert (people["mailbox_type"] == "shared").any()


def test_a_policy_that_trusts_names_alone_is_shown_to_be_worse(tmp_path):
    file = tmp_path / "names.toml"
    file.write_text("[identities]\nnames = ['service', '^sa', 'svc', 'bot']\nnot_names = []\n", encoding="utf-8")
    assert lookalikes(load_policy(file)).quality["F1"] < lookalikes().quality["F1"]


def test_quality_of_nothing_found_is_zero():
    labels = pd.DataFrame({"identity_id": ["a"], "is_service": [True]})
    nothing = pd.DataFrame({"identity_id": ["a"], "band": ["person"]})
    assert quality(labels, nothing) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
