"""The network: backbone, pooling, projection, whitening; embeddings of unit length. Saved beside its recipe.

A network takes pictures as B × 3 × S × S floats in [0, 1] and normalises them itself, so that nobody can forget to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.params import nearest
from hierlandmarks.tables import atomic_path
from hierlandmarks_benchmark.backbones import build_backbone
from hierlandmarks_benchmark.images import plain
from hierlandmarks_benchmark.recipe import ModelParams, Recipe, load_recipe, save_recipe

POOLINGS = ("gem", "avg", "cls")
WEIGHTS, RECIPE = "model.safetensors", "recipe.yaml"
_RIDGE = 0.01
_SMALLEST = 1e-6  # GeM takes powers, so features are cut below here


class Network(nn.Module):
    """Pictures to unit-length embeddings.

    Args:
        params: backbone, pooling and projection.
        size: side in pixels of the pictures it is made for; others work too.
        pretrained: whether to load `params.weights` where it names any.

    Attributes:
        params: as given, but with the backbone's configuration spelled out.

    Raises:
        UsageError: an unknown backbone or pooling (the nearest is named), or a pooling the backbone cannot have.
        MissingDataError: the weights are not there.
    """

    def __init__(self, params: ModelParams, size: int, *, pretrained: bool = True) -> None:
        super().__init__()
        if params.pooling not in POOLINGS:
            raise UsageError("model.pooling is unknown", got=repr(params.pooling), do=nearest(params.pooling, POOLINGS))
        self.backbone = build_backbone(params, size, pretrained=pretrained)
        if params.pooling == "cls" and not self.backbone.prefix:
            raise UsageError(f"{params.backbone} has no class token", got="pooling 'cls'", do="use 'gem' or 'avg'")
        self.params = dataclasses.replace(params, config=self.backbone.config)
        width = self.backbone.width
        self.register_buffer("mean", torch.tensor(params.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(params.std).view(3, 1, 1), persistent=False)
        self.power = nn.Parameter(torch.tensor(3.0)) if params.pooling == "gem" else None
        self.norm = nn.LayerNorm(width) if params.layer_norm else nn.Identity()
        self.projection = nn.Linear(width, params.dim) if params.dim else nn.Identity()
        self.dim = params.dim or width
        self.whitening = nn.Linear(self.dim, self.dim).requires_grad_(False) if params.whitening else None
        if self.whitening is not None:  # changes nothing until `whiten` has seen embeddings
            nn.init.eye_(self.whitening.weight)
            nn.init.zeros_(self.whitening.bias)
        self.train(self.training)
        if params.freeze_batch_norm:
            self._batch_norms(lambda layer: layer.requires_grad_(False))

    def forward(self, pictures: Tensor) -> Tensor:
        """B × 3 × S × S in [0, 1] → B × d float32, each row of length 1."""
        normalised = (pictures - cast(Tensor, self.mean)) / cast(Tensor, self.std)
        pooled = self._pool(self.backbone(normalised))
        embeddings = F.normalize(self.projection(self.norm(pooled)).float(), dim=1)
        return embeddings if self.whitening is None else F.normalize(self.whitening(embeddings), dim=1)

    def _pool(self, tokens: Tensor) -> Tensor:
        """B × N × C → B × C; GeM as in Radenović et al., arXiv 1711.02512, with a learned power."""
        if self.params.pooling == "cls":
            return tokens[:, 0]
        places = tokens[:, self.backbone.prefix :]
        if self.power is None:
            return places.mean(1)
        return places.float().clamp(min=_SMALLEST).pow(self.power).mean(1).pow(1 / self.power)

    def train(self, mode: bool = True) -> Network:
        """As in torch, but a frozen BatchNorm stays as it is in evaluation."""
        super().train(mode)
        if self.params.freeze_batch_norm:
            self._batch_norms(lambda layer: layer.eval())
        return self

    def _batch_norms(self, change: Callable[[nn.Module], Any]) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                change(layer)


def build_network(recipe: Recipe, *, pretrained: bool = True) -> Network:
    """The network of a recipe as training starts it: the recipe's seed decides the random weights.

    The global random state is left as it was.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = Network(recipe.model, recipe.data.size, pretrained=pretrained)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.3 × as fast on a CPU
    return network


@torch.inference_mode()
def encode(network: Network, pixels: Tensor, size: int, batch: int = 256) -> NDArray[np.float32]:
    """Embeddings of decoded pictures, with the network in evaluation mode.

    Args:
        network: what embeds.
        pixels: N × 3 × S × S uint8.
        size: side at which the network sees them.
        batch: pictures at a time.

    Returns:
        N × d float32, rows of length 1.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    pieces = (pixels[start : start + batch].to(device) for start in range(0, len(pixels), batch))
    parts = [network(plain(piece, size)).cpu().numpy() for piece in pieces]
    network.train(was_training)
    return np.concatenate([np.zeros((0, network.dim), np.float32), *parts])


def whiten(network: Network, embeddings: NDArray[np.float32]) -> None:
    """Fit the network's last layer: embeddings centred, turned to their principal axes, each axis scaled alike.

    Jégou and Chum, ECCV 2012 ("Negative evidences and co-occurrences"). Variances get a hundredth of their mean added,
    so axes that a small training set hardly knows are not blown up. O(N · d² + d³).

    Args:
        network: one with a whitening layer, which has not been fitted.
        embeddings: N × d of the training set, as the network gives them.
    """
    assert network.whitening is not None
    centre = embeddings.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov(embeddings - centre, rowvar=False, bias=True))
    scales = 1 / np.sqrt(variances.clip(min=0) + _RIDGE * variances.mean())
    turned = scales[::-1, None] * axes.T[::-1]  # the largest variance first
    with torch.no_grad():
        network.whitening.weight.copy_(torch.from_numpy(turned))
        network.whitening.bias.copy_(torch.from_numpy(-turned @ centre))


def save_network(network: Network, recipe: Recipe, folder: Path) -> None:
    """Write weights and the recipe, in which the backbone's configuration is now spelled out."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as part:
        part.write_bytes(save(tensors))  # save_file writes beside `part`, where a kill would leave it
    save_recipe(dataclasses.replace(recipe, model=network.params), folder / RECIPE)


def load_network(folder: Path) -> tuple[Network, Recipe]:
    """Read what `save_network` wrote; needs no pretrained weights and no network.

    Raises:
        MissingDataError: the folder holds no model.
        CorruptInputError: the weights are not those of the recipe, or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (RECIPE, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingDataError(
                f"{folder} holds no model", got=f"no {name}", do="train one: hierlandmarks bench train"
            )
    recipe = load_recipe(str(folder / RECIPE))
    network = build_network(recipe, pretrained=False)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        raise CorruptInputError(
            f"{folder / WEIGHTS} does not fit its recipe", got=" ".join(str(error).split())[:200], do="train again"
        ) from error
    return network.eval(), recipe
