"""What the README shows works as it stands."""

from __future__ import annotations

import re

import flowanalysis as fa


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
    assert all(len(answer) for name, answer in told.items() if name != "tenant")
    assert told["fa.why"].attrs["direction"] == "forward"
    assert [len(s.split()) > 3 for s in told["fa.why"]["sentence"]] == [True] * 3
