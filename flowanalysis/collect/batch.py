"""Up to twenty reads of Graph in one request; each inner answer is judged on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowanalysis.collect import pages
from flowanalysis.collect.context import Context
from flowanalysis.collect.endpoints import Endpoint
from flowanalysis.collect.limits import Malformed
from flowanalysis.collect.parents import Parent
from flowanalysis.collect.transport import Call

__all__ = ["TOGETHER", "ask_together"]

TOGETHER = 20  # requests in one $batch (Graph JSON batching)


def ask_together(context: Context, endpoint: Endpoint, unit: Sequence[Parent]) -> list[dict[str, Any] | None]:
    """The first page for each parent; None where it must be asked for singly.

    An outer 200 says nothing about the inner answers: whatever is not a good page (throttled, failed, refused,
    missing, twice there) is asked for again on its own, where patience and refusals are handled in one place.
    """
    if len(unit) == 1:
        return [None]
    version = "/" + endpoint.path.split("/")[1]
    asked = [
        {"id": str(number), "method": "GET", "url": endpoint.relative(parent.values).removeprefix(version)}
        for number, parent in enumerate(unit)
    ]
    service = unit[0].service
    call = Call(f"{service.base}{version}/$batch", service, payload={"requests": asked}, check=_check)
    answers: dict[str, Any] = {}
    for answer in context.transport.send(call)["responses"]:
        headers, status = answer.get("headers"), answer.get("status")
        if status != 200:
            told = headers.items() if isinstance(headers, dict) else ()
            context.transport.heed(call, status, {str(name): str(value) for name, value in told})
        # an id that comes twice is contradictory: neither is taken
        answers[str(answer.get("id"))] = None if str(answer.get("id")) in answers else _page(answer)
    return [answers.get(str(number)) for number in range(len(unit))]


def _check(answer: Any) -> None:
    responses = answer.get("responses") if isinstance(answer, dict) else None
    if not isinstance(responses, list) or not all(isinstance(r, dict) for r in responses):
        raise Malformed("a batch without a list of responses")


def _page(answer: dict[str, Any]) -> dict[str, Any] | None:
    try:
        pages.check_page(answer.get("body"))
    except Malformed:
        return None
    return answer["body"] if answer.get("status") == 200 else None
