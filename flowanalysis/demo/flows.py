"""The flows of Tailwind Traders: who owns them, as whom they run, in which months they exist."""

from __future__ import annotations

from dataclasses import replace

from flowanalysis.demo.flow import Flow
from flowanalysis.demo.flows_planted import NEAR_MISSES, PLANTED
from flowanalysis.demo.ids import Ids
from flowanalysis.demo.people import DEPARTMENTS, deputy, lead

WORK = {
    "finance": (
        "Invoice intake=intake Payment approvals=approval Receipt filing=route Month-end notices=notify "
        "Ledger load=load Vendor table sync=sync Bank feed hook=webhook Overdue invoice reminders=reminder"
    ),
    "hr": (
        "Onboarding requests=form Onboarding approvals=approval Contract filing=route Leave requests=leave "
        "Probation reminders=reminder Absence load=load Employee case updates=table New starter notices=notify"
    ),
    "sales": (
        "Lead intake=intake Discount approvals=approval Quote filing=route Deal notices=notify "
        "Renewal reminders=reminder Event sign-ups=form Travel requests=leave Price list watch=variable"
    ),
    "operations": (
        "Stock item sync=sync Goods-in load=load Delivery intake=intake Delivery notices=notify Shift swaps=leave "
        "Damage report forms=form Carrier status hook=webhook Count day reminders=reminder Stock case updates=table"
    ),
    "it": (
        "Device requests=approval Ticket intake=intake Change notices=notify Licence stock load=load "
        "Certificate reminders=reminder Asset table sync=sync Monitoring hook=webhook Weekly ticket list=weekly"
    ),
    "legal": (
        "Contract intake=intake Contract approvals=approval Contract archive=route Deadline reminders=reminder "
        "Matter updates=table Policy notices=notify Matter list weekly=weekly"
    ),
    "marketing": (
        "Campaign requests=form Campaign approvals=approval Asset filing=route Press mail intake=intake "
        "Content calendar notices=notify Site watch=variable Budget reminders=reminder"
    ),
    "facilities": (
        "Room requests=leave Repair forms=form Repair notices=notify Visitor intake=intake Key approvals=approval "
        "Inspection reminders=reminder Meter readings load=load"
    ),
    "service": (
        "Complaint intake=intake Refund approvals=approval Case filing=route Escalation notices=notify "
        "Call-back reminders=reminder Feedback forms=form"
    ),
    "procurement": (
        "Purchase requests=approval Offer intake=intake Offer filing=route Supplier table sync=sync "
        "Order load=load Supplier notices=notify Order reminders=reminder Supplier portal hook=webhook"
    ),
}
NEEDS_DATAVERSE = {"sync", "table", "weekly"}


def _pairs(text: str) -> list[tuple[str, str]]:
    """``Invoice intake=intake Payment approvals=approval`` -> name and recipe of each."""
    out, words = [], []
    for word in text.split():
        last, _, recipe = word.partition("=")
        words.append(last)
        if recipe:
            out.append((" ".join(words), recipe))
            words = []
    return out


def _department(department: str) -> list[Flow]:
    """The well-kept flows of a department: owned and run by its service account, co-owned by people who know them."""
    account = f"svc-flow-{department}"
    home = "finance" if department == "finance" else "production"
    rows = []
    for i, (name, recipe) in enumerate(_pairs(WORK[department])):
        rows.append(
            Flow(
                f"{department}-{name.lower().replace(' ', '-')}",
                name,
                home,
                recipe,
                department,
                account,
                (lead(department), deputy(department))[: 1 + (i % 3 == 1)],
                solution=recipe in NEEDS_DATAVERSE or i % 3 != 2,
                system_creator=i % 2 == 1,
            )
        )
    return rows


def _personal() -> list[Flow]:
    """Flows of people for themselves, in the default and developer environments."""
    own = [
        ("cato.weiss", "finance", "flagged", "Flagged mail to me"),
        ("mabel.stone", "service", "flagged", "Follow up on flagged mail"),
        ("rolf.egger", "procurement", "flagged", "Remind me of offers"),
        ("otto.brandis", "legal", "flagged", "Flagged mail digest"),
        ("dilan.kaya", "facilities", "flagged", "My flagged mail"),
        ("sa.rahimi", "sales", "flagged", "Customer follow-ups"),
        ("app.lindgren", "hr", "flagged", "Candidate follow-ups"),
        ("wei.li", "operations", "flagged", "发票提醒 📦 库存"),
        ("formula.user", "finance", "flagged", "@SUM(1+1)*cmd"),
        ("alert.script", "marketing", "flagged", "<script>alert(1)</script>"),
        ("bidi.user", "marketing", "flagged", "Price list \u202exslx.evas"),
        ("theo.lang", "marketing", "flagged", "$x$ and $$\\frac{a}{b}$$ `code` [link](http://evil.example)"),
    ]
    rows = [
        Flow(f"own-{k}", n, "default", r, d, k, solution=False, stages=(1,) if k == "dilan.kaya" else (0, 1))
        for k, d, r, n in own
    ]
    emil = Flow("own-emil", "Try-out", "developer", "flagged", "it", "emil.frost", solution=False, state="Stopped")
    long = replace(emil, key="own-long", name="Long name " + "very " * 58, environment="default", state="Started")
    return [*rows, emil, long]


def flows(ids: Ids, count: int) -> list[Flow]:
    """At most `count` flows where that leaves none of the planted ones out; more are copies of well-kept ones."""
    kept = [row for department in DEPARTMENTS for row in _department(department)]
    fixed = [*kept, *_personal(), *NEAR_MISSES, *PLANTED]
    extra = max(0, count - len(fixed))
    copies = (kept[i % len(kept)] for i in range(extra))
    more = [replace(c, key=f"{c.key}-{i}", name=f"{c.name} {i + 2}") for i, c in enumerate(copies)]
    return fixed + more
