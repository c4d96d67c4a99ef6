"""Tracks: what entries compete on, each one small file beside this module; a file of your own adds your dataset.

A track names the release and the splits, how deep lists are scored, the metrics and the one that ranks. The ground
truth is versioned by the content hash of the release: the last hash in the file is the current one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.columns import BINARY, GRADED
from hierlandmarks.params import from_mapping, nearest
from hierlandmarks_benchmark.entries.files import read_yaml

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Track:
    """What a track file says.

    Attributes:
        name: of the track; entries of one name are compared.
        about: one sentence for people.
        release: name or folder of the release, "" where the one who submits has to say.
        ground_truths: content hashes of the release, oldest first; empty where any build of it will do.
        query_split: images that are searched with.
        gallery_split: images that are searched, None where the queries are searched among each other.
        strict: refuse what is scored on another version; else it is taken, marked and ranked apart.
        depth: results that count for a query, None for the whole gallery.
        metrics: families of `hierlandmarks.metrics`, such as h_ap.
        primary: the column of scores that ranks entries.
    """

    name: str
    about: str
    query_split: str
    gallery_split: str | None
    release: str = ""
    ground_truths: tuple[str, ...] = ()
    strict: bool = True
    depth: int | None = None
    metrics: tuple[str, ...] = ("h_ap", "ndcg", "asi", "map_at_r", "map_at", "recall_at")
    primary: str = "h_ap"

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in GRADED + BINARY:
                raise UsageError("the track has an unknown metric", got=repr(name), do=nearest(name, GRADED + BINARY))
        if self.depth is not None and self.depth < 1:
            raise UsageError("the depth of the track is out of range", got=self.depth, expected="at least 1, or null")

    def check_version(self, content_hash: str) -> None:
        """Refuse a release that is not the track's current ground truth, where the track is strict.

        Raises:
            UsageError: it is an older version, or none of this track.
        """
        if not (self.strict and self.ground_truths) or content_hash == self.ground_truths[-1]:
            return
        older = content_hash in self.ground_truths
        raise UsageError(
            f"the release is {'an older version' if older else 'no version'} of the ground truth of {self.name}",
            got=f"content hash {content_hash[:12]}…",
            expected=f"{self.ground_truths[-1][:12]}…",
            do="use the current release",
        )


def pins() -> dict[str, str]:
    """The current ground truth of every track that ships and has one, by its name."""
    tracks = (load_track(path.stem) for path in sorted(FOLDER.glob("*.yaml")))
    return {track.name: track.ground_truths[-1] for track in tracks if track.ground_truths}


def load_track(name_or_file: str) -> Track:
    """A track by name, or from a file of your own.

    Raises:
        UsageError: there is no such track, or the file has an unknown or missing key.
        CorruptInputError: the file is no plain YAML.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    path = FOLDER / f"{name_or_file}.yaml" if name_or_file in known else Path(name_or_file)
    if not path.is_file():
        raise UsageError(f"there is no track {name_or_file!r}", do=nearest(name_or_file, known))
    return from_mapping(Track, read_yaml(path), where=str(path))
