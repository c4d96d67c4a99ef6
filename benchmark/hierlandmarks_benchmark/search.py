"""Evaluation on a device: scores, rankings and metrics in torch, on one CUDA device, on the CPU, or over several ranks.

Under torchrun every rank holds a part of the gallery and all queries. Each scores a block of queries against its
part; then the ranks exchange score rows, so that each has whole rows for its share of the block, and measures those.
The numbers are those of one process that holds the parts end to end. Equal to
`hierlandmarks.metrics.evaluate_embeddings` but for the rounding of another matrix product.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Unpack

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike
from torch import Tensor

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics import Options, Report
from hierlandmarks.metrics.columns import Plan
from hierlandmarks.metrics.engine import Measured
from hierlandmarks.metrics.levels import Paths
from hierlandmarks.metrics.relevance import relevance_of_levels
from hierlandmarks.metrics.scorers import balanced
from hierlandmarks.metrics.sources import Source, open_vectors
from hierlandmarks.metrics.task import make_plan, prepare, report_of
from hierlandmarks_benchmark.device_metrics import BYTES_PER_LEVEL, measure_block, rank_levels

CPU_BUDGET = 256 << 20
CUDA_SHARE = 0.4  # of the free memory, for scores and what measuring them takes
TILE = 65_536  # gallery rows copied to the device at a time while it is filled


def evaluate_embeddings(
    query: Any,
    query_labels: ArrayLike,
    gallery: Any = None,
    gallery_labels: ArrayLike | None = None,
    relevance: str = "proportional",
    alpha: float = 1.0,
    weights: Sequence[float] | None = None,
    device: str = "auto",
    **options: Unpack[Options],
) -> Report:
    """`hierlandmarks.metrics.evaluate_embeddings` on a device, with the same arguments and report.

    Args:
        query: Q × d embeddings, the same on every rank.
        query_labels: Q × L.
        gallery: G × d: where torch.distributed runs, this rank's part; parts follow each other in order of rank. Has
            to fit on the device.
        gallery_labels: G × L, of this rank's part, as `gallery_ids`.
        relevance: of H-AP.
        alpha: exponent of `proportional`.
        weights: of `decomposed`.
        device: `auto` (CUDA where there is one), or a torch device.
        **options: as in the library; `backend` and `tie_range` have no meaning here.

    Raises:
        UsageError: as in the library; also several ranks without a gallery of their own.
        CorruptInputError: as in the library.

    Memory: the gallery part, and blocks of score rows within 40 % of what is free.
    """
    where = _device(device)
    source = open_vectors(query, "query")
    target = source if gallery is None else open_vectors(gallery, "gallery")
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    if source.shape[1] != target.shape[1]:
        raise UsageError(
            "query and gallery embeddings have different width", got=f"{source.shape[1]}, {target.shape[1]}"
        )
    if ranks > 1:
        if gallery is None or gallery_labels is None:
            raise UsageError(
                "several ranks share a gallery", got="gallery=None", do="give every rank its part of the gallery"
            )
        gallery_labels, options["gallery_ids"] = _gather_parts(gallery_labels, options.get("gallery_ids"), ranks)
    size = target.shape[0] if gallery_labels is None else len(np.asarray(gallery_labels))
    task = prepare(source.shape[0], size, query_labels, gallery_labels, options)
    plan = make_plan(task.paths.depth, relevance, alpha, weights, options)
    measured = measure_on_device(source, load(target, where, "gallery"), task.paths, plan)
    about = {"backend": f"torch {torch.__version__}", "device": _name(where), "ranks": ranks}
    return report_of(measured, task, plan, options, about)


def measure_on_device(query: Source, part: Tensor, matched: Paths, plan: Plan) -> Measured:
    """Every metric of a plan for every query; every rank measures its share, and ends with all results.

    Args:
        query: Q × d, the same on every rank.
        part: this rank's part of the gallery, float32 on the device.
        matched: queries and the whole gallery.
        plan: what to compute.
    """
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    device, (n, _) = part.device, query.shape
    sizes, budget = _agree(len(part), _budget(device), ranks)
    mine = dist.get_rank() if ranks > 1 else 0
    gallery = torch.from_numpy(matched.gallery).to(device)
    values = np.full((n, len(plan.columns)), np.nan)
    tied = np.zeros(n, dtype=bool)
    row = (BYTES_PER_LEVEL * matched.depth + 40) * sum(sizes)
    edges = balanced(n, max(1, budget // row) * ranks)
    with exact_products():
        for start, stop in itertools.pairwise(edges):
            vectors = _check(torch.from_numpy(np.ascontiguousarray(query.read(start, stop))).to(device), "query", start)
            shares = np.diff([start + edge for edge in _split(stop - start, ranks)]).tolist()
            scores = _exchange(vectors @ part.T, shares, sizes, mine)
            at = slice(start + sum(shares[:mine]), start + sum(shares[: mine + 1]))
            if shares[mine]:
                values[at], tied[at] = _measure_rows(scores, gallery, matched, plan, at)
    return Measured(*_gather_results(values, tied, edges, ranks))


def _measure_rows(scores: Tensor, gallery: Tensor, matched: Paths, plan: Plan, at: slice) -> tuple[Any, Any]:
    """Metrics of queries from their whole score rows."""
    if not bool(torch.isfinite(scores).all()):
        query, item = (int(i) for i in torch.nonzero(~torch.isfinite(scores))[0])
        what = f"the score of query row {at.start + query} and gallery row {item} is not finite"
        raise CorruptInputError(what, do="normalise the embeddings")
    counts = matched.counts(at)
    relevance = relevance_of_levels(counts, plan.relevance, plan.alpha, plan.weights)
    codes = torch.from_numpy(np.ascontiguousarray(matched.query[:, at].T)).to(scores.device)
    skip = torch.from_numpy(matched.skip[at]).to(scores.device)
    ranked, tied = rank_levels(scores, codes, gallery, skip)
    on_device = [torch.from_numpy(array).to(scores.device) for array in (counts, relevance, counts.sum(axis=1))]
    return measure_block(plan, ranked, *on_device).cpu().numpy(), tied.cpu().numpy()


# -- several ranks --


def _gather_parts(labels: ArrayLike, ids: ArrayLike | None, ranks: int) -> tuple[Any, Any]:
    """Labels and ids of the whole gallery from each rank's part."""
    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, (np.asarray(labels), None if ids is None else np.asarray(ids)))
    if len({part[0].shape[1:] for part in parts}) > 1 or len({part[1] is None for part in parts}) > 1:
        raise UsageError(
            "the ranks' parts of the gallery do not fit", expected="labels of one depth, and ids on all or none"
        )
    whole = np.concatenate([part[0] for part in parts])
    return whole, None if ids is None else np.concatenate([part[1] for part in parts])


def _agree(rows: int, budget: int, ranks: int) -> tuple[list[int], int]:
    """Gallery rows of each rank, and the least of their budgets, so that all cut the queries alike."""
    parts: list[Any] = [(rows, budget)]
    if ranks > 1:
        parts = [None] * ranks
        dist.all_gather_object(parts, (rows, budget))
    return [part[0] for part in parts], min(part[1] for part in parts)


def _split(total: int, ranks: int) -> list[int]:
    """Edges of each rank's share of a block of queries."""
    return [total * rank // ranks for rank in range(ranks + 1)]


def _exchange(scores: Tensor, shares: list[int], sizes: list[int], mine: int) -> Tensor:
    """From all rows of the own columns to all columns of the own rows."""
    if len(shares) == 1:
        return scores
    received = torch.empty(shares[mine] * sum(sizes), dtype=scores.dtype, device=scores.device)
    incoming = [shares[mine] * size for size in sizes]
    outgoing = [share * sizes[mine] for share in shares]
    dist.all_to_all_single(received, scores.contiguous().flatten(), incoming, outgoing)
    pieces = zip(torch.split(received, incoming), sizes, strict=True)
    return torch.cat([piece.view(shares[mine], size) for piece, size in pieces], dim=1)


def _gather_results(values: Any, tied: Any, edges: list[int], ranks: int) -> tuple[Any, Any]:
    """Every rank's rows on every rank."""
    if ranks == 1:
        return values, tied
    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, (values, tied))
    for start, stop in itertools.pairwise(edges):
        own = [start + edge for edge in _split(stop - start, ranks)]
        for rank, (theirs, touched) in enumerate(parts):
            values[own[rank] : own[rank + 1]] = theirs[own[rank] : own[rank + 1]]
            tied[own[rank] : own[rank + 1]] = touched[own[rank] : own[rank + 1]]
    return values, tied


# -- the device --


def _device(name: str) -> torch.device:
    if name == "auto":
        name = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device", got=f"device={name!r}", do="take device='cpu'")
    return device


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _budget(device: torch.device) -> int:
    """Bytes of working memory for score rows and what measuring them takes."""
    return int(CUDA_SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else CPU_BUDGET


def load(source: Source, device: torch.device, name: str) -> Tensor:
    """A source on the device as float32, tile by tile, checked."""
    whole = torch.empty(source.shape, dtype=torch.float32, device=device)
    for a in range(0, source.shape[0], TILE):
        rows = torch.from_numpy(np.ascontiguousarray(source.read(a, min(a + TILE, source.shape[0]))))
        whole[a : a + len(rows)] = _check(rows.to(device), name, a)
    return whole


def _check(vectors: Tensor, name: str, first: int) -> Tensor:
    """The vectors themselves, if all are finite."""
    bad = torch.nonzero(~torch.isfinite(vectors).all(dim=1)).flatten()
    if len(bad):
        raise CorruptInputError(
            f"{name} embeddings row {first + int(bad[0])} holds NaN or infinity", do="embed that image again"
        )
    return vectors


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products in full float32: TF32 would tie a quarter of the scores."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_float32_matmul_precision(before)
