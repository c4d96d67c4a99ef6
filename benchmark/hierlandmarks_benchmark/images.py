"""Pictures for training: decoded once into memory, cropped, mirrored and recoloured on tensors, batch by batch.

Randomness is drawn by (seed, epoch, step), so that any batch of any epoch can be made again alone. No torchvision.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from hierlandmarks.errors import CorruptInputError, HierlandmarksError
from hierlandmarks.progress import track
from hierlandmarks_benchmark.recipe import AugmentationParams

if TYPE_CHECKING:
    from hierlandmarks_benchmark.datasets import ImageSet

MOST_UNREADABLE = 0.01  # share of pictures that may be skipped
_DRAWS = 9  # random numbers a picture takes: crop area, shape, place (2), mirror, and 4 for colour
_LUMA = (0.299, 0.587, 0.114)  # of RGB, ITU-R BT.601


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures.

    Attributes:
        pixels: N × 3 × side × side uint8.
        rows: N, the row of each in its dataset, ascending.
        skipped: one line for each picture that could not be read: id and reason.
    """

    pixels: Tensor
    rows: NDArray[np.int64]
    skipped: tuple[str, ...]


def load_pictures(
    dataset: ImageSet, side: int, rows: NDArray[np.int64] | None = None, about: str = "decode"
) -> Pictures:
    """Decode pictures, scale the shorter side to `side` and cut the centre square out.

    Args:
        dataset: where the pictures come from.
        side: of the squares, in pixels.
        rows: rows of the dataset, all by default.
        about: what the progress bar says.

    Raises:
        CorruptInputError: more than 1 % cannot be read, with their list.

    Memory is 3 · side² bytes a picture.
    """
    wanted = np.arange(len(dataset)) if rows is None else np.sort(rows)
    pixels = torch.empty((len(wanted), 3, side, side), dtype=torch.uint8)

    def decode(position: int) -> str:
        return put_square(dataset, int(wanted[position]), pixels[position])

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes and scales outside the interpreter's lock
        failures = list(track(pool.map(decode, range(len(wanted))), about, total=len(wanted), unit="img"))
    unreadable = {int(row): failure for row, failure in zip(wanted, failures, strict=True) if failure}
    skipped = check_readable(dataset, unreadable, len(wanted))
    kept = np.flatnonzero([not failure for failure in failures])
    if skipped:
        pixels = pixels[torch.from_numpy(kept)]
    return Pictures(pixels, wanted[kept], skipped)


def put_square(dataset: ImageSet, row: int, place: Tensor) -> str:
    """Decode one picture into its place; the one way every picture takes, in memory or streamed.

    Args:
        dataset: where the picture comes from.
        row: its row there.
        place: 3 × side × side uint8, overwritten with the centre square of the picture scaled to `side`.

    Returns:
        Why the picture cannot be read, "" if it can.
    """
    side = place.shape[-1]
    try:
        square = ImageOps.fit(dataset.image(row), (side, side), Image.Resampling.BILINEAR)
    except (HierlandmarksError, OSError, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    place.copy_(torch.from_numpy(np.array(square)).permute(2, 0, 1))
    return ""


def check_readable(dataset: ImageSet, unreadable: Mapping[int, str], count: int) -> tuple[str, ...]:
    """One line for each picture that cannot be read: id and reason.

    Args:
        dataset: where the pictures come from.
        unreadable: reason by row.
        count: of the pictures that are wanted in all.

    Raises:
        CorruptInputError: more than 1 % of them cannot be read, with their list.
    """
    if not unreadable:
        return ()
    ids = dataset.table(["id"])["id"]
    skipped = tuple(f"{ids[row].as_py()} ({unreadable[row]})" for row in sorted(unreadable))
    if len(skipped) > MOST_UNREADABLE * count:
        raise CorruptInputError(
            f"{len(skipped)} of {count} pictures of {dataset.name} cannot be read",
            got="; ".join(skipped[:20]) + ("; and more" if len(skipped) > 20 else ""),
            expected="at most 1 % unreadable",
            do="fetch or export them again",
        )
    return skipped


def plain(pixels: Tensor, size: int) -> Tensor:
    """Pictures as a network sees them outside training: B × 3 × S × S uint8 → B × 3 × size × size in [0, 1]."""
    return _resample(pixels, _whole(len(pixels)), size)


def draws(seed: int, epoch: int, step: int, count: int) -> Tensor:
    """The random numbers of one batch, count × 9 in [0, 1): the same for the same seed, epoch and step."""
    rng = np.random.default_rng([seed, epoch, step])
    return torch.from_numpy(rng.random((count, _DRAWS), dtype=np.float32))


def augment(pixels: Tensor, params: AugmentationParams, size: int, random: Tensor) -> Tensor:
    """Random crop, mirror and colour: B × 3 × S × S uint8 → B × 3 × size × size in [0, 1].

    Args:
        pixels: decoded squares.
        params: how far to go.
        size: side of the result, in pixels.
        random: B × 9 in [0, 1), from `draws`.
    """
    random = random.to(pixels.device)
    cropped = _resample(pixels, _crops(params, random[:, :5]), size)
    return _recolour(cropped, params, random[:, 5:]) if _changes_colour(params) else cropped


def _whole(count: int) -> Tensor:
    return torch.eye(2, 3).expand(count, 2, 3)


def _crops(params: AugmentationParams, random: Tensor) -> Tensor:
    """One affine map a picture, B × 2 × 3, from the crop's [-1, 1]² into the picture's."""
    area = params.area + (1 - params.area) * random[:, 0]
    shape = torch.exp((2 * random[:, 1] - 1) * math.log(params.aspect))
    width, height = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
    maps = torch.zeros(len(random), 2, 3, device=random.device)
    maps[:, 0, 0] = torch.where(random[:, 4] < params.flip, -width, width)
    maps[:, 1, 1] = height
    maps[:, 0, 2] = (1 - width) * (2 * random[:, 2] - 1)
    maps[:, 1, 2] = (1 - height) * (2 * random[:, 3] - 1)
    return maps


def _resample(pixels: Tensor, maps: Tensor, size: int) -> Tensor:
    """Bilinear sampling; the same code in and out of training, so that neither sees sharper pictures."""
    grid = F.affine_grid(maps.to(pixels.device), [len(pixels), 3, size, size], align_corners=False)
    return F.grid_sample(pixels.float() / 255, grid, padding_mode="border", align_corners=False)


def _changes_colour(params: AugmentationParams) -> bool:
    return any((params.brightness, params.contrast, params.saturation, params.hue))


def _recolour(pictures: Tensor, params: AugmentationParams, random: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue as one linear map of RGB a picture, cut to [0, 1]."""
    swing = 2 * random - 1
    bright, contrast, saturate = (
        (1 + reach * swing[:, column])[:, None, None]
        for column, reach in enumerate((params.brightness, params.contrast, params.saturation))
    )
    luma = torch.tensor(_LUMA, device=pictures.device)
    grey = luma.expand(3, 3)  # RGB → its luma in all three channels
    turned = _hue_rotation(2 * math.pi * params.hue * swing[:, 3]) if params.hue else torch.eye(3)
    matrix = turned.to(pictures.device) @ (saturate * torch.eye(3, device=grey.device) + (1 - saturate) * grey)
    mean = torch.einsum("c,bchw->b", luma, pictures)[:, None, None] / pictures[0, 0].numel()
    flat = torch.baddbmm((1 - contrast) * bright * mean, contrast * bright * matrix, pictures.flatten(2))
    return flat.clamp(0, 1).view_as(pictures)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotations of RGB around its grey axis (Rodrigues' formula): B angles in radians → B × 3 × 3."""
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=angle.device) / math.sqrt(3)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    eye = torch.eye(3, device=angle.device)
    return cos * eye + (1 - cos) / 3 + sin * cross
