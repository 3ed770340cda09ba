"""A report appears whole or not at all, and tells when it was changed."""

from __future__ import annotations

import pytest

from flowanalysis.errors import ReportError
from flowanalysis.report import publish


def a_report(folder, text="one"):
    with publish.building(folder) as draft:
        (draft / "run.json").write_text("{}")
        (draft / "index.html").write_text(text)


def test_a_report_takes_the_place_of_the_old_one(tmp_path):
    a_report(tmp_path / "m", "one")
    a_report(tmp_path / "m", "two")
    assert (tmp_path / "m" / "index.html").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def break_off(folder):
    with publish.building(folder) as draft:
        (draft / "index.html").write_text("half")
        raise RuntimeError("out of disk")


def test_a_broken_run_leaves_the_old_report_and_no_draft(tmp_path):
    a_report(tmp_path / "m", "one")
    with pytest.raises(RuntimeError):
        break_off(tmp_path / "m")
    assert (tmp_path / "m" / "index.html").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_that_is_no_report_is_never_replaced(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "precious.txt").write_text("mine")
    with pytest.raises(ReportError, match="is no report"):
        a_report(tmp_path / "m")
    assert (tmp_path / "m" / "precious.txt").read_text() == "mine"


def test_verify_names_what_changed_what_is_missing_and_what_was_added(tmp_path):
    a_report(tmp_path / "m")
    assert publish.verify(tmp_path / "m") == []
    (tmp_path / "m" / "index.html").write_text("onf")
    (tmp_path / "m" / "run.json").unlink()
    (tmp_path / "m" / "extra.txt").write_text("x")
    assert publish.verify(tmp_path / "m") == [
        "index.html: changed",
        "run.json: missing",
        "extra.txt: was not part of the report",
    ]
