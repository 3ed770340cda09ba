"""What follows only from several tables together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from flowanalysis.sources.merge import Merged, Part


def keys(parts: Sequence[Part]) -> list[Part]:
    return list(parts)


def settled(merged: Mapping[str, Merged], parts: Sequence[Part]) -> dict[str, pd.DataFrame]:
    return {name: m.frame for name, m in merged.items()}
