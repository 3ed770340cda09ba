"""Environment variables: the tenant's values tell what a flow works on, whichever file comes first."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest

from flowanalysis import sources
from flowanalysis.collect.redact import REDACTED

HOST = "https://tailwind.api.crm4.dynamics.com/api/data/v9.2/"
EXPANDED = "environmentvariabledefinition_environmentvariablevalue"
ENVIRONMENT = {
    "name": "E1",
    "type": "Microsoft.BusinessAppPlatform/scopes/environments",
    "properties": {"linkedEnvironmentMetadata": {"instanceUrl": "https://Tailwind.crm4.dynamics.com/"}},
}
DEFAULT, OWN = "https://tailwind.example/sites/dev", "https://tailwind.example/sites/HR"
STRING, JSON, SECRET = 100000000, 100000003, 100000005


def variable(name: str = "fab_Site", value: str | None = OWN, *, kind: int = STRING, default: str | None = DEFAULT):
    told = {"environmentvariabledefinitionid": f"D-{name}", "schemaname": name, "type": kind, "defaultvalue": default}
    return {**told, EXPANDED: [{"environmentvariablevalueid": "V", "value": value}] if value is not None else []}


def page(kind: str, rows: list[dict]) -> dict:
    return {"@odata.context": f"{HOST}$metadata#{kind}", "value": rows}


DEFINITIONS, VALUES = "environmentvariabledefinitions", "environmentvariablevalues"


def definition(dataset: str = "@parameters('Site (fab_Site)')", *, default: object = DEFAULT) -> dict:
    step = {
        "type": "OpenApiConnection",
        "inputs": {
            "host": {"connectionName": "sp", "operationId": "GetItems", "apiId": "/apis/shared_sharepointonline"},
            "parameters": {"dataset": dataset, "table": "0f1e2d3c-1111-2222-3333-444455556666"},
        },
    }
    told = {"type": "String", "metadata": {"schemaName": "fab_Site"}}
    parameters = {"Site (fab_Site)": told if default is None else {**told, "defaultValue": default}}
    return {"parameters": parameters, "triggers": {"t": {"type": "Recurrence"}}, "actions": {"Get": step}}


REFERENCES = {"sp": {"id": "/apis/shared_sharepointonline", "connectionName": "c1", "source": "Embedded"}}


def listed(**more) -> list[dict]:
    """A flow as the flow service gives it."""
    properties = {"environment": {"name": "E1"}, "connectionReferences": REFERENCES, "definition": definition(**more)}
    return [{"name": "F1", "type": "Microsoft.ProcessSimple/environments/flows", "properties": properties}]


def workflow(**more) -> dict:
    """A flow as Dataverse gives it."""
    client = json.dumps({"properties": {"connectionReferences": REFERENCES, "definition": definition(**more)}})
    return page("workflows", [{"workflowid": "F1", "category": 5, "type": 1, "statecode": 1, "clientdata": client}])


@pytest.fixture
def load(tmp_path):
    def run(*roots):
        for number, root in enumerate(roots):
            data = root if isinstance(root, bytes) else json.dumps(root).encode()
            (tmp_path / f"{number:03}").write_bytes(data)
        return sources.read(tmp_path).tenant()

    return run


def resource(tenant) -> tuple[str, str]:
    """The one resource with its state."""
    found = tenant.needs[tenant.needs["connector_id"] == "shared_sharepointonline"]
    return found["resource"].item().partition("|")[0], found["state"].item()


HR, DEV = "https://tailwind.example/sites/hr", "https://tailwind.example/sites/dev"


@pytest.mark.parametrize("flow", [[ENVIRONMENT], workflow()], ids=["of the flow service", "of Dataverse"])
def test_the_value_of_the_environment_wins_over_the_default(load, flow):
    tenant = load(listed() if flow == [ENVIRONMENT] else flow, page(DEFINITIONS, [variable()]), [ENVIRONMENT])
    assert resource(tenant) == (HR, "environment_variable")


def test_without_a_value_the_default_of_the_tenant_is_in_force(load):
    tenant = load(workflow(default=None), page(DEFINITIONS, [variable(value=None)]))
    assert resource(tenant) == (DEV, "environment_variable")


def test_a_value_that_the_collection_took_out_is_unknown_and_no_default_stands_for_it(load):
    tenant = load(workflow(default=None), page(DEFINITIONS, [variable(value=REDACTED)]))
    assert tenant.environment_variables["value"].isna().all()
    assert resource(tenant)[1] != "environment_variable"


def test_values_of_another_organisation_say_nothing(load):
    other = page(DEFINITIONS, [variable()])
    other["@odata.context"] = other["@odata.context"].replace("tailwind", "northwind")
    assert resource(load(workflow(), other))[0] == DEV
    assert resource(load(listed(), page(DEFINITIONS, [variable()])))[0] == DEV  # whose organisation, nobody tells


def test_definitions_and_values_in_two_files_are_one_table(load):
    bare = {k: v for k, v in variable().items() if k != EXPANDED}
    values = [
        {"environmentvariablevalueid": "V0", "value": "old", "statecode": 1},
        {"environmentvariablevalueid": "V1", "value": OWN},
    ]
    values = [{**v, "_environmentvariabledefinitionid_value": "D-FAB_SITE"} for v in values]
    tenant = load(workflow(), page(VALUES, values), page(DEFINITIONS, [bare]))
    assert resource(tenant)[0] == HR
    assert tenant.environment_variables[["variable_name", "value"]].values.tolist() == [["fab_site", OWN]]


def test_a_value_may_bring_its_definition_along(load):
    told = {"schemaname": "fab_Site", "type": STRING, "environmentvariabledefinitionid": "D"}
    value = {"environmentvariablevalueid": "V", "value": OWN, "EnvironmentVariableDefinitionId": told}
    assert resource(load(workflow(), page(VALUES, [value])))[0] == HR


def test_a_variable_whose_type_was_not_asked_for_has_its_value(load):
    row = {k: v for k, v in variable().items() if k != "type"}
    assert resource(load(workflow(), page(DEFINITIONS, [row])))[0] == HR


def test_parts_of_a_json_value_are_found(load):
    flow = workflow(dataset="@{parameters('Site (fab_Site)')['hr']}", default={})
    value = json.dumps({"hr": OWN})
    assert resource(load(flow, page(DEFINITIONS, [variable(value=value, kind=JSON)])))[0] == HR


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda data: data.decode().encode("utf-16"),
        lambda data: zipped({"a.json": b"{}", "b.json": data}),
    ],
    ids=["gzip", "UTF-16", "zip"],
)
def test_packed_variables_come_first_too(load, pack):
    data = json.dumps(page(DEFINITIONS, [variable()])).encode()
    assert resource(load(workflow(), pack(data)))[0] == HR


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


VAULT = "/subscriptions/s1/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v1/secrets/tellnobody"


@pytest.mark.parametrize(
    "roots",
    [
        [page(DEFINITIONS, [variable("fab_X", "tellnobody", kind=SECRET, default="tellnobody")])],
        [page(DEFINITIONS, [variable("fab_ApiKey", "tellnobody17")])],
        [
            page(VALUES, [{"environmentvariablevalueid": "V", "value": value}])
            for value in ("tellnobody1", "tellnobody2", VAULT)
        ],
        [
            page(DEFINITIONS, [variable("fab_X", None, kind=SECRET, default=None)]),
            *(
                page(VALUES, [{"_environmentvariabledefinitionid_value": "D-fab_X", "value": value}])
                for value in ("tellnobody1", "tellnobody2", VAULT)
            ),
        ],
    ],
    ids=["by type", "by name", "type not told", "type told elsewhere"],
)
def test_secrets_are_kept_in_no_table(load, roots):
    tenant = load(*roots, workflow())
    told = {name: frame.to_csv() for name, frame in sources_frames(tenant).items()}
    assert not [name for name, rows in told.items() if "tellnobody" in rows]


def sources_frames(tenant) -> dict:
    return {name: tenant[name] for name in sorted(tenant.collected)}


def test_an_empty_list_of_variables_counts_as_collected(load):
    tenant = load(workflow(), page(DEFINITIONS, []))
    assert tenant.has("environment_variables")
    assert tenant.environment_variables.empty
