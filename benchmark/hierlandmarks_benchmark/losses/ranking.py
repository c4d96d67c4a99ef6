"""The rank losses as modules: SupRank (Sup…) and Smooth-AP style (Smooth…) surrogates of AP, H-AP, NDCG and recall.

All are called like pytorch-metric-learning's losses, ``loss(embeddings, labels, ref_emb=None, ref_labels=None)``;
what the arguments are and which errors are raised is said once, at `functional.rank_loss`. For B queries, M
references, P positives a query: O(B·P·M) time at most, and no B × M × M tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.losses.backends import check_backend
from hierlandmarks_benchmark.losses.criteria import HAPCriterion, NDCGCriterion, RecallCriterion
from hierlandmarks_benchmark.losses.functional import RankLoss, rank_loss
from hierlandmarks_benchmark.losses.levels import Relevance
from hierlandmarks_benchmark.losses.surrogate import SmoothSurrogate, SupSurrogate


class _RankModule(nn.Module):
    """A RankLoss behind the call of nn.Module; it has no parameters."""

    def __init__(self, loss: RankLoss) -> None:
        super().__init__()
        check_backend(loss.backend)
        if loss.column is not None and loss.column < 0:
            raise UsageError("level is out of range", got=loss.column, expected="a label column, 0 (finest) or more")
        self.loss = loss

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        """Mean loss over the queries; see `functional.rank_loss`."""
        value: Tensor = rank_loss(self.loss, embeddings, labels, ref_emb, ref_labels)
        return value

    def extra_repr(self) -> str:
        """The settings, as print(loss) shows them."""
        column = "" if self.loss.column is None else f"level={self.loss.column}, "
        return f"{column}{self.loss.surrogate}, backend={self.loss.backend!r}"


class SupAPLoss(_RankModule):
    """1 − SupAP at one label column: an upper bound of 1 − AP by default (ROADMAP, arXiv 2110.01445, eq. 7).

    Args:
        level: label column, 0 = finest; positives share it and all coarser ones.
        tau: see `SupSurrogate`, as rho, delta, start and offset.
        backend: "auto", "eager", "numba" or "triton".

    >>> import torch
    >>> emb = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), dim=1)
    >>> round(float(SupAPLoss()(emb, torch.tensor([0, 0, 1]))), 4)
    0.0
    """

    def __init__(
        self,
        level: int = 0,
        tau: float = 0.01,
        rho: float = 100.0,
        delta: float = 0.05,
        start: float = 0.5,
        offset: float | None = None,
        backend: str = "auto",
    ) -> None:
        surrogate = SupSurrogate(tau, rho, delta, start, offset)
        super().__init__(RankLoss(HAPCriterion(), surrogate, Relevance(), level, backend))


class SupHAPLoss(_RankModule):
    """1 − SupHAP: hierarchical average precision over all label columns (HAPPIER, arXiv 2207.04873; SupRank).

    Args:
        relevance: "proportional" or "decomposed"; see `Relevance`, as alpha and weights.
        alpha: exponent of the proportional relevance.
        weights: w_1 … w_L, coarse → fine, of the decomposed one.
        tau: see `SupSurrogate`, as rho, delta, start and offset.
        backend: "auto", "eager", "numba" or "triton".
    """

    def __init__(
        self,
        relevance: str = "proportional",
        alpha: float = 1.0,
        weights: Sequence[float] | None = None,
        tau: float = 0.01,
        rho: float = 100.0,
        delta: float = 0.05,
        start: float = 0.5,
        offset: float | None = None,
        backend: str = "auto",
    ) -> None:
        worth = Relevance(relevance, alpha, None if weights is None else tuple(map(float, weights)))
        surrogate = SupSurrogate(tau, rho, delta, start, offset)
        super().__init__(RankLoss(HAPCriterion(), surrogate, worth, None, backend))


class SupNDCGLoss(_RankModule):
    """1 − SupNDCG with gain 2^level − 1, over all label columns (SupRank, arXiv 2309.08250).

    Args:
        tau: see `SupSurrogate`, as rho, delta, start and offset.
        backend: "auto", "eager", "numba" or "triton".
    """

    def __init__(
        self,
        tau: float = 0.01,
        rho: float = 100.0,
        delta: float = 0.05,
        start: float = 0.5,
        offset: float | None = None,
        backend: str = "auto",
    ) -> None:
        surrogate = SupSurrogate(tau, rho, delta, start, offset)
        super().__init__(RankLoss(NDCGCriterion(), surrogate, Relevance(), None, backend))


class SupRecallLoss(_RankModule):
    """1 − a smooth recall at K, averaged over several K (SupRank, arXiv 2309.08250).

    Unlike AP it is not 0 for a perfect ranking: σ((K − 1)/temperature) is below 1, and 1/2 at K = 1.

    Args:
        level: label column, 0 = finest.
        ks: the K, each at least 1.
        temperature: of the sigmoid that stands for rank ≤ K, in ranks; positive.
        surrogate: of the rank.
        backend: "auto", "eager", "numba" or "triton".
    """

    def __init__(
        self,
        level: int = 0,
        ks: Sequence[int] = (1, 2, 4, 8, 16),
        temperature: float = 1.0,
        surrogate: SupSurrogate | None = None,
        backend: str = "auto",
    ) -> None:
        if not ks or min(ks) < 1:
            raise UsageError("ks are out of range", got=tuple(ks), expected="one K or more, each at least 1")
        if not temperature > 0:
            raise UsageError("temperature is out of range", got=temperature, expected="a number above 0")
        criterion = RecallCriterion(tuple(ks), temperature)
        super().__init__(RankLoss(criterion, surrogate or SupSurrogate(), Relevance(), level, backend))


class SmoothAPLoss(_RankModule):
    """1 − Smooth-AP at one label column (Brown et al., ECCV 2020, arXiv 2007.12163).

    Args:
        level: label column, 0 = finest.
        tau: temperature of the sigmoid, in units of the score.
        backend: "auto", "eager", "numba" or "triton".
    """

    def __init__(self, level: int = 0, tau: float = 0.01, backend: str = "auto") -> None:
        super().__init__(RankLoss(HAPCriterion(), SmoothSurrogate(tau), Relevance(), level, backend))


class SmoothHAPLoss(_RankModule):
    """1 − H-AP with the sigmoid of Smooth-AP in both rank and H-rank, over all label columns.

    Args:
        relevance: "proportional" or "decomposed"; see `Relevance`, as alpha and weights.
        alpha: exponent of the proportional relevance.
        weights: w_1 … w_L, coarse → fine, of the decomposed one.
        tau: temperature of the sigmoid, in units of the score.
        backend: "auto", "eager", "numba" or "triton".
    """

    def __init__(
        self,
        relevance: str = "proportional",
        alpha: float = 1.0,
        weights: Sequence[float] | None = None,
        tau: float = 0.01,
        backend: str = "auto",
    ) -> None:
        worth = Relevance(relevance, alpha, None if weights is None else tuple(map(float, weights)))
        super().__init__(RankLoss(HAPCriterion(), SmoothSurrogate(tau), worth, None, backend))


class SmoothNDCGLoss(_RankModule):
    """1 − NDCG with the sigmoid of Smooth-AP in the rank, over all label columns.

    Args:
        tau: temperature of the sigmoid, in units of the score.
        backend: "auto", "eager", "numba" or "triton".
    """

    def __init__(self, tau: float = 0.01, backend: str = "auto") -> None:
        super().__init__(RankLoss(NDCGCriterion(), SmoothSurrogate(tau), Relevance(), None, backend))
