"""Notebooks are judged by their run, fed only what they declare, and their failures are kept and named."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from flowanalysis import schema
from flowanalysis.errors import ReportError, UnknownName
from flowanalysis.findings import examine
from flowanalysis.loading import load
from flowanalysis.policy import load_policy
from flowanalysis.report import notebook, processes, record, run, seen, worker
from flowanalysis.report.page import Frame, page, policy
from flowanalysis.report.style import page_css
from flowanalysis.tenant import Tenant

FRAME = Frame("Tailwind Traders", "2026-10")


def a_notebook(folder, *cells, name="01_thing", parameters='data: str = ""  # exports'):
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    head = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    made.cells = [nbformat.v4.new_markdown_cell("# Thing\n\n*What?*"), head]
    made.cells += [nbformat.v4.new_code_cell(c) for c in cells]
    path = folder / f"{name}.ipynb"
    nbformat.write(made, path)
    return path


def ended(tmp_path, *notebooks, cell_timeout=60):
    """Run notebooks of some cells each; their statuses by name, and the folder that received them."""
    for folder in ("out", "work", "suite"):
        (tmp_path / folder).mkdir()
    paths = [a_notebook(tmp_path / "suite", *cells, name=f"{n:02}_thing") for n, cells in enumerate(notebooks, 1)]
    # The folder of a report is relative, as by default; kernels work elsewhere.
    with contextlib.chdir(tmp_path):
        statuses = run.run_notebooks(
            [notebook.read(p) for p in paths],
            Path("out"),
            {"data": "x"},
            FRAME,
            work=tmp_path / "work",
            cell_timeout=cell_timeout,
        )
    return statuses, tmp_path / "out"


def test_title_question_and_parameters_are_read_without_running(tmp_path):
    found = notebook.read(a_notebook(tmp_path, "1/0", parameters='data: str = ""  # exports\nhops: int = 2  # edges'))
    assert (found.title, found.question, dict(found.parameters)) == ("Thing", "What?", {"data": "", "hops": 2})


def test_a_parameter_that_is_not_declared_is_refused(tmp_path):
    found = notebook.read(a_notebook(tmp_path))
    with pytest.raises(UnknownName, match="data"):
        notebook.check_parameters(found, {"dta": "x"})
    with pytest.raises(UnknownName):
        notebook.check_parameters(found, {"data=1;open('PWNED','w');b": "x"})
    with pytest.raises(ReportError, match="must be str"):
        notebook.check_parameters(found, {"data": 7})


def test_only_plain_declarations_are_parameters(tmp_path):
    with pytest.raises(ReportError):
        notebook.declarations("import os", "x")


def test_an_unknown_notebook_gets_a_hint(root):
    with pytest.raises(UnknownName, match="02_ownership"):
        notebook.suite(root / "notebooks", ["ownersip"])


WELL = (
    "import pandas as pd\nfrom flowanalysis.report import show\n"
    "show.table(pd.DataFrame({'a': ['<b>', '=1+1']}), 'things', 'Things')"
)
CHANGE = "import os, pandas as pd\npd.changed = 1\nos.environ['CHANGED'] = '1'\nos.chdir('/')"
LOOK = "import os, pandas as pd\nassert not (hasattr(pd, 'changed') or 'CHANGED' in os.environ or os.getcwd() == '/')"
BADLY = [
    ("raise ValueError('bad <b> thing')", worker.FAILED, "ValueError: bad <b> thing"),
    ("import sys; sys.exit(0)", worker.LEFT_EARLY, "before its last cell"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", worker.KERNEL_DIED, "memory"),
    ("import time; time.sleep(60)", worker.TIMED_OUT, "longer than"),
    # The kernel's parent is the process that runs the notebook.
    ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", worker.KERNEL_DIED, "left no word"),
]


def ended_well(status, out, tmp_path):
    assert status.status == worker.COMPLETED, status
    html = (out / f"{status.notebook}.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in html
    assert "<b>=" not in html
    assert "'=1+1" in (out / "tables" / "things.csv").read_text(encoding="utf-8-sig")
    assert str(tmp_path) not in json.dumps(nbformat.read(out / f"{status.notebook}.ipynb", as_version=4)["metadata"])


@pytest.mark.slow
@pytest.mark.parametrize("copies", [True, False])
def test_a_notebook_that_ends_badly_is_named_and_kept_and_touches_no_other(tmp_path, monkeypatch, copies):
    if copies and not processes.COPIES:
        pytest.skip("this system copies no process")
    monkeypatch.setattr(processes, "COPIES", copies)
    # From nothing each one takes seconds: there, one bad end stands for all.
    badly = BADLY if copies else BADLY[2:3]
    bad = [("print('before')", cell, "print('after')") for cell, _, _ in badly]
    statuses, out = ended(tmp_path, *bad, (CHANGE,), (LOOK, WELL), cell_timeout=6)
    for status, (_, expected, words) in zip(statuses, badly, strict=False):
        assert (status.status, words in status.problem) == (expected, True), status
        if "left no word" in words:
            continue
        html = (out / f"{status.notebook}.html").read_text(encoding="utf-8")
        assert "did not run to its end" in html
        assert "<b> thing" not in html
    ended_well(statuses[-1], out, tmp_path)


class Slow:
    """A process that runs for some looks, or for ever."""

    def __init__(self, looks):
        self.looks, self.killed = looks, False

    def poll(self):
        self.looks -= 1
        return 0 if self.looks < 0 or self.killed else None

    def kill(self):
        self.killed = True

    def wait(self):
        return 0


def test_never_more_processes_than_asked_for_and_each_end_is_told_once():
    live, most = [], []

    def start(file):
        live.append(Slow(int(file.name)))
        most.append(sum(1 for p in live if p.looks >= 0))
        return live[-1]

    files = [Path(str(n)) for n in (3, 1, 2, 0, 2)]
    told = list(processes.in_turn(files, start, jobs=2, timeout=60))
    assert sorted(told) == sorted((f, 0) for f in files)
    assert max(most) == 2


def test_what_takes_too_long_is_killed_and_told():
    slow = Slow(10**9)
    assert list(processes.in_turn([Path("x")], lambda _: slow, jobs=1, timeout=0.05)) == [(Path("x"), None)]
    assert slow.killed


def test_nothing_runs_on_when_the_run_is_broken_off():
    slow = Slow(10**9)
    ends = processes.in_turn([Path("x"), Path("y")], lambda f: slow if f.name == "x" else Slow(0), jobs=2, timeout=60)
    assert next(ends) == (Path("y"), 0)
    ends.close()
    assert slow.killed


def test_what_a_warm_process_leaves_undone_runs_from_nothing(tmp_path, monkeypatch):
    def dead(order):
        lines = "\n".join(map(json.dumps, (["ready", None], [str(tmp_path / "a.json"), 0])))
        return subprocess.Popen([sys.executable, "-c", f"print({lines!r})"], stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(processes, "COPIES", True)
    monkeypatch.setattr(processes, "_warm_one", dead)
    monkeypatch.setattr(processes, "fresh", lambda file: Slow(0))
    files = [tmp_path / f"{name}.json" for name in "abc"]
    with processes.running(files, jobs=2, timeout=60) as running:
        assert running.found() is None
        assert [file.stem for file, _ in running.ends] == ["a", "b", "c"]


def test_an_examination_is_made_once_and_nobody_changes_anothers(monkeypatch):
    made = []
    monkeypatch.setattr(seen, "apply_rules", lambda *given: made.append(given) or examine(*given))
    tenant, before = (Tenant({"groups": schema.frame("groups", [{"group_id": "g"}])}) for _ in range(2))
    first = seen.examined(tenant)
    del first.findings["advice"]
    assert "advice" in seen.examined(tenant).findings
    assert len(made) == 1
    seen.examined(tenant, None, before)
    assert len(made) == 2


def test_what_another_process_found_is_known_as_it_was(root, tmp_path):
    place = root / "data" / "demo"
    there, here, before = (load(place / month) for month in ("2026-10", "2026-10", "2026-09"))
    rules = load_policy()
    seen.hand_over(tmp_path, "now", there, rules, before)
    seen.take_over(tmp_path, "now", here, rules, before)
    for part in ("findings", "evidence", "answerable"):
        given, got = (getattr(seen.examined(t, rules, before), part) for t in (there, here))
        pd.testing.assert_frame_equal(given, got)
    given, got = (seen.responsible(t, rules, before) for t in (there, here))
    assert dict(given) == dict(got)


def test_pages_allow_exactly_their_own_script_and_style():
    html = page("T <b>", "<p>x</p>", FRAME)
    assert html.count("<script>") == 1
    assert "default-src 'none'" in html
    assert not re.search(r"https?://", html)
    assert "unsafe" not in html
    script, css = (html.split(f"<{tag}>")[1].split(f"</{tag}>")[0] for tag in ("script", "style"))
    assert policy(script, css) in html


def test_a_page_carries_the_rules_that_it_can_use_and_no_others():
    whole, lean = page_css(), page_css('<figure class="fa-table"></figure>')
    assert len(lean) < len(whole) * 0.8
    assert ".fa-table figcaption" in lean
    assert ".fa-tools" in lean  # the script adds it
    assert ".fa-pages" not in lean
    assert lean.count("{") == lean.count("}")


def test_a_table_name_that_is_no_file_name_is_refused(tmp_path):
    with pytest.raises(ReportError):
        record.table("../x", pd.DataFrame(), caption="", to=tmp_path)


def test_csv_texts_are_never_formulas_and_numbers_stay_numbers(tmp_path):
    record.write_csv(pd.DataFrame({"=a": ["=1+1", "@x", "plain"], "n": [-1, 2, 3]}), tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines == ["'=a,n", "'=1+1,-1", "'@x,2", "plain,3"]
