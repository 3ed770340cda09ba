"""The table of addresses: every name in it is one that the service publishes, and that a reader of ours wants."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from flowanalysis import reference
from flowanalysis.collect.clouds import cloud, origin
from flowanalysis.collect.endpoints import Endpoint, all_endpoints, chosen, endpoint
from flowanalysis.collect.names import PARTS
from flowanalysis.collect.scopes import table
from flowanalysis.errors import RefusedRequest

METADATA = tomllib.loads(Path(__file__).with_name("graph_metadata.toml").read_text(encoding="utf-8"))
GRAPH = [e for e in all_endpoints() if e.service == "graph"]
VERSIONS = {"v1.0": "v1", "beta": "beta"}


def published(version: str, kind: str) -> set[str]:
    """Names of a type and of its bases."""
    told = METADATA[VERSIONS[version]]["types"][kind]
    return set(told["names"].split()) | (published(version, told["base"]) if "base" in told else set())


def leads_to(version: str, kind: str, name: str) -> str | None:
    """The type at the end of a navigation."""
    told = METADATA[VERSIONS[version]]["types"][kind]
    found = told.get("navigation", {}).get(name)
    return found or (leads_to(version, told["base"], name) if "base" in told else None)


def unknown_names(row: Endpoint) -> list[str]:
    """Names in an endpoint that its type does not have in the version of its path."""
    _, version, path = row.path.split("/", 2)
    if METADATA[VERSIONS[version]]["sets"].get(path) != row.entity:
        return [f"{row.path} does not answer with {row.entity}"]
    wrong = [name for name in row.select if name not in published(version, row.entity)]
    for text in row.expand:
        name, inner = re.fullmatch(r"(\w+)(?:\(\$select=([\w,]+)\))?", text).groups()
        target = leads_to(version, row.entity, name)
        if target is None:
            wrong.append(name)
        elif inner:
            wrong += [n for n in inner.split(",") if n not in published(version, target)]
    return wrong


@pytest.mark.parametrize("row", GRAPH, ids=lambda e: e.name)
def test_every_selected_and_expanded_name_is_published_for_its_version(row):
    assert unknown_names(row) == []


def test_a_name_of_another_type_or_version_is_caught():
    groups = endpoint("graph/groups")
    old = Endpoint(**{**vars(groups), "path": "/v1.0/groups"})
    METADATA["v1"]["sets"]["groups"] = "group"
    assert unknown_names(old) == ["resourceProvisioningOptions"]
    del METADATA["v1"]["sets"]["groups"]
    users = endpoint("graph/users")
    assert unknown_names(Endpoint(**{**vars(users), "expand": ("manager($select=id,mail)",)})) == ["mail"]
    assert unknown_names(Endpoint(**{**vars(users), "expand": ("boss",)})) == ["boss"]


def test_counts_and_deltas_belong_to_the_list_they_stand_with():
    for row in GRAPH:
        assert row.count in ("", f"{row.path}/$count")
        assert row.delta in ("", f"{row.path}/delta")


def test_graph_permissions_exist_and_only_read():
    known = reference.table("graph_permissions")
    for row in GRAPH:
        for kind, names in (("delegated", row.delegated), ("application", row.application)):
            there = set(known.loc[known["kind"] == kind, "permission"])
            assert [n for n in names if n not in there] == []
            assert [n for n in names if "Read" not in n or "Write" in n] == []


def test_every_selected_name_is_read_by_a_reader(root):
    text = "\n".join(p.read_text(encoding="utf-8") for p in sorted((root / "flowanalysis" / "sources").rglob("*.py")))
    unread = [
        f"{row.name}: {name}"
        for row in all_endpoints()
        for name in row.select
        if not re.search(rf"""["'.]{re.escape(name)}\b""", text)
    ]
    assert unread == [], "asked for and used by nobody"


def test_no_address_stands_outside_the_table(root):
    """Besides the two that read by POST, which the transport itself must know."""
    for file in sorted((root / "flowanalysis" / "collect").glob("*.py")):
        text = re.sub(r'""".*?"""', "", file.read_text(encoding="utf-8"), flags=re.S)
        found = re.findall(r"https?://[\w.]+\.(?:com|us|cn)|/providers/Microsoft|/api/data/v|/v1\.0/\w+", text)
        assert found == [], file.name


def test_parents_stand_before_their_children_and_fill_every_brace():
    seen: set[str] = set()
    for row in all_endpoints():
        seen.add(row.name)
        assert row.part in PARTS
        assert not row.parent or row.parent in seen
        braces = set(re.findall(r"{(\w+)}", row.path + "".join(row.query.values())))
        assert braces <= set(row.of)


def test_an_address_is_written_as_the_documentation_writes_it():
    parts = urlsplit(endpoint("graph/users").relative())
    assert parts.path == "/v1.0/users"
    assert parse_qs(parts.query)["$expand"] == ["manager($select=id)"]
    assert " " not in endpoint("dataverse/workflows").relative({"environment": "e", "database": "d"})


def test_no_more_than_four_are_asked_for_at_once():
    """Graph's batches count singly against its limits, and the flow addresses publish none."""
    assert {row.workers for row in all_endpoints()} <= {1, 2, 4}
    assert all(row.workers == 1 or row.parent for row in all_endpoints())


@pytest.mark.parametrize("name", sorted(reference.toml("clouds")))
def test_every_cloud_is_data_from_its_sign_in_to_its_databases(name):
    here = cloud(name)
    assert origin(here.authority)[0] == "https"
    for service in here.services.values():
        assert origin(service.base)[0] == "https"
        assert service.scope.startswith("https://")
        assert service.scope.endswith("/.default")
    assert {e.service for e in chosen(("graph", "flows"))} - set(here.services) <= {"powerplatform"}
    for suffix in here.dataverse_suffixes:
        assert here.dataverse(f"https://contoso{suffix}/").scope == f"https://contoso{suffix}/.default"
        with pytest.raises(RefusedRequest):
            here.dataverse(f"https://contoso{suffix}.evil.example/")
    assert table(PARTS, cloud_name=name)["audience"].str.startswith("https://login").sum() == 0
