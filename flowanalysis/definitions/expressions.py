"""What a value inside a definition says before the flow runs.

Definitions mix literals, whole expressions (``@parameters('Site (x_Site)')``) and templates
(``https://@{...}/sites/hr``). Only what cannot change at run time is evaluated here: literals, parameters
with a value, variables that are set once to such a value, and a few pure functions around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

__all__ = ["ABSENT", "ENVIRONMENT_VARIABLE", "EXPRESSION", "KNOWN", "Scope", "Value", "is_expression"]

KNOWN, ENVIRONMENT_VARIABLE, EXPRESSION = "known", "environment_variable", "expression"
LONGEST = 4_000  # characters of an expression that is still looked at
DEEPEST = 12  # calls within calls
HOLE = "{}"  # stands for the part of a template that is only known at run time

_TEMPLATE = re.compile(r"@\{((?:[^{}']|'[^']*')*)\}")
_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([A-Za-z_$][\w$]*)|(-?\d+(?:\.\d+)?)|(\?\[|[()\[\],.?]))")


class Value(NamedTuple):
    """A value as far as the definition tells: `text` (with holes when the state is expression) and state."""

    text: str
    state: str


ABSENT = Value("", "absent")
UNKNOWN = Value(HOLE, EXPRESSION)


def is_expression(value: object) -> bool:
    """True for text that is evaluated at run time, in whole or in part.

    >>> is_expression("@body('Get')"), is_expression("jo@contoso.example"), is_expression("@@odata")
    (True, False, False)
    """
    if not isinstance(value, str) or "@" not in value:
        return False
    return "@{" in value or (value.startswith("@") and not value.startswith("@@"))


def join(values: list[Value]) -> Value:
    """Texts one after the other; the state is the least certain one."""
    return Value("".join([v.text for v in values]), least(values))


def least(values: list[Value]) -> str:
    """The least certain state among values."""
    state = KNOWN
    for value in values:
        if value.state == EXPRESSION:
            return EXPRESSION
        if value.state == ENVIRONMENT_VARIABLE:
            state = ENVIRONMENT_VARIABLE
    return state


_PURE: Mapping[str, Callable[[str], str]] = {
    "encodeuricomponent": lambda t: quote(t, safe=""),
    "uricomponent": lambda t: quote(t, safe=""),
    "decodeuricomponent": unquote,
    "uricomponenttostring": unquote,
    "tolower": str.lower,
    "toupper": str.upper,
    "trim": str.strip,
    "string": str,
}


class Scope:
    """The values of one definition that are fixed before it runs.

    Parameters
    ----------
    parameters : mapping
        ``definition.parameters``: environment variables carry ``metadata.schemaName``.
    given : mapping
        Environment variable values of the tenant by schema name, lower case; they win over defaults.
    constants : function
        Gives (kind, name, value) of variables and Compose actions that are set once; asked only when needed.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        *,
        given: Mapping[str, object] | None = None,
        constants: Callable[[], Iterator[tuple[str, str, object]]] | None = None,
    ) -> None:
        self._parameters = parameters
        self._given = given or {}
        self._find = constants
        self._constants: dict[tuple[str, str], object] | None = None
        self._seen: dict[str, Value] = {}

    def value(self, raw: object, *, depth: int = 0) -> Value:
        """What `raw` says; ``ABSENT`` for null and empty text."""
        if raw is None or raw == "":
            return ABSENT
        if isinstance(raw, str):
            if "@" not in raw:
                return Value(raw, KNOWN)
            if raw not in self._seen or depth:
                self._seen[raw] = self._text(raw, depth)
            return self._seen[raw]
        return Value(str(raw), KNOWN) if isinstance(raw, (int, float)) else UNKNOWN

    def _text(self, raw: str, depth: int) -> Value:
        if depth > DEEPEST or len(raw) > LONGEST:
            return UNKNOWN if is_expression(raw) else Value(raw, KNOWN)
        if raw.startswith("@@"):
            return Value(raw[1:], KNOWN)
        if raw.startswith("@") and not raw.startswith("@{"):
            return self._evaluate(raw[1:], depth)
        if "@{" not in raw:
            return Value(raw, KNOWN)
        parts, end = [], 0
        for match in _TEMPLATE.finditer(raw):
            parts += [Value(raw[end : match.start()], KNOWN), self._evaluate(match[1], depth)]
            end = match.end()
        rest = raw[end:]
        return join([*parts, UNKNOWN if "@{" in rest else Value(rest, KNOWN)])

    def _evaluate(self, expression: str, depth: int) -> Value:
        tokens, end = [], 0
        while end < len(expression):
            match = _TOKEN.match(expression, end)
            if not match:
                if expression[end:].strip():
                    return UNKNOWN
                break
            tokens.append(match)
            end = match.end()
        try:
            value, used = self._call(tokens, 0, depth)
        except IndexError:  # the expression ends in the middle of a call
            return UNKNOWN
        return value if used == len(tokens) else UNKNOWN

    def _call(self, tokens: list[re.Match[str]], at: int, depth: int) -> tuple[Value, int]:
        literal, name, number, _ = tokens[at].groups()
        if literal is not None:
            return Value(literal.replace("''", "'"), KNOWN), at + 1
        if number is not None:
            return Value(number, KNOWN), at + 1
        if name is None or depth > DEEPEST or tokens[at + 1][4] != "(":
            return UNKNOWN, at + 1
        arguments, at = [], at + 2
        while tokens[at][4] != ")":
            value, at = self._call(tokens, at, depth + 1)
            arguments.append(value)
            if tokens[at][4] == ",":
                at += 1
            elif tokens[at][4] != ")":
                return UNKNOWN, at
        keys, at = _accessors(tokens, at + 1)
        return self._apply(name.lower(), arguments, keys, depth), at

    def _apply(self, name: str, arguments: list[Value], keys: list[str], depth: int) -> Value:
        if name == "concat" and not keys:
            return join(arguments)
        if len(arguments) != 1 or arguments[0].state == EXPRESSION:
            return UNKNOWN
        text, state = arguments[0]
        if name in _PURE and not keys:
            return Value(_PURE[name](text), state)
        if name == "parameters":
            return self._parameter(text, keys, depth)
        if name in {"variables", "outputs", "body"}:
            return self._constant("variables" if name == "variables" else "outputs", text, keys, depth)
        return UNKNOWN

    def _parameter(self, name: str, keys: list[str], depth: int) -> Value:
        spec = self._parameters.get(name)
        if not isinstance(spec, dict):
            return UNKNOWN
        metadata = spec.get("metadata")
        schema_name = metadata.get("schemaName") if isinstance(metadata, dict) else None
        given = self._given.get(str(schema_name).lower()) if schema_name else None
        value = self._inside(spec.get("defaultValue") if given is None else given, keys, depth)
        return value._replace(state=ENVIRONMENT_VARIABLE) if schema_name and value.state == KNOWN else value

    def _constant(self, kind: str, name: str, keys: list[str], depth: int) -> Value:
        if self._constants is None:
            self._constants = {(k, n): v for k, n, v in self._find()} if self._find else {}
        raw = self._constants.get((kind, name.lower()))
        return self._inside(raw, keys, depth)

    def _inside(self, raw: object, keys: list[str], depth: int) -> Value:
        """The fixed value at `keys` inside `raw`, following one expression on the way."""
        for at, key in enumerate(keys):
            if isinstance(raw, str) and raw.startswith("@") and depth <= DEEPEST:
                return self._text(raw + "".join(f"['{k}']" for k in keys[at:]), depth + 1)
            raw = raw.get(key) if isinstance(raw, dict) else None
        value = self.value(raw, depth=depth + 1)
        return value if value.state in {KNOWN, ENVIRONMENT_VARIABLE} else UNKNOWN


def _accessors(tokens: list[re.Match[str]], at: int) -> tuple[list[str], int]:
    """Names in ``['a']?['b']`` after a call, and where they end."""
    keys = []
    while at + 2 < len(tokens) and tokens[at][4] in {"[", "?["} and tokens[at + 2][4] == "]":
        if tokens[at + 1][1] is None:
            break
        keys.append(tokens[at + 1][1])
        at += 3
    return keys, at
