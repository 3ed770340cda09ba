"""Text of exports by whole columns: templates filled with arrays, written as the bytes that they already are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SLOT = re.compile(r"<(\w+)>")
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
DASHES = (8, 13, 18, 23)


def guids(rng: np.random.Generator, count: int) -> pa.Array:
    """Random ids in the form of Entra ID."""
    drawn = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    drawn[:, 6] = drawn[:, 6] & 0x0F | 0x40
    drawn[:, 8] = drawn[:, 8] & 0x3F | 0x80
    digits = np.stack([HEX[drawn >> 4], HEX[drawn & 15]], axis=2).reshape(count, 32)
    letters = np.full((count, 36), ord("-"), np.uint8)
    letters[:, [n for n in range(36) if n not in DASHES]] = digits
    offsets = np.arange(count + 1, dtype=np.int64) * 36
    return pa.Array.from_buffers(pa.large_string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(letters)])


def text(numbers: np.ndarray) -> pa.Array:
    """Whole numbers as text."""
    return pa.array(numbers).cast(pa.large_string())


def take(values: pa.Array, places: np.ndarray) -> pa.Array:
    """Values at places."""
    return values.take(pa.array(places))


def pick(pool: Sequence[str], places: np.ndarray) -> pa.Array:
    """Entries of a short list at places."""
    return take(pa.array(pool, pa.large_string()), places)


def quoted(value: object) -> str:
    """A value as JSON, as compact as services write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fill(template: str, **columns: pa.Array) -> pa.Array:
    """One text a row: the template with ``<name>`` replaced by the row's value of that column."""
    parts = SLOT.split(template)
    found = [pa.scalar(p, pa.large_string()) if n % 2 == 0 else columns[p] for n, p in enumerate(parts)]
    return pc.binary_join_element_wise(*found, pa.scalar("", pa.large_string()))


def joined(rows: pa.Array, starts: np.ndarray) -> pa.Array:
    """Rows from each start to the next, with commas between."""
    lists = pa.LargeListArray.from_arrays(pa.array(starts, pa.int64()), rows)
    return pc.binary_join(lists, pa.scalar(",", pa.large_string()))


def put(path: Path, parts: Iterable[pa.Array | str]) -> None:
    """Write rows, each with a line end; a text is written as it is."""
    with path.open("wb") as file:
        for part in parts:
            if isinstance(part, str):
                file.write(part.encode())
            elif len(part):
                lines = fill("<row>\n", row=part)
                offsets = np.frombuffer(lines.buffers()[1], np.int64)
                file.write(lines.buffers()[2][: int(offsets[len(lines)])])


def pages(path: Path, rows: Sequence[pa.Array], per_page: int, context: str, *, single: bool = False) -> None:
    """Rows as pages of an API, each in a file of its own; all but the last have a link to the next."""
    every = pa.concat_arrays(rows)
    count = max(1, -(-len(every) // per_page)) if per_page else 1
    head = f'{{"@odata.context":{quoted(context)},' if context else "{"
    for number in range(count):
        part = every[number * per_page : (number + 1) * per_page]
        body = joined(part, np.array([0, len(part)]))[0].as_py()
        link = "" if number == count - 1 else f'"@odata.nextLink":"https://api.example/next?page={number + 2}",'
        name = f"{path.name}.json" if single else f"{path.name}-{number + 1:05}.json"
        path.with_name(name).write_text(f'{head}{link}"value":[{body}]}}', encoding="utf-8")
