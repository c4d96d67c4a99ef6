"""Settings of every loss of `photos.py`, looked for with as many trials for each, on the training split alone.

python benchmark/perf/photos_search.py                   all trials that results/photos_search.csv does not hold yet
python benchmark/perf/photos_search.py --losses triplet  those of one loss (or several, with commas)

A trial is a learning rate and a value of the loss's own parameter. The landmarks of the training split are dealt into
three folds; a trial trains on two and is measured on the photos of the third, three times, and is worth the mean H-AP
of all photos. `photos.py` takes each loss's best. The validation split is never opened. Musgrave et al., *A Metric
Learning Reality Check* (arXiv 2003.08505), chose in this way, and say why.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from photos_body import remembered
from photos_losses import LOSSES, TRIALS, make_release

from hierlandmarks.tables import atomic_path
from hierlandmarks_benchmark.datasets import ImageSet, open_dataset
from hierlandmarks_benchmark.loading import Pictures, open_pictures
from hierlandmarks_benchmark.provenance import provenance
from hierlandmarks_benchmark.recipe import load_recipe
from hierlandmarks_benchmark.train.loop import Data, fit
from hierlandmarks_benchmark.train.validation import watch

Ints = NDArray[np.int64]
FOLDS = 3


class Part:
    """Some of the pictures."""

    def __init__(self, whole: Pictures, rows: Ints) -> None:
        self.whole, self.rows, self.clock = whole, rows, whole.clock

    def feed(self, batches: Any) -> Any:
        """As the whole; see `hierlandmarks_benchmark.loading`."""
        return self.whole.feed(batches)


def deal(labels: Ints, folds: int = FOLDS) -> Ints:
    """The fold of every row: whole landmarks, the largest first, each to where its label has fewest, then photos."""
    landmarks, first, owner, sizes = np.unique(labels[:, 0], return_index=True, return_inverse=True, return_counts=True)
    fold, photos = np.empty(len(landmarks), np.int64), np.zeros(folds, np.int64)
    of_label: Counter[tuple[int, int]] = Counter()
    for landmark in np.argsort(-sizes, kind="stable"):
        label = int(labels[first[landmark], 1])
        taken = min(range(folds), key=lambda k: (of_label[label, k], photos[k]))
        fold[landmark] = taken
        of_label[label, taken] += 1
        photos[taken] += sizes[landmark]
    dealt: Ints = fold[owner]
    return dealt


def trial(dataset: ImageSet, pictures: Pictures, settings: list[str]) -> float:
    """Mean H-AP of the photos of every fold, each found by a network that was trained on the other folds."""
    recipe = load_recipe("photos", ["name=photos-trial", "data.validate_every=1000", *settings])
    labels = dataset.labels[pictures.rows]
    folds, worth = deal(labels), 0.0
    for fold in range(FOLDS):
        kept, aside = (Part(pictures, pictures.rows[chosen]) for chosen in (folds != fold, folds == fold))
        data = Data(kept, dataset.labels[kept.rows], [str(row) for row in kept.rows], dataset.hierarchy.levels)
        found = fit(data, recipe, None, watch(aside, dataset.labels, recipe.data.embedded)).history[-1]["h_ap"]
        worth += found * len(aside.rows) / len(labels)
    return worth


def search(loss: str, dataset: ImageSet, pictures: Pictures, results: Path, made: dict[str, Any]) -> None:
    """The trials of a loss that are not done yet, each written down as soon as it is, with what they were made by."""
    candidate = LOSSES[loss]
    for rate, value in candidate.trials():
        done = pd.read_csv(results) if results.is_file() else pd.DataFrame(columns=["loss", "rate", "value"])
        if ((done["loss"] == loss) & np.isclose(done["rate"], rate) & np.isclose(done["value"], value)).any():
            continue
        started = time.perf_counter()
        row = {"loss": loss, "rate": rate, "parameter": candidate.parameter, "value": value}
        row |= {
            "h_ap": trial(dataset, pictures, candidate.settings(rate, value)),
            "seconds": time.perf_counter() - started,
        }
        rows = pd.concat([done, pd.DataFrame([row | made])]).sort_values(["loss", "rate", "value"])
        with atomic_path(results) as part:
            rows.to_csv(part, index=False, float_format="%.6g")
        print(f"{loss}, rate {rate:g}, {candidate.parameter} {value:g}: H-AP {row['h_ap']:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/photos"), help="where the data set lies, or is made")
    parser.add_argument("--losses", default=",".join(LOSSES), help="names, separated by commas")
    parser.add_argument("--results", type=Path, default=TRIALS, help="where trials are written down; another: all anew")
    arguments = parser.parse_args()
    wanted = [loss for loss in arguments.losses.split(",") if loss]
    if unknown := set(wanted) - set(LOSSES):
        parser.error(f"unknown losses: {', '.join(sorted(unknown))}; there are {', '.join(LOSSES)}")
    about = provenance("torch")  # once: the first trial written down makes the checkout an edited one
    made = {"code": about["code_version"], "torch": about["packages"]["torch"], **about["hardware"]}
    recipe = load_recipe("photos")
    dataset = open_dataset(make_release(arguments.out), recipe.data.split)
    labelled = np.flatnonzero(dataset.labels[:, 0] >= 0)
    pictures = open_pictures(dataset, recipe.data.stored, labelled, workers=recipe.data.workers)
    with remembered():
        for loss in wanted:
            search(loss, dataset, pictures, arguments.results, made)


if __name__ == "__main__":
    main()
