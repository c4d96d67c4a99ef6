"""Fetching a dataset's files into a folder: which are there, which are missing, and getting those."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tqdm import tqdm

from hierlandmarks.catalog import RemoteFile, find_dataset, select
from hierlandmarks.digests import digest
from hierlandmarks.errors import ChecksumError, CorruptInputError, HierlandmarksError, IncompleteError, UsageError
from hierlandmarks.fetch import Fetched, Manners, fetch_file, file_patience
from hierlandmarks.network import refuse_offline
from hierlandmarks.parts import BusyError
from hierlandmarks.progress import say
from hierlandmarks.releases import home
from hierlandmarks.tables import read_json, write_json
from hierlandmarks.tarindex import index_path, keep_index, tars_with

RECORDS = ".fetched"  # under the root: what was recorded of every fetched file, as PATH.json
MD5_BYTES = 65_536  # more than any file with one checksum has


@dataclass(frozen=True)
class Order:
    """What to fetch, from where, to where.

    Attributes:
        root: folder of the dataset, in the server's own layout.
        base_urls: mirrors, tried in order; each ends in a slash.
        files: in the catalog's order.
    """

    root: Path
    base_urls: tuple[str, ...]
    files: tuple[RemoteFile, ...]

    def urls(self, path: str) -> list[str]:
        """Addresses of a file, by mirror."""
        return [base + quote(path) for base in self.base_urls]


@dataclass(frozen=True)
class Item:
    """One file of an order.

    Attributes:
        path: within the root.
        url: first address.
        state: `there`, `fetched` or `missing`.
        about_bytes: its size; rough, or 0 when unknown, while it is missing.
        sha256: recorded digest, "" while it is missing.
    """

    path: str
    url: str
    state: str
    about_bytes: int
    sha256: str = ""


def download(
    name: str,
    root: str | os.PathLike[str] | None = None,
    what: Sequence[str] = ("metadata",),
    *,
    splits: Sequence[str] = (),
    shards: str = "",
    ids: Collection[str] = (),
    base_url: str | Sequence[str] = (),
    jobs: int = 2,
) -> Path:
    """Fetch a dataset's files, leaving those alone that are there.

    Args:
        name: a dataset of the catalog, such as `gldv2`.
        root: folder for it; by default NAME in HIERLANDMARKS_HOME, else in the XDG cache.
        what: `metadata` (CSVs, about 1.5 GB for GLDv2), `images` (tars, about half a terabyte), or both.
        splits: whose images (`train`, `index`, `test`); all when empty.
        shards: numbers of tars, such as `0,7-9`; all when empty.
        ids: only the tars that hold these images, by the index of the tars (see `hierlandmarks.tarindex`).
        base_url: mirror or mirrors, tried in order; HIERLANDMARKS_BASE_URL by default, else the dataset's own server.
        jobs: files fetched at the same time, of which at most four come from one host.

    Returns:
        The root.

    Raises:
        UsageError: an unknown name or word.
        OfflineError: something is missing and HIERLANDMARKS_OFFLINE is set.
        IncompleteError: some files could not be fetched, or the disk is too small; run again to go on. Also when the
            index does not say where all of `ids` are.
        ChecksumError: a file is there, or came, and has the wrong checksum.
        CorruptInputError: a tar holds something that is no picture (see `images.index_tar`).
    """
    order = make_order(name, root, what, splits=splits, shards=shards, ids=ids, base_url=base_url)
    fetch_order(order, jobs=jobs)
    return order.root


def make_order(
    name: str,
    root: str | os.PathLike[str] | None = None,
    what: Sequence[str] = ("metadata",),
    *,
    splits: Sequence[str] = (),
    shards: str = "",
    ids: Collection[str] = (),
    base_url: str | Sequence[str] = (),
) -> Order:
    """The order that `download` would carry out; asks and writes nothing."""
    dataset = find_dataset(name)
    given = [base_url] if isinstance(base_url, str) else list(base_url)
    bases = [one for one in given if one] or os.environ.get("HIERLANDMARKS_BASE_URL", "").split() or dataset.base_urls
    folder = Path(root).expanduser() if root is not None else home() / name
    files = select(dataset, what, splits, shards)
    if ids:
        tars = [file for file in files if file.md5_path]
        if not tars:
            raise UsageError("images were named, and no tars to look for them", do="say images, not metadata")
        files = (*(file for file in files if not file.md5_path), *tars_with(folder, tars, ids))
    return Order(folder, tuple(base.rstrip("/") + "/" for base in bases), files)


def inspect_order(order: Order) -> list[Item]:
    """What is there of an order, by its records and sizes; reads no file whole."""
    return [_inspect(order, file) for file in order.files]


def _inspect(order: Order, file: RemoteFile) -> Item:
    path, url = order.root / file.path, order.urls(file.path)[0]
    if not path.is_file():
        return Item(file.path, url, "missing", file.about_bytes)
    record, size = read_record(order.root, file.path), path.stat().st_size
    if record and record["size"] != size:
        raise ChecksumError(
            f"{path} was changed after it was fetched", got=f"{size} bytes", expected=record["size"], do="delete it"
        )
    return Item(file.path, url, "there", size, record.get("sha256", ""))


def fetch_order(order: Order, *, jobs: int = 2, manners: Manners | None = None) -> list[Item]:
    """Carry out an order: every file is there and verified, and every tar indexed, when this returns.

    Args:
        jobs: files at the same time, at most one connection each, and at most `manners.limit` to one host.

    Raises:
        As `download`. Files that could be fetched are kept, whatever becomes of the others.
    """
    items = inspect_order(order)
    missing = {item.path for item in items if item.state == "missing"}
    if missing:
        refuse_offline(f"fetching {len(missing)} files")
    _check_space(order.root, sum(item.about_bytes for item in items if item.path in missing))
    stop = threading.Event()
    manners = manners or Manners(patience=file_patience(stop.wait), retrying=_tell_retry)  # a wait that Ctrl-C ends
    todo = [file for file, item in zip(order.files, items, strict=True) if not _is_done(order.root, file, item)]
    total = sum(item.about_bytes for item in items if item.path in missing)
    bar = tqdm(total=total or None, desc="  fetching", unit="B", unit_scale=True, disable=None, file=sys.stderr)
    with bar, ThreadPoolExecutor(max(1, jobs)) as pool:

        def progress(count: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            bar.update(count)

        futures = {file.path: pool.submit(_fetch_one, order, file, manners, progress) for file in todo}
        try:
            failures = {path: error for path, future in futures.items() if (error := future.exception())}
        except BaseException:  # Ctrl-C: what runs stops at its next block and keeps what it has
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    theirs = {path for path, error in failures.items() if _is_done_elsewhere(order.root, path, error)}
    _raise_first({path: error for path, error in failures.items() if path not in theirs}, len(order.files))
    done = {path: future.result() for path, future in futures.items() if path not in theirs}
    pairs = zip(order.files, items, strict=True)
    return [_inspect(order, file) if file.path in theirs else done.get(item.path, item) for file, item in pairs]


def _is_done_elsewhere(root: Path, path: str, error: BaseException) -> bool:
    """Whether another process was fetching a file, and has finished by now."""
    return isinstance(error, BusyError) and bool(read_record(root, path))


def _is_done(root: Path, file: RemoteFile, item: Item) -> bool:
    return bool(item.sha256) and (not file.md5_path or index_path(root, file.path).is_file())


def _fetch_one(order: Order, file: RemoteFile, manners: Manners, progress: Callable[[int], None]) -> Item:
    """See to one file, index it if it is a tar, and say what became of it."""
    url = order.urls(file.path)[0]
    try:
        state = "there" if (order.root / file.path).is_file() else "fetched"
        record = read_record(order.root, file.path) if state == "there" else {}
        record = record or _obtain(order, file, manners, progress)
        if file.md5_path:
            keep_index(order.root, file.path)
    except HierlandmarksError as error:
        _tell({"path": file.path, "url": url, "state": "failed", "error": str(error)})
        raise
    item = Item(file.path, url, state, record["size"], record["sha256"])
    _tell(asdict(item))
    return item


def _tell(facts: dict[str, Any]) -> None:
    """A line of JSON for programs; a terminal has the bar."""
    if not sys.stderr.isatty():
        say(json.dumps(facts, sort_keys=True))


def _tell_retry(url: str, trouble: str, attempt: int) -> None:
    """No wait is silent: a line of talk on a terminal, of JSON elsewhere."""
    if sys.stderr.isatty():
        say(f"  {url}: {trouble}; trying again, number {attempt}")
    _tell({"url": url, "state": "retrying", "error": trouble, "attempt": attempt})


def _obtain(order: Order, file: RemoteFile, manners: Manners, progress: Callable[[int], None]) -> dict[str, Any]:
    """Fetch a file with its published checksum, or take over one that a person put there: its record."""
    path = order.root / file.path
    md5 = published_md5(order, file, manners) if file.md5_path else ""
    right = {md5, *file.also_seen} if md5 else set()
    if path.is_file():
        found = Fetched(path, "", path.stat().st_size, *digest(path), 0)
        if right and found.md5 not in right:
            raise ChecksumError(
                f"{path} is there and has the wrong checksum", got=f"MD5 {found.md5}", expected=md5, do="delete it"
            )
    else:
        found = fetch_file(order.urls(file.path), path, md5=sorted(right), manners=manners, progress=progress)
        _sync(path)  # the record vouches for the bytes, so they are on disk before it
    note = file.also_seen.get(found.md5, "") if found.md5 != md5 else ""
    if note:
        say(f"{path}: MD5 {found.md5} is not the published {md5} but is on record: {note}")
    record = {"url": found.url, "size": found.size, "md5": found.md5, "sha256": found.sha256, "note": note}
    write_json(record_path(order.root, file.path), record)
    return record


def _sync(path: Path) -> None:
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())


def published_md5(order: Order, file: RemoteFile, manners: Manners) -> str:
    """The MD5 the dataset publishes for a file, fetched once and kept beside the dataset."""
    path = order.root / file.md5_path
    if not path.is_file():
        fetch_file(order.urls(file.md5_path), path, at_most=MD5_BYTES, manners=manners)
    return read_md5(path)


def read_md5(path: Path) -> str:
    """The digest in an MD5 file: `hash`, `hash  name` or `hash *name`.

    Raises:
        CorruptInputError: it holds no digest.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    match = re.match(r"\s*([0-9a-fA-F]{32})(?:\s|$)", text)
    if not match:
        raise CorruptInputError(
            f"{path} holds no MD5", got=repr(text[:40]), expected="32 hex digits", do="delete it, then fetch again"
        )
    return match[1].lower()


def record_path(root: Path, path: str) -> Path:
    """Where the record of a fetched file lies."""
    return root / RECORDS / f"{path}.json"


def read_record(root: Path, path: str) -> dict[str, Any]:
    """What was recorded when a file was fetched (url, size, md5, sha256, note); empty when it was not."""
    record = record_path(root, path)
    return dict(read_json(record)) if record.is_file() else {}


def _check_space(root: Path, needed: int) -> None:
    existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise IncompleteError(
            f"{root} has too little room",
            got=f"{free / 1e9:.0f} GB free",
            expected=f"about {needed / 1e9:.0f} GB",
            do="choose another --root, or fewer --shards",
        )


def _raise_first(failures: dict[str, BaseException], files: int) -> None:
    """Raise the worst of several failures: corrupt input before what another run may cure."""
    for path, error in failures.items():
        if not isinstance(error, HierlandmarksError):
            raise error
        if isinstance(error, CorruptInputError):
            raise ChecksumError(f"{path} failed, and {len(failures)} of {files} files in all: {error}") from error
    for path, error in failures.items():
        raise IncompleteError(f"{path} failed, and {len(failures)} of {files} files in all: {error}") from error
