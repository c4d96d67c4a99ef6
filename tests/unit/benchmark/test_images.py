from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hierlandmarks as hl
from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.images import _hue_rotation, augment, draws, load_pictures, plain
from hierlandmarks_benchmark.recipe import AugmentationParams

ALL = AugmentationParams(area=0.4, aspect=1.3, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)


class Fake:
    """Pictures of any mode and size, as a Dataset hands them out."""

    name = "fake"

    def __init__(self, *pictures: Image.Image) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def image(self, row: int) -> Image.Image:
        return self.pictures[row]


def pixels(count: int = 3, side: int = 16) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_pictures_keep_their_order_and_colours(release: Path) -> None:
    dataset = hl.load(release, split="query")
    found = load_pictures(dataset, 24)
    assert found.pixels.shape == (12, 3, 24, 24)
    assert found.rows.tolist() == list(range(12))
    for row in (0, 5, 11):
        expected = np.asarray(dataset.image(row)).transpose(2, 0, 1)
        assert np.array_equal(found.pixels[row].numpy(), expected)


def test_only_the_wanted_rows_are_decoded(release: Path) -> None:
    dataset = hl.load(release, split="query")
    found = load_pictures(dataset, 24, np.array([7, 2]))
    assert found.rows.tolist() == [2, 7]
    assert torch.equal(found.pixels, load_pictures(dataset, 24).pixels[[2, 7]])


def test_long_pictures_give_their_centre_and_tiny_ones_grow() -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    found = load_pictures(Fake(wide, Image.new("RGB", (7, 7), "lime")), 20).pixels
    assert (found[0].float().mean((1, 2)) - torch.tensor([0.0, 0, 255])).abs().max() < 20
    assert torch.equal(found[1], torch.tensor([0, 255, 0], dtype=torch.uint8)[:, None, None].expand(3, 20, 20))


def test_draws_are_the_same_for_the_same_step_only() -> None:
    assert torch.equal(draws(1, 2, 3, 4), draws(1, 2, 3, 4))
    assert not torch.equal(draws(1, 2, 3, 4), draws(1, 2, 4, 4))
    assert not torch.equal(draws(1, 2, 3, 4), draws(1, 3, 3, 4))
    assert draws(0, 0, 0, 500).min() >= 0
    assert draws(0, 0, 0, 500).max() < 1


def test_each_picture_depends_on_its_own_draws_only() -> None:
    batch, random = pixels(4), draws(0, 0, 0, 4)
    together = augment(batch, ALL, 12, random)
    alone = augment(batch[2:3], ALL, 12, random[2:3])
    assert torch.allclose(together[2:3], alone, atol=1e-6)


def test_no_augmentation_is_the_plain_picture() -> None:
    batch = pixels()
    assert torch.allclose(augment(batch, AugmentationParams(), 12, draws(0, 0, 0, 3)), plain(batch, 12), atol=1e-6)
    assert torch.allclose(plain(batch, 16), batch.float() / 255, atol=1e-6)


def test_flip_mirrors() -> None:
    batch = pixels()
    flipped = augment(batch, AugmentationParams(flip=1.0), 16, draws(0, 0, 0, 3))
    assert torch.allclose(flipped, batch.flip(3).float() / 255, atol=1e-5)


def test_crops_stay_inside_and_show_a_part() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(200, 3, 64, 64)
    found = augment(ramp, AugmentationParams(area=0.25), 32, draws(0, 0, 0, 200)) * 255
    width = (found[:, 0, 0, -1] - found[:, 0, 0, 0]) * 32 / 31
    assert 30 < width.min() < 40
    assert 55 < width.max() <= 66
    assert found.min() >= 0
    assert found.max() <= 63.01


def test_colours_follow_their_definitions() -> None:
    batch = pixels(1)
    colours, extreme = batch.float() / 255, torch.full((1, 9), 1 - 1e-7)  # every reach to its end
    grey = torch.einsum("c,bchw->bhw", torch.tensor([0.299, 0.587, 0.114]), colours)[:, None]
    cases = {
        "brightness": colours * 1.5,
        "contrast": grey.mean() + 1.5 * (colours - grey.mean()),
        "saturation": grey + 1.5 * (colours - grey),
    }
    for name, expected in cases.items():
        found = augment(batch, AugmentationParams(**{name: 0.5}), 16, torch.cat([torch.zeros(1, 5), extreme[:, 5:]], 1))
        assert torch.allclose(found, expected.clamp(0, 1), atol=1e-4), name


def test_hue_turns_around_grey() -> None:
    third = _hue_rotation(torch.tensor([2 * torch.pi / 3]))[0]
    assert torch.allclose(third, torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), atol=1e-6)
    grey = torch.full((1, 3, 8, 8), 90, dtype=torch.uint8)
    assert torch.allclose(augment(grey, AugmentationParams(hue=0.5), 8, draws(0, 0, 0, 1)), grey / 255, atol=1e-5)


def test_ranges_are_checked() -> None:
    with pytest.raises(UsageError, match=r"area 0, aspect 1"):
        AugmentationParams(area=0)
    with pytest.raises(UsageError, match="aspect"):
        AugmentationParams(aspect=0.5)
