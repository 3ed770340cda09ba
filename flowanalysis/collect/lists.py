"""Read one list from its first page to its last, and go on where an earlier run stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowanalysis.collect import body, pages
from flowanalysis.collect.ahead import walk
from flowanalysis.collect.clouds import Service
from flowanalysis.collect.context import Context
from flowanalysis.collect.endpoints import Endpoint
from flowanalysis.collect.journal import Journal
from flowanalysis.collect.keys import Keys, Reader
from flowanalysis.collect.stops import Answered, Interrupted, StartOver
from flowanalysis.collect.transport import Answer, Call, Parse
from flowanalysis.errors import HonestStop, RefusedRequest

__all__ = ["asking", "latest", "read_list", "server_count"]

RESTARTS = 3
AMPLE = 10_000  # rows beyond the server's count that are not yet strange
SHORT = 20  # rows that may be missing of those the server counted: its count lags behind


@dataclass
class Progress:
    """What a checkpoint keeps of a list besides its bytes."""

    next: str | None = None
    pages: int = 0
    items: int = 0
    duplicates: int = 0
    conflicts: int = 0
    count: int | None = None
    left_out: int = 0
    delta_link: str = ""
    notes: list[str] = field(default_factory=list)


def asking(endpoint: Endpoint, service: Service, place: str, parse: Parse = body.parse) -> Call:
    """The call for one page; `place` is its address, or the token of a query by POST."""
    check = pages.check_record if endpoint.paging == "object" else pages.check_page
    if endpoint.payload is None:
        return Call(place, service, headers=endpoint.headers, check=check, parse=parse)
    options = {**endpoint.payload["Options"], "SkipToken": place}
    return Call(
        service.base + endpoint.relative(),
        service,
        headers=endpoint.headers,
        payload={**endpoint.payload, "Options": options},
        check=check,
    )


def _following(endpoint: Endpoint, service: Service, page: dict[str, Any], place: str) -> str | None:
    if endpoint.paging == "skiptoken":
        return page.get("skipToken") or page.get("SkipToken") or None
    link = None if endpoint.paging == "object" else pages.following(page, place)
    return link and service.homeward(link)


def _nicety(context: Context, call: Call) -> Any:
    """What a list can do without; None when it is not to be had. A server that asks for patience is heeded."""
    try:
        return context.transport.send(call)
    except Interrupted as stop:
        if stop.retry_at is not None:
            raise
    except (HonestStop, RefusedRequest, UnicodeDecodeError):
        pass
    return None


def server_count(context: Context, endpoint: Endpoint, service: Service) -> int | None:
    """How many rows the server says there are; None where it does not say."""
    if not endpoint.count:
        return None
    headers = {"ConsistencyLevel": "eventual", "Accept": "text/plain"}
    told = _nicety(context, Call(service.base + endpoint.count, service, headers=headers, text=True))
    return int(told) if isinstance(told, str) and re.fullmatch(r"[0-9]{1,12}", told.strip()) else None


def latest(context: Context, endpoint: Endpoint, service: Service) -> str:
    """A link that will answer what changes from now on; empty where the server gives none."""
    if not endpoint.delta:
        return ""
    fields = ",".join(s for s in endpoint.select if s not in endpoint.without)
    url = f"{service.base}{endpoint.delta}?$select={fields}&$deltatoken=latest"
    link = (_nicety(context, Call(url, service, check=pages.check_page)) or {}).get("@odata.deltaLink")
    return link if isinstance(link, str) else ""


def read_list(context: Context, endpoint: Endpoint, service: Service, *, start: str | None = None) -> dict[str, Any]:
    """One list, whole or with its gap named; the entry for the manifest.

    Raises
    ------
    Interrupted
        When the rest should be read later; everything so far is committed.
    """
    journal = context.journal(endpoint.name)
    done = journal.done()
    if done is not None:
        return done
    for restarts in range(RESTARTS + 1):
        try:
            return _read(context, endpoint, service, journal, start=start, restarts=restarts)
        except StartOver as lost:
            if start is not None:
                raise  # a delta link that is too old: the caller reads the whole list
            journal.discard()
            reason = lost
        finally:
            journal.close()
    return _end(context, journal, Progress(), reason=f"{reason}; after {RESTARTS} new starts", status=reason.status)


def _read(
    context: Context, endpoint: Endpoint, service: Service, journal: Journal, *, start: str | None, restarts: int
) -> dict[str, Any]:
    point = journal.resume()
    seen = pages.Seen(endpoint.key)
    if point is None:
        count, link = server_count(context, endpoint, service), latest(context, endpoint, service)
        state = Progress(next=start or _first(endpoint, service), count=count, delta_link=link)
    else:
        state = Progress(**{k: v for k, v in point.items() if k in Progress.__dataclass_fields__})
        seen.recall(lambda: _rows(journal))
        seen.duplicates, seen.conflicts = state.duplicates, state.conflicts
    try:
        _pages(context, endpoint, service, journal, state, seen)
    except (StartOver, Interrupted):
        raise
    except Answered as answered:
        return _answered(context, endpoint, service, journal, state, answered, restarts)
    except (HonestStop, RefusedRequest) as stop:
        return _end(context, journal, state, reason=str(stop), restarts=restarts)
    return _end(context, journal, state, restarts=restarts)


def _first(endpoint: Endpoint, service: Service, leave_out: tuple[str, ...] = ()) -> str:
    return "" if endpoint.payload else service.base + endpoint.relative(leave_out=leave_out)


def _pages(
    context: Context, endpoint: Endpoint, service: Service, journal: Journal, state: Progress, seen: pages.Seen
) -> None:
    bar = context.bar(endpoint.name, total=state.count, done=state.items)
    parse = body.parse if endpoint.redact else Reader(endpoint.key).parse  # what is searched is read whole
    try:
        if state.next is None:
            return
        walked = walk(
            context.transport,
            state.next,
            ask=lambda place: asking(endpoint, service, place, parse),
            follow=lambda answer, place: _following(endpoint, service, answer.value, place),
            glimpse=pages.glimpse if endpoint.payload is None else lambda content, place: None,
        )
        for place, answer, following in walked:
            told = answer.value.get("@odata.count", answer.value.get("totalRecords"))
            state.count = told if isinstance(told, int) and told >= 0 else state.count
            link = answer.value.get("@odata.deltaLink")
            if isinstance(link, str):
                state.delta_link = link
            parts, rows, left_out = _line(context, endpoint, journal, seen, place, answer)
            journal.append(*parts)
            state.next, state.pages, state.items = following, state.pages + 1, state.items + rows
            state.duplicates, state.conflicts = seen.duplicates, seen.conflicts
            state.left_out += left_out
            if state.count is not None and state.items > 2 * state.count + AMPLE:
                raise HonestStop(f"The server counted {state.count:,} rows and sends more than twice as many")
            bar.update(rows)
            if context.due():
                journal.commit(**vars(state))
    except BaseException:
        journal.commit(**vars(state))  # else the end follows at once, and vouches for all
        raise
    finally:
        bar.close()


def _line(
    context: Context, endpoint: Endpoint, journal: Journal, seen: pages.Seen, place: str, answer: Answer
) -> tuple[tuple[bytes, ...], int, int]:
    """The parts of a page's line, its rows, definitions left out; as the server wrote it when all stays."""
    request = pages.relative(place) if not endpoint.payload else endpoint.path
    keys = pages.rows_of(answer.value)
    if isinstance(keys, Keys):
        if seen.fresh(keys):
            return pages.line(request, answer.value, observed=context.observed, text=answer.text), len(keys), 0
        answer = Answer(body.decode(answer.text or b""), answer.text)
    page, left_out = context.redact(answer.value, endpoint.redact)
    text = answer.text if page is answer.value else None
    rows = pages.rows_of(page) or []
    whole, page = page, pages.with_rows(page, kept := seen.keep(rows, lambda: _rows(journal)))
    text = text if page is whole else None
    return pages.line(request, page, observed=context.observed, text=text), len(kept), left_out


def _rows(journal: Journal) -> Iterator[list[dict[str, Any]]]:
    """The rows of every page so far."""
    return (pages.rows_of(line["body"]) or [] for line in journal.lines())


def _answered(
    context: Context,
    endpoint: Endpoint,
    service: Service,
    journal: Journal,
    state: Progress,
    answered: Answered,
    restarts: int,
) -> dict[str, Any]:
    """A refusal: a feature the tenant lacks, a column its licence lacks, or a gap."""
    first = state.pages == 0
    if first and answered.code in endpoint.optional:
        note = f"The tenant has no such feature ({answered.code})"
        return _end(context, journal, state, absent=note)
    if first and endpoint.without and not state.notes and answered.status in (400, 403):
        note = f"Read without {', '.join(endpoint.without)}, which was refused: {answered}"
        again = Progress(
            next=_first(endpoint, service, endpoint.without),
            count=state.count,
            delta_link=state.delta_link,
            notes=[note],
        )
        journal.discard()
        journal.append(b"")
        journal.commit(**vars(again))
        journal.close()
        return _read(context, endpoint, service, journal, start=None, restarts=restarts)
    return _end(context, journal, state, reason=str(answered), status=answered.status, restarts=restarts)


def _end(
    context: Context,
    journal: Journal,
    state: Progress,
    *,
    reason: str = "",
    absent: str = "",
    status: int | None = None,
    restarts: int = 0,
) -> dict[str, Any]:
    warnings = list(state.notes) + ([absent] if absent else [])
    if not (reason or absent) and state.count is not None and state.count != state.items:
        told = f"The server counted {state.count:,} rows, {state.items:,} were received"
        if state.count - state.items > max(SHORT, state.count // 10):
            reason = f"{told}: the list ended early"
        else:
            warnings.append(told)
    if state.left_out:
        warnings.append(f"{state.left_out:,} definitions could not be cleaned of secrets and were left out")
    if reason:
        journal.append(
            pages.gap(pages.relative(state.next or journal.name), reason, observed=context.observed, status=status)
        )
    outcome = "absent" if absent else "complete" if not reason else "partial" if state.pages else "failed"
    return journal.finish(
        {
            "kind": "list",
            "state": outcome,
            "pages": state.pages,
            "items": state.items,
            "server_count": state.count,
            "duplicates": state.duplicates,
            "conflicts": state.conflicts,
            "restarts": restarts,
            "delta_link": state.delta_link,
            "warnings": warnings,
            "reason": reason,
        }
    )
