"""Two CSV files of the company's own: rights that no export tells, and the register of service accounts.

Rights, one a line, from SharePoint, Exchange, Dataverse, SQL or anything else::

    who,resource,level,via
    svc-hr@contoso.example,sharepoint_site=https://contoso.sharepoint.example/sites/hr,write,direct
    6272d1f8-4cb8-5820-a9b5-e80b04ca0570,mailbox=hr@contoso.example,owner,delegation

``who`` is an object id or a user principal name, of a user, group or service principal; ``level`` is read, write,
owner or full; ``via`` says how (direct, group, link, delegation, …) and may be left out. Further columns:
``who_kind``, ``connector``, ``since``, ``sensitivity``, ``name``.

The register: ``account,kind,owner,deputy,purpose,allowed_rights,environments,review_date,licence``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowanalysis.sources.base import Batch, Document, Reject
from flowanalysis.sources.gather import Gather
from flowanalysis.sources.records import folded, keys, records
from flowanalysis.sources.values import connector, fold, text

SOURCE = "own"
Row = Mapping[str, Any]
RIGHTS = {"who", "resource", "level"}
REGISTER = {"account", "owner", "purpose"}
EXCEPTIONS = {"approver", "reason", "until"}
REGISTER_COLUMNS = ("kind", "owner", "deputy", "purpose", "allowed_rights", "environments", "licence")
THING = ("resource_id", "kind", "display_name", "sensitivity", "parent_id")
LEVELS = {"read", "write", "owner", "full"}
# What a key without ``kind=`` in front must be.
GUESSES = (
    ("|", "sharepoint_list"),
    ("http://", "sharepoint_site"),
    ("https://", "sharepoint_site"),
    ("@", "mailbox"),
)


def recognise(document: Document) -> str | None:
    """The company's own rights, register or exceptions, by their columns."""
    found = keys(document) if document.form in {"sheet", "json", "lines"} else frozenset()
    if found >= RIGHTS:
        return "rights on resources (own CSV)"
    if found >= REGISTER:
        return "register of service accounts (own CSV)"
    named = {"finding_id"} <= found or {"rule", "subject_id"} <= found
    return "exceptions of the policy (own CSV)" if named and found >= EXCEPTIONS else None


def read(document: Document) -> Iterator[Batch | Reject]:
    """Rows of the file; a line that says too little is set aside."""
    if keys(document) >= EXCEPTIONS and not keys(document) & (RIGHTS | REGISTER):
        message = "no export: accepted findings, read with the policy when findings are made, so nothing is loaded"
        yield Batch(f"{SOURCE} exceptions", "", (), message=message)
        return
    numbered = enumerate(records(document), 2)  # the header is line 1
    yield from judged(((n, folded(row)) for n, row in numbered), rights=keys(document) >= RIGHTS)


def judged(numbered: Iterable[tuple[int, Row]], *, rights: bool) -> Iterator[Batch | Reject]:
    """Rows of lines of rights, or of the register, each with its number; empty cells left out."""
    gather = Gather(SOURCE)
    gather.expect("grants" if rights else "register", "rights" if rights else "register")
    things: dict[tuple[Any, ...], None] = {}
    for number, row in numbered:
        try:
            if rights:
                things[_right(gather, row)] = None
            else:
                _account(gather, row)
        except (KeyError, ValueError) as error:
            what = f"column {error} is empty" if isinstance(error, KeyError) else str(error)
            gather.reject("grants" if rights else "register", f"line {number}", what)
    for thing in things:
        gather.add("resources", dict(zip(THING, thing, strict=True)), "rights")
    yield from gather.batches()


def resource(word: str) -> tuple[str, str]:
    """Kind and key of a resource as people write it.

    >>> resource("mailbox=HR@contoso.example"), resource("https://c.example/sites/HR/")
    (('mailbox', 'hr@contoso.example'), ('sharepoint_site', 'https://c.example/sites/hr'))
    """
    kind, equals, key = word.strip().partition("=")
    if equals and kind.replace("_", "").isalpha():
        return kind.strip().lower(), key.strip().rstrip("/").lower()
    found = word.strip().rstrip("/").lower()
    return next((k for mark, k in GUESSES if mark in found), "other"), found


def _right(gather: Gather, row: Row) -> tuple[Any, ...]:
    """Add the grant; gives the resource."""
    level = str(row["level"]).strip().lower()
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of read, write, owner, full")
    told = text(row["resource"])
    if told is None:
        raise KeyError("resource")
    kind, key = resource(told)
    who = fold(row["who"])
    gather.add(
        "grants",
        {
            "principal_id": who,
            "principal_kind": fold(row.get("who_kind")) or ("everyone" if who == "everyone" else "unknown"),
            "resource_id": key,
            "resource_kind": kind,
            "connector_id": connector(row.get("connector")),
            "level": level,
            "via": fold(row.get("via")) or "direct",
            "granted_at": row.get("since"),
        },
        "rights",
    )
    weight = float(str(row["sensitivity"]).replace(",", ".")) if row.get("sensitivity") else None
    site = key.partition("|")[0] if kind == "sharepoint_list" else None
    return key, kind, text(row.get("name")), weight, site


def _account(gather: Gather, row: Row) -> None:
    found = {column: text(row.get(column)) for column in REGISTER_COLUMNS}
    line = {"account": fold(row["account"]), **found, "review_date": row.get("review_date")}
    gather.add("register", line, "register")
