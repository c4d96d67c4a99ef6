"""Which label of the taxonomy a type is nearest to, by its name and the names of the classes above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hierlandmarks_pipelines.ancestry import ancestors
from hierlandmarks_pipelines.encoders import Encoder, embed_texts
from hierlandmarks_pipelines.labelfiles import Label, Taxonomy
from hierlandmarks_pipelines.vectorcache import Vectors

# Chosen on the founders' decisions with all-MiniLM-L6-v2: of all temperatures tried, the one at which the confidence
# is nearest to the share of suggestions that a person confirmed. With another model it only ranks.
TEMPERATURE = 0.05
_DECAY = 0.5  # of a class's say with every step above the type
_DEPTH = 3  # classes further up ("object", "place") say nothing


@dataclass(frozen=True)
class Suggestion:
    """The label a type is nearest to, with a confidence in 0..1."""

    label: Label
    confidence: float


def suggest_labels(
    vectors: Mapping[str, Vectors],
    type_ids: Sequence[str],
    parents: Mapping[str, Sequence[str]],
    taxonomy: Taxonomy,
    encoder: Encoder,
) -> dict[str, Suggestion]:
    """Suggest a label for every type.

    A name's likeness to a label is the mean of its cosine with the label's name and with its definition. A type's is
    the mean of its own and of those of the classes up to three steps above, with weight 1/2 a step (the best class of
    a step speaks for it). The confidence is the suggested label's share in a softmax over all labels.

    Args:
        vectors: unit vectors, shape (D,), of types and classes by id.
        type_ids: the types to suggest for; each has a vector.
        parents: direct superclasses by id.
        taxonomy: the labels.
        encoder: the model that made `vectors`.

    Returns:
        A suggestion for every type id.

    Linear in types x labels x D.
    """
    names = embed_texts([" ".join(label.label.split()) for label in taxonomy.labels], encoder)
    definitions = embed_texts([label.definition for label in taxonomy.labels], encoder)
    likeness = {key: ((names + definitions) @ vector / 2).astype(np.float64) for key, vector in vectors.items()}
    suggestions = {}
    for type_id in type_ids:
        scores = _with_classes_above(type_id, likeness, parents)
        shares = np.exp((scores - scores.max()) / TEMPERATURE)
        best = int(np.argmax(shares))
        suggestions[type_id] = Suggestion(taxonomy.labels[best], float(round(shares[best] / shares.sum(), 4)))
    return suggestions


def _with_classes_above(
    type_id: str, likeness: Mapping[str, npt.NDArray[np.float64]], parents: Mapping[str, Sequence[str]]
) -> npt.NDArray[np.float64]:
    steps: dict[int, list[npt.NDArray[np.float64]]] = {0: [likeness[type_id]]}
    for above, distance in ancestors(type_id, parents).items():
        if distance <= _DEPTH and above in likeness:
            steps.setdefault(distance, []).append(likeness[above])
    weights = [_DECAY**distance for distance in steps]
    mean: npt.NDArray[np.float64] = np.average(
        [np.max(rows, axis=0) for rows in steps.values()], axis=0, weights=weights
    )
    return mean
