"""Whole reports of hostile, partial and empty tenants: every page is made, does nothing and holds its shape."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from conftest import CORPUS

from flowanalysis.report import processes, run, seen
from flowanalysis.snapshot import write_snapshot
from flowanalysis.tenant import Tenant
from flowanalysis.text import cell

pytestmark = pytest.mark.slow
FIRE = "document.documentElement.dataset.fired = 1"
PAYLOADS = [
    f"<script>{FIRE}</script>",
    f'"><img src=x onerror="{FIRE}">',
    f"<svg onload='{FIRE}'>",
    f"</script><script>{FIRE}</script>",
    f"</title><script>{FIRE}</script>",
    f"<details open ontoggle='{FIRE}'>",
    f"[x](javascript:{FIRE})",
    "=1+1",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "$\\frac{1}{0$ broken",
    "Cost $5 and $6",
    "_begins with an underscore",
    "\u202egpj.exe",
    "e\u0301" + "\u0336" * 60,
    "x" * 4000,
    "https://example.example/" + "y" * 400,
    "../../up and away",
    "line one\nline two\r\x1b[31m red",
    "%s {0} {{ cell }} {% raw %}",
]
NAMED = re.compile(r"name|upn|mail|department|job_title|description|message|server|database|region|reason")
# Ids in columns with a telling name, and text on which the demo's rows hang together.
KEPT = {"reference_name", "account_name"}


def naughty() -> list[str]:
    """Payloads of our own, and what others collected where it is at hand."""
    found = [json.loads(p.read_text(encoding="utf-8")) for p in (CORPUS / "hostile" / "blns").glob("*.json")]
    return PAYLOADS + [s for part in found for s in part if isinstance(s, str) and s.strip()]


def made_hostile(tenant: Tenant) -> Tenant:
    """The tenant with a naughty string in every name; the same name gets the same string."""
    strings = naughty()
    frames = {}
    for name in sorted(tenant.collected):
        frame = tenant[name].copy()
        for column in frame.columns:
            if NAMED.search(column) and column not in KEPT and pd.api.types.is_string_dtype(frame[column].dtype):
                texts = frame[column].dropna().unique()
                start = sum(map(ord, name + column))
                put = {t: strings[(start + n) % len(strings)] for n, t in enumerate(texts)}
                frame[column] = frame[column].map(put).astype(frame[column].dtype)
        frames[name] = frame
    return Tenant(frames, collected=tenant.collected, as_of=tenant.as_of, name=PAYLOADS[0])


def rendered(tenant: Tenant, folder: Path) -> Path:
    """The report of a tenant, all notebooks."""
    write_snapshot(tenant, folder / "snapshot")
    return run.render(folder / "snapshot", out=folder / "reports", progress=False).parent


@pytest.fixture(scope="module")
def demo(months):
    return months["2026-10"]


@pytest.fixture(scope="module")
def hostile(demo, tmp_path_factory):
    return rendered(made_hostile(demo), tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def partial(demo, tmp_path_factory):
    """Flows and people; nobody knows what the flows run as."""
    kept = {t: demo[t] for t in ("flows", "flow_owners", "identities", "environments", "collection_log")}
    return rendered(Tenant(kept, as_of=demo.as_of), tmp_path_factory.mktemp("partial"))


@pytest.fixture(scope="module")
def empty(demo, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        if processes.COPIES:  # then findings are looked for once, by the process of the notebooks
            patch.setattr(seen, "apply_rules", None)
        return rendered(Tenant({}, as_of=demo.as_of), tmp_path_factory.mktemp("empty"))


@pytest.fixture(params=["hostile", "partial", "empty", "sample"])
def report(request, root):
    return root / "reports" / "sample" if request.param == "sample" else request.getfixturevalue(request.param)


class Page(HTMLParser):
    """What a page holds: ids, links, handlers, scripts, and the text of each numbered link."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.scripts = 0
        self.numbers: dict[str, str] = {}  # address -> number that leads to it
        self.rows: dict[str, str] = {}  # table -> rows told in its caption
        self._open = self._caption = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given["id"]} if given.get("id") else set()
        self.links += [given[k] for k in ("href", "src") if given.get(k)]
        self.handlers += [k for k in given if k.startswith("on")]
        self.scripts += tag == "script"
        self._open = given.get("href", "") if tag == "a" else self._open
        self._caption = given.get("id", "") if tag == "figcaption" else self._caption

    def handle_endtag(self, tag):
        self._open = "" if tag == "a" else self._open
        self._caption = "" if tag == "figcaption" else self._caption

    def handle_data(self, data):
        told = re.match(r"[\d,]+$|[\d,]+(?= flow)", data.strip())
        if self._open and told:
            self.numbers.setdefault(self._open, told.group().replace(",", ""))
        if self._caption and re.fullmatch(r"[\d,]+ rows?", data.strip()):
            self.rows[self._caption.replace("c-", "t-", 1)] = data.split()[0].replace(",", "")


@pytest.fixture
def pages(report):
    return {p.relative_to(report).as_posix(): Page(p) for p in sorted(report.rglob("*.html"))}


def test_every_notebook_runs_to_its_end(report):
    told = json.loads((report / "run.json").read_text(encoding="utf-8"))
    assert [n for n in told["notebooks"] if n["status"] != "completed"] == []
    assert told["problems"] == []
    assert len(told["notebooks"]) >= 9


def test_no_page_has_a_handler_or_a_script_that_is_not_ours(pages):
    for name, page in pages.items():
        assert page.handlers == [], name
        assert page.scripts <= (2 if name == "graph.html" else 1), name
        assert [a for a in page.links if re.match(r"\s*(javascript|vbscript|https?):", a, re.IGNORECASE)] == []


def test_every_link_leads_somewhere(pages, report):
    lost = []
    for name, page in pages.items():
        for link in page.links:
            if link.startswith("data:"):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (report / name).parent / path if path else report / name
            inside = target.resolve().relative_to(report.resolve()).as_posix()
            if not target.is_file() or (anchor and anchor not in {*pages[inside].ids, "main"}):
                lost.append((name, link))
    assert lost == []


def test_every_number_leads_to_as_many_rows(pages, report):
    """Of the first page and of every notebook: the table behind a number has that many rows, and so has its CSV."""
    followed = 0
    for name, page in pages.items():
        for link, number in page.numbers.items():
            path, _, anchor = link.partition("#")
            if not anchor.startswith("t-"):
                continue
            told = pages[path or name].rows.get(anchor)
            if told is None:
                continue  # nothing was collected for it; test_every_link_leads_somewhere found the place
            with (report / "tables" / f"{anchor[2:]}.csv").open(encoding="utf-8-sig", newline="") as file:
                rows = sum(1 for _ in csv.reader(file)) - 1
            assert (told, rows) == (number, int(number)), (name, link)
            followed += 1
    assert followed >= (0 if "empty" in str(report) else 5)


def test_no_cell_of_any_table_is_a_formula(report):
    with zipfile.ZipFile(report / "tables.xlsx") as book:
        sheets = [n for n in book.namelist() if n.startswith("xl/worksheets/")]
        assert sheets
        for name in sheets:
            text = book.read(name).decode("utf-8")
            assert "<f>" not in text
            assert "hyperlink" not in text
    for path in sorted((report / "tables").glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            texts = {t for row in csv.reader(file) for t in row}
        bad = [t for t in texts if cell(t) != t and not re.fullmatch(r"-\d+(\.\d+)?", t)]
        assert bad == [], path.name


def test_a_partial_report_says_what_is_missing_and_never_zero(partial, empty):
    first = (partial / "index.html").read_text(encoding="utf-8")
    assert "Not collected:" in first
    told = json.loads((partial / "run.json").read_text(encoding="utf-8"))["headlines"]
    assert told["flows"] == 128
    assert told["accounts-that-can-stop-flows"] is None
    assert set(json.loads((empty / "run.json").read_text(encoding="utf-8"))["headlines"].values()) == {None}


@pytest.mark.browser
def test_the_control_fires_in_this_browser(browser, tmp_path):
    file = tmp_path / "control.html"
    file.write_text("<!DOCTYPE html><body>" + "".join(PAYLOADS), encoding="utf-8")
    browser.open(file)
    assert browser.run("return document.documentElement.dataset.fired || ''")
    browser.complaints()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_no_hostile_name_fires_or_widens_a_page(browser, hostile, width):
    browser.look(width=width, height=900)
    lists = sorted((hostile / "worklists").glob("*.html"))[:: 12 if width == 1280 else 40]
    for path in [*sorted(hostile.glob("*.html")), *lists]:
        browser.open(path, rest=0.05)
        state = browser.run(
            "const d = document.documentElement, wider = Math.max(0, d.scrollWidth - d.clientWidth);"
            "return [d.dataset.fired || '', wider, document.querySelectorAll('h1').length]"
        )
        assert state == ["", 0, 1], path.name
        assert browser.complaints() == [], path.name


def axe() -> Path | None:
    """axe-core where somebody installed it; it is no dependency."""
    places = [os.environ.get("AXE_CORE", ""), "node_modules/axe-core/axe.min.js"]
    for package in ("axe_playwright_python", "axe_core_python"):  # wheels that carry it
        found = importlib.util.find_spec(package)
        places += [f"{folder}/axe.min.js" for folder in (found.submodule_search_locations or ())] if found else []
    return next((Path(p) for p in places if p and Path(p).is_file()), None)


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_on_any_page(browser, root, hostile, dark):
    script = axe()
    if script is None:
        pytest.skip("no axe-core here (pip install axe-core-python)")
    lists = sorted((root / "reports" / "sample" / "worklists").glob("*.html"))[:2]
    for path in [*sorted((root / "reports" / "sample").glob("*.html")), *lists, hostile / "index.html"]:
        browser.look(width=390 if dark else 1280, dark=dark)
        browser.open(path, rest=0.1)
        browser.run(script.read_text(encoding="utf-8"))
        found = browser.run_async(
            "const done = arguments[0];"
            "axe.run().then(r => done(r.violations.map(v => [v.id, v.impact, v.nodes.length])))"
        )
        assert [v for v in found if v[1] in ("serious", "critical")] == [], path.name
