"""One notebook in a process of its own: run it, judge the run, make its page.

``python -m flowanalysis.report.worker job.json`` reads a job and writes a status. The run is judged by what
happens here, never by the saved notebook: after a dead kernel or a timeout that one says "completed".
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flowanalysis.report import notebook as notebooks
from flowanalysis.report import record
from flowanalysis.report.page import Frame, Link
from flowanalysis.text import plain

COMPLETED, FAILED, TIMED_OUT, KERNEL_DIED, LEFT_EARLY = "completed", "failed", "timed out", "kernel died", "left early"


@dataclass(frozen=True)
class Job:
    """What to run and where to put it; paths as text, for it travels as JSON."""

    notebook: str
    folder: str  # of the report being built
    parameters: dict[str, object]
    frame: dict[str, Any]
    cell_timeout: int = 600  # seconds
    told: dict[str, str] = field(default_factory=dict)  # place of this run -> place as the analyst named it


@dataclass(frozen=True)
class Status:
    """How a notebook ended."""

    notebook: str
    status: str
    seconds: float
    problem: str = ""
    cell: int | None = None
    parameters: dict[str, object] = field(default_factory=dict)


def run(job: Job, *, kernels: type | None = None) -> Status:
    """Run a notebook and write its executed copy and its page, whether it ends well or not.

    Parameters
    ----------
    job : Job
        What to run.
    kernels : type, optional
        Class of the kernel manager. Default: the one of nbclient, which starts a kernel from nothing.
    """
    source = notebooks.read(Path(job.notebook))
    parameters = notebooks.check_parameters(source, job.parameters)
    folder = Path(job.folder)
    os.environ[record.VARIABLE] = str(folder)
    started = time.monotonic()
    executed, status, problem, cell = _execute(source, folder, parameters, job.cell_timeout, kernels)
    shown = {k: job.told.get(str(v), v) for k, v in parameters.items()}
    result = Status(source.name, status, round(time.monotonic() - started, 2), problem, cell, shown)
    if executed is not None:
        frame = Frame(**{**job.frame, "links": tuple(Link(**link) for link in job.frame["links"])})
        html = notebooks.to_page(executed, source, frame, problem=problem)
        (folder / source.link.href).write_text(html, encoding="utf-8")
        _save(executed, folder / source.path.name, job.told)
    return result


def _execute(
    source: notebooks.Notebook, folder: Path, parameters: dict[str, object], cell_timeout: int, kernels: type | None
) -> tuple[Any, str, str, int | None]:
    """The executed notebook as far as it came, its status, the problem in words, and the cell."""
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    output = folder / source.path.name
    try:
        executed = papermill.execute_notebook(
            str(source.path),
            str(output),
            parameters=parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=str(source.path.parent),
            execution_timeout=cell_timeout,
            config=_encrypted(),
            **({"kernel_manager_class": kernels} if kernels else {}),
        )
    except PapermillExecutionError as error:
        left = error.ename == "SystemExit"
        status, problem, cell = (LEFT_EARLY if left else FAILED), f"{error.ename}: {error.evalue}", error.cell_index
    except CellTimeoutError:
        status, problem, cell = TIMED_OUT, f"A cell took longer than {cell_timeout} s.", None
    except RuntimeError as error:
        if not isinstance(error, DeadKernelError) and "Kernel died" not in str(error):  # it did not even begin
            raise
        status, problem, cell = KERNEL_DIED, "The process died; most often the machine had too little memory.", None
    else:
        unfinished = [i for i, c in enumerate(executed.cells) if c.cell_type == "code" and not _ended(c)]
        if not unfinished:
            return executed, COMPLETED, "", None
        status, problem, cell = LEFT_EARLY, "The notebook ended before its last cell.", unfinished[0]
    partial = nbformat.read(output, as_version=4) if output.exists() else None
    return partial, status, plain(problem), cell


def _save(executed: Any, path: Path, told: dict[str, str]) -> None:
    """The executed notebook without pictures, which its page shows in light and dark, and without places here."""
    import nbformat

    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if output.get("data", {}).pop("image/png", None):
                output["metadata"] = {}
    about = executed.metadata.get("papermill", {})
    for place in ("input_path", "output_path"):
        if about.get(place):
            about[place] = Path(about[place]).name
    text = nbformat.writes(executed)
    for here, named in told.items():
        text = text.replace(json.dumps(here)[1:-1], json.dumps(named)[1:-1])
    path.write_text(text, encoding="utf-8")


def _ended(cell: Any) -> bool:
    return cell.metadata.get("papermill", {}).get("status") == "completed" or not cell.source.strip()


def _encrypted() -> Any:
    """Kernel messages over loopback are readable for others on the machine unless encrypted."""
    from traitlets.config import Config

    wanted = {"transport_encryption": "required"}
    return Config({"KernelManager": wanted, "AsyncKernelManager": wanted})


# jsonschema, when it finds this library, has it build a grammar of addresses for two seconds; notebooks hold none.
UNUSED = "rfc3987_syntax"


def main(path: str, *, kernels: type | None = None) -> None:
    """Run the job in a file; the status goes beside it, also when the job itself is wrong."""
    sys.modules.setdefault(UNUSED, None)  # type: ignore[arg-type]
    warnings.filterwarnings("ignore", message="Jupyter is migrating its paths", category=DeprecationWarning)
    file = Path(path)
    job = Job(**json.loads(file.read_text(encoding="utf-8")))
    try:
        status = run(job, kernels=kernels)
    except Exception as error:  # whatever it is, the report must name it
        traceback.print_exc()
        status = Status(Path(job.notebook).stem, FAILED, 0.0, plain(f"{type(error).__name__}: {error}"))
    file.with_suffix(".status").write_text(json.dumps(asdict(status)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
