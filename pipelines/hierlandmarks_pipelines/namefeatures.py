"""A landmark's name as features: its words, what they are known to stand for, and where in the name they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from hierlandmarks_pipelines.words import PREFIX, SUFFIX, Hit, Words, split_words

NOTE, REST = "note", "rest"  # places outside the body of a name
WITHIN = " within a word"  # follows the place of a prefix or suffix

_NOTE = re.compile(r"\(([^()]*)\)")
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
# Words between a head and what it belongs to: `Museum of Flight`, `Torre dei Lamberti`, `Burg am Rhein`.
# fmt: off
_LINKS = frozenset((
    "of", "de", "del", "della", "dei", "degli", "delle", "dello", "du", "des", "da", "do", "das", "dos",
    "di", "van", "von", "in", "im", "am", "an", "at", "na", "w", "v", "en", "zu", "zum", "zur", "d", "dell",
    "bei", "sur", "near", "on",
))
# fmt: on
_ROOT = 0.5  # a word of n labels counts n ** -_ROOT for each of them
_MOST_WORDS, _MOST_LANGUAGES = 5, 3

Feature = tuple[str, float]


def name_features(name: str, words: Words) -> dict[str, float]:
    """Features of a name, each with a weight in 0..1; one that is found twice has its greatest weight.

    A name has a body, and may have a note in parentheses and a rest after a comma (`Bell Tower (Xi'an), China`).
    Words of the body are told apart by place: alone, first, last, closing the part before a link word, at the very
    end, or in between; those of note and rest by where they are. Labels that words of different languages share are
    one feature, so what is learnt about `bridge` holds for `most`.

    Args:
        name: of a landmark or of a type, in any language.
        words: the known words.

    Linear in the name's length.
    """
    note, body, comma, rest = _parts(name)
    found: dict[str, float] = {}
    for part, text in ((NOTE, note), (REST, rest)):
        for hit in words.find(split_words(text)):
            _keep(found, _of_hit(hit, part))
    _keep(found, _of_body(split_words(body), words))
    _keep(found, [("has note", 0.5)] if _NOTE.search(name) else [])
    _keep(found, [("has year", 1.0)] if _YEAR.search(note) else [])
    _keep(found, [("has rest", 0.5)] if comma else [])
    return found


def placed_words(name: str, words: Words) -> list[tuple[Hit, str]]:
    """The known words of a name, each with where it stands: a place in the body, NOTE or REST; see `name_features`.

    >>> from hierlandmarks_pipelines.words import WORD, Entry
    >>> bridge = Entry("bridge", WORD, ("hl:bridge",), ("en",))
    >>> [(hit.entry.text, place) for hit, place in placed_words("Old Bridge (bridge)", Words({
    ...     "word": {"bridge": bridge}, "prefix": {}, "suffix": {}, "phrase": {}}))]
    [('bridge', 'last'), ('bridge', 'note')]
    """
    note, text, _, rest = _parts(name)
    body = split_words(text)
    head = _head(body)
    placed = [(hit, _place(hit, head, len(body))) for hit in words.find(body)]
    return placed + [
        (hit, part) for part, text in ((NOTE, note), (REST, rest)) for hit in words.find(split_words(text))
    ]


def _parts(name: str) -> tuple[str, str, str, str]:
    """A name's note, body, the comma after it and the rest behind that, "" where it has none."""
    note = _NOTE.search(name)
    return (note[1] if note else "", *_NOTE.sub(" ", name).partition(","))


def _head(body: Sequence[str]) -> int:
    """How many words of the body come before the first that links."""
    return next((i for i, word in enumerate(body) if word in _LINKS and i), len(body))


def _keep(found: dict[str, float], features: Sequence[Feature] | Iterator[Feature]) -> None:
    for feature, weight in features:
        found[feature] = max(weight, found.get(feature, 0.0))


def _of_body(body: Sequence[str], words: Words) -> Iterator[Feature]:
    hits = words.find(body)
    head = _head(body)
    for hit in hits:
        yield from _of_hit(hit, _place(hit, head, len(body)))
        yield from ((f"language {code}", 0.3) for code in hit.entry.languages[:_MOST_LANGUAGES])
    before_link = [hit for hit in hits if hit.end <= head]
    for which, chosen in (("first", hits[:1]), ("final", hits[-1:]), ("head", before_link[-1:])):
        for hit in chosen:
            yield from ((f"{which} {label}", weight) for label, weight in _shares(hit))
    if not hits:
        yield "no known word", 1.0
    yield f"{min(len(body), _MOST_WORDS)} words", 0.5
    yield from ((f"word {word}", 1.0) for word in body)
    yield from ((f"words {one} {other}", 0.5) for one, other in pairwise(body))
    if body:
        yield f"opens {body[0]}", 0.7
        yield f"closes {body[-1]}", 0.7


def _place(hit: Hit, head: int, size: int) -> str:
    """Where in the body of a name a word stands."""
    place = "amid"
    if hit.start == 0:
        place = "alone" if hit.end == size else "first"
    elif hit.end == head:
        place = "last" if head == size else "before link"
    elif hit.end == size:
        place = "end"
    return place + (WITHIN if hit.entry.kind in (PREFIX, SUFFIX) else "")


def _of_hit(hit: Hit, place: str) -> Iterator[Feature]:
    yield f"meaning {'+'.join(hit.entry.label_ids)} {place.partition(' ')[0]}", 1.0
    yield f"known {hit.entry.text}", 1.0
    yield f"known {hit.entry.text} {place}", 0.5
    for label, weight in _shares(hit):
        yield f"{label} {place}", weight
        yield label, weight


def _shares(hit: Hit) -> list[tuple[str, float]]:
    weight = len(hit.entry.label_ids) ** -_ROOT
    return [(label, weight) for label in hit.entry.label_ids]
