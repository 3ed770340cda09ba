"""What a definition alone gives away: secrets, open doors, data on its way out, old parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis import reference
from flowanalysis.lookup import text_by
from flowanalysis.rules.base import Rule, rows
from flowanalysis.rules.context import FLOW, Context

__all__ = ["RULES"]


def _marked(context: Context, marks: tuple[str, ...]) -> pd.DataFrame:
    """Marks of the given kinds as rows about their flows."""
    found = context.tenant.definition_marks
    found = found[found["mark"].isin(marks)]
    fid = context.fid(found)
    cases = found[fid >= 0]
    where = (": " + cases["step"]).where(cases["step"].fillna("") != "", "")
    return rows(
        cases,
        subject_kind="flow",
        subject_name=pd.Series(context.flows["name"].array[fid[fid >= 0]], index=cases.index),
        table="definition_marks",
        step=cases["step"],
        resource=cases["path"],
        fact=cases["detail"].fillna(cases["mark"]) + where,
    )


def secret(context: Context) -> pd.DataFrame:
    """A password, key or token stands in the definition; only its place and kind are told."""
    return _marked(context, ("secret",))


def open_trigger(context: Context) -> pd.DataFrame:
    """Whoever knows the address can start the flow."""
    return _marked(context, ("open_http_trigger",))


def old_parts(context: Context) -> pd.DataFrame:
    """A deprecated operation or a connector that is being switched off."""
    return _marked(context, ("deprecated_operation", "legacy_connector"))


def gives_rights(context: Context) -> pd.DataFrame:
    """A step gives or shares rights."""
    needs = context.tenant.needs
    found = needs[needs["right"].isin(["grant", "share"])].drop_duplicates([*FLOW, "step"])
    fid = context.fid(found)
    cases = found[fid >= 0]
    return rows(
        cases,
        subject_kind="flow",
        subject_name=pd.Series(context.flows["name"].array[fid[fid >= 0]], index=cases.index),
        table="needs",
        step=cases["step"],
        resource=cases["resource"],
        fact=cases["step"] + " gives rights to others (" + cases["operation_id"].fillna("operation not known") + ")",
    )


def data_leaves(context: Context) -> pd.DataFrame:
    """One flow holds a connector with business data and one that is outside, by the data policies or else by kind."""
    declared = context.tenant.flow_connections[[*FLOW, "connector_id"]].dropna().drop_duplicates()
    declared = declared.assign(fid=context.fid(declared))
    declared = declared[declared["fid"] >= 0]
    policed = _policed(context, declared)
    known = reference.table("connectors").set_index("connector")["side"]
    side = text_by(declared["connector_id"], known)
    # A data policy of the company says more than any list of ours.
    told = declared.merge(policed, on=[*FLOW, "connector_id"], how="left")["classification"].to_numpy(object)
    told = pd.Series(told, index=declared.index)
    side = side.mask(told == "business", "business").mask((told == "blocked") | (told == "non_business"), "outside")
    # Where policies put a neutral helper outside the business group, no data of the company leaves.
    side = side.mask((told == "non_business") & (text_by(declared["connector_id"], known) == "neutral"), "neutral")
    business = context.count(declared["fid"].to_numpy()[(side == "business").fillna(False).to_numpy(bool)]) > 0
    out = declared[(side == "outside").fillna(False).to_numpy(bool)]
    cases = out[business[out["fid"]]]
    return rows(
        cases,
        subject_kind="flow",
        subject_name=pd.Series(context.flows["name"].array[cases["fid"]], index=cases.index),
        table="flow_connections",
        resource=cases["connector_id"],
        fact="business data in the flow can reach " + cases["connector_id"],
    )


def _policed(context: Context, declared: pd.DataFrame) -> pd.DataFrame:
    """The strictest class that the data policies in force give a connector in each flow's environment."""
    rules = context.tenant.dlp_rules
    places = declared[["environment_id"]].drop_duplicates()
    pairs = rules.merge(places, how="cross") if len(rules) else rules.assign(environment_id=pd.NA)
    listed = [
        environment in str(ids).split()
        for environment, ids in zip(pairs["environment_id"], pairs["environment_ids"], strict=True)
    ]
    scope = pairs["scope"].fillna("all")
    applies = np.select([scope == "only", scope == "except"], [listed, ~np.array(listed, bool)], True).astype(bool)
    pairs = pairs[applies]
    rank = pairs["classification"].map({"blocked": 0, "non_business": 1, "business": 2})
    pairs = pairs.assign(rank=rank).sort_values("rank").drop_duplicates(["environment_id", "connector_id"])
    found = declared[[*FLOW, "connector_id"]].merge(
        pairs[["environment_id", "connector_id", "classification"]], on=["environment_id", "connector_id"]
    )
    return found.astype({"classification": object})


DEFINITIONS = ("flows", "definition_marks")

RULES = (
    Rule(
        "SEC-1",
        "Secret stands in the flow",
        "Everyone who may open or export the flow can read it.",
        "Change the secret now, and take it from a vault or a secure environment variable.",
        "flow",
        DEFINITIONS,
        (),
        secret,
    ),
    Rule(
        "SEC-2",
        "Anybody can start the flow",
        "Whoever learns the address of the trigger runs the flow with its accounts' rights.",
        "Let the trigger accept signed-in users of the tenant only.",
        "flow",
        DEFINITIONS,
        (),
        open_trigger,
    ),
    Rule(
        "SEC-3",
        "Business data can leave the organisation",
        "The flow holds business data and a connector outside the organisation's control.",
        "Ask the owner whether this is meant; remove the connector or approve it as an exception.",
        "flow",
        ("flows", "flow_connections"),
        ("dlp_rules",),
        data_leaves,
    ),
    Rule(
        "SEC-4",
        "Flow gives rights to others",
        "Who can start or change the flow can hand out access that nobody reviews.",
        "Limit who may edit and start it, and review what it handed out.",
        "flow",
        ("flows", "needs"),
        (),
        gives_rights,
    ),
    Rule(
        "LEG-1",
        "Flow uses a part that is being switched off",
        "Its steps fail on the day the part ends.",
        "Replace the connector or operation by its successor.",
        "flow",
        DEFINITIONS,
        (),
        old_parts,
    ),
)
