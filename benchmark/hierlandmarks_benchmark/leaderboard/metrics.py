"""The metrics of the board in words: how a column is called, what it says, and at which level of the hierarchy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PRIMARY = "h_ap"
COLUMN = re.compile(r"(?P<family>h_ap|ndcg|asi|map_at_r|recall_at_1)(?:_(?P<level>\d+))?")
GRADED = ("h_ap", "ndcg", "asi")
NAMES = {"h_ap": "H-AP", "ndcg": "NDCG", "asi": "ASI", "map_at_r": "mAP@R", "recall_at_1": "R@1"}
WORDS = {
    "h_ap": "Hierarchical average precision: the area under one precision-recall curve in which a result counts for as "
    "much as it has in common with the query. The same landmark counts most, a landmark of the same label less, "
    "anything of the same kind least. 100 only if nothing less related stands before something more related.",
    "ndcg": "Normalised discounted cumulative gain: results earn points for their level of match (7 for the same "
    "landmark, 3 for the same label, 1 for the same kind), worth less the later they come. 100 is the best possible order.",
    "asi": "Average set intersection: how much of the first n results has the levels of match that the best possible "
    "first n would have, averaged over every n.",
    "map_at_r": "Mean average precision at R: only one level counts. Of the R images that match the query there, how "
    "many are among the first R results, and how early.",
    "recall_at_1": "Recall at 1: how often the very first result matches the query at that level.",
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
