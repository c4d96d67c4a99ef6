"""How alike two images are: the level of a pair, and the relevance of a level (definitions, sections 1 and 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hierlandmarks.errors import UsageError

EMPTY = -1
"""The label code of "not known"; it matches nothing, another empty one included."""


def pair_levels(labels: Tensor, ref_labels: Tensor, *, first_self: int | None = None) -> Tensor:
    """Levels of all pairs: matching labels counted from the coarse end up to the first that differs.

    Args:
        labels: b × L integers, fine → coarse; -1 is empty.
        ref_labels: M × L integers, likewise.
        first_self: where the queries are themselves rows first_self … first_self + b of the references:
            each is then its own positive, at level L whatever its labels.

    Returns:
        b × M int8, 0 … L. O(b·M·L) time, O(b·M) memory.
    """
    count, depth = labels.shape
    alike = torch.ones(count, len(ref_labels), dtype=torch.bool, device=labels.device)
    levels = torch.zeros(count, len(ref_labels), dtype=torch.int8, device=labels.device)
    codes = labels.masked_fill(labels == EMPTY, EMPTY - 1)  # no reference has that
    for column in reversed(range(depth)):
        alike &= codes[:, column, None] == ref_labels[:, column]
        levels += alike.view(torch.int8)
    if first_self is not None:
        levels.diagonal(first_self).fill_(depth)
    return levels


def level_counts(levels: Tensor, depth: int) -> Tensor:
    """|Ω^(l)| of every query: how many references have exactly level l; b × (L + 1), float64."""
    # Σ min(level, p) grows with p by one for every reference of at least level p. torch has vector code for this, but
    # not for comparisons.
    capped = torch.stack([levels.clamp_max(p).sum(dim=1, dtype=torch.int32) for p in range(depth + 1)], dim=1)
    at_least = capped.new_full((len(levels), depth + 2), 0)
    at_least[:, 0] = levels.shape[1]
    at_least[:, 1:-1] = capped.diff(dim=1)
    return -at_least.diff(dim=1).to(torch.float64)


@dataclass(frozen=True)
class Relevance:
    """How much a level is worth to a query (definitions, section 2).

    ``proportional``: rel(l) = (l/L)^α / |Ω^(l)|, the papers' default. It is *not* monotone in l where
    |Ω^(2)| > 2·|Ω^(1)|. ``decomposed``: rel(l) = Σ_{p≤l} w_p / |{k: level ≥ p}|; monotone, and H-AP is then
    exactly Σ_p w_p·AP_p.

    Args:
        kind: "proportional" or "decomposed".
        alpha: exponent α of the proportional relevance; not negative.
        weights: w_1 … w_L, coarse → fine, not negative, of sum 1; the decomposed relevance needs them.

    Raises:
        UsageError: an unknown kind, or weights or alpha out of range.

    >>> counts = torch.tensor([[4.0, 2.0, 1.0]])
    >>> Relevance().table(counts).tolist()
    [[0.0, 0.25, 1.0]]
    >>> Relevance("decomposed", weights=(0.75, 0.25)).table(counts).tolist()
    [[0.0, 0.25, 0.5]]
    """

    kind: str = "proportional"
    alpha: float = 1.0
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("proportional", "decomposed"):
            raise UsageError("relevance is unknown", got=repr(self.kind), expected="'proportional' or 'decomposed'")
        if not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise UsageError("alpha is out of range", got=self.alpha, expected="a finite number of at least 0")
        if self.kind == "decomposed":
            self._check_weights()
        elif self.weights is not None:
            raise UsageError(
                "weights belong to the decomposed relevance",
                got="relevance='proportional' with weights",
                expected="relevance='decomposed', or no weights",
            )

    def _check_weights(self) -> None:
        expected = "w_1 … w_L, coarse to fine, none negative, of sum 1"
        if self.weights is None:
            raise UsageError("weights are missing for the decomposed relevance", expected=expected)
        if not all(weight >= 0 for weight in self.weights) or not math.isclose(sum(self.weights), 1.0, abs_tol=1e-6):
            raise UsageError("weights are out of range", got=self.weights, expected=expected)

    def table(self, counts: Tensor) -> Tensor:
        """rel(l) of every query and level.

        Args:
            counts: b × (L + 1), references of exactly each level.

        Returns:
            b × (L + 1) float64; 0 at level 0 and wherever no reference has that level.

        Raises:
            UsageError: there are not as many weights as label columns.
        """
        counts = counts.to(torch.float64)
        depth = counts.shape[1] - 1
        present = counts > 0
        if self.weights is None:
            level = torch.arange(depth + 1, dtype=torch.float64, device=counts.device)
            worth = (level / depth) ** self.alpha / counts.clamp_min(1)
        else:
            if len(self.weights) != depth:
                raise UsageError(
                    "weights do not fit the labels",
                    got=f"{len(self.weights)} weights",
                    expected=f"{depth}, one a label column",
                )
            at_least = counts.flip(1).cumsum(1).flip(1)
            weights = torch.tensor((0.0, *self.weights), dtype=torch.float64, device=counts.device)
            worth = (weights / at_least.clamp_min(1)).cumsum(1)
        worth = worth * present
        worth[:, 0] = 0.0
        return worth
