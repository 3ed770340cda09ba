"""Naughty strings as every name of a tenant, through every way out; each check first shows that it sees harm."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import warnings
import zipfile
from html.parser import HTMLParser
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import ParseError

import defusedxml.ElementTree as xml
import matplotlib.pyplot as plt
import mistune
import networkx as nx
import pandas as pd
import pytest
import rooms
from click.testing import CliRunner
from conftest import CORPUS
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from flowanalysis import cli
from flowanalysis.analysis.explain import explain
from flowanalysis.document import markdown_text
from flowanalysis.errors import FlowAnalysisError
from flowanalysis.findings import examine, to_csv, to_sarif
from flowanalysis.graph import graph
from flowanalysis.ledger import ledger, recall, record, write_ledger
from flowanalysis.report import assemble, export, figures, notebook, show, viewer
from flowanalysis.report import record as kept
from flowanalysis.report.packs import write_packs
from flowanalysis.report.page import Frame
from flowanalysis.report.workbook import write_workbook
from flowanalysis.snapshot import open_snapshot, write_snapshot
from flowanalysis.text import plain, slug
from flowanalysis.worklists import work_list

LIST = Path(__file__).with_name("hostile.json")  # texts, or a text and how often it stands there
OWN = [s if isinstance(s, str) else s[0] * s[1] for s in json.loads(LIST.read_text(encoding="utf-8"))]
SURROGATE = "bad\ud800end"  # Arrow text cannot hold it, so it never reaches a frame
ENV = rooms.ENV


@pytest.fixture(scope="module")
def strings() -> list[str]:
    """Own payloads and, where they lie on this machine, those that others collected; each once."""
    blns, sheets = CORPUS / "hostile" / "blns" / "blns.json", CORPUS / "hostile" / "csv-injection"
    others = json.loads(blns.read_text(encoding="utf-8")) if blns.is_file() else []
    for place in sheets.glob("Intruder/csv-payload.txt"):
        others += place.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys([*OWN, *filter(str.strip, others)]))


@pytest.fixture(scope="module")
def tenant(strings):
    """A flow, its owner, its connection and what it reads under each of the names."""
    each = list(enumerate(strings))
    return rooms.build(
        environments=[{"environment_id": ENV, "display_name": strings[0], "sku": "Production", "tenant_id": "t"}],
        flows=[{"flow_id": f"f{i}", "display_name": s, "owner_id": f"u{i}", "creator_id": f"u{i}"} for i, s in each],
        flow_owners=[
            {"flow_id": f"f{i}", "principal_id": f"u{i}", "principal_kind": "User", "role": "Owner"} for i, _ in each
        ],
        identities=[
            {
                "identity_id": f"u{i}",
                "upn": s,
                "display_name": s,
                "kind": "user",
                "status": ("active", "deleted")[i % 2],
            }
            for i, s in each
        ],
        flow_connections=[
            {"flow_id": f"f{i}", "alias": "a", "connector_id": "shared_sql", "connection_id": f"c{i}"} for i, _ in each
        ],
        connections=[
            {"connection_id": f"c{i}", "connector_id": "shared_sql", "account_name": s, "display_name": s}
            for i, s in each
        ],
        needs=[
            {
                "flow_id": f"f{i}",
                "step": s,
                "connector_id": "shared_sql",
                "alias": "a",
                "right": "read",
                "level": "read",
                "resource_kind": "sql_table",
                "resource": s,
            }
            for i, s in each
        ],
    )


@pytest.fixture(scope="module")
def seen(tenant):
    return examine(tenant)


@pytest.fixture(scope="module")
def found(seen):
    assert len(seen.findings) > len(seen.findings["flow_id"].dropna().unique()) > 80
    return seen.findings


def test_all_names_are_in_play(strings, tenant):
    assert len(OWN) == 176
    assert strings[:176] == OWN
    assert list(tenant.flows["display_name"]) == strings


# HTML


class Page(HTMLParser):
    """What would act in a page: tags outside the allowed ones, handlers, addresses that run or lead elsewhere."""

    ACT = frozenset({"script", "iframe", "object", "embed", "base", "form", "link", "meta", "svg"})

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.harm: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.harm += [tag] if tag in self.ACT else []
        self.harm += [k for k, _ in attrs if k.startswith("on")]
        leads = [v or "" for k, v in attrs if k in ("href", "src", "action", "srcdoc")]
        self.harm += [v for v in leads if re.match(r"\s*[a-z]+:", v, re.IGNORECASE)]


def test_names_do_nothing_in_tables_and_blocks(strings, found):
    assert sum(bool(Page(f"<p>{s}</p>").harm) for s in strings) > 5
    frame = pd.DataFrame({s: [s] for s in OWN})
    parts = [
        show.table_html(found, name="found", caption=OWN[0], rows=len(found), note=OWN[1]),
        show.table_html(frame, name=OWN[1], caption=OWN[2]),
        show.numbers(dict.fromkeys(strings, 1)).html,
        show.todo(strings, title=OWN[0]).html,
        show.advice(found, limit=1000).html,
        show.note(OWN[2]).html,
        show.link_list([(s, f"x/{slug(s)}.html", s) for s in strings], heading=OWN[1]),
    ]
    for part in parts:
        assert Page(part).harm == []


def test_names_do_nothing_in_work_lists_and_their_file_names(tenant, found, tmp_path):
    frame = Frame(OWN[0], "2026-10", scope=OWN[1])
    control = frame.tenant + "".join(found["subject_name"].fillna(""))
    assert Page(control).harm
    assemble.worklists(tenant, found, frame, tmp_path)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        body = page.read_text(encoding="utf-8").partition("<body")[2].rpartition("<script")[0]
        assert Page("<body" + body).harm == []
        assert re.fullmatch(r"[a-z0-9-]{1,60}\.html", page.name)


def test_a_viewer_page_holds_names_as_data_only(strings):
    made = viewer.page(drawn(strings), title=OWN[0], note=OWN[1])
    scripts = re.findall(r"<script.*?>(.*?)</script>", made, re.DOTALL)
    assert not any("<script" in s or "<img" in s or "<!--" in s for s in scripts)
    assert Page(re.sub(r"<script.*?</script>|<meta[^>]*>", "", made, flags=re.DOTALL)).harm == []
    assert "<script" in "".join(strings)  # control: the names do hold it


# Sheets

CALCULATES = re.compile(r"^\s*[=+\-@|\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")


def formulas(path: Path) -> list[str]:
    """Cells of a CSV file that a sheet would calculate, split at commas or, as in other countries, at semicolons."""
    text = path.read_text(encoding="utf-8-sig")
    cells = [c for row in csv.reader(io.StringIO(text, newline="")) for c in row]
    cells += [part for c in cells for part in c.split(";")[1:]]
    return [c for c in cells if CALCULATES.match(c) and not re.fullmatch(r"-?\d+(\.\d+)?", c)]


def test_no_name_is_a_formula_in_any_csv(tenant, seen, found, tmp_path):
    naive = tmp_path / "naive.csv"
    found.to_csv(naive, index=False)
    assert len(formulas(naive)) > 10
    to_csv(found, tmp_path / "findings.csv")
    kept.write_csv(found, tmp_path / "table.csv")
    kept.write_csv(work_list(tenant, found), tmp_path / "work.csv")
    write_ledger(ledger({"2026-09": seen, "2026-10": seen}), tmp_path / "ledger.csv")
    for name, rows in (("findings", len(found)), ("table", len(found)), ("work", len(found)), ("ledger", None)):
        file = tmp_path / f"{name}.csv"
        assert formulas(file) == [], name
        read = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        assert rows in (None, len(read)), name
        assert not read["finding_id"].duplicated().any(), name


def sheet_parts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n).decode("utf-8") for n in archive.namelist() if n.endswith((".xml", ".rels"))}


def test_no_name_is_a_formula_a_link_or_a_fault_in_a_workbook(strings, found, tmp_path):
    naive = tmp_path / "naive.xlsx"
    with pd.ExcelWriter(naive, engine="xlsxwriter") as writer:
        pd.DataFrame({"x": ["=1+1", "https://evil.example"]}).to_excel(writer)
    assert "<f>" in "".join(sheet_parts(naive).values())
    assert "hyperlink" in "".join(sheet_parts(naive).values())
    sheets = {"Findings": found} | {s: pd.DataFrame({s: [s]}) for s in OWN}
    notes = {"Findings": OWN[5]}
    parts = sheet_parts(write_workbook(tmp_path / "book.xlsx", sheets, title=OWN[5], notes=notes))
    whole = "".join(parts.values())
    for text in parts.values():
        xml.fromstring(text.encode("utf-8"))
    assert "<f>" not in whole
    assert "<f " not in whole
    assert "hyperlink" not in whole
    assert max(map(len, re.findall(r"<t[^>]*>([^<]*)</t>", parts["xl/sharedStrings.xml"]))) <= 6 * 32_767
    names = re.findall(r'<sheet name="([^"]*)"', parts["xl/workbook.xml"])
    assert len({n.lower() for n in names}) == len(sheets)


def test_packs_that_are_mailed_hold_no_formula_no_link_and_no_tag(tenant, tmp_path):
    few = {
        t: tenant[t].head(len(OWN)) for t in ("flows", "flow_owners", "identities", "flow_connections", "connections")
    }
    for file in write_packs(tenant.replace(needs=tenant.needs.head(len(OWN)), **few), tmp_path):
        if file.suffix == ".xlsx":
            parts = sheet_parts(file)
            assert (
                len(set(re.findall(r'<sheet name="([^"]*)"', parts["xl/workbook.xml"]))) > 1 or "work" not in file.name
            )
            for text in parts.values():
                xml.fromstring(text.encode("utf-8"))
                assert not re.search(r"<f[ >]|hyperlink", text)
        else:
            body = file.read_text(encoding="utf-8").partition("<body")[2].rpartition("<script")[0]
            assert len(body) > 1_000
            assert Page("<body" + body).harm == []


# File names


def legal(name: str) -> bool:
    """True for a name that every system takes as one file in its folder."""
    bare = PureWindowsPath(name).stem.split(".")[0].upper()
    return bool(re.fullmatch(r"[a-z0-9-]{1,60}", name)) and bare not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}


def test_every_name_is_a_file_name_inside_its_folder(strings, tmp_path):
    assert sum(not legal(s) for s in strings) > 0.9 * len(strings)
    assert not (tmp_path / OWN[25]).resolve().is_relative_to(tmp_path)
    names = [slug(s) for s in [*strings, SURROGATE]]
    assert all(map(legal, names))
    assert len(set(names)) == len(names)
    assert all((tmp_path / n).resolve().parent == tmp_path.resolve() for n in names)


# Terminal

STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def test_no_name_steers_the_terminal(strings, tenant, found, tmp_path, capsys):
    assert STEERS.search("".join(strings))
    snapshot = write_snapshot(tenant, tmp_path / "snapshot")
    done = CliRunner().invoke(cli.main, ["check", str(snapshot)])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) >= len(found)
    assert STEERS.search(done.output) is None
    for flow in range(30):
        cli.say(explain(tenant, f"{ENV}/f{flow}"))
    assert STEERS.search(capsys.readouterr().out) is None


def test_no_file_name_and_no_content_steers_the_terminal(strings, tmp_path):
    for at, name in enumerate(["\x1b[31mred.json", "\u202egpj.json", "a\rb.csv"]):
        (tmp_path / name).write_text("{" * (at + 1) + "\x1b[2J" + OWN[at], encoding="utf-8")
    done = CliRunner().invoke(cli.main, ["inspect", str(tmp_path)])
    assert "red.json" in done.output
    assert STEERS.search(done.output) is None
    done = CliRunner().invoke(cli.main, ["load", str(tmp_path / "\x1b[2Jgone"), "--to", str(tmp_path / "s")])
    assert done.exit_code != 0
    assert STEERS.search(done.output.replace("\x1b[2J", "\x1b") if "\x1b" in done.output else done.output) is None


def test_plain_text_shows_what_steers(strings):
    assert all(STEERS.search(plain(s)) is None for s in [*strings, SURROGATE])
    assert plain("\x1b[31mred") == "\\x1b[31mred"


# Pictures


def test_names_are_drawn_as_they_are_written(strings):
    figure, ax = plt.subplots()
    ax.set_title(OWN[17])
    with pytest.raises(ValueError, match="frac|expected|Parse"):
        figure.canvas.draw()
    plt.close("all")
    signs = [s for s in strings if set(s) & set("$\\^{}%") or len(s) > 250]
    signs += [s for s in strings if not s.isascii()][::16]
    assert len(signs) > 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for start in range(0, len(signs), 80):
            part = signs[start : start + 80]
            frame = pd.DataFrame({"name": part, "n": range(1, len(part) + 1)})
            assert show.png(figures.ranked(frame, "name", "n", unit="x", title=part[0], most=80)).startswith(b"\x89PNG")


# Graphs, SARIF, ledger, documents, snapshots


def drawn(strings):
    made = nx.MultiDiGraph(cut=False)
    for i, s in enumerate(strings):
        made.add_node(f"flow:{i}", kind="flow", label=s, state="Started", more=0)
        made.add_node(f"principal:{i}", kind="user", label=s, state="", more=0)
        made.add_edge(f"principal:{i}", f"flow:{i}", kind="owns", reason=f"{s} owns {s}")
    return made


@pytest.mark.parametrize("ending", [".graphml", ".gexf"])
def test_graph_files_stay_well_formed_xml_without_entities(strings, tmp_path, ending):
    naive = nx.MultiDiGraph()
    naive.add_node("a", label=OWN[23])
    nx.write_graphml(naive, str(tmp_path / "naive.graphml"))
    with pytest.raises(ParseError):
        xml.parse(tmp_path / "naive.graphml")
    file = export.write(drawn(strings), tmp_path / f"graph{ending}")
    root = xml.parse(file).getroot()
    nodes = [e for e in root.iter() if e.tag.endswith("}node")]
    assert len(nodes) == 2 * len(strings)


def test_the_graph_of_a_hostile_tenant_is_written_and_read_back(tenant, tmp_path):
    made = graph(tenant, around=OWN[0])
    file = export.write(made, tmp_path / "graph.graphml")
    back = nx.read_graphml(file)
    assert set(back.nodes) == set(made.nodes)
    assert OWN[0] in {d["label"] for _, d in back.nodes(data=True)}


def test_open_graph_is_json_with_every_node(strings, tmp_path):
    data = json.loads(export.write(drawn(strings), tmp_path / "g.json").read_text(encoding="utf-8"))
    assert len(data["graph"]["nodes"]) == 2 * len(strings)
    assert not any(STEERS.search(n["properties"]["name"].replace("\u200b", "")) for n in data["graph"]["nodes"][:2])


def texts(node: object):
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def test_sarif_holds_no_text_that_steers_and_no_link(found, tmp_path):
    link = re.compile(r"(?<!\\)\[[^\]]*(?<!\\)\]\(")
    assert any(STEERS.search(t) for t in found["subject_name"].dropna())
    assert any(link.search(t) for t in found["subject_name"].dropna())
    to_sarif(found, tmp_path / "f.sarif")
    log = json.loads((tmp_path / "f.sarif").read_text(encoding="utf-8"))
    assert len(log["runs"][0]["results"]) == len(found)
    results = list(texts(log["runs"][0]["results"]))
    assert not any(STEERS.search(t) for t in results)
    assert not any(link.search(r["message"]["text"]) for r in log["runs"][0]["results"])


def test_a_ledger_of_hostile_months_is_what_was_recorded(seen, found, tmp_path):
    for month in ("2026-09", "2026-10"):
        record(tmp_path, month, seen)
    with pytest.raises(FlowAnalysisError):  # control: the name of a month is no way out of the folder
        record(tmp_path, OWN[25], seen)
    table = ledger(recall(tmp_path))
    assert set(table["finding_id"]) == set(found["finding_id"])
    names = set(table["subject_name"].dropna()) if "subject_name" in table else set(found["subject_name"].dropna())
    assert names <= set(found["subject_name"].dropna())


def test_names_come_back_from_a_snapshot_unchanged(tenant, strings, tmp_path):
    assert pd.read_csv(io.StringIO("x\nNA\n00123"))["x"].astype(str).tolist() != ["NA", "00123"]  # the naive way
    back = open_snapshot(write_snapshot(tenant, tmp_path / "s"))
    assert list(back.flows["display_name"]) == strings


def test_names_are_no_markup_in_documents(strings):
    render = mistune.create_markdown(plugins=["table", "strikethrough", "url"], escape=False)
    assert sum(bool(re.search(r"<(?!/?p>|br)", render(s))) for s in strings if len(s) < 500) > 20
    for text in strings:
        made = render("| a |\n| --- |\n| " + markdown_text(text)[:5_000] + " |\n\n- " + markdown_text(text)[:5_000])
        tags = set(re.findall(r"<(/?[a-z]+)", made))
        assert {t.strip("/") for t in tags} <= {"table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p"}, text[:80]


# Parameters

INJECTING = 'data = 1; open("PWNED", "w"); b'


def assigned(code: str) -> dict[str, object]:
    """Names and values of a cell that assigns literals only; anything else is an error."""
    values = {}
    for node in ast.parse(code).body:
        assert isinstance(node, ast.Assign), ast.dump(node)
        values[node.targets[0].id] = ast.literal_eval(node.value)
    return values


def injected(root, parameters) -> str:
    book = load_notebook_node(str(root / "notebooks" / "01_inventory.ipynb"))
    made = parameterize_notebook(book, parameters, kernel_name="python3", language="python")
    return next(c.source for c in made.cells if "injected-parameters" in c.metadata.get("tags", []))


def test_values_of_parameters_stay_values(strings, root):
    face = notebook.read(root / "notebooks" / "01_inventory.ipynb")
    for text in [*OWN[:-3], *strings[len(OWN) :: 4], SURROGATE]:
        given = notebook.check_parameters(face, {"environment": text})
        assert assigned(injected(root, given)) == {"environment": text}


def test_names_of_parameters_never_become_code(root):
    with pytest.raises(AssertionError):  # control: papermill alone writes the name as it stands
        assigned(injected(root, {INJECTING: 1}))
    face = notebook.read(root / "notebooks" / "01_inventory.ipynb")
    for name in [INJECTING, "data\nimport os", "__import__('os')", "", "data ", "environment=1#", *OWN]:
        with pytest.raises(FlowAnalysisError):
            notebook.check_parameters(face, {name: "x"})
    with pytest.raises(FlowAnalysisError):
        notebook.check_parameters(face, {"environment": 123})
