"""The few operations on sparse matrices and arrays that the analyses are made of."""

from __future__ import annotations

import numpy as np
import pytest

from flowanalysis import matrices


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float64])
@pytest.mark.parametrize("size", [0, 1, 2, 50, 5_000])
def test_order_is_that_of_a_stable_sort(kind, size):
    values = np.random.default_rng(size).integers(-9, 9, size).astype(kind)
    assert matrices.order(values).tolist() == np.argsort(values, kind="stable").tolist()
    assert matrices.order(values * 0).tolist() == list(range(size))  # equals as they came
