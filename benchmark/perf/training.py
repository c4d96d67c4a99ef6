"""What the loss, the samplers and the checkpoint cost beside the step they serve.

python benchmark/perf/training.py                 batch 256, a small ResNet at 96 px: a minute on 2 cores
python benchmark/perf/training.py --small         batch 32: a look, in seconds; nothing is written
python benchmark/perf/training.py --device cuda   also ResNet-50 at 224 px: pictures a second, share of the peak, the
                                                  time in the loss at batch 4096 in two passes, peak memory

A step is what the training loop does: augment, embed, loss, backward, optimiser. Parts are timed in the same run, the
median of several calls; the loss forward and backward down to the embeddings. Writes results/training*.csv.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmark")]

from accelerate import Accelerator  # noqa: E402

from hierlandmarks_benchmark.images import augment, draws  # noqa: E402
from hierlandmarks_benchmark.models import build_network  # noqa: E402
from hierlandmarks_benchmark.objective import Objective  # noqa: E402
from hierlandmarks_benchmark.provenance import code_version  # noqa: E402
from hierlandmarks_benchmark.recipe import Recipe, load_recipe  # noqa: E402
from hierlandmarks_benchmark.samplers import batches, epoch_length  # noqa: E402
from hierlandmarks_benchmark.train.backward import Learner  # noqa: E402
from hierlandmarks_benchmark.train.checkpoint import (  # noqa: E402
    module_tensors,
    optimiser_tensors,
    write_checkpoint,
)
from hierlandmarks_benchmark.train.optimisation import build_optimiser  # noqa: E402
from hierlandmarks_benchmark.train.team import Team  # noqa: E402

Row = dict[str, Any]
SMALL = ["sampler.batch=256", "optimiser.ema=0"]
LARGE = [
    "model.config={}",  # transformers' ResNet is ResNet-50 by default
    "model.freeze_batch_norm=true",
    "model.dim=512",
    "head=0",
    "data.stored=224",
    "data.size=224",
    "data.embedded=224",
    "precision=bf16",
]
RESNET50 = (
    2 * 4.09e9
)  # operations of one picture of 224 × 224 forward (He et al., arXiv 1512.03385), two a multiply-add
LANDMARKS, IMAGES = 46_593, 970_981  # of H-GLDv2's training set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="batch 32, nothing written")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", type=float, default=989e12, help="operations a second of the device in bf16 [H200]")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = load_recipe("washington", [*SMALL, *(["sampler.batch=32"] if args.small else [])])
    rows = measure("small ResNet", recipe, args.device, args.steps)
    if args.device == "cuda":
        rows += resnet50(args.steps, args.peak)
    frame = pd.DataFrame(rows).assign(**provenance(args.device, args.threads))
    print(frame.iloc[:, :8].to_string(index=False))
    if not args.small:
        name = f"training{'_cuda' if args.device == 'cuda' else ''}.csv"
        frame.to_csv(args.results / name, index=False, lineterminator="\n", float_format="%.6g")


def resnet50(steps: int, peak: float) -> list[Row]:
    """One pass at batch 256, and two at batch 4096, of ResNet-50 at 224 px."""
    one = load_recipe("washington", [*LARGE, "sampler.batch=256"])
    two = load_recipe("washington", [*LARGE, "sampler.batch=4096", "sampler.chunk=256"])
    rows = []
    for what, recipe, passes in (("ResNet-50, 224 px", one, 3), ("ResNet-50, 224 px, two passes", two, 4)):
        for row in measure(what, recipe, "cuda", steps):
            done = passes * RESNET50 * row.get("images_per_second", float("nan"))  # backward costs two forwards
            rows.append(row | {"share_of_peak": done / peak})
    return rows


def measure(what: str, recipe: Recipe, device: str, steps: int) -> list[Row]:
    """Seconds of a step and of its parts."""
    labels = landmark_labels(1000, 8)
    learner, optimiser = made(recipe, labels, device)
    batch, size = recipe.sampler.batch, recipe.data.stored
    rows = batches(labels, recipe.sampler, seed=0, epoch=0)[0]
    codes = torch.from_numpy(labels[rows]).to(device)
    pixels = torch.randint(0, 256, (len(rows), 3, size, size), dtype=torch.uint8).to(device)
    random = draws(0, 0, 0, len(rows)).to(device)

    def view(part: slice) -> torch.Tensor:
        return augment(pixels[part], recipe.augmentation, recipe.data.size, random[part])

    def step() -> None:
        optimiser.zero_grad()
        learner.backward(view, codes, [len(rows)], recipe.sampler.chunk)
        optimiser.step()

    embeddings = torch.nn.functional.normalize(torch.randn(len(rows), learner.network.dim, device=device), dim=1)

    def loss() -> None:
        learner.objective(embeddings.detach().requires_grad_(), codes)[0].backward()

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    whole = timed(step, steps, device)
    memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")
    parts = {"step": whole, "loss": timed(loss, steps, device), **sampler_seconds(recipe)}
    parts["checkpoint"] = checkpoint_seconds(learner, optimiser)
    about = {"what": what, "batch": batch, "chunk": recipe.sampler.chunk}
    found = [about | {"part": name, "seconds": value, "share_of_step": value / whole} for name, value in parts.items()]
    found[0] |= {"images_per_second": len(rows) / whole, "peak_gb": memory}
    return found


def made(recipe: Recipe, labels: np.ndarray, device: str) -> tuple[Learner, Any]:
    """What learns, and its optimiser."""
    accelerator = Accelerator(mixed_precision=recipe.precision.replace("float32", "no"), cpu=device == "cpu")
    network = build_network(recipe).to(device).train()
    objective = Objective(recipe.loss, labels, network.dim, recipe.head).to(device)
    return Learner(network, objective, accelerator, Team()), build_optimiser(network, objective, recipe)


def landmark_labels(landmarks: int, each: int) -> np.ndarray:
    """N × 3: landmarks of 78 labels of two kinds."""
    landmark = np.repeat(np.arange(landmarks), each)
    return np.stack([landmark, landmark % 78, landmark % 78 % 2], axis=1)


def sampler_seconds(recipe: Recipe) -> Row:
    """Seconds a batch, of an epoch over as many images as H-GLDv2 has, with 2 to 200 of a landmark."""
    rng = np.random.default_rng(0)
    landmark = np.sort(np.r_[np.repeat(np.arange(LANDMARKS), 2), rng.integers(0, LANDMARKS, IMAGES - 2 * LANDMARKS)])
    labels = np.stack([landmark, landmark % 78, landmark % 78 % 2], axis=1)
    found = {}
    for kind in ("classes", "hierarchical"):
        params = replace(recipe.sampler, kind=kind)
        seconds = timed(partial(batches, labels, params, seed=0, epoch=0), 3, "cpu")
        found[f"sampler: {kind}"] = seconds / epoch_length(labels, params)
    return found


def checkpoint_seconds(learner: Learner, optimiser: Any) -> float:
    """To write everything there is to go on from."""
    tensors = module_tensors("network", learner.network) | module_tensors("objective", learner.objective)
    with tempfile.TemporaryDirectory() as folder:
        return timed(lambda: write_checkpoint(Path(folder), tensors | optimiser_tensors(optimiser), {}), 3, "cpu")


def timed(work: Callable[[], Any], times: int, device: str) -> float:
    """Median seconds, after one call that is not counted."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return median(seconds[1:])


def provenance(device: str, threads: int) -> Row:
    """What the numbers depend on, repeated in every row so that none travels alone."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    about = {"date": date.today().isoformat(), "code": code_version(), "processor": processor, "threads": threads}
    if device == "cuda":
        about["processor"] = torch.cuda.get_device_name(0)
    return about | {"python": platform.python_version(), "torch": torch.__version__, "numba": version("numba")}


if __name__ == "__main__":
    main()
