"""Board to Markdown: the tables as a README shows them, every field escaped."""

from __future__ import annotations

import html
import re

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.entries import Score
from hierlandmarks_benchmark.leaderboard.board import Board, Ranking
from hierlandmarks_benchmark.leaderboard.metrics import interval, percent

BEGIN, END = "<!-- leaderboard: begin -->", "<!-- leaderboard: end -->"


def markdown(board: Board, title: str) -> str:
    """The board as Markdown: a table for every ranking, in percent with 95 % intervals."""
    about = "Generated from the entries by `hierlandmarks bench leaderboard`; the page is `index.html`."
    return f"# {escape(title)}\n\n{about}\n\n" + tables(board)


def tables(board: Board) -> str:
    """The tables alone, one after the other."""
    return "\n".join(map(_ranking, board.rankings))


def fill(text: str, board: Board, where: str) -> str:
    """A page with the tables between its two marks, whatever was there before.

    Args:
        text: of the page, with `BEGIN` and `END` on lines of their own.
        board: the board.
        where: the page, for messages.

    Raises:
        UsageError: the page does not have both marks, once and in this order.
    """
    parts = re.split(f"({re.escape(BEGIN)}|{re.escape(END)})", text)
    if parts[1::2] != [BEGIN, END]:
        raise UsageError(f"{where} has no place for the tables", expected=f"one line {BEGIN} and after it one {END}")
    return "".join([parts[0], BEGIN, "\n\n", tables(board), "\n", END, parts[-1]])


def escape(text: str) -> str:
    r"""Text that Markdown shows as it is: no markup, no HTML, no link, no new cell.

    >>> escape("a|b <i>*c*</i>")
    'a\\|b &lt;i&gt;\\*c\\*&lt;/i&gt;'
    """
    return re.sub(r"([\\`*_\[\]#!|~:])", r"\\\1", html.escape(text, quote=False))


def _ranking(ranking: Ranking) -> str:
    truth, metrics = ranking.truth, ranking.metrics
    older = "" if ranking.current else " (another ground truth, ranked apart)"
    levels = ["" if m.level is None else f" {escape(truth.levels[m.level])}" for m in metrics]
    names = [f"{m.name}{level}" for m, level in zip(metrics, levels, strict=True)]
    rows = [["#", "Entry", "Model", "Trained on", *names], ["--:", "---", "---", "---", *("--:" for _ in names)]]
    for row in ranking.rows:
        meta = row.entry.meta
        cells = [_score(row.entry.scores.get(m.column)) for m in metrics]
        rows.append([row.place, *map(escape, (meta.name, meta.model.name, meta.model.trained_on)), *cells])
    about = (
        f"{truth.queries} queries, {truth.gallery} images to find; ground truth {truth.content_hash[:12]}; a range of "
        f"places: neighbours that a paired permutation test on {ranking.primary_name} cannot tell apart"
    )
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return f"## {escape(ranking.track)}{older}\n\n{escape(about)}\n\n{table}\n"


def _score(score: Score | None) -> str:
    if score is None or score.value is None:
        return "–"
    return f"{percent(score.value)} ({interval(score)})" if interval(score) else percent(score.value)
