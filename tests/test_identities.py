"""Person or service account: signals one by one, and quality on a labelled tenant full of look-alikes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rooms

from flowanalysis import schema
from flowanalysis.analysis.identities import SIGNALS, classify, confusion, quality
from flowanalysis.policy import load_policy
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


GIVEN = ["Sarah", "Sam", "Appia", "Botho", "Sal", "Flora", "Batya", "Tasha", "Svea", "Monia", "Robin", "Serge"]
SUR = ["Rahimi", "Lindgren", "Service", "Monitor", "Flowers", "Batch", "Alert", "Sato", "Svoboda", "Nunez", "Botha"]


def labelled_tenant(seed: int) -> tuple[Tenant, pd.DataFrame]:
    """Several hundred identities, a third of them look-alikes, and what they truly are."""
    rng = np.random.default_rng(seed)
    rows, licences = [], []
    for i in range(220):
        rows.append(_person(rng, i))
    for i in range(60):
        rows.append(_service(rng, i, licences))
    rows += _look_alikes(rng)
    for n, row in enumerate(rows):
        row["identity_id"] = f"id{n}"
    labels = pd.DataFrame(
        {"identity_id": [r["identity_id"] for r in rows], "is_service": [r.pop("truth") for r in rows]}
    )
    base = {"kind": "user", "status": "active", "user_type": "Member", "manager_known": True}
    frames = {"identities": schema.frame("identities", [{**base, **r} for r in rows])}
    return Tenant(frames, as_of=rooms.AS_OF), labels


def _person(rng: np.random.Generator, i: int) -> dict:
    given, sur = rng.choice(GIVEN), rng.choice(SUR)
    style = rng.choice(["full", "initials", "short"])
    names = {"full": f"{given}.{sur}", "initials": f"{given[:2]}.{sur}", "short": f"{given[:3]}{sur[:3]}"}
    row = {"upn": f"{names[style]}{i}@fabrikam.example", "display_name": f"{given} {sur}", "truth": False}
    row |= {"given_name": given, "surname": sur, "last_noninteractive_signin_at": RECENT}
    row["manager_id"] = "boss" if rng.random() < 0.93 else None
    row["employee_id"] = str(i) if rng.random() < 0.9 else None
    row["last_signin_at"] = RECENT if rng.random() < 0.85 else LONG_AGO
    return row


def _service(rng: np.random.Generator, i: int, licences: list) -> dict:
    form = rng.choice(["svc-{}", "svc_{}", "{}-svc", "sa-{}", "rpa.{}", "bot_{}", "{}.runner", "automation-{}"])
    row = {"upn": f"{form.format('orders')}{'' if form.endswith('svc') else i}@fabrikam.example", "truth": True}
    row |= {"last_noninteractive_signin_at": RECENT, "last_signin_at": LONG_AGO if rng.random() < 0.8 else RECENT}
    row["employee_type"] = "Service account" if rng.random() < 0.4 else None
    row["password_never_expires"] = bool(rng.random() < 0.7)
    row["manager_id"] = "boss" if rng.random() < 0.1 else None
    return row


def _look_alikes(rng: np.random.Generator) -> list[dict]:
    desks = ["customerservice", "customer-service", "service-desk", "it-services", "room.service", "servicecenter"]
    shared = [{"upn": f"{d}@fabrikam.example", "mailbox_type": "shared", "account_enabled": False} for d in desks * 3]
    untold = [{"upn": f"{d}{i}@fabrikam.example", "manager_id": "boss"} for i in range(3) for d in desks]
    vips = [
        {**HUMAN, "upn": f"vip{i}@fabrikam.example", "manager_id": None, "password_never_expires": True}
        for i in range(20)
    ]
    glass = [
        {"upn": f"{n}{i}@fabrikam.example", "password_never_expires": True, "last_signin_at": LONG_AGO}
        for n in ("breakglass-0", "emergency-access-0", "bg-admin-0")
        for i in range(4)
    ]
    externals = [
        {"upn": f"ext.partner{i}@fabrikam.example", "given_name": "Pat", "surname": "Ner", "last_signin_at": RECENT}
        for i in range(20)
    ]
    guests = [{"upn": f"svc{i}_other.example#EXT#@fabrikam.example", "user_type": "Guest"} for i in range(10)]
    every = [*shared, *untold, *vips, *glass, *externals, *guests]
    return [{"last_noninteractive_signin_at": RECENT, **row, "truth": False} for row in every]


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_service_accounts_are_told_from_look_alikes(seed):
    tenant, labels = labelled_tenant(seed)
    measured = quality(labels, classify(tenant))
    assert measured["f1"] >= 0.9, measured
    assert measured["precision"] >= 0.95, measured


def test_the_confusion_table_counts_everybody_once():
    tenant, labels = labelled_tenant(1)
    table = confusion(labels, classify(tenant))
    assert table.to_numpy().sum() == len(labels)
    assert table.loc["service account"].sum() == labels["is_service"].sum()


def test_quality_of_nothing_found_is_zero():
    labels = pd.DataFrame({"identity_id": ["a"], "is_service": [True]})
    nothing = pd.DataFrame({"identity_id": ["a"], "band": ["person"]})
    assert quality(labels, nothing) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
