"""How rows of rules become findings: ids, order, severity, words, confidence, evidence. Rules of one line each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pandas as pd
import pytest
import rooms

from flowanalysis import schema
from flowanalysis.findings import (
    COLUMNS,
    EVIDENCE_COLUMNS,
    answerable,
    evidence,
    examine,
    find,
    rule_table,
    to_csv,
    to_sarif,
)
from flowanalysis.policy import load_policy
from flowanalysis.rules.base import Rule, no_rows, rows
from flowanalysis.tenant import Tenant

MODULE = sys.modules["flowanalysis.findings"]  # the package has a function of that name
HERE = {"subject_kind": "flow", "subject_id": "f", "environment_id": rooms.ENV, "flow_id": "f"}


def flow(number: int | str, **more: object) -> dict:
    """Evidence that names a flow."""
    return {"at_environment_id": rooms.ENV, "at_flow_id": f"f{number}", **more}


def tenant(*states: str, without: tuple[str, ...] = (), **tables: list[dict]) -> Tenant:
    """Flows f0, f1, ... in these states."""
    made = [{"flow_id": f"f{n}", "state": s} for n, s in enumerate(states)]
    return rooms.build(flows=made, without=without, **tables)


@pytest.fixture
def only(monkeypatch):
    """Put rules in place of all: id to rows; needs, helps and previous on demand."""

    def place(**rules: object) -> None:
        made = {}
        for name, spec in rules.items():
            told = spec if isinstance(spec, dict) else {"rows": spec}
            key = name.replace("_", "-")
            made[key] = Rule(
                id=key,
                title=f"{key} is wrong",
                impact="{flows} flows stop" if told.get("filled") else "something stops",
                advice="mend it",
                subject="flow",
                needs=told.get("needs", ()),
                helps=told.get("helps", ()),
                find=_finder(told.get("rows", [])),
                previous=told.get("previous", False),
            )
        monkeypatch.setattr(MODULE, "RULES", made)

    return place


def _rows(cases: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame([{"environment_id": rooms.ENV, "flow_id": "f"}])
    return pd.concat([rows(frame, **case) for case in cases], ignore_index=True) if cases else no_rows()


def _finder(cases: list[dict]) -> Callable[[object], pd.DataFrame]:
    def find_cases(_: object) -> pd.DataFrame:
        return _rows(cases)

    return find_cases


def test_rows_with_one_key_are_one_finding_and_each_piece_of_evidence_counts_once(only):
    only(
        OWN_1=[
            HERE | {"fact": "a"},
            HERE | {"fact": "b"},
            HERE | {"fact": "b"},
            HERE | {"account_id": "svc", "fact": "a"},
        ]
    )
    found = find(tenant("Started")).set_index(find(tenant("Started"))["account_id"].fillna(""))
    assert found["evidence"].to_dict() == {"": 2, "svc": 1}
    proof = evidence(tenant("Started"))
    assert proof.groupby("finding_id")["fact"].agg(list).to_dict() == {
        found.loc["", "finding_id"]: ["a", "b"],
        found.loc["svc", "finding_id"]: ["a"],
    }
    assert list(proof) == EVIDENCE_COLUMNS
    assert set(proof["rule"]) == {"OWN-1"}


def test_ids_are_those_of_all_months_before(only):
    # The first digits of SHA-256 of the rule and the parts of the key; ledgers on disk hold them.
    only(OWN_1=[HERE], OWN_2=[HERE, {"subject_kind": "account", "subject_id": "svc"}])
    assert set(find(tenant("Started"))["finding_id"]) == {
        "OWN-1-39e7c647eabe5f56",
        "OWN-2-08f76ba34b5c344f",
        "OWN-2-eec44cfc0cbc6b72",
    }


@pytest.mark.parametrize("column", ["subject_kind", "subject_id", "environment_id", "flow_id", "account_id"])
def test_each_part_of_the_key_makes_another_finding_and_no_word_does(only, column):
    only(OWN_1=[HERE, HERE | {column: "other"}, HERE | {"subject_name": "New name", "fact": "x", "title": "y"}])
    assert len(find(tenant("Started"))) == 2


def test_findings_come_by_severity_then_rule_then_id(only):
    only(OWN_2=[HERE, HERE | {"subject_id": "g"}], GAP_2=[HERE], OWN_1=[HERE], OVL_2=[HERE])
    found = find(tenant("Started"))
    assert found["rule"].tolist() == ["GAP-2", "OWN-1", "OWN-2", "OWN-2", "OVL-2"]
    assert found["severity"].tolist() == ["high", "high", "low", "low", "info"]
    pair = found.loc[found["rule"] == "OWN-2", "finding_id"].tolist()
    assert pair == sorted(pair)
    assert list(found) == COLUMNS
    assert found.index.tolist() == [0, 1, 2, 3, 4]


def test_evidence_is_sorted_and_what_it_does_not_say_comes_first(only):
    only(OWN_1=[HERE | {"step": s, "fact": "x"} for s in ("b", None, "a")])
    assert evidence(tenant("Started"))["step"].fillna("").tolist() == ["", "a", "b"]


RUNNING = ["Started"] * 12


@pytest.mark.parametrize(
    ("states", "cases", "severity"),
    [
        (RUNNING, [flow(n) for n in range(9)], "medium"),
        (RUNNING, [flow(n) for n in range(10)], "high"),
        (RUNNING, [flow(n, fact="x") for n in [*range(9), *range(9)]], "medium"),
        (["Started"] * 9 + ["Stopped"] * 3, [flow(n) for n in range(12)], "medium"),
        (RUNNING, [flow(0, reach=9)], "medium"),
        (RUNNING, [flow(0, reach=10)], "high"),
        (RUNNING, [flow(0, reach=9), flow(1, reach=10), flow(2, reach=1)], "high"),
        (RUNNING, [{"reach": 10}], "high"),
        (RUNNING, [{}], "medium"),
        (["Stopped"], [flow(0)], "low"),
        (["Stopped", "Started"], [flow(0), flow(1)], "medium"),
        (["Stopped"], [flow(0), flow("of another tenant")], "low"),
        (["Stopped"], [flow("of another tenant")], "medium"),
        (["Suspended", "Unknown"], [flow(0)], "medium"),
        (["Unknown"], [flow(0)], "medium"),
    ],
)
def test_many_running_flows_raise_a_finding_and_idle_ones_lower_it(only, states, cases, severity):
    only(GAP_1=[HERE | case for case in cases])
    assert find(tenant(*states))["severity"].tolist() == [severity]


def test_flows_at_stake_are_counted_for_each_finding_apart(only):
    wide = [HERE | flow(n) for n in range(10)]
    only(GAP_1={"rows": [*wide, HERE | {"subject_id": "narrow"} | flow(0)], "filled": True})
    found = find(tenant(*RUNNING)).set_index("subject_id")
    assert found["severity"].to_dict() == {"f": "high", "narrow": "medium"}
    assert found["impact"].to_dict() == {"f": "10 flows stop", "narrow": "1 flows stop"}


def test_a_number_that_a_rule_gives_and_the_flows_it_names_count_whichever_is_more(only):
    only(GAP_1={"rows": [HERE | flow(0, reach=5), HERE | flow(1, reach=3)], "filled": True})
    assert find(tenant(*RUNNING))["impact"].tolist() == ["5 flows stop"]


def test_words_of_a_row_stand_before_those_of_its_rule(only):
    own = {"title": "own title", "advice": "own advice", "impact": "own impact", "subject_name": "Orders"}
    only(OWN_1=[HERE | own], OWN_2=[HERE])
    found = find(tenant("Started")).set_index("rule")
    words = ["title", "advice", "impact", "subject_name"]
    assert found.loc["OWN-1", words].tolist() == ["own title", "own advice", "own impact", "Orders"]
    assert found.loc["OWN-2", words[:3]].tolist() == ["OWN-2 is wrong", "mend it", "something stops"]
    assert pd.isna(found.loc["OWN-2", "subject_name"])


@pytest.mark.parametrize("turned", [False, True])
def test_words_do_not_hang_on_the_order_of_rows(only, turned):
    cases = [HERE | {"subject_name": n, "title": t} for n, t in (("Beta", "one"), ("Alpha", "two"), ("Alpha", "new"))]
    only(OWN_1=cases[::-1] if turned else cases)
    assert find(tenant("Started"))[["subject_name", "title"]].to_numpy().tolist() == [["Alpha", "new"]]


@pytest.mark.parametrize(
    ("flags", "helps", "confidence"),
    [
        ([False], (), "full"),
        ([True], (), "partial"),
        ([False, True], (), "partial"),
        ([None], (), "partial"),
        ([False], ("runs",), "full"),
        ([False], ("runs", "licences"), "partial"),
    ],
)
def test_confidence_is_full_when_nothing_is_lacking(only, flags, helps, confidence):
    cases = [HERE | {"partial": flag, "fact": str(n)} for n, flag in enumerate(flags)]
    only(OWN_1={"rows": cases, "helps": helps})
    assert find(tenant("Started"))["confidence"].tolist() == [confidence]


def test_one_weak_finding_leaves_its_neighbours_certain(only):
    only(OWN_1=[HERE | {"partial": True}, HERE | {"subject_id": "g", "partial": False}])
    assert find(tenant("Started")).set_index("subject_id")["confidence"].to_dict() == {"f": "partial", "g": "full"}


BEFORE = tenant("Started")


@pytest.mark.parametrize(
    ("spec", "previous", "answer", "missing"),
    [
        ({}, None, "full", ""),
        ({"needs": ("flows", "identities")}, None, "full", ""),
        ({"needs": ("grants", "flows", "licences")}, None, "no", "grants, licences"),
        ({"helps": ("grants", "flows")}, None, "partly", "grants"),
        ({"needs": ("grants",), "helps": ("licences",)}, None, "no", "grants, licences"),
        ({"needs": ("flows",), "previous": True}, None, "no", "a month before"),
        ({"needs": ("flows",), "previous": True}, BEFORE, "full", ""),
        ({"needs": ("grants",), "previous": True}, BEFORE, "no", "grants, grants of the month before"),
        ({"needs": ("grants",)}, BEFORE, "no", "grants"),
    ],
)
def test_a_rule_is_answered_as_far_as_its_tables_were_collected(only, spec, previous, answer, missing):
    only(OWN_1={"rows": [HERE], **spec})
    told = answerable(tenant("Started"), previous=previous)
    assert told.to_dict("records") == [
        {"rule": "OWN-1", "title": "OWN-1 is wrong", "answerable": answer, "missing": missing}
    ]
    assert len(find(tenant("Started"), previous=previous)) == (answer != "no")


@pytest.mark.parametrize("needed", ["definition_marks", "needs", "steps"])
def test_flows_without_a_definition_leave_the_answer_partial_with_their_number(only, needed):
    only(SEC_1={"needs": (needed,)}, OWN_1={"needs": ("flows",)})
    flows = [{"flow_id": f"f{n}", "has_definition": known} for n, known in enumerate([True, False, False, None])]
    told = answerable(rooms.build(flows=flows, **{needed: []})).set_index("rule")
    assert told.loc["SEC-1", ["answerable", "missing"]].tolist() == ["partly", "definitions of 2 flows"]
    assert told.loc["OWN-1", ["answerable", "missing"]].tolist() == ["full", ""]
    whole = rooms.build(flows=flows[:1] + flows[3:], **{needed: []})
    assert answerable(whole).set_index("rule").loc["SEC-1", "answerable"] == "full"


@pytest.mark.parametrize(("source", "vague"), [("creator", True), ("inventory", True), ("permissions", False)])
def test_owners_of_whom_only_the_creator_is_known_leave_the_answer_partial(only, source, vague):
    only(OWN_1={"needs": ("flow_owners",)}, GAP_1={"needs": ("flows",)})
    told = answerable(rooms.build(flows=[{"flow_id": "f", "owner_source": source}])).set_index("rule")
    words = "owners of 1 flows, of which only the creator is known" if vague else ""
    assert told.loc["OWN-1", ["answerable", "missing"]].tolist() == ["partly" if vague else "full", words]
    assert told.loc["GAP-1", "answerable"] == "full"


def test_holes_are_not_counted_where_a_table_is_missing_anyway(only):
    only(SEC_1={"needs": ("steps",), "helps": ("flow_owners",)})
    flows = [{"flow_id": "f", "has_definition": False, "owner_source": "creator"}]
    assert answerable(rooms.build(flows=flows))["missing"].tolist() == ["steps"]


def test_a_rule_that_is_off_finds_nothing_and_lacks_nothing(only):
    only(OWN_1={"rows": [HERE], "needs": ("grants",)}, OWN_2=[HERE])
    policy = load_policy().with_threshold("OWN-1", "enabled", False)
    told = examine(tenant("Started"), policy)
    assert told.answerable[["answerable", "missing"]].to_numpy().tolist() == [["off", ""], ["full", ""]]
    assert told.findings["rule"].tolist() == ["OWN-2"]
    assert set(told.evidence["rule"]) == {"OWN-2"}


def test_nothing_found_is_a_table_of_the_same_columns_and_kinds(only):
    only(OWN_1=[])
    none = examine(tenant("Started"))
    only(OWN_1=[HERE])
    some = examine(tenant("Started"))
    assert (len(none.findings), len(none.evidence)) == (0, 0)
    for first, second in ((none.findings, some.findings), (none.evidence, some.evidence)):
        assert first.dtypes.astype(str).to_dict() == second.dtypes.astype(str).to_dict()
    assert str(some.findings["evidence"].dtype) == str(schema.COUNT)


def test_the_table_of_rules_says_what_each_needs(only):
    only(OWN_1={"needs": ("flows", "identities"), "helps": ("runs",)})
    assert rule_table().to_dict("records") == [
        {
            "rule": "OWN-1",
            "title": "OWN-1 is wrong",
            "impact": "something stops",
            "advice": "mend it",
            "subject": "flow",
            "needs": "flows identities",
            "helps": "runs",
        }
    ]


# SARIF


def results(found: pd.DataFrame, tmp_path) -> list[dict]:
    to_sarif(found, tmp_path / "f.sarif")
    return json.loads((tmp_path / "f.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]


def test_a_result_says_what_is_wrong_where_and_since_when_known(only, tmp_path):
    case = HERE | {"subject_name": "Orders [1] {x}", "account_id": "svc"}
    only(OWN_1=[case], OVL_2=[{"subject_kind": "account", "subject_id": "svc"}])
    found = find(tenant("Started"))
    first, second = results(found, tmp_path)
    assert first == {
        "ruleId": "OWN-1",
        "level": "error",
        "message": {"text": r"Orders \[1\] {{x}}: OWN-1 is wrong. something stops mend it"},
        "locations": [
            {
                "logicalLocations": [
                    {"kind": "flow", "name": r"Orders \[1\] {{x}}", "fullyQualifiedName": f"{rooms.ENV}/f"}
                ]
            }
        ],
        "partialFingerprints": {"findingId/v1": found["finding_id"][0]},
        "properties": {
            "severity": "high",
            "confidence": "full",
            "environment_id": rooms.ENV,
            "flow_id": "f",
            "account_id": "svc",
            "evidence": 1,
        },
    }
    assert second["level"] == "note"
    assert second["message"]["text"].startswith("svc: OVL-2 is wrong.")
    assert second["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "svc"
    assert second["properties"]["flow_id"] is None


@pytest.mark.parametrize(("state", "note", "expected"), [("accepted", "in May", "in May"), ("expired", "in May", None)])
def test_only_an_accepted_finding_is_suppressed(only, tmp_path, state, note, expected):
    only(OWN_1=[HERE])
    found = find(tenant("Started")).assign(exception=state, note=note)
    told = results(found, tmp_path)[0].get("suppressions")
    wanted = [{"kind": "external", "status": "accepted", "justification": expected}] if expected else None
    assert told == wanted


def test_the_log_names_its_tool_and_every_rule(only, tmp_path):
    from flowanalysis import __version__

    only(OWN_1=[HERE])
    to_sarif(find(tenant("Started")), tmp_path / "f.sarif")
    text = (tmp_path / "f.sarif").read_text(encoding="utf-8")
    assert text.endswith("\n}\n")
    assert text.index('"runs"') < text.index('"version"')
    log = json.loads(text)
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["columnKind"] == "unicodeCodePoints"
    driver = log["runs"][0]["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("flowanalysis", __version__)
    rule = {
        "id": "OWN-1",
        "name": "find_cases",
        "shortDescription": {"text": "OWN-1 is wrong"},
        "help": {"text": "mend it"},
    }
    assert driver["rules"] == [rule]


def test_no_property_of_a_result_steers_who_reads_it(only, tmp_path):
    only(OWN_1=[HERE | {"account_id": "svc\u202e\x1b[2J"}])
    assert results(find(tenant("Started")), tmp_path)[0]["properties"]["account_id"] == "svc\\u202e\\x1b[2J"


def test_a_sheet_of_findings_holds_what_was_found_and_no_formula(only, tmp_path):
    only(OWN_1=[HERE | {"subject_name": "=1+1"}])
    found = find(tenant("Started"))
    to_csv(found, tmp_path / "f.csv")
    head, line = (tmp_path / "f.csv").read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    assert head == ",".join(COLUMNS)
    assert (
        line
        == f"{found['finding_id'][0]},OWN-1,OWN-1 is wrong,high,flow,f,'=1+1,env-prod,f,,something stops,mend it,full,1"
    )
