"""Submissions to leaderboard: pages that need no server and fetch nothing, the same as JSON, and a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hierlandmarks.errors import MissingDataError
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import atomic_folder, write_json, write_text
from hierlandmarks_benchmark.entries import read_entries
from hierlandmarks_benchmark.leaderboard.board import Board, make_board, to_json
from hierlandmarks_benchmark.leaderboard.notes import check_log
from hierlandmarks_benchmark.leaderboard.page import Pages
from hierlandmarks_benchmark.leaderboard.readme import fill, markdown

__all__ = ["STAGE", "Leaderboard", "build", "read_board", "renew", "to_json"]


@dataclass(frozen=True)
class Leaderboard:
    """Parameters of the stage: the title of the page."""

    title: str = "Hierarchical landmark retrieval"


def build(submissions: Path, out: Path, params: Leaderboard | None = None) -> Board:
    """Write `index.html`, a page for every entry and every comparison, `board.json` and `README.md`.

    The same submissions give the same bytes.

    Args:
        submissions: folder of entries, as `submit` writes them.
        out: folder that is replaced as a whole, and left as it was where anything fails.
        params: the title.

    Returns:
        The board that was written.

    Raises:
        MissingDataError: there is no entry, or a file of one is missing.
        CorruptInputError: an entry or the log is broken or was changed.
    """
    board = read_board(submissions)
    with atomic_folder(out) as folder:
        _write(board, folder, params or Leaderboard())
    return board


def renew(page: Path, board: Board) -> None:
    """Renew the tables between the marks of a page of somebody's own.

    Raises:
        MissingDataError: there is no such page.
        UsageError: it lacks the marks.
    """
    if not page.is_file():
        raise MissingDataError(f"there is no page {page}", do="check the path")
    write_text(page, fill(page.read_text(encoding="utf-8"), board, str(page)))


def read_board(submissions: Path) -> Board:
    """The board of a folder of submissions; errors as `build`."""
    return make_board(check_log(submissions, read_entries(submissions)))


def _write(board: Board, folder: Path, params: Leaderboard) -> None:
    pages = Pages(board, params.title)
    (folder / "entries").mkdir(exist_ok=True)
    for name, content in (("index.html", pages.index()), *pages.entries(), *pages.comparisons()):
        write_text(folder / name, content)
    write_json(folder / "board.json", to_json(board))
    write_text(folder / "README.md", markdown(board, params.title))


def _run(params: Leaderboard, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    _write(read_board(inputs["submissions"]), folders["leaderboard"], params)
    return {}


STAGE = Stage(
    name="leaderboard",
    about="build the leaderboard",
    params=Leaderboard,
    needs=("submissions",),
    makes=("leaderboard",),
    run=_run,
)
