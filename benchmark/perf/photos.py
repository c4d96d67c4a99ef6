"""Losses compared on real photos: the recipe `photos` with each loss and three seeds, beside what was not trained.

python benchmark/perf/photos.py                    all runs that are not there yet, then the tables and the picture
python benchmark/perf/photos.py --runs suphap-0    one run (or several, with commas), about a minute on one core
python benchmark/perf/photos.py --runs ""          the tables and the picture from the runs that are there

Every run is a folder: release → model → embeddings → evaluation, as `hierlandmarks bench` makes them, with the loss and
the seed as the only settings that differ. Tables made before all runs are there say how many seeds they have. Needs
`pip install hierlandmarks[train,mine,offline]` and ../shared. Writes results/photos*.csv with provenance,
docs/img/photos.png, and the table of docs/photos.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from photos_report import report

from hierlandmarks_benchmark.embed import EmbedParams, embed
from hierlandmarks_benchmark.evaluate import evaluate
from hierlandmarks_benchmark.recipe import load_recipe
from hierlandmarks_benchmark.train import train

PROXY = "{name: ProxyLoss, weight: 0.1}"
LOSSES = {
    "suphap": f"[{{name: SupHAPLoss, weight: 0.9}}, {PROXY}]",
    "supndcg": f"[{{name: SupNDCGLoss, weight: 0.9}}, {PROXY}]",
    "supap": f"[{{name: SupAPLoss, weight: 0.9}}, {PROXY}]",
    "proxy": "[{name: ProxyLoss}]",
    "csl": "[{name: CSLLoss}]",
    "triplet": "[{name: TripletLoss}]",
}
BESIDES = {  # with one seed, so that every loss stands on the leaderboard
    **{
        f"smooth{kind.lower()}": f"[{{name: Smooth{kind}Loss, weight: 0.9}}, {PROXY}]" for kind in ("AP", "HAP", "NDCG")
    },
    "suprecall": "[{name: SupRecallLoss, weight: 0.5}, {name: ProxyLoss, weight: 0.5}]",
    "calibration": "[{name: CalibrationLoss}]",
}
SEEDS = (0, 1, 2)
FOLLOWED = ("suphap-0", "triplet-0")  # measured after every epoch, which takes as long again
PRETRAINED = "pretrained"  # the weights as they come: the same way with a learning rate of nothing
RUNS = (PRETRAINED, *(f"{loss}-{seed}" for seed in SEEDS for loss in LOSSES), *(f"{loss}-0" for loss in BESIDES))


def settings(run: str) -> list[str]:
    """What a run sets over the recipe."""
    if run == PRETRAINED:
        rates = ["optimiser.learning_rate=0", "optimiser.proxy_learning_rate=0"]
        return [f"name=photos-{run}", "epochs=1", *rates]
    loss, _, seed = run.partition("-")
    followed = [] if run in FOLLOWED else ['data.validation=""']
    return [f"name=photos-{run}", f"seed={seed}", f"loss={(LOSSES | BESIDES)[loss]}", *followed]


def is_there(run: str, folder: Path) -> bool:
    """Whether a run is complete: its examples are written last."""
    return (folder / "evaluation" / f"photos-{run}" / "examples.json").is_file()


def perform(run: str, release: Path, folder: Path) -> None:
    """Train, embed and evaluate, unless the run is there already."""
    if is_there(run, folder):
        return
    parts = [folder / name for name in ("model", "embeddings", "evaluation")]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
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
    chosen = [run for run in arguments.runs.split(",") if run]
    if unknown := set(chosen) - set(RUNS):
        parser.error(f"unknown runs: {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    dataset = arguments.out / "dataset"
    command = Path(sys.executable).with_name("hierlandmarks")  # the pipelines are asked, never imported
    asked = [command, "run", "washington", "--until", "export", "--out", dataset]
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    for run in chosen:
        perform(run, dataset / "release", arguments.out / run)
    report(arguments.out, [run for run in RUNS if is_there(run, arguments.out / run)])


if __name__ == "__main__":
    main()
