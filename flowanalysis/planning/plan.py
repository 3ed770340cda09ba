"""What a plan of service accounts tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """The fewest accounts for the flows, and the way there.

    Attributes
    ----------
    assignment : DataFrame
        One row for each flow: environment_id, flow_id, display_name, state (stays | moves | left), account (NA when
        left), account_name, is_new, from_account_id, excess (weight reached and not needed), editors, boundary,
        purpose, department, is_solution, owner_id, owner_name, reason (why it was left).
    connections : DataFrame
        One row for each stored connection of a flow: environment_id, flow_id, alias, connector_id, connection_id,
        reference_name, from_account_id, account (NA when left), changed.
    accounts : DataFrame
        One row for each account of the plan and each service account that it frees: account, account_name, is_new,
        action (use | create | retire), boundary, purpose, department (of most flows), flows, left_flows (that still
        run as it and were not planned), rights, requests, flows_left and requests_left (head-room; NA where not
        known), exposure, service_principal (would one do: yes | no | unknown).
    grants : DataFrame
        Rights of these accounts: account, resource_kind, resource, level, action, held, flows, sentence.
    excess : DataFrame
        environment_id, flow_id, account, resource_kind, resource, level, weight, editors: what a flow reaches and does
        not need; the weights of a flow add up to its excess.
    moves : DataFrame
        Steps of each flow that moves, in their order.
    front : DataFrame
        accounts, exposure, knee: what fewer accounts would cost, whatever the limit.
    findings : DataFrame
        problem, environment_id, flow_id, account_id, sentence, remedy: constraints that are impossible, and what is
        not known.
    excess_limit : float
        Excess that one flow may have.
    bound : int
        Fewer accounts cannot do under these rules.
    today, today_exposure : int, float
        Accounts behind the planned flows today, and their exposure if each held only what its flows need.
    coverage : mapping
        answer (full | partly | none), missing, notes.
    """

    assignment: pd.DataFrame
    connections: pd.DataFrame
    accounts: pd.DataFrame
    grants: pd.DataFrame
    excess: pd.DataFrame
    moves: pd.DataFrame
    front: pd.DataFrame
    findings: pd.DataFrame
    excess_limit: float
    bound: int
    today: int
    today_exposure: float
    coverage: Mapping[str, object]

    @property
    def count(self) -> int:
        """Accounts of the plan; those that keep only flows it leaves alone are not among them."""
        return int(self.accounts["action"].isin(["use", "create"]).sum())

    @property
    def proved(self) -> bool:
        """Fewer accounts cannot do under these rules."""
        return self.count == self.bound

    @property
    def exposure(self) -> float:
        """Weight that people reach in excess through the flows that they can edit."""
        return float(self.accounts["exposure"].fillna(0).sum())

    def __repr__(self) -> str:
        proof = "proved" if self.proved else f"at least {self.bound}"
        planned = int((self.assignment["state"] != "left").sum())
        return f"<Plan: {planned:,} flows on {self.count:,} accounts ({proof}), {self.today:,} today>"
