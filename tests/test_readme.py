"""What the README shows works as it stands."""

from __future__ import annotations

import re
import shlex

import click
import pytest

import flowanalysis as fa
from flowanalysis.cli import main


def test_the_lines_for_a_notebook_run_and_say_what_the_readme_says(root, monkeypatch):
    monkeypatch.chdir(root)
    [block] = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    told = {}
    for line in block.splitlines():
        call = line.partition("#")[0].strip()
        if call.startswith("fa."):
            told[call.partition("(")[0]] = eval(call, {"fa": fa, "tenant": told["tenant"]})  # noqa: S307 - our own lines
        elif call.startswith("tenant ="):
            told["tenant"] = eval(call.partition("=")[2].strip(), {"fa": fa})  # noqa: S307
    assert told["fa.plan_accounts"].count > 0
    assert all(len(answer) for name, answer in told.items() if name not in {"tenant", "fa.plan_accounts"})
    assert told["fa.why"].attrs["direction"] == "forward"
    assert [len(s.split()) > 3 for s in told["fa.why"]["sentence"]] == [True] * 3


def commands(text: str) -> list[list[str]]:
    """The words of every `flowanalysis` command shown, wherever it stands; variables stand for a word."""
    shown = re.findall(r"^flowanalysis +[a-z].*$|`flowanalysis +[a-z][^`]*`", text, re.MULTILINE)
    lines = (re.sub(r'"?\$\([^)]*\)"?', "place", line.strip("`").partition("#")[0]) for line in shown)
    return [shlex.split(line)[1:] for line in lines]


def unknown(words: list[str]) -> list[str]:
    """Commands and options that do not exist."""
    command = main.commands.get(words[0])
    if command is None:
        return [words[0]]
    known = {o for p in command.params if isinstance(p, click.Option) for o in (*p.opts, *p.secondary_opts)} | {
        "--help"
    }
    return [w for w in words[1:] if w.startswith("--") and w not in known]


def test_every_command_shown_exists_with_its_options(root):
    shown = commands((root / "README.md").read_text(encoding="utf-8"))
    assert len(shown) > 12
    assert [found for words in shown for found in unknown(words)] == []


@pytest.mark.parametrize("words", [["raport"], ["report", "--previus", "x"]])
def test_the_check_of_commands_sees_a_wrong_one(words):
    assert unknown(words)
