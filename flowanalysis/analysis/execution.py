"""The execution identity map: for every step, the account whose rights it uses.

A step names an alias; the alias names a connection, directly or through a connection reference; the
connection names an account. Each join can break, and a broken one is a reason, never a lost row:

=================== =====================================================================================
reason              meaning
=================== =====================================================================================
ok                  the account is known
invoker             whoever starts the flow brings the connection; it counts for no account's needs
no_connection       a built-in step that needs no connection
missing_reference   the definition names an alias or reference that nothing declares
unbound_reference   the connection reference has no connection; the flow cannot run this step
missing_connection  the connection is not among the environment's connections
external_account    the connection signs in with a name outside Entra ID, such as a SQL login
unknown_account     the account is named, but is not among the identities collected
not_collected       the table that would tell was not collected
=================== =====================================================================================
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.analysis.reach import kept
from flowanalysis.codes import pair
from flowanalysis.codes.accounts import ACCOUNT, FLOW, connection_accounts, connection_uses, how
from flowanalysis.tenant import Tenant, once_per_tenant

__all__ = ["connection_accounts", "connection_uses", "declared", "execution_map", "flow_accounts", "unknown_accounts"]


@once_per_tenant
def execution_map(tenant: Tenant) -> pd.DataFrame:
    """For every step of every flow: the account it runs as, and how that is known.

    Returns
    -------
    DataFrame
        One row per row of ``steps``: environment_id, flow_id, step, connector_id, operation_id, alias,
        connection_id, account_id, account_name, account_kind, method, reason, how. Steps whose reason is
        not ``ok`` keep whatever is known of the chain.

    Examples
    --------
    >>> from flowanalysis import schema
    >>> step = {"environment_id": "e", "flow_id": "f", "step": "Wait", "kind": "action", "type": "Wait"}
    >>> execution_map(Tenant({"steps": schema.frame("steps", [step])}))["reason"].item()
    'no_connection'
    """
    steps = tenant.steps[[*FLOW, "step", "connector_id", "operation_id", "alias", "runtime_source"]]
    uses = connection_uses(tenant).drop(columns=["connector_id", "reference_name"])
    joined = steps.merge(uses, on=[*FLOW, "alias"], how="left", validate="m:1", suffixes=("", "_declared"))
    built_in = joined["alias"].isna() & joined["connector_id"].isna()
    joined["reason"] = joined["reason"].fillna("missing_reference").where(~built_in, "no_connection")
    told = (joined["reason"] == "missing_reference") & (joined["runtime_source"] == "invoker").fillna(False)
    joined.loc[told.astype(bool), "reason"] = "invoker"
    joined["method"] = joined["method"].fillna("none")
    joined["how"] = how(joined)
    return joined[[*FLOW, "step", "connector_id", "operation_id", "alias", "connection_id", *ACCOUNT, "how"]]


@kept
def declared(tenant: Tenant) -> np.ndarray:
    """The code of the connection that each row of flow_connections names itself; -1 where it names none."""
    return tenant.coded("flow_connections", "connection_id")


def unknown_accounts(tenant: Tenant) -> np.ndarray:
    """For each flow code, how many connections it declares, not the invoker's, whose account nothing tells."""
    codes, uses = tenant.codes, tenant.flow_connections
    connection = declared(tenant).copy()
    bare = np.flatnonzero((uses["connection_id"].isna() & uses["reference_name"].notna()).to_numpy(bool))
    references = tenant.connection_references[["environment_id", "reference_name", "connection_id"]]
    bound = uses.iloc[bare][["environment_id", "reference_name"]].merge(references, how="left", validate="m:1")
    connection[bare] = codes.connections.codes(pair(bound, "connection_id"))
    known = np.append(np.diff(codes.signs_in.indptr) > 0, False)  # the last one answers for -1
    open_ = np.flatnonzero(~known[connection] & (uses["runtime_source"] != "invoker").fillna(True).to_numpy(bool))
    return np.bincount(tenant.coded("flow_connections", "flow_id")[open_], minlength=len(codes.flows))


@once_per_tenant
def flow_accounts(tenant: Tenant) -> pd.DataFrame:
    """The accounts a flow runs on: one row per flow and account, in either direction.

    Invoker connections are left out: they count for nobody. Connections whose account is not known are
    left out too; `connection_uses` lists them with the reason.

    Returns
    -------
    DataFrame
        environment_id, flow_id, account_id, account_name, account_kind, connections (how many declare it).
    """
    uses = connection_uses(tenant)
    known = uses[uses["account_id"].notna() & (uses["reason"] != "invoker")]
    grouped = known.groupby([*FLOW, "account_id"], sort=True, dropna=False)
    return grouped.agg(
        account_name=("account_name", "first"),
        account_kind=("account_kind", "first"),
        connections=("alias", "size"),
    ).reset_index()
