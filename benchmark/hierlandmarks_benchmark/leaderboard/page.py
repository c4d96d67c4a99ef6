"""Board to pages: each one HTML file with style, script and thumbnails inside; nothing is fetched, all is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hierlandmarks_benchmark.entries import Entry, Example, Picture, pictures_of
from hierlandmarks_benchmark.leaderboard.board import Board, Ranked, Ranking
from hierlandmarks_benchmark.leaderboard.groups import neighbours
from hierlandmarks_benchmark.leaderboard.metrics import NAMES, WORDS, interval, match_words, percent
from hierlandmarks_benchmark.leaderboard.pairs import telling, versus

STATIC = Path(__file__).with_name("static")
CARDS = 3  # entries of a ranking whose results are on the first page: it has to stay light
CARD_EXAMPLES = 3
BARS = 20  # entries of a ranking that have bars
MOST_CELLS = 300_000  # scores in a page of comparisons, two bytes each


class Pages:
    """Makes the pages of a board."""

    def __init__(self, board: Board, title: str) -> None:
        self.board, self.title, self._environment = board, title, _environment()
        self._css = (STATIC / "page.css").read_text(encoding="utf-8")
        trained = sorted({entry.meta.model.trained_on for entry in board.entries})
        self._environment.globals |= {"trained": trained}

    def index(self) -> str:
        """The first page: rankings, bars, and what the best entries find.

        Complexity: linear in entries, and in the bytes of the thumbnails it shows.
        """
        shown = {metric.family for ranking in self.board.rankings for metric in ranking.metrics}
        cards = [row.entry for ranking in self.board.rankings for row in cards_of(ranking)]
        return self._render(
            "page.html.j2",
            script="page.js",
            board=self.board,
            tracks=sorted({ranking.track for ranking in self.board.rankings}),
            words=[(NAMES[family], text) for family, text in WORDS.items() if family in shown],
            most_bars=BARS,
            most_examples=CARD_EXAMPLES,
            sprites=_sprites((entry, entry.examples[:CARD_EXAMPLES]) for entry in cards),
        )

    def entries(self) -> Iterable[tuple[str, str]]:
        """The path and the content of the page of every entry."""
        for number, ranking in enumerate(self.board.rankings, start=1):
            p_values = neighbours(ranking.primary_values) if len(ranking.rows) > 1 else []
            pairs = versus(ranking.primary_values)
            for place, (row, others) in enumerate(zip(ranking.rows, pairs, strict=True)):
                page = self._render(
                    "entry.html.j2",
                    ranking=ranking,
                    number=number,
                    row=row,
                    beside=list(_beside(ranking, place, p_values)),
                    versus=others,
                    sprites=_sprites([(row.entry, row.entry.examples)]),
                )
                yield entry_name(row.entry.meta.name), page

    def comparisons(self) -> Iterable[tuple[str, str]]:
        """Path and content of the pages that compare entries, for every ranking of several: any two, and all."""
        for number, ranking in enumerate(self.board.rankings, start=1):
            if len(ranking.rows) > 1:
                data = json.dumps(comparison(ranking.rows), separators=(",", ":"), ensure_ascii=False)
                yield (
                    compare_name(number),
                    self._render("compare.html.j2", script="compare.js", ranking=ranking, number=number, data=data),
                )
                queries = list(_queries(ranking))
                yield queries_name(number), self._render("queries.html.j2", ranking=ranking, queries=queries)

    def _render(self, template: str, script: str = "", **content: Any) -> str:
        """A page, in which only its own style and script run, by their hashes, and nothing is loaded."""
        code = (STATIC / script).read_text(encoding="utf-8") if script else ""
        known = {"title": self.title, "policy": _policy(self._css, code), "sprites": {}}
        return self._environment.get_template(template).render(
            **{**known, **content}, css=Markup(self._css), script=Markup(code)
        )  # Markup: our own files


def comparison(rows: tuple[Ranked, ...]) -> dict[str, Any]:
    """The primary scores of all entries, query by query: base64 of two bytes each, 65,535 for none.

    Where that would be more than `MOST_CELLS`, only the first queries in the order of a hash of their ids.
    """
    per_query = rows[0].entry.per_query
    order = sorted(range(len(per_query.ids)), key=lambda q: hashlib.sha256(per_query.ids[q].encode()).digest())
    kept = sorted(order[: max(MOST_CELLS // len(rows), 1)])
    labels = sorted(set(per_query.labels))
    values = np.stack([row.entry.per_query.values[row.entry.meta.primary][kept] for row in rows])
    coded = np.where(np.isfinite(values), np.rint(np.nan_to_num(values).clip(0, 1) * 65534), 65535).astype("<u2")
    return {
        "names": [row.entry.meta.name for row in rows],
        "queries": [per_query.ids[q] for q in kept],
        "labels": labels,
        "label": [labels.index(per_query.labels[q]) for q in kept],
        "scores": base64.b64encode(coded.tobytes()).decode(),
    }


def entry_name(name: str) -> str:
    """Where the page of an entry lies, beside the first page."""
    return f"entries/{name}.html"


def compare_name(number: int) -> str:
    """Where the page lies that compares the entries of a ranking."""
    return f"compare-{number}.html"


def queries_name(number: int) -> str:
    """Where the table lies of all entries of a ranking, query by query."""
    return f"queries-{number}.html"


def cards_of(ranking: Ranking) -> list[Ranked]:
    """The entries whose results are on the first page."""
    return [row for row in ranking.rows[:CARDS] if row.entry.examples]


def signed(difference: float) -> str:
    """A difference of scores in points of percent, with its sign.

    >>> signed(0.0123), signed(-0.2)
    ('+1.2', '−20.0')
    """
    return f"{100 * difference:+.1f}".replace("-", "−")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(STATIC),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": percent,
        "web": web_address,
        "settings": partial(json.dumps, indent=2, ensure_ascii=False, sort_keys=True),
    }
    environment.globals |= {
        "cards_of": cards_of,
        "compare_name": compare_name,
        "credits": credits_of,
        "entry_name": entry_name,
        "frame": frame,
        "interval": interval,
        "match_words": match_words,
        "queries_name": queries_name,
        "signed": signed,
        "sprite": sprite,
    }
    return environment


def frame(level: int, depth: int) -> int:
    """Which of the four frames a level of match gets: 3 for the same landmark, 2 for one level less, 0 for nothing.

    >>> [frame(level, 3) for level in range(4)], [frame(level, 5) for level in range(6)]
    ([0, 1, 2, 3], [0, 1, 1, 1, 2, 3])
    """
    return max(level - depth + 3, 1) if level else 0


def web_address(text: str) -> str:
    """An address that a link may lead to, "" for anything but https and http: no script, no file.

    >>> web_address("javascript:alert(1)"), web_address("https://commons.wikimedia.org/")
    ('', 'https://commons.wikimedia.org/')
    """
    return text if text.startswith(("https://", "http://")) else ""


def sprite(jpeg: bytes) -> str:
    """The id of a picture within the page, by content."""
    return f"p-{hashlib.sha256(jpeg).hexdigest()[:16]}"


def credits_of(examples: tuple[Example, ...]) -> list[Picture]:
    """Every picture of the examples that somebody is to be named for, once, by name of the landmark and id."""
    pictures = {p.id: p for e in examples for p in pictures_of(e) if p.author or p.license or p.title or p.url}
    return sorted(pictures.values(), key=lambda picture: (picture.name, picture.id))


def _beside(ranking: Ranking, place: int, p_values: list[float]) -> Iterable[tuple[str, float, float]]:
    """The neighbours of an entry: name, by how much its score is above theirs, and the p-value of that."""
    mine = ranking.primary_values[:, place]
    for other, p in ((place - 1, place - 1), (place + 1, place)):
        if 0 <= other < len(ranking.rows):
            difference = float(np.nanmean(mine) - np.nanmean(ranking.primary_values[:, other]))
            yield ranking.rows[other].entry.meta.name, difference, p_values[p]


def _queries(ranking: Ranking) -> Iterable[tuple[str, str, list[str]]]:
    """Rows of the table of all entries: query, label, and the score of every entry in whole percent."""
    per_query, values = ranking.rows[0].entry.per_query, ranking.primary_values
    for query in telling(values):
        scores = ["–" if np.isnan(value) else f"{100 * value:.0f}" for value in values[query]]
        yield per_query.ids[query], per_query.labels[query], scores


def _sprites(shown: Iterable[tuple[Entry, tuple[Example, ...]]]) -> Mapping[str, str]:
    """Data addresses of the pictures that are shown, each once, by `sprite`."""
    ids = {
        (entry.meta.name, p.id): entry.thumbnails[p.id] for entry, some in shown for e in some for p in pictures_of(e)
    }
    pictures = {sprite(jpeg): jpeg for jpeg in ids.values()}
    return {id: f"data:image/jpeg;base64,{base64.b64encode(pictures[id]).decode()}" for id in sorted(pictures)}


def _policy(css: str, script: str) -> str:
    """A content security policy that lets this style and this script run, and nothing be loaded or sent."""
    style_hash, script_hash = (base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (css, script))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )
