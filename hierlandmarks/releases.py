"""Where releases are and whether they are whole: a name or a folder to a checked `Release`.

A release is a folder with `MANIFEST.json`, which names every file with its size, rows and SHA-256. Sizes, rows and
columns are compared every time; SHA-256 on request. Releases known by name are built once into HIERLANDMARKS_HOME
by functions registered under the entry-point group `hierlandmarks.releases`: name -> function(folder).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks import __version__
from hierlandmarks.errors import ChecksumError, CorruptInputError, MissingDataError, UsageError
from hierlandmarks.executors import each
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.params import nearest
from hierlandmarks.progress import say, track
from hierlandmarks.schema import RELEASE, SPLITS
from hierlandmarks.shards import Shards
from hierlandmarks.tables import content_hash, file_sha256, read_json

GROUP = "hierlandmarks.releases"
FORMAT = 1  # of the manifest; raised when a reader of the old one would misread the new
MANIFEST = "MANIFEST.json"


@dataclass(frozen=True)
class Release:
    """A release folder whose manifest has been read.

    Attributes:
        folder: where it lies.
        manifest: `MANIFEST.json`: name, version, content_hash, image_bytes, splits, files.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The release's name."""
        return str(self.manifest["name"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits, in their usual order."""
        return tuple(name for name in SPLITS if name in self.manifest["splits"])

    @property
    def version(self) -> str:
        """The release's version."""
        return str(self.manifest.get("version", ""))

    def content_hash(self, split: str | None) -> str:
        """A hash of the rows and pictures of a split (None: of all), whoever wrote the files."""
        return str((self.manifest if split is None else self.manifest["splits"][split])["content_hash"])

    def hierarchy(self) -> Hierarchy:
        """The tree the labels are the codes of."""
        return Hierarchy.from_csv(self.folder / "hierarchy.csv")

    def rows(self, split: str | None, columns: Sequence[str]) -> Shards:
        """The images of a split (None: of all); columns are read when they are asked for."""
        return Shards(self.shards(split), pictures=bool(self.manifest.get("image_bytes", True)))

    def shards(self, split: str | None) -> list[tuple[Path, int]]:
        """Path and number of rows of every shard of a split (None: of all splits, one after the other)."""
        splits = self.splits if split is None else (split,)
        names = [name for part in splits for name in self.manifest["splits"][part]["files"]]
        return [(self.folder / name, self.manifest["files"][name]["rows"]) for name in names]


def release_hash(splits: Mapping[str, str], hierarchy: Hierarchy) -> str:
    """The content hash of a release from those of its splits and its tree."""
    parts = [f"{split} {digest}" for split, digest in splits.items()]
    parts.append(f"hierarchy {content_hash(hierarchy.to_table())}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def home() -> Path:
    """The folder for what is fetched or built: HIERLANDMARKS_HOME, else `hierlandmarks` in the XDG cache."""
    if own := os.environ.get("HIERLANDMARKS_HOME"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hierlandmarks"


def find_release(name_or_folder: str | os.PathLike[str]) -> Path:
    """The folder of a release: the folder itself, or that of a name, built first when it is not there yet.

    Raises:
        UsageError: it is neither a folder nor a known name; the message names the nearest.
        MissingDataError: a path to a folder that is not there.
    """
    known = {point.name: point for point in entry_points(group=GROUP)}
    if isinstance(name_or_folder, str) and name_or_folder in known:
        folder = home() / "releases" / f"{name_or_folder}-{__version__}"
        if not (folder / MANIFEST).is_file():
            say(f"building the release {name_or_folder} in {folder}, once")
            _build(known[name_or_folder].load(), folder)
        return folder
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        return folder
    if len(folder.parts) > 1 or isinstance(name_or_folder, os.PathLike):
        raise MissingDataError(f"there is no release folder {folder}", do="check the path, or export it first")
    raise UsageError(
        f"there is no release {str(name_or_folder)!r} and no folder of that name", do=nearest(str(folder), known)
    )


def _build(build: Callable[[Path], None], folder: Path) -> None:
    """Build a release beside its place and move it there whole; of two builders at once the first one's stays."""
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    part.mkdir(parents=True)
    try:
        build(part)
        try:
            part.rename(folder)
        except OSError:
            if not (folder / MANIFEST).is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def open_release(name_or_folder: str | os.PathLike[str], *, verify: bool = False) -> Release:
    """Read a release's manifest and check that the folder is what it says.

    Args:
        name_or_folder: a known name, or a release folder.
        verify: compare the SHA-256 of every file, and check every row (`integrity.check_rows`); reads all of it twice.

    Raises:
        UsageError, MissingDataError: there is no such release, or a file of it is missing.
        CorruptInputError: the folder is no release, its manifest is unreadable or of a later format, a shard is cut or
            has other columns, or shards of another release lie among its own.
        ChecksumError: a file's bytes are not those the manifest names.
    """
    folder = find_release(name_or_folder)
    if not (folder / MANIFEST).is_file():
        raise CorruptInputError(
            f"{folder} is no release: it has no {MANIFEST}",
            got=", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "an empty folder",
            do="give the folder that `hierlandmarks export` made",
        )
    manifest = read_json(folder / MANIFEST)
    if isinstance(manifest, dict) and manifest.get("format", FORMAT) != FORMAT:
        raise CorruptInputError(
            f"{folder} has another format", got=manifest["format"], expected=FORMAT, do="update hierlandmarks"
        )
    if not _well_formed(manifest):
        raise CorruptInputError(f"{folder / MANIFEST} is no manifest of a release", do="export the release again")
    _check_files(folder, manifest["files"])
    release = Release(folder, manifest)
    if verify:
        from hierlandmarks.integrity import check_rows

        pieces = [(folder / name, facts["sha256"]) for name, facts in manifest["files"].items()]
        for _ in track(each(_check_bytes, pieces), "verifying bytes", len(pieces), "file"):
            pass
        check_rows(release)
    return release


def _well_formed(manifest: Any) -> bool:
    """Whether everything that is read from a manifest later is there."""
    try:
        files, splits = manifest["files"], manifest["splits"]
        named = [name for split in splits.values() for name in split["files"]]
        numbers = [files[name]["rows"] for name in named] + [facts["bytes"] for facts in files.values()]
        texts = [manifest["name"], *(part["content_hash"] for part in (manifest, *splits.values()))]
        texts += [facts["sha256"] for facts in files.values()]
        inside = all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in files)
    except (KeyError, TypeError, AttributeError):
        return False
    return inside and all(isinstance(n, int) for n in numbers) and all(isinstance(t, str) for t in texts)


def _check_files(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    found = {path.relative_to(folder).as_posix() for path in (folder / "data").glob("*.parquet")}
    if foreign := sorted(found - set(files)):
        raise CorruptInputError(
            f"{folder / foreign[0]} does not belong to this release", do="keep every release in a folder of its own"
        )
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            raise MissingDataError(f"{path} is missing from the release", do="copy or export the release again")
        if path.stat().st_size != facts["bytes"]:
            raise ChecksumError(
                f"{path} has the wrong size", got=path.stat().st_size, expected=f"{facts['bytes']} bytes"
            )
        if path.suffix == ".parquet":
            _check_shard(path, facts["rows"])


def _check_bytes(piece: tuple[Path, str]) -> None:
    path, expected = piece
    if (digest := file_sha256(path)) != expected:
        raise ChecksumError(f"{path} was changed", got=f"SHA-256 {digest}", expected=expected)


def _check_shard(path: Path, rows: int) -> None:
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptInputError(f"{path} is no Parquet file", got=str(error).splitlines()[0]) from error
    if footer.num_rows != rows:
        raise CorruptInputError(f"{path} has the wrong number of rows", got=footer.num_rows, expected=rows)
    if footer.schema.to_arrow_schema().names != RELEASE.schema.names:
        raise CorruptInputError(f"{path} has other columns than a release", expected=", ".join(RELEASE.schema.names))
