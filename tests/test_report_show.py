"""Tenant text becomes HTML and plot labels that show it and do nothing."""

from __future__ import annotations

import json
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.report import figures, record, show
from flowanalysis.report.show.blocks import Block
from flowanalysis.tenant import Tenant

HOSTILE = [
    "<script>fire()</script>",
    '"><img src=x onerror=fire()>',
    "</td></table><svg onload=fire()>",
    "' onmouseover='fire()",
    "javascript:fire()",
    "&lt;b&gt;",
    "\u202egpj.exe",
    "a\x00b\x1b[31m",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319",
    "x" * 20_000,
    "\ud800",
    "$\\frac{1}{0$ $x$",
    "_starts with an underscore",
    "経理部 \U0001f600 عقد",
    "",
]


class Tags(HTMLParser):
    """Tags and attributes of a piece of markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def harmless(markup: str) -> bool:
    """No script, no handler, no address that runs."""
    seen = Tags(markup)
    leads = ("href", "src", "action", "srcdoc", "style")
    handlers = [k for k, v in seen.attributes if k.startswith("on") or (k in leads and "script:" in (v or "").lower())]
    return not handlers and not {"script", "img", "svg", "iframe", "object"} & set(seen.tags)


def hostile_names(corpus: Path) -> list[str]:
    found = [json.loads(p.read_text(encoding="utf-8")) for p in (corpus / "hostile" / "blns").glob("*.json")]
    return [s for part in found for s in part if isinstance(s, str)]


def test_the_check_for_harm_sees_harm():
    assert not harmless(HOSTILE[0])
    assert not harmless(HOSTILE[1])
    assert not harmless('<a href="javascript:fire()">x</a>')


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_has_only_break_hints(text):
    assert set(Tags(show.escape(text)).tags) <= {"wbr"}
    assert harmless(f'<p title="{show.attribute(text)}">{show.escape(text)}</p>')


def test_naughty_strings_stay_text_everywhere(corpus):
    names = hostile_names(corpus)
    assert len(names) > 400
    frame = pd.DataFrame({"name": names, "severity": names})
    html = show.table_html(frame, name="hostile", caption="Hostile", rows=len(names))
    assert harmless(html)
    assert Tags(html).tags.count("tr") == len(names) + 1


def test_hidden_and_reordering_characters_become_visible():
    assert "u202e" in show.escape("\u202egpj.exe")
    assert "\x00" not in show.escape("a\x00b")


def test_stacks_of_marks_are_cut():
    assert len(show.escape("Z" + "\u0351" * 50)) == 3


def test_not_known_is_said_and_false_is_not():
    frame = pd.DataFrame({"flag": pd.array([True, False, pd.NA], dtype="boolean")})
    html = show.table_html(frame, name="flags", caption="Flags")
    assert [html.count(w) for w in (">yes<", ">no<", "not known")] == [1, 1, 1]


def test_a_cut_table_says_so_and_links_to_all_rows():
    frame = pd.DataFrame({"n": range(1_000)})
    html = show.table_html(frame, name="many", caption="Many", rows=10, link="tables/many.csv")
    assert "first 10 of 1,000 rows" in html
    assert 'href="tables/many.csv"' in html
    assert html.count("<tr>") == 11


def test_a_table_too_long_for_a_report_says_how_much_its_file_holds(tmp_path):
    frame = pd.DataFrame({"n": range(record.ROWS + 1)})
    link = record.table("many", frame, caption="Many", to=tmp_path)
    html = show.table_html(frame, name="many", caption="Many", rows=10, link=link)
    assert f"The first {record.ROWS:,} as CSV" in html
    assert "narrow the report" in html
    assert len((tmp_path / link).read_text(encoding="utf-8-sig").splitlines()) == record.ROWS + 1
    assert json.loads((tmp_path / "tables" / "many.json").read_text(encoding="utf-8"))["rows"] == record.ROWS + 1


def test_a_table_that_the_summary_counts_is_whole(tmp_path):
    frame = pd.DataFrame({"n": range(record.ROWS + 1)})
    link = record.table("flows", frame, caption="Flows", to=tmp_path)
    assert len((tmp_path / link).read_text(encoding="utf-8-sig").splitlines()) == record.ROWS + 2
    html = show.table_html(frame, name="flows", caption="Flows", rows=10, link=link)
    assert "All rows as CSV" in html
    assert "narrow the report" not in html


def test_an_empty_table_says_that_it_is_empty():
    assert "No rows." in show.table_html(pd.DataFrame({"n": []}), name="none", caption="None")


def test_headings_have_scope_and_numbers_their_kind():
    html = show.table_html(pd.DataFrame({"n": [1], "t": ["a"]}), name="two", caption="Two")
    assert html.count('scope="col"') == 2
    assert 'data-kind="number"' in html


def test_a_number_that_is_not_known_is_not_zero():
    block = show.numbers({"flows": pd.NA})
    assert "not known" in block.html
    assert ">0<" not in block.html


def test_terminal_text_of_a_block_is_harmless():
    assert repr(Block("", "a\x1b[31m\u202eb\nc")) == "a\\x1b[31m\\u202eb\nc"


def test_findings_of_a_rule_without_data_are_not_known():
    seen = show.examine(Tenant({"flows": schema.empty("flows")}))
    assert seen.of("OWN-1") is None
    assert seen.count("OWN-1") is pd.NA
    block = show.found(seen, "OWN-1", name="orphans", caption="Orphans")
    assert "not known" in block.html
    assert 'id="t-orphans"' in block.html


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_pictures_draw_hostile_names_without_a_warning(mode):
    names = [n for n in HOSTILE if n != "\ud800"]  # Arrow text cannot hold it, so no frame has it
    frame = pd.DataFrame({"who": names, "what": names[::-1], "n": range(len(names))})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (
            figures.parts(frame, "who", "what", mode=mode),
            figures.ranked(frame, "who", "n", unit="things", mode=mode),
            figures.matrix(frame, "who", "what", mode=mode),
        ):
            assert show.png(figure).startswith(b"\x89PNG")


def test_labels_are_short_and_never_vanish_from_legends():
    assert len(show.label("x" * 500)) == 30
    assert not show.label("_hidden").startswith("_")
    assert show.label(pd.NA) == "not known"


def test_a_picture_of_nothing_says_so_and_has_a_dark_twin():
    figure = figures.gap(pd.DataFrame({"account_name": []}))
    assert "no rows" in figure.alt
    assert figure.again("dark").get_facecolor() != figure.get_facecolor()


def test_a_picture_carries_its_description():
    frame = pd.DataFrame({"name": ["a", "b"], "flows": [3, 1]})
    _, about = show.picture(figures.impact(frame))._repr_mimebundle_()
    assert about["image/png"]["alt"].startswith("2 accounts can each stop")


def test_advice_names_those_who_can_act_with_most_to_do_first():
    rows = [("a", "ann"), ("b", "bo"), ("c", "bo"), ("d", None)]
    frame = pd.DataFrame(rows, columns=["subject_name", "who"]).assign(rule="R", severity="high", title="T", advice="A")
    [line] = show.advice_lines(frame).itertuples()
    assert (line.people, line.subjects, line.count) == (["bo", "ann"], list("abcd"), 4)
    [unknown] = show.advice_lines(frame.drop(columns="who")).itertuples()
    assert unknown.people == []


def test_the_curve_of_accounts_names_its_points_in_words_too():
    frame = pd.DataFrame({"accounts": [9, 5, 2], "exposure": [0.0, 10.0, 90.0]})
    told = show.picture(figures.front(frame, marks={"today": (4, 50.0), "this plan": (9, 0.0)})).alt
    assert "today: 4 accounts with exposure 50" in told
    assert "this plan: 9 accounts with exposure 0" in told
