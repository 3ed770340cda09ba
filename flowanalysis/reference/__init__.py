"""Facts as data: every table names its source and date. Changing a fact never means changing code."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

from flowanalysis.errors import UnknownName


def _names(ending: str) -> list[str]:
    return sorted(
        f.name.removesuffix(ending) for f in resources.files(__package__).iterdir() if f.name.endswith(ending)
    )


@cache
def _read(name: str) -> pd.DataFrame:
    place = resources.files(__package__) / f"{name}.csv"
    if not place.is_file():
        raise UnknownName("reference table", name, _names(".csv"))
    with place.open(encoding="utf-8") as file:
        # "NA" and "null" are legal names; lines that begin with # say where the facts come from.
        return pd.read_csv(file, dtype=str, keep_default_na=False, comment="#", skip_blank_lines=True)


def table(name: str) -> pd.DataFrame:
    """A table of facts, all text, empty cells as empty strings (a copy).

    Raises
    ------
    UnknownName
        When there is no such table.
    """
    return _read(name).copy()


@cache
def toml(name: str) -> dict[str, Any]:
    """A TOML file of facts; do not change the answer.

    Raises
    ------
    UnknownName
        When there is no such file.
    """
    place = resources.files(__package__) / f"{name}.toml"
    if not place.is_file():
        raise UnknownName("reference file", name, _names(".toml"))
    return tomllib.loads(place.read_text(encoding="utf-8"))
