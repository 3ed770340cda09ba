"""Archives from strangers."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile

import pytest

from flowanalysis.errors import BrokenExport, RefusedInput
from flowanalysis.sources.archives import Limits, is_zip, members


def archive(files, *, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of doubled names; here they are wanted
        with zipfile.ZipFile(out, "w", method) as target:
            for name, content in files:
                target.writestr(name, content)
    return out.getvalue()


def read(data, **options):
    return dict(members(data, name="e.zip", **options))


def test_files_come_with_the_name_of_their_archive():
    assert read(archive([("a/b.json", b"1"), ("c", b"2")])) == {"e.zip!a/b.json": b"1", "e.zip!c": b"2"}


def test_a_path_works_like_bytes(tmp_path):
    place = tmp_path / "x.zip"
    place.write_bytes(archive([("a", b"1")]))
    assert dict(members(place)) == dict(members(str(place))) == {"x.zip!a": b"1"}


def test_archives_inside_are_flattened_whatever_the_case_of_their_ending():
    inner = archive([("b.json", b"1")])
    outer = archive([("in/A.ZIP", inner), ("not.zip", b"text")])
    assert read(outer) == {"e.zip!in/A.ZIP!b.json": b"1", "e.zip!not.zip": b"text"}


def test_only_wanted_members_are_read():
    data = archive([("a.json", b"1"), ("big.png", b"x" * 1000), ("in.zip", archive([("c.json", b"2")]))])
    assert list(read(data, wanted=lambda n: n.endswith(".json"))) == ["e.zip!a.json", "e.zip!in.zip!c.json"]


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "C:/x", "..\\x", "a\\..\\x", "\\\\server\\x", "x\0.json"]
)
def test_names_that_point_outside_refuse_the_archive(name):
    data = archive([("good.json", b"1"), ("0" * len(name), b"2")])
    hostile = data.replace(b"0" * len(name), name.encode())
    with pytest.raises(RefusedInput, match="outside"):
        read(hostile)


def test_nothing_is_given_before_all_names_passed():
    data = archive([("good.json", b"1"), ("../x", b"2")])
    with pytest.raises(RefusedInput):
        next(members(data))


def test_links_are_refused():
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(RefusedInput, match="link"):
        read(archive([(info, b"/etc/passwd")]))


def test_encrypted_entries_are_refused():
    data = bytearray(archive([("a", b"1")]))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        struct.pack_into("<H", data, at, struct.unpack_from("<H", data, at)[0] | 1)
    with pytest.raises(RefusedInput, match="encrypted"):
        read(bytes(data))


@pytest.mark.parametrize("other", ["a.json", "A.JSON"])
def test_doubled_names_are_refused(other):
    with pytest.raises(RefusedInput, match="same name"):
        read(archive([("a.json", b"1"), (other, b"2")]))


def test_bombs_are_refused_by_ratio_before_they_are_unpacked():
    with pytest.raises(RefusedInput, match="times its size"):
        read(archive([("bomb", b"\0" * 2**24)]))


def test_small_files_may_compress_well():
    assert len(read(archive([("blank.xml", b" " * 60_000)]))["e.zip!blank.xml"]) == 60_000


def test_members_and_sums_are_bounded_over_all_archives_together():
    limits = Limits(entries=4, member=100, total=150, ratio=10**6)
    with pytest.raises(RefusedInput, match="entry of more than"):
        read(archive([("a", b"x" * 101)]), limits=limits)
    with pytest.raises(RefusedInput, match="unpacked"):
        read(archive([("a", b"x" * 90), ("b", b"y" * 90)]), limits=limits)
    with pytest.raises(RefusedInput, match="entries"):
        read(archive([(str(n), b"") for n in range(5)]), limits=limits)
    inner = archive([(str(n), b"") for n in range(3)])
    with pytest.raises(RefusedInput, match="entries"):
        read(archive([("a.zip", inner), ("b.zip", inner)]), limits=Limits(entries=4))


def test_archives_may_not_nest_without_end():
    data = archive([("x", b"1")])
    for _ in range(5):
        data = archive([("in.zip", data)], method=zipfile.ZIP_STORED)
    with pytest.raises(RefusedInput, match="deep"):
        read(data)


def test_a_size_that_lies_is_found_out():
    content = b"x" * 1000
    data = bytearray(archive([("a", content)], method=zipfile.ZIP_STORED))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 10)  # the directory declares ten bytes
    with pytest.raises((RefusedInput, BrokenExport)):
        read(bytes(data))


@pytest.mark.parametrize("cut", [10, 60, -10])
def test_damaged_archives_are_named(cut):
    data = archive([("a.json", bytes(range(256)) * 20)])
    with pytest.raises(BrokenExport, match=r"e\.zip"):
        read(data[:cut])


def test_a_flipped_byte_is_noticed():
    data = bytearray(archive([("a.json", bytes(range(256)) * 20)]))
    data[80] ^= 0xFF
    with pytest.raises(BrokenExport):
        read(bytes(data))


def test_a_missing_file_is_a_named_error(tmp_path):
    with pytest.raises(BrokenExport):
        list(members(tmp_path / "none.zip"))


def test_hostile_names_cannot_reach_a_terminal_through_the_message():
    with pytest.raises(RefusedInput) as caught:
        read(archive([("../\x1b[31m\u202e", b"")]))
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)


def test_zip_magic_is_recognised():
    assert is_zip(archive([]))
    assert is_zip(archive([("a", b"")]))
    assert not is_zip(b"{}")
