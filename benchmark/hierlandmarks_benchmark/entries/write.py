"""Writing an entry: all of its files or none, the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from hierlandmarks.errors import UsageError
from hierlandmarks.params import to_mapping
from hierlandmarks.tables import atomic_folder, write_json
from hierlandmarks_benchmark.entries.files import hashes, write_yaml
from hierlandmarks_benchmark.entries.form import EXAMPLES, META, PER_QUERY, SCORES, Example, Meta, check_name


def write_entry(
    out: Path, meta: Meta, evaluation: Path, examples: tuple[Example, ...], thumbnails: Mapping[str, bytes]
) -> Path:
    """Write an entry into a folder of submissions.

    Args:
        out: the folder of submissions; made where it is missing.
        meta: of the entry; the hashes of its files are added here.
        evaluation: folder whose `scores.json` and `per_query.parquet` are copied byte by byte.
        examples: queries with results.
        thumbnails: JPEG bytes of every picture in them, by id.

    Returns:
        The folder of the entry.

    Raises:
        UsageError: the name is not safe, or taken.
    """
    home = out / check_name(meta.name)
    if home.exists():
        raise UsageError(f"there is an entry {meta.name} in {out} already", do="choose another name")
    with atomic_folder(home) as folder:
        for file in (SCORES, PER_QUERY):
            (folder / file).write_bytes((evaluation / file).read_bytes())
        write_json(folder / EXAMPLES, [asdict(example) for example in examples])
        (folder / "examples").mkdir()
        for id, jpeg in thumbnails.items():
            (folder / "examples" / f"{id}.jpg").write_bytes(jpeg)
        write_yaml(folder / META, to_mapping(replace(meta, files=hashes(folder))))
    return home
