"""A bundle as Codabench takes it: read as its server does, scored as its worker does, equal to our scores."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from hierlandmarks import cli
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.reference import read_reference, write_reference
from hierlandmarks_benchmark.intake.score import score
from hierlandmarks_benchmark.intake.truth import GroundTruth, load_truth
from tests.board import make_release
from tests.handin import RANKINGS, ranked, truth_of, write_csv
from tests.unit.benchmark.test_intake import solution


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("drawn") / "release")


@pytest.fixture
def truth(drawn: Path, tmp_path: Path) -> GroundTruth:
    return truth_of(drawn, tmp_path, depth=10)


@pytest.fixture
def bundle(drawn: Path, truth: GroundTruth, tmp_path: Path) -> Path:
    """What a person would upload, and what its server finds in it."""
    return export(drawn, tmp_path)


def export(drawn: Path, tmp_path: Path, *more: str, out: str = "out") -> Path:
    given = ["--track", tmp_path / "tiny.yaml", "--release", drawn, "--out", tmp_path / out, "--start", "2026-12-01"]
    assert cli.run(["bench", "export-codabench", *map(str, given), *more]) == 0
    unpack(tmp_path / out / "bundle.zip", tmp_path / f"{out}-server")
    return tmp_path / f"{out}-server"


def unpack(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def run(bundle: Path, app: Path, submission: Path) -> subprocess.CompletedProcess[str]:
    """What a worker does: unpack program, reference data and submission, and run the program's command."""
    task = yaml.safe_load((bundle / "competition.yaml").read_text())["tasks"][0]
    unpack(bundle / task["scoring_program"], app / "program")
    unpack(bundle / task["reference_data"], app / "input" / "ref")
    unpack(submission, app / "input" / "res")
    (app / "output").mkdir()
    command = yaml.safe_load((app / "program" / "metadata.yaml").read_text())["command"]
    for name, folder in {"$program": "program", "$input": "input", "$output": "output"}.items():
        command = command.replace(name, str(app / folder))
    command = re.sub(r"^python3 ", f"{sys.executable} -I ", command)  # -I: this checkout is not on its path
    return subprocess.run(command.split(), cwd=app / "program", capture_output=True, text=True, check=False)


def zipped(path: Path, *files: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    return path


def test_the_server_finds_what_it_asks_for(bundle: Path, tmp_path: Path) -> None:
    about = yaml.safe_load((bundle / "competition.yaml").read_text())
    assert about["version"] == 2  # else it is read as a bundle of the old CodaLab
    assert about["title"].endswith("tiny")
    for name in (about["terms"], *(page["file"] for page in about["pages"])):
        assert (bundle / name).read_text().strip()
    with Image.open(bundle / about["image"]) as logo:
        assert logo.format == "PNG"
    tasks = {task["index"]: task for task in about["tasks"]}
    assert all(set(phase["tasks"]) <= set(tasks) for phase in about["phases"])
    assert str(about["phases"][0]["start"]) == "2026-12-01"
    for task in tasks.values():
        assert zipfile.is_zipfile(bundle / task["scoring_program"])
        assert zipfile.is_zipfile(bundle / task["reference_data"])
    assert all(
        zipfile.is_zipfile(bundle / one["path"]) and set(one["tasks"]) <= set(tasks) for one in about["solutions"]
    )
    columns = about["leaderboards"][0]["columns"]
    assert [column["index"] for column in columns] == list(range(len(columns)))
    assert (columns[0]["key"], columns[0]["title"], columns[0]["sorting"]) == ("h_ap", "H-AP", "desc")


@pytest.mark.parametrize("name", RANKINGS)
def test_its_scores_are_ours(name: str, bundle: Path, truth: GroundTruth, tmp_path: Path) -> None:
    lists = {query: images[:10] for query, images in ranked(truth).items()}
    handed = RANKINGS[name](tmp_path / name, lists)
    done = run(bundle, tmp_path / "app", zipped(tmp_path / "submission.zip", handed))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "app" / "output" / "scores.json").read_text())
    ours = score(read_rankings(handed, truth), truth).mean
    assert found == {column: value for column, value in ours.items() if value == value}
    lines = (tmp_path / "app" / "output" / "scores.txt").read_text().splitlines()
    assert {line.split(": ")[0]: float(line.split(": ")[1]) for line in lines} == found
    asked = yaml.safe_load((bundle / "competition.yaml").read_text())["leaderboards"][0]["columns"]
    assert {column["key"] for column in asked} <= found.keys()


def test_the_program_brings_its_own_scorer(bundle: Path, tmp_path: Path) -> None:
    """The code in the bundle runs, not what is installed: a fault put into it is seen."""
    app = tmp_path / "app"
    sample = bundle / "sample_submission.zip"
    assert run(bundle, app, sample).returncode == 0
    (app / "program" / "lib" / "hierlandmarks" / "errors.py").write_text("raise SystemExit('this one')")
    again = [sys.executable, "-I", "score.py", str(app / "input"), str(app / "output")]
    done = subprocess.run(again, cwd=app / "program", capture_output=True, text=True, check=False)
    assert "this one" in done.stderr


@pytest.mark.parametrize("fault", ["unknown", "none", "two"])
def test_what_is_wrong_is_said(fault: str, bundle: Path, truth: GroundTruth, tmp_path: Path) -> None:
    lists: dict[str, Any] = {query: images[:10] for query, images in ranked(truth).items()}
    if fault == "unknown":
        lists[next(iter(lists))] = ["nobody", "nothing"]
    files = [write_csv(tmp_path / f"{number}.csv", lists) for number in range({"none": 0, "two": 2}.get(fault, 1))]
    done = run(bundle, tmp_path / "app", zipped(tmp_path / "submission.zip", *files))
    assert done.returncode in (1, 3)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "app" / "output" / "scores.json").exists()
    if fault == "unknown":
        assert len(re.findall(r"line \d+: '(?:nobody|nothing)' is no image of the gallery", done.stderr)) == 2
    else:
        assert "a submission is a zip of one file of rankings" in done.stderr


def test_the_official_solution_goes_along(drawn: Path, truth: GroundTruth, tmp_path: Path) -> None:
    path = solution(tmp_path / "solution.csv", truth, 2)
    bundle = export(drawn, tmp_path, "--ground-truth", str(path))
    with zipfile.ZipFile(bundle / "sample_submission.zip") as archive:
        archive.extractall(tmp_path / "sample")
    done = run(bundle, tmp_path / "app", bundle / "sample_submission.zip")
    assert done.returncode == 0, done.stderr
    private = load_truth(truth.track, drawn, path)
    ours = score(read_rankings(tmp_path / "sample" / "rankings.parquet", private), private).mean
    found = json.loads((tmp_path / "app" / "output" / "scores.json").read_text())
    assert found == {column: value for column, value in ours.items() if value == value}
    assert "official_map_at_100_private" in found


def test_the_same_bundle_has_the_same_bytes_and_no_pictures(drawn: Path, truth: GroundTruth, tmp_path: Path) -> None:
    export(drawn, tmp_path)
    export(drawn, tmp_path, out="again")
    first, second = ((tmp_path / out / "bundle.zip").read_bytes() for out in ("out", "again"))
    assert first == second
    with zipfile.ZipFile(tmp_path / "out-server" / "reference_data.zip") as archive:
        assert set(archive.namelist()) == {"track.json", "queries.parquet", "gallery.parquet"}
        assert b"JFIF" not in b"".join(archive.read(name) for name in archive.namelist())


def test_a_ground_truth_is_read_as_it_was_written(drawn: Path, truth: GroundTruth, tmp_path: Path) -> None:
    (tmp_path / "ref").mkdir()
    write_reference(truth, tmp_path / "ref")
    again = read_reference(tmp_path / "ref")
    assert (again.track, again.content_hash, again.parts) == (truth.track, truth.content_hash, truth.parts)
    assert (again.queries.labels == truth.queries.labels).all()
    assert again.gallery is not None
    assert truth.gallery is not None
    assert list(again.gallery.ids) == list(truth.gallery.ids)
