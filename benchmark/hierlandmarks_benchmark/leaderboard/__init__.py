"""Submissions to leaderboard: one page that needs no server and fetches nothing, the same as JSON, and a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import atomic_folder, write_json, write_text
from hierlandmarks_benchmark.entries import read_entries
from hierlandmarks_benchmark.leaderboard.board import Board, make_board, to_json
from hierlandmarks_benchmark.leaderboard.page import render
from hierlandmarks_benchmark.leaderboard.readme import markdown

__all__ = ["STAGE", "Leaderboard", "build", "to_json"]


@dataclass(frozen=True)
class Leaderboard:
    """Parameters of the stage: the title of the page."""

    title: str = "Hierarchical landmark retrieval"


def build(submissions: Path, out: Path, params: Leaderboard | None = None) -> Board:
    """Write `index.html`, `board.json` and `README.md`; the same submissions give the same bytes.

    Args:
        submissions: folder of entries, as `submit` writes them.
        out: folder that is replaced as a whole, and left as it was where anything fails.
        params: the title.

    Returns:
        The board that was written.

    Raises:
        MissingDataError: there is no entry, or a file of one is missing.
        CorruptInputError: an entry is broken or was changed.
    """
    board = make_board(read_entries(submissions))
    with atomic_folder(out) as folder:
        _write(board, folder, params or Leaderboard())
    return board


def _write(board: Board, folder: Path, params: Leaderboard) -> None:
    write_text(folder / "index.html", render(board, params.title))
    write_json(folder / "board.json", to_json(board))
    write_text(folder / "README.md", markdown(board, params.title))


def _run(params: Leaderboard, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    _write(make_board(read_entries(inputs["submissions"])), folders["leaderboard"], params)
    return {}


STAGE = Stage(
    name="leaderboard",
    about="build the leaderboard",
    params=Leaderboard,
    needs=("submissions",),
    makes=("leaderboard",),
    run=_run,
)
