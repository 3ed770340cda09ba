"""Keys of resources: what a step works on, spelled so that needs and grants join.

All keys are lower case. A key with several parts joins them by ``|``; what stands before a ``|`` contains the
thing behind it, so a grant on ``https://fabrikam.example/sites/hr`` covers all keys that begin with that and ``|``.

===================  =====================================================================================
kind                 key
===================  =====================================================================================
sharepoint_site      https URL without trailing slash
sharepoint_list      ``<site>|<list id or title>`` (ids without braces)
sharepoint_file      ``<site>|/<path of the file or folder>``
mailbox              mail address; the connection's own mailbox is in_connection
dataverse_table      ``<organisation URL, or nothing for the flow's own>|<entity set name>``
dataverse_action     ``<organisation URL or nothing>|<action name>``
environment, tenant  environment id; ``tenant``
directory            ``users`` or ``groups`` of Entra ID as a whole
team, group          object id
plan                 ``<group id>|<plan id>``
file, drive          ``<source>|<drive id>[|<file id or path>]`` (Excel and Word Online)
sql_table            ``<server>|<database>|<schema.table>``; sql_procedure likewise; sql_database without the last
key_vault_secret     ``<vault>|<secret>``
storage_container    ``<account>|<container>``; storage_account without the last
devops_project       ``<organisation>|<project>``
http_host            host name
others               ids as the step gives them
===================  =====================================================================================

States: *known* (written in the definition), *environment_variable* (through one, by its value in the tenant or
its default), *expression* (only the run tells), *in_connection* (the connection's account, server or address).
The narrowest container that the definition names is given: a list known only at run time gives its site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from flowanalysis import reference
from flowanalysis.definitions.catalogue import bare
from flowanalysis.definitions.expressions import ABSENT, EXPRESSION, HOLE, KNOWN, Scope, Value, least
from flowanalysis.definitions.parse import Step, mapping
from flowanalysis.definitions.requests import host_of, path_segments, request_of

__all__ = ["IN_CONNECTION", "Parameters", "Resource", "entity_set", "parent", "resources_of", "site"]

IN_CONNECTION = "in_connection"
# Words that stand for "as the connection says" where a resource could be named.
_FROM_CONNECTION = {"default", "accountnamefromsettings", "me", "default.cds"}
_IN_PATH = {"datasets": "dataset", "tables": "table", "groups": "groupId", "teams": "teamId", "procedures": "procedure"}
_LIST = re.compile(r"lists?(?:/getbytitle\('([^']+)'\)|/?\(guid'([^']+)'\)|/getbyid\('([^']+)'\))", re.IGNORECASE)
_PAGE = re.compile(r"/(_layouts|_api|sitepages|lists|forms)(/.*)?$", re.IGNORECASE)


class Resource(NamedTuple):
    """What a step works on: kind, key, state, whether it is a need of its own, and a right other than the step's."""

    kind: str
    key: str
    state: str
    also: bool = False
    right: str = ""


class Rule(NamedTuple):
    """One row of ``reference/resource_rules.csv``, taken apart."""

    also: bool
    when: tuple[str, str] | None
    right: str
    kind: str
    parts: tuple[tuple[str, bool, tuple[str, ...]], ...]  # form, may be absent, parameters
    otherwise: str
    unknown_kind: str


def parent(key: str) -> str:
    """The container of a resource, or empty text.

    >>> parent("https://fabrikam.example/sites/hr|orders")
    'https://fabrikam.example/sites/hr'
    """
    return key.rpartition("|")[0]


def site(text: str) -> str:
    """Key of a SharePoint site for any address inside it that names a page or a list.

    >>> site("https://Fabrikam.example/Sites/HR/Lists/Orders/")
    'https://fabrikam.example/sites/hr'
    """
    return _PAGE.sub("", text.strip().partition("?")[0].partition("#")[0].rstrip("/")).rstrip("/").lower()


def entity_set(logical: str) -> str:
    """Entity set name that Dataverse gives a table by default; set names come back unchanged.

    >>> entity_set("account"), entity_set("opportunity"), entity_set("fab_process")
    ('accounts', 'opportunities', 'fab_processes')
    """
    name = logical.strip().lower()
    if name.endswith(("s", "x", "z", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s" if name else ""


def _text(text: str) -> str:
    return text.strip().strip("{}").lower()


def _path(text: str) -> str:
    path = unquote(unquote(text)) if "%" in text else text
    path = path.replace("+", " ").strip().rstrip("/").lower()
    return path if path.startswith("/") else ""


def _first(text: str) -> str:
    return _text(_path("/" + text.lstrip("/")).strip("/").partition("/")[0])


def _host(text: str) -> str:
    if "://" not in text:
        return _text(text).strip("/")
    try:
        return (urlsplit(text.strip()).hostname or "").lower()
    except ValueError:
        return ""


def _org(text: str) -> str:
    name = text.strip().rstrip("/").lower()
    return "" if name == "default.cds" else name


def _account(text: str) -> str:
    return _host(text).partition(".")[0]


_FORMS: Mapping[str, Callable[[str], str]] = {
    "text": _text,
    "mail": lambda t: _text(t) if "@" in t else "",
    "list": _text,
    "url": site,
    "path": _path,
    "first": _first,
    "host": _host,
    "address": _host,
    "set": entity_set,
    "org": _org,
    "server": _text,
    "owner": _text,
    "account": _account,
    "object": lambda t: _text(t.replace("[", "").replace("]", "")),
}


class Parameters:
    """The parameters of a step, in the present shape (names with slashes, or nested) and in the older one."""

    def __init__(self, step: Step) -> None:
        inputs = step.inputs
        self._flat: Mapping[str, Any] = mapping(inputs.get("parameters"))
        self._old: dict[str, Any] = {}
        self.body: Mapping[str, Any] = {}
        if not self._flat and isinstance(inputs.get("path"), str):
            self._old = dict(_from_path(inputs["path"])) | dict(mapping(inputs.get("queries")))
            self.body = mapping(inputs.get("body"))
        elif not step.connection:
            self._flat = request_of(inputs)

    def raw(self, name: str) -> tuple[object, bool]:
        """A parameter as written, and whether it is URL-encoded (older shape)."""
        if name in self._flat:
            return self._flat[name], False
        if "*" in name:
            return next((v for k, v in self._flat.items() if fnmatchcase(k, name)), None), False
        if self._old or self.body:
            if name in self._old:
                return self._old[name], True
            return _nested(self.body, name.rpartition("/")[2]), False
        return (_nested(self._flat, name) if "/" in name else None), False

    def value(self, name: str, scope: Scope) -> Value:
        """A parameter as far as the definition tells."""
        raw, encoded = self.raw(name)
        if raw is None:
            return ABSENT
        value = scope.value(raw)
        return Value(unquote(unquote(value.text)), value.state) if encoded else value

    def request(self, scope: Scope) -> tuple[Value, Value]:
        """Method and address of an operation that sends any request; headers may override the method."""
        method = self.first(("parameters/method", "parameters/Method", "request/method", "method", "Method"), scope)
        address = self.first(
            ("parameters/uri", "parameters/Uri", "request/url", "uri", "Uri", "request/uri", "url"), scope
        )
        headers = next((h for h in map(self._headers, ("parameters/headers", "request/headers", "headers")) if h), {})
        override = next((v for k, v in headers.items() if str(k).lower() == "x-http-method"), None)
        return (scope.value(override) if override else method), address

    def _headers(self, name: str) -> Mapping[str, Any]:
        return mapping(self.raw(name)[0])

    def first(self, names: tuple[str, ...], scope: Scope) -> Value:
        """The first of several parameters that is there."""
        for name in names:
            value = self.value(name, scope)
            if value is not ABSENT:
                return value
        return ABSENT


def _nested(node: object, name: str) -> object:
    for key in name.split("/"):
        if not isinstance(node, dict) or key not in node:
            return None
        node = node[key]
    return node


def _from_path(path: str) -> Iterator[tuple[str, str]]:
    """Resource names in ``/datasets/<site>/tables/<list>/items`` of the older shape."""
    segments = path_segments(path)
    for name, value in zip(segments, segments[1:], strict=False):
        key = _IN_PATH.get(name)
        if key == "dataset" and "," in value and "(" not in value.partition(",")[0].partition("@{")[0]:
            server, _, database = value.partition(",")
            yield "server", server
            yield "database", database
        if key:
            yield key, value


@cache
def _rules() -> dict[str, list[tuple[str, Rule]]]:
    rules: dict[str, list[tuple[str, Rule]]] = {}
    for row in reference.table("resource_rules").itertuples(index=False):
        name, found, wanted = row.when.partition("=")
        rule = Rule(
            also=row.use == "also",
            when=(name, wanted) if found else None,
            right=row.right,
            kind=row.kind,
            parts=tuple(_part(p) for p in row.parts.split(";") if p),
            otherwise=row.otherwise,
            unknown_kind=row.unknown_kind or row.kind,
        )
        rules.setdefault(row.connector, []).append((row.operation.lower(), rule))
    return rules


def _part(text: str) -> tuple[str, bool, tuple[str, ...]]:
    form, _, names = text.partition(":")
    return form.removeprefix("?"), form.startswith("?"), tuple(names.split("|"))


@lru_cache(maxsize=50_000)
def _rules_for(connector_id: str, operation_id: str) -> tuple[Rule, ...]:
    rules = _rules()
    found = rules.get(bare(connector_id)) or rules["*"]
    return tuple(rule for pattern, rule in found if fnmatchcase(operation_id.lower(), pattern))


def resources_of(connector_id: str, operation_id: str, parameters: Parameters, scope: Scope) -> list[Resource]:
    """What a step works on: one main resource, and those that its parameters add."""
    main, unknown, extra = None, None, []
    for rule in _rules_for(connector_id, operation_id):
        if rule.also:
            found = _apply(rule, parameters, scope)
            if found:
                extra.append(found)
        elif main is None and (rule.parts or unknown is None):
            found = _apply(rule, parameters, scope)
            if found and found.state == EXPRESSION:
                unknown = unknown or found
            elif found:
                main = found
    return [main or unknown or Resource("other", "", IN_CONNECTION), *extra]


def _apply(rule: Rule, parameters: Parameters, scope: Scope) -> Resource | None:
    """The resource that a rule names; None when its parts are not there."""
    if rule.when and not fnmatchcase(parameters.value(rule.when[0], scope).text, rule.when[1]):
        return None
    if not rule.parts:
        word, _, key = rule.otherwise.partition("=")
        return Resource(rule.kind, key, word, rule.also, rule.right)
    values = []
    for part in rule.parts:
        value = _value(part, parameters, scope)
        if value is None:
            return None
        values.append(value)
    if any(v.state == IN_CONNECTION for v in values):
        return Resource(rule.kind, "", IN_CONNECTION, rule.also, rule.right)
    state = least(values)
    if state == EXPRESSION:
        return Resource(rule.unknown_kind, "", EXPRESSION, rule.also, rule.right)
    return Resource(rule.kind, "|".join([v.text for v in values]), state, rule.also, rule.right)


def _value(part: tuple[str, bool, tuple[str, ...]], parameters: Parameters, scope: Scope) -> Value | None:
    """One part of a key; None when it is not there, in_connection when it says so."""
    form, optional, names = part
    if form == "known":
        return Value(names[0], KNOWN)
    value = _listed(parameters, scope) if names == ("~list",) else parameters.first(names, scope)
    if value is ABSENT:
        return Value("", KNOWN) if optional else None
    if form == "host":
        return _hosted(value)
    if value.state == EXPRESSION:
        return value
    if form in {"server", "owner", "account"} and value.text.strip().lower() in _FROM_CONNECTION:
        return Value("", IN_CONNECTION)
    text = _FORMS[form](value.text)
    return Value(text, value.state) if text or form == "org" else None


def _hosted(value: Value) -> Value | None:
    """The host of an address; its path may still be open. A relative address has none."""
    host = host_of(value)
    if host:
        return Value(host, KNOWN if value.state == EXPRESSION else value.state)
    return value if value.state == EXPRESSION and value.text.startswith((HOLE, "http")) else None


def _listed(parameters: Parameters, scope: Scope) -> Value:
    """The list in the address of a SharePoint request."""
    address = parameters.request(scope)[1]
    match = _LIST.search(address.text)
    found = next((g for g in match.groups() if g), "") if match else ""
    if not found or HOLE in found:
        return ABSENT
    return Value(found, KNOWN if address.state == EXPRESSION else address.state)
