"""How much an item of each level is worth: the two relevances of the papers, and the gain of NDCG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Levels = NDArray[np.integer[Any]]

KINDS = ("proportional", "decomposed")


def relevance_of_levels(
    counts: Ints, kind: str = "proportional", alpha: float = 1.0, weights: Sequence[float] | None = None
) -> Floats:
    """The relevance of one item of each level, for one query or many.

    * `proportional` (the papers' default): rel(l) = (l/L)^alpha / |Ω^(l)|. Not monotone in l where |Ω^(2)| > 2·|Ω^(1)|:
      that is how the papers define it, and H-AP is a well-defined number all the same.
    * `decomposed`: rel(l) = Σ_{p≤l} w_p / |{k : level ≥ p}|. Monotone, and H-AP = Σ_p w_p · AP_p exactly.

    Args:
        counts: … × (L + 1) integers: the gallery items of each exact level, the query itself left out; those of level 0
            are not read.
        kind: `proportional` or `decomposed`.
        alpha: exponent of `proportional`, ≥ 0.
        weights: w_1 … w_L of `decomposed`, from the coarsest level to the landmark, ≥ 0 with sum 1; 1/L each by
            default.

    Returns:
        … × (L + 1) floats; 0 for level 0 and, under `proportional`, for levels without items.

    Source: Ramzi et al., TPAMI 2025 (arXiv 2309.08250) and HAPPIER (ECCV 2022, arXiv 2207.04873). The released code
    counts
    the query set and the query itself; here the counts are of the gallery.

    >>> relevance_of_levels(np.array([9, 4, 2, 1])).round(3).tolist()
    [0.0, 0.083, 0.333, 1.0]
    >>> relevance_of_levels(np.array([9, 4, 2, 1]), "decomposed", weights=(0.2, 0.3, 0.5)).round(3).tolist()
    [0.0, 0.029, 0.129, 0.629]
    """
    depth = counts.shape[-1] - 1
    if kind == "proportional":
        worth, among = (np.arange(1, depth + 1) / depth) ** alpha, counts[..., 1:]
    else:
        worth, among = check_weights(weights, depth), np.cumsum(counts[..., :0:-1], axis=-1)[..., ::-1]
    value = np.zeros(counts.shape)
    np.divide(worth, among, out=value[..., 1:], where=among > 0)
    return value if kind == "proportional" else np.cumsum(value, axis=-1)


def check_weights(weights: Sequence[float] | None, depth: int) -> Floats:
    """The weights of `decomposed` as an array of `depth` floats, uniform where none are given.

    Raises:
        UsageError: not one weight a level, a negative one, or a sum other than 1.
    """
    w = np.full(depth, 1.0 / depth) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (depth,) or (w < 0).any() or abs(w.sum() - 1) > 1e-9:
        expected = f"{depth} weights ≥ 0 with sum 1, coarsest level first"
        raise UsageError("the weights of the decomposed relevance are wrong", got=w.tolist(), expected=expected)
    return w


def gain_of_levels(depth: int) -> Floats:
    """NDCG's gain 2^l − 1 of the levels 0 … `depth`, whatever the relevance.

    >>> gain_of_levels(3).tolist()
    [0.0, 1.0, 3.0, 7.0]
    """
    return np.exp2(np.arange(depth + 1)) - 1.0
