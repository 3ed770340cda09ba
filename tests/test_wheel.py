"""The wheel, installed far from the checkout, renders the demo: in odd folders, languages and time zones, and twice."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ODD = "Ordner mit Leerzeichen äöü 報告"


def run(*command: object, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    done = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *here, "-w", folder, root)
    if done.returncode and not here:
        pytest.skip(f"no hatchling on this machine, and none to be had: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The Python of a fresh environment: this package from the wheel, all others from here."""
    place = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(place, symlinks=True)
    library = next(place.glob("lib/python*/site-packages"))
    (library / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    python = place / "bin" / "python"
    done = run(sys.executable, "-m", "pip", f"--python={python}", "install", "-q", "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    for path in (library / "flowanalysis").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return python


def package(python: Path) -> Path:
    return next(python.parents[1].glob("lib/python*/site-packages/flowanalysis"))


def content(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change; byte code that Python keeps beside it is no concern."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}


def start(python: Path, folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LC_", "LANG", "COV"))}
    # others.pth lends the modules of the other packages; the pages of nbconvert lie beside them
    plain["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
    command = [python, "-m", "flowanalysis", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=plain | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def ended(process: subprocess.Popen) -> tuple[int, str]:
    out, _ = process.communicate(timeout=300)
    return process.returncode, out.decode("utf-8", "replace")


@pytest.fixture(scope="module")
def rendered(installed, tmp_path_factory):
    """Three reports at once in one empty folder: two into the same place, one elsewhere; odd settings all round."""
    folder = tmp_path_factory.mktemp("empty") / ODD
    folder.mkdir()
    before = content(package(installed))
    demo = ("demo", "--only", "01_inventory", "--quiet", "--jobs", "1", "--out")
    runs = [
        start(installed, folder, *demo, "eins", LC_ALL="C", TZ="Asia/Kolkata"),
        start(installed, folder, *demo, "eins", LC_ALL="C", TZ="Asia/Kolkata"),
        start(installed, folder, *demo, "zwei", LC_ALL="de_DE.UTF-8", TZ="America/St_Johns"),
    ]
    return folder, [ended(r) for r in runs], before


def test_the_wheel_holds_what_it_needs_and_nothing_of_the_workshop(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {n.partition("_shipped/")[2].split("/")[0] for n in names if "_shipped/" in n}
    assert shipped == {"notebooks", "demo"}
    assert any(n.startswith("flowanalysis/reference/") and n.endswith(".csv") for n in names)
    assert any("report/template/" in n for n in names)
    assert [
        n for n in names if n.startswith(("tests/", "data/", "reports/")) or n.endswith((".pyc", ".ipynb.bak"))
    ] == []


def test_the_package_that_runs_is_the_one_installed(installed, tmp_path):
    code = "import flowanalysis, flowanalysis.places as p; print(flowanalysis.__file__, p.notebooks(), p.demo())"
    done = run(installed, "-c", code, cwd=tmp_path, env={})
    assert done.returncode == 0, done.stderr
    assert all(word.startswith(str(installed.parents[1])) for word in done.stdout.split())


def test_the_demo_renders_in_an_empty_folder_with_an_odd_name(rendered):
    folder, results, _ = rendered
    assert [status for status, _ in results] == [0, 0, 0], results
    for place in ("eins", "zwei"):
        report = folder / place / "2026-10"
        assert (report / "01_inventory.html").stat().st_size > 10_000
        told = json.loads((report / "run.json").read_text(encoding="utf-8"))
        assert {n["status"] for n in told["notebooks"]} == {"completed"}


def test_two_reports_into_one_place_leave_one_whole_report(rendered, installed):
    folder, _, _ = rendered
    assert [p.name for p in (folder / "eins").iterdir()] == ["2026-10"]
    done = start(installed, folder, "verify", "eins/2026-10")
    assert ended(done)[0] == 0


def test_language_and_time_zone_change_no_number(rendered):
    folder, _, _ = rendered
    tables = [{p.name: p.read_bytes() for p in (folder / n / "2026-10").rglob("*.csv")} for n in ("eins", "zwei")]
    assert tables[0].keys() == tables[1].keys()
    assert len(tables[0]) > 3
    assert [n for n, data in tables[0].items() if data != tables[1][n]] == []
    findings = next(data for n, data in tables[0].items() if n.startswith("findings"))
    assert len(list(csv.reader(findings.decode("utf-8").splitlines()))) > 20


def test_nothing_is_written_beside_the_package_or_outside_the_reports(rendered, installed):
    folder, _, before = rendered
    assert content(package(installed)) == before
    assert sorted(p.name for p in folder.iterdir()) == ["eins", "zwei"]
