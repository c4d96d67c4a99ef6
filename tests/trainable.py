"""Pictures to train on that need no release: noise, four of a landmark, four labels, two kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from hierlandmarks_benchmark.loading import Clock
from hierlandmarks_benchmark.train.loop import Data

SIDE = 24


class Noise:
    """As `hierlandmarks_benchmark.loading.Held`."""

    def __init__(self, count: int, unreadable: tuple[int, ...] = ()) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
        self.rows, self.unreadable, self.clock = np.arange(count), unreadable, Clock()

    def feed(self, batches: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        return self.clock.watch(self._batch(rows) for rows in batches)

    def _batch(self, rows: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        kept = rows[~np.isin(rows, self.unreadable)]
        return kept, self.pixels[torch.from_numpy(kept)]


def data(landmarks: int = 8, each: int = 4, unreadable: tuple[int, ...] = ()) -> Data:
    """`unreadable` are rows that are asked for and do not come, as while streaming."""
    landmark = np.repeat(np.arange(landmarks), each)
    labels = np.stack([landmark, landmark % 4, landmark % 4 // 2], axis=1)
    return Data(Noise(len(labels), unreadable), labels, [f"id{row}" for row in range(len(labels))])
