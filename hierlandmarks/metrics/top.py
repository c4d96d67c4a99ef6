"""Ranked lists from embeddings: the first k of each query, for a submission or a run file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.ids import check_ids, self_matches
from hierlandmarks.metrics.ranking import ordinals
from hierlandmarks.metrics.relevance import Ints
from hierlandmarks.metrics.scorers import ProductScorer, blocks
from hierlandmarks.metrics.sources import open_vectors


def top_rankings(
    query: Any,
    gallery: Any,
    k: int = 100,
    query_ids: ArrayLike | None = None,
    gallery_ids: ArrayLike | None = None,
) -> dict[Any, list[Any]]:
    """The ids of the first `k` gallery items of each query, in the order that every metric here uses.

    Args:
        query: Q × d, in any form that `evaluate_embeddings` takes.
        gallery: G × d likewise.
        k: items a query, ≥ 1.
        query_ids: Q ids; row numbers by default.
        gallery_ids: G ids; row numbers by default. With both given, a query is left out of its own list.

    Returns:
        Query id → gallery ids, best first.

    Raises:
        UsageError: embeddings of different width, or k < 1.
        CorruptInputError: embeddings that are not finite, naming the row.
    """
    source, target = open_vectors(query, "query"), open_vectors(gallery, "gallery")
    if source.shape[1] != target.shape[1] or k < 1:
        raise UsageError("nothing can be ranked", got=f"widths {source.shape[1]} and {target.shape[1]}, k = {k}")
    names = check_ids(query_ids, "query ids", source.shape[0])
    items = check_ids(gallery_ids, "gallery ids", target.shape[0])
    both = query_ids is not None and gallery_ids is not None
    skip = self_matches(names, items) if both else np.full(len(names), -1)
    lists = {}
    scorer = ProductScorer(source, target)
    for start, block in blocks(scorer):
        if not np.isfinite(block).all():
            scorer.refuse(start, block)
        for at, line in enumerate(block, start=start):
            lists[names[at]] = items[_top(ordinals(line), k, int(skip[at]))].tolist()
    return lists


def _top(ordinal: np.ndarray[Any, np.dtype[np.int32]], k: int, skip: int) -> Ints:
    """Rows of the `k` lowest ordinals but `skip`, ties by row."""
    last = min(k + 1, len(ordinal)) - 1
    rows = np.flatnonzero(ordinal <= np.partition(ordinal, last)[last])
    rows = rows[np.argsort(ordinal[rows], kind="stable")]
    first: Ints = rows[rows != skip][:k]
    return first
