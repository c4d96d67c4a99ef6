"""What is right on a track: ids and labels of queries and gallery, from a release and, where given, private files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

import hierlandmarks as hl
from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.kaggle import Solution, read_solution
from hierlandmarks.tables import file_sha256
from hierlandmarks_benchmark.tracks import Track, load_track

Ints = NDArray[np.int64]
MOST_CELLS = 200_000_000  # queries × depth


@dataclass(frozen=True)
class Images:
    """One side of a track, in the order of the release.

    Attributes:
        ids: N image ids.
        labels: N × L, fine to coarse, −1 = empty.
        parts: N, Public or Private in the official ground truth, "" elsewhere.
    """

    ids: pd.Index[str]
    labels: Ints
    parts: tuple[str, ...]

    @classmethod
    def of(cls, release: str | Path, split: str) -> Images:
        """The images of a split of a release; only these columns are read."""
        dataset = hl.load(release, split=split)
        table = dataset.table(["id", "usage"])
        ids = pd.Index(table["id"].to_numpy(zero_copy_only=False))
        return cls(ids, dataset.labels, tuple(table["usage"].to_pylist()))


@dataclass(frozen=True)
class GroundTruth:
    """What a submission is scored against.

    Attributes:
        track: whose ground truth this is.
        content_hash: of the release.
        queries: images that are scored.
        gallery: images to find, None where the queries are searched among each other.
        ignored: ids that a file may list as queries and that are not scored.
        solution: the official GLDv2 solution, None where there is none.
        solution_hash: SHA-256 of its file, "" where there is none.
        release: where the labels are from, to tell which split a stray id belongs to; "" where that is not at hand.
    """

    track: Track
    content_hash: str
    queries: Images
    gallery: Images | None
    ignored: tuple[str, ...] = ()
    solution: Solution | None = None
    solution_hash: str = ""
    release: str | Path = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.queries.ids) * self.depth > MOST_CELLS:
            raise UsageError(
                f"the track {self.track.name} scores too much", got=f"{len(self.queries.ids)} lists of {self.depth}",
                expected=f"at most {MOST_CELLS:,} results", do="give it a depth",
            )  # fmt: skip

    @property
    def searched(self) -> Images:
        """The images that are searched: the gallery, or the queries themselves."""
        return self.queries if self.gallery is None else self.gallery

    @property
    def parts(self) -> tuple[str, ...]:
        """The part of every query, from the solution where there is one."""
        if self.solution is None:
            return self.queries.parts
        return tuple(self.solution.usage[id] for id in self.queries.ids)

    @property
    def depth(self) -> int:
        """Results a query that count."""
        return min(self.track.depth or len(self.searched.ids), len(self.searched.ids))

    def whereabouts(self, id: str) -> str:
        """The split of the release that an id is from, in words for a message; "" where it is from none."""
        if not self.release:
            return ""
        for split in hl.load(self.release).splits:
            if pc.any(pc.equal(hl.load(self.release, split=split).table(["id"])["id"], id)).as_py():
                return f", it is of the split {split}"
        return ""


def load_truth(track: Track, release: str | Path, private: Path | None = None) -> GroundTruth:
    """The ground truth of a track.

    Args:
        track: the track.
        release: folder or name of the release with its labels; may lie anywhere, as private labels do.
        private: official GLDv2 solution (CSV `id,images,Usage`): splits queries into Public and Private, and names
            those that are not scored.

    Raises:
        UsageError: the release is not the track's ground truth, lacks a split, or does not belong to the solution.
    """
    whole = hl.load(release)
    track.check_version(whole.content_hash)
    queries = Images.of(release, track.query_split)
    gallery = None if track.gallery_split is None else Images.of(release, track.gallery_split)
    if private is None:
        return GroundTruth(track, whole.content_hash, queries, gallery, release=release)
    solution = read_solution(private)
    scored = {id for id, usage in solution.usage.items() if usage != "Ignored"}
    if stray := sorted(scored.symmetric_difference(queries.ids)):
        raise UsageError(
            f"the solution {private} and the split {track.query_split} do not score the same queries",
            got=f"{len(stray)} in one only, such as {stray[0]!r}",
            do="use the solution of this version of the dataset",
        )
    ignored = tuple(sorted(set(solution.usage) - scored))
    return GroundTruth(
        track, whole.content_hash, queries, gallery, ignored, solution, file_sha256(private), release=release
    )


def find_truth(track: str | None, release: str | None, private: Path | None) -> GroundTruth:
    """The ground truth of a track by name or file, on the release it names where no other is given.

    Raises:
        UsageError: no track, or one that does not say where its release lies; else as `load_track`, `load_truth`.
    """
    if track is None:
        raise UsageError("an entry competes on a track", do="add --track, such as mini")
    found = load_track(track)
    if not (release or found.release):
        raise UsageError(f"the track {found.name} does not say where its release lies", do="add --release")
    return load_truth(found, release or found.release, private)
