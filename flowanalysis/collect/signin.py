"""Sign in by msal: one token for each audience, in memory unless asked for by name, never shown.

What a sign-in needs is read from the environment, so that no secret stands in a command line or a notebook:

=============================  =====================================================================================
FLOWANALYSIS_CLIENT_ID         application (client) id of the tenant's own registration; all ways but managed-identity
FLOWANALYSIS_CERTIFICATE       path of a PEM file with private key and certificate, or of a PFX file (certificate)
FLOWANALYSIS_CERTIFICATE_PASS  passphrase of that file, if it has one
FLOWANALYSIS_CLIENT_SECRET     the secret (secret)
FLOWANALYSIS_TOKEN_FILE        path of the file that holds the federated assertion, read anew each time (federated)
FLOWANALYSIS_IDENTITY          client id of a user-assigned managed identity; the machine's own when absent
FLOWANALYSIS_CACHE             ``encrypted`` or ``plaintext`` and the words are meant: where absent, memory only
=============================  =====================================================================================
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flowanalysis.collect.clouds import Cloud
from flowanalysis.collect.names import WAYS
from flowanalysis.collect.transport import scrub
from flowanalysis.errors import SignInError, UnknownName
from flowanalysis.text import plain

__all__ = ["SignIn", "sign_in", "writes"]

log = logging.getLogger("flowanalysis.collect")

WITH_PERSON = ("device", "interactive")
WRITING = re.compile(r"(?i)readwrite|\.write|\.manage|fullcontrol|full_access|\.create|\.delete|\.send")

Get = Callable[[str, bool, str | None], Mapping[str, Any]]


class SignIn:
    """Tokens by scope from one msal application.

    Parameters
    ----------
    get : function
        ``get(scope, refresh, claims)`` gives msal's answer.
    unattended : bool
        No person is signed in.
    """

    def __init__(self, get: Get, *, unattended: bool) -> None:
        self._get, self.unattended = get, unattended
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return "<sign-in>"

    def token(self, scope: str, *, refresh: bool = False, claims: str | None = None) -> str:
        """An access token; msal renews it in time, `refresh` asks for another than the one refused.

        Raises
        ------
        SignInError
            When none can be had, with the directory's own words.
        """
        decoded = _challenge(claims)
        with self._lock:
            answer = self._get(scope, refresh, decoded)
        token = answer.get("access_token")
        if not token:
            said = f"{answer.get('error', 'no token')}: {answer.get('error_description', '')}"
            raise SignInError(
                f"No token for {scope}. {plain(scrub(said.strip()))}. Sign in again with the same command"
            )
        self._warn(scope, token)
        return token

    def _warn(self, scope: str, token: str) -> None:
        """Say once when a token could do more than read."""
        if scope in self._warned:
            return
        self._warned.add(scope)
        extra = writes(token)
        if extra:
            log.warning(
                "The token for %s may also write (%s). Collecting only reads: a registration with less is safer",
                scope,
                ", ".join(plain(name) for name in extra[:8]),
            )


def writes(token: str) -> list[str]:
    """Permissions in a token that let its holder change something; empty when the token cannot be looked into.

    >>> body = base64.urlsafe_b64encode(b'{"scp": "User.Read.All Mail.Send", "roles": ["Sites.FullControl.All"]}')
    >>> writes(f"h.{body.decode()}.s")
    ['Mail.Send', 'Sites.FullControl.All']
    """
    try:
        middle = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        names = [*str(claims.get("scp", "")).split(), *map(str, claims.get("roles", []))]
    except (IndexError, ValueError, AttributeError, TypeError):
        return []
    return [name for name in names if WRITING.search(name)]


def _challenge(claims: str | None) -> str | None:
    """A server's claims challenge, decoded as msal wants it; None when it is not JSON."""
    if not claims:
        return None
    try:
        text = base64.b64decode(claims.replace("-", "+").replace("_", "/") + "=" * (-len(claims) % 4)).decode()
        json.loads(text)
    except ValueError:
        return None
    return text


def sign_in(way: str, *, tenant: str, cloud: Cloud, say: Callable[[str], None] | None = None) -> SignIn:
    """A sign-in by one of the `WAYS`.

    Raises
    ------
    UnknownName
        When the way does not exist.
    SignInError
        When the environment lacks what it needs.
    """
    if way not in WAYS:
        raise UnknownName("way to sign in", way, WAYS)
    authority = f"{cloud.authority}/{tenant}"
    if way in WITH_PERSON:
        return SignIn(_with_person(way, authority, say or _say), unattended=False)
    if way == "managed-identity":
        return SignIn(_managed(), unattended=True)
    return SignIn(_application(way, authority), unattended=True)


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr)  # noqa: T201 - the code must be shown while the call waits


def _need(name: str, what: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SignInError(f"The environment variable {name} is not set: it holds {what}. See `flowanalysis scopes`")
    return value


def _with_person(way: str, authority: str, say: Callable[[str], None]) -> Get:
    import msal  # late: half a second that only a sign-in needs

    client = _need("FLOWANALYSIS_CLIENT_ID", "the application id of your registration")
    app = msal.PublicClientApplication(client, authority=authority, client_capabilities=["CP1"], token_cache=_cache())

    def get(scope: str, refresh: bool, claims: str | None) -> Mapping[str, Any]:
        accounts = app.get_accounts()
        if accounts:
            answer = app.acquire_token_silent_with_error(
                [scope], account=accounts[0], force_refresh=refresh, claims_challenge=claims
            )
            if answer and "access_token" in answer:
                return answer
        if way == "interactive":
            return app.acquire_token_interactive([scope], claims_challenge=claims)
        flow = app.initiate_device_flow(scopes=[scope], claims_challenge=claims)
        if "user_code" not in flow:
            return flow
        say(flow["message"])
        return app.acquire_token_by_device_flow(flow)

    return get


def _application(way: str, authority: str) -> Get:
    import msal  # late: half a second that only a sign-in needs

    client = _need("FLOWANALYSIS_CLIENT_ID", "the application id of your registration")
    app = msal.ConfidentialClientApplication(
        client,
        authority=authority,
        client_credential=_credential(way),
        client_capabilities=["CP1"],
        token_cache=_cache(),
    )

    def get(scope: str, refresh: bool, claims: str | None) -> Mapping[str, Any]:
        if refresh and claims is None:
            app.remove_tokens_for_client()  # the cached one was refused
        return app.acquire_token_for_client(scopes=[scope], claims_challenge=claims)

    return get


def _credential(way: str) -> Any:
    if way == "secret":
        return _need("FLOWANALYSIS_CLIENT_SECRET", "the client secret")
    if way == "federated":
        path = Path(_need("FLOWANALYSIS_TOKEN_FILE", "the path of the federated assertion"))
        return {"client_assertion": lambda: path.read_text(encoding="utf-8").strip()}
    path = Path(_need("FLOWANALYSIS_CERTIFICATE", "the path of a PEM or PFX file"))
    phrase = os.environ.get("FLOWANALYSIS_CERTIFICATE_PASS") or None
    if not path.is_file():
        raise SignInError(f"There is no certificate at {path} (FLOWANALYSIS_CERTIFICATE)")
    if path.suffix.lower() in (".pfx", ".p12"):
        return {"private_key_pfx_path": str(path), "passphrase": phrase, "public_certificate": True}
    text = path.read_text(encoding="utf-8")
    return {"private_key": text, "public_certificate": text, "passphrase": phrase}


def _managed() -> Get:
    import msal  # late: half a second that only a sign-in needs
    import requests

    given = os.environ.get("FLOWANALYSIS_IDENTITY")
    identity = msal.UserAssignedManagedIdentity(client_id=given) if given else msal.SystemAssignedManagedIdentity()

    def client() -> Any:
        return msal.ManagedIdentityClient(identity, http_client=requests.Session(), client_capabilities=["CP1"])

    apps = [client()]

    def get(scope: str, refresh: bool, claims: str | None) -> Mapping[str, Any]:
        if refresh and claims is None:
            apps[:] = [client()]  # the cached token was refused, and this kind of client forgets only as a whole
        resource = scope.removesuffix("/.default")
        return apps[0].acquire_token_for_client(resource=resource, claims_challenge=claims)

    return get


def _cache() -> Any:
    """Memory unless named otherwise; a file only encrypted, or in plain text by its full name."""
    kind = os.environ.get("FLOWANALYSIS_CACHE", "memory")
    if kind == "memory":
        return None
    if kind not in ("encrypted", "plaintext"):
        raise UnknownName("token cache", kind, ("memory", "encrypted", "plaintext"))
    try:
        import msal_extensions as extensions  # an extra of the package
    except ImportError:
        raise SignInError("A token cache on disk needs the extra: pip install 'flowanalysis[cache]'") from None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowanalysis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        build = extensions.build_encrypted_persistence if kind == "encrypted" else extensions.FilePersistence
        return extensions.PersistedTokenCache(build(str(folder / "tokens.bin")))
    except Exception as problem:  # the library raises what its platform raises
        raise SignInError(
            f"No {kind} token cache here ({type(problem).__name__}). Unset FLOWANALYSIS_CACHE to keep tokens in memory"
        ) from None
