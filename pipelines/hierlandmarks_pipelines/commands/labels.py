"""`hierlandmarks labels`: propose, review, assign, build, show, diff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import click

from hierlandmarks.cli import emit

_FILE = click.Path(path_type=Path)
_WRITTEN = click.Path(path_type=Path, dir_okay=False)
_OUT = click.option("--out", type=_FILE, required=True, help="Run folder, as `hierlandmarks run` makes it.")
_LABELS = click.option(
    "--labels", type=_FILE, help="Folder with taxonomy.csv and decisions.csv [default: the bundled]."
)
_FORCE = click.option("--force", is_flag=True, help="Run even if up to date.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _emit_made(made: Path, ran: bool, as_json: bool) -> None:
    emit({"made": str(made), "ran": ran}, as_json, str(made) if ran else f"{made} (up to date)")


@click.group()
def labels() -> None:
    """Make the labels, step by step, on a run folder: propose, review, assign, build; show and diff them."""


@labels.command()
@_options(_OUT, _LABELS)
@click.option("--model", default="auto", show_default=True, help="Text model: a name, a folder, or lexical-ngrams.")
@click.option("--method", default="auto", show_default=True, help="agglomerative, kmeans or auto.")
@_options(_FORCE, _JSON)
def propose(out: Path, labels: Path | None, model: str, method: str, force: bool, as_json: bool) -> None:
    """Embed the names of types, put like ones together, and suggest a label for each."""
    from hierlandmarks_pipelines import cluster, embed
    from hierlandmarks_pipelines.run import run_stage

    ran = run_stage(embed.STAGE, embed.TextParams(model), out, force=force)
    folder = model if Path(model).is_dir() else ""
    params = cluster.ClusterParams(method=method, model=folder, labels=labels)
    ran = run_stage(cluster.STAGE, params, out, force=force) or ran
    _emit_made(out / "tables" / "proposals.parquet", ran, as_json)


@labels.group()
def review() -> None:
    """Let a person decide: export a sheet, apply filled ones, see how far it is."""


@review.command()
@_options(_OUT, _LABELS, _FORCE, _JSON)
def export(out: Path, labels: Path | None, force: bool, as_json: bool) -> None:
    """Write OUT/review: a sheet of types, those first that settle most landmarks, and a page to look at.

    Once landmarks are assigned also OUT/doubts: those of uncertain label, most informative first.
    """
    from hierlandmarks_pipelines import doubts, review
    from hierlandmarks_pipelines.run import run_stage

    ran = run_stage(review.STAGE, review.ReviewParams(labels), out, force=force)
    if (out / "tables" / "assignments.parquet").is_file():
        run_stage(doubts.STAGE, doubts.DoubtsParams(), out, force=force)
    _emit_made(out / "review" / "review.csv", ran, as_json)


@review.command()
@click.argument("sheets", type=_FILE, nargs=-1, required=True)
@click.option("--labels", type=_FILE, default=Path("labels"), show_default=True, help="Folder to append decisions in.")
@click.option("--reviewer", default="", help="Who decided, where a sheet's own column is empty.")
@click.option("--date", "day", default=lambda: date.today().isoformat(), help="Of the decisions [default: today].")
@click.option("--overrule", is_flag=True, help="Replace what another reviewer decided before.")
@_JSON
def apply(sheets: tuple[Path, ...], labels: Path, reviewer: str, day: str, overrule: bool, as_json: bool) -> None:
    """Append what filled SHEETS decide to decisions.csv: all of it, or nothing."""
    from hierlandmarks.progress import counted
    from hierlandmarks_pipelines.review import apply_sheets

    new = apply_sheets(sheets, labels, reviewer=reviewer, date=day, overrule=overrule)
    text = "\n".join([*map(str, new), f"{counted(len(new), 'decision')} added to {labels / 'decisions.csv'}"])
    emit({"added": [asdict(decision) for decision in new]}, as_json, text)


@review.command()
@_options(_OUT, _LABELS)
@click.option(
    "--rate", type=click.IntRange(1), default=120, show_default=True, help="Decisions a reviewer makes an hour."
)
@_JSON
def status(out: Path, labels: Path | None, rate: int, as_json: bool) -> None:
    """How many types are decided, what that settles, and what each further hour of review would."""
    from hierlandmarks_pipelines.reviewstatus import read_status

    result = read_status(out, labels, rate)
    emit(asdict(result), as_json, result.text())


@labels.command()
@click.option("--out", type=_FILE, help="Run folder to assign in; or give --train, --input and --output.")
@_options(_LABELS)
@click.option(
    "--name-threshold", type=float, default=0.8, show_default=True, help="Least confidence of a name, in a run."
)
@click.option(
    "--train", type=_FILE, help="CSV to learn from: landmark_id, category, hierarchical_label, supercategory."
)
@click.option("--input", "landmarks", type=_FILE, help="CSV to label: landmark_id, category, supercategory, location.")
@click.option("--output", type=_WRITTEN, help="CSV to write.")
@click.option("--review", type=_WRITTEN, help="With --output: sheet of uncertain landmarks to write.")
@click.option("--calibration", type=_WRITTEN, help="With --output: CSV of confidence beside what was right, to write.")
@click.option("--priors", type=_FILE, help="With --output: CSV with labels as frequent as among the landmarks.")
@click.option("--photos", type=_FILE, help="With --train: CSV of photos to look at: landmark_id, id (or image_id).")
@click.option("--pictures", type=_FILE, help="With --photos: their folder, of ID.jpg or a/b/c/ID.jpg.")
@click.option(
    "--photo-model",
    default="openai/clip-vit-base-patch32",
    show_default=True,
    help="With --photos: a CLIP-like model, as a name or a folder.",
)
@click.option("--model", default="auto", show_default=True, help="Text model: a name, a folder, or lexical-ngrams.")
@click.option("--seed", default=0, show_default=True, help="Of the folds clues are weighed in.")
@_options(_FORCE, _JSON)
def assign(out: Path | None, landmarks: Path | None, force: bool, as_json: bool, **settings: Any) -> None:
    """Give every landmark its label, or none with a reason: in a run folder, or from one CSV to another."""
    from hierlandmarks.errors import UsageError

    csvs = (settings["train"], landmarks, settings["output"])
    if out is None and None not in csvs:
        _assign_csv(landmarks, as_json, settings)
    elif out is not None and landmarks is None and settings["output"] is None:
        _assign_run(out, force, as_json, settings)
    else:
        expected = "--out, with --train to learn from; or --train, --input and --output"
        raise UsageError("it is not clear what to assign", expected=expected)


def _assign_csv(landmarks: Any, as_json: bool, settings: dict[str, Any]) -> None:
    from hierlandmarks_pipelines.assigncsv import Outputs, assign_csv

    outputs = Outputs(settings["output"], settings["review"], settings["calibration"])
    chosen = {key: settings[key] for key in ("labels", "model", "priors", "seed")}
    result = assign_csv(settings["train"], landmarks, outputs, photos=_photos(settings), **chosen)
    emit({"made": str(outputs.labels), **asdict(result)}, as_json, f"{outputs.labels}\n{result.text()}")


def _assign_run(out: Path, force: bool, as_json: bool, settings: dict[str, Any]) -> None:
    from hierlandmarks.errors import UsageError
    from hierlandmarks_pipelines import assign
    from hierlandmarks_pipelines.run import run_stage

    for name in ("review", "calibration", "priors"):
        if settings[name] is not None:
            raise UsageError(f"--{name} is of no use in a run folder", do="give --train, --input and --output with it")
    chosen = {key: settings[key] for key in ("name_threshold", "labels", "train", "model")}
    ran = run_stage(assign.STAGE, assign.AssignParams(photos=_photos(settings), **chosen), out, force=force)
    _emit_made(out / "tables" / "assignments.parquet", ran, as_json)


def _photos(settings: dict[str, Any]) -> Any:
    from hierlandmarks.errors import UsageError
    from hierlandmarks_pipelines.photogallery import Photos

    listed, folder = settings["photos"], settings["pictures"]
    if (listed is None) != (folder is None):
        raise UsageError("photos are a list and a folder", expected="--photos and --pictures, or neither")
    return Photos(listed, folder, settings["photo_model"]) if listed else None


@labels.command()
@_options(_OUT, _FORCE, _JSON)
def build(out: Path, force: bool, as_json: bool) -> None:
    """Make the tree and the label files in GLDv2's format."""
    from hierlandmarks_pipelines import build
    from hierlandmarks_pipelines.run import run_stage

    ran = run_stage(build.STAGE, build.BuildParams(), out, force=force)
    _emit_made(out / "labels", ran, as_json)


@labels.command()
@click.argument("label", required=False)
@click.option("--tree", is_flag=True, help="Draw what is below: types, why they are here, and landmarks.")
@click.option("--out", type=_FILE, help="Run folder or release [default: only the labels folder].")
@_options(_LABELS)
@click.option("--html", type=_WRITTEN, help="Write the tree as a page to browse.")
@_JSON
def show(
    label: str | None, tree: bool, out: Path | None, labels: Path | None, html: Path | None, as_json: bool
) -> None:
    """Look at a LABEL, all labels of a kind, or the whole tree: counts, types, examples, and why."""
    from hierlandmarks.tables import write_text
    from hierlandmarks_pipelines import labeltree, labelview

    views = labeltree.read_views(out, labels)
    chosen = labeltree.find(views, label) if label else views
    if html:
        write_text(html, labelview.page(chosen, f"Labels of {out.name}" if out else "Labels and their types"))
    data = {"page": str(html)} if html else {"labels": [asdict(view) for view in chosen]}
    emit(data, as_json, str(html) if html else labelview.text(chosen, tree=tree))


@labels.command()
@click.argument("source", type=_FILE, metavar="RUN|CSV")
@click.option("--published", type=_FILE, help="CSV of published labels to compare with, named train_… or index_….")
@click.option("--calibration", type=_FILE, help="Curve that `labels assign --calibration` wrote.")
@click.option("--out", type=_FILE, help="Folder for quality.json and the pictures.")
@_JSON
def quality(source: Path, published: Path | None, calibration: Path | None, out: Path | None, as_json: bool) -> None:
    """How good the labels of a run, or of a CSV that `labels assign` wrote, are: coverage to calibration."""
    from hierlandmarks_pipelines.quality import read_quality
    from hierlandmarks_pipelines.qualitycard import text, write_quality

    report = read_quality(source, published, calibration)
    if out:
        write_quality(out, report)
    emit(report, as_json, text(report))


@labels.command()
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@_JSON
def diff(before: Path, after: Path, as_json: bool) -> None:
    """What moved between two label CSVs, folders of them, or runs, which also say why."""
    from hierlandmarks_pipelines.labeldiff import diff_labels

    result = diff_labels(before, after)
    emit({**asdict(result), "agreement": result.agreement}, as_json, result.text())
