"""The metrics of the library on a device: whole blocks of rankings at once, in torch.

The formulas are those of `hierlandmarks.metrics.columns.row`, over matrices of queries × ranks instead of one
query's relevant items. Counts are integers, sums are float64, and rankings break ties by position, so the numbers
agree with the library's to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hierlandmarks.metrics.columns import Plan

BYTES_PER_LEVEL = 40  # of working memory for each score and level: two float64, counts, and what einsum needs


def rank_levels(scores: Tensor, query: Tensor, gallery: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """Levels in order of score, and whether ties between different levels touch a query.

    Args:
        scores: B × G float32, overwritten.
        query: B × L path codes.
        gallery: L × G path codes.
        skip: B gallery rows of the query itself, −1 for none: it goes last, as level 0.

    Returns:
        B × G int8 levels, and B booleans.
    """
    level = torch.zeros(scores.shape, dtype=torch.int8, device=scores.device)
    for theirs, mine in zip(gallery, query.T, strict=True):
        level += theirs[None, :] == mine[:, None]
    itself = torch.nonzero(skip >= 0).flatten()
    scores[itself, skip[itself]] = -torch.inf
    level[itself, skip[itself]] = 0
    ordered, position = torch.sort(scores, dim=1, descending=True, stable=True)
    ranked = level.gather(1, position)
    tied = (ordered[:, 1:] == ordered[:, :-1]) & (ranked[:, 1:] != ranked[:, :-1])
    return ranked, tied.any(dim=1)


def measure_block(plan: Plan, ranked: Tensor, counts: Tensor, relevance: Tensor, size: Tensor) -> Tensor:
    """Every column of a plan for a block of rankings.

    Args:
        plan: what to compute.
        ranked: B × G levels in order of score.
        counts: B × (L + 1) integers, items of each exact level.
        relevance: B × (L + 1) float64.
        size: B, items in each ranking, the query itself left out.

    Returns:
        B × C float64, NaN where a metric is not defined.
    """
    return torch.stack([column.double() for column in _columns(plan, Rankings(ranked, counts), relevance, size)], dim=1)


class Rankings:
    """A block of rankings with what several metrics share, computed once."""

    def __init__(self, ranked: Tensor, counts: Tensor) -> None:
        self.level, self.counts = ranked, counts
        self.depth, self.width = counts.shape[1] - 1, ranked.shape[1]
        self.rank = torch.arange(1, self.width + 1, device=ranked.device)
        self.inverse = 1.0 / self.rank.double()
        self.discount = 1.0 / torch.log2(1.0 + self.rank.double())
        levels = torch.arange(1, self.depth + 1, device=ranked.device)
        self.reached = ranked[:, None, :] >= levels[None, :, None]
        self.found = self.reached.cumsum(
            dim=2, dtype=torch.int32
        )  # B × L × G, items of level ≥ p at or above each rank
        self.positives = counts[:, 1:].flip(1).cumsum(dim=1).flip(1)  # B × L, items of level ≥ p

    def above(self, level: int) -> Tensor:
        """B × G items of level > `level` at or above each rank."""
        return self.found[:, level] if level < self.depth else torch.zeros_like(self.found[:, 0])

    def better(self, level: int) -> Tensor:
        """B items of level > `level` in the gallery."""
        return self.positives[:, level] if level < self.depth else torch.zeros_like(self.positives[:, 0])


def _columns(plan: Plan, block: Rankings, relevance: Tensor, size: Tensor) -> Iterator[Tensor]:
    """The columns in the order of `plan.columns`."""
    if "h_ap" in plan.metrics:
        yield _h_ap(block, relevance)
    if "ndcg" in plan.metrics:
        yield _ndcg(block, block.width)
    if "asi" in plan.metrics:
        yield _asi(block)
    for k in plan.cuts("ndcg_at"):
        yield _ndcg(block, min(k, block.width))
    for k in plan.cuts("tree_distance_at"):
        top = size.clamp(max=k).double()
        yield block.depth - block.level[:, :k].sum(dim=1).double() / top
    for column in plan.binary_columns:
        yield from _binary(plan, block, block.depth - column)


def _h_ap(block: Rankings, relevance: Tensor) -> Tensor:
    """Σ over pairs of exact levels of min(rel, rel) Σ C(k)/rank(k), from sums over levels "at least"."""
    pair = torch.einsum("bpg,bqg->bpq", block.reached * block.inverse, block.found.double())
    pair = torch.nn.functional.pad(pair, (0, 1, 0, 1))
    exact = pair[:, :-1, :-1] - pair[:, 1:, :-1] - pair[:, :-1, 1:] + pair[:, 1:, 1:]
    worth = relevance[:, 1:]
    numerator = (torch.minimum(worth[:, :, None], worth[:, None, :]) * exact).sum(dim=(1, 2))
    return numerator / (block.counts[:, 1:] * worth).sum(dim=1)


def _ndcg(block: Rankings, top: int) -> Tensor:
    gain = torch.exp2(block.level[:, :top].double()) - 1.0
    cumulated = torch.nn.functional.pad(block.discount.cumsum(0), (1, 0))
    ideal = torch.zeros(len(gain), dtype=torch.float64, device=gain.device)
    for level in range(block.depth, 0, -1):
        reach, start = block.positives[:, level - 1].clamp(max=top), block.better(level).clamp(max=top)
        ideal += (2.0**level - 1.0) * (cumulated[reach] - cumulated[start])
    return (gain @ block.discount[:top]) / ideal


def _asi(block: Rankings) -> Tensor:
    total = torch.zeros(len(block.counts), dtype=torch.float64, device=block.level.device)
    for level in range(block.depth, 0, -1):
        start, stop = block.better(level)[:, None], block.positives[:, level - 1, None]
        better = block.above(level)
        same = block.found[:, level - 1] - better
        common = better + torch.minimum(same, block.rank - start)
        inside = (block.rank > start) & (block.rank <= stop)
        total += (common * inside).double() @ block.inverse
    return total / block.positives[:, 0]


def _binary(plan: Plan, block: Rankings, level: int) -> Iterator[Tensor]:
    positive, found = block.reached[:, level - 1], block.found[:, level - 1]
    n = block.positives[:, level - 1]
    terms = (found * positive).double()
    nothing = torch.where(n > 0, 0.0, torch.nan)
    if "ap" in plan.metrics:
        yield terms @ block.inverse / n
    if "ap_exclusive" in plan.metrics:
        above = block.above(level)
        exact = block.level == level
        place = (block.rank - above).clamp(min=1)
        yield ((found - above) * exact / place.double()).sum(dim=1) / block.counts[:, level]
    if "map_at_r" in plan.metrics:
        yield (terms * (block.rank <= n[:, None])) @ block.inverse / n
    for k in plan.cuts("map_at"):
        yield terms[:, :k] @ block.inverse[:k] / n.clamp(max=k)
    for k in plan.cuts("recall_at"):
        yield positive[:, :k].any(dim=1).double() + nothing
    for k in plan.cuts("precision_at"):
        yield positive[:, :k].sum(dim=1).double() / k + nothing
