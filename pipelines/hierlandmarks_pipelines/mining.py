"""Mining from files to files: GLDv2's label-to-category CSVs in, a folder of tables and raw answers out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks import __version__, schema
from hierlandmarks.errors import UsageError
from hierlandmarks.tables import conform, write_csv, write_json, write_table
from hierlandmarks_pipelines.gldv2 import read_category_file
from hierlandmarks_pipelines.mine import MineParams, plan, run_mine
from hierlandmarks_pipelines.wikimedia.archive import PATTERN, Archive
from hierlandmarks_pipelines.wikimedia.reasons import REASONS


def read_categories(paths: Sequence[Path], space: str | None = None) -> pa.Table:
    """GLDv2 label-to-category CSVs (columns landmark_id, category) as one `schema.CATEGORIES` table.

    Args:
        paths: the files; those named `train_...` and `index_...` number their landmarks independently.
        space: which numbering the files use; by default the start of each file's name.

    Raises:
        UsageError: the space of a file is unknown.
        MissingDataError, TableError: as `gldv2.read_category_file`; also when two files of one space share a landmark.
    """
    tables = []
    for path in paths:
        own = space or path.name.partition("_")[0]
        if own not in schema.SPACES:
            raise UsageError(
                f"{path} does not tell which landmark ids it uses",
                got=f"the name {path.name}",
                expected="a name that begins with train_ or index_",
                do="say --space train or --space index",
            )
        tables.append(read_category_file(path, own))
    return conform(pa.concat_tables(tables), schema.CATEGORIES, ", ".join(map(str, paths)))


def mine_to_folder(paths: Sequence[Path], out: Path, params: MineParams, space: str | None = None) -> dict[str, int]:
    """Mine the landmarks of CSVs into a folder.

    Leaves `types.parquet`, `subclasses.parquet`, `reasons.csv`, `cycles.csv`, `summary.json` and the answers
    (`responses-*.jsonl.zst`, in `params.archive` or the folder itself). Everything but the answers is rebuilt from
    them byte for byte when replaying.

    Returns:
        Landmarks by reason; the sum is the number of landmarks.
    """
    tables = run_mine(params, read_categories(paths, space), params.archive or out)
    made_by = {"made_by": "hierlandmarks mine", "version": __version__, "depth": params.depth}
    for spec in (schema.TYPES, schema.SUBCLASSES):
        write_table(out / f"{spec.name}.parquet", tables[spec.name], spec, made_by)
    for name in ("reasons", "cycles"):
        write_csv(out / f"{name}.csv", tables[name])
    counts = count_reasons(tables["reasons"])
    write_json(out / "summary.json", {"landmarks": tables["reasons"].num_rows, "reasons": counts, **made_by})
    return counts


def count_reasons(reasons: pa.Table) -> dict[str, int]:
    """Landmarks by reason, in the order of `REASONS`, without those that do not occur."""
    found = {entry["values"]: entry["counts"] for entry in reasons["reason"].value_counts().to_pylist()}
    return {reason: found[reason] for reason in REASONS if reason in found}


def plan_for_folder(paths: Sequence[Path], out: Path, params: MineParams, space: str | None = None) -> dict[str, Any]:
    """What mining would cost, less what the folder's archive already answers; asks and writes nothing."""
    folder = params.archive or out
    archived = 0
    if next(folder.glob(PATTERN), None):
        with Archive(folder) as archive:
            archived = len(archive)
    return plan(read_categories(paths, space), archived, params.per_minute)
