"""Baselines on pairs and triplets of cosines at one label column: calibration (contrastive) and triplet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.losses.checks import check_batch, check_level
from hierlandmarks_benchmark.losses.levels import pair_levels


def _scores_and_positives(
    level: int, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None, ref_labels: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines, positive pairs and negative pairs, each B × M; an image is no pair with itself."""
    batch = check_batch(embeddings, labels, ref_emb, ref_labels)
    check_level(level, batch.labels)
    with torch.autocast(batch.embeddings.device.type, enabled=False):
        scores = batch.embeddings @ batch.references.T
    queries, references = batch.labels[:, level:], batch.ref_labels[:, level:]
    alike = pair_levels(queries, references) == queries.shape[1]
    if not batch.own_reference:
        return scores, alike, ~alike
    others = ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    return scores, alike & others, ~alike & others


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values, 0 where none is."""
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp_min(1)


class CalibrationLoss(nn.Module):
    """The papers' decomposability loss: [positive_margin − s]₊ on positives plus [s − negative_margin]₊ on negatives.

    Each of the two is a mean over its non-zero terms (ROADMAP, arXiv 2110.01445, section 3.2). O(B·M).

    Args:
        level: label column that makes a positive, 0 = finest.
        positive_margin: cosine that positives should reach.
        negative_margin: cosine that negatives should stay below.
    """

    def __init__(self, level: int = 0, positive_margin: float = 0.9, negative_margin: float = 0.6) -> None:
        super().__init__()
        self.level = level
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        """The loss over all pairs; the arguments are those of `functional.rank_loss`.

        Raises:
            UsageError: (a ValueError) an argument of wrong shape, type or value.
        """
        scores, positive, negative = _scores_and_positives(self.level, embeddings, labels, ref_emb, ref_labels)
        too_far = torch.relu(self.positive_margin - scores)
        too_near = torch.relu(scores - self.negative_margin)
        return _mean_over(too_far, positive & (too_far > 0)) + _mean_over(too_near, negative & (too_near > 0))


class TripletLoss(nn.Module):
    """[margin + s_negative − s_positive]₊ with one negative a positive pair, mean over the non-zero terms.

    The negative is the semi-hard one of FaceNet (arXiv 1503.03832, section 3.2): the highest-scoring negative that
    is still below the positive, or where there is none, the lowest-scoring negative. O(B·M·log M).

    Args:
        level: label column that makes a positive, 0 = finest.
        margin: in units of the cosine; positive.

    Raises:
        UsageError: (a ValueError) the margin is not above 0.
    """

    def __init__(self, level: int = 0, margin: float = 0.1) -> None:
        super().__init__()
        if not margin > 0:
            raise UsageError("margin is out of range", got=margin, expected="a number above 0")
        self.level = level
        self.margin = margin

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        """The loss over all positive pairs; the arguments are those of `functional.rank_loss`.

        Raises:
            UsageError: (a ValueError) an argument of wrong shape, type or value.
        """
        scores, positive, negative = _scores_and_positives(self.level, embeddings, labels, ref_emb, ref_labels)
        # Ascending, with everything that is no negative behind.
        ordered = torch.where(negative, scores, torch.inf).sort(dim=1).values
        below = torch.searchsorted(ordered.detach(), scores.detach())
        hardest = ordered.gather(1, (below - 1).clamp_min(0))
        terms = self.margin + hardest - scores
        chosen = positive & negative.any(1, keepdim=True) & (terms > 0)
        return _mean_over(terms, chosen)
