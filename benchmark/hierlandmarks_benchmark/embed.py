"""Stage `embed`: a dataset and a model → embeddings of the splits that are ranked, with baselines beside.

Work goes by shards. A shard that is written stays: started again after anything, `embed` does the missing ones only,
and ends with the same bytes. Under torchrun every process takes the shards of its turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import UsageError
from hierlandmarks.params import nearest, to_mapping
from hierlandmarks.progress import say
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import clear_parts, file_sha256, read_json, write_json
from hierlandmarks_benchmark.provenance import provenance
from hierlandmarks_benchmark.vectors import (
    Embeddings,
    is_written,
    query_and_gallery,
    read_skipped,
    shard_path,
    write_entry,
    write_shard,
)

if TYPE_CHECKING:
    from accelerate import PartialState
    from torch import Tensor

    from hierlandmarks_benchmark.datasets import ImageSet
    from hierlandmarks_benchmark.loading import Clock
    from hierlandmarks_benchmark.models import Network
    from hierlandmarks_benchmark.recipe import Recipe

BASELINES = ("untrained", "colour-histogram")
PLAN = "plan.json"  # what the shards of a folder are made of; only such are added
Encoder = Callable[["Tensor"], NDArray[np.float32]]  # N × 3 × S × S uint8 → N × d


@dataclass(frozen=True)
class EmbedParams:
    """Settings of the stage.

    Attributes:
        baselines: `untrained` (the same network with fresh weights), `colour-histogram`, both or none.
        batch: pictures that pass the network at a time.
        shard: pictures a shard.
        workers: processes that decode; -1 for one a core.
    """

    baselines: tuple[str, ...] = BASELINES
    batch: int = 256
    shard: int = 16_384
    workers: int = -1

    def __post_init__(self) -> None:
        for name in self.baselines:
            if name not in BASELINES:
                raise UsageError("embed.baselines has an unknown name", got=repr(name), do=nearest(name, BASELINES))
        if min(self.batch, self.shard) < 1 or self.workers < -1:
            got = f"batch {self.batch}, shard {self.shard}, workers {self.workers}"
            raise UsageError("embed counts from 1", got=got, expected="batch and shard ≥ 1, workers ≥ -1")


@dataclass(frozen=True)
class Entry:
    """Something that embeds: its name, what to say of it, and how it does it."""

    name: str
    model: dict[str, Any]
    encode: Encoder


@dataclass(frozen=True)
class Embedded:
    """What was done.

    Attributes:
        entries: their names.
        images: pictures that were embedded, by all processes; finished shards of an earlier start do not count.
        waited: share of this process's time in which the models waited for pictures, 0 to 1.
        main: whether this is the one process that speaks.
    """

    entries: tuple[str, ...]
    images: int
    waited: float
    main: bool


def embed(release: str | Path, model: Path, folder: Path, params: EmbedParams | None = None) -> Embedded:
    """Embed query and index (else test, or validation) with a model and the baselines.

    Args:
        release: release folder or name of one, or a public layout (see `datasets`).
        model: folder that `train` wrote.
        folder: where to write, one folder an entry, see `vectors`; shards of the same model, dataset and settings that
            are there already stay.
        params: settings.

    Raises:
        UsageError: the folder holds embeddings of another model, dataset or settings.
        MissingDataError: no model, or a release with nothing to evaluate on.
        CorruptInputError: weights that do not fit, or more than 1 % unreadable pictures.

    Memory is a shard's embeddings, and the pictures that are being decoded.
    """
    from accelerate.utils import gather_object

    from hierlandmarks_benchmark.datasets import open_dataset
    from hierlandmarks_benchmark.loading import Clock
    from hierlandmarks_benchmark.models import load_network

    params, state = params or EmbedParams(), _processes()
    whole = open_dataset(release)
    network, recipe = load_network(model)
    summary = read_json(model / "summary.json")
    trained = summary["dataset"]
    if trained["name"] == whole.name and trained["content_hash"] != whole.content_hash:
        say(f"  the model was trained on another {whole.name}: what is evaluated here may have been trained on there")
    entries = list(_entries(network.to(state.device), recipe, summary, params))
    sets = {name: open_dataset(release, name) for name in query_and_gallery(whole.splits, release) if name}
    plan = {
        "dataset": {"name": whole.name, "version": whole.version, "content_hash": whole.content_hash},
        "model": {name: file_sha256(model / name) for name in ("model.safetensors", "recipe.yaml")},
        "entries": [entry.name for entry in entries],
        "splits": {split: len(dataset) for split, dataset in sets.items()},
        "batch": params.batch,
        "shard": params.shard,
    }
    with state.main_process_first():
        _claim(folder, plan)
        if state.is_main_process:  # the others come later, when somebody may be writing
            for place in (folder, *(folder / entry.name for entry in entries)):
                clear_parts(place)  # of runs that were killed while they wrote
    images, clock = 0, Clock()
    for split, dataset in sets.items():
        work = _Work(split, dataset, folder, entries, params, recipe.data.stored)
        images += work.run(state.process_index, state.num_processes, clock)
    images = sum(gather_object([images]))  # which waits for everyone
    if state.is_main_process:
        _write_entries(folder, entries, plan)
    return Embedded(tuple(entry.name for entry in entries), images, clock.share, state.is_main_process)


def _processes() -> PartialState:
    """The process among those of torchrun, and its device."""
    import torch
    from accelerate import PartialState

    wanted = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    shared = int(os.environ.get("WORLD_SIZE", "1")) > 1  # accelerate joins processes without CUDA only if told so
    return PartialState(cpu=wanted or (shared and not torch.cuda.is_available()))


def _claim(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder this plan's, or refuse: shards of two plans must never lie side by side."""
    path = folder / PLAN
    if path.is_file():
        there = read_json(path)
        if there != plan:
            other = [key for key in plan if not isinstance(there, dict) or there.get(key) != plan[key]]
            raise UsageError(
                f"{folder} holds embeddings made otherwise",
                got=f"another {', '.join(other)}",
                do="remove it, or choose another folder",
            )
    elif folder.is_dir() and any(there.suffix != ".part" for there in folder.iterdir()):
        raise UsageError(f"{folder} holds something else", do="choose a folder that is empty or not there")
    else:
        write_json(path, plan)


@dataclass(frozen=True)
class _Work:
    """A split on its way through all entries: every picture is decoded once."""

    split: str
    dataset: ImageSet
    folder: Path
    entries: list[Entry]
    params: EmbedParams
    side: int

    def run(self, rank: int, ranks: int, clock: Clock) -> int:
        """Write the missing shards of this rank; gives the number of pictures."""
        from tqdm import tqdm

        from hierlandmarks_benchmark.loading import Streamed, cores_for

        shards = [shard for shard in range(rank, self._count(), ranks) if not self._is_written(shard)]
        rows = np.concatenate([np.empty(0, np.int64), *(self._rows(shard) for shard in shards)])
        pictures = Streamed(self.dataset, self.side, rows, cores_for(len(rows), self.params.workers), clock)
        feed = pictures.feed(batch for shard in shards for batch in self._batches(shard))
        with tqdm(total=len(rows), desc=f"  embed {self.split}", unit="img", disable=None, delay=0.5) as bar:
            for shard in shards:
                ids, parts = [], []
                for batch in self._batches(shard):
                    found, pixels = next(feed)
                    ids += self._ids(found)
                    parts.append([entry.encode(pixels) for entry in self.entries])
                    bar.set_postfix_str(f"the model waits {clock.share:.0%} of the time", refresh=False)
                    bar.update(len(batch))
                self._write(shard, ids, parts, pictures.reasons)
        if pictures.skipped:
            say(f"  {len(pictures.skipped)} unreadable pictures are left out: {'; '.join(pictures.skipped[:5])}")
        return len(rows)

    def _count(self) -> int:
        return max(1, -(-len(self.dataset) // self.params.shard))

    def _rows(self, shard: int) -> NDArray[np.int64]:
        return np.arange(shard * self.params.shard, min((shard + 1) * self.params.shard, len(self.dataset)))

    def _batches(self, shard: int) -> list[NDArray[np.int64]]:
        """The batches of a shard: they never reach over its end, so that its bytes depend on it alone."""
        rows = self._rows(shard)
        return [rows[start : start + self.params.batch] for start in range(0, len(rows), self.params.batch)]

    def _paths(self, shard: int) -> list[Path]:
        return [shard_path(self.folder / entry.name, self.split, shard, self._count()) for entry in self.entries]

    def _is_written(self, shard: int) -> bool:
        return all(map(is_written, self._paths(shard)))

    @cached_property
    def _names(self) -> NDArray[np.object_]:
        names: NDArray[np.object_] = self.dataset.table(["id"])["id"].to_numpy()  # the one column that is needed
        return names

    def _ids(self, rows: NDArray[np.int64]) -> list[str]:
        return [str(id) for id in self._names[rows]]

    def _write(
        self, shard: int, ids: list[str], parts: list[list[NDArray[np.float32]]], reasons: Mapping[int, str]
    ) -> None:
        lost = [int(row) for row in self._rows(shard) if int(row) in reasons]
        skipped = [f"{id} ({reasons[row]})" for id, row in zip(self._ids(np.array(lost, int)), lost, strict=True)]
        for number, path in enumerate(self._paths(shard)):
            vectors = np.concatenate([part[number] for part in parts])
            write_shard(path, Embeddings(tuple(ids), vectors), skipped)


def _write_entries(folder: Path, entries: list[Entry], plan: Mapping[str, Any]) -> None:
    """Say what made every entry; a folder with its entry.json is finished."""
    splits = {}
    for split, count in plan["splits"].items():
        skipped = read_skipped(folder / entries[0].name, split)
        splits[split] = {"images": count - len(skipped), "skipped": skipped}
    about = {"dataset": plan["dataset"], "splits": splits, **provenance("torch", "transformers", "numpy", "pillow")}
    for entry in entries:
        write_entry(folder / entry.name, {"entry": entry.name, "model": entry.model, **about})


def _entries(network: Network, recipe: Recipe, summary: Mapping[str, Any], params: EmbedParams) -> Iterator[Entry]:
    from hierlandmarks_benchmark.baselines import colour_histogram
    from hierlandmarks_benchmark.models import build_network, encode

    if recipe.name in params.baselines:
        raise UsageError(f"the model is called {recipe.name}, as a baseline is", do="rename its recipe")
    trained = summary["dataset"]
    yield Entry(
        recipe.name,
        {
            "name": recipe.model.backbone,
            "parameters": summary["parameters"],
            "trained_on": f"{trained['name']} ({trained['split']})",
            "trained_on_hash": trained["content_hash"],
            "loss": " + ".join(f"{term.weight:g} {term.name}" for term in recipe.loss),
            "recipe": to_mapping(recipe),
        },
        lambda pixels: encode(network, pixels, recipe.data.embedded, params.batch),
    )
    if "untrained" in params.baselines:
        fresh = build_network(recipe, pretrained=False).to(next(network.parameters()).device)
        about = {"name": recipe.model.backbone, "parameters": summary["parameters"], "trained_on": "nothing"}
        yield Entry("untrained", about, lambda pixels: encode(fresh, pixels, recipe.data.embedded, params.batch))
    if "colour-histogram" in params.baselines:
        about = {"name": "colour-histogram", "parameters": 0, "trained_on": "nothing"}
        yield Entry("colour-histogram", about, lambda pixels: colour_histogram(pixels.numpy()))


def _run(params: EmbedParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    embed(inputs["release"], inputs["model"], folders["embeddings"], params)
    return {}


STAGE = Stage(
    name="embed",
    about="embed the splits that are ranked",
    params=EmbedParams,
    needs=("release", "model"),
    makes=("embeddings",),
    run=_run,
)
