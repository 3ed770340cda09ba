"""Tenant: the frames of one tenant at one time, read when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from flowanalysis import codes as coding
from flowanalysis import schema
from flowanalysis.errors import UnknownName
from flowanalysis.lookup import Lookup
from flowanalysis.remember import once, once_per_tenant

__all__ = ["Tenant", "once_per_tenant"]

Source: TypeAlias = "str | Callable[[Tenant], pd.DataFrame]"
Frames = Mapping[str, pd.DataFrame | Callable[[], pd.DataFrame]]


class Tenant:
    """Frames by name, as attributes or items; what was not collected is an empty frame.

    Parameters
    ----------
    frames : mapping
        Table name to frame, or to a function that reads it when first needed.
    collected : iterable of str, optional
        Tables that some export filled, even with no row. Default: the tables in `frames` that have rows.
        A table outside means *not collected*: analyses must say so instead of finding nothing.
    as_of : timestamp, optional
        The moment the data describes (UTC). Ages and clocks count from here, never from today.
        Default: the newest ``observed_at`` of the collection log, else the newest time in flows.
    codes : function, optional
        Reads stored integer codes; by default they are made from the frames.
    name : str
        Shown in reports.

    Examples
    --------
    >>> tenant = Tenant({"groups": schema.frame("groups", [{"group_id": "g1"}])})
    >>> len(tenant.groups), tenant.has("groups"), tenant.has("flows")
    (1, True, False)
    """

    def __init__(
        self,
        frames: Frames,
        *,
        collected: Iterable[str] | None = None,
        as_of: pd.Timestamp | None = None,
        codes: Callable[[], coding.Codes] | None = None,
        name: str = "",
    ) -> None:
        for table in frames:
            schema.table(table)
        self._given = dict(frames)
        self._read: dict[str, pd.DataFrame] = {}
        self._lookups: dict[tuple[Source, str], Lookup] = {}
        self._known: dict[object, pd.DataFrame] = {}
        self._made: dict[str, coding.Codes] = {}
        self._locks: dict[object, Any] = {}
        self._codes = codes
        self._as_of = as_of
        self.name = name
        if collected is None:
            collected = [t for t in frames if len(self[t])]
        self.collected = frozenset(collected)

    def __getitem__(self, table: str) -> pd.DataFrame:
        return once(self, self._read, table, lambda: self._frame(table))

    def _frame(self, table: str) -> pd.DataFrame:
        given = self._given.get(table)
        if given is None:
            return schema.empty(schema.table(table).name)
        frame = given() if callable(given) else given
        return frame if list(frame.columns) == schema.table(table).names else schema.frame(table, frame)

    def __getattr__(self, table: str) -> pd.DataFrame:
        if table.startswith("_") or table not in schema.TABLES:
            raise AttributeError(str(UnknownName("table", table, schema.TABLES)))
        return self[table]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *schema.TABLES})

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self[t]):,} {t}" for t in ("identities", "flows", "connections") if self.has(t))
        return f"<Tenant {self.name or 'unnamed'}: {counts or 'nothing collected'}>"

    def has(self, *tables: str) -> bool:
        """True when every one of the tables was collected."""
        return all(schema.table(t).name in self.collected for t in tables)

    def rows(self, source: Source, column: str, values: Iterable[object], *, fan: int | None = None) -> pd.DataFrame:
        """Rows of a table, or of a frame made once per tenant, whose column holds one of the values.

        The first call for a column makes an index; later ones take milliseconds at any size. With `fan`, at
        most so many rows for each value.
        """
        frame = self[source] if isinstance(source, str) else source(self)
        return frame.iloc[self.lookup(source, column).positions(values, fan=fan)]

    def lookup(self, source: Source, column: str) -> Lookup:
        """The index over one column of a table or of a frame made once per tenant."""

        def indexed() -> Lookup:
            return Lookup((self[source] if isinstance(source, str) else source(self))[column])

        return once(self, self._lookups, (source, column), indexed)

    @cached_property
    def as_of(self) -> pd.Timestamp:
        """The moment the data describes, UTC."""
        if self._as_of is not None:
            return pd.Timestamp(self._as_of)
        times = [self["collection_log"]["observed_at"].max(), self["flows"]["modified_at"].max()]
        known = [t for t in times if pd.notna(t)]
        return known[0] if known else pd.Timestamp("1970-01-01", tz="UTC")

    @property
    def month(self) -> str:
        """The month the data describes, such as ``2026-10``."""
        return self.as_of.strftime("%Y-%m")

    @property
    def codes(self) -> coding.Codes:
        """Integer codes and one sparse matrix per relation, for the analyses."""
        return once(self, self._made, "codes", self._codes or (lambda: coding.build(self)))

    def coded(self, table: str, column: str) -> np.ndarray:
        """The code of each row of a table by a column of ids; -1 for NA.

        Columns in which each row has an id of its own are coded once, and a snapshot keeps them.
        """
        stored = self.codes.rows.get(f"{table}.{column}")
        return coding.coded(self, vars(self.codes), table, column) if stored is None else stored

    def replace(self, **frames: pd.DataFrame) -> Tenant:
        """A tenant with some tables replaced; the rest is shared, not copied."""
        return Tenant(
            {**self._given, **frames},
            collected=self.collected | set(frames),
            as_of=self._as_of if self._as_of is not None else self.as_of,
            name=self.name,
        )
