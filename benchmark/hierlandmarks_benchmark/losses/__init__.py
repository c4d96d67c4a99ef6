"""Rank losses for image retrieval with hierarchical labels, and the baselines they are compared with.

Every loss is called ``loss(embeddings, labels, ref_emb=None, ref_labels=None)``: embeddings B × d of unit length,
labels B × L integers from fine to coarse (or B for one level, -1 for "not known"), optionally a reference set.

>>> import torch
>>> embeddings = torch.nn.functional.normalize(torch.eye(4) + 0.5, dim=1).requires_grad_()
>>> labels = torch.tensor([[0, 0], [0, 0], [1, 0], [2, 1]])
>>> SupHAPLoss()(embeddings, labels).backward()
>>> embeddings.grad.shape
torch.Size([4, 4])
"""

from __future__ import annotations

from hierlandmarks_benchmark.losses.memory import CrossBatchMemory
from hierlandmarks_benchmark.losses.pairwise import CalibrationLoss, TripletLoss
from hierlandmarks_benchmark.losses.proxies import CSLLoss, ProxyLoss
from hierlandmarks_benchmark.losses.ranking import (
    SmoothAPLoss,
    SmoothHAPLoss,
    SmoothNDCGLoss,
    SupAPLoss,
    SupHAPLoss,
    SupNDCGLoss,
    SupRecallLoss,
)
from hierlandmarks_benchmark.losses.weighted import WeightedLoss

__all__ = [
    "CSLLoss",
    "CalibrationLoss",
    "CrossBatchMemory",
    "ProxyLoss",
    "SmoothAPLoss",
    "SmoothHAPLoss",
    "SmoothNDCGLoss",
    "SupAPLoss",
    "SupHAPLoss",
    "SupNDCGLoss",
    "SupRecallLoss",
    "TripletLoss",
    "WeightedLoss",
]
