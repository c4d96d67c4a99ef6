"""The rank losses as one function: scores, ranks, criterion, and both gradients in a single pass.

Queries are visited in blocks. From a block's scores the backend makes its gains and, in their place, their slope with
respect to the scores, which two matrix products carry to the embeddings; one, of slope plus transposed slope, where a
batch that is its own reference fits a block. So the whole gradient is known when the loss is, no B × M tensor outlives
its block, and what is kept for `backward` is one gradient as large as the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hierlandmarks_benchmark.losses.backends import gains_function, sharing_for
from hierlandmarks_benchmark.losses.checks import Batch, check_batch, check_level
from hierlandmarks_benchmark.losses.criteria import Criterion
from hierlandmarks_benchmark.losses.levels import Relevance, level_counts, pair_levels
from hierlandmarks_benchmark.losses.sharing import Share
from hierlandmarks_benchmark.losses.surrogate import Surrogate

_BLOCK_SCORES = {"cpu": 1 << 18}  # larger ones need more memory, smaller ones more changes of hands
_BLOCK_SCORES_DEVICE = 1 << 19  # the triton backend takes six times as much a block, and 1024 × 1024 makes two
_LEAST_ROWS = 64  # fewer make the matrix products slow
_LEAST_SHARE = 1 << 14  # of scores a thread: for fewer, handing over costs more than it saves


Sinks = tuple[Tensor | None, Tensor | None]
"""Where the gradients of queries and of references are added up; None where nobody asks for them."""


@dataclass(frozen=True)
class RankLoss:
    """One rank loss: what is counted, and by which step.

    Args:
        criterion: from ranks to gains; see `criteria`.
        surrogate: SupSurrogate or SmoothSurrogate.
        relevance: how much a level is worth; used by H-AP only.
        column: None for all levels, or the label column whose equality alone makes a positive.
        backend: "auto", "eager", "numba" or "triton".
    """

    criterion: Criterion
    surrogate: Surrogate
    relevance: Relevance
    column: int | None = None
    backend: str = "auto"


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch ships it without types
def rank_loss(
    loss: RankLoss,
    embeddings: Tensor,
    labels: Tensor,
    ref_emb: Tensor | None = None,
    ref_labels: Tensor | None = None,
) -> Tensor:
    """Mean over queries of a rank loss, differentiable once with respect to embeddings and references.

    A query without positives, or without any item of lower level than its best, adds 0 and has no gradient.
    Without references the batch is its own, and each query its own positive.

    Args:
        loss: which one.
        embeddings: B × d, of unit length.
        labels: B × L integers, fine → coarse, or B for one level; -1 is empty.
        ref_emb: M × d, a gallery or memory.
        ref_labels: M × L, or M.

    Returns:
        A scalar, float64 for float64 embeddings and float32 otherwise.

    Raises:
        UsageError: (a ValueError) an argument of wrong shape, type or value; a backend that is not there.
    """
    # What is no tensor is refused inside; torch's threads must rest before the first check of a tensor already.
    device = getattr(embeddings, "device", torch.device("cpu"))
    with sharing_for(loss.backend, device) as share:
        batch = check_batch(embeddings, labels, ref_emb, ref_labels)
        if loss.column is not None:
            check_level(loss.column, batch.labels)
        inputs = batch.embeddings, None if batch.own_reference else batch.references
        if not torch.is_grad_enabled():
            inputs = batch.embeddings.detach(), None
        value: Tensor = _RankLossFunction.apply(*inputs, loss, batch, share)  # type: ignore[no-untyped-call]
        return value


class _RankLossFunction(torch.autograd.Function):
    """Computes value and gradients together; backward only scales what is already there.

    A batch that is its own reference set is handed over once, as embeddings, and gets both gradients as their sum.
    """

    @staticmethod
    def forward(
        ctx: Any, embeddings: Tensor, references: Tensor | None, loss: RankLoss, batch: Batch, share: Share
    ) -> Tensor:
        needs = ctx.needs_input_grad[:2]
        with torch.autocast(embeddings.device.type, enabled=False):
            value, grads = _value_and_gradients(loss, batch, share, needs[0], needs[1])
        ctx.save_for_backward(*grads)
        ctx.backend = loss.backend
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        with sharing_for(ctx.backend, grad_output.device):
            grads = [grad if grad is None else grad * grad_output for grad in ctx.saved_tensors]
        return (*grads, None, None, None)


def _value_and_gradients(
    loss: RankLoss, batch: Batch, share: Share, to_queries: bool, to_references: bool
) -> tuple[Tensor, tuple[Tensor | None, Tensor | None]]:
    queries, references = batch.embeddings.detach(), batch.references.detach()
    grad_queries = torch.zeros_like(queries) if to_queries else None
    grad_references = torch.zeros_like(references) if to_references else None
    sinks = grad_queries, grad_queries if batch.own_reference else grad_references
    budget = _BLOCK_SCORES.get(queries.device.type, _BLOCK_SCORES_DEVICE)
    step = max(_LEAST_ROWS, budget // len(references))
    sums = []
    for first in range(0, len(queries), step):
        rows = slice(first, min(first + step, len(queries)))
        value, slope = _block(loss, batch, share, rows, needs_slope=to_queries or to_references)
        _add_gradients(batch, slope, rows, sinks, share)
        sums.append(value)
    return (torch.stack(sums).sum() / len(queries)).to(queries.dtype), (grad_queries, grad_references)


def _block(loss: RankLoss, batch: Batch, share: Share, block: slice, *, needs_slope: bool) -> tuple[Tensor, Tensor]:
    """Sum of the losses of some queries, and the slope of the batch's mean with respect to their scores.

    Threads share the two things that are long and need no interpreter lock, scores and gains. The many short ones on
    levels are done before: side by side, they would wait for the lock more than they work.
    """
    scale = 1 / len(batch.labels) if needs_slope else None
    queries, references = batch.embeddings.detach()[block], batch.references.detach()
    levels = _levels(loss, batch, block)
    relevance, shares = _worth(loss, levels, batch.labels.shape[1] if loss.column is None else 1)
    scores = queries.new_empty(len(queries), len(references))
    gains = gains_function(loss.backend, scores.device)

    def part(rows: slice) -> Tensor:
        own = torch.mm(queries[rows], references.T, out=scores[rows])
        return gains(own, levels[rows], relevance[rows], shares[rows], loss.criterion, loss.surrogate, scale)

    gained = torch.cat(share(0, len(queries), -(-_LEAST_SHARE // len(references)), part))
    return torch.where(shares[:, 0] > 0, 1 - gained, 0.0).sum(), scores


def _worth(loss: RankLoss, levels: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """Relevance of each level to some queries, and their shares, which are 0 where all references are of one level."""
    counts = level_counts(levels, depth)
    relevance = loss.relevance.table(counts)
    several_levels = (counts > 0).sum(1, keepdim=True) > 1
    return relevance, loss.criterion.shares(counts, relevance) * several_levels


def _add_gradients(batch: Batch, slope: Tensor, block: slice, sinks: Sinks, share: Share) -> None:
    """Carry the slope of a block of queries to the gradients of queries and references."""
    queries, references = batch.embeddings.detach()[block], batch.references.detach()
    to_queries, to_references = sinks
    both = batch.own_reference and len(queries) == len(references)

    def forth(sink: Tensor, rows: slice) -> None:
        sink[block][rows].addmm_(slope[rows] + slope[:, rows].T if both else slope[rows], references)

    def back(sink: Tensor, columns: slice) -> None:
        sink[columns].addmm_(slope[:, columns].T, queries)

    if to_queries is not None:
        share(0, len(queries), -(-_LEAST_SHARE // len(references)), partial(forth, to_queries))
    if to_references is not None and not both:
        share(0, len(references), -(-_LEAST_SHARE // len(queries)), partial(back, to_references))


def _levels(loss: RankLoss, batch: Batch, rows: slice) -> Tensor:
    first = rows.start if batch.own_reference else None
    column = loss.column or 0
    levels = pair_levels(batch.labels[rows, column:], batch.ref_labels[:, column:], first_self=first)
    if loss.column is None:
        return levels
    return (levels == batch.labels.shape[1] - column).to(torch.int8)
