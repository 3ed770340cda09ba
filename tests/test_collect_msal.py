"""The real sign-in library, asked as the collector asks it; only the directory behind it is played."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from flowanalysis.collect.clouds import cloud
from flowanalysis.collect.signin import sign_in
from flowanalysis.errors import SignInError, UnknownName

GRAPH = "https://graph.microsoft.com/.default"
FLOW = "https://service.flow.microsoft.com//.default"
NAMES = ("CLIENT_SECRET", "CERTIFICATE", "CERTIFICATE_PASS", "TOKEN_FILE", "IDENTITY", "CACHE")


class Directory:
    """Plays the token service of one tenant; gives tokens with rising numbers."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.lasts = 3600
        self.person = False
        self.says: dict | None = None

    def request(self, session, method, url, params=None, data=None, **_):
        place = urlsplit(url).path
        if place.endswith("/openid-configuration"):
            base = url.split("/v2.0/")[0]
            ends = {"authorization": "authorize", "token": "token", "device_authorization": "devicecode"}
            found = {f"{name}_endpoint": f"{base}/oauth2/v2.0/{end}" for name, end in ends.items()}
            return self._said({**found, "issuer": f"{base}/v2.0"})
        if place.endswith("/discovery/instance"):
            return self._said({"metadata": []})
        if place.endswith("/devicecode"):
            self.scope = data["scope"]
            return self._said(
                {"device_code": "d", "user_code": "ABC", "message": "type ABC", "expires_in": 900, "interval": 1}
            )
        told = {**{k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}, **(params or {}), **(data or {})}
        self.asked.append(told)
        if self.says:
            return self._said(self.says, 400)
        answer = {"access_token": f"token-{len(self.asked)}", "expires_in": self.lasts, "token_type": "Bearer"}
        if self.person:
            who = base64.urlsafe_b64encode(b'{"uid": "u", "utid": "t"}').decode().rstrip("=")
            answer |= {"refresh_token": "refresh", "client_info": who, "scope": told.get("scope", self.scope)}
        return self._said(answer)

    @staticmethod
    def _said(value, status=200):
        return SimpleNamespace(status_code=status, text=json.dumps(value), headers={}, raise_for_status=lambda: None)


@pytest.fixture
def directory(monkeypatch) -> Directory:
    played = Directory()
    monkeypatch.setattr(
        requests.Session, "request", lambda self, *args, **options: played.request(self, *args, **options)
    )
    for name in NAMES:
        monkeypatch.delenv(f"FLOWANALYSIS_{name}", raising=False)
    monkeypatch.setenv("FLOWANALYSIS_CLIENT_ID", "client-1")
    return played


def ask(way: str, **options):
    return sign_in(way, tenant="contoso.example", cloud=cloud("global"), **options)


def test_there_is_one_token_for_each_audience_kept_until_it_is_refused(directory, monkeypatch):
    monkeypatch.setenv("FLOWANALYSIS_CLIENT_SECRET", "canary-secret")
    made = ask("secret")
    assert [made.token(s) for s in (GRAPH, FLOW, GRAPH, FLOW)] == ["token-1", "token-2", "token-1", "token-2"]
    assert [a["scope"] for a in directory.asked] == [GRAPH, FLOW]
    assert directory.asked[0]["client_secret"] == "canary-secret"
    assert made.token(GRAPH, refresh=True) == "token-3"
    assert made.token(GRAPH) == "token-3"


def test_a_token_that_will_soon_expire_is_not_used_any_more(directory, monkeypatch):
    monkeypatch.setenv("FLOWANALYSIS_CLIENT_SECRET", "canary-secret")
    directory.lasts = 240  # less than the five minutes that the library keeps back
    made = ask("secret")
    assert [made.token(GRAPH), made.token(GRAPH)] == ["token-1", "token-2"]


def test_a_claims_challenge_is_sent_on(directory, monkeypatch):
    monkeypatch.setenv("FLOWANALYSIS_CLIENT_SECRET", "canary-secret")
    made = ask("secret")
    made.token(GRAPH)
    challenge = base64.b64encode(b'{"access_token": {"nbf": {"essential": true, "value": "1"}}}').decode()
    assert made.token(GRAPH, refresh=True, claims=challenge) == "token-2"
    claims = json.loads(directory.asked[-1]["claims"])["access_token"]
    assert (claims["nbf"]["value"], claims["xms_cc"]["values"]) == ("1", ["CP1"])


def test_a_certificate_signs_what_is_sent(directory, monkeypatch, tmp_path):
    (tmp_path / "c.pem").write_bytes(pem())
    monkeypatch.setenv("FLOWANALYSIS_CERTIFICATE", str(tmp_path / "c.pem"))
    assert ask("certificate").token(GRAPH) == "token-1"
    head = json.loads(base64.urlsafe_b64decode(directory.asked[0]["client_assertion"].split(b".")[0] + b"=="))
    assert (head["alg"], "x5t#S256" in head) == ("PS256", True)


def pem() -> bytes:
    """A key and the certificate it signed for itself, made for this run."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key, now = rsa.generate_private_key(public_exponent=65537, key_size=2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "collector.example")])
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form) + built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_federated_assertion_is_read_for_each_token(directory, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWANALYSIS_TOKEN_FILE", str(tmp_path / "t"))
    made = ask("federated")
    for text in ("one", "two"):
        (tmp_path / "t").write_text(text)
        made.token(GRAPH, refresh=True)
    assert [a["client_assertion"] for a in directory.asked] == ["one", "two"]


def test_a_person_types_one_code_for_all_audiences(directory):
    directory.person, said = True, []
    made = ask("device", say=said.append)
    assert [made.token(s) for s in (GRAPH, FLOW, GRAPH)] == ["token-1", "token-2", "token-1"]
    assert said == ["type ABC"]
    assert directory.asked[1]["refresh_token"] == "refresh"
    assert made.token(GRAPH, refresh=True) == "token-3"


def test_a_managed_identity_asks_its_machine_anew_when_its_token_is_refused(directory, monkeypatch):
    monkeypatch.setenv("FLOWANALYSIS_IDENTITY", "identity-1")
    made = ask("managed-identity")
    assert [made.token(GRAPH), made.token(GRAPH), made.token(GRAPH, refresh=True)] == ["token-1", "token-1", "token-2"]
    assert directory.asked[0]["resource"] == "https://graph.microsoft.com"
    assert directory.asked[0]["client_id"] == "identity-1"


def test_a_refusal_of_the_directory_is_told(directory, monkeypatch):
    monkeypatch.setenv("FLOWANALYSIS_CLIENT_SECRET", "canary-secret")
    directory.says = {"error": "invalid_client", "error_description": "AADSTS7000222: the secret has expired"}
    with pytest.raises(SignInError, match="AADSTS7000222") as caught:
        ask("secret").token(GRAPH)
    assert "canary" not in str(caught.value)


def test_a_device_code_that_is_not_given_is_told(directory, monkeypatch):
    monkeypatch.setattr(directory, "request", lambda session, method, url, **_: directory._said(
        {"error": "invalid_grant", "error_description": "AADSTS53003: blocked"}
        if url.endswith("devicecode") else json.loads(Directory().request(session, method, url).text)))  # fmt: skip
    with pytest.raises(SignInError, match="AADSTS53003"):
        ask("device").token(GRAPH)


def test_a_cache_in_plain_text_is_for_its_owner_only_and_kept_for_the_next_run(directory, monkeypatch, tmp_path):
    pytest.importorskip("msal_extensions")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FLOWANALYSIS_CACHE", "plaintext")
    directory.person = True
    assert ask("device", say=lambda text: None).token(GRAPH) == "token-1"
    assert ask("device", say=pytest.fail).token(GRAPH) == "token-1"
    [file] = [p for p in (tmp_path / "flowanalysis").iterdir() if p.suffix == ".bin"]
    assert b"token-1" in file.read_bytes()
    assert oct(file.stat().st_mode & 0o077) == "0o0"


def test_a_cache_that_cannot_be_encrypted_here_is_refused_not_written_plainly(directory, monkeypatch, tmp_path):
    extensions = pytest.importorskip("msal_extensions")

    def cannot(path):
        raise RuntimeError("no keyring")

    monkeypatch.setattr(extensions, "build_encrypted_persistence", cannot)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FLOWANALYSIS_CACHE", "encrypted")
    with pytest.raises(SignInError, match="No encrypted token cache here"):
        ask("device")
    assert not list((tmp_path / "flowanalysis").iterdir())


def test_a_cache_without_its_extra_names_the_extra(directory, monkeypatch):
    monkeypatch.setenv("FLOWANALYSIS_CACHE", "encrypted")
    monkeypatch.setitem(__import__("sys").modules, "msal_extensions", None)
    with pytest.raises(SignInError, match=r"flowanalysis\[cache\]"):
        ask("device")


def test_without_being_named_nothing_is_written(directory, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    directory.person = True
    ask("device", say=lambda text: None).token(GRAPH)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnknownName):
        ask("devise")
