"""A report of one environment or department shows what belongs there, and nothing of the rest."""

from __future__ import annotations

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.errors import UnknownName
from flowanalysis.report.scope import Scope, scope
from flowanalysis.tenant import Tenant


@pytest.fixture(scope="module")
def tenant():
    return Tenant(
        {
            "environments": schema.frame(
                "environments",
                [
                    {"environment_id": "e1", "display_name": "Finance"},
                    {"environment_id": "e2", "display_name": "Sales"},
                ],
            ),
            "identities": schema.frame(
                "identities",
                [
                    {"identity_id": "p1", "department": "Finance"},
                    {"identity_id": "p2", "department": "Legal"},
                    {"identity_id": "p3"},
                ],
            ),
            "flows": schema.frame(
                "flows",
                [
                    {"environment_id": "e1", "flow_id": "f1", "owner_id": "p1"},
                    {"environment_id": "e1", "flow_id": "f2", "owner_id": "p2"},
                    {"environment_id": "e2", "flow_id": "f1", "owner_id": "p1"},
                    {"environment_id": "e3", "flow_id": "f4"},
                ],
            ),
        }
    )


def test_no_choice_shows_everything(tenant):
    frame = pd.DataFrame({"environment_id": ["e9", None], "flow_id": ["x", None]})
    assert scope(tenant)(frame) is frame
    assert scope(tenant).words == ""


@pytest.mark.parametrize("typed", ["Finance", "finance", "e1", "E1"])
def test_an_environment_is_found_by_name_or_id_in_any_case(tenant, typed):
    chosen = scope(tenant, environment=typed)
    assert chosen(tenant.flows)["flow_id"].tolist() == ["f1", "f2"]
    assert chosen.words == "environment Finance"


def test_an_environment_that_only_flows_know_is_an_environment(tenant):
    assert scope(tenant, environment="E3")(tenant.flows)["flow_id"].tolist() == ["f4"]


def test_the_same_flow_id_in_another_environment_is_another_flow(tenant):
    chosen = scope(tenant, environment="Sales")
    frame = pd.DataFrame({"environment_id": ["e1", "e2"], "flow_id": ["f1", "f1"]})
    assert chosen(frame)["environment_id"].tolist() == ["e2"]


def test_a_department_is_that_of_the_owner(tenant):
    chosen = scope(tenant, department="FINANCE")
    assert list(zip(*(chosen(tenant.flows)[c] for c in ("environment_id", "flow_id")), strict=True)) == [
        ("e1", "f1"),
        ("e2", "f1"),
    ]
    both = scope(tenant, environment="Finance", department="Finance")
    assert both(tenant.flows)["environment_id"].tolist() == ["e1"]
    assert both.words == "environment Finance, department Finance"


def test_rows_that_name_no_flow_belong_by_environment_or_person(tenant):
    rows = pd.DataFrame(
        {"environment_id": ["e1", "e2", None], "flow_id": [None, None, None], "account_id": ["p1", "p1", "p2"]}
    )
    assert scope(tenant, environment="Finance")(rows).index.tolist() == [0, 2]
    assert scope(tenant, department="Legal")(rows).index.tolist() == [2]


def test_a_frame_without_any_key_passes_whole(tenant):
    frame = pd.DataFrame({"rule": ["OWN-1"]})
    assert len(scope(tenant, environment="Finance", department="Legal")(frame)) == 1


def test_a_wrong_name_gets_the_nearest(tenant):
    with pytest.raises(UnknownName, match="Finance"):
        scope(tenant, environment="Finanse")
    with pytest.raises(UnknownName, match="Legal"):
        scope(tenant, department="Leagl")


def test_a_scope_of_nothing_shows_nothing(tenant):
    assert len(Scope("nothing", pd.Index([]))(tenant.flows)) == 0
