"""The flows of Tailwind Traders: who owns them, as whom they run, in which months they exist."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowanalysis.demo.ids import Ids
from flowanalysis.demo.people import DEPARTMENTS, deputy, lead

RUNNER = "sp:flow-runner"  # the service principal that owns flows


@dataclass(frozen=True)
class Flow:
    """One flow.

    `owner` and `co_owners` are keys of accounts, ``sp:…`` service principals, ``group:…`` groups,
    ``list:…`` SharePoint lists. `runs_as` is the account of its connections; `on` gives other accounts for
    single connectors. `stages` says when it exists, `owner_before` who owned it in the first month.
    """

    key: str
    name: str
    environment: str
    recipe: str
    department: str
    owner: str
    co_owners: tuple[str, ...] = ()
    runs_as: str = ""
    on: tuple[tuple[str, str], ...] = ()
    solution: bool = True
    system_creator: bool = False
    state: str = "Started"
    stages: tuple[int, ...] = (0, 1)
    invoker: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()
    recipe_before: str = ""
    creator: str = ""

    @property
    def account(self) -> str:
        """Key of the account of its connections."""
        return self.runs_as or self.owner


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


def _near_misses() -> list[Flow]:
    """Flows that look like a finding and are none."""
    it = (lead("it"), deputy("it"))
    return [
        Flow("near-co-owned", "Expense policy mails", "default", "notify", "finance", "elias.thorn",
             (lead("finance"), deputy("finance")), "svc-flow-finance", solution=False),
        Flow("near-group-owned", "Badge list mails", "default", "notify", "facilities", "walter.quist",
             ("group:keepers-facilities",), "svc-flow-facilities", solution=False),
        Flow("near-list-owned", "List alert", "default", "notify", "marketing", "selma.crane",
             ("list:marketing",), "svc-flow-marketing", solution=False),
        Flow("near-sp-owned", "Directory case sync", "production", "rows", "it", RUNNER, it),
        Flow("con5-everyone", "Warehouse copy", "production", "copy", "it", "svc-flow-it", it,
             "ext:warehouse_loader"),
        Flow("near-system-creator", "Service desk survey", "production", "form", "it", "svc-flow-it", it,
             system_creator=True),
        Flow("near-invoker", "Send as me", "production", "invoker", "hr", "svc-flow-hr", (lead("hr"), deputy("hr")),
             invoker=("shared_office365", "shared_office365users")),
        Flow("near-placeholder", "Licence report", "production", "oauth", "it", "svc-flow-it", it),
        Flow("near-old-shape", "Old task list", "teams", "old_shape", "facilities", "svc-flow-facilities",
             (lead("facilities"), deputy("facilities")), solution=False),
        Flow("it-child", "Notify IT channel", "production", "child", "it", "svc-flow-it", it),
        Flow("near-child-caller", "Device hand-out", "production", "child_caller", "it", "svc-flow-it", it),
        Flow("near-sandbox", "Invoice intake (test)", "sandbox", "intake", "finance", "svc-flow-finance",
             (lead("finance"), deputy("finance")), state="Stopped"),
    ]  # fmt: skip


def _planted() -> list[Flow]:
    """Flows with something wrong; truths.py says what."""
    keepers = {d: (lead(d), deputy(d)) for d in DEPARTMENTS}
    return [
        Flow("own1-deleted", "Vendor statements archive", "production", "notify", "finance", "elias.thorn",
             runs_as="svc-flow-finance", solution=False),
        Flow("own1-purged", "Badge printing", "production", "notify", "facilities", "walter.quist",
             runs_as="svc-flow-facilities", solution=False),
        Flow("own1-new", "Purchase order export", "production", "own_reminder", "procurement", "noor.haddad",
             solution=False),
        Flow("own3-disabled", "Quote hand-over", "production", "notify", "sales", "dana.whitlock", keepers["sales"],
             "svc-flow-sales", solution=False),
        Flow("con1-disabled", "Dock schedule", "production", "own_reminder", "operations", "svc-flow-operations",
             keepers["operations"], "joris.vane", solution=False),
        Flow("own2-single", "Inventory exception mails", "production", "own_reminder", "operations", "iris.tanaka",
             solution=False),
        Flow("own4-person", "Candidate mails", "production", "own_reminder", "hr", "june.abara", keepers["hr"],
             solution=False),
        Flow("hostile-html", "<script>alert(1)</script> offers $x$", "production", "flagged", "marketing",
             "alert.script", solution=False),
        Flow("hostile-formula", "=1+1", "production", "flagged", "finance", "formula.user", solution=False),
        Flow("own5-nobody", "Stock level watch", "production", "variable", "operations", "svc-flow-operations"),
        Flow("own5-survey", "Customer survey", "production", "form", "marketing", "svc-flow-survey",
             stages=(1,)),
        Flow("con3-personal", "Campaign countdown", "production", "own_reminder", "marketing", "svc-flow-marketing",
             keepers["marketing"], "theo.lang", solution=False),
        Flow("con4-mixed", "Payment run notices", "finance", "notify", "finance", "svc-flow-finance",
             keepers["finance"], "svc-flow-finance", (("shared_teams", "svc-flow-payables"),)),
        Flow("prv1-admin", "Site tidy-up", "production", "own_reminder", "it", "lena.ortiz", keepers["it"],
             solution=False),
        Flow("prv2-outsider", "Refund pay-outs", "finance", "approval", "finance", "svc-flow-finance",
             (*keepers["finance"], "max.hollow")),
        Flow("ovl1-payables", "Payables notices", "finance", "notify", "finance", "svc-flow-payables",
             keepers["finance"]),
        Flow("ovl2-reports", "Report notices", "production", "notify", "it", "svc-flow-reports", keepers["it"],
             solution=False),
        Flow("svc1-premium", "Deal room hook", "production", "webhook", "sales", "svc-flow-sales", keepers["sales"]),
        Flow("lim1-busy", "Complaint triage", "production", "busy", "service", "svc-flow-service", keepers["service"],
             solution=False),
        Flow("sec1-key", "Carrier booking", "production", "secret", "operations", "svc-flow-operations",
             keepers["operations"]),
        Flow("sec2-open", "Press contact hook", "production", "open_webhook", "marketing", "svc-flow-marketing",
             keepers["marketing"], stages=(1,)),
        Flow("sec2-fixed", "Visitor kiosk hook", "production", "webhook", "facilities", "svc-flow-facilities",
             keepers["facilities"], recipe_before="open_webhook"),
        Flow("sec3-outside", "Offer copies", "production", "outside", "procurement", "svc-flow-procurement",
             keepers["procurement"], solution=False),
        Flow("sec4-grants", "Group join requests", "production", "grants", "hr", "svc-flow-hr", keepers["hr"]),
        Flow("leg1-legacy", "Old matter list", "production", "legacy_table", "legal", "svc-flow-legal",
             keepers["legal"]),
        Flow("unbound", "Claims intake", "production", "intake", "legal", "svc-flow-legal", keepers["legal"],
             unbound=("shared_teams",)),
        Flow("gone-next-month", "Old price mails", "production", "notify", "sales", "svc-flow-sales",
             keepers["sales"], stages=(0,), solution=False),
    ]  # fmt: skip


def flows(ids: Ids, count: int) -> list[Flow]:
    """At most `count` flows where that leaves none of the planted ones out; more are copies of well-kept ones."""
    kept = [row for department in DEPARTMENTS for row in _department(department)]
    fixed = [*kept, *_personal(), *_near_misses(), *_planted()]
    extra = max(0, count - len(fixed))
    copies = (kept[i % len(kept)] for i in range(extra))
    more = [replace(c, key=f"{c.key}-{i}", name=f"{c.name} {i + 2}") for i, c in enumerate(copies)]
    return fixed + more
