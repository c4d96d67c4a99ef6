from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hierlandmarks_benchmark.losses import (
    SmoothAPLoss,
    SmoothHAPLoss,
    SmoothNDCGLoss,
    SupAPLoss,
    SupHAPLoss,
    SupNDCGLoss,
    SupRecallLoss,
    compiled,
    eager,
)
from hierlandmarks_benchmark.losses.surrogate import SupSurrogate
from tests.reference.losses import Settings, loss_and_gradients
from tests.unit.losses.batches import CASES, Case, tree_labels, unit

BACKENDS = ["eager", "numba"]
WEIGHTS = (0.2, 0.3, 0.5)

# name -> (loss of a backend, the twin's settings, label columns it needs or None)
LOSSES = {
    "suphap": (lambda backend: SupHAPLoss(backend=backend), Settings(), None),
    "suphap-alpha": (lambda backend: SupHAPLoss(alpha=3.0, backend=backend), Settings(alpha=3.0), None),
    "suphap-decomposed": (
        lambda backend: SupHAPLoss("decomposed", weights=WEIGHTS, backend=backend),
        Settings(relevance="decomposed", weights=WEIGHTS),
        3,
    ),
    "suphap-inat": (
        lambda backend: SupHAPLoss(start=0.0, offset=1.0, backend=backend),
        Settings(start=0.0, offset=1.0),
        None,
    ),
    "suphap-wide": (
        lambda backend: SupHAPLoss(tau=0.1, rho=7.0, delta=0.3, offset=1.44, backend=backend),
        Settings(tau=0.1, rho=7.0, delta=0.3, offset=1.44),
        None,
    ),
    "suphap-cold": (lambda backend: SupHAPLoss(tau=0.001, backend=backend), Settings(tau=0.001), None),
    "supndcg": (lambda backend: SupNDCGLoss(backend=backend), Settings(score="ndcg"), None),
    "supap-0": (lambda backend: SupAPLoss(backend=backend), Settings(column=0), None),
    "supap-1": (lambda backend: SupAPLoss(1, backend=backend), Settings(column=1), 3),
    "supap-2": (lambda backend: SupAPLoss(2, offset=1.44, backend=backend), Settings(column=2, offset=1.44), 3),
    "suprecall": (
        lambda backend: SupRecallLoss(backend=backend),
        Settings(score="recall", column=0),
        None,
    ),
    "suprecall-1": (
        lambda backend: SupRecallLoss(1, (2, 5), 0.3, SupSurrogate(start=0.0), backend=backend),
        Settings(score="recall", column=1, ks=(2, 5), temperature=0.3, start=0.0),
        3,
    ),
    "smoothap": (lambda backend: SmoothAPLoss(backend=backend), Settings(column=0, smooth=True), None),
    "smoothhap": (
        lambda backend: SmoothHAPLoss(tau=0.05, backend=backend),
        Settings(smooth=True, tau=0.05),
        None,
    ),
    "smoothndcg": (
        lambda backend: SmoothNDCGLoss(backend=backend),
        Settings(score="ndcg", smooth=True),
        None,
    ),
}


def value_and_gradients(loss: nn.Module, case: Case) -> tuple[float, Tensor, Tensor | None]:
    embeddings = case.embeddings.clone().requires_grad_()
    references = None if case.ref_emb is None else case.ref_emb.clone().requires_grad_()
    value = loss(embeddings, case.labels, references, case.ref_labels)
    value.backward()
    return float(value.detach()), embeddings.grad, None if references is None else references.grad


def assert_close(got: Tensor | None, expected: Tensor | None, rtol: float) -> None:
    """Relative L2 distance; a gradient of rounding errors only counts as 0."""
    if got is None or expected is None:
        assert got is expected
        return
    distance = (got.double() - expected).norm()
    assert distance <= rtol * expected.norm() + rtol * 1e-3, distance / expected.norm()


PAIRS = [
    (name, case) for name, (_, _, columns) in LOSSES.items() for case in CASES if columns is None or case != "one-level"
]


@pytest.mark.parametrize(("name", "case"), PAIRS)
def test_value_and_gradients_are_those_of_the_twin(name: str, case: str) -> None:
    build, settings, _ = LOSSES[name]
    call = CASES[case]
    expected = loss_and_gradients(settings, call.embeddings, call.labels, call.ref_emb, call.ref_labels)
    for backend in BACKENDS:
        value, grad, ref_grad = value_and_gradients(build(backend), call)
        assert value == pytest.approx(expected[0], rel=1e-10, abs=1e-14)
        assert_close(grad, expected[1], 1e-10)
        assert_close(ref_grad, expected[2], 1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["suphap", "supndcg", "supap-1", "suprecall", "smoothhap"])
def test_float32_is_close_to_the_float64_twin(name: str, backend: str) -> None:
    build, settings, _ = LOSSES[name]
    call = CASES["references"].to(torch.float32)
    expected = loss_and_gradients(settings, call.embeddings, call.labels, call.ref_emb, call.ref_labels)
    value, grad, ref_grad = value_and_gradients(build(backend), call)
    assert value == pytest.approx(expected[0], rel=1e-5)
    assert_close(grad, expected[1], 1e-5)
    assert_close(ref_grad, expected[2], 1e-5)


def sorted_out() -> Case:
    """Enough references for the compiled backend's buckets, the linear part and the series."""
    return Case(unit(6, 12, 1), tree_labels(6, 9, 1), unit(1100, 12, 2), tree_labels(1100, 9, 2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["suphap", "suphap-inat", "suphap-wide", "supndcg", "supap-2"])
def test_buckets_change_nothing(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_LEAST_REFERENCES", 1000)
    build, _, _ = LOSSES[name]
    call = sorted_out().to(dtype)
    value, grad, ref_grad = value_and_gradients(build("numba"), call)
    expected = value_and_gradients(build("eager"), call)
    rtol = 1e-11 if dtype == torch.float64 else 1e-5
    assert value == pytest.approx(expected[0], rel=rtol)
    assert_close(grad, expected[1].double(), rtol)
    assert_close(ref_grad, expected[2].double(), rtol)


def test_a_large_reference_set_uses_the_buckets() -> None:
    levels = torch.ones(2, 4096, dtype=torch.int8)
    assert compiled._buckets(levels) > 1
    assert compiled._buckets(levels[:, :1024]) == 1


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    call = CASES["references"]
    whole = value_and_gradients(SmoothHAPLoss(backend="eager"), call)
    monkeypatch.setitem(eager._BLOCK_ELEMENTS, "cpu", 7)
    blocked = value_and_gradients(SmoothHAPLoss(backend="eager"), call)
    assert blocked[0] == pytest.approx(whole[0], rel=1e-14)
    assert_close(blocked[1], whole[1], 1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_row_blocks_change_nothing(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hierlandmarks_benchmark.losses import functional

    call = CASES["batch"]
    whole = value_and_gradients(SupHAPLoss(backend=backend), call)
    monkeypatch.setitem(functional._BLOCK_SCORES, "cpu", 1)
    monkeypatch.setattr(functional, "_LEAST_ROWS", 5)
    blocked = value_and_gradients(SupHAPLoss(backend=backend), call)
    assert blocked[0] == pytest.approx(whole[0], rel=1e-14)
    assert_close(blocked[1], whole[1], 1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["suphap-wide", "supndcg", "suprecall", "smoothhap", "smoothndcg"])
def test_gradcheck(name: str, backend: str) -> None:
    build, _, _ = LOSSES[name]
    call = CASES["references"]
    loss = build(backend)

    def value(embeddings: Tensor, references: Tensor) -> Tensor:
        return loss(embeddings, call.labels, references, call.ref_labels)

    inputs = call.embeddings.clone().requires_grad_(), call.ref_emb.clone().requires_grad_()
    assert torch.autograd.gradcheck(value, inputs, eps=1e-8, atol=1e-5, rtol=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["batch_balanced", "batch_pairs", "query_gallery"])
def test_golden(name: str, backend: str, shared: Path) -> None:
    golden = np.load(shared / "golden" / f"{name}.npz")
    weights = tuple(golden["weights_decomposed"].tolist())
    refs = [torch.tensor(golden[key]) for key in ("ref_embeddings", "ref_labels") if key in golden]
    call = Case(torch.tensor(golden["embeddings"]), torch.tensor(golden["labels"]), *refs)
    kept = [key.removeprefix("loss_") for key in golden if key.startswith("loss_")]
    assert len(kept) == 11
    for key in kept:
        build = golden_loss(key, weights, backend)
        value, grad, _ = value_and_gradients(build, call)
        assert value == pytest.approx(float(golden[f"loss_{key}"]), rel=1e-6), key
        assert_close(grad, torch.tensor(golden[f"grad_{key}"]), 1e-6)


def golden_loss(key: str, weights: tuple[float, ...], backend: str) -> nn.Module:
    offset = 1.44 if key.endswith("1.44") else None
    return {
        "suphap_pop": lambda: SupHAPLoss(offset=offset, backend=backend),
        "suphap_decomposed": lambda: SupHAPLoss("decomposed", weights=weights, offset=offset, backend=backend),
        "supndcg": lambda: SupNDCGLoss(offset=offset, backend=backend),
        "supap_level0": lambda: SupAPLoss(0, offset=offset, backend=backend),
        "supap_level1": lambda: SupAPLoss(1, offset=offset, backend=backend),
        "smoothap_level0": lambda: SmoothAPLoss(0, backend=backend),
    }[key.removesuffix("_continuous").removesuffix("_offset1.44")]()


def test_the_continuous_offset_is_the_default() -> None:
    assert SupSurrogate().jump == 0
    continuous = 1 / (1 + math.exp(-5)) + 0.5
    assert SupSurrogate(offset=continuous).jump == pytest.approx(0, abs=1e-15)
    assert continuous == pytest.approx(1.4933, abs=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reference_set_is_not_the_batch(backend: str) -> None:
    """With references the query is not its own positive: ranking a batch against itself as references differs."""
    call = CASES["batch"]
    loss = SupRecallLoss(backend=backend)
    others = torch.arange(1, 23)
    alone = loss(call.embeddings[:1], call.labels[:1], call.embeddings[others], call.labels[others])
    itself = loss(call.embeddings[:1], call.labels[:1], call.embeddings, call.labels)
    assert alone != itself


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_a_gathered_batch_add_up(backend: str) -> None:
    """Half batches as queries against all embeddings give the gradient of the whole, as under all-gather."""
    call = CASES["batch"]
    loss = SupHAPLoss(backend=backend)
    whole = value_and_gradients(loss, Case(call.embeddings, call.labels, call.embeddings, call.labels))
    total = torch.zeros_like(call.embeddings)
    for rows in (slice(0, 11), slice(11, 23)):
        part = value_and_gradients(loss, Case(call.embeddings[rows], call.labels[rows], call.embeddings, call.labels))
        share = len(call.labels[rows]) / 23
        total[rows] += share * part[1]
        total += share * part[2]
    assert_close(total, whole[1] + whole[2], 1e-12)
