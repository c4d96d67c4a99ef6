"""CrossBatchMemory: any loss against the embeddings of earlier batches as well."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.losses.checks import check_batch


class CrossBatchMemory(nn.Module):
    """A ring of past embeddings that a loss takes as its reference set (XBM, Wang et al., CVPR 2020, arXiv 1912.06798).

    A batch is compared with the memory as it was *before* it came, so no query meets itself, and then, in training
    mode, replaces the oldest entries. While the memory is empty the batch is its own reference. The memory keeps
    float32 values without gradient and is part of the state dict. Under several processes each keeps its own.

    Args:
        loss: any loss of this package, called with references.
        size: how many embeddings are kept; a larger batch keeps its last ones.
        dim: size of the embeddings.
        columns: label columns L.

    Raises:
        UsageError: (a ValueError) a size below 1.
    """

    embeddings: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(self, loss: nn.Module, size: int, dim: int, columns: int = 1) -> None:
        super().__init__()
        for name, value in (("size", size), ("dim", dim), ("columns", columns)):
            if value < 1:
                raise UsageError(f"{name} is out of range", got=value, expected="at least 1")
        self.loss = loss
        self.size = size
        self.register_buffer("embeddings", torch.zeros(size, dim))
        self.register_buffer("labels", torch.zeros(size, columns, dtype=torch.long))
        self.register_buffer(
            "seen", torch.zeros((), dtype=torch.long)
        )  # entries ever added; the next slot is seen % size

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        """The loss of the batch against the memory, and behind it the references given, which may carry gradient.

        Raises:
            UsageError: (a ValueError) an argument of wrong shape, type or value.
        """
        batch = check_batch(embeddings, labels, ref_emb, ref_labels)
        expected = self.embeddings.shape[1], self.labels.shape[1]
        got = batch.embeddings.shape[1], batch.labels.shape[1]
        if got != expected:
            raise UsageError(
                "embeddings or labels do not fit the memory", got=f"(dim, columns) = {got}", expected=expected
            )
        filled = min(int(self.seen), self.size)
        # Clones, because what the loss saves for backward must survive the overwriting below.
        memory = self.embeddings[:filled].to(batch.embeddings.dtype, copy=True)
        codes = self.labels[:filled].clone()
        if not batch.own_reference:
            memory = torch.cat([memory, batch.references])
            codes = torch.cat([codes, batch.ref_labels])
        value: Tensor = (
            self.loss(batch.embeddings, batch.labels, memory, codes)
            if len(memory)
            else self.loss(batch.embeddings, batch.labels)
        )
        if self.training:
            self._add(batch.embeddings.detach(), batch.labels)
        return value

    @torch.no_grad()
    def _add(self, embeddings: Tensor, labels: Tensor) -> None:
        kept = embeddings[-self.size :]
        first = int(self.seen) + len(embeddings) - len(kept)
        slots = torch.arange(first, first + len(kept), device=kept.device) % self.size
        self.embeddings[slots] = kept.to(self.embeddings.dtype)
        self.labels[slots] = labels[-self.size :]
        self.seen += len(embeddings)
