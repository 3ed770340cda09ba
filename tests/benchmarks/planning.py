"""Plans and advice on synthetic tenants: how many accounts, how near to what is possible, how long.

    python tests/benchmarks/planning.py [FLOWS ...]

Without arguments 50, 500 and 5,000 flows. Seconds are wall clock; plans are checked by the independent checker.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import plans  # noqa: E402

import flowanalysis as fa  # noqa: E402

LIMITS = {50: (0, 3, 6, 12), 500: (0, 3, 6), 5_000: (0,)}


def timed(work, *args, **options) -> tuple[float, object]:
    """Wall seconds and result."""
    start = time.perf_counter()
    result = work(*args, **options)
    return time.perf_counter() - start, result


def main(sizes: list[int]) -> None:
    """Print one line for each plan and one for the advisor."""
    print(f"{'flows':>6}{'limit':>7}{'accounts':>10}{'bound':>7}{'today':>7}{'exposure':>10}{'seconds':>9}")
    for size in sizes:
        for limit in LIMITS.get(size, (0,)):
            tenant = plans.tenant(size, seed=1, departments=100 if size >= 5_000 else None)
            seconds, plan = timed(fa.plan_accounts, tenant, excess_limit=limit)
            facts = (size, limit, plan.count, plan.bound, plan.today)
            print(
                "{:>6,}{:>7}{:>10,}{:>7,}{:>7,}".format(*facts) + f"{plan.exposure:>10,.0f}{seconds:>9.1f}", flush=True
            )
    tenant = plans.tenant(5_000, seed=1, departments=100, accounts=5_000)
    first, _ = timed(fa.advise, tenant, "flow-00007")
    again, answer = timed(fa.advise, tenant, "flow-00008")
    print(f"advice among {len(answer) - 1:,} accounts and 5,000 flows: {first:.2f} s, the next flow {again:.2f} s")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(LIMITS))
