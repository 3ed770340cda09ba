"""What a name and a value say about being a secret.

A password hides under ``client_secret``, ``Kennwort`` or ``Password of the robot``; under ``secretName``,
``skip token`` or ``@{parameters(...)}`` there is none. The words are data, in ``reference/secrets.toml``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

from flowanalysis import reference

__all__ = [
    "LABELS",
    "NONE",
    "SKIP",
    "STRENGTHS",
    "STRONG",
    "TELLING",
    "MEDIUM",
    "WRAPPER",
    "counts",
    "is_secret",
    "names",
    "placeholder",
    "strength_of",
]

NONE, WEAK, MEDIUM, STRONG, WRAPPER, SKIP = range(6)
TELLING = (WEAK, MEDIUM, STRONG)

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_GUID = re.compile(r"^\{?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?$")
_PATH = re.compile(r"/[a-z_-]{3,}/")
_NAME = re.compile(r"^[A-Za-z]+(?:[-_ .][A-Za-z]+)+$")


@cache
def names() -> Mapping[str, frozenset[str]]:
    """Words of each list in ``reference/secrets.toml``."""
    facts = reference.toml("secrets")
    return {k: frozenset(v) for k, v in facts["names"].items()} | {
        k: frozenset(v) for k, v in facts["placeholders"].items()
    }


class _Known(dict[str, int]):
    """What is said of a name, remembered: the same few hundred names stand in every definition."""

    def __init__(self, told: Callable[[str], int]) -> None:
        super().__init__()
        self._told = told

    def __missing__(self, name: str) -> int:
        if len(self) > 20_000:  # names are the tenant's; memory is ours
            self.clear()
        return self.setdefault(name, self._told(name))


def strength_of(name: str) -> int:
    """How much a name says that its value is a secret.

    >>> [strength_of(n) == STRONG for n in ("client_secret", "Ocp-Apim-Subscription-Key", "secretName")]
    [True, True, False]
    """
    folded = name.lower()
    known = names()
    if folded in known["skipped"]:
        return SKIP
    if folded in known["wrappers"]:
        return WRAPPER
    words = _words(name)
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in known["trailing"]):
        words.pop()
    if not words or words[-1] in known["about"]:
        return NONE
    tails = {" ".join(words[i:]) for i in range(len(words))} | {"".join(words)}
    if tails & known["strong"]:
        return STRONG
    runs = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(i + 4, len(words)) + 1)}
    if runs & known["strong"]:
        # the strong word may belong to something else: "Secret santa list", but also "Password of the robot"
        return MEDIUM
    return WEAK if words[-1] in known["weak"] else NONE


def _labels(name: str) -> int:
    """1 for the name of a member that names its neighbour, as in name and value; 0 for others."""
    return int(name == "type" or name.lower() in names()["neighbours"])


STRENGTHS = _Known(strength_of)
LABELS = _Known(_labels)


def _words(name: str) -> list[str]:
    """Words of a name, without what follows in brackets: environment variables repeat their schema name there."""
    plain = name.partition(" (")[0][:200]
    if not plain.isascii():
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode("ascii")
    return [w.lower() for w in _WORDS.findall(plain)]


def counts(value: str, name: str, strength: int) -> bool:
    """Whether a literal under a name of some strength is a secret."""
    if strength == STRONG:
        return is_secret(value, name)
    return _material(value) or (strength == MEDIUM and _chosen(value) and is_secret(value, name))


def is_secret(value: str, name: str) -> bool:
    """A literal under a strong name: anything but placeholders, references and names of secrets."""
    if len(value) < 4 or placeholder(value):
        return False
    lower = value.lower()
    if lower.startswith(("http://", "https://")) or _PATH.match(lower) or "@microsoft.keyvault" in lower:
        return False  # an address; what is secret in it gives itself away
    if " " in value.strip() and not any(c.isdigit() for c in value):
        return "word" in name.lower() or "phrase" in name.lower()  # words: a passphrase or a sentence
    return not (_NAME.match(value) and any(w in lower for w in ("secret", "password", "key", "token", "pwd")))


def placeholder(value: str) -> bool:
    """True for text that stands where a secret should be filled in.

    >>> placeholder("<your key>"), placeholder("YOUR_API_KEY"), placeholder("Qq8vR2mLx0TzP4")
    (True, True, False)
    """
    lower = value.lower().strip()
    known = names()
    if not any(c.isdigit() for c in lower) and (
        "".join(c for c in lower if c.isalpha()) in known["words"] or any(part in lower for part in known["soft"])
    ):
        return True
    if lower[:1] in "{<[%$#(" and lower[-1:] in "}>]%)#":
        return True
    return len(set(lower)) < 3 or any(part in lower for part in known["parts"])


def _material(value: str) -> bool:
    """Text that looks like key material: long, unbroken, mixed, and no id, address or word."""
    if len(value) < 16 or len(value) > 4_000 or placeholder(value) or _GUID.match(value):
        return False
    if any(c in value for c in " \t\n@()'\"<>|,") or "://" in value or value[0] in "/\\":
        return False
    kinds = [any(test(c) for c in value) for test in (str.islower, str.isupper, str.isdigit)]
    unbroken = len(value) >= 24 and value.isalnum() and sum(map(str.isdigit, value)) > 3
    return (unbroken or sum(kinds) == 3) and kinds[2] and len(set(value.lower())) >= 8


def _chosen(value: str) -> bool:
    """Text that looks like a password somebody chose: unbroken, with digits and at least three kinds of characters."""
    tests = (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())
    kinds = [any(test(c) for c in value) for test in tests]
    return len(value) >= 8 and kinds[2] and sum(kinds) >= 3 and not any(c.isspace() for c in value)
