"""Frames that are computed once for each tenant."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar

import pandas as pd


class Tables(Protocol):
    """What a tenant offers to those who read it before it has codes: frames by name, and what was collected."""

    _known: dict[object, pd.DataFrame]

    def __getitem__(self, table: str) -> pd.DataFrame: ...

    def has(self, *tables: str) -> bool: ...


Holder = TypeVar("Holder", bound=Tables)


def once_per_tenant(analysis: Callable[[Holder], pd.DataFrame]) -> Callable[[Holder], pd.DataFrame]:
    """Compute a frame once for each tenant; callers get a shallow copy, so none can change another's."""

    @wraps(analysis)
    def remembered(tenant: Holder) -> pd.DataFrame:
        if analysis not in tenant._known:
            tenant._known[analysis] = analysis(tenant)
        return tenant._known[analysis].copy(deep=False)

    return remembered
