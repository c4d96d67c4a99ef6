"""The rank losses side by side with the B × M × M form and with peers: time and memory, in one run.

python benchmark/perf/losses.py                 the whole table, under 4 minutes on 2 cores
python benchmark/perf/losses.py --small         B up to 256: a look, in seconds
python benchmark/perf/losses.py --device cuda   the triton backend, and the floor it is measured against

Batches hold 4 images of a landmark, 8 labels, 2 coarse classes, so L = 3; d = 512, float32; forward + backward. Writes
results/losses*.csv with provenance, results/losses_targets*.csv with the ratios, and docs/img/losses*.svg.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from losses_plot import plot
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmark")]

from hierlandmarks_benchmark import losses as ours  # noqa: E402
from hierlandmarks_benchmark.losses.levels import Relevance, level_counts, pair_levels  # noqa: E402
from hierlandmarks_benchmark.provenance import code_version  # noqa: E402
from tests.reference import losses as twins  # noqa: E402

DIM = 512
Batch = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="B up to 256 only")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of torch and numba on the CPU")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--apart", help=argparse.SUPPRESS)  # one row, in a process of its own
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.apart:
        print(json.dumps(apart(**json.loads(args.apart))))
        return
    found = cuda_rows(args.small) if args.device == "cuda" else cpu_rows(args.small, args.threads)
    rows = []
    for row in found:
        print("  ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True)
        rows.append(row)
    kind = ("_cuda" if args.device == "cuda" else "") + ("_small" if args.small else "")
    about = provenance(args.device, args.threads)
    frame = pd.DataFrame(rows).assign(dim=DIM, **about)
    frame.to_csv(args.results / f"losses{kind}.csv", index=False, lineterminator="\n", float_format="%.6g")
    if args.device == "cpu" and not args.small:
        verdicts = pd.DataFrame(targets(frame))
        print(verdicts.to_string(index=False))
        verdicts.assign(**about).to_csv(args.results / "losses_targets.csv", index=False, lineterminator="\n")
    if not args.small:
        plot(frame, ROOT / "docs" / "img" / f"losses{kind}.svg")


def make_batch(size: int, references: int | None = None, device: str = "cpu") -> Batch:
    """Embeddings with some structure: a direction a landmark, one a label, and noise."""
    generator = torch.Generator().manual_seed(0)
    largest = max(size, references or 0) // 4 + 1
    landmarks, kinds = torch.randn(largest, DIM, generator=generator), torch.randn(8, DIM, generator=generator)

    def some(count: int) -> tuple[Tensor, Tensor]:
        fine = torch.arange(count) // 4
        labels = torch.stack([fine, fine % 8, fine % 8 % 2], dim=1)
        noise = torch.randn(count, DIM, generator=generator)
        raw = 0.5 * landmarks[labels[:, 0]] + 0.4 * kinds[labels[:, 1]] + noise
        return torch.nn.functional.normalize(raw, dim=1).to(device), labels.to(device)

    queries = some(size)
    return (*queries, None, None) if references is None else (*queries, *some(references))


def task(loss: str, backend: str, batch: Batch) -> Callable[[], object]:
    """Forward + backward of one loss, ready to be called again and again."""
    embeddings, labels, ref_emb, ref_labels = batch
    leaf = embeddings.clone().requires_grad_()

    def run(function: Callable[[Tensor], Tensor]) -> None:
        leaf.grad = None
        function(leaf).backward()

    if loss == "product":
        ones = torch.ones(len(leaf), len(leaf), device=leaf.device)
        return lambda: (leaf @ leaf.T).backward(ones)
    if loss == "product forward":
        return lambda: embeddings @ embeddings.T
    if backend == "peer":
        peer = _peer(loss)
        return lambda: run(lambda x: peer(x, labels[:, 0]))
    if backend == "direct":
        direct = _direct(loss, labels)
        return lambda: run(direct)
    own = getattr(ours, f"{loss}Loss")(backend=backend)
    return lambda: run(lambda x: own(x, labels, ref_emb, ref_labels))


def _peer(loss: str) -> Callable[[Tensor, Tensor], Tensor]:
    from pytorch_metric_learning import losses as peers

    found: Callable[[Tensor, Tensor], Tensor] = getattr(peers, f"{loss}Loss")()
    return found


def _direct(loss: str, labels: Tensor) -> Callable[[Tensor], Tensor]:
    settings = twins.Settings()
    levels = pair_levels(labels, labels, first_self=0).long()
    worth = Relevance().table(level_counts(levels, 3)).float().gather(1, levels)
    functions = {
        "SupHAP": lambda scores: twins.direct_hap(scores, levels, worth, settings),
        "SupNDCG": lambda scores: twins.direct_ndcg(scores, levels, settings),
        "SupAP": lambda scores: twins.direct_ap(scores, (levels == 3).long(), settings),
    }
    return lambda leaf: functions[loss](leaf @ leaf.T)


def clock(function: Callable[[], object], repeats: int, least: float = 0.4) -> float:
    """Best time of some calls, in seconds, after one that warms up; of more where they take less than `least` together.

    A call of milliseconds would otherwise be measured wholly within one disturbance.
    """
    function()
    times: list[float] = []
    while len(times) < repeats or sum(times) < least:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def apart(loss: str, backend: str, size: int, references: int | None) -> Row:
    """Time of one call and the memory it needs above what was there, in a process that did nothing else before."""
    if backend != "direct":
        task(loss, backend, make_batch(8, references and 16))()  # compile, allocate what stays
    function = task(loss, backend, make_batch(size, references))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark
    start = time.perf_counter()
    function()
    return {"seconds": time.perf_counter() - start, "extra_mb": _status("VmHWM") - before}


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_a_process(loss: str, backend: str, size: int, threads: int, references: int | None = None) -> Row:
    """A row measured by `apart`."""
    call = json.dumps({"loss": loss, "backend": backend, "size": size, "references": references})
    command = [sys.executable, __file__, "--apart", call, "--threads", str(threads)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {"loss": loss, "backend": backend, "batch": size, "references": references or size, **found}


def cpu_rows(small: bool, threads: int) -> Iterator[Row]:
    """All rows of the CPU: times in this process, memory and the slowest rows each in a process of its own."""
    sizes = [128, 256] if small else [128, 256, 512, 1024, 2048, 4096]
    plan = [("product", "torch", 4096), ("product forward", "torch", 4096)]
    plan += [(loss, "numba", 4096) for loss in ("SupHAP", "SupNDCG", "SupAP", "SmoothAP")]
    plan += [("SupHAP", "eager", 1024), ("SupNDCG", "eager", 512), ("SupAP", "eager", 512)]
    plan += [(loss, "direct", 512) for loss in ("SupHAP", "SupNDCG", "SupAP")]
    plan += [("SmoothAP", "peer", 512), ("FastAP", "peer", 1024)]
    for size in sizes:
        batch = make_batch(size)
        for loss, backend, largest in plan:
            if size <= largest:
                repeats = 7 if backend not in ("direct", "peer") and size <= 1024 else 3 if size <= 256 else 1
                seconds = clock(task(loss, backend, batch), repeats)
                yield {"loss": loss, "backend": backend, "batch": size, "references": size, "seconds": seconds}
    if small:
        return
    yield in_a_process("SupHAP", "direct", 512, threads)
    for size in (512, 4096):
        yield in_a_process("SupHAP", "numba", size, threads)
        yield in_a_process("SupHAP", "eager", size, threads)
    for backend in ("numba", "eager"):
        yield in_a_process("SupHAP", backend, 256, threads, references=16384)


def cuda_rows(small: bool) -> Iterator[Row]:
    """SupHAP on a GPU: milliseconds by events, peak memory, and the ratio to the floor."""
    backends = ["eager", "triton"]
    for size in [128, 256] if small else [128, 256, 512, 1024, 2048, 4096]:
        batch = make_batch(size, device="cuda")
        floor = floor_seconds(batch[1])
        for loss, backend in [("product", "torch"), *(("SupHAP", backend) for backend in backends)]:
            function = task(loss, backend, batch)
            for _ in range(3):
                function()
            torch.cuda.synchronize()
            base = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            repeats = 20
            start.record()
            for _ in range(repeats):
                function()
            end.record()
            torch.cuda.synchronize()
            seconds = start.elapsed_time(end) / 1000 / repeats
            extra = (torch.cuda.max_memory_allocated() - base) / 2**20
            row = {"loss": loss, "backend": backend, "batch": size, "references": size, "seconds": seconds}
            row |= {"extra_mb": extra, "squares_of_floats": extra * 2**20 / (4 * size**2)}
            yield row | ({"floor_seconds": floor, "to_floor": seconds / floor} if loss == "SupHAP" else {})


def floor_seconds(labels: Tensor) -> float:
    """Two passes of one exponential and one reciprocal a pair of different level, at the special functions' rate."""
    levels = pair_levels(labels, labels, first_self=0)
    counts = level_counts(levels, 3)
    lower = counts.cumsum(1) - counts
    pairs = float((counts * lower)[:, 1:].sum())
    about = torch.cuda.get_device_properties(0)
    asked = ["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits", "--id=0"]
    clock_hz = 1e6 * float(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()[0])
    return pairs * 2 * 2 / (about.multi_processor_count * 16 * clock_hz)


def targets(frame: pd.DataFrame) -> Iterator[Row]:
    """The ratios that were asked for, and whether they were reached."""

    def row(loss: str, backend: str, size: int, references: int | None = None, *, column: str = "seconds") -> float:
        found = frame[(frame["loss"] == loss) & (frame["backend"] == backend) & (frame["batch"] == size)]
        found = found[found["references"] == (references or size)][column].dropna()
        return float(found.min())

    def verdict(what: str, backend: str, value: float, bound: float, *, least: bool) -> Row:
        reached = value >= bound if least else value <= bound
        return {"target": what, "backend": backend, "measured": round(value, 4), "bound": bound, "reached": reached}

    for loss, size, numba, eager in [
        ("SupHAP", 256, 120, 10), ("SupHAP", 512, 200, 15), ("SupNDCG", 256, 120, 10), ("SupNDCG", 512, 200, 15),
        ("SupAP", 512, 700, 300),
    ]:  # fmt: skip
        for backend, bound in (("numba", numba), ("eager", eager)):
            ratio = row(loss, "direct", size) / row(loss, backend, size)
            yield verdict(f"{loss}: times faster than direct at B = {size}", backend, ratio, bound, least=True)
    direct = row("SupHAP", "direct", 512, column="extra_mb")
    for backend, bound in (("numba", 1 / 250), ("eager", 1 / 100)):
        memory = [row("SupHAP", backend, size, column="extra_mb") for size in (512, 4096)]
        yield verdict("memory against direct at B = 512", backend, memory[0] / direct, bound, least=False)
        growth = torch.tensor(memory[1] / memory[0]).log2().item() / 3
        yield verdict("exponent of memory from 512 to 4096", backend, growth, 2.1, least=False)
    for size, bound in ((1024, 6), (4096, 30)):
        for product in ("product", "product forward"):
            ratio = row("SupHAP", "numba", size) / row(product, "torch", size)
            yield verdict(f"SupHAP against its {product} at B = {size}", "numba", ratio, bound, least=False)
    for backend, bound in (("numba", 2), ("eager", 60)):
        seconds = row("SupHAP", backend, 256, 16384)
        yield verdict("seconds for 256 queries × 16,384 references", backend, seconds, bound, least=False)


def provenance(device: str, threads: int) -> Row:
    """What the numbers depend on, repeated in every row so that none travels alone."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    from importlib.metadata import version

    about = {"date": date.today().isoformat(), "code": code_version(), "processor": processor, "threads": threads}
    if device == "cuda":
        about["processor"] = torch.cuda.get_device_name(0)
    return about | {"python": platform.python_version(), "torch": torch.__version__, "numba": version("numba")}


if __name__ == "__main__":
    main()
