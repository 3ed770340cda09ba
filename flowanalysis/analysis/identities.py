"""Person or service account? A score with every signal that spoke, never a bare verdict.

The register and the principal's type win outright. Everything else adds up: each signal that fired is
independent evidence (noisy-or), and counter-signals damp the sum. Weights and patterns are policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis.analysis.execution import connection_uses
from flowanalysis.policy import Policy, load_policy
from flowanalysis.schema import NUMBER, TEXT
from flowanalysis.tenant import Tenant

__all__ = ["SIGNALS", "by_name", "classify", "confusion", "matches", "quality", "told"]

FLOW = ["environment_id", "flow_id"]
#: What each signal says, in words for reports.
SIGNALS = {
    "registered": "stands in the register of service accounts",
    "service_principal": "is a service principal",
    "name": "its name has the form of a service account",
    "name_weak": "its name has a word that programs often carry",
    "job_title": "its job title says so",
    "employee_type": "its employee type says so",
    "no_manager": "has no manager",
    "no_employee_id": "has no personnel number, as others do",
    "no_personal_name": "has neither given name nor surname, as others do",
    "password_never_expires": "its password never expires",
    "noninteractive_only": "only programs sign in with it",
    "automation_licence_only": "has no licence but those for automation",
    "many_flows": "owns many flows in many environments",
    "serves_others": "its connections run in flows of several other people",
    "receives_flows": "owns flows that others made and made none itself",
    "personnel_record": "has a manager and a personnel number (speaks for a person)",
    "interactive": "signed in by hand lately (speaks for a person)",
    "personal_upn": "its user name is its given name or surname (speaks for a person)",
    "break_glass": "is an emergency access account (speaks against)",
}

#: Signals that look at what a name, title or employee type says.
BY_NAME = ("name", "name_weak", "break_glass", "personal_upn", "job_title", "employee_type")


def classify(tenant: Tenant, policy: Policy | None = None, *, only: Iterable[str] | None = None) -> pd.DataFrame:
    """What each identity is, and why.

    Parameters
    ----------
    tenant : Tenant
        Only ``identities`` is required; every other table adds signals.
    policy : Policy, optional
        Weights, patterns, bands.
    only : iterable of str, optional
        Ids to classify; all by default.

    Returns
    -------
    DataFrame
        identity_id, kind (person | service_account | service_principal | guest | shared_mailbox | group |
        other), band (service | review | person), score (0 to 1), signals (names separated by blanks, strongest
        first, counter-signals with a minus). Shared mailboxes, guests and groups never get the band service
        unless they are registered.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> user = {"identity_id": "u", "kind": "user", "upn": "svc-payroll@fabrikam.example", "employee_type": "Service"}
    >>> classify(Tenant({"identities": schema.frame("identities", [user])})).loc[0, ["kind", "band"]].tolist()
    ['service_account', 'service']
    """
    policy = policy or load_policy()
    people = tenant.identities
    if only is not None:
        people = people[people["identity_id"].isin(pd.unique(pd.Series(list(only), dtype=TEXT)))]
    people = people.drop_duplicates("identity_id").reset_index(drop=True)
    fired = _signals(tenant, people, policy.identities)
    score = _score(fired, policy.identities)
    kind = _kind(people)
    registered = _registered(tenant, people)
    principal = (kind == "service_principal").to_numpy()
    sure = registered | principal
    score = np.where(sure, 1.0, score)
    closed = kind.isin(["guest", "shared_mailbox", "group", "other"]).to_numpy() & ~sure
    band = np.select(
        [~closed & (score >= policy.identities["service"]), score >= policy.identities["review"]],
        ["service", "review"],
        "person",
    )
    kind = kind.where(~((kind == "person") & (band == "service")) & ~(registered & ~principal), "service_account")
    columns = {
        "identity_id": people["identity_id"],
        "kind": kind.astype(TEXT),
        "band": pd.Series(band, dtype=TEXT),
        "score": pd.Series(score.round(4), dtype=NUMBER),
        "signals": _names(fired, registered, principal, policy.identities),
    }
    return pd.DataFrame(columns)


def confusion(labelled: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """The confusion table of a labelled sample.

    Parameters
    ----------
    labelled : DataFrame
        identity_id and is_service (flag): what a person knows.
    verdicts : DataFrame
        As `classify` returns.

    Returns
    -------
    DataFrame
        Rows: service account, not a service account (as labelled). Columns: service, review, person (as judged).
    """
    both = labelled.merge(verdicts[["identity_id", "band"]], on="identity_id", validate="1:1")
    truth = both["is_service"].astype(bool).map({True: "service account", False: "not a service account"})
    table = pd.crosstab(truth, both["band"].astype(object))
    table = table.reindex(index=["service account", "not a service account"], columns=["service", "review", "person"])
    return table.fillna(0).astype(int).rename_axis(index="labelled", columns="judged")


def quality(labelled: pd.DataFrame, verdicts: pd.DataFrame) -> dict[str, float]:
    """Precision, recall and F1 of the band ``service``; the band ``review`` counts as not found."""
    table = confusion(labelled, verdicts)
    found, missed = table.loc["service account", "service"], table.loc["service account", ["review", "person"]].sum()
    wrong = table.loc["not a service account", "service"]
    precision = found / (found + wrong) if found + wrong else 0.0
    recall = found / (found + missed) if found + missed else 0.0
    both = precision + recall
    measured = {"precision": precision, "recall": recall, "f1": 2 * precision * recall / both if both else 0.0}
    return {name: float(value) for name, value in measured.items()}


def _kind(people: pd.DataFrame) -> pd.Series:
    """Kind from the directory alone."""
    guest = (people["user_type"] == "Guest").fillna(False) | _has(people["upn"], "#ext#")
    users = (people["kind"] == "user").fillna(True)
    shared = people["mailbox_type"].isin(["shared", "room", "equipment"])
    kind = np.select(
        [
            (people["kind"] == "service_principal").fillna(False),
            (people["kind"] == "group").fillna(False),
            ~users,
            guest,
            shared,
        ],
        ["service_principal", "group", "other", "guest", "shared_mailbox"],
        "person",
    )
    return pd.Series(kind, index=people.index, dtype=object)


def _has(text: pd.Series, part: str) -> np.ndarray:
    return text.str.lower().str.contains(part, regex=False).fillna(False).to_numpy(bool)


def matches(text: pd.Series, patterns: Iterable[str]) -> np.ndarray:
    """True where one of the patterns is found in the text; NA is no match."""
    joined = "|".join(f"(?:{p})" for p in patterns)
    if not joined:
        return np.zeros(len(text), bool)
    found = pc.match_substring_regex(pa.array(text.astype(TEXT)), joined)
    return np.asarray(pc.fill_null(pc.cast(found, pa.bool_()), False).to_numpy(zero_copy_only=False), bool)


def _registered(tenant: Tenant, people: pd.DataFrame) -> np.ndarray:
    named = tenant.register["account"].dropna().str.strip().str.lower()
    hits = [people[c].str.lower().isin(named).fillna(False).to_numpy(bool) for c in ("identity_id", "upn", "app_id")]
    return np.logical_or.reduce(hits)


def _signals(tenant: Tenant, people: pd.DataFrame, rules: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Signal name to a flag per identity."""
    fired = {**_name_signals(people, rules), **_record_signals(people, rules), **_signin_signals(tenant, people, rules)}
    fired = {n: told(people["name_signals"], n, f) if n in BY_NAME else f for n, f in fired.items()}
    fired["automation_licence_only"] = _automation_licence_only(tenant, people, rules)
    fired.update(_use_signals(tenant, people, rules))
    return fired


def told(listed: pd.Series, word: str, found: np.ndarray) -> np.ndarray:
    """What was found, or where names were replaced by pseudonyms, whether the word was listed before."""
    known = listed.notna().to_numpy(bool)
    if not known.any():
        return found
    before = listed.fillna("").str.split(" ").map(lambda words: word in words).to_numpy(bool)
    return np.where(known, before, found)


def by_name(people: pd.DataFrame, policy: Policy) -> pd.Series:
    """The signals that names and titles alone give, separated by blanks, for `identities.name_signals`."""
    rules = policy.identities
    fired = {**_name_signals(people, rules), **_record_signals(people, rules)}
    kept = {n: told(people["name_signals"], n, fired[n]) for n in BY_NAME}
    rows = zip(*kept.values(), strict=True)
    words = [" ".join(n for n, hit in zip(kept, row, strict=True) if hit) for row in rows]
    return pd.Series(words, index=people.index, dtype=TEXT)


def _name_signals(people: pd.DataFrame, rules: Mapping[str, Any]) -> dict[str, np.ndarray]:
    # RE2 takes the underscore for a letter; names do not.
    local = people["upn"].str.lower().str.split("@").str[0].str.replace("_", "-", regex=False).astype(TEXT)
    shown = people["display_name"].str.lower().str.replace("_", "-", regex=False).astype(TEXT)
    either = {
        n: matches(local, rules[n]) | matches(shown, rules[n])
        for n in ("names", "names_weak", "not_names", "break_glass")
    }
    given = people["given_name"].str.lower().fillna("\0")
    sur = people["surname"].str.lower().fillna("\0")
    parts = zip(local.fillna(""), given, sur, strict=True)
    personal = np.fromiter((_is_personal(*p) for p in parts), bool, len(people))
    return {
        "name": either["names"] & ~either["not_names"],
        "name_weak": either["names_weak"] & ~either["names"] & ~either["not_names"],
        "break_glass": either["break_glass"],
        "personal_upn": personal,
        "job_title": matches(people["job_title"].str.lower(), rules["job_titles"]),
    }


def _is_personal(local: str, given: str, surname: str) -> bool:
    """The user name holds the surname, or begins with the given name; single letters prove nothing."""
    return (len(surname) > 2 and surname in local) or (len(given) > 2 and local.startswith(given))


def _record_signals(people: pd.DataFrame, rules: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Signals of the personnel record. A field that nobody has filled was not collected: silence then."""
    users = (people["kind"] == "user").fillna(False).to_numpy(bool)
    managed = people["manager_id"].notna().to_numpy()
    numbered = people["employee_id"].notna().to_numpy()
    named = (people["given_name"].notna() | people["surname"].notna()).to_numpy()
    return {
        "employee_type": matches(people["employee_type"].str.lower(), rules["employee_types"]),
        "no_manager": users & people["manager_known"].fillna(False).to_numpy(bool) & ~managed,
        "no_employee_id": users & numbered.any() & ~numbered,
        "no_personal_name": users & named.any() & ~named,
        "password_never_expires": people["password_never_expires"].fillna(False).to_numpy(bool),
        "personnel_record": managed & numbered,
    }


def _signin_signals(tenant: Tenant, people: pd.DataFrame, rules: Mapping[str, Any]) -> dict[str, np.ndarray]:
    by_hand, by_program = people["last_signin_at"], people["last_noninteractive_signin_at"]
    quiet = by_hand.isna() | (by_program - by_hand >= pd.Timedelta(days=rules["noninteractive_days"]))
    recent = tenant.as_of - by_hand <= pd.Timedelta(days=rules["interactive_days"])
    return {
        "noninteractive_only": (by_program.notna() & quiet).to_numpy(bool),
        "interactive": (by_hand.notna() & recent).to_numpy(bool),
    }


def _automation_licence_only(tenant: Tenant, people: pd.DataFrame, rules: Mapping[str, Any]) -> np.ndarray:
    held = tenant.licences[tenant.licences["identity_id"].isin(people["identity_id"])]
    name = held["sku_part_number"].fillna(held["sku_id"]).str.upper().astype(TEXT)
    other = held["identity_id"][~matches(name, rules["automation_licences"])]
    has, has_other = people["identity_id"].isin(held["identity_id"]), people["identity_id"].isin(other)
    return (has & ~has_other).to_numpy(bool)


def _use_signals(tenant: Tenant, people: pd.DataFrame, rules: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the flows say: the strongest evidence, and our own."""
    flows = tenant.flows[[*FLOW, "owner_id", "creator_id"]]
    owned = flows[flows["owner_id"].notna()]
    per_owner = owned.groupby("owner_id").agg(flows=("flow_id", "size"), places=("environment_id", "nunique"))
    many = (per_owner["flows"] >= rules["many_flows"]) & (per_owner["places"] >= rules["many_environments"])
    moved = owned[(owned["creator_id"].notna() & (owned["creator_id"] != owned["owner_id"])).astype(bool)]
    received = moved.groupby("owner_id").size()
    takers = received.index[(received >= rules["received_flows"]) & ~received.index.isin(flows["creator_id"])]
    uses = connection_uses(tenant)[[*FLOW, "account_id"]].dropna().drop_duplicates()
    uses = uses.merge(owned[[*FLOW, "owner_id"]], on=FLOW)
    served = uses[uses["account_id"] != uses["owner_id"]].groupby("account_id")["owner_id"].nunique()
    ids = people["identity_id"]
    return {
        "many_flows": ids.isin(many.index[many]).to_numpy(bool),
        "receives_flows": ids.isin(takers).to_numpy(bool),
        "serves_others": ids.isin(served.index[served >= rules["served_owners"]]).to_numpy(bool),
    }


def _score(fired: dict[str, np.ndarray], rules: Mapping[str, Any]) -> np.ndarray:
    doubt = np.ones(len(next(iter(fired.values()))))
    for name, weight in rules["weights"].items():
        doubt *= np.where(fired[name], 1 - weight, 1.0)
    score = 1 - doubt
    for name, damping in rules["dampers"].items():
        score *= np.where(fired[name], 1 - damping, 1.0)
    return score


def _names(
    fired: dict[str, np.ndarray], registered: np.ndarray, principal: np.ndarray, rules: Mapping[str, Any]
) -> pd.Series:
    """Names of the signals that fired, strongest first; many identities share few combinations."""
    speaking = {"registered": registered, "service_principal": principal}
    speaking |= {n: fired[n] for n, _ in sorted(rules["weights"].items(), key=lambda item: (-item[1], item[0]))}
    speaking |= {f"-{n}": fired[n] for n in sorted(rules["dampers"])}
    words = np.array(list(speaking), dtype=object)
    bits = sum(flags.astype(np.int64) << i for i, flags in enumerate(speaking.values()))
    codes, patterns = pd.factorize(bits)
    texts = [" ".join(words[[bool(p >> i & 1) for i in range(len(words))]]) for p in patterns.tolist()]
    return pd.Series(np.array(texts, dtype=object)[codes] if texts else [], dtype=TEXT)
