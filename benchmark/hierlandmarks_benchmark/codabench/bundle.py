"""The files of a bundle, and the one zip they make; the same bytes for the same ground truth, code and start."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import date
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import hierlandmarks
import hierlandmarks_benchmark
from hierlandmarks.metrics import Report
from hierlandmarks.schema import LEVELS
from hierlandmarks.tables import atomic_folder
from hierlandmarks_benchmark.codabench.logo import logo
from hierlandmarks_benchmark.entries.rankings import write_rankings
from hierlandmarks_benchmark.intake.baselines import baseline_rankings
from hierlandmarks_benchmark.intake.handin import lists_of
from hierlandmarks_benchmark.intake.reference import write_reference
from hierlandmarks_benchmark.intake.score import score
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.leaderboard.metrics import NAMES, WORDS, shown
from hierlandmarks_benchmark.leaderboard.readme import escape

HERE = Path(__file__).parent
IMAGE = "python:3.11-slim"
PAGES = {"Overview": "overview.md", "Evaluation": "evaluation.md", "Submission": "submission.md"}
TERMS = "terms.md"
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in a zip
SECONDS = 1800  # that the scoring may take


def export(truth: GroundTruth, out: Path, start: date, image: str = IMAGE, solution: Path | None = None) -> Path:
    """Write a competition of a track.

    Args:
        truth: of the track; only its labels go along, no pictures.
        out: folder that is replaced as a whole: the files of the bundle, and `bundle.zip` of all of them.
        start: first day on which somebody may submit.
        image: Docker image that the scoring runs in, with Python 3.11 or later.
        solution: the official solution that the ground truth was loaded with.

    Returns:
        The zip to upload.
    """
    sample = baseline_rankings("random", truth)
    files = {
        "logo.png": logo(),
        "reference_data.zip": _reference(truth, solution),
        "scoring_program.zip": packed(_program()),
    }
    with tempfile.TemporaryDirectory() as folder:
        write_rankings(Path(folder) / "rankings.parquet", truth.queries.ids.tolist(), lists_of(sample, truth))
        files["sample_submission.zip"] = packed(contents(Path(folder)))
    columns = _columns(score(sample, truth), truth.track.primary)
    pages = {name: _page(name, truth, columns) for name in (*PAGES.values(), TERMS)}
    competition = _competition(truth, columns, start, image)
    text = yaml.safe_dump(competition, sort_keys=False, allow_unicode=True, width=100)
    files |= {name: page.encode() for name, page in (*pages.items(), ("competition.yaml", text))}
    with atomic_folder(out) as folder_out:
        for name, content in (*files.items(), ("bundle.zip", packed(files))):
            (folder_out / name).write_bytes(content)
    return out / "bundle.zip"


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip of files by path; the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def contents(folder: Path, within: str = "") -> dict[str, bytes]:
    """The files of a folder by path, but for what Python leaves behind."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {f"{within}{path.relative_to(folder).as_posix()}": path.read_bytes() for path in found}


def _reference(truth: GroundTruth, solution: Path | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_reference(truth, Path(folder), solution)
        return packed(contents(Path(folder)))


def _program() -> dict[str, bytes]:
    """The scorer that is at work here, and what starts it."""
    lib = {
        name: content
        for package in (hierlandmarks, hierlandmarks_benchmark)
        for home in [Path(str(package.__file__)).parent]
        for name, content in contents(home, f"lib/{package.__name__}/").items()
    }
    command = {"command": "python3 $program/score.py $input $output", "description": "The scorer of hierlandmarks."}
    return lib | {
        "metadata.yaml": yaml.safe_dump(command).encode(),
        "requirements.txt": "".join(f"{name}\n" for name in _requirements()).encode(),
        "score.py": (HERE / "score.py").read_bytes(),
    }


def _requirements() -> list[str]:
    """What the library itself needs, at the versions it runs with here."""
    names = [line for line in requires("hierlandmarks") or () if "extra ==" not in line]
    plain = [line.split(";")[0].split(">")[0].split("=")[0].strip() for line in names]
    return [f"{name}=={version(name)}" for name in plain]


def _columns(report: Report, primary: str) -> list[dict[str, Any]]:
    """The columns of the leaderboard: what the page shows of what is defined, the primary score first."""
    defined = {column for column, value in report.mean.items() if value == value}
    titles = {primary: primary} | {
        metric.column: metric.name + ("" if metric.level is None else f", same {LEVELS[metric.level]}")
        for metric in shown(defined)
    }
    ordered = sorted(titles, key=lambda column: column != primary)
    return [
        {"title": titles[key], "key": key, "index": index, "sorting": "desc", "precision": 4}
        for index, key in enumerate(ordered)
    ]


def _competition(truth: GroundTruth, columns: list[dict[str, Any]], start: date, image: str) -> dict[str, Any]:
    track = truth.track
    task = {
        "index": 0,
        "name": track.name,
        "description": f"Ground truth {truth.content_hash[:12]}",
        "scoring_program": "scoring_program.zip",
        "reference_data": "reference_data.zip",
    }
    phase = {
        "index": 0,
        "name": "Submissions",
        "description": track.about,
        "start": start,
        "execution_time_limit": SECONDS,
        "tasks": [0],
    }
    return {
        "version": 2,
        "title": f"Hierarchical landmark retrieval: {track.name}",
        "description": track.about,
        "image": "logo.png",
        "docker_image": image,
        "terms": TERMS,
        "pages": [{"title": title, "file": file} for title, file in PAGES.items()],
        "tasks": [task],
        "solutions": [{"index": 0, "name": "Random rankings", "path": "sample_submission.zip", "tasks": [0]}],
        "phases": [phase],
        "leaderboards": [
            {"index": 0, "title": "Results", "key": "results", "submission_rule": "Force_Best", "columns": columns}
        ],
    }


def _page(name: str, truth: GroundTruth, columns: list[dict[str, Any]]) -> str:
    loader = FileSystemLoader(HERE / "pages")
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # Markdown
    environment.filters["plain"] = escape
    words = {NAMES[family]: text for family, text in WORDS.items() if any(c["key"].startswith(family) for c in columns)}
    return environment.get_template(f"{name}.j2").render(
        track=truth.track, truth=truth, columns=columns, words=words, depth=truth.depth, levels=LEVELS
    )
