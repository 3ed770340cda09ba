"""Several analyses of one tenant at the same time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from flowanalysis.tenant import Tenant

Answer = TypeVar("Answer")
MOST = 4  # threads: beyond that they wait for each other's memory more than they work


def together(tenant: Tenant, *analyses: Callable[[Tenant], Answer]) -> Iterator[Answer]:
    """Answers of several analyses that are worked on at once, a thread for each processor.

    The heavy parts of the analyses let other threads run, and what several of them need is computed once. The answers
    are the same as one after the other; those that are ready early are held until their turn comes.

    Parameters
    ----------
    tenant : Tenant
        The data.
    *analyses : function of a tenant
        For options: ``functools.partial(fa.blast_radius, by="identity")``. Long ones are best named first.

    Yields
    ------
    object
        What each analysis gives, in the order in which they are named. What an analysis raises is raised at its turn;
        those that nobody has begun are dropped then.

    Examples
    --------
    >>> import flowanalysis as fa
    >>> tenant = fa.load(fa.place("data/demo/2026-10"))
    >>> radius, factors = together(tenant, fa.blast_radius, fa.bus_factor)
    >>> len(factors) == len(tenant.flows)
    True
    """
    tenant.codes  # noqa: B018  what all of them read is there before they start
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(MOST, processors))
    try:
        begun = deque(pool.submit(analysis, tenant) for analysis in analyses)
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
