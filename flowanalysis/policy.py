"""Policy: what a company tolerates. Defaults are data; a file of the company overlays any part of them."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flowanalysis import reference
from flowanalysis.errors import PolicyError, UnknownName

__all__ = ["SEVERITIES", "Policy", "load_policy"]

SEVERITIES = ("info", "low", "medium", "high", "critical")
# Lists of regular expressions, wherever they stand.
PATTERN_LISTS = frozenset(
    {"names", "names_weak", "not_names", "break_glass", "job_titles", "employee_types", "automation_licences"}
    | {"critical_names"}
)
SHARES = frozenset({"service", "review", "share", "containment"})
# Lists of tables: the entries that each must have, and those that it may have.
TABLE_LISTS = {
    "pinned": (frozenset({"flow", "account"}), frozenset({"flow", "account"})),
    "forbidden": (frozenset({"account"}), frozenset({"flow", "account"})),
    "conflicts": (frozenset({"left", "right"}), frozenset({"left", "right"})),
}
CHOICES = {"planning.service_principals": ("allow", "require")}
LIMIT = 1_000_000  # bytes of a policy file; a larger one is not a policy


@dataclass(frozen=True)
class Policy:
    """Thresholds, weights, patterns and caps; immutable.

    Attributes
    ----------
    rules : mapping
        Rule id to its thresholds; ``enabled`` is one of them.
    identities, business_flows, severity, caps, sensitivity, purposes, planning : mapping
        The sections of the policy file.
    source : str
        Where the company's part came from; ``default`` without one.
    """

    rules: Mapping[str, Mapping[str, Any]]
    identities: Mapping[str, Any]
    business_flows: Mapping[str, Any]
    severity: Mapping[str, Any]
    caps: Mapping[str, int]
    sensitivity: Mapping[str, Any]
    purposes: Mapping[str, Any]
    planning: Mapping[str, Any]
    source: str = "default"

    def threshold(self, rule: str, name: str) -> Any:
        """A threshold of a rule.

        Raises
        ------
        UnknownName
            When there is no such rule or threshold.

        Examples
        --------
        >>> load_policy().threshold("CON-2", "idle_days")
        90
        """
        if rule not in self.rules:
            raise UnknownName("rule", rule, self.rules)
        if name not in self.rules[rule]:
            raise UnknownName(f"threshold of {rule}", name, self.rules[rule])
        return self.rules[rule][name]

    def enabled(self, rule: str) -> bool:
        """True unless the company switched the rule off."""
        return bool(self.threshold(rule, "enabled"))

    def with_threshold(self, rule: str, name: str, value: Any) -> Policy:
        """The same policy with one threshold changed."""
        self.threshold(rule, name)
        changed = {**self.rules, rule: MappingProxyType({**self.rules[rule], name: value})}
        return replace(self, rules=MappingProxyType(changed))


def load_policy(path: str | Path | None = None) -> Policy:
    """The default policy, overlaid with a company's TOML file.

    Parameters
    ----------
    path : str or Path, optional
        File that names only what differs; tables merge, lists and values replace.

    Raises
    ------
    PolicyError
        When the file is missing, broken, or a value is of the wrong kind.
    UnknownName
        When it names a section, rule or threshold that does not exist, with the nearest that do.
    """
    data = copy.deepcopy(reference.toml("policy"))
    source = "default"
    if path is not None:
        source = Path(path).name
        data = _overlay(data, _read(Path(path)), place="", file=source)
    _check(data, place="", file=source)
    frozen = {name: _frozen(section) for name, section in data.items()}
    return Policy(**frozen, source=source)


def _read(path: Path) -> dict[str, Any]:
    where = path.name
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PolicyError(f"the policy cannot be read ({error.strerror})", where=where) from None
    if len(raw) > LIMIT:
        raise PolicyError(f"{len(raw):,} bytes is too large for a policy", where=where)
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except RecursionError:
        raise PolicyError("nested beyond reason", where=where, remedy="Correct the file or leave it out") from None
    except ValueError as error:  # no UTF-8, no TOML, or a number of thousands of digits
        raise PolicyError(f"not valid TOML: {error}", where=where, remedy="Correct the file or leave it out") from None


def _overlay(base: Mapping[str, Any], over: Mapping[str, Any], *, place: str, file: str) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        here = f"{place}.{name}" if place else name
        if name not in base:
            raise UnknownName(f"policy entry in {file}", here, [f"{place}.{k}" if place else k for k in base])
        if isinstance(base[name], Mapping):
            if not isinstance(value, Mapping):
                raise PolicyError("a table is needed here", where=f"{file}, {here}")
            merged[name] = _overlay(base[name], value, place=here, file=file)
        else:
            merged[name] = _like(value, base[name], where=f"{file}, {here}")
    return merged


def _like(value: Any, default: Any, *, where: str) -> Any:
    """The value, of the same kind as the default; whole numbers may stand for fractions."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
        raise PolicyError(f"{kinds[type(default)]} is needed, not {value!r}", where=where)
    return value


def _check(value: Any, *, place: str, file: str) -> None:
    """Refuse what no analysis could use: negative numbers, shares beyond 1, broken patterns, unknown levels."""
    where = f"{file}, {place}"
    name = place.rpartition(".")[2]
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check(inner, place=f"{place}.{key}" if place else key, file=file)
    elif place.startswith("severity.base."):
        if value not in SEVERITIES:
            raise UnknownName(f"severity in {where}", value, SEVERITIES)
    elif place in CHOICES:
        if value not in CHOICES[place]:
            raise UnknownName(f"choice in {where}", value, CHOICES[place])
    elif isinstance(value, (int, float)):
        top = 1 if name in SHARES or ".weights." in place or ".dampers." in place else float("inf")
        if not 0 <= value <= top:
            raise PolicyError(f"{value} is outside 0 to {top}", where=where)
    elif isinstance(value, list):
        _check_list(value, name=name, where=where)


def _check_list(value: list[Any], *, name: str, where: str) -> None:
    if name in TABLE_LISTS:
        _check_tables(value, name=name, where=where)
        return
    for entry in value:
        pattern: Any = entry if name in PATTERN_LISTS else None
        if name == "patterns":
            if not isinstance(entry, Mapping) or "match" not in entry or len(entry) != 2:
                raise PolicyError("each pattern needs `match` and one value", where=where)
            pattern = entry["match"]
        elif not isinstance(entry, str):
            raise PolicyError(f"a text is needed, not {entry!r}", where=where)
        _check_pattern(pattern or "", where)


def _check_tables(value: list[Any], *, name: str, where: str) -> None:
    """Entries are tables of texts with the right names; the sides of a conflict are patterns."""
    needed, known = TABLE_LISTS[name]
    for entry in value:
        if not isinstance(entry, Mapping) or not needed <= set(entry) <= known:
            raise PolicyError(f"each entry needs {' and '.join(f'`{k}`' for k in sorted(needed))}", where=where)
        for text in entry.values():
            if not isinstance(text, str):
                raise PolicyError(f"a text is needed, not {text!r}", where=where)
            if name == "conflicts":
                _check_pattern(text, where)


def _check_pattern(pattern: Any, where: str) -> None:
    """Try the engine that will run it: linear in the text whatever the pattern, so no look-around."""
    try:
        pc.match_substring_regex(pa.scalar(""), pattern)
    except (pa.ArrowInvalid, TypeError) as error:
        raise PolicyError(f"{pattern!r} is not a pattern: {error}", where=where) from None


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({k: _frozen(v) for k, v in value.items()})
    if isinstance(value, list):
        return tuple(_frozen(v) for v in value)
    return value
