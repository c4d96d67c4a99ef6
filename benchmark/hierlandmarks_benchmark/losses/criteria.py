"""From ranks to a loss: H-AP, NDCG and recall at K, each a differentiable function of ranks (definitions, section 5).

A criterion sees b queries against M references and returns b losses, 1 − score. Ranks are float64 and mean
something only where the level is at least 1. What depends on the levels alone (relevance, the ideal order) carries
no gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Criterion = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(rank b × M, hrank b × M, levels b × M, relevance b × (L + 1)) → losses b."""


def hap_loss(rank: Tensor, hrank: Tensor, levels: Tensor, relevance: Tensor) -> Tensor:
    """1 − Σ_k H-rank(k)/rank(k) / Σ_k rel(k) over the positives k (HAPPIER, arXiv 2207.04873, eq. 4)."""
    total = relevance.gather(1, levels.long()).sum(1)
    gained = ((hrank / rank) * (levels > 0)).sum(1)
    return torch.where(total > 0, 1 - gained / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0)


def ndcg_loss(rank: Tensor, hrank: Tensor, levels: Tensor, relevance: Tensor) -> Tensor:
    """1 − Σ_k (2^l − 1)/log2(1 + rank(k)) over the same sum for the ideal order of all references."""
    gain = torch.exp2(levels.to(rank.dtype)) - 1
    position = torch.arange(levels.shape[1], device=rank.device, dtype=rank.dtype)
    ideal = (gain.sort(dim=1, descending=True).values / torch.log2(position + 2)).sum(1)
    # Where the level is 0 the gain is 0 and the rank of no meaning: 1 keeps the logarithm finite.
    gained = (gain / torch.log2(1 + rank)).sum(1)
    return torch.where(ideal > 0, 1 - gained / ideal.clamp_min(1.0), 0.0)


def recall_loss(ks: tuple[int, ...], temperature: float) -> Criterion:
    """1 − mean over K of Σ_k σ((K − rank(k))/temperature) / min(|Ω⁺|, K), k over the positives Ω⁺."""

    def loss(rank: Tensor, hrank: Tensor, levels: Tensor, relevance: Tensor) -> Tensor:
        positive = levels > 0
        count = positive.sum(1)
        scores = [(torch.sigmoid((k - rank) / temperature) * positive).sum(1) / count.clamp(1, k) for k in ks]
        return torch.where(count > 0, 1 - torch.stack(scores).mean(0), 0.0)

    return loss
