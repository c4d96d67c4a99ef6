"""An evaluation made ready: labels and ids checked and matched, metrics planned; and its report put together."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

import hierlandmarks
from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.columns import BINARY, GRADED, Cutoffs, Plan
from hierlandmarks.metrics.engine import Backend, Measured
from hierlandmarks.metrics.ids import check_ids, self_matches
from hierlandmarks.metrics.levels import Paths, check_labels, paths
from hierlandmarks.metrics.report import Report, summarise


class Options(TypedDict, total=False):
    """What every `evaluate_…` takes by keyword.

    Attributes:
        query_ids: Q ids; row numbers by default.
        gallery_ids: G ids; a query is never compared with the gallery item of its own id.
        parts: Q names of the split part of each query, for stratified intervals and means by part.
        metrics: families of metrics from `GRADED` and `BINARY`; all by default.
        label_columns: label columns, 0 = finest, of the binary metrics; all by default.
        cutoffs: where metrics "@k" are cut.
        tie_range: also the means with the best and with the worst item of each tie first.
        resamples: of the bootstrap, 10,000 by default.
        seed: of the bootstrap, 0 by default.
        backend: `auto`, `numpy` or `compiled`.
    """

    query_ids: ArrayLike | None
    gallery_ids: ArrayLike | None
    parts: ArrayLike | None
    metrics: Sequence[str]
    label_columns: Sequence[int] | None
    cutoffs: Cutoffs
    tie_range: bool
    resamples: int
    seed: int
    backend: Backend


@dataclass(frozen=True)
class Task:
    """Queries and gallery, checked and matched.

    Attributes:
        paths: label paths of both, and self-matches.
        query_ids: Q ids.
        gallery_ids: G ids.
        parts: Q names of split parts.
        labels: checksum of both label arrays, for provenance.
    """

    paths: Paths
    query_ids: pd.Index[Any]
    gallery_ids: pd.Index[Any]
    parts: pd.Series[str]
    labels: str


def prepare(
    n_query: int,
    n_gallery: int,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike | None,
    options: Options,
) -> Task:
    """Check labels and ids, and find each query in the gallery.

    Args:
        n_query: Q.
        n_gallery: G.
        query_labels: Q × L.
        gallery_labels: G × L, or None where the queries are the gallery.
        options: `query_ids`, `gallery_ids` and `parts` are read.

    Raises:
        UsageError: sizes or depths that do not fit, an empty gallery, ids of one side only.
        CorruptInputError: see `check_ids` and `check_labels`.
    """
    if n_query == 0 or n_gallery == 0:
        raise UsageError("there is nothing to rank", got=f"{n_query} queries and {n_gallery} gallery items")
    mine = check_labels(query_labels, "query labels", n_query)
    query_ids = check_ids(options.get("query_ids"), "query ids", n_query)
    if gallery_labels is None:
        if n_gallery != n_query:
            raise UsageError("a gallery needs labels", got="gallery_labels=None", do="pass gallery_labels")
        theirs, gallery_ids, skip = mine, query_ids, np.arange(n_query)
    else:
        theirs = check_labels(gallery_labels, "gallery labels", n_gallery, mine.shape[1])
        gallery_ids = check_ids(options.get("gallery_ids"), "gallery ids", n_gallery)
        given = [options.get(name) is not None for name in ("query_ids", "gallery_ids")]
        skip = self_matches(query_ids, gallery_ids) if all(given) else np.full(n_query, -1)
    parts = pd.Series(
        np.full(n_query, "all") if options.get("parts") is None else np.asarray(options["parts"]), dtype=str
    )
    if len(parts) != n_query:
        raise UsageError("parts do not fit", got=f"{len(parts)} names", expected=f"{n_query}, one a query")
    digest = hashlib.sha256(np.ascontiguousarray(mine).tobytes())
    digest.update(np.ascontiguousarray(theirs).tobytes())
    return Task(paths(mine, theirs, skip), query_ids, gallery_ids, parts, digest.hexdigest())


def make_plan(depth: int, relevance: str, alpha: float, weights: Sequence[float] | None, options: Options) -> Plan:
    """The plan that arguments and options ask for."""
    columns = options.get("label_columns")
    return Plan(
        depth=depth,
        relevance=relevance,
        alpha=alpha,
        weights=None if weights is None else tuple(float(w) for w in weights),
        metrics=tuple(options.get("metrics", GRADED + BINARY)),
        label_columns=None if columns is None else tuple(columns),
        cutoffs=options.get("cutoffs", Cutoffs()),
    )


def describe(plan: Plan) -> dict[str, Any]:
    """A plan as plain data for a report."""
    return asdict(plan)


def report_of(measured: Measured, task: Task, plan: Plan, options: Options, provenance: dict[str, Any]) -> Report:
    """The report of measured queries.

    Args:
        measured: Q rows of metrics.
        task: the queries.
        plan: what the columns are.
        options: `seed` and `resamples` are read.
        provenance: what to add: back end, device, shapes.
    """
    frame = pd.DataFrame(measured.values, columns=list(plan.columns))
    frame.insert(0, "query_id", task.query_ids)
    frame.insert(1, "part", task.parts)
    known = {
        "hierlandmarks": hierlandmarks.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "labels_sha256": task.labels,
        "gallery": len(task.gallery_ids),
    }
    return summarise(
        frame,
        ties={"share": float(measured.tied.mean())},
        settings=describe(plan),
        provenance=known | provenance,
        resamples=options.get("resamples", 10_000),
        seed=options.get("seed", 0),
    )
