"""Files shaped like Google Landmarks v2's, at any scale, made up: for measurements, and for tests of counts.

At scale 1 every file has the official number of rows, landmarks have sizes as skewed as the real ones, labels their
real frequencies, and train_clean.csv with labels holds the published 970,981 images of 46,593 landmarks. The counts
are built in here and found again by whoever reads the files. There are no pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.catalog import OWN
from hierlandmarks.imageids import ids_of
from hierlandmarks.schema import (
    ASSIGNMENTS,
    HIERARCHICAL_CSV,
    SPACES,
    TYPES,
)
from hierlandmarks.tables import atomic_path, conform, read_csv, write_json
from hierlandmarks_pipelines.build import build
from hierlandmarks_pipelines.sources import read_metadata

Ints = npt.NDArray[np.int64]
Texts = Any  # a pyarrow string array

# Index landmarks of every label in GLDv2 2.1; the first block is human-made, the second natural.
LABELS = (
    """church 12871,castle / fort 4603,museum 3877,bridge 1585,sports venue 1517,house 1282,cemetery 1175,
    lighthouse 1041,monastery 855,city 846,palace 718,tower 700,theatre 651,sculpture 647,square 627,
    archeological site 609,skyscraper 570,library 551,rail transportation 536,government building 430,
    amusement park 395,buddhist temple 395,dam 387,shinto shrine 364,zoo 354,hotel 345,boat 330,harbor 314,mosque 300,
    road 276,settlement 247,gate 239,synagogue 214,memorial 212,school 204,fountain 184,shopping 167,village 149,
    market 125,prison 122,observatory 109,festival 104,hindu temple 86,windmill 85,mine 82,cable transportation 79,
    factory 78,ruins 78,air transportation 65,restaurant 63,bath 50,hospital 45,power plant 43,aqueduct 42,
    swimming pool 41,artwork 35,underground infrastructure 35,pyramid 27,cross 21,stairs 17""",
    """mountain 4054,parks 3355,lake 1847,island 1020,river 809,garden 461,waterfall 299,canal 252,ocean area  249,
    cave 234,beach 174,agricultural land 148,volcano 119,trail 107,tree 87,stone 57,wetland 35,cliff 23""",
)
BLOCK = 1 << 20  # rows of a CSV written at once
LICENCES = [f"https://creativecommons.org/licenses/{name}/" for name in ("by-sa/3.0", "by-sa/4.0", "by/2.0", "by/3.0")]


@dataclass(frozen=True)
class Sizes:
    """How many rows the files have; the official ones are the defaults.

    Attributes:
        images, landmarks: of train.csv.
        clean_images, clean_landmarks: of train_clean.csv.
        labelled_images, labelled_landmarks: those of train_clean.csv that have a label.
        index_images, index_landmarks: of index.csv.
        test_images, public, private: of test.csv, and its scored parts.
    """

    images: int = 4_132_914
    landmarks: int = 203_094
    clean_images: int = 1_580_470
    clean_landmarks: int = 81_313
    labelled_images: int = 970_981
    labelled_landmarks: int = 46_593
    index_images: int = 761_757
    index_landmarks: int = 101_302
    test_images: int = 117_577
    public: int = 379
    private: int = 750

    def scaled(self, scale: float) -> Sizes:
        """The same proportions, smaller or larger; at least a few of each."""
        return Sizes(**{name: max(3, round(size * scale)) for name, size in vars(self).items()})


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of one space, one entry each.

    Attributes:
        titles: of their Commons categories, with underscores.
        labels: position in the list of labels, -1 for none.
        sizes: images of each.
        clean: images of each in train_clean.csv, 0 for none.
    """

    titles: Texts
    labels: Ints
    sizes: Ints
    clean: Ints


def write_metadata(root: Path, scale: float = 1.0, seed: int = 0) -> Sizes:
    """Write `metadata/*.csv` and `ground_truth/*.csv` as GLDv2 names them, rows in no order.

    About a fifth of the index landmarks are places that train has as well, with the same category and label.

    Args:
        scale: 1.0 for GLDv2's own size.
        seed: of all chance.

    Returns:
        The sizes that were built in.
    """
    sizes, chance = Sizes().scaled(scale), np.random.default_rng(seed)
    train = _train(sizes, chance)
    index = _index(sizes, train, chance)
    _write_landmarks(root, "train", train)
    _write_landmarks(root, "index", index)
    _write_train(root, train, chance, seed)
    _write_rest(root, index, sizes, chance, seed)
    write_json(root / OWN, _contents(sizes))
    return sizes


def label_names() -> tuple[list[str], Ints, Ints]:
    """The 78 labels in their official spelling, their frequencies, and 1 where they are natural, 0 elsewhere."""
    cells = [(cell.strip("\n ").rpartition(" "), kind) for kind in (0, 1) for cell in LABELS[kind].split(",")]
    names, counts = [parts[0] for parts, _ in cells], np.array([int(parts[2]) for parts, _ in cells])
    return names, counts, np.array([kind for _, kind in cells])


def tables(root: Path) -> dict[str, pa.Table]:
    """What the stage `export` takes, made from the files under `root` as the pipeline would make it.

    Returns:
        categories, images (train, train_clean, index, query), types, assignments, nodes and leaves.
    """
    made = read_metadata(root, clean="split")
    found = []
    for space in SPACES:
        read = read_csv(root / "metadata" / f"{space}_label_to_hierarchical.csv", HIERARCHICAL_CSV)
        found.append(read.append_column("space", pa.repeat(pa.scalar(space), read.num_rows)))
    labels = pa.concat_tables(found)
    placed = pc.not_equal(labels["hierarchical_label"], "")
    blank = pa.repeat(pa.scalar(""), labels.num_rows)
    prefix = pc.if_else(placed, "hl:", "")
    assignments = {
        **{name: labels[name] for name in ("space", "landmark_id", "category", "natural_or_human_made")},
        "name": joined(labels["space"], " ", labels["landmark_id"]),
        "type_id": joined(prefix, labels["supercategory"]),
        "type": labels["supercategory"],
        "label_id": joined(prefix, pc.utf8_trim_whitespace(labels["hierarchical_label"])),
        "label": labels["hierarchical_label"],
        "confidence": pc.cast(placed, pa.float64()),
        "source": pc.if_else(placed, "decision", "none"),
        "runner_up": blank,
        "reason": blank,
    }
    made["assignments"] = conform(pa.table(assignments), ASSIGNMENTS, "assignments")
    typed = made["assignments"].filter(pc.not_equal(made["assignments"]["type_id"], ""))
    columns = {name: pa.repeat(pa.scalar(""), typed.num_rows) for name in ("rank", "title", "route")}
    columns |= {name: typed[name] for name in ("space", "landmark_id", "type_id", "type")}
    columns |= {"ended": pa.repeat(pa.scalar(False), typed.num_rows), "revision": pa.nulls(typed.num_rows, pa.int64())}
    columns["item"] = joined("Q", typed["landmark_id"])
    made["types"] = conform(pa.table(columns), TYPES, "types")
    built = build(made["assignments"])
    return {**made, "nodes": built.nodes, "leaves": built.leaves}


def _contents(sizes: Sizes) -> dict[str, Any]:
    """What `dataset.json` says of the files."""
    train, index, test = sizes.images, sizes.index_images, sizes.test_images
    rows = {"train": train, "train_attribution": train, "train_clean": sizes.clean_landmarks, "test": test}
    rows |= {"index": index, "index_image_to_landmark": index}
    for space, count in (("train", sizes.landmarks), ("index", sizes.index_landmarks)):
        rows |= {f"{space}_label_to_{what}": count for what in ("category", "hierarchical")}
    splits = {
        "train_clean": {"images": sizes.labelled_images, "landmarks": sizes.labelled_landmarks},
        "index": {"images": index},
        "query": {"images": min(sizes.public + sizes.private, test)},
    }
    named = {f"metadata/{name}.csv": count for name, count in rows.items()}
    return {"name": "synthetic", "rows": named, "splits": splits, "pictures": {}, "tars": {}}


# -- landmarks --


def _train(sizes: Sizes, chance: np.random.Generator) -> Landmarks:
    images = _skewed(sizes.images, sizes.landmarks, chance)
    large = np.argsort(-images, kind="stable")[: min(sizes.landmarks, sizes.clean_landmarks * 5 // 4)]
    clean = chance.permutation(large)[: sizes.clean_landmarks]
    labelled, others = clean[: sizes.labelled_landmarks], clean[sizes.labelled_landmarks :]
    counts = np.zeros(sizes.landmarks, dtype=np.int64)
    counts[labelled] = _shared(sizes.labelled_images, images[labelled])
    counts[others] = _shared(sizes.clean_images - sizes.labelled_images, images[others])
    labels = _labels(sizes.landmarks, chance)
    labels[chance.random(sizes.landmarks) >= 0.55] = -1
    labels[others] = -1
    labels[labelled] = _labels(len(labelled), chance)
    return Landmarks(made_titles(np.arange(sizes.landmarks)), labels, images, counts)


def _index(sizes: Sizes, train: Landmarks, chance: np.random.Generator) -> Landmarks:
    count = sizes.index_landmarks
    labels = _labels(count, chance)
    labels[chance.random(count) >= 0.55] = -1
    names = np.arange(count) + len(train.labels)
    both = min(count, len(train.labels)) // 5
    names[:both] = chance.permutation(len(train.labels))[:both]
    labels[:both] = train.labels[names[:both]]
    return Landmarks(made_titles(names), labels, _skewed(sizes.index_images, count, chance), np.zeros(count, np.int64))


def _labels(count: int, chance: np.random.Generator) -> Ints:
    """Labels by their frequency, each of the 78 at least once where there are as many landmarks."""
    _, frequencies, _ = label_names()
    drawn: Ints = chance.choice(len(frequencies), size=count, p=frequencies / frequencies.sum())
    drawn[: len(frequencies)] = np.arange(len(frequencies))[:count]
    return chance.permutation(drawn)


def _skewed(total: int, count: int, chance: np.random.Generator) -> Ints:
    """Sizes of `count` landmarks, at least 1, `total` together, as a log-normal law spreads them."""
    weights = chance.lognormal(mean=0.0, sigma=1.4, size=count)
    return 1 + chance.multinomial(total - count, weights / weights.sum())


def _shared(total: int, limits: Ints) -> Ints:
    """Whole numbers from 1 to each limit that sum to `total`, in proportion to the limits."""
    counts = np.ones(len(limits), dtype=np.int64)
    while (missing := total - int(counts.sum())) > 0:
        room = limits - counts
        if not room.any():
            raise ValueError(f"{total} do not fit into limits that sum to {limits.sum()}")
        more = room * missing // int(room.sum())
        if not more.any():
            more[np.flatnonzero(room)[:missing]] = 1
        counts += np.minimum(more, room)
    return counts


def made_titles(numbers: Ints) -> Texts:
    """Titles of made-up Commons categories, with underscores."""
    places = pa.array(["Sainte-Marie,_Paris", "Château_d'If", "Old_Bridge_(Lucerne)", "Mount_Rainier"])
    return joined("Landmark_", as_text(numbers), "_", places.take(pa.array(numbers % len(places))))


# -- files --


def _write_landmarks(root: Path, space: str, landmarks: Landmarks) -> None:
    names, _, natural = label_names()
    placed = np.where(landmarks.labels < 0, len(names), landmarks.labels)
    table = {
        "landmark_id": as_text(np.arange(len(landmarks.labels))),
        "category": joined("http://commons.wikimedia.org/wiki/Category:", landmarks.titles),
        "supercategory": pa.array([*(f"kind of {name.strip()}" for name in names), ""]).take(pa.array(placed)),
        "hierarchical_label": pa.array([*names, ""]).take(pa.array(placed)),
        "natural_or_human_made": pa.array(["human-made", "natural", ""]).take(pa.array([*natural, 2]).take(placed)),
    }
    _write(root / "metadata" / f"{space}_label_to_hierarchical.csv", table)
    _write(root / "metadata" / f"{space}_label_to_category.csv", {n: table[n] for n in ("landmark_id", "category")})


def _write_train(root: Path, train: Landmarks, chance: np.random.Generator, seed: int) -> None:
    landmark = np.repeat(np.arange(len(train.sizes)), train.sizes)
    ids, number = _ids(len(landmark), seed, 0), _within(train.sizes)
    order = chance.permutation(len(landmark))
    titles = train.titles.take(pa.array(landmark))
    url = joined("https://upload.wikimedia.org/wikipedia/commons/5/56/", titles, "_", as_text(number), ".jpg")
    shuffled = pa.array(order)
    table = {"id": ids, "url": url, "landmark_id": as_text(landmark)}
    _write(root / "metadata" / "train.csv", {name: column.take(shuffled) for name, column in table.items()})
    table |= {
        "author": joined("Photographer ", as_text(chance.integers(0, 60_000, len(landmark)))),
        "license": pa.array(LICENCES).take(pa.array(chance.integers(0, len(LICENCES), len(landmark)))),
        "title": joined("File:", titles, " ", as_text(number), ".jpg"),
    }
    wanted = ("id", "url", "author", "license", "title")
    _write(root / "metadata" / "train_attribution.csv", {name: table[name].take(shuffled) for name in wanted})
    kept, clean = ids.filter(pa.array(number < train.clean[landmark])), np.flatnonzero(train.clean)
    lists = pa.ListArray.from_arrays(pa.array(_edges(train.clean[clean]), pa.int32()), kept)
    _write(root / "metadata" / "train_clean.csv", {"landmark_id": as_text(clean), "images": pc.binary_join(lists, " ")})


def _write_rest(root: Path, index: Landmarks, sizes: Sizes, chance: np.random.Generator, seed: int) -> None:
    landmark = np.repeat(np.arange(len(index.sizes)), index.sizes)
    ids, test = _ids(len(landmark), seed, 1 << 40), _ids(sizes.test_images, seed, 1 << 41)
    order = pa.array(chance.permutation(len(landmark)))
    _write(root / "metadata" / "index.csv", {"id": ids.take(order)})
    shown = {"id": ids, "landmark_id": as_text(landmark)}
    _write(root / "metadata" / "index_image_to_landmark.csv", {n: column.take(order) for n, column in shown.items()})
    _write(root / "metadata" / "test.csv", {"id": test})
    scored = min(sizes.public + sizes.private, sizes.test_images)
    wanted = chance.choice(len(index.sizes), size=scored)
    edges = _edges(index.sizes)
    pictures = [ids[int(edges[n]) : int(edges[n]) + min(int(index.sizes[n]), 168)].to_pylist() for n in wanted]
    rest = sizes.test_images - scored
    usage = ["Public"] * sizes.public + ["Private"] * sizes.private
    solution = {
        "id": test,
        "images": pa.array([*(" ".join(row) for row in pictures), *["None"] * rest]),
        "Usage": pa.array([*usage[:scored], *["Ignored"] * rest]),
    }
    _write(root / "ground_truth" / "retrieval_solution_v2.1.csv", solution)
    blank = pa.array([""] * sizes.test_images)
    _write(
        root / "ground_truth" / "recognition_solution_v2.1.csv",
        {"id": test, "landmarks": blank, "Usage": solution["Usage"]},
    )


def _write(path: Path, columns: dict[str, Any]) -> None:
    """A CSV as GLDv2's: a bare header, quotes only where needed."""
    table = pa.table(columns)
    with atomic_path(path) as part, open(part, "wb") as stream:
        stream.write((",".join(columns) + "\n").encode())
        for first in range(0, table.num_rows, BLOCK):
            block = table.slice(first, BLOCK).combine_chunks()
            cells = [part for column in block.columns for part in (",", _quoted(column.combine_chunks()))]
            stream.write(joined(*cells[1:], "\n").buffers()[2])  # the text of all lines, one after the other


# -- columns --


def _ids(count: int, seed: int, first: int) -> Texts:
    """Distinct ids without order: multiples of an odd number, which modulo 2^64 never repeat."""
    numbers = np.arange(first, first + count, dtype=np.uint64) + np.uint64(1 + (seed << 44))
    return ids_of(numbers * np.uint64(0x9E3779B97F4A7C15))


def as_text(values: Ints) -> Texts:
    """Numbers as text."""
    return pc.cast(pa.array(values), pa.string())


def _quoted(cells: Texts) -> Texts:
    special = pc.match_substring_regex(cells, '[",\n]')
    return pc.if_else(special, joined('"', pc.replace_substring(cells, '"', '""'), '"'), cells)


def joined(*parts: Any) -> Texts:
    """Texts one after the other, row by row; a single text counts for all rows."""
    return pc.binary_join_element_wise(*parts, "")


def _edges(sizes: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(sizes)])


def _within(sizes: Ints) -> Ints:
    """0, 1, … within each landmark."""
    numbers: Ints = np.arange(int(sizes.sum())) - np.repeat(_edges(sizes)[:-1], sizes)
    return numbers
