"""`rankings.parquet`: what was ranked for every query, with which an entry can be scored again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hierlandmarks.tables import write_parquet

LISTS = pa.list_(pa.string())


def write_rankings(path: Path, queries: Sequence[str], lists: pa.Array) -> None:
    """Write lists of ids, best first: a row a query, with the columns `query_id` and `images`."""
    write_parquet(path, pa.table({"query_id": pa.array(queries, pa.string()), "images": lists.cast(LISTS)}))


def cut_rankings(path: Path, out: Path, most: int) -> None:
    """Copy rankings, no more than the first `most` results of a query."""
    table = pq.read_table(path)
    images = pc.list_slice(table["images"].combine_chunks(), 0, most)
    write_rankings(out, table["query_id"].to_pylist(), images)
