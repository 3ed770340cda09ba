"""A run as a whole: what is asked, in which order, what is said when something is not there."""

from __future__ import annotations

import json

import pytest
from fake_tenant import FakeTokens
from fake_tenant.small import (
    BAP,
    FLOW,
    USERS,
    answer,
    directory,
    lines,
    manifest,
    newest,
    people,
    platform,
    rows,
    run,
)

from flowanalysis.collect import graph
from flowanalysis.collect.run import collect
from flowanalysis.errors import CollectError, HonestStop, UnknownName


def test_pages_lie_on_the_disk_as_the_server_sent_them(tmp_path):
    with directory() as served:
        folder = run(served, tmp_path)
        base = served.base("graph")
    first, *_, last = lines(folder, "graph/users")
    assert first["body"]["@odata.context"] == f"{base}/v1.0/$metadata#users"
    assert first["body"]["@odata.nextLink"].startswith(f"{base}/v1.0/users?$select=id,")
    assert (first["followed"], "followed" in last) == (True, False)
    assert first["request"].startswith("/v1.0/users?$select=id,userPrincipalName")
    assert rows(folder, "graph/users") == people(45)


def test_sign_in_activity_is_left_out_where_the_licence_lacks_it(tmp_path):
    def refuse(tenant, request, handler):
        if request.path == USERS[1] and "signInActivity" in request.query.get("$select", ""):
            return answer(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")
        return None

    with directory() as served:
        served.fault = refuse
        folder = run(served, tmp_path)
    entry = manifest(folder)["collections"]["graph/users"]
    assert (entry["state"], entry["items"]) == ("complete", 45)
    assert "without signInActivity" in entry["warnings"][0]
    assert "signInActivity" not in rows(folder, "graph/users")[0]


def test_a_feature_that_the_tenant_lacks_is_no_gap(tmp_path):
    path = "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances"
    with directory() as served:
        served.refusals["graph", path] = answer(400, "AadPremiumLicenseRequired", "needs P2")
        folder = run(served, tmp_path)
    told = manifest(folder)
    assert told["complete"] is True
    assert told["collections"]["graph/role_eligibilities"]["state"] == "absent"


def test_a_permission_that_is_missing_is_a_gap_with_its_reason(tmp_path):
    with directory() as served:
        served.refusals["graph", "/v1.0/oauth2PermissionGrants"] = answer(403, "Authorization_RequestDenied", "no")
        with pytest.raises(HonestStop, match=r"graph/delegated_grants: .*Authorization_RequestDenied"):
            run(served, tmp_path)
    told = manifest(newest(tmp_path))
    assert (told["complete"], told["sealed"]) == (False, True)
    assert told["collections"]["graph/users"]["state"] == "complete"
    assert lines(newest(tmp_path), "graph/delegated_grants")[-1]["body"]["error"]["code"] == "NotCollected"


def test_a_partial_collection_is_handed_over_when_asked_for(tmp_path):
    with directory() as served:
        served.refusals["graph", "/v1.0/oauth2PermissionGrants"] = answer(403, "Authorization_RequestDenied")
        folder = run(served, tmp_path, allow_partial=True)
    assert manifest(folder)["complete"] is False


def test_what_waits_for_a_server_goes_on_in_the_same_folder(tmp_path):
    def later(tenant, request, handler):
        return (429, {"Retry-After": "90000"}, b"") if request.skip == 20 and request.path == USERS[1] else None

    with directory(groups=2) as served:
        served.fault = later
        with pytest.raises(HonestStop, match="waits for graph/users"):
            run(served, tmp_path)
        told = manifest(newest(tmp_path))
        assert (told["complete"], told["sealed"]) == (False, False)
        assert "graph/groups" in told["unfinished"]
        served.fault = None
        before = len(served.log)
        folder = run(served, tmp_path)
        assert folder == newest(tmp_path)
        assert len(list((tmp_path / "fabrikam.example").glob("2*"))) == 1
        assert [r.skip for r in served.log[before:] if r.path == USERS[1]] == [20, 40]
    assert manifest(folder)["complete"] is True
    assert len(rows(folder, "graph/users")) == 45


def test_members_come_by_batches_of_twenty(tmp_path):
    with directory(groups=45) as served:
        folder = run(served, tmp_path)
        batches = [json.loads(r.body)["requests"] for r in served.log if r.path == "/v1.0/$batch"]
    assert sorted(len(b) for b in batches) == [5, 5, 20, 20, 20, 20]
    assert [row["id"] for row in rows(folder, "graph/group_members")] == [f"u-{n}" for n in range(45)]
    assert lines(folder, "graph/group_members")[3]["request"] == "/v1.0/groups/g-3/members?$select=id&$top=999"


@pytest.mark.parametrize(
    "inner",
    [
        {"status": 429, "headers": {"Retry-After": "1"}, "body": {"error": {"code": "TooManyRequests"}}},
        {"status": 503, "body": {}},
        {"status": [], "headers": [], "body": []},
        {"status": 200, "body": {"value": "no list"}},
        {"status": 200},
        {"id": "0", "status": 200, "body": {"value": [{"id": "other"}]}},
        None,
    ],
    ids=["throttled", "down", "odd", "malformed", "empty", "an id twice", "left out"],
)
def test_a_bad_answer_inside_a_batch_is_asked_for_again_singly(tmp_path, inner):
    def spoil(tenant, request, handler):
        if not request.path.endswith("/$batch"):
            return None
        status, headers, body = tenant.answer(request)
        responses = [r for r in json.loads(body)["responses"] if r["id"] != "3"]
        responses += [{"id": "3", **inner}] if inner else []
        return status, headers, json.dumps({"responses": responses}).encode()

    with directory(groups=6) as served:
        served.fault = spoil
        folder = run(served, tmp_path)
        single = [r.path for r in served.log if r.path == "/v1.0/groups/g-3/members"]
    assert [row["id"] for row in rows(folder, "graph/group_members")] == [f"u-{n}" for n in range(6)]
    assert len(single) == 1


def test_a_long_list_of_members_is_followed_beyond_its_batch(tmp_path):
    with directory(groups=2) as served:
        served.lists["graph", "/v1.0/groups/g-1/members"] = [{"id": f"m-{n}"} for n in range(50)]
        folder = run(served, tmp_path)
    assert len(rows(folder, "graph/group_members")) == 51


def test_a_group_deleted_meanwhile_is_counted_not_missed(tmp_path):
    with directory(groups=2) as served:
        served.refusals["graph", "/v1.0/groups/g-1/members"] = answer(404, "Request_ResourceNotFound")
        folder = run(served, tmp_path)
    told = manifest(folder)
    assert told["complete"] is True
    assert told["collections"]["graph/group_members"]["warnings"] == ["1 were deleted while the tenant was read"]


def test_twenty_refusals_without_an_answer_end_the_asking(tmp_path):
    with directory(groups=300) as served:
        for n in range(300):
            served.refusals["graph", f"/v1.0/groups/g-{n}/members"] = answer(403, "Authorization_RequestDenied")
        with pytest.raises(HonestStop):
            run(served, tmp_path)
        asked = [r for r in served.log if r.path.endswith("/members")]
    assert len(asked) < 250
    entry = manifest(newest(tmp_path))["collections"]["graph/group_members"]
    assert (entry["state"], entry["missing_count"]) == ("failed", 300)


def test_an_environment_without_flow_runtime_has_no_flows(tmp_path):
    with platform() as served:
        folder = run(served, tmp_path, parts=("flows",))
    told = manifest(folder)
    assert told["complete"] is True
    assert told["collections"]["powerplatform/flows"]["warnings"] == ["1 have no such service and so none of these"]
    assert [row["name"] for row in rows(folder, "powerplatform/flows")] == ["flow-1"]


def test_shares_are_asked_of_connections_that_can_be_shared_or_are_used(tmp_path):
    with platform() as served:
        run(served, tmp_path, parts=("flows",))
        asked = [r.path.split("/")[-2] for r in served.log if "/connections/" in r.path]
    assert sorted(asked) == ["c-1", "c-3"]


def test_the_inventory_is_read_by_its_tokens(tmp_path):
    with platform() as served:
        folder = run(served, tmp_path, parts=("flows",))
    names = [row["name"] for line in lines(folder, "powerplatform/inventory") for row in line["body"]["data"]]
    assert names == [f"f-{n}" for n in range(45)]
    assert manifest(folder)["collections"]["powerplatform/inventory"]["server_count"] == 45


def test_in_a_large_tenant_only_groups_that_matter_are_opened_level_by_level(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "ALL", 3)
    groups = [{"id": f"g-{n}"} for n in range(5)] + [{"id": "g-team"}, {"id": "g-inner"}, {"id": "g-admins"}]
    groups[-1]["isAssignableToRole"] = True
    with platform(groups) as served:
        inner = [{"@odata.type": "#microsoft.graph.group", "id": "g-inner"}]
        served.lists["graph", "/v1.0/groups/g-team/members"] = inner
        served.lists["graph", "/v1.0/groups/g-inner/members"] = [
            {"@odata.type": "#microsoft.graph.group", "id": "g-team"}
        ]
        folder = run(served, tmp_path, parts=("graph", "flows"))
    asked = [line["request"].split("/")[3] for line in lines(folder, "graph/group_members")]
    deeper = [line["request"].split("/")[3] for line in lines(folder, "graph/group_members_2")]
    assert (asked, deeper) == (["g-team", "g-admins"], ["g-inner"])
    assert not (folder / "graph" / "group_members_3.jsonl").exists()


def test_a_foreign_database_gets_no_request_and_is_named(tmp_path):
    with platform() as served:
        for row, host in zip(served.lists["bap", BAP], ("evil.example", "127.0.0.9"), strict=True):
            row["properties"]["linkedEnvironmentMetadata"] = {"instanceUrl": f"https://{host}/"}
        with pytest.raises(HonestStop, match="not a Dataverse address"):
            run(served, tmp_path, parts=("dataverse",))
        assert served.foreign == []
        assert not any("evil" in scope for scope in served.cloud.dataverse_suffixes)


def test_changes_since_the_last_collection_are_laid_over_it(tmp_path):
    with directory(45, groups=3) as served:
        first = run(served, tmp_path)
        served.changes["after-latest"] = [
            {"id": "U-3", "displayName": "Renamed"},
            {"id": "u-4", "@removed": {"reason": "changed"}},
            {"id": "u-5", "@removed": {"reason": "changed"}},
            {"id": "u-5", "displayName": "Back again"},
            {"id": "u-new", "displayName": "New"},
        ]
        served.clock.slept += 10
        second = run(served, tmp_path, since="last")
        pages = [r for r in served.log if r.path == USERS[1]]
    before = {row["id"]: row for row in rows(first, "graph/users")}
    after = {row["id"].lower(): row for row in rows(second, "graph/users")}
    assert len(pages) == 3, "the second run read the whole list"
    assert after.keys() == before.keys() - {"u-4"} | {"u-new"}
    assert after["u-3"]["displayName"] == "Renamed"
    assert after["u-3"]["manager"] == {"id": "boss"}
    assert after["u-5"]["displayName"] == "Back again"
    assert not any("signInActivity" in row for row in after.values()), "what is not tracked must not look fresh"
    entry = manifest(second)["collections"]["graph/users"]
    assert (entry["items"], entry["state"]) == (45, "complete")
    assert entry["delta_link"] != manifest(first)["collections"]["graph/users"]["delta_link"]
    assert not (second / ".state").exists()


def test_a_delta_link_that_is_too_old_starts_over(tmp_path):
    with directory() as served:
        run(served, tmp_path)
        served.clock.slept += 10
        served.lists[USERS].append({"id": "u-new"})
        second = run(served, tmp_path, since="last")  # the fake knows no changes: 410
    assert len(rows(second, "graph/users")) == 46
    assert manifest(second)["complete"] is True


def test_asking_since_nothing_reads_everything(tmp_path):
    with directory() as served:
        assert len(rows(run(served, tmp_path, since="last"), "graph/users")) == 45
        with pytest.raises(CollectError, match="no manifest"):
            run(served, tmp_path, since=tmp_path)


def test_a_cloud_without_the_inventory_says_so(tmp_path):
    with platform() as served:
        less = {k: v for k, v in served.cloud.services.items() if k != "powerplatform"}
        here = type(served.cloud)("fake", "Fake", "https://login.example", less, ())
        folder = collect(
            tenant="fabrikam.example",
            out=tmp_path,
            parts=("flows",),
            signin=FakeTokens(),
            cloud=here,
            clock=served.clock,
            progress=False,
        )
    assert manifest(folder)["complete"] is True
    assert "does not offer" in manifest(folder)["warnings"][0]


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "a b", "-x", "x" * 300])
def test_a_tenant_is_a_domain_or_an_id(tmp_path, name):
    with pytest.raises(CollectError, match="is not a tenant"):
        collect(tenant=name, out=tmp_path, signin=FakeTokens())


def test_names_that_do_not_exist_are_told_with_the_nearest(tmp_path):
    with pytest.raises(UnknownName, match="graph"):
        collect(tenant="fabrikam.example", out=tmp_path, parts=("grap",))
    with pytest.raises(UnknownName, match="device"):
        collect(tenant="fabrikam.example", out=tmp_path, signin="devise")


def test_a_dry_run_sends_nothing_and_estimates_by_the_last_collection(tmp_path, capsys):
    with directory() as served:
        run(served, tmp_path)
        before = len(served.log)
        run(served, tmp_path, dry_run=True)
        assert len(served.log) == before
    told = capsys.readouterr().out
    assert "Nothing was sent" in told
    assert "graph/users" in told
    assert "about 1 calls" in told


def test_a_sign_in_that_fails_is_told_and_can_go_on(tmp_path):
    class Refusing(FakeTokens):
        def token(self, scope, **options):
            from flowanalysis.errors import SignInError

            raise SignInError("No token: AADSTS50057")

    with directory() as served:
        with pytest.raises(HonestStop, match="AADSTS50057"):
            run(served, tmp_path, signin=Refusing())
        assert manifest(newest(tmp_path))["sealed"] is False
        assert manifest(run(served, tmp_path))["complete"] is True


def test_a_secret_in_a_definition_reaches_no_file_and_the_control_finds_it(tmp_path):
    secret = "Qq8vR2mLx0TzP4"
    action = {"type": "Http", "inputs": {"uri": "https://x.example", "authentication": {"secret": secret}}}
    with platform() as served:
        record = served.records["flow", f"{FLOW}/env-1/flows/flow-1"]
        record["properties"]["definition"] = {"actions": {"Call": action}}
        kept = {}
        for name, options in {"ordinary": {}, "control": {"redactor": dict}}.items():
            folder = run(served, tmp_path / name, parts=("flows",), **options)
            kept[name] = [p.name for p in folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert kept == {"ordinary": [], "control": ["flow_details.jsonl"]}
