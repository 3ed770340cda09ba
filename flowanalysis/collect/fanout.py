"""Read something of each of many parents: members of each group, details of each flow, tables of each database.

Parents are asked for several at a time and written in their order, so that two runs write the same file.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from tqdm import tqdm

from flowanalysis.collect import pages
from flowanalysis.collect.batch import TOGETHER, ask_together
from flowanalysis.collect.context import Context
from flowanalysis.collect.endpoints import Endpoint
from flowanalysis.collect.journal import STATE, Journal
from flowanalysis.collect.lists import asking
from flowanalysis.collect.parents import Parent
from flowanalysis.collect.stops import Answered, Interrupted
from flowanalysis.errors import HonestStop, RefusedRequest

__all__ = ["read_each"]


DENIED = 20  # so many parents refused without one answered: the permission is missing, not asked for any more
BLOCK = 1 << 20
SPOOL = 8 << 20  # bytes of one parent held in memory; a database with thousands of flows goes to the disk
NAMED = 1000  # missing parents named in the manifest; all are in the file


@dataclass
class Outcome:
    """What one parent brought: its lines, or why there are none."""

    lines: IO[bytes] | None = None
    items: int = 0
    duplicates: int = 0
    conflicts: int = 0
    left_out: int = 0
    note: str = ""
    reason: str = ""
    status: int | None = None


@dataclass
class Progress:
    """What a checkpoint keeps of a fan-out besides its bytes."""

    position: int = 0
    items: int = 0
    duplicates: int = 0
    conflicts: int = 0
    answered: int = 0
    left_out: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    missing: list[dict[str, Any]] = field(default_factory=list)
    parents: int = 0


def read_each(context: Context, endpoint: Endpoint, parents: Sequence[Parent], *, name: str = "") -> dict[str, Any]:
    """Everything of every parent; the entry for the manifest.

    Raises
    ------
    Interrupted
        When the rest should be read later; every finished parent is committed.
    """
    journal = context.journal(name or endpoint.name)
    done = journal.done()
    if done is not None:
        return done
    point = journal.resume()
    fields = Progress.__dataclass_fields__
    state = Progress(**{k: v for k, v in point.items() if k in fields}) if point else Progress()
    state.parents = len(parents)
    bar = context.bar(journal.name, total=len(parents), done=state.position)
    try:
        _all(context, endpoint, parents, journal, state, bar)
        return _end(context, endpoint, parents, journal, state)
    finally:
        bar.close()
        journal.close()


def _all(
    context: Context, endpoint: Endpoint, parents: Sequence[Parent], journal: Journal, state: Progress, bar: tqdm
) -> None:
    left = parents[state.position :]
    try:
        for parent, outcome in _outcomes(context, endpoint, left):
            _copy(outcome, journal)
            _count(endpoint, parent, outcome, state)
            bar.update(1)
            if context.due():
                journal.commit(**vars(state))
            if not state.answered and len(state.missing) >= DENIED and all(m["status"] == 403 for m in state.missing):
                break
    finally:
        journal.commit(**vars(state))


def _copy(outcome: Outcome, journal: Journal) -> None:
    if outcome.lines is None:
        return
    with outcome.lines as lines:
        lines.seek(0)
        while block := lines.read(BLOCK):
            journal.append(block)


def _count(endpoint: Endpoint, parent: Parent, outcome: Outcome, state: Progress) -> None:
    state.position += 1
    state.items += outcome.items
    state.duplicates += outcome.duplicates
    state.conflicts += outcome.conflicts
    state.left_out += outcome.left_out
    if outcome.reason:
        request = endpoint.relative(parent.values)
        state.missing.append({"request": request, "reason": outcome.reason, "status": outcome.status})
    else:
        state.answered += 1
    if outcome.note:
        state.notes[outcome.note] = state.notes.get(outcome.note, 0) + 1


def _outcomes(context: Context, endpoint: Endpoint, parents: Sequence[Parent]) -> Iterator[tuple[Parent, Outcome]]:
    """Parents in order with their outcomes, a bounded number of requests ahead."""
    size = TOGETHER if endpoint.batch else 1
    units = [parents[i : i + size] for i in range(0, len(parents), size)]
    with ThreadPoolExecutor(endpoint.workers, thread_name_prefix="collect") as pool:
        coming: deque[tuple[Sequence[Parent], Future[list[Outcome]]]] = deque()
        try:
            for unit in units:
                coming.append((unit, pool.submit(_unit, context, endpoint, unit)))
                if len(coming) > 2 * endpoint.workers:
                    yield from _arrived(*coming.popleft())
            while coming:
                yield from _arrived(*coming.popleft())
        except KeyboardInterrupt:
            context.transport.halt()  # else the way out waits for what waits for its server
            raise
        finally:
            for _, future in coming:
                future.cancel()


def _arrived(unit: Sequence[Parent], future: Future[list[Outcome]]) -> Iterable[tuple[Parent, Outcome]]:
    return zip(unit, future.result(), strict=True)


def _unit(context: Context, endpoint: Endpoint, unit: Sequence[Parent]) -> list[Outcome]:
    first: list[Any] = ask_together(context, endpoint, unit) if endpoint.batch else [None] * len(unit)
    return [_parent(context, endpoint, parent, answer) for parent, answer in zip(unit, first, strict=True)]


def _parent(context: Context, endpoint: Endpoint, parent: Parent, first: Any) -> Outcome:
    """All pages of one parent; `first` is its first page, or its refusal, where a batch brought it."""
    spool: IO[bytes] = SpooledTemporaryFile(SPOOL, dir=str(context.folder / STATE))  # noqa: SIM115 - closed by _copy
    outcome, seen = Outcome(lines=spool), pages.Seen(endpoint.key, checks={})
    try:
        for place, page in _parent_pages(context, endpoint, parent, first):
            page, left_out = context.redact(page, endpoint.redact)
            rows = pages.rows_of(page)
            if rows is not None:
                page = pages.with_rows(page, seen.keep(rows))
            request = place if endpoint.service == "dataverse" else pages.relative(place)
            spool.writelines(pages.line(request, page, observed=context.observed))
            outcome.items += 1 if rows is None else len(pages.rows_of(page) or ())
            outcome.left_out += left_out
    except Interrupted:
        spool.close()
        raise
    except Answered as answered:
        begun = spool.tell() > 0
        spool.close()
        if begun:  # it was there a page ago: what is missing now is the rest of it
            return Outcome(reason=str(answered), status=answered.status)
        return _refused(context, endpoint, parent, answered)
    except (HonestStop, RefusedRequest) as stop:
        spool.close()
        return Outcome(reason=str(stop))
    outcome.duplicates, outcome.conflicts = seen.duplicates, seen.conflicts
    return outcome


def _parent_pages(
    context: Context, endpoint: Endpoint, parent: Parent, first: dict[str, Any] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    trail = pages.Trail(context.transport.limits.pages)
    place: str | None = parent.service.base + endpoint.relative(parent.values)
    page = first
    while place is not None:
        trail.visit(place)
        if page is None:
            page = context.transport.send(asking(endpoint, parent.service, place))
        yield place, page
        link = None if endpoint.paging == "object" else pages.following(page, place)
        place = link and parent.service.homeward(link)
        page = None


def _refused(context: Context, endpoint: Endpoint, parent: Parent, answered: Answered) -> Outcome:
    """No such service there, or gone since it was listed: it has none of these. Anything else is a gap."""
    if answered.status in endpoint.absent:
        url = endpoint.relative(parent.values)
        text = b"".join(pages.line(url, {"value": []}, observed=context.observed))
        return Outcome(lines=io.BytesIO(text), note="have no such service and so none of these")
    if answered.status in endpoint.gone:
        return Outcome(note="were deleted while the tenant was read")
    return Outcome(reason=str(answered), status=answered.status)


def _end(
    context: Context, endpoint: Endpoint, parents: Sequence[Parent], journal: Journal, state: Progress
) -> dict[str, Any]:
    missing = list(state.missing)
    for parent in parents[state.position :]:
        reason = "not asked for: the same permission was missing for all before"
        missing.append({"request": endpoint.relative(parent.values), "reason": reason, "status": 403})
    for gap in missing:
        journal.append(pages.gap(gap["request"], gap["reason"], observed=context.observed, status=gap["status"]))
    warnings = [f"{count:,} {note}" for note, count in sorted(state.notes.items())]
    if state.left_out:
        warnings.append(f"{state.left_out:,} definitions could not be cleaned of secrets and were left out")
    outcome = "complete" if not missing else "partial" if state.answered else "failed"
    return journal.finish(
        {
            "kind": "each",
            "state": outcome,
            "parents": len(parents),
            "items": state.items,
            "duplicates": state.duplicates,
            "conflicts": state.conflicts,
            "missing_count": len(missing),
            "missing": missing[:NAMED],
            "warnings": warnings,
            "reason": missing[0]["reason"] if missing else "",
        }
    )
