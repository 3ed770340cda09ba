"""What is computed once for each tenant, whichever thread asks first."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any, Protocol, TypeVar

import pandas as pd


class Tables(Protocol):
    """What a tenant offers to those who read it before it has codes: frames by name, and what was collected."""

    _known: dict[object, pd.DataFrame]
    _locks: dict[object, Any]

    def __getitem__(self, table: str) -> pd.DataFrame: ...

    def has(self, *tables: str) -> bool: ...


Holder = TypeVar("Holder", bound=Tables)
Answer = TypeVar("Answer")


def once_per_tenant(analysis: Callable[[Holder], pd.DataFrame]) -> Callable[[Holder], pd.DataFrame]:
    """Compute a frame once for each tenant; callers get a shallow copy, so none can change another's."""

    @wraps(analysis)
    def remembered(tenant: Holder) -> pd.DataFrame:
        return once(tenant, tenant._known, analysis, lambda: analysis(tenant)).copy(deep=False)

    return remembered


def once(holder: Tables, store: dict[Any, Answer], key: object, work: Callable[[], Answer]) -> Answer:
    """What is in the store, or what the work gives, which goes there; a second thread that asks waits for the first.

    Threads cannot wait for each other in a circle: work only asks for what it is made of.
    """
    if key not in store:
        with holder._locks.setdefault((id(store), key), RLock()):
            if key not in store:
                store[key] = work()
    return store[key]
