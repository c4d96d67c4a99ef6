"""WeightedLoss: several losses on one batch, added with weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hierlandmarks.errors import UsageError


class WeightedLoss(nn.Module):
    """Σ weight · loss, as in the papers' 0.9 · rank loss + 0.1 · ProxyLoss.

    Args:
        losses: losses called alike; their parameters become this module's.
        weights: one a loss.

    Raises:
        UsageError: (a ValueError) no loss, or as many weights as there are not losses.

    >>> from hierlandmarks_benchmark.losses import CalibrationLoss, SupAPLoss
    >>> loss = WeightedLoss([SupAPLoss(), CalibrationLoss()], [0.9, 0.1])
    """

    def __init__(self, losses: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if not losses or len(losses) != len(weights):
            raise UsageError(
                "weights do not fit the losses",
                got=f"{len(weights)} weights",
                expected=f"{max(1, len(losses))}, one a loss and at least one loss",
            )
        self.losses = nn.ModuleList(losses)
        self.weights = tuple(map(float, weights))

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        """The weighted sum; the arguments are handed to every loss as they are."""
        terms = [
            weight * loss(embeddings, labels, ref_emb, ref_labels)
            for weight, loss in zip(self.weights, self.losses, strict=True)
        ]
        total: Tensor = sum(terms[1:], start=terms[0])
        return total
