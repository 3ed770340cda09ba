"""Changes between two months in names: who or what, on what, what it was and is."""

from __future__ import annotations

import pandas as pd

from flowanalysis.report.frames import connector_names, environment_names, people_names, resource_names
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant


def changed(changes: pd.DataFrame, before: Tenant, after: Tenant) -> pd.DataFrame:
    """The changes of :func:`flowanalysis.drift` with names in front.

    Returns
    -------
    DataFrame
        who (name of what changed), on (what it is on; "" for things themselves), was, now, environment, and the
        columns of ``changes``. What has no name shows its id.
    """
    names = pd.concat([thing_names(after), thing_names(before)])
    names = names[~names.index.duplicated()]
    who, on = (changes[c].map(names).astype(TEXT).fillna(changes[c]) for c in ("subject_id", "object_id"))
    kind = changes["what"].str.replace("_", " ")
    columns = changes["columns"].str.replace(" ", ", ").str.replace("_", " ")
    same = (changes["before"] == changes["after"]).fillna(False) | changes["before"].isna() & changes["after"].isna()
    told = (kind + ": " + columns).where(same & columns.notna(), kind)
    places = environment_names(after)
    made = {
        "who": who,
        "kind": told,
        "on": on.fillna(""),
        "was": changes["before"].fillna("–").mask(same, ""),
        "now": changes["after"].fillna("–").mask(same, ""),
        "environment": changes["environment_id"].map(places).astype(TEXT).fillna(""),
    }
    result = pd.concat([pd.DataFrame(made, index=changes.index), changes], axis=1)
    result.attrs = dict(changes.attrs)
    return result


def thing_names(tenant: Tenant) -> pd.Series:
    """Id to name for everything that a change may be about."""
    flows = tenant.flows.dropna(subset=["display_name"]).drop_duplicates("flow_id")
    roles = tenant.role_assignments.dropna(subset=["role_name"]).drop_duplicates("role_id")
    licences = tenant.licences.dropna(subset=["sku_part_number"]).drop_duplicates("sku_id")
    parts = [
        people_names(tenant),
        flows.set_index("flow_id")["display_name"],
        _connection_names(tenant),
        resource_names(tenant),
        roles.set_index("role_id")["role_name"],
        licences.set_index("sku_id")["sku_part_number"],
    ]
    return pd.concat(parts)


def _connection_names(tenant: Tenant) -> pd.Series:
    """Connection id to its connector and account, which tell more than the name it was given."""
    rows = tenant.connections.drop_duplicates("connection_id")
    connector = rows["connector_id"].map(connector_names(tenant, rows["connector_id"])).astype(TEXT)
    account = rows["account_name"].fillna(rows["display_name"])
    names = (connector + ": " + account).fillna(connector).fillna(rows["connection_id"])
    return names.set_axis(rows["connection_id"])


def exports(log: pd.DataFrame) -> pd.DataFrame:
    """The collection log with one row for each export.

    Returns
    -------
    DataFrame
        source, file, tables (what it filled), rows, duplicates, cut (it ends with a link to a further page),
        observed_at, message; exports that are cut short first, then the largest.
    """
    columns = ["source", "file", "tables", "rows", "duplicates", "cut", "observed_at", "message"]
    if not len(log):
        return pd.DataFrame(columns=columns)
    made = log.groupby(["source", "file"], dropna=False, sort=False).agg(
        tables=("table", lambda t: ", ".join(t.dropna().unique()).replace("_", " ")),
        rows=("rows", "sum"),
        duplicates=("duplicates", "sum"),
        cut=("next_link", "any"),
        observed_at=("observed_at", "max"),
        message=("message", lambda m: "; ".join(dict.fromkeys(m.dropna()[m.dropna() != ""]))),
    )
    return made.reset_index()[columns].sort_values(["cut", "rows"], ascending=False, ignore_index=True)
