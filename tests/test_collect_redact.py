"""What must not reach the disk does not, and what analyses need does."""

from __future__ import annotations

import json

import pytest

from flowanalysis.collect.redact import REDACTED, redact
from flowanalysis.definitions import read_definition
from flowanalysis.definitions.stripped import noted, strip
from flowanalysis.errors import HonestStop

CANARY = "canary-4711-secret"


def flow(**properties: object) -> dict:
    return {"name": "f", "properties": {"displayName": "Flow", **properties}}


@pytest.mark.parametrize(
    "properties",
    [
        {"flowTriggerUri": f"https://x.example/?sig={CANARY}"},
        {"trigger": {"inputsLink": {"uri": CANARY}, "outputsLink": {"uri": CANARY}}},
        {"iconUri": f"https://x.example/icon?sv=1&sig={CANARY}"},
        {"api": {"originalSwaggerUrl": f"https://x.example/a?se=1&sig={CANARY}&sp=r"}},
        {"deep": [{"deeper": {"clientSecret": CANARY}}]},
        {"Password": CANARY},
    ],
)
def test_links_and_secrets_of_a_flow_are_gone(properties):
    page, left_out = redact({"value": [flow(**properties)]}, "flow")
    assert CANARY not in json.dumps(page)
    assert page["value"][0]["properties"]["displayName"] == "Flow"
    assert left_out == 0


def test_parameters_of_a_connection_are_kept_by_name_only():
    parameters = {"username": "svc@fabrikam.example", "password": CANARY, "server": "db.example", "odd": CANARY}
    values = {"token:clientId": {"value": "app"}, "token:clientSecret": {"value": CANARY}, "token": {"value": CANARY}}
    row = flow(connectionParameters=parameters, connectionParametersSet={"name": "sql", "values": values})
    page, _ = redact({"value": [row]}, "connection")
    kept = page["value"][0]["properties"]
    assert CANARY not in json.dumps(page)
    assert kept["connectionParameters"]["username"] == "svc@fabrikam.example"
    assert kept["connectionParameters"]["password"] == REDACTED
    assert kept["connectionParametersSet"]["name"] == "sql"
    assert kept["connectionParametersSet"]["values"]["token:clientId"] == {"value": "app"}


@pytest.mark.parametrize("odd", [CANARY, [CANARY], {"values": CANARY}, {"values": {"username": [CANARY]}}])
def test_parameters_of_an_odd_form_are_not_trusted(odd):
    page, _ = redact({"value": [flow(connectionParameters=odd)]}, "connection")
    assert CANARY not in json.dumps(page)


def secret_flow() -> dict:
    inputs = {"method": "GET", "uri": "https://x.example", "headers": {"Authorization": f"Bearer {CANARY}9xQ"}}
    action = {"type": "Http", "inputs": inputs, "runAfter": {}}
    return {"triggers": {"manual": {"type": "Request", "kind": "Button"}}, "actions": {"Call": action}}


def test_a_definition_keeps_no_secret_but_still_tells_that_it_had_one():
    page, _ = redact({"value": [flow(definition=secret_flow())]}, "flow", redactor=strip)
    assert CANARY not in json.dumps(page)
    told = [m for m in read_definition(page["value"][0], flow_id="f").marks if m["mark"] == "secret"]
    raw = [m for m in read_definition(flow(definition=secret_flow()), flow_id="f").marks if m["mark"] == "secret"]
    drop = {"fingerprint"}
    assert [{k: v for k, v in m.items() if k not in drop} for m in told] == [
        {k: v for k, v in m.items() if k not in drop} for m in raw
    ]
    assert raw != []


def test_stripping_twice_is_stripping_once():
    once = strip(secret_flow())
    assert strip(once) == once
    assert len(noted(once)) == 1


@pytest.mark.parametrize("note", [None, 1, [1], [{}], [{"kind": 1, "path": [], "length": 2}], {"a": 1}])
def test_notes_of_another_form_are_passed_over(note):
    assert noted({"metadata": {"removedSecrets": note}}) == []


def test_clientdata_of_dataverse_is_cleaned_inside_its_text():
    data = json.dumps({"properties": {"connectionReferences": {}, "definition": secret_flow()}, "schemaVersion": "1"})
    page, left_out = redact({"value": [{"workflowid": "w", "clientdata": data}]}, "workflow", redactor=strip)
    assert CANARY not in json.dumps(page)
    assert json.loads(page["value"][0]["clientdata"])["schemaVersion"] == "1"
    assert left_out == 0


def variable(name: str, value: str, *, kind: int = 100000000, default: str | None = None) -> dict:
    told = [{"environmentvariablevalueid": "v", "value": value, "statecode": 0}]
    row = {"environmentvariabledefinitionid": "d", "schemaname": name, "type": kind, "defaultvalue": default}
    return {**row, "environmentvariabledefinition_environmentvariablevalue": told}


@pytest.mark.parametrize(
    "row",
    [
        variable("tt_Vault", CANARY, kind=100000005),
        variable("tt_Vault", "", kind=100000005, default=CANARY),
        variable("tt_ApiKey", CANARY),
        variable("tt_Plain", f"https://x.example/run?sig={CANARY}8Jx2"),
        variable("tt_Plain", "", default=f"Server=x;Password={CANARY};"),
    ],
)
def test_environment_variables_that_are_secrets_by_type_name_or_form_do_not_reach_the_disk(row):
    page, left_out = redact({"value": [row]}, "variable", redactor=strip)
    assert CANARY not in json.dumps(page)
    assert CANARY in json.dumps(redact({"value": [row]}, "")[0])
    assert page["value"][0]["schemaname"] == row["schemaname"]
    assert left_out == 0


@pytest.mark.parametrize("told", [None, {}, "text", [3, None], []])
def test_environment_variables_that_are_none_pass_unchanged_whatever_their_form(told):
    row = variable("tt_Site", "https://tailwind.example/sites/hr", default="https://tailwind.example/sites/dev")
    odd = {**row, "environmentvariabledefinition_environmentvariablevalue": told}
    assert redact({"value": [row, odd]}, "variable", redactor=strip)[0] == {"value": [row, odd]}


@pytest.mark.parametrize(
    "kind, row", [("flow", {"definition": {"a": CANARY}}), ("workflow", {"clientdata": "{" + CANARY})]
)
def test_a_definition_that_cannot_be_cleaned_is_left_out_and_counted(kind, row):
    def fail(_):
        raise ValueError(CANARY)

    page, left_out = redact({"value": [row]}, kind, redactor=fail)
    assert (page, left_out) == ({"value": [{}]}, 1)


def test_without_a_redactor_definitions_pass_unchanged():
    row = flow(definition=secret_flow())
    assert redact({"value": [row]}, "flow")[0] == {"value": [row]}


def test_absurd_nesting_is_an_honest_stop():
    deep: list = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(HonestStop, match="nested"):
        redact({"value": [{"properties": deep}]}, "flow")


@pytest.mark.parametrize("odd", ["text", ["list"], 3, True])
def test_a_definition_of_an_odd_form_is_left_out_and_counted(odd):
    page, left_out = redact({"value": [{"definition": odd}]}, "flow", redactor=strip)
    assert (page, left_out) == ({"value": [{}]}, 1)


ODD = ["compressed", "{", "[]", '["x"]', '{"properties": 3}', '{"a": 1}', '{"properties": {"definition": "text"}}']


@pytest.mark.parametrize("text, kept", [("", True), ('{"properties":{}}', True), *((text, False) for text in ODD)])
def test_clientdata_that_cannot_be_searched_is_left_out_and_counted(text, kept):
    page, left_out = redact({"value": [{"clientdata": text}]}, "workflow", redactor=strip)
    assert (page, left_out) == ({"value": [{"clientdata": text}]}, 0) if kept else ({"value": [{}]}, 1)


def test_clientdata_passes_unchanged_without_a_redactor():
    page = {"value": [{"clientdata": "{}"}]}
    assert redact(page, "workflow") == (page, 0)


@pytest.mark.parametrize("value", [None, {"value": "x"}, {"value": {"deep": CANARY}, "more": CANARY}, 7, [], [CANARY]])
def test_a_kept_parameter_is_plain_or_gone(value):
    page, _ = redact({"value": [flow(connectionParameters={"server": value})]}, "connection")
    told = page["value"][0]["properties"]["connectionParameters"]["server"]
    assert CANARY not in json.dumps(page)
    assert told == ({"value": "x"} if value == {"value": "x"} else {} if isinstance(value, dict) else
                    REDACTED if isinstance(value, list) else value)  # fmt: skip


def test_selected_columns_pass_as_the_very_page():
    page = {"value": [{"password": "of no flow"}]}
    assert redact(page, "") == (page, 0)
    assert redact(page, "")[0] is page
    assert redact({"value": [{"definition": None, "secret": "", "apiKey": 3}]}, "flow")[0]["value"] == [
        {"definition": None, "secret": "", "apiKey": 3}
    ]


def test_links_beside_the_definition_of_clientdata_are_gone_too():
    properties = {"definition": {}, "flowTriggerUri": CANARY, "icon": f"https://x.example/i?sig={CANARY}"}
    page, _ = redact({"value": [{"clientdata": json.dumps({"properties": properties})}]}, "workflow", redactor=strip)
    assert CANARY not in json.dumps(page)
    assert set(json.loads(page["value"][0]["clientdata"])["properties"]) == {"definition", "icon"}
