"""The rank losses as one function: scores, ranks, criterion, and both gradients in a single pass.

Queries are visited in blocks. A block's scores give its ranks, the criterion gives the loss and its slope with
respect to the ranks, the backend carries that slope to the scores, and two matrix products carry it to the
embeddings. So the whole gradient is known when the loss is, no B × M tensor outlives its block, and what is kept
for `backward` is one gradient as large as the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hierlandmarks_benchmark.losses.backends import ranks_function, sharing_for
from hierlandmarks_benchmark.losses.checks import Batch, check_batch, check_level
from hierlandmarks_benchmark.losses.criteria import Criterion
from hierlandmarks_benchmark.losses.levels import Relevance, level_counts, pair_levels
from hierlandmarks_benchmark.losses.sharing import Share
from hierlandmarks_benchmark.losses.surrogate import Surrogate

_BLOCK_SCORES = {"cpu": 1 << 18}  # larger ones need more memory, smaller ones more changes of hands
_BLOCK_SCORES_DEVICE = 1 << 22
_LEAST_ROWS = 64  # fewer make the matrix products slow
_LEAST_SHARE = 1 << 14  # of scores a thread: for fewer, handing over costs more than it saves


@dataclass(frozen=True)
class RankLoss:
    """One rank loss: what is counted, and by which step.

    Args:
        criterion: from ranks to a loss a query; see `criteria`.
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
    sums = [
        _block(loss, batch, sinks, share, first, min(first + step, len(queries)))
        for first in range(0, len(queries), step)
    ]
    return (torch.stack(sums).sum() / len(queries)).to(queries.dtype), (grad_queries, grad_references)


def _block(
    loss: RankLoss, batch: Batch, sinks: tuple[Tensor | None, Tensor | None], share: Share, first: int, last: int
) -> Tensor:
    """Sum of the losses of the queries first … last − 1; their gradients are added to the sinks."""
    queries, references = batch.embeddings.detach(), batch.references.detach()
    to_queries, to_references = sinks
    needs_grad = to_queries is not None or to_references is not None
    depth = batch.labels.shape[1] if loss.column is None else 1

    def part(rows: slice) -> tuple[slice, Tensor, Tensor | None]:
        scores = queries[rows] @ references.T
        value, grad = _scores_gradient(loss, scores, _levels(loss, batch, rows), depth, needs_grad)
        if grad is not None:
            grad /= len(queries)
            if to_queries is not None:
                to_queries[rows].addmm_(grad, references)
        return rows, value, grad

    parts = share(first, last, -(-_LEAST_SHARE // len(references)), part)

    def pull(columns: slice) -> None:
        for rows, _, grad in parts:
            if grad is not None and to_references is not None:
                to_references[columns].addmm_(grad[:, columns].T, queries[rows])

    if to_references is not None:
        share(0, len(references), -(-_LEAST_SHARE // (last - first)), pull)
    return torch.stack([value for _, value, _ in parts]).sum()


def _levels(loss: RankLoss, batch: Batch, rows: slice) -> Tensor:
    first = rows.start if batch.own_reference else None
    column = loss.column or 0
    levels = pair_levels(batch.labels[rows, column:], batch.ref_labels[:, column:], first_self=first)
    if loss.column is None:
        return levels
    return (levels == batch.labels.shape[1] - column).to(torch.int8)


def _scores_gradient(
    loss: RankLoss, scores: Tensor, levels: Tensor, depth: int, needs_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """Sum of the losses of some queries and, if asked for, its gradient with respect to their scores."""
    ranks = ranks_function(loss.backend, scores.device)
    counts = level_counts(levels, depth)
    relevance = loss.relevance.table(counts)
    rank, hrank, pull = ranks(scores, levels, relevance, loss.surrogate)
    active = (counts > 0).sum(1) > 1
    with torch.enable_grad():
        rank.requires_grad_(needs_grad)
        hrank.requires_grad_(needs_grad)
        value = (loss.criterion(rank, hrank, levels, counts, relevance) * active).sum()
    if not needs_grad:
        return value, None
    slopes = torch.autograd.grad(value, (rank, hrank), allow_unused=True, materialize_grads=True)
    return value.detach(), pull(*slopes)
