"""The rankings that an evaluation kept: read as deep as they go, and held against the scores that came with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.metrics import evaluate_rankings
from hierlandmarks_benchmark.intake.limits import guarded
from hierlandmarks_benchmark.intake.lists import Rankings
from hierlandmarks_benchmark.intake.parquet import open_parquet, text_batches
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.truth import GroundTruth

CUT = re.compile(r"(?:ndcg_at|tree_distance_at|map_at|recall_at|precision_at)_(?P<k>\d+)(?:_\d+)?")
FAMILIES = ("ndcg_at", "tree_distance_at", "map_at", "recall_at", "precision_at")
SLACK = 1e-3  # ranks of equal scores may fall otherwise on another device


def longest(path: Path) -> int:
    """Results in the longest list of a Parquet file of rankings.

    Raises:
        CorruptInputError: it cannot be read, or costs more than `limits` allow.
    """
    with guarded(path, "Parquet file of rankings"):
        batches = text_batches(open_parquet(path), ["images"])
        return max((pc.max(pc.list_value_length(batch["images"])).as_py() or 0 for batch in batches), default=0)


def read_kept(path: Path, truth: GroundTruth) -> Rankings:
    """The lists that an evaluation kept, however many results the track counts; errors as `read_rankings`."""
    track = replace(truth.track, depth=max(longest(path), 1))
    return read_rankings(path, replace(truth, track=track))


def as_deep(rankings: Rankings, truth: GroundTruth) -> Rankings:
    """The lists as deep as the track counts, at most."""
    return Rankings(rankings.rows[:, : truth.depth])


def is_whole(rankings: Rankings, truth: GroundTruth) -> bool:
    """Whether every list goes as deep as the track counts, so that each of its metrics can be had."""
    searched = truth.searched.ids
    there = len(searched) - (searched.get_indexer(truth.queries.ids) >= 0).astype(int)
    return bool(((rankings.rows >= 0).sum(axis=1) >= np.minimum(there, truth.depth)).all())


def check_scores(rankings: Rankings, truth: GroundTruth, stated: Mapping[str, float | None], where: str) -> int:
    """Hold stated means against those that the lists give, as far as they go.

    Args:
        rankings: lists of any depth.
        truth: what they are scored on.
        stated: means by column.
        where: the file of the lists, for messages.

    Returns:
        How many columns the lists decide: those cut within them.

    Raises:
        CorruptInputError: a mean is another.
    """
    gallery = truth.gallery
    found = evaluate_rankings(
        rankings.rows,
        truth.queries.labels,
        None if gallery is None else gallery.labels,
        query_ids=truth.queries.ids,
        gallery_ids=None if gallery is None else gallery.ids,
        metrics=FAMILIES,
        resamples=1,
    ).mean
    kept = rankings.rows.shape[1]
    columns = [c for c in stated if c in found and (cut := CUT.fullmatch(c)) and int(cut["k"]) <= kept]
    for column in columns:
        value = stated[column]
        if not np.isclose(np.nan if value is None else value, found[column], rtol=0, atol=SLACK, equal_nan=True):
            raise CorruptInputError(
                f"{where}: {column} of these lists is not the one in the scores",
                got=value,
                expected=round(found[column], 6),
                do="evaluate again",
            )
    return len(columns)
