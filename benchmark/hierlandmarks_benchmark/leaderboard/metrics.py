"""The metrics of the board in words: how a column is called, what it says, and at which level of the hierarchy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hierlandmarks_benchmark.entries import Score

PRIMARY = "h_ap"
COLUMN = re.compile(r"(?P<family>h_ap|ndcg|asi|map_at_r|recall_at_1)(?:_(?P<level>\d+))?")
GRADED = ("h_ap", "ndcg", "asi")
NAMES = {"h_ap": "H-AP", "ndcg": "NDCG", "asi": "ASI", "map_at_r": "mAP@R", "recall_at_1": "R@1"}
WORDS = {
    "h_ap": "Hierarchical average precision: how well the whole ranking is ordered by relatedness. Like average "
    "precision, but every result counts for what it has in common with the query: the same landmark, the same label, "
    "or just the same kind. 100 only where nothing less relevant stands before something more relevant.",
    "ndcg": "Normalised discounted cumulative gain: a result that matches at l levels earns 2^l − 1 points (of three "
    "levels 7, 3 or 1), and fewer the later it comes. 100 is the best possible order.",
    "asi": "Average set intersection: how far the first n results have the levels of match that the best possible "
    "first n have, averaged over n.",
    "map_at_r": "Mean average precision at R, at one level: of the R images that match the query there, how many are "
    "among the first R results, and how early.",
    "recall_at_1": "Recall at 1, at one level: how often the very first result matches the query there.",
}


@dataclass(frozen=True)
class Metric:
    """A column of scores.

    Attributes:
        column: its name in `scores.json`.
        family: the metric, a key of `NAMES`.
        level: of the label column it looks at, 0 = finest; None where it looks at all of them.
    """

    column: str
    family: str
    level: int | None

    @property
    def name(self) -> str:
        """As the board writes it."""
        return NAMES[self.family]


def shown(columns: Iterable[str]) -> list[Metric]:
    """The metrics that the tables of the board show, of those at hand: the graded ones first, then level by level.

    >>> [m.column for m in shown(["asi", "recall_at_1_0", "map_at_r_1", "map_at_r_0", "h_ap", "ndcg_at_10"])]
    ['h_ap', 'asi', 'map_at_r_0', 'map_at_r_1', 'recall_at_1_0']
    """
    found = [(column, match) for column in columns if (match := COLUMN.fullmatch(column))]
    metrics = [Metric(c, m["family"], None if m["level"] is None else int(m["level"])) for c, m in found]
    metrics = [m for m in metrics if (m.level is None) == (m.family in GRADED)]
    return sorted(metrics, key=lambda m: (list(NAMES).index(m.family), m.level or 0))


def match_words(level: int, levels: Sequence[str]) -> str:
    """A level of match in words.

    Args:
        level: 0 to L.
        levels: names of the L label columns, fine to coarse.

    >>> match_words(2, ("landmark", "label", "kind")), match_words(0, ("landmark", "label", "kind"))
    ('same label', 'nothing in common')
    """
    return f"same {levels[len(levels) - level]}" if level else "nothing in common"


def percent(value: float) -> str:
    """A fraction as a percentage with one decimal, without its sign.

    >>> percent(0.6247)
    '62.5'
    """
    return f"{100 * value:.1f}"


def interval(score: Score) -> str:
    """The 95 % interval of a score in percent, "" where there is none.

    >>> interval(Score(0.5, 0.45, 0.551, 0))
    '45.0–55.1'
    """
    return "" if score.low is None or score.high is None else f"{percent(score.low)}–{percent(score.high)}"
