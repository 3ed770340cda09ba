"""A labelled sample of identities, a third of them such as are easily mistaken for service accounts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from flowanalysis import schema

__all__ = ["AS_OF", "labelled"]

AS_OF = pd.Timestamp("2026-10-31", tz="UTC")
RECENT, LONG_AGO = AS_OF - pd.Timedelta(days=2), AS_OF - pd.Timedelta(days=300)
HUMAN = {
    "given_name": "Sarah",
    "surname": "Moss",
    "manager_id": "boss",
    "employee_id": "1",
    "last_signin_at": RECENT,
    "last_noninteractive_signin_at": RECENT,
}
GIVEN = ["Sarah", "Sam", "Appia", "Botho", "Sal", "Flora", "Batya", "Tasha", "Svea", "Monia", "Robin", "Serge"]
SUR = ["Rahimi", "Lindgren", "Service", "Monitor", "Flowers", "Batch", "Alert", "Sato", "Svoboda", "Nunez", "Botha"]


def labelled(*, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """People, service accounts and look-alikes, and what they truly are.

    Returns
    -------
    DataFrame, DataFrame
        The table ``identities``; identity_id and is_service (flag).

    Examples
    --------
    >>> people, truth = labelled()
    >>> len(people) == len(truth), int(truth["is_service"].sum())
    (True, 60)
    """
    rng = np.random.default_rng(seed)
    rows = [_person(rng, i) for i in range(220)] + [_service(rng, i) for i in range(60)] + _look_alikes()
    base = {"kind": "user", "status": "active", "user_type": "Member", "manager_known": True}
    rows = [{**base, **row, "identity_id": f"id{n}"} for n, row in enumerate(rows)]
    truth = [{"identity_id": row["identity_id"], "is_service": row.pop("truth")} for row in rows]
    return schema.frame("identities", rows), pd.DataFrame(truth)


def _person(rng: np.random.Generator, i: int) -> dict[str, Any]:
    given, sur = rng.choice(GIVEN), rng.choice(SUR)
    style = rng.choice(["full", "initials", "short"])
    names = {"full": f"{given}.{sur}", "initials": f"{given[:2]}.{sur}", "short": f"{given[:3]}{sur[:3]}"}
    row: dict[str, Any] = {
        "upn": f"{names[style]}{i}@fabrikam.example",
        "display_name": f"{given} {sur}",
        "truth": False,
    }
    row |= {"truth": False, "given_name": given, "surname": sur, "last_noninteractive_signin_at": RECENT}
    row["manager_id"] = "boss" if rng.random() < 0.93 else None
    row["employee_id"] = str(i) if rng.random() < 0.9 else None
    row["last_signin_at"] = RECENT if rng.random() < 0.85 else LONG_AGO
    return row


def _service(rng: np.random.Generator, i: int) -> dict[str, Any]:
    form = rng.choice(["svc-{}", "svc_{}", "{}-svc", "sa-{}", "rpa.{}", "bot_{}", "{}.runner", "automation-{}"])
    row: dict[str, Any] = {
        "upn": f"{form.format('orders')}{'' if form.endswith('svc') else i}@fabrikam.example",
        "truth": True,
    }
    row |= {"last_noninteractive_signin_at": RECENT, "last_signin_at": LONG_AGO if rng.random() < 0.8 else RECENT}
    row["employee_type"] = "Service account" if rng.random() < 0.4 else None
    row["password_never_expires"] = bool(rng.random() < 0.7)
    row["manager_id"] = "boss" if rng.random() < 0.1 else None
    return row


def _look_alikes() -> list[dict[str, Any]]:
    desks = ["customerservice", "customer-service", "service-desk", "it-services", "room.service", "servicecenter"]
    shared: list[dict[str, Any]] = [
        {"upn": f"{d}@fabrikam.example", "mailbox_type": "shared", "account_enabled": False} for d in desks * 3
    ]
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
