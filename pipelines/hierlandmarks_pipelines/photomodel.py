"""Pictures and words in one space: a CLIP-like model of `transformers`, from a folder, the local cache or the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hierlandmarks.errors import MissingDataError
from hierlandmarks.network import is_offline
from hierlandmarks_pipelines.vectorcache import Vectors, fingerprint

if TYPE_CHECKING:
    from PIL import Image

DEFAULT = "openai/clip-vit-base-patch32"
_BATCH = 32


@dataclass(frozen=True)
class PhotoModel:
    """A way to compare pictures with words.

    Attributes:
        name: as it was asked for.
        scale: what cosines are multiplied by before a softmax over prompts, as the model learnt it (CLIP: about 100).
        pictures: RGB pictures → unit float32 vectors, pictures × size; read as they come, a batch in memory.
        texts: texts → unit float32 vectors, texts × size.
        version: changes whenever the vectors would; part of the key under which they are kept.
    """

    name: str
    scale: float
    pictures: Callable[[Iterable[Image.Image]], Vectors]
    texts: Callable[[Sequence[str]], Vectors]
    version: str


def load_photo_model(name: str) -> PhotoModel:
    """Load a model with an image and a text tower (CLIP, SigLIP, ALIGN …) and what prepares their inputs.

    Weights are read from safetensors or with `weights_only`; no code of the model's folder is run.

    Args:
        name: a folder, or a name on the hub such as `openai/clip-vit-base-patch32`. With HIERLANDMARKS_OFFLINE or
            HF_HUB_OFFLINE set only folders and what is in the hub's cache are found.

    Raises:
        MissingDataError: transformers is not installed, or the model cannot be had or is of another kind.
    """
    try:
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
    except ImportError as error:
        raise MissingDataError(
            f"{name} needs transformers", got=str(error), do="pip install 'hierlandmarks[vision]'"
        ) from error
    local = {"local_files_only": is_offline()}
    try:
        model = AutoModel.from_pretrained(name, **local).eval()
        prepare = AutoImageProcessor.from_pretrained(name, **local)
        tokenise = AutoTokenizer.from_pretrained(name, **local)
    except (OSError, ValueError) as error:
        raise MissingDataError(
            f"the photo model {name!r} cannot be loaded",
            got=str(error).splitlines()[0],
            do="give a folder with model, image processor and tokenizer, or connect to the model hub once",
        ) from error
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise MissingDataError(
            f"the photo model {name!r} does not compare pictures with words",
            got=type(model).__name__,
            expected="a model with an image and a text tower, such as CLIP or SigLIP",
            do="name another one",
        )
    version = fingerprint(Path(name)) if Path(name).is_dir() else str(getattr(model.config, "_commit_hash", ""))
    return PhotoModel(name, _scale(model), _pictures(model, prepare), _texts(model, tokenise), version)


def _scale(model: Any) -> float:
    learnt = getattr(model, "logit_scale", None)  # the logarithm, in CLIP and SigLIP
    return float(learnt.detach().exp()) if learnt is not None else 100.0


def _pictures(model: Any, prepare: Any) -> Callable[[Iterable[Image.Image]], Vectors]:
    def encode(some: list[Image.Image]) -> Any:
        return model.get_image_features(**prepare(images=some, return_tensors="pt"))

    return lambda pictures: _in_batches(encode, pictures)


def _texts(model: Any, tokenise: Any) -> Callable[[Sequence[str]], Vectors]:
    length = int(model.config.text_config.max_position_embeddings)

    def encode(some: list[str]) -> Any:
        # SigLIP was trained on texts padded to their full length and has no mask; CLIP does not mind.
        inputs = tokenise(some, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        return model.get_text_features(**inputs)

    return lambda texts: _in_batches(encode, texts)


def _in_batches(encode: Callable[[list[Any]], Any], things: Iterable[Any]) -> Vectors:
    import torch

    left, parts = iter(things), []
    while some := list(islice(left, _BATCH)):
        with torch.inference_mode():
            parts.append(_unit(encode(some)))
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _unit(found: Any) -> Vectors:
    """Features as transformers gives them (a tensor, since version 5 an output with a pooled one) → unit rows."""
    import torch

    features = found if isinstance(found, torch.Tensor) else found.pooler_output
    unit: Vectors = torch.nn.functional.normalize(features.float(), dim=-1).numpy()
    return unit
