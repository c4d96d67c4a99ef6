"""Stage `evaluate`: embeddings and a release → scores, per-query values, rankings and a few examples of each entry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.hierarchy import level
from hierlandmarks.metrics import Report, evaluate_embeddings, top_rankings
from hierlandmarks.params import to_mapping
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import atomic_path, write_json
from hierlandmarks_benchmark.datasets import ImageSet, open_dataset
from hierlandmarks_benchmark.entries import RANKINGS
from hierlandmarks_benchmark.entries.rankings import LISTS, write_rankings
from hierlandmarks_benchmark.provenance import provenance
from hierlandmarks_benchmark.vectors import Embeddings, find_entries, query_and_gallery, read_embeddings

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class EvaluateParams:
    """Settings of the stage.

    Attributes:
        relevance: of H-AP, `proportional` or `decomposed`.
        alpha: exponent of `proportional`.
        weights: of `decomposed`, coarsest level first.
        resamples: of the bootstrap behind the intervals.
        examples: queries shown with what was found for them.
        results: results shown for each of them.
        kept: results a query written down, so that what they decide can be scored again without the embeddings.
        seed: of the bootstrap.
        device: `cpu` measures with the library; `cuda` (or `auto`, which takes it where there is one) with torch.
    """

    relevance: str = "proportional"
    alpha: float = 1.0
    weights: tuple[float, ...] | None = None
    resamples: int = 10_000
    examples: int = 8
    results: int = 8
    kept: int = 1000
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.resamples, self.examples, self.results, self.kept) < 1:
            raise UsageError("evaluate counts from 1", got=f"{self}", expected="resamples, examples, results, kept ≥ 1")


@dataclass(frozen=True)
class Side:
    """Queries or gallery, in one order.

    Attributes:
        ids: N image ids.
        vectors: N × d, of unit length.
        labels: N × L, fine → coarse.
        parts: N, the part of the official ground truth (Public, Private) of each query, `all` where there are none.
    """

    ids: NDArray[np.str_]
    vectors: NDArray[np.float32]
    labels: Ints
    parts: NDArray[np.str_]


def evaluate(
    release: str | Path, embeddings: Path, folder: Path, params: EvaluateParams | None = None
) -> dict[str, Report]:
    """Evaluate every entry under a folder of embeddings.

    Queries are ranked against the index where the release has both, else each test or validation image against the
    others.

    Args:
        release: release folder or name of one, or a public layout (see `datasets`).
        embeddings: folder that `embed` wrote.
        folder: existing folder to write into: ENTRY/{scores.json, per_query.parquet, rankings.parquet,
            examples.json}.
        params: settings.

    Returns:
        The report of every entry, by name.

    Raises:
        MissingDataError: no embeddings, or a release with nothing to evaluate on.
        CorruptInputError: embeddings of another dataset, or of images the release lacks.
    """
    params = params or EvaluateParams()
    whole = open_dataset(release)
    query_split, gallery_split = query_and_gallery(whole.splits, release)
    splits = {split: open_dataset(release, split) for split in (query_split, gallery_split) if split}
    reports = {}
    for name, about in find_entries(embeddings, whole.content_hash).items():
        query = _side(splits[query_split], read_embeddings(embeddings / name, query_split))
        gallery = (
            _side(splits[gallery_split], read_embeddings(embeddings / name, gallery_split)) if gallery_split else None
        )
        report = score(query, gallery, params)
        scores = {
            "entry": name,
            "track": whole.name,
            "query_split": query_split,
            "gallery_split": gallery_split,
            "report": json.loads(report.to_json()),
            "provenance": _provenance(about, params, whole.hierarchy.levels),
        }
        write_json(folder / name / "scores.json", scores)
        with atomic_path(folder / name / "per_query.parquet") as part:
            report.per_query.to_parquet(part, index=False)
        write_rankings(folder / name / RANKINGS, query.ids.tolist(), ranked(query, gallery, params.kept))
        write_json(folder / name / "examples.json", examples(query, gallery, params))
        reports[name] = report
    return reports


def score(query: Side, gallery: Side | None, params: EvaluateParams) -> Report:
    """All metrics of `hierlandmarks.metrics` for queries against a gallery, or against each other where it is None."""
    measure = evaluate_embeddings
    if params.device != "cpu":
        from hierlandmarks_benchmark import search

        measure = partial(search.evaluate_embeddings, device=params.device)
    return measure(
        query.vectors,
        query.labels,
        None if gallery is None else gallery.vectors,
        None if gallery is None else gallery.labels,
        relevance=params.relevance,
        alpha=params.alpha,
        weights=params.weights,
        query_ids=query.ids,
        gallery_ids=None if gallery is None else gallery.ids,
        parts=query.parts,
        resamples=params.resamples,
        seed=params.seed,
    )


def ranked(query: Side, gallery: Side | None, kept: int) -> pa.Array:
    """The ids of the first `kept` results of every query, best first, in the order that every metric uses."""
    target = query if gallery is None else gallery
    lists = top_rankings(query.vectors, target.vectors, kept, query_ids=query.ids, gallery_ids=target.ids)
    return pa.array([lists[id] for id in query.ids], LISTS)


def examples(query: Side, gallery: Side | None, params: EvaluateParams) -> list[dict[str, Any]]:
    """A few queries with their best results: image ids, best first, and the level of each match (L same landmark … 0).

    Queries are chosen by a hash of their id, of different labels first, so every entry of a release shows the same.
    """
    target = query if gallery is None else gallery
    second = query.labels[:, :2][:, -1]  # the level above the finest, where there is one
    shown = []
    for row in choose(query.ids, second, params.examples):
        similarity = target.vectors @ query.vectors[row]
        similarity[target.ids == query.ids[row]] = -np.inf  # the query itself, where it is in the gallery
        best = np.argsort(-similarity, kind="stable")[: min(params.results, int(np.isfinite(similarity).sum()))]
        levels = level(query.labels[row], target.labels[best])
        results = [{"id": str(id), "level": int(match)} for id, match in zip(target.ids[best], levels, strict=True)]
        shown.append({"query": str(query.ids[row]), "results": results})
    return shown


def choose(ids: Sequence[str] | NDArray[np.str_], labels: Ints, count: int) -> list[int]:
    """Rows of `count` images, one of every label before a second of any; the same for the same ids, in any order.

    >>> len(set(np.array([5, 5, 5, 6])[choose(["a", "b", "c", "d"], np.array([5, 5, 5, 6]), 2)]))
    2
    """
    frame = pd.DataFrame({"label": labels, "key": [hashlib.sha256(str(id).encode()).hexdigest() for id in ids]})
    frame = frame.sort_values("key")
    frame["turn"] = frame.groupby("label").cumcount() + (frame["label"] < 0) * len(frame)  # unlabelled ones come last
    return [int(row) for row in frame.sort_values(["turn", "key"]).index[:count]]


def _side(dataset: ImageSet, embeddings: Embeddings) -> Side:
    rows = pd.Index(dataset.images["id"]).get_indexer(pd.Index(embeddings.ids))
    if (rows < 0).any():
        raise CorruptInputError(
            f"the embeddings have an image that the split {dataset.split} of {dataset.name} lacks",
            got=embeddings.ids[int(np.argmax(rows < 0))],
            do="embed this release again",
        )
    order = np.argsort(rows, kind="stable")
    parts = dataset.images["usage"].iloc[rows[order]].replace("", "all").to_numpy(dtype=str)
    return Side(np.array(embeddings.ids)[order], embeddings.vectors[order], dataset.labels[rows[order]], parts)


def _provenance(about: Mapping[str, Any], params: EvaluateParams, levels: Sequence[str]) -> dict[str, Any]:
    here = provenance("numpy", "pandas")
    return {
        "dataset": about["dataset"],
        "model": about["model"],
        "embedded": {key: about[key] for key in ("splits", "code_version", "packages", "hardware")},
        "date": datetime.now(UTC).date().isoformat(),
        "settings": to_mapping(params) | {"levels": list(levels)},
        **here,
    }


def _run(params: EvaluateParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    evaluate(inputs["release"], inputs["embeddings"], folders["evaluation"], params)
    return {}


STAGE = Stage(
    name="evaluate",
    about="score rankings on every level",
    params=EvaluateParams,
    needs=("release", "embeddings"),
    makes=("evaluation",),
    run=_run,
)
