"""Definitions whose secrets were removed before they reached the disk: each is noted inside, never its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowanalysis.definitions.secrets import Secret, redact, redact_text

__all__ = ["noted", "strip"]

NOTE = "removedSecrets"
MOST = 1000  # notes that are read of one definition


def strip(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition without its secrets that still tells kind, place and length of each.

    Examples
    --------
    >>> clean = strip({"actions": {"Call": {"inputs": {"client_secret": "Qq8vR2mLx0TzP4"}}}})
    >>> clean["actions"]["Call"]["inputs"], noted(clean)[0].length
    ({'client_secret': '[secret removed]'}, 14)
    """
    clean, found = redact(definition)
    notes = [*noted(definition), *found]
    if not notes:
        return dict(clean)
    metadata = clean.get("metadata")
    kept = dict(metadata) if isinstance(metadata, Mapping) else {}
    return {**clean, "metadata": {**kept, NOTE: [{**s._asdict(), "path": list(s.path)} for s in notes]}}


def noted(definition: Mapping[str, Any]) -> list[Secret]:
    """The secrets that were removed from a definition earlier; notes of another form are passed over."""
    metadata = definition.get("metadata")
    notes = metadata.get(NOTE) if isinstance(metadata, Mapping) else None
    return [s for s in map(_secret, notes[:MOST]) if s is not None] if isinstance(notes, list) else []


def _secret(note: object) -> Secret | None:
    if not isinstance(note, Mapping):
        return None
    kind, path, length = note.get("kind"), note.get("path"), note.get("length")
    if not isinstance(kind, str) or not isinstance(length, int) or not isinstance(path, list):
        return None
    shown = tuple(redact_text(str(p)) for p in path)
    return Secret(redact_text(kind), shown, length, redact_text(str(note.get("fingerprint", ""))))
