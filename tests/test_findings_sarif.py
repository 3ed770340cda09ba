"""SARIF that code scanning and trackers take in: the parts of the 2.1.0 schema that findings use, held closed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import rooms
from jsonschema import Draft7Validator, ValidationError

from flowanalysis.exceptions import apply_exceptions, read_exceptions
from flowanalysis.findings import examine, to_sarif
from flowanalysis.rules import RULES


def closed(required: str, **properties: Any) -> dict[str, Any]:
    """An object with these properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def many(item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, **more}


TEXT = {"type": "string", "minLength": 1}
WORDS = closed("text", text=TEXT, markdown=TEXT)
PLACE = closed("", name=TEXT, fullyQualifiedName=TEXT, kind=TEXT, decoratedName=TEXT)
RESULT = closed(
    "message",
    ruleId=TEXT,
    level={"enum": ["none", "note", "warning", "error"]},
    kind={"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
    message=WORDS,
    locations=many(closed("", logicalLocations=many(PLACE, uniqueItems=True), physicalLocation={"type": "object"})),
    suppressions=many(
        closed(
            "kind",
            kind={"enum": ["inSource", "external"]},
            status={"enum": ["accepted", "underReview", "rejected"]},
            justification=TEXT,
        )
    ),
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
    properties={"type": "object", "properties": {"tags": many(TEXT)}},
)
RULE = closed(
    "id", id=TEXT, name=TEXT, shortDescription=WORDS, fullDescription=WORDS, help=WORDS, helpUri=TEXT,
    defaultConfiguration={"type": "object"},
)  # fmt: skip
DRIVER = closed("name", name=TEXT, version=TEXT, rules=many(RULE, uniqueItems=True), informationUri=TEXT)
RUN = closed(
    "tool",
    tool=closed("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=many(RESULT),
)
LOG = closed("version runs", **{"$schema": TEXT, "version": {"enum": ["2.1.0"]}, "runs": many(RUN)})


@pytest.fixture
def log(tmp_path):
    """The SARIF of the findings of a tenant."""

    def made(**flow: object) -> dict[str, Any]:
        file = Path(tmp_path) / "findings.sarif"
        to_sarif(examine(rooms.owned_by("del", **flow)).findings, file)
        return json.loads(file.read_text(encoding="utf-8"))

    return made


HOSTILE = ["{0} {x}", "[a](javascript:alert(1))", "\x1b]0;x\x07", "\u202egnp.exe", "</script>", "x" * 5000]


@pytest.mark.parametrize("name", ["Orders", *HOSTILE])
def test_every_log_fits_the_schema(log, name):
    made = log(display_name=name)
    Draft7Validator(LOG).validate(made)
    results = made["runs"][0]["results"]
    assert results
    assert {r["ruleId"] for r in results} <= set(RULES)
    for result in results:
        text = result["message"]["text"]
        assert not re.search(r"(?<!{)(?:{{)*{\d+}(?!})", text), "a placeholder without an argument"
        assert not re.search(r"(?<!\\)\[[^\]]*\]\(", text), "a link"


def test_the_schema_refuses_what_is_not_sarif(log):
    made = log()
    made["runs"][0]["results"][0]["severity"] = "high"
    with pytest.raises(ValidationError):
        Draft7Validator(LOG).validate(made)


def test_an_accepted_finding_is_suppressed_with_its_reason(tmp_path):
    tenant = rooms.owned_by("del")
    (tmp_path / "e.csv").write_text(
        "rule,subject_id,approver,reason,until\nOWN-1,f,Ada,moves in May,2027-05-31\n", encoding="utf-8"
    )
    found = apply_exceptions(examine(tenant).findings, read_exceptions(tmp_path / "e.csv"), as_of=tenant.as_of)
    to_sarif(found, tmp_path / "a.sarif")
    made = json.loads((tmp_path / "a.sarif").read_text(encoding="utf-8"))
    Draft7Validator(LOG).validate(made)
    told = {r["ruleId"]: r.get("suppressions") for r in made["runs"][0]["results"]}
    assert "moves in May" in told.pop("OWN-1")[0]["justification"]
    assert not any(told.values())


def test_no_finding_is_a_log_too(tmp_path):
    to_sarif(examine(rooms.build()).findings.head(0), tmp_path / "none.sarif")
    Draft7Validator(LOG).validate(json.loads((tmp_path / "none.sarif").read_text(encoding="utf-8")))
