"""The rank losses twice more, slowly: item by item, and as B × M × M tensors the way one writes them down first.

`loss_and_gradients` follows definitions.md (sections 1, 2, 4, 5) with Python loops over queries, positives and
references, one term at a time, in float64; it shares no line with the package. `direct_hap`, `direct_ndcg` and
`direct_ap` are the cubic form a user would write in torch; the benchmark measures against them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """Everything the definitions leave open."""

    score: Literal["hap", "ndcg", "recall"] = "hap"
    smooth: bool = False  # SmoothRank instead of SupRank
    column: int | None = None  # binary: positives share this label column and all coarser ones
    relevance: Literal["proportional", "decomposed"] = "proportional"
    alpha: float = 1.0
    weights: tuple[float, ...] = ()
    tau: float = 0.01
    rho: float = 100.0
    delta: float = 0.05
    start: float = 0.5
    offset: float | None = None
    ks: tuple[int, ...] = (1, 2, 4, 8, 16)
    temperature: float = 1.0


def level_of(labels: list[int], other: list[int]) -> int:
    """Matching labels from the coarse end up to the first that differs; an empty one (-1) never matches."""
    level = 0
    for mine, theirs in zip(reversed(labels), reversed(other), strict=True):
        if mine != theirs or mine == -1:
            return level
        level += 1
    return level


def loss_and_gradients(
    settings: Settings,
    embeddings: Tensor,
    labels: Tensor,
    ref_emb: Tensor | None = None,
    ref_labels: Tensor | None = None,
) -> tuple[float, Tensor, Tensor | None]:
    """Loss, d loss/d embeddings, d loss/d ref_emb (None without references), in float64."""
    queries = embeddings.detach().double().requires_grad_()
    references = queries if ref_emb is None else ref_emb.detach().double().requires_grad_()
    codes = labels[:, None] if labels.ndim == 1 else labels
    ref_codes = codes if ref_labels is None else (ref_labels[:, None] if ref_labels.ndim == 1 else ref_labels)
    total = torch.zeros((), dtype=torch.float64)
    for query in range(len(queries)):
        scores = references @ queries[query]
        itself = query if ref_emb is None else None
        levels = _levels(settings, codes[query].tolist(), ref_codes.tolist(), itself)
        total = total + _query_loss(settings, scores, levels, 1 if settings.column is not None else codes.shape[1])
    loss = total / len(queries)
    inputs = [queries] if ref_emb is None else [queries, references]
    if not loss.requires_grad:
        return float(loss), torch.zeros_like(queries), None if ref_emb is None else torch.zeros_like(references)
    grads = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
    return float(loss.detach()), grads[0], grads[1] if ref_emb is not None else None


def _levels(settings: Settings, labels: list[int], others: list[list[int]], itself: int | None) -> list[int]:
    column = settings.column or 0
    levels = [level_of(labels[column:], other[column:]) for other in others]
    if itself is not None:
        levels[itself] = len(labels) - column
    if settings.column is not None:
        levels = [int(level == len(labels) - column) for level in levels]
    return levels


def relevances(settings: Settings, levels: list[int], depth: int) -> list[float]:
    """rel(l) for l = 0 … L, 0 where no reference has that level."""
    relevance = [0.0]
    for level in range(1, depth + 1):
        if level not in levels:
            relevance.append(0.0)
        elif settings.relevance == "proportional":
            relevance.append((level / depth) ** settings.alpha / levels.count(level))
        else:
            shares = [settings.weights[p - 1] / sum(other >= p for other in levels) for p in range(1, level + 1)]
            relevance.append(sum(shares))
    return relevance


def _step(settings: Settings, difference: Tensor, *, lower: bool) -> Tensor | float:
    """What stands for H(t) between two items."""
    t = difference.item()
    smooth = torch.sigmoid(difference / settings.tau)
    if settings.smooth:
        return smooth
    if not lower:
        return 1.0 if t >= 0 else 0.0
    if t <= 0:
        return smooth
    if t <= settings.delta:
        return smooth + settings.start
    at_delta = 1 / (1 + math.exp(-settings.delta / settings.tau)) + settings.start
    offset = at_delta if settings.offset is None else settings.offset
    return settings.rho * (difference - settings.delta) + offset


def _query_loss(settings: Settings, scores: Tensor, levels: list[int], depth: int) -> Tensor | float:
    if max(levels) == 0 or min(levels) == max(levels):
        return 0.0
    relevance = relevances(settings, levels, depth)
    terms: list[Tensor | float] = []
    positives = [k for k, level in enumerate(levels) if level > 0]
    for k in positives:
        rank: Tensor | float = torch.ones((), dtype=torch.float64)
        hrank: Tensor | float = relevance[levels[k]]
        for j, level in enumerate(levels):
            if j == k:
                continue
            step = _step(settings, scores[j] - scores[k], lower=level < levels[k])
            rank = rank + step
            if level > 0:
                shared = min(relevance[level], relevance[levels[k]])
                above = step if settings.smooth else float(scores[j].item() >= scores[k].item())
                hrank = hrank + shared * above
        terms.append(_gain(settings, rank, hrank, levels[k], len(positives)))
    if settings.score == "recall":
        return 1 - sum(terms)
    if settings.score == "ndcg":
        ideal = sum((2**level - 1) / math.log2(2 + place) for place, level in enumerate(sorted(levels, reverse=True)))
        return 1 - sum(terms) / ideal
    worth = sum(relevance[levels[k]] for k in positives)
    return 1 - sum(terms) / worth if worth > 0 else 0.0


def _gain(settings: Settings, rank: Tensor, hrank: Tensor | float, level: int, positives: int) -> Tensor:
    if settings.score == "hap":
        return hrank / rank
    if settings.score == "ndcg":
        return (2**level - 1) / torch.log2(1 + rank)
    shares = [torch.sigmoid((k - rank) / settings.temperature) / min(positives, k) for k in settings.ks]
    return sum(shares) / len(settings.ks)


def average_precision_loss(scores: list[float], positive: list[bool], *, ties_count: bool = True) -> float:
    """1 − AP with the true step, for one query; without `ties_count` a negative of equal score is not above."""
    total = 0.0
    for k, score in enumerate(scores):
        if positive[k]:
            among = 1 + sum(other >= score for j, other in enumerate(scores) if j != k and positive[j])
            negatives = [other for j, other in enumerate(scores) if not positive[j]]
            above = sum(other > score or (ties_count and other == score) for other in negatives)
            total += among / (among + above)
    return 1 - total / sum(positive)


def direct_rank(scores: Tensor, levels: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """SupRank of every item, B × M, and the true step between all pairs, B × M × M."""
    difference = scores[:, None, :] - scores[:, :, None]  # [query, k, j] = s_j − s_k
    at_delta = 1 / (1 + math.exp(-settings.delta / settings.tau)) + settings.start
    offset = at_delta if settings.offset is None else settings.offset
    smooth = torch.sigmoid(difference / settings.tau)
    linear = settings.rho * (difference - settings.delta) + offset
    surrogate = torch.where(
        difference <= 0, smooth, torch.where(difference <= settings.delta, smooth + settings.start, linear)
    )
    true_step = (difference >= 0).to(scores.dtype)
    lower = levels[:, None, :] < levels[:, :, None]
    others = ~torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    return 1 + (torch.where(lower, surrogate, true_step) * others).sum(-1), true_step * others


def direct_hap(scores: Tensor, levels: Tensor, relevance: Tensor, settings: Settings) -> Tensor:
    """Mean 1 − SupHAP of a batch; levels B × M, relevance of every item B × M. O(B·M²) memory."""
    rank, above = direct_rank(scores, levels, settings)
    hrank = relevance + (torch.minimum(relevance[:, None, :], relevance[:, :, None]) * above).sum(-1)
    return (1 - ((levels > 0) * hrank / rank).sum(1) / relevance.sum(1)).mean()


def direct_ndcg(scores: Tensor, levels: Tensor, settings: Settings) -> Tensor:
    """Mean 1 − SupNDCG of a batch. O(B·M²) memory."""
    rank, _ = direct_rank(scores, levels, settings)
    gain = torch.exp2(levels.to(scores.dtype)) - 1
    places = torch.arange(2, scores.shape[1] + 2, dtype=scores.dtype, device=scores.device)
    ideal = (gain.sort(dim=1, descending=True).values / torch.log2(places)).sum(1)
    return (1 - (gain / torch.log2(1 + rank)).sum(1) / ideal).mean()


def direct_ap(scores: Tensor, levels: Tensor, settings: Settings) -> Tensor:
    """Mean 1 − SupAP of a batch; levels B × M are 0 or 1. O(B·M²) memory."""
    rank, above = direct_rank(scores, levels, settings)
    positive = (levels > 0).to(scores.dtype)
    among = 1 + (above * positive[:, None, :]).sum(-1)
    return (1 - (positive * among / rank).sum(1) / positive.sum(1)).mean()
