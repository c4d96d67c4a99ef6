"""From ranks to a loss: H-AP, NDCG and recall at K, each a differentiable function of ranks (definitions, section 5).

A criterion sees b queries against M references and returns b losses, 1 − score. Ranks are float64 and mean
something only where the level is at least 1. What depends on the levels alone (relevance, the ideal order) carries
no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Criterion = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""(rank b × M, hrank b × M, levels b × M, counts b × (L + 1), relevance b × (L + 1)) → losses b.

Where the level is 0, rank is 1 and hrank 0. Counts are of the references of each level.
"""


def hap_loss(rank: Tensor, hrank: Tensor, levels: Tensor, counts: Tensor, relevance: Tensor) -> Tensor:
    """1 − Σ_k H-rank(k)/rank(k) / Σ_k rel(k) over the positives k (HAPPIER, arXiv 2207.04873, eq. 4)."""
    total = (relevance * counts).sum(1)
    gained = (hrank / rank).sum(1)
    return torch.where(total > 0, 1 - gained / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0)


def ndcg_loss(rank: Tensor, hrank: Tensor, levels: Tensor, counts: Tensor, relevance: Tensor) -> Tensor:
    """1 − Σ_k (2^l − 1)/log2(1 + rank(k)) over the same sum for the ideal order of all references."""
    gained = ((torch.exp2(levels.to(rank.dtype)) - 1) / torch.log2(1 + rank)).sum(1)
    ideal = _ideal_dcg(counts, levels.shape[1])
    return torch.where(ideal > 0, 1 - gained / ideal.clamp_min(1.0), 0.0)


def _ideal_dcg(counts: Tensor, references: int) -> Tensor:
    """Discounted gain of the order by level: each level takes the places behind all higher ones."""
    place = torch.arange(references, dtype=counts.dtype, device=counts.device)
    discount = torch.nn.functional.pad((1 / torch.log2(place + 2)).cumsum(0), (1, 0))
    last = counts.flip(1).cumsum(1).flip(1).long()
    taken = discount[last] - discount[last - counts.long()]
    gain = torch.exp2(torch.arange(counts.shape[1], dtype=counts.dtype, device=counts.device)) - 1
    return (taken * gain).sum(1)


@dataclass(frozen=True)
class RecallLoss:
    """1 − mean over K of Σ_k σ((K − rank(k))/temperature) / min(|Ω⁺|, K), k over the positives Ω⁺."""

    ks: tuple[int, ...]
    temperature: float

    def __call__(self, rank: Tensor, hrank: Tensor, levels: Tensor, counts: Tensor, relevance: Tensor) -> Tensor:
        """A `Criterion`."""
        positive = levels > 0
        count = counts[:, 1:].sum(1)
        scores = [(torch.sigmoid((k - rank) / self.temperature) * positive).sum(1) / count.clamp(1, k) for k in self.ks]
        return torch.where(count > 0, 1 - torch.stack(scores).mean(0), 0.0)
