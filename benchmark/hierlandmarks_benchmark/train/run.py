"""A training run from a release folder to a model folder: data in, files out; the loop itself is `loop.py`."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hierlandmarks as hl
from hierlandmarks.errors import MissingDataError
from hierlandmarks.metrics import evaluate_embeddings
from hierlandmarks.params import to_mapping
from hierlandmarks.progress import say
from hierlandmarks.schema import LEVELS
from hierlandmarks.tables import write_json, write_text
from hierlandmarks_benchmark.images import load_pictures
from hierlandmarks_benchmark.models import encode, save_network
from hierlandmarks_benchmark.provenance import provenance
from hierlandmarks_benchmark.recipe import Recipe
from hierlandmarks_benchmark.train.curves import draw_curves
from hierlandmarks_benchmark.train.loop import Look, Record, fit


def run(release: str | Path, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """See `hierlandmarks_benchmark.train.train`."""
    started = time.perf_counter()
    splits = hl.load(release).splits
    if recipe.data.split not in splits:
        raise MissingDataError(
            f"the release {release} has no split {recipe.data.split!r} to train on",
            got=", ".join(splits),
            do="name one of these in data.split",
        )
    dataset = hl.load(release, split=recipe.data.split)
    labelled = np.flatnonzero(dataset.labels[:, 0] >= 0)  # distractors have no landmark to learn
    pictures = load_pictures(dataset, recipe.data.stored, labelled, about=f"decode {recipe.data.split}")
    _report_skipped(pictures.skipped)
    look = _validation(release, recipe) if recipe.data.validation in splits else None
    labels = dataset.labels[pictures.rows]
    trained = fit(pictures.pixels, labels, recipe, look)
    save_network(trained.network, recipe, folder)
    write_text(folder / "history.csv", _as_csv(trained.history))
    draw_curves(trained.history, recipe, folder / "curves.png")
    summary = {
        "recipe": to_mapping(replace(recipe, model=trained.network.params)),
        "dataset": {"name": dataset.name, "split": recipe.data.split, "content_hash": hl.load(release).content_hash},
        "images": len(labels),
        **{f"{level}s": len(np.unique(codes[codes >= 0])) for level, codes in zip(LEVELS, labels.T, strict=True)},
        "parameters": sum(p.numel() for p in trained.network.parameters()),
        "skipped": list(pictures.skipped),
        "last": {key: value for key, value in trained.history[-1].items() if value == value},
        "seconds": round(time.perf_counter() - started, 1),
        "device": trained.device,
        "threads": torch.get_num_threads(),
        **provenance("torch", "transformers", "numpy"),
    }
    write_json(folder / "summary.json", summary)
    return summary


def _validation(release: str | Path, recipe: Recipe) -> Look:
    """H-AP of every picture of the validation split against the others."""
    dataset = hl.load(release, split=recipe.data.validation)
    pictures = load_pictures(dataset, recipe.data.stored, about=f"decode {recipe.data.validation}")
    labels = dataset.labels[pictures.rows]

    def look(network: Any) -> float:
        report = evaluate_embeddings(
            encode(network, pictures.pixels, recipe.data.embedded), labels, metrics=("h_ap",), resamples=1
        )
        return report.mean["h_ap"]

    return look


def _report_skipped(skipped: tuple[str, ...]) -> None:
    if skipped:
        say(f"  {len(skipped)} unreadable pictures are left out: {'; '.join(skipped[:5])}")


def _as_csv(history: list[Record]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(history[0])
    writer.writerows(["" if value != value else f"{value:.6g}" for value in record.values()] for record in history)
    return buffer.getvalue()
