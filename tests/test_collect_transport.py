"""What the transport sends, where to, and what it says of what came back."""

from __future__ import annotations

import base64
import json
import logging
import socket
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
from fake_tenant import FakeClock, FakeTenant, FakeTokens
from hypothesis import given
from hypothesis import strategies as st

from flowanalysis.collect import body
from flowanalysis.collect.clouds import Service, cloud, origin
from flowanalysis.collect.endpoints import all_endpoints, endpoint, fill
from flowanalysis.collect.limits import Limits, Malformed, Slow, asked_wait, retry_after
from flowanalysis.collect.pages import following
from flowanalysis.collect.transport import Call, Transport, _Unauthorised, scrub
from flowanalysis.collect.wire import _Clocked, session
from flowanalysis.errors import CollectError, HonestStop, RefusedRequest, UnknownName

GRAPH = Service("https://graph.microsoft.com", "https://graph.microsoft.com/.default")


def transport(served: FakeTenant, tokens: FakeTokens | None = None) -> Transport:
    return Transport(tokens or FakeTokens(), clock=served.clock, limits=Limits(deadline=5))


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.microsoft.com.evil.example/v1.0/users",
        "https://graph.microsoft.com:444/v1.0/users",
        "https://graph.microsoft.com@evil.example/v1.0/users",
        "https://user:pass@graph.microsoft.com/v1.0/users",
        "https://evil.example/https://graph.microsoft.com/",
        "https://graph.microsoft.com\\@evil.example/",
        "https://graph.microsoft.com\t.evil.example/",
        "https://graph.microsoft.com:99999/",
        "https://[::1",
        "//evil.example/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "file:///etc/passwd",
        "ftp://graph.microsoft.com/",
        "",
        "/v1.0/users",
        "https://127.evil.example/",
        "http://127.evil.example/",
        "http://127.0.0.1.evil.example/",
    ],
)
def test_no_other_place_is_asked(url):
    asked = Transport(FakeTokens())
    with pytest.raises(RefusedRequest):
        asked.send(Call(url, GRAPH))
    assert asked.requests == 0
    assert asked.tokens.asked == []


@pytest.mark.parametrize("url", ["https://graph.microsoft.com/v1.0", "https://GRAPH.microsoft.com.:443/v1.0"])
def test_the_same_place_written_otherwise_is_the_same_place(url):
    assert origin(url) == origin(GRAPH.base)


@given(st.text(max_size=80))
def test_an_address_is_an_origin_or_refused(text):
    try:
        scheme, host, port = origin(text)
    except RefusedRequest:
        return
    assert scheme == "https" or host == "localhost" or host.startswith("127.") or host == "::1"
    assert host
    assert 0 <= port < 65536


WRITES = [
    ("/v1.0/users", {"displayName": "x"}),
    ("/v1.0/$batch/../users", {"requests": []}),
    ("/v1.0/$batch?x=1#y", {"requests": [{"id": "1", "method": "DELETE", "url": "/users/1"}]}),
    ("/v1.0/$batch", {"requests": [{"id": "1", "method": "POST", "url": "/users"}]}),
    ("/v1.0/$batch", {"requests": [{"id": "1", "method": "get", "url": "/users"}]}),
    ("/v1.0/$batch", {"requests": [{"id": "1", "method": "GET", "url": "https://evil.example/"}]}),
    ("/v1.0/$batch", {"requests": [{"id": "1", "method": "GET", "url": "/users", "body": {}}]}),
    ("/resourcequery/resources/query/x", {}),
]


@pytest.mark.parametrize("path, payload", WRITES)
def test_nothing_that_could_write_is_sent(path, payload):
    asked = Transport(FakeTokens())
    with pytest.raises(RefusedRequest):
        asked.send(Call(GRAPH.base + path, GRAPH, payload=payload))
    assert asked.requests == 0


def test_every_address_of_the_table_reads():
    for row in all_endpoints():
        assert row.payload is None or row.path == "/resourcequery/resources/query"
        assert not any("write" in p.lower() or "fullcontrol" in p.lower() for p in (*row.delegated, *row.application))


def test_parents_stand_before_what_hangs_on_them():
    names = [row.name for row in all_endpoints()]
    assert len(names) == len(set(names))
    for row in all_endpoints():
        if row.parent:
            assert names.index(row.parent) < names.index(row.name)
            filled = row.path + "".join(row.query.values())
            assert all(f"{{{name}}}" in filled for name in row.of) or row.service == "dataverse"


@pytest.mark.parametrize("hostile", ["..", ".", " ", ""])
def test_an_id_cannot_be_a_step_up_the_address(hostile):
    with pytest.raises(RefusedRequest):
        endpoint("graph/group_members").relative({"id": hostile})


@given(st.text(min_size=1, max_size=40))
def test_an_id_stays_in_its_place(text):
    try:
        url = endpoint("graph/group_members").relative({"id": text})
    except RefusedRequest:
        return
    except UnicodeEncodeError:
        return  # half a surrogate pair is no id
    assert url.count("/") == 4
    assert url.count("?") == 1
    assert "#" not in url


def test_an_apostrophe_does_not_end_a_filter():
    assert fill("environment eq '{environment}'", {"environment": "a' or 'b"}) == "environment eq 'a'' or ''b'"


def test_a_database_is_asked_only_where_its_cloud_keeps_databases():
    world = cloud("global")
    assert world.dataverse("https://contoso.crm4.dynamics.com/").base == "https://contoso.crm4.dynamics.com"
    for foreign in ("https://dynamics.com.evil.example/", "https://evildynamics.com/", "https://dynamics.com/x"):
        with pytest.raises(RefusedRequest):
            world.dataverse(foreign)
    with pytest.raises(UnknownName, match="global"):
        cloud("globl")


NETRC = "machine 127.0.0.1 login mallory password canary\n"


def test_netrc_does_not_replace_the_token(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(NETRC)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with FakeTenant(clock=FakeClock()) as served:
        url = f"{served.base('graph')}/v1.0/users"
        transport(served).send(Call(url, served.cloud.service("graph")))
        assert served.log[-1].headers["Authorization"].startswith("Bearer canary-")
        # the control: a plain header is replaced
        requests.get(url, headers={"Authorization": "Bearer mine"}, timeout=5)
        assert served.log[-1].headers["Authorization"].startswith("Basic ")


def test_a_cookie_is_not_carried_on():
    def bake(tenant, request, handler):
        return 200, {"Set-Cookie": "session=1; Path=/"}, b'{"value":[]}'

    with FakeTenant(clock=FakeClock(), fault=bake) as served:
        asked = transport(served)
        for _ in range(2):
            asked.send(Call(f"{served.base('graph')}/v1.0/users", served.cloud.service("graph")))
        assert "Cookie" not in served.log[-1].headers


def test_a_token_is_in_no_error_no_log_and_no_traceback(caplog):
    caplog.set_level(logging.DEBUG)

    def deny(tenant, request, handler):
        shown = handler.headers["Authorization"]
        return 403, {}, json.dumps({"error": {"code": "Denied", "message": f"no entry for {shown}"}}).encode()

    with FakeTenant(clock=FakeClock(), fault=deny) as served:
        asked = transport(served)
        with pytest.raises(CollectError) as caught:
            asked.send(Call(f"{served.base('graph')}/v1.0/users?$skiptoken=s", served.cloud.service("graph")))
        token = served.token("graph")
        said = "".join(traceback.format_exception(caught.value)) + repr(asked) + str(caught.value)
        assert token in f"control {asked.tokens.token('graph/.default')}"
    assert "no entry for Bearer ***" in said
    assert token not in said
    assert token not in caplog.text


def test_one_thread_that_is_throttled_makes_the_others_of_its_service_wait():
    lists = {("powerplatform", "/v1.0/users"): []}
    with FakeTenant(clock=FakeClock(), lists=lists) as served:
        asked = transport(served)
        call = Call(f"{served.base('graph')}/v1.0/users", served.cloud.service("graph"))
        asked._close(call, 30, shared=True)
        asked.send(Call(f"{served.base('powerplatform')}/v1.0/users", served.cloud.service("powerplatform"), text=True))
        assert served.clock.slept == 0
        asked.send(call)
        assert served.clock.slept >= 29.9


def test_a_run_that_is_stopped_does_not_wait_for_a_far_retry_after():
    def later(tenant, request, handler):
        return 429, {"Retry-After": "1800"}, b""

    with FakeTenant(clock=FakeClock(), fault=later) as served:
        asked = transport(served)
        asked.halt()
        with pytest.raises(HonestStop, match="Stopped by hand"):
            asked.send(Call(f"{served.base('graph')}/v1.0/users", served.cloud.service("graph")))
        assert served.clock.slept < 5


def test_retry_after_is_never_undercut():
    now = datetime(2026, 10, 31, tzinfo=UTC)
    for text, least in (("7", 7), ("0.5", 0.5), ("Sat, 31 Oct 2026 00:00:09 GMT", 9), ("0", 0)):
        assert retry_after(text, now) >= least
    for text in ("nan", "inf", "-1", "soon", "", None, "1e400"):
        assert retry_after(text, now) is None
    assert retry_after((now - timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT"), now) == 0


@pytest.mark.parametrize(
    "data", [b"", b"[" * 100_000, b"NaN", b'{"a": Infinity}', b"\xff\xfe{}", b'{"a":1}x', b"\xef\xbb\xbf\xef\xbb\xbf{}"]
)
def test_what_is_not_json_is_malformed(data):
    with pytest.raises(Malformed):
        body.decode(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_malformed(data):
    try:
        body.decode(data)
    except Malformed:
        return


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def",
        "https://x.example/?sig=SECRET&x=1",
        "eyJhbGciOiJIUzI1NiJ9.SECRETSECRET.SECRET",
        "?code=SECRET",
    ],
)
def test_what_looks_like_a_token_is_taken_out_of_a_server_s_words(text):
    assert "SECRET" not in scrub(text)
    assert "abc.def" not in scrub(text)


def test_the_room_opens_no_file_for_reading_secrets():
    room = Path(body.__file__).parent
    sent = [p.name for p in room.glob("*.py") if "requests.get(" in p.read_text() or "requests.post(" in p.read_text()]
    assert sent == []


def test_a_token_is_in_no_output_of_a_notebook():
    """What a notebook keeps of a failing cell: the traceback with its lines, as the kernel formats it."""
    from IPython.core.ultratb import FormattedTB

    def kept(cell) -> str:
        try:
            cell()
        except Exception as problem:
            return FormattedTB(mode="Context", theme_name="nocolor").text(type(problem), problem, problem.__traceback__)
        return ""

    def control() -> None:
        raise ValueError("canary-control")

    with FakeTenant(clock=FakeClock()) as served:
        served.refusals["graph", "/v1.0/users"] = (
            403,
            {},
            b'{"error":{"message":"Bearer ' + served.token("graph").encode() + b'"}}',
        )
        call = Call(f"{served.base('graph')}/v1.0/users", Service(served.base("graph"), "graph/.default"))
        text, token = kept(lambda: transport(served).send(call)), served.token("graph")
    assert "answered 403" in text
    assert token not in text
    assert "canary-control" in kept(control)


def test_proxies_and_certificates_of_the_surroundings_count_for_the_origins_they_name(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")
    monkeypatch.setenv("NO_PROXY", "graph.microsoft.com")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/bundle.pem")
    made = session(5.0)
    near, far = (
        made.merge_environment_settings(f"https://{host}/x", None, True, None, None)
        for host in ("graph.microsoft.com", "api.flow.microsoft.com")
    )
    assert (near["proxies"], near["verify"], near["stream"]) == ({}, "/bundle.pem", True)
    assert far["proxies"]["https"] == "http://proxy.example:8080"
    assert made.trust_env is False, "a .netrc would be read"


@pytest.mark.parametrize("closing", ["", '"'])
def test_a_challenge_is_found_with_and_without_quotation_marks(closing):
    text = base64.b64encode(b'{"access_token":{}}').decode()
    assert _Unauthorised("no", f"Bearer error=x, claims={closing}{text}{closing}").claims == text
    assert _Unauthorised("no", "Bearer error=x").claims is None


def test_a_challenge_that_comes_after_a_new_token_is_met_once_more():
    claims = base64.b64encode(b'{"access_token":{}}').decode()
    answers = [(401, {}, b""), (401, {"WWW-Authenticate": f'Bearer claims="{claims}"'}, b"")]

    def refuse(tenant, request, handler):
        if not answers:
            return None
        tenant.minimum += 1
        return answers.pop(0)

    with FakeTenant(clock=FakeClock(), fault=refuse) as served:
        tokens = FakeTokens()
        asked = transport(served, tokens)
        asked.send(Call(f"{served.base('graph')}/v1.0/users", served.cloud.service("graph")))
    assert tokens.claims == [claims]


def test_a_server_s_own_time_is_believed_where_ours_runs_ahead():
    now = datetime(2026, 10, 31, 12, tzinfo=UTC)
    date = "Sat, 31 Oct 2026 12:00:30 GMT"
    assert asked_wait({"Retry-After": date}, now + timedelta(minutes=5)) == 0
    assert (
        asked_wait({"Retry-After": date, "Date": format_datetime(now, usegmt=True)}, now + timedelta(minutes=5)) == 30
    )
    assert asked_wait({"Retry-After": date, "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, now) == 30
    assert asked_wait({"Date": date}, now) is None


@given(st.text(max_size=40))
def test_any_retry_after_is_a_bearable_number_or_none(text):
    seconds = retry_after(text, datetime(2026, 10, 31, tzinfo=UTC))
    assert seconds is None or 0 <= seconds <= 10 * 366 * 86_400


@given(st.text(max_size=60))
def test_any_link_is_an_address_or_refused(text):
    try:
        target = following({"@odata.nextLink": text}, GRAPH.base + "/v1.0/users")
        there = None if target is None else origin(target)
    except RefusedRequest:
        return
    assert there is None or there[0] in ("http", "https")


def test_silence_is_not_waited_for_beyond_the_deadline_of_the_whole_answer():
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(30)  # what the request allows between two bytes
        answer = _Clocked(socket.SocketIO(near, "r"), near, 0.2)
        far.sendall(b"a")
        assert answer.readinto(bytearray(4)) == 1
        began = time.monotonic()
        with pytest.raises(Slow):
            answer.readinto(bytearray(4))
        assert time.monotonic() - began < 10
