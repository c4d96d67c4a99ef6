"""A training run from a release folder to a model folder: data in, files out; the loop itself is `loop.py`."""

from __future__ import annotations

import csv
import io
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hierlandmarks.errors import MissingDataError
from hierlandmarks.params import to_mapping
from hierlandmarks.progress import say
from hierlandmarks.tables import read_json, write_json, write_text
from hierlandmarks_benchmark.datasets import open_dataset
from hierlandmarks_benchmark.loading import Pictures, open_pictures
from hierlandmarks_benchmark.models import encode, save_network, whiten
from hierlandmarks_benchmark.provenance import provenance
from hierlandmarks_benchmark.recipe import DataParams, Recipe
from hierlandmarks_benchmark.train.checkpoint import remove_checkpoint
from hierlandmarks_benchmark.train.curves import draw_curves
from hierlandmarks_benchmark.train.journal import EVENTS, Record
from hierlandmarks_benchmark.train.loop import Data, Trained, fit
from hierlandmarks_benchmark.train.team import Team
from hierlandmarks_benchmark.train.validation import watch

SUMMARY = "summary.json"
_PART = 1024  # pictures held at a time while embedding


def run(release: str | Path, recipe: Recipe, folder: Path, *, restart: bool = False) -> dict[str, Any]:
    """See `hierlandmarks_benchmark.train.train`."""
    started = time.perf_counter()
    if restart and is_first():  # before the processes meet, so before any looks for a checkpoint
        _clear(folder)
    whole = open_dataset(release)
    if recipe.data.split not in whole.splits:
        raise MissingDataError(
            f"the release {release} has no split {recipe.data.split!r} to train on",
            got=", ".join(whole.splits),
            do="name one of these in data.split",
        )
    dataset = open_dataset(release, recipe.data.split)
    labelled = np.flatnonzero(dataset.labels[:, 0] >= 0)  # distractors have no landmark to learn
    pictures = _open(dataset, recipe.data, recipe.data.split, labelled)
    look = None
    if recipe.data.validation in whole.splits:
        held_out = open_dataset(release, recipe.data.validation)
        look = watch(_open(held_out, recipe.data, recipe.data.validation), held_out.labels, recipe.data.embedded)
    labels, levels = dataset.labels[pictures.rows], dataset.hierarchy.levels
    about = {"name": dataset.name, "split": recipe.data.split, "content_hash": whole.content_hash}
    ids = dataset.images["id"].iloc[pictures.rows].tolist()
    folder.mkdir(parents=True, exist_ok=True)
    trained = fit(Data(pictures, labels, ids, levels, about | {"images": len(labels)}), recipe, folder, look)
    if is_first():
        if recipe.model.whitening:
            whiten(trained.network, _embeddings(trained, pictures, recipe.data.embedded))
        counts = [len(np.unique(codes[codes >= 0])) for codes in labels.T]
        summary = {
            "recipe": to_mapping(replace(recipe, model=trained.network.params)),
            "dataset": about,
            "images": len(labels),
            **{f"{level}s": count for level, count in zip(levels, counts, strict=True)},
            "parameters": sum(p.numel() for p in trained.network.parameters()),
            "skipped": list(pictures.skipped),
            "last": {key: value for key, value in trained.history[-1].items() if value == value},
            "seconds": round(time.perf_counter() - started, 1),
            "pictures": pictures.where,
            "waiting": round(pictures.clock.share, 4),
            "device": trained.device,
            "processes": trained.processes,
            "threads": torch.get_num_threads(),
            **provenance("torch", "transformers", "accelerate", "numpy"),
        }
        _write(folder, trained, recipe, summary)
    Team.found().wait()
    summary = read_json(folder / SUMMARY)
    assert isinstance(summary, dict)
    return summary


def is_first() -> bool:
    """Whether this is the process that writes and talks, as torchrun says, before the processes have met."""
    return os.environ.get("RANK", "0") == "0"


def _open(dataset: Any, params: DataParams, split: str, rows: Any = None) -> Pictures:
    pictures = open_pictures(
        dataset, params.stored, rows, workers=params.workers, in_memory=params.in_memory, about=f"decode {split}"
    )
    if pictures.skipped and is_first():
        say(f"  {len(pictures.skipped)} unreadable pictures are left out: {'; '.join(pictures.skipped[:5])}")
    return pictures


def _embeddings(trained: Trained, pictures: Pictures, size: int) -> NDArray[np.float32]:
    """Of all the pictures it was trained on, as they are."""
    parts = np.array_split(np.arange(len(pictures.rows)), -(-len(pictures.rows) // _PART))
    fed = pictures.feed(pictures.rows[part] for part in parts)
    return np.concatenate([encode(trained.network, pixels, size) for _, pixels in fed])


def _write(folder: Path, trained: Trained, recipe: Recipe, summary: dict[str, Any]) -> None:
    save_network(trained.network, recipe, folder)
    write_text(folder / "history.csv", _as_csv(trained.history))
    draw_curves(trained.history, recipe, folder / "curves.png")
    write_json(folder / SUMMARY, summary)
    remove_checkpoint(folder)


def _clear(folder: Path) -> None:
    """Take away what an earlier run left to go on from."""
    remove_checkpoint(folder)
    shutil.rmtree(folder / EVENTS, ignore_errors=True)


def _as_csv(history: list[Record]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(history[0])
    writer.writerows(["" if value != value else f"{value:.6g}" for value in record.values()] for record in history)
    return buffer.getvalue()
