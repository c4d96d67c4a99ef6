"""Writing an entry: all of its files or none, the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks.errors import UsageError
from hierlandmarks.params import to_mapping
from hierlandmarks.tables import atomic_folder, write_json, write_parquet
from hierlandmarks_benchmark.entries.files import hashes, write_yaml
from hierlandmarks_benchmark.entries.form import EXAMPLES, META, PER_QUERY, RANKINGS, SCORES, Example, Meta, check_name
from hierlandmarks_benchmark.entries.log import append
from hierlandmarks_benchmark.entries.rankings import cut_rankings
from hierlandmarks_benchmark.entries.rows import LABEL


def write_entry(
    out: Path,
    meta: Meta,
    evaluation: Path,
    labels: Mapping[str, str],
    shown: tuple[tuple[Example, ...], Mapping[str, bytes]],
    *,
    keep: int,
    replaces: bool = False,
) -> Path:
    """Write an entry into a folder of submissions, and a line into its log.

    Args:
        out: the folder of submissions; made where it is missing.
        meta: of the entry; the hashes of its files are added here.
        evaluation: folder with `scores.json`, `per_query.parquet` and perhaps `rankings.parquet`.
        labels: query id → name of its label, written beside the scores of the query.
        shown: queries with results, and the JPEG bytes of every picture in them, by id.
        keep: results a query that the entry's rankings have, at most.
        replaces: take the place of the entry of that name.

    Returns:
        The folder of the entry.

    Raises:
        UsageError: the name is not safe, or taken.
    """
    home = out / check_name(meta.name)
    if home.exists() and not replaces:
        raise UsageError(f"there is an entry {meta.name} in {out} already", do="choose another name")
    with atomic_folder(home) as folder:
        (folder / SCORES).write_bytes((evaluation / SCORES).read_bytes())
        if (evaluation / RANKINGS).is_file():
            cut_rankings(evaluation / RANKINGS, folder / RANKINGS, keep)
        _write_rows(folder / PER_QUERY, evaluation / PER_QUERY, labels)
        examples, thumbnails = shown
        write_json(folder / EXAMPLES, [asdict(example) for example in examples])
        if thumbnails:
            (folder / "examples").mkdir()
        for id, jpeg in thumbnails.items():
            (folder / "examples" / f"{id}.jpg").write_bytes(jpeg)
        write_yaml(folder / META, to_mapping(replace(meta, files=hashes(folder))))
    append(out, "rescored" if replaces else "submitted", home / META, meta.date)
    return home


def _write_rows(path: Path, evaluated: Path, labels: Mapping[str, str]) -> None:
    """Scores query by query, with the label of each: what an entry is good and bad at can be read off it alone."""
    table = pq.read_table(evaluated)
    names = pa.array([labels.get(id, "") for id in table["query_id"].to_pylist()], pa.string())
    if LABEL in table.column_names:
        table = table.drop_columns(LABEL)
    write_parquet(path, table.add_column(1, LABEL, names).replace_schema_metadata(None))
