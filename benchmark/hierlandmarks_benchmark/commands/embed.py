"""`hierlandmarks bench embed`: a release and a model → embeddings."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks.tables import atomic_folder


@click.command()
@click.option("--release", required=True, help="Release folder, or the name of a release such as mini.")
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Model folder made by `bench train`.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of embeddings to make (replaced).")
@click.option("--baseline", "baselines", multiple=True, help="untrained or colour-histogram; both by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
def embed(release: str, model: Path, out: Path, baselines: tuple[str, ...], as_json: bool) -> None:
    """Embed query and index (or validation) with a model and with the baselines."""
    from hierlandmarks_benchmark.embed import EmbedParams
    from hierlandmarks_benchmark.embed import embed as run

    params = EmbedParams(baselines=baselines) if baselines else EmbedParams()
    with atomic_folder(out) as folder:
        entries = run(release, model, folder, params)
    emit({"entries": entries, "out": str(out)}, as_json, f"{', '.join(entries)}; {out}")
