"""The metrics of the board in words: how a column is called, what it says, and at which level of the hierarchy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hierlandmarks_benchmark.entries import Score

COLUMN = re.compile(
    r"(?P<family>h_ap|ndcg|asi|official_map_at_100_(?:public|private)|map_at_r|map_at_100|recall_at_1)(?:_(?P<level>\d+))?"
)
OFFICIAL = ("official_map_at_100_public", "official_map_at_100_private")
GRADED = ("h_ap", "ndcg", "asi", *OFFICIAL)  # one column, not one a level
NAMES = {
    "h_ap": "H-AP",
    "ndcg": "NDCG",
    "asi": "ASI",
    OFFICIAL[0]: "GLDv2 Public",
    OFFICIAL[1]: "GLDv2 Private",
    "map_at_r": "mAP@R",
    "map_at_100": "mAP@100",
    "recall_at_1": "R@1",
}
WORDS = {
    "h_ap": "Hierarchical average precision: how well the whole ranking is ordered by relatedness. Like average "
    "precision, but every result counts for what it has in common with the query: the same landmark, the same label, "
    "or just the same kind. 100 only where nothing less relevant stands before something more relevant.",
    "ndcg": "Normalised discounted cumulative gain: a result that matches at l levels earns 2^l − 1 points (of three "
    "levels 7, 3 or 1), and fewer the later it comes. 100 is the best possible order.",
    "asi": "Average set intersection: how far the first n results have the levels of match that the best possible "
    "first n have, averaged over n.",
    OFFICIAL[0]: "The official score of Google Landmarks v2, mAP@100 over the public part of the queries.",
    OFFICIAL[1]: "The official score of Google Landmarks v2, mAP@100 over the private part of the queries.",
    "map_at_r": "Mean average precision at R, at one level: of the R images that match the query there, how many are "
    "among the first R results, and how early.",
    "map_at_100": "Mean average precision at 100, at one level: how early the images that match the query there come "
    "among the first 100 results.",
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

    mAP@100 is shown only where there is no mAP@R, which says the same of the whole ranking.

    >>> [m.column for m in shown(["asi", "recall_at_1_0", "map_at_r_1", "map_at_r_0", "h_ap", "ndcg_at_10"])]
    ['h_ap', 'asi', 'map_at_r_0', 'map_at_r_1', 'recall_at_1_0']
    """
    found = [(column, match) for column in columns if (match := COLUMN.fullmatch(column))]
    metrics = [Metric(c, m["family"], None if m["level"] is None else int(m["level"])) for c, m in found]
    metrics = [m for m in metrics if (m.level is None) == (m.family in GRADED)]
    if any(m.family == "map_at_r" for m in metrics):
        metrics = [m for m in metrics if m.family != "map_at_100"]
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
