"""The next page is asked for before the last is checked: never more than one, and a wrong guess is dropped."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest
from fake_tenant.small import USERS, directory, manifest, rows, run
from hypothesis import given
from hypothesis import strategies as st

from flowanalysis.collect import pages
from flowanalysis.collect.ahead import walk
from flowanalysis.collect.limits import Limits
from flowanalysis.errors import HonestStop

HERE = "https://graph.example/v1.0/users"


class Pages:
    """Stands in for the transport: pages by address, and how many were asked for before one was handed on."""

    def __init__(self, **links: str | None) -> None:
        self.links, self.limits, self.asked = links, Limits(), []
        self.gate = threading.Semaphore(99)

    def receive(self, call):
        self.asked.append(call)
        if call not in self.links:
            raise HonestStop(f"no {call}")
        self.gate.acquire()
        return call.encode()

    def fetch(self, call, *, received):
        assert received == call.encode()
        return SimpleNamespace(value=call, text=None)

    def halt(self):
        self.halted = True


def walked(served: Pages, glimpse) -> list[str]:
    found = walk(served, "a", ask=str, follow=lambda answer, place: served.links[place], glimpse=glimpse)
    return [place for place, _, _ in found]


def test_pages_come_in_the_order_of_their_links_whatever_was_guessed():
    links = {"a": "b", "b": "c", "c": None, "x": "y", "y": "z", "z": None}
    for guess in ({}, links, {"a": "x", "b": "y", "c": "z"}, {"a": "a", "b": "a", "c": "a"}, {"a": "nowhere"}):
        served = Pages(**links)
        assert walked(served, lambda content, place, guess=guess: guess.get(place)) == ["a", "b", "c"]
        if guess in ({}, links):
            assert served.asked == ["a", "b", "c"]


def test_no_more_than_one_page_is_asked_for_beyond_the_one_in_hand():
    links = {chr(n): chr(n + 1) for n in range(ord("a"), ord("m"))} | {"m": None}
    served = Pages(**links)
    found = walk(
        served, "a", ask=str, follow=lambda answer, place: links[place], glimpse=lambda content, place: links[place]
    )
    for number, _ in enumerate(found, start=1):
        assert len(served.asked) <= number + 1


def test_a_circle_is_seen_though_its_page_was_under_way():
    with pytest.raises(HonestStop, match="never end"):
        walked(Pages(a="b", b="a"), lambda content, place: {"a": "b", "b": "a"}[place])


def test_who_stops_by_hand_does_not_wait_for_a_server():
    served = Pages(a="b", b="c", c=None)
    found = walk(served, "a", ask=str, follow=lambda answer, place: served.links[place], glimpse=lambda c, p: None)
    next(found)
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt)
    assert served.halted


@pytest.mark.parametrize("name", ["@odata.nextLink", "nextLink"])
@pytest.mark.parametrize("first", [True, False])
def test_a_link_is_glimpsed_at_either_end_of_a_page(name, first):
    link, value = {name: HERE + '?$skiptoken="ä"\\1'}, {"value": [{"id": str(n)} for n in range(2000)]}
    page = {**link, **value} if first else {**value, **link}
    for ascii_only in (True, False):
        content = json.dumps(page, ensure_ascii=ascii_only).encode()
        try:
            told = pages.following(page, HERE)
        except HonestStop:
            told = None
        assert pages.glimpse(content, HERE) == told


@given(st.binary(max_size=200))
def test_any_bytes_give_a_guess_or_none(content):
    for text in (content, b'{"nextLink": "' + content):
        assert isinstance(pages.glimpse(text, HERE), str | None)


def test_a_link_inside_a_text_is_not_taken_for_one():
    content = json.dumps({"value": [{"displayName": '"nextLink": "https://graph.example/secret"'}]}).encode()
    assert pages.glimpse(content, HERE) is None


def test_a_page_guessed_from_a_broken_answer_is_not_kept(tmp_path):
    """The first answer to the second page is cut and names the last page; the whole one follows."""

    def cut(tenant, request, handler):
        if request.path != USERS[1] or request.skip != 20 or cut.done:
            return None
        cut.done = True
        link = f"{tenant.base('graph')}{USERS[1]}?$skiptoken=60"
        return 200, {}, b'{"@odata.nextLink": "' + link.encode() + b'", "value": [{"id": '

    cut.done = False
    with directory(85) as served:
        served.fault = cut
        folder = run(served, tmp_path)
    assert [row["id"] for row in rows(folder, "graph/users")] == [f"u-{n}" for n in range(85)]
    assert manifest(folder)["complete"] is True
