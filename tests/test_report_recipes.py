"""The recipes of the README for a report every month run as a scheduler would run them."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowanalysis.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
# Stands for the command: exports of a month come from the demo, snapshots are folders, a report needs what it reads.
STAND_IN = """
    #!{python}
    import os, pathlib, sys
    command, words = sys.argv[1], sys.argv[2:]
    option = dict(zip(words, words[1:]))
    if command == "collect":
        pathlib.Path(option["--out"], "contoso.example", "2026-10-31").mkdir(parents=True, exist_ok=True)
    if command == "load":
        assert pathlib.Path(words[0]).is_dir(), words[0]
        pathlib.Path(option["--to"]).mkdir(parents=True)
    if command == "report":
        assert all(pathlib.Path(p).is_dir() for p in (words[0], option.get("--previous", "."))), words
        pathlib.Path(option["--out"], option["--month"]).mkdir(parents=True)
    with open("log", "a") as log:
        log.write(" ".join([command, *words]) + "\\n")
    sys.exit(int(os.environ.get("FAIL") == command))
"""


def recipe(root: Path, language: str) -> str:
    """The first block of a language under the heading about every month."""
    text = (root / "README.md").read_text(encoding="utf-8").partition("## Every month by itself")[2]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[0]


@pytest.fixture
def place(root, tmp_path):
    """A folder with the script, and an environment that holds the stand-in alone."""
    script, command = tmp_path / "monthly.sh", tmp_path / ".venv" / "bin" / "flowanalysis"
    command.parent.mkdir(parents=True)
    command.write_text(textwrap.dedent(STAND_IN).lstrip().format(python=sys.executable), encoding="utf-8")
    script.write_text(recipe(root, "sh"), encoding="utf-8")
    for file in (script, command):
        file.chmod(0o755)
    return tmp_path


def run(*command: str | Path, **environment: str) -> int:
    """As cron does it: next to no environment, and a folder that is not the script's."""
    known = {"HOME": "/", "LOGNAME": "nobody", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=known | environment, cwd="/", check=False).returncode


def told(place: Path) -> list[str]:
    return (place / "log").read_text(encoding="utf-8").splitlines()


def test_the_first_month_has_no_month_before(place):
    assert run(place / "monthly.sh") == 0
    assert [line.split()[0] for line in told(place)] == ["collect", "load", "report"]
    assert "--previous" not in told(place)[2]
    assert "--signin certificate" in told(place)[0]


def test_later_months_compare_with_the_last_one_kept(place):
    for month in ("2025-12", "2026-01"):
        (place / "data" / "snapshots" / month).mkdir(parents=True)
    assert run(place / "monthly.sh") == 0
    assert "--previous data/snapshots/2026-01 " in told(place)[2]


@pytest.mark.parametrize("step", ["collect", "load"])
def test_a_step_that_fails_ends_the_month(place, step):
    assert run(place / "monthly.sh", FAIL=step) == 1
    assert told(place)[-1].startswith(step)


def test_the_workflow_is_yaml_and_its_step_runs(root, place):
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load(recipe(root, "yaml"))
    assert workflow[True]["schedule"] == [{"cron": "15 5 1 * *"}]  # YAML reads the key "on" as a truth
    [job] = workflow["jobs"].values()
    [step] = job["steps"]
    assert run("bash", "-e", "-c", step["run"].replace("/srv/flowanalysis", str(place)), **job["env"]) == 0
    assert "--signin federated" in told(place)[0]


def test_the_lines_for_a_notebook_run(root, place):
    lines = recipe(root, "python3").replace("/lakehouse/default/Files/flowanalysis", str(place))
    assert run(sys.executable, "-c", lines) == 0
    assert "--signin managed-identity" in told(place)[0]


def test_the_script_for_windows_gives_the_same_commands(root):
    def commands(text: str) -> list[list[str]]:
        lines = re.findall(r"^flowanalysis .*", text.replace("\\", "/"), re.MULTILINE)
        return [re.findall(r"^flowanalysis \w+|--[a-z]+", line) for line in lines]

    mine = recipe(root, "sh").replace('${before:+--previous "data/snapshots/$before"} ', "")
    assert commands(recipe(root, "bat")) == commands(mine)
    assert "set before=--previous data" in recipe(root, "bat")


def test_open_hands_the_report_to_the_browser(tmp_path, monkeypatch):
    report = tmp_path / "a report" / "index.html"
    report.parent.mkdir()
    (report.parent / "run.json").write_text('{"notebooks": []}', encoding="utf-8")
    monkeypatch.setattr("flowanalysis.report.run.render", lambda *_, **__: report)
    opened = []
    monkeypatch.setattr("click.launch", opened.append)
    told = CliRunner().invoke(main, ["report", str(tmp_path), "--open", "--quiet"])
    assert (told.exit_code, opened) == (0, [report.as_uri()])
