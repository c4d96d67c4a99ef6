"""The metrics side by side with what they are compared to: time and memory, in one run, as CSV with provenance and a
plot.

python benchmark/perf/metrics.py           G = 10 k, 50 k, 100 k with peers, under 4 minutes on 2 cores
python benchmark/perf/metrics.py --full    also 1,129 × 762 k, and error bars over 117,577 queries
python benchmark/perf/metrics.py --device  on a CUDA device: 1,129 × 762 k beside the matrix product and one sort
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import gc
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import argsort_way
import metrics_peers
import numpy as np
import pandas as pd
from metrics_plot import plot

from hierlandmarks.metrics.columns import Plan
from hierlandmarks.metrics.confidence import bootstrap, permutation_test
from hierlandmarks.metrics.engine import measure
from hierlandmarks.metrics.levels import Paths, paths
from hierlandmarks.metrics.scorers import ProductScorer
from hierlandmarks.metrics.sources import ArraySource
from hierlandmarks.metrics.threads import n_threads

HERE = Path(__file__).resolve().parent
DIM, DEPTH = 512, 3
EVERYTHING = Plan(depth=DEPTH)
BINARY = Plan(depth=DEPTH, metrics=("recall_at", "map_at", "map_at_r"), label_columns=(0,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also 1,129 × 762 k, and error bars")
    parser.add_argument("--device", action="store_true", help="on a CUDA device instead")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 50_000, 100_000], help="gallery sizes")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder for the CSV")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for row in device_rows() if args.device else cpu_rows(args.sizes, args.full):
        print("  ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True)
        rows.append(row)
    frame = pd.DataFrame(rows).assign(**provenance())
    name = "metrics_device.csv" if args.device else "metrics_full.csv" if args.full else "metrics.csv"
    frame.to_csv(args.results / name, index=False, lineterminator="\n")
    if not args.device:
        plot(frame, HERE.parents[1] / "docs" / "img" / "metrics.svg")


def cpu_rows(sizes: list[int], full: bool) -> Iterator[dict[str, Any]]:
    for size in sizes:
        yield from compare(256, size)
    if full:
        yield from large(1129, 761_757)
        yield from error_bars(117_577)


# -- data --


def data(queries: int, size: int) -> tuple[Any, Any, Any, Any]:
    """Unit vectors around their landmark, and labels as skewed as GLDv2's: 17 photos a landmark, 78 labels, 2 kinds."""
    rng = np.random.default_rng(0)
    landmarks = max(size // 17, 2)

    def labels(n: int) -> Any:
        landmark = (landmarks * rng.random(n) ** 1.5).astype(np.int64)
        label = (78 * (landmark * 7919 % 10_007 / 10_007) ** 2).astype(np.int64)
        return np.stack([landmark, label, (label % 3 == 0).astype(np.int64)], axis=1)

    centres = rng.standard_normal((landmarks, DIM), dtype=np.float32)

    def vectors(label: Any) -> Any:
        out = rng.standard_normal((len(label), DIM), dtype=np.float32)
        for start in range(0, len(out), 65_536):
            part = out[start : start + 65_536]
            part += centres[label[start : start + 65_536, 0]]
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return out

    query_labels, gallery_labels = labels(queries), labels(size)
    return vectors(query_labels), vectors(gallery_labels), query_labels, gallery_labels


# -- measuring --


def clock(task: Callable[[], object], repeat: int) -> float:
    """Median seconds of `repeat` calls; warm up before."""
    seconds = []
    for _ in range(repeat):
        time.sleep(0.05)  # threads of a BLAS spin for some 25 ms after a product: not on the next task's time
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def extra_memory(task: Callable[[], object]) -> float:
    """MB of resident memory at the peak of a call, beyond what was there before (Linux; NaN elsewhere)."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free is not there
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    except OSError:
        return float("nan")
    before = _status("VmRSS")
    task()
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(field)))


def compare(queries: int, size: int) -> Iterator[dict[str, Any]]:
    """Everything at one gallery size, the matrix product and the library in turn so that both see the same machine."""
    query, gallery, query_labels, gallery_labels = data(queries, size)
    matched = paths(query_labels, gallery_labels, np.full(queries, -1))
    scorer = ProductScorer(ArraySource(query), ArraySource(gallery))
    ours: dict[str, Callable[[], object]] = {
        "matrix product": lambda: query @ gallery.T,
        "all metrics, compiled": lambda: measure(scorer, matched, EVERYTHING, backend="compiled"),
        "binary metrics, compiled": lambda: measure(scorer, matched, BINARY, backend="compiled"),
        "all metrics, numpy": lambda: measure(scorer, matched, EVERYTHING, backend="numpy"),
    }
    for task in ours.values():
        task()
    seconds = {name: [] for name in ours}
    for _ in range(7):
        for name, task in ours.items():
            seconds[name].append(clock(task, 1))
    floor = float(np.median(seconds["matrix product"]))
    for name, task in ours.items():
        yield _row(name, queries, size, float(np.median(seconds[name])), floor, extra_memory(task))
    yield from peers(query, gallery, query_labels, gallery_labels, matched, floor)


def peers(
    query: Any, gallery: Any, query_labels: Any, gallery_labels: Any, matched: Paths, floor: float
) -> Iterator[dict[str, Any]]:
    queries, size = len(query), len(gallery)
    arrays = query, gallery, query_labels, gallery_labels

    def full() -> object:
        return argsort_way.evaluate(*arrays)

    start = time.perf_counter()
    memory = extra_memory(full)
    yield _row("full argsort", queries, size, time.perf_counter() - start, floor, memory)
    metrics_peers.metric_learning(query[:8], gallery[:9000], query_labels[:8], gallery_labels[:9000])
    spent = clock(lambda: metrics_peers.metric_learning(*arrays), 1)
    yield _row("pytorch-metric-learning (finest label)", queries, size, spent, floor)
    few = 64  # the rest by proportion: these work query by query
    scores = query[:few] @ gallery.T
    levels = np.stack([matched.levels(q) for q in range(few)])
    metrics_peers.torchmetrics_ap(scores[:2], levels[:2])
    spent = clock(lambda: metrics_peers.torchmetrics_ap(scores, levels), 1) * queries / few
    yield _row("torchmetrics AP (one level)", queries, size, spent, floor, measured=few)
    for level in (2, 3):
        spent += clock(lambda level=level: metrics_peers.torchmetrics_ap(scores, levels, level), 1) * queries / few
    yield _row("torchmetrics AP (three levels)", queries, size, spent, floor, measured=few)
    spent = clock(lambda: metrics_peers.sklearn_ndcg(scores, levels), 1) * queries / few
    yield _row("scikit-learn NDCG", queries, size, spent, floor, measured=few)
    if find_spec("ranx") is not None and size <= 10_000:  # its dictionaries take minutes beyond
        task = metrics_peers.ranx_task(scores[:8], levels[:8])
        task()  # compiles
        spent = clock(task, 1) * queries / 8
        yield _row("ranx NDCG and AP (one level)", queries, size, spent, floor, measured=8)


def large(queries: int, size: int) -> Iterator[dict[str, Any]]:
    """The test set of GLDv2, and from it the time of its 117,577 queries."""
    query, gallery, query_labels, gallery_labels = data(queries, size)
    matched = paths(query_labels, gallery_labels, np.full(queries, -1))
    scorer = ProductScorer(ArraySource(query), ArraySource(gallery))
    floor = _product_in_blocks(query, gallery)
    yield _row("matrix product (blocks of 128)", queries, size, floor, floor)
    small = paths(query_labels[:8], gallery_labels[:5000], np.full(8, -1))
    for name, plan in (("all metrics, compiled", EVERYTHING), ("binary metrics, compiled", BINARY)):
        measure(ProductScorer(ArraySource(query[:8]), ArraySource(gallery[:5000])), small, plan, backend="compiled")
        start = time.perf_counter()
        memory = extra_memory(lambda plan=plan: measure(scorer, matched, plan, backend="compiled"))
        spent = time.perf_counter() - start
        yield _row(name, queries, size, spent, floor, memory)
        yield _row(f"{name}, projected", 117_577, size, spent * 117_577 / queries, floor * 117_577 / queries)


def _product_in_blocks(query: Any, gallery: Any) -> float:
    """Seconds of the matrix product where its result would not fit: 128 queries at a time."""
    block = np.empty((128, len(gallery)), dtype=np.float32)

    def product() -> None:
        for start in range(0, len(query), 128):
            rows = query[start : start + 128]
            np.matmul(rows, gallery.T, out=block[: len(rows)])

    return clock(product, 2)


def error_bars(queries: int) -> Iterator[dict[str, Any]]:
    """10,000 resamples and 10,000 permutations over every column of a report."""
    rng = np.random.default_rng(0)
    values = rng.random((queries, len(EVERYTHING.columns)))
    values[rng.random(queries) < 0.05, 10:20] = np.nan
    parts = (rng.random(queries) < 0.3).astype(np.int64)
    bootstrap(values, parts, resamples=2000)  # compiles
    yield _row("bootstrap", queries, 0, clock(lambda: bootstrap(values, parts), 1), float("nan"))
    other = values + 0.01 * rng.standard_normal(values.shape)
    yield _row("paired permutation test", queries, 0, clock(lambda: permutation_test(values, other), 1), float("nan"))


def device_rows() -> Iterator[dict[str, Any]]:
    """On CUDA: every metric beside the matrix product plus one radix sort of the scores, in the same run."""
    import torch

    from hierlandmarks_benchmark import search

    query, gallery, query_labels, gallery_labels = data(1129, 761_757)
    on = [torch.from_numpy(array).cuda() for array in (query, gallery)]

    def seconds(task: Callable[[], object]) -> float:
        task()
        torch.cuda.synchronize()
        start = time.perf_counter()
        task()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    product = seconds(lambda: on[0] @ on[1].T)
    sort = seconds(lambda: torch.sort(on[0] @ on[1].T, dim=1)) - product
    floor = product + sort
    yield _row("matrix product", 1129, len(gallery), product, floor)
    yield _row("one sort of the scores", 1129, len(gallery), sort, floor)
    matched = paths(query_labels, gallery_labels, np.full(1129, -1))
    spent = seconds(lambda: search.measure_on_device(ArraySource(query), on[1], matched, EVERYTHING))
    yield _row("all metrics", 1129, len(gallery), spent, floor)


def _row(
    what: str, queries: int, size: int, seconds: float, floor: float, memory: float = float("nan"), measured: int = 0
) -> dict[str, Any]:
    """One line of the CSV; `measured` queries where the rest was taken by proportion."""
    return {
        "what": what,
        "queries": queries,
        "gallery": size,
        "seconds": seconds,
        "times_matrix_product": seconds / floor,
        "extra_mb": memory,
        "queries_measured": measured or queries,
    }


def provenance() -> dict[str, Any]:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE, check=False
    )
    packages = {
        "numpy": "numpy",
        "numba": "numba",
        "torch": "torch",
        "torchmetrics": "torchmetrics",
        "scikit-learn": "sklearn",
    }
    packages |= {"pytorch-metric-learning": "pytorch_metric_learning", "ranx": "ranx", "threadpoolctl": "threadpoolctl"}
    found = {name: version(name) for name, module in packages.items() if find_spec(module) is not None}
    return {
        "dim": DIM,
        "threads": n_threads(),
        "cpu": cpu or platform.processor(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "versions": " ".join(f"{name}={number}" for name, number in found.items()),
    }


if __name__ == "__main__":
    main()
