"""Rules to findings: one table with stable ids, computed severities, and the evidence behind each row.

**Ids** come from the rule and the ids of its subject, never from names: renaming a flow keeps its findings.

**Severity** is the base of the rule (policy), one step up when many running flows are at stake, one step
up when an important flow is among them, one step down when none of them runs or all are personal.

**Confidence** is *partial* when a table that would have told more was not collected, or when the rule had
to conclude from weaker evidence. A rule whose needed tables are missing is not answered at all:
`answerable` lists it. Silence never stands for "no problem".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from flowanalysis import __version__
from flowanalysis.policy import SEVERITIES, Policy, load_policy
from flowanalysis.rules import RULES
from flowanalysis.rules.base import EVIDENCE, KEY, Rule
from flowanalysis.rules.context import Context
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.tenant import Tenant
from flowanalysis.text import cell, plain

__all__ = ["COLUMNS", "Examination", "answerable", "evidence", "examine", "find", "rule_table", "to_csv", "to_sarif"]

COLUMNS: list[str] = [
    "finding_id",
    "rule",
    "title",
    "severity",
    "subject_kind",
    "subject_id",
    "subject_name",
    "environment_id",
    "flow_id",
    "account_id",
    "impact",
    "advice",
    "confidence",
    "evidence",
]
EVIDENCE_COLUMNS = ["finding_id", "rule", *EVIDENCE]


@dataclass(frozen=True)
class Examination:
    """Findings, their evidence, and which rules could be answered."""

    findings: pd.DataFrame
    evidence: pd.DataFrame
    answerable: pd.DataFrame


def find(tenant: Tenant, policy: Policy | None = None, previous: Tenant | None = None) -> pd.DataFrame:
    """All findings of a tenant.

    Parameters
    ----------
    tenant : Tenant
        What is judged.
    policy : Policy, optional
        Thresholds; the default policy without one.
    previous : Tenant, optional
        The month before; without it rules that compare are not answered.

    Returns
    -------
    DataFrame
        One row per finding, most severe first: finding_id, rule, title, severity (critical | high | medium |
        low | info), subject_kind, subject_id, subject_name, environment_id, flow_id, account_id, impact,
        advice, confidence (full | partial), evidence (number of rows in `evidence`).
    """
    return examine(tenant, policy, previous).findings


def evidence(tenant: Tenant, policy: Policy | None = None, previous: Tenant | None = None) -> pd.DataFrame:
    """The rows behind each finding.

    Returns
    -------
    DataFrame
        finding_id, rule, table, at_environment_id, at_flow_id, step, connection_id, principal_id, resource
        and fact (a sentence).
    """
    return examine(tenant, policy, previous).evidence


def examine(tenant: Tenant, policy: Policy | None = None, previous: Tenant | None = None) -> Examination:
    """Findings, evidence and coverage in one pass."""
    policy = policy or load_policy()
    context = Context(tenant, policy, previous)
    coverage = answerable(tenant, policy, previous)
    state = dict(zip(coverage["rule"], coverage["answerable"], strict=True))
    parts = [_apply(rule, context) for rule in RULES.values() if state[rule.id] in ("full", "partly")]
    found = _stacked([f for f, _ in parts], COLUMNS)
    proof = _stacked([e for _, e in parts], EVIDENCE_COLUMNS)
    rank = found["severity"].map({s: i for i, s in enumerate(reversed(SEVERITIES))}).astype("int64")
    order = found.assign(rank=rank).sort_values(["rank", "rule", "finding_id"]).index
    proof = proof.sort_values(EVIDENCE_COLUMNS, na_position="first", ignore_index=True)
    return Examination(found.loc[order].reset_index(drop=True), proof, coverage)


def answerable(tenant: Tenant, policy: Policy | None = None, previous: Tenant | None = None) -> pd.DataFrame:
    """Which rules the collected tables can answer.

    Returns
    -------
    DataFrame
        rule, title, answerable (full | partly | no | off), missing (tables or knowledge lacking, in words).
    """
    policy = policy or load_policy()
    return pd.DataFrame([_answer(rule, tenant, policy, previous) for rule in RULES.values()], dtype=TEXT)


def rule_table() -> pd.DataFrame:
    """Every rule: rule, title, impact, advice, subject, needs, helps."""
    rows = [
        (r.id, r.title, r.impact, r.advice, r.subject, " ".join(r.needs), " ".join(r.helps)) for r in RULES.values()
    ]
    return pd.DataFrame(rows, columns=["rule", "title", "impact", "advice", "subject", "needs", "helps"], dtype=TEXT)


def _answer(rule: Rule, tenant: Tenant, policy: Policy, previous: Tenant | None) -> dict[str, str]:
    lacking = [t for t in rule.needs if not tenant.has(t)]
    if rule.previous:
        lacking += ["a month before"] if previous is None else []
        lacking += [f"{t} of the month before" for t in rule.needs if previous is not None and not previous.has(t)]
    weak = [t for t in rule.helps if not tenant.has(t)] + ([] if lacking else _holes(rule, tenant))
    answer = "no" if lacking else "partly" if weak else "full"
    if not policy.enabled(rule.id):
        answer, lacking, weak = "off", [], []
    return {"rule": rule.id, "title": rule.title, "answerable": answer, "missing": ", ".join(lacking + weak)}


def _holes(rule: Rule, tenant: Tenant) -> list[str]:
    """What a collected table lacks: flows without a definition, flows whose owners nobody told."""
    holes = []
    if {"definition_marks", "needs", "steps"} & set(rule.needs):
        blind = int((~tenant.flows["has_definition"].fillna(True)).sum())
        holes += [f"definitions of {blind:,} flows"] if blind else []
    if "flow_owners" in rule.needs:
        vague = int(tenant.flows["owner_source"].isin(["creator", "inventory"]).sum())
        holes += [f"owners of {vague:,} flows, of which only the creator is known"] if vague else []
    return holes


def _apply(rule: Rule, context: Context) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of one rule, grouped by key into findings."""
    rows = rule.find(context)
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=EVIDENCE_COLUMNS)
    key = rows["subject_kind"].fillna("")
    for column in KEY[1:]:
        key = key + "\x1f" + rows[column].fillna("")
    code, keys = pd.factorize(key, sort=True)
    ids = np.array([_finding_id(rule.id, k) for k in keys], dtype=object)
    proof = rows[EVIDENCE].assign(finding_id=ids[code], rule=rule.id)[EVIDENCE_COLUMNS].drop_duplicates()
    first = _first_rows(rows, code)
    found = first[KEY[:2] + ["subject_name"] + KEY[2:]].assign(finding_id=ids, rule=rule.id)
    reach, importance = _at_stake(rows, code, context)
    found["severity"] = _severity(rule.id, reach, importance, context.policy)
    for column in ("title", "advice", "impact"):
        found[column] = first[column].fillna(_filled(getattr(rule, column), reach, first.index))
    partial = not context.tenant.has(*rule.helps)
    weak = np.bincount(code, weights=rows["partial"].fillna(True).to_numpy(float)) > 0
    found["confidence"] = np.where(weak | partial, "partial", "full")
    found["evidence"] = proof["finding_id"].value_counts().reindex(ids).to_numpy()
    return found[COLUMNS], proof


def _finding_id(rule: str, key: str) -> str:
    digest = hashlib.sha256(f"{rule}\x1f{key}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{rule}-{digest[:16]}"


def _first_rows(rows: pd.DataFrame, code: np.ndarray) -> pd.DataFrame:
    """One row for each finding, the same whatever the order of the input."""
    ordered = rows.assign(code=code)
    several = ordered["code"].duplicated(keep=False)
    words = ["code", "subject_name", "title", "advice", "impact"]
    ordered = pd.concat([ordered[~several], ordered[several].sort_values(words)])
    return ordered.drop_duplicates("code").sort_values("code").reset_index(drop=True)


def _at_stake(rows: pd.DataFrame, code: np.ndarray, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """For each finding: number of running flows at stake, and the importance of the most important one."""
    size = int(code.max()) + 1
    reach = np.zeros(size, np.int64)
    np.maximum.at(reach, code, rows["reach"].fillna(0).to_numpy(np.int64))
    fid = context.fid(rows, env="at_environment_id", flow="at_flow_id")
    seen = pd.DataFrame({"code": code, "fid": fid})[fid >= 0].drop_duplicates()
    running = seen[context.flows["running"].to_numpy(bool)[seen["fid"]]]
    reach = np.maximum(reach, np.bincount(running["code"], minlength=size))
    importance = np.full(size, -9, np.int64)
    np.maximum.at(importance, seen["code"].to_numpy(), context.importance[seen["fid"]])
    return reach, np.where(importance == -9, 0, importance)


def _severity(rule: str, reach: np.ndarray, importance: np.ndarray, policy: Policy) -> np.ndarray:
    base = SEVERITIES.index(policy.severity["base"][rule])
    level = base + (reach >= policy.severity["wide_flows"]) + importance
    return np.array(SEVERITIES, dtype=object)[np.clip(level, 0, len(SEVERITIES) - 1)]


def _filled(template: str, reach: np.ndarray, index: pd.Index) -> pd.Series:
    head, mark, tail = template.partition("{flows}")
    if not mark:
        return pd.Series(template, index=index, dtype=TEXT)
    return pd.Series(head + pd.Series(reach, index=index).astype(TEXT) + tail, index=index, dtype=TEXT)


def _stacked(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [p for p in parts if len(p)]
    stacked = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
    kinds = {c: COUNT if c == "evidence" else TEXT for c in columns}
    return stacked[columns].astype(kinds)


def to_csv(found: pd.DataFrame, path: str | Path) -> None:
    """Write findings as CSV; no cell becomes a formula, and the same findings give the same bytes."""
    out = found.astype(object).where(found.notna(), "")
    out.map(cell).to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def to_sarif(found: pd.DataFrame, path: str | Path) -> None:
    """Write findings as SARIF 2.1.0, so that code scanning and trackers can take them in.

    The finding id is the fingerprint: a tracker recognises it next month whatever was renamed.
    """
    driver = {"name": "flowanalysis", "version": __version__, "rules": [_sarif_rule(r) for r in RULES.values()]}
    results = [_sarif_result(row) for row in found.astype(object).where(found.notna(), None).to_dict("records")]
    log = {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }
    Path(path).write_bytes(orjson.dumps(log, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    words = {"shortDescription": {"text": rule.title}, "help": {"text": rule.advice}}
    return {"id": rule.id, "name": rule.find.__name__, **words}


def _sarif_result(row: dict[str, Any]) -> dict[str, Any]:
    level = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}[row["severity"]]
    parts = [
        _sarif_text(p) for p in (row["subject_name"] or row["subject_id"], row["title"], row["impact"], row["advice"])
    ]
    place = {"kind": row["subject_kind"], "name": parts[0], "fullyQualifiedName": plain(_qualified(row))}
    keep = ("severity", "confidence", "environment_id", "flow_id", "account_id", "evidence")
    accepted = row.get("exception") == "accepted"
    why = {"kind": "external", "status": "accepted", "justification": _sarif_text(str(row.get("note")))}
    return {
        **({"suppressions": [why]} if accepted else {}),
        "ruleId": row["rule"],
        "level": level,
        "message": {"text": f"{parts[0]}: {parts[1]}. {parts[2]} {parts[3]}"},
        "locations": [{"logicalLocations": [place]}],
        "partialFingerprints": {"findingId/v1": row["finding_id"]},
        "properties": {k: plain(row[k]) if isinstance(row[k], str) else row[k] for k in keep},
    }


def _qualified(row: dict[str, Any]) -> str:
    return "/".join(str(v) for v in (row["environment_id"], row["subject_id"]) if v)


def _sarif_text(text: str) -> str:
    """Visible control characters, and brackets that do not become links in a viewer."""
    return re.sub(r"([\\\[\]])", r"\\\1", plain(text)).replace("{", "{{").replace("}", "}}")
