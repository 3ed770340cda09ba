"""Feed every reader of strangers' files with damaged and invented input until the time is over.

    python tests/fuzz/readers.py [--seconds 60] [--only definition] [--keep tests/data/regress]

An answer is right when it is a result or one of the package's own errors. Anything else is a crash: its smallest
input is kept as a file, which the tests replay from then on, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import orjson
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from flowanalysis import sources
from flowanalysis.collect.body import parse as parse_answer
from flowanalysis.collect.limits import Malformed
from flowanalysis.definitions import read_definition, secrets
from flowanalysis.definitions.expressions import Scope
from flowanalysis.errors import FlowAnalysisError
from flowanalysis.exceptions import read_exceptions
from flowanalysis.policy import load_policy
from flowanalysis.register import read as read_register
from flowanalysis.snapshot import open_snapshot
from flowanalysis.sources import archives, files

KEEP = Path(__file__).resolve().parents[1] / "data" / "regress"
EXPECTED = (FlowAnalysisError, Malformed)

# What files are made of. Names and values that the readers look for come up often.
VOCABULARY = """
properties definition triggers actions inputs host connectionName operationId parameters type kind else cases default
metadata value id name runAfter connectionReferences api connection clientdata authentication secret uri method path
body headers userPrincipalName displayName members role principal states rows account until
"""
WORDS = st.sampled_from(VOCABULARY.split())
TEXTS = st.one_of(
    st.text(max_size=20),
    WORDS,
    st.sampled_from(
        [
            "@parameters('$connections')['a']['connectionId']",
            "@{concat('a', variables('b'))}",
            "OpenApiConnection",
            "Http",
            "Workflow",
            "If",
            "Switch",
            "password=Tr0ub4dor3x",
            "https://u:p4ssword@a.example/?sig=" + "Zk3vQ0pXy7Lr2Tn8Wm5Jd1",
            "2026-10-31T00:00:00.1234567Z",
            "/datasets/@{x}/tables/y",
            "\ud800",
            "\u202e",
        ]
    ),
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(WORDS, TEXTS), inner, max_size=5)),
    max_leaves=25,
)
ACTIONS = st.dictionaries(TEXTS, st.one_of(TREES, st.fixed_dictionaries({"type": TEXTS, "inputs": TREES})), max_size=4)
FLOWS = st.fixed_dictionaries({"triggers": ACTIONS, "actions": ACTIONS, "parameters": TREES})
WRAPPED = st.one_of(
    TREES,
    FLOWS,
    st.fixed_dictionaries({"properties": st.fixed_dictionaries({"definition": FLOWS, "connectionReferences": TREES})}),
    st.fixed_dictionaries({"flow_definition": FLOWS, "connection_references": TREES}),
)


def text_of(tree: object) -> bytes:
    """A tree as JSON text; what JSON cannot say becomes null."""
    return orjson.dumps(_sayable(tree), option=orjson.OPT_NON_STR_KEYS)


def _sayable(node: object) -> object:
    if isinstance(node, dict):
        return {_sayable(k): _sayable(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_sayable(v) for v in node]
    if isinstance(node, str):
        return node.encode("utf-8", "replace").decode("utf-8")
    return node if not isinstance(node, int) or abs(node) < 2**63 else float(node)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of a good file with some cut, doubled or replaced."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 30)))
        data[at:end] = draw(st.one_of(st.binary(max_size=6), st.just(bytes(data[at:end]) * 2)))
    return bytes(data)


def zipped(entries: dict[str, bytes]) -> bytes:
    """A small archive."""
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w") as archive:  # it warns of doubled names
        for name, data in entries.items():
            archive.writestr(name.replace("\0", "0") or "x", data)
    return out.getvalue()


JSON = TREES.map(text_of)
LINES = st.lists(JSON, max_size=5).map(b"\n".join)
ROWS = st.lists(st.lists(TEXTS, max_size=5), max_size=6)
SHEETS = ROWS.map(lambda rows: "\r\n".join(",".join(r) for r in rows).encode("utf-8", "replace"))
NAMES = st.one_of(
    st.sampled_from(
        [
            "Workflows/A-0a6f2f0e-4a3c-4d0e-9c11-000000000001.json",
            "Workflows/A-0a6f2f0e-4a3c-4d0e-9c11-000000000001.json.data.xml",
            "Microsoft.Flow/flows/0a6f2f0e-4a3c-4d0e-9c11-000000000001/definition.json",
            "customizations.xml",
            "solution.xml",
            "environmentvariabledefinitions/fab_x/environmentvariablevalues.json",
            "xl/workbook.xml",
            "[Content_Types].xml",
        ]
    ),
    st.text(max_size=12),
)
MARKUP = st.lists(
    st.sampled_from(
        [
            b"<Workflow WorkflowId='{0A6F}' Name='x'>",
            b"</Workflow>",
            b"<Category>5</Category>",
            b"<a>",
            b"</a>",
            b"&lt;",
            b"<!DOCTYPE x>",
            b"\xff",
        ]
    ),
    max_size=6,
).map(b"".join)
PACKAGES = st.dictionaries(NAMES, st.one_of(WRAPPED.map(text_of), MARKUP, st.binary(max_size=40)), max_size=4)
TABLES = st.sampled_from(
    [b"[severity.base]\n", b"[limits]\n", b"[[service_accounts.patterns]]\n", b"x = 1\n", b"[a.b]\n"]
)


def _file(read: Callable[[Path], object], ending: str) -> Callable[[bytes], object]:
    def reading(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / f"input{ending}"
            place.write_bytes(data)
            return read(place)

    return reading


def _snapshot(place: Path) -> object:
    place.rename(place.parent / "manifest.json")
    return open_snapshot(place.parent)


def _load(place: Path) -> object:
    return sources.read(place).tenant().flows


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "replace"))


Reader = tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]
READERS: dict[str, Reader] = {
    "definition": (damaged(WRAPPED.map(text_of)), read_definition),
    "secrets": (WRAPPED.map(text_of), lambda data: secrets.redact({"x": orjson.loads(data)})),
    "expression": (TEXTS.map(lambda t: f"@{t}".encode("utf-8", "replace")), _text(Scope({"a": 1}).value)),
    "json": (damaged(LINES), lambda data: files.decode(data, name="x")),
    "sheet": (damaged(SHEETS), lambda data: files.decode(data, name="x")),
    "archive": (damaged(PACKAGES.map(zipped)), lambda data: list(archives.members(data, name="x"))),
    "package": (PACKAGES.map(zipped), _file(_load, ".zip")),
    "export": (damaged(LINES), _file(_load, ".json")),
    "answer": (damaged(JSON), parse_answer),
    "policy": (damaged(st.lists(TABLES, max_size=4).map(b"".join)), _file(load_policy, ".toml")),
    "register": (damaged(SHEETS.map(b"account,purpose\r\n".__add__)), _file(read_register, ".csv")),
    "exceptions": (
        damaged(SHEETS.map(b"finding_id,approver,reason,until\r\n".__add__)),
        _file(read_exceptions, ".csv"),
    ),
    "snapshot": (damaged(JSON), _file(_snapshot, ".json")),
}


class Crash(Exception):
    """A reader ended in a way that is none of its own; `data` is the smallest input found."""

    def __init__(self, reader: str, data: bytes, cause: BaseException) -> None:
        super().__init__(f"{reader}: {type(cause).__name__}: {cause}")
        self.reader, self.data = reader, data


def once(reader: str, data: bytes) -> None:
    """Feed one input; the package's own errors are right answers."""
    with contextlib.suppress(*EXPECTED):
        READERS[reader][1](data)


def fuzz(reader: str, *, examples: int, start: int = 0) -> None:
    """Feed a number of inputs.

    Raises
    ------
    Crash
        With the smallest input that brings it about.
    """
    last = [b""]

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(READERS[reader][0])
    def feed(data: bytes) -> None:
        last[0] = data
        once(reader, data)

    try:
        feed()
    except Exception as error:
        raise Crash(reader, last[0], error) from error


def keep(crash: Crash, folder: Path) -> Path:
    """Write the input of a crash as a file that the tests replay."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{crash.reader}-{hashlib.sha256(crash.data).hexdigest()[:12]}"
    place.write_bytes(crash.data)
    return place


def main() -> int:
    """Fuzz the readers one after the other; 1 when one crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each reader")
    parser.add_argument("--only", choices=sorted(READERS))
    parser.add_argument("--keep", type=Path, default=KEEP)
    options = parser.parse_args()
    crashes = 0
    for reader in [options.only] if options.only else sorted(READERS):
        until, rounds, ended = time.monotonic() + options.seconds, 0, "no crash"
        while time.monotonic() < until:
            try:
                fuzz(reader, examples=200, start=int(time.time_ns() % 2**32))
            except Crash as crash:
                crashes += 1
                ended = f"CRASH {crash}, kept as {keep(crash, options.keep)}"
                break
            rounds += 1
        print(f"{reader:12} {rounds * 200:8,} inputs  {ended}", flush=True)
    return int(crashes > 0)


if __name__ == "__main__":
    sys.exit(main())
