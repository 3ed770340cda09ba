"""The rules, one module for each family; `RULES` maps id to rule."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flowanalysis.rules import connections, gap, overlap, ownership, privilege, security, service_accounts
from flowanalysis.rules.base import Rule

__all__ = ["RULES", "Rule"]

FAMILIES = (ownership, connections, privilege, gap, service_accounts, overlap, security)
RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for family in FAMILIES for rule in family.RULES})
