"""Stage `embed`: a release and a model → embeddings of the splits that are ranked, with baselines beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import hierlandmarks as hl
from hierlandmarks.errors import UsageError
from hierlandmarks.params import nearest, to_mapping
from hierlandmarks.progress import say
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import read_json
from hierlandmarks_benchmark.provenance import provenance
from hierlandmarks_benchmark.vectors import Embeddings, query_and_gallery, write_embeddings, write_entry

if TYPE_CHECKING:
    from torch import Tensor

    from hierlandmarks_benchmark.models import Network
    from hierlandmarks_benchmark.recipe import Recipe

BASELINES = ("untrained", "colour-histogram")
Encoder = Callable[["Tensor"], NDArray[np.float32]]  # N × 3 × S × S uint8 → N × d


@dataclass(frozen=True)
class EmbedParams:
    """Settings of the stage.

    Attributes:
        baselines: `untrained` (the same network with fresh weights), `colour-histogram`, both or none.
        batch: pictures that pass the network at a time.
    """

    baselines: tuple[str, ...] = BASELINES
    batch: int = 256

    def __post_init__(self) -> None:
        for name in self.baselines:
            if name not in BASELINES:
                raise UsageError("embed.baselines has an unknown name", got=repr(name), do=nearest(name, BASELINES))
        if self.batch < 1:
            raise UsageError("embed.batch is out of range", got=self.batch, expected="at least 1")


@dataclass(frozen=True)
class Entry:
    """Something that embeds: its name, what to say of it, and how it does it."""

    name: str
    model: dict[str, Any]
    encode: Encoder


def embed(release: str | Path, model: Path, folder: Path, params: EmbedParams | None = None) -> list[str]:
    """Embed query and index (or validation, where the release has no such splits) with a model and the baselines.

    Args:
        release: release folder, or name of one.
        model: folder that `train` wrote.
        folder: existing folder to write into: one folder an entry, see `vectors`.
        params: settings.

    Returns:
        The names of the entries.

    Raises:
        MissingDataError: no model, or a release with nothing to evaluate on.
        CorruptInputError: weights that do not fit, or more than 1 % unreadable pictures.

    Memory is the decoded pictures of a split, and its embeddings.
    """
    from hierlandmarks_benchmark.images import load_pictures
    from hierlandmarks_benchmark.models import load_network

    params = params or EmbedParams()
    whole = hl.load(release)
    network, recipe = load_network(model)
    summary = read_json(model / "summary.json")
    trained = summary["dataset"]
    if trained["name"] == whole.name and trained["content_hash"] != whole.content_hash:
        say(f"  the model was trained on another {whole.name}: what is evaluated here may have been trained on there")
    entries = list(_entries(network, recipe, summary, params))
    splits: dict[str, Any] = {}
    for split in filter(None, query_and_gallery(whole.splits, release)):
        dataset = hl.load(release, split=split)
        pictures = load_pictures(dataset, recipe.data.stored, about=f"decode {split}")
        if pictures.skipped:
            say(f"  {len(pictures.skipped)} unreadable pictures are left out: {'; '.join(pictures.skipped[:5])}")
        splits[split] = {"images": len(pictures.rows), "skipped": list(pictures.skipped)}
        ids = tuple(dataset.images["id"].iloc[pictures.rows])
        for entry in entries:
            write_embeddings(folder / entry.name, split, Embeddings(ids, entry.encode(pictures.pixels)))
    about = {
        "dataset": {"name": whole.name, "version": whole.version, "content_hash": whole.content_hash},
        "splits": splits,
        **provenance("torch", "transformers", "numpy", "pillow"),
    }
    for entry in entries:
        write_entry(folder / entry.name, {"entry": entry.name, "model": entry.model, **about})
    return [entry.name for entry in entries]


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
        fresh = build_network(recipe, pretrained=False)
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
