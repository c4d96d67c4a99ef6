"""`hierlandmarks bench evaluate`: a release and embeddings → scores."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks.tables import atomic_folder


@click.command()
@click.option("--release", required=True, help="Release folder, the name of one such as mini, or LAYOUT:FOLDER.")
@click.option("--embeddings", required=True, type=click.Path(path_type=Path), help="Folder made by `bench embed`.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of evaluations to make (replaced).")
@click.option("--relevance", default="proportional", show_default=True, help="Of H-AP: proportional or decomposed.")
@click.option("--weight", "weights", multiple=True, type=float, help="Of decomposed, coarsest first; repeat it.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, or auto: cuda where there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def evaluate(
    release: str, embeddings: Path, out: Path, relevance: str, weights: tuple[float, ...], device: str, as_json: bool
) -> None:
    """Score every entry's ranking on every level: H-AP, NDCG, ASI, and AP, mAP@R and recall per level."""
    from hierlandmarks_benchmark.evaluate import EvaluateParams
    from hierlandmarks_benchmark.evaluate import evaluate as run

    params = EvaluateParams(relevance=relevance, weights=weights or None, device=device)
    with atomic_folder(out) as folder:
        reports = run(release, embeddings, folder, params)
    text = "\n\n".join(f"{name}\n{report.to_text()}" for name, report in reports.items())
    emit({name: json.loads(report.to_json()) for name, report in reports.items()}, as_json, f"{text}\n\n{out}")
