from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks_benchmark.models import Network, build_network, encode, load_network, save_network
from hierlandmarks_benchmark.recipe import ModelParams, Recipe

RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8}
WIDE = {"intermediate_size": 32}
CONFIGS: dict[str, dict[str, Any]] = {
    "resnet": RESNET,
    "vit": TRANSFORMER | WIDE,
    "deit": TRANSFORMER | WIDE,
    "dinov2": TRANSFORMER | {"mlp_ratio": 2},
    "clip": TRANSFORMER | WIDE,
}


def network(backbone: str = "resnet", **values: Any) -> Network:
    params = {"backbone": backbone, "dim": 8, "config": CONFIGS[backbone]} | values
    return Network(ModelParams(**params), 32)


@pytest.mark.parametrize("backbone", CONFIGS)
@pytest.mark.parametrize("pooling", ["gem", "avg", "cls"])
def test_every_backbone_gives_unit_embeddings_that_learn(backbone: str, pooling: str) -> None:
    if (backbone, pooling) == ("resnet", "cls"):
        return
    net = network(backbone, pooling=pooling)
    found = net(torch.rand(2, 3, 32, 32))
    assert found.shape == (2, 8)
    assert torch.allclose(found.norm(dim=1), torch.ones(2))
    (found * torch.rand(8)).sum().backward()
    # Without an own use for the class token (or for the mask token of DINOv2) a parameter may be idle, no other.
    idle = {name for name, p in net.named_parameters() if p.grad is None}
    assert all("mask_token" in name for name in idle), idle


def test_avg_pools_places_and_leaves_class_tokens_out() -> None:
    net = network("deit", pooling="avg", dim=0)
    tokens = torch.rand(1, 2 + 16, 16)
    assert torch.allclose(net._pool(tokens), tokens[:, 2:].mean(1))
    assert net.dim == 16


def test_gem_lies_between_mean_and_maximum_and_is_the_mean_at_power_one() -> None:
    net, tokens = network(), torch.rand(2, 9, 16)
    pooled = net._pool(tokens)
    assert (pooled > tokens.mean(1)).all()
    assert (pooled < tokens.amax(1)).all()
    assert net.power is not None
    net.power.data.fill_(1.0)
    assert torch.allclose(net._pool(tokens), tokens.mean(1), atol=1e-5)


def test_other_sizes_than_the_trained_one_work() -> None:
    for backbone in ("resnet", "vit", "clip", "dinov2"):
        assert network(backbone)(torch.rand(1, 3, 48, 48)).shape == (1, 8)


def test_frozen_batch_norm_neither_learns_nor_counts() -> None:
    net = network(freeze_batch_norm=True).train()
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    before = norms[0].running_mean.clone()
    net(torch.rand(4, 3, 32, 32)).sum().backward()
    assert norms
    assert all(not layer.training and layer.weight.grad is None for layer in norms)
    assert torch.equal(norms[0].running_mean, before)
    assert net.projection.weight.grad is not None


def test_layer_norm_stands_before_the_projection() -> None:
    net = network(layer_norm=True)
    assert isinstance(net.norm, nn.LayerNorm)
    assert isinstance(network().norm, nn.Identity)


def test_a_seed_gives_one_network_and_leaves_the_random_state_alone(tiny: Recipe) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first, again = build_network(tiny), build_network(tiny)
    assert torch.equal(torch.rand(2), expected)
    other = build_network(dataclasses.replace(tiny, seed=9))
    weight = first.projection.weight
    assert torch.equal(weight, again.projection.weight)
    assert not torch.equal(weight, other.projection.weight)


def test_encode_is_in_evaluation_mode_and_does_not_depend_on_the_batch(tiny: Recipe) -> None:
    pixels = torch.randint(0, 256, (7, 3, 24, 24), dtype=torch.uint8)
    net = build_network(tiny).train()
    whole, pieces = encode(net, pixels, 20), encode(net, pixels, 20, batch=2)
    assert net.training
    assert whole.dtype == np.float32
    assert np.allclose(whole, pieces, atol=1e-6)
    assert encode(net, pixels[:0], 20).shape == (0, 16)


def test_what_was_saved_is_what_is_loaded(tmp_path: Path, tiny: Recipe) -> None:
    net = build_network(tiny)
    net(torch.rand(4, 3, 16, 16))  # BatchNorm's statistics are part of the network
    save_network(net, tiny, tmp_path)
    again, recipe = load_network(tmp_path)
    pixels = torch.randint(0, 256, (3, 3, 24, 24), dtype=torch.uint8)
    assert np.array_equal(encode(net, pixels, 20), encode(again, pixels, 20))
    assert recipe.model.config["depths"] == [1, 1]
    assert dataclasses.replace(recipe, model=tiny.model) == tiny


def test_pretrained_weights_come_from_a_folder_and_are_not_needed_again(tmp_path: Path, tiny: Recipe) -> None:
    donor = build_network(tiny)
    donor.backbone.inner.save_pretrained(tmp_path / "donor")
    model = ModelParams("resnet", 16, weights=str(tmp_path / "donor"))
    recipe = dataclasses.replace(tiny, model=model, seed=8)
    net = build_network(recipe)
    theirs, ours = donor.backbone.state_dict(), net.backbone.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    save_network(net, recipe, tmp_path / "model")
    for file in (tmp_path / "donor").iterdir():
        file.unlink()
    again, _ = load_network(tmp_path / "model")
    assert all(torch.equal(theirs[name], value) for name, value in again.backbone.state_dict().items())


def test_weights_of_another_architecture_are_refused(tmp_path: Path, tiny: Recipe) -> None:
    build_network(tiny).backbone.inner.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="are not those of a vit"):
        Network(ModelParams("vit", 8, weights=str(tmp_path), config=CONFIGS["vit"]), 32)


def test_weights_that_are_not_there_say_what_to_do() -> None:
    with pytest.raises(MissingDataError, match=r"no weights 'nobody/nothing'.*leave model.weights empty"):
        Network(ModelParams("resnet", 8, weights="nobody/nothing"), 32)


def test_timm_is_asked_for_only_when_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "timm" not in sys.modules
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDataError, match=r"timm:resnet18 needs timm.*pip install hierlandmarks\[timm\]"):
        Network(ModelParams("timm:resnet18", 8), 32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone": "resnett"}, "did you mean resnet"),
        ({"pooling": "gemm"}, "did you mean gem"),
        ({"pooling": "cls"}, "no class token"),
        ({"config": {"depth": [1]}}, "unknown key 'depth': did you mean depths"),
        ({"config": {"layer_type": "basik"}}, "does not make a backbone"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Network(ModelParams(**({"backbone": "resnet", "dim": 8, "config": RESNET} | values)), 32)


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"holds no model; got no recipe.yaml"):
        load_network(tmp_path)


def test_spoilt_and_foreign_weights_are_refused(tmp_path: Path, tiny: Recipe) -> None:
    save_network(build_network(tiny), tiny, tmp_path)
    other = dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, dim=5))
    save_network(build_network(other), other, tmp_path / "other")
    whole = (tmp_path / "model.safetensors").read_bytes()
    for content in (whole[:100], (tmp_path / "other" / "model.safetensors").read_bytes()):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(CorruptInputError, match="does not fit its recipe"):
            load_network(tmp_path)
