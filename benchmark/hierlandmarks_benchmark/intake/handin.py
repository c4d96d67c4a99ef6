"""From what was handed in to an entry: check, rank, score, and write through `submit`, which checks all of it again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks.errors import UsageError
from hierlandmarks.metrics import Report
from hierlandmarks.tables import atomic_path, file_sha256, write_json
from hierlandmarks_benchmark.entries import PER_QUERY, RANKINGS, SCORES, check_name
from hierlandmarks_benchmark.entries.rankings import write_rankings
from hierlandmarks_benchmark.intake import baselines
from hierlandmarks_benchmark.intake.embeddings import rank, read_embeddings
from hierlandmarks_benchmark.intake.lists import Rankings
from hierlandmarks_benchmark.intake.models import embed_track, load_model
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.score import examples, score, suspicions
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.provenance import provenance
from hierlandmarks_benchmark.submit import Submit, submit

BASELINE = "baseline:"
RANKED = "rankings"  # the source of entries whose lists were handed in, and are kept as they are


@dataclass(frozen=True)
class Handed:
    """What somebody hands in: one of three.

    Attributes:
        rankings: file of ranked lists.
        embeddings: folder of embeddings.
        model: specification of a model, see `models.load_model`, or `baseline:NAME`.
        trust_code: let a model that is a program run.
    """

    rankings: Path | None = None
    embeddings: Path | None = None
    model: str | None = None
    trust_code: bool = False

    def __post_init__(self) -> None:
        given = [name for name in ("rankings", "embeddings", "model") if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                "hand in one thing", got=" and ".join(given) or "nothing", expected="rankings, embeddings or a model"
            )

    @property
    def kind(self) -> str:
        """Which of the three."""
        return RANKED if self.rankings else "embeddings" if self.embeddings else "model"


@dataclass(frozen=True)
class About:
    """What the one who submits says of the entry.

    Attributes:
        name: of the entry.
        model: the network or method, in words.
        trained_on: the images it has learnt from, in words.
        loss: what it was trained with.
        by: who submits it.
        link: an address with more about it.
        contamination: which of the track's images the model may have seen before, in words; "" for none known.
    """

    name: str
    model: str = ""
    trained_on: str = "not said"
    loss: str = ""
    by: str = ""
    link: str = ""
    contamination: str = ""


def read_handed(handed: Handed, truth: GroundTruth) -> tuple[Rankings, dict[str, str]]:
    """Check what was handed in and rank it.

    Returns:
        The rankings, and the SHA-256 of every file that was handed in.

    Raises:
        HierlandmarksError: see `read_rankings`, `read_embeddings`, `load_model`.
    """
    if handed.rankings:
        return read_rankings(handed.rankings, truth), _hashes([handed.rankings])
    if handed.embeddings:
        files, queries, gallery = read_embeddings(handed.embeddings, truth)
        return rank(truth, queries, gallery), _hashes(files)
    spec = str(handed.model)
    name = spec.removeprefix(BASELINE)
    if name in baselines.RANKINGS and spec.startswith(BASELINE):
        return baselines.baseline_rankings(name, truth), {}
    model = baselines.baseline_model(name) if spec.startswith(BASELINE) else load_model(spec, handed.trust_code)
    return rank(truth, *embed_track(model, truth)), _hashes(_model_files(spec))


def check(handed: Handed, truth: GroundTruth) -> dict[str, Any]:
    """Only check what was handed in; a model embeds everything for that.

    Returns:
        What was found: queries and results, and the hash of every file.

    Raises:
        HierlandmarksError: see `read_handed`.
    """
    rankings, inputs = read_handed(handed, truth)
    found = {"track": truth.track.name, "queries": len(rankings.rows), "results": int((rankings.rows >= 0).sum())}
    return found | ({"sha256": inputs} if inputs else {})


def hand_in(
    handed: Handed, about: About, truth: GroundTruth, out: Path, params: Submit | None = None
) -> tuple[Path, Report]:
    """Turn what was handed in into an entry of a folder of submissions.

    Args:
        handed: rankings, embeddings or a model.
        about: what is said of it.
        truth: of the track.
        out: the folder of submissions.
        params: how much goes with the entry; of lists that were handed in, all of them.

    Returns:
        The folder of the entry, and its report.

    Raises:
        HierlandmarksError: see `read_handed` and `submit`; nothing is written then.
    """
    check_name(about.name)
    params = params or Submit()
    if handed.kind == RANKED:
        params = replace(params, keep=truth.depth)
    rankings, inputs = read_handed(handed, truth)
    report = score(rankings, truth)
    about = replace(about, model=about.model or handed.model or about.name)
    said = {key: getattr(about, key) for key in ("by", "link", "contamination")}
    submission = {**said, "source": handed.kind, "inputs": inputs}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / about.name
        model = {"name": about.model, "trained_on": about.trained_on, "loss": about.loss, "recipe": {}}
        write_evaluation(home, rankings, report, truth, {"model": model, "submission": submission})
        return submit(home, truth.release, out, about.name, params), report


def write_evaluation(
    home: Path, rankings: Rankings, report: Report, truth: GroundTruth, said: Mapping[str, Any]
) -> None:
    """Write scores as `bench evaluate` does, with the rankings beside them, so that the entry can be scored again.

    Args:
        home: folder to make.
        rankings: what was scored.
        report: the scores.
        truth: what they were scored against.
        said: `model` (name, trained_on, loss, recipe) and `submission` (by, link, contamination, source, inputs).
    """
    import json

    import hierlandmarks as hl

    whole, track = hl.load(truth.release), truth.track
    home.mkdir(parents=True)
    scores = {
        "entry": home.name,
        "track": track.name,
        "query_split": track.query_split,
        "gallery_split": track.gallery_split,
        "report": json.loads(report.to_json()),
        "provenance": {
            "dataset": {"name": whole.name, "version": whole.version, "content_hash": truth.content_hash},
            "model": said["model"],
            "date": datetime.now(UTC).date().isoformat(),
            "settings": {"depth": track.depth} | report.settings,
            **provenance("numpy", "pandas", "pyarrow"),
        },
        "submission": {
            **said["submission"],
            "primary": track.primary,
            "depth": track.depth,
            "solution": truth.solution_hash,
            "suspicions": suspicions(rankings, report.mean[track.primary]),
        },
    }
    write_json(home / SCORES, scores)
    with atomic_path(home / PER_QUERY) as part:
        report.per_query.to_parquet(part, index=False)
    write_json(home / "examples.json", examples(rankings, truth))
    write_rankings(home / RANKINGS, truth.queries.ids.tolist(), lists_of(rankings, truth))


def lists_of(rankings: Rankings, truth: GroundTruth) -> pa.Array:
    """Rankings as lists of ids, in the order of the queries."""
    listed = rankings.rows >= 0
    offsets = pa.array([0, *listed.sum(axis=1).cumsum().tolist()], pa.int32())
    ids = pa.array(truth.searched.ids, pa.string())
    return pa.ListArray.from_arrays(offsets, ids.take(pa.array(rankings.rows[listed])))


def _hashes(files: list[Path]) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in files}


def _model_files(spec: str) -> list[Path]:
    """The files of a model that lie here; one by name on a hub has none."""
    kind, _, name = spec.partition(":")
    path = Path(kind if kind.endswith(".py") else name if kind == "transformers" else spec)
    if path.is_file():
        return [path]
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else []
