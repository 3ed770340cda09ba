"""The notebooks keep the rules that make them readable, testable and safe to render."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import papermill
import pytest

from flowanalysis.report import notebook

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))
NAMES = [p.name for p in FILES]


@pytest.fixture(params=FILES, ids=NAMES)
def path(request):
    return request.param


def code(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_there_is_a_suite():
    assert [n[:2] for n in NAMES] == sorted(n[:2] for n in NAMES)
    assert len(NAMES) >= 9


def test_kernel_is_the_one_that_every_machine_has(path):
    assert nbformat.read(path, as_version=4).metadata["kernelspec"]["name"] == "python3"


def test_papermill_sees_every_parameter(path):
    told = papermill.inspect_notebook(str(path))
    declared = notebook.read(path).parameters
    assert set(told) == set(declared)
    assert all(p["help"] for p in told.values())


def test_cells_are_thin(path):
    for cell in code(path):
        tree = ast.parse(cell.source)
        assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for n in ast.walk(tree))
        assert len(cell.source.splitlines()) <= 15


def test_outputs_are_committed_and_quiet(path):
    for cell in code(path):
        assert cell.execution_count is not None
        for output in cell.outputs:
            assert output.output_type in ("execute_result", "display_data"), output


def test_nothing_of_a_machine_is_inside(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|work|tmp|Users)/|[A-Z]:\\\\Users", text)
    assert len(text) < 200_000


def test_shows_only_what_the_exit_for_tenant_text_made(path):
    for cell in code(path):
        assert not re.search(r"\b(Markdown|HTML|to_html|style|Styler|display)\(", cell.source)


def test_table_names_are_used_once_in_the_suite():
    names = [n for p in FILES for c in code(p) for n in re.findall(r'(?:name=|, )"([a-z]+(?:-[a-z]+)+)", ', c.source)]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
