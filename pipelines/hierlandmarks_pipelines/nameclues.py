"""What a landmark's name says about its label: the words of labels and of decided types, at either end of the name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from hierlandmarks_pipelines.labelfiles import DROP, Decision, Taxonomy

# Shares of right labels among labelled landmarks of GLDv2 (train) whose name has such a clue, rounded down; measured on
# 6,102 landmarks, balanced over the labels. English words only.
NOTE, END, START = 0.95, 0.85, 0.8
# Words that name more than one label, right in less than half of those landmarks.
DOUBTFUL = frozenset({"abbey", "basin", "city", "estate", "monument", "tower", "town", "village"})

_NOTE = re.compile(r"\(([^()]*)\)\s*$")
_DATED = re.compile(r"([^,]*), (?:1[5-9]|20)\d\d")  # the note of ships on Commons: (ship, 1897)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LONGEST = 5  # words of the longest phrase looked for


@dataclass(frozen=True)
class Clue:
    """A label that a name suggests: the words that do, where they stand, and how sure that is (0..1)."""

    label_id: str
    words: str
    place: str
    confidence: float


def lexicon(taxonomy: Taxonomy, decisions: Iterable[Decision]) -> dict[str, str]:
    """Phrases and what they stand for: names of labels and of decided types, to a label id or `drop`.

    >>> from hierlandmarks_pipelines.labelfiles import Label
    >>> church = Label("hl:church", "church", "human-made", "", "")
    >>> lexicon(Taxonomy((church,)), [Decision("hl:chapel", "chapel", "label", "hl:church", "church", "", "", "")])
    {'chapel': 'hl:church', 'church': 'hl:church'}
    """
    phrases = {phrase(d.type): d.label_id or DROP for d in decisions}
    for label in taxonomy.labels:
        for part in label.label.split("/"):
            phrases[phrase(part)] = label.label_id
    return {words: target for words, target in phrases.items() if words and words not in DOUBTFUL}


def phrase(text: str) -> str:
    """A text as its words in lower case.

    >>> phrase("Washington  state-park")
    'washington state park'
    """
    return " ".join(_WORD.findall(text.casefold()))


def find_clue(name: str, phrases: Mapping[str, str]) -> Clue | None:
    """The label a landmark's name suggests.

    A note with a year in parentheses at the end comes first (`Wawona (ship, 1897)`), then the last words of the name
    without any note (`Fremont Bridge (Seattle)`; before "of", if it has one: `Museum of Flight`), then its first word
    (`Lake Chelan`). The longest phrase wins. Words decided to mean nothing (`Historic District`) end the search, and
    an address (`970 Denny`) says nothing.

    Args:
        name: as in `schema.CATEGORIES`; percent-encoded characters are read, too.
        phrases: from `lexicon`.

    Returns:
        The clue, or None.

    >>> find_clue("Fremont Bridge (Seattle)", {"bridge": "hl:bridge"})
    Clue(label_id='hl:bridge', words='bridge', place='at the end', confidence=0.85)
    """
    name = unquote(name)
    note = _NOTE.search(name)
    if note and (dated := _DATED.match(note[1])) and (found := _at_end(phrase(dated[1]), phrases)):
        return _clue(found, phrases, "in parentheses", NOTE)
    head, of, _ = phrase(_NOTE.sub("", name).partition(",")[0]).partition(" of ")
    if head.partition(" ")[0].isdigit():
        return None
    if found := _at_end(head, phrases):
        return _clue(found, phrases, "at the end", END)
    first = head.partition(" ")[0]
    return _clue(first, phrases, "at the beginning", START) if first in phrases and not of else None


def _at_end(words: str, phrases: Mapping[str, str]) -> str:
    """The longest phrase that ends the words, also in the plural; "" if none does."""
    parts = words.split()[-_LONGEST:]
    tails = (" ".join(parts[i:]) for i in range(len(parts)))
    return next((form for tail in tails for form in (tail, tail.removesuffix("s")) if form in phrases), "")


def _clue(words: str, phrases: Mapping[str, str], place: str, confidence: float) -> Clue | None:
    target = phrases[words]
    return None if target == DROP else Clue(target, words, place, confidence)
