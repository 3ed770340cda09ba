"""Pages read by the keys of their rows: what is accepted, and what is said of it, is what strict reading says."""

from __future__ import annotations

import json
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowanalysis.collect import body
from flowanalysis.collect.keys import Keys, Reader
from flowanalysis.collect.limits import Malformed

PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(max_size=4)
VALUE = st.recursive(
    PLAIN | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["id", "a", "b", 'odd"\n']), VALUE, max_size=3), max_size=3)
LINKS = st.dictionaries(
    st.sampled_from(["@odata.nextLink", "@odata.deltaLink", "@odata.NextLink", "@odata.count", "error"]),
    st.none() | st.just("https://graph.example/2") | st.just(3),
    max_size=2,
)
PAGES = st.builds(lambda rows, links: {**links, "value": rows}, ROWS, LINKS)
LICENCES = [{"sku": "s", "off": []}]
ORDINARY = {"id": "u-1", "name": "Ä", "on": True, "since": None, "plans": LICENCES, "lead": {"id": "x"}}


def said(parse, content: bytes):
    """A page by its links and keys, or that it is none."""
    try:
        page, text = parse(content)
    except Malformed:
        return "malformed"
    if not isinstance(page, dict) or not isinstance(page.get("value"), list):
        return page, text
    rows = page["value"]
    keys = rows if isinstance(rows, Keys) else [r.get("id") if isinstance(r, dict) else "no row" for r in rows]
    keys = [key if isinstance(key, str) else None for key in keys]  # nothing else makes a row known
    return {**{name: link for name, link in page.items() if link is not None}, "value": keys}, text


@settings(max_examples=50)
@given(st.lists(PAGES, max_size=5))
def test_pages_say_the_same_by_their_keys_as_strictly(told):
    reader = Reader("id")
    for page in (*told, *told):
        content = json.dumps(page, ensure_ascii=False).encode()
        assert said(reader.parse, content) == said(body.parse, content)


def test_harm_at_any_byte_is_seen_as_strictly():
    """Bytes replaced, doubled and left out at random places of a page."""
    chance, reader = random.Random(3), Reader("id")
    content = orjson.dumps({"@odata.nextLink": "https://graph.example/2", "value": [ORDINARY, ORDINARY]})
    assert isinstance(reader.parse(content)[0]["value"], Keys)
    for _ in range(6000):
        at, harm = chance.randrange(len(content)), bytes([chance.choice(b'"\\{}[],:0e1.-+ \n\x00\xff\xc3u')])
        broken = content[:at] + chance.choice([harm, harm + content[at : at + 1], b""]) + content[at + 1 :]
        assert said(reader.parse, broken) == said(body.parse, broken)


HOSTILE = [
    b"1e999",
    b"-1e400",
    b"1" * 400,
    b"1.5",
    b"1.0",
    b"1e2",
    b"01",
    b"NaN",
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\\ud83d"',
    b'"\\q"',
    b'"a\nb"',
    b"[" * 1100 + b"]" * 1100,
    b'{"x":' * 60_000 + b"1" + b"}" * 60_000,
    b"",
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v[:12]))
def test_a_hostile_value_is_never_let_through(value):
    reader = Reader("id")
    for content in (b'{"value":[{"id":"u-3","n":%s}]}' % value, b'{"n":%s,"value":[]}' % value, b"[%s]" % value, value):
        assert said(reader.parse, content) == said(body.parse, content)
        assert isinstance(reader.parse(b'{"value":[{"id":"u"}]}')[0]["value"], Keys)  # and the next page is read


TWICE = [
    b'{"value":[{"id":"a"}],"value":[]}',
    b'{"@odata.nextLink":"https://a.example/","value":[{"id":"a"}],"@odata.nextLink":"https://b.example/"}',
]


@pytest.mark.parametrize("content", TWICE, ids=["rows", "link"])
def test_a_name_that_stands_twice_is_read_as_others_read_it(content):
    assert Reader("id").parse(content) == body.parse(content)
