"""Words of the command line, apart from the rooms that need time to open."""

from __future__ import annotations

__all__ = ["PARTS", "WAYS"]

PARTS = ("graph", "flows", "dataverse")
WAYS = ("device", "interactive", "certificate", "managed-identity", "federated", "secret")
