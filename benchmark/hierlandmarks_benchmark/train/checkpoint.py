"""All a run needs to go on, in one safetensors file that is replaced as a whole; nothing in it is executed on reading.

Tensors have the names of what they belong to (`network.…`, `average.…`, `objective.…`, `optimiser.…`, `random.…`);
the rest is JSON in the file's metadata. A checkpoint belongs to a recipe and to data: with others it is refused.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hierlandmarks.errors import CorruptInputError, UsageError

CHECKPOINT = "checkpoint.safetensors"
_STAGED = ".checkpoint.part"
# What may differ when a run goes on: where it runs and how often it reports, not what it learns.
MAY_DIFFER = ("recipe.data.workers", "recipe.sampler.chunk", "recipe.checkpoint.", "recipe.trackers")


def write_checkpoint(folder: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Put a checkpoint in place of the one before; a kill at any moment leaves one of the two whole."""
    from safetensors.torch import save_file

    # A folder, since save_file has a temporary name of its own; always the same, so that what a kill leaves goes.
    staged = folder / _STAGED
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    part = staged / CHECKPOINT
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, part, _encoded(notes))
    with open(part, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(part, folder / CHECKPOINT)
    staged.rmdir()


def remove_checkpoint(folder: Path) -> None:
    """Take away a checkpoint, and what a kill left of one; nothing happens where there is none."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(folder / _STAGED, ignore_errors=True)


def read_checkpoint(folder: Path, about: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The checkpoint in a folder, or None where there is none.

    Args:
        folder: run folder.
        about: recipe and data of the run that wants to go on, as in its `notes["about"]`.

    Raises:
        UsageError: it is of another recipe or of other data; the message names every key that differs.
        CorruptInputError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            notes = json.loads(stream.metadata()["notes"])
            refuse_another(path, notes["about"], json.loads(json.dumps(about)))
            return {name: stream.get_tensor(name) for name in stream.keys()}, notes  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise CorruptInputError(
            f"{path} is no checkpoint", got=" ".join(str(error).split())[:200], do="delete it and start again"
        ) from error


def refuse_another(path: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another recipe or other data, naming every key that differs."""
    old, new = dict(_flat(there)), dict(_flat(here))
    keys = sorted(key for key in {**old, **new} if old.get(key) != new.get(key) and not key.startswith(MAY_DIFFER))
    if keys:
        told = [f"{key} was {old.get(key, 'not there')!r}, is {new.get(key, 'not there')!r}" for key in keys]
        raise UsageError(
            f"{path} is the checkpoint of another run",
            got="; ".join(told),
            do="go on with the recipe and data it was made with, or start again without it (bench train --restart)",
        )


def module_tensors(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's state under a prefix."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def load_module(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `module_tensors` gave."""
    module.load_state_dict(_under(prefix, tensors))


def optimiser_tensors(optimiser: Any) -> dict[str, Tensor]:
    """What an optimiser remembers of every parameter; its settings come from the recipe again."""
    state = optimiser.state_dict()["state"]
    found = ((f"optimiser.{index}.{name}", value) for index, kept in state.items() for name, value in kept.items())
    return {name: value for name, value in found if value is not None}  # SGD without momentum says None


def load_optimiser(optimiser: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` gave, laid out in memory as the parameters are."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _under("optimiser", tensors).items():
        index, _, name = key.partition(".")
        like = parameters[int(index)]
        state.setdefault(int(index), {})[name] = (
            torch.empty_like(like, device="cpu").copy_(value) if value.shape == like.shape else value
        )
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _encoded(notes: Mapping[str, Any]) -> dict[str, str]:
    return {"notes": json.dumps(notes)}
