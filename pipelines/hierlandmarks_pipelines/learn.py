"""Labelled landmarks to an assigner: clues learnt, weighed against each other and calibrated on answers held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hierlandmarks.errors import UsageError
from hierlandmarks_pipelines.blend import Blend, learn_blend, opinion
from hierlandmarks_pipelines.clues import (
    Clue,
    Floats,
    Ints,
    Landmarks,
    Opinion,
    known_words,
    lessons,
    letters,
    neighbours,
    place_words,
    whole_name,
    whole_type,
    word_lessons,
)
from hierlandmarks_pipelines.encoders import Encoder
from hierlandmarks_pipelines.labelfiles import Decision, Taxonomy
from hierlandmarks_pipelines.sharedwords import shared_words
from hierlandmarks_pipelines.trust import Trust, learn_trust
from hierlandmarks_pipelines.words import Words

FOLDS = 5
_CHUNK = 2_000  # landmarks asked about at a time, which bounds memory: each meets every name learnt from


@dataclass(frozen=True)
class Answers:
    """Probabilities of every label for N landmarks.

    Attributes:
        probabilities: N × L; rows sum to 1.
        sources: what spoke about each landmark: `name`, `name+type` …
        confidence: N; how likely the likeliest label is right, which the probabilities alone overrate.
    """

    probabilities: Floats
    sources: Sequence[str]
    confidence: Floats

    @property
    def order(self) -> Ints:
        """N × L label codes, likeliest first; equals in the order of codes."""
        return np.argsort(-self.probabilities, axis=1, kind="stable")


@dataclass(frozen=True)
class Assigner:
    """What was learnt.

    Attributes:
        abouts: what each clue looks at.
        opinions: the clues, learnt on all labelled landmarks.
        blend: how they are put together.
        frequencies: how often each label was seen in learning, L numbers.
        trust: how likely an answer is right, learnt from those held out.
        held_out: cross-validated answers about the landmarks learnt from: no part that answers saw the landmark.
        held_out_confidence: the same of their confidences, N.
    """

    abouts: tuple[str, ...]
    opinions: tuple[Opinion, ...]
    blend: Blend
    frequencies: Ints
    trust: Trust
    held_out: Floats
    held_out_confidence: Floats

    def ask(self, landmarks: Landmarks) -> Answers:
        """Probabilities for landmarks; linear in them, in chunks."""
        chunks, sure, sources = [], [np.zeros(0)], list[str]()
        for start in range(0, len(landmarks.names), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(landmarks.names)))
            some = landmarks.take(rows)
            said = np.stack([ask(some) for ask in self.opinions])
            heard = opinion(said)
            chunks.append(self.blend.probabilities(heard))
            sure.append(self.trust(chunks[-1], heard))
            sources += self._sources(said)
        labels = len(self.frequencies)
        return Answers(np.concatenate(chunks) if chunks else np.zeros((0, labels)), sources, np.concatenate(sure))

    def _sources(self, said: Floats) -> list[str]:
        spoke = np.asarray(said.any(axis=2))
        return [
            "+".join(dict.fromkeys(about for about, yes in zip(self.abouts, column, strict=True) if yes))
            for column in spoke.T.tolist()
        ]


def default_clues(
    taxonomy: Taxonomy, decisions: Sequence[Decision], words: Words, encoder: Encoder
) -> tuple[Clue, ...]:
    """The clues of names, types and places; what people decided about types is taught to all that read names."""
    told, labels = words, len(taxonomy.labels)
    words, taught = told.with_types(decisions), lessons(taxonomy, decisions)
    return (
        known_words(words, taught, labels),
        shared_words(words, [label.label_id for label in taxonomy.labels]),
        whole_name(words, encoder, taught, labels),
        letters(taught + word_lessons(taxonomy, told), labels),
        neighbours(encoder, taught, labels),
        whole_type(words, encoder, taught, labels),
        place_words(labels),
    )


def learn(landmarks: Landmarks, codes: Ints, labels: int, clues: Sequence[Clue], *, seed: int = 0) -> Assigner:
    """Learn every clue, and how to put them together, from labelled landmarks.

    Clues are learnt on four fifths and asked about the last fifth, in turns; the blend is learnt on those answers,
    and once more leaving out the fifth it answers about, for `held_out`, on which trust is learnt in the same way. Then
    every clue is learnt on all.

    Args:
        landmarks: N of them.
        codes: N label codes, 0 ≤ code < labels.
        labels: how many labels there are.
        clues: what to ask.
        seed: of the folds.

    Raises:
        UsageError: fewer landmarks than folds.

    Equal input gives equal answers. FOLDS + 1 times the cost of learning the clues once.
    """
    import sklearn.linear_model  # noqa: F401  # brings the BLAS along that is limited here
    from threadpoolctl import threadpool_limits

    # Products here are small and many: a BLAS of several threads spends more on waking them than it saves.
    with threadpool_limits(1, user_api="blas"):
        return _learn(landmarks, codes, labels, clues, seed)


def _learn(landmarks: Landmarks, codes: Ints, labels: int, clues: Sequence[Clue], seed: int) -> Assigner:
    if len(codes) < FOLDS:
        raise UsageError("too few labelled landmarks to learn from", got=len(codes), expected=f"{FOLDS} or more")
    fold = _folds(codes, seed)
    said = np.zeros((len(clues), len(codes), labels))
    for number in range(FOLDS):
        kept, left = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for row, clue in zip(said, clues, strict=True):
            row[left] = clue.learn(landmarks.take(kept), codes[kept])(landmarks.take(left))
    heard = opinion(said)
    held_out = np.zeros((len(codes), labels))
    for number in range(FOLDS):
        kept, left = fold != number, fold == number
        held_out[left] = learn_blend(heard[:, kept], codes[kept]).probabilities(heard[:, left])
    right = held_out.argmax(axis=1) == codes
    sure = np.zeros(len(codes))
    for number in range(FOLDS):
        kept, left = fold != number, fold == number
        sure[left] = learn_trust(held_out[kept], heard[:, kept], right[kept])(held_out[left], heard[:, left])
    return Assigner(
        abouts=tuple(clue.about for clue in clues),
        opinions=tuple(clue.learn(landmarks, codes) for clue in clues),
        blend=learn_blend(heard, codes),
        frequencies=np.bincount(codes, minlength=labels),
        trust=learn_trust(held_out, heard, right),
        held_out=held_out,
        held_out_confidence=sure,
    )


def with_frequencies(assigner: Assigner, wanted: npt.NDArray[np.int64]) -> Assigner:
    """The assigner for landmarks whose labels are otherwise frequent than where it learnt.

    Bayes' rule: every label's odds are multiplied by the ratio of its frequencies there and here (Saerens et al.
    2002, doi 10.1162/089976602753284446, equation 2.4); half a landmark is added to each count.

    Args:
        wanted: how often each label occurs there, L numbers in the order of the label codes.
    """
    shares = [(counts + 0.5) / (counts + 0.5).sum() for counts in (wanted, assigner.frequencies)]
    offsets = assigner.blend.offsets + np.log(shares[0] / shares[1])
    return replace(assigner, blend=replace(assigner.blend, offsets=offsets))


def _folds(codes: Ints, seed: int) -> Ints:
    """A fold for every landmark, each label spread over all folds."""
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    fold = np.empty(len(codes), dtype=np.int64)
    fold[order] = np.arange(len(codes)) % FOLDS
    return fold
