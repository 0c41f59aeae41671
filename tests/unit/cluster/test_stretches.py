"""The least value of a stretch, by table, is that by looking."""

from __future__ import annotations

import numpy as np
import pytest

from functions.cluster.tree.stretches import Stretches


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 31, 64, 100])
def test_every_stretch_of_every_length(count: int) -> None:
    values = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    begin, end = (side.astype(np.int32) for side in np.triu_indices(count + 1, 1))
    expected = [values[first:last].min() for first, last in zip(begin, end, strict=True)]
    stretches = Stretches.of(values)
    np.testing.assert_array_equal(stretches.between(begin, end), np.array(expected, dtype=np.float32))
    assert stretches.least == values.min()
