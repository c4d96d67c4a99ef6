"""H-AP on pictures of landmarks that are not trained on, embedded by all processes together."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from hierlandmarks.metrics import evaluate_embeddings
from hierlandmarks_benchmark.models import Network, encode
from hierlandmarks_benchmark.train.loop import Look, Source
from hierlandmarks_benchmark.train.team import Team

BATCH = 256  # pictures that pass the network at a time


def watch(pictures: Source, labels: NDArray[np.int64], size: int) -> Look:
    """A function from a network to its H-AP, each picture against the others; NaN in processes other than the first.

    Args:
        pictures: of the validation split.
        labels: N × L, fine → coarse, of the whole split.
        size: side at which the network sees the pictures.
    """

    def look(network: Network) -> float:
        team = Team.found()
        mine = team.share(pictures.rows)
        fed = pictures.feed(mine[start : start + BATCH] for start in range(0, len(mine), BATCH))
        parts = [(rows, encode(network, pixels, size, BATCH)) for rows, pixels in fed]
        device = next(network.parameters()).device
        everyone = team.collect(np.concatenate([rows for rows, _ in parts]), device)
        own = torch.from_numpy(np.concatenate([part for _, part in parts])).to(device)
        found = team.gather(own, [len(rows) for rows in everyone])
        if not team.leads:
            return math.nan
        rows = np.concatenate(everyone)
        return evaluate_embeddings(found.cpu().numpy(), labels[rows], metrics=("h_ap",), resamples=1).mean["h_ap"]

    return look
