"""Labelled landmarks in a CSV to guesses about others: the bridge between tables and what is learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hierlandmarks.errors import TableError
from hierlandmarks.schema import SPACES
from hierlandmarks.tables import read_csv
from hierlandmarks.titles import PREFIX, category_title
from hierlandmarks_pipelines.calibration import Reliability, reliability
from hierlandmarks_pipelines.clues import Ints, Landmarks
from hierlandmarks_pipelines.encoders import find_encoder
from hierlandmarks_pipelines.labelfiles import Decision, Taxonomy, effective, label_files, read_decisions, read_taxonomy
from hierlandmarks_pipelines.learn import Answers, Assigner, default_clues, learn, with_frequencies
from hierlandmarks_pipelines.photoclues import photo_clues
from hierlandmarks_pipelines.photogallery import Gallery, Photos, check_space, read_gallery
from hierlandmarks_pipelines.photomodel import load_photo_model
from hierlandmarks_pipelines.words import read_words, split_words, words_file

Row = Mapping[str, Any]
Guess = Callable[
    [Sequence[Row]], Sequence[Mapping[str, Any]]
]  # landmarks -> cells of `schema.ASSIGNMENTS`, one dict each

ASKED = ("landmark_id", "category")
OPTIONAL = ("supercategory", "location", "space")
LABELLED = (*ASKED, "hierarchical_label")


@dataclass(frozen=True)
class Learnt:
    """What was learnt from a CSV, and how good it is.

    Attributes:
        taxonomy: the labels; codes are places in `taxonomy.labels`.
        decisions: the decision that counts, by type id.
        assigner: gives probabilities.
        codes: the labels learnt from.
        gallery: photos by landmark, where they are a clue.
    """

    taxonomy: Taxonomy
    decisions: Mapping[str, Decision]
    assigner: Assigner
    codes: Ints
    gallery: Gallery | None = None

    @property
    def calibration(self) -> Reliability:
        """Confidences beside what was right, cross-validated on the landmarks learnt from."""
        found = self.assigner
        return reliability(found.held_out_confidence, found.held_out.argmax(axis=1) == self.codes)

    def guess(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Cells for landmarks, given `space`, `landmark_id`, `name` and, where known, `type` and `location`."""
        names, types, places = ([row.get(key, "") for row in rows] for key in ("name", "type", "location"))
        landmarks = Landmarks(names, types, places, _photos(rows, self.gallery))
        answers = self.assigner.ask(landmarks)
        order = answers.order[:, :2]
        count = len(self.codes)
        return [
            self._cells(answers, i, order[i], count) if _says_anything(landmarks, i) else dict(_NOTHING)
            for i in range(len(rows))
        ]

    def _cells(self, answers: Answers, row: int, best: Ints, count: int) -> dict[str, Any]:
        label, other = (self.taxonomy.labels[code] for code in best)
        sure = float(round(answers.confidence[row], 4))
        source = answers.sources[row]
        return {
            "label_id": label.label_id,
            "label": label.label,
            "natural_or_human_made": label.natural_or_human_made,
            "confidence": sure,
            "source": source,
            "runner_up": other.label,
            "reason": f"{source} says {label.label.strip()}, as learnt from {count} labelled landmarks",
        }


_NOTHING = {
    **dict.fromkeys(("label_id", "label", "natural_or_human_made", "runner_up"), ""),
    "confidence": 0.0,
    "source": "none",
    "reason": "neither name nor type nor place nor photo is known",
}


def learn_guess(
    train: Path,
    labels: Path | None = None,
    model: str = "auto",
    *,
    priors: Path | None = None,
    photos: Photos | None = None,
    seed: int = 0,
) -> Learnt:
    """Learn from a CSV of labelled landmarks.

    Args:
        train: columns landmark_id, category, hierarchical_label, and where there are any supercategory, location and
            space (train or index, which number their landmarks independently; train where it is not said); rows with
            an empty label are passed over.
        labels: folder with taxonomy.csv, decisions.csv and words.csv; the bundled one when None.
        model: text model, see `encoders.find_encoder`.
        priors: CSV with a column hierarchical_label in which labels are as frequent as among the landmarks to be
            asked about; as frequent as in `train` when None.
        photos: of labelled and of other landmarks; not looked at when None.
        seed: of the folds in which the clues are weighed against each other.

    Raises:
        MissingDataError, TableError: a file is missing or wrong; the message names file and row.
    """
    taxonomy_path, decisions_path = label_files(labels)
    taxonomy = read_taxonomy(taxonomy_path)
    decisions = effective(read_decisions(decisions_path, taxonomy))
    words = read_words(words_file(labels), taxonomy)
    seeing = load_photo_model(photos.model) if photos else None
    gallery = read_gallery(photos, seeing) if photos and seeing else None
    landmarks, codes = read_labelled(train, taxonomy, gallery)
    frequencies = np.bincount(read_labels(priors, taxonomy), minlength=len(taxonomy.labels)) if priors else None
    known = [decisions[key] for key in sorted(decisions)]
    clues = default_clues(taxonomy, known, words, find_encoder(model))
    if gallery and seeing:
        clues += photo_clues(gallery.vectors, taxonomy, seeing)
    assigner = learn(landmarks, codes, len(taxonomy.labels), clues, seed=seed)
    if frequencies is not None:
        assigner = with_frequencies(assigner, frequencies)
    return Learnt(taxonomy, decisions, assigner, codes, gallery)


def read_labelled(path: Path, taxonomy: Taxonomy, gallery: Gallery | None = None) -> tuple[Landmarks, Ints]:
    """Labelled landmarks of a CSV and their label codes; see `learn_guess`.

    Raises:
        MissingDataError, TableError: no such file, a column or id missing, an id twice, an unknown label, no labels.
    """
    table = read_csv(path, LABELLED, key=("landmark_id",), optional=OPTIONAL)
    codes = _codes(path, table["hierarchical_label"].to_pylist(), taxonomy)
    rows = [row for row, code in zip(_spaced(path, table), codes, strict=True) if code >= 0]
    return to_landmarks(rows, gallery), codes[codes >= 0]


def read_labels(path: Path, taxonomy: Taxonomy) -> Ints:
    """The label codes of a CSV's filled cells of hierarchical_label.

    Raises:
        MissingDataError, TableError: as `read_labelled`.
    """
    table = read_csv(path, ("hierarchical_label",))
    codes = _codes(path, table["hierarchical_label"].to_pylist(), taxonomy)
    return codes[codes >= 0]


def read_asked(path: Path) -> list[dict[str, str]]:
    """Landmarks to give labels to: landmark_id, category, space, and supercategory and location ("" where not known).

    Raises:
        MissingDataError, TableError: no such file, a column or id missing, an id twice.
    """
    return _spaced(path, read_csv(path, ASKED, key=("landmark_id",), optional=OPTIONAL))


def _spaced(path: Path, table: pa.Table) -> list[dict[str, str]]:
    """Rows, each with its space."""
    rows = [{**row, "space": row["space"] or SPACES[0]} for row in table.to_pylist()]
    for number, row in enumerate(rows, start=2):
        check_space(row["space"], path, number)
    return rows


def landmark_name(category: str) -> str:
    """The name in a `category` cell: the title of its address, or the cell itself where it is no address.

    >>> landmark_name("http://commons.wikimedia.org/wiki/Category:Ch%C3%A2teau_d%27If")
    "Château d'If"
    >>> landmark_name("Château d'If")
    "Château d'If"
    """
    title = category_title(category).removeprefix(PREFIX)
    return title or ("" if "//" in category else category.strip())


def to_landmarks(rows: Sequence[Row], gallery: Gallery | None = None) -> Landmarks:
    """Rows as `read_asked` gives them, as clues see them."""
    return Landmarks(
        [landmark_name(row["category"]) for row in rows],
        [row["supercategory"] for row in rows],
        [row["location"] for row in rows],
        _photos(rows, gallery),
    )


def _photos(rows: Sequence[Row], gallery: Gallery | None) -> Sequence[Sequence[int]]:
    return [gallery.of(row) for row in rows] if gallery else ()


def _codes(path: Path, texts: Sequence[str], taxonomy: Taxonomy) -> Ints:
    """Label codes, -1 for empty cells."""
    place = {label.label_id: code for code, label in enumerate(taxonomy.labels)}
    codes = np.full(len(texts), -1, dtype=np.int64)
    for i, text in enumerate(texts):
        label = taxonomy.find(text) if text.strip() else None
        if label is not None:
            codes[i] = place[label.label_id]
        elif text.strip():
            raise TableError(f"{path} row {i + 2}: there is no label {text!r}", do=taxonomy.advice(text))
    if not (codes >= 0).any():
        raise TableError(f"{path} has no labelled row", expected="hierarchical_label filled in some")
    return codes


def _says_anything(landmarks: Landmarks, row: int) -> bool:
    written = (landmarks.names[row], landmarks.types[row], landmarks.places[row])
    return any(map(split_words, written)) or bool(landmarks.photos[row])
