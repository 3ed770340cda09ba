"""What tools say about the house: linter, formatter, types, examples in docstrings, links between documents."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "flowanalysis"
TOLD = [
    ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for p in sorted(PACKAGE.rglob("*.py"))
    if "_shipped" not in p.parts and ">>> " in p.read_text(encoding="utf-8")
]


def says(*command: str) -> str:
    """Output of a tool that failed; empty when it had nothing to say."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr) if done.returncode else ""


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "--no-cache", "flowanalysis", "tests"),
        ("ruff", "format", "--no-cache", "--check", "flowanalysis", "tests"),
        ("mypy",),
    ],
    ids=["linter", "formatter", "types"],
)
def test_the_tools_find_nothing(command):
    report = says(*command)
    assert not report, report


@pytest.mark.parametrize(
    ("tool", "source"),
    [
        (("ruff", "check", "--no-cache"), "import os\n"),
        (("ruff", "format", "--no-cache", "--check"), "x=1\n"),
        (("mypy", "--config-file", str(ROOT / "pyproject.toml")), "def f(x):\n    return x\n"),
    ],
    ids=["linter", "formatter", "types"],
)
def test_the_tools_see_a_fault(tool, source, tmp_path):
    fault = tmp_path / "fault.py"
    fault.write_text(source)
    assert "fault.py" in says(*tool, str(fault))


@pytest.mark.parametrize("name", TOLD)
def test_examples_in_docstrings_are_true(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


# Links


LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^()\s>]+(?:\([^()]*\))?[^()\s>]*)>?(?:\s+\"[^\"]*\")?\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\0") if done.returncode == 0 else ["README.md", "CHANGELOG.md"]
    return [ROOT / n for n in names if Path(n).suffix in {".md", ".ipynb"} and (ROOT / n).is_file()]


def prose(path: Path) -> str:
    """Markdown of a document, or of the cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as code hosts make them."""
    found: dict[str, int] = {}
    names = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for title in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def broken(path: Path) -> list[str]:
    """Links that lead nowhere; what lies on other machines is not tried."""
    text = prose(path)
    faults = []
    for link in LINK.findall(text) + REFERENCE.findall(text):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (path.parent / place).resolve() if place else path
        there = target.exists() and target.is_relative_to(ROOT)
        if not there or (anchor and target.suffix == ".md" and anchor not in anchors(prose(target))):
            faults.append(link)
    return faults


@pytest.mark.parametrize("path", documents(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path):
    assert broken(path) == []


def test_the_search_for_broken_links_finds_them(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n[a](#one-two) [b](#three) [c](page.md) [d](no.md) ![e](no.png) [f](https://x.example)\n"
    )
    assert broken(page) == ["#three", "no.md", "no.png"]
