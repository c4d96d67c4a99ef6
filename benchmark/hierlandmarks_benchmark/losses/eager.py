"""Backend `eager`: ranks and their gradient in plain torch operations, on any device.

The references of a query are grouped by level and sorted by score within a level. Counts of the true step are then
positions (binary search), the linear part of H⁻ is a prefix sum, and what is left for pairs of items is one sigmoid
of the difference *cut at δ*:

    H⁻(t) = σ(min(t, δ)/τ) + start·[t > 0] + (ρ(t − δ) + jump)·[t > δ]

with jump = offset − start − σ(δ/τ), so no pair is ever masked. Pairs are visited in blocks of bounded size. For b
queries, M references and P positives each: O(b·M·log M + b·P·M) time and O(b·M·L) memory beside one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hierlandmarks_benchmark.losses.criteria import Criterion
from hierlandmarks_benchmark.losses.levels import level_counts
from hierlandmarks_benchmark.losses.surrogate import SupSurrogate, Surrogate

Pull = Callable[[Tensor, Tensor, Tensor], None]
"""(d loss/d rank, d loss/d hrank, grad), b × K and b × M: adds d loss/d scores to grad."""

_BLOCK_ELEMENTS = {"cpu": 1 << 18}  # a block and its copy stay in a CPU's second-level cache
_BLOCK_ELEMENTS_DEVICE = 1 << 24  # elsewhere fewer, larger launches win


def gains(
    scores: Tensor,
    levels: Tensor,
    relevance: Tensor,
    shares: Tensor,
    criterion: Criterion,
    surrogate: Surrogate,
    scale: float | None,
) -> Tensor:
    """As `backends.GainsFunction`: ranks forward, the criterion's slopes by autograd, and back to the scores."""
    positive, rank, hrank, pull = ranks(scores, levels, relevance, surrogate)
    if scale is None:
        return criterion.gains(rank, hrank, positive, shares).sum(1)
    with torch.enable_grad():
        rank.requires_grad_()
        hrank.requires_grad_()
        total = criterion.gains(rank, hrank, positive, shares).sum(1)
    weights = torch.full_like(total, -scale)
    to_rank, to_hrank = torch.autograd.grad(total, (rank, hrank), weights, allow_unused=True, materialize_grads=True)
    pull(to_rank, to_hrank, scores.zero_())
    return total.detach()


def ranks(
    scores: Tensor, levels: Tensor, relevance: Tensor, surrogate: Surrogate
) -> tuple[Tensor, Tensor, Tensor, Pull]:
    """Surrogate rank and H-rank of the positives alone, and the way back.

    Args:
        scores: b × M, float32 or float64.
        levels: b × M int8, 0 … L.
        relevance: b × (L + 1) float64, rel(l) of each query.
        surrogate: what stands for H.

    Returns:
        Levels, rank and hrank of the positives, b × K: each level's side by side, padded with level 0, rank 1 and
        hrank 0 where a query has fewer than another; and the function that carries gradients of rank and hrank back to
        the scores, which it needs no more.
    """
    others = _segments(scores, levels, relevance.shape[1] - 1, ordered=isinstance(surrogate, SupSurrogate))
    owns = others[1:]
    meetings = [[_Meeting(own, other, relevance, surrogate) for other in others if other.width] for own in owns]
    rank, hrank = [], []
    for own, met in zip(owns, meetings, strict=True):
        to_rank, to_hrank = zip(*(meeting.sums() for meeting in met), strict=True)
        rank.append(torch.where(own.valid, 1 + sum(to_rank), 1.0))
        hrank.append(torch.where(own.valid, relevance[:, own.level, None] + sum(to_hrank), 0.0))
    widths = [own.width for own in owns]

    def pull(grad_rank: Tensor, grad_hrank: Tensor, grad: Tensor) -> None:
        pieces = torch.split(grad_rank, widths, 1), torch.split(grad_hrank, widths, 1)
        for met, to_rank, to_hrank in zip(meetings, *pieces, strict=True):
            for meeting in met:
                meeting.pull(to_rank, to_hrank, grad)

    positive = torch.cat([own.level * own.valid for own in owns], dim=1)
    return positive, torch.cat(rank, dim=1), torch.cat(hrank, dim=1), pull


@dataclass(frozen=True)
class _Segment:
    """The references of one level, query by query, padded to the longest."""

    level: int
    columns: Tensor  # b × C: where they stand among the references; anything where not valid
    scores: Tensor  # b × C, ascending where the surrogate asks for order; +inf where not valid
    valid: Tensor  # b × C
    counts: Tensor  # b × 1

    @property
    def width(self) -> int:
        return self.columns.shape[1]

    @cached_property
    def finite(self) -> Tensor:
        """Scores, 0 where not valid."""
        return torch.where(self.valid, self.scores, 0.0)

    @cached_property
    def low(self) -> Tensor:
        """Scores, -inf where not valid, so that every surrogate step is 0 there."""
        return torch.where(self.valid, self.scores, -torch.inf)

    def add_to(self, target: Tensor, values: Tensor) -> None:
        """Add b × C values to the columns of a b × M tensor they belong to."""
        target.scatter_add_(1, self.columns, (values * self.valid).to(target.dtype))


def _segments(scores: Tensor, levels: Tensor, depth: int, *, ordered: bool) -> list[_Segment]:
    columns = levels.sort(dim=1, stable=True).indices
    counts = level_counts(levels, depth).long()
    starts = counts.cumsum(1) - counts
    widths = counts.amax(0).tolist()
    segments = []
    for level, width in enumerate(widths):
        place = torch.arange(width, device=scores.device)
        valid = place < counts[:, level, None]
        index = columns.gather(1, (starts[:, level, None] + place).clamp_max_(scores.shape[1] - 1))
        values = torch.where(valid, scores.gather(1, index), torch.inf)
        if ordered:
            values, order = values.sort(dim=1)
            index = index.gather(1, order)
        segments.append(_Segment(level, index, values, valid, counts[:, level, None]))
    return segments


class _Meeting:
    """The positives of one level (own) against the references of one level (other)."""

    def __init__(self, own: _Segment, other: _Segment, relevance: Tensor, surrogate: Surrogate) -> None:
        self.own, self.other, self.surrogate = own, other, surrogate
        self.itself = own.level == other.level
        shared = torch.minimum(relevance[:, own.level], relevance[:, other.level])[:, None]
        self.shared = shared if other.level else torch.zeros_like(shared)
        self.sup = surrogate if isinstance(surrogate, SupSurrogate) else None
        self.beyond_from: Tensor | None = None
        if self.sup is not None and other.level < own.level:
            self.beyond_from = torch.searchsorted(other.scores, self.own.finite + self.sup.delta, right=True)

    def sums(self) -> tuple[Tensor, Tensor]:
        """What the other level adds to rank and to hrank of each own item, b × K."""
        if self.sup is None:
            smooth = self._smooth_sums() - 0.5 * self.itself
            return smooth, self.shared * smooth
        above = self.other.counts - torch.searchsorted(self.other.scores, self.own.finite) - int(self.itself)
        to_hrank = self.shared * above
        if self.beyond_from is None:
            return above.to(torch.float64), to_hrank
        return self._surrogate_sums(self.sup, self.beyond_from), to_hrank

    def _surrogate_sums(self, sup: SupSurrogate, beyond_from: Tensor) -> Tensor:
        strictly = (self.other.counts - torch.searchsorted(self.other.scores, self.own.finite, right=True)).double()
        beyond = (self.other.counts - beyond_from).double()
        totals = self.other.finite.cumsum(1, dtype=torch.float64)
        totals = torch.nn.functional.pad(totals, (1, 0))
        excess = totals[:, -1:] - totals.gather(1, beyond_from) - beyond * (self.own.finite.double() + sup.delta)
        return self._smooth_sums() + sup.start * strictly + sup.jump * beyond + sup.rho * excess

    def pull(self, grad_rank: Tensor, grad_hrank: Tensor, grad: Tensor) -> None:
        """Add this meeting's part of d loss/d scores to grad, b × M, from those of the own ranks, b × K."""
        if self.sup is not None and self.beyond_from is None:
            return  # the true step has no gradient
        weight = grad_rank if self.sup is not None else grad_rank + self.shared * grad_hrank
        weight = (weight * self.own.valid).to(grad.dtype)
        to_other, slopes = self._smooth_pull(weight)
        if self.sup is not None and self.beyond_from is not None:
            steeper = self.sup.rho - self.sup.slope
            starts = torch.zeros(len(weight), self.other.width + 1, dtype=weight.dtype, device=weight.device)
            starts.scatter_add_(1, self.beyond_from, steeper * weight)
            to_other = to_other + starts.cumsum(1)[:, :-1]
            slopes = slopes + steeper * (self.other.counts - self.beyond_from).to(slopes.dtype)
        self.other.add_to(grad, to_other)
        self.own.add_to(grad, -weight * slopes)

    def _smooth_sums(self) -> Tensor:
        """Σ_j σ(min(t, δ)/τ), b × K."""
        out = torch.empty(self.own.scores.shape, dtype=torch.float64, device=self.own.scores.device)
        for rows, items, sigmoid in self._blocks():
            out[rows, items] = sigmoid.sum(-1)
        return out

    def _smooth_pull(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Σ_k weight_k·slope_kj for each j, b × C, and Σ_j slope_kj for each k, b × K."""
        to_other = torch.zeros_like(self.other.scores)
        slopes = torch.empty_like(self.own.scores)
        for rows, items, sigmoid in self._blocks():
            slope = sigmoid.addcmul_(sigmoid, sigmoid, value=-1).div_(self.surrogate.tau)
            to_other[rows] += (weight[rows, None, items] @ slope).squeeze(1)
            slopes[rows, items] = slope.sum(-1)
        return to_other, slopes

    def _blocks(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """σ(min(s_j − s_k, δ)/τ) of a few queries × some own items × all other items at a time."""
        budget = _BLOCK_ELEMENTS.get(self.own.finite.device.type, _BLOCK_ELEMENTS_DEVICE)
        others = self.other.low[:, None, :]
        own = self.own.finite[:, :, None]
        items = max(1, min(self.own.width, budget // self.other.width))
        rows = max(1, budget // (self.other.width * items))
        for row in range(0, len(own), rows):
            for item in range(0, self.own.width, items):
                span = slice(row, row + rows), slice(item, item + items)
                difference = others[span[0]] - own[span]
                if self.sup is not None:
                    difference.clamp_max_(self.sup.delta)
                yield *span, difference.div_(self.surrogate.tau).sigmoid_()
