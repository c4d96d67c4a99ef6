"""The processes that train one network: who takes which part of a batch, and how parts become one batch and gradient.

Every process embeds its part, sees the embeddings of all, and computes the loss of the whole batch. Only its own part
carries gradient there, so the network's gradients of all processes add up to that of one process with the whole batch,
and nothing but one sum of gradients has to travel back. Alone, every method gives back what it was given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hierlandmarks.errors import HierlandmarksError, UsageError
from hierlandmarks_benchmark.train.normalisation import share_batch_norm

Ints = NDArray[np.int64]
M = TypeVar("M", bound=nn.Module)
LOST = ("gloo/transport", "Connection closed by peer", "Connection reset by peer")


@dataclass(frozen=True)
class Team:
    """One process's place among those that train together.

    Attributes:
        rank: from 0; process 0 writes.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def found(cls) -> Team:
        """As torchrun or accelerate started it."""
        together = dist.is_available() and dist.is_initialized()
        return cls(dist.get_rank(), dist.get_world_size()) if together else cls()

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, rows: Ints) -> Ints:
        """The part of a batch that this process embeds: consecutive rows, as many as the others' or one more.

        Raises:
            UsageError: more processes than rows.
        """
        if len(rows) < self.size:
            raise UsageError(
                "a batch has fewer pictures than there are processes",
                got=f"{len(rows)} pictures for {self.size}",
                do="raise sampler.batch, or start fewer processes",
            )
        parts: list[Ints] = np.array_split(rows, self.size)
        return parts[self.rank]

    def collect(self, own: Ints, device: torch.device) -> list[Ints]:
        """The rows of every process, in order; they may differ in number where pictures could not be read."""
        if self.size == 1:
            return [own]
        counts = self._gather(torch.tensor([len(own)], device=device))
        sizes = [int(count) for count in counts]
        found = self.gather(torch.from_numpy(own).to(device), sizes).cpu().numpy()
        return np.split(found, np.cumsum(sizes)[:-1])

    def gather(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """The rows of all processes behind each other; gradient reaches this process's own.

        Args:
            own: this process's rows.
            sizes: how many each process has.
        """
        if self.size == 1:
            return own
        room = [0, 0] * (own.ndim - 1) + [0, max(sizes) - len(own)]
        parts = [part[:size] for part, size in zip(self._gather(F.pad(own.detach(), room)), sizes, strict=True)]
        parts[self.rank] = own
        return torch.cat(parts)

    def add_up(self, parts: Sequence[Tensor], wholes: Sequence[Tensor]) -> None:
        """Make gradients those of the whole batch, in one all-reduce.

        Args:
            parts: parameters whose gradient each process knows for its own pictures: summed.
            wholes: parameters whose gradient each knows for the whole batch: averaged, so that they never drift apart.
        """
        if self.size == 1:
            return
        gradients = [p.grad for p in parts if p.grad is not None]
        whole = [p.grad / self.size for p in wholes if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in (*gradients, *whole)])
        dist.all_reduce(flat)
        targets = [*gradients, *(p.grad for p in wholes if p.grad is not None)]
        for target, piece in zip(targets, torch.split(flat, [target.numel() for target in targets]), strict=True):
            target.copy_(piece.view(target.shape))

    def share_statistics(self, network: M) -> M:
        """The network, with a BatchNorm that learns its statistics learning them from all processes."""
        norms = (layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))
        if self.size == 1 or not any(layer.training for layer in norms):
            return network
        if next(network.parameters()).is_cuda:
            return cast(M, nn.SyncBatchNorm.convert_sync_batchnorm(network))  # type: ignore[no-untyped-call]
        return share_batch_norm(network)

    def same_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers of the first, to the last bit."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def everyone(self, own: Tensor) -> list[Tensor]:
        """The same tensor of every process, in order; all of one shape."""
        return self._gather(own) if self.size > 1 else [own]

    def _gather(self, own: Tensor) -> list[Tensor]:
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own.contiguous())
        return parts


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Work that may be shared under torchrun: what joins the processes is ended with it, whatever the end.

    Left to the interpreter, gloo's threads may still hold Python objects when it goes, and the process aborts. Ended,
    the others find their connection closed wherever they wait, and none waits for ever.

    Raises:
        HierlandmarksError: another process went away; what stopped it is said there.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise HierlandmarksError(
            "another of the processes that train together has stopped",
            got=str(error).splitlines()[0][:200],
            do="see what it said, and start the same command again",
        ) from error
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def _is_lost(error: RuntimeError) -> bool:
    """Whether this process failed only because the connection to another one did; gloo has no class for that."""
    return isinstance(error, dist.DistError) or any(words in str(error) for words in LOST)
