"""Where in a definition a secret may stand, and how much is told of it. All values are invented."""

from __future__ import annotations

import json

import pytest

from flowanalysis.definitions import read_definition
from flowanalysis.definitions.secrets import REMOVED, any_in, redact, redact_text

# In pieces, so that nobody takes this file for a leak. No form gives the first one away: only a name beside it does.
CHOSEN = "Tr0ub4dor" + "3xY"
KEY = "4f9c1be07a2d4e5f" + "8b6c3d2a1e0f9b8c"
SIGNED = "https://fabrikam.example/run?sig=" + "Zk3vQ0pXy7Lr2Tn8Wm5Jd1HgYt4V"
BESIDE = {"password": CHOSEN}  # a tree with a secret takes the long way, on which every place is looked at


@pytest.mark.parametrize(
    ("tree", "path", "length"),
    [
        ({"a": [{"password": CHOSEN}]}, ("a", "0", "password"), len(CHOSEN)),
        ({"a": {"headers": {"Authorization": f"Bearer {KEY}"}}}, ("a", "headers", "Authorization"), len(KEY)),
        ({"a": f"x=1&password={CHOSEN}"}, ("a",), len(CHOSEN)),
        ({"password": {"name": "robot", "value": CHOSEN}}, ("password", "value"), len(CHOSEN)),
        ({"a": {"name": "Api Key", "value": KEY}}, ("a", "value"), len(KEY)),
        ({"a": {"type": "SecureString", "value": CHOSEN}}, ("a", "value"), len(CHOSEN)),
        ({"passwords": [[CHOSEN]]}, ("passwords", "0", "0"), len(CHOSEN)),
        ({"a": {"password": 918273645}}, ("a", "password"), 9),
        ({"a": {"password": 9182.73645}}, ("a", "password"), 10),
        ({"password": "@@" + CHOSEN}, ("password",), len(CHOSEN) + 2),
        ({"a": f"client_secret%3D{CHOSEN}"}, ("a",), len(CHOSEN)),
        ({SIGNED: 1}, (SIGNED.partition("Zk")[0] + REMOVED, "(name)"), 28),
        ({"a": {f"password={CHOSEN}": 1}}, ("a", f"password={REMOVED}", "(name)"), len(CHOSEN)),
    ],
)
def test_place_and_length_of_a_secret_are_told_and_nothing_of_it_is_left(tree, path, length):
    clean, found = redact(tree)
    assert [(s.path, s.length) for s in found] == [(path, length)]
    assert not any(part in repr((clean, found)) for part in (CHOSEN, KEY, "Zk3vQ0", "918273645"))
    assert REMOVED in repr(clean)


@pytest.mark.parametrize(
    ("tree", "kind"),
    [
        ({"clientSecret": CHOSEN}, "clientSecret"),
        ({"a": {"type": "securestring", "value": CHOSEN}}, "secure parameter"),
        ({"Mail password (fab_Password)": CHOSEN}, "Mail password"),
        ({"The secret of this name is forty long - k": CHOSEN}, "named secret"),
        ({"The secret of this name is forty long - ": CHOSEN}, "The secret of this name is forty long - "),
        ({"pass\u202eword": CHOSEN, "client_secret": CHOSEN}, "client_secret"),
        ({"sec\u202e password": CHOSEN}, "named secret"),
        ({"a": "AccountName=fab;AccountKey=" + "Zk3vQ0pXy7Lr2Tn8Wm5Jd1" * 3 + "Zk3vQ0pXy7Lr2Tn8Wm5J=="}, "storage key"),
    ],
)
def test_the_kind_is_a_short_name_that_can_be_shown(tree, kind):
    found = redact(tree)[1]
    assert kind in [s.kind for s in found] or pytest.fail(str([s.kind for s in found]))


@pytest.mark.parametrize(
    "other",
    [
        {"password": True},
        {"password": False},
        {"password": None},
        {"max": 4096},
        {"ratio": 0.25},
        {"password": {"count": 12}},
        {"a": {"name": "city", "value": CHOSEN}},
        {"list": [1, True, None, CHOSEN]},
        {"Secret santa list": "@concat('Winter2026party', 'x')"},
        {"password": "@concat(variables('first'), 'Tr0ub4dor3xY')"},
        {"password": "@{parameters('Tr0ub4dor3xY')}"},
        {"colour": "password", "value": CHOSEN},
        {"text": f"password=body({CHOSEN})"},
        {"text": "Your password: whatever you like"},
        {"text": "https://a.example/?sig=YOUR_SIGNATURE_HERE"},
        {"text": "https://a.example/?sig=" + "x" * 31},
    ],
)
def test_what_is_no_secret_stays_beside_one(other):
    clean, found = redact({"first": BESIDE, "second": other})
    assert [s.path for s in found] == [("first", "password")]
    assert clean["second"] == other
    assert redact(other) == (other, [])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"(password={CHOSEN[:-1]}).", f"(password={REMOVED})."),
        ("password=whatever", f"password={REMOVED}"),
        (
            f"password={CHOSEN}" + " " * 2_000 + f"client_secret={CHOSEN}",
            f"password={REMOVED}{' ' * 2_000}client_secret={REMOVED}",
        ),
        (f"password={CHOSEN};pwd={CHOSEN}", f"password={REMOVED};pwd={REMOVED}"),
        (f"key=a;{'k=v;' * 300}password={CHOSEN}", f"key=a;{'k=v;' * 300}password={REMOVED}"),
    ],
    ids=["brackets around", "a word after an equals sign", "far apart", "side by side", "far behind another name"],
)
def test_a_text_keeps_all_but_the_value(text, clean):
    assert redact({"a": text})[0] == {"a": clean}
    assert redact_text(text) == clean


def test_an_expression_of_literals_under_a_name_goes_as_a_whole():
    clean, found = redact({"Authorization": f"@concat('Bearer ', '{KEY}')"})
    assert clean == {"Authorization": "[secret removed]"}
    assert [s.length for s in found] == [len(KEY)]


def test_an_expression_that_puts_a_name_and_its_value_together_goes_as_a_whole():
    clean, found = redact({"body": f"@concat('client_id=', variables('id'), '&client_secret=', '{CHOSEN}')"})
    assert clean == {"body": REMOVED}
    assert [(s.kind, s.length) for s in found] == [("client_secret", len(CHOSEN))]


@pytest.mark.parametrize("blanks", ["','", "' , '", "',\n '"])
def test_name_and_value_apart_in_an_expression_are_found_with_any_blanks_between(blanks):
    expression = f"@concat('client_secret={blanks}{CHOSEN}')"
    clean, _ = redact({"body": expression})
    assert clean == {"body": REMOVED}


@pytest.mark.parametrize("name", ["body", "password"])
def test_half_a_character_hides_no_secret(name):
    text = "\ud800 password=" + CHOSEN
    clean, found = redact({name: text})
    assert len(found) == 1
    assert CHOSEN not in clean[name]
    assert len(found[0].fingerprint) == 16


@pytest.mark.parametrize(
    "tree",
    [
        {"body": "x " * 100_000 + f"password={CHOSEN}"},
        {"body": "x " * 100_000 + SIGNED, **BESIDE},
        {"x " * 100_000 + f"password={CHOSEN}": 1},
        {"a": ["x " * 100_000 + CHOSEN]},
    ],
    ids=["name and value", "form", "name of a member", "nothing known"],
)
def test_of_a_text_that_is_longer_than_what_is_searched_the_rest_is_cut_off(tree):
    clean = json.dumps(redact(tree)[0])
    assert CHOSEN not in clean
    assert "Zk3vQ0" not in clean
    assert 200_000 <= len(clean) <= 200_060


def test_a_text_of_just_the_length_that_is_searched_stays_whole():
    tree = {"body": "x " * 100_000}
    assert redact(tree) == (tree, [])
    assert redact({"body": "x " * 100_000 + "y"}) == (tree, [])


def test_secrets_are_taken_out_of_a_text_by_form_and_by_name():
    assert redact_text(f"{SIGNED} password={CHOSEN}, then x") == (
        f"{SIGNED.partition('Zk')[0]}{REMOVED} password={REMOVED}, then x"
    )
    assert any_in(SIGNED)
    assert any_in(f"password={CHOSEN}")
    assert not any_in("password=<yours>, x=1")


def test_a_step_named_after_a_secret_is_shown_without_it():
    step = {"type": "Compose", "inputs": 1}
    found = read_definition({"triggers": {}, "actions": {f"Set password={CHOSEN}": step}}, flow_id="f")
    assert CHOSEN not in repr(found)
    assert found.steps[0]["name"] == f"Set password={REMOVED}"
    assert [m["mark"] for m in found.marks] == ["secret"]


def test_a_display_name_that_holds_a_secret_is_shown_without_it():
    document = {
        "properties": {"displayName": f"Sync, password={CHOSEN}", "definition": {"triggers": {}, "actions": {}}}
    }
    found = read_definition(document, flow_id="f")
    assert found.display_name == f"Sync, password={REMOVED}"


def test_marks_tell_secrets_in_two_places_apart_and_equal_ones_alike():
    found = redact({"a": BESIDE, "b": BESIDE, "c": {"password": CHOSEN + "2"}})[1]
    assert [s.path[0] for s in sorted(found, key=lambda s: s.path)] == ["a", "b", "c"]
    prints = {s.path[0]: s.fingerprint for s in found}
    assert prints["a"] == prints["b"] != prints["c"]
