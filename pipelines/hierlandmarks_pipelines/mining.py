"""Mining from files to files: GLDv2's label-to-category CSVs in, a folder of tables and raw answers out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hierlandmarks import __version__, schema
from hierlandmarks.errors import UsageError
from hierlandmarks.tableparts import csv_in_parts, table_in_parts
from hierlandmarks.tables import write_csv, write_json, write_table
from hierlandmarks_pipelines.gldv2 import category_parts
from hierlandmarks_pipelines.mine import Mined, MineParams, asking, mine_in_parts, plan
from hierlandmarks_pipelines.wikimedia.archive import PATTERN, Archive
from hierlandmarks_pipelines.wikimedia.landmarks import Landmarks
from hierlandmarks_pipelines.wikimedia.reasons import REASONS


def add_files(landmarks: Landmarks, paths: Sequence[Path], space: str | None = None) -> None:
    """Add the landmarks of GLDv2 label-to-category CSVs (columns landmark_id, category).

    Args:
        landmarks: what to add to.
        paths: the files; those named `train_...` and `index_...` number their landmarks independently.
        space: which numbering the files use; by default the start of each file's name.

    Raises:
        UsageError: the space of a file is unknown.
        MissingDataError, TableError: as `gldv2.read_category_file`; also when two files of one space share a landmark.
    """
    for path in paths:
        own = space or path.name.partition("_")[0]
        if own not in schema.SPACES:
            raise UsageError(
                f"{path} does not tell which landmark ids it uses",
                got=f"the name {path.name}",
                expected="a name that begins with train_ or index_",
                do="say --space train or --space index",
            )
        for part in category_parts(path, own):
            landmarks.add(part, str(path))


def mine_to_folder(paths: Sequence[Path], out: Path, params: MineParams, space: str | None = None) -> dict[str, int]:
    """Mine the landmarks of CSVs into a folder.

    Leaves `types.parquet`, `subclasses.parquet`, `reasons.csv`, `cycles.csv`, `summary.json` and the answers
    (`responses-*.jsonl.zst`, in `params.archive` or the folder itself). Everything but the answers is rebuilt from
    them byte for byte when replaying.

    Returns:
        Landmarks by reason; the sum is the number of landmarks.
    """
    with Landmarks() as landmarks:
        add_files(landmarks, paths, space)
        with asking(params, params.archive or out) as (client, by_name):
            found = mine_in_parts(landmarks, client, depth=params.depth, by_name=by_name)
        return write_mined(found, out, params.depth)


def write_mined(found: Mined, out: Path, depth: int) -> dict[str, int]:
    """Write what was mined, landmark by landmark; returns landmarks by reason, in the order of `REASONS`."""
    made_by = {"made_by": "hierlandmarks mine", "version": __version__, "depth": depth}
    counts = Counter[str]()
    with (
        table_in_parts(out / "types.parquet", schema.TYPES, made_by) as add_types,
        csv_in_parts(out / "reasons.csv", schema.REASONS.schema.names) as add_reasons,
    ):
        for types, reasons in found.parts:
            add_types(types)
            add_reasons(reasons)
            counts.update(reasons["reason"].to_pylist())
    write_table(out / "subclasses.parquet", found.subclasses, schema.SUBCLASSES, made_by)
    write_csv(out / "cycles.csv", found.cycles)
    by_reason = {reason: counts[reason] for reason in REASONS if reason in counts}
    write_json(out / "summary.json", {"landmarks": counts.total(), "reasons": by_reason, **made_by})
    return by_reason


def plan_for_folder(paths: Sequence[Path], out: Path, params: MineParams, space: str | None = None) -> dict[str, Any]:
    """What mining would cost, less what the folder's archive already answers; asks and writes nothing."""
    folder = params.archive or out
    archived = 0
    if next(folder.glob(PATTERN), None):
        with Archive(folder) as archive:
            archived = len(archive)
    with Landmarks() as landmarks:
        add_files(landmarks, paths, space)
        return plan(landmarks, archived, params.per_minute)
