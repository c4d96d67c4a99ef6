"""What can be fetched: the files of every known dataset, as described in `catalog.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks.params import nearest
from hierlandmarks.tables import read_json

GROUPS = ("metadata", "images")
OWN = "dataset.json"  # in a root that is not the whole dataset: what it is


@dataclass(frozen=True)
class RemoteFile:
    """A file of a dataset.

    Attributes:
        path: within the dataset, at the server and on disk.
        group: `metadata`, or the split whose images it holds.
        licence: of its content.
        columns: of a CSV, () otherwise.
        rows: of a CSV, None where unknown.
        about_bytes: rough size, 0 where unknown; for planning, never for checking.
        md5_path: the file that holds its MD5, "" when none is published.
        also_seen: MD5s on record that differ from the published one, and what is known of them.
    """

    path: str
    group: str
    licence: str
    columns: tuple[str, ...] = ()
    rows: int | None = None
    about_bytes: int = 0
    md5_path: str = ""
    also_seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RemoteDataset:
    """A dataset that can be fetched file by file.

    Attributes:
        name, version: as the catalog has them.
        base_urls: the servers, tried in order.
        metadata: its tables.
        images: the tars of every split.
        pictures: how many pictures the tars of a split hold in all.
        splits: what is known of the splits as they are loaded: how many `images`, `landmarks`, `labels`, and of the
            queries how many are `public` and `private`.
    """

    name: str
    version: str
    base_urls: tuple[str, ...]
    metadata: tuple[RemoteFile, ...]
    images: Mapping[str, tuple[RemoteFile, ...]]
    pictures: Mapping[str, int]
    splits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@cache
def find_dataset(name: str) -> RemoteDataset:
    """The dataset of that name.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    known = json.loads(Path(__file__).with_name("catalog.json").read_text(encoding="utf-8"))
    if name not in known:
        raise UsageError(f"there is no dataset {name!r} to fetch", do=nearest(name, known))
    entry = known[name]
    return RemoteDataset(
        name=name,
        version=entry["version"],
        base_urls=tuple(entry["base_urls"]),
        metadata=tuple(
            RemoteFile(f["path"], "metadata", f["licence"], tuple(f["columns"]), f["rows"], f.get("about_bytes", 0))
            for f in entry["metadata"]
        ),
        images={
            split: tuple(_tar(split, shard, facts, entry["also_seen"]) for shard in range(facts["shards"]))
            for split, facts in entry["images"].items()
        },
        pictures={split: facts["images"] for split, facts in entry["images"].items()},
        splits=entry["splits"],
    )


def own_dataset(root: Path, whole: RemoteDataset) -> RemoteDataset:
    """What a root says it holds instead of the whole dataset, in `dataset.json`; the whole where it says nothing.

    A folder in the dataset's layout that is not the dataset (the bundled world, a small list of photos) names itself
    there and gives its own numbers: `{"name": "mini", "rows": {PATH: n}, "pictures": {SPLIT: n}, "tars": {SPLIT: n}}`,
    and perhaps `"splits": {SPLIT: {"images": n, "landmarks": n, "labels": n}}`. What it does not name is not expected.

    Raises:
        TableError: the file is not of that form.
    """
    path = root / OWN
    if not path.is_file():
        return whole
    own = read_json(path)
    try:
        name, rows, pictures, tars = str(own["name"]), dict(own["rows"]), dict(own["pictures"]), dict(own["tars"])
        splits = {split: dict(facts) for split, facts in dict(own.get("splits", {})).items()}
        numbers = [
            *rows.values(),
            *pictures.values(),
            *tars.values(),
            *(n for facts in splits.values() for n in facts.values()),
        ]
        if not all(isinstance(number, int) for number in numbers):
            raise ValueError("a count is no whole number")
        return replace(
            whole,
            name=name,
            metadata=tuple(replace(file, rows=rows.get(file.path)) for file in whole.metadata),
            images={split: whole.images[split][: tars[split]] for split in pictures},
            pictures=pictures,
            splits=splits,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TableError(f"{path} does not say what is in its folder", got=repr(error), do="write it anew") from error


def _tar(split: str, shard: int, facts: Mapping[str, Any], also_seen: Mapping[str, Mapping[str, str]]) -> RemoteFile:
    path = f"{split}/images_{shard:03d}.tar"
    return RemoteFile(
        path=path,
        group=split,
        licence=facts["licence"],
        about_bytes=facts["about_bytes"],
        md5_path=f"md5sum/{split}/md5.images_{shard:03d}.txt",
        also_seen=also_seen.get(path, {}),
    )


def select(
    dataset: RemoteDataset, what: Iterable[str], splits: Iterable[str] = (), shards: str = ""
) -> tuple[RemoteFile, ...]:
    """The files a request means, in the catalog's order.

    Args:
        what: `metadata`, `images` or both.
        splits: whose images; all when empty.
        shards: numbers of tars, such as `0,7-9`; all when empty.

    Raises:
        UsageError: an unknown word, or a shard that no chosen split has.
    """
    what, splits = tuple(what), tuple(splits) or tuple(dataset.images)
    for word, known in [(word, GROUPS) for word in what] + [(word, tuple(dataset.images)) for word in splits]:
        if word not in known:
            raise UsageError(f"{dataset.name} has no {word!r}", do=nearest(word, known))
    if not what:
        raise UsageError("nothing to fetch was named", expected="metadata, images or both")
    tars = [tar for split in dataset.images if split in splits for tar in dataset.images[split]]
    if shards:
        wanted = parse_shards(shards)
        most = max(len(dataset.images[split]) for split in splits)
        if beyond := sorted(n for n in wanted if n >= most):
            raise UsageError(f"--shards {shards}: there is no tar {beyond[0]}", expected=f"0 to {most - 1}")
        names = tuple(f"_{number:03d}.tar" for number in wanted)
        tars = [tar for tar in tars if tar.path.endswith(names)]
    return (*(dataset.metadata if "metadata" in what else ()), *(tars if "images" in what else ()))


def parse_shards(text: str) -> tuple[int, ...]:
    """Numbers of shards from a list of numbers and ranges.

    >>> parse_shards("0,7-9")
    (0, 7, 8, 9)

    Raises:
        UsageError: it is no such list.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UsageError("the list of shards is not readable", got=repr(text), expected="such as 0,7-9")
        numbers |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(numbers))
