"""Evaluation to entry: check that it is whole and speaks of this release, then write the entry's folder."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, IncompleteError, MissingDataError, UsageError
from hierlandmarks.schema import LEVELS
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import atomic_folder, file_sha256, read_json, write_json, write_text
from hierlandmarks_benchmark import entries
from hierlandmarks_benchmark.entries import Example, Meta, Model, Picture, Result, Score, Truth
from hierlandmarks_benchmark.texts import plain


@dataclass(frozen=True)
class Submit:
    """Parameters of the stage: the size of thumbnails and how many examples go with an entry."""

    thumbnail: int = 160  # pixels of the longer side
    examples: int = 6
    results: int = 8  # of an example


@dataclass(frozen=True)
class Split:
    """A split of a release with the row of every image."""

    dataset: hl.Dataset
    rows: dict[str, int]

    @classmethod
    def load(cls, release: Path, name: str) -> Split:
        """Load a split of a release folder."""
        dataset = hl.load(release, split=name)
        return cls(dataset, {id: row for row, id in enumerate(dataset.images["id"])})


def submit(evaluation: Path, release: Path, out: Path, name: str | None = None, params: Submit | None = None) -> Path:
    """Write the entry of an evaluation into a folder of submissions; all of it or nothing.

    Args:
        evaluation: folder with `scores.json`, `per_query.parquet` and `examples.json`.
        release: the release that it was made on.
        out: the folder of submissions; made where it is missing.
        name: of the entry; the one in the evaluation where None.
        params: sizes.

    Returns:
        The folder of the entry.

    Raises:
        UsageError: an unsafe name, a name that is taken, or an evaluation made on another release.
        IncompleteError: a file, a score, or a query of the release is missing.
        CorruptInputError: a score, row or example that cannot be.

    Complexity: linear in queries and in the pictures of the examples.
    """
    params = params or Submit()
    for file in (entries.SCORES, entries.PER_QUERY, entries.EXAMPLES):
        if not (evaluation / file).is_file():
            raise MissingDataError(f"{evaluation} is no evaluation: it lacks {file}", do="make it with `bench evaluate`")
    scores = read_json(evaluation / entries.SCORES)
    meta = read_meta(scores, evaluation, name)
    if (out / meta.name).exists():
        raise UsageError(f"there is an entry {meta.name} in {out} already", do="choose another name")
    queries, gallery = _splits(release, meta.truth)
    meta = replace(meta, truth=replace(meta.truth, queries=len(queries.rows), gallery=len(gallery.rows)))
    means = entries.read_scores(scores, str(evaluation / entries.SCORES))
    check_per_query(evaluation / entries.PER_QUERY, means, queries.rows)
    examples = read_examples(evaluation / entries.EXAMPLES, queries, gallery, params)
    with atomic_folder(out / meta.name) as folder:
        for file in (entries.SCORES, entries.PER_QUERY):
            (folder / file).write_bytes((evaluation / file).read_bytes())
        write_json(folder / entries.EXAMPLES, [asdict(example) for example in examples])
        _write_thumbnails(folder / "examples", examples, (queries, gallery), params.thumbnail)
        write_text(folder / entries.META, _to_yaml(asdict(replace(meta, files=entries.hashes(folder)))))
    return out / meta.name


def read_meta(scores: Any, evaluation: Path, name: str | None) -> Meta:
    """Who an entry is, from the provenance in its `scores.json`.

    Raises:
        UsageError: the name is not safe.
        IncompleteError: something of the provenance is missing: a number does not travel alone.
    """
    where = evaluation / entries.SCORES
    scores = plain(scores)
    provenance = _need(scores, "provenance", where)
    dataset, model = (_need(provenance, key, where, "provenance") for key in ("dataset", "model"))
    return Meta(
        name=entries.check_name(name if name is not None else _need(scores, "entry", where)),
        track=_need(scores, "track", where),
        date=_need(provenance, "date", where, "provenance"),
        code_version=_need(provenance, "code_version", where, "provenance"),
        model=Model(
            name=_need(model, "name", where, "provenance.model"),
            trained_on=_need(model, "trained_on", where, "provenance.model"),
            loss=model.get("loss") or "",
            recipe=model.get("recipe") or {},
        ),
        truth=Truth(
            name=_need(dataset, "name", where, "provenance.dataset"),
            version=dataset.get("version") or "",
            content_hash=_need(dataset, "content_hash", where, "provenance.dataset"),
            query_split=_need(scores, "query_split", where),
            gallery_split=scores.get("gallery_split"),
            queries=0,
            gallery=0,
            levels=LEVELS,
        ),
        settings=provenance.get("settings") or {},
        hardware=provenance.get("hardware") or {},
        inputs={f: file_sha256(evaluation / f) for f in (entries.SCORES, entries.PER_QUERY, entries.EXAMPLES)},
    )


def check_per_query(path: Path, means: Mapping[str, Score], ids: Iterable[str]) -> None:
    """Check that there is one row for every query of the release and that the means are the means of the rows.

    Args:
        path: of `per_query.parquet`: `query_id` and a column a metric, NaN where it is not defined.
        means: from `scores.json`.
        ids: of every query.

    Raises:
        IncompleteError: a query or a metric has no values.
        CorruptInputError: no Parquet, a query that is unknown or there twice, a value that is no score, or a mean that
            is not that of the rows.
    """
    try:
        frame = pq.read_table(path).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptInputError(f"{path} is no Parquet file", got=str(error).splitlines()[0]) from error
    if lacking := sorted({"query_id", *means} - set(frame.columns)):
        raise IncompleteError(f"{path} lacks the column {lacking[0]}", do="evaluate again")
    _check_queries(path, frame["query_id"].astype(str), set(ids))
    for column, score in means.items():
        values = pd.to_numeric(frame[column], errors="coerce")
        for value in (values.min(), values.max()):
            entries.check_value(None if pd.isna(value) else float(value), column, str(path))
        mean = None if values.isna().all() else float(values.mean())
        if (mean is None) != (score.value is None) or not math.isclose(mean or 0, score.value or 0, abs_tol=1e-6):
            raise CorruptInputError(
                f"{path}: the mean of {column} is not the one in {entries.SCORES}",
                got=mean,
                expected=score.value,
                do="evaluate again",
            )


def _check_queries(path: Path, rows: pd.Series[str], ids: set[str]) -> None:
    if rows.duplicated().any():
        row = int(rows.duplicated().to_numpy().argmax())
        raise CorruptInputError(f"{path} row {row + 1}: the query {rows[row]!r} is there twice", do="remove one")
    if unknown := sorted(set(rows) - ids):
        raise CorruptInputError(f"{path} has a query that the release lacks", got=repr(plain(unknown[0])))
    if missing := sorted(ids - set(rows)):
        raise IncompleteError(
            f"{path} lacks {len(missing)} of {len(ids)} queries, the first {missing[0]!r}", do="evaluate all of them"
        )


def read_examples(path: Path, queries: Split, gallery: Split, params: Submit) -> tuple[Example, ...]:
    """The examples of an evaluation, with captions and credits from the release.

    Raises:
        IncompleteError: there is none.
        CorruptInputError: an image that the release lacks, or a level that is not the one the labels give.
    """
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise IncompleteError(f"{path} has no examples", expected="a list of queries with results")
    examples = []
    for number, item in enumerate(content[: params.examples], start=1):
        where = f"{path} example {number}"
        query = _row(queries, item.get("query") if isinstance(item, dict) else None, where)
        results = []
        for found in item.get("results") or ():
            row = _row(gallery, found.get("id") if isinstance(found, dict) else None, where)
            level = match_level(queries.dataset.labels[query], gallery.dataset.labels[row])
            if found.get("level") != level:
                raise CorruptInputError(
                    f"{where}: the level of {found['id']} is wrong",
                    got=found.get("level"),
                    expected=level,
                    do="evaluate on this release",
                )
            results.append(Result(_picture(gallery, row), level))
        examples.append(Example(_picture(queries, query), tuple(results[: params.results])))
    return tuple(examples)


def match_level(first: Iterable[int], second: Iterable[int]) -> int:
    """How many labels of two images match, counted from the coarse end up to the first that differs.

    Args:
        first: L codes, fine to coarse, -1 = empty, which matches nothing.
        second: the same of the other image.

    >>> match_level([7, 3, 1], [8, 3, 1]), match_level([7, -1, 1], [7, -1, 1])
    (2, 1)
    """
    level = 0
    for a, b in reversed(list(zip(first, second, strict=True))):
        if a != b or a < 0:
            break
        level += 1
    return level


def _splits(release: Path, truth: Truth) -> tuple[Split, Split]:
    expected = hl.load(release).content_hash
    if expected != truth.content_hash:
        raise UsageError(
            f"the evaluation was not made on the release {release}",
            got=f"content hash {truth.content_hash[:12]}…",
            expected=f"{expected[:12]}…",
            do="evaluate on this release",
        )
    queries = Split.load(release, truth.query_split)
    return queries, queries if truth.gallery_split is None else Split.load(release, truth.gallery_split)


def _need(mapping: Any, key: str, where: Path, within: str = "") -> Any:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if not value:
        raise IncompleteError(f"{where} lacks {within}{'.' if within else ''}{key}", do="evaluate again")
    return value


def _row(split: Split, id: Any, where: str) -> int:
    entries.check_picture_id(str(id), where)
    if id not in split.rows:
        raise CorruptInputError(f"{where}: the release has no image {id} in its split {split.dataset.split}")
    return split.rows[id]


def _picture(split: Split, row: int) -> Picture:
    image = split.dataset.images.iloc[row]
    return Picture(
        id=image["id"],
        name=image["name"],
        label=image["hierarchical_label"],
        kind=image["natural_or_human_made"],
        author=image["author"],
        license=image["license"],
        title=image["title"],
        url=image["url"],
    )


def _write_thumbnails(folder: Path, examples: Iterable[Example], splits: tuple[Split, Split], size: int) -> None:
    from PIL import Image  # slow to import

    folder.mkdir()
    pairs = [(splits[0], e.query.id) for e in examples] + [(splits[1], r.picture.id) for e in examples for r in e.results]
    for split, id in pairs:
        image = split.dataset.image(split.rows[id])
        image.thumbnail((size, size), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=82, optimize=True)
        (folder / f"{id}.jpg").write_bytes(buffer.getvalue())


class _Dumper(yaml.SafeDumper):
    """Writes every value out: the reader takes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _to_yaml(content: dict[str, Any]) -> str:
    content["truth"]["levels"] = list(content["truth"]["levels"])
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _run(params: Submit, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    homes = sorted(path for path in inputs["evaluation"].iterdir() if path.is_dir())
    if not homes:
        raise IncompleteError(f"there is no evaluation in {inputs['evaluation']}", do="make one with `bench evaluate`")
    for home in homes:
        submit(home, inputs["release"], folders["submissions"], home.name, params)
    return {}


STAGE = Stage(
    name="submit",
    about="turning evaluations into entries",
    params=Submit,
    needs=("release", "evaluation"),
    makes=("submissions",),
    run=_run,
)
