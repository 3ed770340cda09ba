"""Names behind keyed tokens, so that a report can go to readers who need not know who is who.

One key gives one token for a name wherever and whenever it stands: in every table, in every month. Without the key
nobody can go from a token to a name, nor try names out. Identifiers stay, so that the tenant's own administrators find
what a finding is about; counts, rights, times and states stay, so that every analysis gives the same answer.

What a policy reads out of names is read before they go: see ``name_signals``, ``name_marks`` and ``name_weight`` in the
schema. Patterns on purposes and boundaries, and names that a policy pins, fit no token: give ids there.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path

import pandas as pd

from flowanalysis import reference, schema
from flowanalysis.analysis.identities import by_name, matches, told
from flowanalysis.analysis.sensitivity import sensitivity
from flowanalysis.errors import RefusedInput
from flowanalysis.policy import Policy, load_policy
from flowanalysis.schema import NUMBER, TEXT
from flowanalysis.tenant import Tenant

__all__ = ["KEY", "Pseudonyms", "fingerprint", "personal", "pseudonym_key", "pseudonymise"]

KEY = "FLOWANALYSIS_PSEUDONYM_KEY"
SHORTEST = 16  # characters of a key; shorter ones can be tried out
GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ID = re.compile(rf"(?:(?:default-|legacy-|shared(?:-[a-z0-9]+)+-)?{GUID}|[0-9a-f]{{16,64}}|\([a-z ]+\)|\d*|/)", re.I)
CUSTOM = re.compile(r"-5f[0-9a-f]{8,}")  # how the ids of connectors made in the tenant end
ADDRESS = re.compile(r"[^\s@/|:;'\"<>()]+@[^\s@/|:;'\"<>()]+\.[^\s@/|:;'\"<>()]+")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|https?://\S+")
RIGHT = re.compile(r"\s*(?:([a-z_]+)=)?(.*?)(?::(read|write|owner|full))?\s*", re.S)
ORDINARY = re.compile(r"[a-z]+|[\d.,]+")


def pseudonym_key(path: str | Path | None = None) -> bytes:
    """The key: from the environment variable ``FLOWANALYSIS_PSEUDONYM_KEY``, else from a file made on demand.

    Parameters
    ----------
    path : path, optional
        File of the key. Default: ``flowanalysis/pseudonym.key`` among the user's settings.

    Raises
    ------
    RefusedInput
        When the key is too short, or its file can be read by others.
    """
    text = os.environ.get(KEY, "")
    where = KEY
    if not text:
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        file = Path(path) if path else settings / "flowanalysis" / "pseudonym.key"
        where, text = str(file), _of_file(file)
    if len(text) < SHORTEST:
        raise RefusedInput(f"a key of pseudonyms needs at least {SHORTEST} characters", where=where)
    return text.encode()


def _of_file(file: Path) -> str:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        if os.name != "nt" and file.stat().st_mode & 0o077:
            raise RefusedInput("others can read the key of pseudonyms", where=str(file), remedy="chmod 600") from None
        return file.read_text(encoding="utf-8").strip()
    text = secrets.token_hex(32)
    with os.fdopen(handle, "w", encoding="utf-8") as made:
        made.write(text + "\n")
    return text


def fingerprint(key: bytes) -> str:
    """Eight digits that tell two keys apart and nothing more.

    >>> fingerprint(b"a key of the doctest") == fingerprint(b"another one of it")
    False
    """
    return hmac.digest(key, b"which key", hashlib.sha256).hex()[:8]


def personal(table: str) -> dict[str, str]:
    """Column to kind for the text columns of a table, as ``reference/personal.toml`` has them.

    >>> personal("memberships")["member_id"]
    'id'
    """
    listed: Mapping[str, str] = reference.toml("personal")["tables"][table]
    return {column: kind for kind, columns in listed.items() for column in columns.split()}


def pseudonymise(tenant: Tenant, key: bytes, policy: Policy | None = None) -> Tenant:
    """The tenant with names, addresses and free text replaced by tokens.

    Parameters
    ----------
    tenant : Tenant
        Not changed.
    key : bytes
        See `pseudonym_key`.
    policy : Policy, optional
        Its patterns are tried on the names before they go.

    Examples
    --------
    >>> one = Tenant({"identities": schema.frame("identities", [{"identity_id": "0" * 32, "upn": "ada@x.example"}])})
    >>> pseudonymise(one, b"a key of the doctest").identities["upn"].item().endswith(".example")
    True
    """
    told_before = _marked(tenant, policy or load_policy())
    tokens = Pseudonyms(key, told_before)
    frames = {name: _replaced(told_before[name], name, tokens) for name in schema.TABLES if len(told_before[name])}
    return Tenant(frames, collected=tenant.collected, as_of=tenant.as_of)


def _replaced(frame: pd.DataFrame, table: str, tokens: Pseudonyms) -> pd.DataFrame:
    """One table with every personal column replaced."""
    changed = {}
    for column, kind in personal(table).items():
        if kind != "keep":
            values = frame[column].dropna().unique()
            words = dict(zip(values, map(tokens.of(kind), values), strict=True))
            changed[column] = frame[column].map(words).astype(TEXT)
    return frame.assign(**changed)


def _marked(tenant: Tenant, policy: Policy) -> Tenant:
    """The tenant with what a policy reads out of names written down beside them."""
    flows, people = tenant.flows, tenant.identities
    low = flows["display_name"].fillna(flows["flow_id"]).str.lower()
    patterns = {
        "named": policy.business_flows["names"],
        "excluded": policy.business_flows["not_names"],
        "critical": policy.severity["critical_names"],
    }
    hits = [told(flows["name_marks"], name, matches(low, listed)) for name, listed in patterns.items()]
    marks = [" ".join(n for n, hit in zip(patterns, row, strict=True) if hit) for row in zip(*hits, strict=True)]
    frames = {name: tenant[name] for name in schema.TABLES}
    frames["flows"] = flows.assign(name_marks=pd.array(marks, dtype=TEXT))
    frames["identities"] = people.assign(name_signals=by_name(people, policy))
    frames["resources"] = _weighed(tenant, policy)
    return Tenant(frames, collected=tenant.collected, as_of=tenant.as_of)


def _weighed(tenant: Tenant, policy: Policy) -> pd.DataFrame:
    """Resources with the weight that the policy gives them for their names; heavy ones only needed are added."""
    listed, needs = tenant.resources, tenant.needs
    plain = tenant.replace(resources=listed.assign(sensitivity=pd.array([pd.NA] * len(listed), dtype=NUMBER)))
    weights = sensitivity(plain, policy).astype(NUMBER)
    listed = listed.assign(name_weight=listed["resource_id"].map(weights).astype(NUMBER))
    heavy = weights[(weights != float(policy.sensitivity["default"])) & ~weights.index.isin(listed["resource_id"])]
    kinds = needs.drop_duplicates("resource").set_index("resource")["resource_kind"]
    rows = [{"resource_id": i, "kind": kinds.get(i), "name_weight": w} for i, w in heavy.items()]
    return pd.concat([listed, schema.frame("resources", rows)], ignore_index=True) if rows else listed


class Pseudonyms:
    """Tokens under one key, and what must be known of a tenant to leave public words alone.

    Parameters
    ----------
    key : bytes
        See `pseudonym_key`.
    tenant : Tenant
        Says which connectors are its own, and the names of its people.
    """

    def __init__(self, key: bytes, tenant: Tenant) -> None:
        self.key, self.tenant = key, tenant

    def of(self, kind: str) -> Callable[[str], str]:
        """The replacement for a kind of column."""
        return {
            "id": self.id,
            "name": self.word,
            "resource": lambda value: "|".join(map(self.id, value.split("|"))),
            "rights": lambda value: ";".join(map(self._right, value.split(";"))),
            "places": lambda value: ";".join(self.id(place.strip()) for place in value.split(";")),
            "step": lambda value: "/".join(map(self.id, value.split("/"))),
            "file": lambda value: self.word(value) + (Path(value).suffix if len(Path(value).suffix) < 7 else ""),
            "role": lambda value: value if value in self._roles else self.word(value),
            "alias": lambda value: value if re.sub(r"_\d+$", "", value) in self._known else self.word(value),
            "connector": self._connector,
            "public": lambda value: value if value in self._public else self.word(value),
            "operation": lambda value: value if value in self._operations else self.word(value),
            "sentence": lambda value: " ".join(map(self._sentence_word, value.split(" "))),
            "message": self._message,
        }[kind]

    def word(self, value: str) -> str:
        """The token for a whole value, whatever its case; an address stays one, a guest's stays a guest's."""
        plain = unicodedata.normalize("NFC", value).strip().casefold()
        if not plain:
            return ""
        token = hmac.digest(self.key, plain.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:16]
        if not ADDRESS.fullmatch(plain):
            return f"name-{token}"
        place = hmac.digest(self.key, plain.rpartition("@")[2].encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"name-{token}{'#ext#' if '#ext#' in plain else ''}@{place.hex()[:8]}.example"

    def id(self, value: str) -> str:
        """An identifier as it is; anything else as a word."""
        return value if ID.fullmatch(value) and "-5f" not in value[:-36] else self.word(value)

    def _right(self, text: str) -> str:
        found = RIGHT.fullmatch(text)
        if found is None or not text.strip():
            return self.word(text)
        kind, resource, level = found.groups()
        return (f"{kind}=" if kind else "") + self.of("resource")(resource) + (f":{level}" if level else "")

    def _connector(self, value: str) -> str:
        own = value in self._own or CUSTOM.search(value)
        return f"shared_own-{self.word(value).removeprefix('name-')}" if own else value

    def _sentence_word(self, text: str) -> str:
        core = text.strip(".,;:()'\"")
        if not core or core in self._known or (ORDINARY.fullmatch(core) and core not in self._people):
            return text
        return text.replace(core, self.word(core))

    def _message(self, text: str) -> str:
        for pattern in (ADDRESS, QUOTED):
            text = pattern.sub(lambda found: self.word(found.group()), text)
        return re.sub(
            r"\w+", lambda w: self.word(w.group()) if w.group().casefold() in self._people else w.group(), text
        )

    @cached_property
    def _own(self) -> frozenset[str]:
        connectors = self.tenant.connectors
        return frozenset(connectors.loc[connectors["is_custom"].fillna(False).astype(bool), "connector_id"])

    @cached_property
    def _public(self) -> frozenset[str]:
        connectors = self.tenant.connectors
        named = reference.table("connectors")["connector"]
        sure = (~connectors["is_custom"].fillna(True).astype(bool)) | connectors["connector_id"].isin(named)
        rows = connectors[sure & ~connectors["connector_id"].isin(self._own)]
        return frozenset(_texts(rows[c] for c in ("display_name", "publisher", "host")))

    @cached_property
    def _roles(self) -> frozenset[str]:
        return frozenset([*reference.table("entra_roles")["role_name"], *reference.toml("personal")["roles"]])

    @cached_property
    def _operations(self) -> frozenset[str]:
        return frozenset(reference.table("operations")["operation"])

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset([*self._operations, *reference.table("connectors")["connector"]])

    @cached_property
    def _people(self) -> frozenset[str]:
        people = self.tenant.identities
        return frozenset(v.casefold() for v in _texts(people[c] for c in ("given_name", "surname")) if len(v) > 2)


def _texts(columns: Iterable[pd.Series]) -> set[str]:
    return {value for column in columns for value in column.dropna().unique()}
