"""What moved between two versions of the labels, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.schema import ASSIGNMENTS, SPACES
from hierlandmarks.tables import read_csv, read_table

_SUFFIX = "_label_to_hierarchical.csv"
_NEEDED = ("landmark_id", "hierarchical_label")
_ASSIGNED = Path("tables", "assignments.parquet")  # within a run folder
_Reasons = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Move:
    """A landmark whose label differs; "" stands for no label.

    Attributes:
        why_before, why_after: why it had and has its label (or none), "" where only the released CSVs are there.
    """

    space: str
    landmark_id: str
    category: str
    before: str
    after: str
    why_before: str = ""
    why_after: str = ""

    def text(self) -> str:
        """The same for people: a line, and one for each reason."""
        lines = [f"{self.space or 'landmark'} {self.landmark_id}: {_moved(self.before, self.after)}  {self.category}"]
        lines += [f"    before: {self.why_before}"] * bool(self.why_before)
        lines += [f"    now:    {self.why_after}"] * bool(self.why_after)
        return "\n".join(lines)


@dataclass(frozen=True)
class Difference:
    """What two versions of the labels have in common and what not.

    Attributes:
        both: landmarks in both versions.
        same: of those, how many have the same label or lack of one.
        same_labelled: of those, how many have a label.
        moves: of those, the others.
        only_before, only_after: landmarks in one version only.
    """

    both: int
    same: int
    same_labelled: int
    moves: tuple[Move, ...]
    only_before: int
    only_after: int

    def counts(self) -> list[tuple[str, str, int]]:
        """(before, after, landmarks) of every kind of move, most frequent first."""
        pairs = Counter((move.before, move.after) for move in self.moves)
        return [(*pair, count) for pair, count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))]

    @property
    def agreement(self) -> float | None:
        """Share of equal labels among landmarks that have one in both; None where there are none."""
        changed = sum(bool(move.before and move.after) for move in self.moves)
        labelled = changed + self.same_labelled
        return self.same_labelled / labelled if labelled else None

    def text(self) -> str:
        """The same for people: the counts of moves, then every move."""
        lines = [f"{self.both} landmarks are in both, {self.same} unchanged, {len(self.moves)} moved."]
        if self.only_before or self.only_after:
            lines.append(f"{self.only_before} are only in the first, {self.only_after} only in the second.")
        if self.agreement is not None:
            lines.append(f"Of those with a label in both, {self.agreement:.1%} have the same.")
        lines += [f"{count:>7}  {_moved(before, after)}" for before, after, count in self.counts()]
        return "\n".join([*lines, *(move.text() for move in self.moves)])


def _moved(before: str, after: str) -> str:
    return " -> ".join(label.strip() or "(none)" for label in (before, after))


def diff_labels(before: Path, after: Path) -> Difference:
    """Compare two label files, or two folders of them.

    Args:
        before: a CSV with landmark_id and hierarchical_label, a folder with `*_label_to_hierarchical.csv`, or a run
            folder, whose assignments also say why.
        after: the same; a folder may be compared with a file whose name begins with train or index.

    Raises:
        MissingDataError: there is no such file, or no label file in a folder.
        UsageError: train labels would be compared with index labels: the same number means another landmark there.
        TableError: a file that cannot be read, or a repeated landmark.
    """
    for path in (before, after):
        if not path.exists():
            raise MissingDataError(
                f"{path} does not exist", expected="a run folder, a folder of label CSVs, or one of them"
            )
    whys = _reasons(before), _reasons(after)
    old, new = _files(before), _files(after)
    old, new = _same_spaces(old, new), _same_spaces(new, old)
    if not old.keys() & new.keys():
        raise UsageError(
            f"{before} and {after} label different landmarks",
            got=f"{_spaces(old)} against {_spaces(new)}",
            do="compare train with train and index with index, in files named train_… or index_…",
        )
    results = [_compare(space, _read(old[space]), _read(new[space])) for space in sorted(old.keys() & new.keys())]
    return Difference(
        both=sum(r.both for r in results),
        same=sum(r.same for r in results),
        moves=tuple(_explained(move, *whys) for r in results for move in r.moves),
        only_before=sum(r.only_before for r in results),
        only_after=sum(r.only_after for r in results),
        same_labelled=sum(r.same_labelled for r in results),
    )


def _spaces(files: Iterable[str]) -> str:
    return " and ".join(space or "a file whose name tells neither" for space in files)


def _files(path: Path) -> dict[str, Path]:
    """Label files by space; "" for a file whose name does not tell."""
    if path.is_dir():
        path = path / "labels" if (path / "labels").is_dir() else path
        found = {space: path / f"{space}{_SUFFIX}" for space in SPACES if (path / f"{space}{_SUFFIX}").is_file()}
        if not found:
            raise MissingDataError(f"{path} holds no label file", expected=f"train{_SUFFIX} or index{_SUFFIX}")
        return found
    return {next((space for space in SPACES if path.name.startswith(f"{space}_")), ""): path}


def _reasons(path: Path) -> _Reasons:
    """Why landmarks have their labels, by space and id: from the assignments of the run that the labels lie in."""
    table = next(
        (run / _ASSIGNED for run in (path, path.parent) if path.is_dir() and (run / _ASSIGNED).is_file()), None
    )
    rows = read_table(table, ASSIGNMENTS).to_pylist() if table else []
    return {(row["space"], row["landmark_id"]): row["reason"] for row in rows}


def _explained(move: Move, before: _Reasons, after: _Reasons) -> Move:
    key = move.space, move.landmark_id
    return replace(move, why_before=before.get(key, ""), why_after=after.get(key, ""))


def _same_spaces(files: dict[str, Path], others: Mapping[str, Path]) -> dict[str, Path]:
    """A file of unknown space is taken to be of the other side's one space."""
    return {next(iter(others)): files[""]} if "" in files and len(others) == 1 else files


def _read(path: Path) -> dict[str, dict[str, Any]]:
    table = read_csv(path, _NEEDED, key=("landmark_id",), optional=("category",), may_be_empty=True)
    return {row["landmark_id"]: row for row in table.to_pylist()}


def _compare(space: str, old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> Difference:
    shared = [landmark for landmark in new if landmark in old]
    moves = []
    same_labelled = 0
    for landmark in shared:
        before, after = old[landmark]["hierarchical_label"], new[landmark]["hierarchical_label"]
        category = new[landmark]["category"] or old[landmark]["category"]
        if before != after:
            moves.append(Move(space, landmark, category, before, after))
        same_labelled += bool(before) and before == after
    return Difference(
        both=len(shared),
        same=len(shared) - len(moves),
        moves=tuple(moves),
        only_before=len(old) - len(shared),
        only_after=len(new) - len(shared),
        same_labelled=same_labelled,
    )
