"""Stage `export`: images, labels and hierarchy to a release folder that loads anywhere.

Equal input gives equal bytes. What is released of a landmark comes from its own row in its own id space; a leaf of the
hierarchy stands for the same place in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks import __version__
from hierlandmarks.errors import CorruptInputError, IncompleteError, TableError, UsageError
from hierlandmarks.executors import each, using
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.imageids import keys_of
from hierlandmarks.images import TarImages
from hierlandmarks.overview import COLUMNS, overview
from hierlandmarks.progress import counted, track
from hierlandmarks.releases import FORMAT, MANIFEST, release_hash
from hierlandmarks.schema import LEVELS, RELEASE
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import (
    ROW_GROUP,
    block_hash,
    clear_parts,
    file_sha256,
    join_hashes,
    write_csv,
    write_json,
    write_text,
)
from hierlandmarks_pipelines.card import card
from hierlandmarks_pipelines.citation import citation, zenodo
from hierlandmarks_pipelines.classes import FILE as CLASSES_FILE
from hierlandmarks_pipelines.classes import next_classes, read_classes, with_codes
from hierlandmarks_pipelines.croissant import croissant
from hierlandmarks_pipelines.labelfiles import TAXONOMY_FILE
from hierlandmarks_pipelines.quality import of_tables
from hierlandmarks_pipelines.qualitycard import write_quality
from hierlandmarks_pipelines.shardwriter import Order, Read, write_shard
from hierlandmarks_pipelines.splits import Part, check_spaces, split_rows

SAME_PLACE = "same place"  # label_source of a landmark that has the label of the other landmark of its category


@dataclass(frozen=True)
class Export:
    """What to release.

    Attributes:
        name: of the release.
        version: of the release.
        title: for people; the name if empty.
        about: a paragraph on where this release's landmarks and images come from, for the card.
        validation: share of the train landmarks to set aside as the split `validation`, 0 <= share < 1; a label with
            one landmark keeps it in train, so a little less is moved.
        labelled_only: leave images of landmarks without a label out of train, train_clean and validation; index and
            query always keep theirs, with empty cells and codes of -1.
        image_bytes: whether the shards carry the pictures.
        rows_per_shard: most rows of a shard.
        seed: of the choice of validation landmarks.
        continues: folder of this release's version before; its integer codes keep their meaning.
        published: date of publication, YYYY-MM-DD, for citations; left out if empty.
        published_labels: CSV of labels to compare these with in the card, named train_… or index_…; train otherwise.
        calibration: CSV of the calibration curve for the card, as `labels assign --calibration` writes it.
    """

    name: str
    version: str = "1.0.0"
    title: str = ""
    about: str = ""
    validation: float = 0.0
    labelled_only: bool = True
    image_bytes: bool = True
    rows_per_shard: int = 65_536
    seed: int = 0
    continues: Path | None = None
    published: str = ""
    published_labels: Path | None = None
    calibration: Path | None = None


def landmark_rows(
    categories: pa.Table, types: pa.Table, assignments: pa.Table, leaves: pa.Table, hierarchy: Hierarchy
) -> pa.Table:
    """What a release says of each landmark: the landmark columns of `schema.RELEASE`, one row a landmark.

    Raises:
        TableError: a landmark has no row in `assignments`.
        CorruptInputError: a landmark has a label and no leaf, a leaf and no label, or a leaf below another label.
    """
    keys = _keys(categories)
    assigned = pc.index_in(keys, value_set=_keys(assignments))
    if assigned.null_count:
        row = int(np.argmax(assigned.is_null().to_numpy()))
        raise TableError(f"assignments lack the landmark {_spell(categories, row)}", do="run the stage assign again")
    assigned = assignments.take(assigned)
    found = {
        "space": categories["space"],
        "landmark_id": categories["landmark_id"],
        "name": categories["name"],
        "category": categories["category"],
        "item": _looked_up(keys, types.filter(pc.not_equal(types["item"], "")), "item"),
        "type": assigned["type"],
        "hierarchical_label": assigned["label"],
        "natural_or_human_made": assigned["natural_or_human_made"],
        "label_source": assigned["source"],
    }
    codes = hierarchy.label_array(_looked_up(keys, leaves, "node_id"))
    landmarks = _with_labels(pa.table(found), codes, hierarchy)
    for column, name in enumerate(LEVELS):
        landmarks = landmarks.append_column(name, pa.array(codes[:, column]))
    return landmarks


def release_rows(images: pa.Table, landmarks: pa.Table) -> pa.Table:
    """Every image with what is known of its landmark: `schema.RELEASE` without `image`, sorted by id and split.

    An image without a landmark (a distractor) has empty cells and codes of -1. Text of the landmark is held as a
    dictionary: a word is in memory once, however many images have it.

    Raises:
        TableError: an id that is not 16 hex digits, an unknown split, or a landmark that is in no table.
        CorruptInputError: an image whose split and landmark's id space disagree.
    """
    check_spaces(images)
    _, bad = keys_of(images["id"])
    if bad is not None:
        raise TableError(f"images row {bad + 1}: the id is wrong", got=images["id"][bad], expected="16 hex digits")
    found = pc.index_in(_keys(images), value_set=_keys(landmarks))
    unknown = pc.and_(pc.is_null(found), pc.not_equal(images["landmark_id"], ""))
    if (row := pc.index(unknown, True).as_py()) >= 0:
        raise TableError(f"image {images['id'][row]} has the unknown landmark {_spell(images, row)}")
    places = pc.fill_null(found, landmarks.num_rows).combine_chunks()  # the last entry is that of no landmark
    columns = {}
    for field in RELEASE.schema:
        if field.name in images.column_names:
            columns[field.name] = images[field.name]
        elif field.name in LEVELS:
            columns[field.name] = _and(landmarks[field.name], -1).take(places)
        elif field.name != "image":
            columns[field.name] = pa.DictionaryArray.from_arrays(places, _and(landmarks[field.name], ""))
    return pa.table(columns)


def write_release(
    folder: Path,
    splits: Mapping[str, Part],
    hierarchy: Hierarchy,
    params: Export,
    *,
    left_out: Mapping[str, Mapping[str, int]],
    source: Path | None = None,
    quality: Mapping[str, Any] | None = None,
) -> None:
    """Write a release folder: shards, hierarchy, classes, card, Croissant and citation files, and manifest.

    Args:
        folder: an empty folder.
        splits: rows by split, sorted by id.
        left_out: images and landmarks left out, by split, for card and manifest.
        quality: what the card says of the labels' quality, as `quality.quality` gives it.
        source: the folder the images' `file` is relative to; needed when the shards carry the pictures.

    Raises:
        UsageError: no rows, or shards of no rows asked for.
        IncompleteError: pictures asked for and not there.
        CorruptInputError: the release to continue from has no sound table of classes.
    """
    if not splits:
        raise UsageError("there are no images to export", do="check labelled_only, and that landmarks have labels")
    if params.rows_per_shard < 1:
        raise UsageError("a shard needs rows", got=f"rows_per_shard {params.rows_per_shard}", expected="1 or more")
    read = _reader(splits, source) if params.image_bytes else None
    facts = overview(((name, block) for name, part in splits.items() for block in part.blocks(COLUMNS)), hierarchy)
    files: dict[str, Any] = {}
    written: dict[str, dict[str, Any]] = {}
    for split, part in splits.items():
        shards, digest = _write_split(folder, part, params.rows_per_shard, read)
        files |= shards
        written[split] = {"rows": len(part), "files": list(shards), "content_hash": digest}
    clear_parts(folder / "data")  # of workers that were killed while they wrote
    hierarchy.to_csv(folder / "hierarchy.csv")
    about = {"name": params.name, "version": params.version, "title": params.title or params.name}
    about |= {"about": params.about, "published": params.published}
    described = {**about, "left_out": left_out, "image_bytes": params.image_bytes, **facts}
    if quality:
        write_quality(folder, quality)
    write_text(folder / "README.md", card({**described, "quality": quality}))
    write_json(folder / "croissant.json", croissant(described, files))
    write_text(folder / "CITATION.cff", citation(described))
    write_json(folder / ".zenodo.json", zenodo(described))
    for name in sorted(path.name for path in folder.iterdir() if path.is_file()):
        files[name] = {"bytes": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)}
    manifest = {
        **{key: about[key] for key in ("name", "version", "title")},
        "format": FORMAT,
        "made_by": f"hierlandmarks {__version__}",
        "image_bytes": params.image_bytes,
        "content_hash": release_hash({n: facts["content_hash"] for n, facts in written.items()}, hierarchy),
        "splits": written,
        "left_out": left_out,
        "files": files,
    }
    write_json(folder / MANIFEST, manifest)


# -- inside --


def _write_split(folder: Path, part: Part, rows_per_shard: int, read: Read | None) -> tuple[dict[str, Any], str]:
    """Facts on each shard by its path in the folder, and the content hash of the split.

    The hash covers every column and the SHA-256 of every picture, so it can be had without holding the pictures.
    """
    count = -(-len(part) // rows_per_shard)
    names = [f"data/{part.split}-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    orders = (
        Order(folder / name, part.table(start=number * rows_per_shard, length=rows_per_shard), read)
        for number, name in enumerate(names)
    )
    shards, digests = {}, []
    for name, shard in zip(
        names, track(each(write_shard, orders), f"writing {part.split}", count, "shard"), strict=True
    ):
        shards[name] = shard.facts
        digests.append(shard.digests)
    pictures = pa.chunked_array(digests, pa.binary())
    blocks = (
        part.table(start=start, length=ROW_GROUP).append_column("image", pictures.slice(start, ROW_GROUP))
        for start in range(0, len(part), ROW_GROUP)
    )
    with using("threads"):
        return shards, join_hashes(each(block_hash, blocks))


def _reader(splits: Mapping[str, Part], source: Path | None) -> Read:
    for split, part in splits.items():
        places = part.table(["id", "file"])
        missing = places["id"].filter(pc.equal(places["file"], ""))
        if len(missing):
            raise IncompleteError(
                f"the split {split} lacks {counted(len(missing), 'image')}",
                got=f"no file for {missing[0]}",
                do="fetch the images, or export with image_bytes: false",
            )
    if source is None:
        raise IncompleteError("the images' folder `source` is not there", do="export with image_bytes: false")
    return TarImages(source).read


def _and(column: pa.ChunkedArray, last: object) -> pa.Array:
    """A column with one more value at its end."""
    return pa.concat_arrays([*column.chunks, pa.array([last], column.type)])


def _keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["space"], table["landmark_id"], "\0")


def _looked_up(keys: pa.ChunkedArray, table: pa.Table, column: str) -> pa.ChunkedArray:
    """The column's value at each key, the first where there are several, "" where there is none."""
    return pc.fill_null(table[column].take(pc.index_in(keys, value_set=_keys(table))), "")


def _spell(table: pa.Table, row: int) -> str:
    return f"{table['space'][row]} {table['landmark_id'][row]}"


def _with_labels(landmarks: pa.Table, codes: npt.NDArray[np.int64], hierarchy: Hierarchy) -> pa.Table:
    """The landmarks with the labels of their places in the hierarchy, which must be the ones assigned.

    Only where another landmark of the same place has a better founded label the place has that one: `label_source` is
    SAME_PLACE then.
    """
    frame = landmarks.to_pandas()
    moved = np.zeros(len(frame), dtype=np.bool_)
    for column, text in ((1, "hierarchical_label"), (2, "natural_or_human_made")):
        names = hierarchy.names(LEVELS[column])
        expected = np.array([names.get(code, "") for code in codes[:, column].tolist()], dtype=object)
        assigned = frame[text].to_numpy(dtype=object)
        given = set(zip(codes[:, 0].tolist(), assigned, strict=True))
        for row in np.flatnonzero(expected != assigned).tolist():
            if codes[row, 0] < 0 or (codes[row, 0], expected[row]) not in given:
                raise CorruptInputError(
                    f"landmark {_spell(landmarks, row)}: {text} and its place in the hierarchy differ",
                    got=repr(assigned[row]),
                    expected=repr(expected[row]),
                    do="run the stage build again",
                )
            moved[row] = True
        landmarks = _replaced(landmarks, text, pa.array(expected, pa.string()))
    source = pc.if_else(pa.array(moved), SAME_PLACE, landmarks["label_source"])
    return _replaced(landmarks, "label_source", source)


def _replaced(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _run(params: Export, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    nodes = inputs["nodes"]
    before = read_classes(params.continues) if params.continues else None
    classes = next_classes(nodes, before, params.version)
    hierarchy = Hierarchy.from_table(with_codes(nodes, classes), "nodes")
    landmarks = landmark_rows(inputs["categories"], inputs["types"], inputs["assignments"], inputs["leaves"], hierarchy)
    rows = release_rows(inputs["images"], landmarks)
    splits, left_out = split_rows(
        rows, validation=params.validation, labelled_only=params.labelled_only, seed=params.seed
    )
    write_csv(folders["release"] / CLASSES_FILE, classes)
    if "taxonomy" in inputs:
        write_csv(folders["release"] / TAXONOMY_FILE, inputs["taxonomy"])
    report = of_tables(inputs["assignments"], nodes, params.published_labels, params.calibration)
    source = inputs.get("source")
    write_release(folders["release"], splits, hierarchy, params, left_out=left_out, source=source, quality=report)
    return {}


def _reads(params: Export) -> tuple[Path, ...]:
    before = params.continues / CLASSES_FILE if params.continues else None
    return tuple(path for path in (before, params.published_labels, params.calibration) if path)


STAGE = Stage(
    name="export",
    about="labels and images to a release: parquet shards, hierarchy, card, manifest",
    params=Export,
    needs=("source", "categories", "images", "types", "assignments", "nodes", "leaves", "taxonomy"),
    makes=("release",),
    optional=("source", "taxonomy"),
    reads=_reads,
    run=_run,
)
