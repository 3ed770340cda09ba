"""JupyterLab opens on copies of the notebooks with the chosen tenant."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from flowanalysis.errors import ReportError
from flowanalysis.report import lab, notebook


def test_copies_know_the_tenant_and_have_no_outputs(tmp_path):
    made = lab.copy_notebooks(tmp_path / "lab", data=tmp_path)
    assert len(made) >= 10
    for copy in made:
        cells = nbformat.read(copy, as_version=4).cells
        assert not any(c.get("outputs") for c in cells)
        assert sum("injected-parameters" in c.metadata.get("tags", []) for c in cells) == 1
        assert any(repr(str(tmp_path))[1:-1] in c.source for c in cells if c.cell_type == "code")
        assert notebook.read(copy).title


def test_what_an_analyst_changed_is_kept(tmp_path):
    first = lab.copy_notebooks(tmp_path)[0]
    first.write_text("mine", encoding="utf-8")
    assert lab.copy_notebooks(tmp_path) == []
    assert first.read_text(encoding="utf-8") == "mine"


def test_without_jupyterlab_the_way_to_get_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ReportError, match="flowanalysis\\[lab\\]"):
        lab.open_lab(None, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends the server by its process group")
def test_the_command_starts_a_server_that_asks_for_a_token(tmp_path):
    pytest.importorskip("jupyterlab")
    log, settings = tmp_path / "log", tmp_path / "settings"
    settings.mkdir()
    # Tests may run as root, in a container; nothing of the machine's own settings is read or written.
    (settings / "jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}', encoding="utf-8")
    places = {f"JUPYTER_{what}_DIR": str(settings) for what in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "flowanalysis", "lab", "--folder", str(tmp_path / "copies"), "--no-browser"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, cwd=tmp_path, env=os.environ | places
        )
    try:
        address = awaited(log, r"http://127.0.0.1:\d+/lab\?token=[0-9a-f]{20,}")
        assert len(list((tmp_path / "copies").glob("*.ipynb"))) >= 10
        assert answers(address) == 200
        assert answers(address.partition("/lab")[0] + "/api/contents") == 403
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)


def awaited(log: Path, pattern: str) -> str:
    import re

    for _ in range(150):
        met = re.search(pattern, log.read_text(encoding="utf-8", errors="replace"))
        if met:
            return met.group()
        time.sleep(0.2)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace"))


def answers(address: str) -> int:
    import requests

    with requests.Session() as session:
        session.trust_env = False
        return session.get(address, timeout=20).status_code
