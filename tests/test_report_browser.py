"""Pages in a real browser: hostile names do nothing, tables sort and search, the viewer answers."""

from __future__ import annotations

import json

import networkx as nx
import pandas as pd
import pytest

from flowanalysis.report import show, viewer
from flowanalysis.report.page import Frame, page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# What a hostile name tries to do; the control page must show that this would be seen.
FIRE = "document.documentElement.dataset.fired = 1"
PAYLOADS = [
    f"<script>{FIRE}</script>",
    f'"><img src=x onerror="{FIRE}">',
    f"<svg onload='{FIRE}'>",
    f"</script><script>{FIRE}</script>",
    f"<details open ontoggle='{FIRE}'>",
    f"'\"><iframe srcdoc='<script>parent.{FIRE}</script>'>",
]


def fired(browser) -> bool:
    return bool(browser.run("return document.documentElement.dataset.fired || ''"))


def a_page(names, tmp_path):
    frame = pd.DataFrame({"name": names, "n": range(len(names))})
    body = f"<h1>{show.escape(names[0])}</h1>" + show.table_html(frame, name="t", caption="Names", rows=len(names))
    file = tmp_path / "page.html"
    file.write_text(page(names[0], body, Frame(names[-1], "2026-10", scope=names[0])), encoding="utf-8")
    return file


def a_graph(names):
    graph = nx.MultiDiGraph(cut=False)
    for i, name in enumerate(names):
        graph.add_node(f"flow:{i}", kind="flow", label=name, state="Started", more=0)
        graph.add_node(f"principal:{i}", kind="user", label=f"user {i}", state="", more=0)
        graph.add_edge(f"principal:{i}", f"flow:{i}", kind="owns", reason=f"user {i} owns {name}")
    return graph


def test_the_control_page_fires(browser, tmp_path):
    file = tmp_path / "control.html"
    file.write_text("<!DOCTYPE html><body>" + "".join(PAYLOADS), encoding="utf-8")
    browser.open(file)
    assert fired(browser)
    browser.complaints()  # of its broken image; read away before the next page


def test_hostile_names_do_nothing_in_a_page(browser, tmp_path):
    browser.open(a_page(PAYLOADS, tmp_path))
    assert not fired(browser)
    assert browser.complaints() == []
    assert browser.run("return document.querySelectorAll('tbody tr').length") == len(PAYLOADS)


def test_naughty_strings_do_nothing_and_do_not_widen_the_page(browser, tmp_path, corpus):
    found = [json.loads(p.read_text(encoding="utf-8")) for p in (corpus / "hostile" / "blns").glob("*.json")]
    names = [s for part in found for s in part if isinstance(s, str)]
    browser.open(a_page(names, tmp_path))
    assert browser.complaints() == []
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_column_sorts_by_its_kind_and_says_so(browser, tmp_path):
    frame = pd.DataFrame({"name": list("cab"), "n": [10, 9, 100]})
    file = tmp_path / "sort.html"
    file.write_text(
        page("Sort", show.table_html(frame, name="t", caption="T"), Frame("T", "2026-10")), encoding="utf-8"
    )
    browser.open(file)
    browser.run("document.querySelectorAll('thead button')[1].click()")
    cells = "return [...document.querySelectorAll('tbody tr')].map(r => r.cells[1].textContent)"
    assert browser.run(cells) == ["9", "10", "100"]
    assert browser.run("return document.querySelectorAll('th')[1].getAttribute('aria-sort')") == "ascending"
    browser.run("document.querySelectorAll('thead button')[1].click()")
    assert browser.run(cells) == ["100", "10", "9"]


def test_search_hides_what_does_not_fit_and_long_tables_fold(browser, tmp_path):
    frame = pd.DataFrame({"name": [f"flow {i}" for i in range(100)]})
    file = tmp_path / "search.html"
    file.write_text(page("S", show.table_html(frame, name="t", caption="T"), Frame("T", "2026-10")), encoding="utf-8")
    browser.open(file)
    visible = "return [...document.querySelectorAll('tbody tr')].filter(r => !r.hidden).length"
    assert browser.run(visible) == 25
    browser.run("const i=document.querySelector('input'); i.value='flow 7'; i.dispatchEvent(new Event('input'))")
    assert browser.run(visible) == 11
    assert browser.run("return document.querySelector('output').textContent") == "11 rows of 100"


def test_a_link_to_some_rows_searches_the_table_for_them(browser, tmp_path):
    frame = pd.DataFrame({"title": ["Flow has no owner", "Right too many"] * 4, "n": range(8)})
    table = show.table_html(frame, name="t", caption="T")
    links = "".join(f'<a href="#t-t" data-find="{words}">{words}</a>' for words in ("Right too many", "Nowhere here"))
    file = tmp_path / "find.html"
    file.write_text(page("Find", links + table, Frame("T", "2026-10")), encoding="utf-8")
    browser.open(file)
    shown = "return [...document.querySelectorAll('tbody tr')].filter(r => !r.hidden).length"
    for link, rows in ((0, 4), (1, 8)):  # what the table does not show is not searched for
        browser.run(f"document.querySelectorAll('a[data-find]')[{link}].click()")
        assert browser.run(shown) == rows
    assert browser.complaints() == []


def test_the_viewer_finds_a_node_and_tells_why_it_is_linked(browser, tmp_path):
    viewer.write(a_graph([*PAYLOADS, "Invoice $& intake"]), tmp_path / "g.html", title=PAYLOADS[0])
    browser.open(tmp_path / "g.html")
    search = "const s=document.getElementById('search'); s.value='Invoice'; s.dispatchEvent(new Event('input'));"
    browser.run(search)
    assert "user 6 owns Invoice $& intake" in browser.run("return document.getElementById('about').textContent")
    browser.run("document.querySelector('aside li button').click()")
    assert browser.run("return document.querySelector('aside h2').textContent") == "user 6"
    assert not fired(browser)
    assert browser.complaints() == []


def test_the_viewer_answers_at_five_thousand_nodes(browser, tmp_path):
    viewer.write(a_graph([f"flow {i}" for i in range(2_500)]), tmp_path / "g.html", title="Large")
    browser.open(tmp_path / "g.html")
    took = browser.run("const t=performance.now(); choose(3, true); paint(); return performance.now()-t")
    assert took < 500
