"""Rights at Tailwind Traders that are too many or missing, on purpose."""

from __future__ import annotations

from flowanalysis.demo.ids import Ids
from flowanalysis.demo.steps import SQL_SERVER, Place

Rights = dict[tuple[str, str], str]


def deviate(ids: Ids, stage: int, granted: dict[str, Rights]) -> None:
    """Change the exact rights where a gap is planted."""
    # Account and keepers both hold what is too much, so that no keeper gains by editing the account's flows.
    for holder in ("svc-flow-it", "group:keepers-it"):
        granted[holder]["sql_table", f"{SQL_SERVER}|warehouse|dbo.payroll"] = "write"
    facilities = Place(ids, "facilities")
    granted["svc-flow-facilities"]["sharepoint_list", f"{facilities.site}|{facilities.list('Requests')}"] = "read"
    procurement = Place(ids, "procurement")
    if stage:
        for holder in ("svc-flow-legal", "group:keepers-legal"):
            granted[holder]["sharepoint_site", Place(ids, "hr").site] = "full"
        lost = f"{procurement.site}|{procurement.list('Register')}"
        granted["svc-flow-procurement"]["sharepoint_list", lost] = "read"
