"""Tenant text on its way out."""

from __future__ import annotations

import json

import pytest

from flowanalysis.text import cell, elide, plain, slug


@pytest.fixture(scope="module")
def naughty(corpus) -> list[str]:
    return json.loads((corpus / "hostile" / "blns" / "blns.json").read_text(encoding="utf-8"))


def test_slugs_are_legal_everywhere_and_unique(naughty):
    names = {slug(text, key=i) for i, text in enumerate(naughty)}
    assert len(names) == len(naughty)
    assert all(len(n) <= 51 and n.isascii() and not set(n) & set('<>:"/\\|?* .') for n in names)


@pytest.mark.parametrize("name", ["CON", "nul", "lpt1", "../../etc/x", "", "…", "trail. ", "a" * 300, "漢字"])
def test_slugs_of_awkward_names(name):
    made = slug(name)
    assert made == slug(name)
    assert made.rpartition("-")[0] not in {"con", "nul", "lpt1", ""}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "|cmd"])
def test_formulas_become_text(text):
    assert str(cell(text)).startswith("'")


@pytest.mark.parametrize("value", [-3, 2.5, True, None, "a=1", "Leave - HR", "2026-10-01"])
def test_other_values_pass_unchanged(value):
    assert cell(value) == value


def test_cells_are_clean_and_short(naughty):
    for text in [*naughty, "\x00a\x1b", "\ud800", "x" * 40_000]:
        made = str(cell(text))
        assert len(made) <= 32_767
        assert not any(ord(c) < 32 and c not in "\n\t" for c in made)
        made.encode("utf-8")


def test_terminal_text_shows_controls_instead_of_obeying_them(naughty):
    for text in [*naughty, "\x1b]0;x\x07", "a\u202eb", "\ud800", "\x9b2J", "a\rb\nc"]:
        made = plain(text)
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E for c in made)


def test_long_text_loses_its_middle():
    assert elide("x" * 30, 9) == "xxxx…xxxx"
    assert plain("x" * 30, width=9) == "xxxx…xxxx"
