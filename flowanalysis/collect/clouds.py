"""Which addresses make up a cloud, and which of them a token may be shown to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from flowanalysis import reference
from flowanalysis.errors import RefusedRequest, UnknownName

__all__ = ["Cloud", "Service", "cloud", "origin"]

PORTS = {"http": 80, "https": 443}
LOOPBACK = re.compile(r"127(\.\d{1,3}){3}|localhost|::1")
STRANGE = re.compile(r"[\x00-\x20\x7f\\]")  # characters that programs read differently inside an address


@dataclass(frozen=True)
class Service:
    """One origin and the audience of its tokens; `inner` are endings of hosts behind it that its links may name."""

    base: str
    scope: str
    inner: tuple[str, ...] = ()

    def homeward(self, url: str) -> str:
        """A link to a host behind the service as an address of the service itself; any other link as it is.

        Such a host knows no tokens of this audience, and gets none: it is not asked.

        >>> service = Service("https://api.flow.example", "", inner=(".api.flow.example",))
        >>> service.homeward("https://emea.api.flow.example:11777/flows?$skiptoken=1")
        'https://api.flow.example/flows?$skiptoken=1'
        """
        if not self.inner or STRANGE.search(url):
            return url
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        if parts.scheme != "https" or "@" in parts.netloc or not (parts.hostname or "").endswith(self.inner):
            return url
        return f"{self.base}{parts.path}" + (f"?{parts.query}" if parts.query else "")


@dataclass(frozen=True)
class Cloud:
    """A cloud: where to sign in, its services by name, where environments' databases live."""

    name: str
    title: str
    authority: str
    services: Mapping[str, Service]
    dataverse_suffixes: tuple[str, ...]

    def service(self, name: str) -> Service:
        """A service by name.

        Raises
        ------
        UnknownName
            When this cloud does not offer it (the inventory is absent from some).
        """
        if name not in self.services:
            raise UnknownName(f"service of the cloud {self.name!r}", name, self.services)
        return self.services[name]

    def dataverse(self, url: str) -> Service:
        """The service for the database of an environment, whose address came from the tenant.

        Raises
        ------
        RefusedRequest
            When the address is not one of this cloud's databases.
        """
        scheme, host, port = origin(url)
        if not any(host.endswith(s) if s.startswith(".") else host == s for s in self.dataverse_suffixes):
            raise RefusedRequest(
                f"{host} is not a Dataverse address of the cloud {self.name!r} "
                f"(expected {' or '.join(self.dataverse_suffixes)}). No token is sent there"
            )
        base = f"{scheme}://{host}" + ("" if port == PORTS[scheme] else f":{port}")
        return Service(base, f"{base}/.default")


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address, as a token is bound to them.

    Raises
    ------
    RefusedRequest
        When the address is not plain https (http on the own machine), or carries a user name.

    Examples
    --------
    >>> origin("https://Graph.Microsoft.com./v1.0/users")
    ('https', 'graph.microsoft.com', 443)
    """
    if STRANGE.search(url):
        raise RefusedRequest(
            "An address with blanks, backslashes or control characters was offered; it is not requested"
        )
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").rstrip("."), parts.port
    except ValueError as problem:
        raise RefusedRequest(f"An address that cannot be read was offered ({problem}); it is not requested") from None
    if "@" in parts.netloc:
        raise RefusedRequest(f"An address with a user name in front of {host} was offered; it is not requested")
    if not host or scheme not in PORTS or (scheme == "http" and not LOOPBACK.fullmatch(host)):
        raise RefusedRequest(f"Only https is requested, not {scheme or 'no scheme'}://{host}")
    return scheme, host, port or PORTS[scheme]


def cloud(name: str | Cloud) -> Cloud:
    """A cloud of ``reference/clouds.toml`` by name.

    >>> cloud("global").service("graph").base
    'https://graph.microsoft.com'
    """
    if isinstance(name, Cloud):
        return name
    known = reference.toml("clouds")
    if name not in known:
        raise UnknownName("cloud", name, known)
    row = known[name]
    services = {
        key: Service(value["base"], value["scope"], tuple(value.get("inner", ())))
        for key, value in row["services"].items()
    }
    return Cloud(name, row["title"], row["authority"], services, tuple(row["dataverse_suffixes"]))
