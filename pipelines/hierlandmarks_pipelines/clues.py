"""Clues to a landmark's label: each learns from labelled landmarks to give every label a probability, or says nothing.

A clue is open to more: whatever can turn landmarks into rows of probabilities (photos, say) joins as a `Clue`, and
`learn.py` finds out how much it counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hierlandmarks_pipelines.encoders import Encoder, embed_texts
from hierlandmarks_pipelines.labelfiles import LABEL, Decision, Taxonomy
from hierlandmarks_pipelines.namefeatures import name_features
from hierlandmarks_pipelines.words import Words, fold, split_words

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LESSON = 0.3  # how much the name of a decided type counts beside the name of a labelled landmark
_WORDS_C, _WHOLE_C = 1.0, 20.0  # inverse strengths of the L2 penalties; chosen by cross-validation, flat around
_KNOWN, _MEANING = 0.5, 1.0  # weights of word features and of MiniLM beside n-grams of unit length
_STEPS = 30  # of L-BFGS; on GLDv2's names it is there after 25
_TEMPERATURE = 0.05  # of votes by cosine
_SMOOTH = 0.5  # added to every count of place words
_WORD = 0.3  # how much a known word counts beside the name of a labelled landmark where its letters are learnt
_MOST_LABELS = 3  # of a known word whose letters are learnt
_HELD = 10_000  # names whose features are remembered: those learnt from and a chunk of those asked about
_GRAMS = 0.02  # added to every weight of n-grams


@dataclass(frozen=True)
class Landmarks:
    """What clues may look at; sequences of equal length, "" where something is not known.

    Attributes:
        names: titles of the categories.
        types: names of types, such as GLDv2's supercategory.
        places: where they lie, in words.
        photos: rows of their photos in the gallery that clues of photos were made with; none for anyone by default.
    """

    names: Sequence[str]
    types: Sequence[str]
    places: Sequence[str]
    photos: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        if not len(self.photos):
            object.__setattr__(self, "photos", ((),) * len(self.names))

    def take(self, rows: Ints) -> Landmarks:
        """Some of them, in the order asked for."""
        names, types, places = ([column[i] for i in rows] for column in (self.names, self.types, self.places))
        return Landmarks(names, types, places, [self.photos[i] for i in rows])


Opinion = Callable[[Landmarks], Floats]  # N landmarks -> N × labels; a row sums to 1, or is 0 where nothing is said


@dataclass(frozen=True)
class Clue:
    """One way to tell labels.

    Attributes:
        about: what it looks at: name, type, place …; as `source` says it.
        learn: from labelled landmarks and their label codes to an opinion.
    """

    about: str
    learn: Callable[[Landmarks, Ints], Opinion]


@dataclass(frozen=True)
class Lessons:
    """Names of which a person or the taxonomy says the label: decided types, the labels themselves, known words.

    Attributes:
        names: what is named.
        codes: the label of each.
        weights: how much each counts beside the name of a labelled landmark.
    """

    names: tuple[str, ...]
    codes: tuple[int, ...]
    weights: tuple[float, ...]

    def __add__(self, other: Lessons) -> Lessons:
        return Lessons(self.names + other.names, self.codes + other.codes, self.weights + other.weights)


def lessons(taxonomy: Taxonomy, decisions: Iterable[Decision]) -> Lessons:
    """What decisions and taxonomy teach, in the order of the label codes (`taxonomy.labels`)."""
    code = {label.label_id: i for i, label in enumerate(taxonomy.labels)}
    pairs = [(label.label.strip(), i) for i, label in enumerate(taxonomy.labels)]
    pairs += [(d.type, code[d.label_id]) for d in decisions if d.action == LABEL and split_words(d.type)]
    names, codes = zip(*sorted(pairs), strict=True)
    return Lessons(names, codes, (_LESSON,) * len(names))


def word_lessons(taxonomy: Taxonomy, words: Words) -> Lessons:
    """What known words teach: each the labels it stands for, in equal parts, unless they are many."""
    code = {label.label_id: i for i, label in enumerate(taxonomy.labels)}
    taught = [
        (entry.text, code[label_id], _WORD / len(entry.label_ids))
        for entries in words.entries.values()
        for entry in entries.values()
        if len(entry.label_ids) <= _MOST_LABELS
        for label_id in entry.label_ids
    ]
    names, codes, weights = zip(*sorted(taught), strict=True) if taught else ((), (), ())
    return Lessons(names, codes, weights)


def known_words(words: Words, taught: Lessons, labels: int) -> Clue:
    """What words of the name are known to stand for, and which words stand in labelled names: `name_features`."""

    def learn(landmarks: Landmarks, codes: Ints) -> Opinion:
        from sklearn.feature_extraction import DictVectorizer

        texts, targets, weights = _with_lessons(landmarks.names, codes, taught)
        vectorizer = DictVectorizer()
        model = _logistic(vectorizer.fit_transform(_features(texts, words)), targets, weights, _WORDS_C)
        return lambda asked: _predict(model, vectorizer.transform(_features(asked.names, words)), labels)

    return Clue("name", learn)


def whole_name(words: Words, encoder: Encoder, taught: Lessons, labels: int) -> Clue:
    """Known words, character n-grams and the text embedding of the name, side by side."""
    return Clue("name", _whole(words, encoder, taught, labels))


def whole_type(words: Words, encoder: Encoder, taught: Lessons, labels: int) -> Clue:
    """The same model asked about the name of the landmark's type; nothing where there is none.

    It is learnt when first asked about a type, so that landmarks without types do not pay for it.
    """
    learn_names = _whole(words, encoder, taught, labels)

    def learn(landmarks: Landmarks, codes: Ints) -> Opinion:
        by_name = cache(lambda: learn_names(landmarks, codes))

        def opinion(asked: Landmarks) -> Floats:
            known = np.array([bool(split_words(text)) for text in asked.types])
            found = np.zeros((len(known), labels))
            if known.any():
                named = asked.take(np.flatnonzero(known))
                found[known] = by_name()(replace(named, names=named.types))
            return found

        return opinion

    return Clue("type", learn)


def neighbours(encoder: Encoder, taught: Lessons, labels: int) -> Clue:
    """Labelled names and types near in the text embedding; a vote weighs exp(cosine / temperature)."""

    def learn(landmarks: Landmarks, codes: Ints) -> Opinion:
        texts, targets, weights = _with_lessons(landmarks.names, codes, taught)
        known = embed_texts(texts, encoder)
        votes = np.zeros((len(texts), labels))
        votes[np.arange(len(texts)), targets] = weights

        def opinion(asked: Landmarks) -> Floats:
            cosines = (embed_texts(asked.names, encoder) @ known.T).astype(np.float64)
            found = np.exp((cosines - 1) / _TEMPERATURE) @ votes
            return np.asarray(found / found.sum(axis=1, keepdims=True))

        return opinion

    return Clue("name", learn)


def letters(taught: Lessons, labels: int) -> Clue:
    """Character n-grams of the name, by multinomial naive Bayes on their tf-idf (Rennie et al. 2003, section 4)."""

    def learn(landmarks: Landmarks, codes: Ints) -> Opinion:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.naive_bayes import MultinomialNB

        texts, targets, weights = _with_lessons(landmarks.names, codes, taught)
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2, preprocessor=fold)
        model = MultinomialNB(alpha=_GRAMS).fit(grams.fit_transform(texts), targets, sample_weight=weights)
        return lambda asked: _predict(model, grams.transform(asked.names), labels)

    return Clue("name", learn)


def place_words(labels: int) -> Clue:
    """The words of the place (district, region, country), by naive Bayes; nothing where no place is known."""

    def learn(landmarks: Landmarks, codes: Ints) -> Opinion:
        from sklearn.feature_extraction.text import CountVectorizer

        known = [i for i, text in enumerate(landmarks.places) if split_words(text)]
        if not known:
            return lambda asked: np.zeros((len(asked.places), labels))
        counter = CountVectorizer(analyzer=lambda text: sorted(set(split_words(text))))
        present = counter.fit_transform([landmarks.places[i] for i in known])
        belongs = np.eye(labels)[codes[known]]
        counts = np.asarray((present.T @ belongs).T) + _SMOOTH
        log_p = np.log(counts / (belongs.sum(axis=0)[:, None] + 2 * _SMOOTH))
        prior = np.log(belongs.sum(axis=0) + _SMOOTH)

        def opinion(asked: Landmarks) -> Floats:
            words = counter.transform(asked.places)
            scores = np.asarray(words @ log_p.T) + prior
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            return np.asarray(np.where(words.sum(axis=1) > 0, shares / shares.sum(axis=1, keepdims=True), 0.0))

        return opinion

    return Clue("place", learn)


def _whole(words: Words, encoder: Encoder, taught: Lessons, labels: int) -> Callable[[Landmarks, Ints], Opinion]:
    def learn(landmarks: Landmarks, codes: Ints) -> Opinion:
        from scipy.sparse import csr_matrix, hstack
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts, targets, weights = _with_lessons(landmarks.names, codes, taught)
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2, preprocessor=fold)
        known = DictVectorizer()
        grams.fit(texts)
        known.fit(_features(texts, words))

        def matrix(names: Sequence[str]) -> Any:
            meaning = csr_matrix(_MEANING * embed_texts(names, encoder).astype(np.float64))
            parts = (grams.transform(names), _KNOWN * known.transform(_features(names, words)), meaning)
            return hstack(parts, format="csr")

        model = _logistic(matrix(texts), targets, weights, _WHOLE_C)
        return lambda asked: _predict(model, matrix(asked.names), labels)

    return learn


def _features(names: Iterable[str], words: Words) -> list[dict[str, float]]:
    return [_remembered(name, words) for name in names]


# Several clues, and every fold, ask for the same names one after another. A few thousand names at most are held.
_remembered = lru_cache(maxsize=_HELD)(name_features)


def _with_lessons(names: Sequence[str], codes: Ints, taught: Lessons) -> tuple[list[str], Ints, Floats]:
    """Names to learn from with their codes and weights: labelled landmarks, then lessons."""
    weights = np.concatenate([np.ones(len(names)), np.array(taught.weights)])
    return [*names, *taught.names], np.concatenate([codes, np.array(taught.codes, dtype=np.int64)]), weights


def _logistic(matrix: Any, codes: Ints, weights: Floats, strength: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():  # names that take longer are stopped on purpose: what is left to gain is little
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=_STEPS, tol=1e-3).fit(matrix, codes, sample_weight=weights)


def _predict(model: Any, matrix: Any, labels: int) -> Floats:
    found = np.zeros((matrix.shape[0], labels))
    found[:, model.classes_] = model.predict_proba(matrix)
    return found
