"""The gradient of one batch: in one pass, or in two that need the memory of a chunk; in one process or several.

Two passes (Gao et al., *Scaling deep contrastive learning batch size under memory limited setup*, arXiv 2101.06983):
embed all chunks without a graph, take the loss's gradient at the embeddings, then embed chunk by chunk again and carry
it on. Dropout has to drop the same in both passes, so the random state of each chunk is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hierlandmarks_benchmark.models import Network
from hierlandmarks_benchmark.objective import Objective
from hierlandmarks_benchmark.train.team import Team

View = Callable[[slice], Tensor]  # some of this process's pictures as the network sees them, the same whenever asked


@dataclass(frozen=True)
class Learner:
    """What learns: the network, the loss, accelerate for precision, and the processes that share a batch."""

    network: Network
    objective: Objective
    accelerator: Any
    team: Team

    def backward(self, view: View, labels: Tensor, sizes: Sequence[int], chunk: int = 0) -> tuple[float, Tensor]:
        """Add the gradient of a whole batch to every parameter, the same in every process.

        Args:
            view: this process's pictures.
            labels: B × L, of all processes in order.
            sizes: pictures of each process.
            chunk: pictures that pass the network at a time; 0 for all at once.

        Returns:
            The loss of the batch, and its terms without weights.
        """
        chunks = _chunks(sizes, self.team.rank, chunk) if chunk else []
        loss, terms = (self._twice if len(chunks) > 1 else self._once)(view, chunks, labels, sizes)
        network = [p for p in self.network.parameters() if p.requires_grad]
        self.team.add_up(network, [p for p in self.objective.parameters() if p.requires_grad])
        return float(loss), terms

    def _once(
        self, view: View, _chunks: Sequence[slice], labels: Tensor, sizes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        return self._loss(self._embed(view(slice(None))), labels, sizes)

    def _twice(
        self, view: View, chunks: Sequence[slice], labels: Tensor, sizes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        states, parts = [], []
        with torch.no_grad(), _statistics_kept(self.network):
            for chunk in chunks:
                states.append(_random_state())
                parts.append(self._embed(view(chunk)))
        embeddings = torch.cat(parts).requires_grad_()
        loss, terms = self._loss(embeddings, labels, sizes)
        assert embeddings.grad is not None
        after = _random_state()
        for chunk, state in zip(chunks, states, strict=True):
            _set_random_state(state)
            self._embed(view(chunk)).backward(embeddings.grad[chunk])  # type: ignore[no-untyped-call]
        _set_random_state(after)
        return loss, terms

    def _embed(self, pictures: Tensor) -> Tensor:
        with self.accelerator.autocast():
            found: Tensor = self.network(pictures)
        return found

    def _loss(self, embeddings: Tensor, labels: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
        loss, terms = self.objective(self.team.gather(embeddings, sizes), labels)
        self.accelerator.backward(loss)  # scaled where the precision is fp16
        return loss.detach(), terms


def _chunks(sizes: Sequence[int], rank: int, chunk: int) -> list[slice]:
    """The own part in pieces of at most `chunk`, as many as every other process has.

    A BatchNorm that shares its batches waits for all processes in every piece.
    """
    count, most = sizes[rank], -(-max(sizes) // chunk)
    starts = list(range(0, count, chunk))
    if len(starts) < most:
        starts = [count * piece // most for piece in range(most)]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


def _random_state() -> tuple[Tensor, ...]:
    cpu = torch.get_rng_state()
    return (cpu, torch.cuda.get_rng_state()) if torch.cuda.is_available() else (cpu,)


def _set_random_state(state: tuple[Tensor, ...]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let a BatchNorm that learns its statistics learn them in the other pass only."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
