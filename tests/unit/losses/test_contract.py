from __future__ import annotations

import importlib.util
import pickle
import warnings

import pytest
import torch

from hierlandmarks_benchmark import losses
from hierlandmarks_benchmark.losses import (
    CalibrationLoss,
    SmoothAPLoss,
    SupAPLoss,
    SupHAPLoss,
    SupNDCGLoss,
    SupRecallLoss,
    TripletLoss,
    backends,
    checks,
)
from tests.unit.losses.batches import CASES, Case, unit

EMBEDDINGS = unit(6, 4, 1).float()
LABELS = torch.tensor([[0, 0], [0, 0], [1, 0], [1, 0], [2, 1], [2, 1]])
EVERY = [SupAPLoss(), SupHAPLoss(), SupNDCGLoss(), SupRecallLoss(), SmoothAPLoss(), CalibrationLoss(), TripletLoss()]


def test_exports() -> None:
    ranking = {f"Sup{score}Loss" for score in ("AP", "HAP", "NDCG", "Recall")}
    ranking |= {f"Smooth{score}Loss" for score in ("AP", "HAP", "NDCG")}
    others = {"CalibrationLoss", "ProxyLoss", "CSLLoss", "TripletLoss", "WeightedLoss", "CrossBatchMemory"}
    assert set(losses.__all__) == ranking | others


BAD_CALLS = {
    "labels are not integers": (EMBEDDINGS, LABELS.float()),
    "labels have a wrong shape": (EMBEDDINGS, LABELS[:5]),
    "labels are out of range; got -2": (EMBEDDINGS, LABELS - 2),
    "embeddings is not finite; got NaN or infinity in row 3": (
        EMBEDDINGS.index_fill(0, torch.tensor(3), torch.nan),
        LABELS,
    ),
    "embeddings is not a tensor of floats": (LABELS, LABELS),
    "embeddings has a wrong shape": (EMBEDDINGS[0], LABELS),
    "ref_labels is missing": (EMBEDDINGS, LABELS, EMBEDDINGS),
    "ref_emb is missing": (EMBEDDINGS, LABELS, None, LABELS),
    "ref_emb has a wrong shape; got (0, 4)": (EMBEDDINGS, LABELS, EMBEDDINGS[:0], LABELS[:0]),
    "ref_emb has another dimension": (EMBEDDINGS, LABELS, EMBEDDINGS[:, :3] * 2, LABELS),
    "ref_emb is not finite": (EMBEDDINGS, LABELS, EMBEDDINGS * torch.inf, LABELS),
    "ref_labels have a wrong shape": (EMBEDDINGS, LABELS, EMBEDDINGS, LABELS[:3]),
    "ref_labels has another number of columns": (EMBEDDINGS, LABELS, EMBEDDINGS, LABELS[:, :1]),
}


@pytest.mark.filterwarnings("ignore:.*unit length")
@pytest.mark.parametrize("message", BAD_CALLS)
@pytest.mark.parametrize("loss", EVERY, ids=lambda loss: type(loss).__name__)
def test_bad_input_is_named(loss: torch.nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        loss(*BAD_CALLS[message])
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("loss", [SupAPLoss(2), SupRecallLoss(2), CalibrationLoss(2), TripletLoss(2)])
def test_a_level_that_is_not_there(loss: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match=r"level is out of range; got 2, expected a label column, 0 \(finest\) … 1"):
        loss(EMBEDDINGS, LABELS)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SupHAPLoss(tau=0), "tau is out of range"),
        (lambda: SupHAPLoss(rho=-1), "rho is out of range"),
        (lambda: SupHAPLoss(delta=float("nan")), "delta is out of range"),
        (lambda: SmoothAPLoss(tau=-1), "tau is out of range"),
        (lambda: SupHAPLoss("other"), "relevance is unknown"),
        (lambda: SupHAPLoss(alpha=-1), "alpha is out of range"),
        (lambda: SupHAPLoss("decomposed"), "weights are missing"),
        (lambda: SupHAPLoss("decomposed", weights=(0.5, 0.6)), "weights are out of range"),
        (lambda: SupHAPLoss(weights=(0.5, 0.5)), "weights belong to the decomposed"),
        (lambda: SupHAPLoss("decomposed", weights=(0.2, 0.3, 0.5))(EMBEDDINGS, LABELS), "weights do not fit"),
        (lambda: SupRecallLoss(ks=()), "ks are out of range"),
        (lambda: SupRecallLoss(temperature=0), "temperature is out of range"),
        (lambda: SupAPLoss(-1), "level is out of range"),
        (lambda: SupAPLoss(backend="cuda"), "backend is unknown"),
        (lambda: TripletLoss(margin=0), "margin is out of range"),
    ],
)
def test_bad_settings_are_named(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]


def test_a_missing_backend_comes_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"backend numba is not installed; .* pip install numba"):
        SupAPLoss(backend="numba")
    assert backends.gains_function("auto", torch.device("cpu")).__module__.endswith("eager")


def test_auto_picks_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backends.gains_function("auto", torch.device("cpu")).__module__.endswith("compiled")
    monkeypatch.setattr(backends, "_installed", lambda name: name == "triton")
    assert backends._best(torch.device("cuda")) == "triton"
    assert backends._best(torch.device("mps")) == "eager"


def test_numba_refuses_another_device() -> None:
    with pytest.raises(ValueError, match=r"backend numba does not run here; got tensors on meta"):
        backends.gains_function("numba", torch.device("meta"))


def test_far_from_unit_norm_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_warned_about_norm", False)
    with pytest.warns(UserWarning, match="embeddings are far from unit length"):
        SupAPLoss()(EMBEDDINGS * 3, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SupAPLoss()(EMBEDDINGS * 3, LABELS)


@pytest.mark.parametrize("loss", EVERY, ids=lambda loss: type(loss).__name__)
def test_half_precision_is_computed_in_float32(loss: torch.nn.Module) -> None:
    half = EMBEDDINGS.bfloat16().requires_grad_()
    value = loss(half, LABELS)
    value.backward()
    wide = half.detach().float().requires_grad_()
    expected = loss(wide, LABELS)
    expected.backward()
    assert value.dtype == torch.float32
    assert value == expected
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16
    assert torch.equal(half.grad, wide.grad.bfloat16())


@pytest.mark.parametrize("loss", EVERY, ids=lambda loss: type(loss).__name__)
def test_autocast_leaves_scores_in_float32(loss: torch.nn.Module) -> None:
    expected = loss(EMBEDDINGS, LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(EMBEDDINGS, LABELS)
    assert value == expected


def test_references_of_another_precision_are_widened() -> None:
    value = SupHAPLoss()(EMBEDDINGS, LABELS, EMBEDDINGS.double(), LABELS)
    assert value.dtype == torch.float64


def test_no_gradient_is_computed_where_none_is_wanted() -> None:
    leaf = EMBEDDINGS.clone().requires_grad_()
    with torch.no_grad():
        assert not SupHAPLoss()(leaf, LABELS).requires_grad
    value = SupHAPLoss()(leaf, LABELS, EMBEDDINGS, LABELS)
    value.backward(torch.tensor(2.0))
    once = leaf.grad.clone()
    leaf.grad = None
    SupHAPLoss()(leaf, LABELS, EMBEDDINGS, LABELS).backward()
    assert torch.allclose(once, 2 * leaf.grad)


@pytest.mark.parametrize("backend", ["eager", "numba"])
def test_deterministic_on_the_cpu(backend: str) -> None:
    call = CASES["batch"]
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            first, second = (embeddings_gradient(backend, call) for _ in range(2))
            assert torch.equal(first, second)
    finally:
        torch.set_num_threads(threads)


def embeddings_gradient(backend: str, call: Case) -> torch.Tensor:
    embeddings = call.embeddings.clone().requires_grad_()
    SupHAPLoss(backend=backend)(embeddings, call.labels).backward()
    return embeddings.grad


def test_a_compiled_model_around_it() -> None:
    model = torch.nn.Linear(4, 4)
    loss = SupHAPLoss()

    def step(inputs: torch.Tensor) -> torch.Tensor:
        return loss(torch.nn.functional.normalize(model(inputs), dim=1), LABELS)

    expected = step(EMBEDDINGS)
    expected.backward()
    grad = model.weight.grad.clone()
    model.weight.grad = None
    value = torch.compile(step, backend="aot_eager")(EMBEDDINGS)
    value.backward()
    assert torch.allclose(value, expected)
    assert torch.allclose(model.weight.grad, grad, rtol=1e-4)


@pytest.mark.parametrize("loss", EVERY, ids=lambda loss: type(loss).__name__)
def test_modules_show_themselves_and_travel(loss: torch.nn.Module) -> None:
    assert type(loss).__name__ in repr(loss)
    assert pickle.loads(pickle.dumps(loss))(EMBEDDINGS, LABELS) == loss(EMBEDDINGS, LABELS)
