"""A file of ranked lists of any kind: Kaggle CSV, TREC run or Parquet, told apart by the ending of its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks_benchmark.intake import limits
from hierlandmarks_benchmark.intake.lists import Lists, Rankings
from hierlandmarks_benchmark.intake.parquet import open_parquet, text_batches
from hierlandmarks_benchmark.intake.problems import quoted
from hierlandmarks_benchmark.intake.trec import read_trec
from hierlandmarks_benchmark.intake.truth import GroundTruth, Ints

BLOCK = 16 << 20  # bytes of a CSV that are read at a time; also the longest line


def read_rankings(path: Path, truth: GroundTruth) -> Rankings:
    """Read and check a file of ranked lists.

    Args:
        path: `.csv` with the columns `id,images` (ids between spaces, best first), as in the Kaggle challenge;
            `.parquet` with `query_id` (or `id`) and a list of ids `images`; `.trec`, `.run` or `.txt`, a TREC run.
        truth: of the track.

    Raises:
        UsageError: another ending.
        MissingDataError: no such file.
        CorruptInputError: it cannot be read, or costs more than `limits` allow.
        RefusedError: it breaks the rules: unknown, missing or repeated queries, unknown or repeated images, more
            results than the track takes; each with its line.

    Complexity: linear in bytes but for a sort of every block. Memory: some blocks, and the lists that are scored.
    """
    limits.check_size(path)
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".trec": read_trec, ".run": read_trec, ".txt": read_trec}
    if path.suffix not in readers:
        raise UsageError(f"{path} is no file of rankings", got=f"ending {path.suffix!r}", expected=", ".join(readers))
    kind = {".csv": "CSV of rankings", ".parquet": "Parquet file of rankings"}.get(path.suffix, "TREC run")
    with limits.guarded(path, kind):
        return readers[path.suffix](path, truth)


def _read_csv(path: Path, truth: GroundTruth) -> Rankings:
    lists, number = Lists(truth, str(path)), 2
    for batch in _csv_blocks(path):
        queries, texts = batch["id"], pc.ascii_trim_whitespace(batch["images"])
        lists.add(np.arange(number, number + len(batch)), queries, *split(texts))
        number += len(batch)
    return lists.finish()


def split(texts: pa.Array) -> tuple[Ints, pa.Array]:
    """Lengths and items of lists written as text, ids between spaces.

    >>> split(pa.array(["a b", "", "c"]))[0].tolist()
    [2, 0, 1]
    """
    lists = pc.ascii_split_whitespace(pc.if_else(pc.equal(texts, ""), None, texts))
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return counts, lists.flatten()


def _csv_blocks(path: Path) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        header = file.readline(1000).removeprefix(b"\xef\xbb\xbf").strip()
    if header not in (b"id,images", b'"id","images"'):
        raise CorruptInputError(
            f"{path} line 1 is no header", got=quoted(header.decode("utf-8", "replace")), expected="id,images"
        )
    reader = pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(
            block_size=BLOCK, use_threads=False, skip_rows=1, column_names=["id", "images"]
        ),
        parse_options=pa_csv.ParseOptions(ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(column_types={"id": pa.string(), "images": pa.string()}),
    )
    with reader:
        yield from reader


def _read_parquet(path: Path, truth: GroundTruth) -> Rankings:
    file = open_parquet(path)
    names = file.schema_arrow.names
    query = next((name for name in ("query_id", "id") if name in names), None)
    if query is None or "images" not in names:
        raise CorruptInputError(f"{path} lacks a column", got=quoted(names), expected="query_id and images")
    if not _is_text_list(file.schema_arrow.field("images").type) or not pa.types.is_string(
        file.schema_arrow.field(query).type
    ):
        raise CorruptInputError(f"{path} has columns of another type", expected="query_id text, images lists of text")
    lists, number = Lists(truth, str(path), "row"), 1
    for batch in text_batches(file, [query, "images"]):
        column = batch["images"]
        counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        lists.add(np.arange(number, number + len(batch)), batch[query], counts, column.flatten())
        number += len(batch)
    return lists.finish()


def _is_text_list(type: pa.DataType) -> bool:
    return bool(pa.types.is_list(type)) and bool(pa.types.is_string(type.value_type))
