"""What a loss accepts: shapes, types and values, checked once with an error that names the argument."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.losses.levels import EMPTY

_NORM_TOLERANCE = 0.01  # bf16 rounds unit vectors to within 0.4 %
_warned_about_norm = False


@dataclass(frozen=True)
class Batch:
    """A checked call: queries and what they are ranked against.

    Without references the batch is its own (`own_reference`), and `references` is `embeddings`.
    """

    embeddings: Tensor  # B × d, float32 or float64
    labels: Tensor  # B × L int64
    references: Tensor  # M × d
    ref_labels: Tensor  # M × L
    own_reference: bool


def check_batch(
    embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
) -> Batch:
    """Check a call and bring it to one form: labels B × L int64, embeddings float32 or float64.

    Half precision is computed in float32. Costs one pass over the embeddings.

    Raises:
        UsageError: (a ValueError) naming the argument, what it got and what was expected.
    """
    queries = _embeddings("embeddings", embeddings)
    codes = _labels("labels", labels, len(queries))
    if (ref_emb is None) != (ref_labels is None):
        missing = "ref_labels" if ref_labels is None else "ref_emb"
        raise UsageError(f"{missing} is missing", got="None", expected="ref_emb and ref_labels together")
    if ref_emb is None or ref_labels is None:
        return Batch(queries, codes, queries, codes, own_reference=True)
    references = _embeddings("ref_emb", ref_emb)
    if references.shape[1] != queries.shape[1]:
        raise UsageError(
            "ref_emb has another dimension than embeddings", got=references.shape[1], expected=queries.shape[1]
        )
    ref_codes = _labels("ref_labels", ref_labels, len(references))
    if ref_codes.shape[1] != codes.shape[1]:
        raise UsageError(
            "ref_labels has another number of columns than labels", got=ref_codes.shape[1], expected=codes.shape[1]
        )
    references = references.to(queries.dtype) if queries.dtype == torch.float64 else references
    queries = queries.to(references.dtype)
    return Batch(queries, codes, references, ref_codes, own_reference=False)


def check_level(level: int, labels: Tensor) -> None:
    """Refuse a label column that is not there."""
    columns = labels.shape[1]
    if not 0 <= level < columns:
        raise UsageError("level is out of range", got=level, expected=f"a label column, 0 (finest) … {columns - 1}")


def _embeddings(name: str, value: Tensor) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
        raise UsageError(f"{name} is not a tensor of floats", got=got, expected="a floating-point tensor, N x d")
    if value.ndim != 2 or 0 in value.shape:
        raise UsageError(f"{name} has a wrong shape", got=tuple(value.shape), expected="N x d, neither of them 0")
    value = value if value.dtype == torch.float64 else value.float()
    norms = value.detach().norm(dim=1)
    # One read for both questions: on a GPU each costs a synchronisation. NaN and inf reach the norm.
    finite, furthest = torch.stack([norms.isfinite().all().to(norms.dtype), (norms - 1).abs().max()]).tolist()
    if not finite:
        row = int(norms.isfinite().logical_not().nonzero()[0, 0])
        raise UsageError(f"{name} is not finite", got=f"NaN or infinity in row {row}", expected="finite numbers")
    if furthest > _NORM_TOLERANCE:
        _warn_about_norm(name, furthest)
    return value


def _warn_about_norm(name: str, furthest: float) -> None:
    global _warned_about_norm  # once a process, whichever loss sees it first
    if not _warned_about_norm:
        _warned_about_norm = True
        warnings.warn(
            f"{name} are far from unit length (off by up to {furthest:.3g}); scores are taken to be cosines: "
            "normalise them first, torch.nn.functional.normalize(embeddings)",
            stacklevel=4,
        )


def _labels(name: str, value: Tensor, rows: int) -> Tensor:
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        got = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
        raise UsageError(f"{name} are not integers", got=got, expected="an integer tensor")
    codes = value[:, None] if value.ndim == 1 else value
    if codes.ndim != 2 or len(codes) != rows or codes.shape[1] == 0:
        raise UsageError(
            f"{name} have a wrong shape", got=tuple(value.shape), expected=f"({rows}, L), or ({rows},) for one level"
        )
    if codes.shape[1] > _MOST_LEVELS:
        raise UsageError(f"{name} have too many columns", got=codes.shape[1], expected=f"at most {_MOST_LEVELS}")
    least = int(codes.min())
    if least < EMPTY:
        raise UsageError(f"{name} are out of range", got=least, expected=f"codes from 0, or {EMPTY} for an empty label")
    return codes.long()


_MOST_LEVELS = 100  # a level is kept in one byte
