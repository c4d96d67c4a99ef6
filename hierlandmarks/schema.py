"""The contract: the declared Arrow schema of every table that crosses a stage, and what each column means.

A landmark is named by two columns together, `space` and `landmark_id`: train and index number their landmarks
independently (index 0 is a park, train 0 a racecourse), so an id without its space means nothing and a join
without it is refused.

Label columns run fine to coarse everywhere: landmark, hierarchical label, natural / human-made.
An empty string is an empty cell; a null is allowed only in columns marked nullable.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

SPACES = ("train", "index")
SPLITS = ("train", "train_clean", "index", "query", "validation")
KINDS = ("natural", "human-made")
LEVELS = ("landmark", "label", "kind")  # label columns, fine -> coarse


@dataclass(frozen=True)
class Table:
    """A table that crosses a stage.

    Attributes:
        name: file name without its ending; tables live under `tables/` of a run folder.
        schema: declared Arrow schema; written files have exactly these columns in this order.
        key: columns that identify a row; rows are unique in them and sorted by them.
        about: one sentence for people.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    about: str


def _schema(nullable: tuple[str, ...] = (), **columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=name in nullable) for name, kind in columns.items()])


_text, _int, _float = pa.string(), pa.int64(), pa.float64()
_landmark = {"space": _text, "landmark_id": _text}

CATEGORIES = Table(
    "categories",
    _schema(**_landmark, category=_text, name=_text),
    ("space", "landmark_id"),
    "Every landmark, the Commons category it was made from (a URL, may be empty) and its name.",
)
IMAGES = Table(
    "images",
    _schema(
        ("offset", "size"),
        id=_text,  # 16 hex digits
        split=_text,  # one of SPLITS
        usage=_text,  # of a query in the official ground truth: Public | Private, "" elsewhere
        **_landmark,  # landmark_id may be empty: a distractor
        url=_text,
        author=_text,
        license=_text,
        title=_text,
        file=_text,  # within the `pictures` folder: a tar or a picture; empty when not fetched
        offset=_int,  # of the picture's bytes in a tar, else null
        size=_int,
    ),
    ("id", "split"),
    "Every image with its split, its landmark and where its bytes lie.",
)
TYPES = Table(
    "types",
    _schema(
        ("revision",),
        **_landmark,
        type_id=_text,  # Wikidata QID, or hl:SLUG for a type known by name only
        type=_text,  # English name
        rank=_text,  # preferred | normal | "" (unknown)
        ended=pa.bool_(),  # the statement carries an end date
        item=_text,  # the landmark's own Wikidata item, "" if unknown
        title=_text,  # title asked for
        route=_text,  # how the item was reached, e.g. category>redirect=Category:B>pageprops=Q1>P301=Q2
        revision=_int,  # of the item
    ),
    ("space", "landmark_id", "type_id"),
    "One row for every type ('instance of') of every landmark, with its provenance.",
)
REASONS = Table(
    "reasons",
    _schema(**_landmark, category=_text, reason=_text),
    ("space", "landmark_id"),
    "One row for every landmark: `typed`, or the reason why it has no type.",
)
SUBCLASSES = Table(
    "subclasses",
    _schema(type_id=_text, type=_text, parent_id=_text, parent=_text, depth=_int),
    ("type_id", "parent_id"),
    "'Subclass of' edges above the types; acyclic; depth is the parent's distance from the nearest type.",
)
CYCLES = Table(
    "cycles",
    _schema(type_id=_text, parent_id=_text, cycle=_text),
    ("type_id", "parent_id"),
    "Subclass edges left out because they closed a cycle, with the cycle in ids joined by '>'.",
)
VECTORS = Table(
    "vectors",
    _schema(type_id=_text, type=_text, model=_text, vector=pa.list_(pa.float32())),
    ("type_id",),
    "The text embedding of every type's name, unit length.",
)
PROPOSALS = Table(
    "proposals",
    _schema(
        type_id=_text,
        type=_text,
        proposal_id=_text,  # permanent: hl:p-...; never a cluster number
        name=_text,  # of the proposal: its most central types
        label_id=_text,  # suggested label, "" for none
        label=_text,
        confidence=_float,  # 0..1
        landmarks=_int,  # landmarks with this type
        examples=_text,  # names of a few of them, joined by '; '
    ),
    ("type_id",),
    "Every type with the proposal (cluster) it belongs to and the label suggested for it.",
)
TAXONOMY = Table(
    "taxonomy",
    _schema(label_id=_text, label=_text, natural_or_human_made=_text, definition=_text, wikidata=_text),
    ("label_id",),
    "The labels a person keeps: permanent id, official spelling, kind, definition in words.",
)
DECISIONS = Table(
    "decisions",
    _schema(
        type_id=_text,
        type=_text,
        action=_text,  # label | drop
        label_id=_text,  # "" when dropped
        label=_text,
        reviewer=_text,
        date=_text,  # YYYY-MM-DD
        reason=_text,
    ),
    ("type_id",),
    "What people decided about types; the last decision about a type counts.",
)
ASSIGNMENTS = Table(
    "assignments",
    _schema(
        **_landmark,
        category=_text,
        name=_text,
        type_id=_text,  # the type that decided, else the landmark's first type, "" if it has none
        type=_text,  # released as `supercategory`
        label_id=_text,  # "" when there is none
        label=_text,
        natural_or_human_made=_text,
        confidence=_float,
        source=_text,  # decision | ancestor | name | none, or what learnt clues looked at: name+type …
        runner_up=_text,  # label, "" if none
        reason=_text,  # why this label, or why none, in words
    ),
    ("space", "landmark_id"),
    "Every landmark with its label, or the reason why it has none.",
)
NODES = Table(
    "nodes",
    _schema(node_id=_text, parent_id=_text, level=_text, name=_text, code=_int),
    ("node_id",),
    "The hierarchy as a table: root ('' parent), kinds, labels, landmarks; integer codes count per level.",
)
LEAVES = Table(
    "leaves",
    _schema(**_landmark, node_id=_text),
    ("space", "landmark_id"),
    "Which leaf of the hierarchy every placed landmark of either space is.",
)
UNPLACED = Table(
    "unplaced",
    _schema(**_landmark, category=_text, reason=_text),
    ("space", "landmark_id"),
    "Landmarks with no path in the hierarchy, each with the reason.",
)
CLASSES = Table(
    "classes",
    _schema(level=_text, code=_int, node_id=_text, name=_text, since=_text),
    ("level", "code"),
    "Every integer code a release ever gave: rows are only added, so a code means the same in all its versions.",
)
RELEASE = Table(
    "release",
    _schema(
        ("image", "offset", "size"),
        id=_text,
        split=_text,
        usage=_text,  # Public | Private for a query that the official ground truth scores, else ""
        **_landmark,
        name=_text,
        category=_text,
        item=_text,
        type=_text,
        hierarchical_label=_text,
        natural_or_human_made=_text,
        landmark=_int,  # integer codes of the three levels, -1 = empty
        label=_int,
        kind=_int,
        label_source=_text,
        url=_text,
        author=_text,
        license=_text,
        title=_text,
        file=_text,
        offset=_int,
        size=_int,
        image=pa.binary(),  # JPEG bytes where the release carries them
    ),
    ("id",),
    "One row for every image of a released split.",
)

TABLES = {
    table.name: table
    for table in (
        CATEGORIES,
        IMAGES,
        TYPES,
        REASONS,
        SUBCLASSES,
        CYCLES,
        VECTORS,
        PROPOSALS,
        TAXONOMY,
        DECISIONS,
        ASSIGNMENTS,
        NODES,
        LEAVES,
        UNPLACED,
    )
}  # RELEASE and CLASSES are not among them: their rows cross as files of the folder `release`

# Folders that cross a stage, beside the tables; each lies directly under the run folder.
FOLDERS = {
    "source": "GLDv2's own layout: metadata/, train/images_000.tar ..., responses-*.jsonl.zst",
    "review": "review.csv, for a person to fill in, and index.html to look at",
    "doubts": "doubts.csv, landmarks of uncertain label for a person to decide, and index.html to look at",
    "labels": "the labels as released: *_label_to_hierarchical.csv, hierarchy.csv, unplaced.csv",
    "release": "the dataset: data/*.parquet, hierarchy.csv, README.md (the card), MANIFEST.json",
    "model": "weights (safetensors), recipe, curves",
    "embeddings": "one folder an entry: {split}.safetensors with ids",
    "evaluation": "one folder an entry: scores.json, per_query.parquet, examples.json",
    "submissions": "one folder an entry: meta.yaml, scores.json, per_query.parquet, examples/",
    "leaderboard": "index.html and what it needs",
}

# The released label files, as GLDv2 publishes them.
HIERARCHICAL_CSV = ("landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made")
