"""The policy: defaults, overlays, and what it refuses."""

from __future__ import annotations

import dataclasses

import pytest

from flowanalysis.errors import PolicyError, UnknownName
from flowanalysis.policy import load_policy
from flowanalysis.rules import RULES


@pytest.fixture
def overlay(tmp_path):
    """Write a company's policy and load it."""

    def load(text: str):
        file = tmp_path / "company.toml"
        file.write_text(text, encoding="utf-8")
        return load_policy(file)

    return load


def test_defaults_cover_every_rule_and_no_other():
    policy = load_policy()
    assert set(policy.rules) == set(RULES)
    assert set(policy.severity["base"]) == set(RULES)


def test_an_overlay_changes_only_what_it_names(overlay):
    policy, default = overlay("[rules.CON-2]\nidle_days = 30\n"), load_policy()
    assert policy.threshold("CON-2", "idle_days") == 30
    assert {r for r in default.rules if dict(policy.rules[r]) != dict(default.rules[r])} == {"CON-2"}
    assert policy.caps == default.caps
    assert policy.source == "company.toml"


def test_lists_are_replaced_and_whole_numbers_may_stand_for_fractions(overlay):
    policy = overlay('[business_flows]\nnames = ["^pay"]\n[sensitivity]\ndefault = 2\n')
    assert policy.business_flows["names"] == ("^pay",)
    assert policy.sensitivity["default"] == 2.0


def test_a_policy_cannot_be_changed_in_place():
    policy = load_policy()
    with pytest.raises(TypeError):
        policy.rules["OWN-2"]["owners"] = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.source = "x"


def test_a_changed_threshold_is_a_new_policy():
    policy = load_policy()
    assert policy.with_threshold("OWN-2", "owners", 3).threshold("OWN-2", "owners") == 3
    assert policy.threshold("OWN-2", "owners") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rules.CON-2]\nidel_days = 3", "idle_days"),
        ("[rules.CON-22]\nenabled = true", "CON-2"),
        ("[cap]\nflows_per_owner = 1", "caps"),
        ('[severity.base]\nOWN-1 = "hihg"', "high"),
    ],
)
def test_misspelt_names_are_refused_with_the_nearest(overlay, text, said):
    with pytest.raises(UnknownName, match=said):
        overlay(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rules.CON-2]\nidle_days = 'soon'", "company.toml, rules.CON-2.idle_days: a whole number is needed"),
        ("[rules.CON-2]\nidle_days = true", "a whole number is needed"),
        ("[rules.CON-2]\nidle_days = -1", "outside 0"),
        ("[rules.LIM-1]\nshare = 1.5", "outside 0 to 1"),
        ("[identities.weights]\nname = 2.0", "outside 0 to 1"),
        ("[identities]\nnames = ['(']", "is not a pattern"),
        ("[identities]\nnames = ['(?=x)']", "is not a pattern"),
        ("[identities]\nnames = [3]", "a text is needed"),
        ("[purposes]\npatterns = ['x']", "needs `match`"),
        ("rules = 3", "a table is needed"),
        ("[rules", "not valid TOML"),
    ],
)
def test_wrong_values_are_refused_with_their_place(overlay, text, said):
    with pytest.raises(PolicyError, match=said.replace("(", r"\(")):
        overlay(text)


def test_a_missing_file_and_an_absurd_one_are_refused(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "none.toml")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 1_000_001)
    with pytest.raises(PolicyError, match="too large"):
        load_policy(large)
