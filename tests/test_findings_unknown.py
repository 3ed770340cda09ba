"""Whatever a source leaves out, every analysis answers: a hole in a column is not known, never an end."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import flowanalysis as fa
from flowanalysis import schema

ANALYSES = [
    "findings",
    "execution_map",
    "effective_permissions",
    "privileges",
    "least_privilege_gap",
    "blast_radius",
    "escalations",
    "permission_overlap",
    "departure_impact",
    "bus_factor",
    "unused_connections",
    "classify",
    "coverage",
    "steps",
    "needs",
    "document",
]


def with_holes(tenant: fa.Tenant, seed: int) -> fa.Tenant:
    """The tenant with some columns emptied and others holed; keys stay."""
    random, holed = np.random.default_rng(seed), {}
    for name, spec in schema.TABLES.items():
        frame = tenant[name].copy()
        for column in set(spec.names) - set(spec.key):
            frame.loc[random.random(len(frame)) < random.choice([0, 0, 0.3, 1]), column] = pd.NA
        holed[name] = frame
    return tenant.replace(**holed)


@pytest.fixture(scope="module")
def whole(months):
    return months["2026-10"]


@pytest.mark.parametrize("seed", range(6))
def test_every_analysis_answers_a_tenant_with_holes(whole, seed):
    holed = with_holes(whole, seed)
    for name in ANALYSES:
        assert getattr(fa, name)(holed) is not None, name


def test_every_analysis_answers_flows_that_others_wrote(corpus):
    tenant = fa.load(corpus / "flows" / "definitions")
    for name in ANALYSES:
        assert getattr(fa, name)(tenant) is not None, name


def test_every_analysis_answers_what_the_interfaces_really_send(corpus):
    tenant = fa.load(corpus / "api")
    for name in ANALYSES:
        assert getattr(fa, name)(tenant) is not None, name
