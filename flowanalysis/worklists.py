"""Who does what on Monday: work lists for owners and managers, and the certification of service accounts."""

from __future__ import annotations

import pandas as pd

from flowanalysis.analysis.execution import flow_accounts
from flowanalysis.analysis.gap import least_privilege_gap
from flowanalysis.analysis.identities import classify
from flowanalysis.findings import Examination
from flowanalysis.lookup import text_by
from flowanalysis.policy import SEVERITIES, Policy
from flowanalysis.register import members
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.tenant import Tenant

__all__ = ["certification", "sheets", "work_list"]

FLOW = ["environment_id", "flow_id"]
SHOWN = ["severity", "rule", "title", "subject_kind", "subject_name", "impact", "advice", "confidence", "finding_id"]
WORK = ["responsible", "responsible_id", "why_you", "manager", "manager_id", *SHOWN]
NOBODY = "(nobody found)"
ADMINISTRATORS = ("Power Platform Administrator", "Dynamics 365 Administrator", "Global Administrator")
# Those who edit the flow are whose rights must go: nobody is asked to take away what is his own.
AGAINST_EDITORS = ("PRV-2",)
LAST_RESORT = "administers the platform; nobody nearer was found"


def work_list(tenant: Tenant, findings: pd.DataFrame) -> pd.DataFrame:
    """Findings with the person who should act, and that person's manager.

    Responsible is the first living person among: the owner and then the co-owners of the flow; for an account
    or connection the owner and deputy in the register, or the person whose account it is; members of a group
    that co-owns; the manager of an owner who is gone; an administrator of the Power Platform, active before
    eligible. Never a service account or an emergency access account, and where editors hold too much none of
    them: then it is whoever answers for the account in the register.

    Returns
    -------
    DataFrame
        responsible (UPN, or ``(nobody found)``), responsible_id, why_you (a reason in words), manager (UPN),
        manager_id, and the words of the finding; one row per finding, most urgent first within a person.
    """
    candidates = pd.concat([_of_flows(tenant, findings), _of_accounts(tenant, findings)], ignore_index=True)
    last = _administrators(tenant)
    able = _able(tenant, pd.concat([candidates["person"], last["person"]]))
    candidates = candidates[candidates["person"].isin(able)]
    chosen = candidates.sort_values(["order", "person"]).drop_duplicates("finding_id")
    rest = findings.loc[~findings["finding_id"].isin(chosen["finding_id"]), ["finding_id"]]
    chosen = pd.concat([chosen, rest.merge(last[last["person"].isin(able)].head(1), how="cross")])
    people = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    work = findings.merge(chosen[["finding_id", "person", "why"]], on="finding_id", how="left")
    name = people["upn"].fillna(people["display_name"])
    work["responsible_id"], work["why_you"] = work["person"], work["why"]
    work["responsible"] = work["person"].map(name).astype(TEXT).fillna(NOBODY)
    work["manager_id"] = work["person"].map(people["manager_id"]).astype(TEXT)
    work["manager"] = work["manager_id"].map(name).astype(TEXT)
    rank = work["severity"].map({s: -i for i, s in enumerate(SEVERITIES)}).astype(int)
    work = work.assign(rank=rank).sort_values(["responsible", "rank", "rule", "finding_id"])
    return work[WORK].reset_index(drop=True)


def _able(tenant: Tenant, persons: pd.Series) -> pd.Index:
    """Of these the living people: no service accounts, and nobody whose mail is not read."""
    known = tenant.identities.drop_duplicates("identity_id")
    alive = known.loc[(known["status"] == "active") & (known["kind"] == "user"), "identity_id"]
    registered = members(tenant, tenant.register["account"]).dropna()
    asked = pd.Index(persons.dropna().unique()).intersection(alive).difference(registered)
    verdicts = classify(tenant, only=asked)
    # Nobody reads the mail of an emergency access account; work sent there is lost.
    reads = ~verdicts["signals"].fillna("").str.contains(r"\bbreak_glass\b")
    return pd.Index(verdicts.loc[(verdicts["band"] != "service") & reads, "identity_id"])


def sheets(work: pd.DataFrame, *, by: str = "responsible") -> dict[str, pd.DataFrame]:
    """A work list cut into sheets, one for each person, after an overview.

    Parameters
    ----------
    work : DataFrame
        As `work_list` returns.
    by : str
        ``responsible`` or ``manager``.

    Returns
    -------
    dict
        ``Overview`` (person, findings, and how many of each severity), then one sheet for each person.
    """
    named = work.assign(person=work[by].fillna(NOBODY))
    levels = list(reversed(SEVERITIES))
    counts = pd.crosstab(named["person"].astype(object), named["severity"].astype(object))
    overview = counts.reindex(columns=levels, fill_value=0).astype(COUNT).rename_axis(columns=None).reset_index()
    overview.insert(1, "findings", overview[levels].sum(axis=1).astype(COUNT))
    order = [*levels, "findings", "person"]
    overview = overview.sort_values(order, ascending=[False] * 6 + [True], ignore_index=True)
    columns = [c for c in WORK if c not in (by, f"{by}_id", "responsible_id", "manager_id")]
    parts = {p: named.loc[named["person"] == p, columns].reset_index(drop=True) for p in overview["person"]}
    return {"Overview": overview, **parts}


def _of_flows(tenant: Tenant, findings: pd.DataFrame) -> pd.DataFrame:
    """Owners, co-owners and managers of the flows that findings are about."""
    chosen = findings["flow_id"].notna() & ~findings["rule"].isin(AGAINST_EDITORS)
    about = findings.loc[chosen, ["finding_id", *FLOW]]
    flows = tenant.flows[[*FLOW, "owner_id"]]
    owned = about.merge(flows, on=FLOW).rename(columns={"owner_id": "person"}).assign(order=0, why="owns the flow")
    owners = tenant.flow_owners[tenant.flow_owners["role"].isin(["Owner", "CanEdit"])]
    shared = about.merge(owners[[*FLOW, "principal_id"]], on=FLOW).rename(columns={"principal_id": "person"})
    shared = shared.assign(order=1, why="co-owns the flow")
    inside = tenant.memberships.loc[tenant.memberships["member_kind"] != "group", ["group_id", "member_id"]]
    teams = shared.merge(inside, left_on="person", right_on="group_id")
    teams = teams.assign(person=teams["member_id"], order=4, why="is in a group that co-owns the flow")
    bosses = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")["manager_id"]
    above = owned.assign(person=text_by(owned["person"], bosses), order=5, why="manages the owner, who is gone")
    registered = _registered(tenant).rename(columns={"account_id": "owner_id"})
    account = about.merge(flows, on=FLOW).merge(registered, on="owner_id")
    return pd.concat([owned, shared, account, teams, above])[["finding_id", "person", "order", "why"]]


def _administrators(tenant: Tenant) -> pd.DataFrame:
    """The last resort: administrators of the Power Platform, those who must activate the role last, best first."""
    held = tenant.role_assignments
    rank = held["role_name"].map({name: n for n, name in enumerate(ADMINISTRATORS, start=6)}).astype(COUNT)
    rank = rank.where((held["state"] != "eligible").fillna(True), rank + len(ADMINISTRATORS))
    people = pd.DataFrame({"person": held["principal_id"], "order": rank, "why": LAST_RESORT}).dropna()
    return people.sort_values(["order", "person"])


def _registered(tenant: Tenant) -> pd.DataFrame:
    """Owner and deputy of registered accounts: account_id, person, order, why."""
    listed = tenant.register
    account = members(tenant, listed["account"])
    parts = [
        pd.DataFrame({"account_id": account, "person": members(tenant, listed[c]), "order": n, "why": w})
        for c, n, w in (
            ("owner", 2, "owns the service account in the register"),
            ("deputy", 3, "is deputy for the service account in the register"),
        )
    ]
    return pd.concat(parts).dropna(subset=["account_id", "person"])


def _of_accounts(tenant: Tenant, findings: pd.DataFrame) -> pd.DataFrame:
    """For findings about accounts and connections: the register, the account's own person, owners of its flows."""
    against = findings["rule"].isin(AGAINST_EDITORS)
    chosen = (findings["flow_id"].isna() | against) & findings["account_id"].notna()
    registered = findings.loc[chosen, ["finding_id", "account_id"]].merge(_registered(tenant), on="account_id")
    about = findings.loc[chosen & ~against, ["finding_id", "account_id"]]
    own = about.assign(person=about["account_id"], order=1, why="is the account of the connection")
    run = flow_accounts(tenant)[[*FLOW, "account_id"]]
    owners = tenant.flow_owners[tenant.flow_owners["role"].isin(["Owner", "CanEdit"])][[*FLOW, "principal_id"]]
    pairs = run.merge(owners, on=FLOW).groupby(["account_id", "principal_id"]).size().rename("flows").reset_index()
    most = pairs.sort_values(["account_id", "flows", "principal_id"], ascending=[True, False, True])
    most = most.rename(columns={"principal_id": "person"}).assign(order=4, why="edits flows that run on the account")
    edits = about.merge(most, on="account_id")
    return pd.concat([registered, own, edits])[["finding_id", "person", "order", "why"]]


def certification(tenant: Tenant, examination: Examination, policy: Policy | None = None) -> dict[str, pd.DataFrame]:
    """The pack with which owners certify their service accounts: keep, reduce or retire.

    Parameters
    ----------
    tenant : Tenant
        The data.
    examination : Examination
        Findings and evidence of the same tenant.
    policy : Policy, optional
        For the classification of accounts.

    Returns
    -------
    dict
        ``Accounts``: account, owner, deputy, purpose, flows, running_flows, rights_excess, rights_missing,
        findings, proposal (keep | reduce | retire), because, and empty columns for decision, name and date.
        ``Flows``: the flows of each account. ``Rights``: each excess or missing right with its proof.
        ``Findings``: the findings about each account.
    """
    accounts = _accounts(tenant, policy)
    flows = _flows_of(tenant, accounts)
    rights = _rights_of(tenant, accounts)
    found = examination.findings[examination.findings["account_id"].isin(accounts["account_id"])]
    name = accounts.set_index("account_id")["account"]
    shown = found.assign(account=found["account_id"].map(name).astype(TEXT))[["account", *SHOWN]]
    return {
        "Accounts": _proposed(accounts, flows, rights, found),
        "Flows": flows.drop(columns="account_id"),
        "Rights": rights.drop(columns="account_id"),
        "Findings": shown.sort_values(["account", "rule", "finding_id"], ignore_index=True),
    }


def _accounts(tenant: Tenant, policy: Policy | None) -> pd.DataFrame:
    """Service accounts: registered, or at work and classified so."""
    listed = tenant.register.assign(account_id=members(tenant, tenant.register["account"]))
    used = pd.concat([tenant.flows["owner_id"], flow_accounts(tenant)["account_id"], listed["account_id"]])
    verdicts = classify(tenant, policy, only=used.dropna().unique())
    chosen = verdicts[verdicts["band"] == "service"].rename(columns={"identity_id": "account_id"})
    known = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
    shown = text_by(chosen["account_id"], known["upn"]).fillna(text_by(chosen["account_id"], known["display_name"]))
    accounts = chosen.assign(account=shown.fillna(chosen["account_id"]).astype(TEXT))
    columns = ["account_id", "owner", "deputy", "purpose", "review_date"]
    accounts = accounts.merge(listed[columns].drop_duplicates("account_id"), on="account_id", how="left")
    return accounts.sort_values("account", ignore_index=True)


def _flows_of(tenant: Tenant, accounts: pd.DataFrame) -> pd.DataFrame:
    owned = tenant.flows[[*FLOW, "owner_id"]].rename(columns={"owner_id": "account_id"}).assign(role="owns")
    run = flow_accounts(tenant)[[*FLOW, "account_id"]].assign(role="runs")
    pairs = pd.concat([owned, run]).merge(accounts[["account_id", "account"]], on="account_id")
    pairs = (
        pairs.groupby(["account_id", "account", *FLOW])["role"]
        .agg(lambda r: " and ".join(sorted(set(r))))
        .reset_index()
    )
    facts = tenant.flows[[*FLOW, "display_name", "state", "trigger_type", "last_run_at", "description"]]
    rows = pairs.merge(facts, on=FLOW, how="left").rename(columns={"display_name": "flow"})
    order = ["account_id", "account", "flow", "role", "state", "trigger_type", "last_run_at", "description", *FLOW]
    return rows[order].sort_values(["account", "flow", "flow_id"], ignore_index=True)


def _rights_of(tenant: Tenant, accounts: pd.DataFrame) -> pd.DataFrame:
    gap = least_privilege_gap(tenant)
    gap = gap[gap["account_id"].isin(accounts["account_id"]).to_numpy(bool)]
    gap = gap.astype(dict.fromkeys(gap.columns, TEXT)).merge(accounts[["account_id", "account"]], on="account_id")
    columns = ["account_id", "account", "side", "state", "resource_kind", "resource_id", "granted", "needed", "reason"]
    rows = gap[[*columns, "via", *FLOW, "step"]]
    return rows.sort_values(["account", "side", "state", "resource_id", "flow_id", "step"], ignore_index=True)


def _proposed(accounts: pd.DataFrame, flows: pd.DataFrame, rights: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Retire what runs nothing, reduce what holds too much, keep the rest."""
    ids = accounts["account_id"]

    def count(rows: pd.DataFrame) -> pd.Series:
        return ids.map(rows.groupby("account_id").size()).fillna(0).astype(COUNT)

    settled = rights[rights["state"] == "found"]
    out = accounts[["account", "owner", "deputy", "purpose", "review_date", "signals"]].copy()
    out["flows"] = count(flows)
    out["running_flows"] = count(flows[flows["state"].isin(["Started", "Suspended"])])
    out["rights_excess"] = count(settled[settled["side"] == "excess"])
    out["rights_missing"] = count(settled[settled["side"] == "missing"])
    out["findings"] = count(found)
    idle, wide = out["running_flows"] == 0, out["rights_excess"] > 0
    out["proposal"] = pd.Series("keep", index=out.index, dtype=TEXT).mask(wide, "reduce").mask(idle, "retire")
    because = pd.Series("its running flows need what it holds", index=out.index, dtype=TEXT)
    because = because.mask(wide, out["rights_excess"].astype(TEXT) + " rights that none of its flows needs")
    out["because"] = because.mask(idle, "no running flow is owned by it or runs on it")
    for column in ("decision", "certified_by", "certified_on"):
        out[column] = pd.array([pd.NA] * len(out), dtype=TEXT)
    return out
