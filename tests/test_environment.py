"""One list of packages: pyproject.toml leads, the others agree."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def named(requirements) -> dict[str, str]:
    parsed = [Requirement(r) for r in requirements]
    return {r.name.lower(): str(r.specifier) for r in parsed}


def test_conda_environment_has_the_same_names_and_specifiers(root, project):
    listed = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = named(d for d in listed if isinstance(d, str))
    assert conda.pop("python") == project["requires-python"]
    assert conda.pop("pip") == ""
    extras = project["optional-dependencies"]
    assert conda == named([*project["dependencies"], *extras["lab"], *extras["dev"]])


def test_every_dependency_has_its_reason_beside_it(root):
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.M | re.S).group(1)
    assert all("#" in line for line in block.strip().splitlines())


def test_constraints_are_plain_pins_that_satisfy_the_project(root, project):
    lines = [x for x in (root / "constraints.txt").read_text(encoding="utf-8").splitlines() if x and x[0] != "#"]
    assert all(re.fullmatch(r"[a-z0-9._-]+==[^\s;]+( ; .+)?", line) for line in lines)
    pins = {Requirement(line).name: Requirement(line) for line in lines}
    extras = [r for name in ("lab", "dev", "cache", "fast", "explore") for r in project["optional-dependencies"][name]]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        pin = next(iter(pins[requirement.name.lower()].specifier)).version
        assert requirement.specifier.contains(pin), requirement


def test_public_names_are_sorted_complete_and_open():
    import flowanalysis as fa

    assert fa.__all__ == sorted(fa.__all__)
    for name in fa.__all__:
        assert getattr(fa, name) is not None, name
    with pytest.raises(AttributeError, match="no attribute 'flows'"):
        fa.flows  # noqa: B018
