"""What goes wrong in a step, said so that the reader can act: no memory, or a loss that is no number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from hierlandmarks.errors import UsageError
from hierlandmarks.tables import atomic_path
from hierlandmarks_benchmark.recipe import Recipe
from hierlandmarks_benchmark.samplers import Step

BROKEN = "broken-batch{rank}.safetensors"


@contextmanager
def advice_on_memory(recipe: Recipe, share: int) -> Iterator[None]:
    """Turn running out of memory into a sentence that says what to lower.

    Args:
        recipe: what was asked for.
        share: pictures of a batch that this process embeds.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in first:
            raise
        chunk = min(recipe.sampler.chunk or share, share)
        lower = f"set sampler.chunk={max(1, chunk // 2)}" if chunk > 1 else "lower data.size or sampler.batch"
        raise UsageError(
            f"the recipe {recipe.name} does not fit in memory with {chunk} pictures of {recipe.data.size} × "
            f"{recipe.data.size} at a time",
            got=first,
            do=f"{lower}; that changes only what passes the network at once"
            if chunk > 1
            else f"{lower}, or take a smaller model",
        ) from error


def keep_batch(folder: Path, rank: int, step: Step, tensors: dict[str, Tensor], ids: Sequence[str]) -> Path:
    """Write this process's part of a batch for whoever looks into what happened.

    Args:
        folder: run folder.
        rank: of this process; each writes its own file.
        step: which.
        tensors: decoded pictures, labels, the random numbers of the augmentation.
        ids: of the pictures.

    Returns:
        The file: safetensors, with `ids` (JSON), `epoch` and `step` (from 1) among its metadata.
    """
    from safetensors.torch import save

    path = folder / BROKEN.format(rank=f"-{rank}" if rank else "")
    with atomic_path(path) as part:
        content = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        notes = {"ids": json.dumps(list(ids)), "epoch": str(step.epoch + 1), "step": str(step.within + 1)}
        part.write_bytes(save(content, notes))
    return path


def not_a_number(loss: float, step: Step, terms: dict[str, float], path: Path | None) -> UsageError:
    """The error for a loss that is no number."""
    saved = f"; the batch is in {path}" if path else ""
    return UsageError(
        f"the loss is {loss} in epoch {step.epoch + 1}, step {step.within + 1}",
        got=", ".join(f"{name} {value:.4g}" for name, value in terms.items()),
        do=f"lower optimiser.learning_rate or set optimiser.clip{saved}",
    )
