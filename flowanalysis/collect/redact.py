"""Take out of an answer what must not reach the disk: signed links, parameters of connections, literal secrets.

What is taken out is replaced by a word, so that a reader sees that something was there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson

from flowanalysis import reference
from flowanalysis.errors import HonestStop

__all__ = ["REDACTED", "Redactor", "redact"]

REDACTED: str = reference.toml("redaction")["word"]
VARIABLE = reference.toml("redaction")["variable"]
SIGNED = re.compile(r"(?i)([?&](?:sig|signature|code|x-amz-signature)=)[^&\s\"'#]+")
KEYS = ("connectionParameters", "connectionParametersSet")
DEPTH = 200

Redactor = Callable[[Mapping[str, Any]], Any]


@cache
def _rules() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    rules = reference.toml("redaction")
    drop, secret, kept = (frozenset(w.lower() for w in rules[name]) for name in ("drop", "secret", "parameters"))
    return drop, secret, kept


def redact(page: dict[str, Any], kind: str, *, redactor: Redactor | None = None) -> tuple[dict[str, Any], int]:
    """A page without what must not be kept, and the number of definitions left out because they could not be cleaned.

    Parameters
    ----------
    page : dict
        As the server sent it; not changed.
    kind : str
        ``redact`` of the endpoint: empty (selected columns, nothing to take out), links, flow, workflow, variable,
        connection or connector.
    redactor : function, optional
        Takes a definition, gives it back without literal secrets.

    Examples
    --------
    >>> redact({"value": [{"properties": {"flowTriggerUri": "https://x.example/?sig=s"}}]}, "flow")
    ({'value': [{'properties': {}}]}, 0)
    """
    if not kind:
        return page, 0
    walk = _Walk(kind, redactor)
    return walk(page), walk.left_out


class _Walk:
    def __init__(self, kind: str, redactor: Redactor | None) -> None:
        self.kind, self.redactor = kind, redactor
        self.drop, self.secret, self.kept = _rules()
        self.left_out = 0

    def __call__(self, value: Any, depth: int = 0) -> Any:
        if depth > DEPTH:
            raise HonestStop(f"An answer nested deeper than {DEPTH} levels cannot be searched for secrets: not kept")
        if isinstance(value, dict):
            if self.kind == "variable" and "schemaname" in value:
                value = self._variable(value)
            return {k: v for k, v in ((k, self._entry(k, v, depth)) for k, v in value.items()) if v is not _GONE}
        if isinstance(value, list):
            return [self(v, depth + 1) for v in value]
        if isinstance(value, str) and "=" in value:
            return SIGNED.sub(rf"\1{REDACTED}", value)
        return value

    def _entry(self, key: str, value: Any, depth: int) -> Any:
        name = key.lower()
        if name in self.drop:
            return _GONE
        if key == "definition" and self.kind == "flow" and value is not None:
            return self._definition(value)
        if key == "clientdata" and self.kind == "workflow" and isinstance(value, str):
            return self._clientdata(value)
        if self.kind == "connection" and key in KEYS:
            return self._parameters(value)
        if name in self.secret and isinstance(value, str) and value:
            return REDACTED
        return self(value, depth + 1)

    def _parameters(self, value: Any) -> Any:
        """Parameters by the list of allowed ones; ``values`` of a set are parameters themselves."""
        if not isinstance(value, dict):
            return REDACTED if value else value
        if isinstance(value.get("values"), dict):
            return {**{k: v for k, v in value.items() if k == "name"}, "values": self._parameters(value["values"])}
        return {k: self._kept(v) if k.lower() in self.kept else REDACTED for k, v in value.items()}

    def _kept(self, value: Any) -> Any:
        """A kept parameter is plain text, or a ``{"value": text}``; anything deeper is not known to be harmless."""
        if isinstance(value, dict):
            return {k: self(v) for k, v in value.items() if k == "value" and not isinstance(v, dict | list)}
        return REDACTED if isinstance(value, list) else self(value)

    def _variable(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """An environment variable without what its type, its name or its form calls a secret."""
        told = row.get(VARIABLE["values"])
        values = {VARIABLE["values"]: [self._told(row, v, "value") for v in told]} if isinstance(told, list) else {}
        return {**self._told(row, row, "defaultvalue"), **values}

    def _told(self, row: Mapping[str, Any], holder: Any, key: str) -> Any:
        """The holder, its text taken out whole where anything in it is a secret."""
        text = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(text, str) or not text:
            return holder
        if row.get("type") == VARIABLE["secret"]:
            return {**holder, key: REDACTED}
        name = str(row["schemaname"])
        clean = self._definition({name: text})
        same = isinstance(clean, dict) and clean.get(name) == text
        return holder if same else {**holder, key: REDACTED}

    def _definition(self, value: Any) -> Any:
        if self.redactor is None:
            return value
        if not isinstance(value, dict):
            return self._unreadable()
        try:
            return self.redactor(value)
        except Exception:
            # fail closed: a definition that cannot be cleaned is not kept, and its text is in no message
            self.left_out += 1
            return _GONE

    def _clientdata(self, text: str) -> Any:
        if self.redactor is None:
            return text
        if not text.strip():
            return text
        try:
            data = orjson.loads(text)
            inner = dict(data["properties"])
        except (ValueError, KeyError, TypeError):
            return self._unreadable()  # compressed, cut or of another form: nobody can say that it holds no secret
        definition = inner.pop("definition", None)
        cleaned = {} if definition is None else {"definition": self._definition(definition)}
        if _GONE in cleaned.values():
            return _GONE
        return orjson.dumps(self({**data, "properties": inner}) | {"properties": self(inner) | cleaned}).decode()

    def _unreadable(self) -> Any:
        self.left_out += 1
        return _GONE


_GONE = object()
