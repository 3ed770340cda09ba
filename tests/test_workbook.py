"""Workbooks: what is text stays text, and every sheet can be read by another program."""

from __future__ import annotations

import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pytest

from flowanalysis.errors import ReportError
from flowanalysis.report.workbook import write_workbook

HOSTILE = [
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1+1",
    "=cmd|' /C calc'!A0",
    "http://evil.example",
    "a\x00b\x1b[31m",
    "\ud800",
    "x" * 40_000,
    "00123",
    "NA",
    "\u202egnp",
]


def reread(path, sheet: str) -> list[tuple]:
    """Rows of a sheet, read by another library."""
    book = openpyxl.load_workbook(path)
    rows = list(book[sheet].iter_rows(values_only=True))
    book.close()
    return rows


def test_no_text_becomes_a_formula_or_a_link(tmp_path):
    file = write_workbook(tmp_path / "a.xlsx", {"S": pd.DataFrame({"=name": HOSTILE}, dtype=object)})
    with zipfile.ZipFile(file) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode("utf-8")
        assert "<f>" not in sheet
        assert "hyperlink" not in sheet
    rows = reread(file, "S")
    assert len(rows) == len(HOSTILE) + 1
    assert rows[0][0] == "'=name"
    assert all(isinstance(r[0], str) and len(r[0]) <= 32_767 for r in rows)
    assert [r[0] for r in rows[13:15]] == ["00123", "NA"]


def test_the_search_for_formulas_finds_one(tmp_path):
    book = openpyxl.Workbook()
    book.active["A1"] = "=1+1"
    book.save(tmp_path / "f.xlsx")
    with zipfile.ZipFile(tmp_path / "f.xlsx") as archive:
        assert "<f>" in archive.read("xl/worksheets/sheet1.xml").decode("utf-8")


def test_numbers_flags_times_and_gaps_keep_their_kind(tmp_path):
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "f": pd.array([True, None], dtype="boolean"),
            "t": pd.to_datetime(["2026-10-31T20:00:00Z", None]),
            "x": [1.5, np.nan],
            "big": [2**60, 3],
        }
    )
    rows = reread(write_workbook(tmp_path / "a.xlsx", {"S": frame}), "S")
    assert rows[1] == (1, True, pd.Timestamp("2026-10-31 20:00").to_pydatetime(), 1.5, str(2**60))
    assert rows[2] == (None, None, None, None, 3)


def test_infinite_numbers_are_told_as_text(tmp_path):
    rows = reread(write_workbook(tmp_path / "a.xlsx", {"S": pd.DataFrame({"x": [np.inf, 1.0]})}), "S")
    assert [r[0] for r in rows[1:]] == ["inf", 1]


def test_sheet_names_are_what_excel_takes(tmp_path):
    names = ["a/b:c", "A B C", "x" * 40, "x" * 50, "'quoted'", "", "History", "=1", "a b c"]
    file = write_workbook(tmp_path / "a.xlsx", {n: pd.DataFrame({"c": [n]}) for n in names})
    made = openpyxl.load_workbook(file).sheetnames
    assert len(made) == len(names) == len({m.lower() for m in made})
    assert all(len(m) <= 31 and not set(m) & set("[]:*?/\\") for m in made)


def test_heads_are_frozen_and_filtered_and_notes_stand_above(tmp_path):
    file = write_workbook(tmp_path / "a.xlsx", {"S": pd.DataFrame({"a": [1, 2], "b": [3, 4]})}, notes={"S": "=note"})
    sheet = openpyxl.load_workbook(file)["S"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B4", "A3:B5")
    assert sheet["A1"].value == "'=note"


def test_the_same_tables_give_the_same_bytes(tmp_path):
    frame = pd.DataFrame({"a": ["x", "y"]})
    one, two = (write_workbook(tmp_path / f"{n}.xlsx", {"S": frame}, title="T").read_bytes() for n in "ab")
    assert one == two


def test_an_empty_table_still_has_its_head(tmp_path):
    assert reread(write_workbook(tmp_path / "a.xlsx", {"S": pd.DataFrame({"a": []})}), "S") == [("a",)]


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ReportError, match="at least one sheet"):
        write_workbook(tmp_path / "a.xlsx", {})
    with pytest.raises(ReportError, match="more than Excel takes"):
        write_workbook(tmp_path / "a.xlsx", {"S": pd.DataFrame({"a": np.zeros(1_048_575)})})
    with pytest.raises(ReportError, match="cannot be written"):
        write_workbook(tmp_path / "none" / "a.xlsx", {"S": pd.DataFrame({"a": [1]})})


@pytest.mark.parametrize("name", ["\U0001f600" * 31, "a" + "\U0001f600" * 31, "\u540d" * 40, "x" * 31])
def test_long_sheet_names_are_cut_as_excel_counts(name, tmp_path):
    frame = pd.DataFrame({"n": [1]})
    book = openpyxl.load_workbook(
        write_workbook(tmp_path / "t.xlsx", {name: frame, f"{name}.": frame, f"{name}!": frame})
    )
    assert len(book.sheetnames) == 3
    assert max(len(n.encode("utf-16-le")) // 2 for n in book.sheetnames) <= 31
    assert all(n.startswith(name[:10]) for n in book.sheetnames)
