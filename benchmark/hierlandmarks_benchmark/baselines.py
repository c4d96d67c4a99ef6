"""What a trained model is measured against without being trained: colours alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CELLS = 2  # a side
BINS = (8, 4, 4)  # hue, saturation, value


def colour_histogram(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """HSV histograms of the four quarters of every picture, square-rooted: 2 × 2 × 128 numbers of unit length.

    The inner product of two is then the Bhattacharyya coefficient of the pictures' colours (Hellinger kernel).

    Args:
        pixels: N × 3 × S × S RGB, S even or the last row and column are left out.

    Returns:
        N × 512 float32, rows of length 1.
    """
    counts = np.stack([_histogram(np.ascontiguousarray(picture.transpose(1, 2, 0))) for picture in pixels])
    shares: NDArray[np.float32] = np.sqrt(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _histogram(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    hsv = np.asarray(Image.fromarray(picture, "RGB").convert("HSV")).astype(np.int64)
    bins = np.ravel_multi_index(tuple(hsv[..., i] * n // 256 for i, n in enumerate(BINS)), BINS)
    side = len(bins) // CELLS
    quarters = (bins[i * side : (i + 1) * side, j * side : (j + 1) * side] for i in range(CELLS) for j in range(CELLS))
    return np.concatenate([np.bincount(quarter.ravel(), minlength=int(np.prod(BINS))) for quarter in quarters])
