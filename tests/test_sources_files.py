"""Files are told apart by content, decoded in every encoding that exports have, and refused with a name."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile

import pytest
import xlsxwriter

from flowanalysis import sources
from flowanalysis.errors import BrokenExport, InputError, NothingToLoad, RefusedInput
from flowanalysis.sources import files, jsontext, sheets

ROWS = [{"id": "00123", "name": "NA"}, {"id": "2", "name": "Größe"}]


def opened(tmp_path, data: bytes, name: str = "x.bin"):
    path = tmp_path / name
    path.write_bytes(data)
    room = tmp_path / "room"
    room.mkdir(exist_ok=True)
    return list(files.documents(path, name=name, workspace=room))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_every_encoding_of_windows(tmp_path, encoding):
    (document,) = opened(tmp_path, json.dumps(ROWS, ensure_ascii=False).encode(encoding))
    assert document.roots == (ROWS,)


def test_windows_1252_is_read_with_a_warning(tmp_path):
    (document,) = opened(tmp_path, json.dumps(ROWS, ensure_ascii=False).encode("cp1252"))
    assert document.roots[0][1]["name"] == "Größe"
    assert "Windows-1252" in document.notes[0]


@pytest.mark.parametrize(
    "text, roots",
    [
        ('{"a":1}', 1),
        ('{"a":1}\n{"a":2}\n', 2),
        ('{"a":1}{"a":2}{"a":3}', 3),
        ('{"a":1}\r\n\r\n{"a":2}', 2),
        ('[{"a":1},{"a":2}]', 1),
        ('{"a":\n1}\n{"a":\n2}', 2),
        ("[]", 1),
    ],
)
def test_the_json_family(text, roots):
    found, rejects = jsontext.roots(text, name="x")
    assert len(found) == roots
    assert not rejects


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"a":NaN}', "not complete, strict JSON"),
        ('{"a":1e999', "not complete, strict JSON"),
        ('{"value":[{"id"', "not complete, strict JSON"),
        ('{"a":1,"a":2}', "'a' stands twice"),
        ('{"a":{"b":1,"b\\u003a":1,"b":2}}', "'b' stands twice"),
        ('{"x":1}\n{"a":1,"a":2}', "'a' stands twice"),
        ('{"a":"\\ud800"}', "not complete, strict JSON"),
        ("{'a':1}", "not complete, strict JSON"),
    ],
)
def test_json_that_is_not_strict_is_refused(text, said):
    with pytest.raises(BrokenExport, match=said) as caught:
        jsontext.roots(text, name="users.json")
    assert str(caught.value).startswith("users.json: ")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 5_000 + "]" * 5_000])
def test_absurd_nesting_is_refused(text):
    with pytest.raises(InputError, match="nested beyond reason|strict JSON"):
        jsontext.roots(text, name="x")


def test_colons_inside_text_are_no_keys():
    found, _ = jsontext.roots('{"a":"b\\u003a:c","d":"::"}', name="x")
    assert found == [{"a": "b::c", "d": "::"}]


def test_a_cut_last_line_is_set_aside_and_the_rest_kept():
    found, rejects = jsontext.roots('{"a":1}\n{"a":2}\n{"a":', name="x")
    assert len(found) == 2
    assert (rejects[0].record, "cut" in rejects[0].reason) == ("line 3", True)


def test_the_suite_of_broken_json_is_refused_or_read_but_never_crashes(corpus):
    places = sorted((corpus / "hostile" / "jsontestsuite" / "test_parsing").glob("*.json"))
    assert len(places) > 300
    for place in places:
        try:
            text, _ = jsontext.decoded(place.read_bytes(), name=place.name)
            _, rejects = jsontext.roots(text, name=place.name)
        except InputError:
            assert not place.name.startswith("y_") or "duplicated" in place.name, place.name
        else:
            # two arrays in a row are glued values to us; a bad line among good ones is told
            known = place.name.startswith(("y_", "i_")) or rejects or place.name == "n_structure_double_array.json"
            assert known, place.name


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_on_the_header_line(mark):
    text = f'"User, name"{mark}Id\n"a;b,c|d"{mark}00123\n'
    sheet, rejects, _ = sheets.read_text(text, name="x")
    assert sheet.values.tolist() == [["a;b,c|d", "00123"]]
    assert not rejects


def test_cells_stay_text():
    sheet, _, _ = sheets.read_text("Name,Id,Flag\nNA,00123,True\nnull,1e5,\nNone,nan,False\n", name="x")
    assert sheet.values.tolist() == [["NA", "00123", "True"], ["null", "1e5", ""], ["None", "nan", "False"]]


def test_first_lines_of_powershell_and_excel_are_no_header():
    sheet, _, _ = sheets.read_text('#TYPE System.Management.Automation.PSCustomObject\n"A","B"\n1,2\n', name="x")
    assert list(sheet.columns) == ["A", "B"]
    sheet, _, _ = sheets.read_text("sep=;\nA;B\n1;2\n", name="x")
    assert sheet.values.tolist() == [["1", "2"]]


def test_rows_of_another_width_are_set_aside_by_number():
    sheet, rejects, _ = sheets.read_text("A,B\n1,2\n1,2,3\n4,5,\n", name="x")
    assert sheet.values.tolist() == [["1", "2"], ["4", "5"]]
    assert [r.record for r in rejects] == ["row 3"]


def test_letters_lost_in_ascii_are_told():
    _, _, notes = sheets.read_text("DisplayName,Id\nJ?rgen,1\n", name="x")
    assert "1 names" in notes[0]


def test_gzip_and_zip_hold_what_they_hold(tmp_path):
    (document,) = opened(tmp_path, gzip.compress(json.dumps(ROWS).encode()), "users.json.gz")
    assert (document.name, document.roots) == ("users.json", (ROWS,))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/users.json", json.dumps(ROWS))
        archive.writestr("broken.json", '{"a":')
        archive.writestr("t.csv", "A,B\n1,2\n")
    found = opened(tmp_path, packed.getvalue(), "all.zip")
    assert [getattr(d, "name", "") for d in found] == ["all.zip!a/users.json", "", "all.zip!t.csv"]
    assert isinstance(found[1], BrokenExport)


@pytest.mark.parametrize("pack", ["gzip", "gzip in zip"])
def test_a_cut_gzip_keeps_the_rows_that_are_there_and_says_so(tmp_path, pack):
    lines = "\n".join(json.dumps({"id": f"u{n}", "userPrincipalName": f"{n * 7919}@x.example"}) for n in range(500))
    data = gzip.compress(lines.encode())[:-900]
    if pack == "gzip in zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("users.json.gz", data)
        data = packed.getvalue()
    (tmp_path / "x").write_bytes(data)
    found = sources.read(tmp_path / "x").frames
    assert 10 < len(found["identities"]) < 500
    assert not found["collection_log"]["complete"].any()
    assert found["rejected"]["reason"].str.contains("the gzip file ends before its content does").any()


def test_a_gzip_bomb_and_a_cut_gzip_without_a_row_are_refused(tmp_path):
    (bomb,) = opened(tmp_path, gzip.compress(b"\0" * 2**26))
    assert isinstance(bomb, RefusedInput)
    (cut,) = opened(tmp_path, gzip.compress(json.dumps(ROWS * 100).encode())[:60])
    assert isinstance(cut, BrokenExport)


def test_packages_are_recognised_in_any_case(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("SOLUTION.XML", "<a/>")
        archive.writestr("workflows/A.json", "{}")
    (document,) = opened(tmp_path, packed.getvalue())
    assert (document.form, sorted(document.members)) == ("package", ["SOLUTION.XML", "workflows/A.json"])


def test_databases_and_parquet_are_told_by_their_first_bytes(tmp_path):
    base = tmp_path / "some.dat"
    with sqlite3.connect(base) as connection:
        connection.execute("create table Users (a)")
    connection.close()
    assert [d.form for d in opened(tmp_path, base.read_bytes())] == ["sqlite"]
    assert [d.form for d in opened(tmp_path, b"PAR1" + b"\0" * 20)] == ["parquet"]


def test_an_empty_file_is_named(tmp_path):
    (error,) = opened(tmp_path, b"  \n", "none.json")
    assert "empty" in error.what


def workbook(**options) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, **options})
    sheet = book.add_worksheet("Items")
    for row, cells in enumerate([["Item name", "Created", "Id", "On"], ["=1+1", 45000.5, "00123", True]]):
        for column, value in enumerate(cells):
            if row and column == 1:
                sheet.write_number(row, column, value, book.add_format({"num_format": "yyyy-mm-dd hh:mm"}))
            elif isinstance(value, bool):
                sheet.write_boolean(row, column, value)
            else:
                sheet.write_string(row, column, value)
    book.add_worksheet("Empty")
    book.close()
    return out.getvalue()


@pytest.mark.parametrize("options", [{}, {"strings_to_formulas": False, "constant_memory": True}])
def test_a_workbook_is_text(tmp_path, options):
    (document,) = opened(tmp_path, workbook(**options), "book.xlsx")
    assert document.name == "book.xlsx!Items"
    assert document.sheet.to_dict("records") == [
        {"Item name": "=1+1", "Created": "2023-03-15T12:00:00", "Id": "00123", "On": "True"}
    ]


def test_a_workbook_with_entities_is_refused(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]><sst><si><t>&a;</t></si></sst>'
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/sharedStrings.xml", bomb)
    (error,) = opened(tmp_path, packed.getvalue())
    assert isinstance(error, RefusedInput)


def rows_of_users(count):
    return [{"id": f"u{n}", "userPrincipalName": f"ü{n}@c.example", "accountEnabled": True} for n in range(count)]


CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#users"
TORN = {
    "page": {"@odata.context": CONTEXT, "value": rows_of_users(20)},
    "array": rows_of_users(20),
    "line": {"request": "https://graph.microsoft.com/v1.0/users", "body": {"value": rows_of_users(20)}},
    "lines in an array": [{"request": "https://graph.microsoft.com/v1.0/users", "body": {"value": rows_of_users(20)}}],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", TORN)
def test_records_before_a_tear_are_kept_and_the_tear_is_named(tmp_path, name, indent, encoding):
    whole = json.dumps(TORN[name], ensure_ascii=False, indent=indent).encode(encoding)
    for part in (0.35, 0.52, 0.73):
        path = tmp_path / "x"
        path.write_bytes(whole[: int(len(whole) * part)])
        tenant = sources.read(path).tenant()
        kept = tenant.identities["identity_id"].tolist()
        assert kept == [f"u{n}" for n in range(len(kept))]
        assert 4 < len(kept) < 16
        (lost,) = tenant.rejected.to_dict("records")
        assert lost["record"].startswith(f"record {len(kept) + 1}, byte ")
        assert f"{len(kept)} records before it were kept" in lost["reason"]
        assert "Export it again" in lost["reason"]
        assert tenant.collection_log["complete"].eq(False).all()


@pytest.mark.parametrize("text", ['{"value":[{"id":"a"', '{"value":', "[1, 2", '{"id":"a","x', '[{"a":NaN},{"b'])
def test_a_torn_file_without_a_complete_record_is_refused_by_name(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(NothingToLoad, match="not complete, strict JSON"):
        sources.read(tmp_path / "x")


def test_json_that_was_changed_rather_than_cut_is_refused(tmp_path):
    (tmp_path / "x").write_text(json.dumps(TORN["page"]).replace('"u7",', '"u7"', 1))
    with pytest.raises(NothingToLoad, match="not complete, strict JSON"):
        sources.read(tmp_path / "x")
