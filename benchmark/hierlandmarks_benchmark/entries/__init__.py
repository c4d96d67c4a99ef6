"""What an entry of the leaderboard is: the folder that `submit` writes and `leaderboard` reads, checked when read.

::

    submissions/NAME/
      meta.yaml          who it is: model, what it was trained on, ground truth, code version, sha256 of every file
      scores.json        the evaluation's own file: every mean with its 95 % interval, and provenance
      per_query.parquet  one row a query: its label, and one column a metric
      rankings.parquet   what was ranked for every query: the entry can be scored again
      examples.json      a few queries with what was found for them
      examples/ID.jpg    thumbnails of the pictures in them
    submissions/log.jsonl  every submission in order, each line holding the hash of the one before
"""

from __future__ import annotations

from hierlandmarks_benchmark.entries.form import (
    EXAMPLES,
    META,
    PER_QUERY,
    RANKINGS,
    SCORES,
    Entry,
    Example,
    Meta,
    Model,
    PerQuery,
    Picture,
    Result,
    Score,
    Truth,
    check_name,
    check_picture_id,
    check_value,
    pictures_of,
)
from hierlandmarks_benchmark.entries.read import read_entries, read_entry, read_scores
from hierlandmarks_benchmark.entries.rows import check_mean, read_rows
from hierlandmarks_benchmark.entries.write import write_entry

__all__ = [
    "EXAMPLES",
    "META",
    "PER_QUERY",
    "RANKINGS",
    "SCORES",
    "Entry",
    "Example",
    "Meta",
    "Model",
    "PerQuery",
    "Picture",
    "Result",
    "Score",
    "Truth",
    "check_mean",
    "check_name",
    "check_picture_id",
    "check_value",
    "pictures_of",
    "read_entries",
    "read_entry",
    "read_rows",
    "read_scores",
    "write_entry",
]
