"""Analyses at the same time give what they give one after the other, and compute nothing twice."""

from __future__ import annotations

import threading
from functools import partial

import pandas as pd
import pytest
from oracles.small import tenant

from flowanalysis import schema
from flowanalysis.analysis.access import effective_permissions
from flowanalysis.analysis.blast import blast_radius, escalations
from flowanalysis.analysis.departures import departure_impact
from flowanalysis.analysis.gap import least_privilege_gap
from flowanalysis.analysis.holders import unused_connections
from flowanalysis.analysis.owners import bus_factor
from flowanalysis.analysis.privileges import privileges
from flowanalysis.analysis.reach import kept
from flowanalysis.tenant import Tenant, once_per_tenant
from flowanalysis.together import together

ANALYSES = (
    *(effective_permissions, unused_connections, departure_impact, bus_factor, privileges, escalations),
    *(blast_radius, partial(blast_radius, by="identity"), partial(bus_factor, by="department"), least_privilege_gap),
)


@pytest.mark.parametrize("seed", range(6))
def test_answers_are_those_of_one_after_the_other_in_the_order_asked(seed):
    frames = together(tenant(seed), *ANALYSES)
    for work, frame in zip(ANALYSES, frames, strict=True):
        pd.testing.assert_frame_equal(frame, work(tenant(seed)))


@pytest.mark.parametrize("remember", [kept, once_per_tenant])
def test_what_two_analyses_need_is_computed_once_and_a_table_is_read_once(monkeypatch, remember):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(2), raising=False)
    both, calls, reads = threading.Barrier(2, timeout=10), [], []

    def groups() -> pd.DataFrame:
        reads.append(1)
        return schema.frame("groups", [{"group_id": "g"}])

    @remember
    def slow(of):
        calls.append(1)
        threading.Event().wait(0.05)
        return of.groups

    def asks(of):
        both.wait()
        return len(slow(of))

    world = Tenant({"groups": groups}, collected=["groups"])
    world._made["codes"] = None
    assert list(together(world, asks, asks)) == [1, 1]
    assert (calls, reads) == ([1], [1])


def test_an_error_comes_at_its_turn_and_what_nobody_began_is_dropped(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(1), raising=False)
    begun = []

    def fails(_):
        raise ValueError("no")

    def lasts(_):
        threading.Event().wait(0.2)

    answers = together(tenant(0), repr, fails, lasts, begun.append)
    assert next(answers).startswith("<Tenant")
    with pytest.raises(ValueError, match="no"):
        next(answers)
    assert not begun


def test_a_reader_that_fails_is_asked_again():
    answers = iter([OSError("away"), schema.frame("groups", [])])

    def groups():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    world = Tenant({"groups": groups}, collected=["groups"])
    with pytest.raises(OSError, match="away"):
        world["groups"]
    assert len(world.groups) == 0
