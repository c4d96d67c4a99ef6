"""What the definitions promise of the rank losses, for any batch hypothesis can think of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hierlandmarks_benchmark.losses import SmoothHAPLoss, SupAPLoss, SupHAPLoss, SupNDCGLoss, SupRecallLoss
from tests.reference.losses import average_precision_loss

seeds = st.integers(0, 2**31 - 1)
backends = st.sampled_from(["eager", "numba"])


@st.composite
def batches(draw: st.DrawFn, columns: int = 3) -> tuple[Tensor, Tensor]:
    """Unit vectors, some of them equal or opposite, and labels, some of them empty, not always a tree."""
    generator = torch.Generator().manual_seed(draw(seeds))
    count, dim = draw(st.integers(2, 24)), draw(st.integers(1, 6))
    embeddings = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        embeddings = embeddings.sign() + (embeddings == 0)
    labels = torch.randint(-1 if draw(st.booleans()) else 0, 4, (count, columns), generator=generator)
    return torch.nn.functional.normalize(embeddings, dim=1), labels


def exact_products(embeddings: Tensor) -> Tensor:
    """Rounded so that sums of products are exact in any order, and ties stay ties."""
    return (embeddings * 1024).round() / 1024


def run(loss: torch.nn.Module, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    leaf = embeddings.clone().requires_grad_()
    value = loss(leaf, labels)
    value.backward()
    return value.detach(), leaf.grad


@given(batches(columns=1), backends)
def test_supap_is_an_upper_bound_of_ap(batch: tuple[Tensor, Tensor], backend: str) -> None:
    """Of the AP in which a tied negative is not above: at t = 0 the surrogate is 1/2, while H is 1."""
    embeddings, labels = exact_products(batch[0]), batch[1]
    scores = embeddings @ embeddings.T
    exact = []
    for query, row in enumerate(scores.tolist()):
        positive = (labels[:, 0] == labels[query, 0]) & (labels[query, 0] >= 0)
        positive[query] = True
        exact.append(average_precision_loss(row, positive.tolist(), ties_count=False))
    value, _ = run(SupAPLoss(backend=backend), embeddings, labels)
    assert value >= sum(exact) / len(exact) - 1e-12


@given(batches(columns=1), backends)
def test_suphap_with_one_level_is_supap(batch: tuple[Tensor, Tensor], backend: str) -> None:
    hap, hap_grad = run(SupHAPLoss(backend=backend), *batch)
    ap, ap_grad = run(SupAPLoss(backend=backend), *batch)
    assert hap == pytest.approx(float(ap), abs=1e-14)
    torch.testing.assert_close(hap_grad, ap_grad, rtol=1e-12, atol=1e-12)


@given(batches(), st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any))
def test_decomposed_hap_is_the_weighted_sum_of_aps(batch: tuple[Tensor, Tensor], raw: list[int]) -> None:
    """With the true step: at temperatures far below any difference of scores, the surrogate without its start is H."""
    embeddings, labels = batch
    weights = [value / sum(raw) for value in raw]
    true_step = {"tau": 1e-7, "rho": 0.0, "delta": 0.0, "start": 0.0, "offset": 1.0}
    scores = embeddings @ embeddings.T
    hap = float(SupHAPLoss("decomposed", weights=weights, **true_step)(embeddings, labels))
    total = 0.0
    for level, weight in enumerate(weights, start=1):
        column = 3 - level
        for query, row in enumerate(scores.tolist()):
            known = (labels[:, column:] == labels[query, column:]) & (labels[query, column:] >= 0)
            positive = known.all(dim=1)
            positive[query] = True
            total += weight * average_precision_loss(row, positive.tolist()) / len(labels)
    # A tie is half a step for the sigmoid and a whole one for H.
    differences = (scores[:, :, None] - scores[:, None, :]).abs()
    apart = differences + torch.eye(len(scores))
    if apart.min() > 1e-5:
        assert hap == pytest.approx(total, abs=1e-9)


@given(batches(), seeds, backends, st.sampled_from([SupHAPLoss, SupNDCGLoss, SupRecallLoss, SmoothHAPLoss]))
def test_the_order_of_a_batch_is_of_no_importance(
    batch: tuple[Tensor, Tensor], seed: int, backend: str, kind: type[torch.nn.Module]
) -> None:
    embeddings, labels = batch
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    exact = exact_products(embeddings)
    value, grad = run(kind(backend=backend), exact, labels)
    shuffled, shuffled_grad = run(kind(backend=backend), exact[order], labels[order])
    assert shuffled == pytest.approx(float(value), abs=1e-12)
    torch.testing.assert_close(shuffled_grad, grad[order], rtol=1e-9, atol=1e-9)


@given(batches(), st.sampled_from([torch.float32, torch.float64]), st.sampled_from([1e-3, 1e-2, 1.0]))
@settings(max_examples=100)
def test_gradients_are_finite_and_backends_agree(batch: tuple[Tensor, Tensor], dtype: torch.dtype, tau: float) -> None:
    embeddings = exact_products(batch[0]).to(dtype)
    for kind in (SupHAPLoss, SupNDCGLoss, SmoothHAPLoss):
        value, grad = run(kind(tau=tau, backend="eager"), embeddings, batch[1])
        other, other_grad = run(kind(tau=tau, backend="numba"), embeddings, batch[1])
        assert grad.isfinite().all()
        # A tied item of lower level is half a step in the rank and a whole one in the H-rank, so SupHAP may pass 0.
        assert (0 if kind is not SupHAPLoss else -1) <= float(value) <= 1
        rtol = 1e-10 if dtype == torch.float64 else 1e-5
        assert other == pytest.approx(float(value), rel=rtol, abs=rtol)
        assert (other_grad - grad).norm() <= rtol * (grad.norm() + 0.01 / tau)


@given(st.integers(2, 8), st.sampled_from([torch.float32, torch.float64]), backends)
def test_gradients_are_finite_at_similarities_of_plus_and_minus_one(
    count: int, dtype: torch.dtype, backend: str
) -> None:
    axis = torch.tensor([1.0, 0.0, 0.0], dtype=dtype)
    embeddings = torch.stack([axis if row % 2 else -axis for row in range(count)])
    labels = torch.arange(count) // 2
    for loss in (SupAPLoss(backend=backend), SupRecallLoss(backend=backend), SmoothHAPLoss(backend=backend)):
        value, grad = run(loss, embeddings, labels)
        assert value.isfinite()
        assert grad.isfinite().all()
