"""Documentation of each service account: who owns it, what it may do, which flows use it and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.execution import execution_map, flow_accounts
from flowanalysis.analysis.identities import SIGNALS, classify
from flowanalysis.lookup import text_by
from flowanalysis.policy import Policy, load_policy
from flowanalysis.register import approved, members
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant
from flowanalysis.text import plain

__all__ = ["AccountDocument", "document", "markdown_text"]

FLOW = ["environment_id", "flow_id"]


@dataclass(frozen=True)
class AccountDocument:
    """One service account, documented; frames hold tenant text as it is, `markdown` holds it escaped.

    Attributes
    ----------
    account_id, name : str
        Object id, and name as shown.
    facts : DataFrame
        fact, value: kind, status, owner, deputy, purpose, review, licences, signals.
    flows : DataFrame
        flow, environment, role (owns | runs | owns and runs), state, starts, purpose, connectors.
    rights : DataFrame
        resource, kind, level, via, approved (level in the register), used_by (flows that need it).
    room : DataFrame
        limit, used, allowed, share: head-room under the caps of the service.
    gaps : tuple of str
        What was not collected and is therefore not documented.
    """

    account_id: str
    name: str
    facts: pd.DataFrame
    flows: pd.DataFrame
    rights: pd.DataFrame
    room: pd.DataFrame
    gaps: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """The whole document as Markdown in which no text of the tenant is markup."""
        parts = [f"# {markdown_text(self.name)}", _table(self.facts)]
        for title, frame, nothing in (
            ("Flows", self.flows, "No flow is owned by it or runs on it."),
            ("Rights", self.rights, "No right on a resource is known."),
            ("Head-room", self.room, "Nothing is known of its use."),
        ):
            parts += [f"## {title}", _table(frame) if len(frame) else nothing]
        if self.gaps:
            parts += ["## Not collected", "\n".join(f"- {markdown_text(g)}" for g in self.gaps)]
        return "\n\n".join(parts) + "\n"


def markdown_text(value: object) -> str:
    r"""Text as Markdown that shows it and nothing else: no markup, no link, no formula, no line of its own.

    >>> markdown_text("<b>*x*</b> | $y$")
    '&lt;b&gt;\\*x\\*&lt;/b&gt; \\| &#36;y&#36;'
    """
    if value is None or pd.isna(value):
        return ""
    text = re.sub(r"\s+", " ", plain(str(value).replace("\n", " ").replace("\t", " "))).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", text)
    text = re.sub(r"^(\d+)\.", r"\1\\.", text)  # no item of a list
    # Entities last, so that their signs are not escaped; addresses become links by themselves in many viewers.
    return text.replace("$", "&#36;").replace("://", "&#58;//").replace("@", "&#64;").replace("www.", "www&#46;")


def _table(frame: pd.DataFrame) -> str:
    lines = [list(frame.columns), ["---"] * len(frame.columns)]
    lines[0] = [markdown_text(str(c).replace("_", " ")) for c in lines[0]]
    lines += [[markdown_text(v) for v in row] for row in frame.itertuples(index=False, name=None)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def document(tenant: Tenant, policy: Policy | None = None) -> list[AccountDocument]:
    """Documentation of every service account, sorted by name.

    Service accounts are those in the register and those that work as such.
    """
    policy = policy or load_policy()
    listed = tenant.register.assign(account_id=members(tenant, tenant.register["account"]))
    used = pd.concat([tenant.flows["owner_id"], flow_accounts(tenant)["account_id"], listed["account_id"]])
    verdicts = classify(tenant, policy, only=used.dropna().unique())
    ids = verdicts.loc[verdicts["band"] == "service", "identity_id"]
    shelf = _Shelf(tenant, policy, listed, verdicts, ids)
    return sorted((shelf.about(i) for i in ids), key=lambda d: (d.name, d.account_id))


class _Shelf:
    """Frames about all service accounts, made once and cut for each."""

    def __init__(
        self, tenant: Tenant, policy: Policy, listed: pd.DataFrame, verdicts: pd.DataFrame, ids: pd.Series
    ) -> None:
        self.tenant, self.policy = tenant, policy
        self.listed = listed.drop_duplicates("account_id").set_index("account_id")
        self.verdicts = verdicts.set_index("identity_id")
        self.people = tenant.identities.drop_duplicates("identity_id").set_index("identity_id")
        self.flows = dict(list(_flows(tenant, ids).groupby("account_id")))
        self.rights = dict(list(_rights(tenant, listed, ids).groupby("account_id")))
        held = tenant.licences[tenant.licences["identity_id"].isin(ids)]
        name = held["sku_part_number"].fillna(held["sku_id"])
        self.licences = name.groupby(held["identity_id"]).agg(lambda n: ", ".join(sorted(n.dropna())))
        asked = ("register", "grants", "needs", "licences", "runs", "flow_owners", "connections")
        self.gaps = tuple(t for t in asked if not tenant.has(t))

    def about(self, account: str) -> AccountDocument:
        """The document of one account."""
        person = self.people.loc[account]
        name = next((v for v in (person["upn"], person["display_name"]) if pd.notna(v)), account)
        flows = self.flows.get(account, pd.DataFrame(columns=["account_id", *FLOW_COLUMNS]))
        rights = self.rights.get(account, pd.DataFrame(columns=["account_id", *RIGHT_COLUMNS]))
        return AccountDocument(
            account,
            str(name),
            self._facts(account, person),
            flows[FLOW_COLUMNS].reset_index(drop=True),
            rights[RIGHT_COLUMNS].reset_index(drop=True),
            self._room(flows),
            self.gaps,
        )

    def _facts(self, account: str, person: pd.Series) -> pd.DataFrame:
        verdict = self.verdicts.loc[account]
        signals = ", ".join(SIGNALS[s.removeprefix("-")] for s in verdict["signals"].split())
        entry = self.listed.loc[account] if account in self.listed.index else pd.Series(dtype=object)
        review = entry.get("review_date")
        unsaid = "not registered" if entry.empty else "not said"
        rows = {
            "kind": verdict["kind"].replace("_", " "),
            "status": person["status"],
            "owner": entry.get("owner", unsaid),
            "deputy": entry.get("deputy", unsaid),
            "purpose": entry.get("purpose", unsaid),
            "next review": unsaid if review is None or pd.isna(review) else f"{review:%Y-%m-%d}",
            "licences": self.licences.get(account, "none" if self.tenant.has("licences") else "not collected"),
            "taken for a service account because it": signals,
        }
        values = [("not said" if pd.isna(v) else v) for v in rows.values()]
        return pd.DataFrame({"fact": list(rows), "value": values}, dtype=TEXT)

    def _room(self, flows: pd.DataFrame) -> pd.DataFrame:
        """Flows outside solutions, and requests of the busiest day, against the caps."""
        owned = flows[flows["role"].str.contains("owns")] if len(flows) else flows
        outside = int((~owned["is_solution"].fillna(True).astype(bool)).sum()) if len(owned) else 0
        caps = self.policy.caps
        rows = [("flows outside solutions", outside, caps["flows_per_owner"])]
        if self.tenant.has("runs") and len(owned):
            runs = self.tenant.runs.merge(owned[["environment_id", "flow_id", "action_count"]], on=FLOW)
            spent = (runs["action_count"].fillna(0) + 1).groupby(runs["start_at"].dt.floor("D")).sum()
            rows.append(
                ("requests on the busiest day", int(spent.max() or 0) if len(spent) else 0, caps["requests_seeded"])
            )
        frame = pd.DataFrame(rows, columns=["limit", "used", "allowed"])
        return frame.assign(share=(frame["used"] / frame["allowed"]).map("{:.0%}".format))


FLOW_COLUMNS = ["flow", "environment", "role", "state", "starts", "purpose", "connectors"]
RIGHT_COLUMNS = ["resource", "kind", "level", "via", "approved", "used_by"]


def _flows(tenant: Tenant, ids: pd.Series) -> pd.DataFrame:
    owned = tenant.flows[[*FLOW, "owner_id"]].rename(columns={"owner_id": "account_id"}).assign(role="owns")
    run = flow_accounts(tenant)[[*FLOW, "account_id"]].assign(role="runs")
    pairs = pd.concat([owned, run])
    pairs = pairs[pairs["account_id"].isin(ids)].groupby(["account_id", *FLOW])["role"]
    pairs = pairs.agg(lambda r: " and ".join(sorted(set(r)))).reset_index()
    columns = ["display_name", "state", "trigger_type", "description", "is_solution", "action_count"]
    rows = pairs.merge(tenant.flows[[*FLOW, *columns]], on=FLOW, how="left")
    uses = tenant.flow_connections.dropna(subset=["connector_id"])
    uses = (
        uses.groupby(FLOW)["connector_id"].agg(lambda c: ", ".join(sorted(set(c)))).rename("connectors").reset_index()
    )
    rows = rows.merge(uses, on=FLOW, how="left")
    places = tenant.environments.drop_duplicates("environment_id").set_index("environment_id")["display_name"]
    rows["environment"] = text_by(rows["environment_id"], places).fillna(rows["environment_id"])
    rows["flow"] = rows["display_name"].fillna(rows["flow_id"])
    rows["purpose"] = rows["description"].fillna("not described")
    return rows.rename(columns={"trigger_type": "starts"}).sort_values(["account_id", "flow", "flow_id"])


def _rights(tenant: Tenant, listed: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    held = effective_permissions(tenant, ids.tolist(), paths=False)
    held = held[held["kind"] == "grant"].astype(dict.fromkeys(["identity_id", "resource_id", "resource_kind"], TEXT))
    held = held.astype({"level": TEXT, "via": TEXT}).rename(columns={"identity_id": "account_id"})
    told = approved(listed.dropna(subset=["account_id"])).drop_duplicates(["account_id", "resource"])
    rows = held.merge(
        told[["account_id", "resource", "level"]].rename(columns={"resource": "resource_id", "level": "approved"}),
        on=["account_id", "resource_id"],
        how="left",
    )
    rows = rows.merge(_users_of(tenant, ids), on=["account_id", "resource_id"], how="left")
    rows["used_by"] = rows["used_by"].fillna("no step known")
    rows["approved"] = rows["approved"].fillna("not approved")
    rows = (
        rows.rename(columns={"resource_id": "resource"}).drop(columns="kind").rename(columns={"resource_kind": "kind"})
    )
    return rows.sort_values(["account_id", "resource"])


def _users_of(tenant: Tenant, ids: pd.Series) -> pd.DataFrame:
    """account_id, resource_id, used_by: names of the flows whose steps need the resource."""
    runs = execution_map(tenant)
    runs = runs.loc[runs["account_id"].isin(ids) & (runs["reason"] == "ok"), [*FLOW, "step", "account_id"]]
    needs = tenant.needs.loc[tenant.needs["state"] == "known", [*FLOW, "step", "resource"]]
    both = needs.merge(runs, on=[*FLOW, "step"]).merge(tenant.flows[[*FLOW, "display_name"]], on=FLOW)
    both["name"] = both["display_name"].fillna(both["flow_id"])
    named = both.groupby(["account_id", "resource"])["name"].agg(lambda n: ", ".join(sorted(set(n)))).reset_index()
    return named.rename(columns={"resource": "resource_id", "name": "used_by"})
