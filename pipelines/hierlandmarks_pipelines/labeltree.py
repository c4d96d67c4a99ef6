"""The labels as people look at them: kinds, labels, types, and a few landmarks, with counts and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.params import nearest
from hierlandmarks.releases import MANIFEST
from hierlandmarks.schema import ASSIGNMENTS, LEAVES, NODES, SPACES, TAXONOMY
from hierlandmarks.tables import read_table
from hierlandmarks_pipelines.labelfiles import (
    LABEL,
    TAXONOMY_FILE,
    Decision,
    Taxonomy,
    effective,
    label_files,
    read_decisions,
    read_taxonomy,
    taxonomy_from_table,
)

EXAMPLES = 5
NO_TYPE = "(no type)"
_COLUMNS = ("space", "landmark_id", "name", "type", "source", "reason", "node_id")


@dataclass(frozen=True)
class Branch:
    """A type below a label.

    Attributes:
        type: its name, NO_TYPE for landmarks without one.
        train, index: landmarks of the label that have it as the deciding type.
        examples: names of a few of them.
        why: what made it this label.
    """

    type: str
    train: int
    index: int
    examples: tuple[str, ...]
    why: str

    @property
    def landmarks(self) -> int:
        """Landmarks of both spaces."""
        return self.train + self.index


@dataclass(frozen=True)
class LabelView:
    """A label with what is below it; types with most landmarks first.

    Attributes:
        label_id, label, kind: as in the hierarchy.
        definition, wikidata: from the taxonomy, "" where it does not have the label.
        train, index: its landmarks; places: leaves of the tree, one for the same category in train and index.
        sources: landmarks by the source of their label, most frequent first.
    """

    label_id: str
    label: str
    kind: str
    definition: str
    wikidata: str
    train: int
    index: int
    places: int
    sources: Mapping[str, int]
    types: tuple[Branch, ...]

    @property
    def landmarks(self) -> int:
        """Landmarks of both spaces."""
        return self.train + self.index

    @property
    def path(self) -> tuple[str, ...]:
        """Names from the root down."""
        return "root", self.kind, self.label


class _Tally:
    """What is counted of a label, landmark by landmark."""

    def __init__(self) -> None:
        self.leaves: set[int] = set()
        self.sources: Counter[str] = Counter()
        self.types: dict[str, _TypeTally] = {}

    def add(self, leaf: int, space: str, name: str, kind: str, source: str, reason: str, *, each: int) -> None:
        self.leaves.add(leaf)
        self.sources[source] += 1
        tally = self.types.setdefault(kind, _TypeTally(kind or NO_TYPE, reason))
        tally.counts[space] += 1
        if name and len(tally.examples) < each:
            tally.examples[name] = None


class _TypeTally:
    """What is counted of a type; `examples` is a dict for its order."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        self.counts = dict.fromkeys(SPACES, 0)
        self.examples: dict[str, None] = {}

    def frozen(self) -> Branch:
        return Branch(self.name, **self.counts, examples=tuple(self.examples), why=self.why)


def grow(landmarks: pd.DataFrame, hierarchy: Hierarchy, taxonomy: Taxonomy, each: int = EXAMPLES) -> list[LabelView]:
    """All labels of a hierarchy; those of most landmarks first within each kind.

    Args:
        landmarks: columns space, landmark_id, name, type, source, reason, node_id (the leaf); placed ones only.
        hierarchy: of the three levels of `schema.LEVELS`.
        taxonomy: for definitions.
        each: most examples of a type.

    Linear in landmarks, but for sorting.
    """
    labels = hierarchy.names("label")
    rows = hierarchy.to_table().to_pylist()
    names = {row["node_id"]: row["name"] for row in rows}
    found: dict[int, _Tally] = {code: _Tally() for code in labels}
    codes = hierarchy.label_array(landmarks["node_id"])
    columns = (landmarks[name].tolist() for name in ("space", "name", "type", "source", "reason"))
    for (leaf, label, _), *cells in zip(codes.tolist(), *columns, strict=True):
        found[label].add(leaf, *cells, each=each)
    views = []
    for node in (row for row in rows if row["level"] == "label"):
        known = taxonomy.by_id.get(node["node_id"])
        tally = found[node["code"]]
        branches = [branch.frozen() for branch in tally.types.values()]
        views.append(
            LabelView(
                label_id=node["node_id"],
                label=node["name"],
                kind=names[node["parent_id"]],
                definition=known.definition if known else "",
                wikidata=known.wikidata if known else "",
                train=sum(branch.train for branch in branches),
                index=sum(branch.index for branch in branches),
                places=len(tally.leaves),
                sources=dict(sorted(tally.sources.items(), key=lambda item: (-item[1], item[0]))),
                types=tuple(sorted(branches, key=lambda branch: (-branch.landmarks, branch.type))),
            )
        )
    return sorted(views, key=_order)


def grow_decided(taxonomy: Taxonomy, decisions: Iterable[Decision]) -> list[LabelView]:
    """All labels of a taxonomy with the types that people gave them, for want of landmarks."""
    below: dict[str, dict[str, Branch]] = {label.label_id: {} for label in taxonomy.labels}
    for d in decisions:
        if d.action == LABEL:
            why = f"decided by {d.reviewer}, {d.date}" + (f": {d.reason}" if d.reason else "")
            below[d.label_id].setdefault(d.type, Branch(d.type, 0, 0, (), why))  # by QID and by name: one type
    views = [
        LabelView(
            label_id=label.label_id,
            label=label.label,
            kind=label.natural_or_human_made,
            definition=label.definition,
            wikidata=label.wikidata,
            train=0,
            index=0,
            places=0,
            sources={},
            types=tuple(sorted(below[label.label_id].values(), key=lambda branch: branch.type.casefold())),
        )
        for label in taxonomy.labels
    ]
    return sorted(views, key=_order)


def read_views(folder: Path | None, labels: Path | None) -> list[LabelView]:
    """The labels of a run folder or a release, or, without either, those of a labels folder.

    Args:
        folder: run folder or release; None for none.
        labels: folder with taxonomy.csv and decisions.csv; when None, what the run or release says of its labels, and
            the bundled one where there is no such.

    Raises:
        MissingDataError: see `read_landmarks`.
    """
    if folder is None:
        taxonomy_path, decisions = label_files(labels)
        taxonomy = read_taxonomy(taxonomy_path)
        return grow_decided(taxonomy, effective(read_decisions(decisions, taxonomy)).values())
    return grow(*read_landmarks(folder), _described(folder, labels))


def _described(folder: Path, labels: Path | None) -> Taxonomy:
    """The labels with their definitions: those asked for, else those of the run or release, else the bundled ones."""
    table = folder / "tables" / f"{TAXONOMY.name}.parquet"
    if labels is None and table.is_file():
        return taxonomy_from_table(read_table(table, TAXONOMY))
    if labels is None and (folder / TAXONOMY_FILE).is_file():
        return read_taxonomy(folder / TAXONOMY_FILE)
    return read_taxonomy(label_files(labels)[0])


def read_landmarks(folder: Path) -> tuple[pd.DataFrame, Hierarchy]:
    """The placed landmarks of a run folder or a release, and their hierarchy, as `grow` takes them.

    Raises:
        MissingDataError: the folder is neither, or the run has not got as far as `build`.
    """
    if (folder / MANIFEST).is_file():
        return _of_release(folder)
    if not (folder / "tables").is_dir():
        raise MissingDataError(f"{folder} is neither a run folder nor a release", expected=f"tables/ or {MANIFEST}")
    assignments, leaves, nodes = (
        read_table(folder / "tables" / f"{spec.name}.parquet", spec) for spec in (ASSIGNMENTS, LEAVES, NODES)
    )
    return placed(assignments, leaves), Hierarchy.from_table(nodes)


def placed(assignments: pa.Table, leaves: pa.Table) -> pd.DataFrame:
    """The landmarks that have a leaf, as `grow` takes them."""
    names = [name for name in _COLUMNS if name != "node_id"]
    found: pd.DataFrame = assignments.select(names).to_pandas().merge(leaves.to_pandas(), on=["space", "landmark_id"])
    return found


def _of_release(folder: Path) -> tuple[pd.DataFrame, Hierarchy]:
    """A release says of a landmark where its label comes from, and nothing more about why."""
    hierarchy = Hierarchy.from_csv(folder / "hierarchy.csv")
    columns = ["space", "landmark_id", "name", "type", "label_source", "landmark"]
    files = sorted((folder / "data").glob("*.parquet"))
    frame = pd.concat([pq.read_table(file, columns=columns).to_pandas() for file in files])
    frame = frame[frame["landmark"] >= 0].drop_duplicates(["space", "landmark_id"])
    frame = frame.sort_values(["space", "landmark_id"]).rename(columns={"label_source": "source"})
    leaves = {r["code"]: r["node_id"] for r in hierarchy.to_table().to_pylist() if r["level"] == "landmark"}
    return frame.assign(node_id=frame["landmark"].map(leaves), reason="by " + frame["source"].astype(str)), hierarchy


def find(views: Sequence[LabelView], text: str) -> list[LabelView]:
    """The label of that name or id, or all labels of that kind; case and outer spaces do not matter.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    plain = " ".join(text.split()).casefold()
    found = [view for view in views if plain in (view.label_id, view.label.strip().casefold(), view.kind)]
    if not found:
        known = [*{view.kind for view in views}, *(view.label.strip() for view in views)]
        raise UsageError(f"there is no label {text!r}", do=nearest(plain, known))
    return found


def _order(view: LabelView) -> tuple[bool, int, str]:
    return view.kind != "natural", -view.landmarks, view.label
