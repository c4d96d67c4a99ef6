"""Known words of a name, weighed alike for every label: that the last word means a label is worth what it is worth.

A label with few landmarks to learn from so has the benefit of all others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hierlandmarks_pipelines.blend import log_softmax
from hierlandmarks_pipelines.clues import Clue, Floats, Ints, Landmarks, Opinion
from hierlandmarks_pipelines.namefeatures import NOTE, REST, WITHIN, placed_words
from hierlandmarks_pipelines.words import Words

# Languages in which the word for what a thing is comes first: Lac Léman, Loch Ness, Gunung Bromo, Wat Arun.
# fmt: off
_HEAD_FIRST = frozenset((
    "ar", "br", "ca", "co", "cy", "el", "es", "eu", "fa", "fr", "fur", "ga", "gd", "gl", "gv", "he", "id", "it", "km",
    "kw", "la", "lij", "lo", "ms", "mt", "oc", "pms", "pt", "rm", "ro", "sc", "scn", "th", "tl", "vec", "vi",
))
# fmt: on
_OUTSIDE, _AT_HEAD = frozenset((NOTE, REST)), frozenset(("alone", "first", "last", "before link"))
_ROOT = 0.5  # a word of n labels counts n ** -_ROOT for each of them
_BEFORE = 4.0  # landmarks that a word's own meaning counts for, beside those that were labelled
_TRUE_INSIDE, _TRUE_OUTSIDE = 0.5, 0.2  # how often words mean what they say, before any landmark was seen
_PULL = 1.0  # strength of the pull of weights to 0, and of offsets to the labels' frequencies
_STEPS = 200  # of L-BFGS


@dataclass(frozen=True)
class _Said:
    """A known word of a name: its text, where it stands, and what it may mean.

    Attributes:
        text: of the entry.
        place: in the name, "within a word" left out.
        within: whether it is part of a word.
        phrase: whether it is several words.
        head_first: whether it belongs to a language in which the head of a name comes first, and not to English.
        codes: label codes it may stand for.
    """

    text: str
    place: str
    within: bool
    phrase: bool
    head_first: bool
    codes: tuple[int, ...]

    @property
    def inside(self) -> bool:
        """Whether it stands in the body of the name."""
        return self.place not in _OUTSIDE


Reading = Sequence[_Said]
Cell = tuple[int, str]  # label code and feature


class _Records:
    """How often a word at a place was met, and with which labels."""

    def __init__(self, readings: Sequence[Reading], codes: Ints) -> None:
        self.met: Counter[tuple[str, str]] = Counter()
        self.true: Counter[tuple[str, str, int]] = Counter()
        for reading, code in zip(readings, codes.tolist(), strict=True):
            for key in {(said.text, said.place) for said in reading}:
                self.met[key] += 1
                self.true[*key, code] += 1

    def worth(self, said: _Said, label: int, own: int | None) -> float:
        """Logarithm of how much oftener than expected the word was true; `own` is the label of a landmark left out."""
        before = (_TRUE_INSIDE if said.inside else _TRUE_OUTSIDE) / len(said.codes)
        met, true = self.met[said.text, said.place], self.true[said.text, said.place, label]
        if own is not None:
            met, true = met - 1, true - (own == label)
        return float(np.log((true + _BEFORE * before) / (met + _BEFORE)) - np.log(before))


def shared_words(words: Words, label_ids: Sequence[str]) -> Clue:
    """What known words say, by a conditional logit (McFadden 1974) whose weights are the same for all labels.

    A label's score is the sum of the weights of its features, and an offset of its own: where in the name words stand
    that mean it, whether they mean other labels as well, whether other words mean others, whether the language puts
    its heads first or last, and how often the word was true of labelled landmarks (the one it speaks about left out).

    Args:
        words: the known words.
        label_ids: of the labels, in the order of their codes.
    """
    code = {label_id: i for i, label_id in enumerate(label_ids)}

    def read(name: str) -> Reading:
        return [
            _Said(
                text=hit.entry.text,
                place=place.removesuffix(WITHIN),
                within=place.endswith(WITHIN),
                phrase=hit.end - hit.start > 1,
                head_first="en" not in hit.entry.languages and not _HEAD_FIRST.isdisjoint(hit.entry.languages),
                codes=tuple(code[label_id] for label_id in hit.entry.label_ids),
            )
            for hit, place in placed_words(name, words)
        ]

    def learn(landmarks: Landmarks, codes: Ints) -> Opinion:
        readings = [read(name) for name in landmarks.names]
        records = _Records(readings, codes)
        cells = [_cells(reading, records, own) for reading, own in zip(readings, codes.tolist(), strict=True)]
        place = {feature: i for i, feature in enumerate(sorted({feature for row in cells for _, feature in row}))}
        weights, offsets = _fit(_matrix(cells, place, len(code)), codes, len(code))

        def opinion(asked: Landmarks) -> Floats:
            cells = [_cells(read(name), records, None) for name in asked.names]
            scores = (_matrix(cells, place, len(code)) @ weights).reshape(len(cells), len(code)) + offsets
            return np.exp(log_softmax(scores))

        return opinion

    return Clue("name", learn)


def _cells(reading: Reading, records: _Records, own: int | None) -> dict[Cell, float]:
    """Features of the labels that a name's words mean; of several values the one farthest from 0."""
    meant = {code for said in reading if said.inside for code in said.codes}
    found: dict[Cell, float] = defaultdict(float)
    for said in reading:
        for feature, value in _features(said, len(meant)):
            for code in said.codes:
                found[code, feature] = max(value, found[code, feature])
        kind = ("at the head" if said.place in _AT_HEAD else "elsewhere") if said.inside else "outside"
        for code in said.codes:
            found[code, f"record {kind}"] = max(records.worth(said, code, own), found[code, f"record {kind}"], key=abs)
    return found


def _features(said: _Said, meant: int) -> Iterator[tuple[str, float]]:
    share = len(said.codes) ** -_ROOT
    place = said.place + (WITHIN if said.within else "")
    yield f"{place}, {'alone' if len(said.codes) == 1 else 'with others'}", share
    yield f"{said.place}, heads {'first' if said.head_first else 'last'}", share
    if said.inside:
        yield "meant", 1.0
        if meant == 1:
            yield "nothing else meant", 1.0
        if said.phrase:
            yield "phrase", share


def _matrix(cells: Sequence[Mapping[Cell, float]], place: Mapping[str, int], labels: int) -> Any:
    """(N · labels) × features, sparse; features that were not learnt are left out."""
    from scipy.sparse import csr_matrix

    known = [
        (row * labels + code, place[feature], value)
        for row, found in enumerate(cells)
        for (code, feature), value in found.items()
        if feature in place
    ]
    rows, columns, values = zip(*known, strict=True) if known else ((), (), ())
    return csr_matrix((np.array(values, float), (rows, columns)), shape=(len(cells) * labels, len(place)))


def _fit(matrix: Any, codes: Ints, labels: int) -> tuple[Floats, Floats]:
    """Weights of features and offsets of labels under which the labels learnt from are likeliest."""
    from scipy.optimize import minimize

    count, features = len(codes), matrix.shape[1]
    usual = np.log(np.bincount(codes, minlength=labels) + 0.5)

    def loss(point: Floats) -> tuple[float, Floats]:
        weights, offsets = point[:features], point[features:]
        log_p = log_softmax((matrix @ weights).reshape(count, labels) + offsets)
        error = np.exp(log_p)
        error[np.arange(count), codes] -= 1
        away = offsets - usual
        value = -log_p[np.arange(count), codes].sum() + _PULL * (weights @ weights + away @ away) / 2
        return float(value), np.concatenate([matrix.T @ error.ravel() + _PULL * weights, error.sum(0) + _PULL * away])

    start = np.concatenate([np.zeros(features), usual])
    best: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return best[:features], best[features:]
