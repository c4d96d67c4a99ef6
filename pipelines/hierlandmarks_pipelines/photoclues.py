"""What a landmark's photos say about its label: zero-shot prompts, nearest labelled photos, and their majority."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hierlandmarks.errors import UsageError
from hierlandmarks_pipelines.clues import Clue, Landmarks, Opinion
from hierlandmarks_pipelines.labelfiles import Taxonomy
from hierlandmarks_pipelines.photomodel import PhotoModel
from hierlandmarks_pipelines.vectorcache import Vectors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Averaging a few phrasings is steadier than any of them (Radford et al. 2021, arXiv 2103.00020, section 3.1.4).
TEMPLATES = (
    "a photo of {}.",
    "a photo of a landmark: {}.",
    "a tourist photo of {}.",
    "a photo of {} in the distance.",
)
_ROWS = 1024  # photos compared with all labelled ones at a time


def photo_clues(gallery: Vectors, taxonomy: Taxonomy, model: PhotoModel) -> tuple[Clue, Clue]:
    """Two clues about landmarks whose `photos` are rows of a gallery; neither says anything where there are none.

    Args:
        gallery: P × D unit vectors of `model`.
        taxonomy: the labels to tell apart.
        model: saw the gallery, and reads the prompts.
    """
    labels = len(taxonomy.labels)
    shown = zero_shot(gallery, prompt_vectors(taxonomy, model), model.scale) if len(gallery) else np.zeros((0, labels))

    def know(landmarks: Landmarks, codes: Ints) -> Opinion:
        return lambda asked: _by_landmark(asked, labels, lambda photos: shown[photos])

    def look_around(landmarks: Landmarks, codes: Ints) -> Opinion:
        known, owner = _photos(landmarks)
        if not len(known):
            return lambda asked: np.zeros((len(asked.names), labels))
        of_known = codes[owner]
        return lambda asked: _by_landmark(
            asked, labels, lambda photos: neighbours(gallery[photos], gallery[known], of_known, labels)
        )

    return Clue("photo", know), Clue("photo", look_around)


def prompts(taxonomy: Taxonomy) -> list[list[str]]:
    """For every label in the taxonomy's order, what its photos may be called: templates around name and definition."""
    return [
        [template.format(phrase) for template in TEMPLATES for phrase in _phrases(label.label, label.definition)]
        for label in taxonomy.labels
    ]


def prompt_vectors(taxonomy: Taxonomy, model: PhotoModel) -> Vectors:
    """One unit vector a label: the mean direction of its prompts. Labels × size."""
    by_label = prompts(taxonomy)
    vectors = model.texts([text for texts in by_label for text in texts])
    ends = np.cumsum([len(texts) for texts in by_label])[:-1]
    means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


def zero_shot(photos: Vectors, labels: Vectors, scale: float) -> Floats:
    """Probability of every label for every photo, from words alone.

    Args:
        photos: P × D unit vectors.
        labels: C × D unit vectors of `prompt_vectors`.
        scale: of the model.

    Returns:
        P × C, rows sum to 1: softmax of scale × cosine (Radford et al. 2021, figure 3).

    O(P·C·D).
    """
    return _softmax(scale * (photos @ labels.T).astype(np.float64))


def neighbours(
    photos: Vectors, known: Vectors, codes: Ints, labels: int, *, k: int = 20, temperature: float = 0.07
) -> Floats:
    """Probability of every label for every photo, from the labelled photos that look most like it.

    Args:
        photos: P × D unit vectors.
        known: K × D unit vectors of labelled photos, of other landmarks than those of `photos`.
        codes: K label codes, 0 ≤ code < labels.
        labels: how many labels there are.
        k: neighbours that vote; all of `known` where it has fewer. Ties go to the earlier photo.
        temperature: a vote weighs exp(cosine / temperature) (Wu et al. 2018, arXiv 1805.01978, equation 5).

    Returns:
        P × labels; rows sum to 1.

    Raises:
        UsageError: nothing labelled, or vectors of another length.

    O(P·K·D) time, O(1024·K) memory.
    """
    if not len(known) or known.shape[1] != photos.shape[1]:
        raise UsageError(
            "neighbours need labelled photos of the same model",
            got=f"{known.shape} labelled against {photos.shape}",
            do="embed both with one model",
        )
    found = np.zeros((len(photos), labels))
    for start in range(0, len(photos), _ROWS):
        cosines = photos[start : start + _ROWS] @ known.T
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        votes = _softmax(np.take_along_axis(cosines, nearest, axis=1).astype(np.float64) / temperature)
        rows = start + np.arange(len(cosines))[:, None]
        np.add.at(found, (rows, codes[nearest]), votes)
    return found


def majority(probabilities: Floats, landmark: Ints, landmarks: int) -> Floats:
    """From photos to landmarks: every photo votes for its best label, and what it saw besides breaks ties.

    A landmark's photos show its interior, its visitors, the view from it; a vote each keeps a few of them, seen with
    great certainty, from deciding. The votes of n photos weigh n, the mean of their probabilities weighs 1.

    Args:
        probabilities: P × C, of photos.
        landmark: P row numbers of landmarks, 0 ≤ row < landmarks.
        landmarks: how many landmarks there are.

    Returns:
        landmarks × C; rows sum to 1, and are all zero for a landmark without photos.
    """
    count = np.bincount(landmark, minlength=landmarks).astype(np.float64)[:, None]
    votes = np.zeros((landmarks, probabilities.shape[1]))
    np.add.at(votes, (landmark, probabilities.argmax(axis=1)), 1.0)
    mean = np.zeros_like(votes)
    np.add.at(mean, landmark, probabilities)
    return (votes + mean / np.maximum(count, 1)) / np.where(count > 0, count + 1, 1)


def _photos(landmarks: Landmarks) -> tuple[Ints, Ints]:
    """The landmarks' photos one after the other, and the number of the landmark that each belongs to."""
    photos = np.array([row for rows in landmarks.photos for row in rows], dtype=np.int64)
    return photos, np.repeat(np.arange(len(landmarks.photos)), [len(rows) for rows in landmarks.photos])


def _by_landmark(asked: Landmarks, labels: int, tell: Callable[[Ints], Floats]) -> Floats:
    photos, owner = _photos(asked)
    told = tell(photos) if len(photos) else np.zeros((0, labels))
    return majority(told, owner, len(asked.names))


def _phrases(name: str, definition: str) -> Sequence[str]:
    """The label's name, and its name with how its definition begins."""
    plain = name.strip().replace(" / ", " or ")
    about = definition.split(":")[0].split(";")[0].strip().rstrip(".")
    return (plain, f"{plain}, {about[:1].lower()}{about[1:]}") if about else (plain,)


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
