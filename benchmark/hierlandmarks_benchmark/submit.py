"""Evaluation to entry: check that it is whole and speaks of this release, then write the entry's folder."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierlandmarks.errors import CorruptInputError, IncompleteError, MissingDataError, UsageError
from hierlandmarks.schema import LEVELS
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import file_sha256, read_json
from hierlandmarks_benchmark import entries
from hierlandmarks_benchmark.entries import Example, Meta, Model, Score, Truth
from hierlandmarks_benchmark.evaluations import Split, check_per_query, load_splits, read_examples
from hierlandmarks_benchmark.intake.kept import check_scores, longest
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.score import suspicions
from hierlandmarks_benchmark.intake.truth import load_truth
from hierlandmarks_benchmark.texts import plain
from hierlandmarks_benchmark.tracks import Track

if TYPE_CHECKING:
    from PIL import Image

EVALUATION = "evaluation"  # the source of entries whose scores were not made from what was handed in
FILES = (entries.SCORES, entries.PER_QUERY, entries.EXAMPLES)  # of an evaluation


@dataclass(frozen=True)
class Submit:
    """Parameters of the stage.

    Attributes:
        thumbnail: pixels of the shorter side.
        examples: queries that go with an entry, with their pictures, at most; 0 where none may be shown.
        keep: results a query that go with an entry, at most: it can be scored again as far as they go.
    """

    thumbnail: int = 120  # sharp on a dense screen at the size of the page, and a few kB
    examples: int = 6
    keep: int = 1000

    def __post_init__(self) -> None:
        if min(self.thumbnail, self.keep, self.examples + 1) < 1:
            raise UsageError("submit cannot count so", got=f"{self}", expected="thumbnail, keep ≥ 1 and examples ≥ 0")


def submit(
    evaluation: Path,
    release: str | Path,
    out: Path,
    name: str | None = None,
    params: Submit | None = None,
    *,
    replaces: bool = False,
) -> Path:
    """Write the entry of an evaluation into a folder of submissions; all of it or nothing.

    Args:
        evaluation: folder with `scores.json`, `per_query.parquet`, `examples.json` and perhaps `rankings.parquet`.
        release: the release that it was made on.
        out: the folder of submissions; made where it is missing.
        name: of the entry; the one in the evaluation where None.
        params: sizes.
        replaces: take the place of the entry of that name.

    Returns:
        The folder of the entry.

    Raises:
        UsageError: an unsafe name, a name that is taken, or an evaluation made on another release.
        IncompleteError: a file, a score, or a query of the release is missing.
        CorruptInputError: a score, row or example that cannot be.

    Complexity: linear in queries and in the pictures of the examples.
    """
    params = params or Submit()
    _check_files(evaluation)
    scores = read_json(evaluation / entries.SCORES)
    meta = read_meta(scores, evaluation, name)
    queries, gallery = load_splits(release, meta.truth)
    meta = replace(meta, truth=replace(meta.truth, queries=len(queries.rows), gallery=len(gallery.rows)))
    means = entries.read_scores(scores, str(evaluation / entries.SCORES))
    check_per_query(evaluation / entries.PER_QUERY, means, queries.rows)
    if meta.source == EVALUATION and (evaluation / entries.RANKINGS).is_file():
        meta = replace(meta, suspicions=_check_rankings(evaluation / entries.RANKINGS, meta, release, means))
    examples = read_examples(evaluation / entries.EXAMPLES, queries, gallery, params.examples)
    shown = examples, thumbnails(examples, queries, gallery, params.thumbnail)
    return entries.write_entry(out, meta, evaluation, queries.labels, shown, keep=params.keep, replaces=replaces)


def read_meta(scores: Any, evaluation: Path, name: str | None) -> Meta:
    """Who an entry is, from the provenance in its `scores.json`; its counts of images are 0 until they are known.

    Raises:
        UsageError: the name is not safe.
        IncompleteError: something of the provenance is missing: a number does not travel alone.
    """
    where = evaluation / entries.SCORES
    scores = plain(scores)
    provenance = _need(scores, "provenance", where)
    said = scores.get("submission") or {}
    if not isinstance(said, dict):
        raise CorruptInputError(f"{where}: submission is no mapping", got=type(said).__name__)
    dataset, model = (_need(provenance, key, where, "provenance.") for key in ("dataset", "model"))
    return Meta(
        name=entries.check_name(name if name is not None else _text(scores, "entry", where)),
        track=_text(scores, "track", where),
        date=_text(provenance, "date", where, "provenance."),
        code_version=_text(provenance, "code_version", where, "provenance."),
        model=Model(
            name=_text(model, "name", where, "provenance.model."),
            trained_on=_text(model, "trained_on", where, "provenance.model."),
            loss=str(model.get("loss") or ""),
            recipe=_mapping(model, "recipe", where, "provenance.model."),
        ),
        truth=Truth(
            name=_text(dataset, "name", where, "provenance.dataset."),
            version=str(dataset.get("version") or ""),
            content_hash=_text(dataset, "content_hash", where, "provenance.dataset."),
            query_split=_text(scores, "query_split", where),
            gallery_split=None if scores.get("gallery_split") is None else str(scores["gallery_split"]),
            queries=0,
            gallery=0,
            levels=LEVELS,
            depth=said.get("depth"),
            solution=str(said.get("solution") or ""),
        ),
        settings=_mapping(provenance, "settings", where, "provenance."),
        hardware=_mapping(provenance, "hardware", where, "provenance."),
        inputs=_mapping(said, "inputs", where, "submission.")
        if said
        else {
            file: file_sha256(evaluation / file) for file in (*FILES, entries.RANKINGS) if (evaluation / file).is_file()
        },
        suspicions=tuple(str(suspicion) for suspicion in said.get("suspicions") or ()),
        primary=str(said.get("primary") or "h_ap"),
        source=str(said.get("source") or EVALUATION),
        by=str(said.get("by") or ""),
        link=str(said.get("link") or ""),
        contamination=str(said.get("contamination") or ""),
    )


def _check_rankings(path: Path, meta: Meta, release: str | Path, means: Mapping[str, Score]) -> tuple[str, ...]:
    """Hold the scores against the rankings as far as those go; what stands out in them."""
    truth = meta.truth
    track = Track(meta.track, "", truth.query_split, truth.gallery_split, depth=max(longest(path), 1))
    ground = load_truth(track, release)
    rankings = read_rankings(path, ground)
    check_scores(rankings, ground, {column: score.value for column, score in means.items()}, str(path))
    return tuple(suspicions(rankings, means[meta.primary].value or 0.0 if meta.primary in means else 0.0))


def thumbnails(examples: Iterable[Example], queries: Split, gallery: Split, size: int) -> dict[str, bytes]:
    """Small JPEGs of every picture in the examples, by id, from the release.

    Args:
        examples: queries with results.
        queries: where the queries lie.
        gallery: where the results lie.
        size: pixels of the shorter side; smaller pictures stay as they are.
    """
    examples = list(examples)
    asked = {example.query.id: queries for example in examples}
    found = {result.picture.id: gallery for example in examples for result in example.results}
    return {id: _small(split.dataset.image(split.rows[id]), size) for id, split in sorted((asked | found).items())}


def _small(image: Image.Image, size: int) -> bytes:
    from PIL.Image import Resampling  # slow to import

    scale = min(1.0, size / min(image.size))
    width, height = (max(1, round(scale * side)) for side in image.size)
    buffer = io.BytesIO()
    image.resize((width, height), Resampling.LANCZOS).save(buffer, "JPEG", quality=78, optimize=True)
    return buffer.getvalue()


def _check_files(evaluation: Path) -> None:
    lacking = [file for file in FILES if not (evaluation / file).is_file()]
    if lacking:
        inside = sorted(path.parent.name for path in evaluation.glob(f"*/{entries.SCORES}"))
        raise MissingDataError(
            f"{evaluation} is no evaluation: it lacks {lacking[0]}",
            do=f"choose one of the evaluations in it: {', '.join(inside)}"
            if inside
            else "make it with `bench evaluate`",
        )


def _need(mapping: Any, key: str, where: Path, within: str = "") -> Any:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if not value:
        raise IncompleteError(f"{where} lacks {within}{key}", do="evaluate again")
    return value


def _text(mapping: Any, key: str, where: Path, within: str = "") -> str:
    return str(_need(mapping, key, where, within))


def _mapping(mapping: dict[str, Any], key: str, where: Path, within: str) -> dict[str, Any]:
    value = mapping.get(key) or {}
    if not isinstance(value, dict):
        raise CorruptInputError(f"{where}: {within}{key} is no mapping", got=type(value).__name__)
    return value


def _run(params: Submit, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    homes = sorted(path for path in inputs["evaluation"].iterdir() if path.is_dir())
    if not homes:
        raise IncompleteError(f"there is no evaluation in {inputs['evaluation']}", do="make one with `bench evaluate`")
    for home in homes:
        submit(home, inputs["release"], folders["submissions"], home.name, params)
    return {}


STAGE = Stage(
    name="submit",
    about="turn evaluations into entries",
    params=Submit,
    needs=("release", "evaluation"),
    makes=("submissions",),
    run=_run,
)
