"""The commands as an analyst meets them."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from fake_tenant.small import directory, run

from flowanalysis.cli import main
from flowanalysis.collect import run as collecting
from flowanalysis.collect.scopes import table
from flowanalysis.errors import HonestStop


def call(*words: str):
    return CliRunner().invoke(main, list(words))


def test_scopes_prints_permissions_and_steps():
    told = call("scopes", "--parts", "graph")
    assert told.exit_code == 0
    assert "User.Read.All" in told.output
    assert "App registrations" in told.output
    assert "Power Platform Administrator  " not in told.output


def test_only_reading_permissions_are_asked_for():
    names = table().query("kind != 'role'")["permission"]
    assert not names.str.contains(r"Write|FullControl|\.Manage").any()


def test_scopes_are_those_of_the_endpoints_alone():
    graph = table(["graph"])
    assert set(graph["service"]) == {"graph"}
    assert set(table(["dataverse"])["service"]) == {"bap", "dataverse"}
    assert "AuditLog.Read.All" in set(graph["permission"])


def test_a_dry_run_needs_no_sign_in(tmp_path):
    told = call("collect", "--tenant", "contoso.example", "--out", str(tmp_path), "--dry-run")
    assert told.exit_code == 0
    assert "Nothing was sent" in told.output


@pytest.mark.parametrize("words", [("--parts", "grap"), ("--parts", ""), ("--signin", "devise"), ("--cloud", "globl")])
def test_a_wrong_word_is_told(tmp_path, words):
    told = call("collect", "--tenant", "contoso.example", "--out", str(tmp_path), *words)
    assert told.exit_code == 2


def test_an_incomplete_collection_ends_with_one(tmp_path, monkeypatch):
    def stop(**options):
        raise HonestStop("gaps \x1b[31m here")

    monkeypatch.setattr(collecting, "collect", stop)
    told = call("collect", "--tenant", "contoso.example", "--out", str(tmp_path))
    assert told.exit_code == 1
    assert "\\x1b" in told.output


def test_a_bar_says_rate_and_time_left_and_none_is_drawn_when_quiet(tmp_path, capsys):
    with directory(45) as served:
        run(served, tmp_path / "loud", progress=True)
        told = capsys.readouterr().err
        run(served, tmp_path / "quiet")
        assert capsys.readouterr().err == ""
    last = [part for part in told.split("\r") if part.startswith("graph/users")][-1]
    assert "45.0/45.0" in last
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, +[\d.]+k? rows/s\]", last)


def test_a_key_that_stops_the_run_keeps_what_was_read_and_says_how_to_go_on(tmp_path, monkeypatch):
    def stop(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(collecting, "collect", stop)
    told = call("collect", "--tenant", "contoso.example", "--out", str(tmp_path))
    assert told.exit_code == 130
    assert "the same command goes on" in told.output
