"""JupyterLab on copies of the notebooks, so that the originals stay as they came."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import nbformat
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from flowanalysis import places
from flowanalysis.errors import ReportError


def copy_notebooks(folder: Path, *, data: Path | None = None) -> list[Path]:
    """Copy the notebooks that are not in the folder yet, with `data` as their tenant and no outputs.

    What an analyst changed in an earlier copy is kept.

    Parameters
    ----------
    folder : Path
        Made when missing.
    data : Path, optional
        Exports or snapshot; the demo tenant when not given.

    Returns
    -------
    list of Path
        The copies made now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for source in sorted(places.notebooks().glob("*.ipynb")):
        copy = folder / source.name
        if copy.exists():
            continue
        notebook = load_notebook_node(str(source))  # as papermill wants it: tags on every cell
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        if data is not None:
            notebook = parameterize_notebook(notebook, {"data": str(data.resolve())}, comment="Your data")
        nbformat.write(notebook, copy)
        made.append(copy)
    return made


def open_lab(data: Path | None, *, folder: Path, browser: bool = True) -> int:
    """Start JupyterLab on copies of the notebooks and wait until it ends.

    Raises
    ------
    ReportError
        When JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise ReportError('JupyterLab is not installed. Install it with: pip install "flowanalysis[lab]"')
    copy_notebooks(folder, data=data)
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"]
    return subprocess.call(command if browser else [*command, "--no-browser"])
