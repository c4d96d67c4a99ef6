"""Small batches with labels from fine to coarse, for the tests of the losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """A call of a loss, in float64."""

    embeddings: Tensor
    labels: Tensor
    ref_emb: Tensor | None = None
    ref_labels: Tensor | None = None

    def to(self, dtype: torch.dtype) -> Case:
        """The same with embeddings of another type."""
        refs = None if self.ref_emb is None else self.ref_emb.to(dtype)
        return Case(self.embeddings.to(dtype), self.labels, refs, self.ref_labels)


def tree_labels(count: int, classes: int, seed: int) -> Tensor:
    """`count` × 3 labels of a tree with `classes` leaves, unequally often."""
    generator = torch.Generator().manual_seed(seed)
    fine = (torch.rand(count, generator=generator) ** 2 * classes).long()
    return torch.stack([fine, fine % 5, fine % 5 % 2], dim=1)


def unit(count: int, dim: int, seed: int) -> Tensor:
    """Random directions."""
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=generator, dtype=torch.float64), dim=1)


def lattice(count: int, seed: int) -> Tensor:
    """Unit vectors of entries ± 1/2: scores are exactly −1, −½, 0, ½ or 1, with many duplicates."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count, 4), generator=generator).double() - 0.5


def _cases() -> dict[str, Case]:
    empty = tree_labels(20, 6, 9)
    empty[::3, 1] = -1
    empty[::4, 2] = -1
    one_class = torch.zeros(7, 3, dtype=torch.long)
    return {
        "batch": Case(unit(23, 6, 1), tree_labels(23, 8, 1)),
        "references": Case(unit(9, 6, 2), tree_labels(9, 8, 2), unit(37, 6, 3), tree_labels(37, 8, 3)),
        "one-query": Case(unit(1, 6, 4), tree_labels(1, 8, 4), unit(37, 6, 5), tree_labels(37, 8, 5)),
        "alone": Case(unit(1, 6, 4), tree_labels(1, 8, 4)),
        "one-reference": Case(unit(5, 6, 6), tree_labels(5, 3, 6), unit(1, 6, 7), tree_labels(1, 3, 7)),
        "no-positives": Case(unit(5, 6, 6), torch.zeros(5, 3).long(), unit(8, 6, 7), torch.ones(8, 3).long()),
        "only-positives": Case(unit(7, 6, 8), one_class),
        "ties": Case(lattice(21, 1), tree_labels(21, 6, 1)),
        "all-equal": Case(torch.ones(9, 4, dtype=torch.float64) / 2, tree_labels(9, 6, 3)),
        "one-level": Case(unit(17, 5, 3), tree_labels(17, 6, 3)[:, 0]),
        "empty-labels": Case(unit(20, 6, 9), empty),
    }


CASES = _cases()
