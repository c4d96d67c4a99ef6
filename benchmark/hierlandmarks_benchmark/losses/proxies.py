"""Losses with learned class representatives: normalised softmax (ProxyLoss) and Cross-Scale Learning (CSLLoss).

Both compare embeddings with their own proxies and leave references aside; they take them only so that every loss is
called alike. Proxies are ordinary parameters: whoever trains puts them in an optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.losses.checks import check_batch
from hierlandmarks_benchmark.losses.levels import EMPTY, pair_levels


def _proxies(count: int, dim: int) -> nn.Parameter:
    """Uniform in ± 1/√dim, as ProxyNCA++ and the papers start them."""
    bound = 1.0 / math.sqrt(dim)
    return nn.Parameter(torch.empty(count, dim).uniform_(-bound, bound))


def _cosines(embeddings: Tensor, proxies: Tensor) -> Tensor:
    """Embeddings · normalised proxies in the embeddings' own precision, whatever autocast says."""
    if embeddings.shape[1] != proxies.shape[1]:
        raise UsageError(
            "embeddings have another dimension than the proxies", got=embeddings.shape[1], expected=proxies.shape[1]
        )
    with torch.autocast(embeddings.device.type, enabled=False):
        return embeddings @ F.normalize(proxies.to(embeddings.dtype), dim=1).T


class ProxyLoss(nn.Module):
    """Normalised softmax: cross-entropy of cos/temperature against one learned proxy a class.

    Source: Zhai and Wu, BMVC 2019 (arXiv 1811.12649), "NSM", the papers' ClusterLoss. With several centres a class's
    similarity is their softmax-weighted mean, as in SoftTriple (arXiv 1909.05235, eq. 5). An image with an empty
    label (-1) is left out. O(B · num_classes · centres · d).

    Args:
        num_classes: codes of label column 0 run from 0 to num_classes − 1.
        dim: size of the embeddings.
        temperature: of the softmax over classes, in units of the cosine; positive.
        centres: proxies a class.
        centre_temperature: of the softmax over the centres of a class; positive.

    Raises:
        UsageError: (a ValueError) a size or temperature out of range.
    """

    def __init__(
        self, num_classes: int, dim: int, temperature: float = 0.05, centres: int = 1, centre_temperature: float = 0.1
    ) -> None:
        super().__init__()
        for name, size in (("num_classes", num_classes), ("dim", dim), ("centres", centres)):
            if size < 1:
                raise UsageError(f"{name} is out of range", got=size, expected="at least 1")
        for name, value in (("temperature", temperature), ("centre_temperature", centre_temperature)):
            if not value > 0:
                raise UsageError(f"{name} is out of range", got=value, expected="a number above 0")
        self.num_classes = num_classes
        self.centres = centres
        self.temperature = temperature
        self.centre_temperature = centre_temperature
        self.proxies = _proxies(num_classes * centres, dim)

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        """Mean cross-entropy over the images that have a label.

        Args:
            embeddings: B × d, of unit length.
            labels: B × L integers, of which column 0 is used, or B.
            ref_emb: taken for the common call, not used; ref_labels likewise.

        Raises:
            UsageError: (a ValueError) an argument of wrong shape, type or value.
        """
        batch = check_batch(embeddings, labels)
        codes = batch.labels[:, 0]
        if int(codes.max()) >= self.num_classes:
            raise UsageError(
                "labels are out of range in column 0",
                got=int(codes.max()),
                expected=f"codes from 0 to {self.num_classes - 1}",
            )
        similarity = _cosines(batch.embeddings, self.proxies)
        if self.centres > 1:
            similarity = similarity.view(len(similarity), self.num_classes, self.centres)
            share = torch.softmax(similarity / self.centre_temperature, dim=2)
            similarity = (share * similarity).sum(2)
        total = F.cross_entropy(similarity / self.temperature, codes, ignore_index=EMPTY, reduction="sum")
        return total / (codes != EMPTY).sum().clamp_min(1)


class CSLLoss(nn.Module):
    """Cross-Scale Learning: one proxy a finest class, and at every scale a margin to the proxies of other labels.

    Σ over label columns p of softplus(LSE_{label p differs} γ·cos + LSE_{finest label agrees} −γ·cos + γ·margin_p),
    mean over images: the similarity to the own finest proxy anchors all scales.

    Source: Sun et al., *Dynamic Metric Learning*, CVPR 2021 (arXiv 2103.11781). O(B · classes · (d + L)).

    Args:
        class_labels: C × L integers, fine → coarse: row c holds the labels of class c, whose code in column 0 is c.
        dim: size of the embeddings.
        margins: one a label column, fine → coarse, in units of the cosine.
        scale: γ; positive.

    Raises:
        UsageError: (a ValueError) a table whose column 0 is not 0 … C − 1, or margins that do not fit it.
    """

    class_labels: Tensor

    def __init__(
        self, class_labels: Tensor, dim: int, margins: Sequence[float] = (0.25, 0.35, 0.45), scale: float = 32.0
    ) -> None:
        super().__init__()
        if class_labels.ndim != 2 or class_labels[:, 0].tolist() != list(range(len(class_labels))):
            raise UsageError(
                "class_labels are not a table of classes",
                got=f"shape {tuple(class_labels.shape)}",
                expected="C × L integers with 0 … C − 1 in column 0",
            )
        if len(margins) != class_labels.shape[1]:
            raise UsageError(
                "margins do not fit class_labels",
                got=f"{len(margins)} margins",
                expected=f"{class_labels.shape[1]}, one a label column",
            )
        if not scale > 0:
            raise UsageError("scale is out of range", got=scale, expected="a number above 0")
        self.margins = tuple(margins)
        self.scale = scale
        self.proxies = _proxies(len(class_labels), dim)
        self.register_buffer("class_labels", class_labels.long())

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        """Mean over images; an image whose finest label is empty adds 0.

        Args:
            embeddings: B × d, of unit length.
            labels: B × L integers, fine → coarse; column 0 holds class codes.
            ref_emb: taken for the common call, not used; ref_labels likewise.

        Raises:
            UsageError: (a ValueError) an argument of wrong shape, type or value.
        """
        batch = check_batch(embeddings, labels)
        depth = len(self.margins)
        if batch.labels.shape[1] != depth or int(batch.labels[:, 0].max()) >= len(self.class_labels):
            raise UsageError(
                "labels do not fit class_labels",
                got=f"{batch.labels.shape[1]} columns, codes up to {int(batch.labels[:, 0].max())}",
                expected=f"{depth} columns, codes up to {len(self.class_labels) - 1}",
            )
        logits = self.scale * _cosines(batch.embeddings, self.proxies)
        levels = pair_levels(batch.labels, self.class_labels)
        pull = torch.logsumexp(torch.where(levels == depth, -logits, -torch.inf), dim=1)
        known = pull > -torch.inf
        pull = torch.where(known, pull, 0.0)
        total = torch.zeros_like(pull)
        for column, margin in enumerate(self.margins):
            push = torch.logsumexp(torch.where(levels < depth - column, logits, -torch.inf), dim=1)
            total = total + F.softplus(push + pull + self.scale * margin)
        return (total * known).mean()
