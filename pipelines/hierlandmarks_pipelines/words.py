"""The words of `labels/words.csv`, which say in many languages what a place is: read, checked, found in names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hierlandmarks.errors import TableError
from hierlandmarks.tables import read_csv
from hierlandmarks_pipelines.labelfiles import LABEL, Decision, Taxonomy, labels_folder

COLUMNS = ("word", "kind", "language", "label", "note")
WORD, PREFIX, SUFFIX, PHRASE = KINDS = ("word", "prefix", "suffix", "phrase")

_ACCENTS = re.compile("[\u0300-\u036f]")
_PLAIN = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
# Letters and digits, and the vowel signs of scripts that write them as marks, which \w does not take for letters.
_RUN = re.compile("(?:[^\\W_]|[\u0591-\u05c7\u064b-\u065f\u0900-\u0dff\u0e00-\u0eff])+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # Thai, Lao, kana, Han, hangul
_LANGUAGES = re.compile(r"[a-z]{2,3}(-[a-z]+)?( [a-z]{2,3}(-[a-z]+)?)*")
_LONGEST = 6  # characters of a word looked for within text that is written without spaces
_STEM = 2  # letters that must stand beside a prefix or suffix


@dataclass(frozen=True)
class Entry:
    """A word, all labels it may stand for, and the languages it belongs to.

    Attributes:
        text: the word as `split_words` gives it, its words joined by spaces.
        kind: one of `KINDS`.
        label_ids: sorted; several where the word alone does not tell (`tower`).
        languages: sorted codes.
    """

    text: str
    kind: str
    label_ids: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Hit:
    """An entry found in the words of a text, from word `start` up to before `end`."""

    entry: Entry
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Words:
    """All entries, by kind and text; equal to itself only, so that what is found with it can be remembered.

    Attributes:
        entries: by kind, then by text.
    """

    entries: Mapping[str, Mapping[str, Entry]]

    def with_types(self, decisions: Iterable[Decision]) -> Words:
        """These and the names of decided types, where their words are not among them already."""
        entries = {kind: dict(known) for kind, known in self.entries.items()}
        for decision in decisions:
            words = split_words(decision.type)
            if decision.action == LABEL and words:
                kind = PHRASE if len(words) > 1 else WORD
                text = " ".join(words)
                entries[kind].setdefault(text, Entry(text, kind, (decision.label_id,), ("en",)))
        return Words(entries)

    @cached_property
    def _longest_phrase(self) -> int:
        return max((text.count(" ") + 1 for text in self.entries[PHRASE]), default=0)

    @cached_property
    def _longest_affix(self) -> int:
        return max((len(text) for kind in (PREFIX, SUFFIX) for text in self.entries[kind]), default=0)

    def find(self, words: Sequence[str]) -> list[Hit]:
        """What the words of a text are known to stand for, in their order.

        At each place the longest phrase wins over a word, a word (also in an English, Romance or Dutch plural) over a
        suffix, and a longer suffix over a shorter one; a prefix is asked where nothing else is found. In scripts
        written without spaces every known word within a run of letters counts, longest first.

        Args:
            words: as `split_words` gives them.

        Linear in the words.
        """
        return list(self._find(words))

    def _find(self, words: Sequence[str]) -> Iterator[Hit]:
        start = 0
        while start < len(words):
            end = self._phrase_end(words, start)
            if end:
                yield Hit(self.entries[PHRASE][" ".join(words[start:end])], start, end)
                start = end
                continue
            for entry in self._known(words[start]):
                yield Hit(entry, start, start + 1)
            start += 1

    def _phrase_end(self, words: Sequence[str], start: int) -> int:
        """Where the longest phrase from `start` ends, 0 if there is none."""
        for end in range(min(start + self._longest_phrase, len(words)), start + 1, -1):
            if " ".join(words[start:end]) in self.entries[PHRASE]:
                return end
        return 0

    def _known(self, word: str) -> list[Entry]:
        if _UNSPACED.search(word):
            return self._within(word)
        whole = self.entries[WORD].get(word) or self.entries[WORD].get(word.removesuffix("s"))
        if whole:
            return [whole]
        size = min(self._longest_affix, len(word) - _STEM)
        for length in range(size, 0, -1):
            if entry := self.entries[SUFFIX].get(word[-length:]):
                return [entry]
        for length in range(size, 0, -1):
            if entry := self.entries[PREFIX].get(word[:length]):
                return [entry]
        return []

    def _within(self, word: str) -> list[Entry]:
        found, end = list[Entry](), len(word)
        while end:
            for length in range(min(_LONGEST, end), 0, -1):
                part = word[end - length : end]
                if entry := self.entries[WORD].get(part) or (
                    self.entries[SUFFIX].get(part) if end == len(word) > length else None
                ):
                    found.append(entry)
                    end -= length - 1
                    break
            end -= 1
        return found[::-1]


def fold(text: str) -> str:
    """A text in lower case without the accents of alphabets that use them as decoration.

    >>> fold("Église Saint-Étienne, Straße, Łódź")
    'eglise saint-etienne, strasse, lodz'
    """
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN)))
    return unicodedata.normalize("NFC", plain)


def split_words(text: str) -> list[str]:
    """The words of a text, folded; hyphens and apostrophes part words.

    >>> split_words("Kōzan-ji (Kyoto), l'Église")
    ['kozan', 'ji', 'kyoto', 'l', 'eglise']
    """
    return _RUN.findall(fold(text))


def words_file(labels: Path | None) -> Path:
    """Path of words.csv in a labels folder, the bundled one when None."""
    return labels_folder(labels) / "words.csv"


def read_words(path: Path, taxonomy: Taxonomy) -> Words:
    """Read and check `words.csv`; a word that stands there with several labels becomes one entry with all of them.

    Args:
        path: the file.
        taxonomy: the labels that may be named, by id or name.

    Raises:
        MissingDataError: there is no such file.
        TableError: missing column, no word, unknown kind or label, malformed languages, a phrase of one word or another
            kind of several, a row that stands there twice (also with other accents or case); names the row.
    """
    table = read_csv(path, COLUMNS)
    found: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    rows: dict[tuple[str, str, str], int] = {}
    for row, cells in enumerate(table.to_pylist(), start=2):
        where = f"{path} row {row}"
        text, label_id = _check(cells, taxonomy, where)
        key = text, cells["kind"]
        before = rows.setdefault((*key, label_id), row)
        if before != row:
            raise TableError(f"{where}: {cells['word']!r} stands for {cells['label']!r} in row {before} already")
        labels, languages = found.setdefault(key, (set(), set()))
        labels.add(label_id)
        languages.update(cells["language"].split())
    entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for (text, kind), (labels, languages) in found.items():
        entries[kind][text] = Entry(text, kind, tuple(sorted(labels)), tuple(sorted(languages)))
    return Words(entries)


def _check(cells: Mapping[str, str], taxonomy: Taxonomy, where: str) -> tuple[str, str]:
    """The words of a row, joined by spaces, and its label's id."""
    words = split_words(cells["word"])
    if not words:
        raise TableError(f"{where}: word has no letter or digit", got=repr(cells["word"]))
    if cells["kind"] not in KINDS:
        raise TableError(f"{where}: kind is wrong", got=repr(cells["kind"]), expected=" or ".join(KINDS))
    if (len(words) > 1) != (cells["kind"] == PHRASE):
        expected = f"kind {PHRASE} for several words, another for one"
        raise TableError(f"{where}: {cells['word']!r} does not fit kind {cells['kind']}", expected=expected)
    if not _LANGUAGES.fullmatch(cells["language"]):
        expected = "codes such as de, or de nl"
        raise TableError(f"{where}: language is wrong", got=repr(cells["language"]), expected=expected)
    label = taxonomy.find(cells["label"])
    if label is None:
        raise TableError(f"{where}: there is no label {cells['label']!r}", do=taxonomy.advice(cells["label"]))
    return " ".join(words), label.label_id
