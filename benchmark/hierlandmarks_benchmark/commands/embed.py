"""`hierlandmarks bench embed`: a release and a model → embeddings."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.option("--release", required=True, help="Release folder, the name of one such as mini, or LAYOUT:FOLDER.")
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Model folder made by `bench train`.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of embeddings; goes on where it stopped."
)
@click.option("--baseline", "baselines", multiple=True, help="untrained or colour-histogram; both by default.")
@click.option("--no-baselines", is_flag=True, help="Only the model.")
@click.option("--batch", default=256, show_default=True, help="Pictures that pass the network at a time.")
@click.option("--shard", default=16_384, show_default=True, help="Pictures a file.")
@click.option("--workers", default=-1, show_default=True, help="Processes that decode; -1: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
def embed(
    release: str,
    model: Path,
    out: Path,
    baselines: tuple[str, ...],
    no_baselines: bool,
    batch: int,
    shard: int,
    workers: int,
    as_json: bool,
) -> None:
    """Embed query and index (else test, or validation) with a model and with the baselines.

    Start it under torchrun to share the work among processes; start it again after anything to do the rest.
    """
    from hierlandmarks_benchmark.embed import BASELINES, EmbedParams
    from hierlandmarks_benchmark.embed import embed as run
    from hierlandmarks_benchmark.train.team import together

    chosen = () if no_baselines else baselines or BASELINES
    with together():
        done = run(release, model, out, EmbedParams(chosen, batch, shard, workers))
    if done.main:
        facts = {"entries": list(done.entries), "out": str(out), "images": done.images, "waited": round(done.waited, 4)}
        words = (
            f"{', '.join(done.entries)}; {done.images:,} images, the model waited {done.waited:.0%} of the time; {out}"
        )
        emit(facts, as_json, words)
