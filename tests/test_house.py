"""The shape of the house: which room knows which, how large a room may be, and what no room may do."""

from __future__ import annotations

import ast
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "flowanalysis"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "_shipped" not in p.parts)
TREES = {p: ast.parse(p.read_text(encoding="utf-8")) for p in MODULES}

GROUND = {"errors", "schema", "text", "reference", "lookup", "places"}
# Room -> rooms it may open. Data walks one way: exports, snapshot, tenant, analyses, findings, report.
MAY_OPEN = {
    "errors": set(),
    "text": set(),
    "lookup": {"schema"},
    "reference": {"errors"},
    "schema": {"errors"},
    "places": {"errors"},
    "definitions": GROUND,
    "sources": GROUND | {"definitions", "tenant", "codes"},
    "matrices": set(),
    "remember": set(),
    "codes": GROUND | {"matrices", "remember"},
    "tenant": GROUND | {"codes", "remember"},
    "snapshot": GROUND | {"codes", "tenant"},
    "loading": {"snapshot", "sources", "tenant"},
    "policy": GROUND,
    "together": {"tenant"},
    "analysis": GROUND | {"tenant", "codes", "matrices", "remember", "policy", "definitions"},
    "planning": GROUND | {"tenant", "codes", "policy", "analysis", "definitions", "sources", "register"},
    "register": GROUND | {"tenant", "policy", "analysis"},
    "exceptions": GROUND | {"policy"},
    "rules": GROUND | {"tenant", "codes", "matrices", "policy", "analysis", "planning", "register", "exceptions"},
    "findings": GROUND | {"tenant", "policy", "analysis", "planning", "register", "exceptions", "rules"},
    "ledger": GROUND | {"findings"},
    "document": GROUND | {"tenant", "policy", "analysis", "register", "findings"},
    "worklists": GROUND | {"tenant", "policy", "analysis", "register", "findings"},
    "graph": GROUND | {"tenant", "analysis", "graph_nodes"},
    "pseudonyms": GROUND | {"tenant", "policy", "analysis"},
    "graph_nodes": GROUND | {"tenant"},
    "collect": {"errors", "text", "reference", "definitions"},
    "demo": GROUND,
}
TOP = {"report", "cli", "__main__", "__init__"}  # may open everything


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def opened(tree: ast.AST) -> set[str]:
    """Rooms of this package that a module imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "flowanalysis":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names} - {"__version__"}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("flowanalysis.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_between_rooms_run_one_way(path):
    here = room(path)
    if here in TOP:
        return
    assert here in MAY_OPEN, f"{here} has no place in the plan of the house"
    assert opened(TREES[path]) - {here} <= MAY_OPEN[here]


def test_the_plan_has_no_circle():
    order = list(TopologicalSorter(MAY_OPEN).static_order())
    assert order.index("codes") < order.index("tenant") < order.index("analysis")


def module(name: str) -> Path | None:
    path = PACKAGE.parent / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file in TREES), None)


def modules(tree: ast.AST) -> set[Path]:
    """Files of this package that a module imports, at the top or inside a function."""
    told = {(n.module, a.name) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    return {module(f"{of}.{name}") or module(of) for of, name in told if of and of.split(".")[0] == PACKAGE.name}


def test_no_two_files_import_each_other_round_any_corner():
    arrows = {path: modules(tree) - {PACKAGE / "__init__.py"} for path, tree in TREES.items()}
    assert len(list(TopologicalSorter(arrows).static_order())) == len(MODULES)


def test_relative_imports_are_not_used():
    assert [p for p, t in TREES.items() for n in ast.walk(t) if isinstance(n, ast.ImportFrom) and n.level] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_and_functions_stay_small_enough_to_read(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 420
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (node.end_lineno - body[0].lineno + 1) if body else 0
            assert length <= 45, f"{node.name} has {length} lines"


BANNED_CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "to_pickle"}
BANNED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def dangers(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            owner = getattr(getattr(function, "value", None), "id", "")
            if name in BANNED_CALLS and owner != "re":
                found.append(name)
            if any(k.arg == "shell" and getattr(k.value, "value", False) for k in node.keywords):
                found.append("shell=True")
            if name in {"query", "load"} and owner in {"yaml"}:
                found.append("yaml.load")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(a.name for a in node.names)]
            found += [n for n in names if n.split(".")[0] in BANNED_MODULES]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_runs_code_from_data(path):
    assert dangers(TREES[path]) == []


def test_the_search_for_dangers_finds_them():
    source = "import pickle\neval('1')\nimport subprocess\nsubprocess.run('x', shell=True)"
    assert dangers(ast.parse(source)) == ["pickle", "eval", "shell=True"]


HTML_EXITS = re.compile(
    r"(?<!report)\.style\b(?!\.use|\.context)|Styler|\bMarkdown\(|\bHTML\(|escape\s*=\s*False|to_html\(|to_markdown\("
)


def test_tenant_text_becomes_html_in_one_place_only():
    allowed = PACKAGE / "report" / "show"
    faults = []
    for path in MODULES:
        if path.with_suffix("") == allowed or allowed in path.parents:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if HTML_EXITS.search(line.split("#")[0]) and '"""' not in line:
                faults.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert faults == []


SECRET = re.compile(
    r"(eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,})|(-----BEGIN [A-Z ]*PRIVATE KEY)|(\bAccountKey=[A-Za-z0-9+/=]{40,})"
    r"|(\b[A-Za-z0-9]{3}8Q~[A-Za-z0-9_.~-]{34})|(\bAKIA[0-9A-Z]{16}\b)|(\bgh[pousr]_[A-Za-z0-9]{36})"
    r"|([?&](?:sig|code)=[A-Za-z0-9%+/_-]{30,})|(\bBearer [A-Za-z0-9._-]{30,})"
)
ELSEWHERE = re.compile(r"(/home/\w+/|/root/|[A-Z]:\\Users\\(?!you\b))")


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_secret_and_no_path_of_one_machine_is_tracked():
    faults = []
    for path in tracked():
        if (
            path.suffix in {".png", ".xlsx", ".npy", ".parquet"}
            or not path.is_file()
            or path == Path(__file__).resolve()
        ):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        # tests plant their secrets at run time, so that a scanner of the repository stays silent
        if SECRET.search(text) or (ELSEWHERE.search(text) and not path.is_relative_to(ROOT / "tests")):
            faults.append(str(path.relative_to(ROOT)))
    assert faults == []


@pytest.mark.parametrize(
    "parts",
    [
        ("https://host.example/in?a=1&", "sig=", "Ab1-" * 10),
        ("Authorization: Bear", "er ", "x.y-" * 10),
        ("Abc8", "Q~", "a" * 34),
        ("-----BEGIN ", "PRIVATE KEY"),
    ],
)
def test_the_search_for_secrets_finds_them(parts):
    assert SECRET.search("".join(parts))


def test_ci_and_readme_give_the_same_test_command():
    command = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install .*? && \.venv/bin/python -m pytest")
    readme = command.search((ROOT / "README.md").read_text(encoding="utf-8"))
    ci = command.search((ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert readme is not None
    assert ci is not None
    assert readme.group() == ci.group().replace("install -q", "install")
