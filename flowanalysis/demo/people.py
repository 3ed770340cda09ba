"""The people and service accounts of Tailwind Traders."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowanalysis.demo.ids import DOMAIN, Ids

# department: (name as shown, lead, deputy). Leads and deputies keep their department's processes.
DEPARTMENTS = {
    "finance": ("Finance", "Ada Finch", "Bo Castell"),
    "hr": ("Human Resources", "Mira Oduya", "Tom Brandt"),
    "sales": ("Sales", "Leo Sandoval", "Yuki Arai"),
    "operations": ("Operations", "Nadia Petrov", "Owen Marsh"),
    "it": ("IT", "Ines Calder", "Ravi Menon"),
    "legal": ("Legal", "Clara Voss", "Hugo Bellamy"),
    "marketing": ("Marketing", "Zoe Kemp", "Arlo Frey"),
    "facilities": ("Facilities", "Sven Dahl", "Tessa Boyle"),
    "service": ("Customer Service", "Amara Nwosu", "Finn Gallo"),
    "procurement": ("Procurement", "Priya Rao", "Karl Jansen"),
}
PREMIUM = "POWERAUTOMATE_ATTENDED_RPA"
OFFICE = "SPE_E3"
SKUS = {  # part number: (id, seats, plans)
    OFFICE: ("05e9a617-0261-4cee-bb44-138d3ef5d965", 1.2, ("FLOW_O365_P2", "SHAREPOINTENTERPRISE", "TEAMS1")),
    "SPE_E5": ("06ebc4ee-1bb5-47dd-8120-11324bc54e06", 1.5, ("FLOW_O365_P3", "SHAREPOINTENTERPRISE", "TEAMS1")),
    PREMIUM: ("eda1941c-3c4f-4995-b5eb-e85a42175ab9", 1.3, ("FLOW_PER_USER", "POWER_AUTOMATE_ATTENDED_RPA")),
    "FLOW_FREE": ("f30db892-07e9-47e9-837c-80727f46fd3d", 40.0, ("FLOW_P2_VIRAL",)),
    "EXCHANGESTANDARD": ("4b9405b0-7788-4568-add1-99614e613b69", 2.0, ("EXCHANGE_S_STANDARD",)),
}
GIVEN = """
    Alma Bruno Celia Dario Edda Fabio Greta Hanno Ilse Jonas Kaja Lorin Maren Nilo Orla Pavel Rhea Silas
    Tilda Ugo  Vera Wim Xenia Yorick Zora Anouk Bas Carys Dov Elin
"""
SURNAME = """
    Abbot Bergman Carver Dunmore Ekholm Farrow Grantham Holt Iverson Juster Kessler Lomax Mercer Norling
    Okafor  Prentice Quill Rask Sorrel Thane Ulster Varga Wexler Yarrow Zeller Ashdown Birch Colt Drummond
    Everhart Fenwick
"""
FIRST, LAST = GIVEN.split(), SURNAME.split()
TITLES = ("Analyst", "Specialist", "Coordinator", "Associate", "Advisor", "Planner")


@dataclass(frozen=True)
class Account:
    """A user object of the directory: a person, a service account, a mailbox, a guest.

    `leaves` names what happens to it: "" stays, otherwise disabled, deleted or purged; `since` is the stage
    (0 first month, 1 later months) in which it does. A purged one is in no export at all.
    """

    key: str
    name: str
    kind: str = "person"
    department: str = ""
    title: str = ""
    manager: str = ""
    licences: tuple[str, ...] = (OFFICE,)
    leaves: str = ""
    since: int = 0
    never_expires: bool = False
    idle: bool = False
    stages: tuple[int, ...] = (0, 1)
    upn: str = field(default="")

    @property
    def address(self) -> str:
        """User principal name."""
        return self.upn or f"{self.key}@{DOMAIN}"

    def state(self, stage: int) -> str:
        """active, disabled, deleted or purged at a stage; the recycle bin keeps the deleted for 30 days only."""
        if self.kind == "shared":
            return "disabled"
        if self.leaves == "deleted" and stage > self.since:
            return "purged"
        return self.leaves if self.leaves and stage >= self.since else "active"


def key_of(name: str) -> str:
    """Ada Finch -> ada.finch."""
    return name.lower().replace(" ", ".")


def lead(department: str) -> str:
    """Key of the department's lead."""
    return key_of(DEPARTMENTS[department][1])


def deputy(department: str) -> str:
    """Key of the department's deputy."""
    return key_of(DEPARTMENTS[department][2])


def _leads() -> list[Account]:
    boss = "petra.lindqvist"
    rows = [Account(boss, "Petra Lindqvist", title="Chief Executive", licences=("SPE_E5",), never_expires=True)]
    for key, (name, head, second) in DEPARTMENTS.items():
        rows.append(Account(key_of(head), head, "person", key, f"Head of {name}", boss))
        rows.append(Account(key_of(second), second, "person", key, f"{name} Process Keeper", key_of(head)))
    return rows


def _cast() -> list[Account]:
    """People with a part to play; everybody else is the crowd."""
    leavers = [
        ("elias.thorn", "Elias Thorn", "finance", "deleted", 0),
        ("noor.haddad", "Noor Haddad", "procurement", "deleted", 1),
        ("walter.quist", "Walter Quist", "facilities", "purged", 0),
        ("dana.whitlock", "Dana Whitlock", "sales", "disabled", 1),
        ("joris.vane", "Joris Vane", "operations", "disabled", 0),
        ("selma.crane", "Selma Crane", "marketing", "deleted", 0),
    ]
    makers = [
        ("lena.ortiz", "Lena Ortiz", "it"),
        ("max.hollow", "Max Hollow", "sales"),
        ("iris.tanaka", "Iris Tanaka", "operations"),
        ("theo.lang", "Theo Lang", "marketing"),
        ("june.abara", "June Abara", "hr"),
        ("cato.weiss", "Cato Weiss", "finance"),
        ("mabel.stone", "Mabel Stone", "service"),
        ("rolf.egger", "Rolf Egger", "procurement"),
        ("gwen.keller", "Gwen Keller", "it"),
        ("otto.brandis", "Otto Brandis", "legal"),
        ("dilan.kaya", "Dilan Kaya", "facilities"),
        ("emil.frost", "Emil Frost", "it"),
    ]
    rows = [Account(k, n, "person", d, "Analyst", lead(d), leaves=s, since=t) for k, n, d, s, t in leavers]
    rows += [Account(k, n, "person", d, "Specialist", lead(d)) for k, n, d in makers]
    rows += [
        Account("sa.rahimi", "Sarah Rahimi", "person", "sales", "Account Manager", lead("sales")),
        Account("app.lindgren", "Appolonia Lindgren", "person", "hr", "Recruiter", lead("hr")),
        Account("alert.script", "<script>alert(1)</script>", "person", "marketing", "Designer", lead("marketing")),
        Account("bidi.user", "Rolf \u202egnitekram", "person", "marketing", "Copywriter", lead("marketing")),
        Account("wei.li", "李薇 (Wei Li) 🌊", "person", "operations", "Planner", lead("operations")),
        Account("formula.user", "=1+1", "person", "finance", "Controller", lead("finance")),
    ]
    return rows


def _service_accounts() -> list[Account]:
    rows = []
    for key, (name, *_) in DEPARTMENTS.items():
        licences = {"sales": (OFFICE,), "service": (OFFICE,)}.get(key, (OFFICE, PREMIUM))
        rows.append(Account(f"svc-flow-{key}", f"SVC Flow {name}", "service", key, licences=licences))
    both = (OFFICE, PREMIUM)
    rows += [
        Account("svc-flow-payables", "SVC Flow Payables", "service", "finance", licences=both),
        Account("svc-flow-reports", "SVC Flow Reports", "service", "it", licences=(OFFICE,)),
        Account("svc-flow-survey", "SVC Flow Survey", "service", "marketing", licences=(OFFICE,), stages=(1,)),
    ]
    return [_service(row) for row in rows]


def _service(row: Account) -> Account:
    return Account(**{**vars(row), "title": "Service Account", "never_expires": True})


def _others() -> list[Account]:
    guest = f"sam_supplier.example#EXT#@{DOMAIN.replace('.', '-')}.onmicrosoft.example"
    return [
        Account("customerservice", "Customer Service", "shared", "service", licences=()),
        Account("noreply", "No Reply", "shared", licences=()),
        Account("breakglass-01", "Break Glass 01", "breakglass", licences=(), never_expires=True, idle=True),
        Account("sam.supplier", "Sam Supplier", "guest", licences=(), upn=guest),
        *(Account(f"{k}-inbox", f"{v[0]} Inbox", "shared", k, licences=()) for k, v in DEPARTMENTS.items()),
    ]


def crowd(ids: Ids, count: int) -> list[Account]:
    """People who keep the tenant busy and own nothing."""
    rows = []
    names = list(DEPARTMENTS)
    for i in range(count):
        given, surname = FIRST[i % len(FIRST)], LAST[(i // len(FIRST) + i % len(FIRST)) % len(LAST)]
        turn = i // (len(FIRST) * len(LAST))
        key = f"{given}.{surname}".lower() + (str(turn) if turn else "")
        department = names[ids.number(len(names), "department", i)]
        title = TITLES[ids.number(len(TITLES), "title", i)]
        licences = (OFFICE, "FLOW_FREE") if ids.number(5, "free", i) == 0 else (OFFICE,)
        gone = {0: "disabled", 1: "deleted"}.get(ids.number(60, "gone", i), "")
        row = Account(key, f"{given} {surname}", "person", department, title, deputy(department), licences, gone)
        rows.append(Account(**{**vars(row), "since": ids.number(2, "since", i)}))
    return rows


def accounts(ids: Ids, users: int) -> dict[str, Account]:
    """All accounts by key, at least the cast, at most `users` where the cast allows it."""
    fixed = _leads() + _cast() + _service_accounts() + _others()
    rows = fixed + crowd(ids, max(0, users - len(fixed)))
    return {row.key: row for row in rows}
