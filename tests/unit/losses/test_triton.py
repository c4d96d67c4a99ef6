"""The triton kernels through triton's interpreter: equal to the eager backend, without a GPU."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from hierlandmarks_benchmark.losses import (
    SmoothHAPLoss,
    SupHAPLoss,
    SupNDCGLoss,
    SupRecallLoss,
    backends,
    functional,
    triton_kernels,
)
from tests.unit.losses.batches import CASES, Case, tree_labels, unit

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed: pip install --no-deps triton"
)
LOSSES = {
    "suphap": lambda backend: SupHAPLoss(backend=backend),
    "suphap-wide": lambda backend: SupHAPLoss(tau=0.1, rho=7.0, delta=0.3, offset=1.44, backend=backend),
    "supndcg": lambda backend: SupNDCGLoss(backend=backend),
    "suprecall": lambda backend: SupRecallLoss(1, backend=backend),
    "smoothhap": lambda backend: SmoothHAPLoss(tau=0.05, backend=backend),
}
TILES = Case(unit(2, 6, 1), tree_labels(2, 8, 1), unit(300, 6, 2), tree_labels(300, 8, 2))


@needs_triton
def test_the_interpreter_agrees_with_eager(root: Path) -> None:
    """In a process of its own: triton reads TRITON_INTERPRET when it is imported."""
    paths = [str(root), str(root / "pipelines"), str(root / "benchmark"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    result = subprocess.run(
        [sys.executable, "-m", "tests.unit.losses.test_triton"],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("agrees") == 2 * len(LOSSES) * (1 + len(multi_level_cases()))


class NoKernel:
    """Takes the place of a kernel that is only launched."""

    def __getitem__(self, grid: tuple[int, ...]) -> object:
        return lambda *args, **settings: None


def test_no_more_than_four_squares_of_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of the tensors alive at once around the kernels, in the blocks of a device."""
    monkeypatch.setattr(backends, "_installed", lambda name: True)
    monkeypatch.setattr(triton_kernels, "INTERPRETED", True)
    monkeypatch.setattr(triton_kernels, "triton", SimpleNamespace(cdiv=lambda a, b: -(-a // b)))
    for kernel in ("_gains_kernel", "_pull_kernel"):
        monkeypatch.setattr(triton_kernels, kernel, NoKernel())
    monkeypatch.setitem(functional._BLOCK_SCORES, "cpu", functional._BLOCK_SCORES_DEVICE)
    labels = torch.arange(1024)[:, None] // torch.tensor([4, 128, 512])
    embeddings = unit(1024, 512, 1).float().requires_grad_()
    loss = SupHAPLoss(backend="triton")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        loss(embeddings, labels).backward()
    alive, most = 0, 0
    for event in sorted(seen.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            alive += event.nbytes()
            most = max(most, alive)
    assert 1024**2 * 4 < most <= 4 * 1024**2 * 4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@needs_triton
@pytest.mark.parametrize("name", LOSSES)
def test_the_device_agrees_with_eager(name: str) -> None:
    for dtype in (torch.float64, torch.float32):
        assert distances(name, TILES.to(dtype), "cuda") < (1e-10 if dtype == torch.float64 else 1e-5)


def multi_level_cases() -> dict[str, Case]:
    return {name: case for name, case in CASES.items() if case.labels.ndim == 2}


def gradients(name: str, backend: str, case: Case, device: str) -> list[torch.Tensor]:
    embeddings = case.embeddings.detach().clone().to(device).requires_grad_()
    references = None if case.ref_emb is None else case.ref_emb.detach().clone().to(device).requires_grad_()
    ref_labels = None if case.ref_labels is None else case.ref_labels.to(device)
    value = LOSSES[name](backend)(embeddings, case.labels.to(device), references, ref_labels)
    value.backward()
    return [value.detach(), embeddings.grad, *([] if references is None else [references.grad])]


def distances(name: str, case: Case, device: str) -> float:
    """Largest relative distance of value and gradients between triton and eager."""
    pairs = zip(gradients(name, "triton", case, device), gradients(name, "eager", case, device), strict=True)
    return max(float((got - expected).norm() / (expected.norm() + 1e-4)) for got, expected in pairs)


def main() -> None:
    for dtype, rtol in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        for name in LOSSES:
            for label, case in {"tiles": TILES, **multi_level_cases()}.items():
                distance = distances(name, case.to(dtype), "cpu")
                print(name, label, dtype, distance, "agrees" if distance <= rtol else "DIFFERS")


if __name__ == "__main__":
    main()
