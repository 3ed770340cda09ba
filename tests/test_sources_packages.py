"""Solutions and flow packages."""

from __future__ import annotations

import json

import pytest

from flowanalysis import schema
from flowanalysis.sources import archives, packages
from flowanalysis.sources.base import Document, Reject

GUID = "0A6F2F0E-4A3C-4D0E-9C11-000000000001"
SIGNED = "Zk3vQ0pXy7Lr2Tn8" + "Wm5Jd1HgYt4Vb6Nc8"
DEFINITION = {
    "properties": {
        "connectionReferences": {
            "shared_sharepointonline": {
                "runtimeSource": "embedded",
                "connection": {"connectionReferenceLogicalName": "fab_Orders"},
                "api": {"name": "shared_sharepointonline"},
            }
        },
        "definition": {
            "triggers": {"Daily": {"type": "Recurrence"}},
            "actions": {
                "Get": {
                    "type": "OpenApiConnection",
                    "inputs": {
                        "host": {"connectionName": "shared_sharepointonline", "operationId": "GetItems"},
                        "parameters": {"dataset": "@parameters('Site (fab_Site)')", "table": "Orders"},
                    },
                }
            },
            "parameters": {
                "Site (fab_Site)": {
                    "defaultValue": "https://fabrikam.example/sites/default",
                    "metadata": {"schemaName": "fab_Site"},
                }
            },
        },
    },
    "schemaVersion": "1.0.0.0",
}
WORKFLOW = (
    '<Workflow WorkflowId="{{{guid}}}" Name="{name}"><Category>{category}</Category>'
    "<StateCode>{state}</StateCode></Workflow>"
)
REFERENCE = (
    '<connectionreference connectionreferencelogicalname="fab_Orders">'
    "<connectionreferencedisplayname>Orders</connectionreferencedisplayname>"
    "<connectorid>/providers/Microsoft.PowerApps/apis/shared_sharepointonline</connectorid>"
    "<statecode>0</statecode></connectionreference>"
)


def sidecar(name="Orders | sync &amp; more", category=5, state=1, guid=GUID):
    return WORKFLOW.format(guid=guid, name=name, category=category, state=state)


def customizations(*workflows, references=REFERENCE):
    return (
        '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<ImportExportXml><Workflows>'
        + "".join(workflows)
        + f"</Workflows><connectionreferences>{references}</connectionreferences></ImportExportXml>"
    ).encode()


def solution(**more):
    return {
        f"Workflows/Orderssyncmore-{GUID}.json": json.dumps(DEFINITION).encode(),
        "customizations.xml": customizations(sidecar()),
        "solution.xml": b"<ImportExportXml><SolutionManifest><Managed>1</Managed></SolutionManifest></ImportExportXml>",
        **more,
    }


def read(members):
    tables, rejects = {}, []
    for found in packages.read(Document("app.zip", "package", members=members)):
        if isinstance(found, Reject):
            rejects.append(found)
        else:
            tables[found.table] = schema.frame(found.table, found.rows)
    return tables, rejects


def test_a_solution_gives_true_names_and_states():
    tables, rejects = read(solution())
    flow = tables["flows"].iloc[0]
    assert (flow["display_name"], flow["state"], flow["kind"]) == ("Orders | sync & more", "Started", "cloud")
    assert flow["flow_id"] == flow["workflow_id"] == GUID.lower()
    assert list(flow[["is_managed", "is_solution", "has_definition"]]) == [True, True, True]
    assert rejects == []


def test_connection_references_have_no_connection_and_are_not_called_unbound():
    reference = read(solution())[0]["connection_references"].iloc[0]
    assert (reference["reference_name"], reference["connector_id"]) == ("fab_orders", "shared_sharepointonline")
    assert schema.frame("connection_references", [reference.to_dict()])["is_bound"].isna().all()


def test_the_sidecar_of_an_unpacked_solution_counts_as_well():
    members = solution()
    del members["customizations.xml"]
    members[f"Workflows/Orderssyncmore-{GUID}.json.data.xml"] = sidecar(name="Orders", state=0).encode()
    flow = read(members)[0]["flows"].iloc[0]
    assert (flow["display_name"], flow["state"]) == ("Orders", "Stopped")


def test_without_any_sidecar_the_file_name_has_to_do():
    flow = read({f"workflows/Orderssync-{GUID}.json": json.dumps(DEFINITION).encode()})[0]["flows"].iloc[0]
    assert (flow["display_name"], flow["state"]) == ("Orderssync", "Unknown")


@pytest.mark.parametrize(
    "name", ["environmentvariabledefinitions/fab_Site", "inner.zip!environmentvariabledefinitions/fab_Site"]
)
def test_values_of_variables_win_over_defaults(name):
    value = {
        "environmentvariablevalues": {"environmentvariablevalue": {"value": "https://fabrikam.example/sites/live"}}
    }
    need = read(solution(**{f"{name}/environmentvariablevalues.json": json.dumps(value).encode()}))[0]["needs"].iloc[0]
    assert (need["resource"], need["state"]) == ("https://fabrikam.example/sites/live|orders", "environment_variable")


def test_defaults_of_the_solution_win_over_those_in_the_definition():
    xml = (
        b'<environmentvariabledefinition schemaname="fab_Site"><defaultvalue>https://fabrikam.example/sites/new'
        b"</defaultvalue></environmentvariabledefinition>"
    )
    members = solution(**{"environmentvariabledefinitions/fab_Site/environmentvariabledefinition.xml": xml})
    assert read(members)[0]["needs"].iloc[0]["resource"].startswith("https://fabrikam.example/sites/new|")


def test_a_flow_package_is_read_by_its_folder():
    document = {"name": GUID, "id": "x", "type": "y", **DEFINITION}
    document["properties"] = {**DEFINITION["properties"], "displayName": "Orders"}
    members = {
        "manifest.json": b"{}",
        "Microsoft.Flow/flows/manifest.json": b"{}",
        f"Microsoft.Flow/flows/{GUID}/definition.json": json.dumps(document).encode(),
        f"Microsoft.Flow/flows/{GUID}/apisMap.json": b"{}",
    }
    assert packages.recognise(Document("p.zip", "package", members=members)) == "flow package"
    flow = read(members)[0]["flows"].iloc[0]
    assert (flow["flow_id"], flow["display_name"], bool(flow["is_solution"])) == (GUID.lower(), "Orders", False)


@pytest.mark.parametrize("category, kind", [(6, "desktop"), (0, "classic"), (4, "classic"), (9000, "other")])
def test_other_workflows_are_reported_with_their_kind_and_without_steps(category, kind):
    members = solution() | {"customizations.xml": customizations(sidecar(category=category))}
    tables, rejects = read(members)
    assert list(tables["flows"]["kind"]) == [kind]
    assert not tables["flows"]["has_definition"].any()
    assert "steps" not in tables
    assert rejects == []


def test_a_desktop_flow_is_known_by_its_content():
    desktop = {"schemaversion": "1", "targets": [], "properties": {"definition": {"package": "UEsDBA=="}}}
    tables, _ = read(
        solution(**{"Workflows/Robot-0A6F2F0E-4A3C-4D0E-9C11-0000000000D5.json": json.dumps(desktop).encode()})
    )
    assert sorted(tables["flows"]["kind"]) == ["cloud", "desktop"]


def test_one_broken_file_does_not_cost_the_others():
    members = solution(
        **{
            "Workflows/Cut-0A6F2F0E-4A3C-4D0E-9C11-0000000000C0.json": b'{"properties": ',
            "Workflows/Odd-0A6F2F0E-4A3C-4D0E-9C11-0000000000C1.json": b"[]",
        }
    )
    tables, rejects = read(members)
    assert len(tables["flows"]) == 1
    assert sorted(r.record.rpartition("/")[2][:3] for r in rejects) == ["Cut", "Odd"]


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize(
    "xml", [BOMB, OUTSIDE, b"<cut", b"", b"\xff\xfe\x00"], ids=["bomb", "outside", "cut", "empty", "bytes"]
)
def test_hostile_sidecars_are_set_aside(xml):
    tables, rejects = read(solution() | {"customizations.xml": xml})
    assert list(tables["flows"]["display_name"]) == ["Orderssyncmore"]
    assert [r.record for r in rejects] == ["customizations.xml"]


def test_the_same_flow_twice_is_read_once():
    members = solution(**{f"copy/Workflows/Copy-{GUID}.json": json.dumps(DEFINITION).encode()})
    tables, rejects = read(members)
    assert len(tables["flows"]) == 1
    assert len(tables["steps"]) == 2
    assert "same flow id" in rejects[0].reason


def test_names_in_sidecars_cannot_carry_secrets():
    name = f"x https://fabrikam.example/?sig={SIGNED}"
    members = solution() | {"customizations.xml": customizations(sidecar(name=name))}
    assert SIGNED not in repr(read(members))


def test_backslashes_in_member_names_read_like_slashes():
    members = {n.replace("/", "\\"): d for n, d in solution().items()}
    assert len(read(members)[0]["flows"]) == 1


def test_other_archives_are_not_taken_for_packages():
    for form, members in (("package", {"a.json": b"{}"}), ("json", {})):
        assert packages.recognise(Document("x", form, members=members)) is None
    assert packages.recognise(Document("x", "package", members={"solution.xml": b""})) == "solution without flows"
    assert read({"solution.xml": b"<a/>"})[0]["flows"].empty


def test_real_packages_are_read_whole(corpus):
    files = sorted((corpus / "flows" / "zips").glob("*.zip"))
    assert len(files) >= 28
    for file in files:
        members = {n.partition("!")[2]: d for n, d in archives.members(file, wanted=packages.is_part)}
        document = Document(file.name, "package", members=members)
        assert packages.recognise(document) in {"solution", "flow package"}
        tables, rejects = read(members)
        assert rejects == []
        assert set(tables["flows"]["kind"]) == {"cloud"}
        if packages.recognise(document) == "solution":
            assert set(tables["flows"]["state"]) <= {"Started", "Stopped"}
