"""Losses compared on real photos: the recipe `photos` with each loss and ten seeds, beside what was not trained.

python benchmark/perf/photos.py                    all runs that are not there yet, then the tables and the picture
python benchmark/perf/photos.py --runs suphap-0    one run (or several, with commas), about a minute on one core
python benchmark/perf/photos.py --runs ""          the tables and the picture from the runs that are there

Every run is a folder: release → model → embeddings → evaluation, as `hierlandmarks bench` makes them. The loss, the
settings that `photos_search.py` chose for it, and the seed are all that differs. Tables made before all runs are there
say how many seeds they have. Needs `pip install hierlandmarks[train,mine,offline]` and ../shared. Writes
results/photos*.csv with provenance, docs/img/photos.png, and the tables of docs/photos.md.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from photos_body import remembered
from photos_losses import LOSSES, chosen, make_release
from photos_report import report

from hierlandmarks_benchmark.embed import EmbedParams, embed
from hierlandmarks_benchmark.evaluate import evaluate
from hierlandmarks_benchmark.recipe import load_recipe
from hierlandmarks_benchmark.train import train

SEEDS = range(10)
FOLLOWED = ("suphap-0", "smoothhap-0", "triplet-0")  # measured after every epoch
PRETRAINED = "pretrained"  # the weights as they come: the same way with a learning rate of nothing
RUNS = (PRETRAINED, *(f"{loss}-{seed}" for seed in SEEDS for loss in LOSSES))


def settings(run: str) -> list[str]:
    """What a run sets over the recipe."""
    if run == PRETRAINED:
        rates = ["optimiser.learning_rate=0", "optimiser.proxy_learning_rate=0"]
        return [f"name=photos-{run}", "epochs=1", *rates]
    loss, _, seed = run.partition("-")
    followed = [] if run in FOLLOWED else ['data.validation=""']
    return [f"name=photos-{run}", f"seed={seed}", *chosen(loss), *followed]


def is_there(run: str, folder: Path) -> bool:
    """Whether a run is complete (its examples are written last) and was made with the settings of today."""
    if not (folder / "evaluation" / f"photos-{run}" / "examples.json").is_file():
        return False
    wanted, made = load_recipe("photos", settings(run)), load_recipe(str(folder / "model/recipe.yaml"))
    return replace(made, model=wanted.model) == wanted  # a model's recipe spells its network out


def perform(run: str, release: Path, folder: Path) -> None:
    """Train, embed and evaluate, unless the run is there already."""
    if is_there(run, folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    parts = [folder / name for name in ("model", "embeddings", "evaluation")]
    for part in parts:
        part.mkdir(parents=True)
    model, embeddings, evaluation = parts
    train(str(release), load_recipe("photos", settings(run)), model)
    embed(str(release), model, embeddings, EmbedParams() if run == PRETRAINED else EmbedParams(baselines=()))
    evaluate(str(release), embeddings, evaluation)
    print(f"{run} is done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/photos"), help="where the runs lie")
    parser.add_argument("--runs", default=",".join(RUNS), help="names, separated by commas")
    arguments = parser.parse_args()
    wanted = [run for run in arguments.runs.split(",") if run]
    if unknown := set(wanted) - set(RUNS):
        parser.error(f"unknown runs: {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    release = make_release(arguments.out)
    with remembered():
        for run in wanted:
            perform(run, release, arguments.out / run)
    report(arguments.out, release, [run for run in RUNS if is_there(run, arguments.out / run)])


if __name__ == "__main__":
    main()
