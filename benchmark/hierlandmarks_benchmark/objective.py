"""The loss of a recipe: terms by name out of `losses`, given what they need to know, behind a head of their own."""

from __future__ import annotations

import inspect

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hierlandmarks.errors import UsageError
from hierlandmarks.params import nearest
from hierlandmarks_benchmark import losses
from hierlandmarks_benchmark.recipe import LossTerm

_NOT_TERMS = {"WeightedLoss", "CrossBatchMemory"}  # wrappers of losses
_PROXIES_ONLY = {"ProxyLoss", "CSLLoss"}  # they compare with no other images, so a memory tells them nothing


class Objective(nn.Module):
    """Σ weight · term of the embeddings, or of a projection of them that nobody else sees.

    Args:
        terms: as in the recipe.
        labels: N × L codes of the training set, fine → coarse, counted from 0 in column 0 (see `compact`).
        dim: length of the embeddings.
        head: length of the projection, 0 for none.
        memory: embeddings of earlier batches that terms with references see as well, 0 for none.

    Raises:
        UsageError: no terms, an unknown loss (the nearest is named), or arguments it does not take.
    """

    def __init__(
        self, terms: tuple[LossTerm, ...], labels: NDArray[np.int64], dim: int, head: int = 0, memory: int = 0
    ) -> None:
        super().__init__()
        if not terms:
            raise UsageError("the recipe has no loss", expected="a list of name, weight and params under loss")
        _, first = np.unique(labels[:, 0], return_index=True)
        known = {"num_classes": len(first), "dim": head or dim, "class_labels": torch.from_numpy(labels[first])}
        self.head = nn.Linear(dim, head) if head else None
        built = [_build(term, known) for term in terms]
        if memory:
            built = [_remembering(loss, memory, head or dim, labels.shape[1]) for loss in built]
        self.terms = nn.ModuleList(built)
        self.weights = tuple(term.weight for term in terms)

    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings B × d and labels B × L → the loss, and its terms without weights (for the record, detached)."""
        if self.head is not None:
            embeddings = F.normalize(self.head(embeddings), dim=1)
        parts = torch.stack([term(embeddings, labels) for term in self.terms])
        return parts @ parts.new_tensor(self.weights), parts.detach()


def compact(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same labels with the codes of every column counted from 0 without gaps; -1 stays.

    >>> compact(np.array([[7, 1], [3, -1], [7, 1]])).tolist()
    [[1, 0], [0, -1], [1, 0]]
    """
    out = np.full_like(labels, -1)
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        out[known, column] = np.unique(labels[known, column], return_inverse=True)[1]
    return out


def _build(term: LossTerm, known: dict[str, object]) -> nn.Module:
    names = sorted(set(losses.__all__) - _NOT_TERMS)
    if term.name not in names:
        raise UsageError("loss.name is unknown", got=repr(term.name), do=nearest(term.name, names))
    make = getattr(losses, term.name)
    accepted = inspect.signature(make).parameters
    for key in term.params:
        if key not in accepted:
            raise UsageError(f"{term.name} takes no {key!r}", do=nearest(str(key), accepted))
    loss = make(**{key: value for key, value in known.items() if key in accepted}, **term.params)
    assert isinstance(loss, nn.Module)
    return loss


def _remembering(loss: nn.Module, size: int, dim: int, columns: int) -> nn.Module:
    return loss if type(loss).__name__ in _PROXIES_ONLY else losses.CrossBatchMemory(loss, size, dim, columns)
