"""Names of types, and of the classes above them, to vectors: the stage `text`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hierlandmarks.progress import say
from hierlandmarks.schema import VECTORS
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import conform
from hierlandmarks_pipelines.encoders import Encoder, embed_texts, find_encoder


@dataclass(frozen=True)
class TextParams:
    """Settings of the stage.

    Attributes:
        model: `auto` (all-MiniLM-L6-v2 where it can be had, else `lexical-ngrams`, said aloud), a name on the model
            hub, a folder, or `lexical-ngrams`.
    """

    model: str = "auto"


def embed_types(types: pa.Table, subclasses: pa.Table, encoder: Encoder) -> pa.Table:
    """Embed the name of every type and of every class above one.

    Args:
        types: a `schema.TYPES` table; a type may stand there once for every landmark.
        subclasses: a `schema.SUBCLASSES` table.
        encoder: the model.

    Returns:
        A `schema.VECTORS` table: one row a type, sorted by id, float32 vectors of length 1.
    """
    names = _names(types, subclasses)
    vectors = embed_texts(list(names.values()), encoder)
    size = vectors.shape[1]
    table = pa.table(
        {
            "type_id": pa.array(names.keys(), pa.string()),
            "type": pa.array(names.values(), pa.string()),
            "model": pa.array([encoder.name] * len(names), pa.string()),
            "vector": pa.ListArray.from_arrays(
                pa.array(np.arange(len(names) + 1, dtype=np.int32) * size), pa.array(vectors.ravel(), pa.float32())
            ),
        }
    )
    return conform(table, VECTORS, "vectors")


def _names(types: pa.Table, subclasses: pa.Table) -> dict[str, str]:
    """One name for every type and class, sorted by id.

    Of several spellings of one id the first in the alphabet counts; an id of which no name is known stands for itself.
    """
    names: dict[str, str] = {}
    for table, key, name in (
        (types, "type_id", "type"),
        (subclasses, "type_id", "type"),
        (subclasses, "parent_id", "parent"),
    ):
        for type_id, text in set(zip(table[key].to_pylist(), table[name].to_pylist(), strict=True)):
            names[type_id] = min(filter(None, (names.get(type_id), text)), default="")
    return {type_id: names[type_id] or type_id for type_id in sorted(names)}


def _run(params: TextParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    encoder = find_encoder(params.model)
    vectors = embed_types(inputs["types"], inputs["subclasses"], encoder)
    say(f"        {vectors.num_rows} names of types embedded with {encoder.name}")
    return {"vectors": vectors}


STAGE = Stage(
    name="text",
    about="names of types to vectors",
    params=TextParams,
    needs=("types", "subclasses"),
    makes=("vectors",),
    run=_run,
)
