"""`hierlandmarks bench submit`: rankings, embeddings, a model or an evaluation become an entry of a leaderboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hierlandmarks.cli import emit
from hierlandmarks.errors import UsageError

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--track", help="Track, such as mini, or the file of your own: what it is scored on.")
@click.option("--release", help="Release with images and labels; by default the one the track names.")
@click.option("--rankings", type=FILE, help="Ranked lists: Kaggle CSV (id,images), Parquet, or a TREC run.")
@click.option("--embeddings", type=FOLDER, help="Folder with SPLIT.npz, .npy, .safetensors or .parquet, and ids.")
@click.option("--model", help="transformers:NAME, timm:NAME, FILE.py:FUNCTION, a model folder, or baseline:NAME.")
@click.option("--trust-code", is_flag=True, help="Let FILE.py run: it is a program with your rights.")
@click.option("--evaluation", type=FOLDER, help="Instead of these: folder with scores.json, made by `bench evaluate`.")
@click.option("--ground-truth", type=FILE, help="Official solution (id,images,Usage), wherever it lies.")
@click.option("--name", help="Name of the entry; with --evaluation by default the one in it.")
@click.option("--method", default="", help="What embeds, in words; shown as the model.")
@click.option("--trained-on", default="not said", show_default=True, help="What it has learnt from, in words.")
@click.option("--loss", default="", help="What it was trained with.")
@click.option("--by", default="", help="Who submits it.")
@click.option("--link", default="", help="Address with more about it.")
@click.option(
    "--contamination",
    default="",
    help="What of the track's images the model may have seen; shown, never held against it.",
)
@click.option("--examples", default=6, show_default=True, help="Queries shown with their pictures; 0 for none.")
@click.option("--keep", default=1000, show_default=True, help="Results a query that the entry keeps, to be rescored.")
@click.option("--check", is_flag=True, help="Only check, and say everything that is wrong with its line.")
@click.option("--out", type=FOLDER, help="Folder of submissions.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def submit(evaluation: Path | None, as_json: bool, **options: Any) -> None:
    """Check what you hand in and write it as an entry into a folder of submissions."""
    if options["out"] is None and not options["check"]:
        raise UsageError("an entry needs a folder of submissions", do="add --out, or --check to only check")
    result = _from_evaluation(evaluation, **options) if evaluation else _handed(**options)
    emit(result, as_json, " ".join(f"{key} {value}" for key, value in result.items()))


def _from_evaluation(evaluation: Path, **options: Any) -> dict[str, Any]:
    from hierlandmarks_benchmark import submit as stage

    params = stage.Submit(examples=options["examples"], keep=options["keep"])
    if options["check"] or not (options["release"] or options["track"]):
        raise UsageError("an evaluation is checked against its release and written", do="add --release or --track")
    if options["track"] is None:
        entry = stage.submit(evaluation, options["release"], options["out"], options["name"], params)
        return {"name": entry.name, "entry": str(entry)}
    from hierlandmarks_benchmark.intake.evaluated import SAID, hand_in_evaluation
    from hierlandmarks_benchmark.intake.truth import find_truth

    truth = find_truth(options["track"], options["release"], options["ground_truth"])
    said = {key: options[key] for key in SAID}
    entry, report = hand_in_evaluation(evaluation, truth, options["out"], options["name"], said, params)
    return _made(entry, report.mean[truth.track.primary], truth.track.primary)


def _handed(**options: Any) -> dict[str, Any]:
    from hierlandmarks_benchmark.intake.handin import About, Handed, check, hand_in
    from hierlandmarks_benchmark.intake.truth import find_truth
    from hierlandmarks_benchmark.submit import Submit

    handed = Handed(*(options[key] for key in ("rankings", "embeddings", "model", "trust_code")))
    truth = find_truth(options["track"], options["release"], options["ground_truth"])
    if options["check"]:
        return _checked(lambda: check(handed, truth))
    if options["name"] is None:
        raise UsageError("an entry needs a name", do="add --name")
    said = {key: options[key] for key in ("trained_on", "loss", "by", "link", "contamination")}
    params = Submit(examples=options["examples"], keep=options["keep"])
    entry, report = hand_in(handed, About(options["name"], options["method"], **said), truth, options["out"], params)
    return _made(entry, report.mean[truth.track.primary], truth.track.primary)


def _made(entry: Path, score: float, primary: str) -> dict[str, Any]:
    return {"name": entry.name, "entry": str(entry), primary: score}


def _checked(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Say everything that is wrong, a line each, before the error that ends it."""
    from hierlandmarks_benchmark.intake.problems import RefusedError

    try:
        return check()
    except RefusedError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise
