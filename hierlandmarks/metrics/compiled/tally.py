"""Counting how often each query was drawn, for the bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.compiled.jit import jit


@jit
def tally(raw: NDArray[np.uint32], out: NDArray[np.float32]) -> None:
    """Into `out`, n numbers, how many of the random 32-bit numbers fall into each n-th of their range."""
    n = np.uint64(len(out))
    out[:] = 0
    for i in range(len(raw)):
        out[(np.uint64(raw[i]) * n) >> np.uint64(32)] += np.float32(1)
