"""A notebook of the suite: its parameters, its title and question, and its page."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flowanalysis.errors import ReportError, UnknownName
from flowanalysis.report.page import Frame, Link, page
from flowanalysis.report.show.leaf import escape

FILE = re.compile(r"(\d\d)_([a-z0-9_]+)\.ipynb")
MONTHLY_END = "10_explore"  # interactive, not part of the monthly run


@dataclass(frozen=True)
class Notebook:
    """One notebook as it came: where, which, what it asks, and which parameters it declares."""

    path: Path
    name: str
    title: str
    question: str
    parameters: Mapping[str, object]

    @property
    def link(self) -> Link:
        """Its place in the navigation."""
        return Link(f"{self.name}.html", self.name[:2], self.title, self.question)


def read(path: Path) -> Notebook:
    """A notebook's face, without running it.

    Raises
    ------
    ReportError
        When it has no title, or not exactly one cell of parameters.
    """
    cells = _cells(path)
    prose = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    declared = ["".join(c["source"]) for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    if not prose or not prose[0].startswith("# "):
        raise ReportError(f"{path.name}: the first cell of text must begin with '# ' and a title.")
    if len(declared) != 1:
        raise ReportError(f"{path.name}: has {len(declared)} cells tagged 'parameters', must have one.")
    lines = [line.strip() for line in prose[0].splitlines() if line.strip()]
    question = lines[1] if len(lines) > 1 else ""
    return Notebook(
        path, path.stem, lines[0].removeprefix("# "), question.strip("*_"), declarations(declared[0], path.name)
    )


def _cells(path: Path) -> list[dict[str, Any]]:
    """The cells, read as JSON: nbformat would take a second to open."""
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["cells"])
    except (ValueError, KeyError, TypeError):
        raise ReportError(f"{path.name}: is no notebook of format 4; save it again in JupyterLab.") from None


def declarations(source: str, name: str) -> dict[str, object]:
    """Parameters of a cell of one-line declarations and their defaults, read without running anything.

    >>> declarations('data: str = "demo"  # exports', "x")
    {'data': 'demo'}

    Raises
    ------
    ReportError
        When a line is anything but ``name: type = literal``.
    """
    found = {}
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
            raise ReportError(f'{name}: the parameters cell may only hold lines such as: name: str = ""  # help')
        found[node.target.id] = ast.literal_eval(node.value)
    return found


def check_parameters(notebook: Notebook, given: Mapping[str, object]) -> dict[str, object]:
    """The parameters to hand over: declared ones only, of the declared type.

    papermill only warns of a name that it does not know, writes that name into the notebook as code, and
    guesses types from text; none of this can happen to what passes here.

    Raises
    ------
    UnknownName
        When the notebook declares no parameter of that name.
    ReportError
        When a value has another type than the default.
    """
    for name, value in given.items():
        if not name.isidentifier() or name not in notebook.parameters:
            raise UnknownName(f"parameter of {notebook.name}", name, notebook.parameters)
        wanted = type(notebook.parameters[name])
        if type(value) is not wanted:
            raise ReportError(
                f"{notebook.name}: parameter {name} must be {wanted.__name__}, not {type(value).__name__} ({value!r})."
            )
    return dict(given)


def suite(folder: Path, only: list[str] | None = None) -> list[Notebook]:
    """The notebooks of the monthly run in order, or those named by number, name or file.

    Raises
    ------
    UnknownName
        When no notebook has that name.
    """
    files = {p.stem: p for p in sorted(folder.glob("*.ipynb")) if FILE.fullmatch(p.name)}
    if not only:
        return [read(p) for stem, p in files.items() if stem != MONTHLY_END]
    chosen = {_find(name, files) for name in only}
    return [read(p) for stem, p in files.items() if stem in chosen]


def _find(name: str, files: Mapping[str, Path]) -> str:
    stem = Path(str(name)).name.removesuffix(".ipynb")
    for candidate in files:
        if stem in (candidate, candidate[:2], candidate[3:]):
            return candidate
    raise UnknownName("notebook", name, files)


def to_page(cells: Any, notebook: Notebook, frame: Frame, *, problem: str = "") -> str:
    """An executed notebook as a page of the report."""
    body, _ = _exporter().from_notebook_node(_without_banners(cells))
    alarm = (
        '<div class="fa-alarm" role="alert"><h2>This notebook did not run to its end</h2>'
        f"<p>{escape(problem, width=600)}</p>"
        "<p>What stands below was made before it stopped. Do not read what is missing as nothing found.</p></div>"
        if problem
        else ""
    )
    link = f'<a href="{notebook.name}.ipynb" download>{notebook.name}.ipynb</a>'
    source = f'<p class="fa-meta">How each number is made: {link}</p>'
    return page(
        f"{notebook.title} – {frame.tenant} {frame.month}", alarm + body + source, frame, current=notebook.link.href
    )


def _without_banners(cells: Any) -> Any:
    """The notebook without the red banners that papermill adds: the page has its own."""
    kept = cells.copy()
    kept.cells = [c for c in cells.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    return kept


def warm_up() -> None:
    """Open the template and fill it once, so that copies of this process have it compiled."""
    from nbformat import v4  # late: as the exporter

    outputs = [v4.new_output("display_data", {"text/html": "<p>"}), v4.new_output("display_data", {"image/png": ""})]
    cells = [v4.new_markdown_cell("# A"), v4.new_code_cell("1", outputs=outputs)]
    _exporter().from_notebook_node(v4.new_notebook(cells=cells))


@cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter  # late: a second of imports

    template = Path(__file__).parent / "template"
    return HTMLExporter(
        template_name="cells", extra_template_basedirs=[str(template)], exclude_input=True, exclude_anchor_links=True
    )
