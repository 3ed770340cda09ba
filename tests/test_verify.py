"""Every edit of a report is found, whatever single byte it touches."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowanalysis.cli import main
from flowanalysis.report.publish import SUMS, seal, verify

EDITS = 20


@pytest.fixture(scope="module")
def report(root, tmp_path_factory) -> Path:
    """A sealed copy of a few files of the sample report, of each kind one."""
    folder, sample = tmp_path_factory.mktemp("report") / "2026-10", root / "reports" / "sample"
    kinds = {p.suffix: p for p in sorted(sample.rglob("*")) if p.is_file() and p.name != SUMS}
    for file in kinds.values():
        to = folder / file.relative_to(sample)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)
    seal(folder)
    return folder


def edited(data: bytes, at: int, chance: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]


@pytest.mark.parametrize("number", range(EDITS))
def test_a_single_byte_is_missed_by_nobody(report, number):
    assert verify(report) == []
    chance = random.Random(number)
    files = sorted(p for p in report.rglob("*") if p.is_file())
    file = files[number % len(files)]
    before = file.read_bytes()
    try:
        file.write_bytes(edited(before, chance.randrange(len(before)), chance))
        told = CliRunner().invoke(main, ["verify", str(report)])
        assert told.exit_code == 1, told.output
        assert file.name in told.output or file.name == SUMS
    finally:
        file.write_bytes(before)


def test_every_byte_of_the_list_of_sums_counts(report):
    file = report / SUMS
    before = file.read_bytes()
    try:
        for at in range(0, len(before), 7):
            file.write_bytes(edited(before, at, random.Random(at)))
            assert verify(report) != [], at
    finally:
        file.write_bytes(before)


def test_an_untouched_report_is_whole(report):
    assert verify(report) == []
    told = CliRunner().invoke(main, ["verify", str(report)])
    assert told.exit_code == 0, told.output


def test_size_and_date_alone_would_see_no_edit(report):
    file = next(p for p in sorted(report.rglob("*")) if p.is_file() and p.name != SUMS)
    before, known = file.read_bytes(), file.stat()
    try:
        file.write_bytes(edited(before, 0, random.Random(0)))
        os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (known.st_size, known.st_mtime_ns)
        assert verify(report) != []
    finally:
        file.write_bytes(before)
