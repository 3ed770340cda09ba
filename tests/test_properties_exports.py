"""Laws of reading: an export cut, doubled, encoded or packed is the same tenant, and what was lost is told."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import worlds
from hypothesis import given

from flowanalysis import sources
from flowanalysis.sources.coverage import coverage

APART = {"collection_log", "conflicts", "rejected"}  # tables about the reading itself
CHOSEN = (
    "graph/users-0001.json",
    "graph/groups.json",
    "graph/group-members.jsonl",
    "flows/environments.json",
    "flows/finance/flows.json",
    "flows/finance/flow-permissions.jsonl",
    "flows/finance/connections.json",
    "rights.csv",
    "register.csv",
)


@pytest.fixture(scope="module")
def month(root) -> Path:
    return root / "data" / "demo" / "2026-10"


@pytest.fixture(scope="module")
def whole(month, tmp_path_factory) -> dict[str, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("whole")
    for name in CHOSEN:
        copied(month, name, folder)
    return tables(folder)


def copied(month: Path, name: str, folder: Path) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(month / name, target)


def tables(*places: Path) -> dict[str, pd.DataFrame]:
    state = sources.read(*places).tenant()
    return {t: state[t] for t in sorted(state.collected - APART)}


def alike(first: dict[str, pd.DataFrame], second: dict[str, pd.DataFrame]) -> None:
    assert first.keys() == second.keys()
    for name, frame in first.items():
        worlds.frames_alike(frame, second[name])


def records(path: Path) -> tuple[list, object]:
    """The records of a file, and a function that makes a file of some of them."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        page = json.loads(text)
        return page["value"], lambda rows: json.dumps({**page, "value": rows})
    lines = text.splitlines()
    if path.suffix == ".csv":
        return lines[1:], lambda rows: "\n".join([lines[0], *rows]) + "\n"
    return lines, lambda rows: "\n".join(rows) + "\n"


@worlds.examples(2)
@given(worlds.seeds)
def test_an_export_cut_into_files_in_any_order_is_the_same_tenant(month, whole, tmp_path_factory, seed):
    dice, folder = random.Random(seed), tmp_path_factory.mktemp("cut")
    for name in CHOSEN:
        rows, made = records(month / name)
        dice.shuffle(rows)
        places = sorted(dice.randint(0, len(rows)) for _ in range(dice.randint(0, 3)))
        for number, (a, b) in enumerate(zip([0, *places], [*places, len(rows)], strict=True)):
            target = folder / f"{dice.random()}" / f"{number}{Path(name).suffix}"
            target.parent.mkdir()
            target.write_text(made(rows[a:b]), encoding="utf-8")
    alike(tables(folder), whole)


@worlds.examples(2)
@given(worlds.seeds)
def test_records_told_twice_change_nothing_and_are_counted(month, whole, tmp_path_factory, seed):
    dice, folder = random.Random(seed), tmp_path_factory.mktemp("twice")
    for name in CHOSEN:
        rows, made = records(month / name)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(made(rows + dice.sample(rows, len(rows) // 2)), encoding="utf-8")
    alike(tables(folder), whole)
    log = sources.read(folder).tenant().collection_log
    assert log.loc[log["table"] == "identities", "duplicates"].sum() > 0


@pytest.mark.parametrize("form", ["bom", "utf-16", "utf-16-le", "zip", "lines", "crlf"])
def test_the_same_export_in_another_coat_is_the_same_tenant(month, whole, tmp_path, form):
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in CHOSEN:
                archive.write(month / name, name)
    for name in CHOSEN if form != "zip" else ():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (month / name).read_text(encoding="utf-8")
        if form == "lines" and name.endswith(".json"):
            target, text = target.with_suffix(".jsonl"), json.dumps(json.loads(text)) + "\n"
        codec = {"bom": "utf-8-sig", "lines": "utf-8", "crlf": "utf-8"}.get(form, form)
        mark = b"\xff\xfe" if form == "utf-16-le" else b""
        target.write_bytes(mark + (text.replace("\n", "\r\n") if form == "crlf" else text).encode(codec))
    alike(tables(tmp_path), whole)


# A page that is not there


def paged(month: Path, folder: Path, *, left_out: int | None = None) -> None:
    """Users on three pages in a file each, as they are saved one after the other."""
    rows, _ = records(month / "graph/users-0001.json")
    context = "https://graph.microsoft.com/v1.0/$metadata#users"
    cuts = [rows[:5], rows[5:12], rows[12:]]
    for number, part in enumerate(cuts):
        page = {"@odata.context": context, "value": part}
        if number < 2:
            page["@odata.nextLink"] = f"https://graph.microsoft.com/v1.0/users?$skiptoken={number + 1}"
        if number != left_out:
            (folder / f"users-{number}.json").write_text(json.dumps(page), encoding="utf-8")


def test_all_pages_are_a_whole(month, tmp_path):
    paged(month, tmp_path)
    log = sources.read(tmp_path).tenant().collection_log
    assert not (log["complete"] == False).any()  # noqa: E712  not known is not False


def test_a_last_page_that_is_missing_is_noticed(month, tmp_path):
    paged(month, tmp_path, left_out=2)
    state = sources.read(tmp_path).tenant()
    assert (state.collection_log["complete"] == False).any()  # noqa: E712
    assert "a further page was left over" in " ".join(state.collection_log["message"].dropna())


def collection(folder: Path, month: Path) -> Path:
    """A sealed collection of three lists, as the collector leaves it."""
    from flowanalysis.collect.disk import Disk
    from flowanalysis.collect.journal import Journal

    entries = {}
    (folder / ".state").mkdir(parents=True)
    for name in ("graph/users", "graph/groups"):
        rows, _ = records(month / f"{name}{'-0001' if name.endswith('users') else ''}.json")
        context = f"https://graph.microsoft.com/v1.0/$metadata#{name.partition('/')[2]}"
        journal = Journal(folder, name, Disk())
        for part in (rows[:5], rows[5:]):
            body = {"@odata.context": context, "value": part}
            line = {"request": f"https://graph.microsoft.com/v1.0/{name.partition('/')[2]}", "body": body}
            journal.append(json.dumps(line).encode() + b"\n")
        entries[name] = {"file": f"{name}.jsonl", **journal.finish({"state": "complete", "warnings": []})}
    told = {"format": "flowanalysis collection", "complete": True, "sealed": True, "collections": entries}
    (folder / "manifest.json").write_text(json.dumps(told))
    return folder


def untouched(folder: Path) -> None:
    pass


def page_dropped(folder: Path) -> None:
    file = folder / "graph/users.jsonl"
    file.write_bytes(file.read_bytes().split(b"\n")[1] + b"\n")


def file_dropped(folder: Path) -> None:
    (folder / "graph/users.jsonl").unlink()


def letter_changed(folder: Path) -> None:
    file = folder / "graph/users.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"Member"', b'"Nember"', 1))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (untouched, ""),
        (page_dropped, "rows may be missing"),
        (file_dropped, "is not there, though the manifest"),
        (letter_changed, "was changed after it was collected"),
    ],
)
def test_a_collection_that_is_not_what_its_manifest_says_is_never_taken_for_whole(month, tmp_path, harm, said):
    folder = collection(tmp_path / "out", month)
    harm(folder)
    state = sources.read(folder).tenant()
    doubts = state.collection_log[(state.collection_log["complete"] == False).fillna(False)]  # noqa: E712
    assert {said in m for m in doubts["message"]} == ({True} if said else set())
    assert state.rejected["reason"].str.contains(said).sum() == (1 if said else 0)
    answers = coverage(state).set_index("question")["answer"]
    assert said == "" or "full" not in answers[answers.index.str.contains("owner|leaves", case=False)].tolist()
