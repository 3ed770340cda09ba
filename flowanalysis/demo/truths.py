"""What is wrong at Tailwind Traders, on purpose: the findings that a month must show, and no others."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from flowanalysis.demo.platform_pages import flow_id
from flowanalysis.demo.world import World

BOTH = (0, 1)
RULE_MEANING = {
    "OWN-1": "Every owner and co-owner of the flow was deleted or purged.",
    "OWN-2": "A business flow has one living owner, a person or a service account, and no co-owner.",
    "OWN-3": "The primary owner is disabled, or gone while a co-owner lives.",
    "OWN-4": "A business flow whose primary owner is a living person.",
    "OWN-5": "A service account owns the flow and no person or group is co-owner.",
    "CON-1": "A connection that flows use signs in with an account that is disabled, deleted or purged.",
    "CON-2": "A connection that flows use reports a sign-in error.",
    "CON-3": "A flow of a service account has a connection of a person.",
    "CON-4": "The stored connections of one flow belong to two accounts.",
    "CON-5": "A connection is shared with the whole tenant.",
    "PRV-1": "A connection that flows use belongs to an account with a privileged directory role.",
    "PRV-2": "An owner or co-owner of a flow reaches through its connections what that person does not hold.",
    "GAP-1": "An account that runs flows holds a right that none of its steps needs.",
    "GAP-2": "A step needs a right that the account behind it does not hold.",
    "DRF-1": "An account held a right last month that its flows need, and lost it.",
    "SVC-1": "A flow with premium steps is owned by an account without a premium licence.",
    "SVC-2": "The register names an owner of the service account who is gone.",
    "SVC-3": "An account of the service band runs flows and is not in the register.",
    "SVC-4": "The register has an account that no export knows.",
    "SVC-5": "The rights of a registered account differ from the approved ones, or its review is overdue.",
    "LIM-1": "An account's flows made more than 80 % of its licence's daily requests.",
    "OVL-1": "Everything that one service account may do, another one may do too.",
    "OVL-2": "Another service account could run all flows of this one.",
    "SEC-1": "A secret stands in the definition.",
    "SEC-2": "The HTTP trigger asks for no sign-in.",
    "SEC-3": "Business data goes to a connector outside the business group of the data policy.",
    "SEC-4": "A step gives rights to others.",
    "LEG-1": "A step uses a connector that is being switched off.",
}


@dataclass(frozen=True)
class Truth:
    """One planted finding: `subject` is the key of a flow, an account, or ``environment/connector/account``."""

    rule: str
    kind: str
    subject: str
    why: str
    stages: tuple[int, ...] = BOTH


def _flow(rule: str, subject: str, why: str, stages: tuple[int, ...] = BOTH) -> Truth:
    return Truth(rule, "flow", subject, why, stages)


def _account(rule: str, subject: str, why: str, stages: tuple[int, ...] = BOTH) -> Truth:
    return Truth(rule, "account", subject, why, stages)


def _connection(rule: str, subject: str, why: str, stages: tuple[int, ...] = BOTH) -> Truth:
    return Truth(rule, "connection", subject, why, stages)


OWNERS = (
    _flow("OWN-1", "own1-deleted", "Elias Thorn was deleted"),
    _flow("OWN-1", "own1-purged", "Walter Quist is in no directory any more"),
    _flow("OWN-1", "own1-new", "Noor Haddad was deleted this month", (1,)),
    _flow("OWN-2", "own1-new", "Noor Haddad is the only owner", (0,)),
    _flow("OWN-2", "own2-single", "Iris Tanaka is the only owner"),
    _flow("OWN-2", "hostile-html", "one owner, whose name is hostile as well"),
    _flow("OWN-2", "hostile-formula", "one owner, whose name is hostile as well"),
    _flow("OWN-4", "hostile-html", "a person owns it"),
    _flow("OWN-4", "hostile-formula", "a person owns it"),
    _flow("OWN-2", "prv1-admin", "Lena Ortiz is the only owner"),
    _flow("OWN-2", "own5-nobody", "only the service account owns it"),
    _flow("OWN-2", "own5-survey", "only the service account owns it", (1,)),
    _flow("OWN-3", "own3-disabled", "Dana Whitlock was disabled this month", (1,)),
    _flow("OWN-3", "near-co-owned", "Elias Thorn was deleted, the co-owners live"),
    _flow("OWN-3", "near-group-owned", "Walter Quist was purged, a group co-owns it"),
    _flow("OWN-3", "near-list-owned", "Selma Crane was deleted, a list co-owns it"),
    _flow("OWN-4", "own2-single", "Iris Tanaka owns it"),
    _flow("OWN-4", "own4-person", "June Abara owns it"),
    _flow("OWN-4", "prv1-admin", "Lena Ortiz owns it"),
    _flow("OWN-4", "own3-disabled", "Dana Whitlock owns it", (0,)),
    _flow("OWN-4", "own1-new", "Noor Haddad owns it", (0,)),
    _flow("OWN-5", "own5-nobody", "nobody stands beside svc-flow-operations"),
    _flow("OWN-5", "own5-survey", "nobody stands beside svc-flow-survey", (1,)),
)
CONNECTIONS = (
    _connection("CON-1", "production/shared_sharepointonline/joris.vane", "Joris Vane is disabled"),
    _connection("CON-1", "production/shared_office365/joris.vane", "Joris Vane is disabled"),
    _connection("CON-1", "production/shared_sharepointonline/noor.haddad", "Noor Haddad was deleted", (1,)),
    _connection("CON-1", "production/shared_office365/noor.haddad", "Noor Haddad was deleted", (1,)),
    _connection("CON-2", "production/shared_approvals/svc-flow-facilities", "AADSTS50173 since this month", (1,)),
    _connection("CON-2", "production/shared_microsoftforms/svc-flow-hr", "AADSTS700082, repaired later", (0,)),
    _connection("CON-2", "production/shared_planner/svc-flow-marketing", "AADSTS700082"),
    _flow("CON-3", "con3-personal", "runs on Theo Lang"),
    _flow("CON-3", "con1-disabled", "runs on Joris Vane"),
    _flow("CON-4", "con4-mixed", "svc-flow-finance and svc-flow-payables"),
    _connection("CON-5", "production/shared_sql/ext:warehouse_loader", "shared with the tenant"),
)
RIGHTS = (
    _flow("PRV-1", "prv1-admin", "Lena Ortiz is SharePoint Administrator"),
    _flow("PRV-2", "prv2-outsider", "Max Hollow holds nothing of what svc-flow-finance may do"),
    _flow("PRV-2", "own3-disabled", "Dana Whitlock owns it and holds nothing of what svc-flow-sales may do", (0,)),
    _account("GAP-1", "svc-flow-it", "writes the payroll table, which no flow needs"),
    _account("GAP-1", "svc-flow-legal", "full control of the site of human resources since this month", (1,)),
    _account("GAP-2", "svc-flow-facilities", "reads the list Requests, and must write"),
    _account("GAP-2", "svc-flow-procurement", "may not write the list Register any more", (1,)),
    _account("DRF-1", "svc-flow-procurement", "wrote the list Register last month", (1,)),
)
REGISTER = (
    _account("SVC-1", "svc-flow-sales", "has no premium licence for Deal room hook"),
    _account("SVC-2", "svc-flow-marketing", "the register names Selma Crane, who was deleted"),
    _account("SVC-3", "svc-flow-survey", "new and not registered", (1,)),
    _account("SVC-4", "svc-flow-fax", "registered, and nowhere to be seen"),
    _account("SVC-5", "svc-flow-it", "a right beyond the approved ones"),
    _account("SVC-5", "svc-flow-legal", "a right beyond the approved ones", (1,)),
    _account("SVC-5", "svc-flow-facilities", "short of an approved right"),
    _account("SVC-5", "svc-flow-procurement", "short of an approved right", (1,)),
    _account("SVC-5", "svc-flow-sales", "review overdue", (1,)),
    _account("LIM-1", "svc-flow-service", "5,336 of 6,000 requests on one day"),
)
OVERLAP = (
    _account("OVL-1", "svc-flow-payables", "svc-flow-finance may do all of it"),
    _account("OVL-1", "svc-flow-reports", "svc-flow-it may do all of it"),
    _account("OVL-1", "svc-flow-survey", "svc-flow-marketing may do all of it", (1,)),
    _account("OVL-2", "svc-flow-payables", "svc-flow-finance could run its flow"),
    _account("OVL-2", "svc-flow-reports", "svc-flow-it could run its flow"),
    _account("OVL-2", "svc-flow-survey", "svc-flow-marketing could run its flow", (1,)),
)
DEFINITIONS = (
    _flow("SEC-1", "sec1-key", "a key in a header"),
    _flow("SEC-2", "sec2-open", "answers anybody", (1,)),
    _flow("SEC-2", "sec2-fixed", "answered anybody in the first month", (0,)),
    _flow("SEC-3", "sec3-outside", "copies the register to Dropbox"),
    _flow("SEC-4", "sec4-grants", "adds members to a group"),
    _flow("LEG-1", "leg1-legacy", "the legacy Dataverse connector"),
)
TRUTHS = OWNERS + CONNECTIONS + RIGHTS + REGISTER + OVERLAP + DEFINITIONS


def table(world: World) -> pd.DataFrame:
    """Planted findings of one month."""
    rows = [(t, *_subject(world, t)) for t in TRUTHS if world.stage in t.stages]
    return pd.DataFrame(
        [(t.rule, t.kind, found, name, t.why) for t, found, name in rows],
        columns=["rule", "subject_kind", "subject_id", "subject_name", "why"],
        dtype="str",
    )


def _subject(world: World, truth: Truth) -> tuple[str, str]:
    """Id and name of what a truth is about."""
    if truth.kind == "flow":
        flow = next(f for f in world.flows if f.key == truth.subject)
        return flow_id(world, flow), flow.name
    if truth.kind == "connection":
        environment, connector, account = truth.subject.split("/")
        return world.connections[environment, connector, account].id, account
    if truth.subject not in world.accounts:  # only the register knows it, and only by its name
        return world.address(truth.subject), world.address(truth.subject)
    return world.identity(truth.subject), world.address(truth.subject)
