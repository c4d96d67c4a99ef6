"""Which implementation computes the ranks: by name, or the fastest that is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.losses.criteria import Criterion
from hierlandmarks_benchmark.losses.sharing import Share, instead_of_torch_threads, whole
from hierlandmarks_benchmark.losses.surrogate import Surrogate

BACKENDS = ("auto", "eager", "numba", "triton")
_INSTALL = {"numba": "pip install numba", "triton": "pip install triton"}

GainsFunction = Callable[[Tensor, Tensor, Tensor, Tensor, Criterion, Surrogate, float | None], Tensor]
"""(scores, levels, relevance, shares, criterion, surrogate, scale) → Σ gain of every query, b float64.

Scores, b × M float32 or float64, receive the gradient of −scale · Σ gains with respect to them, or with scale
None anything. Levels are b × M int8,
0 … L, relevance b × (L + 1) and shares b × N float64; where a query's first share is 0, it gains nothing.
"""


def check_backend(name: str) -> None:
    """Refuse an unknown backend, and one that is not installed.

    Raises:
        UsageError: with the line that installs it.
    """
    if name not in BACKENDS:
        raise UsageError("backend is unknown", got=repr(name), expected=f"one of {', '.join(BACKENDS)}")
    if name in _INSTALL and not _installed(name):
        raise UsageError(
            f"backend {name} is not installed", got=f"backend={name!r}", expected=_INSTALL[name], do="or use 'auto'"
        )


def gains_function(name: str, device: torch.device) -> GainsFunction:
    """The `gains` function of a backend, imported when first asked for.

    Raises:
        UsageError: unknown, not installed, or not for this device.
    """
    check_backend(name)
    if name == "auto":
        name = _best(device)
    if name == "numba":
        _require_device(name, device, "cpu")
        from hierlandmarks_benchmark.losses import compiled

        return compiled.gains
    if name == "triton":
        from hierlandmarks_benchmark.losses import triton_kernels

        if not triton_kernels.INTERPRETED:
            _require_device(name, device, "cuda")
        return triton_kernels.gains
    from hierlandmarks_benchmark.losses import eager

    return eager.gains


def sharing_for(name: str, device: torch.device) -> AbstractContextManager[Share]:
    """Around one call of a loss: the numba backend has its own threads, the others leave them to torch."""
    name = _best(device) if name == "auto" else name
    return instead_of_torch_threads() if name == "numba" else nullcontext(whole)


def _best(device: torch.device) -> str:
    wanted = {"cpu": "numba", "cuda": "triton"}.get(device.type, "eager")
    return wanted if wanted == "eager" or _installed(wanted) else "eager"


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _require_device(name: str, device: torch.device, wanted: str) -> None:
    if device.type != wanted:
        raise UsageError(
            f"backend {name} does not run here",
            got=f"tensors on {device}",
            expected=f"tensors on {wanted}",
            do="use backend='auto'",
        )
