"""Secrets in definitions: found by name and by form, removed at once.

Flows carry secrets where scanners of source code do not look: signed addresses, headers, form bodies, variables
set by name and value, JSON inside text. And they carry expressions that look like secrets and are none. What is
found leaves as kind, place, length and a keyed fingerprint - never as a value or a part of one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets as random
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from flowanalysis import reference
from flowanalysis.definitions.likeness import (
    LABELS,
    MEDIUM,
    NONE,
    SKIP,
    STRENGTHS,
    STRONG,
    TELLING,
    WRAPPER,
    counts,
    is_secret,
    placeholder,
    strength_of,
)

__all__ = ["REMOVED", "Secret", "any_in", "redact", "redact_text"]

REMOVED = "[secret removed]"
_KEY = random.token_bytes(32)  # of this run: equal values show as equal, and nobody can try values later
SHORT = 5  # characters of a text or name that can hold neither a name with its value, nor a token, nor an address
PAIR = 9  # characters of a text that cannot hold a name and its value
LONGEST = 200_000  # characters of one text that are searched; what is longer is cut off, so that nothing unseen stays

_RUNTIME = re.compile(
    r"\b(?:parameters|variables|body|outputs|trigger\w*|items?|actions?|workflow|result|utcnow|guid|rand|formdatavalue\w*"
    r"|listcallbackurl|appsetting|iterationindexes|ticks|decodebase64)\s*\(",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_OPEN = re.compile(r"[@{\[(<]|[$#%]\{|\$\(|%\w+%$")  # the value is filled in later
_BETWEEN = re.compile(r"'\s*,\s*'")
_IN_TEXT = re.compile(
    r"""(?<![A-Za-z0-9])(?P<name>[A-Za-z][A-Za-z0-9]{0,30}(?:[-_ ][A-Za-z0-9]{1,30}){0,3})"""
    r"""(?P<between>["'\\]{0,4}\s{0,3}(?:[:=]|%3[aAdD])\s{0,3}(?P<quote>["'\\]{0,4}))(?P<value>[^"'\s&;,<>}\\]{4,400})"""
)
_SCHEME = re.compile(r"^(?:bearer|basic|token|apikey|negotiate|sharedkey(?:lite)?|key)\s+", re.IGNORECASE)
# A name without any of these is neither strong nor weak enough to count inside a text
_LIKELY = re.compile(r"pass|pwd|secret|key|token|credential|cookie|author|connectionstring|signature")
_BEFORE, _AFTER = 60, 480  # characters around such a word that can belong to a name and its value


class Secret(NamedTuple):
    """A secret that was removed: what, where in the definition, how long, and equal to which others."""

    kind: str
    path: tuple[str, ...]
    length: int
    fingerprint: str


class _Hit(NamedTuple):
    kind: str
    path: tuple[str, ...]
    start: int
    end: int
    value: str


class _Pattern(NamedTuple):
    kind: str
    hints: tuple[str, ...]
    regex: re.Pattern[str]


@cache
def _patterns() -> tuple[_Pattern, ...]:
    return tuple(
        _Pattern(p["kind"], tuple(p["hint"]), re.compile(p["regex"])) for p in reference.toml("secrets")["pattern"]
    )


class _Hints:
    """All hints at once: which may occur in a text, by the triples of characters that they are made of.

    Some seventy searches, one after the other, cost more than all other work on a definition. Numbers of the triples
    that a text shares with the hints answer for nearly all of them; the few that remain are searched for.
    """

    MOST = 255  # numbers of triples; when there are more, some share a number, which only costs a search

    def __init__(self, patterns: tuple[_Pattern, ...]) -> None:
        pairs = [(hint, pattern) for pattern in patterns for hint in pattern.hints]
        triples = {h: set(self._triples(h.encode()).tolist()) for h, _ in pairs}
        number = {t: at % self.MOST + 1 for at, t in enumerate(sorted(set().union(*triples.values())))}
        self._numbers = np.zeros(2**16, np.uint8)
        self._numbers[list(number)] = list(number.values())
        self._by_last: dict[int, list[tuple[str, _Pattern, frozenset[int]]]] = {}
        for hint, pattern in pairs:
            last = number[self._triples(hint.encode()).tolist()[-1]] if triples[hint] else 0
            told = (hint, pattern, frozenset(number[t] for t in triples[hint]))
            self._by_last.setdefault(last, []).append(told)  # the end of a hint says more than its beginning

    def _triples(self, data: bytes) -> np.ndarray:
        codes = np.frombuffer(data, np.uint8).astype(np.uint16)
        return codes[:-2] * np.uint16(961) + codes[1:-1] * np.uint16(31) + codes[2:]

    def within(self, folded: str) -> list[_Pattern]:
        """Patterns of which a hint occurs in a text in lower case, each once."""
        triples = self._triples(folded.encode("utf-8", "surrogatepass"))
        held = {0, *self._numbers.take(triples).tobytes().translate(None, b"\0")}
        likely = [told for last in held & self._by_last.keys() for told in self._by_last[last]]
        return list({id(p): p for h, p, numbers in likely if numbers <= held and h in folded}.values())


@cache
def _hints() -> _Hints:
    return _Hints(_patterns())


def redact(tree: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Secret]]:
    """The tree without its secrets, and what was removed; a tree without any comes back as it is.

    >>> clean, found = redact({"inputs": {"client_secret": "Qq8vR2mLx0TzP4"}})
    >>> clean["inputs"], found[0].kind, found[0].length
    ({'client_secret': '[secret removed]'}, 'client_secret', 14)
    """
    return examine(tree)[:2]


def examine(tree: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Secret], str]:
    """As `redact`; and the texts of the tree as it came, each once, for other searches. They may hold the secrets."""
    text, harmless = _looked(tree)
    if harmless:
        return tree, [], text
    hits = list(_find(tree))
    by_path: dict[tuple[str, ...], list[_Hit]] = {}
    for hit in hits:
        by_path.setdefault(hit.path, []).append(hit)
    found = []
    for path, here in by_path.items():
        shown = tuple(redact_text(p) for p in path)
        found += [Secret(h.kind, shown, len(h.value), _fingerprint(h.value)) for h in _apart(here)]
    return _rebuilt(tree, (), by_path), found, text


def redact_text(text: str) -> str:
    """Text without what gives itself away as a secret, by its form or by a name beside it.

    >>> redact_text("https://fabrikam.example/run?sv=1.0&sig=Zk3vQ0pXy7Lr2Tn8Wm5Jd1")
    'https://fabrikam.example/run?sv=1.0&sig=[secret removed]'
    """
    hits = [*_in_text((), text, _occurring(text[:LONGEST])), *_named_in_text((None, text, "", NONE))]
    return _cut(text, hits)


def any_in(text: str) -> bool:
    """True when something in the text gives itself away as a secret."""
    return bool(_occurring(text)) or any(True for _ in _pairs(text))


def _fingerprint(value: str) -> str:
    return hmac.new(_KEY, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]


# A text in the tree: its place (a linked list, made a path only for a hit), the text, the name that counts, and
# how much that name says.
_Text = tuple[Any, str, str, int]


def _texts(tree: object) -> list[_Text]:
    """All texts of a tree, with their places."""
    stack: list[tuple[Any, object, str, int]] = [(None, tree, "", NONE)]
    found: list[_Text] = []
    while stack:
        path, node, name, strength = stack.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                own, label = STRENGTHS[key], key
                if own == WRAPPER:
                    label, own = _label(node, key, name, strength)
                if own != SKIP:
                    stack.append(((path, key), value, label, own))
                if len(key) > SHORT:
                    found.append((((path, key), "(name)"), key, "", NONE))
        elif isinstance(node, list):
            stack += [((path, str(at)), value, name, strength) for at, value in enumerate(node)]
        elif isinstance(node, str):
            found.append((path, node, name, strength))
        elif strength == STRONG and isinstance(node, (int, float)) and not isinstance(node, bool):
            found.append((path, str(node), name, strength))
    return found


def _label(node: Mapping[str, Any], key: str, outer: str, strength: int) -> tuple[str, int]:
    """The name for a member called value: its neighbour called name, else what is around."""
    for other in node:
        if not LABELS[other] or other == key or not isinstance(label := node[other], str):
            continue
        if other != "type":
            own = STRENGTHS[label]
            if own in TELLING:
                return label, own
        elif label.lower().startswith("secure"):
            return "secure parameter", STRONG
    return outer, strength if strength in TELLING else NONE


def _quick(tree: Mapping[str, Any]) -> tuple[set[str], list[_Text]]:
    """The texts of a tree, names of members included, without their places: those with a name that counts apart.

    Most definitions hold no secret; for them this is all the work there is.
    """
    stack: list[tuple[Any, str, int]] = [(tree, "", NONE)]
    keys: set[str] = set(tree)
    plain: set[str] = set()
    named: list[_Text] = []
    strengths, push, add = STRENGTHS, stack.append, plain.add
    while stack:
        node, name, strength = stack.pop()
        if type(node) is dict:
            for key, value in node.items():
                own, label = strengths[key], key
                if own >= WRAPPER:
                    if own == SKIP:
                        continue
                    label, own = _label(node, key, name, strength)
                kind = type(value)
                if kind is str:
                    if own:
                        named.append((None, value, label, own))
                    elif len(value) > SHORT:
                        add(value)
                elif kind is dict:
                    keys.update(value)
                    push((value, label, own))
                elif kind is list or own == STRONG:
                    push((value, label, own))
        elif type(node) is list:
            keys.update(*[v for v in node if type(v) is dict])
            stack += [(value, name, strength) for value in node]
        elif type(node) is str:
            named.append((None, node, name, strength))
        elif strength == STRONG and type(node) in (int, float):
            named.append((None, str(node), name, strength))
    return plain.union([k for k in keys if len(k) > SHORT]), named


def _looked(tree: Mapping[str, Any]) -> tuple[str, bool]:
    """The texts of a tree, and True when a quick look finds no secret in them."""
    texts, named = _quick(tree)
    texts.update([item[1] for item in named])
    text = "\n".join(texts)
    long = len(text) > LONGEST and any(len(t) > LONGEST for t in texts)  # it will be cut off
    if long or any(item[3] and _by_name(item) for item in named) or _occurring(text):
        return text, False
    pairs = [t for t in texts if len(t) > PAIR and ("=" in t or ":" in t or "%3" in t)]
    return text, not any(True for pair in pairs for _ in _named_in_text((None, pair, "", NONE)))


def _find(tree: Mapping[str, Any]) -> Iterator[_Hit]:
    """Secrets with their places."""
    texts = _texts(tree)
    occurring = _occurring("\n".join([t[1] for t in texts]))
    for item in texts:
        path, text, _, strength = item
        if strength and (hit := _by_name(item)):
            yield hit
        else:
            yield from _in_text(_path(path), text, occurring)
            yield from _named_in_text(item)


def _occurring(text: str) -> list[_Pattern]:
    """Forms that occur in a text: two steps, since looking for a plain text is far quicker."""
    return [p for p in _hints().within(text.lower()) if p.regex.search(text)]


def _path(linked: Any) -> tuple[str, ...]:
    parts = []
    while linked:
        linked, key = linked
        parts.append(key)
    return tuple(reversed(parts))


def _in_text(path: tuple[str, ...], text: str, patterns: list[_Pattern]) -> Iterator[_Hit]:
    for pattern in patterns:
        for match in pattern.regex.finditer(text[:LONGEST]):
            value = match["secret"]
            if not placeholder(value):
                yield _Hit(pattern.kind, path, *match.span("secret"), value)


def _by_name(item: _Text) -> _Hit | None:
    path, whole, name, strength = item
    text = whole.strip()
    if "@{" in text or (text.startswith("@") and not text.startswith("@@")):
        return _in_expression(item, text)
    scheme = _SCHEME.match(text)
    value = text[scheme.end() :] if scheme else text
    if counts(value, name, strength):
        return _Hit(_kind(name), _path(path), 0, len(whole), value)
    return None


def _kind(name: str) -> str:
    """The name as a kind; long names and those that hold a secret themselves are not repeated."""
    plain = redact_text(name.partition(" (")[0])
    return plain if plain.isprintable() and len(plain) <= 40 else "named secret"


def _in_expression(item: _Text, text: str) -> _Hit | None:
    """An expression counts under a strong name when it only puts literals together."""
    path, whole, name, strength = item
    if strength != STRONG or _RUNTIME.search(text):
        return None
    literals = [m[1] for m in _QUOTED.finditer(text) if is_secret(_SCHEME.sub("", m[1]), name)]
    return _Hit(_kind(name), _path(path), 0, len(whole), literals[0]) if literals else None


def _named_in_text(item: _Text) -> Iterator[_Hit]:
    """``client_secret=…`` in a form body, ``"password": "…"`` in JSON inside text, connection strings."""
    path, text = item[0], item[1][:LONGEST]
    hits = [_Hit(_kind(name), _path(path), start, start + len(value), value) for name, value, start in _pairs(text)]
    if not hits and text.startswith("@") and _BETWEEN.search(text):
        # concat('client_secret=', '…'): name and value stand apart; then the whole expression goes
        joined = _pairs(_BETWEEN.sub("", text))
        hits = [_Hit(_kind(name), _path(path), 0, len(item[1]), value) for name, value, _ in joined]
    yield from hits


def _pairs(text: str) -> Iterator[tuple[str, str, int]]:
    """Names with secret values inside a text, and where the value begins."""
    for start, end in _regions(text):
        part, at = text[start:end], 0
        while match := _IN_TEXT.search(part, at):
            value = _told(match)
            if value:
                yield match["name"], value, start + match.start("value")
            # what is no secret may have swallowed the name of one
            at = match.end() if value else match.start("value")


def _regions(text: str) -> Iterator[tuple[int, int]]:
    """Stretches of a text around likely words; each place is in one of them, however close the words stand."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters become two, and all places after them would be wrong
        lower = "".join([c.lower() if len(c.lower()) == 1 else c for c in text])
    start = end = 0
    for word in _LIKELY.finditer(lower):
        if word.start() - _BEFORE > end:
            yield start, end
            start = word.start() - _BEFORE
        end = word.end() + _AFTER
    yield start, end


def _told(match: re.Match[str]) -> str:
    """The value in a match of a name and a value, if it is a secret."""
    strength = strength_of(match["name"])
    value = match["value"].rstrip(").]")
    if strength not in TELLING or not value or _OPEN.match(value) or "@{" in value or "(" in value:
        return ""
    if ":" in match["between"] and not match["quote"]:
        strength = min(strength, MEDIUM)  # prose such as "password: ask your manager"
    return value if counts(value, match["name"], strength) else ""


def _apart(hits: list[_Hit]) -> list[_Hit]:
    """Hits of one text that do not overlap, wider ones first."""
    kept: list[_Hit] = []
    for hit in sorted(hits, key=lambda h: h.start - h.end):
        if all(hit.end <= k.start or hit.start >= k.end for k in kept):
            kept.append(hit)
    return kept


def _cut(text: str, hits: list[_Hit]) -> str:
    for hit in sorted(_apart(hits), key=lambda h: -h.start):
        text = text[: hit.start] + REMOVED + text[hit.end :]
    return text[:LONGEST]


def _rebuilt(node: object, path: tuple[str, ...], hits: Mapping[tuple[str, ...], list[_Hit]]) -> Any:
    if isinstance(node, dict):
        told = any_in("\n".join(node))
        return {redact_text(k) if told else k[:LONGEST]: _rebuilt(v, (*path, k), hits) for k, v in node.items()}
    if isinstance(node, list):
        return [_rebuilt(v, (*path, str(at)), hits) for at, v in enumerate(node)]
    if path not in hits:
        return node[:LONGEST] if isinstance(node, str) else node
    return _cut(node, hits[path]) if isinstance(node, str) else REMOVED
