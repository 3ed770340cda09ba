"""Tailwind Traders: a synthetic tenant as exports in the shapes that the real services return.

Everything is made from a seed: the same call writes the same bytes on every machine. What is wrong in the
tenant was planted; `planted` is the whole truth about a month.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from flowanalysis.demo import connection_pages, dataverse_pages, graph_pages, platform_pages, sheets, truths
from flowanalysis.demo.ids import Ids
from flowanalysis.demo.world import ENVIRONMENTS, World
from flowanalysis.errors import UnknownName

__all__ = ["FLOWS", "MONTHS", "SEED", "USERS", "planted", "world_of", "write_demo"]

MONTHS = ("2026-09", "2026-10")
SEED = 20261001
USERS = 300
FLOWS = 120

Lines = Iterator[tuple[str, dict[str, Any]]]


def write_demo(
    folder: str | Path,
    *,
    users: int = USERS,
    flows: int = FLOWS,
    months: tuple[str, ...] = MONTHS,
    seed: int = SEED,
) -> list[Path]:
    """Write the exports of a tenant, one folder a month, and ``exceptions.csv``: findings accepted for a time.

    Parameters
    ----------
    folder : str or Path
        Made when missing; files of the same name are replaced.
    users, flows : int
        Size. The cast and the planted flows are always there (about 70 users, 125 flows); more are well kept.
    months : tuple of str
        Such as ``2026-09``. The first is the state before the planted changes, all others the state after.
    seed : int
        Other seeds give other ids and another crowd, the same findings.

    Returns
    -------
    list of Path
        The folders of the months.
    """
    made = []
    for month in months:
        made_of = world_of(month, users=users, flows=flows, months=months, seed=seed)
        place = Path(folder) / month
        for name, text in _files(made_of, f"{month}-{_last_day(month)}T20:00:00Z"):
            if not text:
                continue  # nothing was asked there, so there is no file
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        made.append(place)
    text = sheets.exceptions(world_of(months[0], users=users, flows=flows, months=months, seed=seed))
    (Path(folder) / "exceptions.csv").write_text(text, encoding="utf-8", newline="\n")
    return made


def planted(
    month: str,
    *,
    users: int = USERS,
    flows: int = FLOWS,
    months: tuple[str, ...] = MONTHS,
    seed: int = SEED,
) -> pd.DataFrame:
    """The findings that a month must show.

    Returns
    -------
    DataFrame
        rule, subject_kind (flow | connection | account), subject_id, subject_name, why.

    Raises
    ------
    UnknownName
        When the month is none of `months`.

    Examples
    --------
    >>> planted("2026-10").query("rule == 'SEC-2'")["subject_name"].tolist()
    ['Press contact hook']
    """
    return truths.table(world_of(month, users=users, flows=flows, months=months, seed=seed))


def world_of(
    month: str,
    *,
    users: int = USERS,
    flows: int = FLOWS,
    months: tuple[str, ...] = MONTHS,
    seed: int = SEED,
) -> World:
    """Everything that stands behind the exports of a month: accounts, flows with their steps, connections, rights.

    Raises
    ------
    UnknownName
        When the month is none of `months`.
    """
    if month not in months:
        raise UnknownName("month", month, months)
    return World(Ids(seed), min(months.index(month), 1), users, flows)


def _last_day(month: str) -> int:
    return pd.Period(month, freq="M").days_in_month


def _files(world: World, observed: str) -> Iterator[tuple[str, str]]:
    yield from _graph(world, observed)
    yield "flows/environments.json", _page(platform_pages.environment_page(world))
    yield "flows/policies.json", _page(connection_pages.policy_page(world))
    for key, (_, _, dataverse) in ENVIRONMENTS.items():
        yield from _flows(world, key, observed)
        if dataverse:
            yield f"dataverse/{key}/workflows.json", _page(dataverse_pages.workflow_page(world, key))
            yield f"dataverse/{key}/connection-references.json", _page(dataverse_pages.reference_page(world, key))
            yield f"dataverse/{key}/environment-variables.json", _page(dataverse_pages.variable_page(world, key))
            yield f"dataverse/{key}/users.json", _page(dataverse_pages.user_page(world, key))
    yield "rights.csv", sheets.rights(world)
    yield "register.csv", sheets.register(world)


def _graph(world: World, observed: str) -> Iterator[tuple[str, str]]:
    for number, page in enumerate(graph_pages.user_pages(world), 1):
        yield f"graph/users-{number:04}.json", _page(page)
    yield "graph/deleted-users.json", _page(graph_pages.deleted_page(world))
    yield "graph/groups.json", _page(graph_pages.group_page(world))
    for relation in ("members", "owners"):
        yield f"graph/group-{relation}.jsonl", _lines(graph_pages.member_lines(world, relation), observed)
    for name, page in (*graph_pages.role_pages(world), *graph_pages.application_pages(world)):
        yield f"graph/{name}", _page(page)
    yield "graph/app-role-assignments.jsonl", _lines(graph_pages.app_role_lines(world), observed)
    yield "graph/subscribed-skus.json", _page(graph_pages.sku_page(world))
    yield "graph/sign-ins.json", _page(graph_pages.signin_page(world))


def _flows(world: World, key: str, observed: str) -> Iterator[tuple[str, str]]:
    place = f"flows/{key}"
    yield f"{place}/flows.json", _page(platform_pages.flow_page(world, key))
    yield f"{place}/flow-details.jsonl", _lines(platform_pages.flow_lines(world, key), observed)
    yield f"{place}/flow-permissions.jsonl", _lines(platform_pages.permission_lines(world, key), observed)
    yield f"{place}/runs.jsonl", _lines(platform_pages.run_lines(world, key), observed)
    yield f"{place}/connections.json", _page(connection_pages.connection_page(world, key))
    yield f"{place}/connection-permissions.jsonl", _lines(connection_pages.share_lines(world, key), observed)
    yield f"{place}/connectors.json", _page(connection_pages.connector_page(world, key))


def _page(page: dict[str, Any]) -> str:
    """One page, a row a line: small, and readable in a diff."""
    head = {k: v for k, v in page.items() if k != "value"}
    front = "".join(f"{_compact(k)}:{_compact(v)},\n" for k, v in head.items())
    rows = ",\n".join(_compact(row) for row in page["value"])
    return f'{{{front}"value":[\n{rows}\n]}}\n'


def _lines(lines: Lines, observed: str) -> str:
    rows = ({"request": request, "observed_at": observed, "body": body} for request, body in lines)
    return "".join(_compact(row) + "\n" for row in rows)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
