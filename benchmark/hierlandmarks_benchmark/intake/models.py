"""Models that embed pictures: from transformers or timm by name, one of ours from its folder, or a function of yours.

All a model needs is one method, see `Model`. A file with a function is a program and runs only where trusted.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.progress import track as progress
from hierlandmarks_benchmark.intake.embeddings import Vectors, check_vectors
from hierlandmarks_benchmark.intake.truth import GroundTruth

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = 64


class Model(Protocol):
    """What a submission asks of a model."""

    def embed(self, images: Sequence[Image]) -> NDArray[Any]:
        """N pictures, RGB and upright, of any size → N × d floating-point numbers, compared by cosine."""
        ...


class Function:
    """A function `images -> array` as a model."""

    def __init__(self, embed: Callable[[Sequence[Image]], NDArray[Any]]) -> None:
        self.embed = embed


def load_model(spec: str, trust_code: bool = False) -> Model:
    """A model by its specification.

    Args:
        spec: `transformers:NAME` (a folder, or a name on the model hub), `timm:NAME`, `FILE.py:NAME` (a function
            `images -> array`, or an object with a method `embed`), or a folder that `bench train` wrote.
        trust_code: let `FILE.py` run.

    Raises:
        UsageError: an unknown kind of specification, or a program without `trust_code`.
        MissingDataError: the file, the name or the weights are not there.
        CorruptInputError: the program fails, or has nothing that embeds.
    """
    kind, _, name = spec.partition(":")
    if kind == "transformers" and name:
        return Function(_transformers(name))
    if kind == "timm" and name:
        return Function(_timm(name))
    if kind.endswith(".py"):
        if not trust_code:
            raise UsageError(f"{kind} is a program and would run with your rights", do="read it, then add --trust-code")
        return _program(Path(kind), name or "embed")
    if Path(spec).is_dir():
        return Function(_checkpoint(Path(spec)))
    raise UsageError(
        "there is no such model",
        got=repr(spec),
        expected="transformers:NAME, timm:NAME, FILE.py:NAME or the folder of a model",
    )


def embed_track(model: Model, truth: GroundTruth) -> tuple[Vectors, Vectors | None]:
    """Embed the queries and the gallery of a track, some pictures at a time.

    Raises:
        CorruptInputError: a picture cannot be decoded, or the model returns something else than finite vectors.
    """
    track, release = truth.track, truth.release
    queries = _embed_split(model, hl.load(release, split=track.query_split))
    return queries, None if track.gallery_split is None else _embed_split(
        model, hl.load(release, split=track.gallery_split)
    )


def _embed_split(model: Model, dataset: hl.Dataset) -> Vectors:
    parts = []
    for start in progress(range(0, len(dataset), BATCH), f"embed {dataset.split}"):
        images = [dataset.image(i) for i in range(start, min(start + BATCH, len(dataset)))]
        try:
            vectors = model.embed(images)
        except Exception as error:  # a stranger's model fails in its own ways
            got = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise CorruptInputError(
                f"the model fails on images {start} to {start + len(images) - 1}", got=got
            ) from error
        parts.append(check_vectors(vectors, len(images), f"what the model returned for images from {start}"))
    if len(widths := {part.shape[1] for part in parts}) > 1:
        raise CorruptInputError("the model's vectors differ in length", got=sorted(widths))
    return np.concatenate(parts)


def _program(path: Path, name: str) -> Model:
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}", do="check the path")
    spec = importlib.util.spec_from_file_location("submitted_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the program does wrong
        got = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CorruptInputError(f"{path} does not run", got=got) from error
    found = getattr(module, name, None)
    if hasattr(found, "embed"):
        model: Model = found() if isinstance(found, type) else found  # type: ignore[assignment]
        return model
    if not callable(found):
        raise CorruptInputError(f"{path} has no function {name}", expected="images -> array, or an object with `embed`")
    return Function(found)


def _transformers(name: str) -> Callable[[Sequence[Image]], NDArray[Any]]:
    """Pooled output of a vision model, or the mean of its last hidden state; weights only as safetensors."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    try:
        processor = AutoImageProcessor.from_pretrained(name, use_fast=False)
        network = AutoModel.from_pretrained(name, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        raise MissingDataError(
            f"transformers has no model {name!r} here", got=str(error).splitlines()[0][:200],
            do="give a folder with model.safetensors, or connect to the model hub once",
        ) from error  # fmt: skip
    vision = getattr(network, "get_image_features", None)

    @torch.inference_mode()
    def embed(images: Sequence[Image]) -> NDArray[Any]:
        inputs = processor(images=list(images), return_tensors="pt")
        output = vision(**inputs) if vision else network(**inputs)
        pooled = output if isinstance(output, torch.Tensor) else getattr(output, "pooler_output", None)
        if pooled is None:
            hidden = output.last_hidden_state
            pooled = hidden.mean(dim=1) if hidden.ndim == 3 else hidden
        return np.asarray(pooled.flatten(1).float().cpu().numpy())

    return embed


def _timm(name: str) -> Callable[[Sequence[Image]], NDArray[Any]]:
    """Pooled features of a timm model with its own preprocessing."""
    try:
        import timm
        import torch
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not match torch
        raise MissingDataError(
            f"timm:{name} needs timm, which does not import", got=str(error), do="pip install hierlandmarks[timm]"
        ) from error
    network = timm.create_model(name, pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)

    @torch.inference_mode()
    def embed(images: Sequence[Image]) -> NDArray[Any]:
        return np.asarray(network(torch.stack([transform(image) for image in images])).float().cpu().numpy())

    return embed


def _checkpoint(folder: Path) -> Callable[[Sequence[Image]], NDArray[Any]]:
    """A model that `bench train` wrote."""
    import torch

    from hierlandmarks_benchmark.models import encode, load_network

    network, recipe = load_network(folder)
    return lambda images: encode(network, torch.from_numpy(squares(images, recipe.data.stored)), recipe.data.embedded)


def squares(images: Sequence[Image], side: int) -> NDArray[np.uint8]:
    """The centre squares of pictures, as the networks of `bench train` take them: N × 3 × side × side."""
    from PIL.Image import Resampling
    from PIL.ImageOps import fit

    return np.stack([np.array(fit(image, (side, side), Resampling.BILINEAR)).transpose(2, 0, 1) for image in images])
