"""Servers that misbehave in what hangs on a list: batches, counts, changes, pages of an environment, odd rows."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fake_tenant import FakeTokens
from fake_tenant.small import APPS, BAP, FLOW, USERS, directory, manifest, newest, platform, rows, run
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowanalysis.collect.clouds import cloud
from flowanalysis.collect.limits import Limits
from flowanalysis.collect.transport import Call, Transport
from flowanalysis.errors import CollectError, HonestStop, RefusedRequest


def test_a_list_that_outgrows_its_count_ends(tmp_path):
    """New rows without end under ever new addresses: only the server's own count tells."""

    def grow(tenant, request, handler):
        if request.path != USERS[1]:
            return None
        made = [{"id": f"u-{request.skip}-{n}"} for n in range(4000)]
        link = f"{tenant.base('graph')}{USERS[1]}?$skiptoken={request.skip + 1}"
        return 200, {}, json.dumps({"value": made, "@odata.nextLink": link}).encode()

    with directory() as served:
        served.fault = grow
        with pytest.raises(HonestStop, match="more than twice as many"):
            run(served, tmp_path)


def test_flows_whose_later_page_is_gone_are_a_gap_not_an_environment_without_flows(tmp_path):
    def vanish(tenant, request, handler):
        return (404, {}, b"") if request.path == f"{FLOW}/env-1/v2/flows" and request.skip else None

    with platform() as served:
        flow = served.lists["flow", f"{FLOW}/env-1/v2/flows"][0]
        served.lists["flow", f"{FLOW}/env-1/v2/flows"] = [{**flow, "id": f"flow-{n}"} for n in range(30)]
        served.fault = vanish
        with pytest.raises(HonestStop, match="404"):
            run(served, tmp_path, parts=("flows",))
    entry = manifest(newest(tmp_path))["collections"]["powerplatform/flows"]
    assert (entry["state"], entry["missing_count"]) == ("partial", 1)


def test_a_link_to_a_host_behind_the_flow_service_is_asked_for_at_the_service(tmp_path):
    def behind(tenant, request, handler):
        if request.path != f"{FLOW}/env-1/v2/flows":
            return None
        status, headers, body = tenant.answer(request)
        return status, headers, body.replace(tenant.base("flow").encode(), b"https://emea.api.flow.example:11777")

    with platform() as served:
        flow = served.lists["flow", f"{FLOW}/env-1/v2/flows"][0]
        served.lists["flow", f"{FLOW}/env-1/v2/flows"] = [{**flow, "id": f"f-{n}"} for n in range(45)]
        served.fault, here = behind, served.cloud
        with pytest.raises(HonestStop, match="gets no request"):
            run(served, tmp_path / "unknown", parts=("flows",))
        known = replace(here.service("flow"), inner=(".api.flow.example",))
        here = replace(here, services={**here.services, "flow": known})
        folder = run(served, tmp_path / "known", parts=("flows",), cloud=here)
        assert served.foreign == []
    assert [row["id"] for row in rows(folder, "powerplatform/flows")] == [f"f-{n}" for n in range(45)]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.flow.microsoft.com.evil.example/x",
        "https://evilapi.flow.microsoft.com/x",
        "https://a.api.flow.microsoft.com@evil.example/x",
        "http://emea.api.flow.microsoft.com/x",
        "https://emea.api.flow.microsoft.com\\@evil.example/x",
        "https://[::1",
    ],
)
def test_a_link_elsewhere_stays_one_and_is_refused(url):
    service = cloud("global").service("flow")
    assert service.homeward(url) == url
    with pytest.raises(RefusedRequest):
        Transport(FakeTokens()).send(Call(service.homeward(url), service))


def test_rows_repeated_at_the_page_borders_of_an_environment_are_kept_once(tmp_path):
    with platform() as served:
        flow = served.lists["flow", f"{FLOW}/env-1/v2/flows"][0]
        repeated = [*range(20), 19, *range(20, 30), 29]
        served.lists["flow", f"{FLOW}/env-1/v2/flows"] = [{**flow, "id": f"f-{n}"} for n in repeated]
        folder = run(served, tmp_path, parts=("flows",))
    assert [row["id"] for row in rows(folder, "powerplatform/flows")] == [f"f-{n}" for n in range(30)]
    entry = manifest(folder)["collections"]["powerplatform/flows"]
    assert (entry["items"], entry["duplicates"], entry["conflicts"]) == (30, 2, 0)


@pytest.mark.parametrize("name", ["..", "."])
def test_an_environment_whose_name_is_a_step_in_an_address_is_named_and_not_asked_for(tmp_path, name):
    with platform() as served:
        served.lists["bap", BAP].append({"name": name, "properties": {}})
        with pytest.raises(HonestStop, match="cannot be part of an address"):
            run(served, tmp_path, parts=("flows",))
        assert not any(f"/{name}/" in r.path for r in served.log)
    assert rows(newest(tmp_path), "powerplatform/flows") != []


@pytest.mark.parametrize("told, least", [({"retry-after": "7"}, 7), ({"Retry-After": 7}, 7), ({}, 0.5), (None, 0.5)])
def test_what_is_throttled_inside_a_batch_waits_as_long_as_it_was_told(tmp_path, told, least):
    def spoil(tenant, request, handler):
        if not request.path.endswith("/$batch"):
            return None
        status, headers, body = tenant.answer(request)
        answers = json.loads(body)["responses"]
        answers[0] |= {"status": 429, "headers": told, "body": {}}
        return status, headers, json.dumps({"responses": answers}).encode()

    with directory(groups=3) as served:
        served.fault = spoil
        run(served, tmp_path)
        batch = next(r.at for r in served.log if r.path.endswith("$batch"))
        single = next(r.at for r in served.log if r.path.endswith("/members"))
    assert single - batch >= least


def test_a_batch_that_is_told_to_wait_a_day_stops_honestly(tmp_path):
    def spoil(tenant, request, handler):
        if not request.path.endswith("/$batch"):
            return None
        made = {"id": "0", "status": 429, "headers": {"Retry-After": "86400"}}
        return 200, {}, json.dumps({"responses": [made]}).encode()

    with directory(groups=3) as served:
        served.fault = spoil
        with pytest.raises(HonestStop, match="again after 2026-11-01"):
            run(served, tmp_path)


def test_a_count_that_is_throttled_for_a_day_holds_the_list_back_and_one_that_fails_does_not(tmp_path):
    def count(answered):
        return lambda tenant, request, handler: answered if request.path.endswith("/$count") else None

    with directory() as served:
        served.fault = count((429, {"Retry-After": "86400"}, b""))
        with pytest.raises(HonestStop, match="again after"):
            run(served, tmp_path)
        assert not any(r.path == USERS[1] for r in served.log)
        for number, said in enumerate([(500, {}, b""), (200, {}, b"<html>"), (200, {}, b"\xff"), (200, {}, b"-4")]):
            served.fault = count(said)
            folder = run(served, tmp_path / str(number))
            assert manifest(folder)["collections"]["graph/users"]["server_count"] is None


def test_changes_are_laid_only_over_the_same_tenant_and_an_unchanged_file(tmp_path):
    with directory() as served:
        first = run(served, tmp_path)
        told = manifest(first)
        (first / "manifest.json").write_text(json.dumps({**told, "tenant": "contoso.example"}))
        with pytest.raises(CollectError, match="of another tenant"):
            run(served, tmp_path, since=first)
        (first / "manifest.json").write_text(json.dumps(told))
        users = first / "graph" / "users.jsonl"
        users.write_bytes(users.read_bytes().splitlines(keepends=True)[0])
        served.changes["after-latest"] = []
        served.clock.slept += 10
        second = run(served, tmp_path, since=first)
    assert len(rows(second, "graph/users")) == 45, "a file that lost rows was built upon"


STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "name", "properties", "environment", "linkedEnvironmentMetadata", "instanceUrl", "apiId"]
                + [
                    "connectionReferences",
                    "connectionName",
                    "principal",
                    "allowSharing",
                    "definition",
                    "error",
                    "nextLink",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    rows=[{"name": "e", "properties": {"linkedEnvironmentMetadata": "text"}}, {"name": "x", "properties": ["list"]}]
)
@given(rows=st.lists(st.dictionaries(st.sampled_from(["id", "name", "properties"]), STRANGE, max_size=3), max_size=3))
def test_rows_of_any_form_end_in_a_folder_or_an_honest_stop(tmp_path, rows):
    with platform() as served, tempfile.TemporaryDirectory(dir=tmp_path) as out:
        for key in (("bap", BAP), ("flow", f"{FLOW}/env-1/v2/flows"), ("powerapps", f"{APPS}/env-1/connections")):
            served.lists[key] = [*served.lists[key], *rows]
        served.records["flow", f"{FLOW}/env-1/flows/flow-1"]["properties"]["connectionReferences"] = rows
        try:
            run(served, Path(out), parts=("flows", "dataverse"), limits=Limits(broken=1, malformed=1))
        except CollectError:
            assert manifest(newest(Path(out)))["complete"] is False
        assert served.foreign == []
