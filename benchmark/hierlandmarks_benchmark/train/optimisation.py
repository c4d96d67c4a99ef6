"""How weights follow gradients: the optimiser and its groups, learning rates by step, the running mean of weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hierlandmarks.errors import UsageError
from hierlandmarks.params import nearest
from hierlandmarks_benchmark.models import Network
from hierlandmarks_benchmark.objective import Objective
from hierlandmarks_benchmark.recipe import OptimiserParams, Recipe, ScheduleParams

BACKBONE = "backbone"  # the part of a network that can stay frozen for a while


def build_optimiser(network: Network, objective: Objective, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; every group has its peak learning rate under `peak`.

    Raises:
        UsageError: `optimiser.scale` names a part the network does not have.
    """
    params = recipe.optimiser
    groups = _groups(network, objective, params)
    if params.kind == "sgd":
        return torch.optim.SGD(groups, momentum=params.momentum)
    return (torch.optim.AdamW if params.kind == "adamw" else torch.optim.Adam)(groups)


def set_learning_rates(optimiser: Any, params: ScheduleParams, step: int, length: int, epochs: int) -> float:
    """Give every group its learning rate in a step, and say what share of the peak it is.

    It depends on the step alone, so a run that goes on needs no memory of it.

    Args:
        optimiser: from `build_optimiser`.
        params: the schedule.
        step: from 0, over the whole run.
        length: steps an epoch.
        epochs: of the run.
    """
    share = scale(params, step, length, epochs)
    for group in optimiser.param_groups:
        frozen = group[BACKBONE] and step < params.frozen * length
        group["lr"] = 0.0 if frozen else group["peak"] * share
    return share


def scale(params: ScheduleParams, step: int, length: int, epochs: int) -> float:
    """Share of the peak learning rate: linear up over the warm-up, then half a cosine down to the floor, or steps."""
    total, warmup = epochs * length, params.warmup * length
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if params.milestones:
        return float(params.gamma ** sum(step >= milestone * length for milestone in params.milestones))
    done = (step - warmup) / max(1.0, total - warmup)
    return params.floor + (1 - params.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def average_of(network: Network, decay: float) -> AveragedModel:
    """A running mean of the weights, and of BatchNorm's statistics with them."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


def _groups(network: Network, objective: Objective, params: OptimiserParams) -> list[dict[str, Any]]:
    """Weights decay; biases, norms and proxies do not, and proxies have a learning rate of their own."""
    head = objective.head.named_parameters("head") if objective.head is not None else ()
    found: dict[tuple[float, float, bool], list[Tensor]] = {}
    known = dict.fromkeys(params.scale, False)
    for name, parameter in (*network.named_parameters(), *head):
        if parameter.requires_grad:
            part = max((part for part in known if f"{name}.".startswith(f"{part}.")), key=len, default="")
            peak = params.learning_rate * params.scale.get(part, 1.0)
            decay = params.weight_decay if parameter.ndim > 1 else 0.0
            found.setdefault((peak, decay, name.startswith(f"{BACKBONE}.")), []).append(parameter)
            known |= {part: True} if part else {}
    for part, used in known.items():
        if not used:
            parts = {name.partition(".")[0] for name, _ in network.named_parameters()} | {"head"}
            raise UsageError(f"optimiser.scale names {part!r}, which the network has not", do=nearest(part, parts))
    groups: list[dict[str, Any]] = [
        {"params": parameters, "peak": peak, "lr": peak, "weight_decay": decay, BACKBONE: inside}
        for (peak, decay, inside), parameters in found.items()
    ]
    if proxies := list(objective.terms.parameters()):
        peak = params.proxy_learning_rate
        groups.append({"params": proxies, "peak": peak, "lr": peak, "weight_decay": 0.0, BACKBONE: False})
    return groups
