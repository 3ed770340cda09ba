"""Notebooks are judged by their run, fed only what they declare, and their failures are kept and named."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import nbformat
import pytest

from flowanalysis.errors import ReportError, UnknownName
from flowanalysis.report import notebook, record, run, worker
from flowanalysis.report.page import Frame, page, policy
from flowanalysis.report.style import page_css

FRAME = Frame("Tailwind Traders", "2026-10")


def a_notebook(folder, *cells, name="01_thing", parameters='data: str = ""  # exports'):
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    head = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    made.cells = [nbformat.v4.new_markdown_cell("# Thing\n\n*What?*"), head]
    made.cells += [nbformat.v4.new_code_cell(c) for c in cells]
    path = folder / f"{name}.ipynb"
    nbformat.write(made, path)
    return path


def ended(tmp_path, *cells, cell_timeout=60, **given):
    for folder in ("out", "work", "suite"):
        (tmp_path / folder).mkdir()
    suite = [notebook.read(a_notebook(tmp_path / "suite", *cells, **given))]
    # The folder of a report is relative, as by default; kernels work elsewhere.
    with contextlib.chdir(tmp_path):
        [status] = run.run_notebooks(
            suite, Path("out"), {"data": "x"}, FRAME, work=tmp_path / "work", cell_timeout=cell_timeout
        )
    return status, tmp_path / "out"


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


@pytest.mark.slow
def test_a_notebook_that_ends_well_leaves_page_tables_and_no_place_of_this_machine(tmp_path):
    cell = (
        "import pandas as pd\nfrom flowanalysis.report import show\n"
        "show.table(pd.DataFrame({'a': ['<b>', '=1+1']}), 'things', 'Things')"
    )
    status, out = ended(tmp_path, cell)
    assert status.status == worker.COMPLETED, status
    html = (out / "01_thing.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in html
    assert "<b>=" not in html
    assert "'=1+1" in (out / "tables" / "things.csv").read_text(encoding="utf-8-sig")
    assert str(tmp_path) not in json.dumps(nbformat.read(out / "01_thing.ipynb", as_version=4)["metadata"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "status", "words"),
    [
        ("raise ValueError('bad <b> thing')", worker.FAILED, "ValueError: bad <b> thing"),
        ("import sys; sys.exit(0)", worker.LEFT_EARLY, "before its last cell"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", worker.KERNEL_DIED, "memory"),
        ("import time; time.sleep(60)", worker.TIMED_OUT, "longer than"),
    ],
)
def test_a_notebook_that_ends_badly_is_named_and_kept(tmp_path, cell, status, words):
    ended_as, out = ended(tmp_path, "print('before')", cell, "print('after')", cell_timeout=5)
    assert (ended_as.status, words in ended_as.problem) == (status, True), ended_as
    html = (out / "01_thing.html").read_text(encoding="utf-8")
    assert "did not run to its end" in html
    assert "<b> thing" not in html


def test_pages_allow_exactly_their_own_script_and_style():
    html = page("T <b>", "<p>x</p>", FRAME)
    assert html.count("<script>") == 1
    assert "default-src 'none'" in html
    assert not re.search(r"https?://", html)
    assert "unsafe" not in html
    script = html.split("<script>")[1].split("</script>")[0]
    assert policy(script, page_css()) in html


def test_a_table_name_that_is_no_file_name_is_refused(tmp_path):
    import pandas as pd

    with pytest.raises(ReportError):
        record.table("../x", pd.DataFrame(), caption="", to=tmp_path)


def test_csv_texts_are_never_formulas_and_numbers_stay_numbers(tmp_path):
    import pandas as pd

    record.write_csv(pd.DataFrame({"=a": ["=1+1", "@x", "plain"], "n": [-1, 2, 3]}), tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines == ["'=a,n", "'=1+1,-1", "'@x,2", "plain,3"]
