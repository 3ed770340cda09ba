"""What companies keep in spreadsheets: who may do what, and the register of service accounts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from flowanalysis.demo.people import DEPARTMENTS, OFFICE, deputy, lead
from flowanalysis.demo.world import ENVIRONMENTS, World

RIGHTS = ("who", "resource", "level", "via")
REGISTER = (
    "account", "kind", "owner", "deputy", "purpose", "allowed_rights", "environments", "review_date", "licence",
)  # fmt: skip
PRODUCTION = ENVIRONMENTS["production"][0]
EXCEPTIONS = ("rule", "subject_id", "approver", "reason", "until")
ACCEPTED = (  # (rule, key of the flow, reason, last day): one holds, one has run out
    ("SEC-3", "sec3-outside", "The supplier's auditor reads there until the audit ends", "2027-03-31"),
    ("CON-4", "con4-mixed", "Payables moves to its own account in September", "2026-09-30"),
)
UNREGISTERED = "svc-flow-survey"
UNSEEN = "svc-flow-fax"
OVERDUE = "svc-flow-sales"


def _csv(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def rights(world: World) -> str:
    """One right a line."""
    rows = []
    for who, held in world.granted.items():
        name = _who(world, who)
        rows += [(name, f"{kind}={resource}", level, "direct") for (kind, resource), level in sorted(held.items())]
    return _csv(RIGHTS, sorted(rows))


def _who(world: World, key: str) -> str:
    return world.accounts[key].address if key in world.accounts else world.identity(key)


def register(world: World) -> str:
    """The service accounts as the company documents them."""
    rows = [_entry(world, a.key) for a in world.accounts.values() if a.kind == "service" and a.key != UNREGISTERED]
    unseen = (world.address(UNSEEN), "user", world.address(lead("service")), world.address(deputy("service")))
    rows.append((*unseen, "Fax intake, replaced in 2024", "", PRODUCTION, "2027-03-31", OFFICE))
    application = world.ids.guid("app", "flow-runner")
    people = world.address(lead("it")), world.address(deputy("it"))
    held = _approved(world, "sp:flow-runner")
    rows.append((application, "service_principal", *people, "Owns flows of IT", held, PRODUCTION, "2027-02-28", ""))
    return _csv(REGISTER, rows)


def exceptions(world: World) -> str:
    """Findings that somebody accepted for a time; one file for all months."""
    approver = world.address(lead("legal"))
    rows = [(r, world.ids.guid("flow", flow), approver, why, until) for r, flow, why, until in ACCEPTED]
    return _csv(EXCEPTIONS, rows)


def _entry(world: World, key: str) -> tuple[str, ...]:
    account = world.accounts[key]
    owner = "selma.crane" if key == "svc-flow-marketing" else lead(account.department)
    places = sorted({f.environment for f in world.flows if key in (f.owner, f.account)}, key=list(ENVIRONMENTS).index)
    return (
        account.address,
        "user",
        world.address(owner),
        world.address(deputy(account.department)),
        f"Flows of {DEPARTMENTS[account.department][0]}",
        _approved(world, key),
        ";".join(ENVIRONMENTS[p][0] for p in places),
        "2026-10-15" if key == OVERDUE else "2027-06-30",
        " + ".join(account.licences),
    )


def _approved(world: World, key: str) -> str:
    """What the account needs is what was approved."""
    held = world.needed.get(key, {})
    return ";".join(f"{kind}={resource}:{level}" for (kind, resource), level in sorted(held.items()))
