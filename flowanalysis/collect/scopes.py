"""The least permissions that a collection needs, counted from the table of addresses."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from flowanalysis.collect.clouds import Cloud, cloud
from flowanalysis.collect.endpoints import chosen
from flowanalysis.collect.names import PARTS

__all__ = ["STEPS", "table"]

STEPS = """\
How to register the application, once:
  1. Entra admin center > App registrations > New registration; one tenant only; no redirect address for device code,
     http://localhost (mobile and desktop) for an interactive sign-in.
  2. Authentication > Allow public client flows: yes for device code; else add a certificate, never a secret if you can.
  3. API permissions: those above. Delegated for a sign-in with a person, application without one. Grant admin consent.
  4. The person needs the role Power Platform Administrator for flows and connections (or System Administrator in each
     environment); Global Reader is enough for Graph.
  5. Without a person: make the application an application user with a role that may read in each Dataverse environment.
     Microsoft documents the flow addresses as not open to service principals: collect that part with a person.
  6. Set FLOWANALYSIS_CLIENT_ID to the application id. See `flowanalysis collect --help` for the ways to sign in.
None of these permissions can change anything. A token that could is used, and warned about."""


def table(parts: Sequence[str] = PARTS, *, cloud_name: str | Cloud = "global") -> pd.DataFrame:
    """The permissions, one row each.

    Returns
    -------
    DataFrame
        Columns service, audience, kind (delegated | application | role), permission, collections (names, separated by
        commas, that need it).

    Examples
    --------
    >>> rows = table(["graph"])
    >>> rows.loc[rows.permission == "AuditLog.Read.All", "collections"].tolist()
    ['graph/users', 'graph/users']
    """
    where = cloud(cloud_name)
    needs: dict[tuple[str, str, str, str], list[str]] = {}
    for e in chosen(tuple(parts)):
        if e.service != "dataverse" and e.service not in where.services:
            continue
        scope = "the database of each environment" if e.service == "dataverse" else where.service(e.service).scope
        for kind, names in (("delegated", e.delegated), ("application", e.application), ("role", (e.role,))):
            for name in names:
                if name:
                    needs.setdefault((e.service, scope, kind, name), []).append(e.name)
    rows = [(*key, ", ".join(names)) for key, names in needs.items()]
    frame = pd.DataFrame(rows, columns=["service", "audience", "kind", "permission", "collections"])
    order = {"graph": 0, "bap": 1, "powerapps": 2, "flow": 3, "powerplatform": 4, "dataverse": 5}
    return frame.sort_values(
        ["service", "kind", "permission"], key=lambda c: c.map(order) if c.name == "service" else c, ignore_index=True
    )
