"""Tenant text on its way out: file names, spreadsheet cells, terminals.

Names of flows, people and connections are written by anybody in the tenant. Each way out has
exactly one function here; HTML has its own in ``report/show.py``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

# Characters that reorder or hide text (bidirectional controls, zero-width, joiners, separators, BOM, tags), and some
# that are none.
HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]|[\U000e0000-\U000e007f]"
)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")  # no XML, so no workbook, can hold all of these
SURROGATE = re.compile("[\ud800-\udfff]")
FORMULA = re.compile(r"^\s*[=+\-@|\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
# Where commas stand in numbers, programs split a line at semicolons, quoted or not: a cell may begin after one.
INNER_FORMULA = re.compile(r";(?=\s*[=+\-@|\uff1d\uff0b\uff0d\uff20])")
# Names that Windows keeps for devices, with or without an ending.
DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
CELL_LIMIT = 32_767  # characters in one Excel cell (Excel specifications and limits)


def plain(value: object, *, width: int | None = None) -> str:
    r"""Text with every control, bidirectional and hidden character made visible.

    >>> plain("a\x1b[31mb\u202ec")
    'a\\x1b[31mb\\u202ec'
    """
    text = SURROGATE.sub("\ufffd", str(value))
    for pattern in (CONTROL, HIDDEN):
        text = pattern.sub(lambda m: m.group().encode("unicode_escape").decode("ascii"), text)
    return elide(text, width) if width else text


def elide(text: str, width: int) -> str:
    """Text of at most `width` characters, the middle of longer ones replaced by an ellipsis.

    >>> elide("Invoice intake for the northern region", 16)
    'Invoice…n region'
    """
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def slug(name: object, *, key: object = "") -> str:
    """A file name for tenant text: at most 40 ASCII characters and eight hex digits of `key`.

    The digits keep names apart that look alike after folding, and keep a name that folds to nothing usable.

    >>> slug("Invoice / intake", key="f1")
    'invoice-intake-c09bb890'
    """
    folded = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode("ascii").lower()
    stem = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")[:40].strip("-") or "unnamed"
    if stem in DEVICES:
        stem = f"x-{stem}"
    seed = str(key or name).encode("utf-8", "surrogatepass")
    return f"{stem}-{hashlib.sha1(seed, usedforsecurity=False).hexdigest()[:8]}"


def cell(value: object) -> object:
    """A value that no spreadsheet program takes for a formula; numbers and times pass unchanged.

    >>> cell("=1+1"), cell("a;=1+1"), cell(-3)
    ("'=1+1", "a;'=1+1", -3)
    """
    if not isinstance(value, str):
        return value
    text = SURROGATE.sub("\ufffd", value)
    text = UNWRITABLE.sub("\ufffd", text)
    text = INNER_FORMULA.sub(";'", text)
    if FORMULA.match(value) or FORMULA.match(text):
        text = "'" + text
    return text if len(text) <= CELL_LIMIT else text[: CELL_LIMIT - 1] + "…"


def unguarded(text: str) -> str:
    """Undo the guards that `cell` puts before what a spreadsheet would take for a formula.

    >>> unguarded("'=1+1"), unguarded("a;'=1+1"), unguarded("'tis")
    ('=1+1', 'a;=1+1', "'tis")
    """
    inner = re.sub(rf"{INNER_FORMULA.pattern[0]}'{INNER_FORMULA.pattern[1:]}", ";", text)
    return inner[1:] if inner[:1] == "'" and FORMULA.match(inner[1:]) else inner
