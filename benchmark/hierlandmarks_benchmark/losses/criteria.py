"""From ranks to a loss: H-AP, NDCG and recall at K, each a differentiable function of ranks (definitions, section 5).

Every criterion is 1 − Σ_k gain(rank(k), H-rank(k), level(k)) over the positives k of a query. What depends on the
levels alone (the sum of relevances, the ideal order) is a query's *share*, which the gains are multiplied with and
which carries no gradient. Ranks are float64 and mean something only where the level is at least 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Criterion(Protocol):
    """What a loss counts. `compiled_criteria` and `triton_kernels` hold the same gains once more, with their slopes."""

    def shares(self, counts: Tensor, relevance: Tensor) -> Tensor:
        """What gains are multiplied with, b × N float64; 0 where there is nothing to gain.

        Args:
            counts: b × (L + 1), references of each level.
            relevance: b × (L + 1), rel(l).
        """

    def gains(self, rank: Tensor, hrank: Tensor, levels: Tensor, shares: Tensor) -> Tensor:
        """Gain of every reference, b × M, 0 where the level is 0. Rank is 1 there, and hrank 0."""


@dataclass(frozen=True)
class HAPCriterion:
    """Σ_k H-rank(k)/rank(k) / Σ_k rel(k) (HAPPIER, arXiv 2207.04873, eq. 4)."""

    def shares(self, counts: Tensor, relevance: Tensor) -> Tensor:
        """1 / Σ rel; b × 1."""
        total = (relevance * counts).sum(1, keepdim=True)
        return torch.where(total > 0, 1 / total, 0.0)

    def gains(self, rank: Tensor, hrank: Tensor, levels: Tensor, shares: Tensor) -> Tensor:
        """H-rank/rank."""
        return hrank / rank * shares


@dataclass(frozen=True)
class NDCGCriterion:
    """Σ_k (2^l − 1)/log2(1 + rank(k)) over the same sum for the ideal order of all references."""

    def shares(self, counts: Tensor, relevance: Tensor) -> Tensor:
        """1 / ideal DCG, where each level takes the places behind all higher ones; b × 1."""
        references = int(counts[0].sum())
        place = torch.arange(references, dtype=counts.dtype, device=counts.device)
        discount = torch.nn.functional.pad((1 / torch.log2(place + 2)).cumsum(0), (1, 0))
        last = counts.flip(1).cumsum(1).flip(1).long()
        taken = discount[last] - discount[last - counts.long()]
        gain = torch.exp2(torch.arange(counts.shape[1], dtype=counts.dtype, device=counts.device)) - 1
        ideal = (taken * gain).sum(1, keepdim=True)
        return torch.where(ideal > 0, 1 / ideal, 0.0)

    def gains(self, rank: Tensor, hrank: Tensor, levels: Tensor, shares: Tensor) -> Tensor:
        """(2^l − 1)/log2(1 + rank)."""
        return (torch.exp2(levels.to(rank.dtype)) - 1) / torch.log2(1 + rank) * shares


@dataclass(frozen=True)
class RecallCriterion:
    """Mean over K of Σ_k σ((K − rank(k))/temperature) / min(|Ω⁺|, K)."""

    ks: tuple[int, ...]
    temperature: float

    def shares(self, counts: Tensor, relevance: Tensor) -> Tensor:
        """1 / (number of K · min(|Ω⁺|, K)); b × number of K."""
        count = counts[:, 1:].sum(1, keepdim=True)
        ks = torch.tensor(self.ks, dtype=counts.dtype, device=counts.device)
        return (count > 0) / (len(self.ks) * torch.minimum(count.clamp_min(1), ks))

    def gains(self, rank: Tensor, hrank: Tensor, levels: Tensor, shares: Tensor) -> Tensor:
        """σ((K − rank)/temperature), added up over K."""
        terms = [torch.sigmoid((k - rank) / self.temperature) * shares[:, n, None] for n, k in enumerate(self.ks)]
        return torch.stack(terms).sum(0) * (levels > 0)
