"""One thing, one key: environments behind organisation addresses, and the several ids of one flow.

A flow has a name in the flow service, a workflow id and a unique workflow id in Dataverse; which of the two the name
equals depends on how the flow was made. The name of the flow service wins, and every table follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from flowanalysis import schema
from flowanalysis.sources.merge import Part
from flowanalysis.sources.values import among

FLOW_IDS = ["environment_id", "flow_id", "workflow_id", "workflow_unique_id"]
# Families whose flow_id is Dataverse's workflow id.
BY_WORKFLOW = {"dataverse"}


def unify(parts: Sequence[Part]) -> list[Part]:
    """The same parts, in the same order, with one key for one thing."""
    places = _organisations(parts)
    placed = [_replaced(p, "environment_id", places) for p in parts] if places else list(parts)
    if not _others(placed):
        return placed
    aliases = _aliases([p for p in placed if p.table == "flows"])
    if aliases.empty:
        return placed
    return [_renamed(p, aliases) for p in placed]


def _others(parts: Sequence[Part]) -> bool:
    """Whether any table calls a flow by an id that is not its name in the flow service."""
    shown = [p.frame["flow_id"] for p in parts if p.table == "flows" and p.family not in BY_WORKFLOW]
    if not shown:
        return False
    names = pd.concat(shown, ignore_index=True)
    told = (p.frame["flow_id"] for p in parts if "flow_id" in p.frame and p.table != "flows")
    workflows = (p.frame["flow_id"] for p in parts if p.table == "flows" and p.family in BY_WORKFLOW)
    return any((~among(ids, names) & ids.notna().to_numpy()).any() for ids in (*told, *workflows))


def host_of(url: object) -> str:
    """Host of an organisation's address, without the ``.api`` of its Web API.

    >>> host_of("https://contoso.api.crm4.dynamics.com/")
    'contoso.crm4.dynamics.com'
    """
    host = str(url).lower().partition("://")[2] or str(url).lower()
    return host.split("/", 1)[0].split(":", 1)[0].replace(".api.crm", ".crm", 1)


def _organisations(parts: Sequence[Part]) -> dict[str, str]:
    """Organisation host -> environment, as far as the environments or common flows tell."""
    wanted = {h for p in parts if "environment_id" in p.frame for h in _hosts(p.frame["environment_id"])}
    if not wanted:
        return {}
    known: dict[str, str] = {}
    for part in parts:
        if part.table == "environments":
            told = part.frame.dropna(subset=["org_url"])
            known.update(zip(map(host_of, told["org_url"]), told["environment_id"], strict=True))
    left = wanted - known.keys()
    if left:
        known.update(_by_flows([p for p in parts if p.table == "flows"], left))
    return {h: e for h, e in known.items() if h in wanted}


def _hosts(ids: pd.Series) -> Iterable[str]:
    """Environment ids are names without a dot; hosts have one."""
    return [v for v in ids.dropna().unique() if "." in v]


def _by_flows(parts: Sequence[Part], hosts: set[str]) -> dict[str, str]:
    """The environment in which the flow service shows most of an organisation's workflows."""
    if not parts:
        return {}
    flows = pd.concat([p.frame[FLOW_IDS] for p in parts], ignore_index=True)
    mine = flows[flows["environment_id"].isin(hosts)]
    theirs = flows[~flows["environment_id"].isin(hosts) & (flows["environment_id"] != schema.NO_ENVIRONMENT)]
    pairs = mine[["environment_id", "workflow_id"]].merge(
        theirs[["environment_id", "workflow_id"]].dropna(), on="workflow_id", suffixes=("_host", "")
    )
    counts = pairs.value_counts(["environment_id_host", "environment_id"]).reset_index()
    best = counts.drop_duplicates("environment_id_host")
    return dict(zip(best["environment_id_host"], best["environment_id"], strict=True))


def _aliases(parts: Sequence[Part]) -> pd.Series:
    """Flow id to follow, by environment and other id of the flow."""
    shown = _ids([p for p in parts if p.family not in BY_WORKFLOW])
    if shown[FLOW_IDS[2:]].isna().all(axis=None):
        return pd.Series(dtype=schema.TEXT)
    named = pd.concat([_pairs(shown, column) for column in FLOW_IDS[1:]], ignore_index=True).dropna()
    known = named.drop_duplicates("key").set_index("key")["flow_id"]
    workflows = _ids([p for p in parts if p.family in BY_WORKFLOW])
    # a workflow that the flow service knows by the unique id only
    follow = _key(workflows["environment_id"], workflows["workflow_unique_id"]).map(known).astype(schema.TEXT)
    more = _pairs(workflows.assign(flow_id=follow, workflow_id=workflows["flow_id"]), "workflow_id").dropna()
    both = pd.concat([named, more], ignore_index=True).drop_duplicates("key").set_index("key")["flow_id"]
    names = pd.Index(_key(shown["environment_id"], shown["flow_id"]))
    return both[~among(both.index.to_series(), names)]


def _ids(parts: Sequence[Part]) -> pd.DataFrame:
    frames = [p.frame[FLOW_IDS] for p in parts]
    return pd.concat([schema.empty("flows")[FLOW_IDS], *frames], ignore_index=True)


def _pairs(flows: pd.DataFrame, column: str) -> pd.DataFrame:
    told = flows[flows[column].notna()]
    return pd.DataFrame({"key": _key(told["environment_id"], told[column]), "flow_id": told["flow_id"]})


def _key(environment: pd.Series, flow: pd.Series) -> pd.Series:
    return environment + " " + flow


def _renamed(part: Part, aliases: pd.Series) -> Part:
    frame = part.frame
    if "flow_id" not in frame or "environment_id" not in frame or frame.empty:
        return part
    found = _key(frame["environment_id"], frame["flow_id"]).map(aliases).astype(schema.TEXT)
    if found.isna().all():
        return part
    return replace(part, frame=frame.assign(flow_id=found.fillna(frame["flow_id"])))


def _replaced(part: Part, column: str, names: dict[str, str]) -> Part:
    if column not in part.frame or not set(_hosts(part.frame[column])) & names.keys():
        return part
    values = part.frame[column]
    return replace(part, frame=part.frame.assign(**{column: values.map(names).astype(schema.TEXT).fillna(values)}))
