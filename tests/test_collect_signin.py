"""Signing in: each way asks msal rightly, and nothing secret is shown."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from flowanalysis.collect import signin
from flowanalysis.collect.clouds import cloud
from flowanalysis.collect.names import WAYS
from flowanalysis.collect.signin import SignIn, sign_in, writes
from flowanalysis.errors import SignInError, UnknownName

SCOPE = "https://graph.microsoft.com/.default"


class Msal:
    """Stands in for the library: notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.accounts: list[dict] = []

    def PublicClientApplication(self, client, **options):  # noqa: N802 - the library's name
        self.calls.append(("public", client, options))
        return self

    def ConfidentialClientApplication(self, client, **options):  # noqa: N802 - the library's name
        self.calls.append(("confidential", client, options))
        return self

    def SystemAssignedManagedIdentity(self):  # noqa: N802 - the library's name
        return "system"

    def UserAssignedManagedIdentity(self, *, client_id):  # noqa: N802 - the library's name
        return client_id

    def ManagedIdentityClient(self, identity, **options):  # noqa: N802 - the library's name
        self.calls.append(("managed", identity, options))
        return self

    def get_accounts(self):
        return self.accounts

    def acquire_token_silent_with_error(self, scopes, **options):
        self.calls.append(("silent", scopes, options))
        return {"access_token": "silent-token"}

    def initiate_device_flow(self, scopes, **options):
        self.calls.append(("device", scopes, options))
        return {"user_code": "ABC", "message": "go to\x1b[31m the page and type ABC"}

    def acquire_token_by_device_flow(self, flow):
        self.accounts = [{"username": "ada"}]
        return {"access_token": "device-token"}

    def acquire_token_interactive(self, scopes, **options):
        return {"access_token": "interactive-token"}

    def remove_tokens_for_client(self):
        self.calls.append(("forget",))

    def acquire_token_for_client(self, **options):
        self.calls.append(("client", options))
        return {"access_token": "client-token"}


@pytest.fixture
def msal(monkeypatch):
    fake = Msal()
    import sys

    monkeypatch.setitem(sys.modules, "msal", fake)
    for name in ("CLIENT_SECRET", "CERTIFICATE", "TOKEN_FILE", "IDENTITY", "CACHE"):
        monkeypatch.delenv(f"FLOWANALYSIS_{name}", raising=False)
    monkeypatch.setenv("FLOWANALYSIS_CLIENT_ID", "client-1")
    return fake


def ask(way: str, **options) -> SignIn:
    return sign_in(way, tenant="contoso.example", cloud=cloud("global"), **options)


def test_a_device_code_is_shown_once_and_then_the_account_is_used(msal):
    said: list[str] = []
    made = ask("device", say=said.append)
    assert made.token(SCOPE) == "device-token"
    assert made.token("https://service.flow.microsoft.com//.default") == "silent-token"
    assert len(said) == 1
    kind, client, options = msal.calls[0]
    assert (kind, client, options["authority"]) == (
        "public",
        "client-1",
        "https://login.microsoftonline.com/contoso.example",
    )
    assert options["token_cache"] is None
    assert made.unattended is False


def test_a_claims_challenge_reaches_the_library_decoded(msal):
    made = ask("device", say=lambda text: None)
    made.token(SCOPE)
    made.token(SCOPE, refresh=True, claims=base64.b64encode(b'{"access_token":{}}').decode())
    assert msal.calls[-1][2]["claims_challenge"] == '{"access_token":{}}'
    assert msal.calls[-1][2]["force_refresh"] is True
    made.token(SCOPE, claims="!!no base64!!")
    assert msal.calls[-1][2]["claims_challenge"] is None


def test_a_secret_comes_from_the_environment_only(msal, monkeypatch):
    with pytest.raises(SignInError, match="FLOWANALYSIS_CLIENT_SECRET"):
        ask("secret")
    monkeypatch.setenv("FLOWANALYSIS_CLIENT_SECRET", "canary-secret")
    made = ask("secret")
    assert made.token(SCOPE) == "client-token"
    assert made.unattended is True
    assert "canary" not in repr(made) + str(vars(made))
    made.token(SCOPE, refresh=True)
    assert ("forget",) in msal.calls


def test_a_certificate_is_given_as_the_library_wants_it(msal, monkeypatch, tmp_path):
    with pytest.raises(SignInError, match="FLOWANALYSIS_CERTIFICATE"):
        ask("certificate")
    monkeypatch.setenv("FLOWANALYSIS_CERTIFICATE", str(tmp_path / "absent.pem"))
    with pytest.raises(SignInError, match="no certificate"):
        ask("certificate")
    for name, key in (("c.pem", "private_key"), ("c.pfx", "private_key_pfx_path")):
        (tmp_path / name).write_text("pem text")
        monkeypatch.setenv("FLOWANALYSIS_CERTIFICATE", str(tmp_path / name))
        ask("certificate")
        assert key in msal.calls[-1][2]["client_credential"]


def test_a_federated_assertion_is_read_anew_each_time(msal, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("one\n")
    monkeypatch.setenv("FLOWANALYSIS_TOKEN_FILE", str(tmp_path / "token"))
    ask("federated")
    read = msal.calls[-1][2]["client_credential"]["client_assertion"]
    assert read() == "one"
    (tmp_path / "token").write_text("two")
    assert read() == "two"


def test_a_managed_identity_asks_for_the_resource(msal, monkeypatch):
    made = ask("managed-identity")
    made.token("https://service.powerapps.com//.default")
    assert msal.calls[-1] == ("client", {"resource": "https://service.powerapps.com/", "claims_challenge": None})
    monkeypatch.setenv("FLOWANALYSIS_IDENTITY", "mine")
    ask("managed-identity")
    assert msal.calls[-1][:2] == ("managed", "mine")


def test_a_refusal_is_told_in_the_directory_s_words_without_tokens():
    answer = {"error": "invalid_grant", "error_description": "AADSTS50076: need MFA \x1b[31m Bearer abc.def"}
    made = SignIn(lambda scope, refresh, claims: answer, unattended=True)
    with pytest.raises(SignInError, match="AADSTS50076") as caught:
        made.token(SCOPE)
    assert "abc.def" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def token(**claims) -> str:
    return f"h.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.s"


def test_a_token_that_could_write_is_warned_about_once(caplog):
    made = SignIn(
        lambda scope, refresh, claims: {"access_token": token(scp="Mail.Send User.Read.All")}, unattended=True
    )
    with caplog.at_level(logging.WARNING):
        made.token(SCOPE)
        made.token(SCOPE)
    assert [r.getMessage().count("Mail.Send") for r in caplog.records] == [1]
    assert token(scp="Mail.Send User.Read.All") not in caplog.text


@pytest.mark.parametrize("text", ["", "opaque", "a.b", "a.%%%.c", "a.bnVsbA.c", "a.W10.c"])
def test_a_token_that_cannot_be_looked_into_is_used_without_a_word(text):
    assert writes(text) == []


def test_only_reading_scopes_are_not_warned_about():
    assert (
        writes(token(roles=["User.Read.All", "Directory.Read.All", "Sites.Read.All"], scp="user_impersonation")) == []
    )


def test_a_cache_on_disk_must_be_named(msal, monkeypatch):
    monkeypatch.setenv("FLOWANALYSIS_CACHE", "yes")
    with pytest.raises(UnknownName, match="token cache"):
        ask("device")


def test_every_way_has_its_place(msal):
    assert set(WAYS) == {"device", "interactive", "certificate", "managed-identity", "federated", "secret"}
    assert ask("interactive").token(SCOPE) == "interactive-token"
    with pytest.raises(UnknownName, match="device"):
        ask("devise")
    assert signin.WITH_PERSON == ("device", "interactive")
