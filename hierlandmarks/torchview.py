"""A dataset as a map-style dataset of PyTorch: pictures and labels by position. Needs no torch itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

    from hierlandmarks.dataset import Dataset


@dataclass(frozen=True)
class TorchView:
    """What `Dataset.to_torch` gives: `len(view)` and `view[i]`, all that `torch.utils.data.DataLoader` asks for.

    Pickles to workers as a reference to the release's folder, whatever way they are started.

    Attributes:
        dataset: the images.
        transform: from a PIL picture to what a batch is made of, such as a torchvision transform; None gives uint8
            arrays, H x W x 3.
    """

    dataset: Dataset
    transform: Callable[[Image.Image], Any] | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        """The picture of row i after the transform, and its labels: int64, fine to coarse, -1 where empty.

        Raises:
            IndexError, MissingDataError, CorruptInputError: as `Dataset.image`.
        """
        picture = self.dataset.image(i)
        return (np.asarray(picture) if self.transform is None else self.transform(picture)), self.dataset.labels[i]
