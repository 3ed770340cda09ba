"""Large tables in text give the rows that small ones give, and name the lines that they set aside."""

from __future__ import annotations

import random

import pandas as pd
import pytest

from flowanalysis import sources
from flowanalysis.sources import bulksheets, files, lines

RESOURCES = ["sharepoint_list=https://c.example/sites/A|L1", "Mailbox=HR@c.example", "https://c.example/sites/b/"]
RESOURCES += ["sharepoint_site= https://c.example/sites/A/ ", "x|y", "team=", "sql_table=s|d|dbo.T", "thing"]


def rights(draw: random.Random, count: int, *, clean: bool = False) -> list[dict[str, str]]:
    levels = ["read", "write", "owner", "full"] + ([] if clean else ["", " Read ", "admin", "\u2013"])
    who = ["A@c.example", "{ABC}", "everyone", "00123"] + ([] if clean else ["", " b@c.example ", "\u2014"])
    return [
        {
            "who": draw.choice(who),
            "resource": draw.choice(RESOURCES[:2] if clean else RESOURCES),
            "level": draw.choice(levels),
            "via": draw.choice(["direct", "Group", ""] + ([] if clean else ["  "])),
            "who_kind": draw.choice(["User", ""]),
            "connector": draw.choice(["", "/apis/shared_SQL"]),
            "since": draw.choice(["2026-01-02", ""] + ([] if clean else ["03/04/2026", "9999-12-31"])),
            "sensitivity": "" if clean else draw.choice(["", "3", "much"]),
        }
        for _ in range(count)
    ]


def table(rows: list[dict[str, str]], mark: str = ",") -> str:
    head = list(rows[0])
    return "\r\n".join(mark.join(cells) for cells in [head, *([r[c] for c in head] for r in rows)]) + "\r\n"


def frames(path, monkeypatch, large: int):
    monkeypatch.setattr(files, "LARGE", large)
    found = sources.read(path).frames
    return {n: found[n].sort_values(list(found[n].columns), ignore_index=True) for n in ("grants", "resources")}, found


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("seed", range(3))
def test_rights_are_the_same_either_way(tmp_path, monkeypatch, mark, seed):
    draw = random.Random(seed)
    path = tmp_path / "x"
    path.write_text(table(rights(draw, 150, clean=True) + rights(draw, 150), mark), encoding="utf-8")
    monkeypatch.setattr(bulksheets, "UNUSUAL", 1)
    quick, one = frames(path, monkeypatch, 10)
    careful, two = frames(path, monkeypatch, 10**9)
    for name in quick:
        pd.testing.assert_frame_equal(quick[name], careful[name])
    columns = ["record", "table", "reason"]
    mine, theirs = (f["rejected"][columns].sort_values(columns, ignore_index=True) for f in (one, two))
    lines_only = theirs["record"].str.startswith("line")
    pd.testing.assert_frame_equal(mine[mine["record"].str.startswith("line")], theirs[lines_only])
    assert len(mine) == len(theirs) > 5


def test_the_database_reads_rights_that_are_plain(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text(table(rights(random.Random(1), 100, clean=True)), encoding="utf-8-sig")
    monkeypatch.setattr(files, "LARGE", 10)
    (document,) = files.documents(path, name="x", workspace=tmp_path)
    found = bulksheets.rights(document)
    assert found is not None
    assert sum(len(b.rows) for b in found if b.table == "grants") == 100


@pytest.mark.parametrize(
    ("line", "rejected"),
    [
        ('a@c.example,"team=x,y",read,,,,,', 0),
        ("a@c.example,team=x,read", 1),
        ('a@c.example,"team=x\n2",read,,,,,', 0),
        ("a@c.example,team=é,read,,,,,", 0),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_strange_lines_of_a_large_table_of_rights(tmp_path, monkeypatch, line, rejected, encoding):
    path = tmp_path / "x"
    path.write_bytes((table(rights(random.Random(1), 60, clean=True)) + line + "\r\n").encode(encoding))
    quick, one = frames(path, monkeypatch, 10)
    careful, two = frames(path, monkeypatch, 10**9)
    pd.testing.assert_frame_equal(quick["grants"], careful["grants"])
    assert len(one["rejected"]) == len(two["rejected"]) == rejected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_any_other_large_table_is_read_in_stretches(tmp_path, monkeypatch, encoding):
    header = "#TYPE Selected.System\r\nFlowName;EnvironmentName;DisplayName;Enabled;CreatedTime\r\n"
    body = [f"f{n};Default-1;Flöw {n};True;2026-01-02T03:04:05Z\r\n" for n in range(120)]
    path = tmp_path / "x"
    path.write_bytes((header + "".join(body) + "too;short\r\n").encode(encoding))
    monkeypatch.setattr(files, "LARGE", 10)
    monkeypatch.setattr(lines, "ROWS", 50)
    harvest = sources.read(path)
    flows = harvest.frames["flows"]
    assert sorted(flows["flow_id"]) == sorted(f"f{n}" for n in range(120))
    assert flows["display_name"].str.startswith("Flöw").all()
    assert harvest.frames["rejected"]["record"].tolist() == ["row 122"]
